"""What only an emulated board can do at a word: run out of paper, jump in time, be opened."""

import gc
import sys

from .ticks import ticks_ms


def control(board, terminal, command):
    """Perform a control command and return its result, a dict. Raises ValueError if there is no such command,
    KeyError or TypeError if an argument is missing or wrong."""
    do = command["do"]
    if do == "idle":
        until = ticks_ms() + command["ms"]
        while ticks_ms() < until:
            if not terminal.idle():
                board.wait(min(20, max(0, until - ticks_ms())))
    elif do == "paper":
        board.printer.paper = command.get("lines")
        board.printer.set_fault(command.get("fault", 0))
    elif do == "clock":
        board.clock.set(command["set"], command.get("quality", board.clock.now()[2]))
    elif do == "advance":
        if not hasattr(board.clock, "advance"):
            raise ValueError("the clock is real: only an injected clock can be advanced")
        board.clock.advance(command["ms"])
    elif do == "tamper":
        board.tamper.trip()
    elif do == "gc":
        found = memory()
        if command.get("watch"):
            _watch(board.link)
        elif hasattr(board.link, "peak"):
            found["peak"] = board.link.peak
        return found
    elif do != "exit":
        raise ValueError("no such command")
    return {}


def memory():
    """Heap in bytes: `used` with garbage, `live` without, `size`; None where the interpreter has no bounded heap."""
    if not hasattr(gc, "mem_alloc"):
        return {"used": None, "live": None, "size": None}  # CPython
    used = gc.mem_alloc()
    gc.collect()
    live = gc.mem_alloc()
    return {"used": used, "live": live, "size": live + gc.mem_free()}


def _watch(link):
    """From now on note the most that is live when a message leaves, in `link.peak`: slow, so only when asked for."""
    send = link.send

    def watched(buf):
        gc.collect()
        link.peak = max(link.peak, gc.mem_alloc())
        send(buf)

    link.peak, link.send = 0, watched


def interpreter():
    """Name and version of the interpreter, for the banner."""
    version = sys.implementation.version
    return "%s %d.%d.%d" % (sys.implementation.name, version[0], version[1], version[2])
