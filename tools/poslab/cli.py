"""The command line of poslab. stdout carries data, stderr progress; exit 0 done, 1 findings, 2 usage or I/O."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(
    no_args_is_help=True,
    add_completion=True,
    help="The posfw laboratory: an acquirer that misbehaves on request, an emulated terminal, and the demo of both.",
    pretty_exceptions_enable=False,
)
console = Console(stderr=True, highlight=False)


def fail(text: str) -> typer.Exit:
    """Say what went wrong; the caller raises the result."""
    console.print(f"[red]poslab:[/red] {text}")
    return typer.Exit(2)


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

    if interpreter not in ("micropython", "cpython"):
        raise fail(f"--interpreter {interpreter}: use micropython or cpython")
    try:
        summary = Demo(out, interpreter, tls, injected, heap).run()
    except (DayFailed, TerminalDied, CommandRefused, TimeoutError, StagingError, OSError) as error:
        console.print(f"[red]the demo stopped:[/red] {error}")
        raise typer.Exit(2) from error
    if as_json:
        print(json.dumps(summary))
    else:
        console.print(
            f"[bold]{summary['transactions']} transactions, {summary['differences']} differences[/bold] between "
            f"journal and acquirer; {summary['slips']} slips; {summary['seconds']} s. Look into {summary['out']}"
        )
    if summary["differences"]:
        raise typer.Exit(1)


@app.command()
def acquirer(
    port: Annotated[int, typer.Option(help="TCP port; 0 takes a free one and prints it.")] = 0,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    ledger: Annotated[Path, typer.Option(help="SQLite ledger; made if missing.")] = Path("ledger.sqlite"),
    scenario: Annotated[Path | None, typer.Option(help="TOML file of faults; none: every message is answered.")] = None,
    profile: Annotated[Path | None, typer.Option(help="Acquirer profile (JSON); none: the shipped unionpay.")] = None,
    master_key: Annotated[Path | None, typer.Option(help="File with the terminal master key, 32 hex digits.")] = None,
    tls: Annotated[bool, typer.Option("--tls", help="Speak TLS with a certificate made here.")] = False,
    cert_dir: Annotated[Path, typer.Option(help="Where the certificates lie or are made.")] = Path("tls"),
    state: Annotated[bool, typer.Option("--state", help="Print the ledger as JSON and end.")] = False,
) -> None:
    """Run an ISO 8583 acquirer with a ledger and scripted faults, until it is interrupted. SIGHUP reads the
    scenario anew.
    """
    from poslab.acquirer import LedgerError, ProfileError, ScenarioError, dump_state, run

    try:
        if state:
            print(json.dumps(dump_state(ledger), indent=1))
            return
        key = bytes.fromhex(master_key.read_text()) if master_key else bytes(16)
        if len(key) != 16:
            raise fail(f"{master_key}: the terminal master key has 16 bytes, that is 32 hex digits")
        path = profile or Path(str(_shipped("unionpay")))
        run(host, port, ledger, scenario, path, tls, cert_dir, key, _ready)
    except (LedgerError, ProfileError, ScenarioError, OSError, ValueError) as error:
        raise fail(str(error)) from error


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
    from poslab.console import Shell
    from poslab.staging import StagingError

    host, _, number = acquirer_at.rpartition(":")
    if not host or not number.isdigit():
        raise fail(f"--acquirer {acquirer_at}: give HOST:PORT")
    if interpreter not in ("micropython", "cpython"):
        raise fail(f"--interpreter {interpreter}: use micropython or cpython")
    try:
        Shell(directory, interpreter, heap, host, int(number), profile or Path(str(_shipped("unionpay"))), ca).run(
            sys.stdin
        )
    except (StagingError, TimeoutError, OSError, ValueError) as error:
        raise fail(str(error)) from error


def main() -> None:
    """Entry point."""
    app()


if __name__ == "__main__":
    main()
