"""P-256 and COSE_Sign1 against the cryptography package, cwt, and the RFC's own words; the generated table."""

import hashlib
import hmac
import importlib.util
import subprocess
import sys
from pathlib import Path

import cbor2
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature, encode_dss_signature
from cwt import COSE, COSEKey
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from posfw.crypto import CryptoError, p256, p256_table
from posfw.crypto.signer import SoftSigner
from posfw.journal import sign1

ROOT = Path(__file__).resolve().parents[2]
GENERATOR = ROOT / "tools" / "generate_p256_table.py"
N, P = p256.N, p256.P
PREHASHED = ec.ECDSA(Prehashed(hashes.SHA256()))

# Scalars, and among them those near a border or with long runs of one bit.
scalars = (
    st.integers(1, N - 1)
    | st.integers(1, 300)
    | st.integers(1, 300).map(lambda n: N - n)
    | st.tuples(st.integers(0, 255), st.integers(0, 255)).map(lambda ab: abs(2 ** ab[0] - 2 ** ab[1]) % N or 1)
)
private_keys = scalars.map(lambda k: k.to_bytes(32, "big"))
digests = st.binary(min_size=32, max_size=32) | scalars.map(lambda k: k.to_bytes(32, "big"))


def theirs(private):
    return ec.derive_private_key(int.from_bytes(private, "big"), ec.SECP256R1())


def point_of(key):
    return key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)[1:]


def raw(der):
    r, s = decode_dss_signature(der)
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def der(signature):
    return encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))


def accepts(key, digest, signature):
    try:
        key.verify(der(signature), digest, PREHASHED)
    except InvalidSignature:
        return False
    return True


@settings(max_examples=300)
@given(private_keys)
def test_public_keys(private):
    assert p256.public_key(private) == point_of(theirs(private).public_key())


@settings(max_examples=300)
@given(private_keys, digests)
@example((1).to_bytes(32, "big"), bytes(32))
@example((N - 1).to_bytes(32, "big"), b"\xff" * 32)
def test_signed_here_verified_there(private, digest):
    signature = p256.sign(private, digest)
    assert accepts(theirs(private).public_key(), digest, signature)


@settings(max_examples=200)
@given(private_keys, digests)
def test_signed_there_verified_here(private, digest):
    key = theirs(private)
    assert p256.verify(point_of(key.public_key()), digest, raw(key.sign(digest, PREHASHED)))


@settings(max_examples=200)
@given(private_keys, digests)
def test_deterministic_signatures_are_the_same_bytes(private, digest):
    try:
        algorithm = ec.ECDSA(Prehashed(hashes.SHA256()), deterministic_signing=True)
        signature = theirs(private).sign(digest, algorithm)
    except (TypeError, ValueError) as error:
        pytest.skip(f"this build has no deterministic ECDSA: {error}")
    assert p256.sign(private, digest) == raw(signature)


@settings(max_examples=300)
@given(private_keys, digests, st.data())
def test_both_judge_a_changed_signature_alike(private, digest, data):
    """One bit changed, mirrored, or numbers that fit nothing, perhaps under the digest that makes them good."""
    signature = p256.sign(private, digest)
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    what = data.draw(st.sampled_from(["bit", "mirror", "border", "made"]))
    if what == "bit":
        n = int.from_bytes(signature, "big") ^ 1 << data.draw(st.integers(0, 511))
        signature = n.to_bytes(64, "big")
    elif what == "mirror":
        signature = (r if data.draw(st.booleans()) else N - r).to_bytes(32, "big") + (N - s).to_bytes(32, "big")
    elif what == "border":
        border = st.sampled_from([0, 1, 2, N - 1, N, N + 1, P - N, P - 1, P, 2**256 - 1, r, s])
        signature = data.draw(border).to_bytes(32, "big") + data.draw(border).to_bytes(32, "big")
    else:
        # (r, s) for nonce k and any s: the digest follows. Covers sums that meet themselves, and e = 0.
        k, s = data.draw(scalars), data.draw(scalars)
        r = int.from_bytes(p256.public_key(k.to_bytes(32, "big"))[:32], "big") % N
        e = (s * k - r * int.from_bytes(private, "big")) % N
        assume(r)
        digest = e.to_bytes(32, "big")
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    key = theirs(private).public_key()
    judged = p256.verify(point_of(key), digest, signature)
    assert judged == accepts(key, digest, signature)
    if what in ("mirror", "made"):
        assert judged or what == "mirror"


@settings(max_examples=200)
@given(st.binary(min_size=64, max_size=64) | st.tuples(private_keys, st.integers(0, 512)))
def test_both_judge_a_point_alike(point):
    if isinstance(point, tuple):
        private, bit = point
        n = int.from_bytes(p256.public_key(private), "big") ^ (1 << bit if bit < 512 else 0)
        point = n.to_bytes(64, "big")
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + point)
        good = True
    except ValueError:
        good = False
    try:
        p256.check_public(point)
        assert good
    except CryptoError:
        assert not good


@settings(max_examples=100)
@given(scalars | st.just(0), scalars, private_keys)
def test_combinations(u, v, private):
    q = p256.public_key(private)
    want = (u + v * int.from_bytes(private, "big")) % N
    got = p256.combination(u, v, int.from_bytes(q[:32], "big"), int.from_bytes(q[32:], "big"))
    if want == 0:
        assert got[2] == 0
    else:
        x, y = p256.affine(*got)
        assert x.to_bytes(32, "big") + y.to_bytes(32, "big") == point_of(theirs(want.to_bytes(32, "big")).public_key())


@given(scalars, st.sampled_from([P, N]))
def test_inverses(a, m):
    assert p256.inverse(a, m) == pow(a, -1, m)


def rfc6979(private, digest):
    """Section 3.2 of the RFC, step by step, by hashlib's hmac."""
    def mac(key, message):
        return hmac.new(key, message, "sha256").digest()

    h1 = (int.from_bytes(digest, "big") % N).to_bytes(32, "big")
    v, k = b"\x01" * 32, b"\x00" * 32
    k = mac(k, v + b"\x00" + private + h1)
    v = mac(k, v)
    k = mac(k, v + b"\x01" + private + h1)
    v = mac(k, v)
    while True:
        v = mac(k, v)
        if 1 <= int.from_bytes(v, "big") < N:
            yield int.from_bytes(v, "big")
        k = mac(k, v + b"\x00")
        v = mac(k, v)


@given(private_keys, digests)
def test_nonces_the_second_and_third_too(private, digest):
    ours, wanted = p256.nonces(private, digest), rfc6979(private, digest)
    assert [next(ours) for _ in range(3)] == [next(wanted) for _ in range(3)]


def test_a_nonce_out_of_range_is_passed_over(monkeypatch):
    real, calls = p256.hmac_sha256, []

    def hmac_sha256(key, *parts):
        calls.append(parts)
        if len(calls) in (5, 8):  # the first two candidates
            return (b"\xff" * 32, bytes(32))[len(calls) == 8]
        return real(key, *parts)

    monkeypatch.setattr(p256, "hmac_sha256", hmac_sha256)
    k = next(p256.nonces((7).to_bytes(32, "big"), bytes(32)))
    assert 0 < k < N and len(calls) == 11 and calls[5][1:] == calls[8][1:] == (b"\x00",)


def test_a_nonce_that_gives_zero_is_passed_over(monkeypatch):
    # s = (e + r d) / k is 0 for the digest -r d, if the nonce is the k of that r.
    private, k = (7).to_bytes(32, "big"), 12345
    r = int.from_bytes(p256.public_key(k.to_bytes(32, "big"))[:32], "big") % N
    digest = (-r * 7 % N).to_bytes(32, "big")
    monkeypatch.setattr(p256, "nonces", lambda private, digest: iter((k, 99)))
    signature = p256.sign(private, digest)
    assert accepts(theirs(private).public_key(), digest, signature)
    assert signature[:32] == p256.public_key((99).to_bytes(32, "big"))[:32]


def test_the_blind_leaves_no_trace(monkeypatch):
    private, digest = (7).to_bytes(32, "big"), hashlib.sha256(b"m").digest()
    want, real = p256.sign(private, digest), p256.hmac_sha256
    for blind in (0, 1, 2, N - 1, N, 2**256 - 1):
        monkeypatch.setattr(
            p256,
            "hmac_sha256",
            lambda key, *parts, blind=blind: (
                blind.to_bytes(32, "big") if key == b"posfw/blind/1" else real(key, *parts)
            ),
        )
        assert p256.sign(private, digest) == want


# -- COSE_Sign1 -----------------------------------------------------------------------------------------------------


def signed(private, payload, aad):
    buf = bytearray(len(payload) + sign1.OVERHEAD)
    return bytes(buf[: sign1.write(buf, payload, SoftSigner(bytearray(private)), aad)])


def cose_key(private, **more):
    point = p256.public_key(private)
    return COSEKey.new({1: 2, 3: -7, -1: 1, -2: point[:32], -3: point[32:], **more})


@settings(max_examples=60)
@given(private_keys, st.binary(max_size=1024), st.binary(max_size=300))
@example((1).to_bytes(32, "big"), b"x" * 23, b"y" * 24)
@example((1).to_bytes(32, "big"), b"x" * 256, b"y" * 255)
def test_cwt_and_the_specification_accept_what_is_signed_here(private, payload, aad):
    message = signed(private, payload, aad)
    protected, unprotected, body, signature = cbor2.loads(message)
    assert (protected, unprotected, body) == (cbor2.dumps({1: -7}), {}, payload)
    assert cbor2.dumps([protected, unprotected, body, signature], canonical=True) == message
    structure = cbor2.dumps(["Signature1", protected, aad, body], canonical=True)
    theirs(private).public_key().verify(der(signature), structure, ec.ECDSA(hashes.SHA256()))
    assert sign1.verify(message, p256.public_key(private), aad)
    assume(payload)  # cwt takes an empty payload for a detached one
    tagged = cbor2.dumps(cbor2.CBORTag(18, cbor2.loads(message)))
    _, _, decoded = COSE.new().decode_with_headers(tagged, cose_key(private), external_aad=aad)
    assert decoded == payload


@settings(max_examples=60)
@given(private_keys, st.binary(min_size=1, max_size=1024), st.binary(max_size=300))
def test_what_cwt_signs_is_accepted_here(private, payload, aad):
    key = cose_key(private, **{})
    key = COSEKey.new({**key.to_dict(), -4: private})
    tagged = COSE.new().encode_and_sign(payload, key, protected={1: -7}, unprotected={}, external_aad=aad)
    message = cbor2.dumps(cbor2.loads(tagged).value)
    assert sign1.payload_of(message) == payload
    assert sign1.verify(message, p256.public_key(private), aad)
    assert not sign1.verify(message, p256.public_key(private), aad + b"\x00")


@given(st.binary(max_size=200) | st.binary(min_size=66, max_size=120).map(lambda b: b"\x84\x43\xa1\x01\x26\xa0" + b))
def test_only_the_one_form_is_read(message):
    try:
        payload = sign1.payload_of(message)
    except sign1.Sign1Error:
        return
    assert cbor2.dumps([b"\xa1\x01\x26", {}, payload, message[-64:]], canonical=True) == message


# -- the table -------------------------------------------------------------------------------------------------------


def generator():
    spec = importlib.util.spec_from_file_location("generate_p256_table", GENERATOR)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_is_what_its_generator_makes():
    done = subprocess.run([sys.executable, str(GENERATOR), "--check"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_stale_table_is_noticed(tmp_path, monkeypatch, capsys):
    module = generator()
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "TARGET", tmp_path / "p256_table.py")
    assert module.main(["--check"]) == 1
    assert module.main([]) == 0 and module.main(["--check"]) == 0
    module.TARGET.write_text(module.TARGET.read_text().replace("SPACING = 32", "SPACING = 31"))
    assert module.main(["--check"]) == 1
    assert "stale" in capsys.readouterr().err


def test_each_point_of_the_table_by_the_other_library():
    assert len(p256_table.TABLE) == 64 * 128 == 8192
    for index in range(128):
        k = 1 << 7 * 32
        for tooth in range(7):
            k += (1 if index >> tooth & 1 else -1) << 32 * tooth
        want = point_of(theirs((k % N).to_bytes(32, "big")).public_key())
        assert p256_table.TABLE[64 * index : 64 * index + 64] == want


@pytest.mark.parametrize(("teeth", "spacing"), [(1, 256), (2, 128), (4, 64), (5, 52), (6, 43), (7, 37)])
def test_other_combs_give_the_same(teeth, spacing, monkeypatch):
    module = generator()
    table = b"".join(n.to_bytes(32, "big") for point in module.points(teeth, spacing) for n in point)
    values = {"TABLE": table, "TEETH": teeth, "SPACING": spacing, "_PLACES": teeth * spacing,
              "_ONES": (1 << teeth * spacing) - 1, "_HALF": 1 << teeth - 1}  # fmt: skip
    for name, value in values.items():
        monkeypatch.setattr(p256, name, value)
    for k in (1, 2, 3, 7, N // 2, N - 1, int.from_bytes(hashlib.sha256(b"k").digest(), "big") % N):
        private = k.to_bytes(32, "big")
        assert p256.public_key(private) == point_of(theirs(private).public_key())
        assert p256.verify(p256.public_key(private), bytes(32), p256.sign(private, bytes(32)))
