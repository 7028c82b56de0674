"""Texts by key, in Chinese and English: labels, causes, response codes and what the cashier sees.

The catalogues are data (text_zh, text_en): a table is a few strings, "key text" a line, searched when needed.
On the device that costs the bytes of the text and nothing else; a dict would cost as much again.
"""

from posfw.receipt import text_en, text_zh

AUDIENCES = ("customer", "merchant", "technician")


class TextError(Exception):
    """No such language, audience or key. A mistake in the calling program."""


def _tables(lang):
    if lang == "zh":
        return text_zh
    if lang == "en":
        return text_en
    raise TextError("no catalogue for language %r: use 'zh' or 'en'" % (lang,))


def _find(table, key):
    for part in table:
        start = part.find("\n" + key + " ")
        if start >= 0:
            start += len(key) + 2
            return part[start : part.find("\n", start)]
    return None


def find(lang, key):
    """The text of `key` on slips, or None if there is none."""
    return _find(_tables(lang).TEXT, key)


def text(lang, key):
    """The text of `key` as it stands in the catalogue of slips. Raises TextError."""
    found = find(lang, key)
    if found is None:
        raise TextError("no text for key %r in language %r" % (key, lang))
    return found


def both(key):
    """The Chinese and the English text of `key` with a blank between. Raises TextError."""
    return text("zh", key) + " " + text("en", key)


def cause_text(lang, audience, cause):
    """One sentence or two on a CAUSE_* number for "customer", "merchant" or "technician". Raises TextError.

    A number this version does not know (a journal of a newer one) is named as such.
    """
    if audience not in AUDIENCES:
        raise TextError("no audience %r: use one of %s" % (audience, ", ".join(AUDIENCES)))
    table = _tables(lang).CAUSES
    if audience == "technician":
        from posfw.receipt import text_technician  # only where it is needed: see there

        table = text_technician.ZH if lang == "zh" else text_technician.EN
    found = _find(table, str(cause) + audience[0])
    return "%s %s" % (text(lang, "unknown_cause"), cause) if found is None else found


def code_text(lang, code):
    """What response code `code` (DE39, two characters) means, without the code itself."""
    found = _find(_tables(lang).CODES, code)
    return text(lang, "unknown_code") if found is None else found


def message(lang, key, *args):
    """What the operator's display shows for `key`. Raises TextError.

    In the catalogue %s stands for an argument as it is, %c for a response code with its meaning. Missing
    arguments leave nothing, surplus ones follow in brackets: a sale must not fail over its own wording.
    """
    found = find(lang, key)
    if found is None:
        from posfw.receipt import text_messages  # not where slips are printed: see there

        found = _find(text_messages.ZH if lang == "zh" else text_messages.EN, key) or text(lang, key)
    parts = found.split("%")
    out = parts[0]
    for i in range(1, len(parts)):
        if i <= len(args):
            arg = str(args[i - 1])
            out += arg + " " + code_text(lang, arg) if parts[i][0] == "c" else arg
        out += parts[i][1:]
    for arg in args[len(parts) - 1 :]:
        out += " (%s)" % (arg,)
    return out.strip()
