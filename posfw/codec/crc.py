"""Checksums against accidents. They prove nothing about who wrote the bytes; the seal does."""

from binascii import crc32 as _crc32


def crc16(data):
    """CRC-16 of `data` as an int: polynomial 1021, initial value FFFF, not reflected, no final XOR.
    Catalogues name it CRC-16/IBM-3740 or CCITT-FALSE; check value 29B1."""
    crc = 0xFFFF
    for byte in data:
        # The polynomial has so few terms that eight steps of the shift register collapse into three shifts:
        # as fast as a table, without one.
        x = (crc >> 8) ^ byte
        x ^= x >> 4
        crc = ((crc << 8) ^ (x << 12) ^ (x << 5) ^ x) & 0xFFFF
    return crc


def crc32(*parts):
    """CRC-32 (ISO-HDLC) of the joined parts, as an unsigned int."""
    crc = 0
    for part in parts:
        crc = _crc32(part, crc)
    return crc & 0xFFFFFFFF
