"""What a slip says, gathered from the transaction, the configuration and the profile."""

from posfw.codec.civil import civil


def of(profile, config, t, seq, head, reprint):
    """The facts dict of posfw.receipt.slips.render. config: the body of the CONFIG entry it was
    made under; t: a posfw.engine.state.Txn; seq, head: the SLIP entry's number
    and the
    chain head after it."""
    acquirer = profile.acquirer
    return {
        "terminal_id": config[0],
        "tid": config[1],
        "mid": config[2],
        "merchant": config[3],
        "acquirer": acquirer.get("zh") or acquirer.get("en"),
        "phone": acquirer.get("phone"),
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
        "time": civil(t.rtc, profile.utc_offset_min) if t.rtc else None,
        "cause": t.cause,
        "code": t.code,
        "reason": t.reason,
        "attempts": t.attempts,
        "original_stan": t.original[2] if t.original else None,
        "decision": t.decision or None,
        "name": t.decided_by,
        "seq": seq,
        "head": head[:8].hex() if head else None,
        "reprint": reprint,
    }
