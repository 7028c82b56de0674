"""What a technician or supervisor does besides pulling: status, clock, taking over an unresolved reversal."""

from __future__ import annotations

import hmac
import time
from dataclasses import asdict, dataclass, field
from typing import Any

import cbor2

from posaudit.client import HUMAN, STATUS, TIME, Client, ClientError, NoAnswer, nonsense
from posaudit.keys import AuditorKeys, KeysError
from posaudit.ports import clean_text

DECISIONS = {"reversed": 1, "charged": 2, "other": 3}
_PROTECTED = bytes.fromhex("a10105")


@dataclass
class Status:
    """STATUS in names. `owed`: [(what, txn)], what 2 reversal, 3 slip, 4 unresolved reversal."""

    terminal_id: str
    firmware: str
    first_seq: int
    next_seq: int
    rtc: int
    rtc_quality: int
    batch: int
    next_stan: int
    owed: list[tuple[int, int]] = field(default_factory=list)
    message: str = ""

    def to_dict(self) -> dict[str, Any]:
        """For --json."""
        return asdict(self)


def get_status(client: Client, keys: AuditorKeys | None, role: str) -> Status:
    """Ask for STATUS, logged in if keys are given. Raises ClientError, KeysError."""
    hello = client.login(keys, role) if keys else client.hello()
    match client.request(STATUS):
        case [int(first), int(following), int(rtc), int(quality), int(batch), int(stan), [*owed], str(message)]:
            pairs = [(o[0], o[1]) for o in owed if type(o) is list and len(o) == 2 and all(type(v) is int for v in o)]
            if len(pairs) == len(owed):
                return Status(
                    clean_text(hello.terminal_id, 64),
                    hello.firmware,
                    first,
                    following,
                    rtc,
                    quality,
                    batch,
                    stan,
                    pairs,
                    clean_text(message),
                )
    raise nonsense("STATUS")


def set_clock(client: Client, keys: AuditorKeys) -> int:
    """Set the terminal's clock to this computer's; return the Unix time that was set."""
    client.login(keys, "technician")
    now = int(time.time())
    client.request(TIME, now)
    return now


def sign_decision(keys: AuditorKeys, terminal_id: str, txn: int, decision: str, name: str, reason: str) -> bytes:
    """The supervisor's COSE_Mac0 for HUMAN (RFC 9052 section 6.3; service-protocol). Raises KeysError."""
    for what, text in (("name", name), ("reason", reason)):
        if not 1 <= len(text.encode()) <= 64 or not text.isprintable():
            raise KeysError(f"The {what} is 1 to 64 bytes of printable text: it stays in the journal for ever.")
    payload = cbor2.dumps([txn, DECISIONS[decision], name, reason])
    aad = b"posfw/human/1" + keys.journal_id(terminal_id)
    structure = cbor2.dumps(["MAC0", _PROTECTED, aad, payload])
    tag = hmac.digest(keys.role_key(terminal_id, "supervisor"), structure, "sha256")
    return cbor2.dumps([_PROTECTED, {}, payload, tag])


def resolve(client: Client, keys: AuditorKeys, txn: int, decision: str, name: str, reason: str) -> None:
    """Take over an unresolved reversal as a supervisor. Never sent twice: the device accepts it once."""
    sign_decision(keys, next(iter(keys.terminals), ""), txn, decision, name, reason)  # refuse bad texts before all else
    hello = client.login(keys, "supervisor")
    signed = sign_decision(keys, hello.terminal_id, txn, decision, name, reason)
    try:
        client.request(HUMAN, signed, repeat=False)
    except NoAnswer as error:
        raise ClientError(
            "The device did not answer, and the decision may have been taken all the same. Run `posaudit status`: if "
            "the reversal is still owed, repeat the command."
        ) from error
