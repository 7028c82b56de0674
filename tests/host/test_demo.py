"""The demo's day with real processes: on MicroPython in its bounded heap, on CPython over TLS, and byte by byte
alike.
"""

import hashlib
import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from interpreters import ROOT
from posaudit.show import read_entries
from poslab import compare
from poslab.closing_day import STRIPE_HOME
from poslab.day import CARD_CHIP, CARD_STRIPE

from posfw import numbers as n

pytestmark = pytest.mark.demo
TRACKS = (CARD_STRIPE["track2"], STRIPE_HOME["track2"])


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
    for kind in ("void", "refund"):
        tried = [r["journal_state"] for r in rows if r["type"] == kind and r["batch"] == 1]
        assert tried == ["reversed", "approved"] * 2
    found = {row["amount"]: row["acquirer_state"] for row in rows if row["batch"] > 1 and row["type"] == "sale"}
    assert found.pop(4100) == "recovered" and set(found.values()) == {"approved"} and len(found) == 17


@pytest.fixture(scope="module")
def journal(day):
    """The payloads of the pulled journal, in order."""
    _, out = day
    return [entry.payload for entry in read_entries(out / "journal.posj")[1]]


def bodies(journal, kind):
    """Bodies of the entries of `kind`."""
    return [p[6] for p in journal if p[1] == kind]


def of_batch(journal, batch):
    """The payloads from the first INTENT of `batch` to its VAULT_DESTROYED."""
    first = next(p[0] for p in journal if p[1] == n.INTENT and p[6][1] == batch)
    last = next(p[0] for p in journal if p[1] == n.VAULT_DESTROYED and p[6][0] == batch)
    return [p for p in journal if first <= p[0] <= last]


def query(out, sql, *values):
    """Rows of the acquirer's ledger."""
    with sqlite3.connect(f"file:{out / 'ledger.sqlite'}?mode=ro", uri=True) as db:
        return db.execute(sql, values).fetchall()


def test_totals_agree_to_the_cent_and_every_batch_is_closed(day):
    summary, out = day
    rows = json.loads((out / "batches.json").read_text())
    assert [row["batch"] for row in rows] == [1, 2, 3, 4] and summary["batches"] == 4
    assert summary["batch_differences"] == 0 and all(row["agree"] is True for row in rows)
    transactions = json.loads((out / "transactions.json").read_text())
    for row in rows:
        stands = [t for t in transactions if t["batch"] == row["batch"] and t["journal_state"] == "approved"]
        debit = [t["amount"] for t in stands if t["type"] == "sale"]
        credit = [t["amount"] for t in stands if t["type"] != "sale"]
        for side in ("journal_totals", "acquirer_totals"):
            both = [row[side][at] + row[side][at + 4] for at in range(4)]
            assert both == [sum(debit), len(debit), sum(credit), len(credit)], (row["batch"], side)
            assert min(row[side][1], row[side][3], row[side][5]) > 0  # both schemes, both directions
        assert row["state"] == "closed"
        assert row["sent"] == row["acknowledged"] + row["refused"] > 2
    assert [row["how"] for row in rows] == ["balanced", "uploaded", "balanced", "balanced"]
    assert [(row["refused"], row["presented"]) for row in rows] == [(0, 0), (0, 0), (1, 1), (0, 0)]


def test_a_lost_reply_to_the_totals_is_asked_for_again_under_its_stan(day, journal):
    _, out = day
    sent = [body for body in bodies(journal, n.SETTLE_SENT) if body[:2] == [n.P_TOTALS, 1]]
    assert len(sent) == 1
    replies = [body for body in bodies(journal, n.SETTLE_REPLY) if body[1] == sent[0][2] and body[0] == n.P_TOTALS]
    assert [body[2] for body in replies] == [n.V_SILENCE, n.V_MATCHED]
    came = query(out, "SELECT stan FROM messages WHERE type = 'settlement' AND batch = 1 AND direction = 'in'")
    assert came == [(sent[0][2],)] * 2


def test_an_unbalanced_batch_goes_up_through_two_kills_each_record_taken_once(day, journal):
    _, out = day
    entries = of_batch(journal, 2)
    (told,) = [p[6] for p in entries if p[1] == n.SETTLE_REPLY and p[6][0] == n.P_TOTALS]
    (totals,) = [p[6][3] for p in entries if p[1] == n.SETTLE_SENT and p[6][0] == n.P_TOTALS]
    assert told[4] == [2, 2]
    # Lost and short by 7 at home; booked twice abroad.
    assert [host - own for host, own in zip(told[5], totals, strict=True)] == [-4107, -1, 0, 0, 4300, 1, 0, 0]
    uploads = [p for p in entries if p[1] == n.SETTLE_SENT and p[6][0] == n.P_UPLOAD]
    boots = [p[0] for p in entries if p[1] == n.BOOT]
    assert len(boots) == 2
    packs = {p[6][2]: p[6][3] for p in uploads}
    taken = []
    for p in entries:
        if p[1] == n.UPLOAD_REPLY:
            assert p[6][2] == n.V_MATCHED and set(p[6][4]) == {"00"} and p[6][5] == []
            taken.append((p[0], packs[p[6][1]]))
    for boot in boots:  # a message was on its way, and there were records before and behind it
        assert sum(at < boot for at, _ in taken) == sum(p[0] < boot for p in uploads) - 1
        assert 0 < sum(at < boot for at, _ in taken) < len(taken) - 1
    counted = [p[6][0] for p in entries if p[1] == n.OUTCOME and p[6][1] == n.APPROVED]
    assert [number for _, pack in taken for number in pack] == counted and len(counted) == 13
    # At the acquirer: each record once, and no message was ever answered "has it already".
    came = "SELECT COUNT(*), COUNT(DISTINCT stan) FROM uploads WHERE batch = 2 AND code = '00'"
    assert query(out, came) == [(13, 13)]
    answers = "SELECT DISTINCT code FROM messages WHERE batch = 2 AND direction = 'out' AND type LIKE 'upload%'"
    assert query(out, answers) == [("00",)]
    corrected = "SELECT amount, booked, copies, recovered, settled_batch FROM transactions WHERE amount = ?"
    assert query(out, corrected, 4100) == [(4100, None, 1, 1, 2)]
    assert query(out, corrected, 4200) == [(4200, 4193, 1, 0, 2)]
    assert query(out, corrected, 4300) == [(4300, None, 1, 0, 2)]


def test_a_refused_record_has_its_slip_and_is_taken_when_presented_again(day, journal):
    _, out = day
    (closed,) = [body for body in bodies(journal, n.BATCH_CLOSED) if body[0] == 3]
    assert (closed[5], closed[6]) == (2, 1)
    ((_, cause, code, number),) = [body for body in bodies(journal, n.UNSETTLED) if body[0] == 3]
    (stan,) = [p[6][0] for p in journal if p[0] == number]
    assert (cause, code) == (n.CAUSE_UPLOAD, "51")
    (slip,) = (out / "slips").glob("*-upload.txt")
    text = slip.read_text(encoding="utf-8")
    assert f"{stan:06d}" in text and "52.00" in text and "51" in text
    assert [body[3] for body in bodies(journal, n.SETTLE_SENT) if body[0] == n.P_AGAIN] == [[number]]
    settled = "SELECT settled_batch, upload_code FROM transactions WHERE batch = 3 AND stan = ?"
    assert query(out, settled, stan) == [(3, "00")]


def test_an_overdue_batch_is_told_on_paper_at_boot_and_at_the_next_sale(day, journal):
    _, out = day
    (told,) = [p for p in journal if p[1] == n.UNSETTLED and p[6][1] == n.CAUSE_NOT_SETTLED]
    opened = next(p[4] for p in journal if p[1] == n.INTENT and p[6][1] == 4)
    assert told[6] == [4, n.CAUSE_NOT_SETTLED, "", opened] and told[4] - opened > 30 * 3600
    reminders = [p[0] for p in journal if p[1] == n.SLIP and p[6][1:3] == [n.SLIP_REMINDER, n.PRINT_STARTED]]
    boot = max(p[0] for p in journal if p[1] == n.BOOT)
    assert len(reminders) == 2 and told[0] < reminders[0] < boot < reminders[1]
    assert {body[0] for body in bodies(journal, n.SLIP) if body[1] == n.SLIP_REMINDER} == {told[0]}
    assert len(list((out / "slips").glob("*-reminder.txt"))) == 2
    # One for the totals of the second batch, one for this.
    assert len(list((out / "slips").glob("*-settle-failed.txt"))) == 2


def test_each_vault_key_goes_after_its_batch(journal):
    destroyed = bodies(journal, n.VAULT_DESTROYED)
    assert destroyed == [[1, 0], [2, 0], [3, 1], [4, 0]]  # the refused record was moved out of the third
    for batch in (1, 2, 3, 4):
        closed = next(p[0] for p in journal if p[1] == n.BATCH_CLOSED and p[6][0] == batch)
        assert closed < next(p[0] for p in journal if p[1] == n.VAULT_DESTROYED and p[6][0] == batch)


def posaudit(*args):
    """Exit code of posaudit."""
    command = [sys.executable, "-m", "posaudit.cli", *map(str, args)]
    return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode


def test_books_that_differ_are_found_in_totals_and_by_reconcile(day, tmp_path):
    _, out = day
    ledger = tmp_path / "ledger.sqlite"
    keys = ("--keys", out / "auditor-keys.json", "--acquirer", ledger)
    changes = {
        "UPDATE transactions SET amount = amount + 1 WHERE batch = 3 AND amount = 5100": [3],
        "UPDATE transactions SET settled_batch = NULL WHERE batch = 2 AND amount = 4500": [2],
        "UPDATE transactions SET copies = 2 WHERE batch = 4 AND amount = 6100": [4],
        "UPDATE batches SET state = 'uploading' WHERE batch = 1": [1],
    }
    for change, wrong in {"": [], **changes}.items():
        shutil.copyfile(out / "ledger.sqlite", ledger)
        with sqlite3.connect(ledger) as db:
            db.execute(change)
        found = compare.batches(out / "journal.posj", ledger)
        assert [row["batch"] for row in found if not row["agree"]] == wrong, change
        if "UPDATE batches" not in change:  # reconcile looks at transactions
            assert posaudit("reconcile", out / "journal.posj", *keys) == (1 if wrong else 0), change
        db.close()


def test_the_outputs_are_where_they_are_promised(day):
    _, out = day
    made = ("flash.img", "journal.posj", "auditor-keys.json", "ledger.sqlite", "transactions.json", "batches.json")
    for name in made:
        assert (out / name).stat().st_size > 0, name
    slips = sorted((out / "slips").glob("*.bin"))
    whole = [s for s in slips if not s.name.endswith(".partial.bin")]
    assert len(whole) >= 40 and len(slips) == len(whole) + 1  # one slip met the end of the paper
    for slip in whole:
        assert slip.with_suffix(".txt").read_text(encoding="utf-8").strip()
    kinds = {slip.stem.split("-", 1)[1] for slip in whole}
    assert kinds >= {
        "settlement",
        "settle-failed",
        "upload",
        "reminder",
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
    for track in TRACKS:
        needles += [*forms(track.replace("=", ""))[:3], track.encode(), bytes.fromhex(track.replace("=", "D")[:36])]
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
