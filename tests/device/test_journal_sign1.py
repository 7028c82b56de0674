"""COSE_Sign1 in its one form: the examples of RFC 9052 and of the COSE working group, and what must be refused."""

from hashlib import sha256

from posfw.codec.cbor import encode
from posfw.crypto import CryptoError, p256
from posfw.crypto.signer import SoftSigner
from posfw.journal import sign1

h = bytes.fromhex
# RFC 9052 appendix C.7.2: the key "11".
PRIVATE = h("57c92077664146e876760c9520d054aa93c3afb04e306705db6090308507b4d3")
PUBLIC = h(
    "bac5b11cad8f99f9c72b05cf4b9e26d244dc189f745228255a219a86d6a09eff"
    "20138bf82dc1b6d562be0fa54ab7804a3a64b6d72ccfed6b6fb6ed28bbfc117e"
)
CONTENT = b"This is the content."
# external_aad, Sig_structure, signature: RFC 9052 appendix C.2.1, and cose-wg/Examples sign1-tests/sign-pass-02. Theirs
# have the key's name in the unprotected header, which no signature covers: here it is left out.
EXAMPLES = [
    (
        b"",
        "846a5369676e61747572653143a101264054546869732069732074686520636f6e74656e742e",
        "8eb33e4ca31d1c465ab05aac34cc6b23d58fef5c083106c4d25a91aef0b0117e"
        "2af9a291aa32e14ab834dc56ed2a223444547e01f11d3b0916e5a4c345cacb36",
    ),
    (
        h("11aa22bb33cc44dd55006699"),
        "846a5369676e61747572653143a101264c11aa22bb33cc44dd5500669954546869732069732074686520636f6e74656e742e",
        "eae868ecc176883766c5dc5ba5b8dca25dab3c2e56a551ce5705b793914348e1"
        "55388b10c4f1b59a6733eab416870a945111a4b2fbdbef33a77234b1deff2f9b",
    ),
]


def form(payload, signature):
    """The message as the specification alone makes it."""
    return b"\x84\x43\xa1\x01\x26\xa0" + encode(payload) + b"\x58\x40" + signature


def made(payload, aad=b""):
    buf = bytearray(len(payload) + sign1.OVERHEAD)
    return bytes(buf[: sign1.write(buf, payload, SoftSigner(bytearray(PRIVATE)), aad)])


class NoSigner:
    """Stands in where the form alone matters; remembers what it was to sign."""

    def sign(self, digest):
        self.digest = digest
        return b"\x5a" * 64


def refused(function, *args):
    try:
        function(*args)
    except sign1.Sign1Error:
        return True
    return False


def test_published_examples():
    assert p256.public_key(PRIVATE) == PUBLIC
    for aad, structure, signature in EXAMPLES:
        message = form(CONTENT, h(signature))
        assert sign1.verify(message, PUBLIC, aad) and sign1.verify(bytearray(message), PUBLIC, aad)
        assert sign1.payload_of(message) == CONTENT
        assert sign1.verify(message, PUBLIC, aad + b"\x00") is False
        signer = NoSigner()
        sign1.write(bytearray(200), CONTENT, signer, aad)
        assert signer.digest == sha256(h(structure)).digest()
        assert made(CONTENT, aad) == form(CONTENT, p256.sign(PRIVATE, signer.digest))


def test_every_length_of_payload_and_aad():
    for size in (0, 1, 22, 23, 24, 25, 254, 255, 256, 257, 1023, 1024):
        payload = bytes(i & 0xFF for i in range(size))
        for aad in (b"", payload, bytes(300)):
            signer = NoSigner()
            buf = bytearray(b"\xee" * (size + 80))
            end = sign1.write(buf, payload, signer, aad)
            assert buf[:end] == form(payload, b"\x5a" * 64) and buf[end:] == b"\xee" * (size + 80 - end)
            assert signer.digest == sha256(encode(["Signature1", h("a10126"), aad, payload])).digest()
            assert sign1.payload_of(buf[:end]) == payload
            assert end - size <= sign1.OVERHEAD
    message = made(bytes(300), b"aad")
    assert sign1.verify(message, PUBLIC, b"aad") and sign1.payload_of(message) == bytes(300)


def test_too_long_or_no_room():
    assert refused(sign1.write, bytearray(2000), bytes(1025), NoSigner(), b"")
    for size in (0, 23, 24, 300):
        assert refused(sign1.write, bytearray(len(form(bytes(size), bytes(64))) - 1), bytes(size), NoSigner(), b"")
    assert refused(sign1.payload_of, form(bytes(1025), bytes(64)))


def test_other_forms_refused():
    good = made(CONTENT)
    signature = good[-64:]
    others = [
        b"", good[:-1], good + b"\x00", good[1:], b"\xd2" + good,  # truncated, trailing, tagged
        b"\x84\x43\xa1\x01\x26\xa1\x04\x42\x31\x31" + good[6:],  # a key's name
        b"\x84\x44\xa1\x01\x38\x06\xa0" + good[6:],  # alg -7, not in the shortest form
        b"\x84\x58\x03\xa1\x01\x26\xa0" + good[6:],
        b"\x9f\x43\xa1\x01\x26\xa0" + good[6:] + b"\xff",  # indefinite length
        b"\x84\x43\xa1\x01\x05\xa0" + good[6:],  # HMAC
        b"\x84\x40\xa1\x01\x26" + good[6:],  # the algorithm unprotected
        good[:6] + b"\x58\x14" + good[7:], good[:6] + b"\x59\x00\x14" + good[7:],
        good[:6] + b"\x5a\0\0\0\x14" + good[7:],
        good[:6] + b"\xf6\x58\x40" + signature,  # detached
        good[:6] + b"\x74" + good[7:],  # text
        good[:-66] + b"\x58\x41" + signature, good[:-66] + b"\x58\x3f" + signature[:-1],
        good[:-66] + b"\x58\x48" + b"\x30\x46\x02\x21\x00" + signature[:32] + b"\x02\x21\x00" + signature[32:],  # DER
    ]  # fmt: skip
    for other in others:
        assert refused(sign1.verify, other, PUBLIC, b""), other.hex()
        assert refused(sign1.payload_of, other), other.hex()
        assert other == b"" or refused(sign1.verify, bytearray(other), PUBLIC, b"")


def test_each_changed_byte_is_found():
    good = made(CONTENT, b"aad")
    for i in range(len(good)):
        changed = bytearray(good)
        changed[i] ^= 1 << (i % 8)
        try:
            assert sign1.verify(changed, PUBLIC, b"aad") is False, i
        except sign1.Sign1Error:
            pass
    assert sign1.verify(good, PUBLIC, b"aae") is False
    assert sign1.verify(good, p256.public_key(h("00" * 31 + "07")), b"aad") is False
    try:
        sign1.verify(good, bytes(64), b"aad")
    except CryptoError:
        return
    raise AssertionError("a key that is no point")
