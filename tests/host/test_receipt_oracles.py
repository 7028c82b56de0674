"""Printer bytes against python-escpos, glyphs against CPython's gb18030 codec."""

import subprocess
import sys
from pathlib import Path

import pytest
from escpos.constants import QR_ECLEVEL_M, TXT_STYLE
from escpos.printer import Dummy
from poslab.preview import TRUNCATED, PreviewError, preview

from posfw.receipt import escpos, text, text_en, text_messages, text_technician, text_zh
from posfw.receipt.glyphs import TABLE

ROOT = Path(__file__).resolve().parents[2]
GENERATOR = ROOT / "tools" / "generate_glyphs.py"
TABLES = {
    "TEXT": (text_zh.TEXT, text_en.TEXT),
    "CAUSES": (text_zh.CAUSES, text_en.CAUSES),
    "CODES": (text_zh.CODES, text_en.CODES),
    "messages": (text_messages.ZH, text_messages.EN),
    "technician": (text_technician.ZH, text_technician.EN),
}
MOST_BYTES = 2560  # of one string: a heap long in use has no larger room in one piece


def dummy(name, *args, **kwargs):
    printer = Dummy()
    getattr(printer, name)(*args, **kwargs)
    return printer.output


def test_commands_are_those_of_python_escpos():
    assert dummy("hw", "INIT") + b"\x1c&" == escpos.INIT
    assert dummy("cut", feed=False) == escpos.FEED_AND_CUT[-4:]
    assert dummy("print_and_feed", 4) == escpos.FEED_AND_CUT[:-4]
    data = "posfw:1:PF-0001:4711:0123456789abcdef"
    native = dummy("qr", data, ec=QR_ECLEVEL_M, size=4, native=True)
    align = TXT_STYLE["align"]
    assert escpos.qr(data.encode()) == align["center"] + native + align["left"]
    for size, name in ((escpos.TALL, "2h"), (escpos.LARGE, "2x")):
        assert TXT_STYLE["size"][name].endswith(escpos.line("A", size)[:3])


def test_each_glyph_is_what_the_codec_says_in_rising_order():
    points = []
    for at in range(0, len(TABLE), 4):
        point = int.from_bytes(TABLE[at : at + 2], "big")
        points.append(point)
        assert chr(point).encode("gb18030") == TABLE[at + 2 : at + 4]
        assert escpos.encode(chr(point)) == TABLE[at + 2 : at + 4]
    assert points == sorted(set(points))


def test_every_character_of_the_catalogues_has_a_glyph():
    for table in (table for both in TABLES.values() for table in both):
        for part in table:
            assert escpos.missing(part) == ""
            assert escpos.encode(part.replace("\n", " ")) == part.replace("\n", " ").encode("gb18030")


def rows(table):
    return [line.split(" ", 1) for part in table for line in part.strip("\n").split("\n")]


@pytest.mark.parametrize("name", TABLES)
def test_each_part_of_a_table_is_small_and_whole(name):
    for table in TABLES[name]:
        assert type(table) is tuple
        for part in table:
            assert part[0] == "\n" and part[-1] == "\n" and part[1] != "\n"
            assert len(part.encode()) <= MOST_BYTES


def test_no_key_is_both_a_slips_and_the_displays():
    both = {row[0] for row in rows(text_zh.TEXT)} & {row[0] for row in rows(text_messages.ZH)}
    assert both == set()


@pytest.mark.parametrize("name", TABLES)
def test_both_languages_have_the_same_keys_each_once(name):
    zh, en = map(rows, TABLES[name])
    assert [row[0] for row in zh] == [row[0] for row in en]
    assert len({row[0] for row in zh}) == len(zh)
    for row, other in zip(zh, en, strict=True):
        assert row[1].strip() and row[1] == row[1].strip()
        assert row[1].count("%") == other[1].count("%")


def test_every_cause_has_a_technicians_text_in_both_languages():
    zh, en = rows(text_technician.ZH), rows(text_technician.EN)
    assert [row[0] for row in zh] == [row[0] for row in en] == [f"{cause}t" for cause in range(19)]


MESSAGES = """
ready connecting approved declined unknown_outcome not_sent reversal_sending reversal_done
reversal_pending_block reversal_unresolved journal_full flash_failed vault_full keystore_fault seal_mismatch
clock_back clock_unknown tampered paper_out printer_fault slip_owed not_signed_on signon_ok signon_failed
bad_request bad_amount bad_card original_not_found already_voided batch_limit stan_exhausted link_down
wrong_config profile_error debt_limit busy
settling settled settle_failed settle_unresolved batch_empty batch_overdue totals_differ uploading upload_blocked
record_refused presenting presented nothing_refused detail_done cancelled journal_newer present_failed
out_of_memory
"""


def test_the_operator_messages_the_engine_may_show():
    for key in MESSAGES.split():
        assert text.message("zh", key) and text.message("en", key)
        assert "%" not in text.message("zh", key, "a", "b") + text.message("en", key, "a", "b")
    assert {row[0] for row in rows(text_messages.ZH)} | {"profile_error"} == set(MESSAGES.split())


def test_the_committed_table_is_the_generators():
    assert subprocess.run([sys.executable, GENERATOR, "--check"]).returncode == 0


def test_check_finds_a_stale_table():
    # 龘 is in no name we ship: asking for it makes the table in place the wrong one.
    assert subprocess.run([sys.executable, GENERATOR, "--check", "--extra", "龘"]).returncode == 1


def test_a_character_printers_do_not_have_fails_the_build(monkeypatch):
    monkeypatch.syspath_prepend(str(GENERATOR.parent))
    import generate_glyphs

    assert "龘" in generate_glyphs.generate("龘")
    for ch in "¥😀":
        with pytest.raises(generate_glyphs.GlyphError):
            generate_glyphs.generate(ch)


def test_preview_reads_python_escpos_too():
    printer = Dummy()
    printer.hw("INIT")
    printer._raw(b"\x1c&" + "合计：￥12.00\n".encode("gb18030"))
    printer.qr("abc", native=True)
    printer.cut(feed=False)
    assert preview(printer.output).splitlines()[:2] == ["合计：￥12.00", "[QR abc]"]


@pytest.mark.parametrize(
    "data",
    [
        b"\x1bZ",  # unknown command
        b"\x1d!\x11",  # GS ! is not one of ours
        b"\x07",  # bell
        b"\xb3\xe5\n",  # hanzi before Chinese mode is on
        b"\x1c&\xff\xff",  # no such character
        b"\x1c&\x1b!\x30A\xb3\xe5\n",  # ASCII large, hanzi small on one line
        b"\x1b!\x80",  # underline: unknown here
        b"\x1dV\x07",
        b"\x1d(k\x03\x001Z0",
        b"A\x1ba\x01",
    ],
)
def test_preview_refuses_what_it_does_not_know(data):
    with pytest.raises(PreviewError):
        preview(data)


@pytest.mark.parametrize("tail", [b"\x1b", b"\x1b!", b"\xb3", b"\x1d(k\x10\x001P0ab"])
def test_preview_of_a_stream_cut_off_says_so(tail):
    assert preview(b"\x1b@\x1c&OK" + tail).splitlines() == ["OK", TRUNCATED]
