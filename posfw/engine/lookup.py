"""Finding an earlier transaction in the journal, for a void, refund or completion."""

from posfw import numbers as n
from posfw.codec.civil import civil


class Found:
    """An earlier transaction: `original` as in posfw.engine.request, its `type`, masked `pan`, and whether it
    still `stands`.
    """

    def __init__(self, seq, body, rtc, utc_offset_min):
        date = civil(rtc, utc_offset_min)
        self.original = [seq, body[1], body[0], "%02d%02d" % (date[1], date[2]), "", "", body[3]]
        self.type = body[2]
        self.pan = body[6]
        self.stands = False


def find(payloads, stan, batch, utc_offset_min):
    """The transaction with `stan` in `batch`, or None. payloads: decoded entries in order, from before it to the end.

    It stands while it is approved, not reversed, and no approved void refers to it.
    """
    found = None
    voids = {}  # INTENT of a void of it -> approved
    for seq, kind, _, _, rtc, _, body in payloads:
        if kind == n.INTENT:
            if body[0] == stan and body[1] == batch:
                found = Found(seq, body, rtc, utc_offset_min)
            elif found and body[9] and body[9][0] == found.original[0] and body[2] in (n.VOID, n.PREAUTH_VOID):
                voids[seq] = False
        elif found is None:
            continue
        elif kind == n.REPLY and body[0] == found.original[0] and body[1] == n.V_MATCHED:
            found.original[4], found.original[5] = body[4], body[5]
        elif kind == n.OUTCOME:
            if body[0] == found.original[0]:
                found.stands = body[1] == n.APPROVED
            elif body[0] in voids:
                voids[body[0]] = body[1] == n.APPROVED
    if found and any(voids.values()):
        found.stands = False
    return found
