"""COBS: the examples of the paper and of its public descriptions, and a reader under hostile streams."""

import gc

from posfw.codec.cobs import CobsError, FrameReader, decode, encode

FULL = bytes(range(1, 255))  # 254 bytes without a zero: a full block

# (data, encoded without the closing zero)
VECTORS = [
    (b"", b"\x01"),
    (b"\x00", b"\x01\x01"),
    (b"\x00\x00", b"\x01\x01\x01"),
    (b"\x00\x11\x00", b"\x01\x02\x11\x01"),
    (b"\x11\x22\x00\x33", b"\x03\x11\x22\x02\x33"),
    (b"\x11\x22\x33\x44", b"\x05\x11\x22\x33\x44"),
    (b"\x11\x00\x00\x00", b"\x02\x11\x01\x01\x01"),
    (FULL, b"\xff" + FULL),
    (b"\x00" + FULL, b"\x01\xff" + FULL),
    (FULL + b"\xff", b"\xff" + FULL + b"\x02\xff"),
    (FULL + b"\x00", b"\xff" + FULL + b"\x01\x01"),
    (FULL[1:] + b"\xff\x00", b"\xff" + FULL[1:] + b"\xff\x01\x01"),
    (FULL[1:] + b"\x00\x01", b"\xfe" + FULL[1:] + b"\x02\x01"),
    (FULL + FULL, b"\xff" + FULL + b"\xff" + FULL),
]


def refused(data):
    try:
        decode(data)
    except CobsError:
        return True
    return False


def test_vectors():
    for data, want in VECTORS:
        assert encode(data) == want, want
        assert encode(memoryview(data)) == encode(bytearray(data)) == want
        assert decode(want) == decode(memoryview(want)) == data, want


def test_malformed_refused():
    short = b"\xff" + FULL[1:]
    for bad in (b"", b"\x00", b"\x02", b"\x05\x01", b"\x01\x00", b"\x03\x11\x00", b"\x02\x11\x09\x22", short):
        assert refused(bad), bad


def test_reader_finds_frames_however_the_stream_is_cut():
    frames = [data for data, _ in VECTORS]
    stream = b"".join([encode(data) + b"\x00" for data in frames])
    for step in (1, 2, 3, 7, 100, 255, 256, len(stream)):
        reader = FrameReader(600)
        got = []
        for pos in range(0, len(stream), step):
            got += reader.feed(stream[pos : pos + step])
        assert got == frames, step


def test_lone_zeros_leave_nothing():
    reader = FrameReader(10)
    assert reader.feed(b"") == reader.feed(b"\x00") == reader.feed(b"\x00\x00\x00") == []
    assert reader.feed(b"\x02\x11\x00\x00\x02\x22\x00") == [b"\x11", b"\x22"]


def test_bad_frame_is_reported_once_and_the_next_one_read():
    reader = FrameReader(10)
    assert reader.feed(b"\x05\x11\x00\x02\x11\x00") == [None, b"\x11"]


def test_limit_is_exact():
    for limit in (1, 10, 253, 254, 255, 508, 509, 4096):
        for filler in (b"\x00", b"\x01"):
            reader = FrameReader(limit)
            fits = filler * limit
            assert reader.feed(encode(fits) + b"\x00") == [fits], limit
            assert reader.feed(encode(fits + filler) + b"\x00") == [None], limit
            assert reader.feed(encode(b"\x07") + b"\x00") == [b"\x07"], limit


def test_endless_noise_does_not_grow():
    reader = FrameReader(4096)
    chunk = b"\xa5" * 1024
    for _ in range(8):  # past the limit: from here on nothing more may be kept
        assert reader.feed(chunk) == []
    if hasattr(gc, "mem_alloc"):
        gc.collect()
        before = gc.mem_alloc()
    for _ in range(1000):
        assert reader.feed(chunk) == []
    if hasattr(gc, "mem_alloc"):
        gc.collect()
        assert gc.mem_alloc() - before < 512
    assert reader.feed(b"\x00" + encode(b"ok") + b"\x00") == [None, b"ok"]
