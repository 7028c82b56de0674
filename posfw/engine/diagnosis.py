"""One cause for each anomaly, from evidence: why did my money come back?"""

from posfw.engine.retry import rtt_bound
from posfw.numbers import (
    CAUSE_CONGESTED,
    CAUSE_CORRUPTED,
    CAUSE_DATA_LOST,
    CAUSE_DECLINED,
    CAUSE_HOST_BUSY,
    CAUSE_HOST_SILENT,
    CAUSE_LINK_DOWN,
    CAUSE_MAC,
    CAUSE_MERCHANT,
    CAUSE_NONE,
    V_BAD_MAC,
    V_DATA_LOST,
    V_GARBLED,
    V_MISMATCH,
    V_PARTIAL,
    V_SEND_FAILED,
    V_SILENCE,
)

_BY_VERDICT = {
    V_PARTIAL: CAUSE_CONGESTED,
    V_GARBLED: CAUSE_CORRUPTED,
    V_MISMATCH: CAUSE_CORRUPTED,
    V_BAD_MAC: CAUSE_MAC,
    V_SEND_FAILED: CAUSE_LINK_DOWN,
    V_DATA_LOST: CAUSE_DATA_LOST,
}


def of_verdict(verdict, state, profile):
    """The cause of a reply that did not count.

    Silence is congestion when the round trips before it already filled half of the time allowed, otherwise the host's.
    """
    if verdict == V_SILENCE:
        slow = rtt_bound(state.srtt, state.rttvar) * 2 > profile.reply_timeout_ms
        return CAUSE_CONGESTED if slow else CAUSE_HOST_SILENT
    return _BY_VERDICT.get(verdict, CAUSE_NONE)


def of_code(code, profile):
    """The cause of a refusal by response code (DE39), as the profile sorts the codes."""
    if profile.is_busy(code):
        return CAUSE_HOST_BUSY
    if profile.is_merchant(code):
        return CAUSE_MERCHANT
    return CAUSE_DECLINED


def after_late_reply(cause):
    """A reply that came late proves that the host was not silent."""
    return CAUSE_CONGESTED if cause == CAUSE_HOST_SILENT else cause
