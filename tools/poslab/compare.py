"""Journal against the acquirer's ledger, transaction by transaction and batch by batch."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from posaudit.batches import Batch
from posaudit.reconcile import read_books
from posaudit.show import read_entries
from rich.markup import escape
from rich.table import Table

from posfw import numbers as n
from poslab.acquirer import batches as acquirer_batches

_TYPES = {n.SALE: "sale", n.VOID: "void", n.REFUND: "refund", n.PREAUTH: "preauth", n.COMPLETION: "completion",
          n.PREAUTH_VOID: "preauth_void"}  # fmt: skip
_OUTCOMES = {n.APPROVED: "approved", n.DECLINED: "declined", n.UNKNOWN: "reversal owed", n.NOT_SENT: "not sent",
             n.CANCELLED: "reversal owed"}  # fmt: skip

_LINES = ("home debit", "home credit", "int. debit", "int. credit")
_CLOSED = {n.CLOSED_BALANCED: "balanced", n.CLOSED_UPLOADED: "uploaded", n.CLOSED_BY_HUMAN: "by human"}

# What the acquirer may say for each state of the journal. A reversal of what never arrived leaves nothing to book;
# "recovered" is what the books had lost and the upload brought back.
_AGREE = {
    "approved": {"approved", "recovered"},
    "declined": {"declined", "reversed", "unknown"},
    "reversed": {"reversed", "unknown", "declined"},
    "not sent": {"unknown"},
}


def journal_states(path: Path) -> list[dict[str, Any]]:
    """Each transaction of a pulled journal: txn, tid, stan, batch, type, amount (minor units), journal_state."""
    found: dict[int, dict[str, Any]] = {}
    tid = ""
    for entry in read_entries(path)[1]:
        if entry.fault:
            raise ValueError(f"{path}: {entry.fault} at byte {entry.offset}: verify it first")
        seq, kind, body = entry.payload[0], entry.payload[1], entry.payload[6]
        if kind == n.CONFIG:
            tid = body[1]
        elif kind == n.INTENT:
            found[seq] = {"txn": seq, "tid": tid, "stan": body[0], "batch": body[1],
                          "type": _TYPES[body[2]], "amount": body[3], "journal_state": "open"}  # fmt: skip
        elif kind == n.OUTCOME:
            found[body[0]]["journal_state"] = _OUTCOMES[body[1]]
        elif kind == n.REVERSAL_REPLY and body[1] == n.V_MATCHED:
            found[body[0]]["journal_state"] = "reversed"
        elif kind == n.UNRESOLVED:
            found[body[0]]["journal_state"] = "unresolved"
        elif kind == n.HUMAN and body[1] < n.HUMAN_WRITTEN_OFF:  # the others are about records of the upload
            found[body[0]]["journal_state"] = "taken over by a human"
    return list(found.values())


def ledger_states(path: Path) -> dict[tuple[str, int, int], dict[str, Any]]:
    """The acquirer's transactions by (tid, batch, stan)."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        db.row_factory = sqlite3.Row
        return {(row["tid"], row["batch"], row["stan"]): dict(row) for row in db.execute("SELECT * FROM transactions")}


def rows(journal: Path, ledger: Path) -> list[dict[str, Any]]:
    """One object per transaction of either side: txn, tid, stan, batch, type, amount, journal_state, acquirer_state,
    agree."""
    booked = ledger_states(ledger)
    out = []
    for t in journal_states(journal):
        other = booked.pop((t["tid"], t["batch"], t["stan"]), None)
        state = _state_of(other)
        agree = state in _AGREE.get(t["journal_state"], set())
        if other is not None and (other["amount"], other["type"], other["copies"]) != (t["amount"], t["type"], 1):
            agree = False
        out.append({**t, "acquirer_state": state, "agree": agree})
    for (tid, batch, stan), other in booked.items():
        out.append({"txn": None, "tid": tid, "stan": stan, "batch": batch, "type": other["type"],
                    "amount": other["amount"], "journal_state": "unknown", "acquirer_state": _state_of(other),
                    "agree": False})  # fmt: skip
    return out


def _state_of(booked: dict[str, Any] | None) -> str:
    if booked is None:
        return "unknown"
    return "recovered" if booked["recovered"] and booked["state"] == "approved" else booked["state"]


def batches(journal: Path, ledger: Path) -> list[dict[str, Any]]:
    """One object per batch of either side. Totals: debit amount, debit count, credit amount, credit count of domestic
    cards, then of international ones; None on the side that does not know the batch.

    The journal's are added up from its transactions, by posaudit, not by the terminal; the acquirer's are of what it
    settled. sent, acknowledged, refused: records of the upload; presented: refused ones taken later.
    """
    theirs = {(row["tid"], row["batch"]): row for row in acquirer_batches(ledger)}
    # Amounts may differ both ways and the totals not. What is not finished, or a person's, says nothing here.
    differ = {(r["tid"], r["batch"]) for r in rows(journal, ledger)
              if not r["agree"] and (r["txn"] is None or r["journal_state"] in _AGREE)}  # fmt: skip
    books, left = read_books(journal, None)
    if left:
        raise ValueError(f"{journal}: {left} entries cannot be read: verify it first")
    out = []
    for b in books.batches:
        if b.records or b.begun is not None:
            key = (b.config[1] if b.config else "", b.number)
            out.append(_batch(b, theirs.pop(key, None)))
            out[-1]["agree"] = out[-1]["agree"] and key not in differ
    for (_, number), row in theirs.items():
        out.append({"batch": number, "how": "", "journal_totals": None, "acquirer_totals": row["host_totals"],
                    "sent": 0, "acknowledged": 0, "refused": 0, "presented": 0,
                    "state": f"unknown, at the acquirer {row['state']}", "agree": False})  # fmt: skip
    return out


def _batch(b: Batch, other: dict[str, Any] | None) -> dict[str, Any]:
    records = list(b.counted.values())
    presented = sum(r.verdict == "accepted" and bool(r.presented) for r in records)
    acknowledged = sum(r.verdict == "accepted" for r in records) - presented
    waiting = sum(r.verdict == "refused" for r in records)
    row: dict[str, Any] = {
        "batch": b.number,
        "how": _CLOSED[b.closed[6][1]] if b.closed else "",
        "journal_totals": b.totals(),
        "acquirer_totals": other["host_totals"] if other else None,
        "sent": sum(r.sent > 0 for r in records),
        "acknowledged": acknowledged,
        "refused": presented + waiting,
        "presented": presented,
        "state": "closed" if b.closed else "settling" if b.begun is not None else "open",
    }
    row["agree"] = other is not None and other["state"] == row["state"] and _agree(b, row, other)
    if other is None or other["state"] != row["state"]:
        row["state"] += f", at the acquirer {other['state'] if other else 'unknown'}"
    return row


def _agree(b: Batch, row: dict[str, Any], other: dict[str, Any]) -> bool:
    """Totals to the cent, and each record that was sent taken once; its transactions are looked at in rows()."""
    if b.odd or other["late"] or other["reversed_after_close"] or other["missing"]:
        return False  # an Odd is what contradicts itself in the journal, as a record acknowledged twice
    sent, taken = row["sent"], row["acknowledged"] + row["presented"]
    uploaded = (other["uploaded"], other["refused"]) == (sent, 0)
    return bool(sent == taken and uploaded and row["journal_totals"] == row["acquirer_totals"])


def _table(title: str, names: str, rows: list[dict[str, Any]], cells: Callable[[dict[str, Any]], list[str]]) -> Table:
    """names: the columns'; those of figures begin with #. A last column says which rows agree."""
    table = Table(title=title)
    for name in names.split():
        table.add_column(name.strip("#_"), justify="right" if name.startswith("#") else "left")
    table.add_column("")
    for row in rows:
        mark = "[green]=[/green]" if row["agree"] else "[red]DIFFERS[/red]"
        table.add_row(*map(escape, cells(row)), mark)
    return table


def table_of_rows(rows: list[dict[str, Any]]) -> Table:
    """What rows() found, for the eye."""

    def cells(row: dict[str, Any]) -> list[str]:
        amount = _money(row["amount"])
        return [str(row["stan"]), row["type"], amount, row["journal_state"], row["acquirer_state"]]

    title = "journal and acquirer, transaction by transaction"
    return _table(title, "#stan type #amount journal acquirer", rows, cells)


def table_of_batches(rows: list[dict[str, Any]]) -> Table:
    """What batches() found, for the eye."""

    def cells(row: dict[str, Any]) -> list[str]:
        lines = [f"{row['sent']} sent", f"{row['acknowledged']} taken", f"{row['refused']} refused"]
        if row["presented"]:
            lines.append(f"{row['presented']} later")
        totals = [_totals(row[side]) for side in ("journal_totals", "acquirer_totals")]
        state = "\n".join((row["state"], row["how"]))
        return [str(row["batch"]), state, "\n".join(_LINES), *totals, "\n".join(lines)]

    return _table("journal and acquirer, batch by batch", "#batch state _ #journal #acquirer records", rows, cells)


def _totals(totals: list[int] | None) -> str:
    if totals is None:
        return "-"
    return "\n".join(f"{_money(totals[at])} / {totals[at + 1]}" for at in range(0, 8, 2))


def _money(amount: int) -> str:
    return f"{amount // 100}.{amount % 100:02d}"
