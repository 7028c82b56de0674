"""The strict verifier: proves a journal, or names what was done to it and where.

Imports nothing of the terminal's code, directly or not. What the tier proves, and what not, is said by the report.
`chain` follows the seal, `breaks` decides what a departure from it means, `findings` says it; this is the way in.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from posaudit.breaks import OnEntry, Verifier
from posaudit.chain import Chain
from posaudit.findings import DELETE, EDIT, FOREIGN, MALFORMED, ROLLBACK, TIERS, Finding, Report
from posaudit.keys import AuditorKeys
from posaudit.posj import FormatError, Item, Manifest, measure, open_posj, scan

__all__ = ["Chain", "Finding", "Report", "verify_entries", "verify_file"]


def verify_entries(
    entries: Iterable[bytes], chain: Chain, on_entry: OnEntry | None = None, report: Report | None = None
) -> Report:
    """Verify bare entries from `chain` on (Chain.start, or a trusted checkpoint). Offsets count from the first.

    Without a manifest nothing says where the journal should end: the caller compares `next_seq` and `head`."""
    report = report or Report(tier="mac")
    report.first_seq = chain.seq
    verifier = Verifier(report, chain, on_entry=on_entry)
    offset = 0
    for raw in entries:
        try:
            whole = measure(raw) == len(raw)
            fault = "" if whole else "the bytes are not one sealed entry"
        except FormatError as error:
            fault = str(error)
        verifier.feed(Item(offset, bytes(raw) if not fault else bytes(raw[:64]), fault, len(raw)))
        offset += len(raw)
    verifier.finish()
    return report


def verify_file(path: Any, keys: AuditorKeys, nonce: bytes | None = None, on_entry: OnEntry | None = None) -> Report:
    """Verify a pulled file. `nonce`: the 16 bytes the host asked with, if it knows them (else the manifest's count).

    Streams: memory does not grow with the file. Raises OSError if the file cannot be read; everything else that is
    wrong with it is a finding. `on_entry(offset, raw, payload)` is called for each entry as it is proven."""
    report = Report(path=str(path), nonce_asked=nonce is not None)
    try:
        stream, manifest, length = open_posj(path)
    except FormatError as error:
        report.findings.append(Finding(MALFORMED, None, error.offset, "a .posj manifest", str(error)))
        return report
    with stream:
        report.terminal_id, report.journal_id = manifest.terminal_id, manifest.journal_id.hex()
        report.tier, report.nonce, report.role = manifest.tier, manifest.nonce.hex(), manifest.role
        report.first_seq = report.next_seq = manifest.first_seq
        problem = _manifest_problem(manifest, keys, nonce)
        if problem:
            report.findings.append(problem)
            if problem.tamper in (FOREIGN, DELETE):  # there is no chain to follow
                return report
        chain = Chain.start(keys, manifest.terminal_id)
        verifier = Verifier(report, chain, manifest, keys, on_entry)
        for item in scan(stream, length):
            verifier.feed(item)
        verifier.finish()
    return report


def _manifest_problem(m: Manifest, keys: AuditorKeys, nonce: bytes | None) -> Finding | None:
    if m.terminal_id not in keys.terminals:
        return Finding(FOREIGN, None, 0, "a terminal of the key file", f"terminal {m.terminal_id}")
    if keys.terminals[m.terminal_id] != m.journal_id:
        return Finding(
            FOREIGN,
            None,
            0,
            f"journal {keys.terminals[m.terminal_id].hex()} of terminal {m.terminal_id}",
            f"journal {m.journal_id.hex()}",
        )
    if m.first_seq:
        return Finding(
            DELETE,
            0,
            0,
            "the journal from entry 0 on, or a trusted checkpoint",
            f"a file that begins at entry {m.first_seq}: nothing vouches for what came before",
        )
    if m.tier not in TIERS:
        return Finding(EDIT, None, 0, f"a tier this posaudit knows ({', '.join(TIERS)})", f"tier {m.tier!r}")
    if nonce is not None and nonce != m.nonce:
        return Finding(
            ROLLBACK,
            None,
            0,
            f"an answer to the nonce {nonce.hex()}",
            f"one to {m.nonce.hex()}: this is another pull, perhaps an older one",
        )
    return None
