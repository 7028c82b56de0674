"""What the acquirer books: idempotence, reversals, and a ledger that is on disk before the answer leaves."""

import signal
import sqlite3

import pytest
from poslab.acquirer import dump_state
from test_acquirer_wire import PAN, TRACK2, start  # noqa: F401


@pytest.fixture
def shop(start):  # noqa: F811
    """A signed-on client with a charged sale (STAN 2, 10.00), and a view of the ledger."""

    class Shop:
        acquirer = start()

        def state(self):
            return {row["stan"]: row for row in dump_state(self.acquirer.ledger)["transactions"]}

    shop = Shop()
    shop.client = shop.acquirer.client()
    shop.client.sign_on()
    shop.sold = shop.client.ask("0200", shop.client.sale(2, 1000))
    assert shop.sold["39"] == "00"
    return shop


def test_the_same_request_is_charged_once_and_answered_alike(shop):
    again = shop.client.ask("0200", shop.client.sale(2, 1000))
    assert again == shop.sold
    assert list(shop.state()) == [2]
    # Under the same STAN, but not the same request: nothing of the first answer may serve it.
    for other in (shop.client.sale(2, 1001), shop.client.sale(2, 1000, **{"2": "6226001234567890999"})):
        reply = shop.client.ask("0200", other)
        assert (reply["39"], reply.get("38")) == ("94", None)
    assert shop.state()[2]["amount"] == 1000
    # The same STAN in the next batch is another transaction.
    shop.client.batch = "000008"
    assert shop.client.ask("0200", shop.client.sale(2, 1000))["37"] != shop.sold["37"]


def test_a_reversal_undoes_a_sale_once_and_says_so_twice(shop):
    first = shop.client.ask("0400", shop.client.reversal(2, 1000, "98"))
    assert (first["t"], first["39"], first["11"], first["37"]) == ("0410", "00", "000002", shop.sold["37"])
    assert shop.client.ask("0400", shop.client.reversal(2, 1000, "96"))["39"] == "00"
    row = shop.state()[2]
    assert (row["state"], row["reversal_reason"]) == ("reversed", "98")
    assert [r["count"] for r in dump_state(shop.acquirer.ledger)["reversals"]] == [2]
    # The sale once more, held up on the way: it was undone and must not be told "approved".
    assert shop.client.ask("0200", shop.client.sale(2, 1000))["39"] == "12"
    assert shop.state()[2]["state"] == "reversed"


def test_a_reversal_that_does_not_fit_changes_nothing(shop):
    ask, reversal = shop.client.ask, shop.client.reversal
    assert ask("0400", reversal(2, 999))["39"] == "64"
    assert ask("0400", reversal(2, 1000, kind="25"))["39"] == "30"
    assert ask("0400", reversal(2, 1000, pcode="200000"))["39"] == "30"
    two_stans = reversal(2, 1000) | {"11": "000003"}
    assert ask("0400", two_stans)["39"] == "30"
    assert ask("0400", reversal(2, 1000), key=bytes(16))["39"] == "A0"
    assert shop.state()[2]["state"] == "approved"
    assert dump_state(shop.acquirer.ledger)["reversals"] == []


def test_a_reversal_that_overtakes_its_sale_keeps_it_from_being_charged(shop):
    assert shop.client.ask("0400", shop.client.reversal(5, 700))["39"] == "25"
    assert shop.client.ask("0400", shop.client.reversal(5, 700))["39"] == "25"
    assert 5 not in shop.state()
    assert shop.client.ask("0200", shop.client.sale(5, 700))["39"] == "12"
    assert shop.state()[5]["state"] == "declined"
    assert shop.client.ask("0400", shop.client.reversal(5, 700))["39"] == "00"


def test_another_terminals_reversal_cannot_touch_it(shop):
    other = shop.acquirer.client(tid="POS00002")
    other.sign_on()
    assert other.ask("0400", other.reversal(2, 1000))["39"] == "25"
    assert shop.state()[2]["state"] == "approved"


def test_void_and_the_reversal_of_a_void(shop):
    client, rrn = shop.client, shop.sold["37"]
    assert client.ask("0200", client.refer(3, 999, 2, rrn))["39"] == "64"  # not its amount
    assert client.ask("0200", client.refer(4, 1000, 9, rrn))["39"] == "25"  # STAN and RRN disagree
    assert client.ask("0200", client.refer(5, 1000, 2, rrn, **{"2": "6226001234567890999"}))["39"] == "14"
    assert client.ask("0200", client.refer(6, 1000, 2, rrn))["39"] == "00"
    assert shop.state()[2]["voided_by"] == shop.state()[6]["id"]
    assert shop.state()[6]["original"] == shop.state()[2]["id"]
    assert client.ask("0200", client.refer(7, 1000, 2, rrn))["39"] == "12"  # twice
    assert client.ask("0400", client.reversal(2, 1000))["39"] == "12"  # the void has undone it already
    assert client.ask("0400", client.reversal(6, 1000, kind="23", pcode="200000"))["39"] == "00"
    assert (shop.state()[6]["state"], shop.state()[2]["voided_by"]) == ("reversed", None)
    assert shop.state()[2]["state"] == "approved"
    assert client.ask("0200", client.refer(8, 1000, 2, rrn))["39"] == "00"  # and may be voided anew


def test_refunds_never_exceed_the_sale(shop):
    client, rrn = shop.client, shop.sold["37"]
    assert client.ask("0220", client.refer(3, 600, 2, rrn, "25"))["39"] == "00"
    assert client.ask("0220", client.refer(4, 401, 2, rrn, "25"))["39"] == "61"
    assert client.ask("0220", client.refer(5, 400, 2, rrn, "25"))["t"] == "0230"
    assert client.ask("0200", client.refer(6, 1000, 2, rrn))["39"] == "12"  # refunded: cannot be voided
    assert client.ask("0400", client.reversal(5, 400, kind="25", pcode="200000"))["39"] == "00"
    assert client.ask("0220", client.refer(7, 400, 2, rrn, "25"))["39"] == "00"
    assert {stan: (row["type"], row["state"]) for stan, row in shop.state().items()} == {
        2: ("sale", "approved"), 3: ("refund", "approved"), 4: ("refund", "declined"),
        5: ("refund", "reversed"), 6: ("void", "declined"), 7: ("refund", "approved"),
    }  # fmt: skip


def test_preauthorisation_completion_and_its_void(shop):
    client = shop.client
    held = client.ask("0100", client.sale(10, 5000, **{"3": "030000", "25": "06", "60": "10000007000"}))
    assert (held["t"], held["39"]) == ("0110", "00")

    def follow(mti, stan, amount, pcode, kind, to=10, auth=held["38"]):
        fields = {
            "2": PAN, "3": pcode, "4": f"{amount:012d}", "11": f"{stan:06d}", "22": "051", "25": "06",
            "38": auth, "49": "156", "60": f"{kind}000007000", "61": f"000007{to:06d}0000",
        }  # fmt: skip
        return client.ask(mti, fields)["39"]

    assert follow("0200", 11, 4200, "000000", "20", to=2) == "12"  # a sale cannot be completed
    assert follow("0100", 12, 5000, "200000", "11") == "00"
    assert follow("0200", 13, 4200, "000000", "20") == "12"  # voided
    assert client.ask("0400", client.reversal(12, 5000, kind="11", pcode="200000"))["39"] == "00"
    assert follow("0200", 14, 4200, "000000", "20") == "00"
    assert follow("0200", 15, 800, "000000", "20") == "12"  # completed
    assert follow("0100", 16, 5000, "200000", "11") == "12"
    assert shop.state()[14]["type"] == "completion" and shop.state()[12]["type"] == "preauth_void"


def test_the_ledger_is_durable_before_the_answer_leaves(start):  # noqa: F811
    """Killed the instant the answer is here: everything the terminal was told is on disk."""
    for stan in range(2, 8):
        acquirer = start()
        client = acquirer.client(key=None)
        client.sign_on()
        assert client.ask("0200", client.sale(stan, 100 + stan))["39"] == "00"
        acquirer.stop(signal.SIGKILL)
        row = dump_state(acquirer.ledger)["transactions"][-1]
        assert (row["stan"], row["amount"], row["state"]) == (stan, 100 + stan, "approved")


def test_a_restart_keeps_the_working_key(start):  # noqa: F811
    first = start()
    client = first.client()
    client.sign_on()
    first.stop(signal.SIGKILL)
    again = start().client(key=client.key)
    assert again.ask("0200", again.sale(2, 100))["39"] == "00"


def test_the_ledger_holds_each_message_and_no_card_data(shop):
    client = shop.client
    client.ask("0400", client.reversal(2, 1000))
    client.ask("0200", client.sale(3, 1, **{"3": "999999"}))
    shop.acquirer.stop(signal.SIGKILL)  # so that the write-ahead log is still there to be searched
    rows = [
        (r["direction"], r["mti"], r["stan"], r["code"]) for r in dump_state(shop.acquirer.ledger)["messages"]
    ]
    assert rows == [
        ("in", "0800", 1, ""), ("out", "0810", 1, "00"), ("in", "0200", 2, ""), ("out", "0210", 2, "00"),
        ("in", "0400", 2, ""), ("out", "0410", 2, "00"), ("in", "0200", 3, ""), ("out", "0210", 3, "12"),
    ]  # fmt: skip
    assert shop.state()[2]["pan"] == "622600*0123"
    files = [path for path in shop.acquirer.directory.iterdir() if path.is_file()]
    assert any(path.name.endswith("-wal") for path in files)
    for path in files:
        data = path.read_bytes()
        for text in (PAN, TRACK2, PAN[:12], PAN[6:]):
            forms = [text.encode(), text.encode("utf-16-le"), bytes.fromhex(text[: len(text) // 2 * 2])]
            assert not any(form in data or form.hex().encode() in data for form in forms), path.name
    with sqlite3.connect(shop.acquirer.ledger) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert client.key not in db.execute("SELECT wrapped FROM keys").fetchone()[0]
