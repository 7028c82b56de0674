"""Journal against the acquirer's ledger, transaction by transaction."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from posaudit.show import read_entries

from posfw import numbers as n

_TYPES = {n.SALE: "sale", n.VOID: "void", n.REFUND: "refund", n.PREAUTH: "preauth", n.COMPLETION: "completion",
          n.PREAUTH_VOID: "preauth_void"}  # fmt: skip
_OUTCOMES = {n.APPROVED: "approved", n.DECLINED: "declined", n.UNKNOWN: "reversal owed", n.NOT_SENT: "not sent",
             n.CANCELLED: "reversal owed"}  # fmt: skip

# What the acquirer may say for each state of the journal. A reversal of what never arrived leaves nothing to book.
_AGREE = {
    "approved": {"approved"},
    "declined": {"declined", "reversed", "unknown"},
    "reversed": {"reversed", "unknown", "declined"},
    "not sent": {"unknown"},
}


def journal_states(path: Path) -> list[dict[str, Any]]:
    """Each transaction of a pulled journal: txn, stan, batch, type, amount (minor units), journal_state."""
    found: dict[int, dict[str, Any]] = {}
    for entry in read_entries(path)[1]:
        if entry.fault:
            raise ValueError(f"{path}: {entry.fault} at byte {entry.offset}: verify it first")
        seq, kind, body = entry.payload[0], entry.payload[1], entry.payload[6]
        if kind == n.INTENT:
            found[seq] = {"txn": seq, "stan": body[0], "batch": body[1], "type": _TYPES[body[2]], "amount": body[3],
                          "journal_state": "open"}  # fmt: skip
        elif kind == n.OUTCOME:
            found[body[0]]["journal_state"] = _OUTCOMES[body[1]]
        elif kind == n.REVERSAL_REPLY and body[1] == n.V_MATCHED:
            found[body[0]]["journal_state"] = "reversed"
        elif kind == n.UNRESOLVED:
            found[body[0]]["journal_state"] = "unresolved"
        elif kind == n.HUMAN:
            found[body[0]]["journal_state"] = "taken over by a human"
    return list(found.values())


def ledger_states(path: Path) -> dict[tuple[int, int], dict[str, Any]]:
    """The acquirer's transactions by (batch, stan)."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        db.row_factory = sqlite3.Row
        return {(row["batch"], row["stan"]): dict(row) for row in db.execute("SELECT * FROM transactions")}


def rows(journal: Path, ledger: Path) -> list[dict[str, Any]]:
    """One object per transaction of either side: stan, batch, type, amount, journal_state, acquirer_state, agree."""
    booked = ledger_states(ledger)
    out = []
    for t in journal_states(journal):
        other = booked.pop((t["batch"], t["stan"]), None)
        state = other["state"] if other else "unknown"
        agree = state in _AGREE.get(t["journal_state"], set())
        if other is not None and (other["amount"] != t["amount"] or other["type"] != t["type"]):
            agree = False
        out.append({**t, "acquirer_state": state, "agree": agree})
    for (batch, stan), other in booked.items():
        out.append({"txn": None, "stan": stan, "batch": batch, "type": other["type"], "amount": other["amount"],
                    "journal_state": "unknown", "acquirer_state": other["state"], "agree": False})  # fmt: skip
    return out
