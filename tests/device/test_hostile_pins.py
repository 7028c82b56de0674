"""Promises on money that hold today and that no other test pins: replies that must not count, cuts inside sign-on and
boot, cancelling around restarts and owed slips.
"""

from sim import PowerCut, Sim, profile

from posfw import numbers as n
from posfw.acquirer.messages import judge
from posfw.engine.state import OWED

HEAP = "2M"  # the simulated flash lies in RAM, and so do the tests


def bodies(sim, kind):
    return [p[6] for p in sim.entries() if p[1] == kind]


def settle(sim):
    for _ in range(10):
        sim.clock.advance(4000000)
        sim.idle(30)


def altered(sim, change, mti="0210"):
    """change(mti, fields) -> (mti, fields, mac) for the host's next replies of type `mti`; the MAC is made after it."""
    real = sim.host._wire

    def wire(out, fields, mac=True):
        if out == mti:
            out, fields, mac = change(out, dict(fields))
        return real(out, fields, mac)

    sim.host._wire = wire
    return real


def unapproved(change, verdict=None):
    sim = Sim()
    real = altered(sim, change)
    done = sim.pay()
    assert done["message"] == "unknown_outcome" and n.SLIP_SALE not in sim.printer.kinds(), done
    assert len(sim.state.debts) == 1 and sim.printer.kinds() == [n.SLIP_PENDING]
    if verdict is not None:
        assert verdict in [b[1] for b in bodies(sim, n.REPLY)]
    sim.host._wire = real
    settle(sim)
    assert sim.state.debts == [] and sim.host.ledger[("000001", "000002")] == "reversed"


def test_m2_reply_without_an_echoed_field_does_not_count():
    for field in (4, 11, 41):
        unapproved(lambda mti, f, field=field: (mti, {k: v for k, v in f.items() if k != field}, True), n.V_MISMATCH)


def test_m2_reply_of_another_terminal_does_not_count():
    def change(mti, fields):
        fields[41] = "87654321"
        return mti, fields, True

    unapproved(change, n.V_MISMATCH)


def test_m2_reply_without_mac_does_not_count():
    unapproved(lambda mti, f: (mti, f, False), n.V_BAD_MAC)


def test_m2_reply_of_another_type_does_not_count():
    for other in ("0230", "0110", "0410", "0810", "0200"):
        unapproved(lambda mti, f, other=other: (other, f, True))


def test_m2_replayed_reply_of_an_earlier_sale_of_the_same_amount_does_not_count():
    sim = Sim()
    kept = []
    real = sim.host._deliver
    sim.host._deliver = lambda fault, wire: kept.append(wire) or real(fault, wire)
    assert sim.pay(500)["ok"]
    sim.host._deliver = lambda fault, wire: [(10, kept[0]), (20, kept[0])]
    assert sim.pay(500)["message"] == "unknown_outcome"
    assert n.APPROVED not in [b[1] for b in bodies(sim, n.OUTCOME)][1:]


def test_m3_no_reply_but_its_own_closes_a_reversal():
    sim = Sim(profile(gate={"policy": "warn", "limit": 5}))
    kept = []
    real = sim.host._deliver
    sim.host._deliver = lambda fault, wire: kept.append(wire) or []
    sim.pay(500)  # kept[0]: this sale's own approval
    sim.clock.advance(30000)
    sim.host._deliver = lambda fault, wire: [(10, kept[0])]
    sim.idle(1)
    assert len(sim.state.debts) == 1 and sim.state.debts[0].phase == OWED
    sim.host._deliver = lambda fault, wire: kept.append(wire) or real(fault, wire)
    settle(sim)
    assert sim.state.debts == []
    reply = kept[-1]
    sim.host._deliver = real
    # The accepted reversal's reply, replayed, closes no other transaction.
    sim.host.faults = ["silent"]
    sim.pay(500)
    sim.host._deliver = lambda fault, wire: [(10, reply)]
    sim.clock.advance(30000)
    sim.idle(1)
    assert len(sim.state.debts) == 1


def test_judge_never_raises_on_cut_or_altered_wires():
    sim = Sim()
    kept = []
    real = sim.host._deliver
    sim.host._deliver = lambda fault, wire: kept.append(wire[2:]) or real(fault, wire)
    sim.pay()
    terminal, wire = sim.terminal, kept[0]
    for size in range(len(wire)):
        assert judge(terminal.profile, None, wire[:size], sim.board.keystore.cmac)[0] in (n.V_GARBLED, n.V_BAD_MAC)
    for at in range(len(wire)):
        changed = wire[:at] + bytes((wire[at] ^ 0x41,)) + wire[at + 1 :]
        verdict = judge(terminal.profile, None, changed, sim.board.keystore.cmac)[0]
        assert verdict in (n.V_GARBLED, n.V_BAD_MAC) or at < len(terminal.profile.prefix)


def test_cut_at_each_step_of_a_sign_on_never_leaves_a_sale_under_a_wrong_key():
    for number in range(1, 12):
        sim = Sim()
        left = [number]

        def tick(*_, left=left):
            left[0] -= 1
            if left[0] == 0:
                raise PowerCut()

        board, install = sim.board, sim.board.keystore.install_mac_key

        def installed(*args, install=install, tick=tick):
            tick()  # before the key is in
            done = install(*args)
            tick()  # after it is in, before that is journaled
            return done

        board.keystore.install_mac_key = installed
        board.flash.on_op = board.keystore.on_advance = board.link.on_send = tick
        take = sim.host.take

        def rekeyed(wire, take=take, host=sim.host):
            if wire[len(host.prefix) : len(host.prefix) + 2] == b"\x08\x00":
                host.key = b"working key 0002"  # the host changes its key as it receives this sign-on
            return take(wire)

        sim.host.take = rekeyed
        try:
            sim.terminal.sign_on()
            cut = False
        except PowerCut:
            cut = True
        board.keystore.install_mac_key = install
        board.flash.on_op = board.keystore.on_advance = board.link.on_send = None
        sim.start()
        done = sim.pay()  # the simulated host raises on a wrong MAC of the terminal's
        if not done["ok"]:
            assert cut and done["message"] == "not_signed_on", (number, done)
            assert sim.terminal.sign_on()["ok"] and sim.pay()["ok"]


def test_cut_at_each_step_of_a_boot_with_an_open_sale():
    for number in range(1, 16):
        sim = Sim()

        def cut():
            raise PowerCut()

        sim.board.link.on_send = cut
        try:
            sim.pay()
        except PowerCut:
            pass
        sim.board.link.on_send = None
        left = [number]

        def tick(*_, left=left):
            left[0] -= 1
            if left[0] == 0:
                raise PowerCut()

        sim.board.flash.on_op = sim.board.keystore.on_advance = tick
        try:
            sim.start()
        except PowerCut:
            pass
        sim.board.flash.on_op = sim.board.keystore.on_advance = None
        sim.start()
        assert sim.state.current is None and len(sim.state.debts) == 1, number
        assert len(bodies(sim, n.OUTCOME)) == 1, number
        settle(sim)
        assert sim.state.debts == [] and sim.printer.kinds()[-1] == n.SLIP_REVERSED, number


def test_cancel_after_a_restart_and_with_the_approval_slip_still_owed():
    for restart in (False, True):
        sim = Sim()
        sim.printer.paper = 0
        sim.pay()
        if restart:
            sim.start()
        assert sim.terminal.cancel()["ok"]
        sim.printer.paper = None
        settle(sim)
        # "Approved" must not come out once it is taken back.
        assert n.SLIP_SALE not in sim.printer.kinds() and sim.printer.kinds()[-1] == n.SLIP_REVERSED
        assert sim.host.ledger[("000001", "000002")] == "reversed"


def test_a_cancelled_void_leaves_the_sale_standing_and_voidable():
    sim = Sim()
    sale = sim.pay()
    assert sim.pay(kind=n.VOID, original=sale["stan"])["ok"]
    assert sim.terminal.cancel()["ok"]
    settle(sim)
    assert sim.pay(kind=n.VOID, original=sale["stan"])["ok"]


def test_refund_of_a_voided_sale_is_refused():
    sim = Sim()
    sale = sim.pay()
    assert sim.pay(kind=n.VOID, original=sale["stan"])["ok"]
    assert sim.pay(kind=n.REFUND, original=sale["stan"])["message"] == "already_voided"


def test_each_debt_of_several_is_reversed_once_and_by_its_own_number():
    sim = Sim(profile(gate={"policy": "warn", "limit": 5}))
    for amount in (101, 102, 103, 104):
        sim.host.faults = ["silent"] * 6
        sim.pay(amount)
    assert len(sim.state.debts) == 4
    sim.host.faults = []
    before = len(sim.host.seen)
    settle(sim)
    sent = [(f[11], int(f[4])) for mti, f in sim.host.seen[before:] if mti == "0400"]
    assert sent == [("000002", 101), ("000003", 102), ("000004", 103), ("000005", 104)] and sim.state.debts == []


def test_amount_at_its_limit_and_a_merchant_without_glyphs_print():
    sim = Sim()
    sim.terminal.profile.config[3] = "鑫龘\u0001\U0001f600" * 10
    sim.state.config[3] = sim.terminal.profile.config[3]
    assert sim.pay(999999999999)["ok"]
    assert sim.printer.kinds() == [n.SLIP_SALE] and b"9999999999.99" in sim.printer.slips[0][2]


def test_a_host_that_refuses_for_a_week_leaves_room_in_a_small_journal():
    sim = Sim()
    sim.host.faults = ["silent"]
    sim.pay()
    end = sim.clock.ms + 7 * 86400000
    while sim.clock.ms < end:
        sim.host.faults = [("code", "96")]
        sim.clock.advance(1200000)
        sim.idle(3)
    assert sim.terminal.runner.journal.free_sectors() >= 3 and len(sim.state.debts) == 1
