"""The lowest tier of signers (posfw.interfaces.Signer): pure Python, for terminals with nothing better."""

from posfw.crypto import CryptoError, p256
from posfw.hal import KeyStoreError


class SoftSigner:
    """Signs with a private key that a key store hands in, in the key store's own buffer.

    The buffer is not copied: once the key store has overwritten it with zeros, the signer is dead too. What neither of
    the two can erase, posfw.crypto.p256 says.
    """

    tier = "python"

    def __init__(self, key):
        """key: a bytearray of 32 bytes. Raises CryptoError if it is no private key."""
        if not isinstance(key, bytearray):
            raise CryptoError("a signer's key lies in a bytearray, so that it can be overwritten")
        p256.check_private(key)
        self._key = key
        self._public = None

    def public_key(self):
        """Return the 64-byte public key x || y; the first call takes as long as a signature. Raises KeyStoreError."""
        self._alive()
        if self._public is None:
            self._public = p256.public_key(self._key)
        return self._public

    def sign(self, hashed):
        """Return the 64-byte signature r || s of `hashed`, a SHA-256 digest. Raises KeyStoreError, CryptoError."""
        self._alive()
        return p256.sign(self._key, hashed)

    def zeroise(self):
        """Overwrite the key, in the key store's buffer."""
        for i in range(len(self._key)):
            self._key[i] = 0

    def _alive(self):
        if not any(self._key):
            raise KeyStoreError("the signing key is erased")
