"""What a break of the chain means: inserted, moved, edited, deleted, cut off, re-sealed, or another journal.

One pass and bounded memory: an item that does not fit is held; if the entry the chain waits for still comes, the held
ones were inserted or moved; if it never comes, it was edited, deleted or cut off.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from posaudit.chain import KIND_BOOT, Chain, SealBroken, ratchet
from posaudit.ending import check_answer, check_count, looks_like_answer
from posaudit.findings import (
    DELETE,
    EDIT,
    INSERT,
    MALFORMED,
    MOST_FINDINGS,
    REORDER,
    RESEAL,
    SPLICE,
    TRUNCATE,
    UNSEALED,
    Finding,
    Report,
)
from posaudit.keys import AuditorKeys
from posaudit.naming import MANIFEST, Held, name_break
from posaudit.posj import FormatError, Item, Manifest, peek

_UNCLEAN = ("torn frame", "key store one behind", "newest sector unfinished")  # by bit
_POOL = 256  # entries held back while it is not yet clear what a break means
_RESEAL_REACH = 1 << 20  # keys tried, in all, against entries that are sealed, but not under their own key


OnEntry = Callable[[int, bytes, list[Any]], None]


class Verifier:
    """Follows a stream of items along a chain and explains each departure from it in the report.

    `keys` serve only to recognise the beginning of another journal. `on_entry(offset, raw, payload)` gets what is
    proven, as it is proven."""

    def __init__(
        self,
        report: Report,
        chain: Chain,
        manifest: Manifest | None = None,
        keys: AuditorKeys | None = None,
        on_entry: OnEntry | None = None,
    ) -> None:
        self.report = report
        self.chain = chain
        self.manifest = manifest
        self.keys = keys
        self.on_entry = on_entry
        self.held: list[Held] = []
        self.lost: Finding | None = None
        self.last: list[Any] | None = None  # last proven payload
        self.last_seen: bytes = b""
        self.offset = 0
        self.tainted = False  # behind a re-sealed entry seals hold, but prove nothing: the sealer had the keys
        self.flooded = False  # so much follows the end of the journal that it is only counted
        self.reach_left = _RESEAL_REACH
        self.next_key: bytes | None = None  # of a run of re-sealed entries
        self.same_key: bytes | None = None

    def feed(self, item: Item) -> None:
        """Take the next item of the file."""
        self.offset = item.offset + item.length
        if not item.fault:
            self.last_seen = item.raw
            waiting = bool(self.held or self.lost or self.flooded)
            # Behind a break only the entry that is waited for is worth a MAC.
            if (not waiting or peek(item.raw)[:1] == [self.chain.seq]) and self._prove(item):
                if waiting:
                    self._resume(item)
                return
        if self.lost or self.flooded:
            self.report.unproven += not item.fault
            return
        self.held.append(Held(item))
        if len(self.held) >= _POOL:
            self._decide(at_end=False)

    def finish(self) -> None:
        """The file is at its end: settle what is still open, and check how it ends."""
        partial = self.held.pop() if self.held and self.held[-1].item.partial else None
        if self.held:
            self._decide(at_end=True)
        report, manifest = self.report, self.manifest
        if partial:
            self._find(
                TRUNCATE,
                self.chain.seq,
                partial.item.offset,
                "a whole entry",
                f"{partial.item.length} bytes of one, then the end of the file",
            )
        if not self.tainted:
            report.next_seq, report.head = self.chain.seq, self.chain.head.hex()
        if manifest:
            self._check_end(manifest, bool(partial))

    def _check_end(self, m: Manifest, partial: bool) -> None:
        chain, found = self.chain, self.report.findings
        if not self.lost and not partial:
            found += check_count(chain, m, self.offset)
        if any(f.tamper == TRUNCATE for f in found):
            return
        if not self.lost:
            found += check_answer(self.last, m, chain.seq, self.offset)
        elif not looks_like_answer(self.last_seen, m):
            found += check_answer(None, m, chain.seq + 1, self.offset)

    # -- proving

    def _prove(self, item: Item) -> bool:
        seq = self.chain.seq
        try:
            payload = self.chain.step(item.raw)
        except SealBroken:
            return False
        except FormatError as error:
            self._find(MALFORMED, seq, item.offset, "a payload as the format has it", str(error))
            self.last = None
            return True
        self._proven(item, payload)
        return True

    def _proven(self, item: Item, payload: list[Any]) -> None:
        report = self.report
        self.last = payload
        if self.tainted:
            report.unproven += 1
            return
        report.entries += 1
        rtc = payload[4]
        if rtc:
            report.first_rtc = report.first_rtc or rtc
            report.last_rtc = rtc
        if payload[1] == KIND_BOOT:
            report.boots += 1
            unclean = payload[6][2]
            if unclean:
                what = [text for bit, text in enumerate(_UNCLEAN) if unclean >> bit & 1]
                report.power_cuts.append(
                    {
                        "seq": payload[0],
                        "boot": payload[2],
                        "rtc": rtc,
                        "what": ", ".join(what) or f"unclean {unclean}",
                    }
                )
        if self.on_entry:
            self.on_entry(item.offset, item.raw, payload)

    def _find(self, tamper: str, seq: int | None, offset: int, expected: str, found: str) -> Finding:
        finding = Finding(tamper, seq, offset, expected, found)
        if len(self.report.findings) < MOST_FINDINGS:
            self.report.findings.append(finding)
        return finding

    # -- after a break

    def _resume(self, item: Item) -> None:
        """The entry that was waited for has come: what stood before it was moved or inserted."""
        missing = self.chain.seq - 1
        if self.lost:
            # Too much stood in between to be held: only that much can be said.
            kind = REORDER if self.lost.tamper == DELETE else INSERT
            self.lost.tamper = kind
            self.lost.found = f"it only at byte {item.offset}, behind {self.report.unproven} other entries"
            self.lost = None
            return
        first = self.held[0]
        moved = self._drain()
        if moved:
            self._find(
                REORDER,
                missing,
                first.item.offset,
                f"entry {missing}",
                f"entry {moved[0]}{_run(len(moved))}; entry {missing} stands at byte {item.offset}",
            )
        self._inserted([h for h in self.held if h.seq is None or h.seq < self.chain.seq])

    def _drain(self) -> list[int]:
        """Prove held entries whose turn has come; return their numbers."""
        moved: list[int] = []
        again = True
        while again:
            again = False
            for held in self.held:
                if held.seq == self.chain.seq and self._prove(held.item):
                    moved.append(held.seq)
                    self.held.remove(held)
                    again = True
                    break
        return moved

    def _inserted(self, extra: list[Held]) -> None:
        """Report held items that have no place in the chain, one finding for each run of neighbours."""
        self.held = [h for h in self.held if h not in extra]
        runs: list[list[Held]] = []
        for held in extra:
            behind = runs[-1][-1].item if runs else None
            if behind and behind.offset + behind.length == held.item.offset:
                runs[-1].append(held)
            else:
                runs.append([held])
        for run in runs:
            first = run[0]
            tamper = INSERT
            if first.item.raw.startswith(MANIFEST):
                tamper, what = SPLICE, "the manifest of another pull"
            elif first.item.fault:
                what = f"{first.item.length} bytes that are no entry"
            elif first.seq is None:
                what = "an entry without a sequence number"
            elif first.seq < self.chain.seq:
                what = f"another entry with number {first.seq}, or a copy of it"
            else:
                what = f"an entry with number {first.seq} that this terminal did not seal"
            expected = f"nothing between entries {self.chain.seq - 1} and {self.chain.seq}"
            if self._complete():
                expected = "the end of the file, as the manifest has it"
            self._find(tamper, first.seq, first.item.offset, expected, what + _run(len(run)))

    def _complete(self) -> bool:
        m = self.manifest
        return m is not None and self.chain.seq == m.first_seq + m.count and self.chain.head == m.head

    def _decide(self, at_end: bool) -> None:
        """The entry that is waited for has not come: find out why, and go on behind it where that can be proven."""
        while self.held:
            if self._complete():
                self._inserted(list(self.held))
                self.flooded = not at_end
                return
            same = [h for h in self.held if h.seq == self.chain.seq]
            if not any(self._tag_edited(h, at_end) or self._resealed(h) for h in same):
                break
            self._drain()
            self._inserted([h for h in self.held if h.seq is None or h.seq < self.chain.seq])
        if self.held:
            self._give_up()

    def _tag_edited(self, held: Held, at_end: bool) -> bool:
        """True if only the tag was changed: the chain goes on over the entry with its right tag."""
        good = held.item.raw[:-32] + self.chain.tag(held.item.raw)
        trial = Chain(self.chain.seq, self.chain.key, self.chain.head, self.chain.boot, self.chain.ms)
        try:
            payload = trial.step(good)
        except FormatError:
            return False
        follower = any(h.seq == trial.seq and trial.fits(h.item.raw) for h in self.held)
        last = at_end and self.manifest is not None and trial.head == self.manifest.head
        if not (follower or last):
            return False
        tamper = UNSEALED if held.item.raw[-32:] == bytes(32) else EDIT
        self._find(
            tamper,
            self.chain.seq,
            held.item.offset + len(good) - 32,
            f"the tag {good[-32:].hex()}",
            f"the tag {held.item.raw[-32:].hex()}; the entry's content is intact, as the next one proves",
        )
        self.chain = trial
        self.held.remove(held)
        self._proven(held.item, payload)
        return True

    def _resealed(self, held: Held) -> bool:
        """True if the entry carries a seal under a key of another entry: made later, by who had only that key."""
        raw, chain = held.item.raw, self.chain
        for key in (self.same_key, self.next_key):
            if key and chain.fits(raw, key):
                self._reseal_goes_on(raw, key)
                self.held.remove(held)
                return True
        if self.same_key:
            return False
        key = chain.key
        reach = (self.manifest.first_seq + self.manifest.count if self.manifest else chain.seq) + 2 - chain.seq
        reach = min(max(reach, _POOL), self.reach_left)
        self.reach_left -= reach
        for ahead in range(1, reach):
            key = ratchet(key)
            if chain.fits(raw, key):
                self._find(
                    RESEAL,
                    chain.seq,
                    held.item.offset,
                    f"a seal under the key of entry {chain.seq}",
                    f"one under the key of entry {chain.seq + ahead}: written after that key was known",
                )
                self._reseal_goes_on(raw, key)
                self.held.remove(held)
                return True
        return False

    def _reseal_goes_on(self, raw: bytes, key: bytes) -> None:
        if not self.tainted:
            self.tainted = True
            self.report.next_seq, self.report.head = self.chain.seq, self.chain.head.hex()
        self.same_key, self.next_key = key, ratchet(key)
        trial = Chain(self.chain.seq, key, self.chain.head, self.chain.boot, self.chain.ms)
        try:
            self.last = trial.step(raw)
        except FormatError:
            self.last = None
        self.chain.advance(raw)
        self.report.unproven += 1

    def _give_up(self) -> None:
        """Name the break; nothing behind it can be proven, because each seal covers all that came before."""
        tamper, found = name_break(self.chain, self.held, self.keys)
        behind = ", and the entries behind it cannot be proven" if len(self.held) > 1 else ""
        offset = self.held[0].item.offset
        self.lost = self._find(tamper, self.chain.seq, offset, f"entry {self.chain.seq}", found + behind)
        self.report.unproven += sum(not h.item.fault for h in self.held)
        self.held = []


def _run(count: int) -> str:
    return f" and {count - 1} more" if count > 1 else ""
