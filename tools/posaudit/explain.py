"""One transaction in plain words, from the journal's entries and the terminal's own engine.

What is owed comes from replaying the very code that ran on the terminal, so the auditor cannot disagree with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from posaudit.batches import Record
from posaudit.books import Books
from posaudit.describe import (
    Context,
    code_meaning,
    decision_name,
    describe,
    kind_name,
    mode_name,
    money,
    slip_name,
    type_name,
)
from posaudit.findings import Report
from posaudit.names import misshapen, txn_of, well_shaped
from posaudit.posj import Manifest
from posaudit.settled import settled_lines
from posaudit.show import read_entries
from posaudit.texts import say
from posfw import numbers as n
from posfw.engine.fold import apply
from posfw.engine.state import CLOSED, STUCK, State
from posfw.receipt.text import cause_text, code_text

# What folding a hostile or foreign journal may raise; a journal the terminal wrote raises nothing.
FOLD_ERRORS = (KeyError, IndexError, TypeError, ValueError, AttributeError, ArithmeticError)


class NotFound(Exception):
    """No such transaction; the message says what to do."""


class Ambiguous(Exception):
    """The STAN was used in several batches; `candidates` are their INTENT payloads."""

    def __init__(self, candidates: list[list[Any]]) -> None:
        super().__init__("the STAN occurs in several batches")
        self.candidates = candidates


@dataclass
class Story:
    """What the journal says about one transaction.

    `events`: (payload, True if it is the transaction's own, True if proven or None if nothing was verified)."""

    intent: list[Any]
    manifest: Manifest
    context: Context
    config: list[Any] | None = None
    events: list[tuple[list[Any], bool, bool | None]] = field(default_factory=list)
    state: str = "open"
    cause: int = 0
    code: str = ""
    rrn: str = ""
    auth: str = ""
    decision: int = 0
    debt: tuple[int, int] | None = None  # attempts, failed connections
    slips: list[int] = field(default_factory=list)
    voided_by: list[list[Any]] = field(default_factory=list)
    replay_failed_at: int | None = None
    unreadable: list[str] = field(default_factory=list)
    record: Record | None = None  # its place in its batch
    refused: str | None = None  # the code, while a refused record waits for a person

    @property
    def txn(self) -> int:
        """The transaction's number: that of its INTENT entry."""
        return int(self.intent[0])


Proven = set[int] | None  # byte offsets of the entries that verify; None: nothing was verified


def find_txn(path: Any, stan: int | None, batch: int | None, txn: int | None) -> int:
    """The one transaction that is meant. Raises NotFound, Ambiguous, FormatError, OSError."""
    found: list[list[Any]] = []
    _, entries = read_entries(path)
    for entry in entries:
        p = entry.payload
        if not p or p[1] != n.INTENT or not well_shaped(p):
            continue
        same = p[0] == txn if txn is not None else p[6][0] == stan and batch in (None, p[6][1])
        if same:
            found.append(p)
    if not found:
        what = f"transaction #{txn}" if txn is not None else f"STAN {stan}" + (f" in batch {batch}" if batch else "")
        raise NotFound(f"The journal holds no {what}. List them with: posaudit show {path} --kind intent")
    if len({p[0] for p in found}) > 1:
        raise Ambiguous(found)
    return int(found[0][0])


def read_story(path: Any, txn: int, lang: str, proven: Proven = None) -> Story:
    """Fold the file and keep what concerns transaction `txn`. Raises NotFound, FormatError, OSError.

    With `proven`, entries that are not in it are told but not believed, unless the transaction itself is not in it."""
    manifest, entries = read_entries(path)
    begun = False
    if proven is not None:
        begun = any(_begins(e.payload, txn) and e.offset in proven for e in entries)
        manifest, entries = read_entries(path)
    story: Story | None = None
    fold, books = Fold(Context(lang)), Books(manifest.first_seq)
    for entry in entries:
        p = entry.payload
        true = None if proven is None else entry.offset in proven
        believed = true is not False or not begun
        if not p or misshapen(p):
            fold.unreadable.append(f"#{p[0]}" if p else f"byte {entry.offset}")
            if believed:
                fold.failed_at(p[0] if p else int(fold.state.seq))
            continue
        if believed:
            fold.take(p)
            books.take(p)
            if story is None and _begins(p, txn):
                story = Story(p, manifest, fold.context, fold.config)
        if story is not None:
            about = believed and books.concerns(txn)
            _take(story, p, fold.state, believed, true, about)
    if story is None:
        raise NotFound(f"Entry #{txn} is not the beginning of a transaction.")
    if fold.failed is None:
        try:
            _settle(story, fold.state)
        except FOLD_ERRORS:
            fold.failed_at(int(fold.state.seq))
    story.replay_failed_at, story.unreadable = fold.failed, fold.unreadable
    story.record = books.records.get(txn)
    if story.record is not None and not story.cause:
        story.cause = _batch_cause(story.record)
    return story


def _batch_cause(record: Record) -> int:
    """Why the money of a transaction that stands may not be there: its batch's reason, or the bank's."""
    place = record.place
    if place == "settled":
        return n.CAUSE_PROCESSING
    if place in ("refused", "written_off"):
        return n.CAUSE_UPLOAD
    if place in ("by_human", "no_batch"):
        return n.CAUSE_NOT_SETTLED
    return record.batch.cause() if place == "open" else n.CAUSE_NONE


class Fold:
    """The engine's state as the journal unfolds, and where it could no longer be followed."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.state: Any = State()
        self.config: list[Any] | None = None
        self.failed: int | None = None
        self.unreadable: list[str] = []

    def failed_at(self, seq: int) -> None:
        """The state is not known from entry `seq` on."""
        if self.failed is None:
            self.failed = seq

    def take(self, p: list[Any]) -> None:
        """Fold one entry."""
        self.context.take(p)
        if p[1] == n.CONFIG:
            self.config = p[6]
        if self.failed is None:
            try:
                apply(self.state, p)
            except FOLD_ERRORS:
                self.failed_at(p[0])


def _begins(p: list[Any], txn: int) -> bool:
    return bool(p) and p[0] == txn and p[1] == n.INTENT and well_shaped(p)


def _take(story: Story, p: list[Any], state: Any, believed: bool, proven: bool | None, about: bool) -> None:
    kind, body = p[1], p[6]
    if about or txn_of(p) == story.txn:
        story.events.append((p, True, proven))
        if believed and txn_of(p) == story.txn:
            _note(story, kind, body)
        return
    if not believed or not well_shaped(p):
        return
    if kind == n.INTENT and body[9] is not None and body[9][0] == story.txn:
        story.voided_by.append(p)
    txn = state.txns.get(story.txn)
    # A restart in the middle of it is part of the story; one afterwards is not.
    if kind == n.BOOT and txn is not None and txn.phase != CLOSED:
        story.events.append((p, False, proven))


def _note(story: Story, kind: int, body: list[Any]) -> None:
    """Follow the transaction's own entries to their latest word."""
    if kind == n.REPLY and body[1] in (n.V_MATCHED, n.V_LATE):
        story.rrn, story.auth = body[4] or story.rrn, body[5] or story.auth
        if body[1] == n.V_MATCHED:
            story.code = body[3]
    elif kind == n.OUTCOME:
        names = {n.APPROVED: "approved", n.DECLINED: "declined", n.NOT_SENT: "not_sent"}
        story.state = names.get(body[1], "reversal_owed")
        story.cause = body[2]
    elif kind == n.UNRESOLVED:
        story.state = "unresolved"
        story.cause = body[2] or story.cause
    elif kind == n.REVERSAL_REPLY and body[1] == n.V_MATCHED:
        story.state = "reversed"
        story.rrn = story.rrn or body[3]
    elif kind == n.HUMAN and body[1] != n.HUMAN_WRITTEN_OFF:
        story.state, story.decision = "closed_by_human", body[1]


def _settle(story: Story, state: Any) -> None:
    """Take what is owed, and what the engine made of the cause, from the replayed state."""
    for debt in state.debts:
        if debt.txn == story.txn:
            story.debt = (debt.attempts, debt.fails)
            story.state = "unresolved" if debt.phase == STUCK else "reversal_owed"
    kept = state.txns.get(story.txn)
    if kept is not None:
        story.cause = kept.cause or story.cause
    story.slips = [slip[1] for slip in state.slips if slip[0] == story.txn]
    story.refused = next((code for number, _, code, _ in state.refused if number == story.txn), None)


def _cause_needed(story: Story) -> bool:
    """False if nothing went wrong, or nothing is known yet."""
    return bool(story.cause) or story.state not in ("approved", "open")


def to_dict(story: Story, report: Report | None) -> dict[str, Any]:
    """For --json."""
    c, b = story.context, story.intent[6]
    owed: list[dict[str, Any]] = []
    if story.debt:
        owed.append({"what": "reversal", "attempts": story.debt[0], "failed_connections": story.debt[1]})
    if story.refused is not None:
        owed.append({"what": "refused", "code": story.refused})
    return {
        "verified": report.ok if report else None,
        "findings": [str(f) for f in report.findings] if report else [],
        "terminal_id": story.manifest.terminal_id, "journal_id": story.manifest.journal_id.hex(),
        "txn": story.txn, "stan": b[0], "batch": b[1], "type": b[2], "type_name": type_name(c.lang, b[2]),
        "amount": b[3], "currency": b[4], "pan": b[6], "rrn": story.rrn, "auth": story.auth, "code": story.code,
        "state": story.state, "state_text": _state_text(story), "cause": story.cause,
        "cause_text": {a: cause_text(c.lang, a, story.cause) for a in _AUDIENCES} if _cause_needed(story) else {},
        "owed": [*owed, *({"what": "slip", "slip": s, "name": slip_name(c.lang, s)} for s in story.slips)],
        "owed_known": story.replay_failed_at is None, "unreadable": story.unreadable,
        "voided_by": [p[0] for p in story.voided_by], "settlement": _settlement(story),
        "events": [{"seq": p[0], "name": kind_name(p[1]), "time": c.time(p[4]), "boot": p[2], "ms": p[3], "own": own,
                    "proven": proven, "text": describe(p, c)} for p, own, proven in story.events],
    }  # fmt: skip


def _settlement(story: Story) -> dict[str, Any] | None:
    r = story.record
    if r is None or r.place == "none":
        return None
    closed = r.batch.closed
    return {
        "place": r.place, "batch": r.batch.number, "closed": closed[0] if closed else None, "code": r.code,
        "sent": r.sent, "presented": [code for _, code in r.presented], "written_off": r.written_off,
        "text": settled_lines(r, story.context),
    }  # fmt: skip


_AUDIENCES = ("customer", "merchant", "technician")


def _state_text(story: Story) -> str:
    decision = decision_name(story.context.lang, story.decision) if story.decision else ""
    return say(story.context.lang, f"state_{story.state}", decision=decision)


def lines(story: Story, report: Report | None) -> list[str]:
    """The story as lines of text."""
    c, b = story.context, story.intent[6]
    lang = c.lang
    out = [
        say(lang, "title", type=type_name(lang, b[2]), amount=money(b[3], b[4]), stan=f"{b[0]:06}", batch=f"{b[1]:06}")
    ]
    config = story.config or ["", "?", "?", ""]
    out.append(
        say(lang, "card", pan=b[6], mode=mode_name(lang, b[5]), tid=config[1], mid=config[2], merchant=config[3])
    )
    nothing = say(lang, "none")
    if story.rrn or story.auth:
        out.append(say(lang, "references", rrn=story.rrn or nothing, auth=story.auth or nothing))
    out += ["", say(lang, "head_happened") + (f" (UTC{c.zone()})" if c.zone_known else "")]
    for p, own, proven in story.events:
        text = describe(p, c)
        mark = say(lang, "unproven_mark") if proven is False else ""
        out.append(f"  #{p[0]:<6} {c.when(p):<20}  {mark}{text if own else say(lang, 'restart', what=text)}")
    out += ["", say(lang, "head_result"), "  " + _state_text(story)]
    for p in story.voided_by:
        v = p[6]
        out.append(
            "  " + say(lang, "voided_by", stan=f"{v[0]:06}", batch=f"{v[1]:06}", type=type_name(lang, v[2]), txn=p[0])
        )
    if story.record is not None:
        out += ["  " + text for text in settled_lines(story.record, c)]
    if story.state == "approved" and not story.cause:
        out += ["", say(lang, "head_cause"), "  " + say(lang, "no_cause")]
    elif story.cause == n.CAUSE_PROCESSING:
        cause = cause_text(lang, "customer", story.cause)
        smooth = story.record is None or not story.record.presented
        out += ["", say(lang, "head_cause"), *(["  " + say(lang, "no_cause")] if smooth else [])]
        out.append("  " + say(lang, "if_not_posted", cause=cause))
    elif _cause_needed(story):
        out += ["", say(lang, "head_cause")]
        out.append("  " + cause_text(lang, "customer", story.cause))
        if story.state == "declined" and story.code:
            out.append("  " + say(lang, "decline_code", code=story.code, meaning=code_text(lang, story.code)))
    out += ["", say(lang, "head_owed"), *("  " + text for text in _owed(story))]
    if _cause_needed(story):
        out += ["", say(lang, "head_advice")]
        for audience in _AUDIENCES[1:]:
            out.append(f"  {say(lang, 'for_' + audience)}: {cause_text(lang, audience, story.cause)}")
    seqs = " ".join(f"#{p[0]}" for p, _, _ in story.events)
    out += [
        "",
        say(lang, "head_evidence"),
        "  "
        + say(
            lang, "evidence", seqs=seqs, terminal=story.manifest.terminal_id, journal=story.manifest.journal_id.hex()
        ),
    ]
    if story.unreadable:
        places = ", ".join(story.unreadable[:20])
        out.append("  " + say(lang, "unreadable", count=len(story.unreadable), places=places))
    if report is None:
        out.append("  " + say(lang, "not_verified"))
    elif report.ok:
        out.append("  " + say(lang, "verified", entries=report.entries))
    else:
        out.append("  " + say(lang, "broken", finding=report.findings[0]))
    return out


def _owed(story: Story) -> list[str]:
    lang = story.context.lang
    if story.replay_failed_at is not None:
        return [say(lang, "no_state", seq=story.replay_failed_at)]
    found = [say(lang, "owed_reversal", attempts=story.debt[0], fails=story.debt[1])] if story.debt else []
    if story.refused is not None:
        code, stan = code_meaning(lang, story.refused), f"{story.intent[6][0]:06}"
        found.append(say(lang, "owed_refused", number=story.txn, stan=stan, code=code))
    found += [say(lang, "owed_slip", slip=slip_name(lang, s)) for s in story.slips]
    return found or [say(lang, "owed_nothing")]
