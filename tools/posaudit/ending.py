"""How a pulled file must end: with the entries its manifest counts, the last of which answers its nonce."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from posaudit.chain import KIND_EXPORT, Chain
from posaudit.findings import EDIT, ROLLBACK, TRUNCATE, UNSEALED, Finding
from posaudit.posj import Manifest, payload_bytes, peek


def check_count(chain: Chain, m: Manifest, offset: int) -> Iterator[Finding]:
    """Compare where the chain arrived with the manifest. `offset`: where the file ends."""
    found = chain.seq - m.first_seq
    if found < m.count:
        yield Finding(
            TRUNCATE,
            chain.seq,
            offset,
            f"{m.count} entries, as the manifest has it",
            f"the end of the file after {found}",
        )
    elif found > m.count:
        yield Finding(EDIT, None, 0, f"a count of {found}, as the file holds", f"{m.count} in the manifest")
    elif chain.head != m.head:
        yield Finding(
            EDIT, None, 0, f"the head {chain.head.hex()}, as the entries give it", f"{m.head.hex()} in the manifest"
        )


def check_answer(last: list[Any] | None, m: Manifest, seq: int, offset: int) -> Iterator[Finding]:
    """The last payload must be the EXPORT entry that answers the manifest. `seq`: the entry that would come next."""
    if last is None and seq == m.first_seq:
        yield Finding(UNSEALED, None, offset, "sealed entries", "none: nothing vouches for this file")
    elif last is None or last[1] != KIND_EXPORT:
        yield Finding(
            TRUNCATE,
            seq,
            offset,
            f"the EXPORT entry that answers the nonce {m.nonce.hex()}",
            "the end of the file: entries written before the pull may be missing",
        )
    elif last[6][0] != m.nonce:
        yield Finding(
            ROLLBACK,
            last[0],
            offset,
            f"an answer to the nonce {m.nonce.hex()}",
            f"one to {last[6][0].hex()}: an older pull, or a manifest that was changed",
        )
    elif last[6][1] != m.role:
        yield Finding(EDIT, None, 0, f"role {last[6][1]}, as the EXPORT entry has it", f"{m.role} in the manifest")


def looks_like_answer(raw: bytes, m: Manifest) -> bool:
    """True if an unproven last entry at least looks like the answer: then nothing says that the tail is gone too."""
    return bool(raw) and peek(raw)[1:2] == [KIND_EXPORT] and m.nonce in payload_bytes(raw)
