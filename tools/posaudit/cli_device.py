"""Commands that talk to a terminal: pull, status, resolve, time."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn, TransferSpeedColumn

from posaudit import control
from posaudit.cli_base import (
    JsonOption,
    KeysOption,
    LangOption,
    MaybeKeysOption,
    PortOption,
    Trouble,
    app,
    choose_lang,
    choose_role,
    connect,
    console,
    emit,
    guarded,
    nonce_of,
    verdict,
)
from posaudit.describe import Context, code_meaning
from posaudit.keys import AuditorKeys
from posaudit.ports import clean_text
from posaudit.pull import pull
from posaudit.texts import has, numbered, say
from posfw.receipt.text import cause_text


@app.command("pull")
@guarded
def pull_command(
    port: PortOption,
    keys: KeysOption,
    out: Annotated[Path, typer.Option("--out", help="The file to write; it appears when it is whole and verified.")],
    role: Annotated[str, typer.Option("--role", help="Log in as technician, auditor or supervisor.")] = "technician",
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it exists.")] = False,
    nonce: Annotated[
        str | None,
        typer.Option("--nonce", help="32 hex digits an auditor chose for this pull; otherwise random."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Pull the whole journal from a running terminal and verify it while it comes.

    A broken pull leaves FILE.part; the same command goes on from it."""
    key_file = AuditorKeys.load(keys)
    asked = nonce_of(nonce)
    started = time.monotonic()
    columns = (
        TextColumn("pulling"),
        BarColumn(),
        TextColumn("{task.fields[entries]} entries"),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeElapsedColumn(),
    )
    with connect(port) as client, Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("pull", total=None, entries=0)

        def progress(done: int, total: int, size: int) -> None:
            # The size of the rest is not known: it is taken to be like that of what has come.
            bar.update(task, completed=size, total=size * total // max(done, 1), entries=f"{done}/{total}")

        pulled = pull(
            client,
            key_file,
            out,
            choose_role(role),
            progress,
            lambda text: console.print(text, markup=False),
            force,
            asked,
        )
    seconds = max(time.monotonic() - started, 0.001)
    again = f", {pulled.retries} repeated requests" if pulled.retries else ""
    rate = pulled.size / seconds / 1000
    console.print(f"{pulled.size} bytes in {seconds:.1f} s, {rate:.0f} kB/s{again}", markup=False)
    if as_json:
        emit(
            {
                **pulled.report.to_dict(),
                "resumed": pulled.resumed,
                "retries": pulled.retries,
                "bytes": pulled.size,
                "seconds": round(seconds, 3),
            }
        )
    else:
        print(verdict(pulled.report))


@app.command()
@guarded
def status(
    port: PortOption,
    keys: MaybeKeysOption = None,
    role: Annotated[str, typer.Option("--role", help="Log in as technician, auditor or supervisor.")] = "technician",
    lang: LangOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask a running terminal how it stands, and what it owes."""
    tongue = choose_lang(lang)
    key_file = AuditorKeys.load(keys) if keys else None
    with connect(port) as client:
        s = control.get_status(client, key_file, choose_role(role))
    if as_json:
        emit(s.to_dict())
        return
    print(say(tongue, "status_title", terminal=s.terminal_id, firmware=s.firmware))
    print(say(tongue, "status_journal", first=s.first_seq, last=s.next_seq - 1))
    shown = f"{Context().time(s.rtc)} UTC" if s.rtc else "-"
    print(say(tongue, "status_clock", time=shown, quality=numbered(tongue, "quality", s.rtc_quality)))
    print(say(tongue, "status_next", batch=f"{s.batch:06}", stan=f"{s.next_stan:06}"))
    if s.settlement is not None:
        _print_settlement(s.settlement, tongue)
    for what, txn in s.owed:
        print(_owed_line(tongue, what, txn))
        advice = f"advice{what}"
        if has(advice):
            print(say(tongue, advice, txn=txn))
    for number, batch, code in s.refused or []:
        meant = code_meaning(tongue, code)
        print(say(tongue, "status_refused", number=number, batch=f"{batch:06}", code=meant))
    if not s.owed:
        print(say(tongue, "status_owes_nothing"))
    if s.message:
        print(say(tongue, "status_says", message=s.message))


def _print_settlement(s: control.Settlement, lang: str) -> None:
    phase = numbered(lang, "phase_settle", s.phase)
    values = {"batch": f"{s.batch:06}", "phase": phase, "acknowledged": s.acknowledged, "refused": s.refused}
    if s.opened:
        print(say(lang, "status_batch", time=f"{Context().time(s.opened)} UTC", **values))
    else:
        print(say(lang, "status_batch_empty", **values))
    if s.cause:
        print(say(lang, "status_cause", cause=cause_text(lang, "merchant", s.cause)))
        print("  " + cause_text(lang, "technician", s.cause))


def _owed_line(lang: str, what: int, txn: int) -> str:
    if has(f"owes{what}"):
        return say(lang, f"owes{what}", txn=txn)
    known = f"what{what}"
    name = say(lang, known) if has(known) else say(lang, "what_other", what=what)
    return say(lang, "status_owes", what=name, txn=txn)


@app.command()
@guarded
def resolve(
    port: PortOption,
    keys: KeysOption,
    txn: Annotated[
        int,
        typer.Option(
            "--txn",
            help="The number of the transaction or refused record, as `posaudit status` shows it; for batch-closed the "
            "close of day's, as `posaudit explain` shows it.",
            min=0,
        ),
    ],
    decision: Annotated[
        str,
        typer.Option(
            "--decision",
            help="What is known now. Of an unresolved reversal: reversed or charged (the acquirer confirmed), or "
            "other. Of a refused record: written-off. Of a batch that cannot be settled: batch-closed.",
        ),
    ],
    name: Annotated[str, typer.Option("--name", help="Who decides. The name stays in the journal.")],
    reason: Annotated[str, typer.Option("--reason", help="Why. The reason stays in the journal.")],
    as_json: JsonOption = False,
) -> None:
    """Decide as a supervisor on an unresolved reversal, a refused record, or a batch that cannot be settled.

    The decision is signed and stays in the terminal's journal."""
    if decision not in control.DECISIONS:
        raise Trouble(f"There is no decision {decision!r}: use one of {', '.join(control.DECISIONS)}.")
    key_file = AuditorKeys.load(keys)
    with connect(port) as client:
        control.resolve(client, key_file, txn, decision, name, reason)
    if as_json:
        emit({"txn": txn, "decision": decision, "name": name, "reason": reason})
    else:
        what = {"written-off": "Record", "batch-closed": "Close of day"}.get(decision, "Transaction")
        print(f"{what} #{txn} is closed by {clean_text(name)}: {decision}. The decision is in the journal.")


@app.command("time")
@guarded
def time_command(port: PortOption, keys: KeysOption, as_json: JsonOption = False) -> None:
    """Set the terminal's clock to this computer's. The change is journaled."""
    key_file = AuditorKeys.load(keys)
    with connect(port) as client:
        now = control.set_clock(client, key_file)
    if as_json:
        emit({"rtc": now})
    else:
        print(f"The terminal's clock is set to {Context().time(now)} UTC.")
