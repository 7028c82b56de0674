"""What the acquirer decides: messages in, ledger changes and answers out. No sockets here."""

from __future__ import annotations

import datetime
import secrets
import sqlite3
import time
from dataclasses import dataclass, field

from poslab.acquirer import codec
from poslab.acquirer.batch_store import Batches
from poslab.acquirer.clearing_table import scheme_of
from poslab.acquirer.codes import (
    APPROVED,
    BAD_AMOUNT,
    BAD_MAC,
    FORMAT_ERROR,
    NO_ORIGINAL,
    NOT_ALLOWED,
    ORIGINAL_AMOUNT,
    OTHER_CARD,
    OVER_LIMIT,
    REPEATED,
)  # fmt: skip
from poslab.acquirer.faults import Fault, Scenario, bookings
from poslab.acquirer.ledger import Ledger
from poslab.acquirer.profile import CLEARING, FINANCIAL, Profile
from poslab.acquirer.request import Request, reply_mti, whole
from poslab.acquirer.settlement import Settlement

# What each type may refer to.
_REFERS_TO = {
    "void": ("sale", "completion", "refund"),
    "refund": ("sale", "completion"),
    "completion": ("preauth",),
    "preauth_void": ("preauth",),
}
_ECHOED = (3, 4, 11, 24, 25, 41, 42, 49, 60)  # never the PAN
_MTI, _STAN, _TID = "t", "11", "41"


class NoAnswer(Exception):
    """There is no way to answer this: the connection should close. The text says why and holds no data."""


@dataclass
class Answer:
    """A reply: fields and the key its MAC is made with (None: no MAC)."""

    mti: str
    fields: dict[int, str]
    key: bytes | None
    tpdu: bytes
    header: bytes
    facts: dict[str, object] = field(default_factory=dict)


class Host:
    """One acquirer over one ledger. Each `handle` is one durable ledger transaction."""

    def __init__(self, profile: Profile, ledger: Ledger, master_key: bytes, scenario: Scenario):
        """`master_key` is the terminal master key, 16 bytes, under which working keys travel."""
        if len(master_key) != 16:
            raise ValueError("the terminal master key must be 16 bytes")
        self.profile = profile
        self.scenario = scenario
        self._ledger = ledger
        self._master = master_key
        self._keys: dict[str, bytes] = {}
        self._batches = Batches(ledger)
        self._settlement: Settlement | None = None
        if profile.clearing is not None:
            self._settlement = Settlement(profile, profile.clearing, ledger, self._batches)
            self._batches.keep_rule(profile.clearing.count)

    def forget(self) -> None:
        """What a restart does to memory. Working keys come back from the ledger."""
        self._keys.clear()

    def ignore(self, request: Request, fault: Fault) -> None:
        """Record a message that is then treated as if it had never arrived."""
        with self._ledger.transaction():
            self._record("in", request.facts(), fault.action, request.pan)

    def handle(self, request: Request, fault: Fault | None) -> Answer:
        """Process a message, durably, and return the answer. NoAnswer: only its arrival was recorded."""
        name = fault.action if fault else ""
        at = self._now_ms()
        with self._ledger.transaction():
            facts = request.facts()
            serial = self._record("in", facts, name, request.pan)
            answer_mti = reply_mti(request.wire.mti)
            if answer_mti:
                fields, key = self._decide(request, fault, at, self._rrn(at, serial))
                facts = {**facts, "mti": answer_mti, "code": fields[39]}
                self._record("out", facts, name, request.pan)
        if not answer_mti:
            raise NoAnswer(f"MTI {request.wire.mti} is not a request")
        return Answer(answer_mti, fields, key, request.wire.tpdu, request.wire.header, facts)

    def refuse(self, frame: bytes, error: codec.WireError) -> Answer:
        """Answer undecodable bytes with DE39 30. Raises NoAnswer if not even the MTI was readable."""
        mti = reply_mti(error.fields.get(_MTI, ""))
        known = {int(key): error.fields[key] for key in (_STAN, _TID) if key in error.fields}
        facts: dict[str, object] = {"tid": known.get(41, ""), "stan": whole(known.get(11))}
        with self._ledger.transaction():
            self._record("in", {**facts, "mti": error.fields.get(_MTI, "")}, "", "")
            if mti:
                facts = {**facts, "mti": mti, "code": FORMAT_ERROR}
                self._record("out", facts, "", "")
        if not mti:
            raise NoAnswer(str(error))
        start = codec.TPDU_BYTES + self.profile.header_bytes
        tpdu, header = frame[: codec.TPDU_BYTES], frame[codec.TPDU_BYTES : start]
        return Answer(mti, {**known, 39: FORMAT_ERROR}, self._key(known.get(41, "")), tpdu, header, facts)

    def _decide(
        self, request: Request, fault: Fault | None, at: int, rrn: str
    ) -> tuple[dict[int, str], bytes | None]:
        tid = request.wire.fields.get(41, "")
        forced = fault.code if fault and fault.action == "decline" else ""
        fields = {number: request.wire.fields[number] for number in _ECHOED if number in request.wire.fields}
        fields.update(self._host_time(at))
        key = self._key(tid) if request.kind != "signon" else None
        fields[37] = rrn
        if request.message is None:
            fields[39] = NOT_ALLOWED if self.profile.kinds_of(request.wire.mti) else FORMAT_ERROR
        elif self.profile.mac_field in request.message.fields and not self._mac_ok(request, key):
            fields[39] = BAD_MAC
        elif request.wrong:
            fields[39] = FORMAT_ERROR
        elif request.kind == "signon":
            self._sign_on(tid, forced, fields)
        elif request.kind == "reversal":
            self._reverse(request, forced, fields, at)
        elif request.kind in FINANCIAL:
            self._charge(request, forced, fault, fields, at)
        elif request.kind in CLEARING and self._settlement is not None:
            self._settlement.answer(request, fault, self.scenario, fields, at)
        return fields, key

    def _sign_on(self, tid: str, forced: str, fields: dict[int, str]) -> None:
        fields[39] = forced or APPROVED
        if forced or self.profile.mac_field is None:
            return
        working = secrets.token_bytes(16)
        wrapped = codec.wrap_working_key(self._master, working)
        self._ledger.store_key(tid, wrapped)
        self._keys[tid] = working
        fields[62] = wrapped.hex().upper()

    def _charge(
        self, request: Request, forced: str, fault: Fault | None, fields: dict[int, str], at: int
    ) -> None:
        tid, batch, stan, amount = self._reference(request)
        known = self._ledger.by_stan(tid, batch, stan)
        if known is not None:
            self._repeat(request, known, fields)
            return
        original = self._original(request, tid)
        code = forced or self._judge(request, tid, batch, stan, amount, original)
        auth = f"{(int(fields[37][-6:]) * 739_391 + 271_828) % 1_000_000:06d}" if code == APPROVED else ""
        fields[39] = code
        if auth:
            fields[38] = auth
        booked, copies = bookings(fault, amount) if code == APPROVED else (amount, 1)
        if not copies:
            return  # told, and not written down: that is the fault
        card = request.pan or (original["pan"] if original is not None else "")
        number = self._ledger.insert(
            "transactions", tid=tid, batch=batch, stan=stan, mti=request.wire.mti, type=request.kind,
            amount=booked, asked=amount, copies=copies, currency=request.values.get("currency", ""),
            pan=request.pan, scheme=scheme_of(card), mode=request.values.get("mode", ""),
            late=int(code == APPROVED and self._batches.agreed(tid, batch)), code=code, rrn=fields[37], auth=auth,
            state="approved" if code == APPROVED else "declined",
            original=original["id"] if original is not None else None, created_at=at, updated_at=at,
        )  # fmt: skip
        if code == APPROVED and original is not None and request.kind in ("void", "preauth_void"):
            self._ledger.update(original["id"], at, voided_by=number)

    def _repeat(self, request: Request, known: sqlite3.Row, fields: dict[int, str]) -> None:
        """The same request again gets the same answer; a different one under its STAN does not."""
        same = (known["mti"], known["type"], known["asked"], known["pan"])
        if (request.wire.mti, request.kind, request.number("amount"), request.pan) != same:
            fields[39] = REPEATED
        elif known["state"] == "reversed":
            fields[39] = NOT_ALLOWED  # the answer was "approved" once; saying so again would be untrue
        else:
            fields.update({37: known["rrn"], 39: known["code"]})
            fields.update(self._host_time(known["created_at"]))
            if known["auth"]:
                fields[38] = known["auth"]

    def _judge(
        self, request: Request, tid: str, batch: int, stan: int, amount: int, original: sqlite3.Row | None
    ) -> str:
        if self._ledger.reversal(tid, batch, stan) is not None:
            return NOT_ALLOWED  # the reversal overtook it
        if amount == 0:
            return BAD_AMOUNT
        if request.kind not in _REFERS_TO:
            return APPROVED
        if original is None:
            return NO_ORIGINAL
        standing = original["state"] == "approved" and not original["voided_by"]
        if not standing or original["type"] not in _REFERS_TO[request.kind]:
            return NOT_ALLOWED
        if request.pan and original["pan"] and request.pan != original["pan"]:
            return OTHER_CARD
        refunded = self._ledger.refunded(original["id"])
        if request.kind == "refund":
            return OVER_LIMIT if refunded + amount > original["asked"] else APPROVED
        if refunded or self._ledger.completed(original["id"]):
            return NOT_ALLOWED
        if request.kind != "completion" and amount != original["asked"]:
            return ORIGINAL_AMOUNT
        return APPROVED

    def _original(self, request: Request, tid: str) -> sqlite3.Row | None:
        """What a void, refund or completion names: by batch and STAN, by RRN; if by both, they must agree."""
        batch, stan = request.number("orig_batch"), request.number("orig_stan")
        rrn = request.values.get("orig_rrn")
        by_stan = self._ledger.by_stan(tid, batch, stan) if batch is not None and stan is not None else None
        by_rrn = self._ledger.by_rrn(rrn) if rrn else None
        if stan is not None and rrn:
            agree = by_stan is not None and by_rrn is not None and by_stan["id"] == by_rrn["id"]
            return by_stan if agree else None
        return by_stan if by_stan is not None else by_rrn

    def _reverse(self, request: Request, forced: str, fields: dict[int, str], at: int) -> None:
        tid, batch, stan, amount = self._reference(request)
        reason = request.values.get("reason", "")
        original = self._ledger.by_stan(tid, batch, stan)
        if forced:
            fields[39] = forced
            return
        if original is None:
            fields[39] = NO_ORIGINAL
        else:
            fields[37] = original["rrn"]
            fields[39] = self._undo(request, original, amount, reason, at)
        if fields[39] in (APPROVED, NO_ORIGINAL):
            self._ledger.note_reversal(tid, batch, stan, reason, fields[39], fields[37], at)

    def _undo(self, request: Request, original: sqlite3.Row, amount: int, reason: str, at: int) -> str:
        of = self.profile.message(original["type"])
        expected = {"type_code": of.type_code, "type_pcode": of.pcode, "type_mti": of.mti}
        if any(request.values.get(name, value) != value for name, value in expected.items()):
            return FORMAT_ERROR
        if amount != original["asked"]:
            return ORIGINAL_AMOUNT
        if original["state"] != "approved":
            return APPROVED  # already reversed, or never charged: nothing is left to undo
        if original["voided_by"]:
            return NOT_ALLOWED
        self._ledger.update(original["id"], at, state="reversed", reversal_reason=reason)
        if original["type"] in ("void", "preauth_void") and original["original"]:
            self._ledger.update(original["original"], at, voided_by=None)
        return APPROVED

    def _reference(self, request: Request) -> tuple[str, int, int, int]:
        values = request.values
        return values["tid"], int(values["batch"]), int(values["stan"]), int(values["amount"])

    def _mac_ok(self, request: Request, key: bytes | None) -> bool:
        field_number = self.profile.mac_field
        return key is not None and field_number is not None and request.wire.has_mac_of(key, field_number)

    def _key(self, tid: str) -> bytes | None:
        if self.profile.mac_field is None:
            return None
        if tid not in self._keys:
            wrapped = self._ledger.wrapped_key(tid)
            working = codec.unwrap_working_key(self._master, wrapped) if wrapped else None
            if working is None:
                return None
            self._keys[tid] = working
        return self._keys[tid]

    def _record(self, direction: str, facts: dict[str, object], fault: str, pan: str) -> int:
        return self._ledger.insert(
            "messages", at=self._now_ms(), direction=direction, fault=fault, pan=pan, **facts
        )

    def _now_ms(self) -> int:
        stopped = self.scenario.clock
        if stopped is None:
            return time.time_ns() // 1_000_000
        return int(stopped.replace(tzinfo=self._zone()).timestamp() * 1000)

    def _zone(self) -> datetime.timezone:
        return datetime.timezone(datetime.timedelta(minutes=self.scenario.utc_offset_min))

    def _local(self, at: int) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(at / 1000, self._zone())

    def _host_time(self, at: int) -> dict[int, str]:
        local = self._local(at)
        return {12: local.strftime("%H%M%S"), 13: local.strftime("%m%d")}

    def _rrn(self, at: int, serial: int) -> str:
        """12 digits: last digit of the year, day of the year, hour, six digits of the message number."""
        local = self._local(at)
        return f"{local.year % 10}{local.strftime('%j%H')}{serial % 1_000_000:06d}"
