"""What a settlement message says: its totals, or its records."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from poslab.acquirer import codec
from poslab.acquirer.clearing_table import ClearingTable
from poslab.acquirer.profile import Profile
from poslab.acquirer.request import Request


@dataclass(frozen=True)
class Record:
    """One uploaded record; `type` is "" if the profile knows no such code, the PAN is masked."""

    stan: int
    type: str
    amount: int
    pan: str
    currency: str = ""
    mode: str = ""
    rrn: str = ""
    auth: str = ""


@dataclass(frozen=True)
class Told:
    """Totals or records; `content` is all of it as one text without a full PAN, to know a repetition by."""

    content: str
    totals: list[int] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)


def read_clearing(profile: Profile, table: ClearingTable, request: Request) -> Told | None:
    """None if the message does not fit the profile's layout."""
    values = request.values
    if request.kind in ("upload", "upload_chip"):
        records = [_single(profile, values)] if "records" not in values else _packed(profile, table, values["records"])
        if records is None:
            return None
        return Told(json.dumps([[r.stan, r.type, r.amount, r.pan] for r in records]), records=records)
    totals = table.read_totals(values["totals"]) if "totals" in values else []
    if totals is None:
        return None
    return Told(json.dumps([totals, values.get("record_count", ""), values.get("currency", "")]), totals)


def _single(profile: Profile, values: dict[str, str]) -> Record:
    pan = codec.mask_pan({2: values.get("pan", "")})
    rest = {name: values.get(name, "") for name in ("currency", "mode", "rrn", "auth")}
    return Record(int(values["record_stan"]), profile.type_of(values), int(values["amount"]), pan, **rest)


def _packed(profile: Profile, table: ClearingTable, text: str) -> list[Record] | None:
    """Count n2, then the records."""
    layout, count = table.record, text[:2]
    if layout is None or not count.isdigit() or not 1 <= int(count) <= table.pack:
        return None
    if len(text) != 2 + int(count) * layout.width:
        return None
    records = []
    for start in range(2, len(text), layout.width):
        found = layout.read(text[start : start + layout.width])
        if found is None:
            return None
        pan = codec.mask_pan({2: found.pop("pan", "").lstrip("0")})
        records.append(Record(int(found["record_stan"]), profile.type_of(found), int(found["amount"]), pan))
    return records
