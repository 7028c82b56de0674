"""Settlement where parts fail, hosts are unreasonable, and nothing gets better for weeks."""

from close_of_day import BOTH, DAY_MS, FULL, Closing, closes, sent, stripe, unresolved, upload_stans
from sim import SETTINGS, profile, settling

from posfw import numbers as n
from posfw.hal import KeyStoreError
from posfw.terminal import Terminal

HEAP = "3M"  # the simulated flash lies in RAM, and so do the tests


def test_a_host_that_asks_for_everything_again_for_ever_is_told_of_and_never_believed():
    for name in BOTH:
        sim = Closing(profile(name))
        stan = stripe(sim, 100)
        sim.host.lose = {stan}
        sim.host.end_code, sim.host.end_stays = "95", True
        for _ in range(12):
            sim.settle()
            sim.wait(400000, 1)
        assert sim.state.batch == 1 and sim.bodies(n.BATCH_CLOSED) == []
        assert [u[1] for u in sim.bodies(n.UNSETTLED)].count(n.CAUSE_TOTALS) == 1
        assert len(sim.bodies(n.UNSETTLED)) == 2 and len(upload_stans(sim)) <= 6, name
        number = next(p[0] for p in sim.entries() if p[1] == n.SETTLE_SENT)
        assert sim.human([number, n.HUMAN_BATCH_CLOSED, "Wang", "by phone"]) is None
        sim.wait(400000, 2)
        assert sim.state.batch == 2 and sim.pay()["ok"]


def test_balanced_by_its_flags_though_its_totals_differ_is_told():
    sim = Closing()
    stan = stripe(sim, 100)
    sim.host.change = {stan: 99}
    sim.host.force_flags = [[1, 1]]
    sim.settle()
    sim.wait(400000, 2)
    assert [u[1] for u in sim.bodies(n.UNSETTLED)] == [n.CAUSE_TOTALS]
    assert n.SLIP_SETTLE_FAILED in sim.printer.kinds() and sim.state.batch == 2
    assert sim.bodies(n.BATCH_CLOSED)[0][2:4] == [[100, 1, 0, 0, 0, 0, 0, 0], [99, 1, 0, 0, 0, 0, 0, 0]]


def test_new_settings_wait_until_the_batch_is_settled_under_the_old_ones():
    for lose in (set(), {2}):
        sim = Closing()
        stripe(sim, 100)
        sim.host.lose = lose
        other = dict(SETTINGS)
        other["tid"] = "87654321"
        sim.board.clock.restart()
        sim.board.link.close()
        sim.terminal = Terminal(sim.board, sim.data, other, bytes(32))
        sim.terminal.boot()
        assert sim.pay(5)["message"] == "wrong_config"
        sim.settle()
        closes(sim, 1, n.CLOSED_UPLOADED if lose else n.CLOSED_BALANCED)
        assert all(f[41] == "12345678" for mti, f in sim.host.seen if mti in ("0500", "0320"))
        sim.wait(400000, 2)
        sim.terminal.sign_on()
        assert sim.pay(5)["ok"] and sim.host.seen[-1][1][41] == "87654321"


def test_another_rule_of_counting_waits_for_the_close_too():
    sim = Closing()
    stan = stripe(sim, 100)
    assert sim.pay(kind=n.VOID, original=stan, card=sim.card(mode=n.MODE_STRIPE))["ok"]
    data = settling(count=profile("iso8583_1987")["settlement"]["count"])
    sim.board.link.close()
    sim.terminal = Terminal(sim.board, data, SETTINGS, bytes(32))
    sim.terminal.boot()
    assert sim.state.totals == [100, 1, 100, 1, 0, 0, 0, 0]
    sim.settle()
    closes(sim, 1, n.CLOSED_BALANCED)


def test_tampered_in_the_middle_it_settles_nothing_more():
    sim = Closing()
    stan = stripe(sim, 100)
    sim.host.lose = {stan}
    sim.host.faults = ["silent"]
    sim.settle()
    sim.board.tamper.open = True
    seen = len(sim.host.seen)
    sim.wait(400000, 4)
    assert not sim.settle()["ok"] and not sim.terminal.present_again()["ok"]
    assert len(sim.host.seen) == seen and sim.terminal.status()["message"] == "tampered"


def test_an_unknown_clock_does_not_keep_a_batch_from_being_settled():
    sim = Closing(settling(at="23:30"))
    stripe(sim, 100)
    sim.clock.rtc = 0
    sim.start()
    sim.settle()
    sim.wait(1000, 2)
    assert sim.state.batch == 2


def test_card_data_that_are_gone_do_not_hang_the_settlement():
    """A record that cannot be built is a record the host did not take: kept, printed, and people decide."""
    for name in BOTH:
        for what in ("records", "key"):
            sim = Closing(profile(name))
            stans = [stripe(sim, 100 + i) for i in range(3)]
            sim.host.lose = {stans[0]}
            if what == "key":
                sim.board.keystore.vault = {}
            else:
                flash = sim.board.vault_flash
                for block in range(flash.ioctl(4, 0)):
                    flash.ioctl(6, block)
                sim.start()
            sim.settle()
            sim.wait(DAY_MS, 6)
            stuck = sim.bodies(n.UNSETTLED)
            assert [u for u in stuck if u[1] != n.CAUSE_TOTALS], (name, what, "nobody is told")
            if sim.state.batch == 1:  # then a person can end it
                number = next(p[0] for p in sim.entries() if p[1] == n.SETTLE_SENT)
                assert sim.human([number, n.HUMAN_BATCH_CLOSED, "Wang", "data lost"]) is None, (name, what)
            else:
                assert len(sim.terminal.status()["refused"]) == 3
            sim.wait(400000, 3)
            assert sim.state.batch == 2, (name, what)


def test_a_line_that_is_dead_for_good_can_be_ended_by_a_person():
    sim = Closing()
    stripe(sim, 100)
    sim.board.link.close()
    sim.host.refuse = 1 << 30
    sim.settle()
    sim.wait(DAY_MS, 6)
    assert [u[1] for u in sim.bodies(n.UNSETTLED)] == [n.CAUSE_NOT_SETTLED]
    number = sim.status()[6]
    assert sim.human([number, n.HUMAN_BATCH_CLOSED, "Wang", "acquirer gone"]) is None
    sim.wait(400000, 2)
    assert sim.state.batch == 2


def stutter(day, check, error, arm, step):
    """Let each effect of a day's settlement fail once, reported to the caller; the day must end well all the same."""
    number, happened = 1, True
    while happened:
        sim = Closing()
        stans = [stripe(sim, 100), stripe(sim, 200)]
        sim.host.lose = {stans[0]}
        left = [number]

        def tick(*_):
            left[0] -= 1  # noqa: B023 - called in this turn only
            if left[0] == 0:  # noqa: B023
                raise error()

        arm(sim, tick)
        day(sim)
        happened = left[0] <= 0
        arm(sim, None)
        check(sim, number)
        number += step


def settles(sim):
    sim.settle()
    sim.idle(40)


def mended(sim, number):
    if sim.terminal.runner.stopped:
        assert sim.start()[0], number
    for _ in range(4):
        sim.wait(400000, 2)
        if sim.state.settle is None and sim.state.intents:
            sim.settle()
    closes(sim, 1, n.CLOSED_UPLOADED, reprints=True)
    assert sim.board.keystore.index == len(sim.entries()), number


def test_a_flash_that_fails_once_at_each_operation():
    def arm(sim, tick):
        sim.board.flash.on_op = tick

    stutter(settles, mended, OSError, arm, 1 if FULL else 9)


def test_a_vault_flash_and_a_key_store_that_fail_once_at_each_operation():
    def arm(sim, tick):
        sim.board.vault_flash.on_op = sim.board.keystore.on_vault = tick

    stutter(settles, mended, lambda: KeyStoreError("once"), arm, 1 if FULL else 2)


def test_a_key_store_that_does_not_advance_once():
    def arm(sim, tick):
        sim.board.keystore.on_advance = tick

    stutter(settles, mended, lambda: KeyStoreError("once"), arm, 1 if FULL else 5)


def test_a_batch_that_fills_the_ring_can_still_be_uploaded_and_closed():
    for name, mode in (("unionpay", n.MODE_CHIP), ("unionpay", n.MODE_STRIPE), ("iso8583_1987", n.MODE_CHIP)):
        if not FULL and name == "unionpay":
            continue
        sim = Closing(profile(name), blocks=9)
        stans = []
        while True:
            done = sim.pay(100 + len(stans), card=sim.card(mode=mode))
            if not done["ok"]:
                break
            stans.append(done["stan"])
        assert done["message"] == "journal_full" and len(stans) > 20, (done, len(stans))
        sim.host.lose = {stans[0]}
        sim.settle()
        sim.host.faults = ["silent"] * 3
        sim.wait(400000, 2)
        body = closes(sim, 1, n.CLOSED_UPLOADED)
        assert body[5] == len(stans)


def test_weeks_of_trouble_do_not_fill_the_ring():
    troubles = ("silent", "upload", "refused connections", ("code", "91"), ("code", "03"), "bad_mac", "no erase")
    for trouble in troubles if FULL else troubles[:2]:
        sim = Closing()
        stans = [stripe(sim, 100 + i) for i in range(9)]
        if trouble == "upload":
            sim.host.lose = {stans[0]}
            sim.host.refuse_records = dict.fromkeys(stans, "14")
        if trouble == "refused connections":
            sim.board.link.close()
            sim.host.refuse = 1000
        if trouble == "no erase":

            def never(batch):
                raise KeyStoreError("never")

            sim.board.keystore.erase_vault_key = never
        before = sim.terminal.runner.journal.seq
        if trouble not in ("upload", "no erase", "refused connections"):
            sim.host.faults = [trouble] * 50
        sim.settle()
        for _ in range(60 if FULL else 12):
            if trouble == "refused connections":
                sim.host.refuse = 1000
                sim.board.link.close()
            elif trouble not in ("upload", "no erase"):
                sim.host.faults = [trouble] * 50
            sim.wait(DAY_MS // 4, 4)
        written = sim.terminal.runner.journal.seq - before
        assert written < 260, (trouble, written)
        assert (sim.state.batch == 2) == (trouble == "no erase"), trouble


def test_a_dead_printer_owes_no_more_slips_than_a_snapshot_holds():
    sim = Closing(blocks=64)
    sim.printer.paper = 0
    for _ in range(14):
        for _ in range(2):
            if sim.pay(card=sim.card(mode=n.MODE_STRIPE))["ok"]:
                sim.host.lose = {sim.state.stan - 1}
        sim.settle()
        sim.wait(400000, 3)
    owed = len(sim.state.slips)
    assert owed <= 30, owed
    state = sim.state.to_array()
    sim.start()
    assert [s[:2] for s in sim.state.to_array()[3]] == [s[:2] for s in state[3]]
    sim.printer.paper = None
    sim.wait(DAY_MS, 4)
    assert sim.state.slips == [] and sim.pay()["ok"]


def test_unresolved_reversals_of_many_batches_keep_their_data():
    sim = Closing(profile(gate={"policy": "warn", "limit": 5}), blocks=96)
    sim.host.reversal_code = "05"
    for _ in range(3):
        unresolved(sim)
        sim.host.faults = []
        stripe(sim, 100)
        sim.settle()
        sim.wait(400000, 8)
    assert sim.state.batch == 4 and len(sim.state.debts) == 3
    assert sorted(t.batch for t in sim.state.debts) == [1, 2, 3]
    assert [key for key in sim.board.keystore.vault if key < 4] == []
    sim.start()
    sim.host.reversal_code = None
    sim.wait(DAY_MS, 4)
    assert sim.state.debts == []
    reversed_stans = sorted(key for key in sim.host.ledger if sim.host.ledger[key] == "reversed")
    assert [key[0] for key in reversed_stans] == ["000001", "000002", "000003"]
    assert len(sent(sim, n.P_BEGIN)) >= 3
