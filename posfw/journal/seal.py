"""The seal: COSE_Mac0 entries in a hash chain, each under a key of its own that is then forgotten.

RFC 9052 section 6.2 and 6.3 (COSE_Mac0), RFC 9053 section 3.1 (HMAC 256/256); docs/journal-format.md section 2.
Forward security: who steals the terminal at entry n finds K(n) only, and SHA-256 does not run backwards to K(n-1).
"""

import hashlib
from struct import pack_into

from posfw.crypto.mac import hmac_sha256, same

# array(4), protected << {1: 5} >>, unprotected {}
_PREFIX = b"\x84\x43\xa1\x01\x05\xa0"
# ["MAC0", << {1: 5} >>, external_aad and payload follow
_STRUCTURE = b"\x84\x64MAC0\x43\xa1\x01\x05"
_TAG_HEAD = b"\x58\x20"
_STRUCTURE_32 = _STRUCTURE + b"\x58\x20"  # with the head of a chain head: joined once, not for each entry
_RATCHET = b"posfw/ratchet/1"
_GENESIS = b"posfw/genesis/1"

MAX_PAYLOAD = 1900


class SealError(Exception):
    """Journal and key store do not belong together, or an entry is not in the sealed form."""


def genesis(journal_id):
    """h(-1), 32 bytes."""
    return hashlib.sha256(_GENESIS + journal_id).digest()


def chain(head, entry):
    """h(i) from h(i-1) and entry(i), 32 bytes."""
    h = hashlib.sha256(head)
    h.update(entry)
    return h.digest()


def ratchet(key):
    """K(i+1) from K(i), 32 bytes."""
    h = hashlib.sha256(_RATCHET)
    h.update(key)
    return h.digest()


def _bstr_head(size):
    # Shortest form, RFC 8949 section 4.2.1.
    if size < 24:
        return bytes((0x40 | size,))
    if size < 256:
        return bytes((0x58, size))
    return bytes((0x59, size >> 8, size & 0xFF))


def _tag(key, aad, payload):
    """payload: with its bstr head."""
    start = _STRUCTURE_32 if len(aad) == 32 else _STRUCTURE + _bstr_head(len(aad))
    return hmac_sha256(key, start, aad, payload)


def payload_place(size):
    """Where the payload of `size` bytes lies in its entry."""
    return 7 if size < 24 else 8 if size < 256 else 9


def write(buf, payload, key, aad):
    """Write the COSE_Mac0 of `payload` under `key` into `buf`; return its length.

    aad: the external_aad; of a journal entry the previous chain head, 32 bytes. `payload` may already lie in `buf`, at
    payload_place(). Raises SealError if it is above MAX_PAYLOAD bytes.
    """
    size = len(payload)
    if size > MAX_PAYLOAD:
        raise SealError("entry payload of %d bytes is above the format's limit" % size)
    start = payload_place(size)
    end = start + size
    buf[start:end] = payload  # onto itself where it lies there already: a copy in C is cheaper than a second way in
    # pack_into() copies without the slice objects of an assignment, 32 bytes of garbage each.
    if start == 7:
        pack_into("6sB", buf, 0, _PREFIX, 0x40 | size)
    elif start == 8:
        pack_into("6sBB", buf, 0, _PREFIX, 0x58, size)
    else:
        pack_into(">6sBH", buf, 0, _PREFIX, 0x59, size)
    pack_into("2s32s", buf, end, _TAG_HEAD, _tag(key, aad, buf[6:end]))
    return end + 34


def payload_of(entry):
    """The payload bytes of a sealed entry, copied. Raises SealError if it is not in the sealed form."""
    return entry[_payload_start(entry) : -34]


def _payload_start(entry):
    if len(entry) < 48 or entry[:6] != _PREFIX or entry[-34:-32] != _TAG_HEAD:
        raise SealError("not a sealed entry")
    for width in (1, 2, 3):
        size = len(entry) - 40 - width
        if entry[6 : 6 + width] == _bstr_head(size):
            return 6 + width
    raise SealError("not a sealed entry")


def verify(entry, key, aad):
    """True if the entry's tag is right under `key` and `aad`."""
    _payload_start(entry)
    return same(_tag(key, aad, entry[6:-34]), entry[-32:])
