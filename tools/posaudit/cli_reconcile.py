"""The command that compares a pulled journal with the acquirer's settlement file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from posaudit import reconcile
from posaudit.acquirer_file import AcquirerFileError, open_acquirer
from posaudit.batch_story import odd_text
from posaudit.books import Books
from posaudit.cli_base import (
    FINDINGS,
    JsonOption,
    LangOption,
    MaybeKeysOption,
    Trouble,
    app,
    choose_lang,
    console,
    emit,
    guarded,
)
from posaudit.cli_files import verified
from posaudit.describe import Context
from posaudit.texts import say
from posfw import numbers as n

_MOST = 50  # items of one list; the rest stands in --json


@app.command("reconcile")
@guarded
def reconcile_command(
    file: Annotated[Path, typer.Argument(help="A pulled file (.posj).")],
    acquirer: Annotated[
        Path,
        typer.Option(
            "--acquirer",
            help="The acquirer's settlement file: CSV with the columns tid, batch, stan, type, amount (minor units), "
            "currency, pan, rrn, auth, state, settled_batch, upload_code; or the lab's SQLite ledger.",
        ),
    ],
    keys: MaybeKeysOption = None,
    batch: Annotated[int | None, typer.Option("--batch", help="Only this batch.")] = None,
    tid: Annotated[
        str | None, typer.Option("--tid", help="Only this terminal id (TID), as the acquirer has it.")
    ] = None,
    lang: LangOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare a pulled journal with the acquirer's settlement file; exit 1 if anything differs.

    What both sides' states mean stands in docs/journal-format.md, section 8."""
    tongue = choose_lang(lang)
    try:
        other = open_acquirer(acquirer)
        report, proven = verified(file, keys, tongue)
        with _progress() as progress:
            books, left = reconcile.read_books(file, proven, progress)
            result = reconcile.compare(books, other.rows(), batch, tid, other.knows_settled, progress)
    except AcquirerFileError as error:
        raise Trouble(str(error)) from None
    if not result.rows:
        _check_filter(books, batch, tid, tongue)
    result.not_believed = left
    if as_json:
        proof = {
            "verified": report.ok if report else None,
            "findings": [str(f) for f in report.findings] if report else [],
        }
        emit({**proof, **result.to_dict()})
    else:
        _print(result, tongue)
    if not result.ok or (report is not None and not report.ok) or left:
        raise typer.Exit(FINDINGS)


def _check_filter(books: Books, batch: int | None, tid: str | None, lang: str) -> None:
    """Refuse what would compare nothing with nothing, and find nothing. Raises Trouble."""
    if tid is None and not books.tids and books.records:
        raise Trouble(say(lang, "rec_needs_tid"))
    held = [b for b in books.batches if batch in (None, b.number)]
    if not held:
        known = ", ".join(f"{b.number:06}" for b in books.batches[-_MOST:])
        raise Trouble(say(lang, "rec_no_filter", what=f"--batch {batch}", known=known))
    found = {name for b in held for name in reconcile.tids_of(b)}
    if tid is not None and found and tid not in found:
        raise Trouble(say(lang, "rec_no_filter", what=f"--tid {tid}", known=", ".join(sorted(found))))


@contextmanager
def _progress() -> Iterator[reconcile.Progress]:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TextColumn("{task.completed}"), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda what, count: bar.update(task, description=f"reading the {what}", completed=count)


def _print(result: reconcile.Result, lang: str) -> None:
    print(say(lang, "rec_title", journal=result.transactions, rows=result.rows, agree=result.agree))
    if result.ignored:
        print(say(lang, "rec_ignored", count=result.ignored))
    if not result.rows and result.ignored:
        print(say(lang, "rec_no_tid", tids=", ".join(result.tids)))
    if not result.knows_settled:
        print(say(lang, "rec_no_settled"))
    if result.not_believed:
        print(say(lang, "rec_not_believed", count=result.not_believed))
    for number in result.partial:
        print(say(lang, "rec_partial", batch=f"{number:06}"))
    if result.contradictions:
        print(f"\n{say(lang, 'rec_contradictions')}: {len(result.contradictions)}")
        for b, odd in result.contradictions[:_MOST]:
            context = Context(lang)
            if b.config is not None:
                context.take([0, n.CONFIG, 0, 0, 0, 0, b.config])
            print("  " + odd_text(odd, context))
        if len(result.contradictions) > _MOST:
            print("  " + say(lang, "and_more", count=len(result.contradictions) - _MOST))
    for name, items in result.lists.items():
        if items:
            print(f"\n{say(lang, 'rec_' + name)}: {len(items)}")
            for item in items[:_MOST]:
                print("  " + reconcile.line(item, lang))
            if len(items) > _MOST:
                print("  " + say(lang, "and_more", count=len(items) - _MOST))
    if result.ok:
        print(say(lang, "rec_none"))
