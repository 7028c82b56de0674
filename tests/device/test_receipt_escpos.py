from posfw.receipt import escpos

# GB2312 rows and cells as the standard's table prints them: 冲 is row 19 cell 69, and so on.
_CHONG = bytes((0xA0 + 19, 0xA0 + 69))
_ZHENG = bytes((0xA0 + 53, 0xA0 + 93))


def test_encode_hanzi_and_punctuation():
    assert escpos.encode("冲正") == _CHONG + _ZHENG
    assert escpos.encode("￥12.00") == b"\xa3\xa412.00"
    assert escpos.encode("：；，。") == b"\xa3\xba\xa3\xbb\xa3\xac\xa1\xa3"


def test_a_text_cannot_hold_a_command():
    assert escpos.encode("\x1b@a\nb\x00\x1d\x7f") == b" @a b  \xa1\xfe"


def test_missing_glyphs_are_replaced_and_reported():
    assert escpos.encode("龘a") == b"\xa1\xfea"
    assert escpos.missing("冲龘正龘é\n") == "龘é"
    assert escpos.missing("PF-0001 冲正,") == ""


def test_a_sized_line_sets_both_fonts_and_leaves_normal_type():
    assert escpos.line("OK") == b"OK\n"
    assert escpos.line("冲A", escpos.LARGE) == (
        b"\x1b!\x30\x1c!\x0c"  # ESC ! double height and width; FS ! the same for hanzi
        + _CHONG
        + b"A\n"
        + b"\x1b!\x00\x1c!\x00"  # both back to single
    )
    assert escpos.line("A", escpos.TALL) == b"\x1b!\x10\x1c!\x08A\n\x1b!\x00\x1c!\x00"


def test_qr_length_counts_the_three_bytes_before_the_data():
    out = escpos.qr(b"x" * 300)
    at = out.find(b"1P0")
    assert out[at - 2] | out[at - 1] << 8 == 303
    assert out[:3] == b"\x1ba\x01" and out[-3:] == b"\x1ba\x00"
