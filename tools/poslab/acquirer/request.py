"""A received message and what the profile says it means."""

from __future__ import annotations

from dataclasses import dataclass

from poslab.acquirer import codec
from poslab.acquirer.codec import Wire
from poslab.acquirer.profile import Message, Profile


@dataclass(frozen=True)
class Request:
    """A decoded message and what the profile says it means; `kind` is "" if the profile does not know it."""

    wire: Wire
    message: Message | None
    values: dict[str, str]
    wrong: list[int]
    pan: str

    @property
    def kind(self) -> str:
        """The profile's name of the message."""
        return self.message.kind if self.message else ""

    def number(self, source: str) -> int | None:
        """A value as a whole number, None if it was not sent."""
        text = self.values.get(source, "")
        return int(text) if text.isdigit() else None

    def facts(self) -> dict[str, object]:
        """What faults match, the ledger records and the log shows: never card data."""
        return {
            "mti": self.wire.mti, "type": self.kind, "tid": self.wire.fields.get(41, ""),
            "stan": whole(self.wire.fields.get(11)), "batch": self.number("batch"),
            "amount": whole(self.wire.fields.get(4)),
        }  # fmt: skip


def identify(profile: Profile, wire: Wire) -> Request:
    """Find which of the profile's messages this is."""
    best: tuple[Message, dict[str, str], list[int]] | None = None
    for message in profile.kinds_of(wire.mti):
        read = message.read(wire.fields)
        if read is not None and (best is None or len(read[1]) < len(best[2])):
            best = (message, *read)
    message_or_none, values, wrong = best or (None, {}, [])
    return Request(wire, message_or_none, values, wrong, codec.mask_pan(wire.fields))


def reply_mti(mti: str) -> str:
    """The answer's MTI; "" for what is no request (ISO 8583:1987: the third digit of a request is even)."""
    if len(mti) != 4 or not mti.isascii() or not mti.isdigit() or mti[2] not in "0246":
        return ""
    return f"{int(mti) + 10:04d}"


def whole(text: str | None) -> int | None:
    """A field of digits as a number; None if it is absent or something else."""
    return int(text) if text and text.isdigit() else None
