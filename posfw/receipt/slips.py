"""Slips: which facts stand on which paper, in which order. Texts, columns and printer bytes come from below.

A slip says what is known, what is owed, the references a bank needs and whom to call. It says nothing it was
not told: in particular no deadline and no promise of a date.
"""

from posfw import numbers as n
from posfw.receipt import escpos, layout, text

MIN_WIDTH = 24  # columns; below that labels and values break beyond reading

_APPROVED = (n.SLIP_SALE, n.SLIP_VOID, n.SLIP_REFUND, n.SLIP_PREAUTH, n.SLIP_COMPLETION)
_OWED = (n.SLIP_PENDING, n.SLIP_UNRESOLVED_CUSTOMER, n.SLIP_UNRESOLVED_MERCHANT)
_REST = (n.SLIP_DECLINED, n.SLIP_REVERSED, n.SLIP_TECHNICIAN, n.SLIP_HUMAN, n.SLIP_NOT_SENT)
# Types that give money back: to reverse one of these takes money again, so the sentences differ.
_UNDO = (n.VOID, n.REFUND, n.PREAUTH_VOID)
# Causes under which the approval is known although a reversal is owed.
_AFTER_APPROVAL = (n.CAUSE_TERMINAL, n.CAUSE_CANCELLED)

_CARD = "type pan mode scheme aid"
_REFS = "acquirer mid tid terminal_id operator batch stan original_stan rrn auth time"
_NEVER_BLANK = ("rrn", "auth")  # a bank clerk must see that there is none, not wonder
_SIX_DIGITS = ("batch", "stan", "original_stan")
_NAMED = ("type", "mode", "scheme")

# ISO 4217 numeric: letters and decimals. "￥" stands before CNY amounts only.
_CURRENCIES = "156CNY2 344HKD2 446MOP2 901TWD2 840USD2 978EUR2 826GBP2 702SGD2 036AUD2 392JPY0 410KRW0"


class SlipError(Exception):
    """This slip cannot be printed as asked: unknown kind, too narrow, or a PAN that is not masked."""


def render(slip, facts, width=32):
    """Return a generator of bytes chunks that print slip `slip` (SLIP_*): each a line or a command.

    facts: dict; a key absent, None or "" is not known.
      text: merchant mid tid terminal_id acquirer phone operator name rrn auth aid, pan (first 6, *, last 4),
        currency (ISO 4217 numeric), code and reason (DE39), head (16 hex characters of the chain head)
      int: batch stan original_stan type mode scheme cause attempts decision, amount (minor units),
        seq (journal number of this slip's entry)
      time: local (Y, M, D, h, m, s); reprint: True if the paper may have been printed before
    width: columns, at least MIN_WIDTH. Raises SlipError, before anything is printed.
    """
    if slip not in _APPROVED and slip not in _OWED and slip not in _REST:
        raise SlipError("no layout for slip kind %r: use a SLIP_* number that is not a settlement" % (slip,))
    if width < MIN_WIDTH:
        raise SlipError("paper of %d columns is too narrow: at least %d" % (width, MIN_WIDTH))
    _check_pan(facts.get("pan") or "")
    return _slip(slip, facts, width)


def _check_pan(pan):
    # The last door before paper: whatever went wrong above, no more than first 6 and last 4 pass here.
    stars = pan.count("*")
    at = pan.find("*")
    first, last = pan[:at], pan[at + stars :]
    good = stars and pan[at : at + stars] == "*" * stars and len(first) <= 6 and len(last) <= 4
    for ch in first + last:
        if ch not in "0123456789":
            good = False
    if pan and not good:
        raise SlipError("the PAN is not masked: give first 6, '*' and last 4 digits only")


def _slip(slip, facts, width):
    approved = slip in _APPROVED
    yield escpos.INIT
    if facts.get("merchant"):
        for row in layout.centre(facts["merchant"], width):
            yield escpos.line(row)
    if facts.get("reprint"):
        yield from _title("*** " + text.both("reprint") + " ***", width)
        yield from _sentences(("reprint_note",), width)
    yield from _heading(slip, facts, width)
    yield from _amount(facts, width)
    yield escpos.line("-" * width)
    yield from _fields(_CARD, facts, width)
    yield from _fields(_REFS, facts, width)
    if not approved:
        yield from _story(slip, facts, width)
    yield escpos.line("-" * width)
    if facts.get("phone"):
        yield from _fields("phone", facts, width)
    yield from _fields("seq head", facts, width)
    if facts.get("terminal_id") and facts.get("head") and facts.get("seq") is not None:
        yield escpos.qr(("posfw:1:%s:%d:%s" % (facts["terminal_id"], facts["seq"], facts["head"])).encode())
    yield escpos.FEED_AND_CUT


def _title(title, width):
    # The largest type in which the title stays on one line.
    size = escpos.LARGE if layout.width(title) * 2 <= width else escpos.TALL
    for row in layout.centre(title, width // 2 if size == escpos.LARGE else width):
        yield escpos.line(row, size)


def _heading(slip, facts, width):
    if slip in _APPROVED:
        key = "type%s" % facts.get("type")
        if text.find("zh", key) is None:
            key = "type%d" % _type_of(slip)
    else:
        key = "slip%d" % slip
        if slip == n.SLIP_PENDING and not facts.get("seq"):
            key = "slip_unknown"
    for lang in ("zh", "en"):
        yield from _title(text.text(lang, key), width)
    if slip in _APPROVED:
        yield from _title(text.both("approved_slip"), width)
    else:
        yield from _centred(text.both("no_voucher"), width)
    if slip in (n.SLIP_UNRESOLVED_MERCHANT, n.SLIP_HUMAN):
        yield from _centred(text.both("merchant_copy"), width)
    elif slip != n.SLIP_TECHNICIAN:
        yield from _centred(text.both("customer_copy"), width)


def _type_of(slip):
    if slip == n.SLIP_PREAUTH:
        return n.PREAUTH
    return n.COMPLETION if slip == n.SLIP_COMPLETION else slip


def _centred(s, width):
    for row in layout.centre(s, width):
        yield escpos.line(row)


def _amount(facts, width):
    amount = facts.get("amount")
    if amount is None or amount == "":
        return
    currency = facts.get("currency") or ""
    at = _CURRENCIES.find(currency) if len(currency) == 3 and currency.isdigit() else -1
    label = text.both("amount")
    if at < 0:
        # Without the number of decimals a point would be a guess by a factor of a hundred.
        for row in layout.pair(label, str(amount), width):
            yield escpos.line(row, escpos.TALL)
        for row in layout.pair(text.both("currency"), currency or "?", width):
            yield escpos.line(row)
        yield from _sentences(("minor",), width)
        return
    value = money(amount, int(_CURRENCIES[at + 6]))
    if currency == "156":
        value = "￥" + value
    for row in layout.pair(label + " " + _CURRENCIES[at + 3 : at + 6], value, width):
        yield escpos.line(row, escpos.TALL)


def money(amount, decimals):
    """`amount` in minor units as digits with `decimals` places: (1203, 2) gives "12.03"."""
    sign = "-" if amount < 0 else ""
    digits = str(abs(amount))
    if not decimals:
        return sign + digits
    digits = "0" * (decimals + 1 - len(digits)) + digits
    return sign + digits[:-decimals] + "." + digits[-decimals:]


def _fields(keys, facts, width):
    for key in keys.split():
        value = _value(key, facts.get(key))
        if value:
            for row in layout.pair(text.both(key), value, width):
                yield escpos.line(row)


def _value(key, value):
    if value is None or value == "":
        return text.both("none") if key in _NEVER_BLANK else ""
    if key in _SIX_DIGITS:
        return "%06d" % value
    if key in _NAMED:
        name = "%s%d" % (key, value)
        if text.find("zh", name) is not None:
            return text.both(name)
        return str(value) if value else ""
    if key == "time":
        return "%04d-%02d-%02d %02d:%02d:%02d" % tuple(value[:6])
    return str(value)


def _sentences(keys, width):
    # One paragraph a language: the reader of one need not step over the other.
    for lang in ("zh", "en"):
        yield from _paragraph([text.text(lang, key) for key in keys], lang, width)


def _paragraph(parts, lang, width):
    for row in layout.wrap(("" if lang == "zh" else " ").join(parts), width):
        yield escpos.line(row)


def _story(slip, facts, width):
    # What went wrong, what the bank said, what happens next.
    yield escpos.line("-" * width)
    cause = facts.get("cause")
    if cause:
        yield escpos.line(text.both("cause"))
        audience = "customer"
        if slip == n.SLIP_UNRESOLVED_MERCHANT:
            audience = "merchant"
        elif slip == n.SLIP_TECHNICIAN:
            audience = "technician"
        for lang in ("zh", "en"):
            yield from _paragraph([text.cause_text(lang, audience, cause)], lang, width)
    code = facts.get("code")
    yield from _fields("code", facts, width)
    if code:
        for lang in ("zh", "en"):
            yield from _paragraph([text.code_text(lang, code)], lang, width)
    yield from _fields("reason attempts", facts, width)
    decision = "decision%s" % facts.get("decision")
    if text.find("zh", decision) is not None:
        yield escpos.line(text.both("decision"))
        yield from _sentences((decision,), width)
    yield from _fields("name", facts, width)
    keys = _next(slip, facts)
    if keys:
        yield escpos.line(text.both("next"))
        yield from _sentences(keys, width)
    if slip in _OWED:
        for lang in ("zh", "en"):
            yield from _title(text.text(lang, "check"), width)


def _next(slip, facts):
    # Keys of the sentences that follow from the slip's kind.
    undo = facts.get("type") in _UNDO
    if slip == n.SLIP_DECLINED:
        return ("declined_note",)
    if slip == n.SLIP_NOT_SENT:
        return ("not_sent_note",)
    if slip == n.SLIP_HUMAN:
        return ("human_note",)
    if slip == n.SLIP_REVERSED:
        return ("done_undo" if undo else "done_charge", "keep")
    if slip not in _OWED:
        return ()
    cause = facts.get("cause")
    if not facts.get("seq"):
        # Not in the journal: what the terminal will do after a restart depends on what is, so nothing is promised.
        return ("may_undo" if undo else "may_charge", "ask_acquirer", "keep")
    keys = [("was_" if cause in _AFTER_APPROVAL else "may_") + ("undo" if undo else "charge")]
    if cause != n.CAUSE_DATA_LOST:
        keys.append("auto" if slip == n.SLIP_PENDING else "auto_slow")
    if slip != n.SLIP_PENDING:
        keys.append("handle" if slip == n.SLIP_UNRESOLVED_MERCHANT else "ask_acquirer")
    keys.append("keep")
    return keys
