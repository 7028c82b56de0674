"""Name a break that cannot be bridged: what stands where the chain's next entry should be."""

from __future__ import annotations

from posaudit.chain import Chain
from posaudit.findings import DELETE, EDIT, FOREIGN, INSERT, REORDER, SPLICE, UNSEALED
from posaudit.keys import AuditorKeys
from posaudit.posj import PREFIX, Item, peek

MANIFEST = b"\x8a\x64posj"
_OTHERS = 64  # terminals compared: a fleet's worth of HKDF for one break would be slow


class Held:
    """An item that did not fit where it stood; `head` is [seq, kind, boot, ms] as it claims, or []."""

    def __init__(self, item: Item) -> None:
        self.item = item
        self.head = [] if item.fault else peek(item.raw)
        self.seq = self.head[0] if self.head else None


def name_break(chain: Chain, held: list[Held], keys: AuditorKeys | None) -> tuple[str, str]:
    """(tamper class, what was found) for a chain that ends before `held`, none of which fits."""
    first = held[0]
    raw = first.item.raw
    same = next((h for h in held if h.seq == chain.seq), None)
    if first.item.fault:
        return name_junk(first.item)
    if raw[-32:] == bytes(32):
        return UNSEALED, "an entry without a seal (its tag is all zero)"
    other = _other_journal(first, keys)
    if other:
        return (SPLICE if chain.seq else FOREIGN), f"the beginning of another journal ({other})"
    if first.seq is None:
        return EDIT, "an entry whose content does not begin with a sequence number"
    if first.seq > chain.seq:
        if same is None:
            return DELETE, f"entry {first.seq}: {first.seq - chain.seq} missing"
        return REORDER, (
            f"entry {first.seq}, and one numbered {chain.seq} whose seal does not verify at byte {same.item.offset}"
        )
    if first.seq < chain.seq:
        if same is None:
            return SPLICE, f"entry {first.seq}, going back in the journal"
        return INSERT, f"another entry with number {first.seq}"
    boot, ms = first.head[2:4]
    if (boot, ms) < (chain.boot, chain.ms):
        return SPLICE, (
            f"one of boot {boot}, {ms} ms, which is before the entry ahead of it (boot {chain.boot}, {chain.ms} ms)"
        )
    return EDIT, "one with that number whose seal does not verify"


def name_junk(item: Item) -> tuple[str, str]:
    """(tamper class, what was found) for bytes that are no entry."""
    raw = item.raw
    if raw[:1] == b"\x87":
        return UNSEALED, "a payload without any seal around it"
    if raw.startswith(MANIFEST):
        return SPLICE, "the manifest of another pull"
    if "no seal of 32 bytes" in item.fault and raw.startswith(PREFIX):
        return UNSEALED, f"an entry whose seal is missing or cut short, or whose length was changed: {item.fault}"
    return EDIT, f"{item.length} bytes that are no entry: {item.fault}"


def _other_journal(held: Held, keys: AuditorKeys | None) -> str:
    """Name the journal in the key file that this entry begins, or ""."""
    if held.seq != 0 or keys is None:
        return ""
    for terminal_id in list(keys.terminals)[:_OTHERS]:
        if Chain.start(keys, terminal_id).fits(held.item.raw):
            return f"terminal {terminal_id}"
    return ""
