"""What a slip says, gathered from transaction or batch, the configuration and the profile."""

from posfw import numbers as n
from posfw.codec.civil import civil


def of(profile, config, t, seq, head, reprint):
    """The facts dict of posfw.receipt.slips.render for a transaction's slip. config: the body of the CONFIG entry it
    was made under; t: a posfw.engine.state.Txn; seq, head: the SLIP entry's number and the chain head after it."""
    what = _common(profile, config, seq, head, reprint)
    what.update(
        {
            "operator": t.operator,
            "batch": t.batch,
            "stan": t.stan,
            "rrn": t.rrn,
            "auth": t.auth,
            "amount": t.amount,
            "currency": t.currency,
            "type": t.type,
            "mode": t.mode,
            "scheme": t.scheme,
            "pan": t.pan,
            "aid": t.aid,
            "time": _time(profile, t.rtc),
            "cause": t.cause,
            "code": t.code,
            "reason": t.reason,
            "attempts": t.attempts,
            "original_stan": t.original[2] if t.original else None,
            "decision": t.decision or None,
            "name": t.decided_by,
        }
    )
    return what


def of_batch(profile, state, config, entry, t, seq, head, reprint):
    """The facts of a batch's slip. config: the CONFIG body it was sold under; entry: the decoded entry it is about, or
    None for the batch that is open now; t: the Txn of a refused record, or None."""
    if t is not None:
        what = of(profile, config, t, seq, head, reprint)
    else:
        what = _common(profile, config, seq, head, reprint)
        what["currency"] = config[7]
    kind, body = (entry[1], entry[6]) if entry is not None else (0, ())
    if t is None:
        what["time"] = _time(profile, entry[4] if entry is not None else state.rtc)
    if kind == n.BATCH_CLOSED:
        names = ("batch", "how", "totals", "host_totals", "flags", "uploaded", "refused", "unresolved", "next_batch")
        for name, value in zip(names, body):  # noqa: B905 - MicroPython's zip has no strict
            what[name] = value
        return what
    if kind == n.HUMAN:
        what["decision"], what["name"] = body[1], body[2]
        return what
    what["batch"] = state.batch
    if kind == n.UNSETTLED:
        what["batch"], what["cause"], what["code"] = body[:3]
        if body[1] == n.CAUSE_NOT_SETTLED and not body[2]:
            what["opened"] = _time(profile, body[3])
        elif t is None:
            what["attempts"] = body[3]
    if what["batch"] == state.batch and t is None:
        what["totals"] = list(state.totals)
        if state.settle is not None:
            what["host_totals"], what["flags"] = state.settle.host, state.settle.flags
    return what


def _common(profile, config, seq, head, reprint):
    acquirer = profile.acquirer
    return {
        "terminal_id": config[0],
        "tid": config[1],
        "mid": config[2],
        "merchant": config[3],
        "acquirer": acquirer.get("zh") or acquirer.get("en"),
        "phone": acquirer.get("phone"),
        "seq": seq,
        "head": head[:8].hex() if head else None,
        "reprint": reprint,
    }


def _time(profile, rtc):
    return civil(rtc, profile.utc_offset_min) if rtc else None
