"""Start and drive the emulated terminal as a separate process.

The directory given holds all that survives the process: flash.img, keystore.bin, slips/, and beside them what
belongs to the launcher: config.json, code/ (staged device code), usb0 (link to the pseudo-terminal), terminal.log.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import tty
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poslab.staging import board_module, find_tool, stage


class TerminalDied(Exception):
    """The terminal's process ended where an answer was awaited. terminal.log may say why."""


class CommandRefused(Exception):
    """The terminal refused a command; the message is its text."""


@dataclass
class Keys:
    """What provisioning puts into the key store: docs/journal-format.md sections 2 and 7. Never printed."""

    terminal_id: str
    journal_id: bytes  # 16
    k0: bytes  # 32
    role_keys: tuple[bytes, bytes, bytes]  # technician, auditor, supervisor, 32 each
    terminal_master_key: bytes  # 16

    def __repr__(self) -> str:
        return f"Keys({self.terminal_id!r}, ...)"


class TerminalProcess:
    """One emulated terminal. The constructor provisions (if there is no key store yet) and starts it.

    `config` is the board's and the terminal's configuration (board/README.md) without `dir` and `usb_fd`; `keys` are
    needed for the first start only. `on_event` is called from a reader thread with every event. `main` is the module
    to run; `lines` keeps line numbers in its tracebacks (7 KB of heap). Raises StagingError, ValueError if keys are
    needed and missing, TerminalDied or TimeoutError if it does not come up within `timeout` seconds.
    """

    def __init__(
        self,
        directory: Path | str,
        interpreter: str = "micropython",
        heap: str = "256K",
        *,
        config: dict[str, Any],
        keys: Keys | None = None,
        on_event: Callable[[dict[str, Any]], None] | None = None,
        main: str = "board.emulated.main",
        lines: bool = False,
        timeout: float = 20.0,
    ) -> None:
        self.directory = Path(directory).resolve()
        self.interpreter = interpreter
        self.heap = heap
        self.config = config
        self.main = main
        self.lines = lines
        self.timeout = timeout
        self.events: list[dict[str, Any]] = []
        self.port = ""
        self._on_event = on_event
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._next_id = 1
        self._results: dict[int, dict[str, Any]] = {}
        self._changed = threading.Condition()
        self._over = True  # the child's output has ended
        self.directory.mkdir(parents=True, exist_ok=True)
        keystore = self.directory / "keystore.bin"
        if not keystore.exists():
            if keys is None:
                raise ValueError(f"{keystore} is missing: give keys to provision the terminal")
            mask = os.umask(0o077)  # nobody else may read the keys, not even before a chmod
            try:
                board_module("emulated.keystore").provision(
                    str(keystore), keys.terminal_id, keys.journal_id, keys.k0, keys.role_keys, keys.terminal_master_key
                )
            finally:
                os.umask(mask)
        self.start()

    # -- process ------------------------------------------------------------------------------------------------

    def start(self) -> dict[str, Any]:
        """Start the process with a new pseudo-terminal; return its banner. Raises TerminalDied."""
        if self._process is not None:
            raise RuntimeError("the terminal is running: use restart()")
        code = stage(self.directory / "code" / self.interpreter, self.interpreter, self.lines)
        master = self._open_port()
        try:
            config = {**self.config, "dir": str(self.directory), "usb_fd": master}
            path = self.directory / "config.json"
            path.write_text(json.dumps(config, indent=1))
            with open(self.directory / "terminal.log", "ab") as log:
                self._process = subprocess.Popen(
                    [*self._command(), "-m", self.main, str(path)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=self._environment(code),
                    cwd=code,
                    pass_fds=[master],
                )
        finally:
            os.close(master)  # the child alone holds it: when it dies, the cable is out
        with self._changed:
            self._over = False
            self._results.clear()
            mark = len(self.events)
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()
        try:
            return self.wait_event(lambda e: e.get("event") == "ready", self.timeout, mark)
        except BaseException:
            self.kill()  # the constructor's caller has nothing yet to end it with
            raise

    def kill(self) -> None:
        """Pull the plug: SIGKILL. What is durable is in the directory."""
        if self._process is not None:
            self._process.kill()
            self._reap()

    def restart(self) -> dict[str, Any]:
        """Start again, after a kill if it still runs; return the banner."""
        self.kill()
        return self.start()

    def close(self) -> None:
        """Let the terminal finish what it does, and end it."""
        process = self._process
        if process is None:
            return
        _hang_up(process)  # it ends at the end of its input
        try:
            process.wait(self.timeout)
        except subprocess.TimeoutExpired:
            process.kill()
        self._reap()

    def __enter__(self) -> TerminalProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    # -- commands -----------------------------------------------------------------------------------------------

    def post(self, command: dict[str, Any]) -> int:
        """Send a command and return its id without waiting. Raises TerminalDied."""
        process = self._process
        if process is None or process.stdin is None:
            raise TerminalDied("the terminal is not running: start it")
        ident = self._next_id
        self._next_id += 1
        try:
            process.stdin.write(json.dumps({**command, "id": ident}).encode() + b"\n")
            process.stdin.flush()
        except BrokenPipeError as e:
            raise TerminalDied(self._why_dead()) from e
        return ident

    def result(self, ident: int, timeout: float = 60.0) -> dict[str, Any]:
        """The result of the posted command `ident`. Raises CommandRefused, TerminalDied, TimeoutError."""
        with self._changed:
            self._changed.wait_for(lambda: ident in self._results or self._over, timeout)
            answer = self._results.pop(ident, None)
            if answer is None:
                if self._over:
                    raise TerminalDied(self._why_dead())
                raise TimeoutError(f"no answer from the terminal within {timeout} s")
        self.preview_slips()
        if not answer["ok"]:
            raise CommandRefused(answer["error"])
        return answer["result"]

    def command(self, command: dict[str, Any], timeout: float = 60.0) -> dict[str, Any]:
        """Send a command and return its result. Raises CommandRefused, TerminalDied, TimeoutError."""
        return self.result(self.post(command), timeout)

    def wait_event(
        self, matches: Callable[[dict[str, Any]], bool], timeout: float = 20.0, since: int = 0
    ) -> dict[str, Any]:
        """The first event from number `since` that `matches`. Raises TerminalDied, TimeoutError."""
        until = time.monotonic() + timeout
        with self._changed:
            while True:
                for event in self.events[since:]:
                    if matches(event):
                        return event
                since = len(self.events)
                if self._over:
                    raise TerminalDied(self._why_dead())
                if not self._changed.wait(max(0.0, until - time.monotonic())) and time.monotonic() >= until:
                    raise TimeoutError(f"the awaited event did not come within {timeout} s")

    def preview_slips(self) -> list[Path]:
        """Write a readable .txt beside every finished slip that has none; return the new files."""
        from poslab.preview import preview

        made = []
        for slip in sorted((self.directory / "slips").glob("*.bin")):
            text = slip.with_suffix(".txt")
            if slip.name.endswith(".partial.bin") or text.exists():
                continue
            text.write_text(preview(slip.read_bytes()), encoding="utf-8")
            made.append(text)
        return made

    # -- inside -------------------------------------------------------------------------------------------------

    def _command(self) -> list[str]:
        if self.interpreter == "micropython":
            return [find_tool("micropython", "POSFW_MICROPYTHON"), "-X", f"heapsize={self.heap}"]
        return [sys.executable]

    def _environment(self, code: Path) -> dict[str, str]:
        # MicroPython takes the code from its working directory: an absolute path would be kept on its heap once for
        # each module. .frozen is what the port itself brings along, as ssl.
        env = {**os.environ, "MICROPYPATH": ".frozen", "PYTHONPATH": str(code), "PYTHONIOENCODING": "utf-8"}
        env["PYTHONDONTWRITEBYTECODE"] = "1"
        if self.interpreter == "micropython":
            # The PyPI interpreter lives in a CPython process: its own imports must not meet the device's tree.
            del env["PYTHONPATH"]
        else:
            env["PYTHONSAFEPATH"] = "1"
        return env

    def _open_port(self) -> int:
        """Make a pseudo-terminal, raw on the technician's side; return the master, non-blocking."""
        master, slave = os.openpty()
        tty.setraw(slave)
        self.port = os.ttyname(slave)
        os.close(slave)  # nobody has the port open yet, and the terminal can tell
        os.set_blocking(master, False)
        link = self.directory / "usb0"
        new = self.directory / "usb0.new"
        new.unlink(missing_ok=True)
        new.symlink_to(self.port)
        new.replace(link)
        return master

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            try:
                event = json.loads(line)
            except (ValueError, RecursionError):
                event = {"event": "garbage", "length": len(line)}  # cut by a kill; its text may be anything
            with self._changed:
                if event.get("event") == "result" and isinstance(event.get("id"), int):
                    self._results[event["id"]] = event
                self.events.append(event)
                self._changed.notify_all()
            if self._on_event is not None:
                self._on_event(event)
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def _reap(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.wait()
        if self._reader is not None:
            self._reader.join()
        _hang_up(process)
        if process.stdout is not None:
            process.stdout.close()
        self.preview_slips()

    def _why_dead(self) -> str:
        log = self.directory / "terminal.log"
        return f"the terminal has ended: see {log}"


def _hang_up(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        try:
            process.stdin.close()
        except BrokenPipeError:
            process.stdin = None  # it died with a command unread: there is nobody to tell
