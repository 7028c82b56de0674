"""A first set of power cuts: at each flash operation, key-store step, send and printed line of a day with owed money.

The journal's own exhaustive set (torn programs and erases, cuts within recovery) has an issue of its own.
"""

from sim import PowerCut, Sim, SimKeyStore

from posfw import numbers as n

HEAP = "2M"  # the simulated flash lies in RAM, and so do the tests


def cut_at(sim, number):
    """Make the `number`-th effect on the outside world fail as if the supply did; return the counter."""
    left = [number]

    def tick(*_):
        left[0] -= 1
        if left[0] == 0:
            raise PowerCut()

    board = sim.board
    board.flash.on_op = board.vault_flash.on_op = tick
    board.keystore.on_advance = board.link.on_send = board.printer.on_write = tick
    return left


def uncut(sim):
    board = sim.board
    board.flash.on_op = board.vault_flash.on_op = None
    board.keystore.on_advance = board.link.on_send = board.printer.on_write = None


def day(sim):
    sim.start()
    sim.pay(1000)
    sim.host.faults = ["silent"]
    sim.pay(2000)
    sim.clock.advance(30000)
    sim.idle()
    sim.pay(3000, finish=lambda: False)
    sim.idle()


def check(sim, number):
    """After the cut: everything acknowledged is there, whoever was perhaps charged is reversed or holds an
    approval slip.
    """
    sim.host.faults = []
    sim.start()
    for _ in range(6):
        sim.clock.advance(600000)
        sim.idle()
    assert sim.state.debts == [] and sim.state.slips == [] and sim.state.current is None, number
    entries = sim.entries()
    assert [p[0] for p in entries] == list(range(len(entries))), number
    assert sim.board.keystore.index == len(entries), number
    outcome = {}
    for p in entries:
        if p[1] == n.INTENT:
            outcome[p[0]] = ["open", p[6][0]]
        elif p[1] == n.OUTCOME:
            outcome[p[6][0]][0] = p[6][1]
        elif p[1] == n.REVERSAL_REPLY and p[6][1] == n.V_MATCHED:
            outcome[p[6][0]][0] = "reversed"
    printed = sim.printer.kinds()
    for state, stan in outcome.values():
        host = sim.host.ledger.get(("000001", "%06d" % stan))
        if state == n.APPROVED:
            assert host == "approved", (number, stan)
        else:
            assert state in ("reversed", n.NOT_SENT) and host in (None, "reversed"), (number, stan, state, host)
    approved = len([s for s, _ in outcome.values() if s == n.APPROVED])
    assert printed.count(n.SLIP_SALE) >= approved, (number, printed)
    # Nothing the host approved is unknown to the journal.
    stans = ["%06d" % stan for _, stan in outcome.values()]
    assert all(key[1] in stans for key in sim.host.ledger), number


def test_cut_at_every_effect_of_a_day():
    sim = Sim()
    left = cut_at(sim, 1 << 30)
    day(sim)
    total = (1 << 30) - left[0]
    assert total > 80
    for number in range(1, total + 1):
        sim = Sim()
        cut_at(sim, number)
        try:
            day(sim)
        except PowerCut:
            uncut(sim)
        else:
            raise AssertionError("effect %d of %d did not happen" % (number, total))
        check(sim, number)


def test_cut_at_every_effect_of_the_first_boot():
    for number in range(1, 12):
        sim = blank()
        cut_at(sim, number)
        try:
            sim.start()
        except PowerCut:
            pass
        uncut(sim)
        assert sim.start() == (True, "ready"), number
        assert sim.kinds()[0] == n.CONFIG and sim.kinds().count(n.CONFIG) == 1


def blank():
    """A terminal as it leaves provisioning: blank flash, first key."""
    sim = Sim(sign_on=False)
    for block in range(sim.board.flash.ioctl(4, 0)):
        sim.board.flash.ioctl(6, block)
    sim.board.keystore = SimKeyStore()
    return sim


def test_a_restart_is_clean_and_a_cut_is_noted():
    sim = Sim()
    sim.start()
    assert [p[6][2] for p in sim.entries() if p[1] == n.BOOT] == [0, 0]

    def cut():
        raise PowerCut()

    sim.board.keystore.on_advance = cut
    try:
        sim.pay()
    except PowerCut:
        sim.board.keystore.on_advance = None
    sim.start()
    assert [p[6][2] for p in sim.entries() if p[1] == n.BOOT][-1] == 2


def test_the_ring_rolls_and_recovers_at_every_length():
    sim = Sim(blocks=8)
    for _ in range(25):
        sim.pay()
        state = sim.state.to_array()
        sim.start()
        after = sim.state.to_array()
        assert after[1][0] == state[1][0] + 1
        assert after[1][2:9] == state[1][2:9] and after[3] == state[3]
        assert [t[:-3] + t[-2:] for t in after[2]] == [t[:-3] + t[-2:] for t in state[2]]  # but for `due`
    sequences = [p[0] for p in sim.entries()]
    assert sequences == list(range(len(sequences)))
    assert n.SNAPSHOT in sim.kinds()
