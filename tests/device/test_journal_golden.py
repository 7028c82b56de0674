"""What lies in flash, byte for byte. tests/host/test_journal_pinned.py shows that independent code makes the same."""

from sim import JOURNAL_ID, SimKeyStore

from board.emulated.nor import NorFlash
from posfw.journal.journal import Journal
from posfw.journal.vault import Vault

HEAP = "512K"  # the simulated flash lies in RAM

# Each table: (field, its bytes).
SECTOR_HEADER = (
    ("magic PJ", "504a"),
    ("format version", "01"),
    ("log2 of the program size 32", "05"),
    ("journal id", "000102030405060708090a0b0c0d0e0f"),
    ("sector sequence", "00000000"),
    ("first entry", "00000000"),
    ("erase count", "01000000"),
    ("chain head: h(-1)", "8125834eaac97d76b4134031ee03b932ca1580d74f60dbe47cc1598700bffd54"),
    ("CRC-32 of the 64 bytes before", "86a765ad"),
    ("padding to whole units", "ff" * 28),
)  # fmt: skip
SECOND_HEADER = (
    ("magic PJ", "504a"),
    ("format version", "01"),
    ("log2 of the program size 32", "05"),
    ("journal id", "000102030405060708090a0b0c0d0e0f"),
    ("sector sequence", "01000000"),
    ("first entry", "01000000"),
    ("erase count", "01000000"),
    ("chain head behind entry 0", "68749db481c248bda4a9b36769bf6b55c7c206b99c64ed7434241529432bab24"),
    ("CRC-32", "ce755c60"),
    ("padding", "ff" * 28),
)
FRAME = (
    ("length of the entry, 59", "3b00"),
    ("CRC-16 of the length", "60c4"),
    ("array(4)", "84"),
    ("protected << {1: 5} >>", "43a10105"),
    ("unprotected {}", "a0"),
    ("payload, bstr(18)", "52"),
    ("array(7)", "87"),
    ("seq 0", "00"),
    ("kind 24 FAULT", "1818"),
    ("boot 1", "01"),
    ("ms 1000", "1903e8"),
    ("rtc 1795406400", "1a6b03ba40"),
    ("rtc quality 1", "01"),
    ("body [5, 1, 1]", "83050101"),
    ("tag, bstr(32)", "5820"),
    ("HMAC-SHA-256 under K(0)", "6f2a9af07d1815a1092007eca33a67aaec5104b69ce89d098993d343e2a3df9b"),
    ("CRC-32 of the entry", "9fc1cdd6"),
    ("padding", "ff" * 29),
)
HEAD_1 = (("SHA-256(head || entry 0)", "68749db481c248bda4a9b36769bf6b55c7c206b99c64ed7434241529432bab24"),)
KEY_1 = (("SHA-256(posfw/ratchet/1 || K(0))", "ec82b0828e43c6cee7b45a8d7aa815c9013227610f42f8464ad678b06a26a325"),)
VAULT_HEADER = (
    ("magic PV, version, 0", "50560100"),
    ("sector sequence", "00000000"),
    ("CRC-32 of the 8 bytes before", "87235dbb"),
    ("padding", "ff" * 20),
)
VAULT_FRAME = (
    ("length of the record, 63", "3f00"),
    ("CRC-16 of the length", "a408"),
    ("batch 77", "00004d"),
    ("version", "01"),
    ("reference", "5245464552454e43"),
    ("AES-128-CTR of PLAIN", "6cb3d14c22bf7e296c2864b28670c07624c0b4937442a1d13d458a7e813c4e3b12868d"),
    ("HMAC-SHA-256, first 16 bytes", "d39c4cb89860c30c9a5649978abd8081"),
    ("CRC-32 of the record", "c3bab797"),
    ("padding", "ff" * 25),
)  # fmt: skip
PLAIN = bytes.fromhex("847336323232303230303030303031323334353637643330313263303031449f360200")


def joined(table):
    return bytes.fromhex("".join([field[1] for field in table]))


def compare(got, table):
    """Field by field, so that a failure names the field."""
    pos = 0
    for name, text in table:
        want = bytes.fromhex(text)
        assert got[pos : pos + len(want)] == want, (name, got[pos : pos + len(want)])
        pos += len(want)
    assert len(got) == pos


def flash_bytes(flash, block, off, size):
    buf = bytearray(size)
    flash.readblocks(block, buf, off)
    return bytes(buf)


def journal():
    flash, keystore = NorFlash(4, 1024, 32), SimKeyStore()
    j = Journal(flash, keystore, list)
    j.recover(list, lambda state, payload: None)
    j.boot = 1
    j.append(24, [5, 1, 1], (1000, 1795406400, 1))
    return j, flash, keystore


def test_sector_header_frame_and_entry():
    j, flash, keystore = journal()
    compare(flash_bytes(flash, 0, 0, 96), SECTOR_HEADER)
    compare(flash_bytes(flash, 0, 96, 96), FRAME)
    assert flash_bytes(flash, 0, 192, 832) == b"\xff" * 832
    compare(j.head, HEAD_1)
    compare(keystore.key, KEY_1)
    assert (keystore.index, j.seq) == (1, 1)


def test_header_of_the_next_sector():
    j, flash, _ = journal()
    j.ring.open_sector(j.seq, j.head)
    compare(flash_bytes(flash, 1, 0, 96), SECOND_HEADER)


def test_every_program_size_pads_and_says_so():
    for log2, unit in ((0, 1), (2, 4), (3, 8), (4, 16), (5, 32), (6, 64), (7, 128), (8, 256)):
        flash, keystore = NorFlash(4, 1024, unit), SimKeyStore()
        j = Journal(flash, keystore, list)
        j.recover(list, lambda state, payload: None)
        j.boot = 1
        j.append(24, [5, 1, 1], (1000, 1795406400, 1))
        start = (68 + unit - 1) // unit * unit
        space = (67 + unit - 1) // unit * unit
        got = flash_bytes(flash, 0, 0, start + space)
        assert got[3] == log2
        assert got[4:20] == JOURNAL_ID
        assert got[68:start] == b"\xff" * (start - 68)
        assert got[start : start + 67] == joined(FRAME)[:67], unit
        assert flash_bytes(flash, 0, start + 67, 1024 - start - 67) == b"\xff" * (1024 - start - 67)
        assert j.ring.pos == start + space


def test_vault_sector_and_record():
    flash, keystore = NorFlash(3, 512, 32), SimKeyStore()
    Vault(flash, keystore).put(b"REFERENC", 77, PLAIN, bytes(range(48)), lambda ref, batch: False)
    compare(flash_bytes(flash, 0, 0, 32), VAULT_HEADER)
    compare(flash_bytes(flash, 0, 32, 96), VAULT_FRAME)
    assert keystore.vault == {77: bytes(range(48))}
    assert Vault(flash, keystore).get(b"REFERENC") == PLAIN
