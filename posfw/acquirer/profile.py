"""An acquirer profile: one JSON file of data per acquirer, checked when it is loaded, never code.

The file's format is described in docs/profiles.md. Two profiles ship beside this module.
"""

import json

from posfw import overlay
from posfw.codec.iso8583 import Spec

FORMAT = "posfw-profile/1"
MESSAGE_NAMES = ("", "sale", "void", "refund", "preauth", "completion", "preauth_void")


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
    `config` is the body of the CONFIG entry: [terminal_id, tid, mid, merchant, name, sha256, utc_offset_min, currency,
    counting].
    """

    # Set by posfw.acquirer.profile_check
    name: str
    config: list
    utc_offset_min: int
    currency: str
    spec: Spec
    prefix: bytes
    max_message: int
    mac_field: int
    texts: dict  # the messages' tables, kept as text: as dicts they would take ten times the room
    plain_replies: list
    match: list
    connect_timeout_ms: int
    reply_timeout_ms: int
    attempts: int
    retry_base_ms: int
    retry_max_ms: int
    retry_slow_ms: int
    gate_warns: bool
    gate_limit: int
    batch_limit: int
    reserve_sectors: int
    sign_on_required: bool
    completion_percent: int
    clock_tolerance_s: int
    icc_tags: list
    receipt_width: int
    acquirer: dict
    settles: bool
    settle_at: int | None
    unresolved_blocks: bool
    deadline_s: int
    upload_limit: int
    chip_always: bool
    upload_on_error: bool
    settlement_text: str
    _approved: list
    _reversal_accepted: list
    _busy: list
    _merchant: list
    _reverse: list
    _sign_on_again: list
    _accepted: list
    _again: list
    _reasons: dict

    def __init__(self, data, settings, terminal_id, digest):
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise ProfileError('profile: "format" must be "%s"' % FORMAT)
        from posfw.acquirer import profile_check  # needed here only, so it does not stay

        try:
            profile_check.read(self, data, settings, terminal_id, digest)
        except (KeyError, TypeError, AttributeError, ValueError, IndexError) as e:
            raise ProfileError("profile or settings: %s (%s): compare docs/profiles.md" % (type(e).__name__, e))
        finally:
            overlay.drop("posfw.acquirer.profile_check")

    def settlement(self):
        """The settlement table. Raises ProfileError if this acquirer offers none."""
        if not self.settles:
            raise ProfileError("this acquirer offers no settlement")
        return json.loads(self.settlement_text)

    def offers(self, kind):
        """True if the profile has a message for transaction type `kind` (SALE ...)."""
        return MESSAGE_NAMES[kind] in self.texts

    def has_message(self, name):
        """True if the profile has the message `name`."""
        return name in self.texts

    def message(self, name):
        """The table of a message, by its name in the profile. Raises ProfileError if this acquirer does not offer
        it.
        """
        if name not in self.texts:
            raise ProfileError("this acquirer offers no %s" % name)
        return json.loads(self.texts[name])

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

    def takes_record(self, code):
        """True if `code` means that the host has an uploaded record."""
        return code in self._accepted

    def asks_again(self, code):
        """True if `code` in the end message's reply asks for the whole upload again."""
        return code in self._again

    def reason(self, name):
        """DE39 of a reversal: for "silence", "fault", "bad_mac" or "other"."""
        return self._reasons[name]
