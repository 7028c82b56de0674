"""The measurements: each runs device code under MicroPython, from .mpy as shipped, and returns counts.

Nothing here reads a clock: counts repeat, and a ratio is taken within one run.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from poslab import compare
from poslab.board_launch import TerminalProcess
from poslab.day import CARD_CHIP, CARD_STRIPE
from poslab.demo import FLASH, SETTINGS, TERMINAL_ID, Demo
from poslab.lab import provision, shipped_profile
from poslab.staging import find_tool

HERE = Path(__file__).resolve().parent
DAY = HERE / "day.hex"
_DEVICE = HERE / "device"
STEP_KB = 8  # of the search for the smallest heap
BATCH_HEAP_KB = 256  # in which the batches below are sold and settled
# Journal and vault for 500 sales; every record goes up, whatever the totals say.
_BATCH_FLASH = {**FLASH, "blocks": 512, "vault_blocks": 64}
_UNBALANCED = '[[fault]]\nmatch = { type = "settlement" }\naction = "answer_unbalanced"\n'


def _command(script, *args):
    tool = find_tool("micropython", "POSFW_MICROPYTHON")
    # Room enough that the interpreter's heap never matters: what is measured is counted.
    return [tool, "-X", "heapsize=8M", str(_DEVICE / script), *map(str, args)]


def _environment(code):
    return {**os.environ, "MICROPYPATH": f"{code}:{_DEVICE}:.frozen"}


def device(code, script, *args):
    """Run a script of device/ on the staged tree `code`; return its output. Raises CalledProcessError."""
    command = _command(script, *args)
    return subprocess.run(command, env=_environment(code), stdout=subprocess.PIPE, text=True, check=True).stdout


def wear(code, program_size, days=4):
    """Erases, programs and bytes programmed of the same entries on the ring and on littlefs."""
    return json.loads(device(code, "wear.py", DAY, program_size, days))


def garbage(code, days=2):
    """Bytes allocated per appended entry."""
    return json.loads(device(code, "garbage.py", DAY, days))


def boot(code, blocks=256, program_size=32):
    """What recovering a nearly full ring of `blocks` sectors of 4 KiB reads."""
    return json.loads(device(code, "boot.py", DAY, blocks, program_size))


def instructions(code):
    """Instructions per append and of its SHA-256 compressions alone, by callgrind; None where valgrind is absent."""
    if shutil.which("valgrind") is None:
        return None
    out = {}
    for what in ("append", "sha"):
        # One day and two: their difference is one day without the start of Python, interpreter and modules.
        one, two = (_count(code, what, days) for days in (1, 2))
        entries, needed = map(int, device(code, "spin.py", what, DAY, 1).split())
        out[what] = (two - one) / entries
    out["compressions"] = needed / entries
    return out


def _count(code, what, days):
    # The interpreter is a shared object inside a CPython process: valgrind runs that Python.
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", sys.executable]
    command += _command("spin.py", what, DAY, days)
    done = subprocess.run(command, env=_environment(code), capture_output=True, text=True, check=True)
    return int(re.search(r"Collected : (\d+)", done.stderr)[1])


def sizes(code):
    """{package: (modules, bytes)} of the staged .mpy files."""
    found = {}
    for path in sorted(code.rglob("*.mpy")):
        package = ".".join(path.relative_to(code).parts[:-1])
        modules, size = found.get(package, (0, 0))
        found[package] = (modules + 1, size + path.stat().st_size)
    return found


def heap_after_boot(directory):
    """Heap of a new terminal that has booted and done nothing: {"live", "size"} in bytes."""
    directory.mkdir(parents=True)
    profile = directory / "profile.json"
    profile.write_text(json.dumps(shipped_profile("unionpay"), ensure_ascii=False), encoding="utf-8")
    keys = provision(directory / "auditor-keys.json", TERMINAL_ID)
    config = {"link": {"host": "127.0.0.1", "port": 1}, "profile": str(profile), "settings": SETTINGS, "flash": FLASH}
    with TerminalProcess(directory, config=config, keys=keys) as terminal:
        return terminal.command({"do": "gc"})


def demo(directory, kilobytes=256):
    """The demo in a heap of so many KB: its summary, or None if it did not pass."""
    command = [sys.executable, "-m", "poslab.cli", "demo", "--json", "--heap", f"{kilobytes}K", "--out", str(directory)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    if done.returncode:
        return None
    summary = json.loads(done.stdout.splitlines()[-1])
    return None if summary["differences"] else summary


def smallest_heap(directory, live, passed=256):
    """The smallest heap in KB, in steps of 8, in which the demo passes; `live` bytes are known to be too few."""
    low, high = live // 1024 // STEP_KB, passed // STEP_KB
    while high - low > 1:
        middle = (low + high) // 2
        if demo(directory, middle * STEP_KB) is None:
            low = middle
        else:
            high = middle
    return high * STEP_KB


def batch(directory, records):
    """Sell `records` times, every fifth by chip, and settle with an acquirer that wants every record.

    Returns {"live": after the sales, "peak": the most live heap when a message of the settlement left, "size"} in
    bytes, and "books": the batch as poslab.compare.batches has it. Raises RuntimeError if a step does not succeed.
    """
    demo = Demo(directory, "micropython", heap=f"{BATCH_HEAP_KB}K")
    demo.prepare()
    demo.flash, demo.faults = _BATCH_FLASH, demo.out / "scenario.toml"
    demo.faults.write_text(_UNBALANCED, encoding="utf-8")
    profile = json.loads((demo.out / "profile.json").read_text(encoding="utf-8"))
    profile["batch"]["limit"] = records + 1  # at the limit the terminal would settle by itself
    (demo.out / "profile.json").write_text(json.dumps(profile, ensure_ascii=False), encoding="utf-8")
    try:
        demo.start_acquirer()
        demo.process = demo._terminal()
        _done(demo, {"do": "signon"}, "signon_ok")
        for number in range(records):
            card = CARD_STRIPE if number % 5 else CARD_CHIP
            _done(demo, {"do": "sale", "amount": 1000 + number, "card": card, "operator": "01"}, "approved")
        live = _tell(demo, {"do": "gc", "watch": True})["live"]
        _done(demo, {"do": "settle"}, "settled")
        heap = _tell(demo, {"do": "gc"})
        shutil.rmtree(demo.out / "slips")  # nobody reads them, so nobody waits for their pictures
        (demo.out / "slips").mkdir()
        demo._pull(str(demo.out / "auditor-keys.json"), str(demo.out / "journal.posj"))
    finally:
        shutil.rmtree(demo.out / "slips", ignore_errors=True)
        if demo.process is not None:
            demo.process.kill()
        demo.stop_acquirer()
    (books,) = compare.batches(demo.out / "journal.posj", demo.out / "ledger.sqlite")
    return {"live": live, "peak": heap["peak"], "size": heap["size"], "books": books}


def _tell(demo, command):
    """As TerminalProcess.command, without a picture of each slip."""
    mark = len(demo.process.events)
    ident = demo.process.post(command)
    return demo.process.wait_event(lambda event: event.get("id") == ident, 120, mark)["result"]


def _done(demo, command, message):
    result = _tell(demo, command)
    if result["message"] != message:
        raise RuntimeError(f"{command['do']}: {result['message']}, {message} was expected")
