"""The acquirer's settlement file: CSV with named columns (docs/journal-format.md section 8), or the lab's ledger.

Rows are read one at a time: such a file may hold every terminal of an acquirer. Card numbers are masked on the way in.
"""

from __future__ import annotations

import csv
import re
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from posaudit.ports import clean_text

NEEDED = ("tid", "batch", "stan", "type", "amount", "state", "settled_batch")
OTHERS = ("currency", "pan", "rrn", "auth", "upload_code")
STATES = ("approved", "declined", "reversed")
_SQLITE = b"SQLite format 3\x00"
_LONGEST = 1 << 16  # characters of one row
_MOST_DIGITS = 15
_ENDS = re.compile(r"([0-9]*).*?([0-9]*)", re.DOTALL)


class AcquirerFileError(Exception):
    """The file cannot be compared with; the message says where and why."""


@dataclass(slots=True)
class Row:
    """One transaction as the acquirer has it. `amount` in minor units; `settled`: the batch it was settled in, or None;
    `copies`: how often it is booked."""

    tid: str
    batch: int
    stan: int
    type: str
    amount: int
    currency: str
    pan: str
    state: str
    settled: int | None
    upload_code: str
    copies: int = 1


@dataclass
class AcquirerFile:
    """`rows` gives the file's rows, once; `knows_settled` is False for a ledger from before settlement."""

    rows: Callable[[], Iterator[Row]]
    knows_settled: bool = True


def open_acquirer(path: Path) -> AcquirerFile:
    """Recognise the file and check what can be checked without reading it all. Raises AcquirerFileError, OSError."""
    with open(path, "rb") as stream:
        start = stream.read(4096)
    if start.startswith(_SQLITE):
        columns = _table(path)
        return AcquirerFile(lambda: _sqlite_rows(path, columns), "settled_batch" in columns)
    places, width = _header(path, start)
    return AcquirerFile(lambda: _csv_rows(path, places, width))


# -- CSV


def _header(path: Path, start: bytes) -> tuple[dict[str, int], int]:
    """Column name -> its place, and how many columns there are. Raises AcquirerFileError."""
    if not start.strip():
        raise AcquirerFileError(f"{path} is empty.")
    if start[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\x00" in start:
        raise AcquirerFileError(f"{path} is not UTF-8 text. Save it as CSV, UTF-8, or give the lab's SQLite ledger.")
    with open(path, encoding="utf-8-sig", newline="") as stream:
        try:
            first = stream.readline(_LONGEST)
            names = next(csv.reader([first], strict=True), [])
        except (UnicodeDecodeError, csv.Error) as error:
            raise AcquirerFileError(f"{path}, line 1: not UTF-8 CSV ({error}).") from None
    names = [name.strip().lower() for name in names]
    missing = [name for name in NEEDED if name not in names]
    if missing:
        for mark, what in ((";", "semicolons"), ("\t", "tabs")):
            if mark in first:
                raise AcquirerFileError(f"{path} is separated by {what}. Save it with commas between the columns.")
        raise AcquirerFileError(
            f"{path} lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}. "
            f"Its first line must name {', '.join((*NEEDED, *OTHERS))} (the last {len(OTHERS)} may be left out)."
        )
    twice = sorted({name for name in (*NEEDED, *OTHERS) if names.count(name) > 1})
    if twice:
        raise AcquirerFileError(f"{path} names the column {', '.join(twice)} more than once.")
    return {name: names.index(name) for name in (*NEEDED, *OTHERS) if name in names}, len(names)


class _Lines:
    """The lines of a file, as long as those of one row have no more than `left` characters."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.left = _LONGEST

    def __iter__(self) -> Iterator[str]:
        while line := self._stream.readline(self.left + 1):
            self.left -= len(line)
            if self.left < 0:
                raise csv.Error(f"longer than {_LONGEST} characters")
            yield line


def _csv_rows(path: Path, places: dict[str, int], width: int) -> Iterator[Row]:
    csv.field_size_limit(_LONGEST)
    with open(path, encoding="utf-8-sig", newline="") as stream:
        lines = _Lines(stream)
        reader = csv.reader(lines, strict=True)
        try:
            next(reader, None)
            lines.left = _LONGEST
            for fields in reader:
                lines.left = _LONGEST
                if not any(fields):
                    continue  # an empty line at the end, as some programs leave one
                where = f"{path}, line {reader.line_num}"
                if len(fields) <= max(places.values()):
                    raise AcquirerFileError(f"{where}: {len(fields)} columns, fewer than its first line names.")
                if len(fields) > width:
                    raise AcquirerFileError(
                        f"{where}: {len(fields)} columns, more than the {width} of its first line. "
                        "A value with a comma in it must stand in quotes."
                    )
                yield _row({name: fields[at].strip() for name, at in places.items()}, where)
        except (UnicodeDecodeError, csv.Error) as error:
            raise AcquirerFileError(f"{path}, line {reader.line_num + 1}: not UTF-8 CSV ({error}).") from None


# -- the lab's ledger


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    db.row_factory = sqlite3.Row
    db.execute("PRAGMA trusted_schema = OFF")
    return db


def _table(path: Path) -> list[str]:
    try:
        db = _connect(path)
        try:
            columns = [row["name"] for row in db.execute("PRAGMA table_info(transactions)")]
            # A view is a program, which need not end.
            made = db.execute("SELECT sql FROM sqlite_master WHERE type = 'table' AND lower(name) = 'transactions'")
            plain = any(re.match(r"CREATE\s+TABLE\s", str(row["sql"]), re.IGNORECASE) for row in made)
        finally:
            db.close()
    except sqlite3.Error as error:
        raise AcquirerFileError(f"{path}: not a readable ledger ({clean_text(str(error))}).") from None
    if columns and not plain:
        raise AcquirerFileError(f"{path} is no ledger of the lab's acquirer: its transactions are not a plain table.")
    missing = [name for name in NEEDED if name not in columns and name != "settled_batch"]
    if missing:
        what = f"its table transactions lacks {', '.join(missing)}" if columns else "it has no table transactions"
        raise AcquirerFileError(f"{path} is a database, but no ledger of the lab's acquirer: {what}.")
    return [name for name in (*NEEDED, *OTHERS, "copies") if name in columns]


def _sqlite_rows(path: Path, columns: list[str]) -> Iterator[Row]:
    try:
        db = _connect(path)
        try:
            names = ", ".join(columns)  # of our own lists only
            for row in db.execute(f"SELECT {names} FROM transactions ORDER BY rowid"):
                values = {name: "" if row[name] is None else str(row[name]) for name in columns}
                where = f"{path}, batch {clean_text(values['batch'], 20)}, STAN {clean_text(values['stan'], 20)}"
                yield _row(values, where)
        finally:
            db.close()
    except sqlite3.Error as error:
        raise AcquirerFileError(f"{path}: not a readable ledger ({clean_text(str(error))}).") from None


# -- one row


def _row(values: dict[str, str], where: str) -> Row:
    state = values["state"].lower()
    if state not in STATES:
        raise AcquirerFileError(f"{where}: state {values['state'][:20]!r} is none of {', '.join(STATES)}.")
    settled = values.get("settled_batch", "")
    return Row(
        values["tid"],
        _whole(values, "batch", where),
        _whole(values, "stan", where),
        values["type"].lower()[:40],
        _whole(values, "amount", where),
        values.get("currency", ""),
        masked(values.get("pan", "")),
        state,
        _whole(values, "settled_batch", where) if settled else None,
        values.get("upload_code", "")[:8],
        _whole(values, "copies", where) if "copies" in values else 1,
    )


def _whole(values: dict[str, Any], name: str, where: str) -> int:
    text = values[name]
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        hint = " (minor units, without a point)" if name == "amount" else ""
        raise AcquirerFileError(f"{where}: {name} is {text[:20]!r}, not a whole number{hint}.")
    return int(text)


def masked(pan: str) -> str:
    """A card number with its first 6 and last 4 digits alone, as far as they can be seen; "" if none can."""
    shown = pan.replace(" ", "").replace("-", "")
    if shown.isascii() and shown.isdigit():
        first, last = (shown[:6] if len(shown) > 10 else ""), shown[-4:]
    else:
        first, last = card_ends(shown)
    hidden = min(max(len(shown) - len(first) - len(last), 1), 19)
    return first + "*" * hidden + last if first or last else ""


def card_ends(pan: str) -> tuple[str, str]:
    """The digits that a masked card number shows at its start, at most 6, and at its end, at most 4."""
    found = _ENDS.fullmatch(pan)
    return (found[1][:6], found[2][-4:]) if found else ("", "")
