"""The primitives against hashlib's hmac and the cryptography package."""

import hmac

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import example, given
from hypothesis import strategies as st

from posfw.crypto.aes import ctr, ecb_decrypt, ecb_encrypt
from posfw.crypto.cmac import Cmac
from posfw.crypto.hkdf import hkdf
from posfw.crypto.mac import Hmac, hmac_sha256, same

keys = st.binary(min_size=16, max_size=16) | st.binary(min_size=32, max_size=32)
blocks = st.binary(min_size=16, max_size=16)
parts = st.lists(st.binary(max_size=100), max_size=4)


@given(st.binary(max_size=140), parts)
@example(b"\x00" * 64, [])
@example(b"\x00" * 65, [b"\x00"])
def test_hmac(key, data):
    want = hmac.new(key, b"".join(data), "sha256").digest()
    assert hmac_sha256(key, *data) == want
    one = Hmac(key)
    assert one.mac(*data) == one.mac(*data) == want


@given(st.binary(max_size=80), st.binary(max_size=80), st.binary(max_size=80), st.integers(1, 300))
def test_hkdf(ikm, salt, info, length):
    want = HKDF(hashes.SHA256(), length, salt or None, info).derive(ikm)
    assert hkdf(ikm, salt, info, length) == want


@given(keys, st.lists(blocks, max_size=6).map(b"".join))
def test_ecb(key, data):
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    want = encryptor.update(data) + encryptor.finalize()
    assert ecb_encrypt(key, data) == want
    assert ecb_decrypt(key, want) == data


@given(keys, blocks, st.binary(max_size=200))
@example(b"k" * 16, b"\xff" * 16, bytes(33))
@example(b"k" * 16, b"\x00" * 7 + b"\xff" * 9, bytes(33))
def test_ctr(key, initial, data):
    encryptor = Cipher(algorithms.AES(key), modes.CTR(initial)).encryptor()
    want = encryptor.update(data) + encryptor.finalize()
    assert ctr(key, initial, data) == want
    assert ctr(key, initial, want) == data


@given(keys, parts)
def test_cmac(key, data):
    oracle = CMAC(algorithms.AES(key))
    for part in data:
        oracle.update(part)
    assert Cmac(key).mac(*data) == oracle.finalize()


@pytest.mark.parametrize("n", range(50))
def test_cmac_of_every_length_around_the_block(n):
    oracle = CMAC(algorithms.AES(b"k" * 16))
    oracle.update(b"\xff" * n)
    assert Cmac(b"k" * 16).mac(b"\xff" * n) == oracle.finalize()


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_same(a, b):
    assert same(a, a)
    assert same(a, b) == (a == b)
