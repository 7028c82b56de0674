"""Read a pulled file entry by entry, for people and for programs. Reading proves nothing: `seal` does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from posaudit.describe import Context, describe, kind_name
from posaudit.names import is_payload, misshapen, txn_of, well_shaped
from posaudit.posj import FormatError, Manifest, open_posj, payload_bytes, scan, strict_loads
from posfw import numbers as n


@dataclass
class Entry:
    """One entry as it stands in the file; `payload` is [] and `fault` says why if it cannot be read."""

    offset: int
    payload: list[Any]
    fault: str = ""


def read_entries(path: Any) -> tuple[Manifest, Iterator[Entry]]:
    """The manifest and the entries of a file, streaming. Raises FormatError, OSError."""
    stream, manifest, length = open_posj(path)

    def entries() -> Iterator[Entry]:
        with stream:
            for item in scan(stream, length):
                if item.fault:
                    yield Entry(item.offset, [], item.fault)
                    continue
                try:
                    payload = strict_loads(payload_bytes(item.raw))
                except FormatError as error:
                    yield Entry(item.offset, [], str(error))
                    continue
                if is_payload(payload):
                    yield Entry(item.offset, payload)
                else:
                    yield Entry(item.offset, [], "the payload is not an entry's")

    return manifest, entries()


@dataclass
class Filter:
    """Which entries to show: of one transaction, of one STAN (in every batch), of one kind."""

    txn: int | None = None
    stan: int | None = None
    kind: int | None = None

    def __post_init__(self) -> None:
        self._txns: set[int] = set()
        self._sent: dict[tuple[int, int], list[int]] = {}  # (purpose, STAN) -> records in that message

    def takes(self, payload: list[Any]) -> bool:
        """True if the entry is wanted, or cannot be read well enough to tell. Entries must come in order."""
        if not payload or misshapen(payload):
            return True  # a filter must not hide what somebody made unreadable
        txns = self._txns_of(payload)
        if self.txn is not None and self.txn not in txns:
            return False
        if self.stan is not None:
            shaped = well_shaped(payload)
            if shaped and payload[1] == n.INTENT and payload[6][0] == self.stan:
                self._txns.add(payload[0])
            at = _STAN_AT.get(payload[1])
            of_message = shaped and at is not None and payload[6][at] == self.stan
            if self._txns.isdisjoint(txns) and not of_message:
                return False
        return self.kind in (None, payload[1])

    def _txns_of(self, payload: list[Any]) -> list[int]:
        """The transactions an entry is about: an upload and its reply are about every record in the message."""
        kind, body = payload[1], payload[6]
        if kind == n.SETTLE_SENT and body[0] in (n.P_UPLOAD, n.P_AGAIN) and well_shaped(payload):
            self._sent[body[0], body[2]] = body[3]
            return list(body[3])
        if kind == n.UPLOAD_REPLY and well_shaped(payload):
            return self._sent.get((body[0], body[1]), [])
        txn = txn_of(payload)
        return [] if txn is None else [txn]


# Where the STAN of a message that is no transaction stands in the body; 0 is no STAN
_STAN_AT = {n.SIGNON: 0, n.SETTLE_SENT: 2, n.SETTLE_REPLY: 1, n.UPLOAD_REPLY: 1}


def line(entry: Entry, context: Context) -> str:
    """One entry as one line."""
    if entry.fault:
        return f"{'?':>7}  byte {entry.offset}: {entry.fault}"
    p = entry.payload
    return f"{'#' + str(p[0]):>7}  {context.when(p):<20}  {kind_name(p[1]):<15} {describe(p, context)}"


def as_dict(entry: Entry, context: Context) -> dict[str, Any]:
    """One entry for --json; byte strings as hex."""
    if entry.fault:
        return {"offset": entry.offset, "fault": entry.fault}
    seq, kind, boot, ms, rtc, quality, body = entry.payload
    return {
        "seq": seq,
        "offset": entry.offset,
        "kind": kind,
        "name": kind_name(kind),
        "boot": boot,
        "ms": ms,
        "rtc": rtc,
        "rtc_quality": quality,
        "time": context.time(rtc),
        "txn": txn_of(entry.payload),
        "body": _plain(body),
        "text": describe(entry.payload, context),
    }


def _plain(value: Any) -> Any:
    if type(value) is bytes:
        return value.hex()
    return [_plain(v) for v in value] if type(value) is list else value
