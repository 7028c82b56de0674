"""Work to be counted from outside by an instruction counter: `spin.py append|sha day.hex days`.

append: appends the day to a ring, `days` times over. sha: the SHA-256 compressions these entries need and nothing
else. Start-up, the same in every run, cancels in the difference of two numbers of days.
"""

import sys
from hashlib import sha256

from workload import SHA_BLOCK, BareFlash, Day, journal_on, seal_compressions


def main(what, path, days):
    day = Day(path)
    journal = journal_on(BareFlash(64), day)
    day.append_to(journal)
    needed = sum(seal_compressions(len(entry)) for _, entry in journal.read(0))
    block = bytes(SHA_BLOCK * needed)
    for _ in range(days):
        if what == "append":
            day.append_to(journal)
        elif what == "sha":
            sha256().update(block)
    print(len(day.entries), needed)


main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
