"""NOR flash that refuses what NOR refuses, in RAM or in a file that survives the process.

Interface: posfw.hal.Flash. Bits go from 1 to 0 only; whole units of `program_size` bytes; one program per unit
between two erases, all zeros excepted (shredding). An emulation that allowed more would hide a bug until the field.
"""

from array import array

from posfw.micro import const

from . import files

# Operations, as `on_op` is told them.
PROGRAM, ERASE = 1, 2

_EIO = const(5)
_EINVAL = const(22)
_CHUNK = const(256)  # a multiple of every program size
_BLANK = b"\xff" * _CHUNK
_ZERO = bytes(_CHUNK)


class RamStore:
    """`size` bytes of RAM, blank."""

    def __init__(self, size):
        self.view = memoryview(bytearray(size))
        for at in range(0, size, _CHUNK):
            self.view[at : at + _CHUNK] = _BLANK

    def read(self, pos, buf):
        buf[:] = self.view[pos : pos + len(buf)]

    def write(self, pos, data):
        self.view[pos : pos + len(data)] = data


class FileStore:
    """`size` bytes in the file `path`, made blank if it is missing. Raises OSError if it has another size."""

    def __init__(self, path, size):
        if not files.exists(path):
            # Filled under another name: a kill while filling must not leave a short chip behind.
            file = files.open_raw(path + ".new", "wb")
            for _ in range(size // _CHUNK):
                files.write_all(file, _BLANK)
            file.close()
            files.os.rename(path + ".new", path)
        if files.os.stat(path)[6] != size:
            raise OSError(_EINVAL, "flash image has another size: use its geometry, or start with a new directory")
        self._file = files.open_raw(path, "r+b")

    def read(self, pos, buf):
        self._file.seek(pos)
        if self._file.readinto(buf) != len(buf):
            raise OSError(_EIO, "flash image is shorter than it was: it was cut while in use")

    def write(self, pos, data):
        self._file.seek(pos)
        files.write_all(self._file, data)

    def close(self):
        self._file.close()


class NorFlash:
    """A chip of `blocks` erase blocks of `block_size` bytes over a store.

    `on_op(op, block, off, length)`, if set, is called before a legal program or erase takes effect; what it raises
    reaches the caller and nothing is changed. Counters, from 0 with each object: `erases` (an array, per block),
    `programs`, `programmed` (bytes), `reads`, `read_bytes`.
    """

    def __init__(self, blocks, block_size, program_size=32, path=None):
        if program_size not in (1, 4, 8, 16, 32, 64, 128, 256) or block_size % _CHUNK or blocks < 1:
            raise ValueError("flash geometry: program size 1, 4 .. 256, block size in whole 256 bytes")
        self.program_size = program_size
        self.blocks = blocks
        self.block_size = block_size
        self.store = FileStore(path, blocks * block_size) if path else RamStore(blocks * block_size)
        self.on_op = None
        self.erases = array("I", bytes(4 * blocks))
        self.programs = self.programmed = self.reads = self.read_bytes = 0
        self._scratch = bytearray(_CHUNK)
        self._old = memoryview(self._scratch)
        self._blank_unit = _BLANK[:program_size]
        self._zero_unit = _ZERO[:program_size]
        # A unit programmed with FF looks erased and is not. Per block, the offsets of such units: rarely any.
        self._spent = {}

    def readblocks(self, block, buf, off=0):
        """Read len(buf) bytes of `block` from byte `off`. Raises OSError out of range."""
        pos = self._at(block, off, len(buf))
        self.store.read(pos, buf if isinstance(buf, memoryview) else memoryview(buf))
        self.reads += 1
        self.read_bytes += len(buf)

    def writeblocks(self, block, buf, off=0):
        """Program whole units. Raises OSError, and then nothing was programmed."""
        view = memoryview(buf)
        size = len(view)
        pos = self._at(block, off, size)
        if off % self.program_size or size % self.program_size:
            raise OSError(_EINVAL, "flash: program only whole units of %d bytes" % self.program_size)
        for at in range(0, size, _CHUNK):
            self._check(block, off + at, view[at : at + _CHUNK], pos + at)
        if self.on_op:
            self.on_op(PROGRAM, block, off, size)
        self.store.write(pos, view)
        for at in range(0, size, _CHUNK):
            self._note_spent(block, off + at, view[at : at + _CHUNK])
        self.programs += 1
        self.programmed += size

    def ioctl(self, op, arg):
        """4: number of blocks; 5: block size in bytes; 6: erase block `arg`; 1, 2, 3 (init, deinit, sync): nothing."""
        if op == 4:
            return self.blocks
        if op == 5:
            return self.block_size
        if op == 6:
            self._erase(arg)
        elif op not in (1, 2, 3):
            raise OSError(_EINVAL, "flash: no such ioctl")
        return 0

    def _erase(self, block):
        pos = self._at(block, 0, self.block_size)
        if self.on_op:
            self.on_op(ERASE, block, 0, self.block_size)
        for at in range(pos, pos + self.block_size, _CHUNK):
            self.store.write(at, _BLANK)
        self._spent.pop(block, None)
        self.erases[block] += 1

    def _at(self, block, off, size):
        if not (0 <= block < self.blocks and off >= 0 and off + size <= self.block_size):
            raise OSError(_EINVAL, "flash: no such place, block %d+%d, %d bytes" % (block, off, size))
        return block * self.block_size + off

    def _check(self, block, off, new, pos):
        """Refuse `new` (at most a chunk) unless each unit is erased, or is programmed with zeros."""
        size = len(new)
        if new == (_ZERO if size == _CHUNK else _ZERO[:size]):
            return
        spent = self._spent.get(block)
        if spent:
            for at in spent:
                if off <= at < off + size and new[at - off : at - off + self.program_size] != self._zero_unit:
                    raise OSError(_EIO, "flash: unit at block %d+%d was already programmed" % (block, at))
        old = self._old if size == _CHUNK else self._old[:size]
        self.store.read(pos, old)
        if old == (_BLANK if size == _CHUNK else _BLANK[:size]):
            return
        unit = self.program_size
        for at in range(0, size, unit):
            was, will = old[at : at + unit], new[at : at + unit]
            if was == self._blank_unit or will == self._zero_unit:
                continue
            if int.from_bytes(will, "big") & ~int.from_bytes(was, "big"):
                raise OSError(_EIO, "flash: only an erase sets bits at block %d+%d" % (block, off + at))
            raise OSError(_EIO, "flash: unit at block %d+%d was already programmed" % (block, off + at))

    def _note_spent(self, block, off, data):
        """Remember units of `data` that are all FF, and forget those now shredded to zero."""
        spent = self._spent.get(block)
        if spent:
            unit = self.program_size
            for at in [a for a in spent if off <= a < off + len(data)]:
                if data[at - off : at - off + unit] == self._zero_unit:
                    spent.remove(at)
        self._scratch[: len(data)] = data
        at = self._scratch.find(self._blank_unit, 0, len(data))
        while at >= 0:
            rest = at % self.program_size
            if rest == 0:
                self._spent.setdefault(block, set()).add(off + at)
            at = self._scratch.find(self._blank_unit, at + self.program_size - rest, len(data))


class Partition:
    """Blocks `first` to `first + count - 1` of another flash, numbered from 0."""

    def __init__(self, flash, first, count):
        if first < 0 or count < 1 or first + count > flash.ioctl(4, 0):
            raise ValueError("flash partition lies outside the chip")
        self.program_size = flash.program_size
        self._flash = flash
        self._first = first
        self._count = count

    def readblocks(self, block, buf, off=0):
        self._flash.readblocks(self._inside(block), buf, off)

    def writeblocks(self, block, buf, off=0):
        self._flash.writeblocks(self._inside(block), buf, off)

    def ioctl(self, op, arg):
        if op == 4:
            return self._count
        return self._flash.ioctl(op, self._inside(arg) if op == 6 else arg)

    def _inside(self, block):
        if not 0 <= block < self._count:
            raise OSError(_EINVAL, "flash: block %d is outside its partition" % block)
        return block + self._first


def partition(flash, first, count):
    """A device of its own made of `count` blocks of `flash` from block `first`."""
    return Partition(flash, first, count)
