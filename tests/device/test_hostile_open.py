"""Defects of the money path that are open: each test fails while its defect is there, most severe first.

The docstrings say what goes wrong and which place has to change.
"""

from sim import JOURNAL_ID, MASTER, SETTINGS, TERMINAL_ID, Sim, profile

from posfw import numbers as n
from posfw.crypto.hkdf import hkdf
from posfw.hal import KeyStoreError, PrinterError
from posfw.journal import seal
from posfw.terminal import Terminal

HEAP = "2M"  # the simulated flash lies in RAM, and so do the tests

WARN = {"policy": "warn", "limit": 5}


def bodies(sim, kind):
    return [p[6] for p in sim.entries() if p[1] == kind]


def settle(sim):
    for _ in range(12):
        sim.clock.advance(4000000)
        sim.idle(30)


def fail_next_program(sim):
    """The flash refuses one program, then works again."""
    left = [1]

    def fail(*_):
        if left[0]:
            left[0] = 0
            raise OSError(5)

    sim.board.flash.on_op = fail


def reconfigured(sim, **changes):
    """Restart with other settings."""
    settings = dict(SETTINGS)
    settings.update(changes)
    sim.clock.restart()
    sim.board.link.close()
    sim.terminal = Terminal(sim.board, sim.data, settings, bytes(32))
    return sim.terminal.boot()


def made_unresolved(sim):
    sim.host.faults = ["silent"]
    txn = sim.pay()["txn"]
    for _ in range(sim.terminal.profile.attempts):
        sim.host.faults = ["silent"]
        sim.clock.advance(700000)
        sim.idle(6)
    assert bodies(sim, n.UNRESOLVED)
    return txn


# -- money lost or charged without paper -----------------------------------------------------------------------


def test_01_reply_without_response_code_is_not_a_decline():
    """M2. An authentic 0210 without DE39 becomes DECLINED: "no transaction was made" on paper, no reversal.
    payment.replied: a matched reply without a code is V_GARBLED.
    """
    sim = Sim()
    real = sim.host._wire

    def wire(mti, fields, mac=True):
        if mti == "0210":
            fields.pop(39)
        return real(mti, fields, mac)

    sim.host._wire = wire
    assert sim.pay()["message"] == "unknown_outcome"
    assert len(sim.state.debts) == 1


def test_02_reversal_never_goes_out_under_another_terminal_number():
    """After a change of TID the debt of the old one is sent with the new DE41: it names another terminal's
    transaction. reversal.reverse (and printing.start) must not act while state.config != profile.config, or
    messages must take TID and MID from state.config.
    """
    sim = Sim()
    sim.host.faults = ["silent"]
    sim.pay()
    reconfigured(sim, tid="87654321")
    settle(sim)
    assert [f[41] for mti, f in sim.host.seen if mti == "0400" and f[41] != "12345678"] == []


def test_03_cancel_while_a_void_of_it_is_in_doubt():
    """The sale's reversal goes out before the void's (by age): the host answers the first with 12 or 25, "accepted",
    then takes the void back. Both slips say reversed; the customer is charged. payment.cancel: refuse unless
    nothing was done after it and nothing is owed.
    """
    sim = Sim()
    sale = sim.pay()
    sim.host.faults = ["silent"]
    void = sim.pay(kind=n.VOID, original=sale["stan"])
    assert void["message"] == "unknown_outcome"
    sim.terminal.cancel()
    settle(sim)
    charged = False  # what a host that books voids has in the end
    for mti, fields in sim.host.seen:
        stan = int(fields[11])
        if mti == "0200":
            charged = stan == sale["stan"]
        elif mti == "0400" and stan == void["stan"]:
            charged = True
        elif mti == "0400" and stan == sale["stan"]:
            charged = False
    reversed_slips = sim.printer.kinds().count(n.SLIP_REVERSED)
    assert not (charged and reversed_slips == 2), "charged, with two slips that say reversed"


def test_04_card_said_no_and_the_flash_failed_once():
    """M7. AAC, then the OUTCOME entry is not taken: idle() concludes from the REPLY alone and approves.
    Terminal.idle -> payment.conclude: the runner must remember the card's answer (or journal it before OUTCOME).
    """
    sim = Sim()

    def finish():
        fail_next_program(sim)
        return False

    assert not sim.pay(finish=finish)["ok"]
    sim.board.flash.on_op = None
    settle(sim)
    assert n.SLIP_SALE not in sim.printer.kinds()
    assert sim.host.ledger[("000001", "000002")] == "reversed"


def test_05_a_key_store_that_stutters_does_not_lose_the_vault():
    """Vault._encrypt takes any KeyStoreError for "no key yet" and overwrites the batch's key: every open debt of the
    batch loses its replay data. Make a key only for the first INTENT of a batch.
    """
    sim = Sim(profile(gate=WARN))
    sim.host.faults = ["silent", "silent"]
    sim.pay()
    store, calls = sim.board.keystore, []
    real = store.vault_key

    def vault_key(batch):
        calls.append(batch)
        if len(calls) == 2:  # 1: the reversal that goes first
            raise KeyStoreError("locked")
        return real(batch)

    store.vault_key = vault_key
    sim.pay()
    store.vault_key = real
    sim.start()
    settle(sim)
    assert bodies(sim, n.UNRESOLVED) == []


def test_06_replay_data_of_what_can_be_cancelled_are_kept():
    """Runner._to_vault keeps records of open phases only: after enough failed sales the last approved one can be
    cancelled and then not be reversed. Keep state.last_approved's record too.
    """
    sim = Sim()
    sim.pay()
    sim.host.refuse = 1000
    sim.board.link.close()
    for _ in range(200):
        sim.pay()
    sim.host.refuse = 0
    if sim.terminal.cancel()["ok"]:
        settle(sim)
        assert bodies(sim, n.UNRESOLVED) == []


def test_07_charged_and_the_key_store_stops_gives_paper():
    """Promise 3. Approved at the host, then the seal cannot move: pay() says keystore_fault without STAN, nothing is
    printed, idle() prints nothing. Runner._not_durable: with a transaction whose message left, print a pending
    slip unjournaled ("not in the journal") and name it in the result.
    """
    sim = Sim()
    store = sim.board.keystore

    def advance(index, key):
        raise KeyStoreError("write failed")

    def on_send():
        store.advance = advance

    sim.board.link.on_send = on_send
    done = sim.pay()
    sim.idle()
    assert not done["ok"] and "stan" in done and sim.printer.slips


# -- the terminal stops, or the journal breaks -------------------------------------------------------------------


def test_11_a_failed_read_back_does_not_break_the_chain():
    """OSError of readblocks (allowed by the contract) after a program: the entry stays in flash beside another of
    the same number under the same key, and the journal never verifies again. Frames.program/read: FrameError;
    Journal._commit: if it cannot be read back, stop until recovery has decided.
    """
    for number in range(1, 12):
        sim = Sim()
        real, left = sim.board.flash.readblocks, [number]

        def readblocks(block, buf, off=0, real=real, left=left):
            left[0] -= 1
            if left[0] == 0:
                raise OSError(5)
            return real(block, buf, off)

        sim.board.flash.readblocks = readblocks
        try:
            sim.pay()
        except OSError:
            pass  # test_48
        sim.board.flash.readblocks = real
        sim.idle()
        sim.start()
        sim.pay()
        key = hkdf(MASTER, JOURNAL_ID, b"posfw/seal/1" + TERMINAL_ID.encode(), 32)
        head = seal.genesis(JOURNAL_ID)
        for _, entry in sim.terminal.runner.journal.read(0):
            assert seal.verify(entry, key, head), number
            head, key = seal.chain(head, entry), seal.ratchet(key)


def test_12_a_printer_that_always_fails_does_not_fill_the_journal():
    """fault() says 0 and each write fails (offline without a sensor): 2 entries a minute for ever; 128 KB are full
    in a day, 1 MB in a week, and then no reversal can be journaled either. fold._slip: let the wait grow without
    the bound of a minute (hours), and print no more once room < reserve.
    """
    sim = Sim()

    def write(data):
        raise PrinterError(3, "offline")

    sim.printer.write = write
    sim.pay()
    end = sim.clock.ms + 86400000
    while sim.clock.ms < end:
        sim.clock.advance(60000)
        sim.idle(3)
    assert sim.terminal.runner.journal.free_sectors() >= sim.terminal.profile.reserve_sectors


def test_13_a_dead_line_does_not_use_up_the_room_a_reversal_needs():
    """Promise 2. Each failed dial is an entry (one in five minutes): in the end the ring is full, the line is back,
    and the reversal can never be sent. Fold repeated CONNECT_FAILs into one entry, and keep the last sector for
    REVERSAL_SENT and its reply.
    """
    sim = Sim(blocks=8)
    sim.host.faults = ["silent"]
    sim.pay()
    sim.board.link.close()
    sim.host.refuse = 10**6
    for _ in range(1000):
        sim.clock.advance(400000)
        sim.idle(3)
    sim.host.refuse = 0
    settle(sim)
    assert sim.state.debts == []


def test_14_idle_does_not_spin_on_a_full_ring():
    """idle() returns True for work that failed: a loop "while terminal.idle()" never ends and dials each time."""
    sim = Sim(blocks=6)
    sim.host.faults = ["silent"]
    sim.pay()
    sim.board.link.close()
    sim.host.refuse = 10**6
    for _ in range(400):
        sim.clock.advance(400000)
        sim.idle(3)
    turns = 0
    while sim.terminal.idle():
        turns += 1
        assert turns < 50


def test_15_a_flash_fault_at_the_boot_entry_does_not_put_the_debt_to_sleep():
    """boot() says ready without a BOOT entry; `due` still counts from the run before, so after 30 days of uptime the
    reversal waits 30 days. Terminal.boot: if BOOT is not durable, say so and try again in idle().
    """
    sim = Sim()
    sim.clock.advance(30 * 86400000)
    sim.host.faults = ["silent"]
    sim.pay()
    fail_next_program(sim)
    sim.start()
    sim.board.flash.on_op = None
    for _ in range(10):
        sim.clock.advance(400000)
        sim.idle()
    assert sim.state.debts == []


def test_16_a_host_that_sends_everything_twice_can_be_reversed_at():
    """The second 0810 has no MAC and comes while the reversal's reply is waited for: V_BAD_MAC, sign on again, for
    ever. messages.judge: a reply type that never carries a MAC is V_LATE without fields, not V_BAD_MAC.
    """
    sim = Sim()
    sim.host.faults = ["silent"]
    sim.pay()
    sim.host.faults = ["bad_mac"]
    sim.clock.advance(30000)
    sim.idle(2)
    for _ in range(12):
        sim.host.faults = ["twice"] * 8
        sim.clock.advance(4000000)
        sim.idle(2)
    assert sim.state.debts == []


def test_17_a_mac_key_that_is_gone_leads_to_a_sign_on_not_to_a_human():
    """Runner._send_reversal: any KeyStoreError is "replay data lost" -> UNRESOLVED at once, though a sign-on mends
    it, and also where cmac fails after the message was sent.
    """
    sim = Sim()
    sim.host.faults = ["silent"]
    sim.pay()
    sim.board.keystore.mac_key = None
    settle(sim)
    assert bodies(sim, n.UNRESOLVED) == [] and sim.state.debts == []


def test_18_a_change_of_settings_is_taken_once_nothing_is_owed():
    """wrong_config stays until a second restart; with a printer that is broken for good no new settings are ever
    taken.
    """
    sim = Sim()
    sim.printer.paper = 0
    sim.pay()
    reconfigured(sim, merchant="New name")
    sim.printer.paper = None
    settle(sim)
    assert sim.pay()["message"] == "wrong_config"  # a batch is settled under the numbers it was sold under
    assert sim.terminal.settle() == {"ok": True, "message": "settled"}
    settle(sim)
    sim.terminal.sign_on()
    assert sim.pay()["ok"]


# -- the paper, or the journal, says what is not so ---------------------------------------------------------------


def test_21_a_slip_names_the_terminal_it_was_sold_at():
    """facts.of takes profile.config (new) instead of state.config (the one the transaction was made under)."""
    sim = Sim()
    sim.printer.paper = 0
    sim.pay()
    sim.printer.paper = None
    reconfigured(sim, tid="87654321", mid="999999999999999")
    settle(sim)
    assert b"12345678" in sim.printer.slips[-1][2] and b"87654321" not in sim.printer.slips[-1][2]


def test_22_unresolved_after_refusals_does_not_say_the_bank_did_not_approve():
    """reversal.replied puts the code of a refused *reversal* through diagnosis.of_code: cause 7, "The card's bank
    did not approve this transaction", on the slip of somebody who may be charged. Needs a cause of its own (or
    CAUSE_NONE).
    """
    sim = Sim()
    sim.host.faults = ["silent"]
    sim.pay()
    for _ in range(5):
        sim.host.faults = [("code", "05")]
        sim.clock.advance(700000)
        sim.idle(6)
    assert bodies(sim, n.UNRESOLVED) and bodies(sim, n.UNRESOLVED)[0][2] != n.CAUSE_DECLINED


def test_23_the_slip_of_a_human_decision_says_which_and_whose():
    """facts.of passes neither `decision` nor `name`; "confirmed: charged" and "confirmed: reversed" print the same."""
    sim = Sim()
    txn = made_unresolved(sim)
    sim.terminal.runner.run(("human", txn, n.HUMAN_CHARGED, "Wang", "called the bank", b"signed"))
    slip = sim.printer.slips[-1]
    assert slip[0] == n.SLIP_HUMAN and b"Wang" in slip[2]
    assert b"carried out" in slip[2].replace(b"\n", b" ")


def test_24_a_human_decision_does_not_take_the_customers_paper():
    """fold._close_debt drops the customer's slip that never came out; the HUMAN slip is a merchant's copy."""
    sim = Sim()
    sim.printer.paper = 0
    txn = made_unresolved(sim)
    sim.terminal.runner.run(("human", txn, n.HUMAN_CHARGED, "Wang", "called the bank", b"signed"))
    sim.printer.paper = None
    settle(sim)
    assert n.SLIP_UNRESOLVED_CUSTOMER in sim.printer.kinds()


def test_25_an_outcome_nobody_knows_is_not_called_approved():
    """conclude_open uses CAUSE_TERMINAL where no reply is durable; the slip then says "The bank approved it". Here
    it was a decline. A cause outside slips._AFTER_APPROVAL is needed (CAUSE_POWER's wording fits no better).
    """
    sim = Sim()
    sim.host.faults = [("decline", "51")]
    sim.board.link.on_send = lambda: fail_next_program(sim)
    sim.pay()
    sim.board.link.on_send = sim.board.flash.on_op = None
    sim.idle(2)
    assert sim.printer.slips[0][0] == n.SLIP_PENDING and b"The bank approved" not in sim.printer.slips[0][2]


def test_26_a_late_reply_to_the_reversal_is_not_one_to_the_sale():
    """payment.stray ignores the MTI: a late 0410 "00" is journaled as the sale's late reply with code 00."""
    sim = Sim()
    sim.host.faults = ["silent", ("late", 33000)]
    sim.pay()
    sim.clock.advance(20000)
    sim.idle(1)
    sim.clock.advance(5000)
    sim.idle(1)
    assert [b[1] for b in bodies(sim, n.REPLY)] == [n.V_SILENCE]


def test_27_an_attempt_that_sent_nothing_is_no_attempt():
    """M4. Replay data lost: REVERSAL_SENT is journaled, nothing is sent, and the attempt stays counted.
    fold._reversal_reply: V_DATA_LOST takes it back; better, build the message before REVERSAL_SENT.
    """
    sim = Sim()
    sim.host.faults = ["silent"]
    sim.pay()
    sim.board.keystore.vault = {}
    sim.clock.advance(30000)
    sim.idle()
    assert sim.state.debts[0].attempts == 0


def test_28_a_clock_set_back_is_seen_although_an_entry_came_first():
    """fold.apply follows the clock backwards with any entry. It must only go forward there; CLOCK entries set it."""
    sim = Sim()
    sim.pay()
    sim.clock.rtc -= 86400 * 200
    sim.terminal.service.host.usb_fault(1)
    assert sim.pay()["message"] == "clock_back"


def test_29_one_wrong_reading_of_the_clock_does_not_move_the_year():
    """upkeep.sign_on_replied looks for the year nearest to max(state.rtc, now): one reading 300 days ahead and the
    host's date is taken for next year's, for good.
    """
    sim = Sim()
    sim.pay()
    right = sim.clock.rtc
    sim.clock.rtc += 86400 * 300
    sim.terminal.service.host.usb_fault(1)
    sim.clock.rtc = right
    sim.pay()
    sim.terminal.sign_on()
    assert abs(sim.clock.rtc - right) < 86400


# -- undoing ------------------------------------------------------------------------------------------------------


def test_31_what_cannot_be_undone_is_refused():
    """lookup.find does not look at types: void of a void, completion of a sale, completion twice, refund of a
    refund, void after a full refund, refund above the sale all go out. Terminal._resolve_original: a table type
    -> types it may refer to, and completions and refunds counted against the original.
    """
    for first, second, amount in (
        (n.VOID, "again", 1234),
        (n.REFUND, n.REFUND, 1234),
        (n.REFUND, n.VOID, 1234),
        (None, n.COMPLETION, 1234),
        (None, n.REFUND, 9999),
    ):
        sim = Sim()
        stan = sim.pay(1234)["stan"]
        done = sim.pay(1234, kind=first, original=stan) if first else None
        if second == "again":
            stan, second = done["stan"], n.VOID
        assert not sim.pay(amount, kind=second, original=stan)["ok"], (first, second, amount)
    sim = Sim()
    stan = sim.pay(kind=n.PREAUTH)["stan"]
    assert sim.pay(kind=n.COMPLETION, original=stan)["ok"]
    assert not sim.pay(kind=n.COMPLETION, original=stan)["ok"]


# -- "every call returns; none raises" ------------------------------------------------------------------------------


def test_41_no_request_makes_pay_raise():
    """Terminal.pay, _resolve_original (before any check), request.check (floats equal to a number pass `in`)."""
    sim = Sim()
    sim.pay()
    good = {"type": n.SALE, "amount": 1, "card": sim.card(), "operator": "01"}
    requests = [None]
    for change in (
        {"type": n.VOID, "original": 2, "card": "x"},
        {"type": n.VOID, "original": 2, "card": {"pan": 123}},
        {"type": 1.0},
        {"card": sim.card(scheme=1.0)},
        {"card": sim.card(mode=5.0)},
        {"operator": chr(0xD800)},
        {"card": sim.card(aid=chr(0xD800))},
    ):
        request = dict(good)
        request.update(change)
        requests.append(request)
    raised = []
    for i in range(len(requests)):
        sim = Sim()
        sim.pay()
        try:
            sim.terminal.pay(requests[i])
        except Exception as e:  # noqa: BLE001 - whatever comes is what this test is about
            raised.append((i, type(e).__name__))
    assert raised == []


def test_42_a_card_callback_that_raises_is_a_refusal_of_the_card():
    """Runner._do_card: the exception leaves pay(), and idle() then approves the sale."""
    sim = Sim()

    def finish():
        raise ValueError("card pulled out")

    try:
        sim.pay(finish=finish)
    except ValueError:
        pass
    settle(sim)
    assert n.SLIP_SALE not in sim.printer.kinds()


def test_43_idle_within_the_card_callback_decides_nothing():
    """A vendor's callback that keeps the screen alive by idle(): it concludes the open sale as approved and prints;
    then the card says no. Two OUTCOMEs for one transaction. Runner.run: refuse to be entered twice.
    """
    sim = Sim()

    def finish():
        sim.terminal.idle()
        return False

    sim.pay(finish=finish)
    assert len(bodies(sim, n.OUTCOME)) == 1 and n.SLIP_SALE not in sim.printer.kinds()


def test_44_any_printer_error_leaves_an_owed_slip_and_a_result():
    """Runner._do_print: OSError leaves pay() after the approval, and then every idle(); PrinterError(0) counts as
    printed.
    """
    for error in (PrinterError(0, "?"), OSError(5)):
        sim = Sim()
        real = sim.printer.write

        def write(data, error=error):
            raise error

        sim.printer.write = write
        assert sim.pay()["ok"]
        sim.printer.write = real
        settle(sim)
        assert sim.printer.kinds() == [n.SLIP_SALE]


def test_45_a_snapshot_of_another_version_is_said_not_raised():
    """State.load raises ValueError through Terminal.boot: after a downgrade the terminal does not even serve USB."""
    sim = Sim(blocks=8)
    for _ in range(12):
        sim.pay()
    from posfw.engine import state

    version = state.VERSION
    state.VERSION = version - 1
    try:
        assert sim.start()[0] is False
    finally:
        state.VERSION = version


def test_46_an_unreadable_oldest_sector_does_not_make_pay_and_status_raise():
    """Terminal._room, find and status call the ring outside run(): RingError leaves pay(), status() and, by USB,
    idle().
    """
    sim = Sim(blocks=8)
    for _ in range(10):
        sim.pay()
    sim.board.flash.store.write(0, bytes(68))
    assert not sim.pay()["ok"]
    sim.terminal.status()


def test_47_an_empty_frame_is_a_keep_alive_not_a_garbled_reply():
    """Session._receive: 00 00 makes the sale unknown. Skip it (bounded by the deadline and _MAX_STRAYS)."""
    sim = Sim()
    real = sim.host._deliver
    sim.host._deliver = lambda fault, wire: [(10, b"\0\0")] + real(fault, wire)  # noqa: RUF005 - MicroPython has no star here
    assert sim.pay()["ok"]


def test_48_a_flash_that_cannot_be_read_does_not_make_pay_raise():
    """OSError of readblocks is not in runner.DURABILITY: it leaves pay(), idle() and boot(). Frames: FrameError."""
    sim = Sim()

    def readblocks(block, buf, off=0):
        raise OSError(5)

    sim.board.flash.readblocks = readblocks
    assert not sim.pay()["ok"]
