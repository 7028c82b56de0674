"""The case switch, latched in a file: closing the case again does not undo it."""

from . import files


class TamperSwitch:
    def __init__(self, path):
        self._path = path
        self._tripped = files.exists(path)

    def tripped(self):
        return self._tripped

    def trip(self):
        """Open the case."""
        self._tripped = True
        files.replace(self._path, b"opened\n")
