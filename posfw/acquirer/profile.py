"""An acquirer profile: one JSON file of data per acquirer, checked when it is loaded, never code.

The file's format is described in docs/profiles.md. Two profiles ship beside this module.
"""

import json

from posfw.codec.iso8583 import Iso8583Error, Spec

FORMAT = "posfw-profile/1"
MESSAGE_NAMES = ("", "sale", "void", "refund", "preauth", "completion", "preauth_void")
_REASONS = ("silence", "fault", "bad_mac", "other")
_RETRY = ("connect_timeout_ms", "reply_timeout_ms", "attempts", "base_ms", "max_ms", "slow_ms")


class ProfileError(Exception):
    """The profile or the terminal's settings are not usable; the text names the place."""


def load(path):
    """Read a profile file; return its dict. Raises ProfileError, OSError."""
    with open(path) as f:
        try:
            return json.load(f)
        except ValueError:
            raise ProfileError("%s is not JSON" % path)


class Profile:
    """A checked profile together with the terminal's settings.

    settings: {"tid", "mid", "merchant", "utc_offset_min", "currency"}; currency is ISO 4217 numeric, as text.
    `config` is the body of the CONFIG entry: [terminal_id, tid, mid, merchant, name, sha256, utc_offset_min, currency].
    """

    def __init__(self, data, settings, terminal_id, digest):
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise ProfileError('profile: "format" must be "%s"' % FORMAT)
        try:
            self._read(data, settings, terminal_id, digest)
        except (KeyError, TypeError, AttributeError, ValueError, IndexError) as e:
            raise ProfileError("profile or settings: %s (%s): compare docs/profiles.md" % (type(e).__name__, e))

    def _read(self, data, settings, terminal_id, digest):
        self.name = _text(data, "name")
        self.config = [
            terminal_id,
            _text(settings, "tid"),
            _text(settings, "mid"),
            _text(settings, "merchant"),
            self.name,
            digest,
            _number(settings, "utc_offset_min", -840, 840),
            _text(settings, "currency"),
        ]
        self.utc_offset_min, self.currency = self.config[6], self.config[7]
        if len(self.currency) != 3 or not self.currency.isdigit():
            raise ProfileError('settings: "currency" is three digits (ISO 4217)')
        iso = _table(data, "iso")
        try:
            fields = {int(key): notation for key, notation in iso["fields"].items()}
            styles = [iso.get(part, "bcd") for part in ("mti", "numeric", "length")]
            self.spec = Spec(fields, styles[0], iso.get("bitmap", "binary"), styles[1], styles[2])
            self.spec.check()
            # DE41 and DE42 are packed as they are; a wrong length must show now, not at the first sale.
            self.spec.pack("0200", {41: self.config[1], 42: self.config[2]})
        except (Iso8583Error, KeyError, ValueError) as e:
            raise ProfileError("profile: iso.fields: %s" % e)
        framing = _table(data, "framing")
        try:
            self.prefix = bytes.fromhex(_text(framing, "tpdu") + framing.get("header", ""))
        except ValueError:
            raise ProfileError("profile: framing: tpdu and header are hex digits")
        self.max_message = _number(framing, "max_message", 64, 8192)
        mac = data.get("mac")
        if mac is not None and mac.get("algorithm") != "aes-cmac":
            raise ProfileError("profile: mac.algorithm %s is not known" % mac.get("algorithm"))
        self.mac_field = _number(mac, "field", 64, 128) if mac else 0
        # Kept as text and read when a message is built: as dicts they would take ten times the memory, for good.
        self._messages = {}
        self.plain_replies = []  # MTIs of replies that never carry a MAC
        for name, table in _table(data, "messages").items():
            if name not in MESSAGE_NAMES[1:] and name not in ("signon", "reversal"):
                raise ProfileError("profile: messages.%s is not a message this firmware knows" % name)
            if not isinstance(table, dict) or "mti" not in table or not isinstance(table.get("fields"), dict):
                raise ProfileError("profile: messages.%s needs mti and fields" % name)
            if self.mac_field and name != "signon" and table["fields"].get(str(self.mac_field)) != "mac":
                raise ProfileError("profile: messages.%s has no mac in field %d" % (name, self.mac_field))
            if "mac" not in table["fields"].values():
                self.plain_replies.append("%04d" % (int(table["mti"]) + 10))
            for key, source in table["fields"].items():
                parts = source if isinstance(source, list) else [source]
                if not parts or not all(isinstance(part, str) and len(part) > 1 for part in parts):
                    raise ProfileError("profile: messages.%s.fields.%s: text, or a list of texts" % (name, key))
                if isinstance(source, list) and any(part[0] == "?" for part in source):
                    raise ProfileError("profile: messages.%s.fields.%s: no part of a list is optional" % (name, key))
            self._messages[name] = json.dumps(table)
        for name in ("sale", "reversal", "signon"):
            if name not in self._messages:
                raise ProfileError("profile: messages.%s is missing" % name)
        codes = _table(data, "codes")
        self._approved = _list(codes, "approved", str)
        self._reversal_accepted = _list(codes, "reversal_accepted", str)
        if not self._approved or not self._reversal_accepted:
            raise ProfileError("profile: codes.approved and codes.reversal_accepted must name a code each")
        if any(code in self._approved for code in _list(codes, "reverse", str)):
            raise ProfileError("profile: a code stands in codes.approved and in codes.reverse")
        self._busy, self._merchant = _list(codes, "busy", str), _list(codes, "merchant", str)
        self._reverse, self._sign_on_again = _list(codes, "reverse", str), _list(codes, "sign_on", str)
        reasons = _table(data, "reasons")
        for name in _REASONS:
            _text(reasons, name)
        self._reasons = reasons
        self.match = _list(data, "match", int) if "match" in data else [11, 41, 4]
        if 11 not in self.match or 41 not in self.match:
            raise ProfileError('profile: "match" must hold 11 and 41 at least')
        retry = _table(data, "retry")
        for name in _RETRY:
            _number(retry, name, 1, 86400000)
        self.connect_timeout_ms, self.reply_timeout_ms = retry["connect_timeout_ms"], retry["reply_timeout_ms"]
        self.attempts, self.retry_base_ms = retry["attempts"], retry["base_ms"]
        self.retry_max_ms, self.retry_slow_ms = retry["max_ms"], retry["slow_ms"]
        gate = data.get("gate", {})
        if gate.get("policy", "block") not in ("block", "warn"):
            raise ProfileError('profile: gate.policy must be "block" or "warn"')
        self.gate_warns = gate.get("policy") == "warn"
        # Each debt stands in every SNAPSHOT, which must fit one entry.
        self.gate_limit = _number(gate, "limit", 0, 5) if self.gate_warns else 0
        self.batch_limit = _number(data.get("batch", {}), "limit", 1, 999999)
        self.reserve_sectors = 3
        sign_on = data.get("sign_on", "required")
        if sign_on not in ("required", "none"):
            raise ProfileError('profile: sign_on must be "required" or "none"')
        self.sign_on_required = sign_on == "required"
        # How far a completion may go above its pre-authorisation, a rule of the network
        self.completion_percent = 115
        if "completion_percent" in data:
            self.completion_percent = _number(data, "completion_percent", 100, 1000)
        self.clock_tolerance_s = _number(data.get("clock", {}), "tolerance_s", 0, 86400)
        try:
            self.icc_tags = [int(tag, 16) for tag in data.get("vault", {}).get("icc_tags", ())]
        except ValueError:
            raise ProfileError("profile: vault.icc_tags are hex tags")
        self.receipt_width = _number(data.get("receipt", {"width": 32}), "width", 32, 48)
        self.acquirer = data.get("acquirer", {})
        if not all(isinstance(self.acquirer.get(key, ""), str) for key in ("zh", "en", "phone")):
            raise ProfileError("profile: acquirer.zh, en and phone are texts")

    def offers(self, kind):
        """True if the profile has a message for transaction type `kind` (SALE ...)."""
        return MESSAGE_NAMES[kind] in self._messages

    def message(self, name):
        """The table of a message, by its name in the profile. Raises ProfileError if this acquirer does not offer
        it.
        """
        if name not in self._messages:
            raise ProfileError("this acquirer offers no %s" % name)
        return json.loads(self._messages[name])

    def is_approved(self, code):
        """True if DE39 `code` approves."""
        return code in self._approved

    def accepts_reversal(self, code):
        """True if DE39 `code` in a reversal's reply means that the reversal is accepted."""
        return code in self._reversal_accepted

    def is_busy(self, code):
        """True if `code` means that the host or issuer is busy or in maintenance."""
        return code in self._busy

    def is_merchant(self, code):
        """True if `code` means that the merchant or its settlement account was refused."""
        return code in self._merchant

    def must_reverse(self, code):
        """True if `code` in a reply leaves open what the issuer did: a reversal is owed."""
        return code in self._reverse

    def reply_mti(self, kind):
        """The MTI of the reply to a transaction of type `kind`."""
        return "%04d" % (int(self.message(MESSAGE_NAMES[kind])["mti"]) + 10)

    def wants_sign_on(self, code):
        """True if `code` means that the working key is not the host's: sign on again before any further message."""
        return code in self._sign_on_again

    def reason(self, name):
        """DE39 of a reversal: for "silence", "fault", "bad_mac" or "other"."""
        return self._reasons[name]


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


def _number(data, name, low, high):
    value = data.get(name)
    if type(value) is not int or not low <= value <= high:
        raise ProfileError('"%s" must be a whole number from %d to %d' % (name, low, high))
    return value
