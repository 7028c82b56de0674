"""The demo's day with real processes: on MicroPython in its bounded heap, on CPython over TLS, and byte by byte
alike.
"""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from interpreters import ROOT
from poslab.day import CARD_CHIP, CARD_STRIPE

pytestmark = pytest.mark.demo
TRACK = CARD_STRIPE["track2"]


def run_demo(out: Path, *options: str) -> dict:
    """Run the demo as a user does; return its summary."""
    command = [sys.executable, "-m", "poslab.cli", "demo", "--out", str(out), "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr[-3000:] + (out / "terminal.log").read_text()[-2000:]
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    """The demo as `make demo` runs it."""
    out = tmp_path_factory.mktemp("demo") / "out"
    return run_demo(out), out


def test_the_device_side_is_micropython_in_256_kb(day):
    summary, _ = day
    assert summary["interpreter"].startswith("micropython 1.")
    assert summary["memory"]["size"] <= 256 * 1024
    assert summary["seconds"] < 120


def test_journal_and_ledger_agree_on_every_transaction(day):
    summary, out = day
    rows = json.loads((out / "transactions.json").read_text())
    assert summary["differences"] == 0 and len(rows) == summary["transactions"] >= 30
    for row in rows:
        assert isinstance(row["stan"], int) and isinstance(row["amount"], int)
    by_amount = {(row["type"], row["amount"], row["stan"]): row for row in rows}
    states = {(kind, amount): row["journal_state"] for (kind, amount, _), row in sorted(by_amount.items())}
    for amount in (1000, 1100, 1400, 2200, 3000, 3100):
        assert states["sale", amount] == "approved"
    assert states["sale", 1200] == "declined"
    for amount in (1300, 1500, 1600, 1700, 1800, 1900, 2000, 2100, 2300, 2400, 2500):
        assert states["sale", amount] == "reversed", amount
    # The last try of each void and refund stands; the ones before it were reversed.
    assert [r["journal_state"] for r in rows if r["type"] == "void"] == ["reversed", "approved"] * 2
    assert [r["journal_state"] for r in rows if r["type"] == "refund"] == ["reversed", "approved"] * 2


def test_the_outputs_are_where_they_are_promised(day):
    _, out = day
    for name in ("flash.img", "journal.posj", "auditor-keys.json", "ledger.sqlite", "transactions.json"):
        assert (out / name).stat().st_size > 0, name
    slips = sorted((out / "slips").glob("*.bin"))
    whole = [s for s in slips if not s.name.endswith(".partial.bin")]
    assert len(whole) >= 40 and len(slips) == len(whole) + 1  # one slip met the end of the paper
    for slip in whole:
        assert slip.with_suffix(".txt").read_text(encoding="utf-8").strip()
    kinds = {slip.stem.split("-", 1)[1] for slip in whole}
    assert kinds >= {
        "sale",
        "declined",
        "pending",
        "reversed",
        "void",
        "refund",
        "unresolved-customer",
        "unresolved-merchant",
    }
    assert (out / "auditor-keys.json").stat().st_mode & 0o077 == 0


def test_the_pending_slip_says_all_a_bank_needs(day):
    _, out = day
    text = (out / "slips" / "004-pending.txt").read_text(encoding="utf-8")
    known = ("622202", "4567", "12345678", "898310059994567", "13.00", "000005", "A000000333010101", "400-000-0000")
    for part in (*known, "非凭证联", "请先查询", "无", "check before paying again"):
        assert part in text or part in text.lower(), part


def forms(digits: str) -> list[bytes]:
    """A number as it could leak: ASCII, BCD at either nibble, hex text, UTF-16."""
    even = digits if len(digits) % 2 == 0 else digits[:-1]
    shifted = digits[1:] if len(digits[1:]) % 2 == 0 else digits[1:-1]
    bcd = [bytes.fromhex(even), bytes.fromhex(shifted)]
    return [digits.encode(), digits.encode().hex().encode(), digits.encode("utf-16-le"), *bcd]


def test_defect_clear_track_data_in_a_log_and_no_card_number_anywhere(day):
    _, out = day
    needles = []
    for pan in (CARD_CHIP["pan"], CARD_STRIPE["pan"]):
        # Eleven digits in a row are one more than first six and last four.
        needles += [pan[i : i + 11].encode() for i in range(len(pan) - 10)]
        needles += forms(pan)
    needles += [*forms(TRACK.replace("=", ""))[:3], TRACK.encode(), bytes.fromhex(TRACK.replace("=", "D")[:36])]
    searched = 0
    for path in out.rglob("*"):
        if path.is_file() and not path.is_symlink() and "code" not in path.relative_to(out).parts:
            data = path.read_bytes()
            searched += 1
            for needle in needles:
                assert needle not in data, f"{needle!r} in {path.name}"
    assert searched > 90


def test_what_the_search_looks_for_can_be_found(tmp_path):
    pan = str(CARD_CHIP["pan"])
    wire = b"\x02\x00" + bytes.fromhex(pan + "0") + b"\x00"
    assert any(form in wire for form in forms(pan))
    assert any(form in b"x" + bytes.fromhex("0" + pan) for form in forms(pan))


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_explain_tells_the_lost_reply(day, lang):
    _, out = day
    command = [sys.executable, "-m", "posaudit.cli", "explain", str(out / "journal.posj"), "--stan", "5"]
    command += ["--lang", lang, "--keys", str(out / "auditor-keys.json"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "13.00" in done.stdout


def test_one_flipped_bit_of_the_pulled_journal_is_found(day, tmp_path):
    _, out = day
    data = bytearray((out / "journal.posj").read_bytes())
    data[len(data) // 2] ^= 0x10
    bad = tmp_path / "bad.posj"
    bad.write_bytes(data)
    command = [sys.executable, "-m", "posaudit.cli", "verify", str(bad), "--keys", str(out / "auditor-keys.json")]
    assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 1


def test_cpython_and_micropython_leave_the_same_flash(tmp_path):
    """Clock and randomness injected: the same day gives the same bytes, vault and all."""
    digests = {}
    for interpreter in ("micropython", "cpython"):
        out = tmp_path / interpreter
        run_demo(out, "--injected", "--interpreter", interpreter)
        digests[interpreter] = hashlib.sha256((out / "flash.img").read_bytes()).hexdigest()
        journal = (out / "journal.posj").read_bytes()
        assert len(journal) > 10000
    assert digests["micropython"] == digests["cpython"]


def test_the_day_over_tls_on_cpython(tmp_path):
    summary = run_demo(tmp_path / "out", "--tls", "--interpreter", "cpython")
    assert summary["differences"] == 0 and summary["interpreter"].startswith("cpython")
