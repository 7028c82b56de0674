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
    ]
}

# What each body holds (docs/journal-format.md section 3), so that readers may trust what they index:
# i whole number, z any integer, s text, b bytes, n number or null, o original or null
_SHAPES = {
    n.BOOT: "sii",
    n.CLOCK: "iii",
    n.CONFIG: "sssssbzs",
    n.SIGNON: "iiss",
    n.INTENT: "iiiisisisosb",
    n.REPLY: "nin" + "sssi",
    n.OUTCOME: "iiisi",
    n.CONNECT_FAIL: "iiii",
    n.REVERSAL_SENT: "iis",
    n.REVERSAL_REPLY: "iissii",
    n.UNRESOLVED: "iii",
    n.HUMAN: "iissb",
    n.SLIP: "iiii",
    n.TAMPER: "i",
    n.EXPORT: "bi",
    n.FAULT: "iii",
}
_ORIGINAL = "iiisssi"
_OF_TXN = (n.REPLY, n.OUTCOME, n.CONNECT_FAIL, n.REVERSAL_SENT, n.REVERSAL_REPLY, n.UNRESOLVED, n.HUMAN, n.SLIP)


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
    return value is None or _shaped(value, _ORIGINAL)


def _shaped(body: Any, shape: str) -> bool:
    return type(body) is list and len(body) == len(shape) and all(map(_fits, body, shape))


def is_payload(payload: Any) -> bool:
    """True if `payload` is [seq, kind, boot, ms, rtc, rtc_quality, body] of the right types."""
    return type(payload) is list and len(payload) == 7 and all(map(_number, payload[:6])) and type(payload[6]) is list


def well_shaped(payload: list[Any]) -> bool:
    """True if the body is of the shape documented for its kind; kinds without one, and unknown ones, are not."""
    shape = _SHAPES.get(payload[1])
    return shape is not None and _shaped(payload[6], shape)


def misshapen(payload: list[Any]) -> bool:
    """True if the body is not of the shape documented for its kind: it may hide what it belongs to."""
    return payload[1] in _SHAPES and not well_shaped(payload)


def txn_of(payload: list[Any]) -> int | None:
    """The transaction an entry belongs to, or None."""
    if not well_shaped(payload):
        return None
    if payload[1] == n.INTENT:
        return int(payload[0])
    return payload[6][0] if payload[1] in _OF_TXN else None


def kind_number(name: str) -> int | None:
    """The number of an entry kind by its name, in any case, with - or _."""
    wanted = name.upper().replace("-", "_")
    return next((number for number, known in KINDS.items() if known == wanted), None)
