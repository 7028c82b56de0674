"""Acquirer profiles (`posfw-profile/1`) as the host reads them: a pyiso8583 spec, and what fields say."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from poslab.acquirer.clearing_table import ClearingTable, read_clearing_table

FORMAT = "posfw-profile/1"
FINANCIAL = ("sale", "void", "refund", "preauth", "completion", "preauth_void")
CLEARING = ("settlement", "upload", "upload_chip", "upload_end")
KINDS = ("signon", *FINANCIAL, "reversal", *CLEARING)

# Digits or characters of each value source, where a field holds several of them. 0: the rest of the field.
_WIDTH = {
    "stan": 6, "batch": 6, "amount": 12, "time": 6, "date": 4, "date0000": 4, "orig_stan": 6, "orig_batch": 6,
    "orig_date": 4, "orig_rrn": 12, "orig_auth": 6, "rrn": 12, "auth": 6, "reason": 2, "type_pcode": 6,
    "type_mti": 4, "orig_amount": 12, "type_condition": 2,
    "mode": 3, "expiry": 4, "card_seq": 3, "currency": 3, "tid": 8, "mid": 15,
    "record_stan": 6, "record_count": 4, "totals": 0, "records": 0,
    "operator": 0, "pan": 0, "track2": 0, "icc": 0, "pin_block": 0, "mac": 0,
}  # fmt: skip
# int() is applied to these, though their field may be text; and these reach the settlement file, where a spreadsheet
# would take a text that begins with = or @ for a formula.
_DIGITS = ("stan", "batch", "amount", "record_stan", "record_count")
_LETTERS = ("tid", "rrn", "auth", "currency")
_NOTATION = re.compile(r"(an|ans|a|n|z|b)(\.{2,3})?(\d{1,3})( left| right)?")


class ProfileError(Exception):
    """The profile cannot be used; the text names the file and the place in it."""


@dataclass(frozen=True)
class Message:
    """One message of the profile: its MTI and, by field number, the list of parts its value is made of."""

    kind: str
    mti: str
    fields: dict[int, tuple[str, ...]]
    type_code: str
    pcode: str
    balance_codes: tuple[str, ...] = ()

    def read(self, values: dict[int, str]) -> tuple[dict[str, str], list[int]] | None:
        """Take received fields apart: (value by source, numbers of fields that are missing or misfit).

        None if a constant or balance code of this message differs, that is, if it is another message.
        """
        found: dict[str, str] = {}
        wrong: list[int] = []
        for number, parts in sorted(self.fields.items()):
            if number not in values:
                if not parts[0].startswith("?"):
                    wrong.append(number)
                continue
            rest = values[number]
            for part in parts:
                source = part.lstrip("?")
                width = len(part) - 1 if part.startswith("=") else self._width(source)
                piece, rest = (rest[:width], rest[width:]) if width else (rest, "")
                if part.startswith("="):
                    if piece != part[1:]:
                        return None
                elif source == "balance_code" and piece not in self.balance_codes:
                    return None
                elif len(piece) < width or not _characters_ok(source, piece):
                    wrong.append(number)
                elif source == "stan" and found.get("stan", piece) != piece:
                    wrong.append(number)  # a reversal that names two STANs must not pick one of them
                else:
                    found[source] = piece
            if rest:
                wrong.append(number)
        return found, wrong

    def _width(self, source: str) -> int:
        if source == "balance_code":
            return len(self.balance_codes[0])
        return len(self.type_code) if source == "type_code" else _WIDTH[source]


def _characters_ok(source: str, piece: str) -> bool:
    if source in _DIGITS:
        return piece.isascii() and piece.isdigit()
    plain = piece.replace(" ", "")  # blanks fill up
    return source not in _LETTERS or (plain.isascii() and (plain.isalnum() or not plain))


@dataclass(frozen=True)
class Profile:
    """What the host needs of a profile."""

    name: str
    header_bytes: int
    max_message: int
    spec: dict[str, dict[str, Any]]
    notation: dict[int, str]
    mac_field: int | None
    messages: tuple[Message, ...]
    clearing: ClearingTable | None = None  # the `settlement` table

    def kinds_of(self, mti: str) -> list[Message]:
        """The messages with this MTI; empty if the profile knows none."""
        return [message for message in self.messages if message.mti == mti]

    def message(self, kind: str) -> Message:
        """The message of one kind."""
        return next(message for message in self.messages if message.kind == kind)

    def type_of(self, values: dict[str, str]) -> str:
        """The type an uploaded record names, by type code, or by MTI and processing code; "" if there is none."""
        for message in self.messages:
            own = {"type_code": message.type_code, "type_mti": message.mti, "type_pcode": message.pcode}
            told = {name for name in own if name in values}
            if message.kind in FINANCIAL and told and all(values[name] == own[name] for name in told):
                return message.kind
        return ""


def read_profile(path: Path) -> dict[str, Any]:
    """The profile as it stands in the file, known to be one by its format only. Raises ProfileError."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ProfileError(f"{path}: cannot be read ({error.strerror}); give a profile's path") from error
    except RecursionError:
        raise ProfileError(f"{path}: not a profile (nested too deep)") from None
    except ValueError as error:
        raise ProfileError(f"{path}: not JSON ({error})") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise ProfileError(f"{path}: not a {FORMAT} file")
    return data


def load_profile(path: Path) -> Profile:
    """Read and check a profile. Raises ProfileError."""
    data = read_profile(path)
    try:
        return _profile(data)
    except ProfileError as error:
        raise ProfileError(f"{path}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        text = f"{path}: {type(error).__name__} at {error}; compare with a shipped profile"
        raise ProfileError(text) from error


def _profile(data: dict[str, Any]) -> Profile:
    framing, iso, messages = data["framing"], data["iso"], data["messages"]
    if len(bytes.fromhex(framing["tpdu"])) != 5:
        raise ProfileError("framing.tpdu must be 5 bytes")
    notation = {int(number): str(text) for number, text in iso["fields"].items()}
    mac = data["mac"]
    if mac is not None and (mac.get("algorithm") != "aes-cmac" or notation.get(mac["field"]) != "b8"):
        raise ProfileError("mac: only aes-cmac in a field of notation b8 is supported")
    type_codes = {entry["type_code"] for entry in messages.values() if "type_code" in entry}
    if len({len(code) for code in type_codes}) > 1:
        raise ProfileError("messages: type_code must have one length throughout")
    unknown = set(messages) - set(KINDS)
    if unknown:
        raise ProfileError(f"messages: unknown {', '.join(sorted(unknown))}")
    return Profile(
        name=data["name"],
        header_bytes=len(bytes.fromhex(framing["header"])),
        max_message=framing["max_message"],
        spec=pyiso8583_spec(iso, notation),
        notation=notation,
        mac_field=None if mac is None else mac["field"],
        messages=tuple(_message(kind, entry, notation, type_codes) for kind, entry in messages.items()),
        clearing=_clearing(data, notation),
    )


def _clearing(data: dict[str, Any], notation: dict[int, str]) -> ClearingTable | None:
    if not set(CLEARING) & set(data["messages"]):
        return None
    if "settlement" not in data:
        raise ProfileError("settlement: missing, and there are messages of it")
    try:
        table = read_clearing_table(data["settlement"], FINANCIAL, data["messages"])
    except ValueError as error:
        raise ProfileError(f"settlement: {error}") from None
    for number in {table.reply_field, table.reply_codes} - {0}:
        if number not in notation:
            raise ProfileError(f"settlement: field {number} is not in iso.fields")
    return table


def _message(kind: str, entry: dict[str, Any], notation: dict[int, str], type_codes: set[str]) -> Message:
    fields = {}
    for key, value in entry["fields"].items():
        parts = (value,) if isinstance(value, str) else tuple(value)
        for part in parts:
            if not part.startswith("=") and part.lstrip("?") not in (*_WIDTH, "type_code", "balance_code"):
                raise ProfileError(f"messages.{kind}.fields.{key}: unknown value source {part}")
        if int(key) not in notation:
            raise ProfileError(f"messages.{kind}.fields.{key}: not in iso.fields")
        fields[int(key)] = parts
        if "balance_code" in parts and len({len(code) for code in entry.get("balance_codes", ())}) != 1:
            raise ProfileError(f"messages.{kind}.balance_codes: give two codes of one length")
    # A reversal carries the type code of what it reverses, so it needs one's width and no value of its own.
    type_code = entry.get("type_code") or max(type_codes, default="")
    balance_codes = tuple(entry.get("balance_codes", ()))
    return Message(kind, entry["mti"], fields, type_code, entry.get("pcode", ""), balance_codes)


def pyiso8583_spec(iso: dict[str, Any], notation: dict[int, str]) -> dict[str, dict[str, Any]]:
    """Translate ISO 8583's own notation (`n..19`, `ans15`, `b...255`) into a pyiso8583 specification."""
    for key, allowed in (("mti", ("bcd", "ascii")), ("bitmap", ("binary", "hex")),
                         ("numeric", ("bcd", "ascii")), ("length", ("bcd", "ascii"))):  # fmt: skip
        if iso[key] not in allowed:
            raise ProfileError(f"iso.{key} must be one of {', '.join(allowed)}")
    fixed = {"len_enc": "ascii", "len_type": 0}
    mti = {**fixed, "data_enc": "b" if iso["mti"] == "bcd" else "ascii", "max_len": 4}
    bitmap = {**fixed, "data_enc": "b" if iso["bitmap"] == "binary" else "ascii"}
    spec: dict[str, dict[str, Any]] = {
        "h": {"data_enc": "ascii", "len_enc": "ascii", "len_type": 0, "max_len": 0, "desc": "no header"},
        "t": {**mti, "desc": "MTI"},
        "p": {**bitmap, "max_len": 8 if iso["bitmap"] == "binary" else 16, "desc": "primary bitmap"},
        "1": {**bitmap, "max_len": 8 if iso["bitmap"] == "binary" else 16, "desc": "secondary bitmap"},
    }
    for number, text in notation.items():
        spec[str(number)] = _field(text, iso["numeric"], iso["length"])
    return spec


def _field(text: str, numeric: str, length: str) -> dict[str, Any]:
    match = _NOTATION.fullmatch(text)
    if match is None:
        raise ProfileError(f"iso.fields: {text!r} is not ISO 8583 notation, such as n6 or n..19 right")
    kind, dots, size, side = match.groups()
    digits = len(dots or "")
    field: dict[str, Any] = {
        "data_enc": "b" if kind == "b" else "ascii",
        "len_enc": length,
        # LL is one BCD byte or two characters, LLL two BCD bytes or three characters.
        "len_type": {"bcd": (digits + 1) // 2, "ascii": digits}[length],
        "max_len": int(size),
        "desc": text,
    }
    if kind in ("n", "z") and numeric == "bcd":
        field["data_enc"] = "b"
        field["len_count"] = "nibbles"
        right = side == " right" or (side is None and (digits > 0 or kind == "z"))
        field["right_pad" if right else "left_pad"] = "0"
    return field
