"""A millisecond counter under both interpreters. It does not wrap in a process's life on a 64-bit host."""

import time


def _monotonic_ms():
    return time.monotonic_ns() // 1000000


# MicroPython has no monotonic(), CPython has no ticks_ms().
ticks_ms = getattr(time, "ticks_ms", _monotonic_ms)
