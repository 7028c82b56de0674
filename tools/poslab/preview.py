"""Read an ESC/POS stream back into text, as the paper would show it.

Shares nothing with what made the stream: CPython's gb18030 codec and a command table of its own. A command it
does not know is an error, so a slip that previews is a slip whose every byte is accounted for.
"""

from __future__ import annotations

CUT = "✂ " + "-" * 30
TRUNCATED = "[stream ends inside a command]"

# Command prefix -> number of argument bytes (GS V and GS ( k have lengths of their own).
_ARGUMENTS = {b"\x1b@": 0, b"\x1b!": 1, b"\x1ba": 1, b"\x1bd": 1, b"\x1c&": 0, b"\x1c.": 0, b"\x1c!": 1}
_MARKS = {(1, 1): ("", ""), (1, 2): ("〖", "〗"), (2, 1): ("〖", "〗"), (2, 2): ("【", "】")}


class PreviewError(Exception):
    """The stream is not what this kind of printer understands; the message names the offset."""


class _Truncated(Exception):
    pass


class _Printer:
    """State of the paper: what the commands so far have set."""

    def __init__(self) -> None:
        self.rows: list[str] = []
        self.row = bytearray()
        self.reset()
        self.qr = b""

    def reset(self) -> None:
        self.chinese = False
        self.ascii_size = self.hanzi_size = (1, 1)
        self.row_size: tuple[int, int] | None = None

    def size_of(self, wide: bool, at: int) -> None:
        size = self.hanzi_size if wide else self.ascii_size
        if self.row_size is not None and self.row_size != size:
            raise PreviewError(f"two sizes of type on one line at offset {at}: ESC ! and FS ! differ")
        self.row_size = size

    def end_row(self) -> None:
        left, right = _MARKS[self.row_size or (1, 1)]
        text = self.row.decode("gb18030").rstrip()
        # The mark takes the place of nothing: indentation is doubled as large type would double it.
        bare = text.lstrip(" ")
        indent = (len(text) - len(bare)) * (self.row_size or (1, 1))[0]
        self.rows.append(" " * max(0, indent - 2 * bool(left)) + left + bare + right if bare else "")
        self.row.clear()
        self.row_size = None


def preview(data: bytes) -> str:
    """The slip as text, one printed line a line. Large type stands in 【】, double height alone in 〖〗.

    A stream that stops inside a command or character (paper out, power cut) ends in TRUNCATED.
    Raises PreviewError for anything this printer model would not understand.
    """
    paper = _Printer()
    at = 0
    try:
        while at < len(data):
            at = _step(paper, data, at)
    except _Truncated:
        paper.end_row()
        paper.rows.append(TRUNCATED)
    if paper.row:
        paper.end_row()
    return "\n".join(paper.rows) + "\n"


def _take(data: bytes, at: int, count: int) -> bytes:
    if at + count > len(data):
        raise _Truncated
    return data[at : at + count]


def _step(paper: _Printer, data: bytes, at: int) -> int:
    byte = data[at]
    if byte == 0x0A:
        paper.end_row()
        return at + 1
    if 0x20 <= byte < 0x7F:
        paper.size_of(False, at)
        paper.row.append(byte)
        return at + 1
    if byte >= 0x80:
        pair = _take(data, at, 2)
        if not paper.chinese:
            raise PreviewError(f"two-byte character at offset {at} before Chinese mode is on (FS &)")
        try:
            pair.decode("gb18030")
        except UnicodeDecodeError as e:
            raise PreviewError(f"no two-byte GB18030 character at offset {at}: {pair.hex()}") from e
        paper.size_of(True, at)
        paper.row += pair
        return at + 2
    if byte not in b"\x1b\x1c\x1d":
        raise PreviewError(f"control character {byte:#04x} at offset {at}")
    prefix = _take(data, at, 2)
    if prefix == b"\x1dV":
        mode = _take(data, at + 2, 1)[0]
        if mode not in (0, 1, 48, 49, 65, 66):
            raise PreviewError(f"GS V with unknown mode {mode} at offset {at}")
        extra = len(_take(data, at + 3, 1)) if mode >= 65 else 0
        paper.rows.append(CUT)
        return at + 3 + extra
    if prefix == b"\x1d(":
        return _two_dimensional(paper, data, at)
    if prefix not in _ARGUMENTS:
        raise PreviewError(f"unknown command {prefix.hex()} at offset {at}")
    argument = _take(data, at + 2, _ARGUMENTS[prefix])
    _command(paper, prefix, argument[0] if argument else 0, at)
    return at + 2 + len(argument)


def _command(paper: _Printer, prefix: bytes, value: int, at: int) -> None:
    if prefix == b"\x1b@":
        paper.reset()
    elif prefix == b"\x1c&":
        paper.chinese = True
    elif prefix == b"\x1c.":
        paper.chinese = False
    elif prefix == b"\x1b!":
        _only(value, 0x30, "ESC !", at)
        paper.ascii_size = (2 if value & 0x20 else 1, 2 if value & 0x10 else 1)
    elif prefix == b"\x1c!":
        _only(value, 0x0C, "FS !", at)
        paper.hanzi_size = (2 if value & 0x04 else 1, 2 if value & 0x08 else 1)
    elif prefix == b"\x1ba":
        if value > 2 or paper.row:
            raise PreviewError(f"ESC a {value} at offset {at}: no alignment, or in mid-line")
    elif prefix == b"\x1bd":
        paper.rows.extend([""] * value)


def _only(value: int, known: int, name: str, at: int) -> None:
    if value & ~known:
        raise PreviewError(f"{name} with unknown bits {value:#04x} at offset {at}")


def _two_dimensional(paper: _Printer, data: bytes, at: int) -> int:
    head = _take(data, at + 2, 3)
    size = head[1] | head[2] << 8
    body = _take(data, at + 5, size)
    if head[0] != 0x6B or size < 3 or body[0] != 0x31:
        raise PreviewError(f"GS ( that is not a QR command at offset {at}")
    function, arguments = body[1], body[2:]
    if function == 0x50:
        paper.qr = arguments[1:]
    elif function == 0x51:
        text = paper.qr.decode("utf-8", "replace")
        paper.rows.append("[QR " + "".join(ch if ch.isprintable() else "\ufffd" for ch in text) + "]")
    elif function not in (0x41, 0x43, 0x45):
        raise PreviewError(f"QR function {function} unknown at offset {at}")
    return at + 5 + size
