"""The link against hosts of every temper, with TLS and without, under both interpreters.

The hosts run here, in threads over CPython's ssl; the link runs in a process of its own.
"""

import datetime
import ipaddress
import json
import os
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from interpreters import ROOT, micropython

CLIENT = """
import json, sys
from board.emulated.link import Link
from board.emulated.ticks import ticks_ms
from posfw.hal import LinkError
args = json.loads(sys.argv[1])
link = Link("127.0.0.1", args["port"], args.get("ca"), args.get("hostname"), 1000)
log = []
start = ticks_ms()
try:
    link.open(args["timeout"])
    log.append("open")
    for _ in range(args.get("rounds", 1)):
        link.send(b"request " + bytes(args.get("size", 0)))
        log.append("sent")
        want = args.get("size", 0) + 6
        got = 0
        total = 0
        buf = bytearray(1500)
        while got < want:
            n = link.recv_into(buf, args.get("wait", 1500))
            if n == 0:
                log.append("silence")
                break
            got += n
            total += sum(buf[:n])
        log.append([got, total])
    link.close()
except LinkError as e:
    log.append({"stage": e.stage, "maybe": e.maybe_sent, "text": str(e), "open": link.is_open})
print(json.dumps([log, ticks_ms() - start]))
"""


def certificate(name, issuer_name, issuer_key, public_key, ca, names=()):
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer_name)]))
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
        )
    )
    if ca:
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        builder = builder.add_extension(usage, critical=True)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(list(names)), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


@pytest.fixture(scope="module")
def certs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certs")
    for label in ("good", "other"):
        ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        ca = certificate(f"{label} CA", f"{label} CA", ca_key, ca_key.public_key(), True)
        names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        leaf = certificate("localhost", f"{label} CA", ca_key, key.public_key(), False, names)
        (folder / f"{label}.der").write_bytes(ca.public_bytes(serialization.Encoding.DER))
        (folder / f"{label}.pem").write_bytes(
            leaf.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
    return folder


class Host:
    """A listener that gives each connection to `behave(conn)` in a thread."""

    def __init__(self, behave):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.behave = behave
        self.errors = []
        self.stop = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        try:
            conn, _ = self.socket.accept()
            with conn:
                self.behave(conn, self.stop)
        except OSError as e:
            self.errors.append(e)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.socket.close()


def exactly(conn, size):
    data = b""
    while len(data) < size:
        part = conn.recv(size - len(data))
        if not part:
            raise ConnectionError("client closed")
        data += part
    return data


def tls(certs, behave, label="good", version=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certs / f"{label}.pem")
    if version:
        context.minimum_version = context.maximum_version = version

    def wrapped(conn, stop):
        with context.wrap_socket(conn, server_side=True) as secure:
            behave(secure, stop)

    return wrapped


@pytest.fixture(params=["micropython", "cpython"])
def link(request, tmp_path):
    def run(**args):
        args.setdefault("timeout", 3000)
        script = tmp_path / "client.py"
        script.write_text(CLIENT)
        if request.param == "micropython":
            env = {"MICROPYPATH": f"{ROOT}:.frozen"}
            done = micropython([script, json.dumps(args)], cwd=tmp_path, env=env, timeout=30)
        else:
            env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
            done = subprocess.run(
                [sys.executable, script, json.dumps(args)],
                env=env, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False,
            )  # fmt: skip
        assert done.returncode == 0, done.stderr + done.stdout
        return json.loads(done.stdout)

    return run


def echo(size, rounds):
    def behave(conn, stop):
        for n in range(rounds):
            request = exactly(conn, 8 + size)
            assert request == b"request " + bytes(size)
            conn.sendall(b"reply" + bytes([n]) + b"\x01" * size)
        stop.wait(5)

    return behave


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("size", [0, 40000])
def test_tls_both_ways(certs, link, size, version):
    if version == ssl.TLSVersion.TLSv1_3:
        version = None  # the best both know: MicroPython's build may end at 1.2
    with Host(tls(certs, echo(size, 3), version=version)) as host:
        log, _ = link(port=host.port, ca=str(certs / "good.der"), hostname="localhost", size=size, rounds=3)
    sums = [sum(b"reply") + n + size for n in range(3)]
    assert log == ["open", "sent", [size + 6, sums[0]], "sent", [size + 6, sums[1]], "sent", [size + 6, sums[2]]]


@pytest.mark.parametrize(
    ("ca", "hostname"), [("other.der", "localhost"), ("good.der", "acquirer.example"), ("good.pem", "localhost")]
)
def test_tls_refuses_the_wrong_host(certs, link, ca, hostname):
    with Host(tls(certs, echo(0, 1))) as host:
        log, _ = link(port=host.port, ca=str(certs / ca), hostname=hostname)
    (error,) = log
    assert (error["stage"], error["maybe"], error["open"]) == (3, False, False)


def test_tls_missing_ca_file(certs, link):
    with Host(tls(certs, echo(0, 1))) as host:
        log, _ = link(port=host.port, ca=str(certs / "missing.der"), hostname="localhost")
    assert (log[0]["stage"], log[0]["maybe"]) == (3, False)


def test_tls_silent_in_the_handshake_ends_at_the_deadline(certs, link):
    with Host(lambda conn, stop: stop.wait(10)) as host:
        log, took = link(port=host.port, ca=str(certs / "good.der"), hostname="localhost", timeout=400)
    assert (log[0]["stage"], log[0]["maybe"]) == (3, False)
    assert 380 <= took < 1500


@pytest.mark.parametrize("answer", [b"", b"\x00\x10HTTP/1.0 400 no TLS here\r\n\r\n", b"\xff" * 600])
def test_tls_host_that_speaks_no_tls(certs, link, answer):
    def behave(conn, stop):
        conn.sendall(answer)

    with Host(behave) as host:
        log, _ = link(port=host.port, ca=str(certs / "good.der"), hostname="localhost")
    assert (log[0]["stage"], log[0]["maybe"]) == (3, False)


def test_tls_silence_after_the_request(certs, link):
    def behave(conn, stop):
        exactly(conn, 8)
        stop.wait(10)

    with Host(tls(certs, behave)) as host:
        log, took = link(port=host.port, ca=str(certs / "good.der"), hostname="localhost", wait=300)
    assert log == ["open", "sent", "silence", [0, 0]]
    assert 280 <= took < 2000


def reset(conn):
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("rude", [False, True])
def test_closed_after_the_request(certs, link, secure, rude):
    def behave(conn, stop):
        exactly(conn, 8)
        if rude:
            reset(conn)
        else:
            conn.sendall(b"rep")

    with Host(tls(certs, behave) if secure else behave) as host:
        extra = {"ca": str(certs / "good.der"), "hostname": "localhost"} if secure else {}
        log, _ = link(port=host.port, **extra)
    assert log[:2] == ["open", "sent"]
    assert (log[-1]["stage"], log[-1]["maybe"], log[-1]["open"]) == (4, True, False)


@pytest.mark.parametrize("secure", [False, True])
def test_a_host_that_never_reads_ends_at_the_send_deadline(certs, link, secure):
    def behave(conn, stop):
        stop.wait(10)

    size = 60000  # several megabytes over the rounds: more than any socket buffer takes
    with Host(tls(certs, behave) if secure else behave) as host:
        host.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        extra = {"ca": str(certs / "good.der"), "hostname": "localhost"} if secure else {}
        log, took = link(port=host.port, size=size, rounds=200, wait=0, **extra)
    assert log[-1]["stage"] == 4 and log[-1]["maybe"] is True, log[-1]
    assert took < 10000


def test_slow_bytes(link):
    def behave(conn, stop):
        exactly(conn, 8)
        for byte in b"reply\x00":
            conn.sendall(bytes([byte]))
            time.sleep(0.05)
        stop.wait(5)

    with Host(behave) as host:
        log, _ = link(port=host.port, wait=500)
    assert log == ["open", "sent", [6, sum(b"reply")]]
