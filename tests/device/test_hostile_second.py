"""Defects a second hostile review found, open: each test fails while its defect is there, most severe first.

The docstrings say what goes wrong and which place has to change.
"""

from sim import SETTINGS, Sim, profile

from posfw import numbers as n
from posfw.codec import cbor, cobs
from posfw.codec.crc import crc32
from posfw.crypto.mac import hmac_sha256
from posfw.hal import STAGE_SEND, KeyStoreError, LinkError
from posfw.terminal import Terminal

HEAP = "2M"  # the simulated flash lies in RAM, and so do the tests

DAY = 86400000


def bodies(sim, kind):
    return [p[6] for p in sim.entries() if p[1] == kind]


def settle(sim):
    for _ in range(12):
        sim.clock.advance(4000000)
        sim.idle(30)


def days(sim, count, step=60000):
    end = sim.clock.ms + count * DAY
    while sim.clock.ms < end:
        sim.clock.advance(step)
        sim.idle(3)


def reconfigured(sim, **changes):
    settings = dict(SETTINGS)
    settings.update(changes)
    sim.clock.restart()
    sim.board.link.close()
    sim.terminal = Terminal(sim.board, sim.data, settings, bytes(32))
    return sim.terminal.boot()


# -- money ------------------------------------------------------------------------------------------------------


def test_01_a_sale_with_junk_as_original_does_not_brick_the_terminal():
    """request.check returns before `original` for SALE and PREAUTH, and the INTENT takes it as it is. messages._values
    then indexes it: TypeError/IndexError out of pay(), again out of every idle() (the reversal is built by the same
    code) and after every restart, and find() raises for every void of the batch. check: SALE and PREAUTH take None.
    """
    for junk in (True, [1], "x", [1, 2, 3, 4, 5, 6], {"a": 1}, 1.5):
        sim = Sim()
        raised = []
        try:
            done = sim.pay(original=junk)
            assert not done["ok"] or done["message"] == "approved"
        except (TypeError, IndexError, KeyError, ValueError, AttributeError) as e:
            raised.append("pay " + type(e).__name__)
        try:
            sim.start()
            settle(sim)
        except (TypeError, IndexError, KeyError, ValueError, AttributeError) as e:
            raised.append("idle " + type(e).__name__)
        assert raised == [], (junk, raised)
        assert sim.state.debts == [] and not bodies(sim, n.FAULT), junk


def test_02_the_same_request_dict_twice_is_not_refunded_twice():
    """Terminal._resolve_original writes the found list into the caller's dict; a list is never looked up again, so a
    second pay() with the same dict (a double click, a retry loop) skips every refusal. Copy the request.
    """
    for kind in (n.REFUND, n.VOID):
        sim = Sim()
        request = {"type": kind, "amount": 1234, "card": sim.card(), "operator": "01"}
        request["original"] = sim.pay(1234)["stan"]
        assert sim.terminal.pay(request)["ok"]
        second = sim.terminal.pay(request)
        assert not second["ok"], (kind, second)


def test_03_an_original_given_as_a_list_that_the_journal_holds_is_looked_up():
    """An original "where the journal no longer holds it (txn 0)" is not checked: a list for a transaction of the
    present batch passes without card, amount or state being compared, and leaves no trace for a later void by STAN
    (txn 0 does not link). _resolve_original: a list whose batch and STAN the journal holds goes through find().
    """
    sim = Sim()
    sale = sim.pay(1234)
    given = [0, 1, sale["stan"], "1123", sale["rrn"], sale["auth"], 1234]
    good = [sim.pay(1234, kind=n.REFUND, original=list(given))["ok"]]
    good.append(sim.pay(1234, kind=n.VOID, original=sale["stan"])["ok"])
    good.append(sim.pay(9999, kind=n.REFUND, original=list(given))["ok"])
    assert good[1:] == [False, False], good


def test_04_cancel_never_reverses_under_another_terminal_number():
    """New settings are taken while last_approved is still of the old ones; cancel() then reverses it under the new
    DE41: the host knows no such sale, answers 25 ("accepted"), and the slip says reversed to somebody who is charged.
    fold._config: last_approved = None (and forget_done).
    """
    sim = Sim()
    sim.pay()
    reconfigured(sim, tid="87654321")
    sim.idle()
    sim.terminal.sign_on()
    sim.terminal.cancel()
    settle(sim)
    assert [f[41] for mti, f in sim.host.seen if mti == "0400" and f[41] != "12345678"] == []


def test_05_a_void_after_a_change_of_settings_is_not_sent_under_the_new_ones():
    """find() looks through CONFIG entries: the sale was made under another TID and currency; the void names it under
    the new ones (1234 fen become 1234 yen). lookup.find: a CONFIG after the original makes it "original_not_found".
    """
    for change in ({"tid": "87654321"}, {"currency": "392"}):
        sim = Sim()
        original = sim.terminal.find(sim.pay()["stan"]).original
        reconfigured(sim, **change)
        sim.terminal.settle()
        sim.idle()
        sim.terminal.sign_on()
        assert sim.state.config[1] == change.get("tid", "12345678")
        assert not sim.pay(kind=n.VOID, original=original)["ok"], change


def test_06_a_slip_of_an_unjournaled_outcome_is_not_contradicted_by_the_restart():
    """The seal stops while the REPLY is committed: the paper says the terminal reverses by itself, but the entry is in
    flash, the restart takes it as approved (M7) and never reverses. Customer holds "do not pay again, will be reversed"
    and is charged. _not_durable: print what is not known without the sentence "auto", or make boot() owe a reversal
    where a pending slip went out unjournaled (key behind and OUTCOME missing: CANCELLED, reason 96).
    """
    sim = Sim()
    store = sim.board.keystore
    real = store.advance

    def advance(index, key):
        raise KeyStoreError("write failed")

    def on_send():
        store.advance = advance

    sim.board.link.on_send = on_send
    sim.pay()
    paper = sim.printer.slips[-1]
    store.advance, sim.board.link.on_send = real, None
    sim.start()
    settle(sim)
    promised = b"reversal by itself" in paper[2].replace(b"\n", b" ")
    assert not promised or sim.host.ledger[("000001", "000002")] == "reversed", paper[2]


def test_07_an_approved_sale_whose_slip_cannot_be_journaled_gets_no_pending_slip():
    """OUTCOME approved is durable, the SLIP entry is not: _not_durable prints PENDING REVERSAL for it. Only a
    transaction still OPEN may get that paper.
    """
    for at in (1, 2):
        sim = Sim()
        store = sim.board.keystore
        real, count = store.advance, [0]

        def advance(index, key, sim=sim, count=count, real=real, at=at):
            t = sim.state.txns.get(sim.state.last_approved)
            if t is not None:
                count[0] += 1
                if count[0] == at:
                    raise KeyStoreError("write failed")
            real(index, key)

        store.advance = advance
        sim.pay()
        kinds = [s[0] for s in sim.printer.slips]
        store.advance = real
        sim.start()
        settle(sim)
        assert sim.host.ledger[("000001", "000002")] == "approved"
        assert n.SLIP_PENDING not in kinds, kinds


# -- promise 2: the room a reversal needs -----------------------------------------------------------------------


def test_11_a_dead_line_without_a_working_key_does_not_fill_the_ring():
    """reverse() without signed_on signs on first: two SIGNON entries and a STAN for each try, and connect_failed gets
    count 1 each time, so the wait never grows beyond 2 failures (a minute). 1 MB is full in four days; when the line
    is back, the reversal cannot be sent. Connect before SIGNON is journaled, and count on from holds[txn].
    """
    sim = Sim(blocks=8)
    sim.host.faults = ["silent"]
    sim.pay()
    sim.host.faults = ["bad_mac"]
    sim.clock.advance(30000)
    sim.idle(1)
    assert not sim.state.signed_on and len(sim.state.debts) == 1
    sim.board.link.close()
    sim.host.refuse = 10**9
    days(sim, 1)
    sim.host.refuse = 0
    settle(sim)
    assert sim.state.debts == [], sim.terminal.runner.journal.free_sectors()


def test_12_a_host_that_never_signs_on_does_not_fill_the_ring():
    """The same with a host that answers the sign-on with a refusal (or garbage): no growth of the wait, two entries a
    try, for ever, and no UNRESOLVED slip either.
    """
    sim = Sim(blocks=8)
    sim.host.faults = ["silent"]
    sim.pay()
    sim.board.keystore.mac_key = None
    sim.host.faults = [("code", "96")] * 5000
    days(sim, 1)
    sim.host.faults = []
    settle(sim)
    assert sim.state.debts == []


def test_13_a_mac_key_that_never_works_does_not_fill_the_ring():
    """cmac fails although each sign-on succeeds: mac_lost waits backoff(0) each time and writes four entries (SIGNON
    twice, SIGNON refused, CONNECT_FAIL count 1): the ring is full within hours. Let its wait grow with t.fails, and
    fold its CONNECT_FAILs as those of the line.
    """
    sim = Sim(blocks=8)
    sim.host.faults = ["silent"]
    sim.pay()
    real = sim.board.keystore.cmac

    def cmac(*parts):
        raise KeyStoreError("locked")

    sim.board.keystore.cmac = cmac
    days(sim, 1)
    sim.board.keystore.cmac = real
    settle(sim)
    assert sim.state.debts == []


def test_14_a_line_that_connects_and_cannot_send_does_not_fill_the_ring():
    """REVERSAL_SENT and CONNECT_FAIL each try: `t.sending` switches the doubling off. After a send that certainly
    failed, hold by the count as for a dial (keep REVERSAL_SENT once, until a byte may have left).
    """
    sim = Sim(blocks=8)
    sim.host.faults = ["silent"]
    sim.pay()
    sim.board.link.close()

    def on_send():
        raise LinkError(STAGE_SEND, False, "reset")

    sim.board.link.on_send = on_send
    days(sim, 1)
    sim.board.link.on_send = None
    settle(sim)
    assert sim.state.debts == []


def test_15_lost_replay_data_do_not_fill_the_ring():
    """V_DATA_LOST counts no attempt, so _slow() stays at the profile's pace: an entry each half hour for good, 128 KB
    in weeks. Count tries for the pace (bad + silences), not attempts.
    """
    sim = Sim()
    sim.host.faults = ["silent"]
    sim.pay()
    sim.board.keystore.vault = {}
    settle(sim)
    before = len(bodies(sim, n.REVERSAL_REPLY))
    days(sim, 10, 600000)
    assert len(bodies(sim, n.REVERSAL_REPLY)) - before < 40


def test_16_a_full_ring_after_a_restart_still_sends_the_reversal():
    """Everything but EXPORT is refused in the last eighth, BOOT too: _booted stays False, and idle() never comes to the
    debts, though runner.state knows them. Reserve room for BOOT, REVERSAL_SENT, REVERSAL_REPLY (and its SLIP) of each
    debt before SLIPs, FAULTs and SIGNONs may use it.
    """
    sim = Sim(blocks=8)
    sim.host.faults = ["silent"]
    sim.pay()
    sim.board.link.close()
    sim.host.refuse = 10**9
    for _ in range(3000):  # what anybody can cause: restarts
        ok, key = sim.start()
        if not ok:
            break
    assert not ok
    sim.host.refuse = 0
    settle(sim)
    assert sim.state.debts == [], key


def test_17_a_full_ring_answers_more_than_a_few_pulls():
    """The eighth of a sector kept for EXPORT takes three or four of them; then `posaudit pull` gets journal_full for
    good. When only the reserve is left, answer with the last EXPORT's place or refuse by a key of its own.
    """
    sim = Sim(blocks=6)
    for _ in range(2000):
        sim.terminal.runner.run(("fault", 4, 1, 1))
    assert sim.terminal.runner.undurable
    done = [sim.terminal.service.host.export(bytes(16), 1) for _ in range(10)]
    assert not any(isinstance(d, str) for d in done), done


# -- what stops the terminal -----------------------------------------------------------------------------------


def talk(sim, *request):
    usb = sim.board.usb
    body = cbor.encode([1] + list(request))  # noqa: RUF005 - MicroPython has no star here
    usb.from_device = b""
    usb.to_device += b"\0" + cobs.encode(body + crc32(body).to_bytes(4, "little")) + b"\0"
    for _ in range(12):
        sim.terminal.idle()
    return usb.from_device


def test_21_a_flash_that_cannot_be_read_does_not_make_a_pull_raise_out_of_idle():
    """ServicePort._read catches RingError only: FrameError (OSError of readblocks) leaves pump() and idle(). Catch
    FrameError and SealError too.
    """
    sim = Sim()
    body = cbor.encode([1, 1, 1])
    sim.board.usb.to_device += b"\0" + cobs.encode(body + crc32(body).to_bytes(4, "little")) + b"\0"
    sim.idle(5)
    challenge = sim.terminal.service._challenge
    proof = hmac_sha256(sim.board.keystore.role_key(1), b"posfw/auth/1", b"\x01", challenge)
    talk(sim, 2, 2, 1, proof)

    def readblocks(block, buf, off=0):
        raise OSError(5)

    sim.board.flash.readblocks = readblocks
    assert talk(sim, 3, 5, 0, 1000)


def test_22_a_key_store_that_refuses_a_working_key_does_not_stop_the_terminal():
    """install_mac_key raising KeyStoreError leaves _send_sign_on as an error of durability: `stopped`, until a restart,
    with the sign-on's outcome not journaled; after the restart the debt's sign-on stops it again. Catch it: fits=False.
    """
    sim = Sim()

    def install(wrapped, check):
        raise KeyStoreError("refused")

    sim.board.keystore.install_mac_key = install
    sim.terminal.sign_on()
    assert sim.terminal.runner.stopped is None


def test_23_a_profile_whose_parts_break_the_slip_is_refused_when_it_is_loaded():
    """acquirer is never checked: AttributeError or TypeError at the first slip, out of pay(), after the approval."""
    from posfw.acquirer.profile import ProfileError

    wrong = []
    for value in ("Bank", [], {"en": 5}, {"phone": 4000000}, {"zh": ["x"]}):
        try:
            sim = Sim(profile(acquirer=value))
        except ProfileError:
            continue
        try:
            sim.pay()
        except Exception as e:  # noqa: BLE001 - whatever comes is what this test is about
            wrong.append((str(value), type(e).__name__))
    assert wrong == []


def test_24_settings_and_profiles_that_cannot_work_are_refused_when_they_are_loaded():
    """A MAC field that is no number or not the last of the message (no reply ever verifies), a TID of the wrong length
    (each sale takes a STAN and an entry to say profile_error), one code in two lists (replied() approves what
    conclude() reverses), policy typos (sign_on "Required" switches the sign-on off).
    """
    from posfw.acquirer.profile import Profile, ProfileError

    taken = []
    codes = dict(profile()["codes"])
    codes["reverse"] = ["00"]
    messages = dict(profile()["messages"])
    messages["slae"] = messages["sale"]
    early = {}
    for name in profile()["messages"]:
        early[name] = dict(profile()["messages"][name])
        fields = dict(early[name]["fields"])
        if "64" in fields:
            fields.pop("64")
            fields["53"] = "mac"
        early[name]["fields"] = fields
    for name, change, settings in (
        ("mac field text", {"mac": {"field": "64", "algorithm": "aes-cmac"}}, {}),
        ("mac field in the middle", {"mac": {"field": 53, "algorithm": "aes-cmac"}, "messages": early}, {}),
        ("tid", {}, {"tid": "1"}),
        ("mid", {}, {"mid": "1234567890123456"}),
        ("currency", {}, {"currency": "renminbi"}),
        ("codes", {"codes": codes}, {}),
        ("sign_on", {"sign_on": "Required"}, {}),
        ("message name", {"messages": messages}, {}),
    ):
        data = profile(**change)
        own = dict(SETTINGS)
        own.update(settings)
        try:
            Profile(data, own, "T-0001", bytes(32))
        except ProfileError:
            continue
        taken.append(name)
    assert taken == []


def test_25_a_late_reply_after_the_profile_dropped_its_message_does_not_raise():
    """payment.stray asks profile.reply_mti of the transaction's type: ProfileError out of idle() and pay() where the
    new profile no longer offers it.
    """
    sim = Sim()
    stan = sim.pay()["stan"]
    sim.host.faults = ["silent"]
    void = sim.pay(kind=n.VOID, original=stan)["stan"]
    data = profile()
    data["messages"].pop("void")
    sim.clock.restart()
    sim.board.link.close()
    sim.terminal = Terminal(sim.board, data, SETTINGS, bytes(32))
    sim.terminal.boot()
    sim.board.link.open(1)
    reply = {4: "000000001234", 11: "%06d" % void, 39: "00", 41: "12345678"}
    sim.board.link.inbox.append([0, sim.host._wire("0210", reply)])
    sim.idle(2)


def test_26_a_second_reply_while_the_outcome_waits_does_not_make_an_approval_unknown():
    """The OUTCOME entry failed once; before idle() concludes, the host's duplicate arrives: stray() finds the
    transaction OPEN and journals V_MISMATCH, which overwrites V_MATCHED: a declined or approved sale becomes "reply
    corrupted", with a reversal. stray: OPEN with verdict V_MATCHED and the same fields is V_DUPLICATE.
    """
    sim = Sim()
    left = [1]

    def fail(*_):
        if left[0]:
            left[0] = 0
            raise OSError(5)

    def finish():
        sim.board.flash.on_op = fail
        return True

    sim.host.faults = ["twice"]
    sim.pay(finish=finish)
    sim.board.flash.on_op = None
    settle(sim)
    assert n.V_MISMATCH not in [b[1] for b in bodies(sim, n.REPLY)]
    assert sim.host.ledger[("000001", "000002")] == "approved"


def test_27_a_completion_is_bounded_by_its_preauthorisation():
    """lookup.refusal bounds refunds only: a completion of 100 times the amount goes out."""
    sim = Sim()
    stan = sim.pay(1000, kind=n.PREAUTH)["stan"]
    assert not sim.pay(100000, kind=n.COMPLETION, original=stan)["ok"]
