"""A millisecond counter under both interpreters. It does not wrap in a process's life on a 64-bit host."""

import time


def _monotonic_ms():
    return int(getattr(time, "monotonic")() * 1000)  # noqa: B009 - unknown to MicroPython's stubs


# MicroPython has no monotonic(), CPython has no ticks_ms().
ticks_ms = getattr(time, "ticks_ms", _monotonic_ms)
