"""Sale, void, refund, pre-authorisation, completion: from the request to a known or an owed outcome (M1, M2, M6,
M7, M10).
"""

from posfw import numbers as n
from posfw.engine import diagnosis, gate
from posfw.engine.fold import APPROVED_SLIPS
from posfw.engine.request import check, masked, secret
from posfw.engine.retry import backoff
from posfw.engine.state import OPEN, OWED
from posfw.micro import const

_PAY = const(1)


def pay(state, profile, now, request, room, rnd, ref, tried):
    """A request for money.

    request: see posfw.engine.request. room: sectors the journal can still open. rnd: a random uint. ref: 8 random
    bytes.
    tried: transactions whose reversal was already tried for this request; () at first.
    """
    if gate.went_back(state, profile, now):
        return [(n.CLOCK, [state.rtc, now[1], 1])], [_refuse("clock_back")]
    key = gate.standing(state, profile, now, room) or check(request, profile)
    if key is None and profile.settles and gate.too_much(state, request["amount"]):
        key = "batch_limit"
    if key:
        return [], [_refuse(key)]
    # Owed reversals go out before any other financial message (M3).
    for t in state.debts:
        if t.txn not in tried and (t.phase == OWED or t.due <= now[0]):
            again = ("pay", request, room, rnd, ref, tuple(tried) + (t.txn,))  # noqa: RUF005 - as fast on the device
            return [], [("again", ("reverse", t.txn, rnd)), ("again", again)]
    key = gate.debts(state, profile)
    if key:
        return [], [_refuse(key)]
    if state.shred and not state.intents and 0 not in tried:
        # What the closed batch leaves behind moves to this one's key first; where that fails, it is tried again.
        again = ("pay", request, room, rnd, ref, tuple(tried) + (0,))  # noqa: RUF005
        return [], [("again", ("destroy", state.shred[0])), ("again", again)]
    card = request["card"]
    body = [
        state.stan,
        state.batch,
        request["type"],
        request["amount"],
        profile.currency,
        card["mode"],
        masked(card["pan"]),
        card.get("scheme", 0),
        card.get("aid", ""),
        request.get("original"),
        request.get("operator", ""),
        ref,
    ]
    return [(n.INTENT, body, secret(card, profile.icc_tags))], [("show", "connecting"), ("send", _PAY, None)]


def replied(state, profile, now, txn, verdict, fields, rnd):
    """What became of the request of `txn`: the verdict of posfw.acquirer.matching and the reply's fields."""
    t = state.txns[txn]
    took = max(0, now[0] - t.due)
    code = fields.get(39, "")
    if verdict == n.V_MATCHED and not code:
        verdict = n.V_GARBLED  # ours, and it says nothing
    entry = (n.REPLY, [txn, verdict, _number(fields, 11), code, fields.get(37, ""), fields.get(38, ""), took])
    if verdict == n.V_MATCHED:
        if profile.is_approved(code):
            return [entry], [("card", txn)]
        cause = diagnosis.of_code(code, profile)
        if profile.must_reverse(code):
            return [entry, owe(profile, txn, n.UNKNOWN, cause, profile.reason("other"), rnd)], [
                _print(txn, n.SLIP_PENDING),
                ("done", False, "unknown_outcome", txn),
            ]
        drafts = [entry, (n.OUTCOME, [txn, n.DECLINED, cause, "", 0])]
        if profile.wants_sign_on(code):
            drafts.append((n.SIGNON, [t.stan, n.V_REFUSED, code, ""]))
        return drafts, [
            _print(txn, n.SLIP_DECLINED),
            ("done", False, "declined", txn),
        ]
    cause = diagnosis.of_verdict(verdict, state, profile)
    return [entry, owe(profile, txn, n.UNKNOWN, cause, _reason(profile, verdict), rnd)], [
        _print(txn, n.SLIP_PENDING),
        ("done", False, "unknown_outcome", txn),
    ]


def card_done(state, profile, now, txn, accepted, rnd):
    """The card's last word on an approved reply: TC, or AAC, which owes a reversal (M7)."""
    if accepted:
        return [(n.OUTCOME, [txn, n.APPROVED, n.CAUSE_NONE, "", 0])], [
            _print(txn, APPROVED_SLIPS[state.txns[txn].type]),
            ("done", True, "approved", txn),
        ]
    return [owe(profile, txn, n.CANCELLED, n.CAUSE_TERMINAL, profile.reason("fault"), rnd)], [
        _print(txn, n.SLIP_PENDING),
        ("done", False, "unknown_outcome", txn),
    ]


def cancel(state, profile, now, rnd):
    """The merchant cancels the last approved transaction before anything else happened: a reversal is owed (M7)."""
    txn = state.last_approved
    if txn is None or txn != state.last_intent or state.txns[txn].batch != state.batch:
        return [], [_refuse("original_not_found")]  # something came after it: that is what a void is for
    if state.debts:
        return [], [_refuse("reversal_pending_block")]
    return [owe(profile, txn, n.CANCELLED, n.CAUSE_CANCELLED, profile.reason("fault"), rnd)], [
        _print(txn, n.SLIP_PENDING),
        ("done", True, "cancelled", txn),
    ]


def stray(state, profile, now, fields):
    """A reply that is well formed and authentic and answers nothing that is waited for: late, twice, or not ours
    (M6).
    """
    stan = _number(fields, 11)
    if not fields:
        return [], []
    for t in state.txns.values():
        if t.stan == stan and profile.offers(t.type):
            if fields[0] != profile.reply_mti(t.type):
                if not t.owes_reversal:
                    return [], []
                # A late reply to its reversal: evidence. The reversal goes out again and is accepted again.
                late = [t.txn, n.V_LATE, fields.get(39, ""), fields.get(37, ""), 0, t.wait]
                return [(n.REVERSAL_REPLY, late)], []
            if t.phase == OPEN:  # our number with another's amount or terminal, or the same reply again
                again = n.V_DUPLICATE if t.verdict == n.V_MATCHED else n.V_MISMATCH
                return [_stray(t.txn, again, stan, fields, 0)], []
            late = t.owes_reversal or t.outcome in (n.UNKNOWN, n.CANCELLED)
            took = max(0, (now[1] - t.rtc) * 1000) if late else 0
            return [_stray(t.txn, n.V_LATE if late else n.V_DUPLICATE, stan, fields, took)], []
    known = state.settle is not None and state.settle.stan == stan  # its message is tried again and answered again
    return [_stray(None, n.V_DUPLICATE if known else n.V_MISMATCH, stan, fields, 0)], []


def unsendable(state, profile, now, txn, key):
    """The request could not be built or its MAC not made: nothing was sent."""
    return [(n.OUTCOME, [txn, n.NOT_SENT, n.CAUSE_TERMINAL, "", 0])], [("done", False, key, txn)]


def conclude_open(state, profile, now, rnd, refused):
    """An outcome that could not be journaled when it was due (flash fault, journal full) is still owed.

    refused: the card, asked in this boot, did not accept the approval.
    """
    t = state.txns[state.current]
    if refused:
        return [owe(profile, t.txn, n.CANCELLED, n.CAUSE_TERMINAL, profile.reason("fault"), rnd)], []
    return [conclude(state, profile, t, rnd, n.CAUSE_NOT_RECORDED)], []


def conclude(state, profile, t, rnd, otherwise=n.CAUSE_POWER):
    """The OUTCOME draft of a transaction found open: what is durable counts, the rest is owed.

    otherwise: the cause where no evidence of the exchange is durable.
    """
    if t.verdict == n.V_MATCHED and not profile.must_reverse(t.code):
        if profile.is_approved(t.code):
            return (n.OUTCOME, [t.txn, n.APPROVED, n.CAUSE_NONE, "", 0])
        return (n.OUTCOME, [t.txn, n.DECLINED, diagnosis.of_code(t.code, profile), "", 0])
    if t.fails and t.phase == OPEN and not t.verdict:
        return (n.OUTCOME, [t.txn, n.NOT_SENT, n.CAUSE_LINK_DOWN, "", 0])
    verdict = t.verdict or n.V_SILENCE
    cause = otherwise if not t.verdict else diagnosis.of_verdict(verdict, state, profile)
    if verdict == n.V_MATCHED:
        cause = diagnosis.of_code(t.code, profile)
    return owe(profile, t.txn, n.UNKNOWN, cause, _reason(profile, verdict), rnd)


def owe(profile, txn, outcome, cause, reason, rnd):
    """The OUTCOME draft that makes a reversal owed."""
    return (n.OUTCOME, [txn, outcome, cause, reason, backoff(0, profile.retry_base_ms, profile.retry_max_ms, rnd)])


def _reason(profile, verdict):
    if verdict in (n.V_SILENCE, n.V_SEND_FAILED, n.V_PARTIAL):
        return profile.reason("silence")
    return profile.reason("bad_mac" if verdict == n.V_BAD_MAC else "other")


def _stray(txn, verdict, stan, fields, took):
    return (n.REPLY, [txn, verdict, stan, fields.get(39, ""), fields.get(37, ""), fields.get(38, ""), took])


def _number(fields, field):
    value = fields.get(field, "")
    return int(value) if value.isdigit() else None


def _print(txn, slip):
    return ("again", ("print", txn, slip))


def _refuse(key):
    return ("done", False, key, None)


HANDLERS = {
    "pay": pay,
    "replied": replied,
    "card_done": card_done,
    "cancel": cancel,
    "stray": stray,
    "unsendable": unsendable,
    "conclude": conclude_open,
}
