"""The reversal: a debt that ends only with an accepted reversal or a signed human decision (M3 to M6)."""

from posfw import numbers as n
from posfw import overlay
from posfw.engine import diagnosis
from posfw.engine.retry import backoff
from posfw.engine.state import OPEN, OWED, STUCK
from posfw.hal import STAGE_SIGN_ON
from posfw.micro import const

_UNDO = const(2)
_DAY_MS = const(86400000)


def reverse(state, profile, now, txn, rnd, step=0):
    """An owed reversal's time has come: connect first, so that a failed connection is never counted as an attempt (M4).

    Without a common working key it could only fail, so the terminal signs on first, once the line is there. step: 1 the
    line is there, 2 the sign-on was tried just now.
    """
    if profile.sign_on_required and not state.signed_on:
        if step == 0:
            return [], [("dial", txn)]
        if step == 1:
            return [], [("again", ("signon",)), ("again", ("reverse", txn, rnd, 2))]
        return [], [("no_key", txn)]
    return [], [("show", "reversal_sending"), ("connect", txn)]


def connected(state, profile, now, txn):
    """The host is there: the attempt is journaled, then sent."""
    t = state.txns[txn]
    return [(n.REVERSAL_SENT, [txn, t.attempts + 1, t.reason])], [("send", _UNDO, txn)]


def connect_failed(state, profile, now, txn, stage, rnd, count):
    """No byte reached the host, `count` times since the last entry said so. A request ends here, nobody was charged; a
    reversal waits. Only every doubling of the failures is journaled: a line dead for weeks must not fill the ring."""
    t = state.txns[txn]
    if t.phase == OPEN:
        return [
            (n.CONNECT_FAIL, [txn, stage, 0, 1]),
            (n.OUTCOME, [txn, n.NOT_SENT, n.CAUSE_LINK_DOWN, "", 0]),
        ], [("done", False, "link_down", txn)]
    tries = t.fails + count - 1
    if t.phase == STUCK:
        wait = _slow(t, profile, rnd)
    elif stage == STAGE_SIGN_ON or t.sending:
        # Each of these tries costs entries, unlike a dial: their pace falls to one a day.
        wait = backoff(tries, profile.retry_base_ms, max(profile.retry_max_ms, _DAY_MS), rnd)
    else:
        wait = backoff(tries, profile.retry_base_ms, profile.retry_max_ms, rnd)
    if not t.sending and count < t.fails:
        return [], [("hold", txn, wait, count), ("show", "link_down")]
    return [(n.CONNECT_FAIL, [txn, stage, wait, count])], [("hold", txn, 0, 0), ("show", "link_down")]


def mac_lost(state, profile, now, txn, rnd, count):
    """The working key cannot be used: a sign-on may bring another. Paced as a failed connection is."""
    drafts, effects = connect_failed(state, profile, now, txn, STAGE_SIGN_ON, rnd, count)
    if state.signed_on:
        drafts = [(n.SIGNON, [state.txns[txn].stan, n.V_REFUSED, "", ""])] + drafts  # noqa: RUF005 - no star on the device
    return drafts, effects


def _slow(t, profile, rnd):
    """The pace of an unresolved reversal: from the profile's slow one, doubling, to once a day."""
    tries = max(0, t.attempts - profile.attempts) + t.bad
    return backoff(tries, profile.retry_slow_ms, max(profile.retry_slow_ms, _DAY_MS), rnd)


def replied(state, profile, now, txn, verdict, fields, rnd):
    """What became of a reversal that may have reached the host."""
    t = state.txns[txn]
    code = fields.get(39, "")
    if verdict == n.V_MATCHED and not profile.accepts_reversal(code):
        verdict = n.V_REFUSED
    took = max(0, now[0] - t.due)
    if verdict == n.V_MATCHED:
        return [(n.REVERSAL_REPLY, [txn, verdict, code, fields.get(37, ""), took, 0])], [
            ("show", "reversal_done"),
            ("again", ("print", txn, n.SLIP_REVERSED)),
        ]
    used_up = t.attempts >= profile.attempts or verdict == n.V_DATA_LOST
    if used_up or t.phase == STUCK:
        wait = _slow(t, profile, rnd)
    else:
        wait = backoff(t.attempts, profile.retry_base_ms, profile.retry_max_ms, rnd)
    drafts = [(n.REVERSAL_REPLY, [txn, verdict, code, fields.get(37, ""), took, wait])]
    if verdict == n.V_BAD_MAC or profile.wants_sign_on(code):
        drafts.append((n.SIGNON, [t.stan, n.V_REFUSED, code, ""]))
    if not used_up or t.phase != OWED:
        return drafts, []
    # M5: the terminal has done its share. The debt stays, and two people hold a slip that says so.
    cause = diagnosis.of_verdict(verdict, state, profile)
    if verdict == n.V_REFUSED:
        cause = n.CAUSE_HOST_BUSY if profile.is_busy(code) else n.CAUSE_REVERSAL_REFUSED
    drafts.append((n.UNRESOLVED, [txn, t.attempts, cause]))
    return drafts, [
        ("show", "reversal_unresolved"),
        ("again", ("print", txn, n.SLIP_UNRESOLVED_CUSTOMER)),
        ("again", ("print", txn, n.SLIP_UNRESOLVED_MERCHANT)),
    ]


def human(state, profile, now, txn, decision, name, reason, signed):
    """A named human takes the debt over. The caller has checked the signature; the journal keeps it."""
    if decision >= n.HUMAN_WRITTEN_OFF:
        overlay.use(overlay.BATCH)
        from posfw.engine import batch_care

        return batch_care.human(state, profile, now, txn, decision, name, reason, signed)
    t = state.txns.get(txn)
    if t is None or t.phase != STUCK:
        return [], [("done", False, "original_not_found", txn)]
    return [(n.HUMAN, [txn, decision, name, reason, signed])], [
        ("again", ("print", txn, n.SLIP_HUMAN)),
        ("done", True, "reversal_done", txn),
    ]


HANDLERS = {
    "reverse": reverse,
    "connected": connected,
    "connect_failed": connect_failed,
    "mac_lost": mac_lost,
    "reversal_replied": replied,
    "human": human,
}
