"""Slips of a batch as the paper shows them: see test_receipt_paper, whose decoder and column rule these share."""

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_receipt_paper import APPROVED, FACTS, OWED, columns, flat, known, number, paper, words

from posfw import numbers as n
from posfw.receipt import text, text_messages

BATCH = [n.SLIP_SETTLEMENT, n.SLIP_SETTLE_FAILED, n.SLIP_REMINDER, n.SLIP_DETAIL]
CLOSING = [*BATCH, n.SLIP_UPLOAD]
OURS = [123456, 12, 0, 0, 30000, 3, 500, 1]
THEIRS = [123456, 12, 0, 0, 20000, 2, 500, 1]
OF_A_BATCH = "merchant mid tid terminal_id acquirer phone operator batch currency time seq head"
BATCH_FACTS = {key: FACTS[key] for key in OF_A_BATCH.split()} | {"totals": OURS}
RECORD = {key: value for key, value in FACTS.items() if key not in ("original_stan", "decision", "name", "attempts")}
RECORD |= {"type": n.SALE, "cause": n.CAUSE_UPLOAD, "code": "30", "reprint": False}
TITLES = {
    n.SLIP_SETTLEMENT: "结算单",
    n.SLIP_SETTLE_FAILED: "结算未完成",
    n.SLIP_UPLOAD: "上送不完整",
    n.SLIP_REMINDER: "未结算提醒",
    n.SLIP_DETAIL: "交易明细",
}
# What a promise is made of: no slip may name a date or a deadline that no fact gave it.
PROMISE = re.compile(
    r"\b\d{4}-\d\d|\b\d\d:\d\d\b|日内|小时|天内|工作日|明天|即将|\b(hours?|days?|tomorrow|soon|within|shortly)\b"
)


def of(slip, **changes):
    facts = RECORD if slip == n.SLIP_UPLOAD else BATCH_FACTS
    return {**facts, **changes}


def english(paper_text):
    return " ".join(paper_text.split())


@pytest.mark.parametrize("width", [24, 32, 48])
@pytest.mark.parametrize("slip", CLOSING)
def test_titles_and_copies(slip, width):
    said = paper(slip, of(slip), width)
    assert TITLES[slip] in flat(said)
    assert "商户存根" in said and "持卡人存根" not in said
    assert ("非凭证联" in said) is (slip != n.SLIP_SETTLEMENT)
    assert "交易成功" not in said and "请先查询" not in flat(said)


@pytest.mark.parametrize("width", [24, 32, 48])
@pytest.mark.parametrize("slip", CLOSING)
def test_every_reference_is_on_the_paper(slip, width):
    said = flat(paper(slip, of(slip), width))
    for value in ("老张面馆", "898310058120001", "10000123", "PF-0001", "银联商务", "95516", "OP42", "BATCH000007"):
        assert value in said
    for value in ("2026-07-0521:04:09", "JOURNAL4711", "HEAD0123456789abcdef", "[QRposfw:1:PF-0001:4711:"):
        assert value in said


def test_the_refused_record_is_named_by_its_own_references():
    said = paper(n.SLIP_UPLOAD, RECORD)
    assert "凭证号 STAN               000123" in said
    for value in ("504321098765", "A1B2C3", "￥123.45", "消费 SALE", "622848*********1234"):
        assert value in said
    assert "REPLY CODE             30" in said and text.code_text("en", "30") in said
    assert text.text("en", "refused_note") in english(said)
    assert "ATTEMPTS" not in paper(n.SLIP_UPLOAD, {**RECORD, "attempts": 3, "reason": "98"})


def test_settlement_by_upload_in_full():
    facts = of(n.SLIP_SETTLEMENT, host_totals=THEIRS, flags=[1, 2], how=n.CLOSED_UPLOADED)
    said = paper(n.SLIP_SETTLEMENT, {**facts, "uploaded": 15, "refused": 1, "unresolved": 2, "next_batch": 8})
    rows = said.splitlines()
    at = rows.index("总计 TOTALS 笔数 COUNT  金额 CNY")
    assert rows[at + 1 : at + 12] == [
        "内卡 DOMESTIC      对平 BALANCED",
        "借记 DEBIT         12    1234.56",
        "贷记 CREDIT         0       0.00",
        "外卡 INT'L     对不平 UNBALANCED",
        "借记 DEBIT          3     300.00",
        "≠收单行 ACQUIRER   2     200.00",
        "贷记 CREDIT         1       5.00",
        "-" * 32,
        "上送成功 UPLOADED             15",
        "被拒 REFUSED                   1",
        "未了结冲正 UNRESOLVED          2",
    ]
    assert "下一批次 NEXT BATCH       000008" in rows


def test_a_batch_number_that_wraps():
    said = paper(n.SLIP_SETTLEMENT, of(n.SLIP_SETTLEMENT, batch=999999, next_batch=1))
    assert "999999" in said and "000001" in said


@pytest.mark.parametrize(
    ("cause", "zh", "en"),
    [
        (n.CAUSE_MERCHANT, "核对商户资料", "Check merchant data"),
        (n.CAUSE_NOT_SETTLED, "清算文件从未送出", "clearing file was never sent"),
        (n.CAUSE_TOTALS, "对照双方数字", "Compare both"),
        (n.CAUSE_LINK_DOWN, "请检查网络", "Check the network"),
        (n.CAUSE_HOST_BUSY, "正忙或在维护", "busy or under maintenance"),
    ],
)
def test_a_failed_settlement_says_why_and_what_to_do(cause, zh, en):
    said = paper(n.SLIP_SETTLE_FAILED, of(n.SLIP_SETTLE_FAILED, cause=cause, code="03", attempts=4))
    assert zh in flat(said) and en in english(said)
    assert text.code_text("en", "03") in english(said)
    assert "结算次数 ATTEMPTS              4" in said and "冲正次数" not in said


@pytest.mark.parametrize("slip", [n.SLIP_SETTLE_FAILED, n.SLIP_REMINDER])
@pytest.mark.parametrize("cause", [n.CAUSE_CONGESTED, n.CAUSE_HOST_SILENT])
def test_advice_on_payments_is_not_given_for_a_batch(slip, cause):
    said = paper(slip, of(slip, cause=cause))
    assert "请勿重复" not in flat(said) and "Do not" not in english(said)
    assert "网络很慢。" in said or "银行主机没有答复，结果未知。" in flat(said)
    assert "very slow." in english(said) or "outcome unknown." in english(said)


def test_attempts_that_were_none_are_not_printed():
    for attempts in (None, 0, ""):
        assert "ATTEMPTS" not in paper(n.SLIP_SETTLE_FAILED, of(n.SLIP_SETTLE_FAILED, attempts=attempts))


def test_sales_are_called_blocked_only_where_close_of_day_has_begun():
    blocked = text.text("en", "not_closed")
    # Cause 9 with a reply code: the host refused the settlement by a code of no better known kind.
    for cause, code in ((n.CAUSE_MERCHANT, "03"), (n.CAUSE_HOST_SILENT, ""), (n.CAUSE_NOT_SETTLED, "12"), (0, "")):
        said = english(paper(n.SLIP_SETTLE_FAILED, of(n.SLIP_SETTLE_FAILED, cause=cause, code=code)))
        assert blocked in said and text.text("en", "settle_retry") in said
    # Without one it is merely overdue, and still takes sales.
    for slip in (n.SLIP_SETTLE_FAILED, n.SLIP_REMINDER):
        said = english(paper(slip, of(slip, cause=n.CAUSE_NOT_SETTLED, code="")))
        assert blocked not in said and text.text("en", "settle_now") in said


def test_totals_that_differ_are_not_called_a_settlement_that_failed():
    for flags in ([1, 2], [3, 3], [], None):
        said = paper(n.SLIP_SETTLE_FAILED, of(n.SLIP_SETTLE_FAILED, cause=n.CAUSE_TOTALS, flags=flags))
        assert "【结算对不平】" in said and "结算未完成" not in said
        assert text.text("en", "upload_next") in english(said) and text.text("en", "not_closed") in english(said)


def test_balanced_by_flag_and_different_by_figures():
    # The batch closes on the host's word: nothing is uploaded, and no sale is blocked.
    facts = of(n.SLIP_SETTLE_FAILED, cause=n.CAUSE_TOTALS, flags=[1, 1], host_totals=THEIRS)
    said = english(paper(n.SLIP_SETTLE_FAILED, facts))
    assert text.text("en", "differ_note") in said and "≠" in said
    assert text.text("en", "upload_next") not in said and text.text("en", "not_closed") not in said


def test_a_record_whose_data_are_lost_cannot_be_presented_again():
    said = english(paper(n.SLIP_UPLOAD, {**RECORD, "code": ""}))
    assert text.text("en", "lost_note") in said and "present" not in said.lower()


def test_a_settlement_that_could_not_be_built_is_not_told_as_a_lost_reversal():
    said = paper(n.SLIP_SETTLE_FAILED, of(n.SLIP_SETTLE_FAILED, cause=n.CAUSE_DATA_LOST))
    assert "冲正" not in said and "reversal" not in said
    assert text.message("en", "profile_error") in english(said)


def test_the_reminder_tells_since_when():
    said = paper(n.SLIP_REMINDER, of(n.SLIP_REMINDER, cause=n.CAUSE_NOT_SETTLED, opened=(2026, 7, 4, 9, 0, 1)))
    assert "首笔 OPENED  2026-07-04 09:00:01" in said
    assert "OPENED" not in paper(n.SLIP_REMINDER, of(n.SLIP_REMINDER, opened=None))


@pytest.mark.parametrize("slip", CLOSING)
@pytest.mark.parametrize("cause", range(19))
def test_no_date_and_no_deadline_beyond_the_facts(slip, cause):
    facts = of(slip, cause=cause, time=None, how=1 + cause % 3, refused=1, unresolved=1, attempts=2)
    assert not PROMISE.search(paper(slip, facts)), paper(slip, facts)


@pytest.mark.parametrize("decision", [n.HUMAN_WRITTEN_OFF, n.HUMAN_BATCH_CLOSED])
def test_a_decision_on_a_record_or_a_batch_is_not_told_as_one_on_a_reversal(decision):
    said = paper(n.SLIP_HUMAN, {**BATCH_FACTS, "decision": decision, "name": "王经理"})
    assert text.text("en", f"decision{decision}") in english(said)
    assert "冲正" not in said and "reverse" not in said and "王经理" in said


@pytest.mark.parametrize("slip", [*CLOSING, *APPROVED, *OWED])
def test_a_reprint_claims_no_more_than_it_knows(slip):
    said = paper(slip, of(slip, reprint=True))
    assert "重印 REPRINT" in said and text.text("en", "reprint_note") in english(said)


def test_slips_do_without_the_displays_catalogue(monkeypatch):
    # It would have to be loaded beside all that a slip needs.
    monkeypatch.setattr(text_messages, "ZH", None)
    monkeypatch.setattr(text_messages, "EN", None)
    with pytest.raises(TypeError):
        text.message("en", "ready")
    for slip in (value for name, value in vars(n).items() if name.startswith("SLIP_")):
        for cause in range(19):
            for flags in (None, [1, 1], [2, 3]):
                assert paper(slip, {**BATCH_FACTS, **RECORD, "cause": cause, "flags": flags, "decision": 1 + cause % 5})


def record(number):
    return (number, 1 + number % 6, 10 ** (number % 9), "622848*********1234", number % 3)


@pytest.mark.parametrize("width", [24, 32, 48])
def test_a_list_of_500(width):
    said = paper(n.SLIP_DETAIL, of(n.SLIP_DETAIL, records=map(record, range(1, 501))), width)
    rows = said.splitlines()
    assert sum("622848*********1234" in row for row in rows) == 500
    assert re.search(r"笔数 COUNT +500\n", said)
    assert max(columns(row) for row in rows if not row.startswith(("[QR", "✂"))) <= width
    if width >= 32:
        # Two rows a record, whatever its type and amount.
        at = [i for i, row in enumerate(rows) if "622848" in row]
        assert at == list(range(at[0], at[0] + 1000, 2))


eight = st.lists(st.integers(0, 10**12), min_size=8, max_size=8)
batch_facts = known | {
    "totals": st.one_of(st.none(), st.just([]), eight),
    "host_totals": st.one_of(st.none(), st.just([]), eight),
    "flags": st.one_of(st.none(), st.just([]), st.lists(st.integers(0, 9), min_size=2, max_size=2)),
    "opened": known["time"],
    **dict.fromkeys(["how", "uploaded", "refused", "unresolved", "next_batch"], number),
    "records": st.lists(
        st.tuples(
            st.integers(0, 999999),
            st.integers(0, 9),
            st.integers(0, 10**12),
            st.one_of(st.sampled_from(["622848*1234", "6228481234561234"]), words),
            st.integers(0, 9),
        ),
        max_size=4,
    ),
}


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    slip=st.sampled_from(CLOSING),
    width=st.sampled_from([24, 32, 42, 48]),
    facts=st.fixed_dictionaries({}, optional=batch_facts),
)
def test_any_facts_print_and_none_acts_as_a_command(slip, width, facts):
    said = paper(slip, facts, width)
    for line in said.splitlines():
        assert columns(line) <= width or line.startswith(("[QR", "✂")), line
    if facts.get("records"):
        assert "6228481234561234" not in flat(said)
