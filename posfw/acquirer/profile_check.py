"""Reading an acquirer profile: every key checked, what is wrong named by its place. Runs once, at the start."""

import json

from posfw.acquirer.profile import MESSAGE_NAMES, ProfileError
from posfw.codec.iso8583 import Iso8583Error, Spec

_SETTLEMENT_NAMES = ("settlement", "upload", "upload_chip", "upload_end")
_REASONS = ("silence", "fault", "bad_mac", "other")
_RETRY = ("connect_timeout_ms", "reply_timeout_ms", "attempts", "base_ms", "max_ms", "slow_ms")


def read(profile, data, settings, terminal_id, digest):
    """Set the attributes of `profile` (posfw.acquirer.profile.Profile). Raises ProfileError, or what a wrong type does.
    """
    profile.name = _text(data, "name")
    profile.config = [
        terminal_id,
        _text(settings, "tid"),
        _text(settings, "mid"),
        _text(settings, "merchant"),
        profile.name,
        digest,
        _number(settings, "utc_offset_min", -840, 840),
        _text(settings, "currency"),
    ]
    profile.utc_offset_min, profile.currency = profile.config[6], profile.config[7]
    if len(profile.currency) != 3 or not profile.currency.isdigit():
        raise ProfileError('settings: "currency" is three digits (ISO 4217)')
    iso = _table(data, "iso")
    try:
        fields = {int(key): notation for key, notation in iso["fields"].items()}
        styles = [iso.get(part, "bcd") for part in ("mti", "numeric", "length")]
        profile.spec = Spec(fields, styles[0], iso.get("bitmap", "binary"), styles[1], styles[2])
        profile.spec.check()
        # DE41 and DE42 are packed as they are; a wrong length must show now, not at the first sale.
        profile.spec.pack("0200", {41: profile.config[1], 42: profile.config[2]})
    except (Iso8583Error, KeyError, ValueError) as e:
        raise ProfileError("profile: iso.fields: %s" % e)
    framing = _table(data, "framing")
    try:
        profile.prefix = bytes.fromhex(_text(framing, "tpdu") + framing.get("header", ""))
    except ValueError:
        raise ProfileError("profile: framing: tpdu and header are hex digits")
    profile.max_message = _number(framing, "max_message", 64, 8192)
    mac = data.get("mac")
    if mac is not None and mac.get("algorithm") != "aes-cmac":
        raise ProfileError("profile: mac.algorithm %s is not known" % mac.get("algorithm"))
    profile.mac_field = _number(mac, "field", 64, 128) if mac else 0
    # Kept as text and read when a message is built: as dicts they would take ten times the memory, for good.
    profile.texts = {}
    profile.plain_replies = []  # MTIs of replies that never carry a MAC
    for name, table in _table(data, "messages").items():
        if name not in MESSAGE_NAMES[1:] + _SETTLEMENT_NAMES and name not in ("signon", "reversal"):
            raise ProfileError("profile: messages.%s is not a message this firmware knows" % name)
        if not isinstance(table, dict) or "mti" not in table or not isinstance(table.get("fields"), dict):
            raise ProfileError("profile: messages.%s needs mti and fields" % name)
        if profile.mac_field and name != "signon" and table["fields"].get(str(profile.mac_field)) != "mac":
            raise ProfileError("profile: messages.%s has no mac in field %d" % (name, profile.mac_field))
        if "mac" not in table["fields"].values():
            profile.plain_replies.append("%04d" % (int(table["mti"]) + 10))
        for key, source in table["fields"].items():
            parts = source if isinstance(source, list) else [source]
            if not parts or not all(isinstance(part, str) and len(part) > 1 for part in parts):
                raise ProfileError("profile: messages.%s.fields.%s: text, or a list of texts" % (name, key))
            if isinstance(source, list) and any(part[0] == "?" for part in source):
                raise ProfileError("profile: messages.%s.fields.%s: no part of a list is optional" % (name, key))
        profile.texts[name] = json.dumps(table)
    for name in ("sale", "reversal", "signon"):
        if name not in profile.texts:
            raise ProfileError("profile: messages.%s is missing" % name)
    codes = _table(data, "codes")
    profile._approved = _list(codes, "approved", str)
    profile._reversal_accepted = _list(codes, "reversal_accepted", str)
    if not profile._approved or not profile._reversal_accepted:
        raise ProfileError("profile: codes.approved and codes.reversal_accepted must name a code each")
    if any(code in profile._approved for code in _list(codes, "reverse", str)):
        raise ProfileError("profile: a code stands in codes.approved and in codes.reverse")
    profile._busy, profile._merchant = _list(codes, "busy", str), _list(codes, "merchant", str)
    profile._reverse, profile._sign_on_again = _list(codes, "reverse", str), _list(codes, "sign_on", str)
    reasons = _table(data, "reasons")
    for name in _REASONS:
        _text(reasons, name)
    profile._reasons = reasons
    profile.match = _list(data, "match", int) if "match" in data else [11, 41, 4]
    if 11 not in profile.match or 41 not in profile.match:
        raise ProfileError('profile: "match" must hold 11 and 41 at least')
    retry = _table(data, "retry")
    for name in _RETRY:
        _number(retry, name, 1, 86400000)
    profile.connect_timeout_ms, profile.reply_timeout_ms = retry["connect_timeout_ms"], retry["reply_timeout_ms"]
    profile.attempts, profile.retry_base_ms = retry["attempts"], retry["base_ms"]
    profile.retry_max_ms, profile.retry_slow_ms = retry["max_ms"], retry["slow_ms"]
    gate = data.get("gate", {})
    if gate.get("policy", "block") not in ("block", "warn"):
        raise ProfileError('profile: gate.policy must be "block" or "warn"')
    profile.gate_warns = gate.get("policy") == "warn"
    # Each debt stands in every SNAPSHOT, which must fit one entry.
    profile.gate_limit = _number(gate, "limit", 0, 5) if profile.gate_warns else 0
    profile.batch_limit = _number(data.get("batch", {}), "limit", 1, 999999)
    profile.reserve_sectors = 3
    _settlement(profile, data)
    sign_on = data.get("sign_on", "required")
    if sign_on not in ("required", "none"):
        raise ProfileError('profile: sign_on must be "required" or "none"')
    profile.sign_on_required = sign_on == "required"
    # How far a completion may go above its pre-authorisation, a rule of the network
    profile.completion_percent = 115
    if "completion_percent" in data:
        profile.completion_percent = _number(data, "completion_percent", 100, 1000)
    profile.clock_tolerance_s = _number(data.get("clock", {}), "tolerance_s", 0, 86400)
    try:
        profile.icc_tags = [int(tag, 16) for tag in data.get("vault", {}).get("icc_tags", ())]
    except ValueError:
        raise ProfileError("profile: vault.icc_tags are hex tags")
    profile.receipt_width = _number(data.get("receipt", {"width": 32}), "width", 32, 48)
    profile.acquirer = data.get("acquirer", {})
    if not all(isinstance(profile.acquirer.get(key, ""), str) for key in ("zh", "en", "phone")):
        raise ProfileError("profile: acquirer.zh, en and phone are texts")


def _settlement(profile, data):
    """What is needed at any moment is kept as attributes, what close of day alone needs as text."""
    profile.settles = "settlement" in data
    profile.settle_at = None
    profile.unresolved_blocks = False
    profile.deadline_s = 0
    profile.upload_limit = 1
    profile.chip_always = profile.upload_on_error = False
    profile._accepted = profile._again = []
    profile.settlement_text = ""
    counting = "000000"
    if profile.settles:
        table = _table(data, "settlement")
        for name in ("settlement", "upload", "upload_end"):
            if name not in profile.texts:
                raise ProfileError("profile: messages.%s is missing, and there is a settlement" % name)
        counts = _table(table, "count")
        counting = ""
        for name in MESSAGE_NAMES[1:]:
            counting += str(_one_of(counts, name, ("none", "debit", "credit", "cancels")))
        reply = _table(table, "reply")
        _number(reply, "field", 2, 127)
        if not _list(reply, "flags", int) and not _list(reply, "unbalanced", str):
            raise ProfileError("profile: settlement.reply needs flags or unbalanced")
        for part in _list(table, "totals", str):
            colon = part.find(":")
            if part[:colon].endswith("count") and profile.batch_limit >= 10 ** int(part[colon + 1 :]):
                raise ProfileError("profile: batch.limit does not fit settlement.totals %s" % part)
        for name in ("totals", "record"):
            for part in _list(table, name, str):
                if part[:1] != "=" and not part[part.find(":") + 1 :].isdigit():
                    raise ProfileError("profile: settlement.%s: %s is neither name:width nor =text" % (name, part))
        profile.upload_limit = _number(table, "pack", 1, 8)
        packs = "records" in json.loads(profile.texts["upload"])["fields"].values()
        if (packs or profile.upload_limit > 1) and not (packs and table.get("record")):
            raise ProfileError("profile: a pack of records needs records in messages.upload and settlement.record")
        _number(table, "reply_codes", 0, 127)
        profile._accepted, profile._again = _list(table, "accepted", str), _list(table, "again", str)
        if not profile._accepted:
            raise ProfileError("profile: settlement.accepted must name a code")
        profile.upload_on_error = _one_of(table, "on_error", ("retry", "upload")) == 1
        profile.chip_always = table.get("chip_always") is True
        profile.unresolved_blocks = _one_of(table, "unresolved", ("settle", "block")) == 1
        profile.deadline_s = 3600 * _number(table, "deadline_h", 1, 1000)
        if "at" in table:
            at = _text(table, "at")
            hour, minute = int(at[:2]), int(at[3:])
            if len(at) != 5 or at[2] != ":" or not (0 <= hour < 24 and 0 <= minute < 60):
                raise ProfileError('profile: settlement.at is a local time such as "23:30"')
            profile.settle_at = hour * 60 + minute
        profile.settlement_text = json.dumps(table)
    profile.config.append(counting)


def _table(data, name):
    value = data.get(name)
    if not isinstance(value, dict):
        raise ProfileError('profile: "%s" is missing' % name)
    return value


def _text(data, name):
    value = data.get(name)
    if not isinstance(value, str) or not 1 <= len(value.encode()) <= 64:
        raise ProfileError('"%s" must be a text of 1 to 64 bytes' % name)
    return value


def _list(data, name, kind):
    value = data.get(name, [])
    if not isinstance(value, list) or not all(type(item) is kind for item in value):
        raise ProfileError('"%s" must be a list of %ss' % (name, kind.__name__))
    return value


def _one_of(data, name, allowed):
    value = data.get(name)
    if value not in allowed:
        raise ProfileError('"%s" must be one of %s' % (name, ", ".join(allowed)))
    return allowed.index(value)


def _number(data, name, low, high):
    value = data.get(name)
    if type(value) is not int or not low <= value <= high:
        raise ProfileError('"%s" must be a whole number from %d to %d' % (name, low, high))
    return value
