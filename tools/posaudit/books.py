"""The batches of a journal, counted from its entries alone: what each holds, what became of it at the host.

This is the check on the terminal's own arithmetic, so nothing of its engine is used here: only the table of numbers.
What does not add up is kept as an `Odd`, in the words of the texts odd_*.
"""

from __future__ import annotations

from typing import Any

from posaudit.batch_checks import check_closed, check_totals, check_upload, told_by
from posaudit.batches import (
    CANCELS,
    DEBIT,
    EVIDENCE,
    NOT_COUNTED,
    UPLOAD_ALL,
    UPLOAD_CHIP,
    Batch,
    Message,
    Record,
    judged,
)
from posaudit.names import BATCH_SLIPS, well_shaped
from posfw import numbers as n

# Where nothing is counted (an older journal, a profile without settlement): what moves money
_MONEY = (n.SALE, n.VOID, n.REFUND, n.COMPLETION)
_SETTLEMENT = (n.SETTLE_SENT, n.SETTLE_REPLY, n.UPLOAD_REPLY, n.BATCH_CLOSED, n.VAULT_DESTROYED, n.UNSETTLED)


class Books:
    """Every batch of a journal. Feed it the entries in order: `take` those that are believed, `tell` the others."""

    def __init__(self, first_seq: int = 0) -> None:
        self.batches = [Batch(1, first_seq, whole=not first_seq)]
        self.first_seq = first_seq  # the entry that the file begins with
        self.records: dict[int, Record] = {}
        self.tids: set[str] = set()
        self.counting = ""
        self._config: list[Any] | None = None
        self._messages: dict[tuple[int, int], tuple[Message, Batch]] = {}  # (purpose, STAN) -> the latest
        self._owners: dict[int, Batch] = {}  # entries that slips name: BATCH_CLOSED, UNSETTLED, decisions
        self._tells: list[Record] = []  # whom the entry just taken concerns, beside its own transaction

    @property
    def present(self) -> Batch:
        """The batch at hand."""
        return self.batches[-1]

    def concerns(self, number: int) -> bool:
        """True if the entry just taken tells something of record `number` without being of that transaction alone."""
        return any(r.number == number for r in self._tells)

    def tell(self, p: list[Any]) -> None:
        """Note an entry that is not believed: it is told, and changes nothing."""
        self._tells = []
        if p and p[1] in _SETTLEMENT:
            self.present.events.append((p, True, False))

    def take(self, p: list[Any], proven: bool | None = None) -> None:
        """Follow one entry."""
        self._tells = []
        if not well_shaped(p):
            return
        self.present.last = p[0]
        kind = p[1]
        handler = _HANDLERS.get(kind)
        batch = handler(self, p, p[6]) if handler else None
        if kind in (n.BOOT, n.SIGNON):
            settling = self.present.begun is not None and (kind == n.BOOT or p[6][1] != n.V_SENDING)
            batch = self.present if settling else None
        if batch is not None:
            batch.events.append((p, kind not in (n.BOOT, n.SIGNON), proven))

    # -- transactions: these handlers return the batch whose story the entry belongs to, or None

    def _take_config(self, p: list[Any], b: list[Any]) -> None:
        self._config = b
        self.tids.add(b[1])
        self.counting = b[8] if len(b) > 8 else ""

    def _take_intent(self, p: list[Any], b: list[Any]) -> None:
        batch = self.present
        if b[1] != batch.number:
            if batch.records or batch.begun is not None:
                batch.complain("odd_batch", p[0], said=b[1], counted=batch.number)
                batch.last = p[0] - 1
                batch = Batch(b[1], p[0], p[0])
                self.batches.append(batch)
            else:
                batch.number = b[1]  # a journal may begin with any
        kind = b[2]
        way = self.counting[kind - 1] if self.counting and 1 <= kind <= len(self.counting) else NOT_COUNTED
        money = way != NOT_COUNTED if self.counting.strip(NOT_COUNTED) else kind in _MONEY
        tid = self._config[1] if self._config else ""
        batch.config = batch.config or self._config
        batch.opened = batch.opened or p
        self.records[p[0]] = batch.records[p[0]] = Record(p[0], b, tid, way, money, batch)

    def _take_reply(self, p: list[Any], b: list[Any]) -> Batch | None:
        r = self.records.get(b[0])
        if r is not None and b[1] in (n.V_MATCHED, n.V_LATE):
            r.rrn, r.auth = b[4] or r.rrn, b[5] or r.auth
        # A late answer to a message of the settlement belongs to no transaction.
        return self.present if b[0] is None and self.present.begun is not None else None

    def _take_outcome(self, p: list[Any], b: list[Any]) -> None:
        r = self.records.get(b[0])
        if r is None:
            return
        names = {n.APPROVED: "approved", n.DECLINED: "declined", n.NOT_SENT: "not_sent"}
        r.state = names.get(b[1], "reversal_owed")
        if b[1] == n.APPROVED:
            self._count(r, p)
        elif r.counted:
            self._take_off(r, p)

    def _take_unresolved(self, p: list[Any], b: list[Any]) -> None:
        if b[0] in self.records:
            self.records[b[0]].state = "unresolved"

    def _take_reversal_reply(self, p: list[Any], b: list[Any]) -> None:
        if b[0] in self.records and b[1] == n.V_MATCHED:
            self.records[b[0]].state = "reversed"

    def _take_human(self, p: list[Any], b: list[Any]) -> Batch | None:
        if b[1] == n.HUMAN_BATCH_CLOSED:
            batch = next((x for x in self.batches if x.begun is not None and x.begun[0] == b[0]), self.present)
            return self._decide(batch, p)
        r = self.records.get(b[0])
        if r is None:
            return None
        if b[1] == n.HUMAN_WRITTEN_OFF:
            if r.was_refused:
                r.written_off = b[2]
            else:
                r.batch.complain("odd_write_off", p[0], number=r.number)
            return self._decide(r.batch, p)
        r.state, r.decision = "closed_by_human", b[1]
        # Only as long as the books of its batch are open.
        if b[1] == n.HUMAN_CHARGED and r.batch is self.present and r.batch.begun is None:
            self._count(r, p)
        return None

    def _decide(self, batch: Batch, p: list[Any]) -> Batch:
        batch.decisions.append(p)
        self._owners[p[0]] = batch
        return batch

    def _count(self, r: Record, p: list[Any]) -> None:
        if r.way == NOT_COUNTED or r.counted:
            return
        batch = r.batch
        if batch.closed is not None:
            batch.complain("odd_late", p[0])  # no total ever held it: it is in no batch
            return
        if batch is not self.present or batch.begun is not None:
            batch.complain("odd_late", p[0])
        r.counted = True
        batch.counted[r.number] = r
        original = batch.counted.get(r.body[9][0]) if r.body[9] is not None else None
        if r.way == CANCELS and original is not None and original.way == DEBIT and original.taken_out is None:
            r.taken_out, original.taken_out = original.number, r.number

    def _take_off(self, r: Record, p: list[Any]) -> None:
        if r.batch is not self.present or r.batch.begun is not None:
            r.batch.complain("odd_late", p[0])
        r.counted = False
        del r.batch.counted[r.number]
        if r.taken_out is not None:
            other = self.records[r.taken_out]
            r.taken_out = other.taken_out = None

    # -- the settlement

    def _take_sent(self, p: list[Any], b: list[Any]) -> Batch:
        purpose, number, stan, items, _ = b
        if purpose == n.P_AGAIN:
            r = self.records.get(items[0])
            batch = r.batch if r is not None else self.present
            self._tells = [r] if r is not None else []
            if r is None:
                if items[0] >= self.first_seq:
                    batch.complain("odd_uncounted", p[0], number=items[0])
            elif r.verdict != "refused":
                key = "odd_again" if r.verdict == "accepted" else "odd_not_refused"
                batch.complain(key, p[0], number=items[0])
        else:
            batch = self.present
            self._begin_at(batch, number)
            if number != batch.number:
                batch.complain("odd_batch", p[0], said=number, counted=batch.number)
            if purpose == n.P_BEGIN:
                batch.begun = batch.begun or p
                batch.config = batch.config or self._config
                return batch
            if batch.begun is None:
                batch.complain("odd_not_begun", p[0])
        if purpose == n.P_TOTALS:
            check_totals(batch, p, items)
            first = next((m.sent for m in batch.messages if m.sent[6][0] == n.P_TOTALS), None)
            if first is not None and first[6] != b:
                batch.complain("odd_second_totals", p[0], first=first[0])
        elif purpose == n.P_UPLOAD:
            self._tells += check_upload(batch, p, items)
        elif purpose == n.P_END:
            judged = [r.verdict for r in batch.counted.values() if r.verdict]
            if items[0] not in (len(judged), judged.count("accepted")):  # with and without the refused ones
                batch.complain("odd_numbers", p[0], what="what_sent", said=items[0], counted=len(judged))
        message = Message(p)
        batch.messages.append(message)
        self._messages[purpose, stan] = (message, batch)
        return batch

    def _answered(self, p: list[Any], b: list[Any], purposes: tuple[int, ...]) -> tuple[Message | None, Batch]:
        """The message that a reply is to and its batch; None where there is none that it may change."""
        none: tuple[Message | None, Batch] = (None, self.present)
        message, batch = self._messages.get((b[0], b[1]), none) if b[0] in purposes else none
        if message is None:
            batch.complain("odd_reply", p[0])
        elif batch.closed is not None and b[0] != n.P_AGAIN and b[2] not in EVIDENCE:
            batch.complain("odd_closed", p[0])
            return None, batch
        return message, batch

    def _take_settle_reply(self, p: list[Any], b: list[Any]) -> Batch:
        message, batch = self._answered(p, b, (n.P_TOTALS, n.P_END))
        if message is None:
            return batch
        message.replies.append(p)
        if b[2] not in EVIDENCE and b[6] in (UPLOAD_ALL, UPLOAD_CHIP):
            batch.asked = b[6]
            for r in batch.counted.values():
                r.verdict = r.code = ""  # the host wants it anew
        return batch

    def _take_upload_reply(self, p: list[Any], b: list[Any]) -> Batch:
        purpose, _, _, code, codes, refused = b[:6]
        message, batch = self._answered(p, b, (n.P_UPLOAD, n.P_AGAIN))
        if message is None:
            return batch
        message.replies.append(p)
        items = message.sent[6][3]
        self._tells = [self.records[number] for number in items if number in self.records]
        if not judged(b):
            return batch
        if (codes and len(codes) != len(items)) or any(place >= len(items) for place in refused):
            batch.complain("odd_codes", p[0], said=len(codes), counted=len(items))
        for place, number in enumerate(items):
            r = self.records.get(number)
            if r is not None:
                r.was_refused = place in refused
                r.verdict = "refused" if r.was_refused else "accepted"
                r.code = codes[place] if place < len(codes) else code
                if purpose == n.P_AGAIN:
                    r.presented.append((p[0], r.code))
        return batch

    def _take_closed(self, p: list[Any], b: list[Any]) -> Batch:
        batch = self.present
        number, following = b[0], b[8]
        self._begin_at(batch, number)
        if number != batch.number:
            batch.complain("odd_batch", p[0], said=number, counted=batch.number)
        if batch.begun is None:
            batch.complain("odd_not_begun", p[0])
        check_closed(batch, p)
        batch.closed = p
        self._owners[p[0]] = batch
        self._tells = list(batch.counted.values())
        self.batches.append(Batch(following, p[0] + 1, p[0], self._config))
        return batch

    def _take_destroyed(self, p: list[Any], b: list[Any]) -> Batch:
        if self.first_seq and all(batch.number != b[0] for batch in self.batches):
            return self.present  # of a batch from before the file
        batch = self._latest(b[0])
        if batch.closed is None:
            batch.complain("odd_vault", p[0])
        batch.destroyed = p
        return batch

    def _take_unsettled(self, p: list[Any], b: list[Any]) -> Batch:
        r = self.records.get(b[3]) if b[1] == n.CAUSE_UPLOAD else None
        batch = r.batch if r is not None else self._latest(b[0])
        batch.unsettled.append(p)
        self._owners[p[0]] = batch
        return batch

    def _take_connect_fail(self, p: list[Any], b: list[Any]) -> Batch | None:
        if b[0] is not None:
            return None
        if self.present.begun is not None:
            return self.present
        # Nothing is being settled: a refused record of an older batch is being presented again.
        refused = [r for r in self.records.values() if r.verdict == "refused" and not r.written_off]
        return refused[-1].batch if refused else self.present

    def _take_slip(self, p: list[Any], b: list[Any]) -> Batch | None:
        number, slip = b[0], b[1]
        if slip in BATCH_SLIPS or (slip == n.SLIP_HUMAN and number in self._owners):
            batch = self.present if slip == n.SLIP_DETAIL and not number else self._owners.get(number)
            if batch is not None:
                batch.slips[number, slip] = p
                told = self.records.get(told_by(batch, number)) if number in self._owners else None
                self._tells = [told] if told is not None else []
            return batch
        return None

    def _begin_at(self, batch: Batch, number: int) -> None:
        unnamed = not batch.records and all(m.sent[6][0] == n.P_AGAIN for m in batch.messages)
        if not batch.whole and unnamed and batch.begun is None:
            batch.number = number  # the file begins within this one

    def _latest(self, number: int) -> Batch:
        return next((b for b in reversed(self.batches) if b.number == number), self.present)


_HANDLERS: dict[int, Any] = {
    n.CONFIG: Books._take_config,
    n.INTENT: Books._take_intent,
    n.REPLY: Books._take_reply,
    n.OUTCOME: Books._take_outcome,
    n.UNRESOLVED: Books._take_unresolved,
    n.REVERSAL_REPLY: Books._take_reversal_reply,
    n.HUMAN: Books._take_human,
    n.SETTLE_SENT: Books._take_sent,
    n.SETTLE_REPLY: Books._take_settle_reply,
    n.UPLOAD_REPLY: Books._take_upload_reply,
    n.BATCH_CLOSED: Books._take_closed,
    n.VAULT_DESTROYED: Books._take_destroyed,
    n.UNSETTLED: Books._take_unsettled,
    n.CONNECT_FAIL: Books._take_connect_fail,
    n.SLIP: Books._take_slip,
}
