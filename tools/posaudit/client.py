"""The host's end of the service protocol (docs/service-protocol.md): requests, retries, roles.

Whatever the device sends: a request ends within its deadline, and no more than one frame is held.
"""

from __future__ import annotations

import hmac
import time
from dataclasses import dataclass
from typing import Any, Protocol

import serial  # type: ignore[import-untyped]

from posaudit.keys import ROLES, AuditorKeys
from posaudit.ports import clean_text
from posaudit.posj import FormatError
from posaudit.wire import MAX_WIRE, frame, unframe

HELLO, AUTH, STATUS, CHECKPOINT, READ, RELEASE, TIME, SELFTEST, HUMAN = range(1, 10)
_VERSION = 1
_NOT_AUTHORISED = 3
_REASONS = {
    1: "malformed request",
    2: "unknown command",
    3: "not authorised",
    4: "bad argument",
    5: "not supported by this firmware",
    6: "terminal fault",
    7: "protocol version not supported",
}


class ClientError(Exception):
    """The conversation with the device failed; the message says how, and what to try."""


class NoAnswer(ClientError):
    """No valid reply came, however often the request was sent."""


class Refused(ClientError):
    """The device answered with a status other than 0."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Port(Protocol):
    """What the client needs of pyserial."""

    def read(self, size: int = 1) -> bytes: ...
    def write(self, data: bytes) -> Any: ...
    @property
    def in_waiting(self) -> int: ...


@dataclass(frozen=True)
class Hello:
    """Who answers at the port."""

    terminal_id: str
    journal_id: bytes
    firmware: str
    challenge: bytes


class Client:
    """One device at one port. `timeout` is per try, in seconds; `tries` how often a repeatable request is sent."""

    def __init__(self, port: Port, timeout: float = 2.0, tries: int = 6) -> None:
        self.port = port
        self.timeout = timeout
        self.tries = tries
        self.retries = 0  # made so far, for the progress line
        self._id = 0
        self._buf = bytearray()
        self._too_long = False

    def request(self, command: int, *args: Any, repeat: bool = True) -> list[Any]:
        """Send a request and return what follows status 0 in its reply.

        With `repeat` it is sent again after a timeout or a bad frame, up to `tries` times in all. Raises NoAnswer,
        Refused, ClientError."""
        last = "nothing was received"
        for attempt in range(self.tries if repeat else 1):
            if attempt:
                self.retries += 1
            self._id = self._id % 65535 + 1
            try:
                # The zero ends whatever half frame the device may hold.
                self.port.write(b"\x00" + frame([_VERSION, self._id, command, *args]))
                reply = self._reply()
            except serial.SerialTimeoutException:
                last = "the port took no more bytes"
                continue
            except (serial.SerialException, OSError) as error:
                raise ClientError(
                    f"The connection broke ({clean_text(str(error), 100)}). Plug the cable in again and repeat the "
                    "command: a pull goes on where it stopped."
                ) from error
            if isinstance(reply, list):
                return reply
            last = reply
        raise NoAnswer(
            f"The device gave no valid answer ({last}). Check that this is the terminal's service port and that the "
            "terminal is on, then repeat the command."
        )

    def _reply(self) -> list[Any] | str:
        """The reply to the request just sent, or why there is none that counts."""
        deadline = time.monotonic() + self.timeout
        problem = "nothing was received"
        while time.monotonic() < deadline:
            chunk = self.port.read(max(1, min(self.port.in_waiting, MAX_WIRE)))
            if not chunk:
                continue
            if problem == "nothing was received":
                problem = "what was received never became a frame"
            for piece in self._pieces(chunk):
                try:
                    message = unframe(piece)
                except FormatError as error:
                    problem = str(error)
                    continue
                if len(message) < 3 or message[0] != _VERSION or any(type(v) is not int for v in message[:3]):
                    problem = "a frame was no reply of protocol version 1"
                    continue
                if message[1] == 0:
                    return "the device received a damaged frame"
                if message[1] != self._id:
                    problem = "a reply was to another request"  # a late one, to a try given up before
                    continue
                return self._accept(message)
        return problem

    def _pieces(self, chunk: bytes) -> list[bytes]:
        """Cut the stream at its delimiters; a frame longer than allowed is dropped, not stored."""
        *ended, rest = chunk.split(b"\x00")
        pieces = []
        for part in ended:
            whole = bytes(self._buf) + part
            if whole and not self._too_long and len(whole) <= MAX_WIRE:
                pieces.append(whole)
            self._buf.clear()
            self._too_long = False
        if self._too_long or len(self._buf) + len(rest) > MAX_WIRE:
            self._buf.clear()
            self._too_long = True
        else:
            self._buf += rest
        return pieces

    def _accept(self, message: list[Any]) -> list[Any]:
        status = message[2]
        if status == 0:
            return message[3:]
        text = message[3] if len(message) > 3 and type(message[3]) is str else ""
        said = _REASONS.get(status, f"status {status}")
        if text:
            said += f": {clean_text(text)}"
        hint = " Log in with --keys and the role it needs." if status == _NOT_AUTHORISED else ""
        raise Refused(status, f"The device refused ({said}).{hint}")

    # -- commands

    def hello(self) -> Hello:
        """Ask who answers, and for a fresh challenge."""
        match self.request(HELLO):
            case [str(terminal_id), bytes(journal_id), str(firmware), bytes(challenge)] if (
                len(journal_id) == 16 and len(challenge) == 16
            ):
                return Hello(terminal_id, journal_id, clean_text(firmware, 64), challenge)
        raise nonsense("HELLO")

    def login(self, keys: AuditorKeys, role: str) -> Hello:
        """Prove the role's key. Raises ClientError if the device is not the one in the key file; KeysError."""
        for _ in range(self.tries):
            hello = self.hello()
            shown = clean_text(hello.terminal_id, 64)
            if keys.terminals.get(hello.terminal_id) != hello.journal_id:
                raise ClientError(
                    f"The device says it is terminal {shown} with journal {hello.journal_id.hex()}, and the key file "
                    "knows no such terminal. Use the key file it was provisioned with."
                )
            number = ROLES[role]
            proof = hmac.digest(
                keys.role_key(hello.terminal_id, role),
                b"posfw/auth/1" + bytes([number]) + hello.challenge,
                "sha256",
            )
            try:
                # A challenge serves one try: after a lost reply a new one is needed.
                self.request(AUTH, number, proof, repeat=False)
                return hello
            except NoAnswer:
                self.retries += 1
        raise NoAnswer("The device does not answer the log-in. Restart the terminal and repeat the command.")

    def checkpoint(self, nonce: bytes) -> tuple[int, bytes, str]:
        """Have the device answer `nonce` in its journal: (number of the EXPORT entry, head after it, tier)."""
        match self.request(CHECKPOINT, nonce):
            case [int(seq), bytes(head), str(tier)] if (
                0 <= seq < 1 << 32 and len(head) == 32 and type(seq) is int and len(tier) <= 16
            ):
                return seq, head, tier
        raise nonsense("CHECKPOINT")

    def read(self, from_seq: int, max_bytes: int) -> list[bytes]:
        """Entries from `from_seq` on, as many as the device gives."""
        match self.request(READ, from_seq, max_bytes):
            case [int(seq), [*entries]] if all(type(e) is bytes for e in entries):
                if seq != from_seq or type(seq) is not int:
                    raise ClientError(
                        f"The device was asked for entry {from_seq} and answered with entry {seq}. "
                        "Restart the terminal; if it stays so, its firmware is not to be trusted."
                    )
                return entries
        raise nonsense("READ")


def nonsense(command: str) -> ClientError:
    return ClientError(
        f"The device's answer to {command} is not what the protocol says. Its firmware is newer than this posaudit, or "
        "it is no posfw terminal."
    )
