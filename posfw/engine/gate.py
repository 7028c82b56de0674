"""When the terminal may start a new financial message. Each refusal is a message key and changes nothing."""

from posfw.engine.batch import AGAIN, MOST_SLIPS
from posfw.engine.sequence import exhausted
from posfw.engine.state import STUCK
from posfw.micro import const
from posfw.numbers import BY_BATCH_LIMIT, BY_RING, BY_SCHEDULE, BY_VAULT

# Transactions the state may hold: each stands in every SNAPSHOT, and a SNAPSHOT must fit one entry.
_MOST_OPEN = const(6)
_DAY_S = const(86400)
MAX_AMOUNT = 999999999999  # DE4, n12


def standing(state, profile, now, room):
    """The reason not to do money at all just now, or None. room: sectors the journal can still open."""
    if state.tampered:
        return "tampered"
    if state.config != profile.config:
        return "wrong_config"
    if state.current is not None:
        return "busy"
    if state.settle is not None and state.settle.phase != AGAIN:
        return "settling"
    if now[1] == 0:
        return "clock_unknown"
    if state.clock_bad:
        return "clock_back"
    if profile.sign_on_required and not state.signed_on:
        return "not_signed_on"
    # What is owed must still find room when no new sale does.
    if room < profile.reserve_sectors:
        return "journal_full"
    if len(state.txns) >= _MOST_OPEN:
        return "debt_limit" if state.debts else "slip_owed"
    if state.intents >= profile.batch_limit:
        return "batch_limit"
    if exhausted(state.stans_used):
        return "stan_exhausted"
    return None


def too_much(state, amount):
    """True if `amount` more could make a total longer than the 12 digits it has in a message: settle first."""
    totals = state.totals
    return max(totals[0] + totals[4], totals[2] + totals[6]) + amount > MAX_AMOUNT


def went_back(state, profile, now):
    """True if the real-time clock stands before the journal's last time by more than the profile tolerates."""
    return now[1] != 0 and not state.clock_bad and now[1] + profile.clock_tolerance_s < state.rtc


def debts(state, profile):
    """The reason why reversals still owed forbid a new sale, or None (money rule M3)."""
    owing = state.debts
    if not owing:
        return None
    if profile.gate_warns:
        return "debt_limit" if len(owing) > profile.gate_limit else None
    for t in owing:
        if t.phase == STUCK:
            return "reversal_unresolved"
    return "reversal_pending_block"


def must_settle(state, profile, now, room, vault_low):
    """The reason (BY_*) why close of day is due without anybody asking, or 0. room: sectors the journal can still open
    beyond those the upload will take; vault_low: the vault is nearly full."""
    if not profile.settles or state.settle is not None or not state.intents or state.current is not None:
        return 0
    if state.intents >= profile.batch_limit or exhausted(state.stans_used) or too_much(state, MAX_AMOUNT // 2):
        return BY_BATCH_LIMIT
    if room < profile.reserve_sectors:
        return BY_RING
    if vault_low:
        return BY_VAULT
    if profile.settle_at is None or now[1] == 0 or state.clock_bad or not state.opened:
        return 0
    offset = profile.utc_offset_min * 60
    opened = state.opened + offset
    due = opened - opened % _DAY_S + profile.settle_at * 60
    if due <= opened:
        due += _DAY_S
    return BY_SCHEDULE if now[1] + offset >= due else 0


def overdue(state, profile, now):
    """True where the batch is open past the profile's deadline and nobody was told yet."""
    if len(state.slips) >= MOST_SLIPS:
        return False  # said when there is paper again
    known = now[1] != 0 and not state.clock_bad and state.opened and profile.deadline_s
    return bool(known and not state.overdue and now[1] > state.opened + profile.deadline_s)
