"""ECDSA on P-256 with SHA-256 digests (ES256): FIPS 186-5 section 6, nonces by RFC 6979, curve of SP 800-186 3.2.1.3.

Pure Python is NOT constant-time: big integers take as long as their values are, and table look-ups and branches follow
the digits of the nonce. Who can time a signature, measure its power or disturb the computation may learn the private
key; where that matters a secure element or a C module signs (posfw.interfaces.Signer). Two cheap hurdles are here: what
is inverted, and the coordinates of the nonce's point, are blinded by a value that changes with each digest. Nor can
Python erase an integer: copies of key and nonce stay in the heap until something else is written there.

A signature is r || s, 64 bytes big-endian; DER is not read. A public key is x || y, 64 bytes; a private key 32 bytes.
Every s from 1 to n - 1 is accepted and none is made small: ES256 (RFC 9053 section 2.1) has no such rule, and half of
what others sign has a large s. So (r, s) and (r, n - s) are both good: never tell messages apart by their signatures.
"""

from posfw.crypto import CryptoError
from posfw.crypto.mac import hmac_sha256
from posfw.crypto.p256_table import SPACING, TABLE, TEETH

P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B

# A comb with a digit of +1 or -1 in every place (Hamburg, "Fast and compact elliptic-curve cryptography"): no digit is
# 0, so each of the SPACING columns but the first costs one doubling and one addition, whatever the scalar.
_PLACES = TEETH * SPACING
_ONES = (1 << _PLACES) - 1
_HALF = 1 << (TEETH - 1)


def public_key(private):
    """Return the 64-byte public key. Raises CryptoError if `private` is no private key: not 32 bytes, 0, n or above
    (who draws a key draws again then). Unblinded: made once for a key, and kept."""
    x, y = affine(*base(_scalar(private), 1))
    return x.to_bytes(32, "big") + y.to_bytes(32, "big")


def sign(private, hashed):
    """Return the 64-byte signature of `hashed`, a SHA-256 digest; the same each time. Raises CryptoError."""
    secret = _scalar(private)
    e = _number(hashed)
    # Not from the nonce generator, whose outputs are the RFC's; and the key is data here, since the HMAC module keeps
    # the last key it saw.
    blind = int.from_bytes(hmac_sha256(b"posfw/blind/1", private, hashed), "big") % N or 1
    for k in nonces(private, hashed):
        r = affine(*base(k, blind))[0] % N
        s = (e + r * secret) * blind % N * inverse(k * blind % N, N) % N
        if r and s:
            return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def verify(public, hashed, signature):
    """True if `signature` is the key's over `hashed`, a SHA-256 digest; False for a malformed one too. Raises
    CryptoError if `public` is no public key or `hashed` has not 32 bytes."""
    x, y = _point(public)
    e = _number(hashed)
    if len(signature) != 64:
        return False
    r = int.from_bytes(signature[:32], "big")
    s = int.from_bytes(signature[32:], "big")
    if not (0 < r < N and 0 < s < N):
        return False
    w = inverse(s, N)
    x, y, z = combination(e * w % N, r * w % N, x, y)
    return z != 0 and affine(x, y, z)[0] % N == r


def check_private(private):
    """Raise CryptoError if `private` is no private key."""
    _scalar(private)


def check_public(public):
    """Raise CryptoError if `public` is not 64 bytes that are a point of the curve. Infinity has no such bytes, and the
    group's order is prime, so every point is good."""
    _point(public)


def _scalar(private):
    k = int.from_bytes(private, "big")
    if len(private) != 32 or not 0 < k < N:
        raise CryptoError("a P-256 private key is 32 bytes, from 1 to n - 1")
    return k


def _number(hashed):
    if len(hashed) != 32:
        raise CryptoError("ES256 signs the 32 bytes of a SHA-256 digest")
    return int.from_bytes(hashed, "big")


def _point(public):
    if len(public) != 64:
        raise CryptoError("a P-256 public key is 64 bytes, x || y")
    x = int.from_bytes(public[:32], "big")
    y = int.from_bytes(public[32:], "big")
    if x >= P or y >= P or (y * y - (x * x - 3) * x - B) % P:
        raise CryptoError("the public key is not a point of P-256")
    return x, y


def nonces(private, hashed):
    """RFC 6979 section 3.2: the nonces for a digest, one after the other until one serves."""
    reduced = (_number(hashed) % N).to_bytes(32, "big")  # bits2octets
    key = bytes(32)
    v = b"\x01" * 32
    for mark in (b"\x00", b"\x01"):  # steps d to g
        key = hmac_sha256(key, v, mark, private, reduced)
        v = hmac_sha256(key, v)
    while True:
        v = hmac_sha256(key, v)
        k = int.from_bytes(v, "big")
        if 0 < k < N:
            yield k
        key = hmac_sha256(key, v, b"\x00")
        v = hmac_sha256(key, v)


def inverse(a, m):
    """1 / a modulo the prime m, 0 < a < m. Euclid takes a seventh of the time of a power."""
    modulus = m
    u, v = 1, 0
    while a > 1:
        q, rest = divmod(m, a)
        m, a = a, rest
        v, u = u, v - q * u
    return u % modulus


# What follows is the arithmetic, without underscores so that tests find it in a staged terminal; others use the above.
# Points are Jacobian, (x / z^2, y / z^3), so that only the last step divides; z = 0 is infinity. Formulas of the
# Explicit-Formulas Database: dbl-2001-b with 2 y z multiplied out, and madd without its trades of products for squares.


def affine(x, y, z):
    """The affine (x, y) of a Jacobian point that is not infinity."""
    z = inverse(z, P)
    zz = z * z % P
    return x * zz % P, y * (zz * z % P) % P


def double(x, y, z):
    """Twice a Jacobian point, infinity too: 8 multiplications."""
    delta = z * z % P
    gamma = y * y % P
    beta = x * gamma % P
    alpha = 3 * (x - delta) * (x + delta) % P
    x = (alpha * alpha - 8 * beta) % P
    return x, (alpha * (4 * beta - x) - 8 * gamma * gamma) % P, 2 * y * z % P


def add(x1, y1, z1, x, y):
    """The sum of a Jacobian and an affine point, of any two: 11 multiplications."""
    if z1 == 0:
        return x, y, 1
    zz = z1 * z1 % P
    h = (x * zz - x1) % P
    r = (y * (zz * z1 % P) - y1) % P
    if h == 0:
        return (0, 1, 0) if r else double(x1, y1, z1)
    hh = h * h % P
    hhh = h * hh % P
    v = x1 * hh % P
    x = (r * r - hhh - 2 * v) % P
    return x, (r * (v - x) - y1 * hhh) % P, z1 * h % P


def comb_digits(k):
    """The comb's digits of k as bits, little-endian, 1 for +1 and 0 for -1: their sum over all places is k modulo n."""
    d = (k + _ONES) % N
    d += N * (d & 1)
    return (d >> 1).to_bytes((_PLACES + 7) // 8, "little")


def _column(digits, i):
    """The affine point of column i: the digits i, i + SPACING, i + 2 SPACING, ... on the teeth of the comb."""
    index = 0
    for place in range(i + _PLACES - SPACING, -1, -SPACING):
        index = index << 1 | (digits[place >> 3] >> (place & 7)) & 1
    # The table holds the points whose topmost digit is +1; the others are their negatives.
    positive = index & _HALF
    at = 64 * (index ^ _HALF if positive else index ^ (_HALF - 1))
    y = int.from_bytes(TABLE[at + 32 : at + 64], "big")
    return int.from_bytes(TABLE[at : at + 32], "big"), y if positive else P - y


def base(k, blind):
    """k G as a Jacobian point, its coordinates scaled by `blind`. 0 < k < n."""
    digits = comb_digits(k)
    x, y = _column(digits, SPACING - 1)
    zz = blind * blind % P
    x, y, z = x * zz % P, y * (zz * blind % P) % P, blind
    for i in range(SPACING - 2, -1, -1):
        x, y, z = double(x, y, z)
        px, py = _column(digits, i)
        x, y, z = add(x, y, z, px, py)
    return x, y, z


def combination(u, v, qx, qy):
    """u G + v Q as a Jacobian point. The non-adjacent form of v is read off 3 v and v (IEEE 1363, A.10.3), and the comb
    joins in for the last doublings. Not for secrets."""
    digits = comb_digits(u)
    tripled = 3 * v
    differ = tripled ^ v
    x, y, z = 0, 1, 0
    for i in range(257, 0, -1):
        x, y, z = double(x, y, z)
        if (differ >> i) & 1:
            x, y, z = add(x, y, z, qx, qy if (tripled >> i) & 1 else P - qy)
        if i <= SPACING:
            px, py = _column(digits, i - 1)
            x, y, z = add(x, y, z, px, py)
    return x, y, z
