"""Pulled files: CBOR, the manifest, and finding entries in a stream (docs/journal-format.md sections 2, 3, 6).

Shares no code with the terminal: what checks a journal must not inherit a mistake of what made it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple

import cbor2

PREFIX = bytes.fromhex("8443a10105a0")  # array(4), protected {1: 5} as a byte string, unprotected {}
TAG_HEAD = b"\x58\x20"
MAX_ENTRY = 2048
MAX_PAYLOAD = 1900
_MANIFEST_LIMIT = 1024
_CHUNK = 1 << 18
_DEPTH = 12

CBOR_ERRORS = (cbor2.CBORError, ValueError, TypeError, ArithmeticError, RecursionError, MemoryError, EOFError)


class FormatError(Exception):
    """Bytes are not what the format allows; `offset` counts from the start of what was given."""

    def __init__(self, text: str, offset: int = 0) -> None:
        super().__init__(text)
        self.offset = offset


def strict_loads(data: bytes) -> Any:
    """Decode one whole item of the journal's CBOR subset: ints, bytes, text, arrays, bool, null.

    cbor2 accepts non-shortest forms and what follows the item, so the result is encoded again and compared.
    Raises FormatError."""
    _end(data)
    try:
        item = cbor2.loads(data)
        again = cbor2.dumps(item)
    except CBOR_ERRORS as error:
        raise FormatError(f"not CBOR ({type(error).__name__})") from None
    if again != data:
        at = next(
            (i for i, (a, b) in enumerate(zip(again, data, strict=False)) if a != b),
            min(len(again), len(data)),
        )
        raise FormatError("not in deterministic encoding, or followed by other bytes", at)
    _subset(item, 0)
    return item


def _end(data: bytes) -> int:
    """Where the item at the start of `data` ends. Raises FormatError for tags, maps, floats and endless items.

    cbor2 computes tags while it decodes (decimals, fractions, patterns): hostile bytes must not get that far."""
    pos, left = 0, 1
    while left:
        if pos >= len(data):
            raise FormatError("not CBOR: the bytes end inside an item", len(data))
        first = data[pos]
        major, low = first >> 5, first & 31
        if major in (5, 6) or (major == 7 and not 20 <= low <= 22) or low > 27:
            what = {5: "a map", 6: "a tag"}.get(major, "a float or an item without a length")
            raise FormatError(f"{what} is not allowed in a journal", pos)
        size = 1 << low - 24 if low > 23 else 0
        value = int.from_bytes(data[pos + 1 : pos + 1 + size], "big") if size else low
        pos += 1 + size
        left -= 1
        if major == 4:
            left += value
        elif major in (2, 3):
            pos += value
    if pos > len(data):
        raise FormatError("not CBOR: the bytes end inside an item", len(data))
    return pos


def _subset(item: Any, depth: int) -> None:
    kind = type(item)
    if kind is list:
        if depth >= _DEPTH:
            raise FormatError("nested too deep")
        for one in item:
            _subset(one, depth + 1)
    elif kind is int:
        if not -(1 << 63) <= item < 1 << 64:
            raise FormatError("integer out of range")
    elif kind not in (bytes, str, bool, type(None)):
        raise FormatError(f"a {kind.__name__} is not allowed in a journal")


@dataclass(frozen=True)
class Manifest:
    """The first item of a .posj file. Nothing in it is protected by itself: all of it is checked."""

    terminal_id: str
    journal_id: bytes
    nonce: bytes
    first_seq: int
    count: int
    head: bytes
    tier: str
    role: int

    def pack(self) -> bytes:
        """The manifest as it stands at the start of a .posj file."""
        return cbor2.dumps(
            [
                "posj",
                1,
                self.terminal_id,
                self.journal_id,
                self.nonce,
                self.first_seq,
                self.count,
                self.head,
                self.tier,
                self.role,
            ]
        )


def parse_manifest(data: bytes) -> tuple[Manifest, int]:
    """Return (manifest, its length) from the first bytes of a file. Raises FormatError."""
    if data[:6] != b"\x8a\x64posj":
        raise FormatError("this is not a .posj file: it does not begin with a manifest")
    length = _end(data)
    item = strict_loads(data[:length])
    if item[1] != 1 or type(item[1]) is not int:
        raise FormatError("the file's format version is not 1: use a newer posaudit", 6)
    _, _, terminal_id, journal_id, nonce, first_seq, count, head, tier, role = item
    good = (
        type(terminal_id) is str
        and 1 <= len(terminal_id.encode()) <= 64
        and terminal_id.isprintable()
        and _sized(journal_id, 16)
        and _sized(nonce, 16)
        and _sized(head, 32)
        and type(first_seq) is int
        and first_seq >= 0
        and type(count) is int
        and count >= 0
        and type(tier) is str
        and len(tier) <= 16
        and tier.isprintable()
        and type(role) is int
    )
    if not good:
        raise FormatError("a field of the manifest is not of the documented form")
    return Manifest(terminal_id, journal_id, nonce, first_seq, count, head, tier, role), length


def _sized(value: Any, size: int) -> bool:
    return type(value) is bytes and len(value) == size


def measure(buf: bytes | bytearray, pos: int = 0) -> int:
    """Length of the entry that begins at `pos`, or 0 if the buffer ends inside it.

    Raises FormatError (offset relative to `pos`) as soon as the bytes cannot be an entry."""
    have = len(buf) - pos
    if buf[pos : pos + 6] != PREFIX:
        prefix = bytes(buf[pos : pos + 6])
        if have < 6 and PREFIX.startswith(prefix):
            return 0
        at = next(i for i in range(6) if prefix[i : i + 1] != PREFIX[i : i + 1])
        raise FormatError("the bytes are not a sealed entry", at)
    if have < 9:
        return 0
    first = buf[pos + 6]
    if first == 0x58:
        length, start = buf[pos + 7], pos + 8
        if length < 24:
            raise FormatError("the payload's length is not in its shortest form", 7)
    elif first == 0x59:
        length, start = buf[pos + 7] << 8 | buf[pos + 8], pos + 9
        if length < 256:
            raise FormatError("the payload's length is not in its shortest form", 7)
    elif 0x41 <= first <= 0x57:
        length, start = first - 0x40, pos + 7
    else:
        raise FormatError("the payload is not a byte string", 6)
    if length > MAX_PAYLOAD:
        raise FormatError(f"the payload claims {length} bytes, more than {MAX_PAYLOAD}", 7)
    end = start + length
    if len(buf) < end + 2:
        return 0
    if buf[end : end + 2] != TAG_HEAD:
        raise FormatError("no seal of 32 bytes follows the payload", end - pos)
    return end + 34 - pos if len(buf) >= end + 34 else 0


def payload_bytes(entry: bytes) -> bytes:
    """The payload's bytes of a well-formed entry."""
    first = entry[6]
    return entry[8 if first == 0x58 else 9 if first == 0x59 else 7 : -34]


def peek(entry: bytes) -> list[int]:
    """[seq, kind, boot, ms] of an entry nothing vouches for, or [] if it does not begin so. Never raises."""
    payload = payload_bytes(entry)
    if payload[:1] != b"\x87":
        return []
    found: list[int] = []
    pos = 1
    while len(found) < 4 and pos < len(payload):
        first = payload[pos]
        size = (1 << first - 24) if 24 <= first < 28 else 0
        if first > 27 or pos + 1 + size > len(payload):
            return []
        found.append(int.from_bytes(payload[pos + 1 : pos + 1 + size], "big") if size else first)
        pos += 1 + size
    return found if len(found) == 4 else []


class Item(NamedTuple):
    """One entry of a stream (`fault` is "") or a stretch of bytes that is none (`raw` then is its beginning)."""

    offset: int
    raw: bytes
    fault: str = ""
    length: int = 0
    partial: bool = False


def scan(stream: BinaryIO, offset: int = 0, chunk: int = _CHUNK) -> Iterator[Item]:
    """Find the entries in `stream` from its present position, which is byte `offset` of the file.

    Holds one chunk whatever the stream contains; after bytes that are no entry it goes on at the next that is."""
    buf = b""
    pos = 0
    while True:
        try:
            length = measure(buf, pos)
        except FormatError as error:
            junk, buf, found = _resync(stream, buf[pos:], chunk)
            yield Item(offset, junk[:64], f"{error} (byte {offset + error.offset})", found)
            offset += found
            pos = 0
            continue
        if length:
            yield Item(offset, buf[pos : pos + length], "", length)
            pos += length
            offset += length
            continue
        more = stream.read(chunk)
        buf = buf[pos:] + more
        pos = 0
        if not more:
            if buf:
                yield Item(offset, buf[:64], "the file ends inside this entry", len(buf), True)
            return


def _resync(stream: BinaryIO, buf: bytes, chunk: int) -> tuple[bytes, bytes, int]:
    """Skip to the next well-formed entry: (beginning of what was skipped, bytes from there on, how many skipped)."""
    skipped = 0
    beginning = b""
    start = 1
    while True:
        at = buf.find(PREFIX, start)
        if at >= 0:
            try:
                length = measure(buf, at)
            except FormatError:
                start = at + 1
                continue
            # A HUMAN entry carries a sealed decision inside it: only an array of seven is a journal entry.
            if length and payload_bytes(buf[at : at + length])[:1] == b"\x87":
                return (beginning + buf[:at])[:64], buf[at:], skipped + at
            if length:
                start = at + 1
                continue
        more = stream.read(chunk)
        if not more:
            if at >= 0:  # perhaps an entry cut short by the end of the file
                return (beginning + buf[:at])[:64], buf[at:], skipped + at
            return (beginning + buf)[:64], b"", skipped + len(buf)
        keep = at if at >= 0 else max(len(buf) - 5, 0)
        beginning = (beginning + buf[:keep])[:64]
        skipped += keep
        buf = buf[keep:] + more
        start = 0 if skipped else 1


def open_posj(path: Any) -> tuple[BinaryIO, Manifest, int]:
    """Open a pulled file: (stream positioned at the first entry, manifest, its length).

    Raises FormatError or OSError; the stream is closed then."""
    stream = open(path, "rb")  # noqa: SIM115 - handed to the caller
    try:
        manifest, length = parse_manifest(stream.read(_MANIFEST_LIMIT))
        stream.seek(length)
    except BaseException:
        stream.close()
        raise
    return stream, manifest, length
