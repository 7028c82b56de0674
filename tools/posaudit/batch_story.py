"""The story of one batch: what was counted, what was said to the host and what it answered, what is still owed.

The counting is this tool's own (`books`); only what is owed comes from replaying the terminal's engine.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from posaudit.batches import EVIDENCE, Batch, Message, Odd
from posaudit.books import Books
from posaudit.describe import Context, describe, kind_name, slip_name, totals_text
from posaudit.explain import FOLD_ERRORS, Fold, NotFound
from posaudit.findings import Report
from posaudit.names import misshapen
from posaudit.posj import Manifest
from posaudit.show import read_entries
from posaudit.texts import numbered, say
from posfw import numbers as n

_AGAIN = 6  # the engine's phase of a settlement that is none: a refused record being presented again
MOST_LINES = 20  # of one kind; the rest stands in --json


class NoBatch(NotFound):
    """No such batch, or several; `batches` are those to choose from."""

    def __init__(self, text: str, batches: list[Batch]) -> None:
        super().__init__(text)
        self.batches = batches


@dataclass
class BatchStory:
    """What the journal says about one batch. `owed`: (what, values) as --json has them, None if it is not known."""

    batch: Batch
    manifest: Manifest
    context: Context
    owed: list[dict[str, Any]] | None = None
    replay_failed_at: int | None = None
    unreadable: list[str] = field(default_factory=list)


def read_batch(path: Any, number: int, at: int | None, lang: str, proven: set[int] | None = None) -> BatchStory:
    """The story of batch `number` (the one that entry `at` falls into). Raises NoBatch, FormatError, OSError.

    With `proven`, other entries are told but not believed, unless none of the batch is proven."""
    try:
        return _read(path, number, at, lang, proven, True)
    except NoBatch:
        if proven is None:
            raise
    return _read(path, number, at, lang, proven, False)


def _read(path: Any, number: int, at: int | None, lang: str, proven: set[int] | None, strict: bool) -> BatchStory:
    manifest, entries = read_entries(path)
    fold, books = Fold(Context(lang)), Books(manifest.first_seq)
    for entry in entries:
        p = entry.payload
        true = None if proven is None else entry.offset in proven
        believed = true is not False or not strict
        if not p or misshapen(p):
            fold.unreadable.append(f"#{p[0]}" if p else f"byte {entry.offset}")
            if believed:
                fold.failed_at(p[0] if p else int(fold.state.seq))
        elif believed:
            fold.take(p)
            books.take(p, true)
        else:
            books.tell(p)
    batch = choose(books, number, at)
    context = Context(lang)
    if batch.config is not None:
        context.take([0, n.CONFIG, 0, 0, 0, 0, batch.config])
    story = BatchStory(batch, manifest, context, None, fold.failed, fold.unreadable)
    if fold.failed is None:
        try:
            story.owed = _owed(batch, batch is books.present, fold.state)
        except FOLD_ERRORS:
            story.replay_failed_at = int(fold.state.seq)
    return story


def choose(books: Books, number: int, at: int | None) -> Batch:
    """The one batch that is meant. Raises NoBatch."""
    found = [b for b in books.batches if b.number == number and (at is None or b.first <= at <= b.last)]
    if len(found) == 1:
        return found[0]
    if found:
        raise NoBatch(f"Batch {number} occurs {len(found)} times: choose one with --at ENTRY.", found)
    where = "" if at is None else f" around entry {at}"
    raise NoBatch(f"The journal holds no batch {number}{where}.", books.batches)


def listed(batches: list[Batch], lang: str) -> list[str]:
    """The batches there are, a line each; of very many the last."""
    out = [say(lang, "batches_are")]
    for b in batches[-MOST_LINES:]:
        state = "closed" if b.closed else "settling" if b.begun else "not_closed"
        out.append(
            "  "
            + say(
                lang, "batch_item", batch=f"{b.number:06}", first=b.first, last=max(b.first, b.last),
                count=len(b.records), state=say(lang, f"state_{state}"),
            )
        )  # fmt: skip
    return out


def _owed(batch: Batch, present: bool, state: Any) -> list[dict[str, Any]]:
    """What the engine still owes of this batch."""
    owed: list[dict[str, Any]] = []
    for debt in state.debts:
        if debt.txn in batch.records:
            owed.append({"what": "reversal", "txn": debt.txn, "attempts": debt.attempts})
    named = {number for number, _ in batch.slips} | {p[0] for p in (*batch.unsettled, *batch.decisions)}
    named |= {batch.closed[0]} if batch.closed else set()
    for slip in state.slips:
        if slip[0] in named or slip[0] in batch.records:
            owed.append({"what": "slip", "slip": slip[1], "number": slip[0]})
    if present and state.settle is not None and state.settle.phase != _AGAIN:
        owed.append({"what": "settlement", "phase": state.settle.phase, "number": state.settle.number})
    for number, _, code, _ in state.refused:
        if number in batch.records:
            owed.append({"what": "refused", "txn": number, "code": code})
    if batch.closed and not batch.destroyed and batch.number in state.shred:
        owed.append({"what": "vault"})
    return owed


# -- for programs


def to_dict(story: BatchStory, report: Report | None) -> dict[str, Any]:
    """For --json."""
    b, c = story.batch, story.context
    closed = b.closed[6] if b.closed else None
    return {
        "verified": report.ok if report else None,
        "findings": [str(f) for f in report.findings] if report else [],
        "contradictions": [{"seq": o.seq, "key": o.key, "text": odd_text(o, c), **o.values} for o in b.odd],
        "terminal_id": story.manifest.terminal_id, "journal_id": story.manifest.journal_id.hex(),
        "batch": b.number, "whole": b.whole, "first": b.first, "last": max(b.first, b.last),
        "tid": b.config[1] if b.config else "",
        "state": "closed" if closed else "settling" if b.begun else "open",
        "opened": _at(b.opened, c), "begun": {**_at(b.begun, c), "reason": b.begun[6][3][0]} if b.begun else None,
        "counting": b.config[8] if b.config and len(b.config) > 8 else "",
        "totals": b.totals(), "sent_totals": _sent_totals(b), "host_totals": host_totals(b), "flags": _flags(b),
        "messages": [_message_dict(m) for m in b.messages],
        "anomalies": [{"seq": p[0], "cause": p[6][1], "code": p[6][2], "number": p[6][3],
                       "text": describe(p, c)} for p in b.unsettled],
        "records": [{"txn": r.number, "stan": r.body[0], "type": r.body[2], "amount": r.body[3], "pan": r.body[6],
                     "scheme": r.body[7], "state": r.state, "place": r.place, "sent": r.sent, "code": r.code,
                     "presented": [code for _, code in r.presented], "written_off": r.written_off,
                     "taken_out": r.taken_out} for r in b.records.values()],
        "closed": {**_at(b.closed, c), "how": closed[1], "totals": closed[2], "uploaded": closed[5],
                   "refused": closed[6], "unresolved": closed[7], "next_batch": closed[8]} if closed else None,
        "vault_destroyed": {**_at(b.destroyed, c), "moved": b.destroyed[6][1]} if b.destroyed else None,
        "decisions": [{"seq": p[0], "decision": p[6][1], "name": p[6][2], "reason": p[6][3]} for p in b.decisions],
        "slips": [{"number": number, "slip": slip, "name": slip_name(c.lang, slip), "printed": p[6][2] == n.PRINT_DONE}
                  for (number, slip), p in b.slips.items()],
        "owed": story.owed or [], "owed_known": story.owed is not None, "unreadable": story.unreadable,
        "events": [{"seq": p[0], "name": kind_name(p[1]), "time": c.time(p[4]), "boot": p[2], "ms": p[3], "own": own,
                    "proven": proven, "text": describe(p, c)} for p, own, proven in b.events],
    }  # fmt: skip


def _at(p: list[Any] | None, c: Context) -> dict[str, Any]:
    return {"seq": p[0], "rtc": p[4], "time": c.time(p[4])} if p else {}


def _message_dict(m: Message) -> dict[str, Any]:
    purpose, _, stan, items, _ = m.sent[6]
    answer = m.answer
    return {
        "seq": m.sent[0], "purpose": purpose, "name": numbered("en", "purpose", purpose), "stan": stan,
        "records": items if purpose in (n.P_UPLOAD, n.P_AGAIN) else [], "replies": [p[0] for p in m.replies],
        "failures": m.failures, "answer": answer[0] if answer else None, "code": answer[6][3] if answer else "",
    }  # fmt: skip


def _sent_totals(b: Batch) -> list[int]:
    return next((m.sent[6][3] for m in b.messages if m.sent[6][0] == n.P_TOTALS), [])


def _of_host(b: Batch, at: int) -> list[int]:
    """What the host said last about the totals: its own (5), or its flags (4)."""
    found: list[int] = []
    for m in b.messages:
        for p in m.replies:
            if p[1] == n.SETTLE_REPLY and p[6][0] == n.P_TOTALS and p[6][2] not in EVIDENCE and p[6][at]:
                found = p[6][at]
    return found


def host_totals(b: Batch) -> list[int]:
    """The acquirer's own totals as it said them last, or []."""
    return _of_host(b, 5)


def _flags(b: Batch) -> list[int]:
    return _of_host(b, 4)


def odd_text(odd: Odd, c: Context) -> str:
    """A contradiction in a sentence."""
    values = dict(odd.values)
    if odd.key == "odd_totals":
        values = {key: totals_text(c.lang, value, c.currency) for key, value in values.items()}
    if "what" in values:
        values["what"] = say(c.lang, values["what"])
    return say(c.lang, odd.key, seq=odd.seq, **values)
