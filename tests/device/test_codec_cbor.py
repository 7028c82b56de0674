"""CBOR under both interpreters: RFC 8949 appendix A, and everything that must be refused."""

from posfw.codec.cbor import CborError, decode, decode_at, encode, encode_into

# RFC 8949 appendix A, the rows whose values are in the subset.
VECTORS = [
    (0, "00"),
    (1, "01"),
    (10, "0a"),
    (23, "17"),
    (24, "1818"),
    (25, "1819"),
    (100, "1864"),
    (1000, "1903e8"),
    (1000000, "1a000f4240"),
    (1000000000000, "1b000000e8d4a51000"),
    (18446744073709551615, "1bffffffffffffffff"),
    (-1, "20"),
    (-10, "29"),
    (-100, "3863"),
    (-1000, "3903e7"),
    (False, "f4"),
    (True, "f5"),
    (None, "f6"),
    (b"", "40"),
    (b"\x01\x02\x03\x04", "4401020304"),
    ("", "60"),
    ("a", "6161"),
    ("IETF", "6449455446"),
    ('"\\', "62225c"),
    ("\u00fc", "62c3bc"),
    ("\u6c34", "63e6b0b4"),
    ("\U00010151", "64f0908591"),
    ([], "80"),
    ([1, 2, 3], "83010203"),
    ([1, [2, 3], [4, 5]], "8301820203820405"),
    (
        list(range(1, 26)),
        "98190102030405060708090a0b0c0d0e0f101112131415161718181819",
    ),
]

# The rest of appendix A: tags, floats, simple values, maps, indefinite lengths, integers beyond -2^63.
OUTSIDE = """c249010000000000000000 3bffffffffffffffff c349010000000000000000 f90000 f98000 f93c00
fb3ff199999999999a f93e00 f97bff fa47c35000 fa7f7fffff fb7e37e43c8800759c f90001 f90400 f9c400
fbc010666666666666 f97c00 f97e00 f9fc00 fa7f800000 fa7fc00000 faff800000 fb7ff0000000000000
fb7ff8000000000000 fbfff0000000000000 f7 f0 f8ff c074323031332d30332d32315432303a30343a30305a
c11a514b67b0 c1fb41d452d9e8200000 d74401020304 d818456449455446
d82076687474703a2f2f7777772e6578616d706c652e636f6d a0 a201020304 a26161016162820203 826161a161626163
a56161614161626142616361436164614461656145 5f42010243030405ff 7f657374726561646d696e67ff 9fff
9f018202039f0405ffff 9f01820203820405ff 83018202039f0405ff 83019f0203ff820405
9f0102030405060708090a0b0c0d0e0f101112131415161718181819ff bf61610161629f0203ffff 826161bf61626163ff
bf6346756ef563416d7421ff"""

# RFC 8949 appendix F and section 4.2.1: not well-formed, or not the shortest form.
MALFORMED = """18 19 1a 1b 1901 1a0102 1b01020304050607 38 58 78 98 9a01ff00 b8 d8 f8 f900 41 61 5affffffff00
5bffffffffffffffff010203 7affffffff00 7b7fffffffffffffff010203 81 818181818181818181 8200 1c 1d 1e 3c 3d 3e
5c 5d 5e 7c 7d 7e 9c 9d 9e bc bd be dc dd de fc fd fe ff 1f 3f df f800 f818 f81f
1800 1817 190000 1900ff 1a00000000 1a0000ffff 1b0000000000000000 1b00000000ffffffff
3800 3817 3900ff 3a0000ffff 3b00000000ffffffff 5800 580141 590001aa 7800 780161 9800 980100
3b8000000000000000 0000 6161f6 9affffffff 9bffffffffffffffff 9903e800 9f 5f 7f"""

# Text that is not UTF-8 (RFC 3629 section 4 and 10): MicroPython's decoder takes many of these.
BAD_TEXT = """80 bf ff fe c0 c3 c328 c080 c1bf e08080 e09fbf e0a0 eda080 edbfbf edb080 eda081edb080
e6b0 e6b0b4b4 f0808080 f08fbfbf f4908080 f4bfbfbf f5808080 f7bfbfbf f8888080 f090 fc8480808080 61c3 c3a9ff
e0c080 edc080"""

GOOD_TEXT = """00 7f c280 dfbf e0a080 ed9fbf ee8080 efbfbf f0908080 f48fbfbf e6b0b4c3bc61"""


def refused(data):
    try:
        value = decode(data)
    except CborError:
        return True
    print("accepted as", value)
    return False


def refuses(function, *args):
    try:
        function(*args)
    except CborError as error:
        return str(error)
    return ""


def kind(value):
    # True == 1 and b"" == "" must not pass for each other.
    return [kind(v) for v in value] if isinstance(value, list) else type(value)


def test_vectors_encode():
    for value, text in VECTORS:
        assert encode(value).hex() == text, text


def test_vectors_decode():
    for value, text in VECTORS:
        got = decode(bytes.fromhex(text))
        assert got == value and kind(got) == kind(value), text


def test_outside_the_subset_refused():
    for text in OUTSIDE.split():
        assert refused(bytes.fromhex(text)), text


def test_malformed_refused():
    for text in MALFORMED.split():
        assert refused(bytes.fromhex(text)), text


def test_bad_text_refused_and_good_kept():
    for text in BAD_TEXT.split():
        raw = bytes.fromhex(text)
        assert refused(bytes([0x60 + len(raw)]) + raw), text
    for text in GOOD_TEXT.split():
        raw = bytes.fromhex(text)
        framed = bytes([0x60 + len(raw)]) + raw
        assert decode(framed).encode() == raw, text
        assert encode(decode(framed)) == framed, text


def test_surrogate_not_encoded():
    assert refuses(encode, "a" + chr(0xD800))
    assert refuses(encode, [chr(0xDFFF)])


def test_integer_limits():
    for value in (-1 << 63, (1 << 64) - 1, -24, -25, -256, -257, 0xFF, 0x100, 0xFFFF, 0x10000, 1 << 32):
        assert decode(encode(value)) == value, value
    assert refuses(encode, 1 << 64)
    assert refuses(encode, (-1 << 63) - 1)
    assert refuses(encode, 1 << 200)
    assert refuses(encode, -1 << 200)


def test_byte_and_sequence_types():
    assert encode(bytearray(b"ab")) == encode(memoryview(b"ab")) == encode(b"ab") == b"\x42ab"
    assert encode((1, (2,))) == encode([1, [2]])
    for buf in (b"\x82\x42ab\x61c", bytearray(b"\x82\x42ab\x61c"), memoryview(b"\x82\x42ab\x61c")):
        value = decode(buf)
        assert value == [b"ab", "c"] and kind(value) == [bytes, str]


def test_other_types_refused():
    for value in (1.5, {}, {1: 2}, object(), [1, 2.0], set(), range(3), (b"a", [{}])):
        assert refuses(encode, value), value


def test_depth():
    deep = []
    for _ in range(7):
        deep = [deep]
    assert encode(deep).hex() == "8181818181818180"
    assert decode(encode(deep)) == deep
    assert refuses(encode, [deep])
    assert refused(bytes.fromhex("818181818181818180"))
    assert refused(b"\x81" * 2000)


def test_hostile_lengths_allocate_nothing():
    # Each would need far more than the heap if the length were believed.
    for text in ("5a7fffffff", "7a7fffffff", "9a7fffffff", "5b00000000ffffffff", "9b0000000100000000"):
        for tail in (b"", b"\x00" * 20):
            assert refused(bytes.fromhex(text) + tail), text


def test_encode_into_exact_and_one_short():
    for value, text in VECTORS:
        want = bytes.fromhex(text)
        buf = bytearray(b"\xee" * (len(want) + 5))
        assert encode_into(buf, 2, value) == 2 + len(want)
        assert bytes(buf) == b"\xee\xee" + want + b"\xee\xee\xee"
        exact = bytearray(len(want))
        assert encode_into(exact, 0, value) == len(want) and exact == want
        short = bytearray(len(want) - 1)
        assert refuses(encode_into, short, 0, value), text
        assert len(short) == len(want) - 1, "a refused write resized the buffer"
        view = memoryview(bytearray(len(want) + 1))
        assert encode_into(view, 1, value) == 1 + len(want) and bytes(view[1:]) == want


def test_decode_at_walks_a_sequence():
    data = b"\x01\x42ab\x80\xf6"
    seen = []
    pos = 0
    while pos < len(data):
        item, pos = decode_at(data, pos)
        seen.append(item)
    assert seen == [1, b"ab", [], None]
    for text in ("4261", "6261", "81", "824161", "5818" + "00" * 23):
        raw = bytes.fromhex("f6" + text)
        assert refuses(decode_at, raw, 1), "a position behind the end was handed back"
    assert refuses(decode_at, data, len(data))
    assert refuses(decode_at, data, -1)
    assert refuses(decode, b"")


def test_every_prefix_refused():
    whole = encode([1, "\u51b2\u6b63", b"x" * 300, [None, True, [-70000, 1 << 40]], "end"])
    for n in range(len(whole)):
        assert refused(whole[:n]), n
    assert refused(whole + b"\x00")


def test_errors_do_not_quote_values():
    # What fails to encode or decode may be a card number.
    digits = "6212345678901232"
    assert digits not in refuses(encode, [digits, 1.0])
    assert digits not in refuses(decode, b"\x90" + b"\x70" + digits.encode() + b"\xff")
