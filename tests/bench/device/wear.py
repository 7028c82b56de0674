"""Wear of one day on the ring and on littlefs: `wear.py day.hex program_size days`. Prints one JSON object.

Both get the same sealed entries on the same model of the chip. littlefs is given what helps it: no time stamps, a
file that stays open, reads of 32 bytes.
"""

import json
import sys

import vfs
from workload import BLOCK, Day, journal_on

from board.emulated.nor import NorFlash
from posfw.codec import cbor
from posfw.journal import seal
from posfw.numbers import SNAPSHOT

_BLOCKS = 128


def counters(flash):
    """Erases, programs and bytes programmed so far."""
    return [sum(flash.erases), flash.programs, flash.programmed]


def spent(flash, before):
    """What was spent since `before`."""
    now = counters(flash)
    return {"erases": now[0] - before[0], "programs": now[1] - before[1], "bytes": now[2] - before[2]}


def ring(day, program_size, days):
    """Append `days` days; return (counts, the entries as they lie in flash)."""
    flash = NorFlash(_BLOCKS, BLOCK, program_size)
    journal = journal_on(flash, day)
    count = 0
    for _ in range(days):
        count += day.append_to(journal)
    out = spent(flash, [0, 0, 0])
    out["entries"] = count
    return out, [entry for _, entry in journal.read(0)]


def littlefs(entries, program_size):
    """Append and flush each of `entries`; return the counts without those of mkfs, mount and the file's creation."""
    flash = NorFlash(_BLOCKS, BLOCK, program_size)
    options = {"readsize": 32, "progsize": program_size, "lookahead": 32}
    vfs.VfsLfs2.mkfs(flash, **options)
    vfs.mount(vfs.VfsLfs2(flash, mtime=False, **options), "/lfs")
    with open("/lfs/journal", "wb") as file:
        file.flush()
        before = counters(flash)
        for entry in entries:
            file.write(entry)
            file.flush()
        out = spent(flash, before)
    vfs.umount("/lfs")
    return out


def is_snapshot(entry):
    """True for an entry of the ring's own."""
    return cbor.decode(seal.payload_of(entry))[1] == SNAPSHOT


def main(path, program_size, days):
    day = Day(path)
    ours, entries = ring(day, program_size, days)
    ours["snapshot_bytes"] = sum(len(entry) for entry in entries if is_snapshot(entry))
    # SNAPSHOTs are the ring's overhead: littlefs need not store them.
    entries = [entry for entry in entries if not is_snapshot(entry)]
    ours["entry_bytes"] = sum(len(entry) for entry in entries)
    print(json.dumps({"program_size": program_size, "ring": ours, "littlefs": littlefs(entries, program_size)}))


main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
