"""What a batch is to the auditor: its records, the messages about it, and where each record stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from posfw import numbers as n

NOT_COUNTED, DEBIT, CREDIT, CANCELS = "0123"
UPLOAD_ALL, UPLOAD_CHIP, AGREED = 2, 3, 5  # what follows a SETTLE_REPLY
EVIDENCE = (n.V_LATE, n.V_DUPLICATE)  # verdicts of replies that are told and change nothing
_CHIP = (5, 7)  # entry modes of a chip
# What cannot be said of a batch whose beginning is not in the file
_NEEDS_ALL = ("odd_totals", "odd_uncounted", "odd_not_begun", "odd_reply", "odd_numbers", "odd_agreed", "odd_nobody",
              "odd_vault")  # fmt: skip


def judged(body: list[Any]) -> bool:
    """True if an UPLOAD_REPLY says of every record in its message whether it was taken."""
    return bool(body[4]) or body[2] == n.V_MATCHED


@dataclass
class Odd:
    """A contradiction in the journal: the text `key` with its `values`, and the entry that shows it."""

    key: str
    seq: int
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Record:
    """One transaction, as far as batches are concerned. `way`: how its type is counted under the CONFIG of its day."""

    number: int
    body: list[Any]  # of its INTENT
    tid: str
    way: str
    money: bool
    batch: Batch
    state: str = "open"
    decision: int = 0
    rrn: str = ""
    auth: str = ""
    counted: bool = False
    taken_out: int | None = None  # the other one, where two cancel each other
    sent: int = 0  # upload messages that carried it
    verdict: str = ""  # accepted, refused: the host's last word
    code: str = ""
    was_refused: bool = False  # as the verdict, but the host's asking for everything anew does not wipe it
    presented: list[tuple[int, str]] = field(default_factory=list)  # again: (entry of the reply, code)
    written_off: str = ""  # by whom

    @property
    def stands(self) -> bool:
        """True if it is approved and was not undone, by the terminal or by the acquirer's word."""
        return self.state == "approved" or (self.state == "closed_by_human" and self.decision == n.HUMAN_CHARGED)

    @property
    def place(self) -> str:
        """Where it stands in its batch: none (it moved nothing), not_counted (its type), taken_out, open, settled,
        refused, written_off, by_human (its batch was closed by a decision), no_batch (it stands, and its batch was
        closed without it)."""
        if not self.counted:
            if not self.stands:
                return "none"
            if self.way == NOT_COUNTED:
                return "not_counted"
            return "no_batch"
        if self.taken_out is not None:
            return "taken_out"
        if self.written_off and self.was_refused:
            return "written_off"
        if self.verdict == "refused":
            return "refused"
        if self.batch.closed is None:
            return "open"
        return "by_human" if self.batch.closed[6][1] == n.CLOSED_BY_HUMAN else "settled"


@dataclass
class Message:
    """One message of the settlement, and what came back: payloads of SETTLE_SENT and of its replies."""

    sent: list[Any]
    replies: list[list[Any]] = field(default_factory=list)

    @property
    def answer(self) -> list[Any] | None:
        """The reply that counts, or None."""
        for reply in reversed(self.replies):
            body = reply[6]
            done = body[6] if reply[1] == n.SETTLE_REPLY else judged(body) or (body[2] == n.V_REFUSED and not body[7])
            if done and body[2] not in EVIDENCE:
                return reply
        return None

    @property
    def failures(self) -> int:
        """Answers and silences that did not count."""
        return sum(1 for r in self.replies if r is not self.answer and r[6][2] not in EVIDENCE)


@dataclass
class Batch:
    """One batch from the entry `first` on: to its close, or to the journal's end (`last`)."""

    number: int
    first: int
    last: int = -1
    config: list[Any] | None = None
    records: dict[int, Record] = field(default_factory=dict)  # by INTENT
    counted: dict[int, Record] = field(default_factory=dict)  # in the order they were counted
    opened: list[Any] | None = None  # its first INTENT
    begun: list[Any] | None = None  # its P_BEGIN
    messages: list[Message] = field(default_factory=list)
    closed: list[Any] | None = None
    destroyed: list[Any] | None = None
    unsettled: list[list[Any]] = field(default_factory=list)
    decisions: list[list[Any]] = field(default_factory=list)
    slips: dict[tuple[int, int], list[Any]] = field(default_factory=dict)  # (number, slip) -> its last entry
    events: list[tuple[list[Any], bool, bool | None]] = field(default_factory=list)  # as in explain.Story
    odd: list[Odd] = field(default_factory=list)
    asked: int = 0  # what the host last wanted uploaded: 0 nothing, 2 all, 3 chip records
    whole: bool = True  # False: the file begins after it did, so that it cannot be counted

    def complain(self, key: str, seq: int, **values: Any) -> None:
        """Note a contradiction."""
        if self.whole or key not in _NEEDS_ALL:
            self.odd.append(Odd(key, seq, values))

    def totals(self) -> list[int]:
        """Amounts and counts as in SETTLE_SENT: domestic debit and credit, international debit and credit."""
        out = [0] * 8
        for r in self.counted.values():
            if r.taken_out is None:
                at = (4 if r.body[7] == n.SCHEME_INTERNATIONAL else 0) + (0 if r.way == DEBIT else 2)
                out[at] += r.body[3]
                out[at + 1] += 1
        return out

    def uploadable(self) -> list[Record]:
        """Records to upload at the host's last word, in order."""
        wanted = [r for r in self.counted.values() if r.taken_out is None]
        if self.asked == UPLOAD_CHIP:
            return [r for r in wanted if r.body[5] in _CHIP]
        return wanted if self.asked else []

    def cause(self) -> int:
        """Why it is not settled, by its last anomaly; 0: there was none. Refused records have their own."""
        causes = [p[6][1] for p in self.unsettled if p[6][1] != n.CAUSE_UPLOAD]
        return causes[-1] if causes else 0
