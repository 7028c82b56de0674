"""ISO 8583 by table: an annotated message in each style, and strictness both ways."""

from posfw.codec.iso8583 import Iso8583Error, Spec

# Keys as JSON gives them.
UNIONPAY = {
    "2": "n..19",
    "3": "n6",
    "4": "n12",
    "11": "n6",
    "22": "n3 right",
    "23": "n3",
    "35": "z..37",
    "37": "an12",
    "38": "an6",
    "39": "an2",
    "41": "ans8",
    "55": "b...255",
    "60": "n...17",
    "64": "b8",
    "70": "n3",
    "102": "ans..28",
}

# Test numbers only: 6212345678901232 belongs to nobody.
SALE = {
    2: "6212345678901232",
    3: "000000",
    4: "000000000100",
    11: "000007",
    22: "051",
    23: "001",
    35: "6212345678901232=30122",
    41: "T0000001",
    55: b"\x9f\x36\x02\x00\x1f",
    60: "22000001000",
    64: b"\x01\x02\x03\x04\x05\x06\x07\x08",
}

SALE_BCD = (
    "0200"  # MTI
    "7020060020800211"  # bits 2 3 4 11 22 23 35 41 55 60 64
    "166212345678901232"  # 2: LL counts digits
    "000000"  # 3
    "000000000100"  # 4
    "000007"  # 11
    "0510"  # 22: odd, padded on the right by the table's word
    "0001"  # 23: odd, padded on the left
    "226212345678901232d30122"  # 35: '=' travels as nibble D
    "5430303030303031"  # 41
    "00059f3602001f"  # 55: LLL in two bytes
    "0011220000010000"  # 60: 11 digits, padded on the right
    "0102030405060708"  # 64
)

SALE_ASCII = (
    b"0200"
    b"7020060020800211"
    b"166212345678901232"
    b"000000"
    b"000000000100"
    b"000007"
    b"051"
    b"001"
    b"226212345678901232=30122"
    b"T0000001"
    b"005\x9f\x36\x02\x00\x1f"
    b"01122000001000"
    b"\x01\x02\x03\x04\x05\x06\x07\x08"
)


def bcd():
    return Spec(UNIONPAY)


def ascii_spec():
    return Spec(UNIONPAY, mti="ascii", bitmap="hex", numeric="ascii", length="ascii")


def wrong(function, *args):
    """The field an Iso8583Error names, None if there was none; its text may not hold the card number."""
    try:
        function(*args)
    except Iso8583Error as error:
        assert "6212" not in str(error) and "1232" not in str(error)
        return error.field
    return None


def test_bcd_message():
    want = bytes.fromhex(SALE_BCD)
    assert bcd().pack("0200", SALE) == want
    for buf in (want, bytearray(want), memoryview(want)):
        assert bcd().parse(buf) == ("0200", SALE)


def test_ascii_message():
    assert ascii_spec().pack("0200", SALE) == SALE_ASCII
    assert ascii_spec().parse(SALE_ASCII) == ("0200", SALE)


def test_integer_keys_and_check():
    table = {}
    for key in UNIONPAY:
        table[int(key)] = UNIONPAY[key]
    spec = Spec(table)
    spec.check()
    bcd().check()
    assert spec.pack("0200", SALE).hex() == SALE_BCD


def test_secondary_bitmap():
    fields = {11: "000001", 70: "301", 102: "ABC"}
    raw = bcd().pack("0800", fields)
    assert raw.hex() == "0800" "8020000000000000" "0400000004000000" "000001" "0301" "03414243"
    assert bcd().parse(raw) == ("0800", fields)
    raw = ascii_spec().pack("0800", fields)
    assert raw == b"0800" b"8020000000000000" b"0400000004000000" b"000001" b"301" b"03ABC"
    assert ascii_spec().parse(raw) == ("0800", fields)
    empty_second = bytes.fromhex("0800" "8020000000000000" "0000000000000000" "000001")
    assert bcd().parse(empty_second) == ("0800", {11: "000001"})


def test_padding_sides():
    table = {2: "n..5", 3: "n..5 left", 4: "n5", 5: "n5 right", 6: "z..5", 7: "z..5 left", 8: "z5"}
    spec = Spec(table)
    fields = {2: "123", 3: "123", 4: "12345", 5: "12345", 6: "1=2", 7: "1=2", 8: "12=45"}
    raw = spec.pack("0200", fields)
    assert raw[10:].hex() == "031230" "030123" "012345" "123450" "031d20" "0301d2" "12d450"
    assert spec.parse(raw) == ("0200", fields)


def test_track2_separator_of_the_chip_is_taken():
    spec = Spec({35: "z..37"})
    assert spec.pack("0200", {35: "12D34"}) == spec.pack("0200", {35: "12=34"})
    text = Spec({35: "z..37"}, numeric="ascii")
    assert text.parse(bytes.fromhex("0200" "0000000020000000" "05") + b"12D34")[1] == {35: "12=34"}


def test_blanks_pad_an_only_at_the_end():
    spec = Spec({38: "an6"})
    for value in ("123   ", "      ", "ABCdef", "zZ09aA"):
        assert spec.parse(spec.pack("0210", {38: value}))[1] == {38: value}
    for value in ("  1234", "12 345", "12-456", "12345\x00", "[12345", "`12345", "@12345", "{12345"):
        assert wrong(spec.pack, "0210", {38: value}) == 38, value


def test_empty_and_full_variable_fields():
    spec = Spec({2: "n..19", 44: "ans..25", 55: "b...255"})
    for fields in (
        {2: "", 44: "", 55: b""},
        {2: "9" * 19, 44: "~" * 25, 55: b"\xff" * 255},
    ):
        assert spec.parse(spec.pack("0200", fields)) == ("0200", fields)
    for field, value in ((2, "9" * 20), (44, "~" * 26), (55, b"\xff" * 256)):
        assert wrong(spec.pack, "0200", {field: value}) == field


def test_pack_refuses():
    spec = bcd()
    for field, value in (
        (2, "12a4"), (2, 1234), (2, b"1234"), (2, "\u0661"), (2, "12=4"), (2, None), (2, "1 2"), (2, "-1"),
        (3, "00000"), (3, "0000000"), (3, "00000x"), (3, ""),
        (22, "05"), (35, "12;34"), (35, "12A34"), (35, "12d34"),
        (41, "T000001"), (41, "T00000001"), (41, "T000000\u51b2"), (41, "T000000\x7f"), (41, "T000000\n"),
        (41, b"T0000001"), (55, "9f36"), (64, bytes(7)), (64, bytes(9)), (64, "12345678"),
        (5, "1"), (128, bytes(8)),
    ):  # fmt: skip
        assert wrong(spec.pack, "0200", {field: value}) == field, (field, value)
    for mti in ("200", "02000", "02a0", "", 200, b"0200", "0\u06620"):
        assert wrong(spec.pack, mti, {}) == 0, mti
    for field in (0, 1, 129, -1, "2"):
        assert wrong(spec.pack, "0200", {field: "1"}) == 0, field


def test_every_prefix_and_every_tail_refused():
    for spec, raw in ((bcd(), bytes.fromhex(SALE_BCD)), (ascii_spec(), SALE_ASCII)):
        for n in range(len(raw)):
            assert wrong(spec.parse, raw[:n]) is not None, n
        assert wrong(spec.parse, raw + b"\x00") == 0


def test_parse_names_the_field():
    head = "0200"
    for bits, rest, field in (
        ("4000000000000000", "04123c", 2),  # nibbles that are no digits
        ("4000000000000000", "041a34", 2),
        ("4000000000000000", "0412f4", 2),
        ("4000000000000000", "1a", 2),  # length no digit
        ("4000000000000000", "20" + "11" * 10, 2),  # longer than the table
        ("4000000000000000", "04", 2),
        ("4000000000000000", "031231", 2),  # padding nibble not zero
        ("0000040000000000", "0511", 22),
        ("0000020000000000", "1001", 23),
        ("0000000020000000", "0312e4", 35),
        ("0000000000000200", "0256", 55),
        ("0000000000000200", "100500", 55),  # first length nibble
        ("0000000000000200", "02550000", 55),
        ("0000000004000000", "00" * 6, 38),
        ("0000000000800000", "5430303030303080", 41),
        ("0800000000000000", "00", 5),  # not in the table
        ("8000000000000000", "", 0),  # second bitmap missing
        ("8000000000000000", "8000000000000000", 65),
    ):
        assert wrong(bcd().parse, bytes.fromhex(head + bits + rest)) == field, (bits, rest)
    assert wrong(bcd().parse, bytes.fromhex("02f0" + "00" * 8)) == 0
    for raw in (
        b"02x0" + b"0" * 16, b"0200" + b"0" * 15 + b"g", b"0200" + b"0" * 15 + b"\xff", b"\xff200" + b"0" * 16
    ):  # fmt: skip
        assert wrong(ascii_spec().parse, raw) == 0, raw
    for rest in (b"1", b"0x", b"+1", b" 1", b"0312\xb3", b"0312=", b"20"):
        assert wrong(ascii_spec().parse, b"0200" + b"4000000000000000" + rest) == 2, rest


def test_bad_tables_refused():
    for notation in (
        "", "n", "n0", "n1000", "n..100", "n...1000", "n.9", "n....9", "x5", "an-5", "n 6", "n6 middle",
        "n6 left x", "6", "..6", "n..", "N6", "n..6.", "b", 6, None, ["n6"],
    ):  # fmt: skip
        spec = Spec({2: notation})
        assert wrong(spec.check) == 2, notation
        assert wrong(spec.pack, "0200", {2: "1"}) == 2, notation
    for key in (0, 1, 129, "1", "x", "", "2x"):
        assert wrong(Spec({key: "n6"}).check) == 0, key
    for args in (("bdc",), ("bcd", "bcd"), ("bcd", "binary", "binary"), ("bcd", "binary", "bcd", "hex")):
        assert wrong(Spec, {}, *args) == 0, args
