"""One day of a terminal, recorded: what every benchmark appends, so that figures compare across versions.

`day.hex` holds the payload of one entry a line (docs/journal-format.md 3), in hex, as a run of the demo journaled it;
run.py --record makes it.
"""

import io
from hashlib import sha256

from posfw.codec import cbor
from posfw.journal.journal import Journal
from posfw.numbers import SNAPSHOT

BLOCK = 4096
SHA_BLOCK = 64


class Day:
    """`entries`: (kind, body, now) in order, without the SNAPSHOTs, which the ring makes; `state`: body of the one
    that held most."""

    def __init__(self, path):
        self.entries, self.state = [], None
        size = 0
        with open(path) as file:
            for line in file:
                raw = bytes.fromhex(line.strip())
                payload = cbor.decode(raw)
                if payload[1] != SNAPSHOT:
                    self.entries.append((payload[1], payload[6], tuple(payload[3:6])))
                elif len(raw) > size:
                    self.state, size = payload[6], len(raw)

    def append_to(self, journal):
        """The whole day; return how many entries that were."""
        for kind, body, now in self.entries:
            journal.append(kind, body, now)
        return len(self.entries)


class RamKeys:
    """A key store whose moves cost nothing: what a board's key store costs is the board's."""

    def __init__(self):
        self.index, self.key = 0, sha256(b"benchmark").digest()

    def identity(self):
        return "BENCH", bytes(16)

    def seal(self):
        return self.index, self.key

    def advance(self, index, key):
        self.index, self.key = index, key


class BareFlash:
    """Flash that checks nothing and allocates nothing, so that garbage and instructions are the journal's own."""

    def __init__(self, blocks, program_size=32):
        self.program_size, self.blocks = program_size, blocks
        self._blank = b"\xff" * BLOCK
        self._file = io.BytesIO()
        for _ in range(blocks):
            self._file.write(self._blank)  # written, not handed over: a handed buffer is copied at the first write

    def readblocks(self, block, buf, off=0):
        self._file.seek(block * BLOCK + off)
        self._file.readinto(buf)

    def writeblocks(self, block, buf, off=0):
        self._file.seek(block * BLOCK + off)
        self._file.write(buf)

    def ioctl(self, op, arg):
        if op == 6:
            self.writeblocks(arg, self._blank)
            return 0
        return self.blocks if op == 4 else BLOCK


def journal_on(flash, day, keys=None):
    """A Journal on `flash`, recovered, ready to append."""
    journal = Journal(flash, keys or RamKeys(), lambda: day.state)
    journal.recover(lambda: None, lambda state, payload: None)
    journal.boot = 1
    return journal


def compressions(size):
    """SHA-256 compressions over `size` bytes (FIPS 180-4, 5.1.1: one byte and eight of length follow)."""
    return (size + 9 + SHA_BLOCK - 1) // SHA_BLOCK


def seal_compressions(entry):
    """Compressions an entry of `entry` bytes needs: HMAC (both pads, Mac_structure), chain, ratchet."""
    # The Mac_structure is the entry less its prefix, tag and the {}: 10 bytes, the previous head with its CBOR head,
    # the payload with its own.
    structure = 10 + 34 + (entry - 6 - 34)
    hmac = compressions(SHA_BLOCK + structure) + compressions(SHA_BLOCK + 32)
    return hmac + compressions(32 + entry) + compressions(15 + 32)
