"""Slips as the paper shows them, read back by a decoder that shares nothing with the encoder."""

import unicodedata

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from poslab.preview import preview

from posfw import numbers as n
from posfw.receipt.slips import render

APPROVED = [n.SLIP_SALE, n.SLIP_VOID, n.SLIP_REFUND, n.SLIP_PREAUTH, n.SLIP_COMPLETION]
OWED = [n.SLIP_PENDING, n.SLIP_UNRESOLVED_CUSTOMER, n.SLIP_UNRESOLVED_MERCHANT]
OTHER = [n.SLIP_DECLINED, n.SLIP_REVERSED, n.SLIP_TECHNICIAN, n.SLIP_HUMAN, n.SLIP_NOT_SENT]
ALL = APPROVED + OWED + OTHER

FACTS = {
    "merchant": "老张面馆",
    "mid": "898310058120001",
    "tid": "10000123",
    "terminal_id": "PF-0001",
    "acquirer": "银联商务",
    "phone": "95516",
    "operator": "OP42",
    "batch": 7,
    "stan": 123,
    "rrn": "504321098765",
    "auth": "A1B2C3",
    "amount": 12345,
    "currency": "156",
    "type": n.VOID,
    "mode": n.MODE_CHIP,
    "scheme": n.SCHEME_INTERNATIONAL,
    "pan": "622848*********1234",
    "aid": "A000000333010101",
    "time": (2026, 7, 5, 21, 4, 9),
    "cause": n.CAUSE_HOST_BUSY,
    "code": "51",
    "reason": "A0",
    "attempts": 77,
    "seq": 4711,
    "head": "0123456789abcdef",
    "reprint": True,
    "original_stan": 98,
    "decision": n.HUMAN_CHARGED,
    "name": "王经理",
}

# What the paper must show for each fact of FACTS; those of STORY only where something went wrong.
SHOWN = {
    "merchant": "老张面馆",
    "mid": "898310058120001",
    "tid": "10000123",
    "terminal_id": "PF-0001",
    "acquirer": "银联商务",
    "phone": "95516",
    "operator": "OP42",
    "batch": "000007",
    "stan": "000123",
    "rrn": "504321098765",
    "auth": "A1B2C3",
    "amount": "￥123.45",
    "currency": "AMOUNT CNY",
    "type": "消费撤销 VOID",
    "mode": "插卡 CHIP",
    "scheme": "境外 INTERNATIONAL",
    "pan": "622848*********1234",
    "aid": "A000000333010101",
    "time": "2026-07-05 21:04:09",
    "seq": "JOURNAL 4711",
    "head": "HEAD 0123456789abcdef",
    "reprint": "重印 REPRINT",
    "original_stan": "000098",
}
STORY = {
    "cause": "维护",
    "code": "51 余额不足 Insufficient funds",
    "reason": "REASON A0",
    "attempts": "ATTEMPTS 77",
    "decision": "已入账",
    "name": "王经理",
}


def columns(line):
    """Columns by Unicode's own East Asian width, marks of the preview aside; large type counts double."""
    large = "【" in line
    bare = line.strip(" ").strip("【】〖〗")
    indent = len(line) - len(line.lstrip(" "))
    used = sum(2 if unicodedata.east_asian_width(ch) in "WFA" else 1 for ch in bare)
    return (used * 2 if large else used) + indent


def paper(slip, facts, width=32):
    return preview(b"".join(render(slip, facts, width)))


def flat(text):
    return "".join(text.split()).replace("【", "").replace("】", "")


@pytest.mark.parametrize("width", [24, 32, 42, 48])
@pytest.mark.parametrize("slip", ALL)
def test_every_fact_is_on_the_paper(slip, width):
    text = paper(slip, FACTS, width)
    wanted = dict(SHOWN)
    if slip not in APPROVED:
        wanted.update(STORY)
    for key, value in wanted.items():
        assert flat(value) in flat(text), key


@pytest.mark.parametrize("slip", ALL)
@pytest.mark.parametrize("width", [24, 32, 48])
def test_no_line_is_wider_than_the_paper(slip, width):
    for cause in range(17):
        for line in paper(slip, {**FACTS, "cause": cause, "type": 1 + cause % 6}, width).splitlines():
            assert columns(line) <= width or line.startswith(("[QR", "✂")), line


def test_the_pending_slip_says_what_a_bank_needs_and_what_is_not_known():
    text = paper(n.SLIP_PENDING, {**FACTS, "type": n.SALE, "rrn": "", "auth": None, "reprint": False})
    assert "【待冲正】" in text
    assert "【PENDING REVERSAL】" in text
    assert "非凭证联" in text
    assert "请先查询,勿重复交易" in text
    assert "CHECK BEFORE PAYING AGAIN" in text
    assert text.count("无 NONE") == 2
    assert "[QR posfw:1:PF-0001:4711:0123456789abcdef]" in text
    assert "目前还不知道" in flat(text)
    assert "重印" not in text
    assert "APPROVED" not in text


def test_the_merchant_copy_of_an_unresolved_reversal():
    text = paper(n.SLIP_UNRESOLVED_MERCHANT, FACTS)
    assert "冲正不成功,请人工处理" in text
    assert "商户存根" in text
    assert "持卡人存根" not in text
    assert "持卡人存根" in paper(n.SLIP_UNRESOLVED_CUSTOMER, FACTS)


@pytest.mark.parametrize("slip", ALL)
def test_only_approved_slips_are_vouchers(slip):
    text = paper(slip, FACTS)
    assert ("非凭证联" in text) is (slip not in APPROVED)
    assert ("交易成功 APPROVED" in text) is (slip in APPROVED)
    assert ("请先查询,勿重复交易" in text) is (slip in OWED)


@pytest.mark.parametrize("slip", OWED)
def test_a_slip_promises_no_reversal_that_the_terminal_cannot_send(slip):
    assert "终端无法自动冲正" in flat(paper(slip, {**FACTS, "cause": n.CAUSE_DATA_LOST}))
    text = flat(paper(slip, {**FACTS, "cause": n.CAUSE_DATA_LOST}))
    assert "终端会自动冲正" not in text
    assert "重试" not in text


@pytest.mark.parametrize("slip", OWED)
@pytest.mark.parametrize("cause", [n.CAUSE_TERMINAL, n.CAUSE_CANCELLED])
def test_a_known_approval_is_not_called_unknown(slip, cause):
    text = paper(slip, {**FACTS, "cause": cause, "type": n.SALE})
    assert "The bank approved it" in " ".join(text.split())
    assert "not known" not in text


@pytest.mark.parametrize("kind", [n.VOID, n.REFUND, n.PREAUTH_VOID])
def test_reversing_a_void_is_not_told_as_money_coming_back(kind):
    for slip in OWED:
        text = flat(paper(slip, {**FACTS, "type": kind}))
        assert "这笔撤销或退货是否生效" in text
        assert "是否已扣款" not in text
    text = flat(paper(n.SLIP_REVERSED, {**FACTS, "type": kind}))
    assert "这笔撤销或退货未生效" in text
    assert "由发卡银行退回" not in text
    assert "由发卡银行退回" in flat(paper(n.SLIP_REVERSED, {**FACTS, "type": n.SALE}))


def test_the_technician_gets_the_technicians_cause():
    assert "Ask the acquirer for its maintenance hours" in " ".join(paper(n.SLIP_TECHNICIAN, FACTS).split())
    assert "maintenance hours" not in " ".join(paper(n.SLIP_PENDING, FACTS).split())


def test_a_pre_authorisation_void_is_titled_by_its_type():
    assert "【预授权撤销】" in paper(n.SLIP_VOID, {**FACTS, "type": n.PREAUTH_VOID})
    assert "【预授权】" in paper(n.SLIP_PREAUTH, {**FACTS, "type": None})


# Without the marks of the preview, which `columns` must be able to tell from text.
words = st.one_of(st.none(), st.text(st.characters(exclude_characters="【】〖〗"), max_size=60))
number = st.one_of(st.none(), st.just(""), st.integers(0, 10**15))
TEXTS = "merchant mid tid terminal_id acquirer phone operator rrn auth currency aid code reason head name"
NUMBERS = "batch stan original_stan amount type mode scheme cause attempts decision"
known = dict.fromkeys(TEXTS.split(), words) | dict.fromkeys(NUMBERS.split(), number)
known["seq"] = st.one_of(st.none(), st.integers(0, 2**32))
known["pan"] = st.sampled_from([None, "", "622848*1234", "622848*********1234"])
known["time"] = st.one_of(st.none(), st.tuples(*[st.integers(0, 9999)] + [st.integers(0, 99)] * 5))
known["reprint"] = st.booleans()


# The first draw of st.text builds a table of Unicode, which on a slow machine looks like a slow strategy.
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    slip=st.sampled_from(ALL),
    width=st.sampled_from([24, 32, 42, 48]),
    facts=st.fixed_dictionaries({}, optional=known),
)
def test_any_facts_print_and_none_acts_as_a_command(slip, width, facts):
    for line in paper(slip, facts, width).splitlines():
        assert columns(line) <= width or line.startswith(("[QR", "✂")), line
