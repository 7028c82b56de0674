"""The ring: turning round, being full, finding its end whatever is damaged, and never erasing by itself."""

from sim import JOURNAL_ID, SimKeyStore

from board.emulated.nor import ERASE, NorFlash
from posfw.codec import cbor
from posfw.journal import seal
from posfw.journal.frame import Frames
from posfw.journal.journal import CLEAN, SECTOR_UNFINISHED, TORN_FRAME, Journal
from posfw.journal.ring import Ring, RingError, RingFull
from posfw.journal.seal import SealError
from posfw.numbers import EXPORT, FAULT, SNAPSHOT

HEAP = "1M"  # the simulated flash lies in RAM
NOW = (1000, 1795406400, 1)


class Bench:
    """A journal whose state is the list of its FAULT bodies' first numbers, kept short as a terminal's state is."""

    def __init__(self, unit=32, blocks=4, size=512, journal_id=JOURNAL_ID):
        self.flash, self.keystore = NorFlash(blocks, size, unit), SimKeyStore()
        if journal_id != JOURNAL_ID:
            self.keystore.identity = lambda: ("T-0001", journal_id)
        self.start()

    def start(self):
        self.journal = Journal(self.flash, self.keystore, lambda: [self.last])
        self.last = -1
        self.journal.recover(list, self.apply)
        self.journal.boot += 1
        return self

    def apply(self, state, payload):
        self.last = payload[6][0]

    def add(self, value, size=10):
        _, payload = self.journal.append(FAULT, [value, bytes(size)], NOW)
        self.last = payload[6][0]

    def fill(self, sectors):
        """Append until the newest sector's sequence number is `sectors`."""
        while self.journal.ring.header is None or self.journal.ring.header.sequence < sectors:
            self.add(self.last + 1)
        return self

    def image(self):
        return bytes(self.flash.store.view)

    def numbers(self, first=0):
        return [seq for seq, _ in self.journal.read(first)]


def payloads(bench, first=0):
    return [cbor.decode(seal.payload_of(entry)) for _, entry in bench.journal.read(first)]


def test_each_sector_but_the_first_opens_with_a_snapshot():
    for unit in (1, 4, 32, 256):
        bench = Bench(unit, size=1024).fill(3)
        ring = bench.journal.ring
        assert [ring.read_header(b).sequence for b in range(4)] == [0, 1, 2, 3]
        for sequence in range(4):
            header = ring.sector(sequence)
            first = cbor.decode(seal.payload_of(next(ring.entries(header))[1]))
            assert first[0] == header.first_seq
            assert first[1] == (SNAPSHOT if sequence else FAULT)
            if sequence:
                # The state up to now is that of the last entry before it.
                assert first[6] == [payloads(bench)[first[0] - 1][6][0]]
        assert bench.numbers() == list(range(bench.journal.seq))


def test_a_full_ring_refuses_and_stays_as_it_is():
    bench = Bench().fill(3)
    full = None
    for value in range(100):
        before = bench.image(), bench.keystore.index, bench.journal.seq, bench.journal.head
        try:
            bench.add(bench.last + 1)
        except RingFull:
            full = value
            break
    assert full is not None
    for _ in range(3):
        try:
            bench.add(0)
        except RingFull:
            pass
        else:
            raise AssertionError("a full ring took an entry")
    assert (bench.image(), bench.keystore.index, bench.journal.seq, bench.journal.head) == before
    assert bench.journal.free_sectors() == 0
    assert bench.numbers() == list(range(bench.journal.seq))
    last = bench.last
    bench.start()
    assert bench.last == last and bench.journal.unclean == CLEAN
    assert bench.numbers() == list(range(bench.journal.seq))
    assert bench.image() == before[0]


def test_a_full_ring_still_answers_a_pull():
    # EXPORT proves the end of what is pulled, and only a pull frees a full ring.
    for unit in (1, 32):
        bench = Bench(unit, size=1024).fill(3)
        try:
            while True:
                bench.add(bench.last + 1, 60)
        except RingFull:
            pass
        bench.journal.append(EXPORT, [bytes(16), 1], NOW)
        assert payloads(bench)[-1][1] == EXPORT
        assert bench.numbers() == list(range(bench.journal.seq))
        try:
            for _ in range(20):
                bench.journal.append(EXPORT, [bytes(16), 1], NOW)
        except RingFull:
            pass
        else:
            raise AssertionError("no end")
        assert bench.numbers() == list(range(bench.journal.seq))


def test_a_dirty_stop_on_a_full_ring_loses_nothing():
    bench = Bench().fill(3)
    ring = bench.journal.ring
    pos = ring.header.block * 512 + ring.pos
    bench.flash.store.view[pos : pos + 6] = b"\x50\x00torn"
    before = bench.image()
    for _ in range(2):
        bench.start()
        assert bench.journal.unclean == TORN_FRAME
        try:
            bench.add(1)
        except RingFull:
            pass
        else:
            raise AssertionError("appended behind a torn frame")
        assert bench.image() == before
        assert bench.numbers() == list(range(bench.journal.seq))


def test_released_sectors_come_round_again_and_only_they():
    bench = Bench()
    erases = []
    bench.flash.on_op = lambda op, block, off, length: erases.append(block) if op == ERASE else None
    oldest = 0
    for _ in range(150):
        bench.journal.ring.released = max(0, bench.journal.seq - 7)
        kept = bench.journal.ring.released
        bench.add(bench.last + 1)
        oldest = bench.journal.first_seq()
        assert oldest <= kept, (oldest, kept)
        assert bench.numbers(oldest) == list(range(oldest, bench.journal.seq))
    assert bench.journal.ring.header.sequence > 12 and oldest > 0
    # In turn, each block as often as its neighbour within one; the headers say how often.
    assert erases == [i % 4 for i in range(len(erases))]
    for block in range(4):
        assert bench.journal.ring.read_header(block).erases == erases.count(block)
    # Entries that are gone are not made up.
    assert bench.numbers(0) == []
    last, seq, head = bench.last, bench.journal.seq, bench.journal.head
    bench.start()
    assert (bench.last, bench.journal.seq, bench.journal.head) == (last, seq, head)


def test_the_end_is_found_at_every_place_of_the_ring():
    for blocks in (4, 5, 8):
        bench = Bench(unit=4, blocks=blocks, size=256)
        for _ in range(3 * blocks):
            sequence = -1 if bench.journal.ring.header is None else bench.journal.ring.header.sequence
            bench.journal.ring.released = bench.journal.seq
            bench.fill(sequence + 1)
            last, seq = bench.last, bench.journal.seq
            reads = bench.flash.reads
            Ring(Frames(bench.flash), JOURNAL_ID).locate()
            assert bench.flash.reads - reads <= 5  # headers: one, then as many as there are bits in the number
            bench.start()
            assert (bench.last, bench.journal.seq) == (last, seq), (blocks, sequence)


def test_a_cut_while_the_first_sector_is_erased_again():
    # The ring has not turned yet, so sector 0 is the oldest and the next to go.
    for blank in (True, False):
        bench = Bench().fill(3)
        bench.journal.ring.released = bench.journal.seq
        if blank:
            bench.flash.ioctl(6, 0)
        else:
            bench.flash.store.view[0:300] = b"\xff" * 300
        bench.start()
        bench.journal.ring.released = bench.journal.seq
        assert bench.journal.free_sectors() == 3
        first = bench.journal.first_seq()
        assert bench.numbers(first) == list(range(first, bench.journal.seq))
        bench.fill(5)
        assert bench.journal.ring.sector(4) is not None


def test_a_cut_while_a_later_sector_is_erased_again():
    for turn in range(4, 9):
        bench = Bench()
        for sequence in range(turn + 1):
            bench.journal.ring.released = bench.journal.seq
            bench.fill(sequence)
        bench.flash.ioctl(6, (turn + 1) % 4)
        seq = bench.journal.seq
        bench.start()
        bench.journal.ring.released = seq
        first = bench.journal.first_seq()
        assert bench.numbers(first) == list(range(first, seq)), turn
        bench.fill(turn + 1)


def test_a_sector_header_torn_at_every_byte():
    bench = Bench().fill(1)
    image, index, key = bench.image(), bench.keystore.index, bench.keystore.key
    sector = image[512:1024]
    # The key store as it stood before that sector: one entry, its SNAPSHOT, and the entry behind it.
    before = Bench()
    while before.journal.seq < bench.journal.ring.sector(1).first_seq:
        before.add(before.last + 1)
    for end in range(97):
        other = Bench()
        other.flash.store.view[:] = image
        other.flash.store.view[512:1024] = sector[:end] + b"\xff" * (512 - end)
        other.keystore.index, other.keystore.key = before.keystore.index, before.keystore.key
        other.start()
        assert other.journal.unclean == (SECTOR_UNFINISHED if end >= 68 else CLEAN), end
        assert other.journal.seq == before.journal.seq
        other.add(5)
        other.add(6)
        assert other.numbers() == list(range(other.journal.seq)), end
        other.start()
        assert other.last == 6
    assert index > before.keystore.index and key != before.keystore.key


def test_a_damaged_old_header_does_not_hide_the_end():
    for block in range(3):
        bench = Bench().fill(3)
        last, seq = bench.last, bench.journal.seq
        bench.flash.store.view[block * 512 + 5] ^= 1
        bench.start()
        assert (bench.last, bench.journal.seq) == (last, seq), block


def test_reading_past_a_damaged_old_sector_is_an_error_not_a_gap():
    bench = Bench(blocks=5).fill(3)
    second = bench.journal.ring.sector(1).first_seq
    bench.flash.store.view[512 + 40] ^= 1
    bench.start()
    got, error = [], None
    try:
        for seq, _ in bench.journal.read(0):
            got.append(seq)
    except RingError as e:
        error = str(e)
    assert error is not None or got == list(range(bench.journal.seq)), "entries from %d on vanished silently" % second


def test_another_journals_sectors_are_left_alone():
    other = Bench(journal_id=b"another journal!")
    other.fill(2)
    image = other.image()
    flash, keystore = NorFlash(4, 512, 32), SimKeyStore()
    flash.store.view[:] = image
    # This terminal's key store says that there is a journal: this flash is not it.
    keystore.index = other.keystore.index
    try:
        Journal(flash, keystore, list).recover(list, lambda state, payload: None)
    except SealError:
        pass
    else:
        raise AssertionError("took another journal for its own")
    assert bytes(flash.store.view) == image


def test_headers_that_must_be_refused():
    bench = Bench().fill(2)
    ring = bench.journal.ring
    good = bytes(bench.flash.store.view[512:1024])
    for off, value in ((0, 0x51), (2, 2), (3, 4), (4, 0xFF), (20, 2), (24, 9), (63, 0), (64, good[64] ^ 0x80)):
        bench.flash.store.view[512 + off] = value if good[off] != value else value ^ 1
        assert ring.read_header(1) is None, off
        bench.flash.store.view[512:1024] = good
    assert ring.read_header(1).sequence == 1
    # The same bytes at a block where they do not belong.
    bench.flash.store.view[1536:2048] = good
    assert ring.read_header(3) is None


def test_geometry_and_sizes_that_cannot_hold_a_journal():
    try:
        Ring(Frames(NorFlash(3, 512, 32)), JOURNAL_ID)
    except RingError:
        pass
    else:
        raise AssertionError("three blocks taken")


def test_the_largest_entry_and_one_byte_more():
    bench = Bench(blocks=4, size=4096)
    bench.add(1, 1700)
    size = len(payloads(bench)[0][6][1])
    room = 1900 - (len(seal.payload_of(next(bench.journal.read(0))[1])) - size)
    bench.add(2, room)
    assert len(seal.payload_of(next(bench.journal.read(1))[1])) == 1900
    before, seq = bench.image(), bench.journal.seq
    raised = None
    try:
        bench.add(3, room + 1)
    except Exception as error:  # noqa: BLE001  which type is the point
        raised = error
    assert raised is not None and bench.image() == before and bench.journal.seq == seq
    assert isinstance(raised, (SealError, RingError)) or type(raised).__name__ == "JournalError", repr(raised)
    bench.add(4)
    assert bench.numbers() == [0, 1, 2]
