"""The key store in one file. Stands for a secure element: posfw sees only the interface posfw.hal.KeyStore.

| offset | size | what |
|---|---|---|
| 0 | 4 | `PFKS`; four zeros: zeroised |
| 4 | 2 | version `01`, length of the terminal id |
| 6 | 32 | terminal id, UTF-8, zero padded |
| 38 | 16 | journal id |
| 54 | 96 | keys of the roles 1, 2, 3 |
| 150 | 16 | terminal master key |
| 166 | 4 | CRC-32 of bytes 0 to 165; zeros up to 192 |
| 192 | 16 x 64 | slots |

A slot is `id u32 | generation u32 | key, 48 | zeros, 4 | CRC-32 of the first 60`, little-endian; all zeros: free. A
value is changed by writing a free slot and then zeroing the one before, so a kill leaves the old one, the new one, or
both, and then the higher generation counts and the other is zeroed at the next start. Id below 1,000,000: vault key
of that batch. The seal key's generation is its index.
"""

import struct
from binascii import crc32

from posfw.crypto.aes import ecb_decrypt
from posfw.crypto.cmac import Cmac
from posfw.crypto.mac import same
from posfw.hal import KeyStoreError
from posfw.micro import const

from . import files

_MAGIC, _ZEROISED = b"PFKS", b"\0\0\0\0"
_ID = const(6)
_JOURNAL = const(38)
_ROLES = const(54)
_TMK = const(150)
_CRC = const(166)
_SLOTS = const(192)
_SLOT = const(64)
_COUNT = const(16)
_SIZE = _SLOTS + _SLOT * _COUNT
_SEAL, _MAC = 0xFFFFFFFE, 0xFFFFFFFD
_FREE = bytes(_SLOT)


def _slot(buf, ident, generation, key):
    struct.pack_into("<II", buf, 0, ident, generation)
    buf[8 : 8 + len(key)] = key
    buf[8 + len(key) : 60] = bytes(52 - len(key))
    struct.pack_into("<I", buf, 60, crc32(memoryview(buf)[:60]))


def _need(ok, text):
    if not ok:
        raise KeyStoreError(text)


def provision(path, terminal_id, journal_id, k0, role_keys, tmk):
    """Create the key store at `path`. `k0` is K(0), 32 bytes; `role_keys` three of 32 bytes (technician, auditor,
    supervisor); `tmk` the 16-byte terminal master key. Raises KeyStoreError, also if there is one already: a second
    provisioning would orphan the journal sealed under the first."""
    name = terminal_id.encode()
    _need(not files.exists(path), "key store exists: remove the whole terminal directory to provision anew")
    _need(1 <= len(name) <= 32, "terminal id must be 1 to 32 bytes of UTF-8")
    _need(len(journal_id) == 16 and len(k0) == 32 and len(tmk) == 16, "a key or the journal id has a wrong length")
    _need([len(k) for k in role_keys] == [32, 32, 32], "give three role keys of 32 bytes")
    data = bytearray(_SIZE)
    struct.pack_into("<4sBB", data, 0, _MAGIC, 1, len(name))
    data[_ID : _ID + len(name)] = name
    data[_JOURNAL:_CRC] = journal_id + b"".join(role_keys) + tmk
    struct.pack_into("<I", data, _CRC, crc32(memoryview(data)[:_CRC]))
    first = bytearray(_SLOT)
    _slot(first, _SEAL, 0, k0)
    data[_SLOTS : _SLOTS + _SLOT] = first
    files.replace(path, data)


class KeyStore:
    """The store at `path`. If it is missing, torn or zeroised, the calls raise KeyStoreError, not the constructor."""

    def __init__(self, path):
        self._data = bytearray(_SIZE)
        self._view = memoryview(self._data)
        self._new = bytearray(_SLOT)
        self._where = {}  # id of a value: number of its slot
        self._cmac = None
        self._why = ""  # why every call is refused
        self._file = None
        if not files.exists(path):
            self._why = "key store: not provisioned"
            return
        self._file = files.open_raw(path, "r+b")
        self._load()

    def identity(self):
        """(terminal_id: str, journal_id: 16 bytes)"""
        self._ready()
        size = self._data[5]
        return self._data[_ID : _ID + size].decode(), bytes(self._view[_JOURNAL:_ROLES])

    def seal(self):
        """(index, key) of the next entry to seal"""
        self._ready()
        return self._generation(_SEAL), self._key(_SEAL, 32)

    def advance(self, index, key):
        """Move the seal on. Going back is refused: it would seal two entries under one key."""
        self._ready()
        _need(len(key) == 32, "seal key must have 32 bytes")
        _need(index > self._generation(_SEAL), "key store: the seal only moves forward")
        self._put(_SEAL, index, key)

    def role_key(self, role):
        self._ready()
        _need(1 <= role <= 3, "no such role: 1 technician, 2 auditor, 3 supervisor")
        at = _ROLES + 32 * (role - 1)
        return bytes(self._view[at : at + 32])

    def vault_key(self, batch):
        self._ready()
        _need(0 < batch < 1000000 and batch in self._where, "no vault key for batch %d" % batch)
        return self._key(batch, 48)

    def new_vault_key(self, batch, key):
        self._ready()
        _need(0 < batch < 1000000 and len(key) == 48, "vault key: batch 1 to 999999, 48 bytes")
        # Two slots stay free, or the seal could not move and the MAC key not come: no entry, no sign-on.
        _need(len(self._where) < _COUNT - 2, "key store full: settle, so that old batches' keys can go")
        self._put(batch, self._generation(batch) + 1, key)

    def erase_vault_key(self, batch):
        """Zero the batch's key; nothing to do if it is gone, as after a kill in an earlier try."""
        self._ready()
        if 0 < batch < 1000000 and batch in self._where:
            self._write(self._where[batch], _FREE)
            del self._where[batch]

    def install_mac_key(self, wrapped, check_value):
        self._ready()
        # Fewer than 3 check bytes would let a wrong key in by chance; the old key must not be lost to that.
        if len(wrapped) != 16 or not 3 <= len(check_value) <= 16:
            return False
        key = ecb_decrypt(bytes(self._view[_TMK:_CRC]), bytes(wrapped))
        if not same(Cmac(key).mac(bytes(16))[: len(check_value)], bytes(check_value)):
            return False
        self._put(_MAC, self._generation(_MAC) + 1, key)
        self._cmac = None
        return True

    def cmac(self, *parts):
        self._ready()
        _need(_MAC in self._where, "no MAC key yet: sign on first")
        if self._cmac is None:
            self._cmac = Cmac(self._key(_MAC, 16))
        return self._cmac.mac(*parts)

    def zeroise(self):
        """Overwrite every key. The mark goes first, so a kill in between is finished at the next start."""
        if self._file is not None:
            self._store(0, _ZEROISED)
            self._overwrite()

    def _ready(self):
        if self._why:
            raise KeyStoreError(self._why)

    def _load(self):
        if self._file.readinto(self._data) != _SIZE:
            self._why = "key store: torn, needs provisioning anew"
        elif self._view[:4] == _ZEROISED:
            self._overwrite()
        elif self._view[:4] != _MAGIC or self._data[4] != 1 or not self._intact(0, _CRC):
            self._why = "key store: torn, needs provisioning anew"
        else:
            for slot in range(_COUNT):
                self._load_slot(slot)
            if _SEAL not in self._where:
                self._why = "key store: no seal key, needs provisioning anew"

    def _load_slot(self, slot):
        at = _SLOTS + slot * _SLOT
        if self._view[at : at + _SLOT] == _FREE:
            return
        if not self._intact(at, 60):
            self._write(slot, _FREE)  # torn: its value never counted, but may hold part of a key
            return
        ident, generation = struct.unpack_from("<II", self._data, at)
        other = self._where.get(ident)
        if other is None:
            self._where[ident] = slot
        elif generation > self._generation(ident):
            self._where[ident] = slot
            self._write(other, _FREE)
        else:
            self._write(slot, _FREE)

    def _intact(self, at, size):
        return crc32(self._view[at : at + size]) == struct.unpack_from("<I", self._data, at + size)[0]

    def _generation(self, ident):
        slot = self._where.get(ident)
        return 0 if slot is None else struct.unpack_from("<I", self._data, _SLOTS + slot * _SLOT + 4)[0]

    def _key(self, ident, size):
        at = _SLOTS + self._where[ident] * _SLOT + 8
        return bytes(self._view[at : at + size])

    def _put(self, ident, generation, key):
        taken = self._where.values()
        slot = 0
        while slot in taken:
            slot += 1
        _slot(self._new, ident, generation, key)
        self._write(slot, self._new)
        old = self._where.get(ident)
        self._where[ident] = slot
        if old is not None:
            self._write(old, _FREE)

    def _write(self, slot, data):
        self._store(_SLOTS + slot * _SLOT, data)

    def _store(self, at, data):
        try:
            self._file.seek(at)
            files.write_all(self._file, data)
        except OSError:
            raise KeyStoreError("key store: write failed, restart the terminal")
        self._view[at : at + len(data)] = data

    def _overwrite(self):
        self._why = "key store: zeroised, needs provisioning anew"
        self._where = {}
        self._cmac = None
        self._store(0, bytes(_SIZE))
        self._new[:] = _FREE
