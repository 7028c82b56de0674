"""Reads of a boot on a nearly full ring: `boot.py day.hex blocks program_size`. Prints one JSON object."""

import json
import sys

from workload import BLOCK, Day, RamKeys, journal_on

from board.emulated.nor import NorFlash

_HEADER = 68  # bytes of a sector header, docs/journal-format.md 1.1


class Counting:
    """A flash with its reads counted: headers, and what was read inside a sector, by block."""

    def __init__(self, flash):
        self.flash, self.program_size = flash, flash.program_size
        self.writeblocks, self.ioctl = flash.writeblocks, flash.ioctl
        self.calls = self.bytes = self.headers = 0
        self.inside = {}

    def readblocks(self, block, buf, off=0):
        self.flash.readblocks(block, buf, off)
        self.calls += 1
        self.bytes += len(buf)
        if off == 0 and len(buf) == _HEADER:
            self.headers += 1
        else:
            self.inside[block] = self.inside.get(block, 0) + len(buf)


def main(path, blocks, program_size):
    day, keys = Day(path), RamKeys()
    chip = NorFlash(blocks, BLOCK, program_size)
    journal = journal_on(chip, day, keys)
    # The newest sector stands a few before the end, and is itself nearly full.
    while journal.free_sectors() > blocks // 32 or journal.ring.pos < BLOCK - 512:
        for kind, body, now in day.entries:
            journal.append(kind, body, now)
            if journal.free_sectors() <= blocks // 32 and journal.ring.pos >= BLOCK - 512:
                break
    seq, unclean = journal.seq, 0
    flash = Counting(chip)
    again = journal_on(flash, day, keys)
    if again.seq != seq or again.head != journal.head or again.unclean != unclean:
        raise ValueError("the boot did not find the journal's end")
    out = {"blocks": blocks, "entries": seq, "free_sectors": journal.free_sectors()}
    out.update({"calls": flash.calls, "bytes": flash.bytes, "headers": flash.headers})
    out["sectors_read"] = [size for _, size in sorted(flash.inside.items())]
    print(json.dumps(out))


main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
