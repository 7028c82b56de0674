"""Signed messages: COSE_Sign1 with ES256, for checkpoints of the journal and releases of its sectors.

RFC 9052 sections 4.2 and 4.4 (COSE_Sign1), RFC 9053 section 2.1 (ES256). Untagged and in exactly one form, though a
payload has more than one valid signature (posfw.crypto.p256):

84                     array(4)
   43 A1 01 26         protected: << {1: -7} >>, alg = ES256
   A0                  unprotected: {}
   4x/58/59 ..         payload: bstr, length in the shortest form (RFC 8949 section 4.2.1)
   58 40 ..            signature: bstr(64), r || s
"""

from hashlib import sha256
from struct import pack_into

from posfw.crypto import p256

_PREFIX = b"\x84\x43\xa1\x01\x26\xa0"
# ["Signature1", << {1: -7} >>, external_aad and payload follow
_STRUCTURE = b"\x84\x6aSignature1\x43\xa1\x01\x26"
_SIGNATURE_HEAD = b"\x58\x40"

OVERHEAD = 75  # at most
MAX_PAYLOAD = 1024  # a journal entry holds the whole message


class Sign1Error(Exception):
    """A message is too long, or not in the signed form."""


def _bstr_head(size):
    if size < 24:
        return bytes((0x40 | size,))
    if size < 256:
        return bytes((0x58, size))
    return bytes((0x59, size >> 8, size & 0xFF))


def _digest(aad, payload):
    """What is signed: the hash of the Sig_structure. payload: with its bstr head."""
    hashed = sha256(_STRUCTURE)
    hashed.update(_bstr_head(len(aad)))
    hashed.update(aad)
    hashed.update(payload)
    return hashed.digest()


def write(buf, payload, signer, aad):
    """Write the COSE_Sign1 of `payload` by `signer` (posfw.interfaces.Signer) into `buf`; return its length, at most
    OVERHEAD above the payload's. `buf` may be half written if the signer raises.

    aad: the external_aad, up to 65,535 bytes. Raises Sign1Error if the payload is above MAX_PAYLOAD bytes.
    """
    if len(payload) > MAX_PAYLOAD:
        raise Sign1Error("payload of %d bytes is above the limit of signed messages" % len(payload))
    head = _bstr_head(len(payload))
    start = 6 + len(head)
    end = start + len(payload)
    if len(buf) < end + 66:
        raise Sign1Error("the buffer is too small for the signed message")
    buf[start:end] = payload
    buf[:6] = _PREFIX
    buf[6:start] = head
    pack_into("2s64s", buf, end, _SIGNATURE_HEAD, signer.sign(_digest(aad, buf[6:end])))
    return end + 66


def payload_of(signed):
    """The payload bytes of a signed message, copied; nothing is verified. Raises Sign1Error if it is not in the signed
    form."""
    return bytes(signed[_payload_start(signed) : -66])


def _payload_start(signed):
    size = len(signed)
    if size < 73 or signed[:6] != _PREFIX or signed[-66:-64] != _SIGNATURE_HEAD:
        raise Sign1Error("not a signed message")
    for width in (1, 2, 3):
        if 0 <= size - 72 - width <= MAX_PAYLOAD and signed[6 : 6 + width] == _bstr_head(size - 72 - width):
            return 6 + width
    raise Sign1Error("not a signed message")


def verify(signed, public, aad):
    """True if the message is signed by the key `public` (64 bytes x || y) under the external_aad `aad`. Raises
    Sign1Error if it is not in the signed form, CryptoError if `public` is no public key."""
    _payload_start(signed)
    return p256.verify(public, _digest(aad, signed[6:-66]), signed[-64:])
