"""Settlement that always ends (money rule M9): close of day, upload, refused records, the batch's end.

One message waits for its reply at a time; it is journaled once, before its first byte, and tried under the same STAN
and with the same content until the host has answered it. Needed once a day, so loaded when needed.
"""

from posfw import numbers as n
from posfw.engine import diagnosis
from posfw.engine.batch import (
    AGREED,
    BEGUN,
    CLOSE,
    MOST_REFUSED,
    MOST_SLIPS,
    MOST_SLIPS_AT_BEGIN,
    RETRY,
    UPLOAD,
    UPLOAD_ALL,
    UPLOAD_CHIP,
)
from posfw.engine.retry import backoff
from posfw.engine.sequence import following
from posfw.engine.state import OWED
from posfw.hal import STAGE_SIGN_ON
from posfw.micro import const

_DAY_MS = const(86400000)
_MOST_RESTARTS = const(1)  # the journal keeps room for two passes of an upload (terminal.closing)
SEND = ("settle_send",)
PRINT = ("again", ("print_fresh",))
_BALANCED = const(1)
_UNBALANCED = const(2)
_ERROR = const(3)


def begin(state, profile, now, reason, rnd, tried):
    """Close of day. reason: BY_*. tried: transactions whose reversal was tried for it, 0 for the vault; () at first."""
    key = _may_begin(state, profile)
    if key:
        return [], [("done", False, key, None)]
    for t in state.debts:  # what is owed goes first
        if t.txn not in tried and (t.phase == OWED or t.due <= now[0]):
            again = ("settle_begin", reason, rnd, tuple(tried) + (t.txn,))  # noqa: RUF005 - as fast on the device
            return [], [("again", ("reverse", t.txn, rnd)), ("again", again)]
    for t in state.debts:
        if t.phase == OWED:
            return [], [("done", False, "reversal_pending_block", None)]
        if profile.unresolved_blocks:
            return [], [("done", False, "settle_unresolved", None)]
    if state.shred:
        if 0 in tried:
            return [], [("done", False, "keystore_fault", None)]
        again = ("settle_begin", reason, rnd, tuple(tried) + (0,))  # noqa: RUF005
        return [], [("shred", state.shred[0]), ("again", again)]
    sent = [n.P_BEGIN, state.batch, 0, [reason], 0]
    return [(n.SETTLE_SENT, sent)], [("show", "settling"), ("again", ("settle", rnd, 0))]


def _may_begin(state, profile):
    if state.tampered:
        return "tampered"
    if state.current is not None or state.settle is not None:
        return "busy"
    if not profile.settles or len(state.config) != len(profile.config):
        return "bad_request"
    if not state.intents:
        return "batch_empty"
    return "slip_owed" if len(state.slips) >= MOST_SLIPS_AT_BEGIN else None


def step(state, profile, now, rnd, signing):
    """The settlement's time has come. signing: 0, 1 the line is there and the terminal signs on, 2 that was tried."""
    s = state.settle
    drafts = _untold(state)
    if drafts or s is None:
        return drafts, [PRINT] if drafts else []
    if s.phase == AGREED:
        return close(state, s.host, s.flags, n.CLOSED_BY_HUMAN if s.by_human else 0)
    if profile.sign_on_required and not state.signed_on:
        if signing == 0:
            return [], [("settle_dial",)]
        if signing == 1:
            return [], [("again", ("signon",)), ("again", ("settle", rnd, 2))]
        return [], [("settle_no_key",)]
    if s.pending:
        return [], [SEND]
    if s.phase == BEGUN:
        return [(n.SETTLE_SENT, [n.P_TOTALS, s.batch, state.stan, list(state.totals), 0])], [SEND]
    if s.phase == UPLOAD:
        room = max(1, min(MOST_REFUSED - len(state.refused), MOST_SLIPS - len(state.slips)))
        return [], [("gather", 1 if s.cursor < s.single else min(room, profile.upload_limit))]
    return _end(state)


def _untold(state):
    """What the journal should have said of refused records and of totals, and the power went in between."""
    drafts = []
    for number, batch, code, told in state.refused:
        if not told:
            drafts.append((n.UNSETTLED, [batch, n.CAUSE_UPLOAD, code, number]))
    s = state.settle
    if s is not None and s.phase == UPLOAD and s.flags and max(s.flags) > _BALANCED and not s.told:
        drafts.append((n.UNSETTLED, [s.batch, n.CAUSE_TOTALS, s.code, 0]))
    return drafts


def gathered(state, profile, now, numbers, upto):
    """The next records to upload, INTENT numbers; none: the upload is complete."""
    s = state.settle
    full = len(state.refused) >= MOST_REFUSED
    if numbers and (full or len(state.slips) >= MOST_SLIPS):  # nothing is skipped: people see to some of them first
        key = "upload_blocked" if full else "slip_owed"
        return [], [("hold", None, profile.retry_slow_ms, 0), ("done", False, key, None)]
    if numbers:
        return [(n.SETTLE_SENT, [n.P_UPLOAD, s.batch, state.stan, numbers, upto])], [SEND]
    if s.balanced and not s.acked and not s.refused:
        return close(state, s.host, s.flags)  # balanced, and no chip record to follow
    return _end(state)


def _end(state):
    s = state.settle
    return [(n.SETTLE_SENT, [n.P_END, s.batch, state.stan, [s.acked + s.refused], 0])], [SEND]


def send_failed(state, profile, now, stage, rnd, count):
    """No byte reached the host, `count` times since the last entry said so; journaled at every doubling, as for a
    reversal."""
    s = state.settle
    if s.pending == n.P_AGAIN and not s.attempts:
        return [(n.CONNECT_FAIL, [None, stage, 0, count])], [("done", False, "link_down", None)]
    longest = max(profile.retry_max_ms, _DAY_MS) if stage == STAGE_SIGN_ON else profile.retry_max_ms
    wait = backoff(s.fails + count - 1, profile.retry_base_ms, longest, rnd)
    done = [("show", "link_down"), ("done", False, "link_down", None)]
    if count < s.fails:
        return [], [("hold", None, wait, count)] + done  # noqa: RUF005 - no star on the device
    return [(n.CONNECT_FAIL, [None, stage, wait, count])], [("hold", None, 0, 0)] + done  # noqa: RUF005


def replied(state, profile, now, verdict, code, said, took, rnd):
    """What became of the message that waited. said: (flags, host_totals) for totals, the records' codes for an upload,
    () otherwise; only where the verdict is V_MATCHED."""
    s = state.settle
    if verdict == n.V_MATCHED and not code:
        verdict = n.V_GARBLED  # ours, and it says nothing
    if s.pending == n.P_TOTALS:
        return _totals_replied(state, profile, verdict, code, said, took, rnd)
    if s.pending == n.P_END:
        return _end_replied(state, profile, verdict, code, took, rnd)
    return _upload_replied(state, profile, verdict, code, said, took, rnd)


def _totals_replied(state, profile, verdict, code, said, took, rnd):
    s = state.settle
    flags, host = said if verdict == n.V_MATCHED else ([], [])
    then = RETRY
    if verdict == n.V_MATCHED and not flags:
        verdict = n.V_REFUSED
    if flags:
        if _ERROR in flags:  # its own reckoning failed: ask again, then perhaps give it the records
            if s.attempts + 1 >= profile.attempts and profile.upload_on_error:
                then = UPLOAD_ALL
        elif _UNBALANCED in flags:
            then = UPLOAD_ALL
        else:
            then = UPLOAD_CHIP if profile.chip_always else CLOSE
    drafts, effects = [], []
    wait = 0
    if then == RETRY:
        wait, drafts, effects = _again(state, profile, verdict, code, rnd)
    reply = (n.SETTLE_REPLY, [n.P_TOTALS, s.stan, verdict, code, flags, host, then, took, wait])
    differ = then == UPLOAD_ALL or (then != RETRY and host and host != state.totals)
    if differ:
        drafts = [(n.UNSETTLED, [s.batch, n.CAUSE_TOTALS, code, 0])]
        effects = [("show", "totals_differ"), PRINT]
    if then == CLOSE:
        more, last = close(state, host, flags)
        return [reply] + drafts + more, effects + last  # noqa: RUF005
    return [reply] + drafts, effects  # noqa: RUF005


def _end_replied(state, profile, verdict, code, took, rnd):
    s = state.settle
    if verdict == n.V_MATCHED and profile.is_approved(code):
        reply = (n.SETTLE_REPLY, [n.P_END, s.stan, verdict, code, [], [], CLOSE, took, 0])
        drafts, effects = close(state, s.host, s.flags)
        return [reply] + drafts, effects  # noqa: RUF005
    if verdict == n.V_MATCHED and profile.asks_again(code) and s.restarts < _MOST_RESTARTS:
        then = UPLOAD_CHIP if s.balanced else UPLOAD_ALL
        return [(n.SETTLE_REPLY, [n.P_END, s.stan, n.V_REFUSED, code, [], [], then, took, 0])], []
    if verdict == n.V_MATCHED:
        verdict = n.V_REFUSED
    wait, drafts, effects = _again(state, profile, verdict, code, rnd)
    reply = (n.SETTLE_REPLY, [n.P_END, s.stan, verdict, code, [], [], RETRY, took, wait])
    return [reply] + drafts, effects  # noqa: RUF005


def _upload_replied(state, profile, verdict, code, codes, took, rnd):
    s = state.settle
    size = len(s.pack)
    if verdict == n.V_DATA_LOST:  # it can no longer be built, so the host cannot have it: a person must know
        codes = [""] * size if size == 1 else []
    elif verdict == n.V_MATCHED and not codes and not _not_now(profile, code):
        codes = [code] * size if size == 1 or profile.takes_record(code) else []
    if codes:
        refused = [place for place in range(size) if not profile.takes_record(codes[place])]
        drafts = [(n.UPLOAD_REPLY, [s.pending, s.stan, verdict, code, codes, refused, took, 0])]
        for place in refused:
            number = s.pack[place]
            batch = [item[1] for item in state.refused if item[0] == number] or [s.batch]
            drafts.append((n.UNSETTLED, [batch[0], n.CAUSE_UPLOAD, codes[place], number]))
        if s.pending == n.P_AGAIN:
            last = ("done", not refused, "record_refused" if refused else "presented", None)
        elif refused:
            last = ("show", "record_refused")
        else:
            last = ("show", "uploading", str(s.acked + size))
        return drafts, [PRINT, last] if refused else [last]
    if verdict == n.V_DATA_LOST or (verdict == n.V_MATCHED and not _not_now(profile, code)):
        # One of them is not wanted: each by itself will show which.
        return [(n.UPLOAD_REPLY, [s.pending, s.stan, n.V_REFUSED, code, [], [], took, 0])], []
    if verdict == n.V_MATCHED:
        verdict = n.V_REFUSED
    wait, drafts, effects = _again(state, profile, verdict, code, rnd)
    return [(n.UPLOAD_REPLY, [s.pending, s.stan, verdict, code, [], [], took, wait])] + drafts, effects  # noqa: RUF005


def _not_now(profile, code):
    return profile.is_busy(code) or profile.is_merchant(code) or profile.wants_sign_on(code)


def _again(state, profile, verdict, code, rnd):
    """The same message once more: (wait, drafts, effects). Where the attempts are used up, or the merchant is refused,
    people hear of it once, and the terminal goes on at its slow pace: by itself it never gives up and never closes."""
    s = state.settle
    attempts = s.attempts + 1
    merchant = verdict == n.V_REFUSED and profile.is_merchant(code)
    if attempts >= profile.attempts or merchant or s.stuck:
        wait = backoff(
            max(0, attempts - profile.attempts), profile.retry_slow_ms, max(profile.retry_slow_ms, _DAY_MS), rnd
        )
    else:
        wait = backoff(attempts, profile.retry_base_ms, profile.retry_max_ms, rnd)
    drafts, effects = [], []
    if verdict == n.V_BAD_MAC or (code and profile.wants_sign_on(code)):
        drafts.append((n.SIGNON, [s.stan, n.V_REFUSED, code, ""]))
    if s.pending == n.P_AGAIN:
        if verdict == n.V_REFUSED and not s.attempts:
            wait = 0  # the host has answered, and does not take it now: whoever asked may ask again
        return wait, drafts, [("done", False, "present_failed", None)]
    if attempts < profile.attempts and not merchant:
        return wait, drafts, [("done", not s.stuck, "settle_failed" if s.stuck else "settling", None)]
    cause = _cause(state, profile, verdict, code)
    if not s.stuck >> cause & 1:
        drafts.append((n.UNSETTLED, [s.batch, cause, code, attempts]))
        effects.append(PRINT)
    return wait, drafts, effects + [("done", False, "settle_failed", None)]  # noqa: RUF005


def _cause(state, profile, verdict, code):
    if verdict not in (n.V_REFUSED, n.V_MATCHED):
        return diagnosis.of_verdict(verdict, state, profile)
    if profile.is_busy(code):
        return n.CAUSE_HOST_BUSY
    return n.CAUSE_MERCHANT if profile.is_merchant(code) else n.CAUSE_NOT_SETTLED


def mac_lost(state, profile, now, rnd, count):
    """The working key cannot be used: a sign-on may bring another. Paced as a failed connection is."""
    drafts, effects = send_failed(state, profile, now, STAGE_SIGN_ON, rnd, count)
    if state.signed_on:
        drafts = [(n.SIGNON, [state.settle.stan, n.V_REFUSED, "", ""])] + drafts  # noqa: RUF005
    return drafts, effects


def close(state, host, flags, how=0):
    """The batch's end; `how` where it is not the host's word. Only this entry moves the batch number; the vault key
    goes after it."""
    s = state.settle
    if not how:
        how = n.CLOSED_BALANCED if flags and max(flags) == _BALANCED else n.CLOSED_UPLOADED
    owed = len([t for t in state.debts if t.batch == s.batch])
    body = [s.batch, how, list(state.totals), host, flags, s.acked, s.refused, owed, following(s.batch)]
    return [(n.BATCH_CLOSED, body)], [
        PRINT,
        ("again", ("destroy", s.batch)),
        ("done", True, "settled", None),
    ]


HANDLERS = {
    "settle_begin": begin,
    "settle": step,
    "gathered": gathered,
    "settle_failed": send_failed,
    "settle_mac_lost": mac_lost,
    "settle_replied": replied,
}
