"""The emulated NOR flash refuses what a chip refuses."""

import os

from board.emulated.nor import ERASE, PROGRAM, NorFlash, Partition, partition

P = 32
FF = b"\xff"


def fresh(program_size=P, path=None):
    return NorFlash(4, 1024, program_size, path)


def read(flash, block, off, size):
    buf = bytearray(size)
    flash.readblocks(block, buf, off)
    return bytes(buf)


def refused(call, *args):
    try:
        call(*args)
    except OSError as e:
        return str(e)
    raise AssertionError("the flash took what it must refuse")


def scratch():
    return "%s/posfw-nor-%s" % (os.getenv("TMPDIR") or "/tmp", os.urandom(6).hex())


def test_blank_then_programmed_then_erased():
    flash = fresh()
    assert read(flash, 3, 0, 1024) == FF * 1024
    data = bytes(range(P)) * 20  # more than two internal chunks
    flash.writeblocks(3, data, 64)
    assert read(flash, 3, 0, 1024) == FF * 64 + data + FF * (1024 - 64 - len(data))
    assert read(flash, 2, 0, 1024) == FF * 1024
    assert flash.ioctl(6, 3) == 0
    assert read(flash, 3, 0, 1024) == FF * 1024


def test_geometry():
    flash = fresh()
    assert (flash.ioctl(4, 0), flash.ioctl(5, 0), flash.program_size) == (4, 1024, 32)
    for bad in ((4, 1000, 32), (4, 1024, 2), (4, 1024, 512), (0, 1024, 32)):
        try:
            NorFlash(*bad)
        except ValueError:
            continue
        raise AssertionError(bad)


def test_no_unit_twice_not_even_with_fewer_bits():
    flash = fresh()
    flash.writeblocks(0, b"\x0f" * P, 0)
    assert "already programmed" in refused(flash.writeblocks, 0, b"\x0f" * P, 0)
    assert "already programmed" in refused(flash.writeblocks, 0, b"\x01" * P, 0)
    assert "sets bits" in refused(flash.writeblocks, 0, b"\xf0" * P, 0)
    assert "sets bits" in refused(flash.writeblocks, 0, FF * P, 0)
    assert read(flash, 0, 0, P) == b"\x0f" * P
    flash.ioctl(6, 0)
    flash.writeblocks(0, b"\xf0" * P, 0)


def test_a_refused_program_changes_nothing():
    flash = fresh()
    flash.writeblocks(0, b"\x55" * P, 512)
    refused(flash.writeblocks, 0, b"\x11" * (640 + P), 0)
    assert read(flash, 0, 0, 512) == FF * 512
    assert flash.programs == 1


def test_a_unit_programmed_with_ff_is_spent():
    for size in (1, 4, 32, 256):
        flash = fresh(size)
        flash.writeblocks(1, FF * size + b"\x00" * size, 256)
        assert "already programmed" in refused(flash.writeblocks, 1, b"\x77" * size, 256), size
        flash.writeblocks(0, b"\x77" * size, 256)
        flash.writeblocks(1, b"\x77" * size, 256 + 2 * size)
        flash.writeblocks(1, b"\x00" * size, 256)
        flash.ioctl(6, 1)
        flash.writeblocks(1, b"\x77" * size, 256)


def test_ff_across_units_spends_only_whole_units():
    flash = fresh()
    flash.writeblocks(0, b"\x01" * 31 + FF * 34 + b"\x01" * 31, 0)  # units: mixed, all FF but for nothing, mixed
    assert "already programmed" in refused(flash.writeblocks, 0, b"\x01" * P, 32)
    flash.writeblocks(0, b"\x01" * P, 96)


def test_shredding_with_zeros_is_always_allowed():
    flash = fresh()
    flash.writeblocks(0, b"\xa5" * 320, 0)
    flash.writeblocks(0, bytes(64), 32)
    flash.writeblocks(0, bytes(64), 32)
    assert read(flash, 0, 0, 128) == b"\xa5" * 32 + bytes(64) + b"\xa5" * 32
    assert "sets bits" in refused(flash.writeblocks, 0, b"\x01" * P, 32)
    # Zeros over old units and data over blank ones, in one program.
    flash.writeblocks(0, bytes(64) + b"\x33" * 32, 256)
    assert read(flash, 0, 256, 96) == bytes(64) + b"\x33" * 32


def test_alignment_and_range():
    flash = fresh()
    crooked = ((0, P, 16), (0, 33, 0), (0, 31, 0))
    outside = ((4, P, 0), (-1, P, 0), (0, P, 1024), (0, P, -P), (0, 2048, 0))
    for block, size, off in crooked + outside:
        refused(flash.writeblocks, block, b"\x00" * size, off)
    refused(flash.readblocks, 0, bytearray(2), 1023)
    refused(flash.readblocks, 4, bytearray(1), 0)
    refused(flash.ioctl, 6, 4)
    refused(flash.ioctl, 6, -1)
    refused(flash.ioctl, 99, 0)
    assert (flash.programs, sum(flash.erases)) == (0, 0)


def test_counters():
    flash = fresh()
    flash.writeblocks(1, b"\x00" * 96, 0)
    flash.writeblocks(1, b"\x00" * 32, 96)
    read(flash, 1, 0, 10)
    read(flash, 1, 0, 90)
    flash.ioctl(6, 1)
    flash.ioctl(6, 1)
    flash.ioctl(6, 2)
    assert (flash.programs, flash.programmed, flash.reads, flash.read_bytes) == (2, 128, 2, 100)
    assert list(flash.erases) == [0, 2, 1, 0]


def test_the_hook_comes_before_and_can_prevent():
    flash = fresh()
    seen = []

    def hook(*args):
        seen.append(args + (read(flash, 2, 0, 1),))  # noqa: RUF005  MicroPython has no (*args, x)
        if len(seen) > 2:
            raise OSError(5, "injected")

    flash.on_op = hook
    flash.writeblocks(2, b"\x00" * 64, 0)
    flash.ioctl(6, 2)
    assert seen == [(PROGRAM, 2, 0, 64, FF), (ERASE, 2, 0, 1024, b"\x00")]
    assert "injected" in refused(flash.writeblocks, 2, b"\x00" * 64, 64)
    assert read(flash, 2, 64, 64) == FF * 64
    refused(flash.writeblocks, 2, b"\x00", 1)
    assert len(seen) == 3, "the hook was told of an illegal program"


def test_partitions_do_not_meet():
    chip = fresh()
    low, high = partition(chip, 0, 3), partition(chip, 3, 1)
    assert isinstance(low, Partition) and (low.ioctl(4, 0), low.ioctl(5, 0), low.program_size) == (3, 1024, P)
    high.writeblocks(0, b"\x12" * P, 0)
    low.writeblocks(2, b"\x34" * P, 32)
    assert read(chip, 3, 0, P) == b"\x12" * P == read(high, 0, 0, P)
    assert read(chip, 2, 32, P) == b"\x34" * P
    refused(low.writeblocks, 3, b"\x00" * P, 0)
    refused(low.readblocks, -1, bytearray(1), 0)
    refused(high.ioctl, 6, 1)
    high.ioctl(6, 0)
    assert list(chip.erases) == [0, 0, 0, 1]
    for first, count in ((3, 2), (-1, 2), (0, 0)):
        try:
            partition(chip, first, count)
        except ValueError:
            continue
        raise AssertionError((first, count))


def test_a_file_keeps_what_was_programmed_and_what_counts_as_programmed():
    path = scratch()
    try:
        flash = fresh(path=path)
        assert read(flash, 0, 0, 1024) == FF * 1024
        flash.writeblocks(1, b"\x3c" * 64, 32)
        # Not closed: a killed process closes nothing. The bytes must be in the file already.
        with open(path, "rb") as file:
            assert file.read() == FF * 1056 + b"\x3c" * 64 + FF * (4096 - 1056 - 64)
        again = fresh(path=path)
        assert read(again, 1, 32, 64) == b"\x3c" * 64
        assert "already programmed" in refused(again.writeblocks, 1, b"\x00" * 32 + b"\x3c" * 32, 32)
        again.ioctl(6, 1)
        assert read(flash, 1, 32, 64) == FF * 64
        flash.store.close()
        again.store.close()
        assert "another size" in refused(NorFlash, 5, 1024, P, path)
    finally:
        os.remove(path)
