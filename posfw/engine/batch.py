"""A batch from its first sale to its close: what is counted, and how far its settlement has come (money rule M9)."""

from posfw.micro import const
from posfw.numbers import SCHEME_INTERNATIONAL

# Phases of a settlement; 0 is a batch that is open for sales
BEGUN, TOTALS, UPLOAD, END, AGREED, AGAIN = 1, 2, 3, 4, 5, 6
# What follows a reply of the host to totals or end message (SETTLE_REPLY): once more, or the next phase
RETRY, UPLOAD_ALL, UPLOAD_CHIP, SEND_END, CLOSE = 0, 2, 3, 4, 5

# Refused records the state can hold: each stands in every SNAPSHOT. When they are so many, the upload waits for people.
MOST_REFUSED = 8
# Slips owed, for the same reason: with so many close of day does not begin, or an upload waits for paper.
MOST_SLIPS_AT_BEGIN = 8
MOST_SLIPS = 14

# How a transaction type is counted, a character each in CONFIG's `counting`
NOT_COUNTED, DEBIT, CREDIT, CANCELS = "0", "1", "2", "3"
_COUNTING = const(8)  # its place in CONFIG

_FIELDS = (
    # the P_BEGIN entry's number and reason; the phase; the batch it is about
    "number", "reason", "phase", "batch",
    # the message that waits for its reply: purpose (0: none), STAN, replies that did not count, failed connections
    "pending", "stan", "attempts", "fails", "wait", "due",
    # what the host said to the totals
    "balanced", "flags", "host",
    # the upload: entries before `cursor` are done; the message that waits holds records `pack` and reaches to `upto`;
    # before `single`, one record a message; records acknowledged, refused; how often the host asked for all again
    "cursor", "upto", "pack", "single", "acked", "refused", "restarts",
    # causes for which UNSETTLED said that the host refused or the attempts ran out, a bit each; the last code;
    # UNSETTLED said that the totals differ; a signed decision ended it
    "stuck", "code", "told", "by_human",
)  # fmt: skip


class Settle:
    """A settlement under way, or a refused record being presented again (phase AGAIN)."""

    number: int
    reason: int
    phase: int
    batch: int
    pending: int
    stan: int
    attempts: int
    fails: int
    wait: int
    due: int
    balanced: bool
    flags: list
    host: list
    cursor: int
    upto: int
    pack: list
    single: int
    acked: int
    refused: int
    restarts: int
    stuck: int
    code: str
    told: bool
    by_human: bool

    def __init__(self, values=None):
        if values is None:
            values = (0, 0, BEGUN, 0, 0, 0, 0, 0, 0, 0, False, [], [], 0, 0, [], 0, 0, 0, 0, 0, "", False, False)
        for name, value in zip(_FIELDS, values):  # noqa: B905 - MicroPython's zip has no strict
            setattr(self, name, value)

    def to_array(self):
        """The fields in order, for SNAPSHOT."""
        return [getattr(self, name) for name in _FIELDS]


def counting(config, kind):
    """How a transaction type is counted under CONFIG body `config`: NOT_COUNTED, DEBIT, CREDIT or CANCELS."""
    return rules(config)[kind - 1]


def rules(config):
    """How CONFIG body `config` counts each type, a character each."""
    return config[_COUNTING] if config is not None and len(config) > _COUNTING else "000000"


def cancels(config, t):
    """True if `t` takes its original out of the totals of the very same batch: neither is uploaded then."""
    return counting(config, t.type) == CANCELS and t.original is not None and t.original[1] == t.batch


def count(totals, config, t, sign):
    """Add transaction `t` to `totals` (8 numbers, docs/journal-format.md), or take it off where `sign` is -1."""
    how = counting(config, t.type)
    if how == NOT_COUNTED:
        return
    place = 4 if t.scheme == SCHEME_INTERNATIONAL else 0
    if how == CANCELS and cancels(config, t):
        sign = -sign
    elif how != DEBIT:
        place += 2
    totals[place] += sign * t.amount
    totals[place + 1] += sign
