from posfw.receipt import layout


def test_hanzi_take_two_columns():
    assert layout.width("") == 0
    assert layout.width("STAN 000123") == 11
    assert layout.width("凭证号 STAN") == 11
    assert layout.width("￥1.00，") == 8


def test_wrap_breaks_between_hanzi_and_between_words():
    assert list(layout.wrap("请保留此单", 4)) == ["请保", "留此", "单"]
    assert list(layout.wrap("请保留此单", 5)) == ["请保", "留此", "单"]
    assert list(layout.wrap("check before  paying", 12)) == ["check before", "paying"]
    assert list(layout.wrap("检查SIM卡", 6)) == ["检查", "SIM卡"]
    assert list(layout.wrap("", 8)) == []
    assert list(layout.wrap(" \t\n ", 8)) == []


def test_closing_punctuation_never_begins_a_line():
    assert list(layout.wrap("已冲正，好。", 6)) == ["已冲", "正，", "好。"]
    assert list(layout.wrap("已冲正,勿付", 6)) == ["已冲", "正,勿", "付"]
    assert list(layout.wrap("张面馆（路）", 8)) == ["张面馆", "（路）"]


def test_a_word_wider_than_the_line_is_cut_but_never_a_hanzi():
    assert list(layout.wrap("A000000333010101", 6)) == ["A00000", "033301", "0101"]
    assert list(layout.wrap("ok A0000003", 6)) == ["ok", "A00000", "03"]
    assert list(layout.wrap("。" * 4, 5)) == ["。。", "。。"]


def test_pair_fills_the_line_or_puts_the_value_below():
    assert list(layout.pair("批次号 BATCH", "000007", 24)) == ["批次号 BATCH      000007"]
    assert list(layout.pair("AB", "CDE", 6)) == ["AB CDE"]
    assert list(layout.pair("AB", "CDEF", 6)) == ["AB", "  CDEF"]
    assert list(layout.pair("AB", "CDEFGHIJ", 6)) == ["AB", "CDEFGH", "    IJ"]


def test_centre():
    assert list(layout.centre("待冲正", 16)) == ["     待冲正"]
    assert list(layout.centre("A", 4)) == [" A"]
    assert list(layout.centre("one two", 5)) == [" one", " two"]
