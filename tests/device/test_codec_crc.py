"""Checksums: the check values of the CRC catalogue (reveng.sourceforge.io) and a bit-by-bit oracle."""

from posfw.codec.crc import crc16, crc32


def slow_crc16(data):
    crc = 0xFFFF
    for byte in data:
        for i in range(7, -1, -1):
            top = (crc >> 15) ^ (byte >> i & 1)
            crc = (crc << 1 & 0xFFFF) ^ (0x1021 if top else 0)
    return crc


def test_catalogue_values():
    assert crc16(b"123456789") == 0x29B1
    assert crc32(b"123456789") == 0xCBF43926
    assert crc16(b"") == 0xFFFF
    assert crc32() == crc32(b"") == 0


def test_crc16_of_every_length_field():
    for n in range(0, 65536, 251):
        data = bytes((n & 0xFF, n >> 8))
        assert crc16(data) == slow_crc16(data), n


def test_crc16_of_every_byte_and_of_views():
    for n in range(256):
        assert crc16(bytes((n,))) == slow_crc16(bytes((n,)))
    data = bytes(range(256))
    assert crc16(data) == crc16(bytearray(data)) == crc16(memoryview(data)) == slow_crc16(data)


def test_crc32_of_parts_is_that_of_the_whole():
    data = bytes(range(256))
    for cut in (0, 1, 128, 255, 256):
        assert crc32(data[:cut], memoryview(data)[cut:]) == crc32(data) == 0x29058C73
