"""Columns: where a line breaks and what stands at its edges.

On a receipt printer an ASCII character takes one column and everything else two; there is nothing in between.
All lengths here are columns.
"""

# Punctuation that must not begin a line, and brackets that must not end one.
_CLOSING = ",.;:!?)]}%，。；：！？、）》】」』〉”’…"
_OPENING = "([{（《【「『〈“‘"


def width(s):
    """Columns that `s` takes."""
    n = 0
    for ch in s:
        n += 2 if ch > "~" else 1
    return n


def _units(s):
    # What stays together: a word, or one hanzi with its punctuation. A blank or control comes out as " ".
    unit = ""
    last = ""
    for ch in s:
        if ch <= " ":
            if unit:
                yield unit
            yield " "
            unit = ""
        elif not unit or ch in _CLOSING or last in _OPENING or (ch <= "~" and last <= "~"):
            unit += ch
        else:
            yield unit
            unit = ch
        last = ch
    if unit:
        yield unit


def _split(unit, columns):
    # The longest beginning of `unit` that fits, and the rest; never half a hanzi.
    used = count = 0
    for ch in unit:
        used += 2 if ch > "~" else 1
        if used > columns:
            break
        count += 1
    return unit[:count], unit[count:]


def wrap(s, columns):
    """Yield the lines of `s`, none wider than `columns` (at least 2); "" yields nothing.

    Runs of blanks become one. Breaks at blanks and between hanzi, not before closing punctuation; a word
    wider than the line is cut.
    """
    line = ""
    used = gap = 0
    for unit in _units(s):
        if unit == " ":
            gap = 1 if line else 0
            continue
        size = width(unit)
        if line and used + gap + size > columns:
            yield line
            line = ""
            used = gap = 0
        while size > columns:
            part, unit = _split(unit, columns)
            yield part
            size = width(unit)
        if gap:
            line += " "
        line += unit
        used += gap + size
        gap = 0
    if line:
        yield line


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
