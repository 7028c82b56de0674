"""Slips of settlement: totals of both sides, how a batch closed, the list of its transactions, what comes next."""

from posfw import numbers as n
from posfw.receipt import escpos, layout, slips, text


def figures(slip, facts, width):
    """Yield the lines of slip `slip` between the references and the story. Arguments as in slips.render."""
    if slip == n.SLIP_UPLOAD:
        return  # of one record
    yield escpos.line("-" * width)
    if slip == n.SLIP_DETAIL:
        yield from _records(facts, width)
    yield from _totals(slip, facts, width)
    yield from slips.unknown_currency(facts, width)
    if slip == n.SLIP_SETTLEMENT:
        yield from _closed(facts, width)


def _pair(label, value, width):
    for row in layout.pair(label, value, width):
        yield escpos.line(row)


def _row(label, count, amount, width):
    # Counts end two thirds across: the acquirer's longer label fits before them, ten digits of money behind.
    gap = width * 2 // 3 - layout.width(label) - layout.width(count)
    return _pair(label + " " * max(1, gap) + count, amount, width)


def _totals(slip, facts, width):
    totals, theirs = facts.get("totals"), facts.get("host_totals")
    if not totals or len(totals) != 8:
        return
    if theirs and len(theirs) != 8:
        theirs = None
    letters, decimals = slips.currency_of(facts)
    yield from _row(text.both("totals"), text.both("count"), (text.text("zh", "amount") + " " + letters).strip(), width)
    flags = facts.get("flags") or (0, 0)
    for i in range(0, 8, 2):
        if not i & 2:
            flag = "flag%s" % flags[i >> 2]
            flag = text.both(flag) if text.find("zh", flag) else ""
            yield from _pair(text.both("cards%d" % ((i >> 2) + 1)), flag, width)
        amount, count = totals[i], totals[i + 1]
        yield from _row(text.both("credit" if i & 2 else "debit"), str(count), slips.money(amount, decimals), width)
        if theirs:
            same = theirs[i] == amount and theirs[i + 1] == count
            if not same or slip == n.SLIP_SETTLE_FAILED:
                label = ("＝" if same else "≠") + text.both("acquirer")
                yield from _row(label, str(theirs[i + 1]), slips.money(theirs[i], decimals), width)
    if facts.get("cause") == n.CAUSE_TOTALS and not theirs:
        yield from slips.sentences(("no_host_totals",), width)


def _closed(facts, width):
    yield escpos.line("-" * width)
    keys = []
    how = "closed%s" % facts.get("how")
    if text.find("zh", how):
        keys.append(how)
    for key in ("uploaded", "refused", "unresolved"):
        count = facts.get(key)
        if count is not None:
            yield from _pair(text.both(key), str(count), width)
            if count and key != "uploaded":
                keys.append(key + "_note")
    yield from slips.sentences(keys, width)


def _records(facts, width):
    # Two lines a record from 32 columns on, whatever its type and amount.
    count = 0
    decimals = slips.currency_of(facts)[1]
    for stan, kind, amount, pan, scheme in facts.get("records") or ():
        # Here a PAN that is not masked cannot stop the slip, paper is already out: nothing of it is printed.
        pan = pan if pan and slips.is_masked(pan) else "****"
        cards = text.text("zh", "cards2" if scheme == n.SCHEME_INTERNATIONAL else "cards1")
        yield from _pair("%06d %s" % (stan, pan), cards, width)
        name, value = slips.value_of("type", kind), slips.money(amount, decimals)
        if layout.width(name) + len(value) >= width:
            name = name.split(" ")[0]  # the Chinese alone
        yield from _pair(name, value, width)
        count += 1
    yield escpos.line("-" * width)
    yield from _pair(text.both("count"), str(count), width)


def of_batch(lang, cause, said):
    """What `said`, the merchant's sentence on `cause`, says of a batch."""
    if cause == n.CAUSE_DATA_LOST:  # here: the message could not be built
        return text.message(lang, "profile_error")
    if cause in (n.CAUSE_CONGESTED, n.CAUSE_HOST_SILENT):  # the rest is advice on a payment
        return said[: said.find("。" if lang == "zh" else ".") + 1]
    return said


def what_next(slip, facts):
    """Keys of the sentences that follow."""
    cause, code = facts.get("cause"), facts.get("code")
    if slip == n.SLIP_UPLOAD:
        return ("refused_note" if code else "lost_note",)
    if slip == n.SLIP_REMINDER or (cause == n.CAUSE_NOT_SETTLED and not code):
        return ("settle_now",)  # overdue: close of day need not have begun
    if cause != n.CAUSE_TOTALS:
        return ("settle_retry", "not_closed")
    return ("differ_note",) if max(facts.get("flags") or (0,)) == 1 else ("upload_next", "not_closed")
