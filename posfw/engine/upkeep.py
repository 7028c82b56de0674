"""Everything that is not a payment: boot, sign-on, clock, tamper, faults, export."""

from posfw import numbers as n
from posfw.codec.civil import host_time
from posfw.engine import gate, payment
from posfw.engine.state import OPEN
from posfw.hal import RTC_HOST, RTC_TECHNICIAN
from posfw.micro import const

_SIGN_ON = const(3)
_EARLIEST = const(1767225600)  # 2026-01-01: no terminal with this firmware lives before
_HOST = const(2)
_COUNTING = const(8)  # its place in CONFIG
_TECHNICIAN = const(3)


def boot(state, profile, now, firmware, cause, unclean, rnd):
    """The first event of each run: journal the boot, then give every open transaction the outcome its entries prove."""
    drafts, effects, config = [], [], profile.config
    if state.config is None:
        drafts.append((n.CONFIG, config))
    drafts.append((n.BOOT, [firmware, cause, unclean]))
    if state.config is not None and state.config != config:
        if not _may_configure(state, profile):
            effects.append(("show", "wrong_config"))
        else:
            drafts.append((n.CONFIG, config))
    if gate.went_back(state, profile, now):
        drafts.append((n.CLOCK, [state.rtc, now[1], 1]))
        effects.append(("show", "clock_back"))
    for key in sorted(state.txns):
        if state.txns[key].phase == OPEN:
            drafts.append(payment.conclude(state, profile, state.txns[key], rnd))
    return drafts, effects


def configure(state, profile, now):
    """New settings wait until nothing is owed under the old ones."""
    if state.config == profile.config or not _may_configure(state, profile):
        return [], []
    return [(n.CONFIG, profile.config)], []


def _may_configure(state, profile):
    # A batch is settled under the numbers it was sold under, so it is closed, to its last record, before they change.
    counted = len(state.config) > _COUNTING and state.config[_COUNTING] != "000000"
    if state.settle is not None or state.refused or (counted and state.intents):
        return False
    return not (state.debts or state.slips or state.current is not None)


def sign_on(state, profile, now):
    """Ask the host for the day's working key and time."""
    if state.tampered or state.config is None or state.current is not None:
        return [], [("done", False, "tampered" if state.tampered else "busy", None)]
    return [(n.SIGNON, [state.stan, n.V_SENDING, "", ""])], [("show", "connecting"), ("send", _SIGN_ON, state.stan)]


def sign_on_replied(state, profile, now, stan, verdict, fields, key_fits):
    """key_fits: the key store took the working key (True where the profile has no MAC)."""
    code = fields.get(39, "")
    good = verdict == n.V_MATCHED and profile.is_approved(code) and key_fits
    if verdict == n.V_MATCHED and not good:
        verdict = n.V_REFUSED
    mmdd, hhmmss = fields.get(13, ""), fields.get(12, "")
    drafts = [(n.SIGNON, [stan, verdict, code, mmdd + hhmmss])]
    if not good:
        return drafts, [("done", False, "signon_failed", None)]
    effects = []
    # The host's date has no year. The terminal's clock knows it, unless it lost everything.
    near = now[1] if now[1] > _EARLIEST else max(state.rtc, _EARLIEST)
    host = host_time(mmdd, hhmmss, near, profile.utc_offset_min)
    if host and (state.clock_bad or now[1] == 0 or abs(host - now[1]) > profile.clock_tolerance_s):
        drafts.append((n.CLOCK, [now[1], host, _HOST]))
        effects.append(("set_clock", host, RTC_HOST))
    effects.append(("done", True, "signon_ok", None))
    return drafts, effects


def clock_set(state, profile, now, rtc):
    """A technician sets the clock over the service port."""
    return [(n.CLOCK, [now[1], rtc, _TECHNICIAN])], [("set_clock", rtc, RTC_TECHNICIAN), ("done", True, "ready", None)]


def tamper(state, profile, now, source):
    """The case was opened; the keys are gone already."""
    return ([] if state.tampered else [(n.TAMPER, [source])]), [("show", "tampered")]


def fault(state, profile, now, area, code, count):
    """Something hostile or broken was met and refused."""
    return [(n.FAULT, [area, code, count])], []


def export(state, profile, now, nonce, role):
    """A host asked for the journal: its nonce, sealed under the key that is live now, proves that this is the
    present end.
    """
    return [(n.EXPORT, [nonce, role])], []


HANDLERS = {
    "boot": boot,
    "configure": configure,
    "signon": sign_on,
    "signon_replied": sign_on_replied,
    "clock_set": clock_set,
    "tamper": tamper,
    "fault": fault,
    "export": export,
}
