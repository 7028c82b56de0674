"""The posaudit command: every command in one place."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from posaudit import cli_device, cli_files, cli_reconcile
from posaudit.cli_base import JsonOption, app, emit, guarded, keys_app
from posaudit.keys import AuditorKeys
from posaudit.ports import forgiving_output

__all__ = ["app", "cli_device", "cli_files", "cli_reconcile", "main"]  # importing them registers their commands


@keys_app.command("new")
@guarded
def keys_new(
    file: Annotated[Path, typer.Argument(help="The key file to make. It must not exist.")],
    as_json: JsonOption = False,
) -> None:
    """Make a new auditor master, readable by its owner only.

    Keep a copy in a safe: journals cannot be proven without it."""
    AuditorKeys.new().save(file, new=True)
    if as_json:
        emit({"file": str(file)})
    else:
        print(f"{file} holds a new auditor master. Keep a copy in a safe: without it no journal can be proven.")


def main() -> None:
    """Run the command line."""
    forgiving_output()
    app(prog_name="posaudit")


if __name__ == "__main__":
    main()
