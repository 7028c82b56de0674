"""What verifying a journal can find: tamper classes, findings with their place, and the report."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

# Tamper classes. "malformed" is a sealed entry, or a manifest, that the format forbids.
EDIT, INSERT, DELETE, REORDER, TRUNCATE = "edit", "insert", "delete", "reorder", "truncate"
ROLLBACK, SPLICE, FOREIGN, RESEAL, UNSEALED = "rollback", "splice", "foreign", "re-seal", "unsealed"
MALFORMED = "malformed"

# tier: (what it proves, what it does not)
TIERS = {
    "mac": (
        "every entry was sealed by this terminal when it was written, in this order and without gaps, up to the answer "
        "to the nonce; stealing the terminal later does not allow earlier entries to be changed unnoticed",
        "it does not bind whoever holds the auditor's key file, who could make such a journal; and it cannot see a "
        "terminal whose flash and key store were both put back to an older copy",
    ),
}

MOST_FINDINGS = 1000  # a hostile file must not fill the memory with what is wrong with it


@dataclass
class Finding:
    """One thing that is wrong: its class, the entry's sequence number, the byte offset in the file."""

    tamper: str
    seq: int | None
    offset: int
    expected: str
    found: str

    def __str__(self) -> str:
        where = f"entry {self.seq}" if self.seq is not None else "manifest"
        return f"{self.tamper} at {where}, byte {self.offset}: expected {self.expected}; found {self.found}"


@dataclass
class Report:
    """What verifying one journal showed. `ok` is True only if nothing at all is wrong."""

    path: str = ""
    terminal_id: str = ""
    journal_id: str = ""
    tier: str = ""
    findings: list[Finding] = field(default_factory=list)
    entries: int = 0  # proven
    unproven: int = 0  # in the file, but behind a break
    first_seq: int = 0
    next_seq: int = 0  # one behind the last proven entry
    head: str = ""  # chain head after the last proven entry
    boots: int = 0
    power_cuts: list[dict[str, Any]] = field(default_factory=list)
    nonce: str = ""
    nonce_asked: bool = False  # the caller knew the nonce: the journal is as fresh as that question
    role: int = 0
    first_rtc: int = 0
    last_rtc: int = 0

    @property
    def ok(self) -> bool:
        """True if the whole file is proven."""
        return not self.findings

    @property
    def proves(self) -> str:
        """What the tier proves, in words."""
        return TIERS.get(self.tier, ("", ""))[0]

    @property
    def does_not_prove(self) -> str:
        """What the tier cannot prove, in words."""
        text = TIERS.get(self.tier, ("", ""))[1]
        if text and not self.nonce_asked:
            text += "; and from the file alone, that it is the newest: only who asked the nonce knows when it was asked"
        return text

    def to_dict(self) -> dict[str, Any]:
        """For --json."""
        return {
            **asdict(self),
            "ok": self.ok,
            "proves": self.proves,
            "does_not_prove": self.does_not_prove,
            "findings": [{**asdict(f), "text": str(f)} for f in self.findings],
        }
