"""Defects of posaudit and poslab that a hostile review found: each test fails while its defect is there.

The docstrings say what goes wrong and which place has to change.
"""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time

import cbor2
import journal_maker as jm
import pytest
from posaudit.chain import Chain
from posaudit.cli import app as posaudit
from posaudit.client import Client, ClientError
from posaudit.keys import AuditorKeys
from posaudit.ports import json_text, open_port
from posaudit.posj import FormatError, parse_manifest, strict_loads
from posaudit.pull import PullError, pull
from poslab import lab
from test_posaudit_pull import Device
from typer.testing import CliRunner

# Tags 4 and 5 (RFC 8949 section 3.4.4), which cbor2 computes while it decodes: 1 * 2^(2^63 - 1), "a" and "b" as numbers
DECIMALS = (bytes.fromhex("c5821b7fffffffffffffff01"), bytes.fromhex("c4821b7fffffffffffffff01"), b"\xc4\x82aaab")


def run(app, *args):
    return CliRunner().invoke(app, [str(a) for a in args])


def poslab_process(*args, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "poslab.cli", *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def journal_file(path):
    maker = jm.Maker().begin()
    maker.export()
    manifest = maker.manifest()
    path.write_bytes((manifest if isinstance(manifest, bytes) else cbor2.dumps(manifest)) + b"".join(maker.entries))
    return path


# -- posaudit ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("item", DECIMALS, ids=["bigfloat", "decimal", "texts"])
def test_01_a_decimal_in_hostile_cbor_is_a_format_error(item):
    """decimal.Overflow and InvalidOperation are ArithmeticErrors, and cbor2 lets them through: a manifest, an entry, or
    a frame of a lying terminal before any log-in ends in a traceback and exit code 1 ("findings"). posj.CBOR_ERRORS
    needs ArithmeticError; better, refuse tags, maps and floats by their first byte before cbor2 sees them.
    """
    with pytest.raises(FormatError):
        strict_loads(b"\x81" + item)
    with pytest.raises(FormatError):
        parse_manifest(b"\x8a\x64posj" + item + b"\x00" * 8)


def test_02_explain_of_a_hostile_file_has_no_traceback(tmp_path):
    """The same from the command line."""
    file = tmp_path / "x.posj"
    file.write_bytes(b"\x8a\x64posj" + DECIMALS[0] + b"\x00" * 8)
    done = run(posaudit, "explain", file, "--stan", 1)
    assert done.exit_code == 2, done.exception


def test_03_a_link_in_the_place_of_the_second_part_file_is_not_followed(tmp_path):
    """pull._begin opens FILE.part2 with "wb": where somebody else may write (a shared folder), a planted link makes the
    pull overwrite any file of the technician, and FILE ends as a link to it. Open with "xb" (O_EXCL) after an unlink,
    and refuse a FILE.part that is no regular file (a FIFO hangs the pull).
    """
    device = Device()
    keys = AuditorKeys(jm.MASTER, {jm.TERMINAL: jm.JOURNAL_ID})
    precious = tmp_path / "precious"
    precious.write_text("precious")
    manifest = device.maker.manifest()
    part = manifest if isinstance(manifest, bytes) else cbor2.dumps(manifest)
    (tmp_path / "j.posj.part").write_bytes(part)
    (tmp_path / "j.posj.part2").symlink_to(precious)
    port = open_port(device.path)
    try:
        pull(Client(port), keys, tmp_path / "j.posj")
    except (OSError, ClientError):
        pass
    finally:
        port.close()
        device.close()
    assert precious.read_text() == "precious"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_04_a_terminal_that_cannot_show_chinese_gets_no_traceback(tmp_path, encoding):
    """UnicodeEncodeError in print(), exit code 1 ("findings"): LANG=C, a cron job, a Windows console. At the start of
    both commands: sys.stdout.reconfigure(errors="backslashreplace") (and stderr).
    """
    file = journal_file(tmp_path / "j.posj")
    done = subprocess.run(
        [sys.executable, "-m", "posaudit.cli", "show", str(file), "--lang", "zh"],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": encoding},
        check=False,
    )
    assert done.returncode == 0 and b"Traceback" not in done.stderr, done.stderr[-300:]


# -- poslab: messages and exit codes ----------------------------------------------------------------------------


@pytest.mark.parametrize("number", ["99999", "-1"])
def test_11_a_port_out_of_range_is_a_message(tmp_path, number):
    """OverflowError: traceback, exit 1. typer.Option(min=0, max=65535)."""
    done = poslab_process("acquirer", "--port", number, "--ledger", tmp_path / "l.sqlite")
    _, err = done.communicate(timeout=20)
    assert done.returncode == 2 and b"Traceback" not in err, err[-200:]


def test_12_messages_with_brackets_are_shown_as_they_are(tmp_path):
    """poslab prints error texts as rich markup: "write  once and [] for each fault" where "[defaults]" and "[[fault]]"
    stood, and a path with "[/" is a MarkupError traceback with exit 1. cli.fail and demo.say: markup=False for the
    text (rich.markup.escape), soft_wrap=True.
    """
    scenario = tmp_path / "s.toml"
    scenario.write_text("fault = 5\n")
    done = poslab_process("acquirer", "--scenario", scenario, "--ledger", tmp_path / "l.sqlite")
    _, err = done.communicate(timeout=20)
    assert b"[defaults]" in err and b"[[fault]]" in err, err
    done = poslab_process("acquirer", "--scenario", tmp_path / "[" / "a].toml", "--ledger", tmp_path / "l.sqlite")
    _, err = done.communicate(timeout=20)
    assert done.returncode == 2 and b"Traceback" not in err, err[-200:]


@pytest.mark.parametrize("extra", [("--profile", "/nonexistent.json"), ("--heap", "abc"), ("--heap", "8K")])
def test_13_a_terminal_that_does_not_start_is_a_message(tmp_path, extra):
    """cli.terminal does not catch TerminalDied nor CommandRefused: traceback, exit 1. And the profile should be read
    and the heap checked before a process is started with them.
    """
    done = poslab_process("terminal", "--dir", tmp_path / "t", *extra, stdin=subprocess.DEVNULL)
    _, err = done.communicate(timeout=60)
    assert done.returncode == 2 and b"Traceback" not in err, err[-200:]


def test_14_an_acquirer_port_out_of_range_is_refused(tmp_path):
    """--acquirer 127.0.0.1:99999 is taken; each dial then fails as "name not found"."""
    done = poslab_process(
        "terminal", "--dir", tmp_path / "t", "--acquirer", "127.0.0.1:99999", stdin=subprocess.DEVNULL
    )
    done.communicate(timeout=60)
    assert done.returncode == 2


@pytest.mark.parametrize("kind", ["scenario", "profile"])
def test_15_a_deeply_nested_file_is_a_message(tmp_path, kind):
    """RecursionError of tomllib and json: traceback, exit 1. (The console's JSON lines have the same.)"""
    file = tmp_path / "deep"
    file.write_text("a=" + "[" * 5000 if kind == "scenario" else "[" * 50000)
    done = poslab_process("acquirer", f"--{kind}", file, "--ledger", tmp_path / "l.sqlite")
    _, err = done.communicate(timeout=20)
    assert done.returncode == 2 and b"Traceback" not in err, err[-200:]


def test_16_no_byte_of_a_master_key_file_is_shown(tmp_path):
    """A raw (not hex) key file: the UnicodeDecodeError's text names a byte of the key. Catch ValueError around the key
    alone, with a text of its own.
    """
    file = tmp_path / "key"
    file.write_bytes(bytes.fromhex("a7") * 16)
    done = poslab_process("acquirer", "--master-key", file, "--ledger", tmp_path / "l.sqlite")
    _, err = done.communicate(timeout=20)
    assert done.returncode == 2 and b"a7" not in err and b"position" not in err, err


# -- poslab: processes and resources ----------------------------------------------------------------------------


def test_21_a_demo_that_is_terminated_leaves_no_acquirer_behind(tmp_path):
    """SIGTERM and SIGHUP (a CI's time limit, a closed window) end the demo without its finally: the acquirer runs on
    for ever. Turn both into SystemExit in cli.demo, and give the acquirer a pipe on stdin whose end it takes as the
    signal to stop.
    """
    demo = poslab_process("demo", "--out", tmp_path / "d", "--interpreter", "cpython", start_new_session=True)
    end = time.monotonic() + 30
    while not (tmp_path / "d" / "usb0").is_symlink() and time.monotonic() < end:
        time.sleep(0.1)
    config = json.loads((tmp_path / "d" / "config.json").read_text())
    port = config["link"]["port"]
    demo.send_signal(signal.SIGTERM)
    demo.communicate(timeout=30)
    try:
        for _ in range(50):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                return
            time.sleep(0.1)
        raise AssertionError("the acquirer still listens")
    finally:
        try:
            os.killpg(demo.pid, signal.SIGTERM)  # our own session: whatever is left of this demo
        except ProcessLookupError:
            pass


def test_22_a_second_demo_does_not_delete_the_folder_of_a_running_one(tmp_path):
    """prepare() removes a marked folder though a demo is at work in it: both fail, with misleading texts. Hold a lock
    (flock) on the mark for the whole run.
    """
    out = tmp_path / "d"
    first = poslab_process("demo", "--out", out, "--interpreter", "cpython")
    end = time.monotonic() + 30
    while not (out / "usb0").is_symlink() and time.monotonic() < end:
        time.sleep(0.1)
    keys = (out / "auditor-keys.json").read_bytes()
    second = poslab_process("demo", "--out", out, "--interpreter", "cpython")
    try:
        end = time.monotonic() + 6
        while second.poll() is None and time.monotonic() < end:
            time.sleep(0.1)
        assert (out / "auditor-keys.json").read_bytes() == keys
        assert second.poll() == 2
    finally:
        for process in (second, first):
            process.send_signal(signal.SIGTERM)  # a background job's children ignore SIGINT
            process.communicate(timeout=30)


def _acquirer(tmp_path, *args):
    with open(tmp_path / "log", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "poslab.cli", "acquirer", "--ledger", str(tmp_path / "l.sqlite"), *args],
            stdout=subprocess.PIPE,
            stderr=log,
        )
    return process, json.loads(process.stdout.readline())["port"]


def test_23_tls_handshakes_count_as_connections(tmp_path):
    """_MAX_CONNECTIONS counts what _accept sees, and that is after the handshake: 3,000 connections that say nothing
    hold 3,000 descriptors and 970 MB for a minute. Accept plain, count, then start_tls with a handshake timeout of a
    few seconds (start_server's ssl_handshake_timeout=5 and backlog bound the time only).
    """
    process, port = _acquirer(tmp_path, "--tls", "--cert-dir", str(tmp_path / "tls"))
    held = []
    try:
        for _ in range(300):
            held.append(socket.create_connection(("127.0.0.1", port), timeout=2))
        time.sleep(1)
        assert len(os.listdir(f"/proc/{process.pid}/fd")) < 150
    finally:
        for s in held:
            s.close()
        process.terminate()
        process.communicate(timeout=20)


def test_24_silent_connections_do_not_lock_everybody_out(tmp_path):
    """64 connections that never send a byte hold their places for ever (read(1) has no timeout): every terminal after
    them is reset. At the limit, close the one that has been idle longest.
    """
    process, port = _acquirer(tmp_path)
    held = []
    try:
        for _ in range(64):
            held.append(socket.create_connection(("127.0.0.1", port), timeout=2))
        time.sleep(0.5)
        with socket.create_connection(("127.0.0.1", port), timeout=2) as last:
            last.settimeout(1)
            try:
                answer = last.recv(1)
            except TimeoutError:
                answer = None  # accepted, and waited for
            except ConnectionResetError:
                answer = b""
        assert answer is None
    finally:
        for s in held:
            s.close()
        process.terminate()
        process.communicate(timeout=20)


# -- closed together with the above ------------------------------------------------------------------------------


def test_31_key_files_are_never_readable_by_others(tmp_path):
    """Also with a wide umask, and in the place of a file with wide rights."""
    file = tmp_path / "key.hex"
    file.write_text("old")
    file.chmod(0o644)
    lab.write_secret(file, "new")
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("new", 0o600)


def test_32_a_chain_shows_no_key():
    assert "5a5a" not in repr(Chain(3, b"\x5a" * 32, bytes(32))) and "ZZZ" not in repr(Chain(3, b"Z" * 32, bytes(32)))


def test_33_json_keeps_chinese_and_escapes_what_steers_a_terminal():
    """C1 controls, DEL and direction marks are legal in JSON text, and a terminal obeys them."""
    value = {"a": "演示\x9b31m\x7f\u202e\U000e0001\ud800", "b": ["\n"]}
    text = json_text(value, indent=1)
    assert json.loads(text) == value and "演示" in text
    assert all(c.isprintable() or c == "\n" for c in text)


def test_34_a_pull_refuses_a_part_that_is_no_plain_file(tmp_path):
    """A FIFO would hang it, a link would be read."""
    device = Device()
    keys = AuditorKeys(jm.MASTER, {jm.TERMINAL: jm.JOURNAL_ID})
    os.mkfifo(tmp_path / "a.posj.part")
    (tmp_path / "b.posj.part").symlink_to(tmp_path / "nowhere")
    port = open_port(device.path)
    try:
        for name in ("a.posj", "b.posj"):
            with pytest.raises(PullError, match="no plain file"):
                pull(Client(port), keys, tmp_path / name)
    finally:
        port.close()
        device.close()


def test_35_an_acquirer_ends_with_the_process_that_started_it(tmp_path):
    """Only where it is asked to: without the option an ended stdin (a service, nohup) means nothing."""
    for ends in (True, False):
        args = ["--end-with-stdin"] if ends else []
        process = poslab_process("acquirer", "--ledger", tmp_path / f"{ends}.sqlite", *args, stdin=subprocess.PIPE)
        try:
            assert process.stdout.readline()
            process.stdin.close()
            process.stdin = None
            if ends:
                assert process.wait(10) == 0
            else:
                time.sleep(0.5)
                assert process.poll() is None
        finally:
            process.terminate()
            process.communicate(timeout=20)


def test_36_tls_still_answers_while_silent_connections_fill_the_places(tmp_path):
    """A handshake in the midst of connections that say nothing is not the one that is dropped."""
    process, port = _acquirer(tmp_path, "--tls", "--cert-dir", str(tmp_path / "tls"))
    held = []
    try:
        for _ in range(100):
            held.append(socket.create_connection(("127.0.0.1", port), timeout=2))
        context = ssl.create_default_context(cafile=tmp_path / "tls" / "ca.pem")
        plain = socket.create_connection(("127.0.0.1", port), timeout=4)
        with context.wrap_socket(plain, server_hostname="localhost") as secure:
            assert secure.version() in ("TLSv1.2", "TLSv1.3")
    finally:
        for s in held:
            s.close()
        process.terminate()
        process.communicate(timeout=20)
