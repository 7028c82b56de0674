"""What is still owed, most urgent first. Boot is: recover, fold, do what is owed; there is no other recovery code."""

from posfw.engine.state import STUCK

# What, in the order of urgency; 1 is a script result
REVERSAL, SLIP, UNRESOLVED = 2, 3, 4


def owed(state):
    """Return [(what, txn, slip, due)]: reversals before slips, oldest first; `due` is in ms of this boot.

    Script results come before reversals; settlement, upload and vault destruction follow slips (their own layers).
    """
    items = [(UNRESOLVED if t.phase == STUCK else REVERSAL, t.txn, 0, t.due) for t in state.debts]
    items.extend([(SLIP, slip[0], slip[1], slip[3]) for slip in state.slips])
    return items


def next_due(state, ms, printer_ready, holds):
    """The first owed item whose time has come, as (what, txn, slip, due), or None.

    holds: txn -> [ms, ...]: reversals not to be tried before ms of this boot.
    """
    for item in owed(state):
        if item[0] == SLIP:
            ready = printer_ready
        else:
            ready = item[1] not in holds or holds[item[1]][0] <= ms
        if ready and item[3] <= ms:
            return item
    return None
