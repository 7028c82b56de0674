"""Building requests and judging replies, from the profile's tables alone (money rule M2)."""

from posfw.acquirer.profile import MESSAGE_NAMES
from posfw.codec.civil import civil
from posfw.codec.iso8583 import Iso8583Error
from posfw.crypto.mac import same
from posfw.hal import KeyStoreError
from posfw.micro import const
from posfw.numbers import V_BAD_MAC, V_GARBLED, V_LATE, V_MATCHED, V_MISMATCH

_MAC_SIZE = const(8)


class MessageError(Exception):
    """A message cannot be built from the profile's table; the text names the field."""


class Request:
    """One message to the host: `wire` (TPDU, header, ISO 8583), and what its reply must echo."""

    def __init__(self, wire, mti, echo, has_mac):
        self.wire = wire
        self.reply_mti = "%04d" % (int(mti) + 10)
        self.echo = echo
        self.has_mac = has_mac


def sign_on(profile, config, stan, batch, cmac):
    """The sign-on request. config: the body of the CONFIG entry the terminal works under."""
    values = {"stan": "%06d" % stan, "batch": "%06d" % batch}
    return build(profile, config, profile.message("signon"), values, cmac)


def payment(profile, config, t, card, cmac):
    """The request of transaction `t` (posfw.engine.state.Txn). card: the request's card dict, with what is never
    stored.
    """
    own = profile.message(MESSAGE_NAMES[t.type])
    values = values_of(profile, t, own)
    values["pan"], values["expiry"] = card["pan"], card.get("expiry")
    values["card_seq"] = card_seq(card.get("card_seq"))
    values["track2"], values["icc"] = card.get("track2"), card.get("icc")
    values["pin_block"] = card.get("pin_block")
    return build(profile, config, own, values, cmac)


def reversal(profile, config, t, record, cmac):
    """The reversal of transaction `t`. record: the vault's [pan, expiry, card_seq, icc]."""
    values = values_of(profile, t, profile.message(MESSAGE_NAMES[t.type]))
    values["pan"], values["expiry"], values["icc"] = record[0], record[1], record[3]
    values["card_seq"] = card_seq(record[2])
    return build(profile, config, profile.message("reversal"), values, cmac)


def card_seq(text):
    """A card sequence number as DE23 has it, three digits, or None."""
    return "0" * (3 - len(text)) + text if text else None


def values_of(profile, t, own):
    """The values a message about transaction `t` may use, by source name. own: its own message's table."""
    _, month, day, hour, minute, second = civil(t.rtc, profile.utc_offset_min)
    values = {
        "stan": "%06d" % t.stan,
        "batch": "%06d" % t.batch,
        "amount": "%012d" % t.amount,
        "currency": t.currency,
        "mode": "%02d1" % t.mode,
        "operator": t.operator,
        "time": "%02d%02d%02d" % (hour, minute, second),
        "date": "%02d%02d" % (month, day),
        "date0000": "%02d%02d" % (month, day) if t.rtc else "0000",
        "reason": t.reason,
        "rrn": t.rrn,
        "auth": t.auth,
        "type_code": own.get("type_code"),
        "type_pcode": own.get("pcode"),
        "type_condition": own.get("condition", "00"),
        "type_mti": own["mti"],
    }
    if t.original:
        values["orig_batch"] = "%06d" % t.original[1]
        values["orig_stan"] = "%06d" % t.original[2]
        values["orig_date"] = t.original[3] or "0000"
        values["orig_rrn"], values["orig_auth"] = t.original[4], t.original[5]
        values["orig_amount"] = "%012d" % t.original[6]
    return values


def build(profile, config, table, values, cmac):
    """The Request of a message `table` of the profile from `values`. Raises MessageError, KeyStoreError."""
    # The numbers the transaction was made under: a debt outlives a change of settings.
    values["tid"], values["mid"] = config[1], config[2]
    fields = {}
    has_mac = False
    for key, source in table["fields"].items():
        field = int(key)
        if source == "mac":
            fields[field] = bytes(_MAC_SIZE)
            has_mac = True
            continue
        value = _value(source, values, field)
        if value:
            fields[field] = value
    try:
        iso = profile.spec.pack(table["mti"], fields)
    except Iso8583Error as e:
        raise MessageError("message %s: %s" % (table["mti"], e))
    if has_mac:
        iso = iso[:-_MAC_SIZE] + cmac(iso[:-_MAC_SIZE])[:_MAC_SIZE]
    echo = {}
    for field in profile.match:
        if field in fields:
            echo[field] = fields[field]
    return Request(profile.prefix + iso, table["mti"], echo, has_mac)


def _value(source, values, field):
    if isinstance(source, list):
        parts = [_value(part, values, field) for part in source]
        return "".join(parts)
    if source[0] == "=":
        return source[1:]
    optional = source[0] == "?"
    value = values.get(source[1:] if optional else source)
    if not value and not optional:
        raise MessageError("field %d needs %s" % (field, source))
    return value


def judge(profile, request, wire, cmac):
    """Return (verdict, fields) of a frame that came in while `request` was waited for.

    V_MATCHED; V_MISMATCH: the right kind of reply to something else; V_LATE: some other message; V_BAD_MAC; V_GARBLED.
    The last two carry no fields: nothing in them can be believed. Field 0 is the MTI.
    """
    size = len(profile.prefix)
    try:
        mti, fields = profile.spec.parse(wire[size:])
        fields[0] = mti
    except Iso8583Error:
        return V_GARBLED, {}
    if len(wire) < size or wire[:1] != profile.prefix[:1]:
        return V_GARBLED, {}
    wanted = request is not None and mti == request.reply_mti
    if not wanted and mti in profile.plain_replies:
        return V_LATE, {}  # a kind of reply that never has a MAC: nothing in it can be believed, nor held against it
    if profile.mac_field and (request is None or request.has_mac or not wanted):
        mac = fields.get(profile.mac_field)
        try:
            good = mac is not None and same(cmac(wire[size:-_MAC_SIZE])[:_MAC_SIZE], mac)
        except KeyStoreError:
            good = False  # no key to check it with
        if not good:
            return V_BAD_MAC, {}
    if not wanted:
        return V_LATE, fields
    for field in request.echo:
        if fields.get(field) != request.echo[field]:
            return V_MISMATCH, fields
    return V_MATCHED, fields

