"""Commands that read pulled files: verify, show, explain."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from posaudit import batch_lines, batch_story, explain, show
from posaudit.cli_base import (
    FINDINGS,
    TROUBLE,
    JsonOption,
    KeysOption,
    LangOption,
    MaybeKeysOption,
    Trouble,
    app,
    choose_lang,
    console,
    emit,
    fail,
    guarded,
    nonce_of,
    verdict,
)
from posaudit.describe import Context, money, type_name
from posaudit.findings import Report
from posaudit.keys import AuditorKeys
from posaudit.names import KINDS, kind_number
from posaudit.ports import json_text
from posaudit.seal import verify_file
from posaudit.texts import say


@app.command()
@guarded
def verify(
    files: Annotated[list[Path], typer.Argument(help="Pulled files (.posj).")],
    keys: KeysOption,
    nonce: Annotated[
        str | None, typer.Option("--nonce", help="The nonce the pull asked with, in hex, if you have it.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Prove that pulled journals are whole and unchanged, or name what was done to them and where."""
    key_file = AuditorKeys.load(keys)
    asked = nonce_of(nonce)
    reports = []
    trouble = False
    for path in files:
        try:
            report = verify_file(path, key_file, asked)
        except OSError as error:
            fail(f"Cannot read {path}: {error.strerror}. Check the path.")
            trouble = True
            continue
        reports.append(report)
        if not as_json:
            print(verdict(report))
    good = [r for r in reports if r.ok]
    if as_json:
        emit({"ok": len(good) == len(files), "files": [r.to_dict() for r in reports]})
    elif good:
        print(f"Tier {good[0].tier} proves: {good[0].proves}.")
        print(f"It does not prove: {good[0].does_not_prove}.")
    if trouble:
        raise typer.Exit(TROUBLE)
    if len(good) < len(reports):
        raise typer.Exit(FINDINGS)


def verified(path: Path, keys: Path | None, lang: str) -> tuple[Report | None, set[int] | None]:
    """Verify first if there are keys, and say on stderr what holds: (report, offsets of the proven entries)."""
    if keys is None:
        console.print(say(lang, "not_verified"), markup=False, soft_wrap=True)
        return None, None
    proven: set[int] = set()
    report = verify_file(path, AuditorKeys.load(keys), on_entry=lambda offset, raw, payload: proven.add(offset))
    text = say(lang, "verified", entries=report.entries) if report.ok else verdict(report)
    console.print(text, markup=False, soft_wrap=True)
    return report, proven


@app.command("show")
@guarded
def show_command(
    file: Annotated[Path, typer.Argument(help="A pulled file (.posj).")],
    keys: MaybeKeysOption = None,
    txn: Annotated[int | None, typer.Option("--txn", help="Only entries of this transaction.")] = None,
    stan: Annotated[int | None, typer.Option("--stan", help="Only entries of this STAN, in every batch.")] = None,
    kind: Annotated[str | None, typer.Option("--kind", help="Only entries of this kind, such as intent.")] = None,
    lang: LangOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a pulled journal entry by entry. Without --keys nothing is verified."""
    tongue = choose_lang(lang)
    wanted = show.Filter(txn, stan)
    if kind is not None:
        wanted.kind = kind_number(kind)
        if wanted.kind is None:
            raise Trouble(f"There is no kind {kind!r}: use one of {', '.join(KINDS.values()).lower()}.")
    report, proven = verified(file, keys, tongue)
    manifest, entries = show.read_entries(file)
    context = Context(tongue)
    if as_json:
        # Written as it is read: a journal may be longer than the memory.
        head = {
            "terminal_id": manifest.terminal_id,
            "journal_id": manifest.journal_id.hex(),
            "verified": report.ok if report else None,
            "findings": [str(f) for f in report.findings] if report else [],
        }
        print(json_text(head)[:-1] + ', "entries": [', end="")
    between = "\n"
    for entry in entries:
        if entry.payload:
            context.take(entry.payload)
        if not wanted.takes(entry.payload):
            continue
        true = None if proven is None else entry.offset in proven
        if as_json:
            value = {**show.as_dict(entry, context), "proven": true}
            print(between + json_text(value), end="")
            between = ",\n"
        else:
            print((say(tongue, "unproven_mark") if true is False else "") + show.line(entry, context))
    if as_json:
        print("\n]}")
    if report is not None and not report.ok:
        raise typer.Exit(FINDINGS)


@app.command("explain")
@guarded
def explain_command(
    file: Annotated[Path, typer.Argument(help="A pulled file (.posj).")],
    stan: Annotated[int | None, typer.Option("--stan", help="The transaction's STAN, as the slip shows it.")] = None,
    batch: Annotated[
        int | None,
        typer.Option("--batch", help="With --stan, the batch, where a STAN occurs in several. Alone: tell the batch."),
    ] = None,
    at: Annotated[
        int | None, typer.Option("--at", help="With --batch alone: an entry in it, where the number occurs again.")
    ] = None,
    txn: Annotated[int | None, typer.Option("--txn", help="The transaction's number instead of its STAN.")] = None,
    keys: MaybeKeysOption = None,
    lang: LangOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell one transaction, or one batch, in plain words: what happened, why, what is owed, and the evidence."""
    tongue = choose_lang(lang)
    if stan is None and txn is None and batch is not None:
        _explain_batch(file, batch, at, keys, tongue, as_json)
        return
    if (stan is None) == (txn is None):
        raise Trouble("Say which transaction: --stan N as on the slip, or --txn N. Or which batch: --batch N.")
    if at is not None:
        raise Trouble("--at ENTRY goes with --batch alone.")
    try:
        number = explain.find_txn(file, stan, batch, txn)
    except explain.Ambiguous as several:
        _list_candidates(several.candidates, tongue)
        raise Trouble(f"STAN {stan} occurs more than once: choose with --batch, or with --txn.") from None
    report, proven = verified(file, keys, tongue)
    story = explain.read_story(file, number, tongue, proven)
    if as_json:
        emit(explain.to_dict(story, report))
    else:
        print("\n".join(explain.lines(story, report)))
    if report is not None and not report.ok:
        raise typer.Exit(FINDINGS)


def _explain_batch(file: Path, batch: int, at: int | None, keys: Path | None, lang: str, as_json: bool) -> None:
    report, proven = verified(file, keys, lang)
    try:
        story = batch_story.read_batch(file, batch, at, lang, proven)
    except batch_story.NoBatch as error:
        for line in batch_story.listed(error.batches, lang):
            console.print(line, markup=False, soft_wrap=True)
        raise
    if as_json:
        emit(batch_story.to_dict(story, report))
    else:
        print("\n".join(batch_lines.lines(story, report)))
    if story.batch.odd or (report is not None and not report.ok):
        raise typer.Exit(FINDINGS)


def _list_candidates(candidates: list[list[Any]], lang: str) -> None:
    for p in candidates:
        b = p[6]
        title = say(
            lang, "title", type=type_name(lang, b[2]), amount=money(b[3], b[4]), stan=f"{b[0]:06}", batch=f"{b[1]:06}"
        )
        console.print(f"  --batch {b[1]} (--txn {p[0]}): {title}", markup=False, soft_wrap=True)
