"""Columns: where a line breaks and what stands at its edges.

On a receipt printer an ASCII character takes one column and everything else two; there is nothing in between.
All lengths here are columns.
"""

# Works on UTF-8 bytes: MicroPython interns every single-character string it ever makes, for good, and a terminal that
# walked through Chinese text as strings would lose its memory slip by slip.

# Punctuation that must not begin a line, and brackets that must not end one.
_CLOSING = ",.;:!?)]}%，。；：！？、）》】」』〉”’…".encode()
_OPENING = "([{（《【「『〈“‘".encode()


def raw_of(s):
    """UTF-8 of `s`, half surrogate pairs and all: JSON from outside may hold them, and a slip must not fail for
    that.
    """
    return s.encode("utf-8", "surrogatepass")


def _text(raw):
    return raw.decode("utf-8", "surrogatepass")


def _width(raw):
    n = 0
    for byte in raw:
        if byte < 0x7F:
            n += 1
        elif byte == 0x7F or byte >= 0xC0:  # printed as one two-column character; what follows belongs to it
            n += 2
    return n


def width(s):
    """Columns that `s` takes."""
    return _width(raw_of(s))


def _after(raw, pos):
    # Where the character at `pos` ends.
    pos += 1
    while pos < len(raw) and raw[pos] & 0xC0 == 0x80:
        pos += 1
    return pos


def _units(raw):
    # What stays together: a word, or one hanzi with its punctuation. A blank or control comes out as b" ".
    start = pos = 0
    last = b" "
    while pos < len(raw):
        end = _after(raw, pos)
        ch = raw[pos:end]
        if ch <= b" ":
            if start < pos:
                yield raw[start:pos]
            yield b" "
            start = end
        elif start < pos and not (ch in _CLOSING or last in _OPENING or (ch <= b"~" and last <= b"~")):
            yield raw[start:pos]
            start = pos
        last = ch
        pos = end
    if start < pos:
        yield raw[start:pos]


def _split(unit, columns):
    # The longest beginning of `unit` that fits, and the rest; never half a hanzi.
    used = pos = 0
    while pos < len(unit):
        end = _after(unit, pos)
        used += _width(unit[pos:end])
        if used > columns:
            break
        pos = end
    return unit[:pos], unit[pos:]


def wrap(s, columns):
    """Yield the lines of `s`, none wider than `columns` (at least 2); "" yields nothing.

    Runs of blanks become one. Breaks at blanks and between hanzi, not before closing punctuation; a word
    wider than the line is cut.
    """
    line = b""
    used = gap = 0
    for unit in _units(raw_of(s)):
        if unit == b" ":
            gap = 1 if line else 0
            continue
        size = _width(unit)
        if line and used + gap + size > columns:
            yield _text(line)
            line = b""
            used = gap = 0
        while size > columns:
            part, unit = _split(unit, columns)
            yield _text(part)
            size = _width(unit)
        if gap:
            line += b" "
        line += unit
        used += gap + size
        gap = 0
    if line:
        yield _text(line)


def centre(s, columns):
    """Yield the lines of `s`, each padded on its left to stand in the middle."""
    for line in wrap(s, columns):
        yield " " * ((columns - width(line)) // 2) + line


def pair(label, value, columns):
    """Yield `label` on the left and `value` on the right: one line if both fit, otherwise the value below."""
    room = columns - width(label) - width(value)
    if room >= 1:
        yield label + " " * room + value
        return
    for line in wrap(label, columns):
        yield line
    for line in wrap(value, columns):
        yield " " * (columns - width(line)) + line
