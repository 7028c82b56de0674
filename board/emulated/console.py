"""The operator's keys and card reader: commands as JSON lines on standard input, events as JSON lines on output.

A command may hold card data. Nothing of it is ever written back but its `id`.
"""

import json
import select
import sys

from posfw.micro import const

from . import files

_LONGEST = const(8192)


class Console:
    def __init__(self, fd=0):
        self.file = files.open_raw(fd, "rb")
        self.ended = False  # the other side is gone
        self._poll = select.poll()
        self._poll.register(self.file, select.POLLIN)
        self._both = None
        self._line = bytearray()
        self._byte = bytearray(1)

    def emit(self, event):
        """Write one event, a dict of JSON values."""
        sys.stdout.write(json.dumps(event) + "\n")
        if hasattr(sys.stdout, "flush"):
            sys.stdout.flush()

    def read(self):
        """The next command, a dict, or None if no whole line is there. Never waits."""
        line = self._line
        while not self.ended and self._poll.poll(0):
            # Byte by byte: MicroPython's read(n) would wait for all n.
            if not self.file.readinto(self._byte):
                self.ended = True
            elif self._byte[0] != 10:
                if len(line) <= _LONGEST:
                    line.extend(self._byte)
            else:
                command = self._parse(line)
                # Card data must not wait in the buffer for the next command to cover it.
                line[:] = bytes(len(line))
                self._line = bytearray()
                return command
        return None

    def result(self, command, value):
        """Answer `command` with `value`, a dict."""
        self.emit({"event": "result", "id": command.get("id"), "ok": True, "result": value})

    def refuse(self, command, text):
        """Answer `command` with a text for the operator, which must hold nothing of the command's data."""
        self.emit({"event": "result", "id": command.get("id"), "ok": False, "error": text})

    def wait(self, ms, other=None):
        """Wait at most `ms` milliseconds for a command, or for something to read in `other`, always the same file."""
        if other is None:
            self._poll.poll(ms)
            return
        if self._both is None:
            self._both = select.poll()
            self._both.register(self.file, select.POLLIN)
            self._both.register(other, select.POLLIN)
        self._both.poll(ms)

    def _parse(self, line):
        try:
            command = json.loads(bytes(line)) if len(line) <= _LONGEST else None
        except ValueError:
            command = None
        if isinstance(command, dict):
            return command
        text = "not a command: send one JSON object a line, at most %d bytes" % _LONGEST
        self.emit({"event": "error", "error": text})
        return None
