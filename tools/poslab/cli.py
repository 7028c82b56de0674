"""The command line of poslab. stdout carries data, stderr progress; exit 0 done, 1 findings, 2 usage or I/O."""

from __future__ import annotations

import json
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from posaudit.ports import forgiving_output
from rich.console import Console
from rich.markup import escape
from rich.text import Text

app = typer.Typer(
    no_args_is_help=True,
    add_completion=True,
    help="The posfw laboratory: an acquirer that misbehaves on request, an emulated terminal, and the demo of both.",
    pretty_exceptions_enable=False,
)
console = Console(stderr=True, highlight=False)


def fail(text: str) -> typer.Exit:
    """Say what went wrong; the caller raises the result."""
    console.print(Text.assemble(("poslab:", "red"), " ", text), soft_wrap=True)
    return typer.Exit(2)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Turn SIGTERM, SIGHUP and SIGINT into SystemExit, so that child processes are ended on the way out."""

    def leave(number: int, _frame: object) -> None:
        for other in before:
            signal.signal(other, signal.SIG_IGN)  # one is enough: the way out must not be cut short
        raise SystemExit(128 + number)

    ends = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
    before = {number: signal.getsignal(number) for number in ends}
    try:
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:  # nohup
                signal.signal(number, leave)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _check_interpreter(interpreter: str, heap: str) -> None:
    if interpreter not in ("micropython", "cpython"):
        raise fail(f"--interpreter {interpreter}: use micropython or cpython")
    if not re.fullmatch(r"[1-9][0-9]{0,8}[KkMm]?", heap):
        raise fail(f"--heap {heap}: give a size such as 256K or 1M")


@app.command()
def demo(
    out: Annotated[
        Path, typer.Option(help="Folder for everything the demo makes; a former demo's folder is replaced.")
    ] = Path("build/demo"),
    interpreter: Annotated[str, typer.Option(help="What runs the terminal: micropython or cpython.")] = "micropython",
    heap: Annotated[str, typer.Option(help="Heap of the MicroPython process.")] = "256K",
    tls: Annotated[bool, typer.Option("--tls", help="Terminal and acquirer speak TLS.")] = False,
    injected: Annotated[
        bool,
        typer.Option(
            "--injected",
            help="Clock and randomness come from the configuration, so that two runs give the same flash image.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Run the main job: a day of lost, late and damaged acknowledgements, pulled, verified and compared."""
    from poslab.board_launch import CommandRefused, TerminalDied
    from poslab.day import DayFailed
    from poslab.demo import Demo
    from poslab.staging import StagingError

    _check_interpreter(interpreter, heap)
    try:
        with _ended_by_signals():
            summary = Demo(out, interpreter, tls, injected, heap).run()
    except (DayFailed, TerminalDied, CommandRefused, TimeoutError, StagingError, OSError) as error:
        raise fail(f"the demo stopped: {error}") from error
    if as_json:
        print(json.dumps(summary))
    else:
        console.print(
            f"[bold]{summary['transactions']} transactions, {summary['differences']} differences[/bold] between "
            f"journal and acquirer; {summary['slips']} slips; {summary['seconds']} s. Look into "
            f"{escape(summary['out'])}"
        )
    if summary["differences"]:
        raise typer.Exit(1)


@app.command()
def acquirer(
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port; 0 takes a free one and prints it.")] = 0,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    ledger: Annotated[Path, typer.Option(help="SQLite ledger; made if missing.")] = Path("ledger.sqlite"),
    scenario: Annotated[Path | None, typer.Option(help="TOML file of faults; none: every message is answered.")] = None,
    profile: Annotated[Path | None, typer.Option(help="Acquirer profile (JSON); none: the shipped unionpay.")] = None,
    master_key: Annotated[Path | None, typer.Option(help="File with the terminal master key, 32 hex digits.")] = None,
    tls: Annotated[bool, typer.Option("--tls", help="Speak TLS with a certificate made here.")] = False,
    cert_dir: Annotated[Path, typer.Option(help="Where the certificates lie or are made.")] = Path("tls"),
    state: Annotated[bool, typer.Option("--state", help="Print the ledger's batches and end.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="With --state: JSON, and transactions, reversals and messages too.")
    ] = False,
    export: Annotated[
        Path | None, typer.Option(help="Write the settlement file (CSV) of the ledger, and end.")
    ] = None,
    with_stdin: Annotated[
        bool, typer.Option("--end-with-stdin", help="End when stdin, a pipe, ends: with the process that started it.")
    ] = False,
) -> None:
    """Run an ISO 8583 acquirer with a ledger and scripted faults, until it is interrupted. SIGHUP reads the
    scenario anew.
    """
    from poslab.acquirer import LedgerError, ProfileError, ScenarioError, run

    if as_json and not state:
        raise fail("--json goes with --state")
    try:
        if state or export is not None:
            _tell_ledger(ledger, state, as_json, export)
            return
        key = _key_in(master_key) if master_key else bytes(16)
        path = profile or Path(str(_shipped("unionpay")))
        run(host, port, ledger, scenario, path, tls, cert_dir, key, _ready, with_stdin)
    except (LedgerError, ProfileError, ScenarioError, OSError, ValueError) as error:
        raise fail(str(error)) from error


def _tell_ledger(ledger: Path, state: bool, as_json: bool, export: Path | None) -> None:
    from poslab import acquirer as books
    from poslab.acquirer.state_table import table

    if export is not None:
        count = books.export(ledger, export)
        console.print(f"{count} bookings in {escape(str(export))}", soft_wrap=True)
    if state and as_json:
        print(json.dumps({"batches": books.batches(ledger), **books.dump_state(ledger)}, indent=1))
    elif state:
        found = books.batches(ledger)
        # Not cut to a terminal's width where there is none.
        shown = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 120)
        for batch in found:
            shown.print(table(batch))
        if not found:
            console.print("no batch yet")


def _key_in(path: Path) -> bytes:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise fail(f"--master-key {path}: cannot be read ({error.strerror}); give a file of 32 hex digits") from error
    try:
        key = bytes.fromhex(raw.decode())
    except ValueError:
        key = b""  # the error's own text would quote the key
    if len(key) != 16:
        raise fail(f"--master-key {path}: the terminal master key has 16 bytes, that is 32 hex digits")
    return key


def _shipped(name: str) -> object:
    from importlib.resources import files

    return files("posfw") / "acquirer" / "profiles" / f"{name}.json"


def _ready(host: str, port: int) -> None:
    print(json.dumps({"host": host, "port": port}), flush=True)


@app.command()
def terminal(
    directory: Annotated[Path, typer.Option("--dir", help="Everything that survives the process lies here.")] = Path(
        "build/terminal"
    ),
    acquirer_at: Annotated[str, typer.Option("--acquirer", help="The acquirer's HOST:PORT.")] = "127.0.0.1:8583",
    interpreter: Annotated[str, typer.Option(help="micropython or cpython.")] = "micropython",
    heap: Annotated[str, typer.Option(help="Heap of the MicroPython process.")] = "256K",
    profile: Annotated[Path | None, typer.Option(help="Acquirer profile (JSON); none: the shipped unionpay.")] = None,
    ca: Annotated[Path | None, typer.Option(help="CA certificate (DER): the link speaks TLS.")] = None,
) -> None:
    """Run the emulated terminal. Reads commands from stdin, a line each (type `help`), and prints events as JSON
    lines.
    """
    from poslab.acquirer import ProfileError
    from poslab.acquirer.profile import read_profile
    from poslab.board_launch import CommandRefused, TerminalDied
    from poslab.console import Shell
    from poslab.staging import StagingError

    host, _, number = acquirer_at.rpartition(":")
    if not host or not re.fullmatch("[0-9]{1,5}", number) or not 1 <= int(number) <= 65535:
        raise fail(f"--acquirer {acquirer_at}: give HOST:PORT, the port from 1 to 65535")
    _check_interpreter(interpreter, heap)
    path = profile or Path(str(_shipped("unionpay")))
    try:
        read_profile(path)  # the terminal itself could only end without a word
        with _ended_by_signals():
            Shell(directory, interpreter, heap, host, int(number), path, ca).run(sys.stdin)
    except (CommandRefused, ProfileError, StagingError, TerminalDied, TimeoutError, OSError, ValueError) as error:
        raise fail(str(error)) from error


def main() -> None:
    """Entry point."""
    forgiving_output()
    app()


if __name__ == "__main__":
    main()
