"""ISO 8583 messages by table: MTI, bitmaps and fields in the notation the standard itself uses.

| notation | field |
|---|---|
| `n6` | 6 digits, fixed |
| `n..19`, `n...999` | digits behind a 2-digit (LL) or 3-digit (LLL) length |
| `z..37` | track 2: digits and one or more `=`; `D` is taken for `=` |
| `an12` | letters and digits; blanks only at the end, where the standard pads with them |
| `ans..40` | printable ASCII (20 to 7E); text in any other character set is `b` |
| `b8`, `b...255` | bytes |

In BCD two digits share a byte. Where their number is odd, fixed `n` has a zero nibble on the left, all others
on the right; ` left` or ` right` behind the notation overrides that. Lengths count digits, characters or
bytes.
"""

from binascii import hexlify, unhexlify

_LIMIT = (999, 0, 99, 999)  # largest size by number of dots; one dot is no notation of ours


class Iso8583Error(Exception):
    """The message or the table is wrong at `field`: 2 to 128, 0 for the message as a whole."""

    def __init__(self, field, text):
        super().__init__((f"field {field}: " if field else "message: ") + text)
        self.field = field


class Spec:
    """One message format. `fields` maps field numbers (int, or digits as JSON has them) to notations.

    `mti`, `numeric`, `length`: "bcd" or "ascii"; `bitmap`: "binary" or "hex". Raises Iso8583Error.
    The table is kept as it is and a notation is read where its field is met, so that a profile costs the heap
    no more than its text; `check()` reads all of them.
    """

    def __init__(self, fields, mti="bcd", bitmap="binary", numeric="bcd", length="bcd"):
        for style in (mti, numeric, length):
            if style not in ("bcd", "ascii"):
                raise Iso8583Error(0, "mti, numeric and length are 'bcd' or 'ascii'")
        if bitmap not in ("binary", "hex"):
            raise Iso8583Error(0, "the bitmap is 'binary' or 'hex'")
        self._fields = fields
        self._mti_bcd = mti == "bcd"
        self._hex_bitmap = bitmap == "hex"
        self._bcd = numeric == "bcd"
        self._length_bcd = length == "bcd"

    def check(self):
        """Read every notation of the table. Raises Iso8583Error at the first that is not valid."""
        for key in self._fields:
            field = int(key) if isinstance(key, int) or key.isdigit() else 0
            if not 2 <= field <= 128:
                raise Iso8583Error(0, "the field table has a key outside 2..128")
            self._rule(field)

    def pack(self, mti, fields):
        """Return the message: `mti` four digits, `fields` {number: str, or bytes for `b`}.
        Raises Iso8583Error."""
        bits = 0
        for field in fields:
            if not isinstance(field, int) or not 2 <= field <= 128:
                raise Iso8583Error(0, "field numbers are integers from 2 to 128")
            bits |= 1 << (128 - field)
        if bits & 0xFFFFFFFFFFFFFFFF:
            bitmap = (bits | 1 << 127).to_bytes(16, "big")
        else:
            bitmap = (bits >> 64).to_bytes(8, "big")
        out = bytearray()
        self._put(out, 0, ("n", 0, 4, True), self._mti_bcd, mti)
        out += hexlify(bitmap).upper() if self._hex_bitmap else bitmap
        for field in sorted(fields):
            self._put(out, field, self._rule(field), self._bcd, fields[field])
        return bytes(out)

    def parse(self, buf):
        """Return (mti, {number: str, or bytes for `b`}) of the message that fills `buf`.
        Raises Iso8583Error."""
        view = memoryview(buf)
        mti, pos = self._get(view, 0, 0, ("n", 0, 4, True), self._mti_bcd)
        bits, pos = self._bitmap(view, pos)
        last = 64
        if bits >> 63:
            second, pos = self._bitmap(view, pos)
            bits = bits << 64 | second
            last = 128
        fields = {}
        for field in range(2, last + 1):
            if bits >> (last - field) & 1:
                fields[field], pos = self._get(view, pos, field, self._rule(field), self._bcd)
        if pos != len(view):
            raise Iso8583Error(0, "bytes follow the last field")
        return mti, fields

    def _rule(self, field):
        # -> (kind, dots: 0 fixed, 2 LL, 3 LLL; size; True if an odd digit is padded on the left)
        notation = self._fields.get(field) or self._fields.get(str(field))
        if not isinstance(notation, str):
            raise Iso8583Error(field, "not in the profile's field table")
        text, _, side = notation.partition(" ")
        kind = text.rstrip("0123456789")
        size = text[len(kind) :]
        dots = kind.count(".")
        kind = kind.rstrip(".")
        if (
            kind not in ("n", "z", "an", "ans", "b")
            or not size
            or dots > 3
            or not 1 <= int(size) <= _LIMIT[dots]
            or side not in ("", "left", "right")
        ):
            raise Iso8583Error(field, "the notation in the field table is not valid")
        return kind, dots, int(size), side == "left" if side else kind == "n" and not dots

    def _put(self, out, field, rule, bcd, value):
        kind, dots, size, left = rule
        if kind == "b":
            if not isinstance(value, (bytes, bytearray, memoryview)):
                raise Iso8583Error(field, "needs bytes")
            raw = value
        else:
            raw = _characters(field, kind, value)
        n = len(raw)
        if n > size or (n < size and not dots):
            raise Iso8583Error(field, "has not the length of the field table")
        if dots:
            digits = f"{n:04d}"[-dots:].encode()
            out += unhexlify(b"0" * (dots & 1) + digits) if self._length_bcd else digits
        if bcd and kind in ("n", "z"):
            raw = raw.replace(b"=", b"d")
            if n & 1:
                raw = b"0" + raw if left else raw + b"0"
            raw = unhexlify(raw)
        out += raw

    def _get(self, view, pos, field, rule, bcd):
        kind, dots, n, left = rule
        if dots:
            raw, pos = _cut(view, pos, dots - 1 if self._length_bcd else dots, field)
            if self._length_bcd:
                raw = hexlify(raw)
            _check(field, "n", raw)
            size = n
            n = int(raw)
            if n > size:
                raise Iso8583Error(field, "is longer than the field table allows")
        if not bcd or kind not in ("n", "z"):
            raw, pos = _cut(view, pos, n, field)
            if kind == "b":
                return raw, pos
            if kind == "z":
                raw = raw.replace(b"D", b"=")
        else:
            raw, pos = _cut(view, pos, (n + 1) // 2, field)
            raw = hexlify(raw)
            if n & 1:
                if raw[0 if left else n] != 0x30:
                    raise Iso8583Error(field, "the padding nibble is not zero")
                raw = raw[1:] if left else raw[:n]
            if kind == "z":
                raw = raw.replace(b"d", b"=")
        _check(field, kind, raw)
        return raw.decode(), pos

    def _bitmap(self, view, pos):
        raw, pos = _cut(view, pos, 16 if self._hex_bitmap else 8, 0)
        if self._hex_bitmap:
            try:
                raw = unhexlify(raw)
            except ValueError:
                raise Iso8583Error(0, "the bitmap is not hexadecimal")
        return int.from_bytes(raw, "big"), pos


def _cut(view, pos, n, field):
    if n > len(view) - pos:
        raise Iso8583Error(field, "the message ends too early")
    return bytes(view[pos : pos + n]), pos + n


def _characters(field, kind, value):
    if not isinstance(value, str):
        raise Iso8583Error(field, "needs text")
    try:
        raw = value.encode()
    except UnicodeError:  # a lone surrogate on CPython
        raise Iso8583Error(field, "holds a character its kind does not allow")
    if kind == "z":
        raw = raw.replace(b"D", b"=")
    _check(field, kind, raw)
    return raw


def _check(field, kind, raw):
    # By hand: str.isdigit() and friends accept more than ASCII on CPython and bytes lack them on MicroPython.
    if kind == "an":
        raw = raw.rstrip(b" ")
    for c in raw:
        if not (
            0x30 <= c <= 0x39
            or (kind == "z" and c == 0x3D)
            or (kind == "ans" and 0x20 <= c <= 0x7E)
            or (kind == "an" and 0x41 <= (c & 0xDF) <= 0x5A)
        ):
            raise Iso8583Error(field, "holds a character its kind does not allow")
