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
_CLOSING = (n.SLIP_SETTLEMENT, n.SLIP_SETTLE_FAILED, n.SLIP_UPLOAD, n.SLIP_REMINDER, n.SLIP_DETAIL)
# Types that give money back: to reverse one of these takes money again, so the sentences differ.
_UNDO = (n.VOID, n.REFUND, n.PREAUTH_VOID)
# Causes under which the approval is known although a reversal is owed.
_AFTER_APPROVAL = (n.CAUSE_TERMINAL, n.CAUSE_CANCELLED)

_CARD = "type pan mode scheme aid"
_REFS = "acquirer mid tid terminal_id operator batch next_batch stan original_stan rrn auth opened time"
_NEVER_BLANK = ("rrn", "auth")  # a bank clerk must see that there is none, not wonder
_SIX_DIGITS = ("batch", "next_batch", "stan", "original_stan")
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
      int: batch next_batch stan original_stan type mode scheme cause attempts decision, amount (minor units),
        seq (journal number of this slip's entry), how (CLOSED_*), uploaded refused unresolved (counts)
      time, opened: local (Y, M, D, h, m, s); reprint: True if the paper may have been printed before
      of a batch: totals and host_totals, 8 ints each as in SETTLE_SENT; flags, the host's two;
        records, an iterator of (stan, type, amount, pan, scheme), taken one at a time as the list is printed
    width: columns, at least MIN_WIDTH. Raises SlipError, before anything is printed.
    """
    if slip not in _APPROVED and slip not in _OWED and slip not in _REST and slip not in _CLOSING:
        raise SlipError("no layout for slip kind %r: use a SLIP_* number" % (slip,))
    if width < MIN_WIDTH:
        raise SlipError("paper of %d columns is too narrow: at least %d" % (width, MIN_WIDTH))
    if not is_masked(facts.get("pan") or ""):
        raise SlipError("the PAN is not masked: give first 6, '*' and last 4 digits only")
    return _slip(slip, facts, width)


def is_masked(pan):
    """True if no more than first 6 and last 4 digits can be read. The last door before paper, whatever went wrong
    above.
    """
    stars = pan.count("*")
    at = pan.find("*")
    first, last = pan[:at], pan[at + stars :]
    good = stars > 0 and pan[at : at + stars] == "*" * stars and len(first) <= 6 and len(last) <= 4
    for ch in first + last:
        if ch not in "0123456789":
            good = False
    return good or not pan


def _slip(slip, facts, width):
    yield escpos.INIT
    if facts.get("merchant"):
        for row in layout.centre(facts["merchant"], width):
            yield escpos.line(row)
    if facts.get("reprint"):
        yield from _title("*** " + text.both("reprint") + " ***", width)
        yield from sentences(("reprint_note",), width)
    yield from _heading(slip, facts, width)
    yield from _amount(facts, width)
    yield escpos.line("-" * width)
    yield from _fields(_CARD, facts, width)
    yield from _fields(_REFS, facts, width)
    if slip in _CLOSING:
        yield from _closing().figures(slip, facts, width)
    if slip not in _APPROVED and slip not in (n.SLIP_SETTLEMENT, n.SLIP_DETAIL):
        yield from _story(slip, facts, width)
    yield escpos.line("-" * width)
    if facts.get("phone"):
        yield from _fields("phone", facts, width)
    yield from _fields("seq head", facts, width)
    if facts.get("terminal_id") and facts.get("head") and facts.get("seq") is not None:
        yield escpos.qr(("posfw:1:%s:%d:%s" % (facts["terminal_id"], facts["seq"], facts["head"])).encode())
    yield escpos.FEED_AND_CUT


def _closing():
    from posfw.receipt import closing  # once a day: a selling terminal does not hold it

    return closing


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
        if slip == n.SLIP_SETTLE_FAILED and facts.get("cause") == n.CAUSE_TOTALS:
            key = "slip_differ"  # the batch may be on its way to its end, or even there
    for lang in ("zh", "en"):
        yield from _title(text.text(lang, key), width)
    if slip in _APPROVED:
        yield from _title(text.both("approved_slip"), width)
    elif slip != n.SLIP_SETTLEMENT:
        yield from _centred(text.both("no_voucher"), width)
    if slip == n.SLIP_HUMAN or _for_merchant(slip):
        yield from _centred(text.both("merchant_copy"), width)
    elif slip != n.SLIP_TECHNICIAN:
        yield from _centred(text.both("customer_copy"), width)


def _for_merchant(slip):
    return slip == n.SLIP_UNRESOLVED_MERCHANT or slip in _CLOSING


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
    label = text.both("amount")
    letters, decimals = currency_of(facts)
    value = money(amount, decimals)
    if letters:
        label += " " + letters
    if letters == "CNY":
        value = "￥" + value
    for row in layout.pair(label, value, width):
        yield escpos.line(row, escpos.TALL)
    yield from unknown_currency(facts, width)


def currency_of(facts):
    """Letters and decimals of the currency, ("", 0) if it is not known: without the number of decimals a point
    would be a guess by a factor of a hundred.
    """
    currency = facts.get("currency") or ""
    at = _CURRENCIES.find(currency) if len(currency) == 3 and currency.isdigit() else -1
    return (_CURRENCIES[at + 3 : at + 6], int(_CURRENCIES[at + 6])) if at >= 0 else ("", 0)


def unknown_currency(facts, width):
    """What must stand below amounts of a currency that is not known."""
    if not currency_of(facts)[0]:
        for row in layout.pair(text.both("currency"), facts.get("currency") or "?", width):
            yield escpos.line(row)
        yield from sentences(("minor",), width)


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
        value = value_of(key, facts.get(key))
        if key in _NEVER_BLANK and not value and facts.get("stan") is not None:  # a batch has no references
            value = text.both("none")
        if value:
            for row in layout.pair(text.both(key), value, width):
                yield escpos.line(row)


def value_of(key, value):
    """`value` as paper shows it beside the label `key`; "" if there is nothing to show."""
    if value is None or value == "":
        return ""
    if key in _SIX_DIGITS:
        return "%06d" % value
    if key in _NAMED:
        name = "%s%d" % (key, value)
        if text.find("zh", name) is not None:
            return text.both(name)
        return str(value) if value else ""
    if key in ("time", "opened"):
        return "%04d-%02d-%02d %02d:%02d:%02d" % tuple(value[:6])
    return str(value)


def sentences(keys, width):
    """The texts of `keys`, one paragraph a language: the reader of one need not step over the other."""
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
        if _for_merchant(slip):
            audience = "merchant"
        elif slip == n.SLIP_TECHNICIAN:
            audience = "technician"
        for lang in ("zh", "en"):
            said = text.cause_text(lang, audience, cause)
            if slip in _CLOSING:
                said = _closing().of_batch(lang, cause, said)
            yield from _paragraph([said], lang, width)
    code = facts.get("code")
    yield from _fields("code", facts, width)
    if code:
        for lang in ("zh", "en"):
            yield from _paragraph([text.code_text(lang, code)], lang, width)
    if slip == n.SLIP_SETTLE_FAILED and facts.get("attempts"):
        for row in layout.pair(text.both("tries"), str(facts["attempts"]), width):
            yield escpos.line(row)
    elif slip not in _CLOSING:
        yield from _fields("reason attempts", facts, width)  # of a reversal
    decision = "decision%s" % facts.get("decision")
    if text.find("zh", decision) is not None:
        yield escpos.line(text.both("decision"))
        yield from sentences((decision,), width)
    yield from _fields("name", facts, width)
    keys = _next(slip, facts)
    if keys:
        yield escpos.line(text.both("next"))
        yield from sentences(keys, width)
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
        # Of a record or a batch the decision's own text says all.
        return () if facts.get("decision") in (n.HUMAN_WRITTEN_OFF, n.HUMAN_BATCH_CLOSED) else ("human_note",)
    if slip in _CLOSING:
        return _closing().what_next(slip, facts)
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
