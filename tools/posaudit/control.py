"""What a technician or supervisor does besides pulling: status, clock, signed decisions."""

from __future__ import annotations

import hmac
import time
from dataclasses import asdict, dataclass, field
from typing import Any

import cbor2

from posaudit.client import HUMAN, STATUS, TIME, Client, ClientError, NoAnswer, nonsense
from posaudit.keys import AuditorKeys, KeysError
from posaudit.ports import clean_text

DECISIONS = {"reversed": 1, "charged": 2, "other": 3, "written-off": 4, "batch-closed": 5}
_PROTECTED = bytes.fromhex("a10105")


@dataclass
class Settlement:
    """How the present batch stands. `phase`: 0 open, 1 begun, 2 totals sent, 3 uploading, 4 end message, 5 agreed, 6 a
    refused record being presented again; `cause`: of its last anomaly, or 0; records acknowledged and refused;
    `number`: the settlement's, where there is one."""

    batch: int
    phase: int
    opened: int
    cause: int
    acknowledged: int
    refused: int
    number: int = 0


@dataclass
class Status:
    """STATUS in names. `owed`: [(what, txn)], what 2 reversal, 3 slip, 4 unresolved reversal, 5 settlement, 6 upload, 7
    vault destruction (of these three the batch), 8 refused record. The last two are None if the firmware is older."""

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
    settlement: Settlement | None = None
    refused: list[tuple[int, int, str]] | None = None  # number, batch, code

    def to_dict(self) -> dict[str, Any]:
        """For --json."""
        return asdict(self)


def get_status(client: Client, keys: AuditorKeys | None, role: str) -> Status:
    """Ask for STATUS, logged in if keys are given. Raises ClientError, KeysError."""
    hello = client.login(keys, role) if keys else client.hello()
    reply = client.request(STATUS)
    match reply[:8]:
        case [int(first), int(following), int(rtc), int(quality), int(batch), int(stan), [*owed], str(message)]:
            pairs = [(o[0], o[1]) for o in owed if _numbers(o, 2)]
            settlement, refused = _settlement(reply[8:])
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
                    settlement,
                    refused,
                )
    raise nonsense("STATUS")


def _numbers(value: Any, size: int) -> bool:
    return type(value) is list and len(value) == size and all(type(v) is int and v >= 0 for v in value)


def _settlement(items: list[Any]) -> tuple[Settlement | None, list[tuple[int, int, str]] | None]:
    """The ninth and tenth item of STATUS; older firmware has neither. Raises ClientError."""
    if not items:
        return None, None
    match items:
        case [[*how], [*refused]] if _numbers(how, 7):
            records = [
                (r[0], r[1], clean_text(r[2], 8))
                for r in refused
                if type(r) is list and len(r) == 3 and _numbers(r[:2], 2) and type(r[2]) is str
            ]
            if len(records) == len(refused):
                return Settlement(*how), records
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
    """Decide as a supervisor on an unresolved reversal, a refused record, or a batch that cannot be settled (txn: the
    number of its close of day). Never sent twice: the device accepts it once."""
    sign_decision(keys, next(iter(keys.terminals), ""), txn, decision, name, reason)  # refuse bad texts before all else
    hello = client.login(keys, "supervisor")
    signed = sign_decision(keys, hello.terminal_id, txn, decision, name, reason)
    try:
        client.request(HUMAN, signed, repeat=False)
    except NoAnswer as error:
        raise ClientError(
            "The device did not answer, and the decision may have been taken all the same. Run `posaudit status`: if "
            "it is still owed, repeat the command."
        ) from error
