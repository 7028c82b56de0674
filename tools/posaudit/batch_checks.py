"""What must be true of a batch when it is told to the host and when it is closed; what is not is noted in it."""

from __future__ import annotations

from typing import Any

from posaudit.batches import AGREED, UPLOAD_CHIP, Batch, Record
from posfw import numbers as n


def check_totals(batch: Batch, p: list[Any], said: list[int]) -> None:
    """Totals in entry `p` against those of the entries before it."""
    counted = batch.totals()
    if said != counted:
        batch.complain("odd_totals", p[0], said=said, counted=counted)


def check_upload(batch: Batch, p: list[Any], items: list[int]) -> list[Record]:
    """The records of an upload message, each counted as sent."""
    found = []
    for number in items:
        r = batch.counted.get(number)
        if r is None or r.taken_out is not None:
            batch.complain("odd_uncounted", p[0], number=number)
            continue
        if r.verdict == "accepted":
            batch.complain("odd_again", p[0], number=number)
        r.sent += 1
        found.append(r)
    return found


def check_closed(batch: Batch, p: list[Any]) -> None:
    """BATCH_CLOSED: its numbers, and who agreed to it."""
    _, how, totals, _, _, uploaded, refused, unresolved, _ = p[6]
    check_totals(batch, p, totals)
    if how != n.CLOSED_BY_HUMAN:
        asked = [m.answer for m in batch.messages if m.sent[6][0] in (n.P_TOTALS, n.P_END)]
        agreed = any(answer is not None and answer[6][6] == AGREED for answer in asked)
        balanced = batch.asked == UPLOAD_CHIP and not batch.uploadable()  # and no chip record to follow
        if not agreed and not balanced:
            batch.complain("odd_agreed", p[0])
        for r in batch.uploadable():
            if not r.verdict:
                batch.complain("odd_not_judged", p[0], number=r.number)
    elif not any(_closes(decision, batch) for decision in batch.decisions):
        batch.complain("odd_nobody", p[0])
    verdicts = ["" if r.written_off and r.was_refused else r.verdict for r in batch.counted.values()]
    owed = sum(1 for r in batch.records.values() if r.state in ("reversal_owed", "unresolved"))
    for what, said, counted in (
        ("what_uploaded", uploaded, verdicts.count("accepted")),
        ("what_refused", refused, verdicts.count("refused")),
        ("what_unresolved", unresolved, owed),
    ):
        if said != counted:
            batch.complain("odd_numbers", p[0], what=what, said=said, counted=counted)


def _closes(decision: list[Any], batch: Batch) -> bool:
    """True if a HUMAN entry is decision 5 on this batch's settlement."""
    named, what = decision[6][:2]
    return bool(what == n.HUMAN_BATCH_CLOSED and batch.begun is not None and named == batch.begun[0])


def told_by(batch: Batch, number: int) -> int:
    """The one record that an anomaly or a decision is about, by that entry's number; -1: none."""
    for p in (*batch.unsettled, *batch.decisions):
        if p[0] == number and p[1] == n.UNSETTLED and p[6][1] == n.CAUSE_UPLOAD:
            return int(p[6][3])
        if p[0] == number and p[1] == n.HUMAN and p[6][1] == n.HUMAN_WRITTEN_OFF:
            return int(p[6][0])
    return -1
