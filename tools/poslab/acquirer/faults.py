"""Fault scenarios: a TOML file that says which message meets which fault.

    [defaults]
    latency_ms = 20                     # before each answer; default 0
    utc_offset_min = 480                # the host's local time in DE12 and DE13; default 480
    clock = 2025-06-01T09:30:00         # stop the host's clock here, for runs that must repeat byte by byte

    [[fault]]
    match = { mti = "0200", amount = 1003 }   # all keys given must fit: mti type tid batch stan amount nth
    action = "late_reply"
    delay_ms = 4000
    times = 1                           # how often; default 1, 0 = always

`nth = 3` passes the first two messages that fit the other keys. The first rule that fits and is not used up
wins; only its count goes down. Actions and their settings are in ACTIONS and BOOK_ACTIONS below; docs/acquirer.md
tells more of the second.
"""

from __future__ import annotations

import datetime
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from poslab.acquirer.profile import FINANCIAL, KINDS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# Each action with its settings: (smallest, largest, default); no default = must be given.
_MS = (0, 86_400_000)
ACTIONS: dict[str, dict[str, tuple[int, int, int | None]]] = {
    "drop_request": {},  # as if it had never arrived
    "drop_reply": {},  # processed, then silence
    "late_reply": {"delay_ms": (*_MS, None)},  # processed; the answer comes on the same connection, later
    "duplicate_reply": {"gap_ms": (*_MS, 0)},  # the answer twice
    "garbled_reply": {},  # right length and MTI, everything after it inverted
    "bad_mac": {},  # the answer's MAC inverted
    "wrong_stan": {},  # DE11 one too high, MAC right
    "wrong_amount": {},  # DE4 one too high, MAC right
    "slow_bytes": {"per_byte_ms": (*_MS, None), "chunk": (1, 65_535, 1)},  # `chunk` bytes at a time
    "close_mid_message": {},  # half the answer, then the connection closes
    # Answered, then the connection closes and later ones are refused: for a time (the listener is closed), or
    # the next `connects` of them (reset as soon as accepted). Without `match`: refused from the start.
    "refuse_connection": {"for_ms": (*_MS, 0), "connects": (0, 1_000_000, 0)},
    "decline": {},  # approved or not: DE39 is code = "51"
    "oversize_length": {"junk": (0, 65_534, 2048)},  # processed; length 65535 and junk, then it closes
    "restart": {"down_ms": (*_MS, None)},  # takes processed = true; no answer, every connection drops
}
# What goes wrong in the host's own books, whatever the network does. They meet only messages of these types.
_UPLOADS = ("upload", "upload_chip")
BOOK_ACTIONS: dict[str, tuple[tuple[str, ...], dict[str, tuple[int, int, int | None]]]] = {
    "lose_record": (FINANCIAL, {}),  # answered "approved", then dropped
    "double_record": (FINANCIAL, {}),  # booked twice
    "change_amount": (FINANCIAL, {"by": (1 - 10**12, 10**12 - 1, None)}),  # booked with another amount
    "answer_unbalanced": (("settlement",), {}),  # the verdict on the totals; takes scheme = "domestic"
    "answer_error": (("settlement",), {}),  # or "international", default both
    # A record of an upload: stan and amount are the record's, nth is its place among the batch's; takes code = "51".
    "refuse_record": (_UPLOADS, {}),
}
_MATCH = {"mti": str, "type": str, "tid": str, "batch": int, "stan": int, "amount": int, "nth": int}
_EXTRA = {
    "decline": {"code"}, "restart": {"processed"}, "refuse_record": {"code"},
    "answer_unbalanced": {"scheme"}, "answer_error": {"scheme"},
}  # fmt: skip


class ScenarioError(Exception):
    """The scenario cannot be used; the text names the file and the table."""


@dataclass
class Fault:
    """One rule of the scenario and how often it was met."""

    action: str
    match: dict[str, Any]
    settings: dict[str, int]
    code: str = ""
    scheme: str = ""
    processed: bool = True
    times: int = 1
    seen: int = 0
    fired: int = 0


@dataclass
class Scenario:
    """A loaded scenario."""

    faults: list[Fault] = field(default_factory=list)
    latency_ms: int = 0
    utc_offset_min: int = 480
    clock: datetime.datetime | None = None

    def meet(self, message: dict[str, Any]) -> Fault | None:
        """The fault this message meets, by its `mti type tid batch stan amount`; counts it as used."""
        winner = None
        for fault in self.faults:
            wanted = {key: value for key, value in fault.match.items() if key != "nth"}
            if fault.action == "refuse_record":
                continue
            if fault.action in BOOK_ACTIONS and message.get("type") not in BOOK_ACTIONS[fault.action][0]:
                continue
            if not fault.match or any(message.get(key) != value for key, value in wanted.items()):
                continue
            fault.seen += 1
            left = fault.times == 0 or fault.fired < fault.times
            if winner is None and left and fault.seen >= fault.match.get("nth", 1):
                winner = fault
        if winner is not None:
            winner.fired += 1
        return winner

    def meet_record(self, record: dict[str, Any], place: int) -> Fault | None:
        """The refusal this record meets: its own stan and amount, its message's type; counts it as used."""
        for fault in self.faults:
            left = fault.times == 0 or fault.fired < fault.times
            fits = all((place if key == "nth" else record.get(key)) == value for key, value in fault.match.items())
            if fault.action == "refuse_record" and left and fits:
                fault.fired += 1
                return fault
        return None

    def at_start(self) -> list[Fault]:
        """Connection faults that need no message to set them off."""
        return [fault for fault in self.faults if not fault.match]


def bookings(fault: Fault | None, amount: int) -> tuple[int, int]:
    """What the books say of an approved amount under a fault: (amount, how often)."""
    action = fault.action if fault else ""
    if fault is not None and action == "change_amount":
        amount = min(max(amount + fault.settings["by"], 0), 10**12 - 1)
    return amount, {"lose_record": 0, "double_record": 2}.get(action, 1)


def load_scenario(path: Path | None, with_mac: bool = True) -> Scenario:
    """Read and check a scenario; None gives one without faults. Raises ScenarioError."""
    if path is None:
        return Scenario()
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ScenarioError(f"{path}: cannot be read ({error.strerror}); give a scenario's path") from error
    except RecursionError:
        raise ScenarioError(f"{path}: not a scenario (nested too deep)") from None
    except ValueError as error:  # not TOML, or not UTF-8
        raise ScenarioError(f"{path}: not TOML ({error})") from error
    try:
        _only(data, {"defaults", "fault"}, "the file")
        defaults = data.get("defaults", {})
        tables = data.get("fault", [])
        if not isinstance(defaults, dict) or not isinstance(tables, list):
            raise ScenarioError("write [defaults] once and [[fault]] for each fault")
        scenario = Scenario([_fault(table, f"[[fault]] number {n}") for n, table in enumerate(tables, 1)])
        _only(defaults, {"latency_ms", "utc_offset_min", "clock"}, "[defaults]")
        scenario.latency_ms = _whole(defaults, "latency_ms", (*_MS, 0), "[defaults]")
        scenario.utc_offset_min = _whole(defaults, "utc_offset_min", (-840, 840, 480), "[defaults]")
        scenario.clock = defaults.get("clock")
        if scenario.clock is not None and not (
            isinstance(scenario.clock, datetime.datetime) and scenario.clock.tzinfo is None
        ):
            raise ScenarioError("[defaults]: clock must be a local date and time such as 2025-06-01T09:30:00")
        if not with_mac and any(fault.action == "bad_mac" for fault in scenario.faults):
            raise ScenarioError("[[fault]]: bad_mac needs a profile whose messages carry a MAC")
    except ScenarioError as error:
        raise ScenarioError(f"{path}: {error}") from None
    return scenario


def _fault(table: Any, where: str) -> Fault:
    if not isinstance(table, dict):
        raise ScenarioError(f"{where}: must be a table")
    action = table.get("action")
    if not isinstance(action, str) or action not in {*ACTIONS, *BOOK_ACTIONS}:
        raise ScenarioError(f"{where}: action must be one of {', '.join((*ACTIONS, *BOOK_ACTIONS))}")
    met, known = BOOK_ACTIONS.get(action) or (KINDS, ACTIONS[action])
    _only(table, {"match", "action", "times"} | set(known) | _EXTRA.get(action, set()), where)
    settings = {key: _whole(table, key, limits, where) for key, limits in known.items()}
    code, processed, scheme = table.get("code", ""), table.get("processed", True), table.get("scheme", "")
    if action == "decline" and not (
        isinstance(code, str) and len(code) == 2 and code.isascii() and code.isalnum() and code != "00"
    ):
        raise ScenarioError(f'{where}: decline needs a DE39 other than 00, such as code = "51"')
    if action == "refuse_record" and not (isinstance(code, str) and re.fullmatch("(?!00)[0-9]{2}", code)):
        raise ScenarioError(f'{where}: refuse_record needs two digits other than 00, such as code = "51"')
    if action == "change_amount" and settings["by"] == 0:
        raise ScenarioError(f"{where}: by must not be 0")
    if scheme not in ("", "domestic", "international"):
        raise ScenarioError(f"{where}: scheme must be domestic or international")
    if not isinstance(processed, bool):
        raise ScenarioError(f"{where}: processed must be true or false")
    if action == "refuse_connection" and (settings["for_ms"] > 0) == (settings["connects"] > 0):
        raise ScenarioError(f"{where}: refuse_connection needs either for_ms or connects")
    match = _match(table.get("match", {}), where)
    if match.get("type", met[0]) not in met:
        raise ScenarioError(f"{where}, match: {action} meets only {', '.join(met)}")
    if not match and action != "refuse_connection":
        raise ScenarioError(f"{where}: {action} needs a match; match = {{ nth = 1 }} fits any message")
    times = _whole(table, "times", (0, 1_000_000, 1), where)
    return Fault(action, match, settings, code, scheme, processed, times)


def _match(match: Any, where: str) -> dict[str, Any]:
    where += ", match"
    if not isinstance(match, dict):
        raise ScenarioError(f"{where}: must be a table")
    _only(match, set(_MATCH), where)
    for key, value in match.items():
        if _MATCH[key] is int:
            _whole(match, key, (1 if key == "nth" else 0, 10**12 - 1, None), where)
        elif not isinstance(value, str):
            raise ScenarioError(f"{where}: {key} must be a text")
    if match.get("type", KINDS[0]) not in KINDS:
        raise ScenarioError(f"{where}: type must be one of {', '.join(KINDS)}")
    return dict(match)


def _only(table: dict[str, Any], known: set[str], where: str) -> None:
    unknown = sorted(set(table) - known)
    if unknown:
        raise ScenarioError(
            f"{where}: unknown key {', '.join(unknown)}; there are {', '.join(sorted(known))}"
        )


def _whole(table: dict[str, Any], key: str, limits: tuple[int, int, int | None], where: str) -> int:
    low, high, default = limits
    value = table.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ScenarioError(f"{where}: {key} must be a whole number from {low} to {high}")
    return value
