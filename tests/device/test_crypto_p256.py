"""P-256: RFC 6979 A.2.5, published multiples of the base point, and what must be refused."""

from hashlib import sha256

from posfw.crypto import CryptoError, p256
from posfw.crypto.p256_table import SPACING, TABLE, TEETH
from posfw.crypto.signer import SoftSigner
from posfw.hal import KeyStoreError

h = bytes.fromhex
P, N = p256.P, p256.N

# RFC 6979 A.2.5, SHA-256: message, k, r, s. The first s is above n / 2.
PRIVATE = h("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721")
PUBLIC = h(
    "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6"
    "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299"
)
RFC6979 = [
    (
        b"sample",
        "a6e3c57dd01abe90086538398355dd4c3b17aa873382b0f24d6129493d8aad60",
        "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716",
        "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8",
    ),
    (
        b"test",
        "d16b6ae827f17175e040871a1c7ec3500192c4c92677336ec2537acaee0008e0",
        "f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367",
        "019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083",
    ),
]

# k, x and y of k G: the list at point-at-infinity.org/ecc/nisttv.
MULTIPLES = """
1
6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296
4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5
2
7cf27b188d034f7e8a52380304b51ac3c08969e277f21b35a60b48fc47669978
07775510db8ed040293d9ac69f7430dbba7dade63ce982299e04b79d227873d1
3
5ecbe4d1a6330a44c8f7ef951d4bf165e6c6b721efada985fb41661bc6e7fd6c
8734640c4998ff7e374b06ce1a64a2ecd82ab036384fb83d9a79b127a27d5032
4
e2534a3532d08fbba02dde659ee62bd0031fe2db785596ef509302446b030852
e0f1575a4c633cc719dfee5fda862d764efc96c3f30ee0055c42c23f184ed8c6
5
51590b7a515140d2d784c85608668fdfef8c82fd1f5be52421554a0dc3d033ed
e0c17da8904a727d8ae1bf36bf8a79260d012f00d4d80888d1d0bb44fda16da4
6
b01a172a76a4602c92d3242cb897dde3024c740debb215b4c6b0aae93c2291a9
e85c10743237dad56fec0e2dfba703791c00f7701c7e16bdfd7c48538fc77fe2
7
8e533b6fa0bf7b4625bb30667c01fb607ef9f8b8a80fef5b300628703187b2a3
73eb1dbde03318366d069f83a6f5900053c73633cb041b21c55e1a86c1f400b4
8
62d9779dbee9b0534042742d3ab54cadc1d238980fce97dbb4dd9dc1db6fb393
ad5accbd91e9d8244ff15d771167cee0a2ed51f6bbe76a78da540a6a0f09957e
9
ea68d7b6fedf0b71878938d51d71f8729e0acb8c2c6df8b3d79e8a4b90949ee0
2a2744c972c9fce787014a964a8ea0c84d714feaa4de823fe85a224a4dd048fa
10
cef66d6b2a3a993e591214d1ea223fb545ca6c471c48306e4c36069404c5723f
878662a229aaae906e123cdd9d3b4c10590ded29fe751eeeca34bbaa44af0773
11
3ed113b7883b4c590638379db0c21cda16742ed0255048bf433391d374bc21d1
9099209accc4c8a224c843afa4f4c68a090d04da5e9889dae2f8eefce82a3740
12
741dd5bda817d95e4626537320e5d55179983028b2f82c99d500c5ee8624e3c4
0770b46a9c385fdc567383554887b1548eeb912c35ba5ca71995ff22cd4481d3
13
177c837ae0ac495a61805df2d85ee2fc792e284b65ead58a98e15d9d46072c01
63bb58cd4ebea558a24091adb40f4e7226ee14c3a1fb4df39c43bbe2efc7bfd8
14
54e77a001c3862b97a76647f4336df3cf126acbe7a069c5e5709277324d2920b
f599f1bb29f4317542121f8c05a2e7c37171ea77735090081ba7c82f60d0b375
15
f0454dc6971abae7adfb378999888265ae03af92de3a0ef163668c63e59b9d5f
b5b93ee3592e2d1f4e6594e51f9643e62a3b21ce75b5fa3f47e59cde0d034f36
16
76a94d138a6b41858b821c629836315fcd28392eff6ca038a5eb4787e1277c6e
a985fe61341f260e6cb0a1b5e11e87208599a0040fc78baa0e9ddd724b8c5110
17
47776904c0f1cc3a9c0984b66f75301a5fa68678f0d64af8ba1abce34738a73e
aa005ee6b5b957286231856577648e8381b2804428d5733f32f787ff71f1fcdc
18
1057e0ab5780f470defc9378d1c7c87437bb4c6f9ea55c63d936266dbd781fda
f6f1645a15cbe5dc9fa9b7dfd96ee5a7dcc11b5c5ef4f1f78d83b3393c6a45a2
19
cb6d2861102c0c25ce39b7c17108c507782c452257884895c1fc7b74ab03ed83
58d7614b24d9ef515c35e7100d6d6ce4a496716e30fa3e03e39150752bcecdaa
20
83a01a9378395bab9bcd6a0ad03cc56d56e6b19250465a94a234dc4c6b28da9a
76e49b6de2f73234ae6a5eb9d612b75c9f2202bb6923f54ff8240aaa86f640b8
112233445566778899
339150844ec15234807fe862a86be77977dbfb3ae3d96f4c22795513aeaab82f
b1c14ddfdc8ec1b2583f51e85a5eb3a155840f2034730e9b5ada38b674336a21
112233445566778899112233445566778899
1b7e046a076cc25e6d7fa5003f6729f665cc3241b5adab12b498cd32f2803264
bfea79be2b666b073db69a2a241adab0738fe9d2dd28b5604eb8c8cf097c457b
"""


def digest(message):
    return sha256(message).digest()


def number(n):
    return n.to_bytes(32, "big")


def multiples():
    words = MULTIPLES.split()
    for i in range(0, len(words), 3):
        yield int(words[i]), h(words[i + 1]), h(words[i + 2])


def refused(function, *args):
    try:
        function(*args)
    except CryptoError:
        return True
    return False


def affine(point):
    return p256.affine(*point) if point[2] else None


def counted(function, *args):
    """(result, doublings, additions, inversions) of a call."""
    names = ("double", "add", "inverse")
    real = [getattr(p256, name) for name in names]
    counts = [0, 0, 0]

    def counting(i):
        def call(*args):
            counts[i] += 1
            return real[i](*args)

        return call

    try:
        for i in range(3):
            setattr(p256, names[i], counting(i))
        result = function(*args)
    finally:
        for i in range(3):
            setattr(p256, names[i], real[i])
    return (result, counts[0], counts[1], counts[2])


def test_rfc6979():
    assert p256.public_key(PRIVATE) == PUBLIC
    for message, k, r, s in RFC6979:
        assert number(next(p256.nonces(PRIVATE, digest(message)))).hex() == k
        assert p256.sign(PRIVATE, digest(message)).hex() == r + s
        assert p256.verify(PUBLIC, digest(message), h(r + s))


def test_signing_takes_any_buffer_and_leaves_it():
    key, hashed = bytearray(PRIVATE), bytearray(digest(b"sample"))
    signature = p256.sign(key, hashed)
    assert signature == p256.sign(PRIVATE, digest(b"sample")) and (key, hashed) == (PRIVATE, digest(b"sample"))
    assert p256.verify(bytearray(PUBLIC), hashed, memoryview(signature))


def test_published_multiples_of_the_base_point():
    seen = 0
    for k, x, y in multiples():
        assert p256.public_key(number(k)) == x + y, k
        # n - k is the same point, mirrored.
        mirrored = number(P - int.from_bytes(y, "big"))
        assert p256.public_key(number(N - k)) == x + mirrored, k
        seen += 1
    assert seen == 22


def test_digits_add_up():
    for k in (1, 2, 3, N - 1, N - 2, N // 2, N // 2 + 1, 1 << 255, 0):
        digits = p256.comb_digits(k)
        total = 0
        for place in range(TEETH * SPACING):
            total += (1 if (digits[place >> 3] >> (place & 7)) & 1 else -1) << place
        assert total % N == k


def test_each_point_of_the_table_lies_on_the_curve():
    assert len(TABLE) == 64 << (TEETH - 1)
    points = {}
    for at in range(0, len(TABLE), 64):
        p256.check_public(TABLE[at : at + 64])
        points[TABLE[at : at + 32]] = True
    assert len(points) == len(TABLE) // 64


def test_the_comb_where_a_sum_meets_itself():
    # 2^i G and its neighbours, and scalars whose doubled rest is the last column's own point or its negative.
    for i in range(0, 256, 15):
        for k in ((1 << i) - 1, 1 << i, (1 << i) + 1):
            k = k % N
            if k:
                u = affine(p256.base(k, 1))
                assert u == affine(p256.base(k, N - 1)) == affine(p256.combination(0, k, *first())), k
    met = 0
    for index in range(1 << TEETH):
        column = 0
        for tooth in range(TEETH):
            column += (1 if (index >> tooth) & 1 else -1) << (tooth * SPACING)
        k = 2 * column % N
        point, doublings, _, _ = counted(p256.base, k, 1)
        met += doublings > SPACING - 1
        assert affine(point) == affine(p256.combination(0, k, *first())), index
    assert met, "no scalar met the doubling within an addition"


def first():
    """The base point."""
    return next((int.from_bytes(x, "big"), int.from_bytes(y, "big")) for _, x, y in multiples())


def test_sums_of_two_multiples():
    gx, gy = first()
    for u, v in ((0, 1), (1, 0), (1, 1), (2, N - 1), (5, 7), (N - 1, 2), (1, N - 2), (N // 2, 3), (N - 1, N - 1)):
        want = affine(p256.base((u + v) % N, 1))
        assert affine(p256.combination(u, v, gx, gy)) == want, (u, v)
    for u in (0, 1, 2, 3, N // 2, N - 1):
        assert affine(p256.combination(u, (N - u) % N, gx, gy)) is None, u
    # 9 G = 2 G + 7 G with Q = 7 G
    _, x, y = list(multiples())[6]
    q = int.from_bytes(x, "big"), int.from_bytes(y, "big")
    assert affine(p256.combination(2, 1, *q)) == affine(p256.base(9, 1))
    assert affine(p256.combination(7, 1, *q)) == affine(p256.base(14, 1))
    assert affine(p256.combination(N - 7, 1, *q)) is None


def test_addition_has_no_exception():
    gx, gy = first()
    two = p256.double(gx, gy, 1)
    assert p256.add(0, 1, 0, gx, gy) == (gx, gy, 1)
    assert affine(p256.add(gx, gy, 1, gx, gy)) == affine(two)
    assert affine(p256.add(gx, gy, 1, gx, P - gy)) is None
    assert p256.double(0, 1, 0)[2] == 0


def test_inverses():
    for m in (P, N):
        for a in (1, 2, 3, m - 1, m - 2, m // 2, m // 2 + 1, 1 << 255, (1 << 128) + 1, 0xFFFFFFFF):
            inverse = p256.inverse(a, m)
            assert 0 < inverse < m and a * inverse % m == 1


def test_work_of_one_signature():
    hashed = digest(b"sample")
    signature, doublings, additions, inversions = counted(p256.sign, PRIVATE, hashed)
    assert (doublings, additions, inversions) == (31, 31, 2)
    ok, doublings, additions, inversions = counted(p256.verify, PUBLIC, hashed, signature)
    # The additions are the comb's 32 and one for each digit of the other scalar, a third of its 256 places.
    assert ok and (doublings, inversions) == (257, 2) and 32 + 64 < additions < 32 + 108
    # Whatever the nonce: not a single operation more or less.
    for k in (1, 2, 3, N // 3, N // 2, N - 2, N - 1):
        assert counted(p256.base, k, 5)[1:3] == (31, 31)


def test_private_keys_refused():
    for key in (b"", number(0), number(N), number(N + 1), b"\xff" * 32, PRIVATE[1:], b"\x00" + PRIVATE):
        assert refused(p256.check_private, key)
        assert refused(p256.public_key, key)
        assert refused(p256.sign, key, digest(b""))
    for key in (number(1), number(N - 1)):
        assert p256.verify(p256.public_key(key), digest(b"m"), p256.sign(key, digest(b"m")))


def test_public_keys_refused():
    x, y = PUBLIC[:32], PUBLIC[32:]
    signature = p256.sign(PRIVATE, digest(b"sample"))
    wrong = [b"", bytes(64), bytes(32) + y, x + bytes(32), PUBLIC[:63], PUBLIC + b"\x00", b"\x04" + PUBLIC, y + x]
    wrong += [b"\x02" + x, b"\x00", number(P) + y, x + number(P), b"\xff" * 64]
    # The points with x = 0 and x = 5 again, as p and p + 5: within 32 bytes, and still not their encoding.
    for small, root in (
        (0, "66485c780e2f83d72433bd5d84a06bb6541c2af31dae871728bf856a174f93f4"),
        (5, "459243b9aa581806fe913bce99817ade11ca503c64d9a3c533415c083248fbcc"),
    ):
        p256.check_public(number(small) + h(root))
        wrong.append(number(P + small) + h(root))
    for i in range(0, 512, 7):
        changed = bytearray(PUBLIC)
        changed[i >> 3] ^= 1 << (i & 7)
        wrong.append(changed)
    for key in wrong:
        assert refused(p256.check_public, key), bytes(key).hex()
        assert refused(p256.verify, key, digest(b"sample"), signature)


def test_signatures_refused():
    hashed = digest(b"sample")
    signature = p256.sign(PRIVATE, hashed)
    r, s = signature[:32], signature[32:]
    der = h("3046022100") + r + h("022100") + s
    for wrong in (
        b"", der, der[:64], signature[:63], signature + b"\x00", b"\x00" + signature, bytes(64),
        bytes(32) + s, r + bytes(32), number(N) + s, r + number(N), b"\xff" * 64, s + r,
        number(P - 1) + s, r + b"\xff" * 32, number(1) + number(1),
    ):  # fmt: skip
        assert p256.verify(PUBLIC, hashed, wrong) is False, wrong.hex()
    for i in range(0, 512, 19):
        changed = bytearray(signature)
        changed[i >> 3] ^= 1 << (i & 7)
        assert p256.verify(PUBLIC, hashed, changed) is False, i
    assert not p256.verify(PUBLIC, digest(b"Sample"), signature)
    assert not p256.verify(p256.public_key(number(3)), hashed, signature)


def test_numbers_of_a_signature_have_one_form():
    # With Q as the nonce's point and a digest of 0, (r, r) is a signature, r the x of Q: small enough to stand in 32
    # bytes as r + n too.
    q = number(5) + h("459243b9aa581806fe913bce99817ade11ca503c64d9a3c533415c083248fbcc")
    assert p256.verify(q, bytes(32), number(5) + number(5))
    for r, s in ((N + 5, 5), (5, N + 5), (N + 5, N + 5)):
        assert p256.verify(q, bytes(32), number(r) + number(s)) is False
    # An x from n to p - 1 counts modulo n.
    q = number(N + 3) + h("484f0c0fda434ef0a808458914f328715d7a545e198ac7eee31dffe861b5d23f")
    assert p256.verify(q, bytes(32), number(3) + number(3))
    assert not p256.verify(q, bytes(32), number(N + 3) + number(3))


def test_s_and_its_mirror_are_both_good():
    for message, _, r, s in RFC6979:
        mirrored = number(N - int.from_bytes(h(s), "big"))
        assert p256.verify(PUBLIC, digest(message), h(r) + mirrored)


def test_digests():
    for size in (0, 20, 31, 33, 64):
        assert refused(p256.sign, PRIVATE, bytes(size))
        assert refused(p256.verify, PUBLIC, bytes(size), bytes(64))
    # A digest of n or above counts modulo n, in the nonce too (RFC 6979 section 2.3.4): bits2octets.
    for e in (0, 1, (1 << 256) - 1 - N):
        signature = p256.sign(PRIVATE, number(e))
        assert p256.verify(PUBLIC, number(e), signature)
        assert p256.verify(PUBLIC, number(N + e), signature)
        assert p256.sign(PRIVATE, number(N + e))[:32] == signature[:32]


def test_verification_where_both_halves_are_the_same_point():
    # e = r d makes u G and v Q equal; e = -r d makes their sum infinity, which no s can save.
    d = int.from_bytes(PRIVATE, "big")
    for k in (1, 2, 12345, N - 3):
        r = affine(p256.base(k, 1))[0] % N
        s = 2 * r * d * p256.inverse(k, N) % N
        assert p256.verify(PUBLIC, number(r * d % N), number(r) + number(s))
        for s in (1, 2, N - 1):
            assert not p256.verify(PUBLIC, number(-r * d % N), number(r) + number(s))


def test_the_soft_signer_dies_with_its_key():
    key = bytearray(PRIVATE)
    signer = SoftSigner(key)
    assert signer.tier == "python"
    assert signer.public_key() == signer.public_key() == PUBLIC
    signature = signer.sign(digest(b"test"))
    assert signature.hex() == RFC6979[1][2] + RFC6979[1][3]
    for erase in ("the key store's", "the signer's"):
        if erase == "the signer's":
            key[:] = PRIVATE
            assert signer.sign(digest(b"test")) == signature
            signer.zeroise()
        else:
            key[:] = bytes(32)
        assert key == bytes(32)
        for call in (signer.public_key, lambda: signer.sign(digest(b"test"))):
            try:
                call()
            except KeyStoreError:
                continue
            raise AssertionError("signed after the key was erased")
    for wrong in (PRIVATE, bytearray(32), bytearray(PRIVATE[1:]), bytearray(number(N)), None, "x" * 32):
        assert refused(SoftSigner, wrong)
