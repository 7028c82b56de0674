"""state = fold(entries): one function that turns an entry into the change it means.

Knows no profile and no clock: whatever a decision depended on was written into the entry. The terminal, the simulator
and the auditor run this same code. Settlement's entries are folded by posfw.engine.batch_fold, loaded when one comes.
"""

from posfw import numbers as n
from posfw import overlay
from posfw.engine import diagnosis
from posfw.engine.batch import AGAIN, count
from posfw.engine.retry import rtt_update
from posfw.engine.sequence import following
from posfw.engine.state import CLOSED, OWED, STUCK, Txn
from posfw.micro import const

# The slip of an approved transaction, by type
APPROVED_SLIPS = (0, n.SLIP_SALE, n.SLIP_VOID, n.SLIP_REFUND, n.SLIP_PREAUTH, n.SLIP_COMPLETION, n.SLIP_VOID)
_PRINT_RETRY_MS = const(1000)
_PRINT_RETRY_MAX_MS = const(14400000)  # a printer that fails for good must not fill the journal


def apply(state, payload):
    """Fold one decoded payload [seq, kind, boot, ms, rtc, rtc_quality, body] into `state`."""
    seq, kind, _, ms, rtc, quality, body = payload
    state.seq = seq + 1
    state.ms = ms
    handler = _HANDLERS.get(kind)
    if handler is None and (n.SETTLE_SENT <= kind <= n.VAULT_DESTROYED or kind == n.UNSETTLED):
        overlay.use(overlay.BATCH)
        from posfw.engine import batch_fold

        handler = batch_fold.HANDLERS[kind]
    if handler is not None:
        handler(state, payload, body)
    if kind != n.CLOCK and quality and rtc > state.rtc and not state.clock_bad:
        state.rtc = rtc  # forward only: CLOCK entries alone set it back


def _boot(state, payload, body):
    state.boot = payload[2]
    state.restart_clock(payload[3])


def _clock(state, payload, body):
    state.clock_bad = body[2] == 1
    if not state.clock_bad:
        state.rtc = body[1]


def _config(state, payload, body):
    state.config = body
    state.signed_on = False
    # What was sold under other numbers cannot be taken back under these.
    last, state.last_approved = state.last_approved, None
    state.forget_done(last)


def _snapshot(state, payload, body):
    # At run time the state already is what its own SNAPSHOT says; loading is for boot and for the auditor.
    if state.config is None:
        state.load(body)


def _consume_stan(state, stan):
    state.stan = following(stan)
    state.stans_used += 1


def _signon(state, payload, body):
    stan, verdict = body[0], body[1]
    if verdict == n.V_SENDING:
        # The host may change the working key and its reply may be lost: until it is here, there is no common key.
        _consume_stan(state, stan)
        state.signed_on = False
    else:
        state.signed_on = verdict == n.V_MATCHED


def _intent(state, payload, body):
    _consume_stan(state, body[0])
    state.intents += 1
    t = Txn()
    t.txn = payload[0]
    (t.stan, t.batch, t.type, t.amount, t.currency, t.mode) = body[:6]
    (t.pan, t.scheme, t.aid, t.original, t.operator, t.vault) = body[6:]
    t.rtc = payload[4]
    if not state.opened:
        state.opened = t.rtc
    t.due = payload[3]  # until an outcome is known: when the request was made, for the round trip
    state.txns[t.txn] = t
    state.current = state.last_intent = t.txn


def _reply(state, payload, body):
    txn, verdict, _, code, rrn, auth, duration = body
    t = state.txns.get(txn)
    if verdict in (n.V_MATCHED, n.V_LATE):
        state.srtt, state.rttvar = rtt_update(state.srtt, state.rttvar, duration)
    if t is None or verdict == n.V_DUPLICATE:
        return
    if verdict == n.V_LATE:
        # Evidence, never an approval: the references help the bank, the cause gets better.
        t.rrn, t.auth = t.rrn or rrn, t.auth or auth
        t.cause = diagnosis.after_late_reply(t.cause)
        return
    t.verdict = verdict
    if verdict == n.V_MATCHED:
        t.code, t.rrn, t.auth = code, rrn, auth


def _outcome(state, payload, body):
    txn, outcome, cause, reason, retry_in = body
    t = state.txns[txn]
    if outcome == n.APPROVED:
        count(state.totals, state.config, t, 1)
    elif t.outcome == n.APPROVED:
        count(state.totals, state.config, t, -1)  # cancelled: only the present batch's last one can be
    t.outcome, t.cause, t.reason = outcome, cause, reason
    t.phase = CLOSED
    state.current = None
    if outcome == n.APPROVED:
        previous, state.last_approved = state.last_approved, txn
        state.forget_done(previous)
        _owe_slip(state, txn, APPROVED_SLIPS[t.type])
    elif outcome == n.DECLINED:
        _owe_slip(state, txn, n.SLIP_DECLINED)
    elif outcome in (n.UNKNOWN, n.CANCELLED):
        t.phase = OWED
        _wait(t, payload, retry_in)
        if state.last_approved == txn:
            state.last_approved = None
        # A slip that said "approved" and never came out must not come out now.
        _drop_slips(state, txn)
        _owe_slip(state, txn, n.SLIP_PENDING)
    state.forget_done(txn)


def _connect_fail(state, payload, body):
    txn, _, retry_in, times = body
    if txn is None:
        overlay.use(overlay.BATCH)
        from posfw.engine import batch_fold

        batch_fold.connect_fail(state, payload, body)
        return
    t = state.txns[txn]
    t.fails += times
    if t.sending:
        # The connection broke before the first byte: the attempt that was announced did not take place.
        t.sending = False
        t.attempts -= 1
    if t.owes_reversal:
        _wait(t, payload, retry_in)


def _reversal_sent(state, payload, body):
    t = state.txns[body[0]]
    t.attempts = body[1]
    t.sending = True
    t.due = payload[3]  # until the answer: when it was sent


def _reversal_reply(state, payload, body):
    txn, verdict, _, rrn, duration, retry_in = body
    t = state.txns[txn]
    if verdict == n.V_LATE:
        return
    t.sending = False
    if verdict in (n.V_MATCHED, n.V_REFUSED):
        state.srtt, state.rttvar = rtt_update(state.srtt, state.rttvar, duration)
    if verdict == n.V_MATCHED:
        t.rrn = t.rrn or rrn
        _close_debt(state, t, n.SLIP_REVERSED)
        return
    if verdict == n.V_SILENCE:
        t.silences += 1
    else:
        t.bad += 1
    _wait(t, payload, retry_in)


def _unresolved(state, payload, body):
    t = state.txns[body[0]]
    t.phase = STUCK
    t.cause = body[2] or t.cause
    _drop_slips(state, t.txn)
    _owe_slip(state, t.txn, n.SLIP_UNRESOLVED_CUSTOMER)
    _owe_slip(state, t.txn, n.SLIP_UNRESOLVED_MERCHANT)


def _human(state, payload, body):
    if body[1] >= n.HUMAN_WRITTEN_OFF:
        overlay.use(overlay.BATCH)
        from posfw.engine import batch_fold

        batch_fold.human(state, payload, body)
        return
    t = state.txns[body[0]]
    closing = state.settle is not None and state.settle.phase != AGAIN
    if body[1] == n.HUMAN_CHARGED and t.batch == state.batch and not closing:
        count(state.totals, state.config, t, 1)  # it stands at the acquirer, so it stands in the totals
    t.phase, t.decision, t.decided_by = CLOSED, body[1], body[2]
    # The slip of the decision is the merchant's; the customer's own paper stays owed beside it.
    state.slips = [s for s in state.slips if s[0] != t.txn or s[1] == n.SLIP_UNRESOLVED_CUSTOMER]
    _owe_slip(state, t.txn, n.SLIP_HUMAN)


def _slip(state, payload, body):
    txn, kind, phase, _ = body
    for slip in state.slips:
        if slip[0] == txn and slip[1] == kind:
            if phase == n.PRINT_STARTED:
                slip[2] += 1
            elif phase == n.PRINT_FAILED:
                slip[3] = payload[3] + min(_PRINT_RETRY_MS << min(slip[2], 16), _PRINT_RETRY_MAX_MS)
            else:
                state.slips.remove(slip)
            break
    state.forget_done(txn)


def _tamper(state, payload, body):
    state.tampered = True


def _fault(state, payload, body):
    state.faults += body[2]


def _wait(t, payload, delay):
    t.wait = delay
    t.due = payload[3] + delay


def _owe_slip(state, txn, kind):
    state.slips.append([txn, kind, 0, 0])


def _drop_slips(state, txn):
    state.slips = [slip for slip in state.slips if slip[0] != txn]


def _close_debt(state, t, slip):
    t.phase = CLOSED
    # The newer truth replaces what was still owed on paper.
    _drop_slips(state, t.txn)
    _owe_slip(state, t.txn, slip)


_HANDLERS = {
    n.BOOT: _boot,
    n.CLOCK: _clock,
    n.CONFIG: _config,
    n.SNAPSHOT: _snapshot,
    n.SIGNON: _signon,
    n.INTENT: _intent,
    n.REPLY: _reply,
    n.OUTCOME: _outcome,
    n.CONNECT_FAIL: _connect_fail,
    n.REVERSAL_SENT: _reversal_sent,
    n.REVERSAL_REPLY: _reversal_reply,
    n.UNRESOLVED: _unresolved,
    n.HUMAN: _human,
    n.SLIP: _slip,
    n.TAMPER: _tamper,
    n.FAULT: _fault,
}

