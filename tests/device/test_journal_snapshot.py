"""A SNAPSHOT holds the whole state and must fit one entry, whatever the terminal was let into."""

from sim import SETTINGS, Sim, profile

from posfw import numbers as n
from posfw.acquirer.profile import ProfileError
from posfw.codec import cbor
from posfw.engine.batch import MOST_REFUSED, MOST_SLIPS, Settle
from posfw.engine.state import State
from posfw.journal.seal import MAX_PAYLOAD
from posfw.terminal import Terminal

HEAP = "3M"  # the simulated flash lies in RAM
def warn(limit):
    return profile(gate={"policy": "warn", "limit": limit})


def snapshot_size(sim):
    """Bytes of the payload that opens the next sector, with the largest clock values."""
    return len(cbor.encode([0xFFFFFFFF, n.SNAPSHOT, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 3, sim.state.to_array()]))


def request(sim, amount=999999999999, **more):
    """A sale with every field as long as the checks allow."""
    values = {"amount": amount, "operator": "op-12345"}
    values.update(more)
    return sim.pay(card=sim.card(pan="6222020000001234567", aid="A" * 32), **values)


def widen(sim):
    """Give every field of every transaction the longest value it can come to have."""
    for t in sim.state.txns.values():
        t.stan = t.batch = 999999
        t.attempts = t.fails = t.silences = t.bad = 70000
        t.wait = t.due = 0xFFFFFFFF
        t.rrn, t.auth, t.code, t.reason = "9" * 12, "A" * 6, "A0", "98"
        t.rtc = 0xFFFFFFFF
    for slip in sim.state.slips:
        slip[2], slip[3] = 70000, 0xFFFFFFFF


def close_the_day(sim):
    """The widest settlement: everything that can be pending, refused and owed on paper at the same time."""
    big, state = 0xFFFFFFFF, sim.state
    s = state.settle = Settle()
    s.number = s.due = s.wait = s.cursor = s.upto = s.single = big
    s.batch = s.stan = 999999
    s.attempts = s.fails = s.acked = s.refused = 70000
    s.phase, s.pending, s.restarts, s.code, s.flags = 6, 4, 30, "A0", [2, 2]
    s.host = [999999999999, 999] * 4
    s.pack = [big] * 8
    state.totals = [499500000000000, 999] * 4
    state.refused = [[big, 999999, "14"]] * MOST_REFUSED
    state.shred, state.opened, state.overdue = [999999], big, big
    # One settlement adds its own beyond MOST_SLIPS: totals differ, attempts used up, closed.
    state.slips = [[big, n.SLIP_UPLOAD, 70000, big]] * (MOST_SLIPS + 2)


def test_the_widest_settlement_fits_beside_the_most_debts():
    sim = Sim(warn(5))
    done = [request(sim, 142857142857 - i) for i in range(6)]
    sim.printer.paper = 0
    sim.host.faults = ["silent"] * 400
    for result in done:
        request(sim, kind=n.VOID, original=result["stan"])
    assert len(sim.state.debts) >= 5
    widen(sim)
    close_the_day(sim)
    assert snapshot_size(sim) <= MAX_PAYLOAD, snapshot_size(sim)
    loaded = State()
    loaded.load(cbor.decode(cbor.encode(sim.state.to_array())))
    assert loaded.to_array() == sim.state.to_array()


def test_the_most_debts_the_gate_allows_fit():
    sim = Sim(warn(5))
    sim.printer.paper = 0  # every slip stays owed too
    sim.host.faults = ["silent"] * 200
    sim.board.keystore.vault.clear()
    taken = 0
    for _ in range(12):
        before = sim.state.intents
        result = request(sim)
        taken += sim.state.intents > before
        if result["message"] == "debt_limit":
            break
    assert 5 <= taken <= 7 and len(sim.state.debts) == taken
    widen(sim)
    assert snapshot_size(sim) <= MAX_PAYLOAD, snapshot_size(sim)


def test_the_most_unresolved_debts_fit():
    sim = Sim(warn(5))
    sim.printer.paper = 0
    sim.host.faults = ["silent"] * 400
    for _ in range(6):
        request(sim)
    for _ in range(60):
        sim.clock.advance(400000)
        sim.idle()
    assert len([t for t in sim.state.debts if t.phase == 3]) == len(sim.state.debts) >= 5
    widen(sim)
    assert snapshot_size(sim) <= MAX_PAYLOAD, snapshot_size(sim)


def test_voids_owed_with_their_originals_fit():
    sim = Sim(warn(5))
    done = [request(sim, 142857142857 - i) for i in range(6)]
    sim.printer.paper = 0
    sim.host.faults = ["silent"] * 400
    for result in done:
        request(sim, kind=n.VOID, original=result["stan"])
    assert len(sim.state.debts) >= 5
    widen(sim)
    assert snapshot_size(sim) <= MAX_PAYLOAD, snapshot_size(sim)


def test_a_day_without_paper():
    # Each sale owes a slip, and no rule of M3 stops it: the terminal must, or print first, before the SNAPSHOT bursts.
    sim = Sim()
    sim.printer.paper = 0
    taken = 0
    for number in range(60):
        try:
            result = sim.pay()
        except Exception as error:  # noqa: BLE001  the point is that none comes out
            raise AssertionError("sale %d without paper raised %r" % (number, error))
        if not result["ok"]:
            assert isinstance(result["message"], str) and result["message"]
            break
        taken += 1
    assert taken >= 3
    assert snapshot_size(sim) <= MAX_PAYLOAD, snapshot_size(sim)
    # The terminal boots, and the slips come once there is paper.
    assert sim.start() == (True, "ready")
    sim.printer.paper = None
    for _ in range(200):
        sim.clock.advance(1000)
        sim.idle()
    assert sim.state.slips == []
    assert sim.printer.kinds().count(n.SLIP_SALE) == taken


def test_a_day_without_paper_and_with_declines():
    sim = Sim()
    sim.printer.paper = 0
    sim.host.faults = [("decline", "51")] * 60
    for number in range(60):
        try:
            result = sim.pay()
        except Exception as error:  # noqa: BLE001
            raise AssertionError("decline %d without paper raised %r" % (number, error))
        if result["message"] != "declined":
            break
    assert snapshot_size(sim) <= MAX_PAYLOAD, snapshot_size(sim)


def test_a_snapshot_says_all_of_the_state():
    sim = Sim(warn(3), blocks=64)
    sim.printer.paper = 0
    sim.host.faults = ["silent"] * 4
    for _ in range(3):
        sim.pay()
    sim.host.faults = ["silent"] * 300
    # Entries until a sector is opened: the next boot has nothing but that SNAPSHOT and what follows.
    runner = sim.terminal.runner
    sequence = runner.journal.ring.header.sequence
    while runner.journal.ring.header.sequence == sequence:
        runner.run(("fault", n.AREA_USB, 1, 1))
    before = sim.state.to_array()
    sim.start()
    after = sim.state.to_array()
    assert after[1][0] == before[1][0] + 1  # boot
    assert after[1][1:] == before[1][1:] and [t[0] for t in after[2]] == [t[0] for t in before[2]]
    assert [t[:-3] for t in after[2]] == [t[:-3] for t in before[2]]
    assert [s[:3] for s in after[3]] == [s[:3] for s in before[3]]


def test_the_most_debts_with_the_longest_settings_fit():
    # What Profile accepts as settings stands in every SNAPSHOT too.
    sim = Sim(sign_on=False)
    settings = dict(SETTINGS)
    settings["merchant"] = "测" * 120
    data = warn(5)
    data["name"] = "字" * 120
    try:
        sim.terminal = Terminal(sim.board, data, settings, bytes(32))
    except ProfileError:
        return  # refused is as good
    assert sim.terminal.boot()[0] and sim.terminal.sign_on()["ok"]
    sim.printer.paper = 0
    sim.host.faults = ["silent"] * 400
    for _ in range(6):
        request(sim)
    widen(sim)
    assert len(sim.state.debts) >= 5
    assert snapshot_size(sim) <= MAX_PAYLOAD, snapshot_size(sim)


def test_an_unknown_snapshot_version_is_refused_without_a_crash():
    sim = Sim()
    journal = sim.terminal.runner.journal
    journal.snapshot = lambda: [99] + sim.state.to_array()[1:]  # noqa: RUF005
    sequence = journal.ring.header.sequence
    while journal.ring.header.sequence == sequence:
        sim.terminal.runner.run(("fault", n.AREA_USB, 1, 1))
    before = bytes(sim.board.flash.store.view)
    try:
        ok, key = sim.start()
    except Exception as error:  # noqa: BLE001
        raise AssertionError("boot raised %r" % (error,))
    assert not ok and key
    assert bytes(sim.board.flash.store.view) == before
