"""The auditor's key file and what is derived from it (docs/journal-format.md sections 2 and 7)."""

from __future__ import annotations

import json
import os
import secrets
import stat
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

FORMAT = "posfw-auditor-keys/1"
ROLES = {"technician": 1, "auditor": 2, "supervisor": 3}
_LIMIT = 64 * 1024 * 1024  # a fleet of a million terminals; anything larger is not a key file


class KeysError(Exception):
    """The key file is missing, unreadable or not what it should be; the message says what to do."""


def _hkdf(master: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=salt, info=info).derive(master)


def derive_k0(master: bytes, terminal_id: str, journal_id: bytes) -> bytes:
    """K(0), the key that seals entry 0 (RFC 5869; journal-format section 2). 32 bytes."""
    return _hkdf(master, journal_id, b"posfw/seal/1" + terminal_id.encode())


def role_key(master: bytes, terminal_id: str, journal_id: bytes, role: str) -> bytes:
    """The 32-byte key of "technician", "auditor" or "supervisor" (journal-format section 7).

    Raises KeysError for another role."""
    if role not in ROLES:
        raise KeysError(f"There is no role {role!r}: use one of {', '.join(ROLES)}.")
    return _hkdf(master, journal_id, f"posfw/role/{role}/1".encode() + terminal_id.encode())


def check_terminal_id(terminal_id: str) -> str:
    """Return `terminal_id`; raise KeysError unless it is 1 to 64 bytes of printable text."""
    if not terminal_id.isprintable() or not 1 <= len(terminal_id.encode("utf-8", "replace")) <= 64:
        raise KeysError("A terminal id is 1 to 64 bytes of printable text.")
    return terminal_id


class AuditorKeys:
    """The auditor master (32 bytes) and the journal id (16 bytes) of each terminal provisioned under it."""

    def __init__(self, master: bytes, terminals: dict[str, bytes] | None = None) -> None:
        if len(master) != 32:
            raise KeysError("The auditor master is 32 bytes.")
        self.master = bytes(master)
        self.terminals = dict(terminals or {})
        self._extra: dict[str, Any] = {}  # what a newer posaudit keeps in the file is not lost by an older one
        self._terminal_extra: dict[str, dict[str, Any]] = {}

    def __repr__(self) -> str:  # a traceback must not print the master
        return f"<AuditorKeys of {len(self.terminals)} terminals>"

    @classmethod
    def new(cls) -> AuditorKeys:
        """A fresh random master without terminals."""
        return cls(secrets.token_bytes(32))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> AuditorKeys:
        """Read a key file. Raises KeysError: missing, readable by others, or not in the documented form."""
        try:
            with open(path, "rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                raw = file.read(_LIMIT + 1)
        except OSError as error:
            raise KeysError(
                f"Cannot read the key file {path}: {error.strerror}. Give the auditor's key file with --keys."
            ) from error
        if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise KeysError(f"The key file {path} can be used by other accounts. Run: chmod 600 {path}")
        try:
            if len(raw) > _LIMIT:
                raise ValueError("too large")
            document = json.loads(raw.decode(), object_pairs_hook=_no_duplicates)
            return cls._from_document(document)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            # The text of a JSON error may quote the file, and the file is secret: name only its kind.
            raise KeysError(
                f"The key file {path} is not in the form {FORMAT} ({type(error).__name__}). "
                "Restore it from its backup, or make a new one with: posaudit keys new"
            ) from None

    @classmethod
    def _from_document(cls, document: Any) -> AuditorKeys:
        if document["format"] != FORMAT or not isinstance(document["terminals"], dict):
            raise ValueError("format")
        terminals = {}
        extra = {}
        for terminal_id, entry in document["terminals"].items():
            journal_id = bytes.fromhex(entry["journal_id"])
            if len(journal_id) != 16 or not 1 <= len(terminal_id.encode()) <= 64:
                raise ValueError("terminal")
            terminals[terminal_id] = journal_id
            extra[terminal_id] = {k: v for k, v in entry.items() if k != "journal_id"}
        master = bytes.fromhex(document["master"])
        if len(master) != 32:
            raise ValueError("master")
        keys = cls(master, terminals)
        keys._extra = {k: v for k, v in document.items() if k not in ("format", "master", "terminals")}
        keys._terminal_extra = extra
        return keys

    def save(self, path: str | os.PathLike[str], *, new: bool = False) -> None:
        """Write the key file, mode 0600, whole or not at all. `new` refuses to overwrite. Raises KeysError."""
        document = {
            "format": FORMAT,
            "master": self.master.hex(),
            "terminals": {
                t: {"journal_id": j.hex(), **self._terminal_extra.get(t, {})} for t, j in self.terminals.items()
            },
            **self._extra,
        }
        target = Path(path)
        text = (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()
        part = target if new else target.with_name(f"{target.name}.{secrets.token_hex(4)}.part")
        try:
            fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                with os.fdopen(fd, "wb") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
                if not new:
                    os.replace(part, target)
            except OSError:
                part.unlink(missing_ok=True)
                raise
        except FileExistsError:
            raise KeysError(
                f"{path} exists and is left as it is: a lost master makes its journals unprovable. Choose another name."
            ) from None
        except OSError as error:
            raise KeysError(f"Cannot write the key file {path}: {error.strerror}.") from error

    def add_terminal(self, terminal_id: str) -> bytes:
        """Register a terminal under a fresh random journal id (16 bytes, returned). Raises KeysError if known."""
        check_terminal_id(terminal_id)
        if terminal_id in self.terminals:
            raise KeysError(f"Terminal {terminal_id} is already in the key file; its journal keeps its id.")
        self.terminals[terminal_id] = secrets.token_bytes(16)
        return self.terminals[terminal_id]

    def journal_id(self, terminal_id: str) -> bytes:
        """The terminal's journal id. Raises KeysError if the terminal is not in the file."""
        try:
            return self.terminals[terminal_id]
        except KeyError:
            raise KeysError(
                f"Terminal {terminal_id!r} is not in the key file. Use the key file it was provisioned with."
            ) from None

    def k0(self, terminal_id: str) -> bytes:
        """K(0) of a terminal in the file."""
        return derive_k0(self.master, terminal_id, self.journal_id(terminal_id))

    def role_key(self, terminal_id: str, role: str) -> bytes:
        """The role key of a terminal in the file."""
        return role_key(self.master, terminal_id, self.journal_id(terminal_id), role)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate")
    return found
