"""Settlement under attack: promises about money, paper, room and card data, each where it is hardest to keep."""

from close_of_day import DAY_MS, Closing, closes, numbers_of, sent, stripe, unresolved, upload_stans
from sim import SETTINGS, PowerCut, profile, settling

from posfw import numbers as n
from posfw.hal import KeyStoreError
from posfw.terminal import Terminal, runner

HEAP = "3M"  # the simulated flash lies in RAM, and so do the tests


def refused(sim, code="14"):
    """Close batch 1 with its second record refused; returns that record's number."""
    stans = [stripe(sim, 100), stripe(sim, 200)]
    sim.host.lose = {stans[0]}
    sim.host.refuse_records = {stans[1]: code}
    sim.settle()
    closes(sim, 1, n.CLOSED_UPLOADED, refused=[stans[1]])
    sim.host.refuse_records = {}
    return numbers_of(sim)[stans[1]]


def cut_before(sim, kind):
    """The power goes just before the next entry of `kind` is written."""
    journal = sim.terminal.runner.journal
    append = journal.append

    def cutting(what, body, now):
        if what == kind:
            raise PowerCut()
        return append(what, body, now)

    journal.append = cutting


def restart_as(sim, data, settings=SETTINGS, digest=bytes(32)):
    sim.board.clock.restart()
    sim.board.link.close()
    sim.terminal = Terminal(sim.board, data, settings, digest)
    return sim.terminal.boot()


# -- decisions ------------------------------------------------------------------------------------------------


def test_01_decision_5_on_a_record_presented_again_closes_no_batch():
    """While a refused record is presented again, status() names the number of that P_AGAIN entry. Where the present
    batch is overdue, decision 5 on it is taken: it writes BATCH_CLOSED for the record's batch, a second time,
    with the present batch's totals, and the batch number goes back (here from 3 to 2: its STANs come again).
    The present batch's sales are in no upload ever. Decision 5 should be refused unless a close of day is under
    way."""
    sim = Closing()
    refused(sim)
    stripe(sim, 50)
    sim.settle()
    sim.wait(60000, 1)
    stripe(sim, 700)
    sim.wait(DAY_MS, 2)
    assert sim.state.overdue and sim.state.totals[0] == 700
    sim.host.faults = ["silent"] * 3
    sim.terminal.present_again()
    number = sim.status()[6]
    said = sim.human([number, n.HUMAN_BATCH_CLOSED, "Wang", "as the status says"])
    closed = [body[0] for body in sim.bodies(n.BATCH_CLOSED)]
    assert (closed, sim.state.batch, sim.state.totals[0]) == ([1, 2], 3, 700), (said, sim.bodies(n.BATCH_CLOSED))


def test_02_decision_5_survives_a_power_cut_behind_its_entry():
    """HUMAN 5 is durable, then the power goes before BATCH_CLOSED. The fold keeps nothing of the decision: the slip
    says that the batch was closed by decision, and it never is. A durable decision should close the batch at
    the next boot."""
    sim = Closing()
    stripe(sim, 100)
    sim.host.faults = [("code", "03")] * 50
    sim.settle()
    number = sim.status()[6]
    cut_before(sim, n.BATCH_CLOSED)
    try:
        sim.human([number, n.HUMAN_BATCH_CLOSED, "Wang", "by phone"])
    except PowerCut:
        pass
    sim.start()
    sim.wait(60000, 4)
    assert len(sim.bodies(n.HUMAN)) == 1
    assert sim.state.batch == 2, (sim.status(), "paper: %s" % sim.printer.kinds())


def test_03_a_void_that_a_human_decision_confirmed_takes_its_original_out_of_the_upload():
    """Where a void cancels (iso8583_1987) and its reversal ended by decision 2, the totals leave both out, but the
    upload still sends the voided sale: records._undone knows OUTCOME and not HUMAN. The merchant is paid for a
    voided sale."""
    sim = Closing(profile("iso8583_1987"))
    kept, gone = stripe(sim, 100), stripe(sim, 900)
    sim.host.reversal_code = "05"
    sim.host.faults = ["silent"]
    void = sim.pay(kind=n.VOID, original=gone, card=sim.card(mode=n.MODE_STRIPE))
    sim.wait(700000, 6)
    assert sim.human([void["txn"], n.HUMAN_CHARGED, "Wang", "void is booked"]) is None
    assert sim.state.totals[:4] == [100, 1, 0, 0]
    sim.host.lose = {kept}
    sim.settle()
    sim.wait(400000, 3)
    assert upload_stans(sim) == [[kept]], upload_stans(sim)


def test_04_a_decision_while_an_outcome_is_not_durable_yet_does_not_upload_a_record_for_ever():
    """A's approval is durable, the flash refuses its OUTCOME; before idle() concludes A a supervisor decides on B
    (decision 2): HUMAN(B) stands between INTENT(A) and OUTCOME(A). In the upload, a pack that ends at A names
    A's INTENT as the place to go on, which lies before HUMAN(B): B is uploaded again, acknowledged or not, for
    ever, and settle() never returns."""
    sim = Closing(settling(pack=1))
    sim.terminal.profile.gate_warns, sim.terminal.profile.gate_limit = True, 3
    sim.host.reversal_code = "05"
    sim.host.faults = ["silent"]
    b = sim.pay(700, card=sim.card(mode=n.MODE_STRIPE))["txn"]
    sim.wait(700000, 6)
    b_stan = sim.state.txns[b].stan
    journal = sim.terminal.runner.journal
    append = journal.append

    def refusing(kind, body, now):
        if kind == n.OUTCOME:
            from posfw.journal.journal import JournalError

            raise JournalError("once")
        return append(kind, body, now)

    journal.append = refusing
    assert sim.pay(300, card=sim.card(mode=n.MODE_STRIPE))["message"] == "flash_failed"
    journal.append = append
    assert sim.human([b, n.HUMAN_CHARGED, "Wang", "booked"]) is None
    sim.wait(60000, 2)
    assert sim.state.totals[1] == 2, sim.state.totals
    sim.host.lose = {b_stan}
    sim.host._take_record = lambda name, batch, stan, record: "00"  # it may say "94, I have it" as well
    sim.host._take_end = lambda batch, values, answer: True
    left = [30]

    def tick():
        left[0] -= 1
        assert left[0] > 0, ("no end", upload_stans(sim))

    sim.board.link.on_send = tick
    sim.settle()
    stans = [stan for pack in upload_stans(sim) for stan in pack]
    assert len(stans) == len(set(stans)) == 2, stans


# -- cuts between two entries ----------------------------------------------------------------------------------


def test_05_a_refused_record_is_printed_though_the_power_went_behind_its_reply():
    """UPLOAD_REPLY with a refusal is durable, the power goes before UNSETTLED: nothing writes it later, so the anomaly
    is not journaled and no slip is ever owed. M9: kept, reported and printed."""
    sim = Closing()
    stans = [stripe(sim, 100), stripe(sim, 200)]
    sim.host.refuse_records = {stans[1]: "14"}
    sim.host.lose = {stans[0]}
    journal = sim.terminal.runner.journal
    append = journal.append

    def cutting(kind, body, now):
        if kind == n.UNSETTLED and body[1] == n.CAUSE_UPLOAD:
            raise PowerCut()
        return append(kind, body, now)

    journal.append = cutting
    try:
        sim.settle()
        sim.wait(1000, 3)
    except PowerCut:
        pass
    sim.start()
    sim.wait(400000, 3)
    assert sim.state.batch == 2 and len(sim.state.refused) == 1
    assert n.SLIP_UPLOAD in sim.printer.kinds(), sim.printer.kinds()
    assert [u for u in sim.bodies(n.UNSETTLED) if u[1] == n.CAUSE_UPLOAD], sim.bodies(n.UNSETTLED)


def test_06_totals_that_differ_are_told_though_the_power_went_behind_the_reply():
    """SETTLE_REPLY (not balanced) is durable, the power goes before UNSETTLED 10: the batch is uploaded and closed,
    and neither journal nor paper ever says that the totals differed."""
    sim = Closing()
    stan = stripe(sim, 100)
    sim.host.lose = {stan}
    cut_before(sim, n.UNSETTLED)
    try:
        sim.settle()
    except PowerCut:
        pass
    sim.start()
    sim.wait(400000, 3)
    assert sim.state.batch == 2
    assert [u[1] for u in sim.bodies(n.UNSETTLED)] == [n.CAUSE_TOTALS], sim.bodies(n.UNSETTLED)


def test_07_no_memory_in_the_fold_of_an_entry_does_not_close_a_batch_twice():
    """The fold of settlement's entries is imported when one comes, behind the commit: a MemoryError there leaves an
    entry that is durable and not in the state. The terminal goes on: BATCH_CLOSED is written a second time. It
    should stop until a restart has folded the journal, or load the fold before the append."""
    wrong = []
    for kind in (n.SETTLE_SENT, n.SETTLE_REPLY, n.BATCH_CLOSED):
        sim = Closing()
        stripe(sim, 100)
        fold = runner.apply

        def short(state, payload):
            if payload[1] == kind:  # noqa: B023
                runner.apply = fold  # noqa: B023
                raise MemoryError()
            fold(state, payload)  # noqa: B023

        runner.apply = short
        for _ in range(6):
            try:
                sim.settle()
                sim.wait(60000, 1)
            except (MemoryError, ValueError, AttributeError):
                pass  # the application calls again
            if sim.state.batch == 2 or sim.terminal.runner.stopped:
                break
        runner.apply = fold
        if sim.terminal.runner.stopped:
            sim.start()
            sim.wait(60000, 3)
        begun = [body[0] for body in sim.bodies(n.SETTLE_SENT)]
        wrong.append((kind, begun, [body[0] for body in sim.bodies(n.BATCH_CLOSED)]))
    assert [item[1:] for item in wrong] == [([n.P_BEGIN, n.P_TOTALS], [1])] * 3, wrong


# -- another profile, other settings ---------------------------------------------------------------------------


def test_08_new_settings_wait_for_refused_records():
    """CONFIG waits for reversals and slips, not for refused records: after it, present_again() presents a record of
    the old merchant under the new TID and MID. The money goes to another merchant, or nowhere."""
    sim = Closing()
    refused(sim)
    other = dict(SETTINGS)
    other["tid"] = "87654321"
    restart_as(sim, sim.data, other)
    sim.wait(1000, 2)
    sim.terminal.sign_on()
    sim.terminal.present_again()
    sim.wait(400000, 1)
    tids = [fields[41] for mti, fields in sim.host.seen if mti == "0320"]
    assert "87654321" not in tids, tids


def test_09_a_profile_without_settlement_does_not_leave_an_open_batch_behind():
    """CONFIG is written over an open batch where the new profile has no settlement (_may_configure asks the new
    profile only): its sales are then in no settlement for ever, and nobody is told."""
    sim = Closing()
    stripe(sim, 100)
    data = profile()
    del data["settlement"]
    restart_as(sim, data, digest=b"\x01" * 32)
    sim.wait(1000, 2)
    assert sim.state.totals[1] == 1
    assert sim.state.config[8] == "122010", "the batch's sales can no longer be settled"


def test_10_a_pending_pack_is_not_sent_as_one_record_by_another_profile():
    """A pack of three waits for its reply; the terminal restarts with a profile whose upload holds one record and
    whose DE39 speaks for the message. The message carries the first record only, and its 00 acknowledges all
    three."""
    sim = Closing()
    stans = [stripe(sim, 100), stripe(sim, 200), stripe(sim, 300)]
    sim.host.lose = {stans[0]}
    sim.host.faults = [None, "silent"]
    sim.settle()
    assert len(sim.state.settle.pack) == 3
    data = settling(pack=1, reply_codes=0)
    del data["settlement"]["record"]
    data["messages"] = dict(data["messages"])
    one = {"mti": "0320", "fields": dict(data["messages"]["upload_chip"]["fields"])}
    one["fields"]["60"] = ["=00", "batch", "=201"]
    data["messages"]["upload"] = one
    take, seen = sim.host.take, []

    def taking(wire):
        mti, fields = sim.host.spec.parse(wire[len(sim.host.prefix) :])
        if mti != "0320":
            return take(wire)
        seen.append(fields.get(61))
        reply = {11: fields[11], 41: fields[41], 39: "00"}
        if 4 in fields:
            reply[4] = fields[4]
        return [(50, sim.host._wire("0330", reply))]

    sim.host.take = taking
    restart_as(sim, data, digest=b"\x01" * 32)
    sim.wait(400000, 4)
    said = sim.bodies(n.BATCH_CLOSED)
    records = {text for text in seen if text}
    assert not said or said[0][5] <= len(records), (said, records)


# -- card data -------------------------------------------------------------------------------------------------


def test_11_no_card_number_in_the_text_of_a_message_that_cannot_be_built():
    """A PAN wider than the profile's record layout: MessageError names the value, and the value goes to the display
    (and from there into consoles and logs) in full."""
    sim = Closing(settling(record=["type_code:2", "record_stan:6", "pan:16", "amount:12"]))
    stan = stripe(sim, 100)
    sim.host.lose = {stan}
    shown = []
    sim.board.display.show = lambda key, *args: shown.append("%s %s" % (key, args))
    sim.settle()
    sim.wait(400000, 2)
    assert [text for text in shown if "6222020000001234567" in text] == []


# -- loops and room --------------------------------------------------------------------------------------------


def test_12_forced_close_of_day_with_a_reversal_and_no_working_key_does_not_fill_the_ring():
    """A reversal is owed, the terminal is signed off and sign-on fails, and close of day is due by itself: when_due()
    begins every minute, begin() reverses at once whatever hold there is, and each time SIGNON is journaled
    twice and a STAN is used. The ring is full within days. The pace should be the reversal's own (once a day at
    last)."""
    written = []
    for limit in (500, 2):  # nothing forces a close; the batch is full
        sim = Closing(profile(batch={"limit": limit}), blocks=64)
        stripe(sim, 100)
        sim.host.faults = ["silent"]
        sim.pay(200)
        take, left = sim.host.take, [None]

        def taking(wire):
            if left:  # noqa: B023 - the reversal's reply: signed off
                sim.host.faults = ["bad_mac"]  # noqa: B023
                left.pop()  # noqa: B023
                return take(wire)  # noqa: B023
            return []  # and from then on silence

        sim.host.take = taking
        sim.wait(60000, 1)
        assert not sim.state.signed_on and sim.state.debts
        before, stans = sim.terminal.runner.journal.seq, sim.state.stans_used
        for _ in range(6 * 60):  # six hours, a minute at a time
            sim.clock.advance(60000)
            sim.idle(4)
        written.append((sim.terminal.runner.journal.seq - before, sim.state.stans_used - stans))
    assert written[1][0] < 2 * written[0][0] + 20, written


def test_13_an_upload_that_waits_for_people_becomes_overdue():
    """Eight refused records: the upload waits by a hold, and when_due() returns before the deadline is looked at, or
    is not reached. The batch is never said to be overdue, so decision 5 is refused as well (M9)."""
    sim = Closing()
    stans = [stripe(sim, 100 + i) for i in range(9)]
    sim.host.lose = {stans[0]}
    sim.host.refuse_records = dict.fromkeys(stans, "14")
    sim.settle()
    for _ in range(120):
        sim.wait(1800000, 1)
    assert sim.status()[1] == 3 and len(sim.state.refused) == 8
    assert [u for u in sim.bodies(n.UNSETTLED) if u[1] == n.CAUSE_NOT_SETTLED], "60 hours, and nobody was told"


def test_14_room_for_the_upload_is_reckoned_in_frames_of_the_flash():
    """CloseOfDay.room() reserves 288 bytes a record; with a program size of 256 its two entries take 512 and more. The
    ring is full in the middle of the upload, which then can never end."""
    sim = Closing(profile("iso8583_1987"), blocks=34, program_size=256, vault_blocks=16)
    stans = []
    while True:
        done = sim.pay(100, card=sim.card(mode=n.MODE_STRIPE))
        if not done["ok"]:
            break
        stans.append(done["stan"])
    assert done["message"] == "journal_full"
    sim.host.lose = {stans[0]}
    sim.settle()
    sim.wait(400000, 3)
    assert sim.state.batch == 2, (len(stans), sim.status(), sim.terminal.runner.journal.free_sectors())


def test_15_a_batch_closed_for_the_vault_does_not_close_each_following_sale():
    """Vault.nearly_full() keeps its answer until the next sector is opened. After the close it is stale: the next
    batch is closed behind its first sale, and the one after it, until the sector is full."""
    sim = Closing(blocks=64, vault_blocks=3)
    while sim.state.batch == 1:
        stripe(sim, 10)
        sim.idle(30)
        sim.wait(60000, 1)
    for _ in range(4):
        stripe(sim, 10)
        sim.wait(120000, 1)
    assert sim.state.batch <= 2, (sim.state.batch, [body[3] for body in sent(sim, n.P_BEGIN)])


def test_16_a_vault_filled_to_its_end_can_still_be_closed_and_its_refused_record_kept():
    """pay() looks at the vault's room only when it is gone (close of day is forced by idle() alone), and moving
    needs room in a vault that is full of the very batch that goes. The key is not erased and nothing is sold, with
    "keystore_fault" on the display, until people have seen to each record and debt of that batch."""
    sim = Closing(profile(batch={"limit": 400}), blocks=96, vault_blocks=3)
    stans = []
    while True:
        done = sim.pay(100, card=sim.card(mode=n.MODE_STRIPE))
        if not done["ok"]:
            break
        stans.append(done["stan"])
    assert done["message"] == "vault_full", done
    sim.host.lose, sim.host.refuse_records = {stans[0]}, {stans[1]: "14"}
    sim.settle()
    sim.wait(400000, 12)
    assert sim.state.batch == 2
    assert sim.state.shred == [] and sim.pay(5)["ok"], (sim.state.shred, sim.pay(5))


def test_17_a_key_store_that_cannot_read_a_key_for_a_moment_costs_no_card_data():
    """shred() takes two failures of vault_key() in a row for "erased already", moves nothing, and erases: what the
    owed reversal needs is gone, VAULT_DESTROYED says moved 0. (KeyStore.vault_key has one error for "none" and
    for "not now".) A batch in state.shred whose VAULT_DESTROYED is not written should be moved where its key is
    there at any later try."""
    sim = Closing(profile(gate={"policy": "warn", "limit": 3}))
    sim.host.reversal_code = "05"
    txn = unresolved(sim)
    stripe(sim, 100)
    store = sim.board.keystore
    vault_key, left = store.vault_key, [2]

    def failing(batch):
        if sim.state.shred and left[0]:
            left[0] -= 1
            raise KeyStoreError("busy")
        return vault_key(batch)

    store.vault_key = failing
    sim.settle()
    sim.wait(60000, 2)
    assert sim.state.batch == 2
    sim.host.reversal_code = None
    sim.wait(DAY_MS, 3)
    assert sim.state.debts == [], (sim.state.txns[txn].cause, sim.bodies(n.VAULT_DESTROYED))


def test_18_a_lost_vault_key_does_not_end_all_sales():
    """The key of the closed batch is gone, its refused record cannot be moved: _move_all() returns before it makes the
    new batch's key, and _to_vault() takes any refused record for proof that there is one. Each sale ends in
    keystore_fault, also after a restart."""
    sim = Closing()
    stans = [stripe(sim, 100), stripe(sim, 200)]
    sim.host.lose, sim.host.refuse_records = {stans[0]}, {stans[1]: "14"}
    cut_before(sim, n.BATCH_CLOSED)
    try:
        sim.settle()
    except PowerCut:
        pass
    sim.board.keystore.vault.clear()
    sim.start()
    sim.wait(60000, 4)
    assert sim.state.batch == 2 and sim.state.refused and sim.state.shred == []
    done = sim.pay(5)
    sim.start()
    assert done["ok"] or sim.pay(5)["ok"], done


# -- what the host and the totals do ---------------------------------------------------------------------------


def test_19_presented_again_between_two_passes_of_an_upload_it_is_counted_once():
    """The host asks for the whole upload again; a record refused in the first pass is presented again before the
    second has come to it. It is acknowledged, uploaded once more all the same, and BATCH_CLOSED says refused
    -1."""
    sim = Closing()
    stans = [stripe(sim, 100 + i) for i in range(3)]
    sim.host.lose = {stans[0]}
    sim.host.refuse_records = {stans[2]: "14"}
    sim.host.end_code = "95"
    for _ in range(40):
        if sim.state.settle is not None and sim.state.settle.restarts:
            break
        if sim.state.settle is None:
            sim.terminal.runner.run(("settle_begin", n.BY_OPERATOR, 1, ()))
        sim.terminal.idle()
    assert sim.state.settle.restarts == 1 and sim.state.settle.pending == 0
    sim.host.refuse_records = {}
    sim.host._take_record = lambda name, batch, stan, record: "00"
    sim.host._take_end = lambda batch, values, answer: True
    sim.terminal.present_again()  # refused is as good: the second pass comes to it by itself
    sim.wait(60000, 4)
    body = sim.bodies(n.BATCH_CLOSED)[0]
    assert body[5:7] == [3, 0], body
    # Each record once in the first pass and once in the one the host asked for.
    assert sorted(stan for pack in upload_stans(sim) for stan in pack) == sorted(stans * 2)


def test_20_totals_that_do_not_fit_their_field_do_not_hang_the_batch():
    """Two sales near the amount limit: the sum has 13 digits, the message 12. The 0500 can never be built: the batch
    waits for decision 5. The second sale should have been refused until the first is settled."""
    sim = Closing()
    stripe(sim, 999999999999)
    second = sim.pay(1, card=sim.card(mode=n.MODE_STRIPE))
    for _ in range(4):
        sim.settle()
        sim.wait(DAY_MS, 1)
    assert sim.state.batch == 2, (second, sim.bodies(n.UNSETTLED))


def test_21_a_void_is_counted_under_the_scheme_of_its_original():
    """The scheme of a void is the application's word at the void. If it names another than at the sale, a profile
    whose voids cancel takes the amount out of the other scheme: totals below zero, which neither the journal's
    format nor the 0500 can hold, and the batch hangs."""
    data = settling()
    data["settlement"]["count"] = dict(data["settlement"]["count"])
    data["settlement"]["count"]["void"] = "cancels"
    sim = Closing(data)
    stan = stripe(sim, 100)
    done = sim.pay(kind=n.VOID, original=stan, card=sim.card(mode=n.MODE_STRIPE, scheme=n.SCHEME_INTERNATIONAL))
    assert not done["ok"] or min(sim.state.totals) >= 0, sim.state.totals


# -- the facade ------------------------------------------------------------------------------------------------


def test_22_settle_says_settling_only_where_close_of_day_has_begun():
    """settle() while a refused record is being presented again: it finishes that and returns ok, "settling". No close
    of day has begun, and nothing in idle() will begin one."""
    sim = Closing()
    refused(sim)
    stripe(sim, 700)
    sim.host.faults = ["silent"]
    sim.terminal.present_again()
    sim.host.faults = []
    sim.clock.advance(400000)
    done = sim.settle()
    begun = [body for body in sent(sim, n.P_BEGIN) if body[1] == 2]
    assert begun or not done["ok"], done


def test_23_an_owed_reversal_goes_before_a_record_presented_again():
    """M3: owed reversals go out before any other financial message. present() looks at no debts."""
    sim = Closing()
    refused(sim)
    sim.host.faults = ["silent"]
    sim.pay(50)
    assert sim.state.debts
    sim.host.seen = []
    sim.terminal.present_again()
    assert [mti for mti, _ in sim.host.seen][:1] in ([], ["0400"]), [mti for mti, _ in sim.host.seen]


def test_24_a_second_trouble_of_a_settlement_is_told_too():
    """`stuck` is never taken back. A host that was silent for the totals, answered, and then refuses the merchant in
    the upload for ever is told of once: as silence. Cause 8 comes neither into the journal nor on paper."""
    sim = Closing()
    stan = stripe(sim, 100)
    sim.host.lose = {stan}
    sim.host.faults = ["silent"] * 4
    sim.settle()
    sim.wait(400000, 6)
    assert [u[1] for u in sim.bodies(n.UNSETTLED)][:1] == [n.CAUSE_HOST_SILENT], sim.bodies(n.UNSETTLED)
    sim.host.faults = [None] + [("code", "03")] * 50
    sim.wait(DAY_MS, 6)
    assert n.CAUSE_MERCHANT in [u[1] for u in sim.bodies(n.UNSETTLED)], (sim.bodies(n.UNSETTLED), sim.status())


def test_25_failed_connections_of_one_settlement_are_not_told_of_the_next():
    """holds[None] keeps its count when the settlement ends: the first failed connection of the next batch's settlement
    is journaled as several, and waits as long as several."""
    sim = Closing()
    stripe(sim, 100)
    sim.board.link.close()
    sim.host.refuse = 7
    sim.settle()
    sim.wait(600000, 14)
    assert sim.state.batch == 2
    before = len(sim.bodies(n.CONNECT_FAIL))
    stripe(sim, 100)
    sim.board.link.close()
    sim.wait(1000, 1)
    sim.host.refuse = 1
    sim.terminal.runner.run(("settle_begin", n.BY_OPERATOR, 1, ()))
    told = sim.bodies(n.CONNECT_FAIL)[before:]
    assert [body[3] for body in told] == [1], told


def test_26_a_record_presented_again_whose_reply_is_lost_keeps_its_message():
    """P_AGAIN is given up after the attempts, or at the first failed connection, though the host may have taken it:
    the state says "refused", a supervisor may write it off, and the next try is another message with another
    STAN. An outcome that is not known is not a refusal; the same STAN should go out again."""
    for then in ("silence", "line"):
        sim = Closing()
        refused(sim)
        sim.host.faults = ["silent"] * (4 if then == "silence" else 1)
        sim.terminal.present_again()
        if then == "line":
            sim.board.link.close()
            sim.host.refuse = 1
        sim.wait(2000000, 5)
        sim.host._take_record = lambda name, batch, stan, record: "94"
        sim.terminal.present_again()
        stans = [fields[11] for mti, fields in sim.host.seen if mti == "0320"][-2:]
        assert len(set(stans)) == 1, (then, stans)


def test_27_a_host_that_asks_for_the_upload_again_does_not_fill_the_ring():
    """Room is kept for one pass of the upload, and one reply a record. A host that asks for everything again (profile
    `again`, up to four times), or a line on which each second reply is lost, takes several: the ring is full in
    the middle, and the batch can neither be uploaded nor closed."""
    sim = Closing(profile("iso8583_1987"), blocks=20, vault_blocks=16)
    stans = []
    while True:
        done = sim.pay(100, card=sim.card(mode=n.MODE_STRIPE))
        if not done["ok"]:
            break
        stans.append(done["stan"])
    assert done["message"] == "journal_full"
    sim.host.lose, sim.host.end_code = {stans[0]}, "95"  # once
    sim.settle()
    sim.wait(400000, 4)
    assert sim.state.batch == 2, (len(stans), sim.status(), sim.terminal.runner.journal.free_sectors())


def test_28_the_list_of_a_closed_batch_names_the_merchant_it_was_sold_under():
    """print_detail(closed=True) takes TID, MID and the rule of counting from the present CONFIG. After new settings
    the list of the last batch bears another terminal's and merchant's numbers."""
    sim = Closing()
    stripe(sim, 100)
    sim.settle()
    sim.wait(60000, 1)
    other = dict(SETTINGS)
    other["tid"] = "87654321"
    restart_as(sim, sim.data, other)
    sim.wait(1000, 1)
    assert sim.terminal.print_detail(closed=True)["ok"]
    paper = [slip[2] for slip in sim.printer.slips if slip[0] == n.SLIP_DETAIL][-1]
    assert b"12345678" in paper and b"87654321" not in paper


def test_29_a_journal_from_before_settlement_does_not_end_the_application():
    """A journal whose CONFIG has eight items, kept because a reversal is owed: print_detail() reads config[8] while
    the slip is printed, and IndexError leaves the terminal's facade with a slip begun."""
    sim = Closing()
    stripe(sim, 100)
    sim.host.faults = ["silent"]
    sim.pay(50)
    sim.state.config = sim.state.config[:8]  # as folded from such a journal
    done = sim.terminal.print_detail()
    assert done["message"] in ("detail_done", "wrong_config", "bad_request"), done


def test_30_refused_records_of_older_batches_can_be_presented_while_an_upload_waits_for_them():
    """With eight refused records of older batches an upload waits until people see to some of them, and
    present_again() answers "busy" because they are of another batch: writing off good money is the only way on."""
    sim = Closing()
    stans = [stripe(sim, 100 + i) for i in range(9)]
    sim.host.lose = {stans[0]}
    sim.host.refuse_records = dict.fromkeys(stans[1:], "14")
    sim.settle()
    closes(sim, 1, n.CLOSED_UPLOADED, refused=stans[1:])
    stan = stripe(sim, 700)
    sim.host.lose = {stan}
    sim.host.refuse_records = {}
    sim.settle()
    assert sim.status()[1] == 3 and len(sim.state.refused) == 8
    done = sim.terminal.present_again()
    assert done["ok"], done
