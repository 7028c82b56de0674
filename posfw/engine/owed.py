"""What is still owed, most urgent first. Boot is: recover, fold, do what is owed; there is no other recovery code."""

from posfw.engine.batch import UPLOAD
from posfw.engine.state import STUCK

# What, in the order of urgency; 1 is a script result
REVERSAL, SLIP, UNRESOLVED, SETTLEMENT, UPLOADING, SHRED, REFUSED = 2, 3, 4, 5, 6, 7, 8


def owed(state):
    """Return [(what, txn, slip, due)]: reversals, slips, settlement or upload, vault keys to be destroyed, oldest
    first, then refused records, which wait for people; `due` is in ms of this boot. txn: the batch, where it is one's.
    """
    items = [(UNRESOLVED if t.phase == STUCK else REVERSAL, t.txn, 0, t.due) for t in state.debts]
    items.extend([(SLIP, slip[0], slip[1], slip[3]) for slip in state.slips])
    s = state.settle
    if s is not None:
        items.append((UPLOADING if s.phase == UPLOAD else SETTLEMENT, s.batch, 0, s.due))
    elif [item for item in state.refused if not item[3]]:
        items.append((SETTLEMENT, state.batch, 0, 0))  # a refusal that the journal has not told yet
    items.extend([(SHRED, batch, 0, 0) for batch in state.shred])
    items.extend([(REFUSED, item[0], 0, 0) for item in state.refused])
    return items


def next_due(state, ms, printer_ready, holds):
    """The first owed item whose time has come, as (what, txn, slip, due), or None.

    holds: txn -> [ms, ...]: reversals not to be tried before ms of this boot; None for the settlement, 0 for the vault.
    """
    for item in owed(state):
        what, held = item[0], item[1]
        if what == REFUSED:
            continue
        if what == SLIP:
            ready = printer_ready
        else:
            if what in (SETTLEMENT, UPLOADING):
                held = None
            elif what == SHRED:
                held = 0
            ready = held not in holds or holds[held][0] <= ms
        if ready and item[3] <= ms:
            return item
    return None
