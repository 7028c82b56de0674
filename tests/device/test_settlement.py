"""Settlement (money rule M9) on a whole terminal in RAM: totals, upload, end message, and replies that do not count."""

from close_of_day import BOTH, DAY_MS, FULL, Closing, closes, faulty, foreign, seen, sent, stripe, upload_stans
from sim import PAN, profile, settling

from posfw import numbers as n

HEAP = "3M"  # the simulated flash lies in RAM, and so do the tests


# -- balanced -------------------------------------------------------------------------------------------------


def test_balanced_batch_closes_at_once():
    sim = Closing()
    assert sim.status() == [1, 0, 0, 0, 0, 0, 0]
    stripe(sim, 1000)
    stripe(sim, 234)
    assert sim.status()[:2] == [1, 0] and sim.status()[2] > 0
    done = sim.settle()
    assert done["ok"] and done["message"] == "settled", done
    assert sim.state.batch == 2
    totals = [1234, 2, 0, 0, 0, 0, 0, 0]
    body = closes(sim, 1, n.CLOSED_BALANCED)
    assert body == [1, n.CLOSED_BALANCED, totals, totals, [1, 1], 0, 0, 0, 2]
    assert len(seen(sim, "0500")) == 1 and seen(sim, "0320") == []
    begin = sent(sim, n.P_BEGIN)
    assert begin == [[n.P_BEGIN, 1, 0, [n.BY_OPERATOR], 0]]
    assert sim.status() == [2, 0, 0, 0, 0, 0, 0]
    assert sim.pay(5)["ok"] and sim.settle()["ok"]
    closes(sim, 2, n.CLOSED_BALANCED)


def test_empty_batch_has_nothing_to_settle():
    sim = Closing()
    done = sim.settle()
    assert not done["ok"] and done["message"] == "batch_empty"
    assert sent(sim, n.P_BEGIN) == [] and sim.state.batch == 1


def test_totals_are_by_scheme_and_direction_and_the_hosts_to_the_cent():
    for name in BOTH:
        sim = Closing(profile(name))
        first = stripe(sim, 100000001)
        sim.pay(99, scheme=n.SCHEME_UNKNOWN)
        foreign(sim, 12345)
        other = foreign(sim, 7, n.MODE_CHIP)
        assert sim.pay(1, n.REFUND, original=first, card=sim.card(mode=n.MODE_STRIPE))["ok"]
        foreign(sim, 5, n.MODE_CHIP, n.REFUND, original=other)
        totals = [100000100, 2, 1, 1, 12352, 2, 5, 1]
        assert sim.state.totals == totals and sim.host.totals(1) == totals
        assert sim.settle()["ok"]
        body = closes(sim, 1, n.CLOSED_BALANCED)
        assert body[2] == totals and sent(sim, n.P_TOTALS)[0][3] == totals
        assert body[3] == (totals if name == "unionpay" else [])


def test_each_type_is_counted_as_the_profile_says():
    for name, void in (("unionpay", [1000, 1, 1000, 1]), ("iso8583_1987", [0, 0, 0, 0])):
        sim = Closing(profile(name))
        stan = stripe(sim, 1000)
        assert sim.pay(kind=n.VOID, original=stan, card=sim.card(mode=n.MODE_STRIPE))["ok"]
        assert sim.state.totals[:4] == void
        first = sim.pay(500, n.PREAUTH)["stan"]
        assert sim.state.totals[:4] == void
        assert sim.pay(400, n.COMPLETION, original=first)["ok"]
        void[0] += 400
        void[1] += 1
        assert sim.state.totals[:4] == void
        second = sim.pay(900, n.PREAUTH)["stan"]
        assert sim.pay(kind=n.PREAUTH_VOID, original=second)["ok"]
        refunded = stripe(sim, 60)
        assert sim.pay(20, n.REFUND, original=refunded)["ok"]
        void[0] += 60
        void[1] += 1
        void[2] += 20
        void[3] += 1
        assert sim.state.totals == void + [0] * 4 == sim.host.totals(1), name
        assert sim.settle()["ok"]
        closes(sim, 1, n.CLOSED_BALANCED)


def test_a_void_across_the_batch_boundary_is_a_credit():
    for name in BOTH:
        sim = Closing(profile(name))
        sim.board.link.close()
        stan = stripe(sim, 1000)
        original = sim.terminal.find(stan).original
        assert sim.settle()["ok"]
        closes(sim, 1, n.CLOSED_BALANCED)
        keep = stripe(sim, 50)
        done = sim.pay(kind=n.VOID, original=original, card=sim.card(mode=n.MODE_STRIPE))
        assert done["ok"], done
        assert sim.state.totals == [50, 1, 1000, 1, 0, 0, 0, 0] == sim.host.totals(2)
        sim.host.lose = {keep}
        sim.settle()
        body = closes(sim, 2, n.CLOSED_UPLOADED)
        assert body[2][:4] == [50, 1, 1000, 1] and upload_stans(sim)[-1][-1] == done["stan"]


def test_what_cancels_is_not_uploaded_and_neither_is_its_original():
    sim = Closing(profile("iso8583_1987"))
    gone, kept = stripe(sim, 1000), stripe(sim, 2000)
    assert sim.pay(kind=n.VOID, original=gone, card=sim.card(mode=n.MODE_STRIPE))["ok"]
    sim.host.lose = {kept}
    sim.settle()
    closes(sim, 1, n.CLOSED_UPLOADED)
    assert upload_stans(sim) == [[kept]] and sorted(sim.host.closed[1].settled) == [kept]


def test_a_void_that_was_reversed_leaves_its_original_counted():
    for name in BOTH:
        sim = Closing(profile(name))
        stan = stripe(sim, 1000)
        sim.host.faults = ["silent"]
        sim.pay(kind=n.VOID, original=stan, card=sim.card(mode=n.MODE_STRIPE))
        sim.wait(400000, 1)
        assert sim.state.totals == [1000, 1, 0, 0, 0, 0, 0, 0] == sim.host.totals(1)
        sim.host.double = {stan}
        sim.settle()
        closes(sim, 1, n.CLOSED_UPLOADED)
        assert sorted(sim.host.closed[1].settled) == [stan]


def test_what_is_not_approved_is_not_counted():
    sim = Closing()
    stripe(sim, 1000)
    sim.host.faults = ["silent"]
    sim.pay(2000)
    sim.wait(400000, 1)
    sim.host.faults = [("decline", "51")]
    sim.pay(3000)
    sim.pay(4000)
    assert sim.terminal.cancel()["ok"]
    sim.wait(400000, 1)
    sim.pay(5000, finish=lambda: False)
    sim.wait(400000, 1)
    sim.board.link.close()
    sim.host.refuse = 1
    assert sim.pay(6000)["message"] == "link_down"
    assert sim.state.totals == [1000, 1, 0, 0, 0, 0, 0, 0] == sim.host.totals(1)
    assert sim.settle()["ok"]
    closes(sim, 1, n.CLOSED_BALANCED)


def test_chip_records_are_uploaded_even_when_balanced():
    sim = Closing()
    first = sim.pay(1000)["stan"]
    stripe(sim, 500)
    second = foreign(sim, 70, n.MODE_CONTACTLESS)
    sim.settle()
    body = closes(sim, 1, n.CLOSED_BALANCED)
    assert body[5] == 2 and upload_stans(sim) == [[first], [second]]
    codes = [fields[60][8:] for mti, fields in sim.host.seen if mti == "0320"]
    assert codes == ["203", "203", "207"]
    assert sent(sim, n.P_END)[0][3] == [2]
    sim = Closing(profile("iso8583_1987"))
    sim.pay(1000)
    assert sim.settle()["message"] == "settled"
    closes(sim, 1, n.CLOSED_BALANCED)
    assert seen(sim, "0320") == []


# -- upload ---------------------------------------------------------------------------------------------------


def test_unbalanced_uploads_every_record_then_ends_then_closes():
    for what in ("lose", "double", "change", "flags"):
        sim = Closing()
        stans = [stripe(sim, 100 + i) for i in range(3)]
        if what == "lose":
            sim.host.lose = {stans[1]}
        elif what == "double":
            sim.host.double = {stans[1]}
        elif what == "change":
            sim.host.change = {stans[1]: 1}
        else:
            sim.host.force_flags = [[1, 2]]
        sim.settle()
        body = closes(sim, 1, n.CLOSED_UPLOADED)
        assert upload_stans(sim) == [stans] and body[5:8] == [3, 0, 0], what
        assert body[2] == [303, 3, 0, 0, 0, 0, 0, 0]
        assert [u for u in sim.bodies(n.UNSETTLED) if u[1] == n.CAUSE_TOTALS] == [[1, n.CAUSE_TOTALS, "00", 0]]
        assert n.SLIP_SETTLE_FAILED in sim.printer.kinds() and "totals_differ" in sim.board.display.shown
        codes = [fields[60][8:] for mti, fields in sim.host.seen if mti == "0320"]
        assert codes == ["201", "202"]


def test_flags_speak_for_domestic_and_international_apart():
    sim = Closing()
    stripe(sim, 100)
    stan = foreign(sim, 200)
    sim.host.change = {stan: 201}
    sim.settle()
    body = closes(sim, 1, n.CLOSED_UPLOADED)
    assert body[4] == [1, 2] and body[3] == [100, 1, 0, 0, 201, 1, 0, 0]


def test_packs_hold_as_many_as_the_profile_says_and_chip_records_go_singly():
    sim = Closing()
    stans = [stripe(sim, 100 + i) for i in range(10)]
    chip = sim.pay(5)["stan"]
    stans += [stripe(sim, 200 + i) for i in range(9)]
    sim.host.lose = {chip, stans[0]}
    sim.settle()
    body = closes(sim, 1, n.CLOSED_UPLOADED)
    packs = upload_stans(sim)
    assert [stan for pack in packs for stan in pack] == sorted(stans + [chip])  # noqa: RUF005 - no star on the device
    assert max(len(pack) for pack in packs) == 8 and [chip] in packs
    assert len(packs) <= 6 and body[5] == 20
    codes = [fields[60][8:] for mti, fields in sim.host.seen if mti == "0320"]
    assert codes.count("205") == 1 and codes[-1] == "202"
    sim = Closing(settling(pack=3))
    stans = [stripe(sim, 100 + i) for i in range(4)]
    sim.host.lose = {stans[0]}
    sim.settle()
    closes(sim, 1, n.CLOSED_UPLOADED)
    assert [len(pack) for pack in upload_stans(sim)] == [3, 1]


def test_records_go_up_in_the_order_that_counted_them():
    sim = Closing()
    stans = [stripe(sim, 1), foreign(sim, 2), stripe(sim, 3)]
    stans.append(sim.pay(1, n.REFUND, original=stans[0], card=sim.card(mode=n.MODE_STRIPE))["stan"])
    sim.host.lose = {stans[1]}
    sim.settle()
    closes(sim, 1, n.CLOSED_UPLOADED)
    assert upload_stans(sim) == [stans]


def test_1987_uploads_singly_and_ends_with_a_trailer():
    sim = Closing(profile("iso8583_1987"))
    stans = [stripe(sim, 100), sim.pay(50)["stan"], foreign(sim, 7)]
    sim.host.change = {stans[0]: 99}
    sim.settle()
    body = closes(sim, 1, n.CLOSED_UPLOADED)
    assert upload_stans(sim) == [[stan] for stan in stans] and body[5] == 3
    last = sim.host.seen[-1]
    assert last[0] == "0500" and last[1][3] == "960000" and last[1][63] == sim.host.answers[1].totals
    first = next(fields for mti, fields in sim.host.seen if mti == "0320")
    assert first[60] == "0200%06d            " % stans[0] and first[62] == "000001" and first[2] == PAN
    assert body[4] == [2, 2]


# -- replies that do not count --------------------------------------------------------------------------------

FAULTS = ("silent", "lost", "garbled", "half", "close", "twice", "wrong_stan", "oversize", ("late", 33000))


def one_of_each(fault, place, name="unionpay", refuse=0):
    """A close with upload in which one message fares ill; every message is told apart by its STAN."""
    sim = Closing(profile(name))
    stans = [stripe(sim, 100), stripe(sim, 50)]
    sim.host.lose = {stans[0]}
    faulty(sim, place, fault)
    sim.host.refuse = refuse
    sim.settle()
    body = closes(sim, 1, n.CLOSED_UPLOADED)
    assert body[5] == 2
    per_message = {}
    for mti, fields in sim.host.seen:
        if mti in ("0500", "0320"):
            per_message.setdefault(fields[11], []).append((mti, fields))
    pack = 1 if name == "unionpay" else 2
    assert len(per_message) == 2 + pack, (fault, place)
    for stan in per_message:
        assert all(message == per_message[stan][0] for message in per_message[stan]), (fault, place)
    purposes = [b[0] for b in sim.bodies(n.SETTLE_SENT)]
    assert purposes == [n.P_BEGIN, n.P_TOTALS] + [n.P_UPLOAD] * pack + [n.P_END]
    return sim, per_message


def test_a_reply_that_does_not_count_is_asked_for_again_with_the_same_message():
    for i, fault in enumerate(FAULTS):
        for place in range(3) if FULL else (i % 3,):
            one_of_each(fault, place)
    for place in range(3) if FULL else (1,):
        sim, _ = one_of_each("bad_mac", place)
        assert sim.state.signed_on


def test_the_same_under_the_second_profile():
    for i, fault in enumerate(("silent", "lost", "garbled", ("late", 33000))):
        for place in range(4) if FULL else (i,):
            one_of_each(fault, place, "iso8583_1987")


def test_verdicts_of_replies_that_do_not_count_are_journaled():
    verdicts = {"silent": n.V_SILENCE, "garbled": n.V_GARBLED, "bad_mac": n.V_BAD_MAC, "wrong_stan": n.V_MISMATCH,
                "half": n.V_PARTIAL}  # fmt: skip
    for fault in verdicts:
        sim, _ = one_of_each(fault, 0)
        replies = [b for b in sim.bodies(n.SETTLE_REPLY) if b[0] == n.P_TOTALS]
        assert [b[2] for b in replies] == [verdicts[fault], n.V_MATCHED], (fault, replies)
        assert replies[0][6] == 0 and replies[0][8] > 0 and replies[1][6] == 2
        sim, _ = one_of_each(fault, 1)
        assert [b[2] for b in sim.bodies(n.UPLOAD_REPLY)] == [verdicts[fault], n.V_MATCHED]


def test_line_down_is_journaled_at_doublings_and_never_counted_as_an_attempt():
    sim = Closing()
    stripe(sim, 100)
    sim.board.link.close()
    sim.host.refuse = 100
    done = sim.settle()
    assert not done["ok"] and done["message"] == "link_down", done
    sim.wait(400000, 40)
    assert sim.host.refuse < 80
    fails = [b for b in sim.bodies(n.CONNECT_FAIL) if b[0] is None]
    assert 3 <= len(fails) <= 8 and [b for b in sim.bodies(n.UNSETTLED) if b[1] != n.CAUSE_NOT_SETTLED] == []
    assert len(seen(sim, "0500")) == 0
    sim.host.refuse = 0
    closes(sim, 1, n.CLOSED_BALANCED)
    assert len(seen(sim, "0500")) == 1


def test_operator_may_ask_again_and_nothing_is_sent_twice():
    sim = Closing()
    stripe(sim, 100)
    sim.host.faults = ["silent"]
    assert sim.settle()["message"] in ("settling", "settle_failed")
    assert sim.settle()["message"] == "settling"
    closes(sim, 1, n.CLOSED_BALANCED)
    assert len(sent(sim, n.P_BEGIN)) == 1 and len(sent(sim, n.P_TOTALS)) == 1


def test_host_busy_is_tried_again_and_told_when_the_attempts_are_used_up():
    for fault, cause in (
        (("code", "91"), n.CAUSE_HOST_BUSY),
        ("silent", n.CAUSE_HOST_SILENT),
        ("bad_mac", n.CAUSE_MAC),
    ):
        for name in BOTH if fault != "bad_mac" else ("unionpay",):
            sim = Closing(profile(name))
            stripe(sim, 100)
            sim.host.faults = [fault]
            sim.settle()
            for _ in range(8):
                sim.host.faults = [None, fault] if fault == "bad_mac" else [fault]
                sim.wait(400000, 1)
            told = sim.bodies(n.UNSETTLED)
            assert len(told) == 1 and told[0][:2] == [1, cause] and told[0][3] >= 4, (fault, told)
            assert sim.printer.kinds().count(n.SLIP_SETTLE_FAILED) == 1
            assert sim.status()[3] == cause and sim.state.batch == 1
            sim.host.faults = []
            sim.wait(DAY_MS, 2)
            closes(sim, 1, n.CLOSED_BALANCED)
            assert len(sent(sim, n.P_TOTALS)) == 1


def test_account_refused_is_cause_8_with_its_code_and_a_slip():
    for name in BOTH:
        sim = Closing(profile(name))
        stripe(sim, 100)
        sim.host.faults = [("code", "03")] * 50
        done = sim.settle()
        assert not done["ok"], done
        sim.wait(400000, 6)
        assert sim.bodies(n.UNSETTLED)[0][:3] == [1, n.CAUSE_MERCHANT, "03"]
        assert len(sim.bodies(n.UNSETTLED)) == 1
        assert sim.printer.kinds().count(n.SLIP_SETTLE_FAILED) == 1 and "settle_failed" in sim.board.display.shown
        assert sim.status()[1] > 0 and sim.status()[3] == n.CAUSE_MERCHANT
        sim.host.faults = []
        sim.wait(DAY_MS, 2)
        closes(sim, 1, n.CLOSED_BALANCED)


def test_refused_as_a_whole_for_another_code_is_not_balanced():
    for name in BOTH:
        for code in ("12", "05", "99"):
            sim = Closing(profile(name))
            stripe(sim, 100)
            sim.host.faults = [("code", code)] * 6
            sim.settle()
            assert sim.state.batch == 1 and sim.bodies(n.BATCH_CLOSED) == []
            sim.wait(400000, 6)
            assert sim.bodies(n.BATCH_CLOSED) == [] or sim.host.closed[1]
            sim.wait(DAY_MS, 2)
            closes(sim, 1, n.CLOSED_BALANCED)


def test_a_host_that_cannot_judge_is_asked_again_then_on_error_decides():
    for on_error in ("upload", "retry"):
        sim = Closing(settling(on_error=on_error))
        stan = stripe(sim, 100)
        sim.host.force_flags = [[3, 3]] * 4
        sim.settle()
        sim.wait(400000, 5)
        flags = [b[4] for b in sim.bodies(n.SETTLE_REPLY) if b[0] == n.P_TOTALS]
        assert flags[:4] == [[3, 3]] * 4, (on_error, flags)
        assert len(set(seen(sim, "0500"))) == 1
        if on_error == "upload":
            closes(sim, 1, n.CLOSED_UPLOADED)
            assert upload_stans(sim) == [[stan]]
        else:
            assert len(sim.bodies(n.UNSETTLED)) == 1 and sim.printer.kinds().count(n.SLIP_SETTLE_FAILED) == 1
            sim.wait(DAY_MS, 2)
            closes(sim, 1, n.CLOSED_BALANCED)
            assert upload_stans(sim) == []
    sim = Closing()
    stripe(sim, 100)
    sim.host.force_flags = [[1, 3], [3, 2]]
    sim.settle()
    closes(sim, 1, n.CLOSED_BALANCED)
    assert len(seen(sim, "0500")) == 3


def test_end_message_refused_with_again_uploads_everything_once_more():
    for name in BOTH:
        sim = Closing(profile(name))
        stans = [stripe(sim, 100), stripe(sim, 200)]
        sim.host.lose = {stans[0]}
        sim.host.end_code = "95"
        sim.settle()
        body = closes(sim, 1, n.CLOSED_UPLOADED)
        sent_stans = [stan for pack in upload_stans(sim) for stan in pack]
        assert sent_stans == stans + stans and body[5] == 2
        ends = sent(sim, n.P_END)
        assert len(ends) == 2 and ends[0][2] != ends[1][2] and ends[0][3] == ends[1][3] == [2]


def test_end_message_busy_is_sent_again_as_it_was():
    sim = Closing()
    stans = [stripe(sim, 100), stripe(sim, 200)]
    sim.host.lose = {stans[0]}
    sim.host.end_code = "91"
    sim.settle()
    closes(sim, 1, n.CLOSED_UPLOADED)
    assert len(sent(sim, n.P_END)) == 1 and len(upload_stans(sim)) == 1


def test_again_of_a_balanced_chip_upload_stays_balanced():
    sim = Closing()
    stan = sim.pay(100)["stan"]
    sim.host.end_code = "95"
    sim.settle()
    closes(sim, 1, n.CLOSED_BALANCED)
    assert upload_stans(sim) == [[stan], [stan]]


def test_a_pack_refused_as_a_whole_goes_one_by_one():
    sim = Closing()
    stans = [stripe(sim, 100 + i) for i in range(10)]
    sim.host.lose = {stans[0]}
    sim.host.faults = [None, ("code", "30")]
    sim.settle()
    body = closes(sim, 1, n.CLOSED_UPLOADED)
    assert body[5] == 10
    packs = upload_stans(sim)
    assert packs[0] == stans[:8] and packs[1:9] == [[stan] for stan in stans[:8]] and packs[9:] == [stans[8:]]
    replies = sim.bodies(n.UPLOAD_REPLY)
    assert replies[0][2:4] == [n.V_REFUSED, "30"] and all(r[2] == n.V_MATCHED for r in replies[1:])
