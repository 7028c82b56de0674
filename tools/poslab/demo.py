"""The demo: acquirer, terminal and technician as separate processes through one scripted day, and the books compared.

Everything lies in one output folder: flash.img, journal.posj, auditor-keys.json, ledger.sqlite, slips/,
transactions.json, batches.json.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from importlib.resources import files
from pathlib import Path
from typing import Any, BinaryIO

from rich.console import Console
from rich.markup import escape

from poslab import compare, lab
from poslab.board_launch import CommandRefused, TerminalDied, TerminalProcess
from poslab.closing_day import CloseOfDay
from poslab.day import CARD_CHIP, Day, DayFailed, until

# The demo's waits: the shipped profile's, shortened in a copy of the profile. Nothing in the code knows.
RETRY = {
    "connect_timeout_ms": 500, "reply_timeout_ms": 800, "attempts": 3, "base_ms": 500, "max_ms": 700, "slow_ms": 4000,
}  # fmt: skip
SETTINGS = {
    "tid": "12345678", "mid": "898310059994567", "merchant": "演示便利店", "utc_offset_min": 480, "currency": "156",
}  # fmt: skip
TERMINAL_ID = "DEMO-0001"
SCENARIO = Path(str(files("poslab"))) / "scenarios" / "demo.toml"
_INJECTED_RTC = 1795406400  # 2026-11-23 12:00:00, UTC+8
# The board's geometry: a journal of 240 sectors and a vault of 16, 4 KiB each, programmed in units of 32 bytes
FLASH = {"blocks": 256, "block_size": 4096, "program_size": 32, "vault_blocks": 16}


class Demo:
    """One run in `out`. injected: clock and randomness come from the configuration, for byte-identical runs.

    Raises DayFailed, TerminalDied, CommandRefused, TimeoutError, OSError.
    """

    def __init__(
        self, out: Path, interpreter: str, tls: bool = False, injected: bool = False, heap: str = "256K"
    ) -> None:
        self.out = out.resolve()
        self.interpreter = interpreter
        self.injected = injected
        self.tls = tls
        self.heap = heap
        self.flash, self.faults = FLASH, SCENARIO
        # Progress on stderr: stdout is for data.
        self.console = Console(stderr=True, highlight=False)
        self.acquirer: subprocess.Popen[bytes] | None = None
        self.process: TerminalProcess | None = None
        self.mark: BinaryIO | None = None
        self.started = time.monotonic()

    # -- the run ---------------------------------------------------------------------------------------------------

    def run(self) -> dict[str, Any]:
        """The whole demo; return its summary."""
        try:
            return self._run()
        finally:
            if self.mark is not None:
                self.mark.close()  # and with it the lock

    def _run(self) -> dict[str, Any]:
        self.prepare()
        try:
            self.start_acquirer()
            self.process = self._terminal()
            banner = self.process.events[-1]
            self.say(
                f"terminal up: {banner.get('interpreter')}, heap {self._heap_text(banner)}, port {self.process.port}"
            )
            day = Day(self, RETRY)
            day.run()
            CloseOfDay(day, self.deadline_s).run()
            self.pull()
            memory = self.terminal({"do": "gc"})
            self.process.close()
        finally:
            try:
                if self.process is not None:
                    self.process.kill()
            finally:
                self.stop_acquirer()
        rows, batches = self.compare()
        differences = sum(not row["agree"] for row in batches)
        self.say(f"{len(batches)} batches, {differences} differences in totals or states")
        return {
            "out": str(self.out),
            "interpreter": banner.get("interpreter"),
            "transactions": len(rows),
            "batches": len(batches),
            "batch_differences": differences,
            "differences": sum(not row["agree"] for row in rows) + differences,
            "slips": len(list((self.out / "slips").glob("*.txt"))),
            "memory": memory,
            "seconds": round(time.monotonic() - self.started, 1),
        }

    def prepare(self) -> None:
        """An empty output folder with profile, keys and certificate."""
        self.out.mkdir(parents=True, exist_ok=True)
        self._claim(self.out / lab.MARK)
        for old in self.out.iterdir():
            if old.is_dir() and not old.is_symlink():
                shutil.rmtree(old)
            elif old.name != lab.MARK:
                old.unlink()
        profile = lab.shipped_profile("unionpay")
        profile["name"] = "unionpay-demo"
        profile["retry"] = RETRY
        self.deadline_s = profile["settlement"]["deadline_h"] * 3600
        (self.out / "profile.json").write_text(json.dumps(profile, ensure_ascii=False), encoding="utf-8")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.keys = lab.provision(self.out / "auditor-keys.json", TERMINAL_ID, fixed=self.injected)
        lab.write_secret(self.out / "terminal-master-key.hex", self.keys.terminal_master_key.hex())

    def _claim(self, mark: Path) -> None:
        """Hold the folder's mark locked until the run is over: a second demo must not empty it under this one."""
        if any(self.out.iterdir()) and not mark.is_file():
            raise DayFailed(f"{self.out} is not a demo's folder: give --out another one, nothing was deleted")
        self.mark = os.fdopen(os.open(mark, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644), "r+b")
        try:
            fcntl.flock(self.mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DayFailed(
                f"another demo is at work in {self.out}: wait for its end, or give --out another folder"
            ) from None
        self.mark.truncate()
        self.mark.write(b"made by poslab; its content is replaced by the next run\n")
        self.mark.flush()

    def _terminal(self) -> TerminalProcess:
        link: dict[str, Any] = {"host": "127.0.0.1", "port": self.port}
        if self.tls:
            link.update({"ca": str(self.out / "tls" / "ca.der"), "hostname": "localhost"})
        config: dict[str, Any] = {
            "link": link,
            "profile": str(self.out / "profile.json"),
            "settings": SETTINGS,
            "flash": self.flash,
        }
        if self.injected:
            config["clock"] = {"rtc": _INJECTED_RTC, "quality": 1}
            config["seed"] = "00" * 16
        return TerminalProcess(self.out, self.interpreter, self.heap, config=config, keys=self.keys)

    # -- the bench of poslab.day and poslab.closing_day --------------------------------------------------------------

    def say(self, text: str) -> None:
        self.console.print(f"[dim]{time.monotonic() - self.started:5.1f} s[/dim]  {escape(text)}")

    def terminal(self, command: dict[str, Any]) -> dict[str, Any]:
        assert self.process is not None
        slips = set((self.out / "slips").glob("*.txt"))
        done = self.process.command(command, timeout=60)
        if command["do"] in ("sale", "void", "refund", "signon", "settle", "present_again"):
            shown = escape(str({k: v for k, v in done.items() if k in ("message", "stan", "code") and v}))
            verb, amount = command["do"].partition("_")[0], command.get("amount", "") or ""
            self.console.print(f"          {verb:7}{amount:>6}  {shown}")
        for slip in sorted(set((self.out / "slips").glob("*.txt")) - slips):
            self.console.print(f"          [cyan]slip {escape(slip.stem)}[/cyan]")
        return done

    def post(self, command: dict[str, Any]) -> int:
        assert self.process is not None
        return self.process.post(command)

    def kill_terminal(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.console.print("          [red]SIGKILL[/red] terminal")

    def start_terminal(self, at_once: bool = False) -> None:
        """at_once: give it nothing to do, it has work in hand."""
        assert self.process is not None
        self.process.start()
        if self.injected and not at_once:
            # What is owed now is done before the next command, whichever came first: the same entries in each run.
            self.terminal({"do": "idle", "ms": 200})

    def start_acquirer(self) -> None:
        command = [sys.executable, "-m", "poslab.cli", "acquirer", "--port", str(self.port), "--end-with-stdin"]
        for option, path in (
            ("--ledger", self.out / "ledger.sqlite"),
            ("--profile", self.out / "profile.json"),
            ("--master-key", self.out / "terminal-master-key.hex"),
            ("--scenario", self._scenario()),
        ):
            command += [option, str(path)]
        if self.tls:
            command += ["--tls", "--cert-dir", str(self.out / "tls")]
        with open(self.out / "acquirer.log", "ab") as log:
            self.acquirer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        assert self.acquirer.stdout is not None
        if not self.acquirer.stdout.readline():
            raise DayFailed(f"the acquirer did not start: see {self.out / 'acquirer.log'}")

    def _scenario(self) -> Path:
        """The scenario; for an injected clock with the host's clock stopped, so that its times repeat."""
        if not self.injected:
            return self.faults
        path = self.out / "scenario.toml"
        path.write_text(
            "[defaults]\nclock = 2026-11-23T12:00:00\n" + self.faults.read_text(encoding="utf-8"), encoding="utf-8"
        )
        return path

    def stop_acquirer(self) -> None:
        if self.acquirer is not None:
            self.acquirer.terminate()
            try:
                self.acquirer.wait(10)
            except subprocess.TimeoutExpired:
                self.acquirer.kill()
                self.acquirer.wait()
            for pipe in (self.acquirer.stdin, self.acquirer.stdout):
                if pipe is not None:
                    pipe.close()
            self.acquirer = None

    def _at_acquirer(self, query: str, *values: int) -> int:
        """How many the ledger has."""
        with sqlite3.connect(f"file:{self.out / 'ledger.sqlite'}?mode=ro", uri=True) as db:
            return int(db.execute(f"SELECT COUNT(*) FROM {query}", values).fetchone()[0])

    def wait_for_sale(self, amount: int) -> None:
        until(lambda: self._at_acquirer("transactions WHERE amount = ?", amount) > 0, 10, f"the sale of {amount}")

    def uploaded(self, batch: int) -> int:
        return self._at_acquirer("uploads WHERE batch = ? AND code = '00'", batch)

    def wait_for_upload(self, batch: int, records: int) -> None:
        until(lambda: self.uploaded(batch) >= records, 10, f"record {records} of batch {batch} at the acquirer")

    def wait(self, ms: int) -> None:
        if self.injected:
            self.terminal({"do": "advance", "ms": ms})
            self.terminal({"do": "idle", "ms": min(ms, 1500) if ms >= 1200 else 150})
        else:
            self.terminal({"do": "idle", "ms": ms})

    def work(self, ms: int) -> None:
        """Let the terminal do what is due; an injected clock stands still."""
        self.terminal({"do": "idle", "ms": ms})

    def slips(self, kind: str) -> int:
        return len(list((self.out / "slips").glob(f"*-{kind}.bin")))

    def rtc(self) -> int:
        return self.terminal({"do": "status"})["rtc"]

    def pull_while_selling(self) -> None:
        """A technician's pull while the terminal goes on selling; not under an injected clock, where it would take
        place between other entries each time."""
        if not self.injected:
            self._pull(str(self.out / "auditor-keys.json"), str(self.out / "journal-first.posj"), selling=True)

    def pull(self) -> None:
        """The pull at the end of the day; then verify, a transaction and a batch explained, and both books compared."""
        journal, keys = str(self.out / "journal.posj"), str(self.out / "auditor-keys.json")
        self._pull(keys, journal)
        for args in (
            ("verify", journal, "--keys", keys),
            ("explain", journal, "--keys", keys, "--stan", "5"),
            ("explain", journal, "--keys", keys, "--batch", "2"),
            ("reconcile", journal, "--keys", keys, "--acquirer", str(self.out / "ledger.sqlite")),
        ):
            self.say("posaudit " + " ".join(Path(a).name for a in args))
            if subprocess.run(self._posaudit(*args), stdout=sys.stderr.fileno(), check=False).returncode != 0:
                raise DayFailed(f"posaudit {args[0]} found something")

    def _pull(self, keys: str, journal: str, selling: bool = False) -> None:
        assert self.process is not None
        command = self._posaudit("pull", "--port", self.process.port, "--keys", keys, "--out", journal)
        if self.injected:
            command += ["--nonce", "00" * 16]
        with subprocess.Popen(command, stdout=sys.stderr.fileno()) as technician:
            if selling:
                self.terminal({"do": "sale", "amount": 3100, "card": CARD_CHIP, "operator": "01"})
            while technician.poll() is None:
                self.terminal({"do": "idle", "ms": 50})
        if technician.returncode != 0:
            raise DayFailed(f"posaudit pull ended with {technician.returncode}")

    def _posaudit(self, *args: str) -> list[str]:
        return [sys.executable, "-m", "posaudit.cli", *args]

    # -- the books ---------------------------------------------------------------------------------------------------

    def compare(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Journal against ledger: transactions, then batches. Writes the JSON files and prints the tables."""
        books = self.out / "journal.posj", self.out / "ledger.sqlite"
        rows, batches = compare.rows(*books), compare.batches(*books)
        for name, found in (("transactions.json", rows), ("batches.json", batches)):
            (self.out / name).write_text(json.dumps(found, indent=1), encoding="utf-8")
        self.console.print(compare.table_of_rows(rows))
        self.console.print(compare.table_of_batches(batches))
        return rows, batches

    def _heap_text(self, banner: dict[str, Any]) -> str:
        size = banner.get("heap")
        return f"{size // 1024} KB" if size else "not bounded"


__all__ = ["CommandRefused", "Demo", "TerminalDied"]
