"""A journal against the acquirer's settlement file: what stands on one side only, or differs.

The journal's side is `books`: this tool's own reading of the entries, not the terminal's engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from posaudit.acquirer_file import Row
from posaudit.batches import Record
from posaudit.books import Books
from posaudit.describe import money, type_name
from posaudit.names import misshapen
from posaudit.show import read_entries
from posaudit.texts import say
from posfw import numbers as n

TYPES = {
    n.SALE: "sale", n.VOID: "void", n.REFUND: "refund", n.PREAUTH: "preauth", n.COMPLETION: "completion",
    n.PREAUTH_VOID: "preauth_void",
}  # fmt: skip
_NUMBERS = {name: number for number, name in TYPES.items()}
# The lists, in the order they are shown. All of them are findings.
LISTS = (
    "only_in_journal", "only_at_acquirer", "twice_at_acquirer", "differs", "amount_differs", "reversed_one_side",
    "approved_one_side", "settled_one_side", "closed_by_human", "refused", "unresolved",
)  # fmt: skip
NOTE = "written_off"  # said, and no finding: a named person signed for it
_PENDING = ("open", "reversal_owed", "unresolved")
_PROGRESS = 2000

Key = tuple[str, int, int]
Progress = Callable[[str, int], None]


@dataclass
class Result:
    """What was compared, and what differs: list name -> items as --json has them."""

    tids: list[str]
    knows_settled: bool = True
    transactions: int = 0
    rows: int = 0
    ignored: int = 0
    agree: int = 0
    not_believed: int = 0
    lists: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {name: [] for name in (*LISTS, NOTE)})

    @property
    def ok(self) -> bool:
        """True if nothing differs."""
        return not any(self.lists[name] for name in LISTS)

    def to_dict(self) -> dict[str, Any]:
        """For --json."""
        return {
            "ok": self.ok, "tids": self.tids, "transactions": self.transactions, "rows": self.rows,
            "ignored_rows": self.ignored, "agree": self.agree, "not_believed": self.not_believed,
            "compared_settled": self.knows_settled, "lists": self.lists,
        }  # fmt: skip


def read_books(path: Any, proven: set[int] | None, progress: Progress | None = None) -> tuple[Books, int]:
    """The journal's batches, and how many entries were not believed: unreadable, or not in `proven` if that is given.

    Raises FormatError, OSError."""
    books, left = Books(), 0
    _, entries = read_entries(path)
    for count, entry in enumerate(entries):
        p = entry.payload
        if not p or misshapen(p) or (proven is not None and entry.offset not in proven):
            left += 1
        else:
            books.take(p)
        if progress is not None and count % _PROGRESS == 0:
            progress("journal", count)
    return books, left


def compare(
    books: Books,
    rows: Iterable[Row],
    batch: int | None = None,
    tid: str | None = None,
    knows_settled: bool = True,
    progress: Progress | None = None,
) -> Result:
    """Compare transaction by transaction. batch, tid: only these. Raises what `rows` raises."""
    wanted: dict[Key, list[Record]] = {}
    for r in books.records.values():
        if batch in (None, r.body[1]) and tid in (None, r.tid):
            wanted.setdefault((r.tid, r.body[1], r.body[0]), []).append(r)
    tids = [tid] if tid is not None else sorted(books.tids)
    result = Result(tids, knows_settled, sum(map(len, wanted.values())))
    pairs = _Pairs()
    seen: set[Key] = set()
    for count, row in enumerate(rows):
        if progress is not None and count % _PROGRESS == 0:
            progress("acquirer", count)
        if row.tid not in tids or batch not in (None, row.batch):
            result.ignored += 1
            continue
        result.rows += 1
        key = (row.tid, row.batch, row.stan)
        held = wanted.get(key)
        if not held:
            name = "twice_at_acquirer" if key in seen else "only_at_acquirer"
            result.lists[name].append(_item(None, row))
            continue
        # After a batch number came round again there may be two: the one that fits better.
        record = next((r for r in held if r.body[3] == row.amount), held[0])
        held.remove(record)
        seen.add(key)
        found = _compare(record, row, knows_settled)
        pairs.note(record, row)
        _file(result, found, record, row)
    for held in wanted.values():
        for record in held:
            _file(result, _missing(record), record, None)
    if knows_settled:
        for record, row in pairs.odd():
            result.lists["settled_one_side"].append(_item(record, row))
    return result


def _file(result: Result, found: list[str], record: Record, row: Row | None) -> None:
    for name in found:
        result.lists[name].append(_item(record, row))
    if found in ([], [NOTE]):
        result.agree += 1


def _missing(r: Record) -> list[str]:
    """What it means that the acquirer has no row for a transaction of the journal."""
    if r.state in _PENDING:
        return ["unresolved"]
    return ["only_in_journal"] if r.stands and r.money else []


def _compare(r: Record, row: Row, knows_settled: bool) -> list[str]:
    found = []
    if row.copies > 1:
        found.append("twice_at_acquirer")
    if _differs(r, row):
        found.append("differs")
    if row.amount != r.body[3]:
        found.append("amount_differs")
    if r.state in _PENDING:
        return [*found, "unresolved"]
    undone = r.state == "reversed" or (r.state == "closed_by_human" and r.decision == n.HUMAN_REVERSED)
    if undone:
        return [*found, "reversed_one_side"] if row.state == "approved" else found
    if r.state in ("declined", "not_sent"):
        return [*found, "approved_one_side"] if row.state == "approved" else found
    if not r.stands:
        return found  # a person settled it by other means
    if row.state != "approved":
        return [*found, "reversed_one_side" if row.state == "reversed" else "approved_one_side"]
    return found + _settled(r, row, knows_settled) if r.money else found


def _settled(r: Record, row: Row, knows_settled: bool) -> list[str]:
    """Compare where the money of a transaction that stands on both sides went."""
    place = r.place
    found = []
    if place in ("refused", "written_off"):
        found.append(place)
    elif place == "no_batch":
        found.append("unresolved")
    if not knows_settled or place in (
        "taken_out",
        "not_counted",
    ):  # pairs are looked at together; an old journal is mute
        return found
    if place == "settled":
        return [] if row.settled == r.body[1] else ["settled_one_side"]
    if row.settled is not None and place != "by_human":
        found.append("settled_one_side")
    elif row.settled is None and place == "by_human":
        found.append("closed_by_human")
    return found


class _Pairs:
    """Transactions that cancel each other within a batch: an acquirer may settle both or neither, not one."""

    def __init__(self) -> None:
        self._rows: dict[int, tuple[Record, Row]] = {}

    def note(self, r: Record, row: Row) -> None:
        """Remember one of them."""
        if r.taken_out is not None and row.state == "approved":
            self._rows[r.number] = (r, row)

    def odd(self) -> list[tuple[Record, Row]]:
        """Those settled without the other."""
        out = []
        for r, row in self._rows.values():
            other = self._rows.get(r.taken_out) if r.taken_out is not None else None
            if row.settled is not None and other is not None and other[1].settled is None:
                out.append((r, row))
        return out


def _differs(r: Record, row: Row) -> bool:
    ends = (r.body[6][:6], r.body[6][-4:]) != (row.pan[:6], row.pan[-4:])
    other_card = bool(row.pan and r.body[6]) and ends
    return TYPES.get(r.body[2]) != row.type or (row.currency not in ("", r.body[4])) or other_card


def _item(r: Record | None, row: Row | None) -> dict[str, Any]:
    item: dict[str, Any] = {"tid": "", "batch": 0, "stan": 0, "txn": None, "journal": None, "acquirer": None}
    if row is not None:
        item.update(tid=row.tid, batch=row.batch, stan=row.stan)
        item["acquirer"] = {
            "type": row.type, "amount": row.amount, "currency": row.currency, "pan": row.pan, "state": row.state,
            "settled_batch": row.settled, "upload_code": row.upload_code,
        }  # fmt: skip
    if r is not None:
        item.update(tid=r.tid, batch=r.body[1], stan=r.body[0], txn=r.number)
        item["journal"] = {
            "type": TYPES.get(r.body[2], str(r.body[2])), "amount": r.body[3], "currency": r.body[4], "pan": r.body[6],
            "state": r.state, "decision": r.decision, "settlement": r.place, "code": r.code,
            "written_off": r.written_off,
        }  # fmt: skip
    return item


# -- in words


def line(item: dict[str, Any], lang: str) -> str:
    """One item as a line."""
    j, a = item["journal"], item["acquirer"]
    shown = j or a
    kind = type_name(lang, _NUMBERS[shown["type"]]) if shown["type"] in _NUMBERS else shown["type"]
    return say(
        lang, "rec_item", batch=f"{item['batch']:06}", stan=f"{item['stan']:06}", type=kind,
        txn="" if item["txn"] is None else f" (#{item['txn']})", amount=money(shown["amount"], shown["currency"]),
        journal=_journal_text(j, lang), acquirer=_acquirer_text(a, j, lang),
    )  # fmt: skip


def _journal_text(j: dict[str, Any] | None, lang: str) -> str:
    if j is None:
        return say(lang, "side_none")
    charged = j["state"] == "closed_by_human" and j["decision"] == n.HUMAN_CHARGED
    place = say(lang, f"s_{j['settlement']}", code=j["code"] or "-")
    return ", ".join(text for text in (say(lang, "j_charged" if charged else f"j_{j['state']}"), place) if text)


def _acquirer_text(a: dict[str, Any] | None, j: dict[str, Any] | None, lang: str) -> str:
    if a is None:
        return say(lang, "side_none")
    parts = [say(lang, f"j_{a['state']}")]
    if j is not None:
        parts += [a[name] for name in ("type", "pan") if a[name] and a[name] != j[name]]
    if j is not None and (a["amount"] != j["amount"] or a["currency"] not in ("", j["currency"])):
        parts.append(money(a["amount"], a["currency"] or j["currency"]))
    if a["settled_batch"] is not None:
        parts.append(say(lang, "side_settled", batch=f"{a['settled_batch']:06}"))
    elif a["state"] == "approved":
        parts.append(say(lang, "side_not_settled"))
    if a["upload_code"]:
        parts.append(say(lang, "side_code", code=a["upload_code"]))
    return ", ".join(parts)
