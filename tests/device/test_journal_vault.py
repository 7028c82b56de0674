"""The vault: reuse of its sectors with what is still needed carried ahead, cuts inside that, damage, sizes."""

from sim import PowerCut, Sim, SimKeyStore

from board.emulated.nor import ERASE, NorFlash
from posfw import numbers as n
from posfw.codec.crc import crc32
from posfw.hal import KeyStoreError
from posfw.journal.vault import Vault, VaultError

HEAP = "1M"  # the simulated flash lies in RAM
KEY = bytes(range(48))


def kept(*refs):
    """The records still needed, as the vault asks for them."""
    return lambda ref, batch: ref in refs


def ref(number):
    return b"REF" + number.to_bytes(5, "big")


def data(number, size=40):
    return bytes([(number * 7 + i) & 0xFF for i in range(size)])


def device(blocks=3, size=512, unit=32):
    return NorFlash(blocks, size, unit), SimKeyStore()


def raises(kind, call, *args):
    try:
        call(*args)
    except kind as error:
        return str(error)
    raise AssertionError("nothing raised")


def held(flash, keystore, needed, batch=1):
    """A vault that was just started gives each of the needed records, whole."""
    vault = Vault(flash, keystore)
    for number, value in needed.items():
        assert vault.get(ref(number)) == value, number


def test_sizes_from_nothing_to_the_largest():
    for unit in (1, 4, 32, 256):
        flash, keystore = device(3, 1024, unit)
        vault = Vault(flash, keystore)
        for number, size in enumerate((0, 1, 15, 16, 17, 483, 484)):
            vault.put(ref(number), 1, data(number, size), KEY, kept())
            assert vault.get(ref(number)) == data(number, size), (unit, size)
            assert Vault(flash, keystore).get(ref(number)) == data(number, size)


def test_a_record_above_the_largest_is_refused():
    for size in (485, 486, 600, 5000):
        flash, keystore = device(3, 1024)
        vault = Vault(flash, keystore)
        vault.put(ref(0), 1, data(0), KEY, kept())
        try:
            vault.put(ref(1), 1, data(1, size), KEY, kept(ref(0)))
        except VaultError:
            pass
        except Exception as error:  # noqa: BLE001  which type is the point
            raise AssertionError("%d bytes: %r" % (size, error))
        else:
            assert vault.get(ref(1)) == data(1, size), size
        held(flash, keystore, {0: data(0)})


def test_sectors_are_reused_in_turn_and_what_is_needed_stays():
    for blocks, unit in ((3, 1), (3, 32), (4, 32), (5, 256)):
        flash, keystore = device(blocks, 1024, unit)
        vault = Vault(flash, keystore)
        erased = []
        flash.on_op = lambda op, block, off, length, erased=erased: erased.append(block) if op == ERASE else None
        needed = {}
        for number in range(120):
            # The records of 5, 45 and 85 stay needed for a long time, the others for a moment.
            for old in [k for k in needed if k != number - 1 and (k % 40 != 5 or number - k > 90)]:
                del needed[old]
            vault.put(ref(number), 1, data(number), KEY, kept(*[ref(k) for k in needed]))
            needed[number] = data(number)
            for k, value in needed.items():
                assert vault.get(ref(k)) == value, (blocks, unit, number, k)
            if number % 7 == 0:
                vault = Vault(flash, keystore)
        assert len(erased) > 2 * blocks
        assert erased == [i % blocks for i in range(len(erased))]
        held(flash, keystore, needed)


def test_a_vault_full_of_needed_data_refuses_and_keeps_them():
    flash, keystore = device(3, 512)
    vault = Vault(flash, keystore)
    needed = {}
    text = ""
    for number in range(60):
        try:
            vault.put(ref(number), 1, data(number), KEY, kept(*[ref(k) for k in needed]))
        except VaultError as error:
            text = str(error)
            break
        needed[number] = data(number)
    assert "full" in text and len(needed) >= 5
    held(flash, keystore, needed)
    for _ in range(3):
        raises(VaultError, vault.put, ref(99), 1, data(99), KEY, kept(*[ref(k) for k in needed]))
        vault = Vault(flash, keystore)
    held(flash, keystore, needed)
    # Once some are no longer needed there is room again.
    for k in list(needed)[:-1]:
        del needed[k]
    vault.put(ref(99), 1, data(99), KEY, kept(*[ref(k) for k in needed]))
    needed[99] = data(99)
    held(flash, keystore, needed)


def scripted(flash, keystore, cut=None):
    """Puts until sectors were reused twice; three records stay needed. Returns (needed, what was being put)."""
    vault = Vault(flash, keystore)
    needed, pending = {}, None
    left = [cut or 1 << 30]

    def tick(op, block, off, length):
        left[0] -= 1
        if left[0] == 0:
            raise PowerCut()

    flash.on_op = tick
    try:
        for number in range(28):
            pending = number
            vault.put(ref(number), 1, data(number), KEY, kept(*[ref(k) for k in needed]))
            pending = None
            if number in (1, 2, 9):
                needed[number] = data(number)
    except PowerCut:
        pass
    flash.on_op = None
    return needed, pending, (1 << 30) - left[0]


def went_on(flash, keystore, needed, first, what):
    """The vault works on after a cut: the needed records outlive two more turns of the sectors."""
    held(flash, keystore, needed)
    vault = Vault(flash, keystore)
    for number in range(first, first + 24):
        vault.put(ref(number), 1, data(number), KEY, kept(*[ref(k) for k in needed]))
        assert vault.get(ref(number)) == data(number), what
        for k, value in needed.items():
            assert vault.get(ref(k)) == value, (what, number, k)


def test_a_cut_at_each_operation():
    total = scripted(*device())[2]
    assert total > 40
    for cut in range(1, total + 1):
        flash, keystore = device()
        needed, pending, _ = scripted(flash, keystore, cut)
        assert pending is not None, cut
        went_on(flash, keystore, needed, 100, cut)


class Torn:
    """A flash whose `at`-th operation is cut after `part` of its bytes (of 8) landed."""

    def __init__(self, flash, at, part):
        self.flash, self.program_size, self.at, self.part = flash, flash.program_size, at, part
        self.on_op = None

    def readblocks(self, block, buf, off=0):
        self.flash.readblocks(block, buf, off)

    def _cut(self, block, off, new):
        self.at -= 1
        if self.at == 0:
            start, size = block * self.flash.block_size + off, len(new) * self.part // 8
            self.flash.store.view[start : start + size] = new[:size]
            raise PowerCut()

    def writeblocks(self, block, buf, off=0):
        self._cut(block, off, bytes(buf))
        self.flash.writeblocks(block, buf, off)

    def ioctl(self, op, arg):
        if op == 6:
            self._cut(arg, 0, b"\xff" * self.flash.block_size)
        return self.flash.ioctl(op, arg)


def test_a_torn_program_or_erase_at_each_operation():
    total = scripted(*device())[2]
    for part in (1, 4, 7, 8):
        for cut in range(1, total + 1, 2 if part == 4 else 5):
            flash, keystore = device()
            needed, _, _ = scripted(Torn(flash, cut, part), keystore)
            went_on(flash, keystore, needed, 100, (part, cut))


def test_a_second_cut_while_the_first_is_mended():
    total = scripted(*device())[2]
    for first in range(10, total + 1, 4):
        for second in (1, 2, 3, 4):
            flash, keystore = device()
            needed, _, _ = scripted(Torn(flash, first, 5), keystore)
            torn = Torn(flash, second, 3)
            vault = Vault(torn, keystore)
            try:
                for number in range(50, 56):
                    vault.put(ref(number), 1, data(number), KEY, kept(*[ref(k) for k in needed]))
            except PowerCut:
                pass
            went_on(flash, keystore, needed, 100, (first, second))


class Failing(Torn):
    """A flash whose `at`-th operation raises OSError and does nothing."""

    def _cut(self, block, off, new):
        self.at -= 1
        if self.at == 0:
            raise OSError(5)


def test_a_failed_operation_is_said_and_the_next_put_works():
    total = scripted(*device())[2]
    for at in range(1, total + 1):
        flash, keystore = device()
        chip = Failing(flash, at, 0)
        vault = Vault(chip, keystore)
        needed, failures = {}, 0
        for number in range(28):
            try:
                vault.put(ref(number), 1, data(number), KEY, kept(*[ref(k) for k in needed]))
            except VaultError:
                failures += 1
                continue
            if number in (1, 2, 9):
                needed[number] = data(number)
            for k, value in needed.items():
                assert vault.get(ref(k)) == value, (at, number, k)
        assert failures == 1, at
        held(flash, keystore, needed)


def test_each_damaged_byte_of_a_record_is_found():
    flash, keystore = device(3, 512, 1)
    Vault(flash, keystore).put(ref(1), 1, data(1, 20), KEY, kept())
    start, end = 12, 12 + 8 + 28 + 20
    for pos in range(start, end):
        flash.store.view[pos] ^= 0x10
        raises(VaultError, Vault(flash, keystore).get, ref(1))
        flash.store.view[pos] ^= 0x10
    assert Vault(flash, keystore).get(ref(1)) == data(1, 20)


def test_a_record_changed_together_with_its_checksum_is_found():
    flash, keystore = device(3, 512, 1)
    Vault(flash, keystore).put(ref(1), 1, data(1, 20), KEY, kept())
    for pos in list(range(16, 20)) + list(range(28, 64)):
        flash.store.view[pos] ^= 0x10
        body = bytes(flash.store.view[16:64])
        flash.store.view[64:68] = crc32(body).to_bytes(4, "little")
        # The first three bytes are the batch: that one has no key.
        raises(KeyStoreError if pos < 19 else VaultError, Vault(flash, keystore).get, ref(1))
        flash.store.view[pos] ^= 0x10
    assert raises(VaultError, Vault(flash, keystore).get, ref(2))


def test_a_short_record_with_the_right_reference():
    flash, keystore = device(3, 512, 1)
    vault = Vault(flash, keystore)
    vault.put(ref(1), 1, data(1), KEY, kept())
    for size in (12, 13, 27):
        vault._pos = vault.frames.program_copy(0, vault._pos, b"\x00\x00\x01\x01" + ref(5) + bytes(size - 12))
    raises(VaultError, vault.get, ref(5))


def test_a_record_lies_under_its_own_batch_and_a_moved_one_under_the_new():
    flash, keystore = device()
    vault = Vault(flash, keystore)
    vault.put(ref(1), 1, data(1), KEY, kept())
    vault.put(ref(2), 2, data(2), bytes(48), kept())
    assert vault.get(ref(1)) == data(1) and vault.find(ref(2)) == (2, data(2))
    keystore.erase_vault_key(1)
    raises(KeyStoreError, vault.get, ref(1))
    assert vault.get(ref(2)) == data(2)
    # Moved before its key goes: found under the new one, also by a vault that starts afresh.
    vault.put(ref(2), 3, data(2), bytes(48), kept())
    keystore.erase_vault_key(2)
    assert vault.find(ref(2)) == (3, data(2)) and Vault(flash, keystore).find(ref(2)) == (3, data(2))


def test_a_record_with_another_batchs_number_is_damaged():
    flash, keystore = device(3, 512, 1)
    vault = Vault(flash, keystore)
    vault.put(ref(1), 1, data(1), KEY, kept())
    record, _ = vault.frames.read(0, vault.start)
    vault.put(ref(2), 2, data(2), KEY, kept())
    vault._pos = vault.frames.program_copy(0, vault._pos, b"\x00\x00\x02\x01" + ref(7) + record[12:])
    raises(VaultError, vault.get, ref(7))


def test_the_key_is_made_once_per_batch():
    flash, keystore = device()
    vault = Vault(flash, keystore)
    vault.put(ref(1), 1, data(1), KEY, kept())
    vault.put(ref(2), 1, data(2), bytes(48), kept())
    assert keystore.vault == {1: KEY}
    assert vault.get(ref(2)) == data(2)
    keystore.erase_vault_key(1)
    raises(KeyStoreError, vault.get, ref(1))


def test_an_empty_and_a_foreign_vault():
    flash, keystore = device()
    keystore.vault[1] = KEY
    raises(VaultError, Vault(flash, keystore).get, ref(1))
    for at in range(0, len(flash.store.view), 256):
        flash.store.view[at : at + 256] = bytes(256)
    raises(VaultError, Vault(flash, keystore).get, ref(1))
    vault = Vault(flash, keystore)
    vault.put(ref(1), 1, data(1), KEY, kept())
    held(flash, keystore, {1: data(1)})
    raises(VaultError, Vault, NorFlash(2, 512, 32), keystore)


def test_a_planted_sector_number_near_the_end_of_its_field():
    flash, keystore = device(4, 512)
    raw = bytearray(b"\xff" * 32)
    raw[:8] = b"PV\x01\x00\xff\xff\xff\xff"
    raw[8:12] = crc32(raw[:8]).to_bytes(4, "little")
    flash.writeblocks(3, raw, 0)
    vault = Vault(flash, keystore)
    try:
        for number in range(12):
            vault.put(ref(number), 1, data(number), KEY, kept())
    except VaultError:
        pass  # said so; anything else would come out of Terminal.pay()
    except Exception as error:  # noqa: BLE001
        raise AssertionError("raised %r" % (error,))


def test_no_plaintext_in_flash():
    flash, keystore = device()
    pan = b"6222020000001234567"
    Vault(flash, keystore).put(ref(1), 1, b"\x84\x73" + pan + bytes(8), KEY, kept())
    image = bytes(flash.store.view)
    assert pan not in image and pan[:12] not in image and KEY[:8] not in image


def test_a_cancel_long_after_the_approval_still_finds_its_data():
    # Declined sales take vault records too; the one of the last approved sale may still be asked for.
    sim = Sim(block_size=1024, vault_blocks=3, blocks=128)
    assert sim.pay()["ok"]
    sim.host.faults = [("decline", "51")] * 60
    for _ in range(60):
        assert sim.pay()["message"] in ("declined", "vault_full")
    sim.terminal.cancel()  # refused is as good
    sim.idle()
    sim.clock.advance(60000)
    sim.idle()
    assert sim.state.debts == [], "the reversal could not be built: its record was overwritten"
    assert sim.kinds().count(n.UNRESOLVED) == 0
