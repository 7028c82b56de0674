"""Close of day in the tests of settlement: sales by the kinds that matter there, and a look at both sides' books.

The host (sim.SimHost) refuses by ValueError what no sound terminal does: a second close with new totals, a record sent
again after it was acknowledged, a sale after the totals. So the tests look at results, and the host at the way there.
"""

import sys

from sim import VISA, Sim

from posfw import numbers as n
from posfw.engine.state import STUCK

# MicroPython is twenty times slower in these tests: of long loops over equal cases it runs a part.
FULL = sys.implementation.name == "cpython"
DAY_MS = 86400000
BOTH = ("unionpay", "iso8583_1987")


def stripe(sim, amount, **more):
    """A sale by magnetic stripe: uploaded in packs, and only where the totals differ. Returns its STAN."""
    done = sim.pay(amount, card=sim.card(mode=n.MODE_STRIPE, **more))
    assert done["ok"], done
    return done["stan"]


def foreign(sim, amount, mode=n.MODE_STRIPE, kind=n.SALE, **more):
    done = sim.pay(amount, kind, card=sim.card(mode=mode, pan=VISA, scheme=n.SCHEME_INTERNATIONAL), **more)
    assert done["ok"], done
    return done["stan"]


def numbers_of(sim):
    """STAN -> number of its INTENT."""
    return {p[6][0]: p[0] for p in sim.entries() if p[1] == n.INTENT}


def sent(sim, purpose):
    return [body for body in sim.bodies(n.SETTLE_SENT) if body[0] == purpose]


def upload_stans(sim):
    """The STANs of the records in each upload message the journal tells of."""
    stans = {number: stan for stan, number in numbers_of(sim).items()}
    return [[stans[number] for number in body[3]] for body in sent(sim, n.P_UPLOAD)]


def seen(sim, *mtis):
    """The STANs of the host's messages of these kinds, as they came."""
    return [fields[11] for mti, fields in sim.host.seen if mti in mtis]


def closes(sim, batch, how, refused=(), missing=(), reprints=False):
    """Let the settlement run to its end and look at both sides' books; return the BATCH_CLOSED body."""
    turns = 0
    while sim.state.batch == batch:
        sim.wait(400000, 1)
        turns += 1
        assert turns < 60, (sim.status(), sim.board.display.shown[-8:])
    sim.wait(400000, 2)
    closed = [body for body in sim.bodies(n.BATCH_CLOSED) if body[0] == batch]
    assert len(closed) == 1, closed
    body, host = closed[0], sim.host.closed[batch]
    assert body[1] == how and body[8] == (batch + 1 if batch < 999999 else 1), body
    assert body[6] == len(refused), body
    assert host.how == ("balanced" if how == n.CLOSED_BALANCED else "uploaded")
    assert sorted(host.missing) == sorted(missing), host.missing
    if not refused:
        assert host.totals == body[2], (host.totals, body)
    assert sim.state.settle is None and sim.state.totals == [0] * 8 and sim.state.shred == []
    assert batch not in sim.board.keystore.vault and sim.bodies(n.VAULT_DESTROYED)[-1][0] == batch
    printed, due = sim.printer.kinds().count(n.SLIP_SETTLEMENT), len(sim.bodies(n.BATCH_CLOSED))
    assert sim.state.slips == [] and (printed >= due if reprints else printed == due)
    assert sim.host.miscounts == 0
    return body


class Closing(Sim):
    def status(self):
        return self.terminal.status()["settlement"]

    def settle(self):
        return self.terminal.settle()


def unresolved(sim, amount=700):
    """A sale whose reversal used its attempts up; returns its INTENT's number."""
    sim.host.faults = ["silent"]
    txn = sim.pay(amount)["txn"]
    for _ in range(sim.terminal.profile.attempts):
        sim.host.faults = ["silent"]
        sim.clock.advance(sim.terminal.profile.retry_max_ms * 2)
        sim.idle(6)
    assert sim.state.txns[txn].phase == STUCK
    return txn


def faulty(sim, place, fault):
    """Spoil the `place`-th message from now on."""
    sim.host.faults = [None] * place + [fault]
