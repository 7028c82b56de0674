"""Names and shapes of what the journal holds, from the numbers of the terminal's own tables."""

from __future__ import annotations

from typing import Any

from posfw import numbers as n

KINDS = {
    getattr(n, name): name
    for name in [
        "BOOT",
        "CLOCK",
        "CONFIG",
        "SIGNON",
        "SNAPSHOT",
        "INTENT",
        "REPLY",
        "OUTCOME",
        "CONNECT_FAIL",
        "REVERSAL_SENT",
        "REVERSAL_REPLY",
        "UNRESOLVED",
        "HUMAN",
        "SLIP",
        "SETTLE_SENT",
        "SETTLE_REPLY",
        "UPLOAD_REPLY",
        "BATCH_CLOSED",
        "VAULT_DESTROYED",
        "TAMPER",
        "EXPORT",
        "RELEASE",
        "CHECKPOINT",
        "FAULT",
        "UNSETTLED",
    ]
}

# What each body holds (docs/journal-format.md section 3), so that readers may trust what they index:
# i whole number, z any integer, s text, b bytes, n number or null, o original or null, l list of numbers, c list of
# codes, f two flags or none, t eight totals or none, T eight totals, k how each type is counted (older journals: no k)
_SHAPES = {
    n.BOOT: "sii",
    n.CLOCK: "iii",
    n.CONFIG: "sssssbzsk",
    n.SIGNON: "iiss",
    n.INTENT: "iiiisisisosb",
    n.REPLY: "nin" + "sssi",
    n.OUTCOME: "iiisi",
    n.CONNECT_FAIL: "niii",
    n.REVERSAL_SENT: "iis",
    n.REVERSAL_REPLY: "iissii",
    n.UNRESOLVED: "iii",
    n.HUMAN: "iissb",
    n.SLIP: "iiii",
    n.TAMPER: "i",
    n.EXPORT: "bi",
    n.FAULT: "iii",
    n.SETTLE_SENT: "iiili",
    n.SETTLE_REPLY: "iiisftiii",
    n.UPLOAD_REPLY: "iiisclii",
    n.BATCH_CLOSED: "iiTtfiiii",
    n.VAULT_DESTROYED: "ii",
    n.UNSETTLED: "iisi",
}
_ORIGINAL = "iiisssi"
_WITHOUT_COUNTING = "sssssbzs"
TYPES = 6
# How many items a message of the settlement carries, by purpose; an upload carries at least one
_ITEMS = {n.P_BEGIN: 1, n.P_TOTALS: 8, n.P_END: 1, n.P_AGAIN: 1}
_OF_TXN = (n.REPLY, n.OUTCOME, n.CONNECT_FAIL, n.REVERSAL_SENT, n.REVERSAL_REPLY, n.UNRESOLVED, n.HUMAN, n.SLIP)
# Slips of a batch, not of a transaction; a slip of a decision on a batch names that decision's entry
BATCH_SLIPS = (n.SLIP_SETTLEMENT, n.SLIP_SETTLE_FAILED, n.SLIP_UPLOAD, n.SLIP_REMINDER, n.SLIP_DETAIL)


def _number(value: Any) -> bool:
    return type(value) is int and value >= 0


def _fits(value: Any, shape: str) -> bool:
    if shape == "i":
        return _number(value)
    if shape == "z":
        return type(value) is int
    if shape == "s":
        return type(value) is str
    if shape == "b":
        return type(value) is bytes
    if shape == "n":
        return value is None or _number(value)
    if shape == "l":
        return type(value) is list and all(map(_number, value))
    if shape == "c":
        return type(value) is list and all(type(code) is str for code in value)
    if shape in "ftT":
        sizes = {"f": (0, 2), "t": (0, 8), "T": (8,)}[shape]
        return type(value) is list and len(value) in sizes and all(map(_number, value))
    if shape == "k":
        return type(value) is str and len(value) == TYPES and set(value) <= set("0123")
    return value is None or _shaped(value, _ORIGINAL)


def _shaped(body: Any, shape: str) -> bool:
    return type(body) is list and len(body) == len(shape) and all(map(_fits, body, shape))


def is_payload(payload: Any) -> bool:
    """True if `payload` is [seq, kind, boot, ms, rtc, rtc_quality, body] of the right types."""
    return type(payload) is list and len(payload) == 7 and all(map(_number, payload[:6])) and type(payload[6]) is list


def well_shaped(payload: list[Any]) -> bool:
    """True if the body is of the shape documented for its kind; kinds without one, and unknown ones, are not."""
    kind, body = payload[1], payload[6]
    shape = _SHAPES.get(kind)
    if kind == n.CONFIG and len(body) == len(_WITHOUT_COUNTING):
        shape = _WITHOUT_COUNTING
    if shape is None or not _shaped(body, shape):
        return False
    if kind != n.SETTLE_SENT:
        return True
    return len(body[3]) == _ITEMS[body[0]] if body[0] in _ITEMS else bool(body[3])


def misshapen(payload: list[Any]) -> bool:
    """True if the body is not of the shape documented for its kind: it may hide what it belongs to."""
    return payload[1] in _SHAPES and not well_shaped(payload)


def txn_of(payload: list[Any]) -> int | None:
    """The transaction an entry belongs to, or None. What concerns several, or a batch, belongs to none."""
    if not well_shaped(payload):
        return None
    kind, body = payload[1], payload[6]
    if kind == n.INTENT:
        return int(payload[0])
    if kind == n.UNSETTLED:
        return int(body[3]) if body[1] == n.CAUSE_UPLOAD else None
    if kind == n.SETTLE_SENT:
        return int(body[3][0]) if body[0] == n.P_AGAIN else None
    of_batch = (kind == n.SLIP and body[1] in BATCH_SLIPS) or (kind == n.HUMAN and body[1] == n.HUMAN_BATCH_CLOSED)
    return body[0] if kind in _OF_TXN and not of_batch else None


def kind_number(name: str) -> int | None:
    """The number of an entry kind by its name, in any case, with - or _."""
    wanted = name.upper().replace("-", "_")
    return next((number for number, known in KINDS.items() if known == wanted), None)
