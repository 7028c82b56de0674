"""The seal's chain as the auditor follows it: key ratchet, chained heads, strict payloads (journal-format section 2).

Imports nothing of the terminal's code: it must not share a mistake with what made the journal.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Any

from posaudit.keys import AuditorKeys
from posaudit.posj import FormatError, measure, payload_bytes, strict_loads

KIND_BOOT, KIND_EXPORT, KIND_LAST = 1, 21, 25
_STRUCTURE = b"\x84\x64MAC0\x43\xa1\x01\x05\x58\x20"  # ["MAC0", << {1: 5} >>, bstr(32)
_RATCHET = b"posfw/ratchet/1"


class SealBroken(Exception):
    """The entry is not the one the chain demands next."""


def ratchet(key: bytes) -> bytes:
    """K(i+1) from K(i)."""
    return hashlib.sha256(_RATCHET + key).digest()


def genesis(journal_id: bytes) -> bytes:
    """h(-1) of a journal."""
    return hashlib.sha256(b"posfw/genesis/1" + journal_id).digest()


@dataclass
class Chain:
    """The place in a journal up to which all is proven: next sequence number, its key, the head before it.

    A trusted checkpoint is the same three values; a walk may begin at one."""

    seq: int
    key: bytes = field(repr=False)  # a traceback or a log must not show it
    head: bytes
    boot: int = 0
    ms: int = 0

    @classmethod
    def start(cls, keys: AuditorKeys, terminal_id: str) -> Chain:
        """The beginning of a terminal's journal. Raises KeysError if the terminal is not in the key file."""
        return cls(0, keys.k0(terminal_id), genesis(keys.journal_id(terminal_id)))

    def tag(self, raw: bytes, key: bytes | None = None) -> bytes:
        """The tag that entry `raw` should carry here (RFC 9052 section 6.3), under `key` if given."""
        return hmac.digest(key or self.key, _STRUCTURE + self.head + raw[6:-34], "sha256")

    def fits(self, raw: bytes, key: bytes | None = None) -> bool:
        """True if the well-formed entry `raw` is sealed for this very place."""
        return hmac.compare_digest(self.tag(raw, key), raw[-32:])

    def advance(self, raw: bytes) -> None:
        """Move behind entry `raw`."""
        self.head = hashlib.sha256(self.head + raw).digest()
        self.key = ratchet(self.key)
        self.seq += 1

    def step(self, raw: bytes) -> list[Any]:
        """Prove the next entry and return its payload.

        Raises SealBroken (nothing has moved) if it is not the next; FormatError (the chain has moved on) if it is
        properly sealed but its payload is not what the format allows."""
        if measure(raw) != len(raw):
            raise FormatError("the bytes are not one sealed entry")
        if not self.fits(raw):
            raise SealBroken(f"the seal of entry {self.seq} does not verify")
        seq = self.seq
        self.advance(raw)
        payload = strict_loads(payload_bytes(raw))
        self._check(payload, seq)
        return payload

    def _check(self, payload: Any, seq: int) -> None:
        if type(payload) is not list or len(payload) != 7 or any(type(v) is not int or v < 0 for v in payload[:6]):
            raise FormatError("the payload is not [seq, kind, boot, ms, rtc, rtc_quality, body]")
        if payload[0] != seq:
            raise FormatError(f"the payload carries sequence number {payload[0]}, sealed as {seq}")
        _, kind, boot, ms, _, quality, body = payload
        if not 1 <= kind <= KIND_LAST or quality > 3 or type(body) is not list:
            raise FormatError("kind, clock quality or body is out of the documented range")
        before = (self.boot, self.ms)
        self.boot, self.ms = boot, ms
        if (boot, ms) < before:
            raise FormatError(f"boot {boot}, {ms} ms comes before boot {before[0]}, {before[1]} ms of the entry before")
        if kind == KIND_BOOT and not (len(body) == 3 and type(body[2]) is int):
            raise FormatError("the body of BOOT is not [firmware, reset_cause, unclean]")
        if kind == KIND_EXPORT and not (len(body) == 2 and type(body[0]) is bytes and type(body[1]) is int):
            raise FormatError("the body of EXPORT is not [nonce, role]")
