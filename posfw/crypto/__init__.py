"""Symmetric primitives on MicroPython built-ins: HMAC, HKDF, AES-CTR, AES-CMAC."""


class CryptoError(Exception):
    """A key, counter or message has a length the primitive does not take. The message holds none of them."""
