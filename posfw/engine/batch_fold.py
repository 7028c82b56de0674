"""The settlement's entries, folded into the state: the part of posfw.engine.fold that a day needs once."""

from posfw import numbers as n
from posfw.engine.batch import AGAIN, AGREED, CLOSE, END, RETRY, SEND_END, TOTALS, UPLOAD, UPLOAD_CHIP, Settle
from posfw.engine.retry import rtt_update
from posfw.engine.sequence import following


def settle_sent(state, payload, body):
    purpose, batch, stan, items, upto = body
    s = state.settle
    if s is None:
        s = state.settle = Settle()
        s.number, s.batch = payload[0], batch
    if purpose == n.P_BEGIN:
        s.reason, s.due, s.cursor = items[0], payload[3], state.batch_first
        # From here on the totals stand: what is approved can be voided in the next batch, no longer cancelled in this.
        last, state.last_approved = state.last_approved, None
        state.forget_done(last)
        return
    state.stan = following(stan)
    state.stans_used += 1
    s.stan, s.pending = stan, purpose
    _fresh(s, payload)
    if purpose == n.P_TOTALS:
        s.phase = TOTALS
    elif purpose == n.P_END:
        s.phase = END
    else:
        s.pack, s.upto = items, upto
        if purpose == n.P_AGAIN and s.phase != UPLOAD:
            s.phase = AGAIN  # not in the middle of an upload that waits for it


def settle_reply(state, payload, body):
    purpose, _, verdict, code, flags, host, then, took, retry_in = body
    s = state.settle
    _round_trip(state, verdict, took)
    s.attempts += 1
    s.code = code
    if purpose == n.P_TOTALS and flags:
        s.flags, s.host = flags, host
    if then == RETRY:
        _wait(s, payload, retry_in)
        return
    s.pending = 0
    _fresh(s, payload)
    if then == CLOSE:
        s.phase = AGREED
    elif then == SEND_END:
        s.phase = END
    else:
        if purpose == n.P_END:
            s.restarts += 1
        s.phase, s.balanced = UPLOAD, then == UPLOAD_CHIP
        s.cursor = state.batch_first
        s.acked = s.refused = s.single = 0
        s.pack = []


def upload_reply(state, payload, body):
    purpose, _, verdict, code, codes, refused, took, retry_in = body
    s = state.settle
    _round_trip(state, verdict, took)
    s.attempts += 1
    s.code = code
    if codes:
        for place, number in enumerate(s.pack):
            batch = s.batch
            for item in state.refused:
                if item[0] == number:
                    batch = item[1]
            state.refused = [item for item in state.refused if item[0] != number]
            counts = batch == s.batch
            if counts and purpose == n.P_AGAIN:
                s.refused -= 1  # the upload that waits for it has met and counted it
            if place in refused:
                s.refused += counts
                state.refused.append([number, batch, codes[place], False])
            else:
                s.acked += counts
        s.cursor = s.upto
    elif retry_in:
        _wait(s, payload, retry_in)
        return
    elif purpose == n.P_UPLOAD:
        s.single = s.upto  # one of them is not wanted: each by itself will show which
    _done(state, s, payload)


def batch_closed(state, payload, body):
    state.settle = None
    state.shred.append(body[0])
    state.batch = body[8]
    state.batch_first = payload[0] + 1
    state.totals = [0] * 8
    state.intents = state.stans_used = state.opened = state.overdue = state.cause = 0
    _owe_slip(state, payload[0], n.SLIP_SETTLEMENT)


def vault_destroyed(state, payload, body):
    state.shred.remove(body[0])


def unsettled(state, payload, body):
    _, cause, code, _ = body
    s = state.settle
    if cause == n.CAUSE_UPLOAD:
        for item in state.refused:
            if item[0] == body[3]:
                item[3] = True
    else:
        state.cause = cause
        if cause == n.CAUSE_NOT_SETTLED and not code:
            state.overdue = payload[0]
        elif s is not None and cause == n.CAUSE_TOTALS:
            s.told = True
        elif s is not None:
            s.stuck |= 1 << cause
    _owe_slip(state, payload[0], n.SLIP_UPLOAD if cause == n.CAUSE_UPLOAD else n.SLIP_SETTLE_FAILED)


def human(state, payload, body):
    """Decisions on a refused record and on a batch; the batch's BATCH_CLOSED follows, if need be after a power cut."""
    s = state.settle
    if body[1] == n.HUMAN_BATCH_CLOSED:
        s.phase, s.pending, s.by_human = AGREED, 0, True
        _fresh(s, payload)
    else:
        state.refused = [item for item in state.refused if item[0] != body[0]]
        if s is not None and s.pending == n.P_AGAIN and s.pack == [body[0]]:
            _done(state, s, payload)
    _owe_slip(state, payload[0], n.SLIP_HUMAN)


def connect_fail(state, payload, body):
    s = state.settle
    s.fails += body[3]
    _wait(s, payload, body[2])
    if not body[2]:
        _done(state, s, payload)  # a record presented again: nothing left, and whoever asked may ask again


def _done(state, s, payload):
    """The message that waited is answered, or given up."""
    s.pending, s.pack = 0, []
    _fresh(s, payload)
    if s.phase == AGAIN:
        state.settle = None


def _fresh(s, payload):
    s.attempts = s.fails = s.wait = 0
    s.due = payload[3]


def _wait(s, payload, delay):
    s.wait = delay
    s.due = payload[3] + delay


def _round_trip(state, verdict, took):
    if verdict in (n.V_MATCHED, n.V_REFUSED):
        state.srtt, state.rttvar = rtt_update(state.srtt, state.rttvar, took)


def _owe_slip(state, number, kind):
    state.slips.append([number, kind, 0, 0])


HANDLERS = {
    n.SETTLE_SENT: settle_sent,
    n.SETTLE_REPLY: settle_reply,
    n.UPLOAD_REPLY: upload_reply,
    n.BATCH_CLOSED: batch_closed,
    n.VAULT_DESTROYED: vault_destroyed,
    n.UNSETTLED: unsettled,
}
