"""Finding an earlier transaction in the journal, for a void, refund or completion."""

from posfw import numbers as n
from posfw.codec.civil import civil

# What may refer to what
_ALLOWED = {
    n.VOID: (n.SALE, n.COMPLETION),
    n.REFUND: (n.SALE, n.COMPLETION),
    n.COMPLETION: (n.PREAUTH,),
    n.PREAUTH_VOID: (n.PREAUTH,),
}


class Found:
    """An earlier transaction: `original` as in posfw.engine.request, its `type`, masked `pan`, whether it `stands`
    (approved and not reversed), and `later`: INTENT -> (type, amount) of what referred to it and was not undone."""

    def __init__(self, seq, body, rtc, utc_offset_min):
        date = civil(rtc, utc_offset_min)
        self.original = [seq, body[1], body[0], "%02d%02d" % (date[1], date[2]), "", "", body[3]]
        self.type = body[2]
        self.pan, self.scheme = body[6], body[7]
        self.stands = False
        self.later = {}

    def refusal(self, kind, amount, completion_percent):
        """The message key of why a transaction of type `kind` over `amount` may not refer to it, or None.

        completion_percent: the most a completion may be of its pre-authorisation.
        """
        if self.type not in _ALLOWED.get(kind, ()):
            return "original_not_found"
        if not self.stands:
            return "already_voided"
        refunded = 0
        for later, value in self.later.values():
            if later != n.REFUND or kind != n.REFUND:
                return "already_voided"  # voided, completed, or partly given back
            refunded += value
        if kind == n.COMPLETION and amount * 100 > self.original[6] * completion_percent:
            return "bad_amount"
        if kind == n.REFUND and refunded + amount > self.original[6]:
            return "bad_amount" if refunded < self.original[6] else "already_voided"
        return None


def find(payloads, stan, batch, utc_offset_min):
    """The transaction with `stan` in `batch`, or None. payloads: decoded entries in order, from before it to the
    end.
    """
    found = None
    for seq, kind, _, _, rtc, _, body in payloads:
        if kind == n.CONFIG:
            found = None  # what was sold under other numbers or in another currency cannot be undone under these
        elif kind == n.INTENT:
            if body[0] == stan and body[1] == batch:
                found = Found(seq, body, rtc, utc_offset_min)
            elif found and body[9] and body[9][0] == found.original[0]:
                found.later[seq] = (body[2], body[3])
        elif found is None or kind not in (n.REPLY, n.OUTCOME, n.REVERSAL_REPLY, n.HUMAN):
            continue
        elif body[0] == found.original[0]:
            if kind == n.REPLY and body[1] == n.V_MATCHED:
                found.original[4], found.original[5] = body[4], body[5]
            elif kind == n.OUTCOME:
                found.stands = body[1] == n.APPROVED
        elif body[0] in found.later and _undone(kind, body):
            del found.later[body[0]]
    return found


def _undone(kind, body):
    """True if the entry says that the transaction it names does not stand. In doubt, it stands."""
    if kind == n.OUTCOME:
        return body[1] in (n.DECLINED, n.NOT_SENT)
    if kind == n.REVERSAL_REPLY:
        return body[1] == n.V_MATCHED
    return kind == n.HUMAN and body[1] == n.HUMAN_REVERSED
