import gc

from posfw import numbers as n
from posfw.receipt import escpos, text
from posfw.receipt.slips import SlipError, render

BATCH = (n.SLIP_SETTLEMENT, n.SLIP_SETTLE_FAILED, n.SLIP_REMINDER, n.SLIP_DETAIL)
OURS = [123456, 12, 0, 0, 30000, 3, 500, 1]
THEIRS = [123456, 12, 0, 0, 20000, 2, 500, 1]  # one international debit of 100.00 is lacking
FACTS = {
    "terminal_id": "PF-0001",
    "batch": 7,
    "currency": "156",
    "seq": 4711,
    "head": "0123456789abcdef",
    "totals": OURS,
}


def _with(**changes):
    facts = dict(FACTS)
    facts.update(changes)
    return facts


def _lines(slip, facts, width=32):
    return [chunk[:-1] for chunk in render(slip, facts, width) if chunk[-1:] == b"\n"]


def _has(lines, *words):
    """True if one line holds all the words."""
    wanted = [escpos.encode(word) for word in words]
    return any(all(word in line for word in wanted) for line in lines)


def _english(lines):
    # ASCII lines alone, joined: MicroPython has no codec for the others.
    return " ".join([line.decode() for line in lines if max(line + b" ") < 0x80])


def test_amounts_and_counts_stand_in_the_line_of_their_direction():
    for slip in BATCH:
        lines = _lines(slip, FACTS)
        assert _has(lines, "借记 DEBIT", " 12 ", " 1234.56"), slip
        assert _has(lines, "借记 DEBIT", " 3 ", " 300.00"), slip
        assert _has(lines, "贷记 CREDIT", " 0 ", " 0.00"), slip
        assert _has(lines, "贷记 CREDIT", " 1 ", " 5.00"), slip


def test_no_totals_no_table():
    for totals in (None, [], [1, 2, 3]):
        for slip in BATCH:
            assert not _has(_lines(slip, _with(totals=totals)), "DEBIT")


def test_the_acquirers_figures_stand_below_where_they_differ():
    lines = _lines(n.SLIP_SETTLEMENT, _with(host_totals=THEIRS, flags=[1, 2]))
    at = [i for i in range(len(lines)) if escpos.encode("≠") in lines[i]]
    assert len(at) == 1
    assert lines[at[0] - 1].startswith(escpos.encode("借记")) and lines[at[0] - 1].endswith(b" 300.00")
    assert b" 2 " in lines[at[0]] and lines[at[0]].endswith(b" 200.00")
    assert _has(lines, "内卡", "对平 BALANCED") and _has(lines, "外卡", "对不平 UNBALANCED")
    assert not _has(_lines(n.SLIP_SETTLEMENT, _with(host_totals=OURS)), "≠")


def test_a_count_alone_that_differs_is_marked():
    theirs = list(OURS)
    theirs[1] = 11
    assert _has(_lines(n.SLIP_SETTLEMENT, _with(host_totals=theirs)), "≠", " 11 ", " 1234.56")


def test_a_failed_settlement_shows_both_sides_in_full():
    lines = _lines(n.SLIP_SETTLE_FAILED, _with(host_totals=THEIRS, cause=n.CAUSE_TOTALS))
    assert len([line for line in lines if escpos.encode("＝") in line]) == 3
    assert len([line for line in lines if escpos.encode("≠") in line]) == 1
    assert not _has(lines, "not known")


def test_what_the_acquirer_did_not_say_is_called_unknown():
    for theirs in (None, [], [1, 2]):
        lines = _lines(n.SLIP_SETTLE_FAILED, _with(host_totals=theirs, flags=[], cause=n.CAUSE_TOTALS))
        assert text.text("en", "no_host_totals") in _english(lines)
        assert not _has(lines, "≠") and not _has(lines, "＝")


def test_flags_as_the_host_sets_them():
    words = ("对平 BALANCED", "对不平 UNBALANCED", "出错 ERROR")
    for flag in (1, 2, 3):
        assert _has(_lines(n.SLIP_SETTLEMENT, _with(flags=[1, flag])), "外卡", words[flag - 1])
    for flags in (None, [], [0, 0], [9, 9]):
        lines = _lines(n.SLIP_SETTLEMENT, _with(flags=flags))
        for word in words:
            assert not _has(lines, word), flags


def test_how_a_batch_closed_and_what_of_it_is_still_open():
    for how in (n.CLOSED_BALANCED, n.CLOSED_UPLOADED, n.CLOSED_BY_HUMAN):
        said = _english(_lines(n.SLIP_SETTLEMENT, _with(how=how, uploaded=0, refused=0, unresolved=0)))
        for other in (1, 2, 3):
            assert (text.text("en", "closed%d" % other) in said) == (other == how)
        assert "still" not in said and "stay open" not in said
    lines = _lines(n.SLIP_SETTLEMENT, _with(how=n.CLOSED_UPLOADED, uploaded=15, refused=2, unresolved=4))
    assert _has(lines, "上送成功 UPLOADED", " 15") and _has(lines, "被拒 REFUSED", " 2")
    assert _has(lines, "未了结冲正 UNRESOLVED", " 4")
    assert text.text("en", "refused_note") in _english(lines)
    assert text.text("en", "unresolved_note") in _english(lines)


def test_a_batch_slip_has_no_references_of_a_payment():
    for slip in BATCH:
        assert not _has(_lines(slip, FACTS), "RRN")
    assert not _has(_lines(n.SLIP_HUMAN, {"batch": 7, "decision": n.HUMAN_BATCH_CLOSED}), "RRN")
    assert _has(_lines(n.SLIP_UPLOAD, _with(stan=5, rrn="", auth=None)), "参考号 RRN", "无 NONE")


def test_money_of_an_unknown_currency_is_not_divided():
    for slip in BATCH:
        records = iter([(1, n.SALE, 12345, "", 1)])
        lines = _lines(slip, _with(currency="999", host_totals=THEIRS, records=records))
        assert _has(lines, "DEBIT", " 123456") and not _has(lines, "1234.56") and not _has(lines, "123.45")
        assert text.text("en", "minor") in _english(lines)


def _records(count, taken, pan="622848******1234"):
    for i in range(count):
        taken[0] = i + 1
        yield i + 1, 1 + i % 6, 100 * i, pan, i % 3


def test_the_list_takes_one_record_at_a_time():
    taken, printed = [0], 0
    for chunk in render(n.SLIP_DETAIL, _with(records=_records(500, taken))):
        assert taken[0] <= printed + 1, "records are gathered before they are printed"
        printed += chunk.endswith(b".00\n") and taken[0] > printed
        if taken[0] == 500 == printed:
            break
    assert taken[0] == printed == 500


def test_the_list_of_500_holds_no_more_memory_than_the_list_of_5():
    if not hasattr(gc, "mem_alloc"):
        return  # CPython counts nothing of the kind
    chunks = render(n.SLIP_DETAIL, _with(records=_records(500, [0])))
    early = late = 0
    for i, chunk in enumerate(chunks):
        if i in (40, 900):
            del chunk
            gc.collect()
            if i == 40:
                early = gc.mem_alloc()
            else:
                late = gc.mem_alloc()
    assert early and late and late - early < 512, (early, late)


def test_the_list_ends_in_its_count_and_the_totals():
    lines = _lines(n.SLIP_DETAIL, _with(records=_records(3, [0])))
    assert _has(lines, "000003 622848******1234", "外卡")
    assert _has(lines, "000001 622848******1234", "内卡")
    assert _has(lines, "消费撤销 VOID", " 1.00")
    at = [i for i in range(len(lines)) if lines[i].startswith(escpos.encode("笔数"))]
    assert len(at) == 1 and lines[at[0]].endswith(b" 3") and _has(lines[at[0] :], "DEBIT", "1234.56")
    for records in (None, (), iter(())):
        assert _has(_lines(n.SLIP_DETAIL, _with(records=records)), "笔数 COUNT", " 0")


def test_no_pan_in_the_list_that_is_not_masked():
    for pan in ("6228481234561234", "6228481*****1234", "622848 1234", None, ""):
        data = b"".join(render(n.SLIP_DETAIL, _with(records=_records(2, [0], pan))))
        assert b"000001 ****" in data and b"000002 ****" in data
        assert not pan or pan.encode() not in data
    try:
        render(n.SLIP_UPLOAD, _with(pan="6228481234561234"))
    except SlipError:
        return
    raise AssertionError("a PAN that is not masked was taken")


def test_operator_messages_of_settlement():
    assert text.message("zh", "settle_failed", "03") == "结算未完成 03 " + text.code_text("zh", "03")
    assert text.message("en", "settle_failed") == "Settlement incomplete"
    assert text.message("en", "uploading", 16) == "Uploading, answered: 16"
    assert text.message("zh", "record_refused") == "收单行拒绝一笔记录，详见其凭条"
