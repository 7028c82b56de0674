"""The ring of sectors: headers, where the journal ends, where it goes on (docs/journal-format.md 1.1 and 1.3).

Knows entries as opaque bytes with sequence numbers. The rule that makes power cuts harmless: nothing is appended
behind a torn frame, and no sector is erased unless everything in it was released or stands elsewhere.
"""

from binascii import crc32
from struct import pack_into, unpack

from posfw.journal.frame import END, TORN
from posfw.micro import const

_HEADER = const(68)
_FORMAT = "<3sB16sIII32sI"  # docs/journal-format.md 1.1
_LAST_SEQUENCE = const(0xFFFFFF00)  # no flash lives that long: a number beyond was not written by us
_MAGIC = b"PJ\x01"
MIN_BLOCKS = 4


class RingError(Exception):
    """The ring cannot be used as it is; the text says what a technician should do."""


class RingFull(Exception):
    """No sector is free. Pull the journal and release it; nothing was written."""


class Header:
    """A sector header. `block` is where it lies."""

    def __init__(self, block, sequence, first_seq, erases, head):
        self.block = block
        self.sequence = sequence
        self.first_seq = first_seq
        self.erases = erases
        self.head = head


class Ring:
    """The sectors on a Frames device.

    released: entries below this number need not be kept (from the journal's RELEASE entries).
    After locate(), `header` is the newest sector (None: the ring is blank) and `pos` the place of the next frame.
    """

    def __init__(self, frames, journal_id):
        if frames.blocks < MIN_BLOCKS:
            raise RingError("the journal needs %d erase blocks or more" % MIN_BLOCKS)
        self.frames = frames
        self.journal_id = journal_id
        self.released = 0
        self.header = None
        self.pos = 0
        self.start = frames.padded(_HEADER)
        # What free_sectors() found last, and what for: last_sector() is asked before appends, and reading headers each
        # time cost the append a third of its instructions.
        self._free = 0
        self._free_at = self._free_released = None

    # -- headers ---------------------------------------------------------------------------------------------

    def read_header(self, block):
        """Return the block's Header, or None if it holds no sector of this journal."""
        raw = bytearray(_HEADER)
        self.frames.fetch(block, raw, 0)
        magic, unit, journal_id, sequence, first_seq, erases, head, check = unpack(_FORMAT, raw)
        if magic != _MAGIC or crc32(memoryview(raw)[:64]) != check:
            return None
        if journal_id != self.journal_id or 1 << unit != self.frames.unit:
            return None
        if sequence % self.frames.blocks != block or sequence >= _LAST_SEQUENCE:
            return None
        return Header(block, sequence, first_seq, erases, head)

    def _program_header(self, block, sequence, first_seq, erases, head):
        raw = bytearray(b"\xff" * self.start)
        unit = 0
        while 1 << unit < self.frames.unit:
            unit += 1
        pack_into(_FORMAT, raw, 0, _MAGIC, unit, self.journal_id, sequence, first_seq, erases, head, 0)
        pack_into("<I", raw, 64, crc32(memoryview(raw)[:64]))
        self.frames.program(block, 0, raw)
        return Header(block, sequence, first_seq, erases, head)

    # -- finding the end -------------------------------------------------------------------------------------

    def locate(self, thorough=False):
        """Find the newest sector. Binary search; with `thorough` every header is read, for a ring that was damaged."""
        blocks = self.frames.blocks
        if thorough:
            found = None
            for block in range(blocks):
                header = self.read_header(block)
                if header is not None and (found is None or header.sequence > found.sequence):
                    found = header
            self.header = found
        else:
            self.header = self._search(blocks)
        self.pos = self.start
        return self.header

    def _search(self, blocks):
        first = self.read_header(0)
        if first is None:
            # Block 0 blank or caught in its erase: the sector before it in the ring, if any, is the newest.
            return self.read_header(blocks - 1)
        low, newest, high = 0, first, blocks
        while high - low > 1:
            middle = (low + high) // 2
            header = self.read_header(middle)
            if header is not None and header.sequence == first.sequence + middle:
                low, newest = middle, header
            else:
                high = middle
        return newest

    def sector(self, sequence):
        """The Header of the sector with this sequence number, or None."""
        if sequence < 0:
            return None
        header = self.read_header(sequence % self.frames.blocks)
        return header if header is not None and header.sequence == sequence else None

    def entries(self, header, pos=0):
        """Yield (position, entry) of the sector from `pos` on; last yields (position, END) or (position, TORN)."""
        pos = pos or self.start
        while True:
            entry, after = self.frames.read(header.block, pos)
            if entry is END or entry is TORN:
                yield pos, entry
                return
            yield pos, entry
            pos = after

    def oldest(self):
        """The Header of the oldest sector still there. Raises RingError if none can be read."""
        wrapped = self.header.sequence - self.frames.blocks + 1
        header = self.sector(max(wrapped, 0))
        if header is None and wrapped >= 0:
            # The next to be written: a power cut caught it in its erase, or just after.
            header = self.sector(wrapped + 1)
        if header is None:
            raise RingError("the oldest journal sector cannot be read: pull what is left and send the terminal in")
        return header

    def find(self, seq):
        """The newest sector whose first entry is not above `seq`, by binary search; None if `seq` is gone."""
        low, high = self.oldest().sequence, self.header.sequence
        found = None
        while low <= high:
            middle = (low + high) // 2
            header = self.sector(middle)
            if header is None:
                raise RingError("journal sector %d cannot be read" % middle)
            if header.first_seq <= seq:
                found, low = header, middle + 1
            else:
                high = middle - 1
        return found

    # -- going on --------------------------------------------------------------------------------------------

    def free_sectors(self):
        """How many sectors may still be opened before the ring is full."""
        if self.header is None:
            return self.frames.blocks
        self._free_at = None
        kept = self.find(self.released) or self.oldest()
        self._free = self.frames.blocks - (self.header.sequence - kept.sequence + 1)
        self._free_at, self._free_released = self.header, self.released
        return self._free

    def last_sector(self):
        """True if no other sector may be opened. Reads headers only where the newest sector or `released` changed:
        what it may have missed since, open_sector() finds."""
        if self._free_at is not self.header or self._free_released != self.released:
            return self.free_sectors() < 1
        return self._free < 1

    def open_sector(self, first_seq, head, again=False):
        """Erase and head the next sector, or the newest one `again` when nothing new is in it.

        Raises RingFull (nothing was changed) or FrameError (the block is not usable now; call again).
        """
        old = self.header
        if old is None:
            sequence = 0
        elif again:
            sequence = old.sequence
        else:
            if self.free_sectors() < 1:
                raise RingFull()
            sequence = old.sequence + 1
        block = sequence % self.frames.blocks
        previous = self.read_header(block) if old is not None else None
        if previous is not None:
            erases = previous.erases
        else:
            # A header lost to a power cut: wear is even, so the neighbour's count is right within one.
            erases = old.erases - 1 if old is not None and (again or sequence >= self.frames.blocks) else 0
        self.frames.erase(block)
        self.header = self._program_header(block, sequence, first_seq, erases + 1, head)
        if old is not None and not again:
            # One fewer than free_sectors() found above. More only if all was released: then many.
            self._free -= 1
            self._free_at = self.header
        self.pos = self.start

    def room_for(self, length):
        """True if a frame around `length` bytes fits into the newest sector."""
        return self.pos + self.frames.space(length) <= self.frames.block_size
