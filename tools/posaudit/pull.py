"""Pull a journal: prove each entry as it comes, keep what is proven in FILE.part, rename when all is there."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from posaudit.chain import Chain, SealBroken
from posaudit.client import Client, ClientError
from posaudit.findings import Report
from posaudit.keys import ROLES, AuditorKeys
from posaudit.posj import FormatError, Manifest, open_posj, scan
from posaudit.seal import verify_file

_ASK = 3800  # bytes of entries in one READ: a frame holds 4,096 with its heads
_MOST_ENTRIES = 1 << 26  # more than any terminal's flash can hold

Progress = Callable[[int, int, int], None]  # entries so far, entries in all, bytes so far


class PullError(Exception):
    """The pull cannot start or go on; the message says why and what to do. Nothing was overwritten."""


class NotProven(Exception):
    """What the device sent does not verify."""


@dataclass
class Pulled:
    """What a pull did: the verified file's report, entries taken over from an earlier try, retries made."""

    report: Report
    resumed: int
    retries: int
    size: int


def pull(
    client: Client,
    keys: AuditorKeys,
    out: Path,
    role: str = "technician",
    progress: Progress | None = None,
    note: Callable[[str], None] | None = None,
    force: bool = False,
    nonce: bytes | None = None,
) -> Pulled:
    """Pull the whole journal through `client` into `out`. nonce: 16 bytes an auditor chose; None: drawn here.

    FILE.part of the same journal is proven first and gone on from. Raises PullError, ClientError, KeysError, OSError,
    and NotProven if the device's journal is not what its own keys vouch for (FILE.part then holds what is proven)."""
    say = note or (lambda text: None)
    if out.exists() and not force:
        raise PullError(f"{out} exists and is left as it is. Choose another --out, or give --force to replace it.")
    if not out.parent.is_dir():
        raise PullError(f"The folder {out.parent} does not exist. Make it first.")
    part = out.with_name(out.name + ".part")
    hello = client.login(keys, role)
    _same_journal(part, hello.journal_id)
    nonce = nonce or secrets.token_bytes(16)
    seq, head, tier = client.checkpoint(nonce)
    if seq >= _MOST_ENTRIES:
        raise ClientError(f"The device claims {seq + 1} entries, more than any terminal holds. Do not trust it.")
    manifest = Manifest(hello.terminal_id, hello.journal_id, nonce, 0, seq + 1, head, tier, ROLES[role])
    chain = Chain.start(keys, hello.terminal_id)
    with _begin(part, manifest, chain, say) as file:
        resumed = chain.seq
        _read_all(client, chain, manifest, file, progress)
        file.flush()
        os.fsync(file.fileno())
        size = file.tell()
    report = verify_file(part, keys, nonce)
    if not report.ok:
        raise NotProven(f"{part} does not verify: {report.findings[0]}. The file is kept as evidence.")
    if out.exists() and not force:  # it may have appeared meanwhile
        raise PullError(f"{out} appeared during the pull and is left as it is; the pulled journal is in {part}.")
    os.replace(part, out)
    _sync_folder(out.parent)
    report.path = str(out)
    return Pulled(report, resumed, client.retries, size)


def _same_journal(part: Path, journal_id: bytes) -> None:
    """Refuse early to touch a .part that is not of this journal, or no plain file (a link, a pipe)."""
    try:
        mode = part.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        raise PullError(f"{part} is in the way and is no plain file. Move it away.")
    try:
        stream, old, _ = open_posj(part)
    except FormatError as error:
        raise PullError(f"{part} is in the way and is no pulled journal ({error}). Move it away.") from None
    stream.close()
    if old.journal_id != journal_id:
        raise PullError(f"{part} is of another journal (terminal {old.terminal_id}). Move it away, or finish it first.")


def _begin(part: Path, manifest: Manifest, chain: Chain, say: Callable[[str], None]) -> BinaryIO:
    """A file with the manifest and every entry of an earlier try that still proves; `chain` is moved behind them."""
    if not part.exists():
        file = open(part, "xb")  # noqa: SIM115 - handed to the caller's with
        file.write(manifest.pack())
        return file
    # The new manifest differs from the old one, so the proven entries move over into a new file.
    fresh = part.with_name(part.name + "2")
    fresh.unlink(missing_ok=True)  # left by a killed pull, or a link somebody planted: "x" follows none
    stream, _, length = open_posj(part)
    try:
        file = open(fresh, "xb")  # noqa: SIM115
    except BaseException:
        stream.close()
        raise
    try:
        with stream:
            file.write(manifest.pack())
            for item in scan(stream, length):
                if item.fault or chain.seq > manifest.count - 1:
                    break
                try:
                    chain.step(item.raw)
                except (SealBroken, FormatError):
                    break
                file.write(item.raw)
        os.replace(fresh, part)
    except BaseException:
        file.close()
        fresh.unlink(missing_ok=True)
        raise
    say(f"Going on from {part.name}: {chain.seq} entries proven.")
    return file


def _read_all(client: Client, chain: Chain, manifest: Manifest, file: BinaryIO, progress: Progress | None) -> None:
    last: list[object] = []
    while chain.seq < manifest.count:
        entries = client.read(chain.seq, _ASK)
        if not entries:
            raise ClientError(
                f"The device ends at entry {chain.seq}, but announced {manifest.count}. Repeat the command; if it "
                "stays so, the journal is damaged: send the terminal in."
            )
        for raw in entries:
            if chain.seq == manifest.count:
                break  # written after the EXPORT entry: the next pull's
            seq = chain.seq
            try:
                last = chain.step(raw)
            except (SealBroken, FormatError) as error:
                raise NotProven(
                    f"Entry {seq} of the device's journal does not verify ({error}). The {seq} entries before it are "
                    "proven and kept in the .part file; send the terminal in with it."
                ) from None
            file.write(raw)
        if progress:
            progress(chain.seq, manifest.count, file.tell())
    if chain.head != manifest.head:
        raise NotProven("The head the device announced is not that of the entries it sent. Do not trust this terminal.")
    if last and last[6] != [manifest.nonce, manifest.role]:
        raise NotProven("The last entry does not answer this pull's nonce. Do not trust this terminal.")


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable, where the system can."""
    if os.name != "posix":
        return
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
