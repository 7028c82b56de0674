"""The batches' part of the ledger: totals, uploaded records, answers, and what is settled."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from poslab.acquirer.clearing_table import scheme_of
from poslab.acquirer.ledger import Ledger


class Batches:
    """Batches and uploaded records of one ledger. Every method runs within the caller's transaction."""

    def __init__(self, ledger: Ledger):
        self._ledger = ledger

    def keep_rule(self, rule: dict[str, str]) -> None:
        """Store what counts how, for readers that have no profile."""
        with self._ledger.transaction():
            self._ledger.run("DELETE FROM rule")
            for kind, counts in rule.items():
                self._ledger.insert("rule", type=kind, counts=counts)

    def find(self, tid: str, batch: int) -> sqlite3.Row | None:
        """The batch, if a settlement message ever named it."""
        rows = self._ledger.run("SELECT * FROM batches WHERE tid = ? AND batch = ?", tid, batch)
        return rows[0] if rows else None

    def made(self, tid: str, batch: int, at: int) -> sqlite3.Row:
        """The batch, made if there is none."""
        self._ledger.run("INSERT OR IGNORE INTO batches (tid, batch, created_at) VALUES (?, ?, ?)", tid, batch, at)
        return self._ledger.run("SELECT * FROM batches WHERE tid = ? AND batch = ?", tid, batch)[0]

    def change(self, tid: str, batch: int, **values: Any) -> None:
        """Change a batch; lists become JSON."""
        columns = ", ".join(f"{name} = ?" for name in values)
        kept = [json.dumps(value) if isinstance(value, list) else value for value in values.values()]
        self._ledger.run(f"UPDATE batches SET {columns} WHERE tid = ? AND batch = ?", *kept, tid, batch)

    def closed(self, tid: str, batch: int) -> bool:
        """True if it is closed."""
        row = self.find(tid, batch)
        return row is not None and row["state"] == "closed"

    def agreed(self, tid: str, batch: int) -> bool:
        """True if its totals were agreed on, or it is closed: what is approved from now on is late."""
        row = self.find(tid, batch)
        return row is not None and (row["state"] == "closed" or bool(row["balanced"]))

    def approved(self, tid: str, batch: int) -> list[dict[str, Any]]:
        """The batch's approved transactions that stand and are not late."""
        query = "SELECT * FROM transactions WHERE tid = ? AND batch = ? AND state = 'approved' AND late = 0 ORDER BY id"
        return [dict(row) for row in self._ledger.run(query, tid, batch)]

    def settled(self, tid: str, batch: int) -> list[dict[str, Any]]:
        """What was settled with the batch, reversed later or not."""
        query = "SELECT * FROM transactions WHERE tid = ? AND settled_batch = ? ORDER BY id"
        return [dict(row) for row in self._ledger.run(query, tid, batch)]

    def record(self, tid: str, batch: int, stan: int) -> dict[str, Any] | None:
        """An uploaded record."""
        rows = self._ledger.run("SELECT * FROM uploads WHERE tid = ? AND batch = ? AND stan = ?", tid, batch, stan)
        return dict(rows[0]) if rows else None

    def records(self, tid: str, batch: int, of_round: int) -> list[dict[str, Any]]:
        """The records, taken and refused, that came since the upload was last asked for; they can be added up."""
        query = "SELECT * FROM uploads WHERE tid = ? AND batch = ? AND round = ? ORDER BY place"
        more = {"original": None, "copies": 1}
        return [
            {**dict(row), "id": row["stan"], "scheme": scheme_of(row["pan"]), **more}
            for row in self._ledger.run(query, tid, batch, of_round)
        ]

    def next_place(self, tid: str, batch: int) -> int:
        """The place of a record that has not come before."""
        query = "SELECT COALESCE(MAX(place), 0) + 1 FROM uploads WHERE tid = ? AND batch = ?"
        return int(self._ledger.run(query, tid, batch)[0][0])

    def put_record(self, **values: Any) -> None:
        """Store a record, over an earlier one of its STAN."""
        columns, marks = ", ".join(values), ", ".join("?" * len(values))
        self._ledger.run(f"INSERT OR REPLACE INTO uploads ({columns}) VALUES ({marks})", *values.values())

    def change_record(self, tid: str, batch: int, stan: int, **values: Any) -> None:
        """Change a record."""
        columns = ", ".join(f"{name} = ?" for name in values)
        query = f"UPDATE uploads SET {columns} WHERE tid = ? AND batch = ? AND stan = ?"
        self._ledger.run(query, *values.values(), tid, batch, stan)

    def answer(self, tid: str, batch: int, stan: int, kind: str) -> sqlite3.Row | None:
        """What a message with this STAN said and got."""
        query = "SELECT * FROM answers WHERE tid = ? AND batch = ? AND stan = ? AND type = ?"
        rows = self._ledger.run(query, tid, batch, stan, kind)
        return rows[0] if rows else None

    def keep_answer(
        self, tid: str, batch: int, stan: int, kind: str, content: str, fields: dict[int, str], after_close: bool
    ) -> None:
        """Remember an answer."""
        query = "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?)"
        self._ledger.run(query, tid, batch, stan, kind, content, json.dumps(fields), after_close)
