"""Reads of a boot on a nearly full ring: `boot.py day.hex blocks program_size`. Prints one JSON object."""

import json
import sys

from workload import BLOCK, BareFlash, Day, RamKeys, journal_on

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


def fill(journal, day, spare):
    """Append until `spare` sectors are free and the newest is itself nearly full."""
    while True:
        for kind, body, now in day.entries:
            journal.append(kind, body, now)
            if journal.ring.pos > BLOCK - 512 and journal.free_sectors() <= spare:
                return


def boot(chip, day, keys, journal):
    """Recover a second Journal from the flash; return what it read. Raises ValueError if it finds another end."""
    flash = Counting(chip)
    again = journal_on(flash, day, keys)
    if (again.seq, again.head) != (journal.seq, journal.head):
        raise ValueError("the boot did not find the journal's end")
    inside = [size for _, size in sorted(flash.inside.items())]
    return {"calls": flash.calls, "bytes": flash.bytes, "headers": flash.headers, "sectors": inside}


def main(path, blocks, program_size):
    day, keys = Day(path), RamKeys()
    chip = BareFlash(blocks, program_size)
    journal = journal_on(chip, day, keys)
    fill(journal, day, blocks // 32)
    out = {"blocks": blocks, "block_size": BLOCK, "entries": journal.seq, "clean": boot(chip, day, keys, journal)}
    # A stop between a sector's header and its SNAPSHOT: the sector before it holds the state.
    journal.ring.open_sector(journal.seq, journal.head)
    out["unfinished"] = boot(chip, day, keys, journal)
    print(json.dumps(out))


main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
