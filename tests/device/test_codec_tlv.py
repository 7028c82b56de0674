"""BER-TLV: an annotated DE55, and what must be refused."""

from posfw.codec.tlv import TlvError, pack, parse, subset

DE55 = bytes.fromhex(
    "9F2608" "1122334455667788"  # application cryptogram
    "9F2701" "80"  # cryptogram information: ARQC
    "9F1007" "06010A03A0B800"  # issuer application data
    "9F3602" "001F"  # transaction counter
    "9505" "0000048000"  # terminal verification results
    "9A03" "261123"  # date
    "DF3103" "000102"  # issuer script result
)  # fmt: skip

ITEMS = [
    (0x9F26, bytes.fromhex("1122334455667788")),
    (0x9F27, b"\x80"),
    (0x9F10, bytes.fromhex("06010A03A0B800")),
    (0x9F36, b"\x00\x1f"),
    (0x95, bytes.fromhex("0000048000")),
    (0x9A, bytes.fromhex("261123")),
    (0xDF31, b"\x00\x01\x02"),
]


def refused(function, *args):
    try:
        function(*args)
    except TlvError:
        return True
    return False


def test_parse_and_pack():
    assert parse(DE55) == parse(bytearray(DE55)) == parse(memoryview(DE55)) == ITEMS
    assert pack(ITEMS) == DE55
    assert parse(b"") == [] and pack([]) == b""


def test_reversal_subset_keeps_the_order_asked_for():
    # 9F1E is not in the message: left out, as facts of the field say.
    got = subset(DE55, (0x95, 0x9F1E, 0x9F10, 0x9F36, 0xDF31))
    assert got.hex() == "95050000048000" "9f100706010a03a0b800" "9f3602001f" "df3103000102"
    assert subset(DE55, ()) == b""


def test_zero_padding_between_objects():
    assert parse(b"\x00\x00" + DE55[:11] + b"\x00\x00\x00" + DE55[11:] + b"\x00") == ITEMS
    assert parse(b"\x00\x00") == []


def test_tag_sizes():
    for text in ("5a00", "9f3600", "9f0100", "df812900", "1f7f00"):
        tag = int(text[:-2], 16)
        assert pack([(tag, b"")]).hex() == text
        assert parse(bytes.fromhex(text)) == [(tag, b"")]


def test_length_forms():
    for n, head in ((0, "00"), (127, "7f"), (128, "8180"), (255, "81ff"), (256, "820100"), (4096, "821000")):
        raw = pack([(0x5A, b"\x01" * n)])
        assert raw[: 1 + len(head) // 2].hex() == "5a" + head
        assert parse(raw) == [(0x5A, b"\x01" * n)]
    assert refused(pack, [(0x5A, bytes(65536))])


def test_malformed_refused():
    for text in (
        "5a", "5a02aa", "9f", "9f36", "9f3602aa",  # cut off
        "5a80", "5a80aa0000", "5a83000001aa", "5a84", "5aff",  # indefinite, over-long forms
        "5a8101aa", "5a817f" + "00" * 127, "5a820080" + "00" * 128, "5a8200ff" + "00" * 255,  # not shortest
        "5a81", "5a8200", "5a82ffff00", "5a7f00",  # length cut off or beyond the end
        "9f8080", "9f818100", "9f81818100", "9f81810100",
        "df81820301aa", "9f0000", "9f808100",  # tags of four bytes, or longer than needed
        "5a01aa5a01aa", "5a005a00", "9f3600" "9500" "9f3600",  # twice
    ):  # fmt: skip
        assert refused(parse, bytes.fromhex(text)), text


def test_every_prefix_is_refused_or_ends_between_objects():
    boundaries = []
    for n in range(len(ITEMS) + 1):
        boundaries.append(len(pack(ITEMS[:n])))
    for n in range(len(DE55) + 1):
        assert refused(parse, DE55[:n]) == (n not in boundaries), n


def test_pack_refuses_what_parse_would():
    for items in (
        [(0, b"")], [(-1, b"")], [(0x1000000, b"")], [(0x9F, b"")], [(0x5A5A, b"")], [(0x9F81, b"")],
        [(0x9F3636, b"")], [(0xDF8181, b"")], [(0x9F00, b"")], [(0x5A, b"1"), (0x5A, b"1")],
    ):  # fmt: skip
        assert refused(pack, items), items
