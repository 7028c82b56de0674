from posfw import numbers as n
from posfw.receipt.slips import SlipError, money, render

FACTS = {
    "merchant": "老张面馆",
    "mid": "898310058120001",
    "tid": "10000123",
    "terminal_id": "PF-0001",
    "batch": 7,
    "stan": 123,
    "amount": 12345,
    "currency": "156",
    "type": n.SALE,
    "pan": "622848******1234",
    "cause": n.CAUSE_HOST_SILENT,
    "seq": 4711,
    "head": "0123456789abcdef",
}


def _with(**changes):
    facts = dict(FACTS)
    facts.update(changes)
    return facts


def _refused(slip, facts, width=32):
    try:
        render(slip, facts, width)
    except SlipError as e:
        return str(e)
    return None


def test_a_pan_that_is_not_masked_is_refused_before_printing():
    for pan in (
        "6228481234561234",
        "6228481*****1234",
        "622848*****61234",
        "622848*1*1234",
        "62284801234",
        "6228",
        "622848 1234",
        "６２２８４８**********1234",
    ):
        said = _refused(n.SLIP_SALE, _with(pan=pan))
        assert said is not None, pan
        assert pan not in said
    for pan in ("622848*1234", "622848******1234", "****1234", "622848*", "*", "", None):
        assert _refused(n.SLIP_SALE, _with(pan=pan)) is None, pan


def test_unknown_slips_and_paper_too_narrow_are_refused():
    for slip in (0, 19, "1", None):
        assert _refused(slip, FACTS) is not None
    assert _refused(n.SLIP_SALE, FACTS, 16) is not None


def test_each_chunk_is_one_line_or_one_command():
    chunks = list(render(n.SLIP_PENDING, FACTS))
    assert chunks[0] == b"\x1b@\x1c&"
    assert chunks[-1].endswith(b"\x1dVB\x00")
    for chunk in chunks:
        assert isinstance(chunk, bytes)
        assert chunk.count(b"\n") <= 1
    assert len([c for c in chunks if b"posfw:1:PF-0001:4711:0123456789abcdef" in c]) == 1


def test_no_qr_without_something_to_check_it_against():
    for key in ("terminal_id", "seq", "head"):
        assert b"posfw:1" not in b"".join(render(n.SLIP_PENDING, _with(**{key: None})))
    assert b"posfw:1:PF-0001:0:" in b"".join(render(n.SLIP_PENDING, _with(seq=0)))


def test_nothing_known_still_prints():
    for slip in range(1, 19):
        assert len(b"".join(render(slip, {}))) > 50


def test_money():
    assert money(0, 2) == "0.00"
    assert money(5, 2) == "0.05"
    assert money(99, 2) == "0.99"
    assert money(123456, 2) == "1234.56"
    assert money(1200, 0) == "1200"
    assert money(-5, 2) == "-0.05"
    assert money(7, 3) == "0.007"


def test_a_currency_without_known_decimals_is_not_divided():
    assert b"123.45" in b"".join(render(n.SLIP_SALE, FACTS))
    for currency in ("999", "", None, "15", "6CN"):
        data = b"".join(render(n.SLIP_SALE, _with(currency=currency)))
        assert b"12345" in data and b"123.45" not in data, currency
    assert b" 12345\n" in b"".join(render(n.SLIP_SALE, _with(currency="392")))  # yen have no decimals
