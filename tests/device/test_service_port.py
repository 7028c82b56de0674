"""The service port from the laptop's side: every command, every wrong order, and bytes that are no request at all."""

import binascii

from sim import JOURNAL_ID, TERMINAL_ID, Sim, SimUsb

from posfw import numbers as n
from posfw.codec import cbor, cobs
from posfw.crypto.mac import hmac_sha256
from posfw.journal import seal
from posfw.service import port

HEAP = "2M"  # the simulated flash lies in RAM


class Laptop:
    """Speaks docs/service-protocol.md to a Sim through its USB pipe."""

    def __init__(self, sim=None):
        self.sim = sim or Sim()
        self.usb = self.sim.board.usb
        self.number = 0
        self.taken = 0

    def frame(self, request):
        body = cbor.encode(request)
        return cobs.encode(body + binascii.crc32(body).to_bytes(4, "little")) + b"\x00"

    def replies(self, data=b"", turns=400):
        """Send bytes, let the terminal idle, return the decoded replies that came."""
        self.usb.to_device += data
        for _ in range(turns):
            if not self.sim.terminal.idle() and not self.usb.to_device:
                break
        out = []
        new, self.usb.from_device = self.usb.from_device, b""
        parts = new.split(b"\x00")
        assert parts.pop() == b"", "a reply without its end"
        for part in parts:
            raw = cobs.decode(part)
            assert len(raw) <= 4096
            assert binascii.crc32(raw[:-4]) == int.from_bytes(raw[-4:], "little")
            out.append(cbor.decode(raw[:-4]))
        return out

    def ask(self, command, *args):
        """One request; returns [status, ...]."""
        self.number = self.number % 65535 + 1
        got = self.replies(self.frame([1, self.number, command] + list(args)))  # noqa: RUF005
        assert len(got) == 1 and got[0][:2] == [1, self.number], got
        return got[0][2:]

    def proof(self, role, challenge, key=None):
        key = key or self.sim.board.keystore.role_key(role)
        return hmac_sha256(key, b"posfw/auth/1", bytes((role,)), challenge)

    def login(self, role=n.TECHNICIAN):
        challenge = self.ask(port.HELLO)[4]
        assert self.ask(port.AUTH, role, self.proof(role, challenge)) == [0]
        return self

    def human(self, payload, role=n.SUPERVISOR, aad=None, key=None):
        """A signed HUMAN request's bytes."""
        buf = bytearray(1900)
        key = key or self.sim.board.keystore.role_key(role)
        raw = payload if isinstance(payload, bytes) else cbor.encode(payload)
        size = seal.write(memoryview(buf), raw, key, b"posfw/human/1" + JOURNAL_ID if aad is None else aad)
        return bytes(buf[:size])


def is_text(reply, status):
    assert reply[0] == status, reply
    assert len(reply) == 2 and isinstance(reply[1], str) and reply[1], reply


def faults(laptop):
    return [p for p in laptop.sim.entries() if p[1] == n.FAULT and p[6][0] == n.AREA_USB]


def stuck():
    """A laptop at a terminal with one unresolved reversal; returns (laptop, txn)."""
    laptop = Laptop()
    sim = laptop.sim
    sim.host.faults = ["silent"] * 30
    sim.pay()
    for _ in range(40):
        sim.clock.advance(400000)
        sim.idle()
    debts = sim.state.debts
    assert len(debts) == 1 and debts[0].phase == 3
    sim.host.faults = ["silent"] * 1000
    return laptop, debts[0].txn


# -- each command ----------------------------------------------------------------------------------------------


def test_hello():
    laptop = Laptop()
    first = laptop.ask(port.HELLO)
    assert first[:4] == [0, TERMINAL_ID, JOURNAL_ID, "sim/1"] and len(first[4]) == 16
    assert laptop.ask(port.HELLO)[4] != first[4]


def test_each_role_can_log_in():
    for role in (n.TECHNICIAN, n.AUDITOR, n.SUPERVISOR):
        laptop = Laptop().login(role)
        assert laptop.ask(port.STATUS)[0] == 0


def test_status():
    laptop = Laptop().login()
    sim = laptop.sim
    sim.host.faults = ["silent"] * 30
    sim.pay()
    txn = sim.state.debts[0].txn
    status, first, following, rtc, quality, batch, stan, owed, message, batch_line, refused = laptop.ask(port.STATUS)
    assert (status, first, following, batch) == (0, 0, len(sim.entries()), 1)
    assert rtc == sim.clock.rtc and quality == sim.clock.quality
    assert stan == sim.state.stan and [2, txn] in owed and message == ""
    assert batch_line == [1, 0, sim.state.opened, 0, 0, 0, 0] and refused == []


def test_checkpoint_answers_with_the_head_behind_its_export_entry():
    laptop = Laptop().login(n.AUDITOR)
    nonce = bytes(range(16))
    status, seq, head, tier = laptop.ask(port.CHECKPOINT, nonce)
    entries = laptop.sim.entries()
    assert (status, seq, tier) == (0, len(entries) - 1, "mac")
    assert entries[-1][1] == n.EXPORT and entries[-1][6] == [nonce, n.AUDITOR]
    assert head == laptop.sim.terminal.runner.journal.head


def test_read_gives_every_entry_from_every_boundary():
    laptop = Laptop(Sim(block_size=1024, blocks=64))
    for _ in range(6):
        laptop.sim.pay()
    laptop.login()
    whole = [entry for _, entry in laptop.sim.terminal.runner.journal.read(0)]
    assert laptop.sim.terminal.runner.journal.ring.header.sequence > 0
    for limit in (0, 1, 199, 700, 1400, 4096, 0xFFFFFFFF):
        for start in range(len(whole)) if limit in (1, 1400) else (0, len(whole) - 1):
            status, first, entries = laptop.ask(port.READ, start, limit)
            assert (status, first) == (0, start)
            assert entries and entries == whole[start : start + len(entries)], (start, limit)
            size = sum([len(entry) for entry in entries])
            assert len(entries) == 1 or size <= min(limit, 1400), (limit, size)
            if len(entries) > 1 or limit > 200:
                behind = start + len(entries)
                left = whole[behind] if behind < len(whole) else None
                assert left is None or size + len(left) + 3 * len(entries) + 3 > min(limit, 1400)
    assert laptop.ask(port.READ, len(whole), 1400) == [0, len(whole), []]
    assert laptop.ask(port.READ, len(whole) + 1, 1400) == [0, len(whole) + 1, []]
    assert laptop.ask(port.READ, 0xFFFFFFFF, 1400) == [0, 0xFFFFFFFF, []]
    got = []
    while True:
        entries = laptop.ask(port.READ, len(got), 600)[2]
        if not entries:
            break
        got += entries
    assert got == whole


def test_read_of_the_largest_entry():
    laptop = Laptop().login()
    journal = laptop.sim.terminal.runner.journal
    seq, _ = journal.append(n.FAULT, [5, 1, 1, bytes(1880)], (1, 1, 1))
    assert laptop.ask(port.READ, seq, 10)[2] == [next(journal.read(seq))[1]]
    entries = laptop.ask(port.READ, seq - 1, 4096)[2]
    assert len(entries) == 1


def test_time_sets_the_clock_and_is_journaled():
    laptop = Laptop().login()
    old = laptop.sim.clock.rtc
    assert laptop.ask(port.TIME, 1800000000) == [0]
    assert laptop.sim.entries()[-1][1] == n.CLOCK and laptop.sim.entries()[-1][6] == [old, 1800000000, 3]
    assert laptop.sim.clock.rtc >= 1800000000 and laptop.sim.clock.quality == 3


def test_commands_that_are_not_in_this_firmware():
    laptop = Laptop()
    for command in (port.RELEASE, port.SELFTEST):
        is_text(laptop.ask(command), 5)
    for command in (0, 10, 23, 24, 255, 65536, 1 << 40):
        is_text(laptop.ask(command), 2)
    assert faults(laptop) == []


def test_versions_arguments_and_roles():
    laptop = Laptop()
    for version in (0, 2, 1 << 33):
        assert laptop.replies(laptop.frame([version, 7, port.HELLO]))[0][:3] == [1, 7, 7]
    for command, args in (
        (port.STATUS, ()),
        (port.CHECKPOINT, (bytes(16),)),
        (port.READ, (0, 100)),
        (port.TIME, (5,)),
        (port.HUMAN, (b"x",)),
    ):
        is_text(laptop.ask(command, *args), 3)
    laptop.ask(port.HELLO)
    for args in ((), (1,), (1, bytes(31)), (1, bytes(33)), ("1", bytes(32)), (1, "x" * 32), (-1, bytes(32))):
        is_text(laptop.ask(port.AUTH, *args), 4)
    is_text(laptop.ask(port.HELLO, 1), 4)
    laptop.login()
    for command, args in (
        (port.STATUS, (1,)),
        (port.CHECKPOINT, ()),
        (port.CHECKPOINT, (bytes(15),)),
        (port.CHECKPOINT, (bytes(17),)),
        (port.CHECKPOINT, ("x" * 16,)),
        (port.READ, ()),
        (port.READ, (0,)),
        (port.READ, (-1, 10)),
        (port.READ, (0, -1)),
        (port.READ, (None, 10)),
        (port.READ, (True, 10)),
        (port.READ, (1 << 32, 10)),
        (port.READ, (1 << 63, 10)),
        (port.READ, (b"0", 10)),
        (port.TIME, (1 << 32,)),
        (port.TIME, (-5,)),
    ):
        before = laptop.sim.terminal.runner.journal.seq
        is_text(laptop.ask(command, *args), 4)
        assert laptop.sim.terminal.runner.journal.seq == before
    assert faults(laptop) == []
    # An array within an array is not decoded at all: it could cost any amount of memory.
    assert laptop.replies(laptop.frame([1, 9, port.TIME, [5]]))[0][:3] == [1, 0, 1]


def test_each_command_asks_for_its_role():
    for role, forbidden in (
        (n.TECHNICIAN, (port.HUMAN,)),
        (n.AUDITOR, (port.TIME, port.HUMAN)),
        (n.SUPERVISOR, (port.TIME,)),
    ):
        laptop = Laptop().login(role)
        for command in forbidden:
            is_text(laptop.ask(command, b"x" if command == port.HUMAN else 5), 3)
        assert laptop.ask(port.READ, 0, 100)[0] == 0


# -- challenge and response ------------------------------------------------------------------------------------


def test_auth_before_hello_and_twice_on_one_challenge():
    laptop = Laptop()
    is_text(laptop.ask(port.AUTH, 1, bytes(32)), 3)
    challenge = laptop.ask(port.HELLO)[4]
    proof = laptop.proof(1, challenge)
    assert laptop.ask(port.AUTH, 1, proof) == [0]
    assert laptop.ask(port.STATUS)[0] == 0
    # A recorded proof opens nothing, and even the attempt ends the session.
    is_text(laptop.ask(port.AUTH, 1, proof), 3)
    is_text(laptop.ask(port.STATUS), 3)
    laptop.ask(port.HELLO)
    is_text(laptop.ask(port.AUTH, 1, proof), 3)


def test_a_proof_is_for_one_role_and_one_terminal():
    laptop = Laptop()
    for claimed, made in ((2, 1), (3, 1), (1, 3)):
        challenge = laptop.ask(port.HELLO)[4]
        is_text(laptop.ask(port.AUTH, claimed, laptop.proof(made, challenge)), 3)
    for role in (0, 4, 255, 0xFFFFFFFF):
        laptop.ask(port.HELLO)
        is_text(laptop.ask(port.AUTH, role, bytes(32)), 4)
    is_text(laptop.ask(port.STATUS), 3)


def test_a_new_hello_ends_the_session_before():
    laptop = Laptop().login()
    laptop.ask(port.HELLO)
    is_text(laptop.ask(port.STATUS), 3)


def test_lock_out_after_five_wrong_proofs_until_restart():
    laptop = Laptop()
    for _ in range(5):
        laptop.ask(port.HELLO)
        is_text(laptop.ask(port.AUTH, 1, bytes(32)), 3)
    challenge = laptop.ask(port.HELLO)[4]
    is_text(laptop.ask(port.AUTH, 1, laptop.proof(1, challenge)), 3)
    challenge = laptop.ask(port.HELLO)[4]
    is_text(laptop.ask(port.AUTH, 3, laptop.proof(3, challenge)), 3)
    is_text(laptop.ask(port.STATUS), 3)
    laptop.sim.start()
    laptop.login()


def test_four_wrong_proofs_do_not_lock():
    laptop = Laptop()
    for _ in range(4):
        laptop.ask(port.HELLO)
        is_text(laptop.ask(port.AUTH, 1, bytes(32)), 3)
    laptop.login()


def test_a_zeroised_key_store_answers_and_opens_nothing():
    laptop = Laptop()
    laptop.sim.board.tamper.open = True
    laptop.sim.terminal.idle()
    assert laptop.ask(port.HELLO)[0] == 0
    reply = laptop.ask(port.AUTH, 1, bytes(32))
    assert reply[0] in (3, 6)
    is_text(laptop.ask(port.STATUS), 3)


# -- framing ---------------------------------------------------------------------------------------------------


def test_byte_by_byte():
    laptop = Laptop()
    data = laptop.frame([1, 5, port.HELLO])
    for i in range(len(data)):
        got = laptop.replies(data[i : i + 1])
        assert (got == []) == (i + 1 < len(data))
    assert got[0][:3] == [1, 5, 0]


def test_many_requests_in_one_burst_are_answered_in_order():
    laptop = Laptop()
    data = b"".join([laptop.frame([1, i, port.HELLO]) for i in range(1, 200)])
    got = laptop.replies(data, 2000)
    assert [reply[1] for reply in got] == list(range(1, 200))


def test_zeros_alone_are_nothing():
    laptop = Laptop()
    assert laptop.replies(bytes(1000)) == []
    assert laptop.ask(port.HELLO)[0] == 0
    assert faults(laptop) == []


def bad(laptop, data):
    got = laptop.replies(data)
    assert len(got) == 1, got
    assert got[0][0:2] == [1, 0]
    is_text(got[0][2:], 1)


def crc(body):
    return body + binascii.crc32(body).to_bytes(4, "little")


def test_frames_that_are_no_requests():
    laptop = Laptop()
    good = cbor.encode([1, 1, 1])
    for raw in (
        b"x",
        bytes(4),
        bytes(5),
        crc(b""),
        good,
        good + bytes(4),
        crc(good)[:-1],
        crc(good) + b"\x00",
        crc(b"\xff"),
        crc(cbor.encode(1)),
        crc(cbor.encode([])),
        crc(cbor.encode([1, 1])),
        crc(cbor.encode([1, 0, 1])),
        crc(cbor.encode([1, 65536, 1])),
        crc(cbor.encode([1, 1 << 63, 1])),
        crc(cbor.encode([1, -1, 1])),
        crc(cbor.encode([-1, 1, 1])),
        crc(cbor.encode([1, 1, None])),
        crc(cbor.encode([1, 1, True])),
        crc(cbor.encode([True, 1, 1])),
        crc(cbor.encode([1, "1", 1])),
        crc(cbor.encode([[1], 1, 1])),
        crc(b"\x83\x01\x01\x18\x01"),
        crc(b"\x9f\x01\x01\x01\xff"),
        crc(b"\x83\x01\x01\xf9\x00\x00"),
        crc(b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff"),
        crc(b"\x5b\xff\xff\xff\xff\xff\xff\xff\xff"),
        crc(b"\x83\x01\x01\x7a\x7f\xff\xff\xff"),
        crc(b"\x81" * 1000 + b"\x01"),
    ):
        bad(laptop, cobs.encode(raw) + b"\x00")
    for raw in (b"\x05x\x00", b"\xff\x00", b"\x02\x00"):
        bad(laptop, raw)
    assert len(faults(laptop)) == 1
    assert laptop.ask(port.HELLO)[0] == 0


def test_the_largest_frame_and_one_byte_more():
    laptop = Laptop()
    for size, status in ((port.MAX_REQUEST, 4), (port.MAX_REQUEST + 1, None), (5000, None)):
        request = [1, 9, port.HELLO, bytes(size - 11)]
        body = crc(cbor.encode(request))
        assert len(body) == size
        if status is None:
            bad(laptop, cobs.encode(body) + b"\x00")
        else:
            assert laptop.replies(cobs.encode(body) + b"\x00")[0][:3] == [1, 9, status]


def test_an_endless_stream_without_an_end():
    laptop = Laptop()
    for _ in range(20):
        assert laptop.replies(b"\x41" * 3000) == []
        assert len(laptop.sim.terminal.service._frames._buf) < 1100
    bad(laptop, b"\x00")
    assert laptop.ask(port.HELLO)[0] == 0
    assert len(faults(laptop)) == 1


def test_faults_are_journaled_once_per_boot():
    laptop = Laptop()
    for _ in range(50):
        bad(laptop, b"\x05x\x00")
    assert len(faults(laptop)) == 1
    laptop.sim.start()
    for _ in range(50):
        bad(laptop, b"\x05x\x00")
    assert len(faults(laptop)) == 2


class SlowUsb(SimUsb):
    """Takes `give` bytes per write: 0 while the laptop does not read."""

    give = 0

    def write(self, buf):
        count = min(self.give, len(buf))
        self.from_device += bytes(buf[:count])
        return count


def test_back_pressure_stops_reading():
    sim = Sim()
    sim.board.usb = sim.terminal.service.usb = SlowUsb()
    laptop = Laptop(sim)
    usb = laptop.usb
    usb.to_device = b"".join([laptop.frame([1, i, port.HELLO]) for i in range(1, 300)])
    size = len(usb.to_device)
    for _ in range(500):
        sim.terminal.idle()
    # One chunk was read, one reply made; the rest waits in the laptop, not in the terminal.
    assert size - len(usb.to_device) <= 512
    assert usb.from_device == b""
    usb.give = 1
    for _ in range(40000):
        if not sim.terminal.idle() and not usb.to_device:
            break
    usb.give = 4096
    got = laptop.replies(b"", 4000)
    assert [reply[1] for reply in got] == list(range(1, 300))


def test_a_laptop_that_never_reads_does_not_stop_sales():
    sim = Sim()
    sim.board.usb = sim.terminal.service.usb = SlowUsb()
    laptop = Laptop(sim)
    laptop.usb.to_device = laptop.frame([1, 1, port.HELLO]) * 20
    for _ in range(50):
        sim.terminal.idle()
    assert sim.pay()["ok"]


# -- HUMAN -----------------------------------------------------------------------------------------------------


def test_a_supervisor_takes_an_unresolved_reversal_over_once():
    laptop, txn = stuck()
    laptop.login(n.SUPERVISOR)
    signed = laptop.human([txn, n.HUMAN_REVERSED, "Zhang San 张三", "by phone"])
    assert laptop.ask(port.HUMAN, signed) == [0]
    entry = [p for p in laptop.sim.entries() if p[1] == n.HUMAN]
    assert [p[6] for p in entry] == [[txn, 1, "Zhang San 张三", "by phone", signed]]
    assert laptop.sim.state.debts == []
    is_text(laptop.ask(port.HUMAN, signed), 6)
    laptop.sim.start()
    laptop.login(n.SUPERVISOR)
    is_text(laptop.ask(port.HUMAN, signed), 6)
    assert laptop.sim.kinds().count(n.HUMAN) == 1


def refused_human(laptop, signed):
    before = laptop.sim.terminal.runner.journal.seq
    reply = laptop.ask(port.HUMAN, signed)
    assert reply[0] != 0 and isinstance(reply[1], str), reply
    assert laptop.sim.kinds().count(n.HUMAN) == 0
    assert laptop.sim.terminal.runner.journal.seq == before


def test_human_with_a_wrong_signature():
    laptop, txn = stuck()
    laptop.login(n.SUPERVISOR)
    good = laptop.human([txn, 1, "n", "r"])
    for pos in range(len(good)):
        refused_human(laptop, good[:pos] + bytes((good[pos] ^ 1,)) + good[pos + 1 :])
    for signed in (
        b"",
        b"\x84",
        good[:-1],
        good + b"\x00",
        bytes(900),
        laptop.human([txn, 1, "n", "r"], role=n.TECHNICIAN),
        laptop.human([txn, 1, "n", "r"], role=n.AUDITOR),
        laptop.human([txn, 1, "n", "r"], aad=b""),
        laptop.human([txn, 1, "n", "r"], aad=b"posfw/human/1" + bytes(16)),
        laptop.human([txn, 1, "n", "r"], key=bytes(32)),
    ):
        refused_human(laptop, signed)
    assert laptop.sim.state.debts


def test_human_properly_signed_and_not_what_it_should_be():
    laptop, txn = stuck()
    laptop.login(n.SUPERVISOR)
    for payload in (
        b"",
        b"\xff",
        cbor.encode([txn, 1, "n", "r"]) + b"\x00",
        5,
        [],
        [txn, 1, "n"],
        [txn, 1, "n", "r", 1],
        [txn, 0, "n", "r"],
        [txn, 4, "n", "r"],
        [txn, True, "n", "r"],
        [txn, "1", "n", "r"],
        [True, 1, "n", "r"],
        [str(txn), 1, "n", "r"],
        [[txn], 1, "n", "r"],
        [-txn, 1, "n", "r"],
        [txn + 1, 1, "n", "r"],
        [1 << 63, 1, "n", "r"],
        [None, 1, "n", "r"],
        [txn, 1, "", "r"],
        [txn, 1, "n", ""],
        [txn, 1, "n" * 65, "r"],
        [txn, 1, "n", "张" * 22],
        [txn, 1, b"n", "r"],
        [txn, 1, "n", None],
    ):
        refused_human(laptop, laptop.human(payload))
    assert laptop.sim.state.debts
    assert laptop.ask(port.HUMAN, laptop.human([txn, 3, "n" * 64, "张" * 21])) == [0]


def test_human_for_a_transaction_that_is_not_stuck():
    laptop = Laptop()
    sim = laptop.sim
    approved = sim.pay()["txn"]
    sim.host.faults = ["silent"] * 50
    owed = sim.pay()["txn"]
    assert sim.state.debts and sim.state.debts[0].phase == 2
    laptop.login(n.SUPERVISOR)
    sim.clock.advance(0)
    for txn in (approved, owed, 0, 9999):
        reply = laptop.ask(port.HUMAN, laptop.human([txn, 1, "n", "r"]))
        assert reply[0] == 6, txn
    assert sim.kinds().count(n.HUMAN) == 0 and sim.state.debts
    # Signed too early it is not kept for later either, but it may be sent again once the debt is unresolved.
    assert sim.kinds().count(n.HUMAN) == 0


# -- a terminal that is not well ----------------------------------------------------------------------------------


def test_the_journal_can_be_read_while_money_is_refused():
    sim = Sim()
    sim.pay()
    sim.board.keystore.index += 1
    ok, key = sim.start()
    assert not ok
    laptop = Laptop(sim).login()
    whole = [entry for _, entry in sim.terminal.runner.journal.read(0)]
    assert whole
    got = []
    while len(got) < len(whole):
        got += laptop.ask(port.READ, len(got), 1000)[2]
    assert got == whole
    is_text(laptop.ask(port.CHECKPOINT, bytes(16)), 6)
    is_text(laptop.ask(port.TIME, 1800000000), 6)
    status = laptop.ask(port.STATUS)
    assert status[0] == 0 and status[8] == key
    bad(laptop, b"\x05x\x00")


def test_a_damaged_old_sector_is_said_and_not_raised():
    sim = Sim(blocks=8)
    while sim.terminal.runner.journal.ring.header.sequence < 3:
        sim.pay()
    for block in (0, 1):
        sim.board.flash.store.view[block * 4096 + 5] ^= 1
        sim.start()
        laptop = Laptop(sim).login()
        for command, args in ((port.READ, (0, 1000)), (port.STATUS, ()), (port.CHECKPOINT, (bytes(16),))):
            try:
                reply = laptop.ask(command, *args)
            except Exception as error:  # noqa: BLE001
                raise AssertionError("command %d with block %d damaged raised %r" % (command, block, error))
            assert reply[0] in (0, 6), reply


def test_a_full_journal_can_be_pulled_and_says_what_it_cannot_take():
    sim = Sim(blocks=4)
    runner = sim.terminal.runner
    for _ in range(400):
        if runner.run(("fault", n.AREA_HOST, 1, 1)) is not None:
            break
    laptop = Laptop(sim).login()
    is_text(laptop.ask(port.TIME, 1800000000), 6)
    bad(laptop, b"\x05x\x00")
    assert laptop.ask(port.CHECKPOINT, bytes(16))[0] == 0
    for _ in range(40):
        reply = laptop.ask(port.CHECKPOINT, bytes(16))
        if reply[0]:
            break
    is_text(reply, 6)
    assert laptop.ask(port.READ, 0, 1000)[0] == 0
    assert laptop.ask(port.STATUS)[0] == 0
