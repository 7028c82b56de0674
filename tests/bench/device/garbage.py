"""Heap garbage per appended entry: `garbage.py day.hex days`. Prints one JSON object.

The collector is off, so what gc.mem_alloc() gains is all that was allocated, live or not. The flash and the key store
allocate nothing; SNAPSHOTs and sector changes are in the mean, apart in `largest`.
"""

import gc
import json
import sys

from workload import BareFlash, Day, journal_on


def main(path, days):
    day = Day(path)
    journal = journal_on(BareFlash(128), day)
    append = journal.append
    kinds, plain, total, largest, count = {}, 0, 0, 0, 0
    gc.collect()
    gc.disable()
    for _ in range(days):
        for kind, body, now in day.entries:
            sector = journal.ring.header
            before = gc.mem_alloc()
            append(kind, body, now)
            spent = gc.mem_alloc() - before
            gc.collect()
            total += spent
            largest = max(largest, spent)
            if journal.ring.header is sector:
                plain = max(plain, spent)
                seen = kinds.setdefault(kind, [0, 0])
                seen[0] += 1
                seen[1] += spent
            count += 1
    out = {"entries": count, "mean": total // count, "largest_plain": plain, "largest": largest}
    out["by_kind"] = {str(kind): seen[1] // seen[0] for kind, seen in kinds.items()}
    print(json.dumps(out))


main(sys.argv[1], int(sys.argv[2]))
