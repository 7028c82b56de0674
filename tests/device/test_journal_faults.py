"""Flash that fails, lies or was swapped, and key stores that are not where they should be."""

from sim import JOURNAL_ID, Sim, SimKeyStore

from board.emulated.nor import NorFlash
from posfw.codec import cbor
from posfw.hal import KeyStoreError
from posfw.journal import seal
from posfw.journal.frame import Frames
from posfw.journal.journal import KEY_BEHIND, Journal, JournalError
from posfw.numbers import FAULT, SNAPSHOT

HEAP = "2M"  # the simulated flash lies in RAM
NOW = (1000, 1795406400, 1)
FIRST_KEY = SimKeyStore().key


class Chip:
    """A flash that misbehaves at its `at`-th program or erase from now on (and at every later one, if `always`).

    how: "refuse" raises and does nothing; "lie" programs, then raises; "flip" reports success and keeps one bit wrong;
    "nothing" reports success and does nothing.
    """

    def __init__(self, flash):
        self.flash, self.program_size = flash, flash.program_size
        self.how, self.at, self.always, self.op = None, 0, False, "program"

    def fail(self, how, at=1, always=False, op="program"):
        self.how, self.at, self.always, self.op = how, at, always, op

    def _now(self, op):
        if self.how is None or op != self.op:
            return None
        self.at -= 1
        if self.at > 0:
            return None
        how = self.how
        if not self.always:
            self.how = None
        return how

    def readblocks(self, block, buf, off=0):
        self.flash.readblocks(block, buf, off)

    def writeblocks(self, block, buf, off=0):
        how = self._now("program")
        if how == "refuse":
            raise OSError(5)
        if how == "nothing":
            return
        self.flash.writeblocks(block, buf, off)
        if how == "flip":
            self.flash.store.view[block * self.flash.block_size + off + len(buf) // 2] ^= 4
        if how == "lie":
            raise OSError(5)

    def ioctl(self, op, arg):
        if op == 6:
            how = self._now("erase")
            if how == "refuse":
                raise OSError(5)
            if how == "nothing":
                return 0
            done = self.flash.ioctl(op, arg)
            if how == "flip":
                self.flash.store.view[arg * self.flash.block_size + 77] ^= 4
            if how == "lie":
                raise OSError(5)
            return done
        return self.flash.ioctl(op, arg)


class Bench:
    def __init__(self, blocks=8, size=1024, unit=32):
        self.nor, self.keystore = NorFlash(blocks, size, unit), SimKeyStore()
        self.chip = Chip(self.nor)
        self.taken = []
        self.start()

    def start(self):
        self.journal = Journal(self.chip, self.keystore, lambda: [0])
        self.journal.recover(list, lambda state, payload: None)
        self.journal.boot += 1

    def add(self, value):
        """True if the entry was taken."""
        try:
            self.journal.append(FAULT, [value, bytes(20)], NOW)
        except JournalError:
            return False
        self.taken.append(value)
        return True

    def check(self):
        """All that was taken is there, nothing else, sealed in one unbroken chain; and it is so after a restart."""
        for restart in (False, True):
            if restart:
                self.start()
            key, head, values, number = FIRST_KEY, seal.genesis(JOURNAL_ID), [], 0
            for seq, entry in self.journal.read(0):
                assert seq == number and seal.verify(entry, key, head), seq
                payload = cbor.decode(seal.payload_of(entry))
                assert payload[0] == seq
                if payload[1] != SNAPSHOT:
                    values.append(payload[6][0])
                key, head, number = seal.ratchet(key), seal.chain(head, entry), number + 1
            assert values == self.taken, (values, self.taken)
            assert number == self.journal.seq == self.keystore.index


def test_one_failed_program_at_each_place():
    for how in ("refuse", "flip", "nothing"):
        for at in range(1, 16):
            bench = Bench()
            for value in range(3):
                bench.add(value)
            bench.chip.fail(how, at)
            lost = 0
            for value in range(3, 18):
                lost += not bench.add(value)
            assert bench.chip.how is None, "the fault never happened"
            assert lost == 1, (how, at, lost)
            bench.check()


def test_the_first_program_of_a_journals_life_fails():
    for how in ("refuse", "flip", "nothing", "lie"):
        for at in (1, 2):
            bench = Bench()
            bench.chip.fail(how, at)
            taken = bench.add(0)
            assert taken == (how == "lie" and at == 2), (how, at)
            bench.add(1)
            # Whatever failed: entry 0 is what the caller appended first, not a SNAPSHOT of nothing.
            first = cbor.decode(seal.payload_of(next(bench.journal.read(0))[1]))
            assert first[:2] == [0, FAULT], (how, at, first)
            bench.check()


def test_a_program_that_reports_failure_but_landed_is_committed():
    for at in range(1, 24):
        bench = Bench()
        for value in range(3):
            bench.add(value)
        bench.chip.fail("lie", at)
        lost = 0
        for value in range(3, 16):
            lost += not bench.add(value)
        # Only a sector header may be given up; an entry that is in flash must be acknowledged, or its number would be
        # given twice.
        assert lost <= 1
        bench.check()


def test_nothing_goes_behind_a_program_that_reported_failure():
    for kind in (FAULT, SNAPSHOT):
        bench = Bench()
        for value in range(30):
            sector = bench.journal.ring.header.sequence if value else 0
            if value > 3:
                room = bench.journal.ring.room_for(120)
                if (kind == SNAPSHOT) == (not room):
                    bench.chip.fail("lie", 1 if kind == FAULT else 2)
                    bench.add(value)
                    break
            bench.add(value)
        assert bench.chip.how is None
        # The cells are weak: the next entry opens a sector, whichever entry it was.
        at = bench.journal.ring.header.sequence
        newest = list(bench.journal.read(0))[-1]
        suspect_is_newest = kind == FAULT
        bench.add(99)
        if suspect_is_newest:
            assert bench.journal.ring.header.sequence == at + 1
            copy = next(bench.journal.ring.entries(bench.journal.ring.header))[1]
            assert copy == newest[1]
        else:
            assert sector + 1 == at
            assert bench.journal.ring.header.sequence == at + 1, "appended behind a SNAPSHOT whose program failed"
        bench.check()


def test_a_torn_frame_that_reads_whole_later_is_not_taken_for_its_successor():
    # A weak cell: the frame read back wrong, so its number went to an entry in a fresh sector; then it reads right.
    bench = Bench()
    for value in range(3):
        bench.add(value)
    ring = bench.journal.ring
    at = ring.header.block * 1024 + ring.pos
    bench.chip.fail("flip")
    assert not bench.add(3)
    bench.add(4)
    size = bench.journal.frames.space(bench.nor.store.view[at])
    bench.nor.store.view[at + size // 2] ^= 4
    bench.check()


def test_a_failed_erase_once_and_for_ever():
    for how in ("refuse", "flip", "nothing", "lie"):
        bench = Bench()
        bench.nor.store.view[1024] = 0  # the next block is not blank, so an erase that does nothing is found out
        bench.chip.fail(how, 2, op="erase")
        lost = 0
        for value in range(16):
            lost += not bench.add(value)
        assert lost == 1, how
        bench.check()
    bench = Bench()
    bench.add(0)
    bench.chip.fail("refuse", 1, True, "erase")
    for value in range(1, 40):
        bench.add(value)
    count = len(bench.taken)
    assert 1 < count < 40
    bench.check()
    bench.chip.how = None
    assert bench.add(41)
    bench.check()


def test_programs_that_always_fail_never_lose_what_is_there():
    for how in ("refuse", "flip", "nothing"):
        bench = Bench()
        for value in range(5):
            bench.add(value)
        bench.chip.fail(how, 1, True)
        for value in range(5, 9):
            assert not bench.add(value)
        bench.start()
        for value in range(5, 9):
            assert not bench.add(value)
        bench.chip.how = None
        assert bench.add(9)
        bench.check()


def test_the_terminal_takes_no_money_while_programs_fail():
    sim = Sim()
    sim.pay()
    chip = Chip(sim.board.flash)
    chip.fail("refuse", 1, True)
    sim.terminal.runner.journal.frames.flash = chip
    seen, frames = len(sim.host.seen), len(sim.board.link.frames)
    result = sim.pay()
    assert not result["ok"] and result["message"] == "flash_failed"
    assert (len(sim.host.seen), len(sim.board.link.frames)) == (seen, frames)
    chip.how = None
    assert sim.pay()["ok"]
    assert sim.kinds().count(FAULT) <= 1


# -- the key store and the flash must belong together ---------------------------------------------------------


def refused(sim):
    """Boot must refuse money and change not a byte of flash."""
    board = sim.board
    before, vault = bytes(board.flash.store.view), bytes(board.vault_flash.store.view)
    seen = len(sim.host.seen)
    ok, key = sim.start()
    assert not ok, key
    result = sim.pay()
    assert not result["ok"] and result["message"] == key
    for _ in range(5):
        sim.terminal.idle()
    assert sim.terminal.sign_on()["ok"] is False
    assert bytes(board.flash.store.view) == before and bytes(board.vault_flash.store.view) == vault
    assert len(sim.host.seen) == seen
    assert key in board.display.shown
    return key


def test_key_store_one_behind_is_a_power_cut():
    sim = Sim()
    index, key = sim.board.keystore.index, sim.board.keystore.key
    sim.terminal.runner.run(("fault", 5, 1, 1))
    assert sim.board.keystore.index == index + 1
    sim.board.keystore.index, sim.board.keystore.key = index, key
    assert sim.start() == (True, "ready")
    assert sim.entries()[-1][6][2] & KEY_BEHIND
    assert sim.board.keystore.index == len(sim.entries())


def test_key_store_two_behind_is_refused():
    sim = Sim()
    index, key = sim.board.keystore.index, sim.board.keystore.key
    for _ in range(2):
        sim.terminal.runner.run(("fault", 5, 1, 1))
    sim.board.keystore.index, sim.board.keystore.key = index, key
    assert refused(sim) == "seal_mismatch"


def test_key_store_ahead_is_refused():
    for ahead in (1, 2, 1000):
        sim = Sim()
        sim.board.keystore.index += ahead
        assert refused(sim) == "seal_mismatch"


def test_one_behind_but_not_sealed_with_this_key_is_refused():
    sim = Sim()
    sim.board.keystore.index -= 1  # the key stays that of the next entry
    assert refused(sim) == "seal_mismatch"


def test_blank_flash_is_not_formatted():
    sim = Sim()
    for block in range(32):
        sim.board.flash.ioctl(6, block)
    assert refused(sim) == "seal_mismatch"
    assert bytes(sim.board.flash.store.view) == b"\xff" * len(sim.board.flash.store.view)


def test_zeroed_and_random_flash_is_not_formatted():
    for pattern in (0, 0xA5):
        sim = Sim()
        view = sim.board.flash.store.view
        for at in range(0, len(view), 256):
            view[at : at + 256] = bytes([pattern]) * 256
        assert refused(sim) == "seal_mismatch"


def test_an_older_image_of_the_same_flash_is_refused():
    sim = Sim()
    image = bytes(sim.board.flash.store.view)
    sim.pay()
    sim.board.flash.store.view[:] = image
    assert refused(sim) == "seal_mismatch"


def test_a_zeroised_key_store_is_refused():
    sim = Sim()
    sim.board.keystore.gone = True
    try:
        sim.start()
    except KeyStoreError:
        pass  # the terminal cannot even be made: documented
    else:
        raise AssertionError("booted without keys")


def test_a_key_store_that_stops_between_entry_and_advance():
    sim = Sim()

    def stop():
        raise KeyStoreError("key store: write failed")

    sim.board.keystore.on_advance = stop
    frames = len(sim.board.link.frames)
    assert sim.pay()["message"] == "keystore_fault"
    assert len(sim.board.link.frames) == frames
    sim.board.keystore.on_advance = None
    # K(i) was used: going on without a restart could seal two entries with it.
    assert sim.pay()["message"] == "keystore_fault"
    sim.start()
    sim.idle()
    assert sim.board.keystore.index == len(sim.entries())
    assert [p[0] for p in sim.entries()] == list(range(len(sim.entries())))


# -- bytes that pass the checksums and are not what the terminal wrote -----------------------------------------


def plant(sim, payload, tag=bytes(32)):
    """Put a CRC-correct frame at the journal's end, in the sealed form, as someone with access to the chip could."""
    ring = sim.terminal.runner.journal.ring
    size = len(payload)
    head = bytes((0x40 | size,)) if size < 24 else bytes((0x58, size))
    entry = b"\x84\x43\xa1\x01\x05\xa0" + head + payload + b"\x58\x20" + tag
    Frames(sim.board.flash).program_copy(ring.header.block, ring.pos, entry)


def planted(payload, what):
    sim = Sim()
    plant(sim, payload)
    before = bytes(sim.board.flash.store.view)
    try:
        ok, key = sim.start()
    except Exception as error:  # noqa: BLE001  the point is that none comes out
        raise AssertionError("boot raised %r on %s" % (error, what))
    assert not ok and key == "seal_mismatch", (what, key)
    assert bytes(sim.board.flash.store.view) == before


def test_a_planted_entry_with_a_wrong_tag():
    sim = Sim()
    seq = sim.terminal.runner.journal.seq
    planted(cbor.encode([seq, 24, 1, 1, 1, 1, [5, 1, 1]]), "a forged entry")


def test_planted_bytes_that_are_no_payload():
    planted(b"\xff" * 20, "no CBOR")
    planted(cbor.encode([]) + bytes(19), "trailing bytes")
    planted(cbor.encode(bytes(30)), "no array")
    planted(cbor.encode([[]] * 20), "an array of the wrong shape")


def test_planted_payloads_of_the_right_number_and_a_hostile_body():
    seq = Sim().terminal.runner.journal.seq
    for kind, body in (
        (7, [seq, 1, 1, "00", "", "", 0]),
        (8, [99999, 1, 0, "", 0]),
        (8, []),
        (9, [99999, 1, 1]),
        (5, [99, []]),
        (5, []),
        (6, [1]),
        (2, 7),
        (24, ["text", "text", "text"]),
    ):
        planted(cbor.encode([seq, kind, 1, 1, 1, 1, body]), (kind, body))


def test_a_sector_header_that_claims_the_next_number_and_holds_nothing():
    sim = Sim()
    journal = sim.terminal.runner.journal
    sequence = journal.ring.header.sequence
    journal.ring.open_sector(journal.seq + 1, journal.head)
    journal.ring.open_sector(journal.seq + 1, journal.head)
    assert journal.ring.header.sequence == sequence + 2
    try:
        ok, key = sim.start()
    except Exception as error:  # noqa: BLE001
        raise AssertionError("boot raised %r" % (error,))
    assert not ok and key == "seal_mismatch"


# -- old sectors that can no longer be read --------------------------------------------------------------------


def old_sector_gone(call):
    sim = Sim(blocks=8)
    while sim.terminal.runner.journal.ring.header.sequence < 2:
        sim.pay()
    sim.board.flash.store.view[5] ^= 1  # header of sector 0
    sim.start()
    try:
        return call(sim)
    except Exception as error:  # noqa: BLE001
        raise AssertionError("raised %r" % (error,))


def test_a_damaged_old_header_raises_nothing_out_of_pay():
    result = old_sector_gone(lambda sim: sim.pay())
    assert isinstance(result["message"], str) and result["message"]


def test_a_damaged_old_header_raises_nothing_out_of_status():
    status = old_sector_gone(lambda sim: sim.terminal.status())
    assert status["next_seq"] > 0


def test_a_damaged_old_header_raises_nothing_out_of_a_void():
    result = old_sector_gone(lambda sim: sim.pay(kind=2, original=2))
    assert result["ok"] is False


def unreadable(call):
    """A chip that refuses to be read (posfw.interfaces.Flash: readblocks raises OSError too)."""
    sim = Sim()

    def refuse(block, buf, off=0):
        raise OSError(5)

    sim.board.flash.readblocks = refuse
    try:
        return call(sim)
    except Exception as error:  # noqa: BLE001
        raise AssertionError("raised %r" % (error,))


def test_a_chip_that_cannot_be_read_raises_nothing_out_of_pay():
    assert unreadable(lambda sim: sim.pay())["ok"] is False


def test_a_chip_that_cannot_be_read_raises_nothing_out_of_boot():
    assert unreadable(lambda sim: sim.start())[0] is False


def test_a_chip_that_cannot_be_read_raises_nothing_out_of_status():
    assert unreadable(lambda sim: sim.terminal.status())
