"""The key store keeps keys, moves on, forgets. What a kill does to it is in tests/host/test_board_keystore_kill.py."""

import os
from hashlib import sha256

from board.emulated.keystore import KeyStore, provision
from posfw.crypto.aes import ecb_encrypt
from posfw.crypto.cmac import Cmac
from posfw.hal import KeyStoreError

TMK = bytes(range(16))
ROLES = (b"T" * 32, b"A" * 32, b"S" * 32)
JOURNAL = b"journal-identity"
K0 = b"\x01k" * 16


def made(terminal_id="终端-0001"):
    path = "%s/posfw-keys-%s" % (os.getenv("TMPDIR") or "/tmp", os.urandom(6).hex())
    provision(path, terminal_id, JOURNAL, K0, ROLES, TMK)
    return path


def content(path):
    with open(path, "rb") as file:
        return file.read()


def refused(call, *args):
    try:
        call(*args)
    except KeyStoreError as e:
        return str(e)
    raise AssertionError("the key store did what it must refuse")


def test_what_was_provisioned_is_there():
    path = made()
    try:
        store = KeyStore(path)
        assert store.identity() == ("终端-0001", JOURNAL)
        assert store.seal() == (0, K0)
        assert [store.role_key(r) for r in (1, 2, 3)] == list(ROLES)
        for role in (0, 4, -1):
            refused(store.role_key, role)
        assert "exists" in refused(provision, path, "X", JOURNAL, K0, ROLES, TMK)
        assert KeyStore(path).seal() == (0, K0)
    finally:
        os.remove(path)


def test_bad_provisioning_leaves_nothing():
    path = made()
    os.remove(path)
    refused(provision, path, "", JOURNAL, K0, ROLES, TMK)
    refused(provision, path, "x" * 33, JOURNAL, K0, ROLES, TMK)
    refused(provision, path, "x", JOURNAL[:15], K0, ROLES, TMK)
    refused(provision, path, "x", JOURNAL, K0[:31], ROLES, TMK)
    refused(provision, path, "x", JOURNAL, K0, ROLES[:2], TMK)
    refused(provision, path, "x", JOURNAL, K0, ROLES, TMK * 2)
    assert "not provisioned" in refused(KeyStore(path).identity)


def test_the_seal_moves_forward_and_leaves_no_trace():
    path = made()
    try:
        store = KeyStore(path)
        before = K0
        for i in range(1, 100):
            key = sha256(b"key %d" % i).digest()
            store.advance(i, key)
            assert store.seal() == (i, key)
            raw = content(path)
            assert raw.count(key) == 1
            assert before not in raw and K0 not in raw
            before = key
        assert KeyStore(path).seal() == (99, before)
        for index in (99, 98, 0):
            assert "forward" in refused(store.advance, index, b"\x99" * 32)
        refused(store.advance, 100, b"short")
        assert KeyStore(path).seal() == (99, before)
    finally:
        os.remove(path)


def test_vault_keys_by_batch():
    path = made()
    try:
        store = KeyStore(path)
        store.new_vault_key(1, b"1" * 48)
        store.new_vault_key(2, b"2" * 48)
        assert store.vault_key(1) == b"1" * 48
        again = KeyStore(path)
        assert again.vault_key(2) == b"2" * 48
        again.erase_vault_key(1)
        again.erase_vault_key(1)
        assert "batch 1" in refused(again.vault_key, 1)
        assert b"1" * 16 not in content(path)
        again.new_vault_key(2, b"3" * 48)
        assert KeyStore(path).vault_key(2) == b"3" * 48
        assert b"2" * 16 not in content(path)
        for batch in (0, 1000000, 0xFFFFFFFE):
            refused(again.new_vault_key, batch, b"4" * 48)
            refused(again.vault_key, batch)
            again.erase_vault_key(batch)
        refused(again.new_vault_key, 5, b"4" * 47)
        assert again.seal() == (0, K0)
    finally:
        os.remove(path)


def test_a_full_store_refuses_and_still_moves_its_seal():
    path = made()
    try:
        store = KeyStore(path)
        store.advance(1, b"s" * 32)
        batch = 0
        text = ""
        while not text and batch < 40:
            batch += 1
            try:
                store.new_vault_key(batch, bytes([batch]) * 48)
            except KeyStoreError as e:
                text = str(e)
        assert "full" in text and batch > 8, batch
        assert store.vault_key(batch - 1) == bytes([batch - 1]) * 48
        # Vault keys must never take the room the seal needs to move: without that no entry can be written.
        store.advance(2, b"t" * 32)
        key = b"working-mac-key!"
        assert store.install_mac_key(ecb_encrypt(TMK, key), Cmac(key).mac(bytes(16))) is True
        store.advance(3, b"u" * 32)
        assert KeyStore(path).seal() == (3, b"u" * 32)
    finally:
        os.remove(path)


def test_mac_key():
    path = made()
    try:
        store = KeyStore(path)
        assert "sign on" in refused(store.cmac, b"x")
        key = b"working-mac-key!"
        wrapped = ecb_encrypt(TMK, key)
        check = Cmac(key).mac(bytes(16))
        assert store.install_mac_key(wrapped, b"\x00" * 4) is False
        for short in (b"", check[:2]):
            assert store.install_mac_key(wrapped, short) is False
        assert store.install_mac_key(wrapped[:15], check[:4]) is False
        refused(store.cmac, b"x")
        assert store.install_mac_key(wrapped, check[:4]) is True
        assert store.cmac(b"ab", b"c") == Cmac(key).mac(b"abc")
        second = b"another-mac-key."
        assert store.install_mac_key(ecb_encrypt(TMK, second), check[:4]) is False
        assert store.cmac(b"abc") == Cmac(key).mac(b"abc")
        assert store.install_mac_key(ecb_encrypt(TMK, second), Cmac(second).mac(bytes(16))) is True
        assert store.cmac(b"abc") == Cmac(second).mac(b"abc")
        assert KeyStore(path).cmac(b"abc") == Cmac(second).mac(b"abc")
        assert key not in content(path)
    finally:
        os.remove(path)


def test_zeroised_is_for_ever():
    path = made()
    try:
        store = KeyStore(path)
        store.new_vault_key(1, b"1" * 48)
        store.zeroise()
        raw = content(path)
        assert raw == bytes(len(raw)) and len(raw) > 1000
        for again in (store, KeyStore(path)):
            for call in (
                again.identity,
                again.seal,
                lambda s=again: s.advance(1, b"x" * 32),
                lambda s=again: s.role_key(1),
                lambda s=again: s.vault_key(1),
                lambda s=again: s.new_vault_key(2, b"2" * 48),
                lambda s=again: s.erase_vault_key(1),
                lambda s=again: s.install_mac_key(bytes(16), bytes(4)),
                lambda s=again: s.cmac(b""),
            ):
                assert "zeroised" in refused(call)
            again.zeroise()
    finally:
        os.remove(path)


def test_damage_is_refused_not_guessed():
    path = made()
    try:
        raw = content(path)
        for damaged in (raw[:100], raw[:-1], b"PFKX" + raw[4:], raw[:60] + b"\x00" + raw[61:], b""):
            with open(path, "wb") as file:
                file.write(damaged)
            assert "torn" in refused(KeyStore(path).identity)
        with open(path, "wb") as file:
            file.write(raw[:220] + b"?" + raw[221:])  # the only copy of the seal key
        assert "no seal key" in refused(KeyStore(path).seal)
    finally:
        os.remove(path)
