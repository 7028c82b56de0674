"""AES-CMAC (RFC 4493, NIST SP 800-38B)."""

from posfw.crypto.aes import cbc_encryptor, ecb_encrypt


class Cmac:
    """AES-CMAC under one key of 16 or 32 bytes; the subkeys are prepared once. Raises CryptoError."""

    def __init__(self, key):
        self._key = bytes(key)
        # RFC 4493 section 2.3: doubling in GF(2^128).
        self._k1 = _double(int.from_bytes(ecb_encrypt(self._key, bytes(16)), "big"))
        self._k2 = _double(self._k1)

    def mac(self, *parts):
        """Return the 16-byte MAC of the joined parts."""
        message = bytearray()
        for part in parts:
            message += part
        subkey = self._k1
        if not message or len(message) % 16:
            subkey = self._k2
            message += b"\x80"
            message += bytes(-len(message) % 16)
        last = int.from_bytes(message[-16:], "big") ^ subkey
        message[-16:] = last.to_bytes(16, "big")
        return cbc_encryptor(self._key).encrypt(message)[-16:]


def _double(n):
    return (n << 1) ^ (0x100000000000000000000000000000087 if n >> 127 else 0)
