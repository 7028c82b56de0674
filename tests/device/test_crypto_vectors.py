"""Published vectors: RFC 4231 (HMAC), RFC 5869 (HKDF), RFC 4493 (CMAC), NIST SP 800-38A (ECB, CTR)."""

from posfw.crypto import CryptoError
from posfw.crypto.aes import ctr, ecb_decrypt, ecb_encrypt
from posfw.crypto.cmac import Cmac
from posfw.crypto.hkdf import hkdf
from posfw.crypto.mac import Hmac, hmac_sha256, same

h = bytes.fromhex

# RFC 4231 sections 4.2 to 4.8 (key, data, MAC); 4.6 truncates to 16 bytes.
HMAC = [
    (b"\x0b" * 20, b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
    (
        b"Jefe",
        b"what do ya want for nothing?",
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    ),
    (b"\xaa" * 20, b"\xdd" * 50, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
    (bytes(range(1, 26)), b"\xcd" * 50, "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"),
    (b"\x0c" * 20, b"Test With Truncation", "a3b6167473100ee06e0c796c2955552b"),
    (
        b"\xaa" * 131,
        b"Test Using Larger Than Block-Size Key - Hash Key First",
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
    ),
    (
        b"\xaa" * 131,
        b"This is a test using a larger than block-size key and a larger than block-size data. "
        b"The key needs to be hashed before being used by the HMAC algorithm.",
        "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
    ),
]

# RFC 5869 appendix A.1 to A.3 (IKM, salt, info, L, OKM).
HKDF = [
    (
        b"\x0b" * 22,
        bytes(range(13)),
        h("f0f1f2f3f4f5f6f7f8f9"),
        42,
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
    ),
    (
        bytes(range(0x00, 0x50)),
        bytes(range(0x60, 0xB0)),
        bytes(range(0xB0, 0x100)),
        82,
        "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09"
        "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
    ),
    (
        b"\x0b" * 22,
        b"",
        b"",
        42,
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
    ),
]

AES128 = h("2b7e151628aed2a6abf7158809cf4f3c")
AES256 = h("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
PLAIN = h(
    "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
    "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
)
COUNTER = h("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff")

# SP 800-38A F.1.1, F.1.5 (ECB) and F.5.1, F.5.5 (CTR).
ECB = [
    (
        AES128,
        "3ad77bb40d7a3660a89ecaf32466ef97f5d3d58503b9699de785895a96fdbaaf"
        "43b1cd7f598ece23881b00e3ed0306887b0c785e27e8ad3f8223207104725dd4",
    ),
    (
        AES256,
        "f3eed1bdb5d2a03c064b5a7e3db181f8591ccb10d410ed26dc5ba74a31362870"
        "b6ed21b99ca6f4f9f153e7b1beafed1d23304b7a39f9f3ff067d8d8f9e24ecc7",
    ),
]
CTR = [
    (
        AES128,
        "874d6191b620e3261bef6864990db6ce9806f66b7970fdff8617187bb9fffdff"
        "5ae4df3edbd5d35e5b4f09020db03eab1e031dda2fbe03d1792170a0f3009cee",
    ),
    (
        AES256,
        "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5"
        "2b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6",
    ),
]

# RFC 4493 section 4.
CMAC = [
    (0, "bb1d6929e95937287fa37d129b756746"),
    (16, "070a16b46b4d4144f79bdd9dd04a287c"),
    (40, "dfa66747de9ae63030ca32611497c827"),
    (64, "51f0bebf7e3b9d92fc49741779363cfe"),
]


def refused(function, *args):
    try:
        function(*args)
    except CryptoError:
        return True
    return False


def test_hmac():
    for key, data, want in HMAC:
        n = len(want) // 2
        assert hmac_sha256(key, data)[:n].hex() == want
        one = Hmac(bytearray(key))
        for cut in (0, 1, len(data) // 2, len(data)):
            assert one.mac(data[:cut], memoryview(data)[cut:])[:n].hex() == want
        assert len(one.mac()) == 32 and one.mac() == one.mac(b"")


def test_hkdf():
    for ikm, salt, info, length, want in HKDF:
        assert hkdf(ikm, salt, info, length).hex() == want
        for n in (0, 1, 31, 32, 33):
            assert hkdf(ikm, salt, info, n).hex() == want[: 2 * n]
    assert len(hkdf(b"k", b"", b"", 8160)) == 8160
    assert refused(hkdf, b"k", b"", b"", 8161)
    assert refused(hkdf, b"k", b"", b"", -1)


def test_ecb():
    for key, want in ECB:
        assert ecb_encrypt(key, PLAIN).hex() == want
        assert ecb_decrypt(key, h(want)) == PLAIN
        assert ecb_encrypt(bytearray(key), memoryview(PLAIN)[:16]).hex() == want[:32]
    assert ecb_encrypt(AES128, b"") == b""


def test_ctr():
    for key, want in CTR:
        for n in (64, 63, 49, 48, 47, 17, 16, 15, 1, 0):
            assert ctr(key, COUNTER, PLAIN[:n]).hex() == want[: 2 * n]
            assert ctr(key, bytearray(COUNTER), h(want)[:n]) == PLAIN[:n]
        assert ctr(key, COUNTER, memoryview(PLAIN)).hex() == want


def test_ctr_keeps_leading_zeros_and_wraps():
    # Through integers, leading zero bytes are the first thing to get lost; and 2^128 is followed by 0.
    stream = ctr(AES128, b"\xff" * 16, bytes(48))
    assert stream == ecb_encrypt(AES128, b"\xff" * 16 + bytes(16) + bytes(15) + b"\x01")
    assert ctr(AES128, b"\xff" * 16, stream) == bytes(48)
    assert ctr(AES128, b"\xff" * 16, stream[:5] + b"\x01") == bytes(5) + bytes([stream[5] ^ 1])


def test_cmac():
    for n, want in CMAC:
        cmac = Cmac(AES128)
        for cut in (0, 1, n // 2, n):
            assert cmac.mac(PLAIN[:n][:cut], memoryview(PLAIN)[:n][cut:]).hex() == want
    assert Cmac(AES128).mac().hex() == CMAC[0][1]
    data = bytearray(PLAIN[:40])
    Cmac(AES128).mac(data)
    assert data == PLAIN[:40], "padding reached into the caller's buffer"
    # SP 800-38B example 10: AES-256, 16 bytes.
    assert Cmac(AES256).mac(PLAIN[:16]).hex() == "28a7023f452e8f82bd4bf28d8c37c35c"


def test_wrong_sizes_refused():
    for n in (0, 1, 15, 17, 24, 31, 33):
        assert refused(ecb_encrypt, bytes(n), bytes(16)), n
        assert refused(ctr, bytes(n), bytes(16), b"x"), n
        assert refused(Cmac, bytes(n)), n
    for n in (1, 15, 17, 31):
        assert refused(ecb_encrypt, AES128, bytes(n)), n
        assert refused(ecb_decrypt, AES128, bytes(n)), n
    for n in (0, 8, 15, 17):
        assert refused(ctr, AES128, bytes(n), b"x"), n


def test_same():
    mac = bytes(range(32))
    assert same(mac, bytearray(mac)) and same(b"", b"")
    assert not same(mac, mac[:31]) and not same(mac, mac + b"\x00")
    for i in range(32):
        for bit in range(8):
            other = bytearray(mac)
            other[i] ^= 1 << bit
            assert not same(mac, other)
