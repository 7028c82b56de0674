"""The emulated flash against a model that thinks bit by bit, and against the same operations in a file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from board.emulated.nor import NorFlash

BLOCKS, SIZE = 2, 512


class Model:
    """What the data sheet says, one unit and one bit at a time."""

    def __init__(self, unit):
        self.unit = unit
        self.bits = [[1] * (SIZE * 8) for _ in range(BLOCKS)]
        self.used = [set() for _ in range(BLOCKS)]

    def erase(self, block):
        self.bits[block] = [1] * (SIZE * 8)
        self.used[block] = set()

    def program(self, block, off, data):
        """True if the chip takes it."""
        if off % self.unit or len(data) % self.unit or off + len(data) > SIZE:
            return False
        units = range(off // self.unit, (off + len(data)) // self.unit)
        for u in units:
            part = data[u * self.unit - off : (u + 1) * self.unit - off]
            if u in self.used[block] and any(part):
                return False
        for i, byte in enumerate(data):
            for bit in range(8):
                self.bits[block][(off + i) * 8 + bit] &= byte >> (7 - bit) & 1
        self.used[block].update(units)
        return True

    def content(self, block):
        bits = "".join(map(str, self.bits[block]))
        return int(bits, 2).to_bytes(SIZE, "big")


@st.composite
def scripts(draw):
    unit = draw(st.sampled_from([1, 4, 8, 32, 256]))
    pieces = st.lists(
        st.one_of(st.sampled_from([b"\x00" * unit, b"\xff" * unit]), st.binary(min_size=unit, max_size=unit)),
        min_size=1,
        max_size=20,
    ).map(b"".join)
    programs = st.tuples(
        st.just("program"), st.integers(0, BLOCKS - 1), st.integers(0, SIZE // unit).map(lambda n: n * unit), pieces
    )
    crooked = st.tuples(st.just("program"), st.integers(0, BLOCKS - 1), st.integers(0, SIZE), st.binary(max_size=80))
    erases = st.tuples(st.just("erase"), st.integers(0, BLOCKS - 1))
    return unit, draw(st.lists(st.one_of(programs, programs, programs, crooked, erases), max_size=30))


@given(scripts())
def test_against_the_model(script):
    unit, steps = script
    flash, model = NorFlash(BLOCKS, SIZE, unit), Model(unit)
    for step in steps:
        if step[0] == "erase":
            flash.ioctl(6, step[1])
            model.erase(step[1])
        else:
            _, block, off, data = step
            try:
                flash.writeblocks(block, data, off)
                taken = True
            except OSError:
                taken = False
            assert taken == model.program(block, off, data), step
        for block in range(BLOCKS):
            buf = bytearray(SIZE)
            flash.readblocks(block, buf)
            assert buf == model.content(block)


@pytest.mark.parametrize("unit", [1, 32, 256])
def test_reopening_refuses_what_the_open_chip_refused(tmp_path, unit):
    path = str(tmp_path / "flash.img")
    flash = NorFlash(BLOCKS, SIZE, unit, path)
    flash.writeblocks(0, bytes(range(1, 65)) * 4, 0)
    flash.writeblocks(0, b"\x00" * 256, 256)
    for chip in (flash, NorFlash(BLOCKS, SIZE, unit, path)):
        for off in (0, 256):
            with pytest.raises(OSError, match="flash"):
                chip.writeblocks(0, b"\x01" * 256, off)
        chip.writeblocks(0, b"\x00" * 256, 256)


def test_a_kill_while_the_image_is_made_leaves_no_short_chip(tmp_path, monkeypatch):
    from board.emulated import nor

    class Killed(Exception):
        pass

    path = tmp_path / "flash.img"
    written = nor.files.write_all

    def dying(file, data):
        if file.tell() >= SIZE:
            raise Killed
        written(file, data)

    monkeypatch.setattr(nor.files, "write_all", dying)
    with pytest.raises(Killed):
        NorFlash(BLOCKS, SIZE, 32, str(path))
    assert not path.exists()
    monkeypatch.undo()
    NorFlash(BLOCKS, SIZE, 32, str(path))
    assert path.read_bytes() == b"\xff" * BLOCKS * SIZE
