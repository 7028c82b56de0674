"""What the ledger says of its batches, and the settlement file. Reads only; needs no profile."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from poslab.acquirer.clearing_table import add_up, merged
from poslab.acquirer.ledger import read_tables

COLUMNS = (
    "tid", "batch", "stan", "type", "amount", "currency", "pan", "rrn", "auth", "state", "settled_batch", "upload_code",
)  # fmt: skip


def batches(ledger_path: Path | str) -> list[dict[str, Any]]:
    """Every batch the ledger knows, by terminal and number. Raises LedgerError.

    tid, batch, state, how; terminal_totals as the last 0500 gave them (eight whole numbers, None before it; where
    `together`, sums of both schemes in the first four); host_totals_answered, the host's own when it answered that, or
    None; host_totals_at_close, what was settled at the close, or None before it; host_totals: of the books now, in a
    closed batch of what is settled now; differences: terminal_totals less host_totals, or None; uploaded and refused:
    records; recovered, missing: transactions; settled: transactions; late, reversed_after_close and notes: lists;
    closed_at in Unix milliseconds, or None.
    """
    tables = read_tables(ledger_path, "batches", "transactions", "uploads", "rule")
    rule = {row["type"]: row["counts"] for row in tables["rule"]}
    known = {(row["tid"], row["batch"]): row for row in tables["batches"]}
    for row in tables["transactions"]:
        known.setdefault((row["tid"], row["batch"]), {})
    found = []
    for key, row in sorted(known.items()):
        booked = [t for t in tables["transactions"] if (t["tid"], t["batch"]) == key]
        records = [r for r in tables["uploads"] if (r["tid"], r["batch"]) == key]
        found.append(_batch(key, row, booked, records, rule))
    return found


def _batch(
    key: tuple[str, int],
    row: dict[str, Any],
    booked: list[dict[str, Any]],
    records: list[dict[str, Any]],
    rule: dict[str, str],
) -> dict[str, Any]:
    closed, together = row.get("state") == "closed", bool(row.get("together"))
    settled = [t for t in booked if t["settled_batch"] is not None]
    own = add_up(settled if closed else [t for t in booked if t["state"] == "approved" and not t["late"]], rule)
    sent, answered, at_close = (
        json.loads(row[name]) if row.get(name) else None
        for name in ("terminal_totals", "answered_totals", "closed_totals")
    )
    compared = merged(own) if together else own
    return {
        "tid": key[0], "batch": key[1], "state": row.get("state", "open"), "how": row.get("how", ""),
        "terminal_totals": sent, "together": together, "host_totals_answered": answered,
        "host_totals_at_close": at_close, "host_totals": own,
        "differences": [theirs - ours for theirs, ours in zip(sent, compared, strict=True)] if sent else None,
        "uploaded": sum(r["code"] == "00" and r["round"] == row["round"] for r in records),
        "refused": sum(r["code"] != "00" and r["round"] == row["round"] for r in records),
        "recovered": sum(t["recovered"] for t in booked), "missing": sum(t["missing"] for t in booked),
        "settled": len(settled), "late": [_brief(t) for t in booked if t["late"]],
        "reversed_after_close": [_brief(t) for t in settled if t["state"] == "reversed"],
        "notes": [{"stan": r["stan"], "code": r["code"], "note": r["note"]} for r in records
                  if r["note"] or r["code"] != "00"],
        "closed_at": row.get("closed_at"),
    }  # fmt: skip


def _brief(transaction: dict[str, Any]) -> dict[str, Any]:
    return {name: transaction[name] for name in ("stan", "type", "amount")}


def export(ledger_path: Path | str, csv_path: Path | str) -> int:
    """Write the settlement file: a line for each booking, COLUMNS in the first. Returns the number of bookings.

    Raises LedgerError, OSError.
    """
    rows = read_tables(ledger_path, "batches", "transactions")["transactions"]
    rows.sort(key=lambda row: (row["tid"], row["batch"], row["stan"]))
    lines = [row for row in rows for _ in range(row["copies"])]  # what was booked twice is told twice
    with Path(csv_path).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)  # None is written as nothing
    return len(lines)
