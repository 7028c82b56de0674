"""The story of one batch, told in lines of text."""

from __future__ import annotations

from posaudit.batch_story import MOST_LINES, BatchStory, host_totals, odd_text
from posaudit.batches import Batch, Message, Record
from posaudit.describe import (
    PLACES,
    Context,
    code_meaning,
    describe,
    how_closed,
    money,
    slip_name,
    type_name,
)
from posaudit.findings import Report
from posaudit.settled import settled_lines
from posaudit.texts import has, numbered, say
from posfw import numbers as n
from posfw.receipt.text import cause_text


def lines(story: BatchStory, report: Report | None) -> list[str]:
    """The story as lines of text."""
    b, c = story.batch, story.context
    lang = c.lang
    out = [say(lang, "batch_title", batch=f"{b.number:06}", first=b.first, last=max(b.first, b.last))]
    if b.config:
        out.append(say(lang, "batch_where", tid=b.config[1], mid=b.config[2], merchant=b.config[3]))
    if not b.whole:
        out.append(say(lang, "batch_partial", seq=b.first))
    elif b.opened:
        i = b.opened[6]
        what = type_name(lang, i[2]), money(i[3], i[4])
        out.append(say(lang, "batch_opened", time=c.when(b.opened), seq=b.opened[0], type=what[0], amount=what[1]))
    else:
        out.append(say(lang, "batch_empty"))
    if b.odd:
        out += ["", say(lang, "head_findings"), *_cut(lang, ["  " + odd_text(o, c) for o in b.odd])]
    if b.events:
        out += ["", say(lang, "head_happened") + (f" (UTC{c.zone()})" if c.zone_known else "")]
    for p, own, proven in b.events:
        text = describe(p, c) if own else say(lang, "restart", what=describe(p, c))
        mark = say(lang, "unproven_mark") if proven is False else ""
        out.append(f"  #{p[0]:<6} {c.when(p):<20}  {mark}{text}")
    sections = [
        ("head_result", _standing(story)),
        ("head_counted", _counted(b, c)),
        ("head_messages", [_message(m, c) for m in b.messages] or [say(lang, "messages_none")]),
        ("head_records", _records(b, c)),
        ("head_anomalies", _anomalies(b, c)),
        ("head_slips", _slips(b, lang)),
        ("head_owed", _owed_lines(story)),
    ]
    for head, found in sections:
        out += ["", say(lang, head), *("  " + text for text in found)]
    seqs = " ".join(f"#{p[0]}" for p, _, _ in b.events) or "-"
    out += ["", say(lang, "head_evidence")]
    values = {"terminal": story.manifest.terminal_id, "journal": story.manifest.journal_id.hex()}
    out.append("  " + say(lang, "evidence_batch", seqs=seqs, **values))
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


def _cut(lang: str, found: list[str]) -> list[str]:
    return (
        found
        if len(found) <= MOST_LINES
        else [*found[:MOST_LINES], "  " + say(lang, "and_more", count=len(found) - MOST_LINES)]
    )


def _standing(story: BatchStory) -> list[str]:
    b, c = story.batch, story.context
    lang = c.lang
    if b.begun is None and b.closed is None:
        return [say(lang, "batch_open")]
    out = []
    if b.begun is not None:
        reason = numbered(lang, "by", b.begun[6][3][0])
        out.append(say(lang, "batch_begun", reason=reason, seq=b.begun[0], time=c.when(b.begun)))
    for p in b.decisions:
        if p[6][1] == n.HUMAN_BATCH_CLOSED:
            out.append(say(lang, "decided_batch", name=p[6][2], reason=p[6][3]))
    if b.closed is None:
        if b.messages:
            out.append(say(lang, "batch_reached", purpose=numbered(lang, "purpose", b.messages[-1].sent[6][0])))
        return out
    how, following = how_closed(lang, b.closed[6][1]), b.closed[6][8]
    out.append(say(lang, "batch_closed_at", how=how, time=c.when(b.closed), seq=b.closed[0], next=f"{following:06}"))
    if b.destroyed:
        values = {"time": c.when(b.destroyed), "seq": b.destroyed[0], "moved": b.destroyed[6][1]}
        out.append(say(lang, "batch_destroyed", **values))
    else:
        out.append(say(lang, "batch_not_destroyed"))
    return out


def _counted(b: Batch, c: Context) -> list[str]:
    lang = c.lang
    if b.config is None or len(b.config) < 9 or not b.config[8].strip("0"):
        return [say(lang, "counting_unknown" if b.config or b.whole else "counting_no_config")]
    totals, host = b.totals(), host_totals(b)
    out = []
    for at, scheme, direction in PLACES:
        amount, count = totals[at : at + 2]
        line = say(
            lang, "counted_line", scheme=say(lang, f"scheme{scheme}"), direction=say(lang, f"direction{direction}"),
            count=count, amount=money(amount, c.currency),
        )  # fmt: skip
        if host and host[at : at + 2] != [amount, count]:
            line = say(lang, "counted_host", line=line, count=host[at + 1], amount=money(host[at], c.currency))
        out.append(line)
    rest = len(b.records) - sum(1 for r in b.counted.values() if r.taken_out is None)
    if rest:
        out.append(say(lang, "counted_not", count=rest))
    return out


def _message(m: Message, c: Context) -> str:
    lang = c.lang
    purpose, _, stan, items, _ = m.sent[6]
    answer, failures = m.answer, m.failures
    if answer is not None:
        fate = say(lang, "fate_counted", code=code_meaning(lang, answer[6][3]), seq=answer[0])
        if failures:
            fate += say(lang, "fate_tries", count=failures)
    else:
        fate = say(lang, "fate_failed" if failures else "fate_none")
        if failures:
            fate += f" ({failures})"
    records = say(lang, "message_records", count=len(items)) if purpose in (n.P_UPLOAD, n.P_AGAIN) else ""
    values = {"purpose": numbered(lang, "purpose", purpose), "stan": f"{stan:06}", "records": records, "fate": fate}
    return say(lang, "message", seq=m.sent[0], **values)


def _records(b: Batch, c: Context) -> list[str]:
    lang = c.lang
    counted = list(b.counted.values())
    ever = [r for r in counted if r.verdict == "refused" or r.presented]
    out = [
        say(
            lang, "records_line", counted=len(counted), refused=len(ever),
            taken=sum(1 for r in counted if r.verdict == "accepted"),
            again=sum(1 for r in ever if r.verdict == "accepted"), written=sum(1 for r in ever if r.written_off),
        )
    ]  # fmt: skip
    shown = [r for r in b.records.values() if r in ever or r.place == "no_batch"]
    return out + _cut(lang, [_record(r, c) for r in shown])


def _record(r: Record, c: Context) -> str:
    fate = " ".join(settled_lines(r, c))
    stan, kind, amount = f"{r.body[0]:06}", type_name(c.lang, r.body[2]), money(r.body[3], r.body[4])
    return say(c.lang, "record_line", number=r.number, stan=stan, type=kind, amount=amount, pan=r.body[6], fate=fate)


def _anomalies(b: Batch, c: Context) -> list[str]:
    lang = c.lang
    out = [f"#{p[0]} {describe(p, c)}" for p in b.unsettled]
    for cause in dict.fromkeys(p[6][1] for p in b.unsettled):
        for audience in ("merchant", "technician"):
            out.append(f"  {say(lang, 'for_' + audience)}: {cause_text(lang, audience, cause)}")
    return out or [say(lang, "batch_anomalies_none")]


def _slips(b: Batch, lang: str) -> list[str]:
    out = []
    for (number, slip), p in b.slips.items():
        key = "slip_printed" if p[6][2] == n.PRINT_DONE else "slip_failed"
        out.append(say(lang, key, slip=slip_name(lang, slip), number=number))
    return out or [say(lang, "slips_none")]


def _owed_lines(story: BatchStory) -> list[str]:
    b, c = story.batch, story.context
    lang = c.lang
    if story.owed is None:
        return [say(lang, "no_state", seq=story.replay_failed_at)]
    out = []
    for item in story.owed:
        what = item["what"]
        if what == "slip":
            out.append(say(lang, "owed_slip_of", slip=slip_name(lang, item["slip"]), number=item["number"]))
        elif what == "settlement":
            key = f"phase_settle{item['phase']}"
            out.append(say(lang, "owed_settlement", phase=say(lang, key) if has(key) else item["phase"]))
        elif what == "vault":
            out.append(say(lang, "owed_vault"))
        else:
            r = b.records[item["txn"]]
            stan = f"{r.body[0]:06}"
            if what == "refused":
                code = code_meaning(lang, item["code"])
                out.append(say(lang, "owed_refused", number=r.number, stan=stan, code=code))
            else:
                amount = money(r.body[3], r.body[4])
                out.append(say(lang, "owed_reversal_of", number=r.number, stan=stan, amount=amount))
    return out or [say(lang, "owed_nothing")]
