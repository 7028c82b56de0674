"""A payment request: what a vendor's application hands in, checked before anything is decided.

    {"type": SALE, "amount": 1234, "operator": "01", "original": None,
     "card": {"mode": MODE_CHIP, "pan": "6222...", "expiry": "3012", "card_seq": "001", "track2": "", "icc": b"...",
              "aid": "A000000333010101", "scheme": SCHEME_DOMESTIC, "pin_block": b""}}

original, for void, refund, completion and pre-authorisation void: [txn, batch, stan, mmdd, rrn, auth, amount] as
posfw.engine.lookup finds it, or given by the application where the journal no longer holds it (txn 0).
"""

from posfw import numbers as n
from posfw.codec import cbor, tlv
from posfw.engine.gate import MAX_AMOUNT

_MODES = (n.MODE_KEYED, n.MODE_STRIPE, n.MODE_CHIP, n.MODE_CONTACTLESS)


def check(request, profile):
    """The message key of what is wrong with `request` for this acquirer, or None."""
    if not isinstance(request, dict):
        return "bad_request"
    kind, amount, card = request.get("type"), request.get("amount"), request.get("card")
    if type(kind) is not int or not n.SALE <= kind <= n.PREAUTH_VOID or not isinstance(card, dict):
        return "bad_request"
    if not profile.offers(kind):
        return "bad_request"
    if not isinstance(amount, int) or isinstance(amount, bool) or not 0 < amount <= MAX_AMOUNT:
        return "bad_amount"
    if not _card_fits(card):
        return "bad_card"
    operator = request.get("operator", "")
    if not _plain(operator, 8):
        return "bad_request"
    if kind in (n.SALE, n.PREAUTH):
        return None if request.get("original") is None else "bad_request"
    return None if fits_original(request.get("original")) else "original_not_found"


def _card_fits(card):
    pan, icc = card.get("pan"), card.get("icc", b"")
    if not isinstance(pan, str) or not 12 <= len(pan) <= 19 or not pan.isdigit():
        return False
    if not _one_of(card.get("mode"), _MODES):
        return False
    for name, sizes in (("expiry", (0, 4)), ("card_seq", (0, 2, 3))):
        value = card.get(name, "")
        if not isinstance(value, str) or len(value) not in sizes or (value and not value.isdigit()):
            return False
    aid = card.get("aid", "")
    if not _plain(aid, 32) or not _one_of(card.get("scheme", 0), (0, 1, 2)):
        return False
    if pan in aid:  # the AID goes into the journal and onto the slip
        return False
    if not isinstance(icc, bytes) or len(icc) > 255 or not _plain(card.get("track2", ""), 37):
        return False
    try:
        tlv.parse(icc)
    except tlv.TlvError:
        return False
    return True


def fits_original(original):
    """True if `original` has the form [txn, batch, stan, mmdd, rrn, auth, amount]."""
    if not isinstance(original, list) or len(original) != 7:
        return False
    txn, batch, stan, mmdd, rrn, auth, amount = original
    for number in (txn, batch, stan, amount):
        if type(number) is not int or not 0 <= number <= MAX_AMOUNT:
            return False
    return all(_plain(text, 12) for text in (mmdd, rrn, auth))


def _plain(text, longest):
    # Printable ASCII: what ISO 8583 and the journal take.
    return isinstance(text, str) and len(text) <= longest and all(32 <= ord(ch) < 127 for ch in text)


def _one_of(value, allowed):
    return type(value) is int and value in allowed  # 1.0 == 1, and a float does not go into the journal


def masked(pan):
    """First 6 and last 4 digits, the only form in which a PAN leaves this module's callers for the journal."""
    return pan[:6] + "*" + pan[-4:]


def secret(card, tags):
    """The vault record of a card: CBOR [pan, expiry, card_seq, DE55 subset]. No track data, CVV or PIN block."""
    return cbor.encode(
        [card["pan"], card.get("expiry", ""), card.get("card_seq", ""), tlv.subset(card.get("icc", b""), tags)]
    )
