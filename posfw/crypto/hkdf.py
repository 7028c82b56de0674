"""HKDF with SHA-256 (RFC 5869)."""

from posfw.crypto import CryptoError
from posfw.crypto.mac import Hmac, hmac_sha256


def hkdf(ikm, salt, info, length):
    """Return `length` bytes (0 to 8160) derived from the key material `ikm`. An empty salt counts as 32
    zero bytes (RFC 5869 section 2.2). Raises CryptoError."""
    if not 0 <= length <= 255 * 32:
        raise CryptoError("HKDF gives 0 to 8160 bytes")
    expand = Hmac(hmac_sha256(salt, ikm)).mac
    block = b""
    out = b""
    while len(out) < length:
        block = expand(block, info, bytes([len(out) // 32 + 1]))
        out += block
    return out[:length]
