"""The emulated terminal as a process of its own: start, commands, kill, restart, the USB port. Under both interpreters.

posfw.terminal has tests of its own; here a stub stands in its place, so that what is tested is the board, the main
loop and the launcher.
"""

import errno
import json
import os
import select
import time
from hashlib import sha256
from pathlib import Path

import pytest
from poslab.board_launch import CommandRefused, Keys, TerminalDied, TerminalProcess

PAN = "6225880012345678"
KEYS = Keys("T-0001", b"journal-identity", b"0" * 32, (b"t" * 32, b"a" * 32, b"s" * 32), b"m" * 16)

# Takes the places of posfw.terminal and of Profile, then runs the real main.py. Its `pay` does what the amount says.
STUB = '''
import sys
import posfw.hal
import posfw.acquirer.profile
from posfw.numbers import SLIP_SALE

class Profile:
    def __init__(self, data, settings, terminal_id, digest):
        self.name, self.settings, self.terminal_id, self.digest = data["name"], settings, terminal_id, digest

posfw.acquirer.profile.Profile = Profile

class Terminal:
    def __init__(self, board, profile):
        self.board, self.profile = board, profile
        self.buf = bytearray(64)
        self.idles = 0

    def boot(self):
        index, key = self.board.keystore.seal()
        self.board.keystore.advance(index + 1, bytes([index + 1]) * 32)
        self.board.display.show("ready")
        return True, "ready"

    def sign_on(self):
        return {"terminal": self.profile.terminal_id, "profile": self.profile.name,
                "digest": self.profile.digest.hex()}

    def pay(self, request):
        amount = request["amount"]
        if amount == 1:
            self.board.flash.writeblocks(0, b"\\x11" * 32, 0)
            self.board.display.show("stuck", 1)
            while True:
                pass
        if amount == 2:
            raise ValueError("invalid card " + request["card"]["pan"])
        if amount == 3:
            raise posfw.hal.KeyStoreError("key store: settle first")
        self.board.printer.begin(SLIP_SALE, 1)
        try:
            for line in self.profile.settings["lines"]:
                self.board.printer.write(line.encode() + b"\\n")
            self.board.printer.end()
        except posfw.hal.PrinterError as e:
            return {"fault": e.fault}
        return {"type": request["type"], "icc": list(request.get("card", {}).get("icc", b""))}

    def cancel(self):
        return {"cancelled": True}

    def status(self):
        head = bytearray(2)
        self.board.flash.readblocks(0, head)
        return {"index": self.board.keystore.seal()[0], "now": list(self.board.clock.now()), "head": list(head),
                "tampered": self.board.tamper.tripped(), "random": self.board.random(4).hex(), "idles": self.idles,
                "cause": self.board.reset_cause()}

    def idle(self):
        self.idles += 1
        n = self.board.usb.readinto(self.buf)
        if n:
            self.board.usb.write(bytes(self.buf[:n]).upper())

class module:
    pass

module.Terminal = Terminal
sys.modules["posfw.terminal"] = module
from board.emulated.main import main
main(sys.argv[1])
'''


@pytest.fixture(params=["micropython", "cpython"])
def launch(request, tmp_path):
    """Start a terminal in tmp_path/terminal; all are ended after the test."""
    started = []
    code = tmp_path / "terminal" / "code" / request.param
    code.mkdir(parents=True)
    (code / "stub.py").write_text(STUB)
    (tmp_path / "profile.json").write_text('{"name": "stub"}')

    def start(**changes):
        config = {
            "link": {"host": "127.0.0.1", "port": 1},
            "flash": {"blocks": 8, "vault_blocks": 2},
            "clock": {"rtc": 1700000000},
            "seed": "00",
            "profile": str(tmp_path / "profile.json"),
            "settings": {"lines": ["one", "two", "three"]},
            **changes,
        }
        terminal = TerminalProcess(tmp_path / "terminal", request.param, config=config, keys=KEYS, main="stub")
        started.append(terminal)
        return terminal

    yield start
    for terminal in started:
        terminal.kill()


def test_banner_commands_and_end(launch, tmp_path):
    terminal = launch()
    ready = terminal.events[1]
    assert terminal.events[0] == {"event": "show", "key": "ready", "args": []}
    assert ready["event"] == "ready" and ready["interpreter"].split()[0] == terminal.interpreter
    assert ready["message"] == "ready"
    if terminal.interpreter == "micropython":
        assert 0.8 * 262144 < ready["heap"] <= 262144, "the heap is not the one asked for"
    digest = sha256((tmp_path / "profile.json").read_bytes()).hexdigest()
    assert terminal.command({"do": "signon"}) == {"terminal": "T-0001", "profile": "stub", "digest": digest}
    sale = {"do": "sale", "amount": 9, "card": {"pan": PAN, "icc": "9F2608A1"}}
    assert terminal.command(sale) == {"type": 1, "icc": [0x9F, 0x26, 0x08, 0xA1]}
    assert terminal.command({"do": "preauth_void", "amount": 9, "original": 3})["type"] == 6
    assert terminal.command({"do": "cancel"}) == {"cancelled": True}
    stats = terminal.command({"do": "gc"})
    if terminal.interpreter == "micropython":
        assert 0 < stats["live"] <= stats["used"] <= stats["size"] <= 262144
    assert terminal.command({"do": "exit"}) == {}
    terminal.close()
    assert not terminal.running
    with pytest.raises(TerminalDied, match="not running"):
        terminal.command({"do": "status"})
    config = json.loads((tmp_path / "terminal" / "config.json").read_text())
    assert config["usb_fd"] > 2


def test_end_of_input_ends_the_process(launch):
    terminal = launch()
    process = terminal._process
    terminal.close()
    assert process.returncode == 0


def test_refusals_hold_no_card_data(launch, tmp_path):
    terminal = launch()
    card = {"pan": PAN, "track2": PAN + "D2512"}
    with pytest.raises(CommandRefused, match="ValueError") as e:
        terminal.command({"do": "sale", "amount": 2, "card": card})
    assert PAN not in str(e.value)
    with pytest.raises(CommandRefused, match="settle first"):
        terminal.command({"do": "sale", "amount": 3, "card": card})
    for bad in (
        {"do": "no such thing", "card": card},
        {"card": card},
        {"do": "sale", "amount": 9, "card": {"icc": PAN + "x"}},
        {"do": "advance"},
        {"do": "advance", "ms": -5},
    ):
        with pytest.raises(CommandRefused):
            terminal.command(bad)
    process = terminal._process
    for line in (b"{" + PAN.encode(), b"[1]", b'"' + PAN.encode() + b'"', PAN.encode() * 1000, b"\xff\xfe"):
        process.stdin.write(line + b"\n")
        process.stdin.flush()
    assert terminal.command({"do": "signon"})["terminal"] == "T-0001"
    assert sum(e["event"] == "error" for e in terminal.events) == 5
    terminal.close()
    seen = json.dumps(terminal.events) + (tmp_path / "terminal" / "terminal.log").read_text()
    assert PAN not in seen and PAN[:8] not in seen


def test_killed_in_mid_command(launch, tmp_path):
    terminal = launch()
    ident = terminal.post({"do": "sale", "amount": 1, "card": {"pan": PAN}})
    terminal.wait_event(lambda e: e.get("key") == "stuck")
    first_port = terminal.port
    terminal.kill()
    with pytest.raises(TerminalDied):
        terminal.result(ident, 5)
    assert not terminal.running
    # What it had programmed and advanced is there, and the directory is all it takes to go on.
    assert (tmp_path / "terminal" / "flash.img").read_bytes()[:33] == b"\x11" * 32 + b"\xff"
    terminal.restart()
    status = terminal.command({"do": "status"})
    assert (status["index"], status["head"], status["cause"]) == (2, [0x11, 0x11], 1)
    assert os.readlink(tmp_path / "terminal" / "usb0") == terminal.port
    assert first_port
    assert [e["event"] for e in terminal.events].count("ready") == 2


def test_controls(launch):
    terminal = launch()
    assert terminal.command({"do": "status"})["now"] == [0, 1700000000, 1]
    terminal.command({"do": "advance", "ms": 2500})
    assert terminal.command({"do": "status"})["now"] == [2500, 1700000002, 1]
    terminal.command({"do": "clock", "set": 1600000000})
    assert terminal.command({"do": "status"})["now"] == [2500, 1600000000, 1]
    terminal.command({"do": "clock", "set": 1600000000, "quality": 3})
    terminal.command({"do": "tamper"})
    before = terminal.command({"do": "status"})
    assert before["tampered"] is True
    start = time.monotonic()
    terminal.command({"do": "idle", "ms": 150})
    assert 0.14 < time.monotonic() - start < 2
    after = terminal.command({"do": "status"})
    assert after["now"] == before["now"] == [2500, 1600000000, 3], "an injected clock moved by itself"
    assert after["idles"] > before["idles"] + 3
    terminal.restart()
    again = terminal.command({"do": "status"})
    assert again["tampered"] is True and again["now"] == [0, 1600000000, 3]


def test_real_clock_cannot_be_advanced(launch):
    terminal = launch(clock=None, seed=None)
    with pytest.raises(CommandRefused):
        terminal.command({"do": "advance", "ms": 1})
    now = terminal.command({"do": "status"})["now"]
    assert abs(now[1] - time.time()) < 5
    assert terminal.command({"do": "status"})["random"] != terminal.command({"do": "status"})["random"]


def test_injected_randomness_is_the_same_everywhere_and_not_repeated(launch):
    terminal = launch()
    draws = [terminal.command({"do": "status"})["random"] for _ in range(2)]
    terminal.restart()
    draws.append(terminal.command({"do": "status"})["random"])
    # SHA-256(seed || boot || counter), the same under both interpreters.
    expected = [(1, 0), (1, 1), (2, 0)]
    for draw, (boot, counter) in zip(draws, expected, strict=True):
        assert draw == sha256(b"\0" + boot.to_bytes(4, "big") + counter.to_bytes(8, "big")).hexdigest()[:8]


def test_paper_and_previews(launch, tmp_path):
    terminal = launch()
    slips = tmp_path / "terminal" / "slips"
    terminal.command({"do": "sale", "amount": 9})
    assert (slips / "001-sale.bin").read_bytes() == b"one\ntwo\nthree\n"
    assert "two" in (slips / "001-sale.txt").read_text()
    terminal.command({"do": "paper", "lines": 2})
    assert terminal.command({"do": "sale", "amount": 9}) == {"fault": 1}
    assert (slips / "002-sale.partial.bin").read_bytes() == b"one\ntwo\n"
    assert not list(slips.glob("002*.txt"))
    terminal.command({"do": "paper", "lines": None, "fault": 2})
    assert terminal.command({"do": "sale", "amount": 9}) == {"fault": 2}
    terminal.command({"do": "paper", "lines": 50})
    assert terminal.command({"do": "sale", "amount": 9})["type"] == 1
    assert sorted(p.name for p in slips.glob("*.bin")) == ["001-sale.bin", "002-sale.partial.bin", "003-sale.bin"]


def ask(fd, data, size, timeout=5.0):
    os.write(fd, data)
    got = b""
    until = time.monotonic() + timeout
    while len(got) < size and time.monotonic() < until:
        if select.select([fd], [], [], 0.1)[0]:
            got += os.read(fd, 4096)
    return got


def test_usb_port(launch, tmp_path):
    terminal = launch()
    # Every byte value passes: the port is raw from the first byte, before any host sets it so.
    every = bytes(b for b in range(256) if not 0x61 <= b <= 0x7A)
    for _ in range(2):  # a host comes, goes, and comes back
        fd = os.open(tmp_path / "terminal" / "usb0", os.O_RDWR | os.O_NOCTTY)
        try:
            assert ask(fd, every, len(every)) == every
            assert ask(fd, b"abc", 3) == b"ABC"
        finally:
            os.close(fd)
        terminal.command({"do": "idle", "ms": 50})
    assert terminal.command({"do": "signon"})["terminal"] == "T-0001"
    fd = os.open(terminal.port, os.O_RDWR | os.O_NOCTTY)
    try:
        assert ask(fd, b"x", 1) == b"X"
        terminal.kill()
        # The cable is out: an end or an error at once, as the system has it, and no waiting.
        os.set_blocking(fd, False)
        try:
            assert os.read(fd, 10) == b""
        except OSError as e:
            assert e.errno == errno.EIO
    finally:
        os.close(fd)


def test_usb_answers_at_once(launch, tmp_path):
    """The loop sleeps on the port, not beside it: 200 exchanges would take 4 s if each waited for a tick."""
    launch()
    fd = os.open(tmp_path / "terminal" / "usb0", os.O_RDWR | os.O_NOCTTY)
    try:
        assert ask(fd, b"warm", 4) == b"WARM"
        start = time.monotonic()
        for _ in range(200):
            assert ask(fd, b"ping", 4) == b"PING"
        assert time.monotonic() - start < 2
    finally:
        os.close(fd)


def test_idle_does_not_burn_the_processor(launch):
    terminal = launch()

    def cpu():
        fields = Path(f"/proc/{terminal.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    if not os.path.exists(f"/proc/{terminal.pid}/stat"):
        pytest.skip("needs /proc")
    before = cpu()
    time.sleep(1)
    assert cpu() - before < 0.3 * os.sysconf("SC_CLK_TCK")


def test_provisioning_happens_once_and_needs_keys(launch, tmp_path):
    terminal = launch()
    keystore = tmp_path / "terminal" / "keystore.bin"
    assert keystore.stat().st_mode & 0o777 == 0o600
    terminal.close()
    terminal = launch()
    assert terminal.command({"do": "status"})["index"] == 2
    with pytest.raises(ValueError, match="keys"):
        TerminalProcess(tmp_path / "other", config={})
    assert "t" * 32 not in repr(KEYS) and b"m".hex() * 4 not in repr(KEYS)


def test_a_terminal_that_does_not_start_says_where_to_look(launch, tmp_path):
    with pytest.raises(TerminalDied, match=r"terminal\.log"):
        launch(profile=str(tmp_path / "missing.json"))
    assert "ENOENT" in (log := (tmp_path / "terminal" / "terminal.log").read_text()) or "missing.json" in log
