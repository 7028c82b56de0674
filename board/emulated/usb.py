"""The technician's USB port: the master side of a pseudo-terminal, made and handed over by the launcher."""

import select

from posfw.micro import const

from . import files

_EIO = const(5)  # Linux: no one has the slave side open


class Usb:
    """`fd` is a non-blocking descriptor, or None for a board with no cable."""

    def __init__(self, fd=None):
        self.file = None
        if fd is not None:
            self.file = files.open_raw(fd, "r+b")
            self._poll = select.poll()
            self._poll.register(self.file, select.POLLOUT)

    def connected(self):
        """True if a host has the port open."""
        if self.file is None:
            return False
        for _, events in self._poll.poll(0):
            return not events & select.POLLHUP
        return True  # nothing to report: the host is there and reads slowly

    def readinto(self, buf):
        if self.file is None:
            return 0
        try:
            return self.file.readinto(buf) or 0  # None: nothing there
        except OSError as e:
            if e.errno != _EIO:
                raise
            return 0

    def write(self, buf):
        # Without a host the kernel would keep the bytes, and the next host would find an answer it never asked for.
        if not self.connected():
            return 0
        try:
            return self.file.write(buf) or 0
        except OSError as e:
            if e.errno != _EIO:
                raise
            return 0
