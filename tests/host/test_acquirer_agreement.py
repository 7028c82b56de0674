"""Both sides read one profile, each with code of its own: what one builds, the other understands."""

import hashlib
from pathlib import Path
from types import SimpleNamespace

import pytest
from poslab.acquirer import codec, wirefaults
from poslab.acquirer.faults import Scenario
from poslab.acquirer.host import Host
from poslab.acquirer.ledger import Ledger, dump_state
from poslab.acquirer.profile import load_profile
from poslab.acquirer.request import identify

from posfw.acquirer import messages
from posfw.acquirer.profile import MESSAGE_NAMES, Profile, load
from posfw.crypto.cmac import Cmac
from posfw.numbers import V_BAD_MAC, V_MATCHED, V_MISMATCH

PROFILES = Path(__file__).resolve().parents[2] / "posfw" / "acquirer" / "profiles"
SETTINGS = {
    "tid": "POS00001",
    "mid": "M00000000000001",
    "merchant": "店",
    "utc_offset_min": 480,
    "currency": "156",
}
MASTER = bytes(range(16))
CARDS = {
    "chip": {"mode": 5, "pan": "6226001234567890", "expiry": "3012", "card_seq": "1",
             "track2": "6226001234567890D3012201", "icc": bytes.fromhex("9505000000000082025C00")},
    "stripe, odd": {"mode": 2, "pan": "6226001234567890123", "expiry": "3012",
                    "track2": "6226001234567890123D3012201"},
    "keyed": {"mode": 1, "pan": "6226001234567", "expiry": "2701"},
}  # fmt: skip


class Pair:
    """A terminal's profile and an acquirer, with the bytes between them in between."""

    def __init__(self, name, ledger):
        path = PROFILES / f"{name}.json"
        self.profile = load_profile(path)
        self.ledger = ledger
        self.host = Host(self.profile, Ledger(ledger), MASTER, Scenario())
        digest = hashlib.sha256(path.read_bytes()).digest()
        self.terminal = Profile(load(str(path)), SETTINGS, "T1", digest)
        self.cmac = Cmac(bytes(16)).mac
        self.stan = 1
        self.tell(messages.sign_on(self.terminal, self.terminal.config, 1, 7, self.cmac))

    def tell(self, request, fault=None):
        """Deliver a request; return the request as understood, the verdict and fields of the answer."""
        wire = codec.decode(self.profile, request.wire)
        understood = identify(self.profile, wire)
        answer = self.host.handle(understood, fault)
        (whole,) = wirefaults.plan(self.profile, answer, fault).chunks
        if 62 in answer.fields:
            self.cmac = Cmac(codec.unwrap_working_key(MASTER, bytes.fromhex(answer.fields[62]))).mac
        verdict, fields = messages.judge(self.terminal, request, whole[2:], self.cmac)
        return understood, verdict, fields

    def transaction(self, kind, card, original=None):
        self.stan += 1
        return SimpleNamespace(
            type=kind, stan=self.stan, batch=7, amount=1234, currency="156", mode=card["mode"], operator="01",
            rtc=1_750_000_000, reason="98", rrn="", auth="", original=original,
        )  # fmt: skip


@pytest.fixture(params=["unionpay", "iso8583_1987"])
def pair(request, tmp_path):
    return Pair(request.param, tmp_path / "ledger.sqlite")


@pytest.mark.parametrize("card", CARDS)
def test_every_type_and_its_reversal_are_understood_and_booked(pair, card):
    # 1 sale, 2 void, 3 refund, 4 pre-authorisation, 5 completion, 6 pre-authorisation void
    for kind, refers_to in ((1, 0), (2, 1), (1, 0), (3, 1), (4, 0), (5, 4), (4, 0), (6, 4)):
        original = None
        if refers_to:
            original = [0, 7, done.stan, "0615", done.rrn, done.auth, 1234]  # noqa: F821  set by the round before
        done = pair.transaction(kind, CARDS[card], original)
        understood, verdict, fields = pair.tell(
            messages.payment(pair.terminal, pair.terminal.config, done, CARDS[card], pair.cmac)
        )
        assert (understood.kind, understood.wrong) == (MESSAGE_NAMES[kind], [])
        assert (verdict, fields[39]) == (V_MATCHED, "00"), MESSAGE_NAMES[kind]
        done.rrn, done.auth = fields[37], fields[38]
        assert understood.values["pan"] == CARDS[card]["pan"]
    # Undone from the last to the first; the record is what a vault keeps.
    record = [
        CARDS[card]["pan"],
        CARDS[card]["expiry"],
        CARDS[card].get("card_seq", ""),
        CARDS[card].get("icc"),
    ]
    request = messages.reversal(pair.terminal, pair.terminal.config, done, record, pair.cmac)
    understood, verdict, fields = pair.tell(request)
    assert (understood.kind, understood.wrong, verdict, fields[39]) == ("reversal", [], V_MATCHED, "00")
    rows = dump_state(pair.ledger)["transactions"]
    assert [row["type"] for row in rows] == [
        "sale", "void", "sale", "refund", "preauth", "completion", "preauth", "preauth_void",
    ]  # fmt: skip
    assert [row["state"] for row in rows] == ["approved"] * 7 + ["reversed"]
    assert [bool(row["voided_by"]) for row in rows] == [True] + [False] * 7


@pytest.mark.parametrize(
    ("action", "verdict"), [("bad_mac", V_BAD_MAC), ("wrong_stan", V_MISMATCH), ("wrong_amount", V_MISMATCH)]
)
def test_faults_are_what_the_terminal_takes_them_for(tmp_path, action, verdict):
    pair = Pair("unionpay", tmp_path / "ledger.sqlite")
    sale = pair.transaction(1, CARDS["chip"])
    request = messages.payment(pair.terminal, pair.terminal.config, sale, CARDS["chip"], pair.cmac)
    assert pair.tell(request, SimpleNamespace(action=action, settings={}))[1] == verdict
