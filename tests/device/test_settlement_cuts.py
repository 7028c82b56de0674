"""Power cuts in a settlement: at each flash operation, key-store step and send of a short day that ends with an upload,
and of one that leaves debts behind for the next batch. Afterwards the day ends well all the same."""

from close_of_day import FULL
from sim import PowerCut, Sim, profile

from posfw import numbers as n

HEAP = "3M"  # the simulated flash lies in RAM, and so do the tests
STEP = 1 if FULL else 11


def arm(sim, number):
    """Make the `number`-th effect on flash, key store or link fail as if the supply did; return the counter."""
    left = [number]

    def tick(*_):
        left[0] -= 1
        if left[0] == 0:
            raise PowerCut()

    hook(sim, tick)
    return left


def hook(sim, tick):
    board = sim.board
    board.flash.on_op = board.vault_flash.on_op = tick
    board.keystore.on_advance = board.keystore.on_vault = board.link.on_send = tick


def sale(sim, amount, mode=n.MODE_STRIPE):
    return sim.pay(amount, card=sim.card(mode=mode))


def uploading(sim):
    """Two stripe sales and one by chip, one of them lost by the host: totals, pack, chip record, end, close, shred."""
    sim.host.lose = {3}
    sale(sim, 1000)
    sale(sim, 2000)
    sale(sim, 3000, n.MODE_CHIP)
    sim.terminal.settle()
    sim.idle(40)


def lost_replies(sim):
    """The same where each message's reply is lost once."""
    sim.host.lose = {2}
    sale(sim, 1000)
    sale(sim, 3000, n.MODE_CHIP)
    sim.host.faults = ["silent", None, "silent", None, "silent", None, "silent"]
    sim.terminal.settle()
    for _ in range(6):
        sim.clock.advance(400000)
        sim.idle(40)


def leaving_debts(sim):
    """A sale whose reversal is not resolved, a record refused: both outlive the batch, and end in the next one."""
    sim.host.lose = {2}
    sim.host.refuse_records = {3: "14"}
    sale(sim, 1000)
    sale(sim, 2000)
    sim.host.faults = ["lost"] * 3
    sale(sim, 4000)
    for _ in range(2):
        sim.clock.advance(400000)
        sim.idle(40)
    sim.terminal.settle()
    sim.idle(40)
    sim.host.refuse_records = {}
    sale(sim, 500)
    sim.terminal.present_again()
    sim.idle(40)
    sim.terminal.settle()
    sim.idle(40)


def outcomes(sim):
    """INTENT number -> [batch, STAN, how it ended]."""
    out = {}
    for p in sim.entries():
        if p[1] == n.INTENT:
            out[p[0]] = [p[6][1], p[6][0], "open"]
        elif p[1] == n.OUTCOME:
            out[p[6][0]][2] = p[6][1]
        elif p[1] == n.REVERSAL_REPLY and p[6][1] == n.V_MATCHED:
            out[p[6][0]][2] = "reversed"
    return out


def ends_well(sim, number):
    """After the cut: the network is well, people do what they are asked to, and both sides' books agree."""
    sim.host.faults, sim.host.refuse_records = [], {}
    sim.start()
    for _ in range(12):
        sim.wait(2500000, 1)
        if not sim.state.signed_on:
            sim.terminal.sign_on()
        if sim.state.settle is None and sim.state.refused:
            sim.terminal.present_again()
        elif sim.state.settle is None and sim.state.intents and not sim.state.debts:
            sim.terminal.settle()
    state, host = sim.state, sim.host
    assert state.debts == [] and state.slips == [] and state.current is None, (number, sim.terminal.status())
    assert state.settle is None and state.refused == [] and state.shred == [], (number, sim.terminal.status())
    assert state.intents == 0 and state.totals == [0] * 8, number
    entries = sim.entries()
    assert [p[0] for p in entries] == list(range(len(entries))), number
    assert sim.board.keystore.index == len(entries), number
    # Each batch closed once, its number moved once, its key gone.
    closed = sim.bodies(n.BATCH_CLOSED)
    assert [body[0] for body in closed] == list(range(1, state.batch)), (number, closed)
    assert sorted(host.closed) == list(range(1, state.batch)), number
    assert [key for key in sim.board.keystore.vault if key != state.batch] == [], number
    assert [body[0] for body in sim.bodies(n.VAULT_DESTROYED)] == list(range(1, state.batch)), number
    # Every approved record in exactly one closed batch on the host, with the totals of both to the cent.
    approved = []
    for batch, stan, how in outcomes(sim).values():
        assert how in (n.APPROVED, n.NOT_SENT, n.DECLINED, "reversed"), (number, batch, stan, how)
        if how == n.APPROVED:
            approved.append((batch, stan))
    assert approved == host.approved() == sorted((b, s) for b in host.closed for s in host.closed[b].settled), number
    for body in closed:
        assert body[2] == host.sum_of(host.closed[body[0]].settled), (number, body)
    # No record acknowledged twice: the host raises where one comes under two STANs; the journal says the same.
    taken = []
    pack = {}
    for p in entries:
        if p[1] == n.SETTLE_SENT and p[6][0] in (n.P_UPLOAD, n.P_AGAIN):
            pack[p[6][2]] = p[6][3]
        elif p[1] == n.UPLOAD_REPLY and p[6][2] == n.V_MATCHED:
            taken += [txn for place, txn in enumerate(pack[p[6][1]]) if place not in p[6][5]]
    assert len(taken) == len(set(taken)), number


def cut_everywhere(day, least, step):
    sim = Sim()
    left = arm(sim, 1 << 30)
    day(sim)
    total = (1 << 30) - left[0]
    assert total > least, total
    hook(sim, None)
    ends_well(sim, 0)
    for number in range(1, total + 1, step):
        sim = Sim()
        arm(sim, number)
        cut = False
        try:
            day(sim)
        except PowerCut:
            cut = True
        assert cut, (number, total)
        hook(sim, None)
        ends_well(sim, number)


def test_cut_at_every_effect_of_a_settlement_with_upload():
    cut_everywhere(uploading, 60, STEP)


def test_cut_at_every_effect_of_a_settlement_whose_replies_are_lost():
    cut_everywhere(lost_replies, 60, STEP)


def test_cut_at_every_effect_of_a_batch_that_leaves_debts():
    cut_everywhere(leaving_debts, 100, STEP)


def test_cut_again_inside_the_recovery():
    """Two cuts: the second one in what the restart does."""
    for number in range(40, 200, 8 * STEP):
        for second in (2, 5, 9, 14, 20):
            sim = Sim()
            arm(sim, number)
            try:
                uploading(sim)
            except PowerCut:
                pass
            arm(sim, second)
            try:
                sim.start()
                sim.wait(400000, 4)
            except PowerCut:
                pass
            hook(sim, None)
            ends_well(sim, (number, second))


def test_cut_at_every_effect_under_the_second_profile():
    def second(number):
        sim = Sim(profile("iso8583_1987"))
        left = arm(sim, number)
        cut = False
        try:
            uploading(sim)
        except PowerCut:
            cut = True
        hook(sim, None)
        ends_well(sim, number)
        return cut, left

    cut, left = second(1 << 30)
    assert not cut
    for number in range(1, (1 << 30) - left[0] + 1, STEP):
        assert second(number)[0], number
