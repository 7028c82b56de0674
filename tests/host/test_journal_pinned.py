"""The golden bytes of the device tests, computed again from docs/journal-format.md without any of the device's code.

tests/device/test_journal_golden.py holds the terminal to these bytes, field by field; here it is shown that they are
what hashlib, hmac, cbor2 and cryptography make of the format's text.
"""

import ast
import binascii
import hashlib
import hmac
import struct
from pathlib import Path

import cbor2
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

DEVICE = Path(__file__).resolve().parents[1] / "device" / "test_journal_golden.py"
MASTER = b"auditor master key, 32 bytes...."
JOURNAL_ID = bytes(range(16))
TERMINAL = "T-0001"


def pinned(name):
    """A hex constant of the device test: the joined second column of its table of (field, hex)."""
    for node in ast.parse(DEVICE.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return bytes.fromhex("".join(hexes for _, hexes in eval(ast.unparse(node.value))))
    raise AssertionError(f"{name} is not pinned")


def crc16(data):
    """Polynomial 1021, initial FFFF, bit by bit as the catalogue defines it."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ (0x1021 if crc & 0x8000 else 0)) & 0xFFFF
    return crc


def hkdf(info):
    return HKDF(algorithm=SHA256(), length=32, salt=JOURNAL_ID, info=info).derive(MASTER)


def frame(entry, unit):
    length = struct.pack("<H", len(entry))
    raw = length + struct.pack("<H", crc16(length)) + entry + struct.pack("<I", binascii.crc32(entry))
    return raw + b"\xff" * (-len(raw) % unit)


def header(sequence, first_seq, erases, head, unit):
    raw = b"PJ" + bytes((1, unit.bit_length() - 1)) + JOURNAL_ID
    raw += struct.pack("<III", sequence, first_seq, erases) + head
    raw += struct.pack("<I", binascii.crc32(raw))
    return raw + b"\xff" * (-len(raw) % unit)


def sealed(key, head, payload):
    protected = cbor2.dumps({1: 5})
    body = cbor2.dumps(payload, canonical=True)
    tag = hmac.new(key, cbor2.dumps(["MAC0", protected, head, body]), hashlib.sha256).digest()
    return cbor2.dumps([protected, {}, body, tag])


GENESIS = hashlib.sha256(b"posfw/genesis/1" + JOURNAL_ID).digest()
K0 = hkdf(b"posfw/seal/1" + TERMINAL.encode())
ENTRY = sealed(K0, GENESIS, [0, 24, 1, 1000, 1795406400, 1, [5, 1, 1]])


def test_crc16_of_this_file_is_the_documented_one():
    assert crc16(b"123456789") == 0x29B1


def test_sector_header():
    assert pinned("SECTOR_HEADER") == header(0, 0, 1, GENESIS, 32)


def test_sector_header_after_the_first():
    head = hashlib.sha256(GENESIS + ENTRY).digest()
    assert pinned("SECOND_HEADER") == header(1, 1, 1, head, 32)


def test_frame_and_entry():
    assert pinned("FRAME") == frame(ENTRY, 32)


def test_heads_and_keys():
    assert pinned("HEAD_1") == hashlib.sha256(GENESIS + ENTRY).digest()
    assert pinned("KEY_1") == hashlib.sha256(b"posfw/ratchet/1" + K0).digest()


def test_vault_sector_header_and_record():
    start = b"PV\x01\x00" + struct.pack("<I", 0)
    raw = start + struct.pack("<I", binascii.crc32(start))
    assert pinned("VAULT_HEADER") == raw + b"\xff" * (-len(raw) % 32)
    key, ref = bytes(range(48)), b"REFERENC"
    plain = cbor2.dumps(["6222020000001234567", "3012", "001", bytes.fromhex("9F360200")], canonical=True)
    cipher = Cipher(algorithms.AES(key[:16]), modes.CTR(ref + bytes(8))).encryptor()
    body = (77).to_bytes(3, "big") + b"\x01" + ref + cipher.update(plain)
    record = body + hmac.new(key[16:], body, hashlib.sha256).digest()[:16]
    assert pinned("VAULT_FRAME") == frame(record, 32)
