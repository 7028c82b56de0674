"""Slips: each is journaled before and after, so that paper out or a power cut in mid-slip leaves an owed slip."""

from posfw import numbers as n


def start(state, profile, now, txn, slip):
    """Print an owed slip. Nothing happens if it is no longer owed: a newer one took its place."""
    for owed in state.slips:
        if owed[0] == txn and owed[1] == slip:
            return [(n.SLIP, [txn, slip, n.PRINT_STARTED, 0])], [("print", txn, slip, owed[2] > 0)]
    return [], []


def fresh(state, profile, now):
    """Print the slips that came up just now, one after the other."""
    for owed in state.slips:
        if owed[2] == 0 and owed[0] not in state.txns:
            return start(state, profile, now, owed[0], owed[1])[0], [
                ("print", owed[0], owed[1], False),
                ("again", ("print_fresh",)),
            ]
    return [], []


def printed(state, profile, now, txn, slip, fault):
    """The printer's answer: fault 0 is done."""
    if fault == 0:
        return [(n.SLIP, [txn, slip, n.PRINT_DONE, 0])], []
    return [(n.SLIP, [txn, slip, n.PRINT_FAILED, fault])], [("show", "paper_out" if fault == 1 else "printer_fault")]


HANDLERS = {"print": start, "printed": printed, "print_fresh": fresh}
