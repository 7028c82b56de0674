"""MicroPython's `cryptolib.aes` for CPython, by the cryptography package. Never loaded on a device."""

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes


class aes:  # cryptolib's own spelling
    """One cipher object, one direction: the first call decides it, and CBC chains from call to call."""

    def __init__(self, key, mode, iv=None):
        self._cipher = Cipher(algorithms.AES(bytes(key)), modes.ECB() if mode == 1 else modes.CBC(bytes(iv)))
        self._encrypt = self._decrypt = None

    def encrypt(self, data):
        if self._encrypt is None:
            self._encrypt = self._cipher.encryptor()
        return self._encrypt.update(bytes(data))

    def decrypt(self, data):
        if self._decrypt is None:
            self._decrypt = self._cipher.decryptor()
        return self._decrypt.update(bytes(data))
