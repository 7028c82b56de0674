"""Clocks: one that runs with the host's, and one that stands still until told, for byte-identical runs."""

import json
import time

from posfw.hal import RTC_FREE

from . import files
from .ticks import ticks_ms


class RealClock:
    """Milliseconds since this object was made; RTC = the host's time plus an offset kept in `path`."""

    def __init__(self, path):
        self._path = path
        self._start = ticks_ms()
        self._offset, self._quality = 0, RTC_FREE
        if files.exists(path):
            with open(path) as file:
                self._offset, self._quality = json.load(file)

    def now(self):
        return ticks_ms() - self._start, int(time.time()) + self._offset, self._quality

    def ticks(self):
        return ticks_ms()

    def set(self, rtc, quality):
        self._offset, self._quality = rtc - int(time.time()), quality
        files.replace(self._path, json.dumps([self._offset, quality]).encode())


class InjectedClock:
    """Starts at `rtc` (or where `path` says a former run stopped) and 0 ms; moves by `advance` and `set` alone."""

    def __init__(self, path, rtc, quality=RTC_FREE):
        self._path = path
        self._ms = 0
        self._rest = 0  # milliseconds of the second that has begun
        self._rtc, self._quality = rtc, quality
        if files.exists(path):
            with open(path) as file:
                self._rtc, self._rest, self._quality = json.load(file)

    def now(self):
        return self._ms, self._rtc, self._quality

    def ticks(self):
        return ticks_ms()  # waiting is real even where time is told

    def set(self, rtc, quality):
        self._rtc, self._rest, self._quality = rtc, 0, quality
        self._keep()

    def advance(self, ms):
        """Let `ms` milliseconds pass. Raises ValueError if negative: the monotonic clock never goes back."""
        if ms < 0:
            raise ValueError("the clock only moves forward: use set to put the time of day back")
        self._ms += ms
        self._rest += ms
        self._rtc += self._rest // 1000
        self._rest %= 1000
        self._keep()

    def _keep(self):
        files.replace(self._path, json.dumps([self._rtc, self._rest, self._quality]).encode())
