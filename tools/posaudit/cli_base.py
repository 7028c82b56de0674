"""What all posaudit commands share: options, output, and errors turned into messages and exit codes.

Data go to stdout, progress and messages to stderr. Exit codes: 0 done or verified, 1 findings, 2 usage or I/O."""

from __future__ import annotations

import functools
import locale
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from posaudit import explain
from posaudit.client import Client, ClientError
from posaudit.findings import Report
from posaudit.keys import ROLES, KeysError
from posaudit.ports import PortError, clean_text, json_text, open_port
from posaudit.posj import FormatError
from posaudit.pull import NotProven, PullError
from posaudit.texts import LANGS

FINDINGS, TROUBLE = 1, 2

app = typer.Typer(
    help="Pull a card terminal's journal, prove it, and tell what happened in plain words. Data go to stdout, progress "
    "and messages to stderr. Exit codes: 0 done or verified, 1 findings, 2 usage or input/output.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
keys_app = typer.Typer(help="Make and keep the auditor's key file.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(keys_app, name="keys")

console = Console(stderr=True, highlight=False)

PortOption = Annotated[
    str, typer.Option("--port", help="The service port: a path, port:PATH, id:SERIAL-NUMBER, or auto for the only one.")
]
KeysOption = Annotated[Path, typer.Option("--keys", help="The auditor's key file.", envvar="POSAUDIT_KEYS")]
MaybeKeysOption = Annotated[Path | None, typer.Option("--keys", help="The auditor's key file.", envvar="POSAUDIT_KEYS")]
JsonOption = Annotated[bool, typer.Option("--json", help="Write the result as JSON to stdout.")]
LangOption = Annotated[
    str | None, typer.Option("--lang", help="The language: zh or en. The default follows the system's.")
]


class Trouble(Exception):
    """The command cannot be carried out; the message says what to try next."""


def fail(text: str, code: int = TROUBLE) -> typer.Exit:
    """Say `text` on stderr; raise what this returns."""
    console.print(f"posaudit: {text}", markup=False, soft_wrap=True)
    return typer.Exit(code)


def guarded(command: Callable[..., None]) -> Callable[..., None]:
    """Turn every expected error into its message and exit code."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
            sys.stdout.flush()
        except NotProven as error:
            raise fail(str(error), FINDINGS) from None
        except (Trouble, KeysError, PortError, ClientError, PullError, explain.NotFound) as error:
            raise fail(str(error)) from None
        except FormatError as error:
            raise fail(f"{error}. Check that it is a file made by `posaudit pull`.") from None
        except BrokenPipeError:
            # Whoever read the output has gone; Python must not complain about it once more at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(TROUBLE) from None
        except OSError as error:
            name = f"{error.filename}: " if error.filename else ""
            raise fail(f"{name}{error.strerror or error}. Check the path, its rights and the free space.") from None
        except KeyboardInterrupt:
            raise fail("Stopped. What is proven so far is kept; the same command goes on from there.") from None

    return run


def emit(value: Any) -> None:
    """Write `value` to stdout as JSON."""
    print(json_text(value, indent=1))


def choose_lang(lang: str | None) -> str:
    """The language asked for, or the system's. Raises Trouble."""
    if lang is None:
        name = os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG") or ""
        return "zh" if (name or locale.getlocale()[0] or "").lower().startswith(("zh", "chinese")) else "en"
    if lang not in LANGS:
        raise Trouble(f"There is no language {lang!r}: use --lang zh or --lang en.")
    return lang


def choose_role(role: str) -> str:
    """A role by name. Raises Trouble."""
    if role not in ROLES:
        raise Trouble(f"There is no role {role!r}: use one of {', '.join(ROLES)}.")
    return role


def nonce_of(text: str | None) -> bytes | None:
    """A nonce given as hex digits. Raises Trouble."""
    if text is None:
        return None
    try:
        nonce = bytes.fromhex(text)
    except ValueError:
        nonce = b""
    if len(nonce) != 16:
        raise Trouble("The nonce is 32 hex digits, as `posaudit pull --json` reports it.")
    return nonce


@contextmanager
def connect(port: str) -> Iterator[Client]:
    """A client at the port that `port` names, closed at the end."""
    opened = open_port(port)
    try:
        yield Client(opened)
    finally:
        opened.close()


def count(number: int, what: str) -> str:
    """A number of things in words."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def verdict(report: Report) -> str:
    """One line, or one and a line for each finding."""
    name = clean_text(report.path, 300)
    if report.ok:
        cuts = f", {count(len(report.power_cuts), 'power cut')} repaired" if report.power_cuts else ""
        return (
            f"VERIFIED {name}: terminal {clean_text(report.terminal_id)}, {report.entries} entries, "
            f"{count(report.boots, 'start')}{cuts}, head {report.head[:16]}, tier {report.tier}"
        )
    lines = [f"NOT VERIFIED {name}: {count(len(report.findings), 'finding')}, {report.entries} entries proven"]
    lines += [f"  {clean_text(str(f), 600)}" for f in report.findings[:50]]
    if len(report.findings) > 50:
        lines.append(f"  and {len(report.findings) - 50} more: use --json")
    return "\n".join(lines)
