"""Pulling through a real pseudo-terminal from a small device made from docs/service-protocol.md, honest and hostile."""

import hashlib
import hmac
import json
import os
import random
import select
import threading
import time
import tty
import zlib

import cbor2
import journal_maker as jm
import pytest
from cobs import cobs
from hypothesis import given
from hypothesis import strategies as st
from posaudit import control, wire
from posaudit.cli import app
from posaudit.client import Client, ClientError, NoAnswer, Refused
from posaudit.keys import AuditorKeys
from posaudit.ports import PortError, find_port, open_port
from posaudit.posj import FormatError
from posaudit.pull import NotProven, PullError, pull
from posaudit.seal import verify_file
from typer.testing import CliRunner

ROLES = {1: "technician", 2: "auditor", 3: "supervisor"}


def pack(message):
    body = cbor2.dumps(message)
    return cobs.encode(body + zlib.crc32(body).to_bytes(4, "little")) + b"\x00"


class Device:
    """The device's side of the protocol, on the master end of a pseudo-terminal, in a thread."""

    def __init__(self, maker=None):
        self.maker = maker or jm.Maker().begin()
        self.role = 0
        self.challenge = None
        self.asked = []  # every request that was understood
        self.decisions = []
        self.clock = 0
        self.master, slave = os.openpty()
        tty.setraw(slave)
        self.path = os.ttyname(slave)
        self.slave = slave  # held open, as the terminal holds its own end
        self.stop = False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def close(self):
        self.stop = True
        self.thread.join(5)
        os.close(self.master)
        os.close(self.slave)

    def run(self):
        pending = b""
        while not self.stop:
            if not select.select([self.master], [], [], 0.02)[0]:
                continue
            *frames, pending = (pending + os.read(self.master, 4096)).split(b"\x00")
            for frame in frames:
                if frame:
                    self.serve(frame)

    def send(self, data):
        # Never stuck for ever on a host that no longer reads.
        deadline = time.monotonic() + 5
        while data and not self.stop and time.monotonic() < deadline:
            if select.select([], [self.master], [], 0.02)[1]:
                data = data[os.write(self.master, data[:1024]) :]

    def serve(self, frame):
        whole = cobs.decode(frame)
        assert zlib.crc32(whole[:-4]).to_bytes(4, "little") == whole[-4:]
        version, number, command, *args = cbor2.loads(whole[:-4])
        assert version == 1
        assert 1 <= number <= 65535
        self.asked.append((command, args))
        self.reply(number, command, args)

    def reply(self, number, command, args):
        self.send(pack([1, number, *self.answer(command, args)]))

    def role_key(self, role):
        m = self.maker
        info = f"posfw/role/{ROLES[role]}/1".encode() + m.terminal_id.encode()
        return jm.hkdf(m.master, m.journal_id, info)

    def answer(self, command, args):
        m = self.maker
        if command == 1:
            self.challenge = os.urandom(16)
            return [0, m.terminal_id, m.journal_id, "1.0.0", self.challenge]
        if command == 2:
            challenge, self.challenge = self.challenge, None
            role, proof = args
            label = b"posfw/auth/1" + bytes([role])
            if challenge is None or hmac.new(self.role_key(role), label + challenge, hashlib.sha256).digest() != proof:
                return [3, "wrong proof"]
            self.role = role
            return [0]
        if not self.role:
            return [3, "log in first"]
        if command == 3:
            return [0, 0, m.seq, m.rtc, 2, 1, 7, [[2, 4], [3, 9]], "paper out"]
        if command == 4:
            m.export(args[0], self.role)
            return [0, m.seq - 1, m.heads[-1], "mac"]
        if command == 5:
            start, limit = args
            out, size = [], 0
            for entry in m.entries[start:]:
                size += len(entry) + 3
                if out and size > min(limit, 3900):
                    break
                out.append(entry)
            return [0, start, out]
        if command == 7:
            self.clock = args[0]
            return [0] if self.role == 1 else [3, "technician only"]
        if command == 9:
            self.decisions.append(args[0])
            return [0] if self.role == 3 else [3, "supervisor only"]
        return [2, "unknown"]


@pytest.fixture
def keys():
    return AuditorKeys(jm.MASTER, {jm.TERMINAL: jm.JOURNAL_ID})


@pytest.fixture
def start():
    devices = []

    def make(kind=Device, *args):
        device = kind(*args)
        devices.append(device)
        return device

    yield make
    for device in devices:
        device.close()


def run(device, keys, out, timeout=0.4, **options):
    port = open_port(device.path)
    try:
        return pull(Client(port, timeout=timeout), keys, out, **options)
    finally:
        port.close()


def long_maker(count=150):
    maker = jm.Maker().begin()
    for stan in range(2, count):
        maker.approved_sale(stan)
    return maker


def test_a_pull_is_whole_verified_and_answers_a_fresh_nonce(start, keys, tmp_path):
    device = start(Device, long_maker())
    steps = []
    pulled = run(device, keys, tmp_path / "j.posj", progress=lambda *p: steps.append(p), role="auditor")
    assert pulled.report.ok
    assert pulled.report.entries == device.maker.seq == steps[-1][0] == steps[-1][1]
    assert (tmp_path / "j.posj").read_bytes() == device.maker.file()
    assert pulled.size == len(device.maker.file()) == steps[-1][2]
    assert len(steps) > 5
    assert list(tmp_path.iterdir()) == [tmp_path / "j.posj"]
    nonces = [args[0] for command, args in device.asked if command == 4]
    assert nonces == [device.maker.payloads[-1][6][0]]
    assert pulled.retries == 0
    run(device, keys, tmp_path / "second.posj")
    assert len({args[0] for command, args in device.asked if command == 4}) == 2
    assert verify_file(tmp_path / "j.posj", keys, nonces[0]).ok


def test_an_existing_file_is_left_alone_before_anything_is_asked(start, keys, tmp_path):
    device = start()
    out = tmp_path / "j.posj"
    out.write_bytes(b"precious")
    with pytest.raises(PullError, match="exists"):
        run(device, keys, out)
    assert out.read_bytes() == b"precious"
    assert device.asked == []
    assert run(device, keys, out, force=True).report.ok


def test_entries_written_behind_the_export_wait_for_the_next_pull(start, keys, tmp_path):
    class Busy(Device):
        def answer(self, command, args):
            reply = super().answer(command, args)
            if command == 4:
                self.maker.approved_sale(77)
            return reply

    device = start(Busy)
    pulled = run(device, keys, tmp_path / "j.posj")
    assert pulled.report.ok
    assert pulled.report.entries == device.maker.seq - 5


class Flaky(Device):
    """Loses, damages and garbles replies; every request gets through in the end."""

    def reply(self, number, command, args):
        self.count = getattr(self, "count", 0) + 1
        good = pack([1, number, *self.answer(command, args)])
        sort = self.count % 5
        if sort == 1:
            return
        if sort == 2:
            self.send(good[:-9] + b"\x00")
        elif sort == 3:
            self.send(b"\x00\x00garbage\x00" + pack([1, 0, 1, "dropped"]))
        elif sort == 4:
            self.send(pack([1, number % 65535 + 1, 0, "another's"]) + good)
        else:
            self.send(os.urandom(40).replace(b"\x00", b"\x01") + b"\x00" + good)


def test_lost_and_damaged_replies_are_asked_for_again(start, keys, tmp_path):
    device = start(Flaky, long_maker(60))
    pulled = run(device, keys, tmp_path / "j.posj", timeout=0.2)
    assert pulled.report.ok
    assert pulled.retries >= 3
    assert (tmp_path / "j.posj").read_bytes() == device.maker.file()


class Breaks(Device):
    """Stops answering READ after a few."""

    reads = 3

    def reply(self, number, command, args):
        if command == 5:
            if self.reads == 0:
                return
            self.reads -= 1
        super().reply(number, command, args)


def test_a_broken_pull_is_gone_on_with(start, keys, tmp_path):
    device = start(Breaks, long_maker())
    out = tmp_path / "j.posj"
    with pytest.raises(NoAnswer):
        run(device, keys, out, timeout=0.05)
    part = tmp_path / "j.posj.part"
    assert part.exists()
    assert not out.exists()
    first_reads = [args[0] for command, args in device.asked if command == 5]
    device.reads = 10_000
    device.asked.clear()
    device.maker.approved_sale(200)
    said = []
    pulled = run(device, keys, out, note=said.append)
    second_reads = [args[0] for command, args in device.asked if command == 5]
    assert pulled.resumed == second_reads[0] == first_reads[3] > 30
    assert f"{pulled.resumed} entries" in said[0]
    assert out.read_bytes() == device.maker.file()
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("damage", ["torn", "flipped", "longer"])
def test_a_damaged_part_is_only_taken_as_far_as_it_proves(start, keys, tmp_path, damage):
    device = start(Device, long_maker(30))
    maker = device.maker
    part = tmp_path / "j.posj.part"
    data = bytearray(maker.manifest() + b"".join(maker.entries[:40]))
    at = maker.offset(20)
    if damage == "torn":
        del data[at + 5 :]
    elif damage == "flipped":
        data[at + 30] ^= 4
    else:
        data[at:] = b"\x00" * 5000
    part.write_bytes(data)
    pulled = run(device, keys, tmp_path / "j.posj")
    assert pulled.resumed == 20
    assert (tmp_path / "j.posj").read_bytes() == maker.file()


def test_a_part_of_another_journal_is_not_touched(start, keys, tmp_path):
    other = jm.Maker("POS-7", bytes(16)).begin().file()
    for content in (other, b"my notes"):
        part = tmp_path / "j.posj.part"
        part.write_bytes(content)
        with pytest.raises(PullError, match="Move it away"):
            run(start(), keys, tmp_path / "j.posj")
        assert part.read_bytes() == content
        assert list(tmp_path.iterdir()) == [part]


# -- hostile devices: (what the device does, error, what the message says)


class LiesAboutHead(Device):
    def answer(self, command, args):
        reply = super().answer(command, args)
        if command == 4:
            reply[2] = bytes(32)
        return reply


class WrongSequence(Device):
    def answer(self, command, args):
        reply = super().answer(command, args)
        if command == 5:
            reply[1] += 1
        return reply


class EndsEarly(Device):
    def answer(self, command, args):
        reply = super().answer(command, args)
        if command == 5:
            reply[2] = reply[2][:2] if args[0] == 0 else []
        return reply


class EditedEntry(Device):
    def answer(self, command, args):
        if command == 5:
            raw = self.maker.entries[2]
            self.maker.entries[2] = raw[:20] + bytes([raw[20] ^ 1]) + raw[21:]
        return super().answer(command, args)


class ForgedExport(Device):
    """Answers with an EXPORT of another nonce: an older journal played back."""

    def answer(self, command, args):
        return super().answer(command, [bytes(16)] if command == 4 else args)


class ClaimsBillions(Device):
    def answer(self, command, args):
        reply = super().answer(command, args)
        if command == 4:
            reply[1] = 1 << 31
        return reply


class Endless(Device):
    def reply(self, number, command, args):
        self.send(b"\x41" * 2_000_000)


class EndlessFrames(Device):
    def reply(self, number, command, args):
        for _ in range(20_000):
            if self.stop:
                return
            self.send(pack([1, 9, 0, bytes(100)]))


class Noise(Device):
    def reply(self, number, command, args):
        self.send(random.Random(number).randbytes(3000))


class Silent(Device):
    def reply(self, number, command, args):
        pass


class Shapes(Device):
    def answer(self, command, args):
        return [0, {"a": 1}, [[[]]], None]


class Floats(Device):
    def answer(self, command, args):
        return [0, 1.5]


class NotShortest(Device):
    def reply(self, number, command, args):
        body = cbor2.dumps([1, number, 0, 1])[:-1] + b"\x18\x01"
        self.send(cobs.encode(body + zlib.crc32(body).to_bytes(4, "little")) + b"\x00")


class OtherTerminal(Device):
    def __init__(self):
        super().__init__(jm.Maker("POS-\x1b[31mX", bytes(16)).begin())


class Escapes(Device):
    def answer(self, command, args):
        return [6, "\x1b]0;owned\x07" + "x" * 4000]


class WrongKey(Device):
    def role_key(self, role):
        return bytes(32)


class HugeEntry(Device):
    def answer(self, command, args):
        reply = super().answer(command, args)
        if command == 5:
            reply[2] = [b"\x84\x43\xa1\x01\x05\xa0\x59\xff\xff" + bytes(3000)]
        return reply


HOSTILE = [
    (LiesAboutHead, NotProven, "head"), (WrongSequence, ClientError, "asked for entry 0 and answered with entry 1"),
    (EndsEarly, ClientError, "ends at entry 2"), (EditedEntry, NotProven, "Entry 2"),
    (ForgedExport, NotProven, "nonce"), (ClaimsBillions, ClientError, "more than any terminal"),
    (Endless, NoAnswer, "never became a frame"), (EndlessFrames, NoAnswer, "another request"),
    (Noise, NoAnswer, "no valid answer"), (Silent, NoAnswer, "nothing was received"),
    (Shapes, NoAnswer, "not allowed"), (Floats, NoAnswer, "float"), (NotShortest, NoAnswer, "deterministic"),
    (OtherTerminal, ClientError, "key file knows no such terminal"), (Escapes, Refused, "terminal fault"),
    (WrongKey, Refused, "not authorised"), (HugeEntry, NotProven, "Entry 0"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "error", "says"), HOSTILE, ids=[h[0].__name__ for h in HOSTILE])
def test_a_hostile_device_gets_a_clear_error_and_overwrites_nothing(start, keys, tmp_path, kind, error, says):
    device = start(kind)
    out = tmp_path / "j.posj"
    begun = time.monotonic()
    with pytest.raises(error) as caught:
        run(device, keys, out, timeout=0.1)
    assert says.lower() in str(caught.value).lower()
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600
    assert not out.exists()
    assert time.monotonic() - begun < 10


def test_a_client_holds_no_more_than_one_frame():
    class Flood:
        sent = 0
        in_waiting = 5000

        def write(self, data):
            pass

        def read(self, size=1):
            self.sent += size
            return b"\x41" * size

    flood = Flood()
    client = Client(flood, timeout=0.2, tries=1)
    with pytest.raises(NoAnswer):
        client.hello()
    assert flood.sent > 100_000
    assert len(client._buf) <= wire.MAX_WIRE


@given(st.binary(max_size=1500))
def test_cobs_is_that_of_the_cobs_package(data):
    assert wire.cobs_encode(data) == cobs.encode(data)
    assert wire.cobs_decode(cobs.encode(data)) == data


@given(st.binary(max_size=300))
def test_cobs_refuses_what_the_cobs_package_refuses(data):
    try:
        expected = cobs.decode(data)
    except cobs.DecodeError:
        expected = None
    try:
        found = wire.cobs_decode(data)
    except FormatError:
        found = None
    assert found == expected


@given(st.binary(max_size=100))
def test_unframe_never_crashes(data):
    try:
        assert type(wire.unframe(data)) is list
    except FormatError:
        pass


# -- the command line


@pytest.fixture
def key_file(tmp_path, keys):
    path = tmp_path / "keys.json"
    keys.save(path, new=True)
    return path


def cli(*args):
    return CliRunner().invoke(app, [str(a) for a in args])


def test_pull_by_command(start, tmp_path, key_file):
    device = start(Device, long_maker(20))
    out = tmp_path / "j.posj"
    done = cli("pull", "--port", f"port:{device.path}", "--keys", key_file, "--out", out)
    assert (done.exit_code, done.stdout.count("\n")) == (0, 1)
    assert done.stdout.startswith("VERIFIED ")
    assert "kB/s" in done.stderr
    again = cli("pull", "--port", device.path, "--keys", key_file, "--out", out)
    assert again.exit_code == 2
    assert "--force" in again.stderr
    report = json.loads(
        cli(
            "pull",
            "--port",
            device.path,
            "--keys",
            key_file,
            "--out",
            tmp_path / "k.posj",
            "--role",
            "supervisor",
            "--json",
        ).stdout
    )
    assert report["ok"]
    assert report["role"] == 3
    assert report["entries"] == device.maker.seq
    assert cli("verify", out, "--keys", key_file, "--nonce", report["nonce"]).exit_code == 1
    assert cli("verify", tmp_path / "k.posj", "--keys", key_file, "--nonce", report["nonce"]).exit_code == 0


def test_a_tampered_device_is_a_finding(start, tmp_path, key_file):
    done = cli("pull", "--port", start(EditedEntry).path, "--keys", key_file, "--out", tmp_path / "j.posj")
    assert done.exit_code == 1
    assert done.stdout == ""


def test_status_in_words_and_json(start, key_file):
    device = start()
    done = cli("status", "--port", device.path, "--keys", key_file, "--lang", "en")
    assert done.exit_code == 0
    for words in (jm.TERMINAL, "the reversal of transaction #4", "slip", "paper out", "STAN 000007"):
        assert words in done.stdout
    assert "冲正" in cli("status", "--port", device.path, "--keys", key_file, "--lang", "zh").stdout
    value = json.loads(cli("status", "--port", device.path, "--keys", key_file, "--json").stdout)
    assert value["owed"] == [[2, 4], [3, 9]]
    assert value["next_stan"] == 7
    device.role = 0
    refused = cli("status", "--port", device.path)
    assert refused.exit_code == 2
    assert "--keys" in refused.stderr


def test_time_sets_this_computers_clock(start, key_file):
    device = start()
    assert cli("time", "--port", device.path, "--keys", key_file).exit_code == 0
    assert abs(device.clock - time.time()) < 5


def test_resolve_signs_as_the_protocol_says(start, key_file):
    device = start()
    done = cli(
        "resolve",
        "--port",
        device.path,
        "--keys",
        key_file,
        "--txn",
        25,
        "--decision",
        "charged",
        "--name",
        "张三",
        "--reason",
        "phone call 17",
    )
    assert done.exit_code == 0
    (signed,) = device.decisions
    protected, unprotected, payload, tag = cbor2.loads(signed)
    assert (protected, unprotected) == (cbor2.dumps({1: 5}), {})
    assert cbor2.loads(payload) == [25, 2, "张三", "phone call 17"]
    structure = cbor2.dumps(["MAC0", protected, b"posfw/human/1" + jm.JOURNAL_ID, payload])
    assert tag == hmac.new(device.role_key(3), structure, hashlib.sha256).digest()
    for bad in (["--decision", "maybe"], ["--reason", "x" * 65], ["--name", "a\x1bb"], ["--reason", ""]):
        base = {"--decision": "other", "--name": "n", "--reason": "r"}
        base[bad[0]] = bad[1]
        args = [x for pair in base.items() for x in pair]
        assert cli("resolve", "--port", device.path, "--keys", key_file, "--txn", 25, *args).exit_code == 2
    assert len(device.decisions) == 1


def test_a_decision_is_never_sent_twice(start, keys):
    class Deaf(Device):
        def reply(self, number, command, args):
            self.answer(command, args) if command == 9 else super().reply(number, command, args)

    device = start(Deaf)
    port = open_port(device.path)
    with pytest.raises(ClientError, match="posaudit status"):
        control.resolve(Client(port, timeout=0.1), keys, 25, "other", "n", "r")
    port.close()
    assert len(device.decisions) == 1


def test_ports_that_are_not_there(tmp_path, monkeypatch):
    with pytest.raises(PortError, match="Check that it exists"):
        open_port(str(tmp_path / "none"))
    monkeypatch.setattr("posaudit.ports.list_ports.comports", lambda: [])
    for selector in ("auto", "id:123"):
        with pytest.raises(PortError):
            find_port(selector)

    class P:
        vid = 1

        def __init__(self, number):
            self.device, self.serial_number = f"/dev/tty{number}", str(number)

    monkeypatch.setattr("posaudit.ports.list_ports.comports", lambda: [P(1), P(2)])
    assert find_port("id:2") == "/dev/tty2"
    with pytest.raises(PortError, match="id:1"):
        find_port("auto")
    monkeypatch.setattr("posaudit.ports.list_ports.comports", lambda: [P(1)])
    assert find_port("auto") == "/dev/tty1"


def test_a_port_serves_one_program_at_a_time(start):
    device = start()
    first = open_port(device.path)
    with pytest.raises(PortError):
        open_port(device.path)
    first.close()
