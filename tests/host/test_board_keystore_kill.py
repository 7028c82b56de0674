"""The key store killed before, within and after every write it makes: the old value or the new, whole, and one only."""

import os
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC

from board.emulated import keystore
from board.emulated.keystore import KeyStore, provision
from posfw.hal import KeyStoreError


class Killed(Exception):
    pass


def key(name, size=32):
    return (sha256(name.encode()).digest() * 2)[:size]


TMK = key("tmk", 16)
ROLES = (key("t"), key("a"), key("s"))


def wrapped(mac_key):
    encryptor = Cipher(algorithms.AES(TMK), modes.ECB()).encryptor()
    return encryptor.update(mac_key) + encryptor.finalize()


def cmac(mac_key, message):
    mac = CMAC(algorithms.AES(mac_key))
    mac.update(message)
    return mac.finalize()


def install(store, name):
    mac_key = key(name, 16)
    return store.install_mac_key(wrapped(mac_key), cmac(mac_key, bytes(16))[:4])


def prepared(path):
    provision(path, "T-1", key("journal", 16), key("k0"), ROLES, TMK)
    store = KeyStore(path)
    store.advance(1, key("k1"))
    store.new_vault_key(7, key("v7", 48))
    assert install(store, "m1")
    return store


def facts(path):
    """Everything a store at `path` answers, or the refusal."""
    store = KeyStore(path)
    try:
        out = {"id": store.identity(), "seal": store.seal(), "mac": store.cmac(b"x"), "role": store.role_key(2)}
        for batch in (7, 8):
            try:
                out[batch] = store.vault_key(batch)
            except KeyStoreError:
                out[batch] = None
        return out
    except KeyStoreError as e:
        return str(e)


STEPS = {
    "advance": lambda s: s.advance(2, key("k2")),
    "new vault key": lambda s: s.new_vault_key(8, key("v8", 48)),
    "replace vault key": lambda s: s.new_vault_key(7, key("other", 48)),
    "erase vault key": lambda s: s.erase_vault_key(7),
    "install mac key": lambda s: install(s, "m2"),
    "zeroise": lambda s: s.zeroise(),
}


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("part", ["none", "byte", "half", "all but one", "all"])
def test_killed_at_every_write(tmp_path, monkeypatch, name, part):
    reference = str(tmp_path / "reference")
    store = prepared(reference)
    before = facts(reference)
    STEPS[name](store)
    after = facts(reference)
    assert before != after
    cuts = 0
    while True:
        path = str(tmp_path / f"keys{cuts}")
        store = prepared(path)
        real, count = keystore.files.write_all, 0

        def dying(file, data, real=real, cut=cuts):
            nonlocal count
            if count == cut:
                size = {"none": 0, "byte": 1, "half": len(data) // 2, "all but one": len(data) - 1, "all": len(data)}
                real(file, bytes(data)[: size[part]])
                raise Killed
            count += 1
            real(file, data)

        monkeypatch.setattr(keystore.files, "write_all", dying)
        try:
            STEPS[name](store)
        except Killed:
            monkeypatch.undo()
        else:
            monkeypatch.undo()
            break
        got = facts(path)
        raw = Path(path).read_bytes()
        if name == "zeroise" and isinstance(got, str):
            # The mark's four bytes may be torn; then the store is refused, though the keys are not yet gone.
            assert "zeroised" in got or "torn" in got
            if "zeroised" in got:
                assert raw == bytes(len(raw))
        else:
            assert got in (before, after), f"write {cuts}"
        if name == "advance":
            assert (key("k1") in raw) + (key("k2") in raw) == 1
            assert got["seal"] in ((1, key("k1")), (2, key("k2")))
        if name == "replace vault key":
            assert (key("v7", 48) in raw) + (key("other", 48) in raw) == 1
        if name == "erase vault key" and got == after:
            assert key("v7", 48)[:16] not in raw
        # And it goes on from there as if nothing had been.
        again = KeyStore(path)
        if isinstance(got, dict):
            again.advance(3, key("k3"))
            assert KeyStore(path).seal() == (3, key("k3"))
            assert key("k1") not in Path(path).read_bytes()
        cuts += 1
    assert cuts >= {"new vault key": 1, "erase vault key": 1}.get(name, 2)


def test_killed_while_provisioning(tmp_path, monkeypatch):
    path = str(tmp_path / "keys")
    for where in ("write_all", "rename"):
        with monkeypatch.context() as patch:

            def die(*_):
                raise Killed

            patch.setattr(*((keystore.files, "write_all") if where == "write_all" else (os, "rename")), die)
            with pytest.raises(Killed):
                provision(path, "T-1", key("journal", 16), key("k0"), ROLES, TMK)
        assert "not provisioned" in facts(path)
    provision(path, "T-1", key("journal", 16), key("k0"), ROLES, TMK)
    assert KeyStore(path).seal() == (0, key("k0"))
    assert os.listdir(tmp_path) == ["keys"]


def test_errors_hold_no_key(tmp_path):
    store = prepared(str(tmp_path / "keys"))
    texts = []
    for call in (
        lambda: store.advance(0, key("k9")),
        lambda: store.advance(5, key("k9")[:31]),
        lambda: store.new_vault_key(0, key("v9", 48)),
        lambda: store.role_key(9),
        lambda: store.vault_key(99),
    ):
        with pytest.raises(KeyStoreError) as e:
            call()
        texts.append(str(e.value))
    for text in texts:
        for secret in (key("k9"), key("v9", 48), key("k1")):
            assert secret.hex()[:8] not in text and repr(secret)[2:8] not in text
