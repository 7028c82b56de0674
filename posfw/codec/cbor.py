"""The part of CBOR the journal and the service protocol use, deterministic (RFC 8949, section 4.2.1).

Integers from -2^63 to 2^64-1, byte strings, text, arrays, booleans and null. Floats, maps, tags,
indefinite lengths and longer-than-needed heads are refused both ways: one value has one encoding, so equal
bytes mean equal values and a seal over the bytes is a seal over the value.
"""

from struct import pack_into

from posfw.micro import const

MAX_DEPTH = 8  # arrays within arrays; the recursion stays far inside a small device's stack

_UINT = const(0x00)
_NEGATIVE = const(0x20)
_BYTES = const(0x40)
_TEXT = const(0x60)
_ARRAY = const(0x80)
_FALSE = const(0xF4)
_TRUE = const(0xF5)
_NULL = const(0xF6)

# Named once: isinstance(x, (a, b)) would make the tuple anew at each call.
_ARRAYS = (list, tuple)
_BUFFERS = (bytes, bytearray, memoryview)


class CborError(Exception):
    """The value cannot be encoded, or the bytes are not the one valid encoding of a value."""


def encode(obj):
    """Return the encoding of `obj` as new bytes. Raises CborError."""
    buf = bytearray(_room(obj, 0))
    return bytes(memoryview(buf)[: encode_into(buf, 0, obj)])


def encode_into(buf, pos, obj):
    """Write the encoding of `obj` into the bytearray `buf` from byte `pos` on; return the position behind it.

    `buf` is never resized. Raises CborError if it is too small or the value is outside the subset; bytes
    from `pos` on are then undefined.
    """
    return _put(buf, pos, obj, 0)


def decode(buf):
    """Decode the one item that fills `buf` (bytes, bytearray or memoryview). Raises CborError."""
    obj, pos = decode_at(buf, 0)
    if pos != len(buf):
        raise CborError(f"bytes follow the item that should fill the buffer, from offset {pos}")
    return obj


def decode_flat(buf, most):
    """Decode the one array that fills `buf`, of at most `most` (up to 23) items that are no arrays themselves.

    For bytes from strangers: a kilobyte of nested arrays can cost a terminal its whole memory. Raises CborError.
    """
    count = (buf[0] if buf else 0) - _ARRAY
    if not 0 <= count <= most:
        raise CborError(f"not an array of at most {most} items")
    view, pos, items = memoryview(buf), 1, []
    for _ in range(count):
        item, pos = _get(view, pos, len(buf), MAX_DEPTH)
        items.append(item)
    if pos != len(buf):
        raise CborError(f"bytes follow the array that should fill the buffer, from offset {pos}")
    return items


def decode_at(buf, pos):
    """Decode the item at byte `pos`; return (item, position behind it). Arrays come back as lists and byte
    strings as bytes, copied out of `buf`. Raises CborError."""
    return _get(memoryview(buf), pos, len(buf), 0)


def _room(obj, depth):
    # An upper bound, so that encode() needs one buffer and does not encode text twice.
    if isinstance(obj, _BUFFERS):
        return 9 + len(obj)
    if isinstance(obj, str):
        return 9 + 4 * len(obj)
    n = 9
    if isinstance(obj, _ARRAYS) and depth < MAX_DEPTH:
        for item in obj:
            n += _room(item, depth + 1)
    return n


def _head(buf, pos, major, n):
    room = len(buf) - pos
    if n < 24 and room > 0:
        buf[pos] = major | n
        return pos + 1
    if n < 0x100 and room > 1:
        buf[pos] = major | 24
        buf[pos + 1] = n
        return pos + 2
    if n < 0x10000 and room > 2:
        pack_into(">BH", buf, pos, major | 25, n)
        return pos + 3
    if n < 0x100000000 and room > 4:
        pack_into(">BI", buf, pos, major | 26, n)
        return pos + 5
    if n > 0xFFFFFFFFFFFFFFFF:
        raise CborError("integer outside -2^63..2^64-1")
    if room < 9 or n < 0x100000000:
        raise CborError("buffer too small for the encoding; make it larger")
    pack_into(">BQ", buf, pos, major | 27, n)
    return pos + 9


def _put(buf, pos, obj, depth):
    # Booleans before integers: on CPython True is an int, on MicroPython it is not.
    if obj is None or obj is True or obj is False:
        if pos >= len(buf):
            raise CborError("buffer too small for the encoding; make it larger")
        buf[pos] = _NULL if obj is None else _TRUE if obj else _FALSE
        return pos + 1
    kind = type(obj)
    if kind is int:
        if obj >= 0:
            return _head(buf, pos, _UINT, obj)
        if obj < -0x8000000000000000:
            raise CborError("integer outside -2^63..2^64-1")
        return _head(buf, pos, _NEGATIVE, -1 - obj)
    if kind is str:
        major = _TEXT
        try:
            raw = obj.encode()
        except UnicodeError:
            raw = None
        if raw is None or (len(raw) != len(obj) and not _well_formed(raw)):
            raise CborError("text holds a surrogate, which has no UTF-8 form")
        obj = raw
    elif kind is list or kind is tuple:
        if depth >= MAX_DEPTH:
            raise CborError("arrays nested deeper than 8")
        pos = _head(buf, pos, _ARRAY, len(obj))
        # Most items are small: each done here saves two calls. MicroPython finds the name of a builtin by going through
        # all of them, a local at once.
        end, type_of, integer = len(buf), type, int
        for item in obj:
            if type_of(item) is integer and item >= 0:
                if item < 24 and pos < end:
                    buf[pos] = item
                    pos += 1
                else:
                    pos = _head(buf, pos, _UINT, item)
            else:
                pos = _put(buf, pos, item, depth + 1)
        return pos
    elif isinstance(obj, _BUFFERS):
        major = _BYTES
    else:
        for kind in (int, str, list, tuple):
            if isinstance(obj, kind):  # a class made from it
                return _put(buf, pos, kind(obj), depth)
        raise CborError("cannot encode a value of type " + type(obj).__name__)
    n = len(obj)
    pos = _head(buf, pos, major, n)
    if pos + n > len(buf):  # a slice beyond the end would grow a bytearray instead of failing
        raise CborError("buffer too small for the encoding; make it larger")
    if n:
        buf[pos : pos + n] = obj
    return pos + n


def _get(view, pos, end, depth):
    if not 0 <= pos < end:
        raise CborError(f"no item at offset {pos}: the bytes end there")
    first = view[pos]
    major = first & 0xE0
    n = first & 0x1F
    start = pos
    pos += 1
    if major > _ARRAY:
        if first == _NULL:
            return None, pos
        if first in (_TRUE, _FALSE):
            return first == _TRUE, pos
        raise CborError(f"map, tag, float or simple value at offset {start}: not in the subset")
    if n > 23:
        if n > 27:
            raise CborError(f"indefinite or reserved length at offset {start}")
        k = 1 << (n - 24)
        if k > end - pos:
            raise CborError(f"head cut off at offset {start}")
        n = int.from_bytes(view[pos : pos + k], "big")
        if n < 24 or (k > 1 and not n >> (4 * k)):
            raise CborError(f"head longer than needed at offset {start}")
        pos += k
    if major == _UINT:
        return n, pos
    if major == _NEGATIVE:
        if n > 0x7FFFFFFFFFFFFFFF:
            raise CborError(f"integer below -2^63 at offset {start}")
        return -1 - n, pos
    # Every array item takes at least one byte, so one test bounds both lengths and counts before allocating.
    if n > end - pos:
        raise CborError(f"declared length at offset {start} goes beyond the buffer")
    if major == _ARRAY:
        if depth >= MAX_DEPTH:
            raise CborError(f"arrays nested deeper than 8 at offset {start}")
        items = []
        for _ in range(n):
            item, pos = _get(view, pos, end, depth + 1)
            items.append(item)
        return items, pos
    if major == _BYTES:
        return bytes(view[pos : pos + n]), pos + n
    raw = view[pos : pos + n]
    try:
        text = str(raw, "utf-8")
    except UnicodeError:
        text = None
    if text is None or (len(text) != n and not _well_formed(raw)):
        raise CborError(f"text at offset {start} is not UTF-8")
    return text, pos + n


def _well_formed(raw):
    # MicroPython lets overlong forms, surrogates and code points above 10FFFF through: it only checks that
    # the right number of continuation bytes follows each lead byte, and this relies on it.
    # Ranges: RFC 3629 section 4.
    for i in range(len(raw)):
        lead = raw[i]
        if lead > 0xBF:
            following = raw[i + 1]
            if (
                lead < 0xC2
                or lead > 0xF4
                or (lead == 0xE0 and following < 0xA0)
                or (lead == 0xED and following > 0x9F)
                or (lead == 0xF0 and following < 0x90)
                or (lead == 0xF4 and following > 0x8F)
            ):
                return False
    return True
