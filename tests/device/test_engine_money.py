"""The money rules of the design, M1 to M11, on a whole terminal in RAM. Each defect seen in the field is a test of
its own.
"""

from sim import PAN, PowerCut, Sim, profile

from posfw import numbers as n
from posfw.engine.state import OWED, STUCK

DAY_MS = 86400000

HEAP = "2M"  # the simulated flash lies in RAM, and so do the tests


def last(sim, kind):
    found = [p for p in sim.entries() if p[1] == kind]
    return found[-1][6] if found else None


def count(sim, kind):
    return len([k for k in sim.kinds() if k == kind])


def attempts_used_up(sim):
    """Let the profile's attempts fail in silence."""
    for _ in range(sim.terminal.profile.attempts):
        sim.host.faults = ["silent"]
        sim.clock.advance(sim.terminal.profile.retry_max_ms * 2)
        sim.idle(4)


def test_approved_sale_prints_and_owes_nothing():
    sim = Sim()
    done = sim.pay()
    assert done["ok"] and done["message"] == "approved" and done["code"] == "00"
    assert sim.printer.kinds() == [n.SLIP_SALE]
    assert sim.state.debts == [] and sim.state.slips == []
    assert sim.host.ledger[("000001", "%06d" % done["stan"])] == "approved"


def test_declined_sale_has_code_cause_and_slip():
    for code, cause in (("51", n.CAUSE_DECLINED), ("91", n.CAUSE_HOST_BUSY), ("03", n.CAUSE_MERCHANT)):
        sim = Sim()
        sim.host.faults = [("decline", code)]
        done = sim.pay()
        assert not done["ok"] and done["message"] == "declined"
        assert done["code"] == code and done["stan"] == 2
        assert last(sim, n.OUTCOME)[1:3] == [n.DECLINED, cause]
        assert sim.printer.kinds() == [n.SLIP_DECLINED]
        assert sim.state.debts == []


def test_every_reply_that_does_not_count_owes_a_reversal_with_its_reason():
    # M2: what happened, the reason in DE39, the verdict journaled, the cause given
    for fault, reason, verdict, cause in (
        ("silent", "98", n.V_SILENCE, n.CAUSE_HOST_SILENT),
        ("lost", "98", n.V_SILENCE, n.CAUSE_HOST_SILENT),
        ("bad_mac", "A0", n.V_BAD_MAC, n.CAUSE_MAC),
        ("garbled", "06", n.V_GARBLED, n.CAUSE_CORRUPTED),
        ("oversize", "06", n.V_GARBLED, n.CAUSE_CORRUPTED),
        ("wrong_stan", "06", n.V_MISMATCH, n.CAUSE_CORRUPTED),
        ("wrong_amount", "06", n.V_MISMATCH, n.CAUSE_CORRUPTED),
        ("half", "98", n.V_PARTIAL, n.CAUSE_CONGESTED),
        ("slow", "98", n.V_PARTIAL, n.CAUSE_CONGESTED),
        ("close", "98", n.V_SEND_FAILED, n.CAUSE_LINK_DOWN),
    ):
        sim = Sim()
        sim.host.faults = [fault]
        done = sim.pay()
        assert not done["ok"] and done["message"] == "unknown_outcome", fault
        assert last(sim, n.REPLY)[1] == verdict, (fault, last(sim, n.REPLY))
        assert last(sim, n.OUTCOME)[1:4] == [n.UNKNOWN, cause, reason], (fault, last(sim, n.OUTCOME))
        assert [t.reason for t in sim.state.debts] == [reason], fault
        assert sim.printer.kinds() == [n.SLIP_PENDING], fault
        sim.clock.advance(30000)
        sim.idle()
        mti, fields = sim.host.seen[-1]
        assert mti == "0400" and fields[39] == reason and fields[2] == PAN, fault
        assert sim.state.debts == [] and sim.printer.kinds() == [n.SLIP_PENDING, n.SLIP_REVERSED], fault


def test_m1_nothing_is_sent_before_intent_and_vault_are_durable():
    sim = Sim()
    seen = []

    def look():
        t = sim.state.txns[max(sim.state.txns)]
        seen.append((sim.kinds()[-1], sim.terminal.runner.vault.get(t.vault)))

    sim.board.link.on_send = look
    sim.pay()
    assert seen[0][0] == n.INTENT and PAN.encode() in seen[0][1]


def test_m1_no_sale_when_journal_or_vault_flash_fails():
    for part in ("flash", "vault_flash"):
        sim = Sim()
        before = len(sim.board.link.frames)

        def fail(op, block, off, length):
            raise OSError(5)

        getattr(sim.board, part).on_op = fail
        done = sim.pay()
        assert not done["ok"] and done["message"] in ("flash_failed", "vault_full")
        assert len(sim.board.link.frames) == before
        getattr(sim.board, part).on_op = None
        assert sim.pay()["ok"]
        assert len(sim.board.link.frames) == before + 1


def test_defect_reversal_saved_only_after_send():
    sim = Sim()
    sim.host.faults = ["silent"]
    sim.pay()
    at_send = []
    sim.board.link.on_send = lambda: at_send.append((last(sim, n.REVERSAL_SENT), last(sim, n.OUTCOME)[1]))
    sim.clock.advance(30000)
    sim.idle()
    assert at_send[0][0][1] == 1 and at_send[0][1] == n.UNKNOWN


def test_m3_owed_reversal_goes_out_before_the_next_sale():
    sim = Sim()
    sim.host.faults = ["silent"]
    sim.pay(2000)
    assert sim.pay(3000)["ok"]
    assert [mti for mti, _ in sim.host.seen] == ["0800", "0200", "0400", "0200"]
    assert sim.printer.kinds() == [n.SLIP_PENDING, n.SLIP_REVERSED, n.SLIP_SALE]


def test_m3_block_refuses_the_sale_while_the_reversal_fails():
    sim = Sim()
    sim.host.faults = ["silent", "silent"]
    sim.pay(2000)
    done = sim.pay(3000)
    assert not done["ok"] and done["message"] == "reversal_pending_block"
    assert [mti for mti, _ in sim.host.seen] == ["0800", "0200", "0400"]
    assert len(sim.state.debts) == 1


def test_m3_warn_sells_up_to_the_stated_count():
    sim = Sim(profile(gate={"policy": "warn", "limit": 1}))
    sim.host.faults = ["silent", "silent"]
    sim.pay(2000)
    sim.host.faults = ["silent"]
    assert sim.pay(3000)["ok"]
    sim.host.faults = ["silent", "silent"]
    sim.pay(4000)
    sim.host.faults = ["silent", "silent"]
    assert sim.pay(5000)["message"] == "debt_limit"
    assert len(sim.state.debts) == 2


def test_defect_failed_dials_counted_as_tries():
    sim = Sim()
    sim.host.faults = ["silent"]
    sim.pay()
    sim.board.link.close()
    sim.host.refuse = 50
    for _ in range(40):
        sim.clock.advance(400000)
        sim.idle(3)
    debt = sim.state.debts[0]
    assert debt.phase == OWED and debt.attempts == 0
    # Journaled at the 1st, 2nd, 4th ... failure; the rest is counted in memory.
    assert debt.fails == 32 and sim.terminal.runner.holds[debt.txn][1] == 8
    assert count(sim, n.CONNECT_FAIL) == 6
    assert count(sim, n.REVERSAL_SENT) == 0 and count(sim, n.UNRESOLVED) == 0


def test_defect_reversal_deleted_after_n_tries():
    sim = Sim()
    sim.host.faults = ["silent"]
    sim.pay()
    attempts_used_up(sim)
    debt = sim.state.debts[0]
    assert debt.phase == STUCK and debt.attempts == sim.terminal.profile.attempts and debt.silences == debt.attempts
    assert count(sim, n.UNRESOLVED) == 1
    assert sim.pay()["message"] == "reversal_unresolved"
    for _ in range(30):
        sim.host.faults = ["silent"]
        sim.clock.advance(DAY_MS * 2)
        sim.idle(4)
    assert len(sim.state.debts) == 1 and sim.state.debts[0].attempts == 34
    assert count(sim, n.UNRESOLVED) == 1
    sim.clock.advance(DAY_MS * 2)
    sim.idle()
    assert sim.state.debts == [] and n.SLIP_REVERSED in sim.printer.kinds()


def test_defect_fault_slip_present_but_never_called():
    sim = Sim()
    sim.host.faults = ["silent"]
    sim.pay()
    attempts_used_up(sim)
    assert sim.printer.kinds() == [n.SLIP_PENDING, n.SLIP_UNRESOLVED_CUSTOMER, n.SLIP_UNRESOLVED_MERCHANT]


def test_defect_reversal_from_yesterday_deleted():
    sim = Sim()
    sim.host.faults = ["silent"]
    sim.pay()
    attempts_used_up(sim)
    for _ in range(3):
        sim.clock.advance(DAY_MS)
        sim.start()
        assert len(sim.state.debts) == 1 and sim.state.debts[0].phase == STUCK
    sim.clock.advance(DAY_MS)
    sim.idle()
    assert sim.state.debts == []
    assert sim.host.ledger[("000001", "000002")] == "reversed"


def test_defect_any_reply_code_taken_as_reversal_accepted():
    for code, accepted in (("00", True), ("12", True), ("25", True), ("05", False), ("96", False), ("", False)):
        sim = Sim()
        sim.host.faults = ["silent", ("code", code)] if code else ["silent", "garbled"]
        sim.pay()
        sim.clock.advance(30000)
        sim.idle()
        assert (sim.state.debts == []) == accepted, code
        if code and not accepted:
            assert last(sim, n.REVERSAL_REPLY)[1:3] == [n.V_REFUSED, code]


def test_m5_human_decision_closes_only_what_is_unresolved():
    sim = Sim()
    sim.host.faults = ["silent"]
    txn = sim.pay()["txn"]
    human = ("human", txn, n.HUMAN_REVERSED, "Wang", "called the bank", b"signed")
    assert sim.terminal.runner.run(human)[0] is False
    attempts_used_up(sim)
    assert sim.terminal.runner.run(human)[0] is True
    assert sim.state.debts == [] and last(sim, n.HUMAN)[2] == "Wang"
    assert sim.printer.kinds()[-1] == n.SLIP_HUMAN
    assert sim.terminal.runner.run(human)[0] is False


def test_m6_late_reply_never_revives_a_reversed_sale():
    sim = Sim()
    timeout = sim.terminal.profile.reply_timeout_ms
    sim.host.faults = [("late", timeout + 4000), "silent"]
    txn = sim.pay()["txn"]
    sim.clock.advance(30000)
    sim.idle()
    replies = [p[6] for p in sim.entries() if p[1] == n.REPLY]
    assert [r[1] for r in replies] == [n.V_SILENCE, n.V_LATE] and replies[1][0] == txn and replies[1][3] == "00"
    debt = sim.state.debts[0]
    assert debt.phase == OWED and debt.cause == n.CAUSE_CONGESTED and debt.rrn == replies[1][4]
    assert n.SLIP_SALE not in sim.printer.kinds()
    sim.clock.advance(600000)
    sim.idle()
    assert sim.state.debts == [] and sim.host.ledger[("000001", "000002")] == "reversed"


def test_m6_late_reply_of_an_earlier_sale_does_not_spoil_the_next():
    sim = Sim(profile(gate={"policy": "warn", "limit": 5}))
    timeout = sim.terminal.profile.reply_timeout_ms
    sim.host.faults = [("late", timeout * 2 + 2000), "silent"]
    sim.pay(1000)
    sim.host.faults = ["silent", ("late", 5000)]
    done = sim.pay(2000)
    assert done["ok"], done
    verdicts = [p[6][1] for p in sim.entries() if p[1] == n.REPLY]
    assert n.V_LATE in verdicts and verdicts[-1] == n.V_MATCHED


def test_duplicate_reply_is_journaled_and_changes_nothing():
    sim = Sim()
    sim.host.faults = ["twice"]
    assert sim.pay()["ok"]
    sim.clock.advance(100)
    sim.idle()
    assert [p[6][1] for p in sim.entries() if p[1] == n.REPLY] == [n.V_MATCHED, n.V_DUPLICATE]
    assert sim.printer.kinds() == [n.SLIP_SALE] and sim.state.debts == []


def test_m7_durable_approval_is_approved_after_a_power_cut():
    sim = Sim()

    def card():
        raise PowerCut()

    cut = False
    try:
        sim.pay(finish=card)
    except PowerCut:
        cut = True
    assert cut
    sim.start()
    assert last(sim, n.OUTCOME)[1] == n.APPROVED
    sim.idle()
    assert sim.printer.kinds() == [n.SLIP_SALE] and sim.state.debts == []


def test_m7_card_declines_after_approval_owes_96():
    sim = Sim()
    done = sim.pay(finish=lambda: False)
    assert not done["ok"] and sim.state.debts[0].reason == "96"
    assert last(sim, n.OUTCOME)[1:3] == [n.CANCELLED, n.CAUSE_TERMINAL]
    assert sim.printer.kinds() == [n.SLIP_PENDING]


def test_m7_cancel_after_approval_owes_96():
    sim = Sim()
    assert sim.terminal.cancel()["message"] == "original_not_found"
    sim.pay()
    assert sim.terminal.cancel()["ok"]
    assert sim.state.debts[0].reason == "96" and last(sim, n.OUTCOME)[2] == n.CAUSE_CANCELLED
    sim.clock.advance(30000)
    sim.idle()
    assert sim.state.debts == []
    assert sim.terminal.cancel()["message"] == "original_not_found"


def test_m8_stans_are_consumed_whatever_happens():
    sim = Sim()
    sim.board.link.close()
    sim.host.refuse = 1
    assert sim.pay()["message"] == "link_down"
    sim.host.faults = ["silent"]
    sim.pay()
    sim.start()
    sim.pay()
    stans = [p[6][0] for p in sim.entries() if p[1] == n.INTENT]
    assert stans == [2, 3, 4]


def test_connect_failure_of_a_sale_charges_nobody_and_owes_nothing():
    sim = Sim()
    sim.board.link.close()
    sim.host.refuse = 1
    done = sim.pay()
    assert done["message"] == "link_down" and sim.state.debts == [] and len(sim.host.seen) == 1
    assert last(sim, n.CONNECT_FAIL)[1] == 2 and last(sim, n.OUTCOME)[1:3] == [n.NOT_SENT, n.CAUSE_LINK_DOWN]


def test_m10_void_refund_completion_follow_the_same_rules():
    for kind, slip in ((n.VOID, n.SLIP_VOID), (n.REFUND, n.SLIP_REFUND)):
        sim = Sim()
        sale = sim.pay()
        done = sim.pay(kind=kind, original=sale["stan"])
        assert done["ok"], done
        assert sim.printer.kinds() == [n.SLIP_SALE, slip]
        assert sim.host.seen[-1][1][37] == sale["rrn"]
        sim = Sim()
        sale = sim.pay()
        sim.host.faults = ["silent"]
        done = sim.pay(kind=kind, original=sale["stan"])
        assert done["message"] == "unknown_outcome" and len(sim.state.debts) == 1
        sim.clock.advance(30000)
        sim.idle()
        assert sim.state.debts == [] and sim.host.seen[-1][1][11] == "%06d" % done["stan"]
    sim = Sim()
    first = sim.pay(kind=n.PREAUTH)
    assert sim.pay(kind=n.COMPLETION, original=first["stan"], amount=1000)["ok"]
    assert sim.printer.kinds() == [n.SLIP_PREAUTH, n.SLIP_COMPLETION]


def test_a_transaction_is_voided_once_and_only_while_it_stands():
    sim = Sim()
    sale = sim.pay()
    assert sim.pay(kind=n.VOID, original=999)["message"] == "original_not_found"
    other = sim.card(pan="6222020000009999999")
    assert sim.pay(kind=n.VOID, original=sale["stan"], card=other)["message"] == "bad_card"
    assert sim.pay(kind=n.VOID, original=sale["stan"])["ok"]
    assert sim.pay(kind=n.VOID, original=sale["stan"])["message"] == "already_voided"
    sim.host.faults = ["silent"]
    sale = sim.pay()
    sim.clock.advance(30000)
    sim.idle()
    assert sim.pay(kind=n.VOID, original=sale["stan"])["message"] == "already_voided"


def test_m11_backoff_grows_is_bounded_and_survives_a_restart():
    sim = Sim()
    sim.host.faults = ["silent"]
    sim.pay()
    waits = []
    for _ in range(3):
        sim.host.faults = ["silent"]
        sim.clock.advance(sim.state.debts[0].wait + 1)
        sim.idle(3)
        waits.append(last(sim, n.REVERSAL_REPLY)[5])
    assert waits[0] < waits[1] < waits[2] <= 300000 * 5 // 4
    wait = sim.state.debts[0].wait
    sim.start()
    sent = len(sim.host.seen)
    sim.idle()
    assert len(sim.host.seen) == sent
    sim.clock.advance(wait - 1000)
    sim.idle()
    assert len(sim.host.seen) == sent
    sim.clock.advance(1100)
    sim.idle()
    assert len(sim.host.seen) == sent + 1


def test_clock_set_back_refuses_until_the_host_sets_it():
    sim = Sim()
    assert sim.pay()["ok"]
    sim.clock.rtc -= 3600
    assert sim.pay()["message"] == "clock_back"
    assert sim.pay()["message"] == "clock_back"
    sim.start()
    assert sim.pay()["message"] == "clock_back"
    assert sim.terminal.sign_on()["ok"]
    assert sim.pay()["ok"]
    clocks = [p[6][2] for p in sim.entries() if p[1] == n.CLOCK]
    assert clocks == [1, 2]


def test_unknown_clock_refuses():
    sim = Sim()
    sim.clock.rtc = 0
    assert sim.pay()["message"] == "clock_unknown"


def test_not_signed_on_refuses():
    sim = Sim(sign_on=False)
    assert sim.pay()["message"] == "not_signed_on"
    assert len(sim.board.link.frames) == 0


def test_bad_requests_are_refused_and_leave_no_trace():
    sim = Sim()
    before = sim.terminal.runner.journal.seq
    for request in (
        {},
        {"type": 99, "amount": 1, "card": sim.card()},
        {"type": n.SALE, "amount": 0, "card": sim.card()},
        {"type": n.SALE, "amount": -5, "card": sim.card()},
        {"type": n.SALE, "amount": 10**12, "card": sim.card()},
        {"type": n.SALE, "amount": True, "card": sim.card()},
        {"type": n.SALE, "amount": "1", "card": sim.card()},
        {"type": n.SALE, "amount": 1, "card": None},
        {"type": n.SALE, "amount": 1, "card": sim.card(pan="1234")},
        {"type": n.SALE, "amount": 1, "card": sim.card(pan="62220200000012345x7")},
        {"type": n.SALE, "amount": 1, "card": sim.card(mode=3)},
        {"type": n.SALE, "amount": 1, "card": sim.card(icc=b"\x9f")},
        {"type": n.SALE, "amount": 1, "card": sim.card(expiry="1")},
        {"type": n.SALE, "amount": 1, "card": sim.card(aid="A0" + PAN)},
        {"type": n.REFUND, "amount": 1, "card": sim.card(), "original": [1]},
        {"type": n.SALE, "amount": 1, "card": sim.card(), "operator": "0123456789"},
    ):
        assert sim.terminal.pay(request)["ok"] is False, request
    assert sim.terminal.runner.journal.seq == before and sim.state.stan == 2


def test_batch_limit_refuses():
    sim = Sim(profile(batch={"limit": 2}))
    assert sim.pay()["ok"] and sim.pay()["ok"]
    assert sim.pay()["message"] == "batch_limit"


def test_tamper_zeroises_and_refuses_money():
    sim = Sim()
    sim.board.tamper.open = True
    assert sim.pay()["message"] == "tampered"
    assert sim.board.keystore.gone and sim.kinds()[-1] == n.TAMPER


def test_paper_out_in_mid_slip_leaves_an_owed_slip_that_is_reprinted():
    sim = Sim()
    sim.printer.paper = 5
    assert sim.pay()["ok"]
    assert sim.printer.kinds() == [] and len(sim.state.slips) == 1
    sim.idle()
    sim.start()
    sim.idle()
    assert sim.printer.kinds() == [] and len(sim.state.slips) == 1
    sim.printer.paper = None
    sim.idle()
    assert sim.printer.kinds() == [n.SLIP_SALE] and sim.state.slips == []
    assert b"REPRINT" in sim.printer.slips[-1][2]
    phases = [p[6][2:] for p in sim.entries() if p[1] == n.SLIP]
    assert phases == [[1, 0], [3, 1], [1, 0], [2, 0]]


def test_reversed_slip_replaces_a_pending_slip_that_never_came_out():
    sim = Sim()
    sim.printer.paper = 0
    sim.host.faults = ["silent"]
    sim.pay()
    sim.clock.advance(30000)
    sim.idle()
    sim.printer.paper = None
    sim.clock.advance(120000)
    sim.idle()
    assert sim.printer.kinds() == [n.SLIP_REVERSED]


def test_replay_data_lost_goes_to_a_human_at_once():
    sim = Sim()
    sim.host.faults = ["silent"]
    sim.pay()
    sim.board.keystore.vault = {}
    sim.clock.advance(30000)
    sim.idle()
    assert sim.state.debts[0].phase == STUCK and last(sim, n.UNRESOLVED)[2] == n.CAUSE_DATA_LOST
    assert [mti for mti, _ in sim.host.seen] == ["0800", "0200"]


def test_slow_network_is_called_congested_not_silent():
    sim = Sim()
    for _ in range(6):
        sim.host.faults = [("late", 20000)]
        assert sim.pay()["ok"]
    sim.host.faults = ["silent"]
    sim.pay()
    assert last(sim, n.OUTCOME)[2] == n.CAUSE_CONGESTED


def test_strays_cannot_fill_the_journal():
    sim = Sim()
    sim.host.faults = ["silent"]
    sim.pay()
    wire = sim.host._wire("0210", {11: "000077", 41: "12345678", 39: "00"})
    before = sim.terminal.runner.journal.seq
    sim.board.link.inbox = [[sim.clock.ms, wire] for _ in range(200)]
    sim.idle()
    assert sim.terminal.runner.journal.seq - before <= 8
    assert not sim.board.link.is_open


def test_second_profile_reverses_with_original_data_elements():
    sim = Sim(profile("iso8583_1987"))
    sim.host.mac_field = 0
    assert sim.pay()["ok"]
    sim.host.faults = ["silent"]
    sim.pay()
    sim.clock.advance(10**7)
    sim.idle()
    mti, fields = sim.host.seen[-1]
    assert mti == "0400" and fields[90][:10] == "0200" + "%06d" % 3
    assert sim.state.debts == []


def test_full_ring_refuses_sales_and_keeps_room_for_what_is_owed():
    sim = Sim(blocks=6)
    n_ok = 0
    while True:
        done = sim.pay()
        if not done["ok"]:
            break
        n_ok += 1
    assert done["message"] == "journal_full" and n_ok > 10
    sim.start()
    assert sim.pay()["message"] == "journal_full"
    assert sim.terminal.cancel()["ok"]
    sim.clock.advance(30000)
    sim.idle()
    assert sim.state.debts == [] and n.SLIP_REVERSED in sim.printer.kinds()


def test_what_is_held_in_memory_ends_with_the_debt():
    sim = Sim()
    for _ in range(4):
        sim.host.faults = ["silent"]
        sim.pay()
        sim.board.link.close()
        sim.host.refuse = 3
        for _ in range(8):
            sim.clock.advance(700000)
            sim.idle(4)
        assert sim.state.debts == []
    assert len(sim.terminal.runner.holds) == 1
