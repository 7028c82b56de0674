"""posaudit on settlement: a batch's story, its own arithmetic, reconciliation with the acquirer, status, resolve."""

import csv
import io
import json
import random
import sqlite3
import subprocess
import sys

import cbor2
import journal_maker as jm
import pytest
import random_days
from posaudit import acquirer_file, explain
from posaudit.batch_lines import lines
from posaudit.batch_story import NoBatch, choose, read_batch, to_dict
from posaudit.books import Books
from posaudit.cli import app
from posaudit.describe import Context, describe
from posaudit.keys import AuditorKeys
from posaudit.names import misshapen, txn_of, well_shaped
from posaudit.reconcile import compare
from poslab.acquirer import export
from poslab.acquirer.ledger import Ledger
from test_posaudit_pull import Device
from typer.testing import CliRunner

from posfw.engine.fold import apply
from posfw.engine.state import State
from posfw.receipt.text import cause_text

ZERO = [0] * 8


def cli(*args, **env):
    return CliRunner(env={"LANG": "C", "LC_ALL": "", **env}).invoke(app, [str(a) for a in args])


def value_of(*args):
    return json.loads(cli(*args, "--json").stdout)


@pytest.fixture
def key_file(tmp_path):
    path = tmp_path / "keys.json"
    AuditorKeys(jm.MASTER, {jm.TERMINAL: jm.JOURNAL_ID}).save(path, new=True)
    return path


@pytest.fixture
def posj(tmp_path):
    def write(data, name="j.posj"):
        path = tmp_path / name
        path.write_bytes(data if isinstance(data, bytes) else data.file())
        return path

    return write


@pytest.fixture
def start():
    devices = []

    def make(kind=Device, *args):
        devices.append(kind(*args))
        return devices[-1]

    yield make
    for device in devices:
        device.close()


def books_of(maker):
    books = Books()
    for payload in maker.payloads:
        books.take(payload)
    return books


def state_of(maker):
    state = State()
    for payload in maker.payloads:
        apply(state, payload)
    return state


def odd_of(maker, batch=0):
    return [odd.key for odd in books_of(maker).batches[batch].odd]


# -- entries -----------------------------------------------------------------------------------------------------------


def test_each_new_kind_has_its_words():
    m, _ = jm.upload_day()
    m.settle(batch=2, reason=5)
    m.unsettled(9, number=jm.NOON, batch=2)
    m.unsettled(9, "57", 4, batch=2)
    m.unsettled(8, "03", 1, batch=2)
    m.add(jm.SETTLE_REPLY, [1, 12, 11, "03", [], [], 0, 500, 1000])
    m.upload_reply(13, [1, 2], verdict=11)
    m.add(jm.SETTLE_SENT, [9, 2, 14, [1], 0])
    shown = {}
    for lang in ("en", "zh"):
        context = Context(lang, 480, True, "156")
        texts = {p[0]: describe(p, context) for p in m.payloads if p[1] in (*range(15, 20), 25)}
        assert all("{" not in text and "[" not in text for text in texts.values())
        shown[lang] = "\n".join(texts.values())
    for words in ("nearly full", "past its deadline, since 2026-06-01 12:00:00", "after 4 attempts", "57",
                  "Check merchant data", "refuses the message as a whole", "purpose 9"):  # fmt: skip
        assert words in shown["en"], words
    assert "整个报文未被接受" in shown["zh"]
    lost = [9, jm.UPLOAD_REPLY, 1, 1, 1, 1, [2, 7, 10, "", [""], [0], 0, 0]]
    assert "are lost" in describe(lost, Context()) and "refused: number 1" in describe(lost, Context())
    busy = [9, jm.UPLOAD_REPLY, 1, 1, 1, 1, [2, 7, 11, "91", [], [], 500, 15000]]
    assert "next try in 15.0 s" in describe(busy, Context()) and "as a whole" not in describe(busy, Context())


def test_configurations_with_and_without_counting_are_read():
    for counting in (None, jm.UNIONPAY, jm.ISO_1987):
        payload = jm.Maker().begin(counting=counting).payloads[0]
        assert well_shaped(payload)
        assert ("void" in describe(payload, Context())) == (counting is not None)
    assert "void takes its original out" in describe(jm.Maker().begin(counting=jm.ISO_1987).payloads[0], Context())
    body = jm.Maker().begin().payloads[0][6]
    for wrong in ("12201", "1220100", "122014", 122010, None):
        assert misshapen([0, jm.CONFIG, 1, 1, 1, 1, [*body[:8], wrong]])


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (jm.SETTLE_SENT, [0, 1, 0, [], 0]),
        (jm.SETTLE_SENT, [1, 1, 7, [0] * 7, 0]),
        (jm.SETTLE_SENT, [2, 1, 7, [], 0]),
        (jm.SETTLE_SENT, [2, 1, 7, ["4"], 0]),
        (jm.SETTLE_SENT, [3, 1, 7, [1, 2], 0]),
        (jm.SETTLE_REPLY, [1, 7, 1, "00", [1], [], 5, 1, 0]),
        (jm.SETTLE_REPLY, [1, 7, 1, "00", [], [0] * 7, 5, 1, 0]),
        (jm.UPLOAD_REPLY, [2, 7, 1, "00", [0], [], 1, 0]),
        (jm.UPLOAD_REPLY, [2, 7, 1, "00", ["00"], [-1], 1, 0]),
        (jm.BATCH_CLOSED, [1, 1, [], [], [], 0, 0, 0, 2]),
        (jm.UNSETTLED, [1, 9, None, 0]),
    ],
)
def test_bodies_of_another_shape_are_not_trusted(kind, body):
    payload = [9, kind, 1, 1, 1, 1, body]
    assert misshapen(payload)
    assert txn_of(payload) is None
    books = Books()
    books.take(payload)
    assert books.present.events == []


def test_which_transaction_an_entry_belongs_to():
    m, names = jm.upload_day()
    by_kind = {(p[1], p[6][1]): txn_of(p) for p in m.payloads if p[1] in (jm.UNSETTLED, jm.SLIP, jm.HUMAN)}
    assert by_kind[jm.UNSETTLED, 10] is None
    assert by_kind[jm.UNSETTLED, 11] == names["hopeless"]
    assert by_kind[jm.SLIP, 9] is None
    assert by_kind[jm.SLIP, 16] is None
    assert by_kind[jm.HUMAN, 4] == names["hopeless"]
    assert txn_of(m.payloads[names["again"]]) == names["refused"]
    m.decide(names["begun"], 5)
    assert txn_of(m.payloads[-1]) is None


def test_show_finds_uploads_by_record_and_by_stan(posj):
    m, names = jm.upload_day()
    path = posj(m)

    def kinds(*args):
        return [e["name"] for e in value_of("show", path, *args)["entries"]]

    own = kinds("--txn", names["refused"])
    assert own[5:] == ["SETTLE_SENT", "UPLOAD_REPLY", "UNSETTLED", "SETTLE_SENT", "UPLOAD_REPLY"]
    assert kinds("--stan", 3) == own
    assert kinds("--stan", 6) == ["SETTLE_SENT", "SETTLE_REPLY"]
    assert kinds("--kind", "batch-closed") == ["BATCH_CLOSED"]


# -- arithmetic: this tool's own, against what was done by hand and against the engine --------------------------------


def busy_day(counting):
    """Every way a transaction enters the totals, or leaves them. Returns (maker, its records by name)."""
    m = jm.Maker().begin(counting=counting)
    r = {}
    r["sale"] = m.approved_sale(2, amount=10000)
    r["abroad"] = m.approved_sale(3, amount=700, scheme=2)
    r["voided"] = m.approved_sale(4, amount=300)
    r["void"] = m.approved_sale(5, amount=300, kind=2, original=m.original(r["voided"]), slip=2)
    r["refund"] = m.approved_sale(6, amount=50, kind=3, original=m.original(r["sale"]), slip=3)
    r["preauth"] = m.approved_sale(7, amount=9000, kind=4, slip=12)
    r["completion"] = m.approved_sale(8, amount=8000, kind=5, original=m.original(r["preauth"]), slip=13)
    m.declined_sale(9)
    r["cancelled"] = m.approved_sale(10, amount=111)
    m.add(jm.OUTCOME, [r["cancelled"], 5, 16, "96", 0])
    m.reverse(r["cancelled"])
    r["kept"] = m.approved_sale(11, amount=40, scheme=2)
    r["void cancelled"] = m.approved_sale(12, amount=40, kind=2, original=m.original(r["kept"]), slip=2, scheme=2)
    m.add(jm.OUTCOME, [r["void cancelled"], 5, 16, "96", 0])
    m.reverse(r["void cancelled"])
    r["silent"] = m.silent_sale(13, amount=77)
    m.reverse(r["silent"])
    r["charged"] = m.silent_sale(14, amount=5)
    m.add(jm.UNRESOLVED, [r["charged"], 4, 3])
    m.decide(r["charged"], 2)
    r["undone"] = m.silent_sale(15, amount=6)
    m.add(jm.UNRESOLVED, [r["undone"], 4, 3])
    m.decide(r["undone"], 1)
    return m, r


BUSY = {jm.UNIONPAY: [18305, 4, 350, 2, 740, 2, 0, 0], jm.ISO_1987: [18005, 3, 50, 1, 740, 2, 0, 0]}


@pytest.mark.parametrize("counting", BUSY)
def test_what_counts_is_added_up_apart_from_the_engine(counting):
    m, r = busy_day(counting)
    batch = books_of(m).present
    assert batch.totals() == BUSY[counting] == state_of(m).totals
    pair = {r["voided"], r["void"]} if counting == jm.ISO_1987 else set()
    assert {n for n, x in batch.counted.items() if x.taken_out is not None} == pair
    counted = [n for n, x in batch.counted.items() if x.taken_out is None]
    out = {r[name] for name in ("preauth", "cancelled", "void cancelled", "silent", "undone")} | pair
    assert sorted(counted) == sorted(set(r.values()) - out)
    assert counted[-1] == r["charged"], "in the order of the entries that counted them"
    assert batch.odd == []


@pytest.mark.parametrize("counting", BUSY)
def test_a_void_across_the_batch_boundary_is_a_credit(counting):
    m = jm.Maker().begin(counting=counting)
    sale = m.approved_sale(2, amount=900)
    m.settle()
    m.totals(3, [900, 1, *ZERO[2:]])
    m.close([900, 1, *ZERO[2:]])
    m.approved_sale(4, batch=2, amount=900, kind=2, original=m.original(sale), slip=2)
    books = books_of(m)
    assert books.present.number == 2
    assert books.present.totals() == [0, 0, 900, 1, 0, 0, 0, 0] == state_of(m).totals
    assert [b.odd for b in books.batches] == [[], []]


def test_a_decision_after_close_of_day_began_changes_no_totals():
    m = jm.Maker().begin()
    m.approved_sale(2, amount=900)
    stuck = m.silent_sale(3, amount=100)
    m.add(jm.UNRESOLVED, [stuck, 4, 3])
    m.settle()
    m.decide(stuck, 2)
    m.totals(4, [900, 1, *ZERO[2:]])
    m.close([900, 1, *ZERO[2:]])
    books = books_of(m)
    assert books.records[stuck].place == "no_batch"
    assert books.batches[0].odd == []


def test_without_counting_nothing_is_guessed(posj):
    for counting in (None, "000000"):
        m = jm.Maker().begin(counting=counting)
        sale = m.approved_sale(2)
        books = books_of(m)
        assert books.present.totals() == ZERO == state_of(m).totals
        assert books.records[sale].money
        path = posj(m)
        assert "without settlement" in cli("explain", path, "--batch", 1).stdout
        assert "not counted" not in cli("explain", path, "--stan", 2).stdout


# -- the batch's story -------------------------------------------------------------------------------------------------


def test_a_balanced_batch_is_told(posj, key_file):
    path = posj(jm.balanced_day())
    done = cli("explain", path, "--batch", 1, "--keys", key_file)
    assert done.exit_code == 0, done.output
    for words in (
        "Batch 000001", "80000042", "TEA HOUSE 茶馆", "by the operator", "(UTC+08:00)",
        "domestic, debit: 2 for 125.00 CNY", "domestic, credit: 1 for 5.00 CNY",
        "international, debit: 1 for 70.00 CNY", "international, credit: 0 for 0.00 CNY",
        "Settlement: No connection", "meanwhile: Started", "STAN 000007: answered 00", "after 1 that did not count",
        "Closed balanced", "The next batch is 000002", "vault key was destroyed", '"settlement" (for #35): printed',
        "Verified", "Not in it: 1",
    ):  # fmt: skip
        assert words in done.stdout, words
    assert "the acquirer has" not in done.stdout
    assert "FINDINGS" not in done.stdout
    chinese = cli("explain", path, "--batch", 1, "--lang", "zh").stdout
    for words in ("批次 000001", "内卡借记：2 笔，125.00 CNY", "对平", "下一批次 000002", "未验证"):
        assert words in chinese, words
    value = value_of("explain", path, "--batch", 1, "--keys", key_file)
    assert (value["state"], value["verified"], value["contradictions"], value["owed"]) == ("closed", True, [], [])
    assert value["totals"] == value["sent_totals"] == value["host_totals"] == value["closed"]["totals"]
    assert value["closed"]["next_batch"] == 2
    (message,) = value["messages"]
    assert (message["stan"], message["failures"], message["answer"], message["code"]) == (7, 1, 34, "00")
    assert all(event["proven"] for event in value["events"])


def test_an_upload_with_refused_records_is_told(posj):
    m, names = jm.upload_day()
    path = posj(m)
    done = cli("explain", path, "--batch", 1)
    assert done.exit_code == 0
    for words in (
        "by the schedule", "domestic, debit: 4 for 140.00 CNY; the acquirer has 3 for 110.00 CNY",
        "Counted 4; uploaded and accepted 3; refused 2, of these accepted later 1, written off 1",
        "Presented again: #54 00", "Li Wei wrote it off", "The acquirer's totals of batch 000001 differ",
        cause_text("en", "merchant", 10), cause_text("en", "technician", 11), "000008, records: 2: answered 00",
        '"record refused" (for #32): printed', '"closed by a human decision"', "after the upload of its records",
    ):  # fmt: skip
        assert words in done.stdout, words
    value = value_of("explain", path, "--batch", 1)
    places = {r["txn"]: r["place"] for r in value["records"]}
    assert places[names["refused"]] == "settled"
    assert places[names["hopeless"]] == "written_off"
    assert [a["cause"] for a in value["anomalies"]] == [10, 11, 11]
    assert [(d["decision"], d["name"]) for d in value["decisions"]] == [(4, "Li Wei")]
    assert value["owed_known"] is True
    assert value["owed"] == []
    second = value_of("explain", path, "--batch", 2)
    assert (second["state"], second["totals"][:2], second["messages"]) == ("open", [100, 1], [])


def test_what_is_still_owed_of_a_batch(posj):
    m = jm.Maker().begin()
    good = m.approved_sale(2, amount=100)
    bad = m.approved_sale(3, amount=200)
    stuck = m.silent_sale(4, amount=300)
    m.add(jm.UNRESOLVED, [stuck, 4, 3])
    m.settle()
    begun = to_dict(read_batch(posj(m), 1, None, "en"), None)
    assert [o["what"] for o in begun["owed"]] == ["reversal", "slip", "slip", "settlement"]
    totals = [300, 2, *ZERO[2:]]
    m.totals(5, totals, flags=(2, 1), then=2)
    m.upload(6, [good, bad], ["00", "30"], [1])
    m.add(jm.UNSETTLED, [1, 11, "30", bad])
    m.end(7, 2)
    m.add(jm.BATCH_CLOSED, [1, 2, totals, [], [2, 1], 1, 1, 1, 2])
    story = read_batch(posj(m), 1, None, "en")
    assert story.batch.odd == []
    assert [o["what"] for o in story.owed] == ["reversal", "slip", "slip", "slip", "slip", "refused", "vault"]
    for lang in ("en", "zh"):
        text = "\n".join(lines(read_batch(posj(m), 1, None, lang), None))
        for words in (f"#{stuck}", f"#{bad}", "000003", "3.00 CNY"):
            assert words in text.split({"en": "What is owed", "zh": "未了事项"}[lang])[1]
    m.add(jm.VAULT_DESTROYED, [1, 2])
    assert [o["what"] for o in read_batch(posj(m), 1, None, "en").owed][-1] == "refused"


def test_a_batch_closed_by_a_person_is_told(posj):
    m = jm.Maker().begin()
    sale = m.approved_sale(2, amount=100)
    begun = m.settle(reason=3)
    m.totals(3, [100, 1, *ZERO[2:]], flags=(), verdict=11, code="03", then=0, retry=1800000)
    m.unsettled(8, "03", 1)
    decision = m.decide(begun, 5, reason="settled by the acquirer by hand")
    m.close([100, 1, *ZERO[2:]], how=3, flags=())
    path = posj(m)
    done = cli("explain", path, "--batch", 1)
    assert done.exit_code == 0, done.stdout
    for words in ("Li Wei closed the batch", "by hand", "without the host's agreement", "the batch is full",
                  "Check merchant data"):  # fmt: skip
        assert words in done.stdout, words
    value = value_of("explain", path, "--batch", 1)
    assert value["decisions"][0]["seq"] == decision
    assert value["records"][0]["place"] == "by_human"
    one = value_of("explain", path, "--txn", sale)
    assert (one["cause"], one["settlement"]["place"], one["state"]) == (9, "by_human", "approved")


def test_no_such_batch_and_several(posj):
    m, _ = jm.upload_day()
    path = posj(m)
    done = cli("explain", path, "--batch", 7)
    assert done.exit_code == 2
    assert "no batch 7" in done.stderr
    assert "batch 000001: entries #0 to #44, transactions: 4, closed" in done.stderr
    assert "batch 000002" in done.stderr
    assert "日志中有这些批次" in cli("explain", path, "--batch", 7, "--lang", "zh").stderr
    assert cli("explain", path, "--batch", 1, "--stan", 2).exit_code == 0
    assert cli("explain", path, "--stan", 2, "--at", 4).exit_code == 2
    assert cli("explain", path, "--at", 4).exit_code == 2

    wrapped = jm.Maker().begin()
    wrapped.approved_sale(2, batch=999999, amount=100)
    for batch in (999999, 1, 999999):
        wrapped.settle(batch)
        wrapped.totals(4, [100, 1, *ZERO[2:]], batch)
        body = [batch, 1, [100, 1, *ZERO[2:]], [], [1, 1], 0, 0, 0]
        wrapped.add(jm.BATCH_CLOSED, [*body, 999999 if batch == 1 else 1])
        if wrapped.payloads[-1][6][8] != 1 or batch == 999999:
            wrapped.approved_sale(2, batch=wrapped.payloads[-1][6][8], amount=100)
    path = posj(wrapped, "wrapped.posj")
    twice = cli("explain", path, "--batch", 999999)
    assert twice.exit_code == 2
    assert "occurs 2 times" in twice.stderr
    assert "--at" in twice.stderr
    assert twice.stderr.count("batch 999999: ") == 2
    first, second = (value_of("explain", path, "--batch", 999999, "--at", at) for at in (4, wrapped.seq - 12))
    assert first["last"] < second["first"]
    assert first["contradictions"] == second["contradictions"] == []
    assert cli("explain", path, "--batch", 999999, "--at", 9999).exit_code == 2


def test_the_present_batch_may_be_empty(posj):
    m = jm.balanced_day()
    value = value_of("explain", posj(m), "--batch", 2)
    assert (value["state"], value["records"], value["opened"]) == ("open", [], {})
    assert "No transaction" in cli("explain", posj(m), "--batch", 2).stdout


def test_a_journal_that_begins_elsewhere_and_one_without_closes():
    assert books_of(jm.Maker().begin()).present.number == 1
    m = jm.Maker().begin()
    m.approved_sale(2, batch=77)
    assert [b.number for b in books_of(m).batches] == [77]
    m.approved_sale(3, batch=78)
    books = books_of(m)
    assert [(b.number, [o.key for o in b.odd]) for b in books.batches] == [(77, ["odd_batch"]), (78, [])]
    with pytest.raises(NoBatch):
        choose(books, 1, None)


# -- contradictions ----------------------------------------------------------------------------------------------------


def sales(m, count=3):
    return [m.approved_sale(stan, amount=100) for stan in range(2, 2 + count)]


THREE = [300, 3, *ZERO[2:]]


def wrong_totals_sent(m):
    sales(m)
    m.settle()
    m.totals(9, [200, 2, *ZERO[2:]])
    m.close(THREE)


def totals_overwritten_with_zeros(m):
    sales(m)
    m.settle()
    m.totals(9, THREE)
    m.close(ZERO)


def second_close_with_new_totals(m):
    sales(m)
    m.settle()
    m.totals(9, THREE, verdict=2, flags=(), then=0, code="")
    m.totals(10, THREE)
    m.close(THREE)


def record_never_judged(m):
    one, two, three = sales(m)
    m.settle()
    m.totals(9, THREE, flags=(2, 1), then=2)
    m.upload(10, [one, two])
    m.upload(11, [three], verdict=2)
    m.end(12, 3)
    m.close(THREE, how=2, uploaded=3)


def acknowledged_record_sent_again(m):
    one, two, three = sales(m)
    m.settle()
    m.totals(9, THREE, flags=(2, 1), then=2)
    m.upload(10, [one, two])
    m.upload(11, [two, three])
    m.end(12, 3)
    m.close(THREE, how=2, uploaded=3)


def record_of_nowhere(m):
    numbers = sales(m)
    m.settle()
    m.totals(9, THREE, flags=(2, 1), then=2)
    m.upload(10, [*numbers, 2])
    m.end(11, 3)
    m.close(THREE, how=2, uploaded=3)


def closed_without_the_host(m):
    sales(m)
    m.settle()
    m.totals(9, THREE, verdict=2, flags=(), then=0, code="")
    m.close(THREE)


def wrong_counts(m):
    numbers = sales(m)
    m.settle()
    m.totals(9, THREE, flags=(2, 1), then=2)
    m.upload(10, numbers, ["00", "30", "00"], [1])
    m.end(11, 7)
    m.close(THREE, how=2, uploaded=3, unresolved=1)


def too_few_codes(m):
    numbers = sales(m)
    m.settle()
    m.totals(9, THREE, flags=(2, 1), then=2)
    m.upload(10, numbers, ["00"], [5])
    m.end(11, 3)
    m.close(THREE, how=2, uploaded=3)


def answer_to_nothing(m):
    sales(m)
    m.settle()
    m.totals(9, THREE)
    m.upload_reply(44, [1])
    m.close(THREE)


def vault_before_close(m):
    sales(m)
    m.add(jm.VAULT_DESTROYED, [1, 0])


def sale_after_begin(m):
    sales(m)
    m.settle()
    m.approved_sale(8, amount=1)


def never_begun(m):
    sales(m)
    m.totals(9, THREE)


def other_batch(m):
    sales(m)
    m.settle(batch=2)


def accepted_record_presented_again(m):
    numbers = sales(m)
    m.settle()
    m.totals(9, THREE, flags=(2, 1), then=2)
    m.upload(10, numbers)
    m.end(11, 3)
    m.close(THREE, how=2, uploaded=3)
    m.upload(12, numbers[:1], purpose=4)


CONTRADICTIONS = [
    (wrong_totals_sent, ["odd_totals"]),
    (totals_overwritten_with_zeros, ["odd_totals"]),
    (second_close_with_new_totals, ["odd_second_totals"]),
    (record_never_judged, ["odd_numbers", "odd_not_judged", "odd_numbers"]),
    (acknowledged_record_sent_again, ["odd_again"]),
    (record_of_nowhere, ["odd_uncounted"]),
    (closed_without_the_host, ["odd_agreed"]),
    (wrong_counts, ["odd_numbers"] * 4),
    (too_few_codes, ["odd_codes"]),
    (answer_to_nothing, ["odd_reply"]),
    (vault_before_close, ["odd_vault"]),
    (sale_after_begin, ["odd_late"]),
    (never_begun, ["odd_not_begun"]),
    (other_batch, ["odd_batch"]),
    (accepted_record_presented_again, ["odd_again"]),
]


@pytest.mark.parametrize(("made", "keys"), CONTRADICTIONS, ids=[made.__name__ for made, _ in CONTRADICTIONS])
def test_a_journal_that_contradicts_itself_is_a_finding(posj, made, keys):
    m = jm.Maker().begin()
    made(m)
    assert odd_of(m) == keys
    path = posj(m)
    for lang in ("en", "zh"):
        done = cli("explain", path, "--batch", 1, "--lang", lang)
        assert done.exit_code == 1
        assert "{" not in done.stdout
    assert "FINDINGS: the journal contradicts itself" in cli("explain", path, "--batch", 1).stdout
    assert [c["key"] for c in value_of("explain", path, "--batch", 1)["contradictions"]] == keys


def test_the_difference_in_totals_is_shown_by_scheme_and_direction(posj):
    m = jm.Maker().begin()
    wrong_totals_sent(m)
    value = value_of("explain", posj(m), "--batch", 1)
    (found,) = value["contradictions"]
    assert (found["said"], found["counted"]) == ([200, 2, *ZERO[2:]], THREE)
    assert "domestic debit 2 for 2.00 CNY" in found["text"]
    assert "domestic debit 3 for 3.00 CNY" in found["text"]


def test_what_an_honest_settlement_does_is_no_contradiction():
    m = jm.Maker().begin()  # the host asks for everything once more, refuses a pack, and takes the records one by one
    one, two, three = sales(m)
    m.settle()
    m.totals(9, THREE, flags=(3, 1), then=0, retry=1000)
    m.totals_reply(9, flags=(2, 1), then=2)
    m.upload(10, [one, two, three], verdict=11)
    for stan, number in ((11, one), (12, two), (13, three)):
        m.upload(stan, [number])
    m.end(14, 3, then=2, code="95", verdict=11)
    m.upload(15, [one, two, three], ["94", "94", "30"], [2])
    m.end(16, 3)
    m.close(THREE, how=2, flags=(2, 1), uploaded=2, refused=1)
    assert odd_of(m) == []
    state_of(m)

    m = jm.Maker().begin()  # balanced, chip records follow; then one where there is none
    chip = m.approved_sale(2, amount=100)
    m.approved_sale(3, amount=100, mode=2)
    m.settle()
    m.totals(4, [200, 2, *ZERO[2:]], then=3)
    m.upload(5, [chip])
    m.end(6, 1)
    m.close([200, 2, *ZERO[2:]], uploaded=1)
    m.approved_sale(7, batch=2, amount=100, mode=2)
    m.settle(2)
    m.totals(8, [100, 1, *ZERO[2:]], 2, then=3)
    m.close([100, 1, *ZERO[2:]], 2)
    books = books_of(m)
    assert [b.odd for b in books.batches] == [[], [], []]

    m = jm.Maker().begin()  # busy, then one whose data are lost; presented again while the upload goes on
    one, two, three = sales(m)
    m.settle()
    m.totals(9, THREE, flags=(2, 1), then=2)
    m.upload(10, [one], verdict=0)
    m.add(jm.UPLOAD_REPLY, [2, 10, 11, "91", [], [], 500, 15000])
    m.upload_reply(10, [one])
    m.upload(11, [two], verdict=0)
    m.add(jm.UPLOAD_REPLY, [2, 11, 10, "", [""], [0], 0, 0])
    m.unsettled(11, "", two, slip=16)
    m.upload(12, [two], purpose=4)
    m.upload(13, [three])
    m.end(14, 3)
    m.close(THREE, how=2, uploaded=3)
    assert odd_of(m) == []
    assert [(len(x.replies), x.failures) for x in books_of(m).batches[0].messages[1:3]] == [(2, 1), (1, 0)]

    m = jm.Maker().begin()  # written off while the upload waits for people
    numbers = sales(m)
    m.settle()
    m.totals(9, THREE, flags=(2, 1), then=2)
    m.upload(10, numbers, ["00", "30", "00"], [1])
    m.decide(numbers[1], 4)
    m.end(11, 3)
    m.close(THREE, how=2, uploaded=2)
    assert odd_of(m) == []


def test_unproven_entries_are_told_and_not_believed(posj, key_file):
    m = jm.Maker().begin()
    sales(m)
    m.settle()
    m.export()
    payload = [m.seq - 1, jm.SETTLE_SENT, 1, m.ms, m.rtc, 2, [1, 1, 9, ZERO, 0]]
    forged = jm.seal(bytes(32), m.heads[-2], cbor2.dumps(payload))
    path = posj(m.file([*m.entries[:-1], forged, m.entries[-1]]))
    done = cli("explain", path, "--batch", 1, "--keys", key_file)
    assert done.exit_code == 1
    assert "[not proven] Totals of batch" in done.stdout
    assert "FINDINGS" not in done.stdout
    value = value_of("explain", path, "--batch", 1, "--keys", key_file)
    assert (value["verified"], value["messages"], value["contradictions"]) == (False, [], [])
    assert [e["proven"] for e in value["events"]] == [True, False]
    # A file of which nothing is proven is told all the same, and exits with 1.
    foreign = jm.Maker(jm.TERMINAL, jm.JOURNAL_ID, bytes(32)).begin()
    foreign.approved_sale(2, batch=3)
    done = cli("explain", posj(foreign, "f.posj"), "--batch", 3, "--keys", key_file)
    assert done.exit_code == 1
    assert "NOT PROVEN" in done.stdout


def test_a_journal_that_cannot_be_replayed_is_still_counted(posj):
    m = jm.Maker().begin()
    sales(m)
    m.add(jm.OUTCOME, [9999, 1, 0, "", 0])
    value = value_of("explain", posj(m), "--batch", 1)
    assert value["owed_known"] is False
    assert value["totals"] == THREE
    assert "cannot replay" in cli("explain", posj(m), "--batch", 1).stdout


def test_no_sequence_of_entries_stops_the_reader(posj):
    rng = random.Random(7)

    def number():
        return rng.choice((0, 1, 2, 3, 4, 5, 6, 9, 14, 24, 30))

    def some(most=4):
        return [number() for _ in range(rng.randrange(1, most))]

    def any_body(kind):
        eight = [number() for _ in range(8)]
        return {
            jm.SETTLE_SENT: lambda: [p := rng.randrange(6), number(), number(),
                                     eight if p == 1 else some() if p in (2, 5) else [number()], number()],
            jm.SETTLE_REPLY: lambda: [number(), number(), number(), rng.choice(("", "00")),
                                      rng.choice(([], [1, 2], [9, 0])), rng.choice(([], eight)), number(), 1, 1],
            jm.UPLOAD_REPLY: lambda: [number(), number(), number(), "", ["00"] * rng.randrange(3), some(), 1, 1],
            jm.BATCH_CLOSED: lambda: [number(), number(), eight, rng.choice(([], eight)), [], 0, 0, 0, number()],
            jm.VAULT_DESTROYED: lambda: [number(), 0],
            jm.UNSETTLED: lambda: [number(), number(), rng.choice(("", "00")), number()],
            jm.HUMAN: lambda: [number(), rng.randrange(1, 7), "x", "y", b""],
            jm.SLIP: lambda: [number(), rng.randrange(1, 20), rng.randrange(1, 4), 0],
            jm.CONNECT_FAIL: lambda: [rng.choice((None, number())), 2, 0, 1],
            jm.OUTCOME: lambda: [number(), rng.randrange(1, 7), 0, "", 0],
        }[kind]()  # fmt: skip

    kinds = [*range(15, 20), jm.UNSETTLED, jm.HUMAN, jm.SLIP, jm.CONNECT_FAIL, jm.OUTCOME]
    for _ in range(30):
        m = jm.Maker().begin(counting=rng.choice((None, jm.UNIONPAY, jm.ISO_1987)))
        sales(m, 2)
        void = m.approved_sale(6, kind=2, original=m.original(4), slip=2)
        for kind in rng.choices(kinds, k=40):
            m.add(kind, any_body(kind))
        assert not any(map(misshapen, m.payloads))
        path = posj(m)
        for batch in books_of(m).batches:
            story = read_batch(path, batch.number, batch.first, "zh") if batch.last >= batch.first else None
            if story:
                assert lines(story, None)
                json.dumps(to_dict(story, None))
        for txn in (4, void):
            story = explain.read_story(path, txn, "en")
            assert explain.lines(story, None)
            json.dumps(explain.to_dict(story, None))
        compare(books_of(m), [])


# -- one transaction's story -------------------------------------------------------------------------------------------


def test_a_transactions_story_says_where_it_was_settled(posj):
    m, names = jm.upload_day()
    path = posj(m)
    good = value_of("explain", path, "--txn", names["good"])
    assert (good["state"], good["cause"], good["settlement"]["place"]) == ("approved", 14, "settled")
    assert good["settlement"]["closed"] == names["closed"]
    kinds = [e["name"] for e in good["events"]]
    assert kinds[-3:] == ["SETTLE_SENT", "UPLOAD_REPLY", "BATCH_CLOSED"]
    text = cli("explain", path, "--txn", names["good"]).stdout
    for words in ("Settled in batch 000001", "acknowledged with 00", "Nothing went wrong.",
                  cause_text("en", "customer", 14), cause_text("en", "merchant", 14)):  # fmt: skip
        assert words in text, words
    again = cli("explain", path, "--txn", names["refused"]).stdout
    for words in ("refused by the acquirer", "presented again", "Settled in batch 000001", "Presented again: #54 00"):
        assert words in again, words
    assert "Nothing went wrong." not in again
    lost = value_of("explain", path, "--txn", names["hopeless"])
    assert (lost["state"], lost["cause"], lost["settlement"]["written_off"]) == ("approved", 11, "Li Wei")
    assert [e["name"] for e in lost["events"]][-3:] == ["HUMAN", "SLIP", "SLIP"]
    later = value_of("explain", path, "--txn", names["later"])
    assert (later["cause"], later["settlement"]["place"]) == (0, "open")
    assert "签字核销" in cli("explain", path, "--txn", names["hopeless"], "--lang", "zh").stdout


def test_a_refused_record_waits_and_an_overdue_batch_has_its_cause(posj):
    m = jm.Maker().begin()
    numbers = sales(m)
    m.unsettled(9, number=jm.NOON)
    overdue = value_of("explain", posj(m), "--txn", numbers[0])
    assert (overdue["state"], overdue["cause"]) == ("approved", 9)
    assert cause_text("en", "merchant", 9) in cli("explain", posj(m), "--txn", numbers[0]).stdout
    m.settle()
    m.totals(9, THREE, flags=(2, 1), then=2)
    m.upload(10, numbers, ["00", "30", "00"], [1])
    m.unsettled(11, "30", numbers[1], slip=16)
    waiting = value_of("explain", posj(m), "--txn", numbers[1])
    assert waiting["cause"] == 11
    assert waiting["owed"] == [{"what": "refused", "code": "30"}]
    assert "write it off" in cli("explain", posj(m), "--txn", numbers[1]).stdout
    assert value_of("explain", posj(m), "--txn", numbers[0])["settlement"]["place"] == "open"


def test_what_is_not_counted_or_cancels_out_is_said(posj):
    m, r = busy_day(jm.ISO_1987)
    path = posj(m)
    assert f"It and #{r['void']} cancel each other" in cli("explain", path, "--txn", r["voided"]).stdout
    assert f"It and #{r['voided']} cancel each other" in cli("explain", path, "--txn", r["void"]).stdout
    assert "not counted" in cli("explain", path, "--txn", r["preauth"]).stdout
    assert value_of("explain", path, "--txn", r["silent"])["settlement"] is None


# -- reconciliation ----------------------------------------------------------------------------------------------------

HEAD = "tid,batch,stan,type,amount,currency,pan,rrn,auth,state,settled_batch,upload_code\n"
COLUMNS = HEAD.strip().split(",")
TYPES = ["", "sale", "void", "refund", "preauth", "completion", "preauth_void"]


def acquirer_rows(maker):
    """What an acquirer that agrees with the journal would have."""
    rows = []
    for r in books_of(maker).records.values():
        stan, batch, kind, amount, currency, _, pan = r.body[:7]
        if r.state == "not_sent":
            continue
        state = "approved" if r.stands else "declined" if r.state == "declined" else "reversed"
        rows.append({
            "tid": r.tid, "batch": batch, "stan": stan, "type": TYPES[kind], "amount": amount, "currency": currency,
            "pan": pan, "rrn": f"{stan:012}", "auth": "", "state": state,
            "settled_batch": batch if r.place in ("settled", "by_human") else "", "upload_code": r.code,
        })  # fmt: skip
    return rows


def as_csv(rows, columns=COLUMNS, end="\n", mark=","):
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, extrasaction="ignore", lineterminator=end, delimiter=mark)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


@pytest.fixture
def sides(posj, tmp_path):
    """Run reconcile on a journal and rows; returns (exit code, {list: [txn or (batch, stan)]})."""

    def run(maker, rows, *args):
        path = tmp_path / "acquirer.csv"
        path.write_text(as_csv(rows), encoding="utf-8")
        done = cli("reconcile", posj(maker), "--acquirer", path, "--json", *args)
        assert done.exit_code in (0, 1), done.output
        value = json.loads(done.stdout)
        assert value["ok"] == (not any(items for name, items in value["lists"].items() if name != "written_off"))
        shown = {
            name: [(i["batch"], i["stan"]) if i["txn"] is None else i["txn"] for i in items]
            for name, items in value["lists"].items()
            if items
        }
        for lang in ("en", "zh"):
            text = cli("reconcile", posj(maker), "--acquirer", path, "--lang", lang, *args)
            assert text.exit_code == done.exit_code
            assert "{" not in text.stdout
            assert len(text.stdout.splitlines()) >= 1 + sum(map(len, shown.values()))
        return done.exit_code, shown

    return run


def day_of_both():
    """Everything, with both sides in agreement but for what is not finished."""
    m, names = jm.upload_day()
    names["abroad"] = m.approved_sale(20, batch=2, amount=555, scheme=2)
    names["refund"] = m.approved_sale(21, batch=2, amount=60, kind=3, slip=3)
    names["preauth"] = m.approved_sale(22, batch=2, amount=900, kind=4, slip=12)
    names["declined"] = m.declined_sale(23, batch=2)
    names["reversed"] = m.silent_sale(24, batch=2)
    m.reverse(names["reversed"])
    names["not_sent"] = m.intent(25, batch=2)
    m.add(jm.OUTCOME, [names["not_sent"], 4, 1, "", 0])
    return m, names


def test_two_sides_that_agree(sides, posj, tmp_path, key_file):
    m, names = day_of_both()
    m.export()
    rows = acquirer_rows(m)
    assert sides(m, rows) == (0, {"written_off": [names["hopeless"]]})
    silent = [row for row in rows if row["state"] == "approved"]
    assert sides(m, silent)[0] == 0, "what was declined or reversed need not be in the file"
    assert sides(m, rows, "--keys", str(key_file))[0] == 0
    done = cli("reconcile", posj(m), "--acquirer", tmp_path / "acquirer.csv")
    assert "Nothing differs." in done.stdout
    assert "Written off" in done.stdout


def test_each_difference_has_its_list(sides):
    m, names = day_of_both()
    rows = acquirer_rows(m)
    by_stan = {(row["batch"], row["stan"]): n for n, row in enumerate(rows)}

    def changed(batch, stan, **values):
        out = [dict(row) for row in rows]
        out[by_stan[batch, stan]].update(values)
        return out

    def found(new):
        code, lists = sides(m, new)
        lists.pop("written_off", None)
        assert code == (1 if lists else 0)
        return lists

    good, refund = names["good"], names["refund"]
    without = [row for row in rows if (row["batch"], row["stan"]) != (1, 2)]
    assert found(without) == {"only_in_journal": [good]}
    stranger = {**rows[0], "stan": 99}
    assert found([*rows, stranger]) == {"only_at_acquirer": [(1, 99)]}
    assert found([*rows, {**stranger, "state": "declined"}]) == {"only_at_acquirer": [(1, 99)]}
    assert found([*rows, rows[0]]) == {"twice_at_acquirer": [(1, 2)]}
    assert found(changed(2, 21, amount=61)) == {"amount_differs": [refund]}
    assert found(changed(2, 21, type="sale")) == {"differs": [refund]}
    assert found(changed(2, 21, currency="840")) == {"differs": [refund]}
    assert found(changed(2, 21, pan="622848******9999")) == {"differs": [refund]}
    assert found(changed(2, 21, pan="622848*1234", currency="")) == {}
    assert found(changed(1, 2, state="reversed")) == {"reversed_one_side": [good]}
    assert found(changed(2, 24, state="approved")) == {"reversed_one_side": [names["reversed"]]}
    assert found(changed(2, 24, state="declined")) == {}
    assert found(changed(1, 2, state="declined")) == {"approved_one_side": [good]}
    assert found(changed(2, 23, state="approved")) == {"approved_one_side": [names["declined"]]}
    booked = {**stranger, "batch": 2, "stan": 25, "settled_batch": ""}
    assert found([*rows, booked])["approved_one_side"] == [names["not_sent"]]
    assert found(changed(1, 2, settled_batch="")) == {"settled_one_side": [good]}
    assert found(changed(1, 2, settled_batch=2)) == {"settled_one_side": [good]}
    assert found(changed(2, 21, settled_batch=2)) == {"settled_one_side": [refund]}
    assert found(changed(1, 5, settled_batch=1)) == {"settled_one_side": [names["hopeless"]]}
    # A pre-authorisation moves no money: it may be missing or marked, but not be another.
    assert found(changed(2, 22, settled_batch=2)) == {}
    assert found([row for row in rows if row["stan"] != 22]) == {}
    assert found(changed(2, 22, amount=1)) == {"amount_differs": [names["preauth"]]}
    assert found(changed(1, 2, amount=1, settled_batch="")) == {"amount_differs": [good], "settled_one_side": [good]}


def test_what_is_not_finished_is_always_said(sides):
    m = jm.Maker().begin()
    open_ = m.intent(2)
    owed = m.silent_sale(3)
    stuck = m.silent_sale(4)
    m.add(jm.UNRESOLVED, [stuck, 4, 3])
    everything = {"unresolved": [open_, owed, stuck]}
    assert sides(m, []) == (1, everything)
    rows = acquirer_rows(m)
    assert sides(m, rows) == (1, everything)
    assert sides(m, [{**row, "state": "approved"} for row in rows]) == (1, everything)
    m.decide(stuck, 3)
    assert sides(m, rows)[1] == {"unresolved": [open_, owed]}


def test_decisions_are_compared(sides):
    m = jm.Maker().begin()
    numbers = {}
    for stan, decision in ((2, 1), (3, 2)):
        numbers[stan] = m.silent_sale(stan, amount=100)
        m.add(jm.UNRESOLVED, [numbers[stan], 4, 3])
        m.decide(numbers[stan], decision)
    rows = acquirer_rows(m)
    assert [row["state"] for row in rows] == ["reversed", "approved"]
    assert sides(m, rows) == (0, {})
    assert sides(m, [{**row, "state": "approved"} for row in rows]) == (1, {"reversed_one_side": [numbers[2]]})
    assert sides(m, [{**row, "state": "reversed"} for row in rows]) == (1, {"reversed_one_side": [numbers[3]]})
    late = m.silent_sale(4, amount=7)
    m.add(jm.UNRESOLVED, [late, 4, 3])
    m.settle()
    m.totals(5, [100, 1, *ZERO[2:]])
    m.close([100, 1, *ZERO[2:]], unresolved=1)
    m.decide(late, 2)
    assert sides(m, acquirer_rows(m)) == (1, {"unresolved": [late]}), "charged, and in no batch"


def test_refused_records_and_batches_closed_by_people(sides):
    m = jm.Maker().begin()
    numbers = sales(m)
    m.settle()
    m.totals(9, THREE, flags=(2, 1), then=2)
    m.upload(10, numbers, ["00", "30", "00"], [1])
    m.end(11, 3)
    m.close(THREE, how=2, uploaded=2, refused=1)
    assert sides(m, acquirer_rows(m)) == (1, {"refused": [numbers[1]]})
    m = jm.Maker().begin()
    numbers = sales(m)
    begun = m.settle()
    m.decide(begun, 5)
    m.close(THREE, how=3)
    rows = acquirer_rows(m)
    assert sides(m, rows) == (0, {})
    assert sides(m, [{**row, "settled_batch": ""} for row in rows]) == (1, {"closed_by_human": numbers})


def test_pairs_that_cancel_each_other_are_settled_both_or_neither(sides):
    m, r = busy_day(jm.ISO_1987)
    m.settle()
    m.totals(30, BUSY[jm.ISO_1987])
    m.close(BUSY[jm.ISO_1987])
    rows = acquirer_rows(m)
    assert sides(m, rows) == (0, {})
    both = [{**row, "settled_batch": 1} if row["stan"] in (4, 5) else row for row in rows]
    assert sides(m, both) == (0, {})
    one = [{**row, "settled_batch": 1} if row["stan"] == 4 else row for row in rows]
    assert sides(m, one) == (1, {"settled_one_side": [r["voided"]]})


def test_only_one_batch_or_one_terminal(sides):
    m, names = day_of_both()
    rows = acquirer_rows(m)
    first = [row for row in rows if row["batch"] == 1]
    assert sides(m, first)[0] == 1
    assert sides(m, first, "--batch", "1")[0] == 0
    assert sides(m, first[1:], "--batch", "1")[1]["only_in_journal"] == [names["good"]]
    others = [{**row, "tid": "80000043"} for row in rows]
    assert sides(m, [*rows, *others])[0] == 0
    assert sides(m, [*rows, *others], "--tid", "80000042")[0] == 0
    assert len(sides(m, [*rows, *others], "--tid", "80000043")[1]["only_at_acquirer"]) == len(rows)


def test_an_empty_journal_and_a_file_of_another_terminal(posj, tmp_path):
    path = tmp_path / "a.csv"
    m, _ = day_of_both()
    path.write_text(as_csv(acquirer_rows(m)))
    done = cli("reconcile", posj(jm.Maker().begin()), "--acquirer", path)
    assert done.exit_code == 1
    assert "Only at the acquirer" in done.stdout
    path.write_text(as_csv([{**row, "tid": "1"} for row in acquirer_rows(m)]))
    done = cli("reconcile", posj(m), "--acquirer", path)
    assert done.exit_code == 1
    assert "no row of terminal 80000042" in done.stdout
    assert "Only in the journal" in done.stdout


def test_a_journal_that_does_not_verify_is_said(posj, tmp_path, key_file):
    m, _ = day_of_both()
    m.export()
    path = tmp_path / "a.csv"
    path.write_text(as_csv(acquirer_rows(m)))
    done = cli("reconcile", posj(jm.edit_payload(m)), "--acquirer", path, "--keys", key_file)
    assert done.exit_code == 1
    assert "NOT VERIFIED" in done.stderr
    assert "left out of the comparison" in done.stdout
    value = value_of("reconcile", posj(jm.truncate_export(m)), "--acquirer", path, "--keys", key_file)
    assert (value["ok"], value["verified"]) == (True, False)
    assert cli("reconcile", posj(jm.truncate_export(m)), "--acquirer", path, "--keys", key_file).exit_code == 1
    unchecked = cli("reconcile", posj(m), "--acquirer", path)
    assert unchecked.exit_code == 0
    assert "NOT VERIFIED" in unchecked.stderr


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text + "\n",
        lambda text: text.replace("tid,", "TID,").replace("state", " State "),
        lambda text: "\n".join(f"{line},extra,9" for line in text.splitlines()),
        lambda text: text.replace("622848******1234", "6228480000001234"),
    ],
)
def test_what_spreadsheets_do_to_a_file_is_taken(posj, tmp_path, change):
    m, _ = day_of_both()
    path = tmp_path / "a.csv"
    path.write_bytes(change(as_csv(acquirer_rows(m))).encode())
    done = cli("reconcile", posj(m), "--acquirer", path, "--json")
    assert done.exit_code == 0, done.output
    assert "6228480000001234" not in done.stdout


def test_columns_may_stand_in_any_order_and_some_be_missing(posj, tmp_path):
    m, _ = day_of_both()
    path = tmp_path / "a.csv"
    needed = list(reversed(acquirer_file.NEEDED))
    path.write_text(as_csv(acquirer_rows(m), needed))
    assert cli("reconcile", posj(m), "--acquirer", path).exit_code == 0


GOOD = "80000042,1,2,sale,2000,156,622848******1234,,,approved,1,00"
BAD_FILES = {
    "empty": (b"", "is empty"),
    "semicolons": (HEAD.replace(",", ";").encode(), "semicolons"),
    "tabs": (HEAD.replace(",", "\t").encode(), "tabs"),
    "columns": (b"tid,batch,stan,type,currency\n1,1,1,sale,156\n", "lacks the columns amount, state, settled_batch"),
    "one column": (HEAD.replace("amount,", "").encode(), "lacks the column amount"),
    "twice": (HEAD.replace("rrn", "stan").encode(), "stan more than once"),
    "utf-16": (HEAD.encode("utf-16"), "UTF-8"),
    "latin": (HEAD.encode() + b"\xe9\xff,1,2\n", "UTF-8"),
    "point": ((HEAD + GOOD.replace("2000", "20.00")).encode(), "line 2: amount is '20.00'"),
    "negative": ((HEAD + GOOD.replace(",2000", ",-2000")).encode(), "minor units"),
    "huge": ((HEAD + GOOD.replace("2000", "9" * 40)).encode(), "line 2: amount"),
    "digits": ((HEAD + GOOD.replace("2000", "²")).encode(), "line 2: amount"),
    "stan": ((HEAD + GOOD + "\n" + GOOD.replace(",2,", ",x,")).encode(), "line 3: stan is 'x'"),
    "state": ((HEAD + GOOD.replace("approved", "paid")).encode(), "state 'paid' is none of approved"),
    "settled": ((HEAD + GOOD.replace("approved,1", "approved,yes")).encode(), "settled_batch is 'yes'"),
    "short": ((HEAD + "80000042,1,2\n").encode(), "line 2: 3 columns"),
    "quotes": ((HEAD + '"80000042,1,2').encode(), "not UTF-8 CSV"),
    "database": (b"SQLite format 3\x00" + bytes(100), "ledger"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_files_that_cannot_be_compared_with_are_refused_clearly(posj, tmp_path, name):
    data, words = BAD_FILES[name]
    path = tmp_path / "bad"
    path.write_bytes(data)
    done = cli("reconcile", posj(day_of_both()[0]), "--acquirer", path)
    assert done.exit_code == 2, done.output
    assert words in done.stderr
    assert done.stdout == ""


def test_usage_of_reconcile(posj, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(HEAD)
    journal = posj(day_of_both()[0])
    assert cli("reconcile", journal).exit_code == 2
    assert cli("reconcile", journal, "--acquirer", tmp_path / "none").exit_code == 2
    assert cli("reconcile", tmp_path / "none", "--acquirer", path).exit_code == 2
    assert cli("reconcile", path, "--acquirer", path).exit_code == 2
    assert cli("reconcile", journal, "--acquirer", tmp_path).exit_code == 2


def fill(db, rows, settled=True):
    for n, row in enumerate(rows):
        values = {
            **{name: row[name] for name in COLUMNS if name not in ("state", "settled_batch", "upload_code")},
            "mti": "0200", "code": "00", "state": row["state"], "created_at": n, "updated_at": n,
        }  # fmt: skip
        if settled:
            values.update(settled_batch=row["settled_batch"] or None, upload_code=row["upload_code"])
        names = ", ".join(values)
        db.execute(f"INSERT INTO transactions ({names}) VALUES ({', '.join('?' * len(values))})", list(values.values()))
    db.commit()


def test_the_labs_ledger_is_read(posj, tmp_path):
    m, names = day_of_both()
    path = tmp_path / "ledger"
    Ledger(path).close()
    with sqlite3.connect(path) as db:
        fill(db, acquirer_rows(m))
    done = cli("reconcile", posj(m), "--acquirer", path)
    assert done.exit_code == 0, done.output
    with sqlite3.connect(path) as db:
        db.execute("UPDATE transactions SET settled_batch = NULL WHERE batch = 1 AND stan = 2")
        db.execute("UPDATE transactions SET copies = 2 WHERE batch = 2 AND stan = 10")
    value = value_of("reconcile", posj(m), "--acquirer", path)
    assert [i["txn"] for i in value["lists"]["settled_one_side"]] == [names["good"]]
    assert [i["txn"] for i in value["lists"]["twice_at_acquirer"]] == [names["later"]]
    told = tmp_path / "settlement.csv"
    export(path, told)
    lists = value_of("reconcile", posj(m), "--acquirer", told)["lists"]
    assert [i["txn"] for i in lists["settled_one_side"]] == [names["good"]]
    assert [(i["batch"], i["stan"]) for i in lists["twice_at_acquirer"]] == [(2, 10)]


def test_a_ledger_from_before_settlement_is_compared_as_far_as_it_goes(posj, tmp_path):
    m, names = day_of_both()
    path = tmp_path / "ledger"
    with sqlite3.connect(path) as db:
        db.execute(
            "CREATE TABLE transactions (tid TEXT, batch INTEGER, stan INTEGER, mti TEXT, type TEXT, amount INTEGER,"
            " currency TEXT, pan TEXT, code TEXT, rrn TEXT, auth TEXT, state TEXT, created_at INTEGER,"
            " updated_at INTEGER)"
        )
        fill(db, acquirer_rows(m), settled=False)
    done = cli("reconcile", posj(m), "--acquirer", path)
    assert done.exit_code == 0, done.output
    assert "does not say what is settled" in done.stdout
    with sqlite3.connect(path) as db:
        db.execute("DELETE FROM transactions WHERE stan = 2")
    done = cli("reconcile", posj(m), "--acquirer", path, "--json")
    assert done.exit_code == 1
    value = json.loads(done.stdout)
    assert value["compared_settled"] is False
    assert [i["txn"] for i in value["lists"]["only_in_journal"]] == [names["good"]]
    for statement in ("ALTER TABLE transactions RENAME COLUMN amount TO money", "DROP TABLE transactions"):
        with sqlite3.connect(path) as db:
            db.execute(statement)
        done = cli("reconcile", posj(m), "--acquirer", path)
        assert done.exit_code == 2
        assert "no ledger" in done.stderr


def test_texts_of_a_settlement_file_cannot_drive_the_terminal(posj, tmp_path):
    path = tmp_path / "a.csv"
    rows = [{**row, "type": "\x1b[2J" * 30, "pan": "\x1b]0;x\x07123456", "upload_code": "\x1b"} for row in
            acquirer_rows(day_of_both()[0])]  # fmt: skip
    path.write_text(as_csv(rows))
    done = cli("reconcile", posj(day_of_both()[0]), "--acquirer", path)
    assert done.exit_code == 1
    assert all(line.isprintable() for line in done.stdout.splitlines())


def test_a_large_file_is_read_row_by_row(posj, tmp_path, monkeypatch):
    m, _ = day_of_both()
    path = tmp_path / "a.csv"
    with open(path, "w", encoding="utf-8") as file:
        file.write(as_csv(acquirer_rows(m)))
        for stan in range(30_000):
            file.write(f"7,1,{stan},sale,1,156,,,,approved,,\n")
    rows = acquirer_file.open_acquirer(path).rows()
    assert next(rows).stan == 2
    rows.close()
    value = value_of("reconcile", posj(m), "--acquirer", path)
    assert (value["ok"], value["ignored_rows"]) == (True, 30_000)


def test_posaudit_shares_nothing_with_the_lab():
    code = (
        "import sys, posaudit.cli; "
        "sys.exit(any(name.split('.')[0] in ('poslab', 'board') for name in sys.modules))"
    )  # fmt: skip
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}).returncode == 0
    code = "import sys, posaudit.books; sys.exit(any(name.startswith('posfw.engine') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}).returncode == 0


# -- status and resolve ------------------------------------------------------------------------------------------------


class Settling(Device):
    """A terminal that says how its batch stands. `more`: what follows the old eight items of STATUS."""

    owed = [[5, 7], [6, 7], [7, 6], [8, 9]]
    more = [[7, 3, jm.NOON, 10, 5, 1, 4], [[9, 6, "30"]]]

    def answer(self, command, args):
        reply = super().answer(command, args)
        return [*reply[:7], self.owed, "", *self.more] if command == 3 and self.role else reply


def test_status_says_how_the_settlement_stands(start, key_file):
    device = start(Settling)
    base = ("status", "--port", device.path, "--keys", key_file)
    done = cli(*base, "--lang", "en")
    assert done.exit_code == 0, done.output
    for words in (
        "Batch 000007: uploading, open since 2026-06-01 04:00:00 UTC; records acknowledged 5, refused 1",
        cause_text("en", "merchant", 10), cause_text("en", "technician", 10),
        "the settlement of batch 7", "the upload of the records of batch 7", "the vault key of batch 6",
        "a decision on refused record #9", "record #9 of batch 000006, 30 (Message format error)",
        "posaudit resolve --txn 9 --decision written-off", "--decision batch-closed",
    ):  # fmt: skip
        assert words in done.stdout, words
    chinese = cli(*base, "--lang", "zh").stdout
    for words in ("正在上送", "被拒", "核销", "未结算原因"):
        assert words in chinese, words
    value = json.loads(cli(*base, "--json").stdout)
    assert value["settlement"] == {
        "batch": 7,
        "phase": 3,
        "opened": jm.NOON,
        "cause": 10,
        "acknowledged": 5,
        "refused": 1,
        "number": 4,
    }
    assert value["refused"] == [[9, 6, "30"]]
    device.more = [[7, 0, 0, 0, 0, 0, 0], []]
    assert "Batch 000007: open, nothing in it yet" in cli(*base).stdout


def test_status_of_older_firmware_and_of_none(start, key_file):
    device = start(Settling)
    base = ("status", "--port", device.path, "--keys", key_file, "--json")
    device.more = []
    value = json.loads(cli(*base).stdout)
    assert (value["settlement"], value["refused"]) == (None, None)
    for wrong in (
        [[7, 3, 0, 10, 5, 1]], [[7, 3, 0, 10, 5], []], [[7, 3, 0, 10, 5, "1"], []], [7, []], [[7, 3, 0, 10, 5, -1], []],
        [[7, 3, 0, 10, 5, 1], [[9, 6]]], [[7, 3, 0, 10, 5, 1], [[9, 6, 30]]], [[7, 3, 0, 10, 5, 1], 0],
        [[7, 3, 0, 10, 5, 1], [], 0],
    ):  # fmt: skip
        device.more = wrong
        done = cli(*base)
        assert done.exit_code == 2, wrong
        assert "STATUS" in done.stderr


@pytest.mark.parametrize(
    ("decision", "number", "word"), [("written-off", 4, "Record"), ("batch-closed", 5, "Close of day")]
)
def test_resolve_signs_the_new_decisions(start, key_file, decision, number, word):
    device = start()
    args = ("--txn", 25, "--decision", decision, "--name", "Li Wei", "--reason", "call 17")
    done = cli("resolve", "--port", device.path, "--keys", key_file, *args)
    assert done.exit_code == 0, done.output
    assert f"{word} #25" in done.stdout
    (signed,) = device.decisions
    assert cbor2.loads(cbor2.loads(signed)[2]) == [25, number, "Li Wei", "call 17"]


# -- journals that the terminal itself wrote, on random days of trouble ------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_the_terminals_own_journals_add_up_and_agree_with_the_host(seed):
    day = random_days.Day(seed)
    day.run()
    books, state = Books(), State()
    for entry in (raw for _, raw in day.sim.terminal.runner.journal.read(0)):
        payload = cbor2.loads(cbor2.loads(entry)[2])
        assert not misshapen(payload), payload
        books.take(payload)
        apply(state, payload)
        assert (books.present.number, books.present.totals()) == (state.batch, state.totals), payload
    assert [odd for batch in books.batches for odd in batch.odd] == []
    host = day.sim.host
    rows = []
    (tid,) = books.tids
    for (batch, stan), booked in host.books.items():
        told = host.ledger[f"{batch:06}", f"{stan:06}"]
        state_there = told if told in acquirer_file.STATES else "declined"
        settled = batch if batch in host.closed and stan in host.closed[batch].settled else None
        rows.append(acquirer_file.Row(tid, batch, stan, booked.name, booked.amount, "", "", state_there, settled, ""))
    found = compare(books, rows).lists
    refused = {item[0] for item in state.refused}
    assert {item["txn"] for item in found.pop("refused")} == refused
    assert {item["txn"] for item in found.pop("unresolved")} == {t.txn for t in state.debts}
    written_off = {item["txn"] for item in found.pop("written_off")}
    # A host that agreed to the totals has settled what it then refused to take.
    assert {item["txn"] for item in found.pop("settled_one_side")} <= refused | written_off
    assert {name: items for name, items in found.items() if items} == {}
