"""The profile's `settlement` table as the host reads it: layouts of totals and records, and what counts how.

Totals are eight whole numbers everywhere in the host: debit amount, debit count, credit amount, credit count of
domestic cards, then the same of international ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

DOMESTIC, INTERNATIONAL = 1, 2
RULES = ("debit", "credit", "none", "cancels")
BALANCED, UNBALANCED, FAILED = 1, 2, 3  # the flags of a 0510

_NAMES = tuple(
    f"{scheme}_{way}_{what}"
    for scheme in ("domestic", "international")
    for way in ("debit", "credit")
    for what in ("amount", "count")
)
_TOGETHER = tuple(name.removeprefix("domestic_") for name in _NAMES[:4])  # both schemes in one number
_OF_RECORD = ("type_code", "record_stan", "pan", "amount")
_PART = re.compile(r"([a-z_]+):([1-9][0-9]?)")


@dataclass(frozen=True)
class Layout:
    """Parts of a text of fixed widths: (name, width, ""), or ("", width, constant)."""

    parts: tuple[tuple[str, int, str], ...]

    @property
    def width(self) -> int:
        """Characters of the whole."""
        return sum(width for _, width, _ in self.parts)

    def read(self, text: str) -> dict[str, str] | None:
        """Values by name; None if the text has another length, other constants or anything but digits."""
        if len(text) != self.width:
            return None
        found = {}
        for name, width, constant in self.parts:
            piece, text = text[:width], text[width:]
            fits = piece == constant if constant else piece.isascii() and piece.isdigit()
            if not fits:
                return None
            if name:
                found[name] = piece
        return found

    def write(self, values: Mapping[str, int]) -> str:
        """The text of these numbers; one that does not fit is shown as all nines."""
        return "".join(
            constant or f"{min(values[name], 10**width - 1):0{width}d}" for name, width, constant in self.parts
        )


@dataclass(frozen=True)
class ClearingTable:
    """What the host needs of the table."""

    count: dict[str, str]  # transaction type -> one of RULES
    totals: Layout
    together: bool  # the totals do not tell the schemes apart
    record: Layout | None
    reply_field: int
    flags: tuple[int, ...]  # offsets of the two flags in the reply's field
    unbalanced: tuple[str, ...]  # DE39 that says so, where there are no flags
    pack: int
    reply_codes: int
    chip_always: bool
    accepted: tuple[str, ...]
    again: tuple[str, ...]

    def read_totals(self, text: str) -> list[int] | None:
        """Eight numbers; sums of both schemes stand in the first four. None: not this layout."""
        found = self.totals.read(text)
        if found is None:
            return None
        names = (*_TOGETHER, *_NAMES[4:]) if self.together else _NAMES
        return [int(found.get(name, "0")) for name in names]

    def write_totals(self, totals: list[int], flags: list[int]) -> str:
        """The reply's text: these totals, and the flags at their offsets where the profile has any."""
        values = dict(zip(_NAMES, totals, strict=True)) | dict(zip(_TOGETHER, merged(totals)[:4], strict=True))
        text = self.totals.write(values)
        for offset, flag in zip(self.flags, flags, strict=False):  # a profile without flags has no offsets
            text = text[:offset] + str(flag) + text[offset + 1 :]
        return text

    def compare(self, sent: list[int], own: list[int]) -> list[int]:
        """Flags for domestic and international: 1 balanced, 2 not."""
        if self.together:
            return [BALANCED if sent[:4] == merged(own)[:4] else UNBALANCED] * 2
        return [BALANCED if sent[at : at + 4] == own[at : at + 4] else UNBALANCED for at in (0, 4)]


def scheme_of(pan: str) -> int:
    """The terminal sends no scheme. The one rule here: PANs that begin with 3, 4 or 5 are international."""
    return INTERNATIONAL if pan[:1] in ("3", "4", "5") else DOMESTIC


def merged(totals: list[int]) -> list[int]:
    """Both schemes together: sums in the first four."""
    return [totals[place] + totals[place + 4] for place in range(4)] + [0] * 4


def counted(rows: Iterable[Mapping[str, Any]], rule: Mapping[str, str]) -> list[tuple[Mapping[str, Any], str]]:
    """The rows of one batch that enter its totals, each with `debit` or `credit`.

    Where the rule is `cancels`, a void and the debit of the same batch it takes back are both left out; a void of
    anything else is a credit. Rows: id, type, original.
    """
    there = list(rows)
    by_id = {row["id"]: row for row in there}
    out = set()
    for row in there:
        original = by_id.get(row["original"])
        if rule.get(row["type"]) == "cancels" and original is not None and rule.get(original["type"]) == "debit":
            out |= {row["id"], original["id"]}
    ways = {"debit": "debit", "credit": "credit", "cancels": "credit"}
    found = [(row, ways.get(rule.get(row["type"], "none"), "")) for row in there if row["id"] not in out]
    return [(row, way) for row, way in found if way]


def add_up(rows: Iterable[Mapping[str, Any]], rule: Mapping[str, str]) -> list[int]:
    """Totals of the rows of one batch. Rows: id, type, original, amount, scheme, copies."""
    totals = [0] * 8
    for row, way in counted(rows, rule):
        place = (4 if row["scheme"] == INTERNATIONAL else 0) + (2 if way == "credit" else 0)
        totals[place] += row["amount"] * row["copies"]
        totals[place + 1] += row["copies"]
    return totals


def read_clearing_table(data: dict[str, Any], kinds: tuple[str, ...], messages: dict[str, Any]) -> ClearingTable:
    """Check and read a profile's `settlement`. Raises ValueError; KeyError and TypeError for what is not there."""
    count = dict(data["count"])
    if not set(count) <= set(kinds) or not set(count.values()) <= set(RULES):
        raise ValueError(f"count must give each type one of {', '.join(RULES)}")
    totals = _layout(data["totals"], (*_NAMES, *_TOGETHER), "totals")
    together = any(name in _TOGETHER for name, _, _ in totals.parts)
    if together and any(name in _NAMES for name, _, _ in totals.parts):
        raise ValueError("totals: each scheme by itself, or both together, not both ways")
    reply, pack = data["reply"], data.get("pack", 1)
    flags = tuple(reply.get("flags", ()))
    if flags and (len(flags) != 2 or not all(0 <= offset < totals.width for offset in flags)):
        raise ValueError("reply.flags must be two offsets within the totals")
    if not flags and not reply.get("unbalanced"):
        raise ValueError("reply needs flags, or the unbalanced codes")
    packed = any("records" in _parts(entry) for entry in messages.values())
    record = _layout(data["record"], _OF_RECORD, "record") if packed else None
    if not isinstance(pack, int) or not 1 <= pack <= 99 or (pack > 1 and not packed):
        raise ValueError("pack must be 1 to 99; more than 1 takes a message with records")
    return ClearingTable(
        count=count, totals=totals, together=together, record=record, reply_field=int(reply["field"]), flags=flags,
        unbalanced=tuple(reply.get("unbalanced", ())), pack=pack, reply_codes=int(data.get("reply_codes", 0)),
        chip_always=bool(data.get("chip_always", False)), accepted=tuple(data["accepted"]),
        again=tuple(data["again"]),
    )  # fmt: skip


def _parts(message: dict[str, Any]) -> list[str]:
    return [part for value in message["fields"].values() for part in ([value] if isinstance(value, str) else value)]


def _layout(parts: list[str], names: tuple[str, ...], where: str) -> Layout:
    found = []
    for part in parts:
        match = _PART.fullmatch(part)
        if part.startswith("=") and len(part) > 1:
            found.append(("", len(part) - 1, part[1:]))
        elif match is not None and match[1] in names:
            found.append((match[1], int(match[2]), ""))
        else:
            raise ValueError(f"{where}: {part!r} is not name:width with one of {', '.join(names)}, nor =constant")
    return Layout(tuple(found))
