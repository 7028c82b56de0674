"""HMAC-SHA-256 (RFC 2104, FIPS 198-1) and the comparison of MACs. MicroPython ships no hmac module."""

from hashlib import sha256

# Big integers turn the XOR with the pads into one operation instead of 64 steps of bytecode.
_IPAD = int.from_bytes(b"\x36" * 64, "big")
_OPAD = int.from_bytes(b"\x5c" * 64, "big")


class Hmac:
    """HMAC-SHA-256 under one key of any length (bytes-like); both padded keys are prepared once."""

    def __init__(self, key):
        if len(key) > 64:
            key = sha256(key).digest()
        padded = int.from_bytes(key, "big") << (8 * (64 - len(key)))
        self._inner = (padded ^ _IPAD).to_bytes(64, "big")
        self._outer = (padded ^ _OPAD).to_bytes(64, "big")

    def mac(self, *parts):
        """Return the 32-byte MAC of the joined parts, which are not copied."""
        # MicroPython's sha256 cannot be copied and yields one digest, so each message starts two fresh ones.
        inner = sha256(self._inner)
        for part in parts:
            inner.update(part)
        outer = sha256(self._outer)
        outer.update(inner.digest())
        return outer.digest()


def hmac_sha256(key, *parts):
    """Return the 32-byte HMAC-SHA-256 of the joined parts, for a key that is used once."""
    return Hmac(key).mac(*parts)


def same(a, b):
    """True if two byte strings are equal. Every byte is looked at, so the time does not tell where they
    differ; it may tell that their lengths do."""
    if len(a) != len(b):
        return False
    difference = 0
    for i in range(len(a)):
        difference |= a[i] ^ b[i]
    return difference == 0
