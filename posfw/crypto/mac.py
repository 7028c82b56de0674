"""HMAC-SHA-256 (RFC 2104, FIPS 198-1) and the comparison of MACs. MicroPython ships no hmac module."""

from array import array
from hashlib import sha256
from struct import pack_into

from posfw.micro import const

# 16 bits a step: half the steps of bytes, and still small integers where pointers have 32 bits. Big integers take half
# the instructions of this loop, but leave 320 to 576 bytes of garbage for each key (64-bit unix), and each journal
# entry has a key.
_IPAD = const(0x3636)
_OPAD = const(0x5C5C)

# The padded keys of hmac_sha256(), kept so that keys of 32 bytes, which leave the second half as it is, cost no memory.
_inner = array("H", b"\x36" * 64)
_outer = array("H", b"\x5c" * 64)


class Hmac:
    """HMAC-SHA-256 under one key of any length (bytes-like); both padded keys are prepared once."""

    def __init__(self, key):
        if len(key) > 64:
            key = sha256(key).digest()
        self._inner = array("H", bytes(64))
        self._outer = array("H", bytes(64))
        pack_into("64s", self._inner, 0, bytes(key))  # and zeros up to 64
        _xor(self._inner, self._outer, 32)

    def mac(self, *parts):
        """Return the 32-byte MAC of the joined parts, which are not copied."""
        return _mac(self._inner, self._outer, parts)


def hmac_sha256(key, *parts):
    """Return the 32-byte HMAC-SHA-256 of the joined parts, for a key that is used once. Not reentrant."""
    if len(key) != 32:
        return Hmac(key).mac(*parts)
    pack_into("32s", _inner, 0, key)
    _xor(_inner, _outer, 16)
    return _mac(_inner, _outer, parts)


def _xor(inner, outer, count):
    for i in range(count):
        word = inner[i]
        inner[i] = word ^ _IPAD
        outer[i] = word ^ _OPAD


def _mac(inner, outer, parts):
    # MicroPython's sha256 cannot be copied and yields one digest, so each message starts two fresh ones.
    hashed = sha256(inner)
    for part in parts:
        hashed.update(part)
    inner = hashed.digest()
    hashed = sha256(outer)
    hashed.update(inner)
    return hashed.digest()


def same(a, b):
    """True if two byte strings are equal. Every byte is looked at, so the time does not tell where they
    differ; it may tell that their lengths do."""
    if len(a) != len(b):
        return False
    difference = 0
    for i in range(len(a)):
        difference |= a[i] ^ b[i]
    return difference == 0
