"""What the acquirer believes, in SQLite: one transaction per message, on disk before the reply leaves.

Never a full PAN, track data or raw message bytes: amounts, references and the masked PAN only.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_VERSION = 2
_VERSION_1 = """
CREATE TABLE messages (
  id INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,              -- Unix milliseconds
  direction TEXT NOT NULL CHECK (direction IN ('in', 'out')),
  mti TEXT NOT NULL, type TEXT NOT NULL DEFAULT '', tid TEXT NOT NULL DEFAULT '',
  stan INTEGER, batch INTEGER, amount INTEGER,
  code TEXT NOT NULL DEFAULT '',    -- DE39
  fault TEXT NOT NULL DEFAULT '',   -- the scripted fault that met this message
  pan TEXT NOT NULL DEFAULT ''      -- first 6, *, last 4
);
CREATE TABLE transactions (
  id INTEGER PRIMARY KEY,
  tid TEXT NOT NULL, batch INTEGER NOT NULL, stan INTEGER NOT NULL,
  mti TEXT NOT NULL, type TEXT NOT NULL,
  amount INTEGER NOT NULL,          -- minor units
  currency TEXT NOT NULL, pan TEXT NOT NULL, code TEXT NOT NULL, rrn TEXT NOT NULL, auth TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('approved', 'declined', 'reversed')),
  reversal_reason TEXT NOT NULL DEFAULT '',
  original INTEGER REFERENCES transactions(id),  -- what a void, refund or completion refers to
  voided_by INTEGER REFERENCES transactions(id), -- the approved void, until that void is itself reversed
  created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
  UNIQUE (tid, batch, stan)
);
CREATE INDEX transactions_rrn ON transactions (rrn);
CREATE TABLE reversals (
  tid TEXT NOT NULL, batch INTEGER NOT NULL, stan INTEGER NOT NULL,
  reason TEXT NOT NULL, code TEXT NOT NULL, rrn TEXT NOT NULL, count INTEGER NOT NULL,
  first_at INTEGER NOT NULL, last_at INTEGER NOT NULL,
  PRIMARY KEY (tid, batch, stan)
);
CREATE TABLE keys (tid TEXT PRIMARY KEY, wrapped BLOB NOT NULL);  -- working key under the terminal master key
"""
# A file of version 1 gets this alone, a new one both: there is one way to the present tables.
_VERSION_2 = """
ALTER TABLE transactions ADD COLUMN asked INTEGER NOT NULL DEFAULT 0;   -- the request's amount; a fault books another
UPDATE transactions SET asked = amount;
ALTER TABLE transactions ADD COLUMN mode TEXT NOT NULL DEFAULT '';      -- DE22
ALTER TABLE transactions ADD COLUMN scheme INTEGER NOT NULL DEFAULT 1;  -- 1 domestic, 2 international
UPDATE transactions SET scheme = 2 WHERE substr(pan, 1, 1) IN ('3', '4', '5');
ALTER TABLE transactions ADD COLUMN copies INTEGER NOT NULL DEFAULT 1;  -- 2: a fault booked it twice
ALTER TABLE transactions ADD COLUMN late INTEGER NOT NULL DEFAULT 0;    -- approved after the totals were agreed
ALTER TABLE transactions ADD COLUMN recovered INTEGER NOT NULL DEFAULT 0;  -- known from the upload only
ALTER TABLE transactions ADD COLUMN missing INTEGER NOT NULL DEFAULT 0; -- approved here, and the upload lacks it
ALTER TABLE transactions ADD COLUMN booked INTEGER;                     -- amount before the upload corrected it
ALTER TABLE transactions ADD COLUMN settled_batch INTEGER;
ALTER TABLE transactions ADD COLUMN upload_code TEXT NOT NULL DEFAULT '';  -- DE39 its record was answered with
CREATE TABLE batches (               -- made by a batch's first settlement message
  tid TEXT NOT NULL, batch INTEGER NOT NULL,
  state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'balanced', 'unbalanced', 'uploading', 'closed')),
  how TEXT NOT NULL DEFAULT '',      -- how it was closed: balanced, uploaded
  stan INTEGER,                      -- of the last 0500
  terminal_totals TEXT,              -- JSON, eight numbers
  together INTEGER NOT NULL DEFAULT 0,  -- 1: the terminal sent sums of both schemes; they stand in the first four
  answered_totals TEXT,              -- the host's own in the last 0510
  closed_totals TEXT,                -- what was settled at the close
  balanced INTEGER,                  -- the last verdict; NULL: none yet
  currency TEXT NOT NULL DEFAULT '',
  round INTEGER NOT NULL DEFAULT 1,  -- how often the whole upload was asked for
  created_at INTEGER NOT NULL, answered_at INTEGER, closed_at INTEGER,
  PRIMARY KEY (tid, batch)
);
CREATE TABLE uploads (               -- each record once, by its own STAN
  tid TEXT NOT NULL, batch INTEGER NOT NULL, stan INTEGER NOT NULL,
  type TEXT NOT NULL, amount INTEGER NOT NULL, currency TEXT NOT NULL, pan TEXT NOT NULL, mode TEXT NOT NULL,
  rrn TEXT NOT NULL, auth TEXT NOT NULL,
  code TEXT NOT NULL,                -- 00: taken
  place INTEGER NOT NULL,            -- among the batch's records, from 1
  round INTEGER NOT NULL,            -- of the batch when the record last came
  message INTEGER NOT NULL,          -- STAN of the message that brought it
  note TEXT NOT NULL DEFAULT '',     -- where the books differed
  at INTEGER NOT NULL,
  PRIMARY KEY (tid, batch, stan)
);
CREATE TABLE answers (               -- a repeated message gets what it got before
  tid TEXT NOT NULL, batch INTEGER NOT NULL, stan INTEGER NOT NULL, type TEXT NOT NULL,
  content TEXT NOT NULL,             -- what the message said; PANs masked
  fields TEXT NOT NULL,              -- the reply's, JSON
  after_close INTEGER NOT NULL,      -- 1: the batch was closed when it came
  PRIMARY KEY (tid, batch, stan, type)
);
CREATE TABLE rule (type TEXT PRIMARY KEY, counts TEXT NOT NULL);  -- the profile's, for who reads this without it
"""


class LedgerError(Exception):
    """The ledger file cannot be used; the text says why."""


class Ledger:
    """The one writer of a ledger file."""

    def __init__(self, path: Path):
        """Open or create. Raises LedgerError."""
        try:
            self._db = sqlite3.connect(path, isolation_level=None)
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")  # so that a power cut loses no commit
            self._db.execute("PRAGMA foreign_keys = ON")
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version == 0 and not self._db.execute("SELECT 1 FROM sqlite_master").fetchone():
                self._raise_to_present(_VERSION_1 + _VERSION_2)
            elif version == 1:
                self._raise_to_present(_VERSION_2)
            elif version != _VERSION:
                raise LedgerError(f"{path}: not a ledger of version {_VERSION}; give another path")
        except sqlite3.Error as error:
            raise LedgerError(f"{path}: cannot be used as a ledger ({error}); give another path") from error

    def _raise_to_present(self, script: str) -> None:
        self._db.executescript(f"BEGIN IMMEDIATE;{script}PRAGMA user_version = {_VERSION};COMMIT;")

    def close(self) -> None:
        """Close; the write-ahead log is folded into the file."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it on disk at the end, or none of it."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def insert(self, table: str, **values: Any) -> int:
        """Insert a row; return its id."""
        columns = ", ".join(values)
        marks = ", ".join("?" * len(values))
        cursor = self._db.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", tuple(values.values()))
        return int(cursor.lastrowid or 0)

    def update(self, transaction: int, at: int, **values: Any) -> None:
        """Change a transaction."""
        values["updated_at"] = at
        columns = ", ".join(f"{name} = ?" for name in values)
        self._db.execute(f"UPDATE transactions SET {columns} WHERE id = ?", (*values.values(), transaction))

    def by_stan(self, tid: str, batch: int, stan: int) -> sqlite3.Row | None:
        """The transaction with this STAN: STANs never repeat within a batch."""
        query = "SELECT * FROM transactions WHERE tid = ? AND batch = ? AND stan = ?"
        return self._one(query, tid, batch, stan)

    def by_rrn(self, rrn: str) -> sqlite3.Row | None:
        """The transaction with this retrieval reference."""
        return self._one("SELECT * FROM transactions WHERE rrn = ?", rrn)

    def by_id(self, transaction: int) -> sqlite3.Row | None:
        """The transaction with this number."""
        return self._one("SELECT * FROM transactions WHERE id = ?", transaction)

    def refunded(self, original: int) -> int:
        """What has been refunded of a transaction, in minor units."""
        row = self._one(
            "SELECT COALESCE(SUM(asked), 0) FROM transactions"
            " WHERE original = ? AND type = 'refund' AND state = 'approved'",
            original,
        )
        return int(row[0]) if row else 0

    def completed(self, original: int) -> bool:
        """True if an approved completion of this pre-authorisation stands."""
        row = self._one(
            "SELECT 1 FROM transactions WHERE original = ? AND type = 'completion' AND state = 'approved'"
            " AND voided_by IS NULL",
            original,
        )
        return row is not None

    def reversal(self, tid: str, batch: int, stan: int) -> sqlite3.Row | None:
        """The reversal received for this STAN, whether or not its original ever came."""
        query = "SELECT * FROM reversals WHERE tid = ? AND batch = ? AND stan = ?"
        return self._one(query, tid, batch, stan)

    def note_reversal(
        self, tid: str, batch: int, stan: int, reason: str, code: str, rrn: str, at: int
    ) -> None:
        """Remember a reversal that was accepted or whose original is unknown."""
        self._db.execute(
            "INSERT INTO reversals VALUES (?, ?, ?, ?, ?, ?, 1, ?, ?) ON CONFLICT DO UPDATE SET"
            " count = count + 1, last_at = excluded.last_at, code = excluded.code",
            (tid, batch, stan, reason, code, rrn, at, at),
        )

    def wrapped_key(self, tid: str) -> bytes | None:
        """The terminal's working key as it was sent, wrapped."""
        row = self._one("SELECT wrapped FROM keys WHERE tid = ?", tid)
        return bytes(row[0]) if row else None

    def store_key(self, tid: str, wrapped: bytes) -> None:
        """Keep the terminal's working key, wrapped."""
        self._db.execute("INSERT OR REPLACE INTO keys VALUES (?, ?)", (tid, wrapped))

    def run(self, query: str, *values: Any) -> list[sqlite3.Row]:
        """Any statement; the rows it gives."""
        return self._db.execute(query, values).fetchall()

    def _one(self, query: str, *values: Any) -> sqlite3.Row | None:
        row: sqlite3.Row | None = self._db.execute(query, values).fetchone()
        return row


def dump_state(ledger_path: Path | str) -> dict[str, list[dict[str, Any]]]:
    """Transactions, reversals and messages as lists of rows. As `read_tables`."""
    return read_tables(ledger_path, "transactions", "reversals", "messages")


def read_tables(ledger_path: Path | str, *tables: str) -> dict[str, list[dict[str, Any]]]:
    """Tables as lists of rows.

    Safe beside a running acquirer: one consistent picture, nothing is written.
    Raises LedgerError.
    """
    path = Path(ledger_path)
    if not path.is_file():
        raise LedgerError(f"{path}: there is no ledger here; start the acquirer with this path first")
    try:
        db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        try:
            db.row_factory = sqlite3.Row
            db.execute("BEGIN")  # one consistent picture of all
            if db.execute("PRAGMA user_version").fetchone()[0] == 1 and "batches" in tables:
                raise LedgerError(f"{path}: a ledger of version 1 knows no batches; start the acquirer with it once")
            return {
                table: [dict(row) for row in db.execute(f"SELECT * FROM {table} ORDER BY rowid")]
                for table in tables
            }
        finally:
            db.close()
    except sqlite3.Error as error:
        raise LedgerError(f"{path}: not a readable ledger ({error})") from error
