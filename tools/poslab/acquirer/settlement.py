"""How a batch is settled: totals compared, records taken or refused, the batch closed. No bytes and no sockets here."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from poslab.acquirer.batch_store import Batches
from poslab.acquirer.clearing_request import Record, read_clearing
from poslab.acquirer.clearing_table import BALANCED, FAILED, UNBALANCED, ClearingTable, add_up, counted, scheme_of
from poslab.acquirer.codes import APPROVED, FORMAT_ERROR, NOT_ALLOWED, OUT_OF_ORDER, REPEATED
from poslab.acquirer.faults import Fault, Scenario
from poslab.acquirer.ledger import Ledger
from poslab.acquirer.profile import Profile
from poslab.acquirer.request import Request

_CHIP = ("05", "07")  # entry modes of DE22


class Settlement:
    """The rules of one profile over one ledger. Runs within the transaction of the message."""

    def __init__(self, profile: Profile, table: ClearingTable, ledger: Ledger, batches: Batches):
        self._profile = profile
        self._table = table
        self._ledger = ledger
        self._batches = batches

    def answer(
        self, request: Request, fault: Fault | None, scenario: Scenario, fields: dict[int, str], at: int
    ) -> None:
        """Decide about a settlement message and put the answer into `fields`."""
        tid, batch, stan = request.values["tid"], int(request.values["batch"]), int(request.values["stan"])
        told = read_clearing(self._profile, self._table, request)
        if told is None:
            fields[39] = FORMAT_ERROR
            return
        closed = self._batches.closed(tid, batch)
        known = self._batches.answer(tid, batch, stan, request.kind)
        if closed and told.records and known is not None and not known["after_close"]:
            known = None  # a record presented again has a STAN of the present batch, which may meet one of this
        if known is not None and known["content"] == told.content:
            fields.update({int(number): text for number, text in json.loads(known["fields"]).items()})
            return
        if known is not None and not closed:
            fields[39] = REPEATED
            return
        forced = fault.code if fault and fault.action == "decline" else ""
        if request.kind == "settlement":
            final = self._compare(request, fault, forced, told.totals, fields, at)
        elif request.kind == "upload_end":
            final = self._end(request, forced, told.totals, fields, at)
        else:
            final = self._upload(request, scenario, forced, told.records, fields, at)
        if final:
            own = {12, 13, 37, 39, self._table.reply_field, self._table.reply_codes}
            said = {number: text for number, text in fields.items() if number in own}
            self._batches.keep_answer(tid, batch, stan, request.kind, told.content, said, closed)

    # -- totals -----------------------------------------------------------------------------------------------------

    def _compare(
        self, request: Request, fault: Fault | None, forced: str, sent: list[int], fields: dict[int, str], at: int
    ) -> bool:
        """0500: the host's verdict on the terminal's totals. True if it stands; an error of the host's does not."""
        table, tid, batch = self._table, request.values["tid"], int(request.values["batch"])
        row = self._batches.made(tid, batch, at)
        answered = row["answered_totals"] is not None
        if row["state"] == "closed" or (answered and json.loads(row["terminal_totals"]) != sent):
            fields[39] = REPEATED
            return False
        self._batches.change(
            tid, batch, stan=int(request.values["stan"]), terminal_totals=sent, together=int(table.together),
            currency=request.values.get("currency", ""),
        )  # fmt: skip
        if forced:
            fields[39] = forced
            return False
        approved = self._batches.approved(tid, batch)
        own = add_up(approved, table.count)
        flags = _bent(table.compare(sent, own), fault)
        fields[39], fields[table.reply_field] = APPROVED, table.write_totals(own, flags)
        if not table.flags and FAILED in flags:
            fields[39] = OUT_OF_ORDER
        elif not table.flags and UNBALANCED in flags:
            fields[39] = table.unbalanced[0]
        if FAILED in flags:
            return False
        balanced = flags == [BALANCED, BALANCED]
        self._batches.change(
            tid, batch, state="balanced" if balanced else "unbalanced", balanced=int(balanced),
            answered_totals=own, answered_at=at,
        )  # fmt: skip
        chips = [row for row, _ in counted(approved, table.count) if row["mode"][:2] in _CHIP]
        if balanced and not (table.chip_always and chips):
            self._close(tid, batch, at)
        return True

    # -- records ----------------------------------------------------------------------------------------------------

    def _upload(
        self, request: Request, scenario: Scenario, forced: str, records: list[Record], fields: dict[int, str], at: int
    ) -> bool:
        """0320 with records. True if the answer stands; a whole message that was refused is judged anew."""
        tid, batch = request.values["tid"], int(request.values["batch"])
        if forced and len(records) > 1:
            fields[39] = forced
            return False
        row = self._batches.made(tid, batch, at)
        place, met = self._batches.next_place(tid, batch), []
        judged: dict[int, tuple[str, int]] = {}  # STAN -> code, place
        codes: list[str] = []
        for record in records:
            old = self._batches.record(tid, batch, record.stan)
            if record.stan in judged:
                first = next(earlier for earlier in records if earlier.stan == record.stan)
                code = self._has_it() if judged[record.stan][0] == APPROVED else judged[record.stan][0]
                codes.append(code if record == first else NOT_ALLOWED)
                continue
            same = old and (old["type"], old["amount"], old["pan"]) == (record.type, record.amount, record.pan)
            if old is not None and (old["code"] == APPROVED or not same):
                codes.append(self._has_it() if same else NOT_ALLOWED)
                self._batches.change_record(tid, batch, record.stan, round=row["round"])
                continue
            if old is None and row["state"] == "closed" and not self._booked_so(tid, batch, record):
                codes.append(NOT_ALLOWED)  # what was agreed stands
                continue
            own_place = old["place"] if old is not None else place
            place += old is None
            facts = {**request.facts(), "stan": record.stan, "amount": record.amount}
            fault = None if forced else scenario.meet_record(facts, own_place)
            if fault is not None:
                met.append(fault)
            code = forced or (fault.code if fault else APPROVED if record.type else FORMAT_ERROR)
            codes.append(code)
            judged[record.stan] = code, own_place
        told_each = self._table.reply_codes and "records" in request.values
        refused = next((code for code in codes if code not in (APPROVED, self._has_it())), "")
        if refused and not told_each and len(records) > 1:
            for fault in met:
                fault.fired -= 1  # nothing was taken: the records come again, one by one
            fields[39] = refused
            return False
        for record in records:
            if record.stan in judged:
                self._store(request, row, record, *judged.pop(record.stan), at)
        if row["state"] != "closed":
            self._batches.change(tid, batch, state="uploading")
        if told_each and not forced:
            fields[39], fields[self._table.reply_codes] = APPROVED, f"{len(codes):02d}{''.join(codes)}"
        else:
            fields[39] = codes[0] if len(codes) == 1 else APPROVED
        return not forced

    def _booked_so(self, tid: str, batch: int, record: Record) -> bool:
        """True if the books of a closed batch have just this, settled or late: then no amount moves."""
        booked = self._ledger.by_stan(tid, batch, record.stan)
        if booked is None or booked["state"] != "approved" or booked["missing"] or booked["copies"] != 1:
            return False
        same = (booked["type"], booked["amount"]) == (record.type, record.amount)
        return same and booked["pan"] in ("", record.pan)

    def _has_it(self) -> str:
        return REPEATED if REPEATED in self._table.accepted else APPROVED

    def _store(self, request: Request, row: sqlite3.Row, record: Record, code: str, place: int, at: int) -> None:
        currency = record.currency or row["currency"]
        self._batches.put_record(
            tid=row["tid"], batch=row["batch"], stan=record.stan, type=record.type, amount=record.amount,
            currency=currency, pan=record.pan, mode=record.mode, rrn=record.rrn, auth=record.auth, code=code,
            place=place, round=row["round"], message=int(request.values["stan"]), at=at,
        )  # fmt: skip
        if row["state"] == "closed":  # presented again
            stored = self._batches.record(row["tid"], row["batch"], record.stan)
            booked = self._ledger.by_stan(row["tid"], row["batch"], record.stan)
            if stored is not None and code == APPROVED:
                self._settle(stored, at)
            elif booked is not None:
                self._ledger.update(booked["id"], at, upload_code=code)

    # -- the end ----------------------------------------------------------------------------------------------------

    def _end(self, request: Request, forced: str, sent: list[int], fields: dict[int, str], at: int) -> bool:
        """The end message: what it counts must be what came. True if the answer stands."""
        tid, batch = request.values["tid"], int(request.values["batch"])
        if forced:
            fields[39] = forced
            return False
        row = self._batches.find(tid, batch)
        if row is None or row["terminal_totals"] is None:
            fields[39] = NOT_ALLOWED  # there is no settlement to end
            return False
        records = self._batches.records(tid, batch, row["round"])
        if "record_count" in request.values:
            agreed = int(request.values["record_count"]) == len(records)
        else:  # totals: of what came, or, where the host asked for little or nothing, those it agreed to
            agreed = self._table.compare(sent, add_up(records, self._table.count)) == [BALANCED] * 2
            agreed |= bool(row["balanced"]) and sent == json.loads(row["terminal_totals"])
        if agreed:
            fields[39] = APPROVED
            if row["state"] != "closed":
                self._close(tid, batch, at)
        else:
            fields[39] = self._table.again[0] if self._table.again else OUT_OF_ORDER
            if row["state"] != "closed":
                self._batches.change(tid, batch, state="uploading", round=row["round"] + 1)
        return True

    def _close(self, tid: str, batch: int, at: int) -> None:
        """Settle what the upload has, or all if the totals agreed; mark what the upload should have had."""
        row = self._batches.made(tid, batch, at)
        came = {record["stan"]: record for record in self._batches.records(tid, batch, row["round"])}
        for record in came.values():
            if record["code"] == APPROVED:
                self._settle(record, at)
        taken = {stan for stan, record in came.items() if record["code"] == APPROVED}
        rest = [t for t in self._batches.approved(tid, batch) if t["stan"] not in taken]
        # A void and its sale that cancel each other, and types that do not count, are not uploaded: they close too.
        due = {t["id"] for t, _ in counted(rest, self._table.count)
               if not row["balanced"] or (self._table.chip_always and t["mode"][:2] in _CHIP)}  # fmt: skip
        for t in rest:
            if t["stan"] in came:
                self._ledger.update(t["id"], at, upload_code=came[t["stan"]]["code"])
                continue
            settled = None if t["id"] in due and not row["balanced"] else batch
            self._ledger.update(t["id"], at, settled_batch=settled, missing=int(t["id"] in due))
        totals = add_up(self._batches.settled(tid, batch), self._table.count)
        how = "balanced" if row["balanced"] else "uploaded"
        self._batches.change(tid, batch, state="closed", how=how, closed_totals=totals, closed_at=at)

    def _settle(self, record: Mapping[str, Any], at: int) -> None:
        """Settle one taken record: the upload is the terminal's word, and what the books said is kept beside it."""
        key = record["tid"], record["batch"], record["stan"]
        booked = self._ledger.by_stan(*key)
        notes = []
        if booked is None:
            # A reversal that found nothing to undo still speaks of this transaction: its money is not taken.
            undone = self._ledger.reversal(*key) is not None
            notes = ["not in the books", "reversed before"] if undone else ["not in the books"]
            self._ledger.insert(
                "transactions", tid=key[0], batch=key[1], stan=key[2], type=record["type"],
                mti=self._profile.message(record["type"]).mti, amount=record["amount"], asked=record["amount"],
                currency=record["currency"], pan=record["pan"], scheme=scheme_of(record["pan"]), mode=record["mode"],
                code=APPROVED, rrn=record["rrn"], auth=record["auth"], state="reversed" if undone else "approved",
                recovered=1, settled_batch=None if undone else key[1], upload_code=APPROVED,
                created_at=at, updated_at=at,
            )  # fmt: skip
        else:
            changes: dict[str, Any] = {"copies": 1, "missing": 0, "upload_code": APPROVED}
            if booked["copies"] != 1:
                notes.append(f"booked {booked['copies']} times")
            if booked["amount"] != record["amount"]:
                notes.append(f"amount was {booked['amount']}")
                changes |= {"amount": record["amount"], "booked": booked["amount"]}
            if booked["type"] != record["type"]:
                notes.append(f"type was {booked['type']}")
                changes["type"] = record["type"]
            if booked["pan"] and booked["pan"] != record["pan"]:
                notes.append("another card")
            if booked["state"] == "approved":
                changes["settled_batch"] = key[1]
            else:
                notes.append(f"the books say {booked['state']}")
            self._ledger.update(booked["id"], at, **changes)
        self._batches.change_record(*key, note="; ".join(notes))


def _bent(flags: list[int], fault: Fault | None) -> list[int]:
    action = fault.action if fault else ""
    flag = {"answer_unbalanced": UNBALANCED, "answer_error": FAILED}.get(action)
    if fault is None or flag is None:
        return flags
    names = ("domestic", "international")
    return [flag if fault.scheme in ("", name) else own for name, own in zip(names, flags, strict=True)]
