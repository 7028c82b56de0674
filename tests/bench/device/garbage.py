"""Heap garbage per appended entry: `garbage.py day.hex days`. Prints one JSON object.

The collector is off, so what gc.mem_alloc() gains is all that was allocated, live or not. The flash and the key store
allocate nothing. Appends that open a sector, and so make and seal a SNAPSHOT, are counted apart: `opening` has their
number, sum and most, `plain` those of the others; `mean` is over all.
"""

import gc
import json
import sys

from workload import BareFlash, Day, journal_on


def main(path, days):
    day = Day(path)
    journal = journal_on(BareFlash(128), day)
    append = journal.append
    kinds, plain, opening = {}, [0, 0, 0], [0, 0, 0]
    gc.collect()
    gc.disable()
    for _ in range(days):
        for kind, body, now in day.entries:
            sector = journal.ring.header
            before = gc.mem_alloc()
            append(kind, body, now)
            spent = gc.mem_alloc() - before
            gc.collect()
            same = journal.ring.header is sector
            for seen in (plain, kinds.setdefault(kind, [0, 0, 0])) if same else (opening,):
                seen[0] += 1
                seen[1] += spent
                seen[2] = max(seen[2], spent)
    count = plain[0] + opening[0]
    out = {"entries": count, "mean": (plain[1] + opening[1]) // count, "plain": plain, "opening": opening}
    out["by_kind"] = {str(kind): seen[1] // seen[0] for kind, seen in kinds.items()}
    print(json.dumps(out))


main(sys.argv[1], int(sys.argv[2]))
