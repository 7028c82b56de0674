"""One entry in one line of words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from posaudit.batches import judged
from posaudit.names import KINDS, well_shaped
from posaudit.texts import has, numbered, say
from posfw import numbers as n
from posfw.receipt.text import cause_text, code_text, find

# ISO 4217 numeric: (letters, digits after the point). Others are shown with their number and two digits.
_CURRENCIES = {
    "156": ("CNY", 2), "344": ("HKD", 2), "446": ("MOP", 2), "901": ("TWD", 2), "840": ("USD", 2), "978": ("EUR", 2),
    "826": ("GBP", 2), "392": ("JPY", 0), "410": ("KRW", 0), "702": ("SGD", 2), "764": ("THB", 2), "704": ("VND", 0),
}  # fmt: skip


@dataclass
class Context:
    """What the journal has said so far that later lines need: time zone and currency."""

    lang: str = "en"
    utc_offset_min: int = 0
    zone_known: bool = False
    currency: str = ""

    def take(self, payload: list[Any]) -> None:
        """Note a CONFIG entry."""
        if payload[1] == n.CONFIG and well_shaped(payload):
            self.utc_offset_min = max(-1439, min(1439, payload[6][6]))
            self.currency = payload[6][7]
            self.zone_known = True

    def time(self, rtc: int) -> str:
        """Local time of `rtc`, or "" if there is none."""
        if not 0 < rtc < 1 << 34:
            return ""
        zone = timezone(timedelta(minutes=self.utc_offset_min))
        return datetime.fromtimestamp(rtc, zone).strftime("%Y-%m-%d %H:%M:%S")

    def zone(self) -> str:
        """The offset from UTC as +hh:mm."""
        sign, minutes = ("-" if self.utc_offset_min < 0 else "+"), abs(self.utc_offset_min)
        return f"{sign}{minutes // 60:02}:{minutes % 60:02}"

    def when(self, payload: list[Any]) -> str:
        """When an entry was written: local time, or boot and seconds if the clock was not known."""
        shown = self.time(payload[4])
        if not shown:
            return f"boot {payload[2]} +{payload[3] / 1000:.1f} s"
        return shown + ("" if payload[5] > 1 else "~")  # ~ the clock was not set by anyone who knows


def money(amount: int, currency: str) -> str:
    """An amount in minor units as people write it."""
    letters, digits = _CURRENCIES.get(currency, (currency or "?", 2))
    if not digits:
        return f"{amount} {letters}"
    return f"{amount // 10**digits}.{amount % 10**digits:0{digits}} {letters}"


def span(ms: int) -> str:
    """Milliseconds as people read them."""
    if ms < 60_000:
        return f"{ms / 1000:.1f} s"
    seconds = ms // 1000
    return (
        f"{seconds // 60} min {seconds % 60} s" if seconds < 3600 else f"{seconds // 3600} h {seconds % 3600 // 60} min"
    )


def type_name(lang: str, kind: int) -> str:
    """The name of a transaction type."""
    return (find(lang, f"type{kind}") or f"type {kind}").lower()


def mode_name(lang: str, mode: int) -> str:
    """The name of an entry mode."""
    return (find(lang, f"mode{mode}") or f"mode {mode}").lower()


def decision_name(lang: str, decision: int) -> str:
    """What a human decided, in a sentence."""
    return find(lang, f"decision{decision}") or say(lang, "decision_unknown", decision=decision)


def slip_name(lang: str, slip: int) -> str:
    """The name of a slip."""
    return numbered(lang, "slip", slip)


def totals_text(lang: str, totals: list[int], currency: str) -> str:
    """Eight totals in one line; what is zero is left out."""
    parts = []
    for at, scheme, direction in PLACES:
        amount, count = totals[at : at + 2]
        if amount or count:
            names = say(lang, f"scheme{scheme}"), say(lang, f"direction{direction}")
            parts.append(
                say(
                    lang,
                    "totals_part",
                    scheme=names[0],
                    direction=names[1],
                    count=count,
                    amount=money(amount, currency),
                )
            )
    return ", ".join(parts) or say(lang, "totals_none")


# Where a total stands among the eight, scheme (0 domestic), direction (0 debit)
PLACES = ((0, 0, 0), (2, 0, 1), (4, 1, 0), (6, 1, 1))


def code_meaning(lang: str, code: str) -> str:
    """A response code with its meaning; a dash if there is none."""
    return say(lang, "code_meaning", code=code, meaning=code_text(lang, code)) if code else "-"


def how_closed(lang: str, how: int) -> str:
    """How a batch was closed."""
    return say(lang, f"how{how}") if has(f"how{how}") else say(lang, "how_other", how=how)


def _verdict(lang: str, verdict: int, code: str, ms: int, rrn: str = "", auth: str = "", refusal: str = "") -> str:
    key = refusal if refusal and verdict == n.V_REFUSED else f"verdict{verdict}"
    if not has(key):
        return say(lang, "verdict_unknown", verdict=verdict)
    nothing = say(lang, "none")
    refs = say(lang, "refs", rrn=rrn or nothing, auth=auth or nothing) if rrn or auth else ""
    meaning = code_text(lang, code) if code else nothing
    return say(lang, key, code=code or nothing, meaning=meaning, time=span(ms), refs=refs)


def _retry(lang: str, ms: int) -> str:
    return say(lang, "retry", time=span(ms)) if ms else ""


def describe(payload: list[Any], context: Context) -> str:
    """One line on an entry; a body this version does not know is shown as it is."""
    lang, kind, body = context.lang, payload[1], payload[6]
    if kind == n.SNAPSHOT:
        return say(lang, "snapshot")
    writer = _WRITERS.get(kind)
    if writer is None or not well_shaped(payload):
        return say(lang, "raw", body=_raw(body))
    return writer(lang, body, context)


def _raw(value: Any) -> str:
    if type(value) is bytes:
        return f"h'{value.hex()}'"
    if type(value) is list:
        return "[" + ", ".join(_raw(v) for v in value) + "]"
    return repr(value)


def _intent(lang: str, b: list[Any], c: Context) -> str:
    text = say(
        lang,
        "intent",
        type=type_name(lang, b[2]),
        amount=money(b[3], b[4]),
        pan=b[6],
        stan=f"{b[0]:06}",
        batch=f"{b[1]:06}",
    )
    if b[9] is not None:
        o = b[9]
        text += say(lang, "intent_original", stan=f"{o[2]:06}", batch=f"{o[1]:06}", amount=money(o[6], b[4]))
    return text


def _reply(lang: str, b: list[Any], c: Context) -> str:
    what = _verdict(lang, b[1], b[3], b[6], b[4], b[5])
    return say(lang, "reply" if b[0] is not None else "reply_stray", what=what)


def _outcome(lang: str, b: list[Any], c: Context) -> str:
    key = f"outcome{b[1]}"
    return say(lang, key if has(key) else "outcome_unknown", reason=b[3], outcome=b[1])


def _reversal_reply(lang: str, b: list[Any], c: Context) -> str:
    if b[1] == n.V_MATCHED:
        return say(lang, "reversal_done", code=b[2], meaning=code_text(lang, b[2]), time=span(b[4]))
    return say(lang, "reversal_reply", what=_verdict(lang, b[1], b[2], b[4], b[3]), retry=_retry(lang, b[5]))


def _slip(lang: str, b: list[Any], c: Context) -> str:
    phase = say(lang, f"phase{b[2]}", fault=numbered(lang, "fault", b[3])) if has(f"phase{b[2]}") else str(b[2])
    return say(lang, "slip", slip=slip_name(lang, b[1]), phase=phase)


def _clock(lang: str, b: list[Any], c: Context) -> str:
    key = f"clock{b[2]}"
    return say(lang, key if has(key) else "clock2", old=c.time(b[0]) or "?", new=c.time(b[1]) or "?")


def _signon(lang: str, b: list[Any], c: Context) -> str:
    meaning = code_text(lang, b[2]) if b[2] else say(lang, "none")
    if b[1] in (0, 1):
        return say(lang, f"signon{b[1]}", stan=f"{b[0]:06}", code=b[2], meaning=meaning)
    return say(lang, "signon", what=_verdict(lang, b[1], b[2], 0) + (f" ({b[2]}: {meaning})" if b[2] else ""))


def _config(lang: str, b: list[Any], c: Context) -> str:
    counting = ""
    if len(b) > 8:
        ways = [say(lang, f"count{way}", type=type_name(lang, i + 1)) for i, way in enumerate(b[8])]
        counting = say(lang, "counting", how=", ".join(ways))
    return say(lang, "config", terminal_id=b[0], tid=b[1], mid=b[2], merchant=b[3], profile=b[4], counting=counting)


def _connect_fail(lang: str, b: list[Any], c: Context) -> str:
    times = say(lang, "times", count=b[3]) if b[3] > 1 else ""
    what = say(lang, "connect_fail", stage=numbered(lang, "stage", b[1]), times=times, retry=_retry(lang, b[2]))
    return what if b[0] is not None else say(lang, "connect_fail_batch", what=what)


def _settle_sent(lang: str, b: list[Any], c: Context) -> str:
    purpose, batch, stan, items, _ = b
    key = f"settle_sent{purpose}" if has(f"settle_sent{purpose}") else "settle_sent"
    of_records = purpose in (n.P_UPLOAD, n.P_AGAIN)
    return say(
        lang, key, purpose=purpose, batch=f"{batch:06}", stan=f"{stan:06}",
        reason=numbered(lang, "by", items[0]) if purpose == n.P_BEGIN else "",
        totals=totals_text(lang, items, c.currency) if purpose == n.P_TOTALS else "",
        count=items[0] if purpose == n.P_END else len(items),
        records=" ".join(f"#{number}" for number in items) if of_records else "",
    )  # fmt: skip


def _begin(text: str) -> str:
    return text[:1].upper() + text[1:]


def _settle_reply(lang: str, b: list[Any], c: Context) -> str:
    purpose, _, verdict, code, flags, _, then, ms, retry = b
    said = ""
    if flags:
        said = say(
            lang, "flags", domestic=numbered(lang, "flag", flags[0]), international=numbered(lang, "flag", flags[1])
        )
    evidence = verdict in (n.V_LATE, n.V_DUPLICATE)
    return say(
        lang, "settle_reply", purpose=_begin(numbered(lang, "purpose", purpose)), flags=said,
        what=_verdict(lang, verdict, code, ms, refusal="refused_now"),
        then=say(lang, f"then{then}") if has(f"then{then}") and not evidence else "", retry=_retry(lang, retry),
    )  # fmt: skip


def _upload_reply(lang: str, b: list[Any], c: Context) -> str:
    purpose, _, verdict, code, codes, refused, ms, retry = b
    result = ""
    if judged(b) and refused:
        places = []
        for place in refused:
            one = code_meaning(lang, codes[place] if place < len(codes) else code)
            places.append(say(lang, "nth_record", place=place + 1, code=one))
        accepted = max(0, len(codes) - len(refused))
        result = say(lang, "upload_some", accepted=accepted, refused=", ".join(places))
    elif judged(b):
        result = say(lang, "upload_all", count=max(1, len(codes)))
    what = _verdict(lang, verdict, code, ms, refusal="refused_now" if retry else "refused_whole")
    name = _begin(numbered(lang, "purpose", purpose))
    return say(lang, "upload_reply", purpose=name, what=what, result=result, retry=_retry(lang, retry))


def _batch_closed(lang: str, b: list[Any], c: Context) -> str:
    return say(
        lang, "batch_closed", batch=f"{b[0]:06}", how=how_closed(lang, b[1]),
        totals=totals_text(lang, b[2], c.currency), uploaded=b[5], refused=b[6], unresolved=b[7], next=f"{b[8]:06}",
    )  # fmt: skip


def _unsettled(lang: str, b: list[Any], c: Context) -> str:
    batch, cause, code, number = b
    key = f"unsettled{cause}"
    if not has(key) or (cause == n.CAUSE_NOT_SETTLED and code):  # with a code it is the host's word, not the clock's
        key = "unsettled"
    said = say(lang, "with_code", code=code_meaning(lang, code)) if code else ""
    return say(
        lang, key, batch=f"{batch:06}", code=said, number=number, time=c.time(number) or "?",
        cause=cause_text(lang, "merchant", cause),
    )  # fmt: skip


def _boot(lang: str, b: list[Any], c: Context) -> str:
    return say(
        lang, "boot", firmware=b[0], cause=numbered(lang, "reset", b[1]), unclean=say(lang, "unclean") if b[2] else ""
    )


_WRITERS = {
    n.BOOT: _boot,
    n.CLOCK: _clock,
    n.CONFIG: _config,
    n.SIGNON: _signon,
    n.INTENT: _intent,
    n.REPLY: _reply,
    n.OUTCOME: _outcome,
    n.CONNECT_FAIL: _connect_fail,
    n.REVERSAL_SENT: lambda lang, b, c: say(lang, "reversal_sent", attempt=b[1], reason=b[2]),
    n.REVERSAL_REPLY: _reversal_reply,
    n.UNRESOLVED: lambda lang, b, c: say(lang, "unresolved", attempts=b[1]),
    n.HUMAN: lambda lang, b, c: say(lang, "human", name=b[2], decision=decision_name(lang, b[1]), reason=b[3]),
    n.SLIP: _slip,
    n.TAMPER: lambda lang, b, c: numbered(lang, "tamper", b[0]),
    n.EXPORT: lambda lang, b, c: say(lang, "export", role=numbered(lang, "role", b[1]), nonce=b[0].hex()),
    n.FAULT: lambda lang, b, c: say(lang, "fault_entry", area=numbered(lang, "area", b[0]), code=b[1], count=b[2]),
    n.SETTLE_SENT: _settle_sent,
    n.SETTLE_REPLY: _settle_reply,
    n.UPLOAD_REPLY: _upload_reply,
    n.BATCH_CLOSED: _batch_closed,
    n.VAULT_DESTROYED: lambda lang, b, c: say(lang, "vault_destroyed", batch=f"{b[0]:06}", moved=b[1]),
    n.UNSETTLED: _unsettled,
}  # fmt: skip


def kind_name(kind: int) -> str:
    """The name of an entry kind."""
    return KINDS.get(kind, f"KIND {kind}")
