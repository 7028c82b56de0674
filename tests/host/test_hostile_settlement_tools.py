"""Defects of the settlement's host tools that a hostile review found: each test fails while its defect is there.

The docstrings say what goes wrong and which place has to change.
"""

import csv
import io
import json
import sqlite3
import tracemalloc

import journal_maker as jm
import pytest
from posaudit import acquirer_file
from posaudit.books import Books
from posaudit.cli import app as posaudit
from poslab import compare
from poslab.acquirer import export
from poslab.acquirer.faults import load_scenario
from poslab.acquirer.host import Host
from poslab.acquirer.ledger import Ledger
from poslab.acquirer.profile import load_profile
from test_acquirer_faults import fault
from test_acquirer_settlement import ZERO, books, only, settled, shop  # noqa: F401
from test_acquirer_wire import PROFILES, start  # noqa: F401
from typer.testing import CliRunner

TID = "80000042"
COLUMNS = ("tid", "batch", "stan", "type", "amount", "currency", "pan", "state", "settled_batch", "upload_code")


def cli(*args):
    return CliRunner(env={"LANG": "C", "LC_ALL": ""}).invoke(posaudit, [str(a) for a in args])


def row(stan, amount=100, batch=1, **values):
    """A sale as the acquirer has it: approved, and settled in its batch."""
    return {
        "tid": TID, "batch": batch, "stan": stan, "type": "sale", "amount": amount, "currency": "156", "pan": "",
        "state": "approved", "settled_batch": batch, "upload_code": "", **values,
    }  # fmt: skip


def text_of(rows, columns=COLUMNS):
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


@pytest.fixture
def reconcile(tmp_path):
    """Run reconcile on a journal and rows, or the text of a CSV file."""

    def run(maker, rows, *args):
        journal, other = tmp_path / "j.posj", tmp_path / "a.csv"
        journal.write_bytes(maker if isinstance(maker, bytes) else maker.file())
        other.write_text(rows if isinstance(rows, str) else text_of(rows), encoding="utf-8")
        return cli("reconcile", journal, "--acquirer", other, *args)

    return run


def closed_day(amounts=(100, 100), counting=jm.UNIONPAY):
    """Sales from STAN 2 on, in one batch that was closed balanced."""
    m = jm.Maker().begin(counting=counting)
    for stan, amount in enumerate(amounts, 2):
        m.approved_sale(stan, amount=amount)
    totals = [sum(amounts), len(amounts), *ZERO[2:]]
    m.settle()
    m.totals(90, totals)
    m.close(totals)
    return m


def books_of(maker):
    found = Books()
    for payload in maker.payloads:
        found.take(payload)
    return found


def differs(done):
    """True if reconcile said that something differs, or that it cannot compare."""
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code != 0


# -- reconcile says nothing, and money differs -------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["reversed", "declined"])
def test_01_money_settled_of_what_was_reversed_or_declined(reconcile, state):
    """The journal: no money moved. The acquirer: state reversed (or declined), and settled_batch filled: the merchant
    was paid. reconcile._compare returns before it looks at row.settled, so "Nothing differs" and exit 0; the lab's own
    batches.json calls the same thing reversed_after_close. What does not stand must have an empty settled_batch."""
    m = jm.Maker().begin()
    m.approved_sale(2, amount=100)
    if state == "reversed":
        m.reverse(m.silent_sale(3, amount=5000))
    else:
        m.declined_sale(3, amount=5000)
    m.settle()
    m.totals(90, [100, 1, *ZERO[2:]])
    m.close([100, 1, *ZERO[2:]])
    assert not differs(reconcile(m, [row(2), row(3, 5000, state=state, settled_batch="")]))
    assert differs(reconcile(m, [row(2), row(3, 5000, state=state, settled_batch=1)]))


def test_02_a_pair_that_cancels_may_be_settled_in_two_batches(reconcile):
    """Rule "cancels": the sale is settled in batch 1 and its void in batch 9 (or neither in their own). _settled skips
    taken_out before any comparison, and _Pairs.odd asks only whether the other one is settled at all: the sale's money
    stands in one day and is taken back in another, in no total of the journal. The two must name the same batch, their
    own; and none while it is open here."""
    m = jm.Maker().begin(counting=jm.ISO_1987)
    sale = m.approved_sale(2, amount=700)
    m.approved_sale(3, amount=700, kind=2, original=m.original(sale), slip=2)
    m.settle()
    m.totals(90, ZERO)
    m.close(ZERO)
    void = row(3, 700, type="void")
    assert not differs(reconcile(m, [row(2, 700), void]))
    assert differs(reconcile(m, [row(2, 700), {**void, "settled_batch": 9}]))


def test_03_a_batch_closed_with_other_totals_than_its_records(reconcile):
    """The terminal told the acquirer 1.00 and closed the batch with 1.00, while its records are 3.00. Books has the
    contradiction (odd_totals), explain --batch exits with 1, and reconcile, which has the same Books in hand, drops
    it: "Nothing differs", exit 0. compare() must list the contradictions of the batches it compares."""
    m = jm.Maker().begin()
    for stan in (2, 3, 4):
        m.approved_sale(stan, amount=100)
    told = [100, 1, *ZERO[2:]]
    m.settle()
    m.totals(90, told)
    m.close(told)
    assert differs(reconcile(m, [row(stan) for stan in (2, 3, 4)]))


def test_04_a_sale_approved_after_its_batch_was_closed_counts_as_settled(reconcile):
    """INTENT in batch 1, BATCH_CLOSED 1 without it, then its OUTCOME approved. Books._count puts it into the closed
    batch, so Record.place says "settled", although no total ever held it (only the odd_late, which reconcile does not
    read). It is in no batch: place must be no_batch where it was counted after BATCH_CLOSED."""
    m = jm.Maker().begin()
    m.approved_sale(2)
    late = m.intent(3, amount=900)
    m.settle()
    m.totals(90, [12800, 1, *ZERO[2:]])
    m.close([12800, 1, *ZERO[2:]])
    m.add(jm.REPLY, [late, 1, 3, "00", "000000000003", "A00003", 640])
    m.add(jm.OUTCOME, [late, 1, 0, "", 0])
    assert differs(reconcile(m, [row(2, 12800), row(3, 900)]))


@pytest.mark.parametrize("args", [("--tid", "80000024"), ("--batch", "11")], ids=["tid", "batch"])
def test_05_a_mistyped_filter_compares_nothing_and_finds_nothing(reconcile, args):
    """--tid or --batch that neither side knows: 0 transactions against 0 rows, "Nothing differs.", exit 0, "ok": true.
    A slip of the finger passes for a clean audit. cli_reconcile must refuse what the journal does not hold (exit
    2)."""
    done = reconcile(closed_day(), [row(2, 777), row(3, 888), row(4, 999)], *args)
    assert differs(done), done.stdout


def test_06_one_batch_alone_does_not_see_what_was_moved_into_it(reconcile):
    """--batch 1, and the acquirer settled a sale of batch 2 in batch 1: its batch 1 is 50.00 richer. compare() filters
    rows by `batch` only; rows with settled_batch 1 belong to the question too."""
    m = closed_day()
    m.approved_sale(50, batch=2, amount=5000)
    rows = [row(2), row(3), row(50, 5000, batch=2, settled_batch=1)]
    assert differs(reconcile(m, rows))
    assert differs(reconcile(m, rows, "--batch", "1"))


def test_07_a_thousands_separator_in_the_last_column_is_cut_off(reconcile):
    """A line with more fields than the header is taken: amount 2,000 without quotes in the last column is read as 2
    (and 2,50 as 2). acquirer_file._csv_rows refuses lines that are too short only; too long ones must be refused
    too."""
    text = text_of([row(2, 2)], (*(c for c in COLUMNS if c != "amount"), "amount"))
    assert not differs(reconcile(closed_day((2,)), text))
    assert differs(reconcile(closed_day((2,)), text.rstrip("\n") + ",000\n"))


@pytest.mark.parametrize("pan", ["******9999", "9999", "XXXX-9999"])
def test_08_a_card_masked_to_its_last_digits_is_not_compared(reconcile, pan):
    """acquirer_file.masked gives "" for ten characters or less: a file that shows the last four only (most do) is
    never compared by card, without a word. Other last four must be `differs`."""
    m = closed_day((100,))  # 622848******1234
    assert differs(reconcile(m, [row(2, pan=pan)]))


# -- files and the terminal --------------------------------------------------------------------------------------------


def ledger_file(path, **values):
    """The least that is taken for the lab's ledger, with one row."""
    fields = {**row(2), "copies": 1, **values}
    with sqlite3.connect(path) as db:
        db.execute(f"CREATE TABLE transactions ({', '.join(fields)})")
        db.execute(f"INSERT INTO transactions VALUES ({', '.join('?' * len(fields))})", list(fields.values()))
    db.close()
    return path


@pytest.mark.parametrize("column", ["batch", "stan"])
def test_09_a_hostile_ledger_drives_the_terminal(tmp_path, column):
    """SQLite columns hold any text: acquirer_file._sqlite_rows puts batch and STAN as they are, of any length, into
    the message of AcquirerFileError, and it goes to the screen with its escape sequences. _row quotes and cuts the
    values, `where` must too. (SQLite's own texts name tables and views of a damaged schema: clean them in the same
    way.)"""
    journal = tmp_path / "j.posj"
    journal.write_bytes(closed_day().file())
    path = ledger_file(tmp_path / "ledger", **{column: "\x1b]0;owned\x07\x1b[2J" + "9" * 100_000})
    done = cli("reconcile", journal, "--acquirer", path)
    assert done.exit_code == 2
    assert "\x1b" not in done.stderr
    assert len(done.stderr) < 2000


def test_10_a_ledger_that_is_a_program_never_ends(tmp_path):
    """`transactions` may be a view over a recursive query: rows without end, or none after hours. Only a table may be
    read (sqlite_master.type); rows of other terminals are free for the attacker, so no list limit helps."""
    path = tmp_path / "ledger"
    with sqlite3.connect(path) as db:
        values = ", ".join("n AS stan" if c == "stan" else f"'{v}' AS {c}" for c, v in row(1).items())
        db.execute(
            "CREATE VIEW transactions AS WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) "
            f"SELECT {values}, n AS rowid FROM c"
        )
    db.close()
    with pytest.raises(acquirer_file.AcquirerFileError):
        acquirer_file.open_acquirer(path)


def test_11_a_line_without_end_is_read_into_memory(tmp_path):
    """Rows are said to be read one at a time, but a row is a line of any length: csv.reader is given the stream, so
    the line is in memory before field_size_limit is asked. A file of one long line of fields takes several times its
    size. Lines must be read with a limit (as _header does)."""
    path = tmp_path / "a.csv"
    path.write_text(text_of([row(2)]) + "x," * 4_000_000, encoding="utf-8")
    tracemalloc.start()
    try:
        with pytest.raises(acquirer_file.AcquirerFileError):
            list(acquirer_file.open_acquirer(path).rows())
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


# -- explain --batch ---------------------------------------------------------------------------------------------------


def test_12_a_journal_that_begins_in_mid_batch_is_accused(tmp_path):
    """The ring came round: the file begins at entry 9, after the first sale of the batch. Books counts from nothing
    and calls the terminal's right totals a contradiction ("FINDINGS: the journal contradicts itself", exit 1). A batch
    whose start is not in the file (manifest.first_seq > 0) cannot be checked, and that is what must be said. "Nothing:
    a profile without settlement" is untrue there too: the CONFIG is what the file lacks; and without it reconcile
    knows no TID and ignores every row."""
    m = jm.Maker().begin()
    m.approved_sale(2, amount=100)
    rest = m.seq
    m.approved_sale(3, amount=100)
    m.settle()
    m.totals(90, [200, 2, *ZERO[2:]])
    m.close([200, 2, *ZERO[2:]])
    path = tmp_path / "j.posj"
    path.write_bytes(m.file(m.entries[rest:], first_seq=rest))
    done = cli("explain", path, "--batch", 1)
    assert "contradicts" not in done.stdout, done.stdout


@pytest.mark.parametrize("which", ["declined", "reversed", "never refused"])
def test_13_any_transaction_may_be_presented_again(which):
    """P_AGAIN of a declined or reversed sale, or of one whose record was never refused: money is taken by upload of
    what did not stand, and the batch's story has no finding. Books._take_sent complains only of unknown and of
    accepted records; it must of everything whose last verdict is not a refusal."""
    m = jm.Maker().begin()
    good = m.approved_sale(2, amount=100)
    declined = m.declined_sale(3)
    undone = m.silent_sale(4)
    m.reverse(undone)
    m.settle()
    m.totals(90, [100, 1, *ZERO[2:]])
    m.close([100, 1, *ZERO[2:]])
    m.upload(91, [{"declined": declined, "reversed": undone, "never refused": good}[which]], ["00"], purpose=4)
    assert [odd.key for b in books_of(m).batches for odd in b.odd]


def test_14_an_answer_to_the_totals_judges_records():
    """UPLOAD_REPLY with purpose 1 is well shaped; it meets the message of totals, whose items are amounts, and takes
    them for record numbers: a total of 0.04 makes transaction #4 "refused". Books must match only purposes 2 and 4
    there (and 1 and 3 for SETTLE_REPLY)."""
    m = jm.Maker().begin()
    txn = m.approved_sale(2, amount=4)
    assert txn == 4
    m.settle()
    m.totals(90, [4, 1, *ZERO[2:]])
    m.add(jm.UPLOAD_REPLY, [1, 90, 1, "51", ["51"] * 8, [0], 500, 0])
    m.close([4, 1, *ZERO[2:]], refused=1)
    found = books_of(m)
    assert found.records[txn].place == "settled"
    assert found.batches[0].odd


def refused_day():
    """Two sales uploaded, the second refused, the batch closed without it. Returns (maker, the two)."""
    m = jm.Maker().begin()
    numbers = [m.approved_sale(stan, amount=100) for stan in (2, 3)]
    totals = [200, 2, *ZERO[2:]]
    m.settle()
    m.totals(90, totals, flags=(2, 1), then=2)
    m.upload(91, numbers, ["00", "30"], [1])
    m.end(92, 2)
    m.close(totals, how=2, flags=(2, 1), uploaded=1, refused=1)
    return m, numbers


def test_15_a_write_off_of_what_was_taken_hides_that_it_is_not_settled(reconcile):
    """Decision 4 on a record the host acknowledged: Record.place asks for written_off before the verdict, so the
    acquirer may leave the sale unsettled and reconcile calls it a note, exit 0. docs: "refused, and decision 4". The
    decision counts only where the host's last word is a refusal; otherwise it is a contradiction."""
    m, (good, bad) = refused_day()
    m.decide(bad, 4)
    rows = [row(2), row(3, settled_batch="")]
    assert not differs(reconcile(m, rows))
    m.decide(good, 4)
    assert differs(reconcile(m, [row(2, settled_batch=""), rows[1]]))


def test_16_a_batch_closed_by_nobody():
    """BATCH_CLOSED how 3 ("by a signed decision") and no decision 5 in the journal, no answer of the host either:
    Books skips its checks for how 3, so there is no finding, and reconcile takes any settled_batch for it. Without a
    HUMAN 5 that names this settlement it is a contradiction."""
    m = jm.Maker().begin()
    m.approved_sale(2, amount=100)
    m.settle()
    m.totals(90, [100, 1, *ZERO[2:]], verdict=2, flags=(), then=0, code="", retry=15000)
    m.close([100, 1, *ZERO[2:]], how=3, flags=())
    assert books_of(m).batches[0].odd


def test_17_an_answer_after_the_close_forgives_a_refusal():
    """SETTLE_REPLY "upload from the first" for a message of a batch that is closed already: Books wipes the verdicts
    of its records, and the refused one is "settled" from then on, without a finding. Nothing but P_AGAIN may change a
    closed batch; what comes after the close is a contradiction."""
    m, (_, bad) = refused_day()
    assert books_of(m).records[bad].place == "refused"
    m.totals_reply(90, flags=(2, 1), then=2)
    found = books_of(m)
    assert found.records[bad].place == "refused"
    assert found.batches[0].odd


def test_18_a_batch_number_that_came_round_again_is_paired_by_amount_only(reconcile):
    """Batch 1, STAN 2 occurs twice: declined, and after the wrap approved, both of 1.00. The acquirer's one row meets
    the first of equal amount, so an honest day has two findings. The one that fits better is the one _compare finds
    nothing against."""
    m = jm.Maker().begin()
    m.declined_sale(2, amount=100)
    m.approved_sale(3, amount=100)
    totals = [100, 1, *ZERO[2:]]
    m.settle()
    m.totals(90, totals)
    m.add(jm.BATCH_CLOSED, [1, 1, totals, [], [1, 1], 0, 0, 0, 1])
    m.approved_sale(2, amount=100)
    done = reconcile(m, [row(3), row(2, settled_batch="")])
    assert not differs(done), done.stdout


# -- poslab compare ----------------------------------------------------------------------------------------------------


@pytest.fixture
def two_terminals(tmp_path):
    """A journal of one sale of 1.00, open; the ledger has it under another terminal's TID only, or with 0.01."""
    m = jm.Maker().begin()
    m.approved_sale(2, amount=100)
    journal = tmp_path / "j.posj"
    journal.write_bytes(m.file())
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger(path)
    with ledger.transaction():
        for kind in ("sale", "completion"):
            ledger.insert("rule", type=kind, counts="debit")
        for tid, amount in ((TID, 1), ("90000001", 100)):
            ledger.insert(
                "transactions", tid=tid, batch=1, stan=2, mti="0200", type="sale", amount=amount, asked=100,
                currency="156", pan="622848*1234", code="00", rrn=f"{amount:012}", auth="", state="approved",
                created_at=1, updated_at=1,
            )  # fmt: skip
    ledger.close()
    return journal, path


def test_19_another_terminals_books_stand_in_for_this_ones(two_terminals):
    """compare.ledger_states and compare.batches key the ledger by batch and STAN, without the TID: with a second
    terminal its row hides this one's, transactions.json and batches.json say agree: true while the acquirer has 0.01
    for a sale of 1.00. Key by TID, as posaudit reconcile does."""
    journal, path = two_terminals
    assert not all(r["agree"] for r in compare.rows(journal, path) if r["txn"] is not None)
    assert not all(r["agree"] for r in compare.batches(journal, path) if r["journal_totals"])


def test_20_amounts_that_differ_both_ways_agree(tmp_path):
    """Two sales of 1.00 booked as 0.90 and 1.10: the totals are equal, the batch closes balanced, and batches.json
    says agree: true. _agree must look at the batch's transactions too (rows() has them), or not claim "to the
    cent"."""
    journal, path = tmp_path / "j.posj", tmp_path / "ledger.sqlite"
    journal.write_bytes(closed_day().file())
    ledger = Ledger(path)
    with ledger.transaction():
        ledger.insert("rule", type="sale", counts="debit")
        ledger.insert("batches", tid=TID, batch=1, state="closed", how="balanced", created_at=1)
        for stan, amount in ((2, 90), (3, 110)):
            ledger.insert(
                "transactions", tid=TID, batch=1, stan=stan, mti="0200", type="sale", amount=amount, asked=100,
                currency="156", pan="622848*1234", code="00", rrn=f"{stan:012}", auth="", state="approved",
                settled_batch=1, created_at=1, updated_at=1,
            )  # fmt: skip
    ledger.close()
    assert [r["agree"] for r in compare.batches(journal, path)] == [False]


# -- the acquirer ------------------------------------------------------------------------------------------------------


def test_21_an_upload_into_a_closed_batch_changes_what_was_agreed(shop):  # noqa: F811
    """Totals agreed, batch closed. Then a 0320 for that batch: a record with another amount overwrites the booked one,
    a record nobody knows is booked and settled. "Which a closed batch allows" is for records that were refused: in a
    closed batch Settlement._upload must take only those (old code not 00, same amount, card and type), else 12."""
    acquirer, till = shop()
    till.sell(2, 1000)
    till.settle([1000, 1, *ZERO[2:]])
    assert only(acquirer)["state"] == "closed"
    codes = till.upload((2, 999999)) + till.upload((77, 5000))
    assert (books(acquirer)[2]["amount"], settled(acquirer)) == (1000, {2: 7})
    assert not {"00", "94"} & set(codes)


def test_22_a_record_presented_again_may_be_another_one(shop):  # noqa: F811
    """A refused record of 2.00 is presented again as 9999.00 with another card, after the close: taken, and the books
    follow. Settlement._upload compares with the earlier record only if that was taken; a refused one is replaced by
    whatever comes under its STAN."""
    acquirer, till = shop(fault("refuse_record", "stan = 2", code='"51"'))
    till.sell(2, 200)
    till.settle([201, 1, *ZERO[2:]])
    assert till.upload((2, 200)) == ["51"]
    assert till.end(1, ZERO) == "00"
    codes = till.upload((2, 999900, "sale", "6226009999999999999"))
    assert books(acquirer)[2]["amount"] == 200
    assert not {"00", "94"} & set(codes)


def test_23_a_refused_record_twice_in_a_message_is_said_to_be_there(shop):  # noqa: F811
    """The host refuses a record and answers its copy in the same message with 94, "has it", which the profile accepts:
    the terminal's last word on it is "taken", the host's is 51. The copy must get the code of the first."""
    _, till = shop(fault("refuse_record", "stan = 2", code='"51"'))
    till.settle([100, 1, *ZERO[2:]])
    assert till.upload((2, 100), (2, 100)) == ["51", "51"]


def test_24_what_comes_after_the_agreed_totals_is_settled_with_them(shop):  # noqa: F811
    """Totals agreed on 10.00, chip records still to come; a delayed sale request of 50.00 arrives (the terminal owes
    its reversal). _close of a balanced batch settles all that is approved: 60.00, though both sides said 10.00. What
    was approved after the agreed answer is late, and not settled."""
    acquirer, till = shop()
    till.sell(2, 1000, mode="051")
    assert till.verdict(till.settle([1000, 1, *ZERO[2:]])) == ("1", "1")
    till.sell(3, 5000)
    assert till.ask("0320", till.chip((2, 1000)))["39"] == "00"
    assert till.end(1, ZERO, "207") == "00"
    assert only(acquirer)["host_totals_at_close"][:2] == [1000, 1]


MISFITS = {
    "record stan": ("60", "0200ABCDEF" + " " * 12),
    "batch": ("62", "ABCDEF"),
}


@pytest.mark.parametrize("name", MISFITS)
def test_25_letters_where_a_number_belongs_raise_out_of_the_host(tmp_path, name):
    """DE60 and DE62 of the 1987 profile are text: a 0320 whose record STAN or batch is no number raises ValueError out
    of Host.handle (Message.read checks widths, not digits): a task that dies with a traceback in place of DE39 30, and
    the message is not even recorded, as its transaction is rolled back. The same for `batch` in a 0500."""
    host, ledger = lab_host(tmp_path)
    number, text = MISFITS[name]
    fields = {
        2: "6226001234567890123", 3: "000000", 4: "000000000100", 11: "000501", 22: "021", 24: "003", 25: "00",
        41: "POS00001", 42: "M00000000000001", 49: "156", 60: "0200000002" + " " * 12, 62: "000007",
    }  # fmt: skip
    fields[int(number)] = text
    try:
        assert ask(host, "0320", fields) == "30"
    finally:
        ledger.close()


def lab_host(tmp_path):
    (tmp_path / "s.toml").write_text("")
    ledger = Ledger(tmp_path / "ledger.sqlite")
    profile = load_profile(PROFILES / "iso8583_1987.json")
    return Host(profile, ledger, bytes(16), load_scenario(tmp_path / "s.toml")), ledger


def ask(host, mti, fields):
    """DE39 of a request given as fields."""
    from poslab.acquirer import codec
    from poslab.acquirer.request import identify

    tpdu = bytes.fromhex("6000030000")
    wire = codec.decode(host.profile, tpdu + codec.encode(host.profile, mti, fields, None))
    return host.handle(identify(host.profile, wire), None).fields[39]


def test_26_formulas_reach_the_settlement_file(tmp_path):
    """A record the books lack brings its own RRN and authorisation code, and "an" is not checked to be letters and
    digits (codec._charset_ok): "=1+HYPERLINK" goes through export into a cell of the acquirer's spreadsheet. Refuse it
    with 30; a TID is text of the same kind."""
    host, ledger = lab_host(tmp_path)
    common = {11: "000500", 24: "003", 41: "POS00001", 42: "M00000000000001"}
    totals = "001000000000100" + "0" * 15 + "0" * 60
    ask(host, "0500", {**common, 3: "920000", 60: "000007", 63: totals})
    record = {
        **common, 2: "6226001234567890123", 3: "000000", 4: "000000000100", 11: "000501", 22: "021", 25: "00",
        37: "=1+1+cmd|' /", 38: "@SUM(1", 49: "156", 60: "0200000002" + " " * 12, 62: "000007",
    }  # fmt: skip
    try:
        ask(host, "0320", record)
    except ValueError:
        pass  # codec.WireError: it is refused
    ask(host, "0500", {**common, 3: "960000", 11: "000502", 60: "000007", 63: totals})
    ledger.close()
    path = tmp_path / "a.csv"
    export(tmp_path / "ledger.sqlite", path)
    cells = [cell for line in csv.reader(path.open(encoding="utf-8")) for cell in line]
    assert not [cell for cell in cells if cell[:1] in ("=", "+", "-", "@")], json.dumps(cells)
