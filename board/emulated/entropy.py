"""Random bytes: the operating system's, or a reproducible stream for byte-identical runs (never in a terminal)."""

import os
from hashlib import sha256

from posfw.hal import HalError

from . import files


class SystemEntropy:
    """os.urandom, tried once at boot: a generator that repeats itself must stop the terminal, not weaken it."""

    def __init__(self):
        first, second = self.random(16), self.random(16)
        if len(first) != 16 or first == second or first == bytes(16):
            raise HalError("random generator is stuck: do not use this board")

    def random(self, n):
        return os.urandom(n)


class InjectedEntropy:
    """SHA-256(seed || boot || counter), boot counted in `path` so that a restart does not repeat the stream."""

    def __init__(self, path, seed):
        boot = 1
        if files.exists(path):
            with open(path) as file:
                boot = int(file.read()) + 1
        files.replace(path, str(boot).encode())
        self._prefix = seed + boot.to_bytes(4, "big")
        self._counter = 0

    def random(self, n):
        out = b""
        while len(out) < n:
            out += sha256(self._prefix + self._counter.to_bytes(8, "big")).digest()
            self._counter += 1
        return out[:n]
