"""How an answer leaves: whole, or as a fault bends it. Bytes only; waiting and sending is the server's."""

from __future__ import annotations

from dataclasses import dataclass, field

from poslab.acquirer import codec
from poslab.acquirer.faults import Fault
from poslab.acquirer.host import Answer
from poslab.acquirer.profile import Profile


@dataclass
class Plan:
    """Chunks to write with `pause_ms` between them, after `delay_ms`; then perhaps close."""

    chunks: list[bytes] = field(default_factory=list)
    pause_ms: int = 0
    delay_ms: int = 0
    close: bool = False


def plan(profile: Profile, answer: Answer, fault: Fault | None) -> Plan:
    """Turn an answer into bytes under a fault. Raises WireError if the profile cannot carry the answer."""
    fields = {number: value for number, value in answer.fields.items() if number in profile.notation}
    action = fault.action if fault else ""
    settings = fault.settings if fault else {}
    if action == "wrong_stan":
        fields[11] = f"{(int(fields.get(11, '0')) + 1) % 1_000_000:06d}"
    elif action == "wrong_amount":
        fields[4] = f"{(int(fields.get(4, '0')) + 1) % 10**12:012d}"
    envelope = codec.reply_envelope(answer.tpdu, answer.header)
    body = codec.encode(profile, answer.mti, fields, answer.key)
    if action == "bad_mac" and answer.key is not None:
        body = body[: -codec.MAC_BYTES] + invert(body[-codec.MAC_BYTES :])
    elif action == "garbled_reply":
        mti_bytes = 2 if profile.spec["t"]["data_enc"] == "b" else 4
        body = body[:mti_bytes] + invert(body[mti_bytes:])
    payload = envelope + body
    whole = len(payload).to_bytes(2, "big") + payload

    if action in ("drop_reply", "restart"):
        return Plan(close=action == "restart")
    if action == "late_reply":
        return Plan([whole], delay_ms=max(1, settings["delay_ms"]))
    if action == "duplicate_reply":
        return Plan([whole, whole], pause_ms=settings["gap_ms"])
    if action == "slow_bytes":
        size = settings["chunk"]
        chunks = [whole[start : start + size] for start in range(0, len(whole), size)]
        return Plan(chunks, pause_ms=settings["per_byte_ms"] * size)
    if action == "close_mid_message":
        return Plan([whole[: len(whole) // 2]], close=True)
    if action == "oversize_length":
        return Plan([b"\xff\xff" + payload[:1] * settings["junk"]], close=True)
    return Plan([whole], close=action == "refuse_connection")


def invert(data: bytes) -> bytes:
    """Every bit flipped: a bitmap then names fields that are not there, and ASCII stops being ASCII."""
    return bytes(byte ^ 0xFF for byte in data)
