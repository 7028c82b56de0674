"""Bytes to fields and back, with pyiso8583; TPDU and header; the MAC."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Any

import iso8583
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC

from poslab.acquirer.profile import Profile

TPDU_BYTES = 5
MAC_BYTES = 8


class WireError(Exception):
    """The bytes are not a message of this profile. The text names the field and holds none of the data.

    `fields` holds what could be read before the damage (`t` for the MTI), for a format-error reply.
    """

    def __init__(self, text: str, fields: dict[str, str] | None = None):
        super().__init__(text)
        self.fields = fields or {}


@dataclass(frozen=True)
class Wire:
    """One decoded message. Binary fields are upper-case hexadecimal, as pyiso8583 gives them."""

    tpdu: bytes
    header: bytes
    mti: str
    fields: dict[int, str]
    mac_input: bytes

    def has_mac_of(self, key: bytes, mac_field: int) -> bool:
        """True if the MAC field is there and right under `key`."""
        given = bytes.fromhex(self.fields.get(mac_field, ""))
        return hmac.compare_digest(given, mac(key, self.mac_input))


def decode(profile: Profile, frame: bytes) -> Wire:
    """Decode a frame (TPDU, header and body, without its length). Raises WireError."""
    start = TPDU_BYTES + profile.header_bytes
    if len(frame) <= start or frame[0] != 0x60:
        raise WireError("no TPDU of type 60 and body: is the sender configured for this profile?")
    body = frame[start:]
    try:
        decoded, encoded = iso8583.decode(body, profile.spec)
    except iso8583.DecodeError as error:
        # A fresh text: the exception object itself carries the whole message.
        raise WireError(f"field {error.field}: {error.msg}", _readable(profile, error.doc_dec)) from None
    except KeyError as error:
        raise WireError(f"field {error.args[0]} is not in the profile") from None
    fields = {int(key): value for key, value in decoded.items() if key.isdigit() and key != "1"}
    bad = next((number for number, value in fields.items() if not _charset_ok(profile, number, value)), None)
    if bad is not None:
        raise WireError(f"field {bad}: characters its type does not allow", _readable(profile, decoded))
    tpdu, header = frame[:TPDU_BYTES], frame[TPDU_BYTES:start]
    return Wire(tpdu, header, decoded["t"], fields, _mac_input(profile, body, encoded))


def encode(profile: Profile, mti: str, fields: dict[int, str], key: bytes | None) -> bytes:
    """Encode a body; under a key and a profile with a MAC, its MAC field is computed. Raises WireError."""
    document = {"t": mti, **{str(number): value for number, value in fields.items()}}
    if key is not None and profile.mac_field is not None:
        document[str(profile.mac_field)] = "00" * MAC_BYTES
    try:
        raw, encoded = iso8583.encode(document, profile.spec)
        if key is not None and profile.mac_field is not None:
            code = mac(key, _mac_input(profile, bytes(raw), encoded))
            document[str(profile.mac_field)] = code.hex().upper()
            raw, _ = iso8583.encode(document, profile.spec)
    except iso8583.EncodeError as error:
        raise WireError(f"field {error.field}: {error.msg}") from None
    except KeyError as error:
        raise WireError(f"field {error.args[0]} is not in the profile") from None
    return bytes(raw)


def reply_envelope(tpdu: bytes, header: bytes) -> bytes:
    """TPDU with destination and source swapped, then the request's header."""
    return tpdu[:1] + tpdu[3:5] + tpdu[1:3] + header


def mac(key: bytes, data: bytes) -> bytes:
    """First 8 bytes of AES-CMAC (RFC 4493)."""
    return _cmac(key, data)[:MAC_BYTES]


def wrap_working_key(master: bytes, working: bytes) -> bytes:
    """A sign-on reply's DE62: working key under the master key (AES-128 ECB), then 4 bytes of check value."""
    encryptor = Cipher(algorithms.AES(master), modes.ECB()).encryptor()
    return encryptor.update(working) + encryptor.finalize() + _cmac(working, bytes(16))[:4]


def unwrap_working_key(master: bytes, wrapped: bytes) -> bytes | None:
    """The working key in `wrapped`, or None if it was wrapped under another master key."""
    decryptor = Cipher(algorithms.AES(master), modes.ECB()).decryptor()
    working = decryptor.update(wrapped[:16]) + decryptor.finalize()
    return working if hmac.compare_digest(_cmac(working, bytes(16))[:4], wrapped[16:]) else None


def mask_pan(fields: dict[int, str]) -> str:
    """First 6, `*`, last 4 of the PAN in DE2 or DE35; "" if there is none; short numbers are hidden whole."""
    pan = fields.get(2) or fields.get(35, "").replace("D", "=").split("=")[0]
    if not pan:
        return ""
    return f"{pan[:6]}*{pan[-4:]}" if len(pan) >= 13 else "*"


def _cmac(key: bytes, data: bytes) -> bytes:
    state = CMAC(algorithms.AES(key))
    state.update(data)
    return state.finalize()


def _mac_input(profile: Profile, body: bytes, encoded: dict[str, Any]) -> bytes:
    """MTI up to the byte before the MAC field; the whole body if there is none."""
    if profile.mac_field is None or str(profile.mac_field) not in encoded:
        return body
    before = [key for key in encoded if not key.isdigit() or int(key) < profile.mac_field]
    return body[: sum(len(encoded[key]["len"]) + len(encoded[key]["data"]) for key in before)]


def _charset_ok(profile: Profile, number: int, value: str) -> bool:
    kind = profile.notation[number][:1]
    if kind == "n":
        return value.isascii() and (value.isdigit() or not value)
    if kind == "z":
        return value.replace("D", "", 1).replace("=", "", 1).isdigit()
    return kind == "b" or value.isprintable()


def _readable(profile: Profile, decoded: Any) -> dict[str, str]:
    """Of a broken message, the MTI, STAN and TID where they were whole."""
    sizes = {"t": 4, "11": 6, "41": 8}
    return {key: decoded[key] for key, size in sizes.items() if len(decoded.get(key, "")) == size}
