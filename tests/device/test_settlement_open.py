"""What settlement leaves open, and when it happens (money rule M9): refused records, debts of an older batch, batch
numbers, vault keys, schedule and limits, deadlines, paper, restarts.
"""

from close_of_day import (
    BOTH,
    DAY_MS,
    FULL,
    Closing,
    closes,
    faulty,
    foreign,
    numbers_of,
    seen,
    sent,
    stripe,
    unresolved,
    upload_stans,
)
from sim import PAN, VISA, profile, settling

from posfw import numbers as n

HEAP = "3M"  # the simulated flash lies in RAM, and so do the tests


# -- refused records ------------------------------------------------------------------------------------------


def refusing(name="unionpay", code="14"):
    """A closed batch of three with the middle record refused; returns (sim, its STAN, its number)."""
    sim = Closing(profile(name))
    stans = [stripe(sim, 100), stripe(sim, 200), stripe(sim, 300)]
    sim.host.lose = {stans[0]}
    sim.host.refuse_records = {stans[1]: code}
    sim.settle()
    body = closes(sim, 1, n.CLOSED_UPLOADED, refused=[stans[1]])
    assert body[5:7] == [2, 1]
    return sim, stans[1], numbers_of(sim)[stans[1]]


def test_a_refused_record_is_kept_reported_and_printed():
    for name in BOTH:
        sim, stan, number = refusing(name)
        assert sim.terminal.status()["refused"] == [[number, 1, "14"]]
        assert [8, number] in sim.terminal.status()["owed"]
        told = [u for u in sim.bodies(n.UNSETTLED) if u[1] == n.CAUSE_UPLOAD]
        assert told == [[1, n.CAUSE_UPLOAD, "14", number]]
        assert sim.printer.kinds().count(n.SLIP_UPLOAD) == 1
        slip = next(s[2] for s in sim.printer.slips if s[0] == n.SLIP_UPLOAD)
        assert b"%06d" % stan in slip and b"14" in slip and PAN.encode() not in slip
        assert sorted(sim.host.closed[1].settled) == [s for s in (2, 3, 4) if s != stan]
        sim.start()
        assert sim.terminal.status()["refused"] == [[number, 1, "14"]]
        assert sim.pay(5)["ok"]


def test_the_cashier_sees_that_a_record_was_refused():
    sim, _, _ = refusing()
    assert "record_refused" in sim.board.display.shown


def test_a_refused_record_is_presented_again_and_taken():
    for name in BOTH:
        for later in (False, True):
            sim, stan, number = refusing(name)
            if later:  # two batches on: its card data must still be there
                for _ in range(2):
                    stripe(sim, 10)
                    assert sim.settle()["ok"]
                    sim.wait(400000, 1)
                assert sim.state.batch == 4
            sim.start()
            sim.host.refuse_records = {}
            assert sim.terminal.present_again()["ok"]
            sim.wait(400000, 2)
            assert sim.terminal.status()["refused"] == [], (name, later, sim.board.display.shown[-6:])
            assert sim.host.closed[1].settled[stan].amount == 200
            again = sent(sim, n.P_AGAIN)
            assert len(again) == 1 and again[0][1] == 1 and again[0][3] == [number]
            assert again[0][2] not in (stan, 0) and "presented" in sim.board.display.shown
            assert sim.pay(5)["ok"] and sim.settle()["ok"]
            closes(sim, 4 if later else 2, n.CLOSED_BALANCED)


def test_presenting_again_survives_lost_replies_and_restarts():
    for fault in ("silent", "lost", "garbled", "bad_mac", ("late", 33000)):
        for restart in (False, True) if FULL else (fault == "silent",):
            sim, stan, _ = refusing()
            sim.host.refuse_records = {}
            sim.host.faults = [fault]
            sim.terminal.present_again()
            sim.idle()
            if restart:
                sim.start()
            sim.wait(400000, 3)
            if sim.terminal.status()["refused"]:  # its attempt is over: people may ask again
                sim.terminal.present_again()
                sim.wait(400000, 3)
            assert sim.terminal.status()["refused"] == [], (fault, restart)
            assert stan in sim.host.closed[1].settled


def test_a_record_refused_again_stays_refused():
    sim, stan, number = refusing()
    sim.host.refuse_records = {stan: "05"}
    sim.terminal.present_again()
    sim.wait(400000, 2)
    assert sim.terminal.status()["refused"] == [[number, 1, "05"]]
    assert stan not in sim.host.closed[1].settled
    assert [u[3] for u in sim.bodies(n.UNSETTLED) if u[1] == n.CAUSE_UPLOAD] == [number, number]
    assert sim.printer.kinds().count(n.SLIP_UPLOAD) == 2


def test_nothing_refused_nothing_to_present():
    sim = Closing()
    done = sim.terminal.present_again()
    assert not done["ok"] and sent(sim, n.P_AGAIN) == []


def test_a_refused_record_is_written_off_by_a_signed_decision_only():
    sim, _, number = refusing()
    good = [number, n.HUMAN_WRITTEN_OFF, "Wang", "paid in cash"]
    assert sim.human(good, key=bytes(32)) == "bad_request"
    assert sim.human(good, role=n.TECHNICIAN) == "bad_request"
    assert sim.human(good, role=n.AUDITOR) == "bad_request"
    assert sim.human(good, context=b"posfw/auth/1") == "bad_request"
    assert sim.decide(b"") == "bad_request"
    assert sim.human([number + 1, n.HUMAN_WRITTEN_OFF, "Wang", "x"]) is not None
    assert sim.human([number, n.HUMAN_REVERSED, "Wang", "x"]) is not None
    assert sim.human([number, 6, "Wang", "x"]) == "bad_request"
    assert sim.human([number, n.HUMAN_WRITTEN_OFF, "", "x"]) == "bad_request"
    assert sim.bodies(n.HUMAN) == [] and sim.terminal.status()["refused"] == [[number, 1, "14"]]
    assert sim.human(good) is None
    assert sim.terminal.status()["refused"] == []
    assert sim.bodies(n.HUMAN)[0][:3] == [number, n.HUMAN_WRITTEN_OFF, "Wang"]
    sim.wait(1000, 2)
    assert sim.printer.kinds()[-1] == n.SLIP_HUMAN
    assert sim.human(good) is not None and len(sim.bodies(n.HUMAN)) == 1
    assert not sim.terminal.present_again()["ok"]


def test_decisions_on_a_reversal_do_not_touch_records_and_the_other_way_round():
    sim = Closing()
    txn = unresolved(sim)
    assert sim.human([txn, n.HUMAN_WRITTEN_OFF, "Wang", "x"]) is not None
    assert sim.human([txn, n.HUMAN_BATCH_CLOSED, "Wang", "x"]) is not None
    assert len(sim.state.debts) == 1 and sim.bodies(n.HUMAN) == []


def test_more_than_eight_refused_records_make_the_upload_wait():
    for name in BOTH:
        sim = Closing(profile(name))
        stans = [stripe(sim, 100 + i) for i in range(11)]
        sim.host.lose = {stans[0]}
        sim.host.refuse_records = dict.fromkeys(stans, "14")
        sim.settle()
        sim.wait(400000, 8)
        refused = sim.terminal.status()["refused"]
        assert len(refused) == 8 and sim.state.batch == 1 and sim.status()[1] == 3
        assert "upload_blocked" in sim.board.display.shown
        assert len(sim.host.uploads[1]) == 8
        for number, _, _ in refused[:3]:
            assert sim.human([number, n.HUMAN_WRITTEN_OFF, "Wang", "x"]) is None
        sim.wait(2000000, 6)
        closes(sim, 1, n.CLOSED_UPLOADED, refused=stans)
        judged = [stan for pack in upload_stans(sim) for stan in pack]
        assert sorted(judged) == stans  # nothing skipped, nothing twice
        assert len(sim.terminal.status()["refused"]) == 8


def test_a_pack_never_brings_more_refused_records_than_the_state_holds():
    sim = Closing()
    stans = [stripe(sim, 100 + i) for i in range(20)]
    sim.host.lose = {stans[0]}
    sim.host.refuse_records = dict.fromkeys(stans[1:], "14")
    sim.settle()
    for _ in range(40):
        sim.wait(2000000, 1)
        refused = sim.terminal.status()["refused"]
        assert len(refused) <= 8, refused
        if sim.state.batch == 2 and not refused:
            break
        if refused:
            assert sim.human([refused[0][0], n.HUMAN_WRITTEN_OFF, "Wang", "x"]) is None
    assert list(sim.host.closed[1].settled) == [stans[0]]
    assert [stan for pack in upload_stans(sim) for stan in pack] == stans


# -- debts ----------------------------------------------------------------------------------------------------


def test_an_owed_reversal_goes_before_the_totals():
    sim = Closing()
    stripe(sim, 100)
    sim.host.faults = ["silent"]
    sim.pay(200)
    sim.settle()
    closes(sim, 1, n.CLOSED_BALANCED)
    kinds = [mti for mti, _ in sim.host.seen]
    assert kinds.index("0400") < kinds.index("0500")


def test_an_owed_reversal_that_fails_keeps_the_batch_open():
    sim = Closing()
    stripe(sim, 100)
    sim.host.faults = ["silent"]
    sim.pay(200)
    sim.host.faults = ["silent"]
    done = sim.settle()
    assert done == {"ok": False, "message": "reversal_pending_block"}, done
    assert sent(sim, n.P_BEGIN) == [] and seen(sim, "0500") == []
    sim.wait(400000, 2)
    assert sim.settle()["ok"]
    closes(sim, 1, n.CLOSED_BALANCED)


def test_unresolved_settle_its_reversal_outlives_the_batch():
    for name in BOTH:
        sim = Closing(profile(name))
        stripe(sim, 100)
        txn = unresolved(sim, 700)
        stan = sim.state.txns[txn].stan
        sim.host.faults = ["silent"]  # whatever goes out first for it
        sim.settle()
        turns = 0
        while sim.state.batch == 1 and turns < 40:
            if sim.state.debts[0].due - sim.clock.ms < 400000:
                sim.host.faults = ["lost"]
            sim.wait(300000, 1)
            turns += 1
        closed = sim.bodies(n.BATCH_CLOSED)
        assert len(closed) == 1 and closed[0][7] == 1, closed
        if sim.state.debts:
            sim.wait(10000, 2)
            assert 1 not in sim.board.keystore.vault and sim.bodies(n.VAULT_DESTROYED) == [[1, 1]]
            sim.start()
            sim.host.faults = []
            sim.wait(DAY_MS, 3)
        assert sim.state.debts == [] and sim.host.ledger[("000001", "%06d" % stan)] == "reversed"
        reversals = [fields for mti, fields in sim.host.seen if mti == "0400"]
        assert reversals[-1][11] == "%06d" % stan and reversals[-1][2] == PAN
        assert stan not in sim.host.closed[1].settled and sim.printer.kinds()[-1] == n.SLIP_REVERSED
        assert sim.pay(5)["ok"]


def test_unresolved_block_refuses_to_settle_until_it_is_resolved():
    sim = Closing(settling(unresolved="block"))
    stripe(sim, 100)
    txn = unresolved(sim)
    sim.host.faults = ["silent"]
    done = sim.settle()
    assert not done["ok"] and done["message"] in ("settle_unresolved", "reversal_unresolved"), done
    assert sent(sim, n.P_BEGIN) == []
    assert sim.human([txn, n.HUMAN_REVERSED, "Wang", "by phone"]) is None
    sim.host.ledger[("000001", "000003")] = "reversed"
    sim.host.faults = []
    done = sim.settle()
    assert done["ok"], done
    closes(sim, 1, n.CLOSED_BALANCED)


def test_acquirer_confirmed_charged_counts_while_the_batch_is_open():
    sim = Closing()
    txn = unresolved(sim, 700)
    assert sim.human([txn, n.HUMAN_CHARGED, "Wang", "by phone"]) is None
    assert sim.state.totals == [700, 1, 0, 0, 0, 0, 0, 0]
    sim.host.ledger[("000001", "000002")] = "approved"
    sim.settle()
    body = closes(sim, 1, n.CLOSED_BALANCED)
    assert body[2][0] == 700


def test_a_batch_that_cannot_be_settled_is_closed_by_a_signed_decision():
    sim = Closing()
    stripe(sim, 100)
    sim.host.faults = [("code", "03")] * 100
    sim.settle()
    sim.wait(400000, 2)
    number = next(p[0] for p in sim.entries() if p[1] == n.SETTLE_SENT)
    assert sim.status()[6] == number
    assert sim.human([number, n.HUMAN_BATCH_CLOSED, "Wang", "x"], key=bytes(32)) == "bad_request"
    assert sim.human([number + 1, n.HUMAN_BATCH_CLOSED, "Wang", "x"]) is not None
    assert sim.human([number, n.HUMAN_BATCH_CLOSED, "Wang", "acquirer gone"]) is None
    sim.wait(400000, 3)
    closed = sim.bodies(n.BATCH_CLOSED)
    assert len(closed) == 1 and closed[0][:2] == [1, n.CLOSED_BY_HUMAN] and sim.state.batch == 2
    assert 1 not in sim.board.keystore.vault and n.SLIP_HUMAN in sim.printer.kinds()
    sim.host.faults = []
    assert sim.pay(5)["ok"] and sim.settle()["ok"]


# -- numbers and keys -----------------------------------------------------------------------------------------


def test_the_batch_number_moves_at_the_close_only_and_wraps():
    sim = Closing()
    sim.state.batch = 999998
    stripe(sim, 100)
    sim.host.lose = {2}
    sim.host.faults = [None, None, "silent", "silent"]
    sim.settle()
    assert sim.state.batch == 999998
    closes(sim, 999998, n.CLOSED_UPLOADED)
    stripe(sim, 100)
    sim.settle()
    body = closes(sim, 999999, n.CLOSED_BALANCED)
    assert body[8] == 1 and sim.state.batch == 1
    stripe(sim, 100)
    assert sim.settle()["ok"]
    closes(sim, 1, n.CLOSED_BALANCED)


def test_stans_of_settlement_are_consumed_like_any_other():
    sim = Closing()
    stans = [stripe(sim, 100 + i) for i in range(9)]
    sim.host.lose = {stans[0]}
    sim.host.faults = ["silent", None, "silent"]
    sim.settle()
    closes(sim, 1, n.CLOSED_UPLOADED)
    after = sim.pay(5)["stan"]
    used = [b[2] for b in sim.bodies(n.SETTLE_SENT) if b[0] != n.P_BEGIN]
    assert used == [11, 12, 13, 14] and after == 15 and stans == [2, 3, 4, 5, 6, 7, 8, 9, 10]
    sim.state.stan = 999998
    sim.host.lose = {999999}
    stripe(sim, 1)
    sim.pay(1)
    sim.settle()
    closes(sim, 2, n.CLOSED_UPLOADED)
    assert [b[2] for b in sim.bodies(n.SETTLE_SENT) if b[0] != n.P_BEGIN][-5:] == [1, 2, 3, 4, 5]


def test_the_vault_key_is_destroyed_after_the_close_and_only_then():
    sim = Closing()
    stan = stripe(sim, 100)
    sim.host.lose = {stan}
    key = sim.board.keystore.vault[1]
    sim.host.faults = ["silent"]
    sim.settle()
    for _ in range(8):
        if sim.state.batch == 1:
            assert sim.board.keystore.vault.get(1) == key and sim.bodies(n.VAULT_DESTROYED) == []
            sim.clock.advance(100000)
            sim.idle(1)
    sim.wait(400000, 1)
    assert 1 not in sim.board.keystore.vault and sim.bodies(n.VAULT_DESTROYED) == [[1, 0]]
    kinds = sim.kinds()
    assert kinds.index(n.BATCH_CLOSED) < kinds.index(n.VAULT_DESTROYED)
    assert sim.pay(5)["ok"] and 2 in sim.board.keystore.vault and sim.board.keystore.vault[2] != key


def test_a_key_store_that_will_not_erase_is_asked_until_it_does():
    sim = Closing()
    stripe(sim, 100)
    store = sim.board.keystore
    real = store.erase_vault_key
    calls = []

    def stubborn(batch):
        from posfw.hal import KeyStoreError

        calls.append(batch)
        if len(calls) < 3:
            raise KeyStoreError("not now")
        real(batch)

    store.erase_vault_key = stubborn
    sim.settle()
    sim.wait(400000, 12)
    if sim.terminal.runner.stopped:  # a key store that fails may stop the terminal; the debt must outlive that
        sim.start()
        sim.wait(400000, 6)
        if sim.terminal.runner.stopped:
            sim.start()
            sim.wait(400000, 6)
    assert 1 not in store.vault and sim.bodies(n.VAULT_DESTROYED) == [[1, 0]] and len(calls) == 3


# -- when -----------------------------------------------------------------------------------------------------


def test_no_sale_between_begin_and_close():
    sim = Closing()
    stan = stripe(sim, 100)
    sim.host.lose = {stan}
    sim.host.faults = ["silent"]
    sim.settle()
    before = len(sim.bodies(n.INTENT))
    for kind in (n.SALE, n.REFUND, n.VOID, n.PREAUTH):
        done = sim.pay(50, kind, original=None if kind in (n.SALE, n.PREAUTH) else stan)
        assert not done["ok"] and done["message"] == "settling", done
    assert not sim.terminal.cancel()["ok"]
    sim.start()
    assert sim.pay(50)["message"] == "settling"
    assert len(sim.bodies(n.INTENT)) == before
    closes(sim, 1, n.CLOSED_UPLOADED)
    assert sim.pay(50)["ok"]


def test_a_transaction_of_a_closed_batch_can_no_longer_be_cancelled():
    sim = Closing()
    stripe(sim, 100)
    assert sim.settle()["ok"]
    assert sim.terminal.cancel()["message"] == "original_not_found"


def test_schedule_closes_at_its_time():
    sim = Closing(settling(at="23:30"))  # the simulated day begins at 12:00 local time
    stripe(sim, 100)
    sim.wait(3600000, 11)
    assert sim.state.batch == 1 and sent(sim, n.P_BEGIN) == []
    sim.wait(1800000, 2)
    assert sim.state.batch == 2 and sent(sim, n.P_BEGIN)[0][3] == [n.BY_SCHEDULE]
    sim.wait(3600000, 24)
    assert len(sent(sim, n.P_BEGIN)) == 1  # an empty batch is not settled
    stripe(sim, 100)
    sim.wait(3600000, 24)
    assert sim.state.batch == 3 and len(sent(sim, n.P_BEGIN)) == 2


def test_schedule_missed_while_off_is_made_up_for():
    sim = Closing(settling(at="23:30"))
    stripe(sim, 100)
    sim.clock.advance(20 * 3600000)
    sim.start()
    sim.wait(60000, 3)
    assert sim.state.batch == 2 and sent(sim, n.P_BEGIN)[0][3] == [n.BY_SCHEDULE]


def test_batch_limit_forces_the_close():
    sim = Closing(profile(batch={"limit": 3}))
    for _ in range(3):
        stripe(sim, 100)
    assert not sim.pay()["ok"]
    sim.wait(60000, 3)
    assert sim.state.batch == 2 and sent(sim, n.P_BEGIN)[0][3] == [n.BY_BATCH_LIMIT]
    stripe(sim, 100)


def test_a_ring_nearly_full_forces_the_close():
    sim = Closing(blocks=8)
    for _ in range(200):
        done = sim.pay(card=sim.card(mode=n.MODE_STRIPE))
        sim.idle()
        if not done["ok"] or sim.state.batch > 1:
            break
    sim.wait(60000, 3)
    assert sim.state.batch == 2 and sent(sim, n.P_BEGIN)[0][3] == [n.BY_RING]
    closes(sim, 1, n.CLOSED_BALANCED)


def test_a_vault_nearly_full_forces_the_close():
    sim = Closing(blocks=64, vault_blocks=3)
    for _ in range(300):
        done = sim.pay(card=sim.card(mode=n.MODE_STRIPE))
        if not done["ok"]:
            break
        sim.idle()
        if sim.state.batch > 1:
            break
    sim.wait(60000, 3)
    assert sim.state.batch == 2 and sent(sim, n.P_BEGIN)[0][3] == [n.BY_VAULT], (done, sent(sim, n.P_BEGIN))
    for _ in range(20):
        stripe(sim, 1)


def test_overdue_is_told_once_and_reminded_of():
    sim = Closing()
    stripe(sim, 100)
    opened = sim.status()[2]
    sim.wait(3600000, 29)
    assert sim.bodies(n.UNSETTLED) == []
    sim.wait(3600000, 40)
    assert sim.bodies(n.UNSETTLED) == [[1, n.CAUSE_NOT_SETTLED, "", opened]]
    assert sim.status()[3] == n.CAUSE_NOT_SETTLED and "batch_overdue" in sim.board.display.shown
    paper = [kind for kind in sim.printer.kinds() if kind in (n.SLIP_SETTLE_FAILED, n.SLIP_REMINDER)]
    assert len(paper) == 1
    for again in (sim.start, sim.pay, sim.pay):
        before, shown = sim.printer.kinds().count(n.SLIP_REMINDER), len(sim.board.display.shown)
        again()
        sim.wait(1000, 2)
        told = "batch_overdue" in sim.board.display.shown[shown:]
        assert told or sim.printer.kinds().count(n.SLIP_REMINDER) == before + 1
    assert len(sim.bodies(n.UNSETTLED)) == 1
    sim.settle()
    closes(sim, 1, n.CLOSED_BALANCED)
    assert sim.state.batch == 2 and sim.status()[3] == 0
    shown = len(sim.board.display.shown)
    sim.start()
    stripe(sim, 5)
    assert "batch_overdue" not in sim.board.display.shown[shown:]


def test_out_of_paper_the_settlement_slip_is_owed_and_printed_later():
    sim = Closing()
    stan = stripe(sim, 100)
    sim.host.lose = {stan}
    sim.printer.paper = 0
    sim.settle()
    sim.wait(400000, 6)
    assert sim.state.batch == 2 and n.SLIP_SETTLEMENT not in sim.printer.kinds()
    assert [s[1] for s in sim.state.slips].count(n.SLIP_SETTLEMENT) == 1
    sim.start()
    sim.wait(400000, 2)
    assert n.SLIP_SETTLEMENT not in sim.printer.kinds()
    sim.printer.paper = None
    sim.wait(400000, 3)
    assert sim.printer.kinds().count(n.SLIP_SETTLEMENT) == 1 and sim.state.slips == []
    assert sim.printer.kinds().count(n.SLIP_SETTLE_FAILED) == 1


def test_details_on_request():
    sim = Closing()
    stripe(sim, 100)
    foreign(sim, 222)
    assert sim.terminal.print_detail()["ok"]
    assert sim.printer.kinds()[-1] == n.SLIP_DETAIL
    paper = sim.printer.slips[-1][2]
    assert b"000002" in paper and b"2.22" in paper and PAN.encode() not in paper and VISA.encode() not in paper
    sim.settle()
    closes(sim, 1, n.CLOSED_BALANCED)
    assert sim.terminal.print_detail(True)["ok"]
    assert b"000002" in sim.printer.slips[-1][2] and b"2.22" in sim.printer.slips[-1][2]


# -- restarts -------------------------------------------------------------------------------------------------


def test_a_restart_at_each_phase_goes_on_where_it_was():
    for name in BOTH:
        for place in range(0, 7, 1 if FULL else 3):
            for fault in ("silent", "lost") if FULL else ("silent",):
                sim = Closing(profile(name))
                stans = [stripe(sim, 100 + i) for i in range(2)]
                chip = sim.pay(7)["stan"]
                sim.host.lose = {chip}
                faulty(sim, place, fault)
                sim.settle()
                sim.start()
                phase = sim.status()[1]
                body = closes(sim, 1, n.CLOSED_UPLOADED)
                assert body[5] == 3, (name, place, phase)
                stans.append(chip)
                assert [stan for pack in upload_stans(sim) for stan in pack] == stans
                assert len(sent(sim, n.P_END)) == 1 and len(sent(sim, n.P_TOTALS)) == 1


def test_a_restart_at_every_idle_step():
    sim = Closing()
    stans = [stripe(sim, 100 + i) for i in range(12)]
    sim.host.lose = {stans[0]}
    sim.host.faults = ["lost"]
    sim.settle()
    for _ in range(60):
        sim.start()
        sim.clock.advance(400000)
        sim.idle(1)
        if sim.state.batch == 2 and not sim.state.shred and not sim.state.slips:
            break
    closes(sim, 1, n.CLOSED_UPLOADED)
    assert [stan for pack in upload_stans(sim) for stan in pack] == stans


def test_sectors_roll_in_the_middle_of_an_upload():
    for pack in (1, 8) if FULL else (8,):
        sim = Closing(settling(pack=pack), blocks=48)
        stans = [stripe(sim, 100 + i) for i in range(60)]
        sim.host.lose = {stans[0]}
        sim.host.refuse_records = {stans[30]: "14"}
        before = sim.kinds().count(n.SNAPSHOT)
        sim.settle()
        phases = []
        for _ in range(30):
            if sim.state.batch == 2:
                break
            sim.start()  # from whatever SNAPSHOT and tail there is
            phases.append(sim.status()[1])
            sim.clock.advance(400000)
            sim.idle(4)
        closes(sim, 1, n.CLOSED_UPLOADED, refused=[stans[30]])
        assert sim.kinds().count(n.SNAPSHOT) > before + (1 if pack == 1 else 0)
        assert [stan for p in upload_stans(sim) for stan in p] == stans


def test_state_of_a_settlement_survives_a_restart_exactly():
    sim = Closing()
    stans = [stripe(sim, 100 + i) for i in range(4)]
    sim.host.lose = {stans[0]}
    sim.host.refuse_records = {stans[1]: "14"}
    sim.host.faults = [None, None, "silent"]
    sim.settle()
    for _ in range(12):
        before = sim.state.to_array()
        status = sim.status()
        sim.start()
        after = sim.state.to_array()
        assert sim.status() == status
        assert before[1][2:7] == after[1][2:7] and before[1][17:] == after[1][17:]
        sim.clock.advance(400000)
        sim.idle(1)
