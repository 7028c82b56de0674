"""Each way in which settlement was seen to lose money in the field, as a test by its name."""

from close_of_day import DAY_MS, FULL
from sim import PowerCut, Sim, profile, settling

from posfw import numbers as n

HEAP = "3M"  # the simulated flash lies in RAM, and so do the tests


def batch_of(sim, count, mode=n.MODE_STRIPE):
    """`count` sales of 100, 101 ...; returns their STANs."""
    stans = []
    for i in range(count):
        done = sim.pay(100 + i, card=sim.card(mode=mode))
        assert done["ok"], done
        stans.append(done["stan"])
    return stans


def spoil(sim, mti, change):
    """Let `change(fields)` edit the host's replies of that kind before they are sealed; returns how to stop it."""
    real = sim.host._wire

    def wire(out, fields, mac=True):
        if out == mti:
            fields = dict(fields)
            change(fields)
        return real(out, fields, mac)

    sim.host._wire = wire

    def stop():
        sim.host._wire = real

    return stop


def cut_after(number):
    left = [number]

    def tick(*_):
        left[0] -= 1
        if left[0] == 0:
            raise PowerCut()

    return tick


def finish(sim, batch=1):
    sim.host.faults = []
    for _ in range(30):
        if sim.state.batch != batch:
            break
        sim.wait(DAY_MS // 4, 1)
    sim.wait(400000, 2)
    assert sim.state.batch == batch + 1 and len(sim.bodies(n.BATCH_CLOSED)) == batch
    return sim.bodies(n.BATCH_CLOSED)[-1]


def open_still(sim):
    """Nothing says that the batch is settled."""
    assert sim.state.batch == 1 and sim.bodies(n.BATCH_CLOSED) == [] and sim.bodies(n.VAULT_DESTROYED) == []
    assert 1 in sim.board.keystore.vault and n.SLIP_SETTLEMENT not in sim.printer.kinds()
    assert "settled" not in sim.board.display.shown


def test_defect_totals_overwritten_with_zeros():
    for name in ("unionpay", "iso8583_1987"):
        for restart in (False, True):
            sim = Sim(profile(name))
            batch_of(sim, 3)
            totals = [303, 3, 0, 0, 0, 0, 0, 0]
            assert sim.state.totals == totals
            sim.host.faults = ["lost", "silent", "garbled", "silent"]
            sim.terminal.settle()
            for _ in range(5):
                if restart:
                    sim.start()
                if sim.state.batch == 1:
                    assert sim.state.totals == totals, (name, restart)
                sim.wait(400000, 1)
            body = finish(sim)
            assert body[2] == totals
            wire = [fields.get(48) or fields[63] for mti, fields in sim.host.seen if mti == "0500"]
            assert len(wire) >= 3 and all(text == wire[0] for text in wire)
            assert wire[0].startswith("000000000303003" if name == "unionpay" else "003000000000303")
            assert [b[3] for b in sim.bodies(n.SETTLE_SENT) if b[0] == n.P_TOTALS] == [totals]


def test_defect_totals_lost_where_a_sector_rolls():
    sim = Sim()
    expected = 0
    rolled = sim.kinds().count(n.SNAPSHOT)
    sales = 90 if FULL else 40
    for i in range(sales):
        assert sim.pay(1000 + i, card=sim.card(mode=n.MODE_STRIPE))["ok"]
        expected += 1000 + i
        if i % 15 == 7:
            sim.start()
            sim.terminal.sign_on()
        assert sim.state.totals[:2] == [expected, i + 1]
    assert sim.kinds().count(n.SNAPSHOT) > rolled + 1
    sim.terminal.settle()
    assert finish(sim)[2][:2] == [expected, sales] == sim.host.closed[1].totals[:2]


def no_codes(fields):
    del fields[48]


def one_code_short(fields):
    fields[48] = "01" + fields[48][2:4]


def count_wrong(fields):
    fields[48] = "03" + fields[48][2:]


def digits_missing(fields):
    fields[48] = fields[48][:-1]


def no_de39(fields):
    del fields[39]


def test_defect_upload_marked_done_without_its_reply_code():
    for change in (no_codes, one_code_short, count_wrong, digits_missing, no_de39):
        sim = Sim()
        stans = batch_of(sim, 2)
        sim.host.lose = {stans[0]}
        stop = spoil(sim, "0330", change)
        sim.terminal.settle()
        sim.wait(400000, 6)
        open_still(sim)
        assert all(body[2] != n.V_MATCHED for body in sim.bodies(n.UPLOAD_REPLY)), change
        assert sim.terminal.status()["settlement"][4] == 0
        assert [b[0] for b in sim.bodies(n.SETTLE_SENT)].count(n.P_END) == 0
        stop()
        assert finish(sim)[5] == 2


def test_defect_upload_marked_done_though_its_reply_never_came():
    for name in ("unionpay", "iso8583_1987"):
        for fault in ("lost", "garbled", ("code", "91")) + (("silent", "half", "close", "wrong_stan") if FULL else ()):
            sim = Sim(profile(name))
            stans = batch_of(sim, 2)
            sim.host.lose = {stans[0]}
            sim.host.faults = [None] + [fault] * 12
            sim.terminal.settle()
            sim.start()
            sim.wait(400000, 3)
            open_still(sim)
            assert sim.terminal.status()["settlement"][4:6] == [0, 0], (name, fault)
            assert finish(sim)[5] == 2


def test_defect_refused_record_counted_as_uploaded():
    for name in ("unionpay", "iso8583_1987"):
        sim = Sim(profile(name))
        stans = batch_of(sim, 3)
        sim.host.lose = {stans[0]}
        sim.host.refuse_records = {stans[2]: "13"}
        sim.terminal.settle()
        body = finish(sim)
        assert body[5:7] == [2, 1] and len(sim.terminal.status()["refused"]) == 1
        codes = [code for reply in sim.bodies(n.UPLOAD_REPLY) for code in reply[4]]
        assert codes == ["00", "00", "13"]


def test_defect_settlement_declared_good_after_three_failed_passes():
    for name in ("unionpay", "iso8583_1987"):
        for fault in (
            "silent",
            "lost",
            "garbled",
            "half",
            "wrong_stan",
            ("code", "91"),
            ("code", "96"),
            ("code", "05"),
            ("code", "03"),
        ):
            for place in (0, 1, 4):  # the totals, the first record or pack, the end message or a later record
                sim = Sim(profile(name))
                stans = batch_of(sim, 3)
                sim.host.lose = {stans[0]}
                if place == 1 and fault in (("code", "05"), ("code", "03")):
                    continue  # a record refused by its code is refused, not failed
                place = min(place, 2) if name == "unionpay" else place
                sim.host.faults = [None] * place + [fault] * 12
                sim.terminal.settle()
                for _ in range(8):
                    sim.wait(1000000, 2)
                    sim.terminal.settle()
                assert len(sim.bodies(n.SETTLE_REPLY)) + len(sim.bodies(n.UPLOAD_REPLY)) >= 4
                open_still(sim)
                assert not sim.pay(5)["ok"]
                assert len(sim.bodies(n.UNSETTLED)) >= 1, (name, fault, place)
                assert sim.terminal.status()["settlement"][3] != 0
                assert n.SLIP_SETTLE_FAILED in sim.printer.kinds()
                body = finish(sim)
                assert body[2] == [303, 3, 0, 0, 0, 0, 0, 0] == sim.host.closed[1].totals


def test_defect_batch_number_moved_before_the_close_is_durable():
    for lose in (set(), {2}):
        number = 0
        while True:
            number += 1 if FULL else 7
            sim = Sim()
            batch_of(sim, 1)
            sim.host.lose = lose
            sim.board.flash.on_op = sim.board.keystore.on_advance = cut_after(number)
            try:
                sim.terminal.settle()
                sim.idle()
                cut = False
            except PowerCut:
                cut = True
            sim.board.flash.on_op = sim.board.keystore.on_advance = None
            if not cut:
                assert number > 10
                break
            sim.start()
            closed = len(sim.bodies(n.BATCH_CLOSED))
            assert sim.state.batch == 1 + closed
            if not closed:
                assert 1 in sim.board.keystore.vault
            else:
                assert 1 in sim.host.closed
            if not sim.bodies(n.SETTLE_SENT):
                sim.terminal.settle()
            assert finish(sim)[8] == 2


def test_defect_acknowledged_record_sent_twice():
    for name in ("unionpay", "iso8583_1987"):
        for restart in (False, True):
            sim = Sim(profile(name))
            stans = batch_of(sim, 10)
            chip = batch_of(sim, 1, n.MODE_CHIP)
            sim.host.lose = {stans[3]}
            sim.host.faults = [None, "silent", None, "garbled", "silent", "lost", None, "close"]
            sim.terminal.settle()
            while sim.state.batch == 1:
                if restart:
                    sim.start()
                sim.wait(400000, 1)
            finish(sim)
            # The host raises where one comes twice under two STANs; the journal says the same.
            numbers = [number for b in sim.bodies(n.SETTLE_SENT) if b[0] == n.P_UPLOAD for number in b[3]]
            stan_of = {p[0]: p[6][0] for p in sim.entries() if p[1] == n.INTENT}
            assert [stan_of[number] for number in numbers] == stans + chip


def test_the_host_of_these_tests_notices_an_acknowledged_record_sent_twice():
    sim = Sim(settling(pack=1))
    stans = batch_of(sim, 2)
    sim.host.lose = {stans[0]}
    sim.host.faults = [None, None, "silent"]
    sim.terminal.settle()
    assert sorted(sim.host.uploads[1]) == stans
    upload = next(fields for mti, fields in sim.host.seen if mti == "0320")
    again = {field: upload[field] for field in upload if field != 64}
    noticed = False
    again[11] = "000099"
    try:
        sim.host.take(sim.host._wire("0320", again)[2:])
    except ValueError:
        noticed = True
    assert noticed
    again[11] = upload[11]
    sim.host.take(sim.host._wire("0320", again)[2:])  # the same message is answered as before


def test_the_host_of_these_tests_notices_a_second_close_with_new_totals():
    sim = Sim()
    batch_of(sim, 2)
    sim.host.faults = ["silent"]
    sim.terminal.settle()
    first = sim.host.seen[-1][1]
    for stan in (first[11], "000099"):
        again = {field: first[field] for field in first if field != 64}
        again[11] = stan
        again[48] = again[48].replace("201", "202")
        noticed = False
        try:
            sim.host.take(sim.host._wire("0500", again)[2:])
        except ValueError:
            noticed = True
        assert noticed
