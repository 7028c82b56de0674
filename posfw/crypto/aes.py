"""AES-128 and AES-256: single blocks (ECB) and counter mode (NIST SP 800-38A, sections 6.1 and 6.5)."""

from posfw.crypto import CryptoError
from posfw.micro import const

try:
    from cryptolib import aes as _aes
except ImportError:  # CPython
    from posfw.crypto._cpython import aes as _aes

# cryptolib's numbers
_ECB = const(1)
_CBC = const(2)


def cipher(key, mode=_ECB, iv=None):
    """Return cryptolib's cipher object, good for one direction. `key` 16 or 32 bytes. Raises CryptoError."""
    if len(key) not in (16, 32):
        raise CryptoError("an AES key has 16 or 32 bytes")
    return _aes(key, mode) if iv is None else _aes(key, mode, iv)


def cbc_encryptor(key):
    """Return a cipher that chains blocks from a zero vector on: the core of CMAC."""
    return cipher(key, _CBC, bytes(16))


def ecb_encrypt(key, data):
    """Encrypt `data`, a multiple of 16 bytes, block by block. Raises CryptoError."""
    _whole_blocks(data)
    return cipher(key).encrypt(data)


def ecb_decrypt(key, data):
    """Decrypt `data`, a multiple of 16 bytes, block by block. Raises CryptoError."""
    _whole_blocks(data)
    return cipher(key).decrypt(data)


def ctr(key, initial, data):
    """Encrypt or decrypt `data` of any length; `initial` is the whole 16-byte first counter block, counted up
    modulo 2^128. Raises CryptoError."""
    if len(initial) != 16:
        raise CryptoError("an AES counter block has 16 bytes")
    n = len(data)
    counter = int.from_bytes(initial, "big")
    blocks = bytearray()
    for i in range((n + 15) // 16):
        blocks += ((counter + i) & 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF).to_bytes(16, "big")
    stream = cipher(key).encrypt(blocks)
    return (int.from_bytes(data, "big") ^ int.from_bytes(stream[:n], "big")).to_bytes(n, "big")


def _whole_blocks(data):
    if len(data) % 16:
        raise CryptoError("AES blocks have 16 bytes: pad the data first")
