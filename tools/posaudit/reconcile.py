"""A journal against the acquirer's settlement file: what stands on one side only, or differs.

The journal's side is `books`: this tool's own reading of the entries, not the terminal's engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from posaudit.acquirer_file import Row, card_ends
from posaudit.batches import Batch, Odd, Record
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
    partial: list[int] = field(default_factory=list)  # batches whose beginning is not in the file
    contradictions: list[tuple[Batch, Odd]] = field(default_factory=list)
    lists: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {name: [] for name in (*LISTS, NOTE)})

    @property
    def ok(self) -> bool:
        """True if nothing differs."""
        return not self.contradictions and not any(self.lists[name] for name in LISTS)

    def to_dict(self) -> dict[str, Any]:
        """For --json."""
        return {
            "ok": self.ok, "tids": self.tids, "transactions": self.transactions, "rows": self.rows,
            "ignored_rows": self.ignored, "agree": self.agree, "not_believed": self.not_believed,
            "compared_settled": self.knows_settled, "partial_batches": self.partial,
            "contradictions": [{"batch": b.number, "seq": o.seq, "key": o.key, **o.values}
                               for b, o in self.contradictions],
            "lists": self.lists,
        }  # fmt: skip


def read_books(path: Any, proven: set[int] | None, progress: Progress | None = None) -> tuple[Books, int]:
    """The journal's batches, and how many entries were not believed: unreadable, or not in `proven` if that is given.

    Raises FormatError, OSError."""
    manifest, entries = read_entries(path)
    books, left = Books(manifest.first_seq), 0
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
    held_by: dict[Key, list[Record]] = {}
    for r in books.records.values():
        if tid in (None, r.tid) or not r.tid:  # the CONFIG that names it is not in the file
            held_by.setdefault((r.tid or tid or "", r.body[1], r.body[0]), []).append(r)
    tids = [tid] if tid is not None else sorted(books.tids)
    wanted = {key for key in held_by if batch in (None, key[1])}
    result = Result(tids, knows_settled, sum(len(held_by[key]) for key in wanted))
    for b in books.batches:
        if batch in (None, b.number) and (tid is None or tid in tids_of(b) or not tids_of(b)):
            result.contradictions += [(b, odd) for odd in b.odd]
            if not b.whole:
                result.partial.append(b.number)
    pairs = _Pairs()
    seen: set[Key] = set()
    for count, row in enumerate(rows):
        if progress is not None and count % _PROGRESS == 0:
            progress("acquirer", count)
        # What was settled in the batch asked for belongs to it, wherever it was made.
        if row.tid not in tids or batch not in (None, row.batch, row.settled):
            result.ignored += 1
            continue
        result.rows += 1
        key = (row.tid, row.batch, row.stan)
        held = held_by.get(key)
        if not held:
            name = "twice_at_acquirer" if key in seen else "only_at_acquirer"
            result.lists[name].append(_item(None, row))
            continue
        # After a batch number came round again there may be two: the one that fits better.
        ranked = [(_compare(r, row, knows_settled), r) for r in held]
        found, record = min(ranked, key=lambda f: (any(name != NOTE for name in f[0]), f[1].body[3] != row.amount))
        held.remove(record)
        seen.add(key)
        pairs.note(record, row)
        _file(result, found, record, row)
    for key in (k for k in held_by if k in wanted):
        for record in held_by[key]:
            _file(result, _missing(record), record, None)
    if knows_settled:
        for record, row in pairs.odd():
            result.lists["settled_one_side"].append(_item(record, row))
    return result


def tids_of(batch: Batch) -> set[str]:
    """The terminal ids that a batch's transactions were made under."""
    return {r.tid for r in batch.records.values() if r.tid} | ({batch.config[1]} if batch.config else set())


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
    settled = ["settled_one_side"] if knows_settled and row.settled is not None else []  # of what does not stand
    undone = r.state == "reversed" or (r.state == "closed_by_human" and r.decision == n.HUMAN_REVERSED)
    if undone:
        return [*found, *(["reversed_one_side"] if row.state == "approved" else settled)]
    if r.state in ("declined", "not_sent"):
        return [*found, *(["approved_one_side"] if row.state == "approved" else settled)]
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
    if not knows_settled or place == "not_counted":  # an old journal is mute
        return found
    if place == "taken_out":  # what the two are to each other is looked at when both are known
        mine = r.batch.closed is not None and row.settled == r.body[1]
        return found if row.settled is None or mine else [*found, "settled_one_side"]
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
            if row.settled == r.body[1] and other is not None and other[1].settled is None:
                out.append((r, row))
        return out


def _differs(r: Record, row: Row) -> bool:
    first, last = card_ends(row.pan)  # a file may show less of it
    other_card = bool(r.body[6]) and not (r.body[6].startswith(first) and r.body[6].endswith(last))
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
