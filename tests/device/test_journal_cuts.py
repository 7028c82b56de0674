"""The journal alone under power cuts: every flash operation of a script cut after every byte that can land.

Each cut happens in a copy of the flash as it stood at that moment, so the script itself runs once per geometry.
"""

from sim import JOURNAL_ID, SimKeyStore

from board.emulated.nor import NorFlash
from posfw.codec.crc import crc32
from posfw.journal import seal
from posfw.journal.journal import CLEAN, KEY_BEHIND, SECTOR_UNFINISHED, TORN_FRAME, Journal
from posfw.numbers import FAULT, SNAPSHOT

HEAP = "1M"  # flash and its copies lie in RAM
NOW = (1000, 1795406400, 1)
FIRST_KEY = SimKeyStore().key


class Fold:
    """A state like the terminal's, reduced to what tells two histories apart."""

    def __init__(self):
        self.body = [0, 0]

    def apply(self, payload):
        if payload[1] == SNAPSHOT:
            self.body = payload[6]
        else:
            self.body = [self.body[0] + 1, crc32(payload[6][0], self.body[1].to_bytes(4, "big"))]


class Bench:
    """One device: flash, key store, journal; `acknowledged` is what append() returned for."""

    def __init__(self, unit=32, blocks=8, size=768):
        self.flash = NorFlash(blocks, size, unit)
        self.keystore = SimKeyStore()
        self.acknowledged = []
        self.boots = 0

    def start(self):
        self.journal = Journal(self.flash, self.keystore, lambda: self.fold.body)
        self.fold = self.journal.recover(Fold, Fold.apply)
        self.boots += 1
        self.journal.boot += 1

    def add(self, data):
        _, payload = self.journal.append(FAULT, [data], NOW)
        self.fold.apply(payload)
        self.acknowledged.append(data)

    def copy(self, image, spent, index, key):
        other = Bench(self.flash.program_size, self.flash.blocks, self.flash.block_size)
        other.flash.store.view[:] = image
        other.flash._spent = {block: set(offs) for block, offs in spent.items()}
        other.keystore.index, other.keystore.key = index, key
        other.acknowledged = list(self.acknowledged)
        return other


def verified(bench):
    """Every entry in order, each under its own key; returns the data of the entries that are not SNAPSHOTs."""
    key, head, data, number = FIRST_KEY, seal.genesis(JOURNAL_ID), [], 0
    from posfw.codec import cbor

    for seq, entry in bench.journal.read(0):
        assert seq == number, (seq, number)
        assert seal.verify(entry, key, head), seq
        payload = cbor.decode(seal.payload_of(entry))
        assert payload[0] == seq
        if payload[1] != SNAPSHOT:
            data.append(payload[6][0])
        key, head, number = seal.ratchet(key), seal.chain(head, entry), number + 1
    assert number == bench.journal.seq == bench.keystore.index
    assert head == bench.journal.head and key == bench.keystore.key
    return data


def check(bench, pending, what):
    """After a cut: what was acknowledged is there, at most `pending` besides; the journal goes on and is clean then."""
    bench.start()
    landed = verified(bench)
    assert landed in (bench.acknowledged, bench.acknowledged + [pending]), what  # noqa: RUF005
    unclean = bench.journal.unclean
    bench.acknowledged = landed
    expected = Fold()
    for item in landed:
        expected.apply([0, FAULT, 0, 0, 0, 0, [item]])
    assert bench.fold.body == expected.body, what
    bench.add(b"after the cut")
    assert verified(bench) == bench.acknowledged, what
    body = bench.fold.body
    bench.start()
    assert bench.journal.unclean == CLEAN, what
    assert bench.fold.body == body, what
    return unclean


class Cutter:
    """Stands between journal and flash, and tries every cut of each operation before letting it happen."""

    def __init__(self, bench, every):
        self.bench, self.every = bench, every
        self.chip = bench.flash
        self.program_size = self.chip.program_size
        self.pending = None
        self.cuts, self.flags = 0, set()

    def readblocks(self, block, buf, off=0):
        self.chip.readblocks(block, buf, off)

    def try_cut(self, pos, data, what):
        chip, keystore = self.chip, self.bench.keystore
        other = self.bench.copy(chip.store.view, chip._spent, keystore.index, keystore.key)
        other.flash.store.view[pos : pos + len(data)] = data
        self.cuts += 1
        self.flags.add(check(other, self.pending, what))

    def writeblocks(self, block, buf, off=0):
        data, start = bytes(buf), block * self.chip.block_size + off
        ends = range(0, len(data) + 1, self.every)
        for end in list(ends) + [len(data)]:  # noqa: RUF005
            self.try_cut(start, data[:end], ("program", block, off, end))
        if len(data) > 40:
            # Not only prefixes land: all but one byte, and one bit short.
            for hole in (0, 3, 20, 39):
                torn = bytearray(data)
                torn[hole] = 0xFF
                self.try_cut(start, torn, ("hole", block, off, hole))
        self.chip.writeblocks(block, buf, off)

    def ioctl(self, op, arg):
        if op == 6:
            start, size = arg * self.chip.block_size, self.chip.block_size
            old = bytes(self.chip.store.view[start : start + size])
            for end in (0, 1, 3, 68, size // 2, size - 1, size):
                self.try_cut(start, b"\xff" * end + old[end:], ("erase", arg, end))
                self.try_cut(start, old[: size - end] + b"\xff" * end, ("erase from behind", arg, end))
        return self.chip.ioctl(op, arg)


def script(unit, every, restart=False):
    bench = Bench(unit, size=512 if unit < 32 else 768)
    cutter = Cutter(bench, every)
    real, bench.flash = bench.flash, cutter
    cutter.blocks, cutter.block_size = real.blocks, real.block_size
    bench.copy = lambda *a: Bench.copy(Plain(real, bench.acknowledged), *a)
    bench.start()
    for i in range(7):
        cutter.pending = bytes([i]) * (i * 9 % 40)
        if restart and i == 5:
            # An entry that landed while its key did not move: the next append opens a sector with its copy.
            def stop():
                raise Cut()

            bench.keystore.on_advance = stop
            try:
                bench.add(cutter.pending)
            except Cut:
                pass
            bench.keystore.on_advance = None
            bench.start()
            assert bench.journal.unclean == KEY_BEHIND
            bench.acknowledged[:] = verified(bench)
            continue
        bench.add(cutter.pending)
    assert verified(bench) == bench.acknowledged
    assert bench.journal.ring.header.sequence > 0
    return cutter


class Cut(Exception):
    """The supply failed."""


class Plain:
    """What Bench.copy needs of the bench that is being cut."""

    def __init__(self, flash, acknowledged):
        self.flash, self.acknowledged = flash, acknowledged


def test_every_byte_of_every_program_units_of_1():
    cutter = script(1, 1)
    assert cutter.cuts > 800
    assert {CLEAN, TORN_FRAME, KEY_BEHIND, SECTOR_UNFINISHED} <= cutter.flags


def test_every_fifth_byte_of_every_program_units_of_32():
    cutter = script(32, 5)
    assert cutter.cuts > 150
    assert {CLEAN, TORN_FRAME, KEY_BEHIND, SECTOR_UNFINISHED} <= cutter.flags


def test_programs_cut_in_units_of_4_and_256():
    for unit in (4, 256):
        assert script(unit, 17).cuts > 80


def test_cuts_while_a_dirty_stop_is_being_carried_over():
    for unit in (1, 32):
        cutter = script(unit, 5, restart=True)
        # The copy, the header and the SNAPSHOT of the fresh sector were all cut.
        assert SECTOR_UNFINISHED in cutter.flags


def test_a_cut_before_the_first_byte_leaves_a_clean_end():
    bench = Bench()
    bench.start()
    bench.add(b"one")
    bench.start()
    assert bench.journal.unclean == CLEAN
    assert verified(bench) == [b"one"]


def test_a_bit_flipped_in_any_byte_of_an_unacknowledged_frame():
    bench = Bench()
    bench.start()
    bench.add(b"one")
    bench.add(b"two")
    index, key = bench.keystore.index, bench.keystore.key
    start = bench.journal.ring.pos
    bench.add(b"three" * 6)
    end = bench.journal.ring.pos
    bench.acknowledged.pop()
    view = bench.flash.store.view
    for pos in range(start, end):
        other = Bench.copy(bench, view, {}, index, key)
        other.flash.store.view[pos] ^= 1 << (pos % 8)
        inside = pos - start < 8 + (bench.flash.store.view[start] | bench.flash.store.view[start + 1] << 8)
        flags = check(other, None if inside else b"three" * 6, pos)
        # A padding byte is nobody's: the frame before it is whole.
        assert flags == (TORN_FRAME if inside else KEY_BEHIND), (pos, flags)


def test_the_torn_frame_stays_and_nothing_is_appended_behind_it():
    bench = Bench()
    bench.start()
    bench.add(b"one")
    pos = bench.journal.ring.pos
    bench.flash.store.view[pos : pos + 9] = b"\x40\x00garbage"
    before = bytes(bench.flash.store.view[: bench.flash.block_size])
    bench.start()
    assert bench.journal.unclean == TORN_FRAME
    bench.add(b"two")
    assert bytes(bench.flash.store.view[: bench.flash.block_size]) == before
    assert bench.journal.ring.header.sequence == 1
    # The fresh sector opens with the same bytes as the last valid entry.
    first = next(bench.journal.ring.entries(bench.journal.ring.header))[1]
    assert first == next(bench.journal.read(0))[1]
    assert [seq for seq, _ in bench.journal.read(0)] == [0, 1, 2]
