"""Frames of the service protocol: COBS(CBOR || CRC-32) 00 (docs/service-protocol.md). Pure functions on bytes."""

from __future__ import annotations

import zlib
from typing import Any

import cbor2

from posaudit.posj import FormatError, strict_loads

MAX_FRAME = 4096  # before COBS
MAX_WIRE = MAX_FRAME + MAX_FRAME // 254 + 1


def cobs_encode(data: bytes) -> bytes:
    """`data` without a single zero byte (Cheshire and Baker 1999); no delimiter."""
    out = bytearray()
    for run in data.split(b"\x00"):
        # 254 bytes are the most that one code byte can announce.
        full, rest = divmod(len(run), 254)
        for i in range(full):
            out += b"\xff" + run[i * 254 : i * 254 + 254]
        out.append(rest + 1)
        out += run[full * 254 :]
    return bytes(out)


def cobs_decode(data: bytes) -> bytes:
    """Undo `cobs_encode`. Raises FormatError."""
    out = bytearray()
    pos = 0
    while pos < len(data):
        code = data[pos]
        block = data[pos + 1 : pos + code]
        if code == 0 or len(block) != code - 1 or 0 in block:
            raise FormatError("a frame is not COBS", pos)
        out += block
        pos += code
        if code != 255 and pos < len(data):
            out.append(0)
    return bytes(out)


def frame(message: list[Any]) -> bytes:
    """The bytes on the wire for one message, delimiter included."""
    body = cbor2.dumps(message)
    return cobs_encode(body + zlib.crc32(body).to_bytes(4, "little")) + b"\x00"


def unframe(data: bytes) -> list[Any]:
    """The message in the bytes between two delimiters. Raises FormatError."""
    whole = cobs_decode(data)
    if not 5 <= len(whole) <= MAX_FRAME:
        raise FormatError(f"a frame of {len(whole)} bytes")
    body = whole[:-4]
    if zlib.crc32(body) != int.from_bytes(whole[-4:], "little"):
        raise FormatError("a frame's CRC does not fit")
    message = strict_loads(body)
    if type(message) is not list:
        raise FormatError("a frame does not hold an array")
    return message
