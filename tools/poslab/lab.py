"""Provisioning for the laboratory: keys, profiles, and the mark that a folder may be emptied."""

from __future__ import annotations

import hashlib
import json
import os
from importlib.resources import files
from pathlib import Path
from typing import Any

from posaudit.keys import ROLES, AuditorKeys

from poslab.board_launch import Keys

MARK = ".poslab"


def shipped_profile(name: str) -> dict[str, Any]:
    """A profile that ships with posfw, as a dict. Raises FileNotFoundError."""
    source = files("posfw") / "acquirer" / "profiles" / f"{name}.json"
    return json.loads(source.read_text(encoding="utf-8"))


def provision(path: Path, terminal_id: str, fixed: bool = False) -> Keys:
    """Make an auditor key file at `path` and the keys a new terminal is given.

    fixed: the same keys each time, for runs that must repeat byte by byte. Never for a real terminal.
    """
    if fixed:
        keys = AuditorKeys(b"\x01" * 32, {terminal_id: bytes(range(16))})
        master_key = b"\x02" * 16
    else:
        keys = AuditorKeys.new()
        keys.add_terminal(terminal_id)
        master_key = os.urandom(16)
    keys.save(path, new=True)
    roles = [keys.role_key(terminal_id, role) for role in ROLES]
    return Keys(
        terminal_id, keys.journal_id(terminal_id), keys.k0(terminal_id), (roles[0], roles[1], roles[2]), master_key
    )


def write_secret(path: Path, text: str) -> None:
    """Write a file that nobody else can read at any moment, in the place of what was there."""
    path.unlink(missing_ok=True)  # so that the mode below holds
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def digest(path: Path) -> str:
    """SHA-256 of a file, hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
