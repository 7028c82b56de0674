"""ESC/POS command bytes for printers with a Chinese font. Each function returns bytes and touches nothing.

Epson ESC/POS command reference: ESC @, ESC !, ESC a, ESC d, FS &, FS !, GS V, GS ( k. Text goes out in the
two-byte area of GB18030 (which is GBK), by the generated glyph table: MicroPython has no codec for it.
"""

from posfw.receipt.glyphs import TABLE
from posfw.receipt.layout import raw_of

NORMAL, TALL, LARGE = 0, 1, 2  # single; double height; double height and width (half the columns)

# ESC @ reset; FS & Chinese mode: without it a printer may read two-byte characters as pairs of single ones.
INIT = b"\x1b@\x1c&"
FEED_AND_CUT = b"\x1bd\x04\x1dVB\x00"  # ESC d 4: past the tear bar where there is no cutter; GS V 66 0

# ESC ! sizes ASCII and FS ! sizes hanzi: only both together give one size across a mixed line.
_SIZES = (b"\x1b!\x00\x1c!\x00", b"\x1b!\x10\x1c!\x08", b"\x1b!\x30\x1c!\x0c")

_REPLACEMENT = b"\xa1\xfe"  # 〓, the printer's own sign for a character it lacks


def _code(point):
    # Offset of the GB18030 code of a code point in TABLE, or -1.
    low = 0
    high = len(TABLE) >> 2
    while low < high:
        mid = (low + high) >> 1
        at = mid << 2
        found = TABLE[at] << 8 | TABLE[at + 1]
        if found == point:
            return at + 2
        if found < point:
            low = mid + 1
        else:
            high = mid
    return -1


def _points(s):
    # Code points, without making a string of each character: see layout.
    raw = raw_of(s)
    point = 0
    for i in range(len(raw)):
        byte = raw[i]
        if byte < 0x80:
            point = byte
        elif byte < 0xC0:
            point = point << 6 | byte & 0x3F
        else:
            point = byte & (0x1F if byte < 0xE0 else 0x0F if byte < 0xF0 else 0x07)
        if i + 1 == len(raw) or raw[i + 1] & 0xC0 != 0x80:
            yield point


def encode(s):
    """`s` as printer bytes. A character without a glyph becomes 〓, a control character a blank.

    Nothing in a text can thus act as a command, whoever sent the text.
    """
    out = bytearray()
    for point in _points(s):
        if point < 0x7F:
            out.append(point if point >= 0x20 else 0x20)
        else:
            at = _code(point)
            out.extend(TABLE[at : at + 2] if at >= 0 else _REPLACEMENT)
    return bytes(out)


def missing(s):
    """The characters of `s` that have no glyph, each once, in order. For checking a merchant's name."""
    out = ""
    for point in _points(s):
        if point >= 0x7F and _code(point) < 0 and chr(point) not in out:
            out += chr(point)
    return out


def line(s, size=NORMAL):
    """One printed line in NORMAL, TALL or LARGE type. Leaves the printer in normal type."""
    if size == NORMAL:
        return encode(s) + b"\n"
    return _SIZES[size] + encode(s) + b"\n" + _SIZES[NORMAL]


def qr(data, module=4):
    """A centred QR code, model 2, error correction M, drawn by the printer itself.

    data: bytes, at most 2,331 (version 40-M); module: dots per module, 1-16. GS ( k functions 165
    model, 167 module size, 169 error correction, 180 store, 181 print.
    """
    size = len(data) + 3
    return (
        b"\x1ba\x01\x1d(k\x04\x001A2\x00\x1d(k\x03\x001C"
        + bytes((module,))
        + b"\x1d(k\x03\x001E1\x1d(k"
        + bytes((size & 0xFF, size >> 8))
        + b"1P0"
        + data
        + b"\x1d(k\x03\x001Q0\x1ba\x00"
    )
