"""A receipt printer that prints into files: `NNN-<kind>.bin`, numbered on over restarts.

While a slip prints, and for ever if it never ended, its file is `NNN-<kind>.partial.bin`: what lies on the counter
after a power cut is paper too, and a test must be able to read it.
"""

import os

from posfw.hal import OFFLINE, PAPER_OUT, PrinterError

from . import files

# By slip number, docs/journal-format.md; index 0 is no slip.
_KINDS = (  # one string costs the heap less than sixteen
    " sale void refund declined pending reversed unresolved-customer unresolved-merchant settlement settle-failed"
    " technician preauth completion human not-sent upload reminder detail"
)


class Printer:
    """`paper` is the number of lines left, None for no end."""

    def __init__(self, folder):
        self.paper = None
        self._forced = 0
        self._failed = 0  # fault that stopped the slip in hand
        self._file = None
        self._folder = folder
        self._name = ""
        if not files.exists(folder):
            os.mkdir(folder)
        self._number = 0
        for name in os.listdir(folder):
            head = name.split("-")[0]
            if head.isdigit():
                self._number = max(self._number, int(head))

    def set_fault(self, fault):
        """Force a fault (COVER_OPEN, OFFLINE, ...), 0 to clear it."""
        self._forced = fault

    def fault(self):
        return self._forced or (PAPER_OUT if self.paper == 0 else 0)

    def begin(self, slip, seq):
        """Start a file for slip number `slip`; one that was not ended stays as a partial slip. `seq` is not needed:
        the order of the files is the order of printing."""
        self._close()
        self._failed = self.fault()
        if self._failed:
            return  # nothing will be printed: write() says why
        self._number += 1
        kinds = _KINDS.split(" ")
        kind = kinds[slip] if 0 < slip < len(kinds) else "slip%d" % slip
        self._name = "%s/%03d-%s" % (self._folder, self._number, kind)
        self._file = files.open_raw(self._name + ".partial.bin", "wb")

    def write(self, data):
        self._ready()
        data = bytes(data)
        end = self._use_paper(data)
        files.write_all(self._file, data[:end])
        if end < len(data):
            self._failed = PAPER_OUT
            self._ready()

    def end(self):
        self._ready()
        self._close()
        os.rename(self._name + ".partial.bin", self._name + ".bin")

    def _ready(self):
        self._failed = self._failed or self._forced
        if self._failed:
            raise PrinterError(self._failed, "printer stopped: clear fault %d, then print again" % self._failed)
        if self._file is None:
            raise PrinterError(OFFLINE, "no slip was begun")

    def _use_paper(self, data):
        """Use up paper for `data`; return how many of its bytes come out on paper: whole lines.

        One line is one LF. The bytes of a two-dimensional code (GS "(") are not text and feed nothing.
        """
        if self.paper is None or data[:2] == b"\x1d(":
            return len(data)
        start = 0
        end = data.find(b"\n")
        while end >= 0:
            if self.paper == 0:
                return start
            self.paper -= 1
            start = end + 1
            end = data.find(b"\n", start)
        return len(data)

    def _close(self):
        if self._file is not None:
            self._file.close()
            self._file = None
