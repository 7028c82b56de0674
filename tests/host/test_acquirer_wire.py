"""The acquirer's bytes, against a client whose tables are written here by hand."""

import hmac
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import iso8583
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC

ROOT = Path(__file__).resolve().parents[2]
PROFILES = ROOT / "posfw" / "acquirer" / "profiles"
TMK = bytes(range(16))
PAN = "6226001234567890123"
TRACK2 = "6226001234567890123D30122010000000000"


def _f(data_enc, len_type, max_len, len_enc="bcd", **more):
    return {
        "data_enc": data_enc,
        "len_enc": len_enc,
        "len_type": len_type,
        "max_len": max_len,
        "desc": "",
        **more,
    }


def _n(digits, len_type=0, **pad):
    return _f("b", len_type, digits, len_count="nibbles", **pad)


UNIONPAY = {
    "h": _f("ascii", 0, 0), "t": _f("b", 0, 2), "p": _f("b", 0, 8), "1": _f("b", 0, 8),
    "2": _n(19, 1, right_pad="0"), "3": _n(6), "4": _n(12), "11": _n(6),
    "12": _n(6), "13": _n(4), "14": _n(4),
    "22": _n(3, right_pad="0"), "23": _n(3, left_pad="0"), "25": _n(2), "35": _n(37, 1, right_pad="0"),
    "37": _f("ascii", 0, 12), "38": _f("ascii", 0, 6), "39": _f("ascii", 0, 2), "41": _f("ascii", 0, 8),
    "42": _f("ascii", 0, 15), "49": _f("ascii", 0, 3), "55": _f("b", 2, 255),
    "60": _n(17, 2, right_pad="0"), "61": _n(29, 2, right_pad="0"), "62": _f("b", 2, 512),
    "63": _f("ascii", 2, 163), "64": _f("b", 0, 8),
}  # fmt: skip


def _a(max_len, len_type=0):
    return _f("ascii", len_type, max_len, "ascii")


ISO87 = {
    "h": _a(0), "t": _a(4), "p": _a(16), "1": _a(16), "2": _a(19, 2), "3": _a(6), "4": _a(12), "11": _a(6),
    "12": _a(6), "13": _a(4), "14": _a(4), "22": _a(3), "23": _a(3), "24": _a(3), "25": _a(2),
    "35": _a(37, 2),
    "37": _a(12), "38": _a(6), "39": _a(2), "41": _a(8), "42": _a(15), "49": _a(3),
    "55": _f("b", 3, 255, "ascii"), "60": _a(999, 3), "90": _a(42),
}  # fmt: skip


def cmac(key, data):
    state = CMAC(algorithms.AES(key))
    state.update(data)
    return state.finalize()


class Acquirer:
    """The real server as a process of its own, over one directory."""

    def __init__(self, directory, scenario="", profile="unionpay", tls=False, port=0):
        self.directory, self.profile = Path(directory), profile
        self.ledger = self.directory / "ledger.sqlite"
        self.scenario = self.directory / "scenario.toml"
        self.scenario.write_text(scenario, encoding="utf-8")
        self.errors = self.directory / "acquirer.log"
        self.tls = tls
        code = (
            "import sys; from poslab.acquirer import run; "
            "run('127.0.0.1', int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4], "
            "sys.argv[5] == 'True', sys.argv[6], bytes(range(16)), "
            "lambda host, port: print(port, flush=True))"
        )
        arguments = [
            port,
            self.ledger,
            self.scenario,
            PROFILES / f"{profile}.json",
            tls,
            self.directory / "certs",
        ]
        with self.errors.open("ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code, *map(str, arguments)],
                stdout=subprocess.PIPE, stderr=errors, env={**os.environ, "PYTHONPATH": str(ROOT / "tools")},
            )  # fmt: skip
        line = self.process.stdout.readline()
        assert line, self.errors.read_text()
        self.port = int(line)

    def client(self, **more):
        return Client(self, **more)

    def log(self):
        return [json.loads(line) for line in self.errors.read_text().splitlines()]

    def stop(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.stdout.close()
        return self.process.wait(timeout=10)


class Client:
    """A terminal of few words. Requests are dicts of texts by field number."""

    def __init__(self, acquirer, tid="POS00001", key=None, timeout=5):
        self.unionpay = acquirer.profile == "unionpay"
        self.spec = UNIONPAY if self.unionpay else ISO87
        self.header = bytes.fromhex("603100311001") if self.unionpay else b""
        self.tid, self.key, self.batch, self.raw = tid, key, "000007", b""
        self.socket = socket.create_connection(("127.0.0.1", acquirer.port), timeout=timeout)
        if acquirer.tls:
            trust = ssl.create_default_context(cafile=acquirer.directory / "certs" / "ca.pem")
            self.socket = trust.wrap_socket(self.socket, server_hostname="127.0.0.1")

    def close(self):
        self.socket.close()

    def send(self, mti, fields, key=None):
        key = key or self.key
        document = {"t": mti, "41": self.tid, "42": "M00000000000001", **fields}
        if self.unionpay and mti != "0800":
            document["64"] = "00" * 8
            raw, _ = iso8583.encode(dict(document), self.spec)
            document["64"] = cmac(key or bytes(16), bytes(raw[:-8]))[:8].hex().upper()
        raw, _ = iso8583.encode(document, self.spec)
        self.send_raw(bytes.fromhex("6000030000") + self.header + bytes(raw))

    def send_raw(self, frame):
        self.socket.sendall(len(frame).to_bytes(2, "big") + frame)

    def receive(self):
        """The next reply, its MAC checked; None if the connection closed."""
        length = self._exactly(2)
        frame = length and self._exactly(int.from_bytes(length, "big"))
        if not frame:
            return None
        self.raw = frame
        start = 5 + len(self.header)
        assert frame[:start] == bytes.fromhex("6000000003") + self.header
        reply, _ = iso8583.decode(frame[start:], self.spec)
        if "64" in reply:
            assert hmac.compare_digest(frame[-8:], cmac(self.key, frame[start:-8])[:8]), "reply MAC"
        return reply

    def _exactly(self, count):
        data = b""
        while len(data) < count:
            try:
                more = self.socket.recv(count - len(data))
            except ConnectionError:
                more = b""
            if not more:
                return None
            data += more
        return data

    def ask(self, mti, fields, key=None):
        self.send(mti, fields, key)
        return self.receive()

    def sign_on(self, stan="000001"):
        fields = {"11": stan, "60": f"00{self.batch}001", "63": "001"}
        if not self.unionpay:
            fields = {"3": "920000", "11": stan, "24": "003", "60": self.batch}
        reply = self.ask("0800", fields)
        if self.unionpay and reply["39"] == "00":
            wrapped = bytes.fromhex(reply["62"])
            cipher = Cipher(algorithms.AES(TMK), modes.ECB()).decryptor()
            self.key = cipher.update(wrapped[:16]) + cipher.finalize()
            assert wrapped[16:] == cmac(self.key, bytes(16))[:4]
        return reply

    def sale(self, stan, amount, **more):
        """Fields of a sale."""
        fields = {
            "2": PAN, "3": "000000", "4": f"{amount:012d}", "11": f"{stan:06d}", "14": "3012", "22": "051",
            "23": "001", "25": "00", "35": TRACK2, "49": "156", "55": "9F2608AABBCCDDEEFF0011",
        }  # fmt: skip
        fields |= {"60": f"22{self.batch}000"} if self.unionpay else {"24": "003", "60": self.batch}
        return fields | more

    def refer(self, stan, amount, to_stan, rrn, kind="23", **more):
        """Fields of a void (23) or refund (25) of an earlier transaction, unionpay style."""
        date = "" if kind == "23" else "0000"
        return {"2": PAN, "3": "200000", "4": f"{amount:012d}", "11": f"{stan:06d}", "22": "051", "25": "00",
                "37": rrn, "49": "156", "60": f"{kind}{self.batch}000",
                "61": f"{self.batch}{to_stan:06d}{date}"} | more  # fmt: skip

    def reversal(self, stan, amount, reason="98", kind="22", pcode="000000"):
        """Fields of a reversal: its STAN is the original's."""
        fields = {"2": PAN, "3": pcode, "4": f"{amount:012d}", "11": f"{stan:06d}", "14": "3012", "22": "051",
                  "23": "001", "25": "00", "39": reason, "49": "156"}  # fmt: skip
        if self.unionpay:
            return fields | {"60": f"{kind}{self.batch}000", "61": f"{self.batch}{stan:06d}0000"}
        return fields | {"24": "003", "60": self.batch, "90": f"0200{stan:06d}0000" + "0" * 28}


@pytest.fixture
def start(tmp_path):
    running = []

    def begin(scenario="", **more):
        running.append(Acquirer(tmp_path, scenario, **more))
        return running[-1]

    yield begin
    for acquirer in running:
        acquirer.stop()
        text = acquirer.errors.read_text()
        assert "Traceback" not in text, text
        assert PAN not in text


def test_sign_on_hands_over_a_key_and_the_hosts_time(start):
    reply = start("[defaults]\nclock = 2025-06-01T09:30:05\nutc_offset_min = 480").client().sign_on()
    assert (reply["t"], reply["39"], reply["12"], reply["13"]) == ("0810", "00", "093005", "0601")
    assert reply["11"] == "000001" and len(reply["62"]) == 40


def test_sale_in_the_unionpay_style(start):
    client = start("[defaults]\nclock = 2025-06-01T23:30:05").client()
    client.sign_on()
    reply = client.ask("0200", client.sale(2, 1234))
    assert (reply["t"], reply["39"], reply["4"], reply["11"], reply["41"]) == (
        "0210", "00", "000000001234", "000002", "POS00001",
    )  # fmt: skip
    assert reply["37"].startswith("515223") and len(reply["37"]) == 12  # year 5, day 152, hour 23
    assert reply["38"].isdigit() and "64" in reply and "2" not in reply and "35" not in reply


def test_sale_and_reversal_in_the_1987_style(start):
    client = start(profile="iso8583_1987").client()
    assert client.sign_on()["39"] == "00"
    sale = client.ask("0200", client.sale(2, 1234))
    assert (sale["t"], sale["39"], len(sale["37"])) == ("0210", "00", 12)
    reply = client.ask("0400", client.reversal(2, 1234, "68"))
    assert (reply["t"], reply["39"], reply["37"]) == ("0410", "00", sale["37"])
    # The original MTI in DE90 belongs to the reference: another one is not this sale.
    client.ask("0200", client.sale(3, 77))
    wrong = client.reversal(3, 77)
    assert client.ask("0400", wrong | {"90": "0100" + wrong["90"][4:]})["39"] == "30"


@pytest.mark.parametrize("tls", [False, True])
def test_several_terminals_at_once(start, tls):
    acquirer = start(tls=tls)
    clients = [acquirer.client(tid=f"POS0000{n}") for n in range(5)]
    for client in clients:
        client.sign_on()
    for client in clients:
        client.send("0200", client.sale(9, 500))
    replies = [client.receive() for client in reversed(clients)]
    assert [r["39"] for r in replies] == ["00"] * 5
    assert len({r["37"] for r in replies}) == 5


def test_tls_key_is_private_and_stays(start, tmp_path):
    acquirer = start(tls=True)
    before = (tmp_path / "certs" / "ca.der").read_bytes()
    assert (tmp_path / "certs" / "server.key").stat().st_mode & 0o777 == 0o600
    assert ssl.DER_cert_to_PEM_cert(before).split() == (tmp_path / "certs" / "ca.pem").read_text().split()
    acquirer.stop()
    assert start(tls=True).client().sign_on()["39"] == "00"
    assert (tmp_path / "certs" / "ca.der").read_bytes() == before
    # A client that does not trust this CA must not get through.
    with pytest.raises(ssl.SSLCertVerificationError):
        raw = socket.create_connection(("127.0.0.1", start(tls=True).port), timeout=5)
        ssl.create_default_context().wrap_socket(raw, server_hostname="localhost")


def test_mac_is_demanded(start):
    client = start().client()
    # Before sign-on there is no key; the answer then carries no MAC either.
    assert client.ask("0200", client.sale(2, 100))["39"] == "A0"
    client.sign_on()
    assert client.ask("0200", client.sale(2, 100), key=bytes(16))["39"] == "A0"
    assert client.ask("0200", client.sale(2, 100))["39"] == "00"


def test_mac_covers_every_byte_of_the_body(start):
    acquirer = start()
    client = acquirer.client()
    client.sign_on()
    fields = {**client.sale(2, 100), "t": "0200", "41": client.tid, "42": "M00000000000001", "64": "00" * 8}
    del fields["35"], fields["55"]
    raw, _ = iso8583.encode(fields, UNIONPAY)
    body = bytes(raw[:-8]) + cmac(client.key, bytes(raw[:-8]))[:8]
    for position in range(0, len(body), 3):
        flipped = bytearray(body)
        flipped[position] ^= 0x01
        probe = acquirer.client(key=client.key)
        probe.send_raw(bytes.fromhex("6000030000") + probe.header + bytes(flipped))
        reply = probe.receive()
        probe.close()
        assert reply is None or reply["39"] in ("A0", "30", "12"), position


HOSTILE = {
    "not a TPDU": b"GET / HTTP/1.1\r\n\r\n",
    "only a TPDU": bytes.fromhex("6000030000603100311001"),
    "half an MTI": bytes.fromhex("600003000060310031100102"),
    "a reply": bytes.fromhex("6000030000603100311001" + "0210" + "0020000000000000" + "000001"),
    "zeros": bytes(40),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_nonsense_closes_the_connection_and_nothing_else(start, name):
    acquirer = start()
    client = acquirer.client()
    client.send_raw(HOSTILE[name])
    assert client.receive() is None
    assert acquirer.client().sign_on()["39"] == "00"
    assert any(line["event"] == "refused" for line in acquirer.log())


def test_oversize_and_zero_lengths_are_refused_unread(start):
    acquirer = start()
    for length in (b"\x00\x00", b"\xff\xff", b"\x04\x01"):
        client = acquirer.client()
        client.socket.sendall(length + b"x" * 10)
        assert client.receive() is None
    assert acquirer.client().sign_on()["39"] == "00"


def test_what_cannot_be_read_to_its_end_is_answered_30(start):
    client = start().client()
    client.sign_on()
    head = bytes.fromhex("6000030000") + client.header
    for body, answer in (
        ("0200" + "2000000000000000" + "A00000", "0210"),  # DE3 with a nibble that is no digit
        ("0200" + "4000000000000000" + "25" + "11" * 13, "0210"),  # DE2 longer than 19 digits
        ("0200" + "2020000000000000" + "000000" + "0000", "0210"),  # ends inside DE11
        ("0800" + "0020000000000000" + "000001" + "FF", "0810"),  # a byte too many
    ):
        client.send_raw(head + bytes.fromhex(body))
        reply = client.receive()
        assert (reply["39"], reply["t"]) == ("30", answer), body
    client.send_raw(head + bytes.fromhex("0200" + "0000000010000000" + "1234"))  # DE36: not in the profile
    assert client.receive() is None


def test_unknown_messages_are_answered_not_charged(start):
    client = start().client()
    client.sign_on()
    assert client.ask("0600", client.sale(2, 100))["39"] == "30"  # no such MTI in the profile
    assert client.ask("0200", client.sale(3, 100, **{"3": "310000"}))["39"] == "12"  # no such processing code
    incomplete = client.sale(4, 100)
    del incomplete["4"]
    assert client.ask("0200", incomplete)["39"] == "30"
    assert client.ask("0200", client.sale(5, 0))["39"] == "13"


def test_wrong_files_are_refused_by_name(tmp_path):
    from poslab.acquirer import LedgerError, ProfileError, dump_state
    from poslab.acquirer.ledger import Ledger
    from poslab.acquirer.profile import load_profile

    good = json.loads((PROFILES / "unionpay.json").read_text(encoding="utf-8"))
    path = tmp_path / "p.json"
    for change, said in (
        ({"format": "x"}, "posfw-profile/1"),
        ({"iso": {**good["iso"], "fields": {**good["iso"]["fields"], "2": "num19"}}}, "num19"),
        ({"messages": {"sale": {"mti": "0200", "fields": {"4": "amuont"}}}}, "amuont"),
        ({"messages": {"lottery": {"mti": "0200", "fields": {}}}}, "lottery"),
        ({"mac": {"field": 64, "algorithm": "des"}}, "aes-cmac"),
    ):
        path.write_text(json.dumps({**good, **change}), encoding="utf-8")
        with pytest.raises(ProfileError, match=said) as caught:
            load_profile(path)
        assert "p.json" in str(caught.value)
    path.write_text("not a database, but long enough to have a header" * 30)
    with pytest.raises(LedgerError, match=r"p\.json"):
        Ledger(path)
    with pytest.raises(LedgerError, match="start the acquirer"):
        dump_state(tmp_path / "none.sqlite")


@pytest.mark.parametrize("name", ["unionpay", "iso8583_1987"])
def test_profiles_keep_their_promises(name):
    text = (PROFILES / f"{name}.json").read_text(encoding="utf-8")
    profile = json.loads(text)
    assert len(text.encode()) <= 6 * 1024  # the terminal reads it whole, once, before anything else needs its heap
    assert profile["name"] == name and profile["format"] == "posfw-profile/1"
    kinds = {"signon", "sale", "void", "refund", "preauth", "completion", "preauth_void", "reversal"}
    kinds |= {"settlement", "upload", "upload_end"}
    assert set(profile["messages"]) - {"upload_chip"} == kinds
    for kind, message in profile["messages"].items():
        assert set(message["fields"]) <= set(profile["iso"]["fields"]), kind
        assert ("64" in message["fields"]) == (name == "unionpay" and kind != "signon"), kind
    assert not {"35", "36", "52", "53"} & set(profile["messages"]["reversal"]["fields"])
    assert "00" in profile["codes"]["reversal_accepted"] and profile["codes"]["approved"] == ["00"]


def test_stops_cleanly_on_both_signals(start):
    for number in (signal.SIGTERM, signal.SIGINT):
        acquirer = start()
        client = acquirer.client()
        client.sign_on()
        began = time.monotonic()
        assert acquirer.stop(number) == 0
        assert time.monotonic() - began < 5
