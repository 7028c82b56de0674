"""What a batch needs beside its settlement: refused records, the vault's key, reminders, people's decisions."""

from posfw import numbers as n
from posfw.engine.batch import AGAIN, MOST_SLIPS, UPLOAD
from posfw.engine.settlement import PRINT, SEND, close
from posfw.engine.state import OWED


def destroy(state, profile, now, batch):
    """The vault key of a closed batch goes; what is still owed of it is encrypted again first."""
    return [], ([("shred", batch)] if batch in state.shred else [])


def shredded(state, profile, now, batch, moved):
    """The key is erased."""
    return [(n.VAULT_DESTROYED, [batch, moved])], []


def present(state, profile, now, number):
    """A refused record once more, as the operator asked. In the middle of an upload only where it waits for people, and
    of its own batch only such as this pass has met."""
    s = state.settle
    if len(state.slips) >= MOST_SLIPS:
        return [], [("done", False, "slip_owed", None)]
    if state.current is not None or (s is not None and (s.phase != UPLOAD or s.pending)):
        return [], [("done", False, "busy", None)]
    if [t for t in state.debts if t.phase == OWED]:
        return [], [("done", False, "reversal_pending_block", None)]
    if profile.sign_on_required and not state.signed_on:
        return [], [("done", False, "not_signed_on", None)]
    for item in state.refused:
        if item[0] == number:
            if s is not None and item[1] == s.batch and s.restarts:
                return [], [("done", False, "busy", None)]
            upto = 0 if s is None else s.cursor
            return [(n.SETTLE_SENT, [n.P_AGAIN, item[1], state.stan, [number], upto])], [("show", "presenting"), SEND]
    return [], [("done", False, "original_not_found", None)]


def overdue(state, profile, now):
    """The batch is open past its deadline: that is an anomaly of its own, said once and then reminded of."""
    return [(n.UNSETTLED, [state.batch, n.CAUSE_NOT_SETTLED, "", state.opened])], [("show", "batch_overdue"), PRINT]


def remind(state, profile, now):
    """The merchant's reminder: at boot and at each sale of an overdue batch. Not owed: the next one says the same."""
    number = state.overdue
    if not number:
        return [], []
    sent = (n.SLIP, [number, n.SLIP_REMINDER, n.PRINT_STARTED, 0])
    return [sent], [("show", "batch_overdue"), ("print", number, n.SLIP_REMINDER, False)]


def detail(state, profile, now, number):
    """The list of a batch's records, on request. number: of its BATCH_CLOSED entry, 0 for the present batch."""
    return [(n.SLIP, [number, n.SLIP_DETAIL, n.PRINT_STARTED, 0])], [("print", number, n.SLIP_DETAIL, False)]


def human(state, profile, now, txn, decision, name, reason, signed):
    """A named human writes a refused record off, or closes a batch that cannot be settled. Signature checked before."""
    s = state.settle
    if len(state.slips) > MOST_SLIPS:
        return [], [("done", False, "slip_owed", None)]
    entry = (n.HUMAN, [txn, decision, name, reason, signed])
    if decision == n.HUMAN_WRITTEN_OFF:
        if txn in [item[0] for item in state.refused]:
            return [entry], [PRINT, ("done", True, "ready", None)]
    elif s is not None and s.phase != AGAIN and s.number == txn and (s.stuck or state.overdue):
        drafts, effects = close(state, s.host, s.flags, n.CLOSED_BY_HUMAN)
        return [entry] + drafts, effects  # noqa: RUF005
    return [], [("done", False, "original_not_found", None)]


HANDLERS = {
    "destroy": destroy,
    "shredded": shredded,
    "present": present,
    "overdue": overdue,
    "remind": remind,
    "detail": detail,
}
