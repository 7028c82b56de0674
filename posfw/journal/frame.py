"""Frames: how one entry lies in an erase block (docs/journal-format.md 1.2).

Knows bytes and program units, nothing of what an entry means. The ring and the vault both stand on it.
"""

from binascii import crc32  # as it is: codec.crc's takes parts, which costs a tuple a call
from struct import pack_into

from posfw.codec.crc import crc16
from posfw.micro import const

MAX_ENTRY = 2048
END = 0  # erased to the end of the block
TORN = -1  # a program or an erase was interrupted here: nothing may be appended behind it

_OVERHEAD = const(8)
_CHUNK = const(256)
_BLANK = b"\xff" * _CHUNK
_chunk = memoryview(bytearray(_CHUNK))  # what is read only to be compared; all Frames share it


class FrameError(Exception):
    """The flash failed: it did not take what was programmed, or cannot be read. What stands there is now unknown."""


class Frames:
    """Frames on one flash device. Holds the one buffer all programs go through; not reentrant.

    `flash` is a posfw.hal.Flash. `blocks`, `block_size` and `unit` (the program size) are its geometry, in bytes.
    `entry_buffer` is the place to build the next entry in: a memoryview of `max_entry` bytes, its content valid until
    the next program.
    """

    def __init__(self, flash, max_entry=MAX_ENTRY):
        self.flash = flash
        self.max_entry = max_entry
        self.unit = flash.program_size
        self.blocks = flash.ioctl(4, 0)
        self.block_size = flash.ioctl(5, 0)
        self._view = memoryview(bytearray(max_entry + _OVERHEAD + self.unit))
        self._length = self._view[:2]
        self.entry_buffer = self._view[4 : 4 + max_entry]
        self._tail = "<I%ds" % self.unit
        self._head = bytearray(4)

    def fetch(self, block, buf, pos):
        """Read len(buf) bytes into `buf`. Raises FrameError."""
        try:
            self.flash.readblocks(block, buf, pos)
        except OSError as e:
            raise FrameError("read failed at block %d+%d: %s" % (block, pos, e))

    def padded(self, size):
        """`size` rounded up to whole program units."""
        return (size + self.unit - 1) // self.unit * self.unit

    def space(self, length):
        """Bytes of flash a frame around an entry of `length` bytes takes."""
        return self.padded(length + _OVERHEAD)

    def program_entry(self, block, pos, entry):
        """Program `entry`, the beginning of entry_buffer, in a frame; return the next free position.

        Reads back what was programmed: a flash that reports success and keeps something else is worse than one
        that fails. Raises FrameError; then the frame may be absent, torn or whole, and read() tells which.
        """
        view, length = self._view, len(entry)
        total = self.space(length)
        # pack_into() copies without slice objects, and a whole unit of FF costs less than to count how many are due.
        pack_into("<H", view, 0, length)
        pack_into("<H", view, 2, crc16(self._length))
        pack_into(self._tail, view, 4 + length, crc32(entry), _BLANK)
        self.program(block, pos, view[:total])
        return pos + total

    def program(self, block, pos, data):
        """Program whole units and read them back. Raises FrameError."""
        try:
            self.flash.writeblocks(block, data, pos)
        except OSError as e:
            raise FrameError("program failed at block %d+%d: %s" % (block, pos, e))
        size = len(data)
        for off in range(0, size, _CHUNK):
            part = _chunk[: size - off]
            self.fetch(block, part, pos + off)
            if part != (data if size <= _CHUNK else data[off : off + _CHUNK]):
                raise FrameError("block %d+%d does not hold what was programmed" % (block, pos + off))

    def program_copy(self, block, pos, entry):
        """Program `entry`, complete bytes from elsewhere; return the next free position. Raises FrameError."""
        place = self.entry_buffer[: len(entry)]
        place[:] = entry
        return self.program_entry(block, pos, place)

    def erase(self, block):
        """Erase and check that the block is blank. Raises FrameError."""
        try:
            self.flash.ioctl(6, block)
        except OSError as e:
            raise FrameError("erase of block %d failed: %s" % (block, e))
        if not self.blank(block, 0):
            raise FrameError("block %d is not blank after its erase" % block)

    def blank(self, block, pos):
        """True if the block reads FF from `pos` to its end."""
        while pos < self.block_size:
            part = _chunk[: self.block_size - pos]
            self.fetch(block, part, pos)
            if part != (_BLANK if len(part) == _CHUNK else _BLANK[: len(part)]):
                return False
            pos += _CHUNK
        return True

    def read(self, block, pos):
        """Return (entry, next position) of the frame at `pos`; entry is bytes, or END or TORN in its place.

        Raises FrameError.
        """
        room = self.block_size - pos
        if room <= _OVERHEAD:
            return (END if self.blank(block, pos) else TORN), pos
        head = self._head
        self.fetch(block, head, pos)
        if head == b"\xff\xff\xff\xff":
            return (END if self.blank(block, pos) else TORN), pos
        length = head[0] | head[1] << 8
        if crc16(head[:2]) != head[2] | head[3] << 8 or not 0 < length <= self.max_entry or self.space(length) > room:
            return TORN, pos
        body = bytearray(length + 4)
        self.fetch(block, body, pos + 4)
        entry = bytes(memoryview(body)[:length])
        if crc32(entry) != int.from_bytes(body[length:], "little"):
            return TORN, pos
        return entry, pos + self.space(length)
