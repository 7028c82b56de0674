"""Settlement's messages (0500, 0320): built from the profile's tables, their replies taken apart. Needed once a day."""

from posfw.acquirer.messages import MessageError, build, card_seq, values_of
from posfw.acquirer.profile import MESSAGE_NAMES
from posfw.numbers import MODE_CHIP, MODE_CONTACTLESS, V_GARBLED, V_MATCHED

# Places in the totals (docs/journal-format.md 3)
_SCHEMES = ("domestic_", "international_")
_DIRECTIONS = ("debit_", "credit_")
_WHAT = ("amount", "count")


def totals_message(profile, config, s, totals, cmac):
    """The 0500 of settlement `s` (posfw.engine.batch.Settle) over `totals` (8 numbers). Raises MessageError."""
    values = {"totals": _totals_text(profile.settlement()["totals"], totals)}
    return _message(profile, config, "settlement", s, values, cmac)


def end_message(profile, config, s, totals, cmac):
    """The end of the upload. Raises MessageError."""
    values = {
        "totals": _totals_text(profile.settlement()["totals"], totals),
        "record_count": "%04d" % (s.acked + s.refused),
    }
    return _message(profile, config, "upload_end", s, values, cmac)


def upload_message(profile, config, s, records, cmac):
    """A 0320 of `records`: [(Txn, [pan, expiry, card_seq, icc])]; several only where the profile packs them.
    Raises MessageError."""
    t, record = records[0]
    own = profile.message(MESSAGE_NAMES[t.type])
    values = values_of(profile, t, own)
    values["pan"], values["expiry"], values["icc"] = record[0], record[1], record[3]
    values["card_seq"] = card_seq(record[2])
    values["record_stan"] = values["stan"]
    name = upload_name(profile, t)
    if "records" in profile.message(name)["fields"].values():
        layout = profile.settlement()["record"]
        text = "%02d" % len(records)
        for one, vaulted in records:
            text += _parts(layout, _record(profile, one, vaulted))
        values["records"] = text
    elif len(records) > 1:  # packed under another profile
        raise MessageError("this acquirer takes one such record a message")
    return _message(profile, config, name, s, values, cmac)


def upload_name(profile, t):
    """The message that uploads `t`."""
    return "upload_chip" if is_chip(t) and profile.has_message("upload_chip") else "upload"


def is_chip(t):
    """True if `t` was made with the card's chip."""
    return t.mode in (MODE_CHIP, MODE_CONTACTLESS)


def _record(profile, t, record):
    return {
        "type_code": profile.message(MESSAGE_NAMES[t.type]).get("type_code", "00"),
        "record_stan": t.stan,
        "pan": record[0],
        "amount": t.amount,
    }


def _message(profile, config, name, s, values, cmac):
    table = profile.message(name)
    values["stan"] = "%06d" % s.stan
    values.setdefault("batch", "%06d" % s.batch)  # a record has its own: it may be of an older batch
    values["currency"] = config[7]
    if "balance_codes" in table:
        values["balance_code"] = table["balance_codes"][0 if s.balanced else 1]
    return build(profile, config, table, values, cmac)


def _totals_text(layout, totals):
    named = {}
    for scheme in range(2):
        for direction in range(2):
            for what in range(2):
                value = totals[scheme * 4 + direction * 2 + what]
                both = _DIRECTIONS[direction] + _WHAT[what]
                named[_SCHEMES[scheme] + both] = value
                named[both] = named.get(both, 0) + value
    return _parts(layout, named)


def _parts(layout, named):
    """The text of "name:width" parts, right aligned with zeros, and "=text" parts."""
    text = ""
    for part in layout:
        if part[0] == "=":
            text += part[1:]
            continue
        colon = part.find(":")
        name, width = part[:colon], int(part[colon + 1 :])
        if name not in named:
            raise MessageError("profile: settlement: %s is not a name for this field" % name)
        value = str(named[name])
        if len(value) > width or value[:1] == "-":
            raise MessageError("%s does not fit %d digits" % (name, width))  # its value may be a card number
        text += "0" * (width - len(value)) + value
    return text


def read_totals_reply(profile, fields):
    """(verdict, flags, host_totals) of a matched reply to the totals.

    flags: [domestic, international], each 1 balanced, 2 unbalanced, 3 error, or [] where the code is no answer to the
    totals. host_totals: 8 numbers, or [] where the reply does not hold all of them.
    """
    table = profile.settlement()
    reply, code = table["reply"], fields.get(39, "")
    text = fields.get(reply["field"], "")
    host = _host_totals(table["totals"], text)
    if code in reply.get("unbalanced", ()):
        return V_MATCHED, [2, 2], host
    if not profile.is_approved(code):
        return V_MATCHED, [], []
    if "flags" not in reply:
        return V_MATCHED, [1, 1], host
    flags = [text[at : at + 1] for at in reply["flags"]]
    if not all(flag in ("1", "2", "3") for flag in flags):
        return V_GARBLED, [], []  # authentic, and it does not say what was asked
    flags = [int(flag) for flag in flags]
    return V_MATCHED, flags * 2 if len(flags) == 1 else flags[:2], host


def _host_totals(layout, text):
    """The host's own totals by the layout of ours, or []."""
    totals, known, at = [0] * 8, 0, 0
    for part in layout:
        if part[0] == "=":
            at += len(part) - 1
            continue
        colon = part.find(":")
        digits = text[at : at + int(part[colon + 1 :])]
        at += int(part[colon + 1 :])
        name = part[:colon]
        for place in range(8):
            full = _SCHEMES[place // 4] + _DIRECTIONS[place // 2 % 2] + _WHAT[place % 2]
            if full == name and digits.isdigit():
                totals[place] = int(digits)
                known += 1
    return totals if known == 8 and len(text) == at else []


def read_upload_reply(profile, fields, count):
    """(verdict, codes): one DE39 per record of a matched 0330, [] where the host spoke of the message as a whole."""
    table = profile.settlement()
    code, field = fields.get(39, ""), table["reply_codes"]
    if not profile.is_approved(code):
        return V_MATCHED, []
    if not field:
        return V_MATCHED, [code] * count
    text = fields.get(field, "")
    if count == 1 and not text:
        return V_MATCHED, [code]
    if len(text) != 2 + 2 * count or text[:2] != "%02d" % count:
        return V_GARBLED, []  # no record is done without its own reply code
    return V_MATCHED, [text[at : at + 2] for at in range(2, len(text), 2)]
