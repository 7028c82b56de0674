"""Settlement as the acquirer sees it: totals, uploads, refusals, and what the books say at the end.

Requests are built here by hand, with pyiso8583 and the tables of test_acquirer_wire.py.
"""

import csv
import json
import signal
import sqlite3
from pathlib import Path

import pytest
from poslab.acquirer import LedgerError, ScenarioError, batches, dump_state, export
from poslab.acquirer.faults import BOOK_ACTIONS, load_scenario
from poslab.acquirer.ledger import Ledger
from poslab.acquirer.profile import ProfileError, load_profile
from poslab.cli import app
from test_acquirer_faults import fault, silent
from test_acquirer_wire import ISO87, PAN, PROFILES, UNIONPAY, Client, _a, _n, start  # noqa: F401
from typer.testing import CliRunner

VISA = "4000001234567899"
BOTH = pytest.mark.parametrize("profile", ["unionpay", "iso8583_1987"])
ZERO = [0] * 8
# Type codes of the first profile; MTI and processing code of the second.
KINDS = {
    "sale": ("22", "0200", "000000"), "void": ("23", "0200", "020000"), "refund": ("25", "0200", "200000"),
    "completion": ("20", "0220", "000000"),
}  # fmt: skip


class Till(Client):
    """A terminal at the close of its day."""

    def __init__(self, acquirer, **more):
        super().__init__(acquirer, **more)
        extra = {"48": _n(322, 2, right_pad="0")} if self.unionpay else {"62": _a(999, 3), "63": _a(999, 3)}
        self.spec = {**self.spec, **extra}
        self.number = 500  # STANs of settlement messages

    def stan(self):
        self.number += 1
        return f"{self.number:06d}"

    def sell(self, stan, amount, pan=PAN, mode="021"):
        """A sale that is approved; its reply."""
        fields = self.sale(stan, amount, **{"2": pan, "22": mode})
        for number in ("35", "55"):
            del fields[number]
        reply = self.ask("0200", fields)
        assert reply["39"] == "00"
        return reply

    def take_back(self, stan, amount, to_stan, rrn, kind="void", **more):
        """A void or refund that is approved."""
        if self.unionpay:
            fields = self.refer(stan, amount, to_stan, rrn, KINDS[kind][0])
            reply = self.ask("0200" if kind == "void" else "0220", fields | {"22": "021"} | more)
        else:
            fields = {"2": PAN, "3": KINDS[kind][2], "4": f"{amount:012d}", "11": f"{stan:06d}", "22": "021",
                      "24": "003", "25": "00", "37": rrn, "49": "156", "60": self.batch}  # fmt: skip
            reply = self.ask("0200", fields | more)
        assert reply["39"] == "00"
        return reply

    def undo(self, stan, amount):
        """The reversal of a sale."""
        return self.ask("0400", self.reversal(stan, amount))["39"]

    def write_totals(self, totals):
        """This profile's text of eight totals."""
        if self.unionpay:
            halves = (totals[:4], totals[4:])
            return "".join(f"{da:012d}{dn:03d}{ca:012d}{cn:03d}0" for da, dn, ca, cn in halves)
        da, dn, ca, cn = (totals[n] + totals[n + 4] for n in range(4))
        return f"{dn:03d}{da:012d}{cn:03d}{ca:012d}" + "0" * 60

    def settle(self, totals, stan=None, **more):
        """0500; the reply."""
        fields = {"11": stan or self.stan()}
        if self.unionpay:
            fields |= {"48": self.write_totals(totals), "49": "156", "60": f"00{self.batch}201"}
        else:
            fields |= {"3": "920000", "24": "003", "60": self.batch, "63": self.write_totals(totals)}
        return self.ask("0500", fields | more)

    def verdict(self, reply):
        """(domestic, international) flags of a reply, or DE39 where there are none."""
        return (reply["48"][30], reply["48"][61]) if self.unionpay else reply["39"]

    def pack(self, records, stan=None, batch=None):
        """Fields of an 0320 with records (stan, amount[, kind[, pan]])."""
        text = f"{len(records):02d}"
        for number, amount, kind, pan in (whole(record) for record in records):
            text += f"{KINDS[kind][0]}{number:06d}{pan:>020}{amount:012d}"
        return {"11": stan or self.stan(), "48": text, "60": f"00{batch or self.batch}201"}

    def single(self, record, stan=None, batch=None):
        """Fields of an 0320 with one record, 1987 style."""
        number, amount, kind, pan = whole(record)
        return {"2": pan, "3": KINDS[kind][2], "4": f"{amount:012d}", "11": stan or self.stan(), "22": "021",
                "24": "003", "25": "00", "49": "156", "60": f"{KINDS[kind][1]}{number:06d}" + " " * 12,
                "62": batch or self.batch}  # fmt: skip

    def chip(self, record, stan=None, batch=None, code="203"):
        """Fields of an 0320 with one chip record, unionpay style."""
        number, amount, kind, pan = whole(record)
        return {"2": pan, "4": f"{amount:012d}", "11": stan or self.stan(), "22": "051", "49": "156",
                "60": f"00{batch or self.batch}{code}", "61": f"{KINDS[kind][0]}{number:06d}"}  # fmt: skip

    def upload(self, *records, **more):
        """Upload the records as the profile wants it; their codes."""
        if not self.unionpay:
            return [self.ask("0320", self.single(record, **more))["39"] for record in records]
        codes = []
        for first in range(0, len(records), 8):
            reply = self.ask("0320", self.pack(records[first : first + 8], **more))
            assert (reply["39"], int(reply["48"][:2])) == ("00", len(records[first : first + 8]))
            codes += [reply["48"][place : place + 2] for place in range(2, len(reply["48"]), 2)]
        return codes

    def end(self, count, totals, code="202", stan=None):
        """The end message: a count here, totals there; DE39 of the reply."""
        fields = {"11": stan or self.stan()}
        if self.unionpay:
            return self.ask("0320", fields | {"48": f"{count:04d}", "60": f"00{self.batch}{code}"})["39"]
        fields |= {"3": "960000", "24": "003", "60": self.batch, "63": self.write_totals(totals)}
        return self.ask("0500", fields)["39"]


def whole(record):
    return (*record, *("sale", PAN)[len(record) - 2 :])


@pytest.fixture
def shop(start):  # noqa: F811
    """A signed-on till at an acquirer with this scenario and profile."""

    def begin(scenario="", profile="unionpay", **more):
        acquirer = start(scenario, profile=profile)
        till = Till(acquirer, **more)
        till.sign_on()
        return acquirer, till

    return begin


def only(acquirer):
    (batch,) = batches(acquirer.ledger)
    return batch


def books(acquirer):
    return {row["stan"]: row for row in dump_state(acquirer.ledger)["transactions"]}


def settled(acquirer):
    return {stan: row["settled_batch"] for stan, row in books(acquirer).items()}


GOOD = {"unionpay": ("1", "1"), "iso8583_1987": "00"}
BAD = {"unionpay": ("2", "1"), "iso8583_1987": "95"}

# -- totals --------------------------------------------------------------------------------------------------------


@BOTH
def test_agreed_totals_close_the_batch_at_once(shop, profile):
    acquirer, till = shop(profile=profile)
    till.sell(2, 1000)
    till.sell(3, 250, VISA)
    assert only(acquirer)["state"] == "open" and only(acquirer)["terminal_totals"] is None
    totals = [1000, 1, 0, 0, 250, 1, 0, 0]
    reply = till.settle(totals)
    assert (reply["t"], reply["39"], till.verdict(reply)) == ("0510", "00", GOOD[profile])
    if till.unionpay:
        assert reply["48"] == "000000001000001" + "000000000000000" + "1" + "000000000250001" + "000000000000000" + "1"
    else:
        assert reply["63"] == "002000000001250" + "000000000000000" + "0" * 60
    found = only(acquirer)
    assert (found["tid"], found["batch"], found["state"], found["how"]) == ("POS00001", 7, "closed", "balanced")
    assert found["terminal_totals"] == (totals if till.unionpay else [1250, 2, 0, 0, 0, 0, 0, 0])
    assert (found["host_totals_at_close"], found["differences"], found["missing"]) == (totals, ZERO, 0)
    assert found["closed_at"] and settled(acquirer) == {2: 7, 3: 7}


@BOTH
def test_an_empty_batch_balances(shop, profile):
    acquirer, till = shop(profile=profile)
    assert till.verdict(till.settle(ZERO)) == GOOD[profile]
    assert only(acquirer)["state"] == "closed"


@BOTH
def test_what_counts_follows_the_profile(shop, profile):
    acquirer, till = shop(profile=profile)
    till.sell(90, 700, mode="021")
    old = till.sell(91, 300)
    till.settle([1000, 2, 0, 0, 0, 0, 0, 0])
    till.batch = "000008"
    sold = till.sell(2, 1000)
    till.take_back(3, 1000, 2, sold["37"])  # of this batch
    other = {"61": "000007000091"} if till.unionpay else {}
    till.take_back(4, 300, 91, old["37"], **other)  # of the last one
    kept = till.sell(5, 800)
    till.take_back(6, 200, 5, kept["37"], "refund")
    till.sell(7, 50)
    assert till.undo(7, 50) == "00"  # reversed: out
    more = {"60": f"10{till.batch}000"} if till.unionpay else {}
    hold = till.sale(8, 5000, **{"3": "030000" if till.unionpay else "000000", "22": "021", "25": "06", **more})
    assert till.ask("0100", hold)["39"] == "00"
    # A void is a credit in the first profile; in the second it takes a sale of the same batch out, and is a credit
    # only for a sale of another one.
    totals = [1800, 2, 1500, 3] if till.unionpay else [800, 1, 500, 2]
    assert till.verdict(till.settle(totals + [0] * 4)) == GOOD[profile]
    found = batches(acquirer.ledger)[1]
    assert found["host_totals_at_close"] == totals + [0] * 4
    # Nothing approved is left over, counted or not; what was reversed is not settled.
    rows = [row for row in dump_state(acquirer.ledger)["transactions"] if row["batch"] == 8]
    assert {row["stan"]: row["settled_batch"] for row in rows} == {2: 8, 3: 8, 4: 8, 5: 8, 6: 8, 7: None, 8: 8}


@pytest.mark.parametrize(
    ("pan", "place"),
    [("3566001234567890", 4), (VISA, 4), ("5100001234567890", 4), (PAN, 0), ("9558801234567890", 0)],
)
def test_the_scheme_is_read_from_the_first_digit(shop, pan, place):
    acquirer, till = shop()
    till.sell(2, 1000, pan)
    totals = list(ZERO)
    totals[place : place + 2] = [1000, 1]
    assert till.verdict(till.settle(totals)) == ("1", "1")
    assert only(acquirer)["host_totals_at_close"] == totals


@BOTH
def test_other_totals_are_told_with_the_hosts_own(shop, profile):
    acquirer, till = shop(profile=profile)
    till.sell(2, 1000)
    reply = till.settle([1001, 1, 0, 0, 0, 0, 0, 0])
    assert till.verdict(reply) == BAD[profile]
    if till.unionpay:
        assert (reply["39"], reply["48"][:15]) == ("00", "000000001000001")
    else:
        assert reply["63"][:15] == "001000000001000"
    found = only(acquirer)
    assert (found["state"], found["differences"][:2], found["closed_at"]) == ("unbalanced", [1, 0], None)
    assert (found["host_totals_answered"], found["host_totals_at_close"]) == ([1000, 1, 0, 0, 0, 0, 0, 0], None)


def test_an_end_nobody_asked_for_must_repeat_the_agreed_totals(shop):
    acquirer, till = shop(profile="iso8583_1987")
    till.sell(2, 1000)
    totals = [1000, 1, 0, 0, 0, 0, 0, 0]
    till.settle(totals)
    assert till.end(0, totals) == "00"
    assert till.end(0, [999, 1, 0, 0, 0, 0, 0, 0]) == "95"
    assert (only(acquirer)["state"], only(acquirer)["how"]) == ("closed", "balanced")


def test_the_flags_tell_the_schemes_apart(shop):
    _, till = shop()
    till.sell(2, 1000)
    till.sell(3, 250, VISA)
    assert till.verdict(till.settle([1000, 1, 0, 0, 250, 2, 0, 0])) == ("1", "2")


@BOTH
def test_repeated_totals_get_the_same_answer_and_other_totals_94(shop, profile):
    acquirer, till = shop(profile=profile)
    till.sell(2, 1000)
    wrong = [900, 1, 0, 0, 0, 0, 0, 0]
    first = till.settle(wrong, "000600")
    till.sell(3, 5)  # the books move, the answer does not
    assert till.settle(wrong, "000600") == first
    afresh = till.settle(wrong, "000601")  # another STAN: from the books as they are now
    assert till.verdict(afresh) == BAD[profile] and afresh["37"] != first["37"]
    field = "48" if till.unionpay else "63"
    assert afresh[field] != first[field]
    assert till.settle(wrong, "000600") == first
    for stan in ("000600", "000602"):
        assert till.settle([1005, 2, 0, 0, 0, 0, 0, 0], stan)["39"] == "94"
    assert only(acquirer)["terminal_totals"][0] == 900


@BOTH
def test_a_closed_batch_answers_94_unless_it_is_the_same_message(shop, profile):
    acquirer, till = shop(profile=profile)
    till.sell(2, 1000)
    totals = [1000, 1, 0, 0, 0, 0, 0, 0]
    first = till.settle(totals, "000600")
    assert only(acquirer)["state"] == "closed"
    assert till.settle(totals, "000601")["39"] == "94"
    assert till.settle(totals, "000600") == first


def test_a_misfit_layout_is_a_format_error(shop):
    acquirer, till = shop()
    for text in ("1" * 60, "1" * 64, "0" * 30 + "1" + "0" * 31):
        assert till.settle(ZERO, **{"48": text})["39"] == "30"
    record = f"22000002{PAN:>020}000000000100"
    for text in ("00", "09" + record * 8, "02" + record, "01" + record + "00"):
        assert till.ask("0320", till.pack([]) | {"48": text})["39"] == "30"
    assert batches(acquirer.ledger) == []
    assert till.ask("0500", {"11": "000003", "48": till.write_totals(ZERO), "49": "156", "60": "00000007201"},
                    key=bytes(16))["39"] == "A0"  # fmt: skip


@BOTH
def test_terminals_have_batches_of_their_own(shop, profile):
    acquirer, till = shop(profile=profile)
    other = Till(acquirer, tid="POS00002")
    other.sign_on()
    till.sell(2, 1000)
    other.sell(2, 300)
    assert till.verdict(till.settle([1000, 1, 0, 0, 0, 0, 0, 0])) == GOOD[profile]
    assert [(found["tid"], found["state"]) for found in batches(acquirer.ledger)] == [
        ("POS00001", "closed"), ("POS00002", "open"),
    ]  # fmt: skip


# -- chip records ----------------------------------------------------------------------------------------------------


def test_chip_records_come_even_when_the_totals_agree(shop):
    acquirer, till = shop()
    till.sell(2, 1000, mode="051")
    till.sell(3, 250)
    till.sell(4, 70, mode="071")
    assert till.verdict(till.settle([1320, 3, 0, 0, 0, 0, 0, 0])) == ("1", "1")
    assert only(acquirer)["state"] == "balanced" and settled(acquirer) == {2: None, 3: None, 4: None}
    reply = till.ask("0320", till.chip((2, 1000)))
    assert (reply["t"], reply["39"], "48" in reply) == ("0330", "00", False)
    assert only(acquirer)["state"] == "uploading"
    assert till.end(2, ZERO, "207") == "95"
    assert [till.ask("0320", till.chip(record))["39"] for record in ((2, 1000), (4, 70))] == ["94", "00"]
    assert till.end(2, ZERO, "207") == "00"
    found = only(acquirer)
    assert (found["state"], found["how"], found["uploaded"], found["missing"]) == ("closed", "balanced", 2, 0)
    assert settled(acquirer) == {2: 7, 3: 7, 4: 7}
    assert [books(acquirer)[stan]["upload_code"] for stan in (2, 3, 4)] == ["00", "", "00"]


def test_a_chip_record_that_never_comes_is_settled_by_the_totals_and_marked(shop):
    acquirer, till = shop()
    till.sell(2, 1000, mode="051")
    till.settle([1000, 1, 0, 0, 0, 0, 0, 0])
    assert till.end(0, ZERO, "207") == "00"
    assert (only(acquirer)["missing"], settled(acquirer)) == (1, {2: 7})


def test_a_balance_code_no_message_has_is_not_understood(shop):
    _, till = shop()
    assert till.ask("0320", till.chip((2, 1000), code="299"))["39"] == "12"


# -- uploads ---------------------------------------------------------------------------------------------------------


@BOTH
def test_the_upload_is_the_terminals_word(shop, profile):
    scenario = fault("lose_record", "amount = 300") + fault("double_record", "amount = 400")
    scenario += fault("change_amount", "amount = 500", by=-7)
    acquirer, till = shop(scenario, profile)
    for stan, amount in ((2, 200), (3, 300), (4, 400), (5, 500), (6, 600)):
        till.sell(stan, amount)
    assert 3 not in books(acquirer) and books(acquirer)[5]["amount"] == 493 and books(acquirer)[4]["copies"] == 2
    # The terminal never heard of STAN 6; it knows the four others.
    totals = [1400, 4, 0, 0, 0, 0, 0, 0]
    reply = till.settle(totals)
    assert till.verdict(reply) == BAD[profile]
    assert only(acquirer)["host_totals"][:2] == [200 + 2 * 400 + 493 + 600, 5]
    records = ((2, 200), (3, 300), (4, 400), (5, 500))
    assert till.upload(*records) == ["00"] * 4
    found = only(acquirer)
    assert (found["state"], found["uploaded"], found["recovered"]) == ("uploading", 4, 0)
    assert books(acquirer)[5]["amount"] == 493, "the books move at the end, not before"
    assert till.end(4, totals) == "00"
    found = only(acquirer)
    assert (found["state"], found["how"]) == ("closed", "uploaded")
    assert (found["uploaded"], found["refused"], found["recovered"], found["missing"]) == (4, 0, 1, 1)
    assert (found["host_totals_at_close"], found["differences"]) == (totals, ZERO)
    assert settled(acquirer) == {2: 7, 3: 7, 4: 7, 5: 7, 6: None}
    rows = books(acquirer)
    assert (rows[5]["amount"], rows[5]["booked"]) == (500, 493)
    assert (rows[4]["copies"], rows[6]["missing"]) == (1, 1)
    assert (rows[3]["type"], rows[3]["state"], rows[3]["pan"], rows[3]["recovered"]) == (
        "sale", "approved", "622600*0123", 1,
    )  # fmt: skip
    assert {note["stan"]: note["note"] for note in found["notes"]} == {
        3: "not in the books", 4: "booked 2 times", 5: "amount was 493",
    }  # fmt: skip


@BOTH
def test_uploads_repeat_safely(shop, profile):
    acquirer, till = shop(profile=profile)
    till.sell(2, 1000)
    till.sell(3, 300)
    till.settle([900, 2, 0, 0, 0, 0, 0, 0])
    make = (lambda *r, **more: till.pack(r, **more)) if till.unionpay else (lambda r, **more: till.single(r, **more))
    first = till.ask("0320", make((2, 1000), stan="000700"))
    assert till.ask("0320", make((2, 1000), stan="000700")) == first  # the same message
    assert till.upload((2, 1000)) == ["94"]  # the same record in another
    assert till.upload((2, 1001)) == ["12"]  # another record of this STAN
    assert till.ask("0320", make((3, 300), stan="000700"))["39"] == "94"  # another message of this STAN
    assert only(acquirer)["uploaded"] == 1


def test_one_message_may_hold_a_record_twice(shop):
    acquirer, till = shop()
    till.settle([100, 1, 0, 0, 0, 0, 0, 0])
    assert till.upload((2, 100), (2, 100), (2, 101), (3, 5)) == ["00", "94", "12", "00"]
    assert only(acquirer)["uploaded"] == 2


@BOTH
def test_an_end_that_counts_otherwise_asks_for_the_whole_again(shop, profile):
    acquirer, till = shop(profile=profile)
    for stan in (2, 3):
        till.sell(stan, 1000)
    totals = [3000, 3, 0, 0, 0, 0, 0, 0]
    assert till.verdict(till.settle(totals)) == BAD[profile]
    till.upload((2, 1000), (3, 1000))
    assert till.end(3, totals, stan="000800") == "95"
    assert till.end(3, totals, stan="000800") == "95"  # the answer, not another count
    found = only(acquirer)
    assert (found["state"], found["uploaded"]) == ("uploading", 0)
    assert till.upload((2, 1000), (3, 1000), (4, 1000)) == ["94", "94", "00"]
    assert till.end(3, totals, stan="000801") == "00"
    assert till.end(3, totals, stan="000801") == "00"
    assert till.end(3, totals) == "00"  # closed, and it still agrees
    assert till.end(2, ZERO) == "95"
    found = only(acquirer)
    assert (found["state"], found["uploaded"], found["recovered"], found["missing"]) == ("closed", 3, 1, 0)


@BOTH
def test_an_end_without_totals_ends_nothing(shop, profile):
    acquirer, till = shop(profile=profile)
    till.sell(2, 1000)
    assert till.end(0, ZERO) == "12"
    assert till.upload((3, 50)) == ["00"]  # a record is taken all the same
    assert till.end(1, [50, 1, 0, 0, 0, 0, 0, 0]) == "12"
    assert (only(acquirer)["state"], only(acquirer)["terminal_totals"]) == ("uploading", None)


def test_a_record_left_out_of_the_second_upload_does_not_count(shop):
    acquirer, till = shop()
    till.sell(2, 1000)
    till.sell(3, 50)
    till.settle([1000, 1, 0, 0, 0, 0, 0, 0])
    till.upload((2, 1000), (3, 50))
    assert till.end(1, ZERO) == "95"
    till.upload((2, 1000))
    assert till.end(1, ZERO) == "00"
    assert settled(acquirer) == {2: 7, 3: None}
    assert (only(acquirer)["uploaded"], only(acquirer)["missing"]) == (1, 1)


def test_many_records_in_packs_of_eight(shop):
    acquirer, till = shop()
    records = [(stan, stan * 10) for stan in range(2, 22)]
    for stan, amount in records[:-1]:
        till.sell(stan, amount)
    totals = [sum(amount for _, amount in records), len(records), 0, 0, 0, 0, 0, 0]
    assert till.verdict(till.settle(totals)) == ("2", "1")
    assert till.upload(*records) == ["00"] * 20
    assert till.end(20, ZERO) == "00"
    assert only(acquirer)["host_totals_at_close"] == totals


@BOTH
def test_credits_and_voids_in_an_upload(shop, profile):
    acquirer, till = shop(fault("lose_record", "amount = 70"), profile)
    sold = till.sell(2, 1000)
    till.take_back(3, 1000, 2, sold["37"])
    kept = till.sell(4, 500)
    till.take_back(5, 100, 4, kept["37"], "refund")
    till.sell(6, 70)
    totals = ([1570, 3, 1100, 2] if till.unionpay else [570, 2, 100, 1]) + [0] * 4
    assert till.verdict(till.settle(totals)) == BAD[profile]
    records = [(4, 500), (5, 100, "refund"), (6, 70)]
    if till.unionpay:
        records = [(2, 1000), (3, 1000, "void"), *records]
    assert set(till.upload(*records)) == {"00"}
    assert till.end(len(records), totals) == "00"
    found = only(acquirer)
    assert (found["host_totals_at_close"], found["missing"], found["recovered"]) == (totals, 0, 1)
    assert set(settled(acquirer).values()) == {7}


def test_a_void_the_terminal_gave_up_does_not_take_its_sale_out(shop):
    acquirer, till = shop(profile="iso8583_1987")
    sold = till.sell(2, 1000)
    till.take_back(3, 1000, 2, sold["37"])  # approved here; the terminal got no answer and owes its reversal
    totals = [1000, 1, 0, 0, 0, 0, 0, 0]
    assert till.verdict(till.settle(totals)) == "95"
    assert till.upload((2, 1000)) == ["00"]
    assert till.end(1, totals) == "00"
    assert settled(acquirer) == {2: 7, 3: None}
    assert (only(acquirer)["host_totals_at_close"], only(acquirer)["missing"]) == (totals, 1)


def test_the_upload_does_not_revive_what_was_reversed(shop):
    acquirer, till = shop(fault("lose_record", "amount = 300"))
    till.sell(2, 200)
    till.sell(3, 300)
    till.settle([500, 2, 0, 0, 0, 0, 0, 0])
    assert till.upload((2, 200), (3, 300)) == ["00", "00"]
    assert (till.undo(2, 200), till.undo(3, 300)) == ("00", "25")
    assert till.end(2, ZERO) == "00"
    assert {stan: row["state"] for stan, row in books(acquirer).items()} == {2: "reversed", 3: "reversed"}
    assert settled(acquirer) == {2: None, 3: None}
    assert {note["stan"]: note["note"] for note in only(acquirer)["notes"]} == {
        2: "the books say reversed", 3: "not in the books; reversed before",
    }  # fmt: skip


def test_a_type_nobody_knows_is_refused(shop):
    acquirer, till = shop()
    till.settle([100, 1, 0, 0, 0, 0, 0, 0])
    fields = till.pack([(2, 100)])
    reply = till.ask("0320", fields | {"48": fields["48"].replace("0122", "0177", 1)})
    assert (reply["39"], reply["48"]) == ("00", "0130")
    assert till.end(1, ZERO) == "00"
    assert (only(acquirer)["refused"], books(acquirer)) == (1, {})


# -- refused records -------------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("match", ["stan = 3", "amount = 300", "nth = 2", 'type = "upload", stan = 3, batch = 7'])
def test_a_refused_record_is_not_settled_until_it_is_presented_again(shop, profile, match):
    acquirer, till = shop(fault("refuse_record", match, code='"51"'), profile)
    for stan, amount in ((2, 200), (3, 300), (4, 400)):
        till.sell(stan, amount)
    totals = [901, 3, 0, 0, 0, 0, 0, 0]
    till.settle(totals)
    sent = [900, 3, 0, 0, 0, 0, 0, 0]
    assert till.upload((2, 200), (3, 300), (4, 400)) == ["00", "51", "00"]
    assert till.end(3, sent) == "00"  # accepted and refused: each was told
    found = only(acquirer)
    assert (found["uploaded"], found["refused"], found["missing"], found["state"]) == (2, 1, 0, "closed")
    assert found["host_totals_at_close"][:2] == [600, 2]
    assert settled(acquirer) == {2: 7, 3: None, 4: 7} and books(acquirer)[3]["upload_code"] == "51"
    till.batch = "000008"
    # Its own batch on the wire; the STAN is of the present one and may meet that of an old message.
    stan = "000502" if till.unionpay else "000503"
    assert till.upload((3, 300), stan=stan, batch="000007") == ["00"]
    assert till.upload((3, 300), stan=stan, batch="000007") == ["00"]
    assert till.upload((3, 300), batch="000007") == ["94"]
    found = only(acquirer)
    assert (found["uploaded"], found["refused"]) == (3, 0)
    assert settled(acquirer) == {2: 7, 3: 7, 4: 7} and books(acquirer)[3]["upload_code"] == "00"
    assert found["host_totals"][:2] == [900, 3] and found["host_totals_at_close"][:2] == [600, 2]


def test_a_record_presented_again_may_meet_the_stan_of_its_first_refusal(shop):
    acquirer, till = shop(fault("refuse_record", "stan = 2", code='"51"'))
    till.settle([200, 1, 0, 0, 0, 0, 0, 0])
    assert till.upload((2, 200), stan="000502") == ["51"]
    assert till.upload((2, 200), stan="000502") == ["51"]
    assert till.end(1, ZERO) == "00"
    assert till.upload((2, 200), stan="000502") == ["00"]
    assert till.upload((2, 200), stan="000502") == ["00"]
    assert settled(acquirer) == {2: 7}


def test_a_refusal_lasts_as_long_as_its_fault(shop):
    acquirer, till = shop(fault("refuse_record", "nth = 1", code='"57"', times=0))
    till.sell(2, 200)
    till.settle([201, 1, 0, 0, 0, 0, 0, 0])
    assert till.upload((2, 200)) == ["57"]
    assert till.end(1, ZERO) == "00"
    assert till.upload((2, 200)) == ["57"]
    assert (settled(acquirer), only(acquirer)["refused"]) == ({2: None}, 1)


def test_a_refused_record_the_books_do_not_know_comes_in_when_it_is_taken(shop):
    acquirer, till = shop(fault("lose_record") + fault("refuse_record", "stan = 2", code='"57"'))
    till.sell(2, 500)
    till.settle([500, 1, 0, 0, 0, 0, 0, 0])
    assert till.upload((2, 500)) == ["57"]
    assert till.end(1, ZERO) == "00"
    assert books(acquirer) == {}
    assert till.upload((2, 500)) == ["00"]
    assert (settled(acquirer), only(acquirer)["recovered"]) == ({2: 7}, 1)


def test_a_refused_chip_record_of_an_agreed_batch(shop):
    acquirer, till = shop(fault("refuse_record", 'type = "upload_chip"', code='"57"'))
    till.sell(2, 1000, mode="051")
    till.settle([1000, 1, 0, 0, 0, 0, 0, 0])
    assert till.ask("0320", till.chip((2, 1000)))["39"] == "57"
    assert till.end(1, ZERO, "207") == "00"
    assert (settled(acquirer), only(acquirer)["refused"]) == ({2: None}, 1)
    assert till.ask("0320", till.chip((2, 1000)))["39"] == "00"
    assert settled(acquirer) == {2: 7}


def test_where_de39_speaks_for_the_message_a_refusal_takes_nothing(tmp_path, start, monkeypatch):  # noqa: F811
    profile = json.loads((PROFILES / "unionpay.json").read_text(encoding="utf-8"))
    profile["settlement"]["reply_codes"] = 0
    (tmp_path / "unionpay.json").write_text(json.dumps(profile), encoding="utf-8")
    monkeypatch.setattr("test_acquirer_wire.PROFILES", tmp_path)
    acquirer = start(fault("refuse_record", "stan = 3", code='"51"'))
    till = Till(acquirer)
    till.sign_on()
    till.settle([600, 2, 0, 0, 0, 0, 0, 0])
    reply = till.ask("0320", till.pack([(2, 200), (3, 400)], stan="000700"))
    assert (reply["39"], "48" in reply) == ("51", False)
    assert only(acquirer)["uploaded"] == 0
    assert till.ask("0320", till.pack([(2, 200)]))["39"] == "00"
    assert till.ask("0320", till.pack([(3, 400)]))["39"] == "51"  # the fault was not used up by the first
    assert till.ask("0320", till.pack([(4, 1), (5, 1)]))["39"] == "00"
    assert (only(acquirer)["uploaded"], only(acquirer)["refused"]) == (3, 1)


# -- faults ----------------------------------------------------------------------------------------------------------


@BOTH
def test_the_answer_may_be_bent_to_unbalanced(shop, profile):
    acquirer, till = shop(fault("answer_unbalanced", 'type = "settlement"'), profile)
    till.sell(2, 1000)
    totals = [1000, 1, 0, 0, 0, 0, 0, 0]
    reply = till.settle(totals, "000600")
    assert till.verdict(reply) == (("2", "2") if till.unionpay else "95")
    assert till.settle(totals, "000600") == reply  # a verdict stands
    assert only(acquirer)["state"] == "unbalanced"
    till.upload((2, 1000))
    assert till.end(1, totals) == "00"
    assert settled(acquirer) == {2: 7}


@BOTH
def test_an_error_of_the_host_is_no_verdict(shop, profile):
    acquirer, till = shop(fault("answer_error", "nth = 1"), profile)
    till.sell(2, 1000)
    totals = [1000, 1, 0, 0, 0, 0, 0, 0]
    assert till.verdict(till.settle(totals, "000600")) == (("3", "3") if till.unionpay else "96")
    assert only(acquirer)["state"] == "open"
    assert till.verdict(till.settle(totals, "000600")) == GOOD[profile]  # asked again: from the books
    assert only(acquirer)["state"] == "closed"


@pytest.mark.parametrize(
    ("action", "scheme", "flags"),
    [("answer_unbalanced", "domestic", ("2", "1")), ("answer_unbalanced", "international", ("1", "2")),
     ("answer_error", "domestic", ("3", "1")), ("answer_error", "international", ("1", "3"))],
)  # fmt: skip
def test_one_scheme_may_be_bent_alone(shop, action, scheme, flags):
    _, till = shop(fault(action, 'tid = "POS00001"', scheme=f'"{scheme}"'))
    assert till.verdict(till.settle(ZERO)) == flags


def test_an_error_may_be_followed_by_an_upload(shop):
    acquirer, till = shop(fault("answer_error", "nth = 1", times=0))
    till.sell(2, 1000)
    till.settle([1000, 1, 0, 0, 0, 0, 0, 0])
    till.upload((2, 1000))
    assert till.end(1, ZERO) == "00"
    assert (only(acquirer)["how"], settled(acquirer)) == ("uploaded", {2: 7})


@BOTH
def test_decline_meets_every_message_of_settlement(shop, profile):
    kinds = ("settlement", "upload", "upload_end")
    scenario = "".join(fault("decline", f'type = "{kind}"', code='"96"') for kind in kinds)
    acquirer, till = shop(scenario, profile)
    till.sell(2, 1000)
    totals = [900, 1, 0, 0, 0, 0, 0, 0]
    assert till.settle(totals, "000600")["39"] == "96"
    assert till.verdict(till.settle(totals, "000600")) == BAD[profile]
    if till.unionpay:
        assert till.ask("0320", till.pack([(2, 1000), (3, 5)], stan="000700"))["39"] == "96"
        assert only(acquirer)["uploaded"] == only(acquirer)["refused"] == 0
    else:
        assert till.upload((2, 1000), stan="000700") == ["96"]
        assert only(acquirer)["refused"] == 1  # the one record of the message
    assert till.upload((2, 1000), stan="000700") == ["00"]
    assert only(acquirer)["refused"] == 0
    totals[0] = 1000
    assert till.end(1, totals, stan="000800") == "96"
    assert only(acquirer)["state"] == "uploading"
    assert till.end(1, totals, stan="000800") == "00"
    assert only(acquirer)["state"] == "closed"


def test_decline_of_a_packed_message_with_one_record_refuses_that_record(shop):
    acquirer, till = shop(fault("decline", 'type = "upload"', code='"A0"'))
    till.settle([10, 1, 0, 0, 0, 0, 0, 0])
    reply = till.ask("0320", till.pack([(2, 10)], stan="000700"))
    assert (reply["39"], "48" in reply, only(acquirer)["refused"]) == ("A0", False, 1)
    assert till.upload((2, 10), stan="000700") == ["00"]


def test_decline_meets_a_chip_record(shop):
    acquirer, till = shop(fault("decline", 'type = "upload_chip"', code='"05"'))
    till.settle([10, 1, 0, 0, 0, 0, 0, 0])
    assert till.ask("0320", till.chip((2, 1000)))["39"] == "05"
    assert only(acquirer)["refused"] == 1


@BOTH
@pytest.mark.parametrize("action", ["drop_request", "drop_reply"])
def test_lost_settlement_messages_are_made_good_by_repeating_them(shop, profile, action):
    kinds = ("settlement", "upload", "upload_end")
    acquirer, till = shop("".join(fault(action, f'type = "{kind}"') for kind in kinds), profile)
    till.sell(2, 1000)
    totals = [900, 1, 0, 0, 0, 0, 0, 0]
    done = {"drop_request": False, "drop_reply": True}[action]

    def lost(method, *values, **more):
        receive, till.receive = till.receive, lambda: {"39": "", "48": "0000", "t": ""}
        with pytest.raises(AssertionError) if method == till.upload and till.unionpay else _nothing():
            method(*values, **more)
        assert silent(till)
        till.receive = receive
        return method(*values, **more)

    assert till.verdict(lost(till.settle, totals, "000600")) == BAD[profile]
    assert lost(till.upload, (2, 1000), stan="000700") == ["00"], "the same message, so not 94"
    totals[0] = 1000
    assert lost(till.end, 1, totals, stan="000800") == "00"
    assert (only(acquirer)["state"], only(acquirer)["uploaded"]) == ("closed", 1)
    seen = [m for m in dump_state(acquirer.ledger)["messages"] if m["fault"] == action and m["direction"] == "out"]
    assert len(seen) == (3 if done else 0)


class _nothing:
    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False


@BOTH
@pytest.mark.parametrize("processed", ["true", "false"])
def test_the_acquirer_may_die_between_uploads(shop, profile, processed):
    scenario = fault("restart", 'type = "upload", nth = 2', down_ms=200, processed=processed)
    acquirer, till = shop(scenario, profile)
    records = [(stan, 100) for stan in range(2, 5)]
    for stan, amount in records:
        till.sell(stan, amount)
    totals = [300, 3, 0, 0, 0, 0, 0, 0]
    till.settle([301, 3, 0, 0, 0, 0, 0, 0])
    assert till.upload(records[0], stan="000701") == ["00"]
    fields = till.pack([records[1]], "000702") if till.unionpay else till.single(records[1], "000702")
    assert till.ask("0320", fields) is None
    assert only(acquirer)["uploaded"] == (2 if processed == "true" else 1)
    # And the whole process is killed too: nothing of it lives in memory.
    acquirer.stop(signal.SIGKILL)
    acquirer, again = shop("", profile, key=till.key)
    assert again.upload(records[1], stan="000702") == ["00"]
    assert again.upload(records[2]) == ["00"]
    assert again.end(3, totals) == "00"
    assert (only(acquirer)["host_totals_at_close"], only(acquirer)["uploaded"]) == (totals, 3)


def test_the_existing_faults_bend_settlement_answers_too(shop):
    scenario = fault("bad_mac", 'type = "settlement"') + fault("wrong_stan", 'type = "upload"')
    scenario += fault("garbled_reply", 'type = "upload_end"') + fault("close_mid_message", 'type = "upload_end"')
    _, till = shop(scenario)
    with pytest.raises(AssertionError, match="reply MAC"):
        till.settle([1, 1, 0, 0, 0, 0, 0, 0])
    assert till.ask("0320", till.pack([(2, 1)], stan="000700"))["11"] == "000701"
    with pytest.raises(Exception, match=r"(?i)field|data|bitmap"):
        till.end(1, ZERO)
    assert till.ask("0320", {"11": "000900", "48": "0001", "60": "00000007202"}) is None


def test_book_faults_wait_for_a_message_they_can_meet(shop):
    acquirer, till = shop(fault("change_amount", "nth = 1", by=5) + fault("answer_error", "nth = 1"))
    assert till.sell(2, 100)["4"] == "000000000100"  # the sign-on before it used nothing up
    assert books(acquirer)[2]["amount"] == 105
    assert till.verdict(till.settle([105, 1, 0, 0, 0, 0, 0, 0])) == ("3", "3")


def test_a_fault_in_the_books_is_not_seen_by_the_terminal(shop):
    """The financial path goes on with the amount that was asked for."""
    acquirer, till = shop(fault("change_amount", by=-9999) + fault("double_record", "amount = 900"))
    sold = till.sell(2, 500)
    assert books(acquirer)[2]["amount"] == 0
    assert till.sell(2, 500)["37"] == sold["37"]
    till.take_back(3, 500, 2, sold["37"])
    till.sell(4, 900)
    assert till.undo(4, 900) == "00"
    assert books(acquirer)[4]["state"] == "reversed"


BROKEN = {
    "no code": (fault("refuse_record"), "two digits"),
    "letters": (fault("refuse_record", code='"A0"'), "two digits"),
    "taken": (fault("refuse_record", code='"00"'), "two digits"),
    "no amount": (fault("change_amount"), "by must be"),
    "by nothing": (fault("change_amount", by=0), "by must not be 0"),
    "scheme": (fault("answer_error", scheme='"both"'), "domestic or international"),
    "another action's key": (fault("lose_record", scheme='"domestic"'), "unknown key scheme"),
    "never met": (fault("lose_record", 'type = "settlement"'), "lose_record meets only sale"),
    "never met either": (fault("answer_error", 'type = "sale"'), "answer_error meets only settlement"),
    "no match": (fault("double_record", match=""), "needs a match"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_book_faults_are_refused(tmp_path, name):
    text, said = BROKEN[name]
    path = tmp_path / "broken.toml"
    path.write_text(text)
    with pytest.raises(ScenarioError, match=said):
        load_scenario(path)


def test_every_book_fault_is_tested_here():
    source = Path(__file__).read_text(encoding="utf-8")
    assert all(f'fault("{action}"' in source for action in BOOK_ACTIONS)


# -- after the close -------------------------------------------------------------------------------------------------


def test_what_comes_after_the_close_is_listed(shop):
    acquirer, till = shop()
    till.sell(2, 1000)
    till.sell(3, 200)
    totals = [1200, 2, 0, 0, 0, 0, 0, 0]
    till.settle(totals)
    till.sell(4, 70)
    assert till.undo(2, 1000) == "00"
    found = only(acquirer)
    assert found["late"] == [{"stan": 4, "type": "sale", "amount": 70}]
    assert found["reversed_after_close"] == [{"stan": 2, "type": "sale", "amount": 1000}]
    assert found["host_totals_at_close"] == found["host_totals"] == totals
    assert settled(acquirer) == {2: 7, 3: 7, 4: None}
    assert till.upload((4, 70)) == ["00"]
    assert settled(acquirer)[4] == 7


# -- what the command line tells -------------------------------------------------------------------------------------


@pytest.fixture
def day(shop):
    scenario = fault("lose_record", "amount = 300") + fault("double_record", "amount = 400", times=2)
    scenario += fault("refuse_record", "stan = 2", code='"51"')
    acquirer, till = shop(scenario)
    for stan, amount in ((2, 200), (3, 300), (4, 400), (5, 500)):
        till.sell(stan, amount, VISA if stan == 4 else PAN)
    assert till.ask("0200", till.sale(6, 0))["39"] == "13"
    till.settle([500, 2, 0, 0, 400, 1, 0, 0])
    till.upload((2, 200), (3, 300), (4, 400, "sale", VISA))
    assert till.end(3, ZERO) == "00"
    assert till.undo(4, 400) == "00"
    till.sell(7, 400)
    till.batch = "000008"
    till.sell(2, 10)
    return acquirer, till


def run(*args):
    return CliRunner().invoke(app, ["acquirer", *map(str, args)])


def test_state_on_the_command_line(day):
    acquirer, _ = day
    done = run("--state", "--ledger", acquirer.ledger)
    assert done.exit_code == 0, done.output
    shown = done.stdout
    for text in (
        "POS00001 batch 7: closed (uploaded)", "POS00001 batch 8: open",
        "uploaded 2, refused 1, recovered 1, missing 1",
        "late: 000007 sale 4.00", "reversed after close: 000004 sale 4.00", "record 000002: 51",
        "record 000003: 00 not in the books", "5.00 / 2", "2.00 / 1",
    ):  # fmt: skip
        assert text in shown, text
    told = json.loads(run("--state", "--json", "--ledger", acquirer.ledger).stdout)
    assert told["batches"] == json.loads(json.dumps(batches(acquirer.ledger)))
    assert set(told) == {"batches", "transactions", "reversals", "messages"}
    first = told["batches"][0]
    assert (first["terminal_totals"], first["host_totals_at_close"]) == (
        [500, 2, 0, 0, 400, 1, 0, 0], [300, 1, 0, 0, 400, 1, 0, 0],
    )  # fmt: skip
    assert first["differences"] == [200, 1, 0, 0, 0, 0, 0, 0]


def test_the_settlement_file(day, tmp_path):
    acquirer, _ = day
    path = tmp_path / "settlement.csv"
    assert run("--export", path, "--ledger", acquirer.ledger).exit_code == 0
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert path.read_text(encoding="utf-8").splitlines()[0] == (
        "tid,batch,stan,type,amount,currency,pan,rrn,auth,state,settled_batch,upload_code"
    )
    told = [
        (r["batch"], r["stan"], r["amount"], r["pan"], r["state"], r["settled_batch"], r["upload_code"]) for r in rows
    ]
    assert told == [
        ("7", "2", "200", "622600*0123", "approved", "", "51"),
        ("7", "3", "300", "622600*0123", "approved", "7", "00"),
        ("7", "4", "400", "400000*7899", "reversed", "7", "00"),
        ("7", "5", "500", "622600*0123", "approved", "", ""),
        ("7", "6", "0", "622600*0123", "declined", "", ""),
        ("7", "7", "400", "622600*0123", "approved", "", ""),
        ("7", "7", "400", "622600*0123", "approved", "", ""),  # booked twice
        ("8", "2", "10", "622600*0123", "approved", "", ""),
    ]
    assert {(r["tid"], r["type"], r["currency"]) for r in rows} == {("POS00001", "sale", "156")}
    assert len(rows[0]["rrn"]) == 12 and len(rows[0]["auth"]) == 6 and rows[1]["rrn"] == ""


def test_trouble_on_the_command_line(tmp_path):
    assert run("--state", "--ledger", tmp_path / "none").exit_code == 2
    assert run("--json", "--ledger", tmp_path / "none").exit_code == 2
    ledger = tmp_path / "l.sqlite"
    Ledger(ledger).close()
    assert run("--export", tmp_path / "no" / "folder.csv", "--ledger", ledger).exit_code == 2
    done = run("--state", "--ledger", ledger)
    assert (done.exit_code, done.stdout) == (0, "")


def test_no_card_number_reaches_the_disk(day):
    acquirer, till = day
    till.ask("0320", till.chip((9, 1, "sale", VISA), code="205"))
    acquirer.stop(signal.SIGKILL)
    export(acquirer.ledger, acquirer.directory / "out.csv")
    for path in (path for path in acquirer.directory.iterdir() if path.is_file()):
        data = path.read_bytes()
        for pan in (PAN, VISA):
            for text in (pan, pan[:12], pan[6:]):
                assert text.encode() not in data, path.name
                assert bytes.fromhex(text[: len(text) // 2 * 2]) not in data, path.name


# -- files -----------------------------------------------------------------------------------------------------------

VERSION_1 = """
CREATE TABLE messages (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, direction TEXT NOT NULL, mti TEXT NOT NULL,
  type TEXT NOT NULL DEFAULT '', tid TEXT NOT NULL DEFAULT '', stan INTEGER, batch INTEGER, amount INTEGER,
  code TEXT NOT NULL DEFAULT '', fault TEXT NOT NULL DEFAULT '', pan TEXT NOT NULL DEFAULT '');
CREATE TABLE transactions (id INTEGER PRIMARY KEY, tid TEXT NOT NULL, batch INTEGER NOT NULL, stan INTEGER NOT NULL,
  mti TEXT NOT NULL, type TEXT NOT NULL, amount INTEGER NOT NULL, currency TEXT NOT NULL, pan TEXT NOT NULL,
  code TEXT NOT NULL, rrn TEXT NOT NULL, auth TEXT NOT NULL, state TEXT NOT NULL,
  reversal_reason TEXT NOT NULL DEFAULT '', original INTEGER, voided_by INTEGER, created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL, UNIQUE (tid, batch, stan));
CREATE TABLE reversals (tid TEXT NOT NULL, batch INTEGER NOT NULL, stan INTEGER NOT NULL, reason TEXT NOT NULL,
  code TEXT NOT NULL, rrn TEXT NOT NULL, count INTEGER NOT NULL, first_at INTEGER NOT NULL, last_at INTEGER NOT NULL,
  PRIMARY KEY (tid, batch, stan));
CREATE TABLE keys (tid TEXT PRIMARY KEY, wrapped BLOB NOT NULL);
INSERT INTO transactions VALUES (1, 'POS00001', 7, 2, '0200', 'sale', 1000, '156', '400000*7899', '00', '515209000001',
  '123456', 'approved', '', NULL, NULL, 1, 1);
PRAGMA user_version = 1;
"""


def test_a_ledger_of_version_1_is_taken_along(shop, tmp_path):
    path = tmp_path / "ledger.sqlite"
    with sqlite3.connect(path) as db:
        db.executescript(VERSION_1)
    db.close()
    with pytest.raises(LedgerError, match="start the acquirer"):
        batches(path)
    assert len(dump_state(path)["transactions"]) == 1
    acquirer, till = shop()
    assert till.verdict(till.settle([0, 0, 0, 0, 1000, 1, 0, 0])) == ("1", "1")
    assert (only(acquirer)["state"], books(acquirer)[2]["asked"]) == ("closed", 1000)
    assert till.undo(2, 1000) == "00"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"count": {"sale": "twice"}}, "count"),
        ({"totals": ["domestic_debit_amount"]}, "domestic_debit_amount"),
        ({"totals": ["debit_amount:12", "domestic_debit_count:3"]}, "both together"),
        ({"reply": {"field": 48, "flags": [30, 62]}}, "flags"),
        ({"reply": {"field": 48}}, "unbalanced"),
        ({"reply": {"field": 99, "flags": [30, 61]}}, "field 99"),
        ({"record": ["pan:20", "colour:2"]}, "colour"),
        ({"pack": 0}, "pack"),
    ],
)
def test_a_wrong_settlement_table_is_refused_by_name(tmp_path, change, said):
    profile = json.loads((PROFILES / "unionpay.json").read_text(encoding="utf-8"))
    profile["settlement"].update(change)
    path = tmp_path / "p.json"
    path.write_text(json.dumps(profile), encoding="utf-8")
    with pytest.raises(ProfileError, match=said):
        load_profile(path)
    del profile["settlement"]
    path.write_text(json.dumps(profile), encoding="utf-8")
    with pytest.raises(ProfileError, match="settlement"):
        load_profile(path)


def test_a_profile_without_settlement_still_loads(tmp_path):
    profile = json.loads((PROFILES / "unionpay.json").read_text(encoding="utf-8"))
    for kind in ("settlement", "upload", "upload_chip", "upload_end"):
        del profile["messages"][kind]
    path = tmp_path / "p.json"
    path.write_text(json.dumps(profile), encoding="utf-8")
    assert load_profile(path).clearing is None
