"""The state: everything the terminal knows, and nothing that the journal does not say.

Bounded: it holds transactions only while something is owed for them, plus the last approved one. SNAPSHOT writes it
whole.
"""

from posfw.engine.batch import Settle

VERSION = 2

# Phases of a transaction
OPEN = 1  # intent durable, outcome not
OWED = 2  # reversal owed
STUCK = 3  # reversal unresolved: still owed, still tried, slowly
CLOSED = 0  # nothing owed but perhaps a slip

_TXN_FIELDS = (
    # from INTENT
    "txn", "stan", "batch", "type", "amount", "currency", "mode", "pan", "scheme", "aid", "original", "operator",
    "vault", "rtc",
    # from what followed
    "phase", "outcome", "verdict", "code", "rrn", "auth", "cause", "reason",
    # the reversal: messages that may have reached the host, failed connections, silences, replies that did not count
    "attempts", "fails", "silences", "bad", "sending", "wait", "due",
    # a human decision
    "decision", "decided_by",
)  # fmt: skip


class StateError(Exception):
    """The journal was written by a firmware this one cannot follow: update it."""


class Txn:
    """One transaction. `txn` is its INTENT's sequence number; `due` and `wait` are the reversal's next try, in ms of
    this boot
    and as a span; `sending` is True between REVERSAL_SENT and what became of it."""

    txn: int
    stan: int
    batch: int
    type: int
    amount: int
    currency: str
    mode: int
    pan: str
    scheme: int
    aid: str
    original: list | None
    operator: str
    vault: bytes
    rtc: int
    phase: int
    outcome: int
    verdict: int
    code: str
    rrn: str
    auth: str
    cause: int
    reason: str
    attempts: int
    fails: int
    silences: int
    bad: int
    sending: bool
    wait: int
    due: int
    decision: int
    decided_by: str

    def __init__(self, values=None):
        if values is None:
            values = (0,) * 14 + (OPEN, 0, 0, "", "", "", 0, "", 0, 0, 0, 0, False, 0, 0, 0, "")
        for name, value in zip(_TXN_FIELDS, values):  # noqa: B905 - MicroPython's zip has no strict
            setattr(self, name, value)

    def to_array(self):
        """The fields in order, for SNAPSHOT."""
        return [getattr(self, name) for name in _TXN_FIELDS]

    @property
    def owes_reversal(self):
        """True until an accepted reversal or a signed human decision."""
        return self.phase in (OWED, STUCK)


_STATE_FIELDS = (
    "boot", "config", "batch", "batch_first", "stan", "stans_used", "intents", "signed_on", "clock_bad", "rtc",
    "tampered", "released", "srtt", "rttvar", "last_approved", "last_intent",
    "faults",
    # since version 2: the batch
    "totals", "opened", "overdue", "cause", "refused", "shred",
)  # fmt: skip
_LISTS = ("totals", "refused", "shred")


class State:
    """What the journal says. `txns`: txn -> Txn; `slips`: list of [txn, slip, tries, due], in the order they came up.

    Of the batch: `totals` (8 numbers), `opened` (its first INTENT's rtc), `overdue` (the UNSETTLED entry that says so,
    or 0), `cause` (of its last UNSETTLED, or 0), `settle` (posfw.engine.batch.Settle, or None). Of any batch:
    `refused`, records the host did not take, [number, batch, code, told]; `shred`, closed batches whose vault key is
    still there.
    """

    def __init__(self):
        self.seq = 0
        self.ms = 0
        self.boot = 0
        self.config = None
        self.batch = 1
        self.batch_first = 0
        self.stan = 1
        self.stans_used = 0
        self.intents = 0
        self.signed_on = False
        self.clock_bad = False
        self.rtc = 0
        self.tampered = False
        self.released = 0
        self.srtt = 0
        self.rttvar = 0
        self.last_approved = None
        self.last_intent = None
        self.faults = 0
        self.totals = [0] * 8
        self.opened = 0
        self.overdue = 0
        self.cause = 0
        self.refused = []
        self.shred = []
        self.settle = None
        self.current = None
        self.txns = {}
        self.slips = []

    def to_array(self):
        """The body of a SNAPSHOT entry."""
        fields = [getattr(self, name) for name in _STATE_FIELDS]
        txns = [self.txns[key].to_array() for key in sorted(self.txns)]
        settle = None if self.settle is None else self.settle.to_array()
        return [VERSION, fields, txns, [slip[:3] for slip in self.slips], settle]

    def load(self, body):
        """Become what a SNAPSHOT body says. Raises StateError on a version this code does not know."""
        if not 1 <= body[0] <= VERSION:
            raise StateError("SNAPSHOT version %d is not known to this firmware" % body[0])
        for name, value in zip(_STATE_FIELDS, body[1]):  # noqa: B905
            setattr(self, name, list(value) if name in _LISTS else value)
        self.settle = Settle(body[4]) if body[0] > 1 and body[4] is not None else None
        self.txns = {}
        for values in body[2]:
            t = Txn(values)
            self.txns[t.txn] = t
        self.slips = [list(slip[:3]) + [0] for slip in body[3]]  # noqa: RUF005 - when to try is not kept: at boot, now
        self.current = None
        for key in self.txns:
            if self.txns[key].phase == OPEN:
                self.current = key

    def restart_clock(self, ms):
        """Monotonic time starts again at `ms`: what was left to wait is waited again from here."""
        for t in self.txns.values():
            t.due = ms + t.wait
            t.sending = False  # an attempt the power cut short may have reached the host: it stays counted
        for slip in self.slips:
            slip[3] = 0
        if self.settle is not None:
            self.settle.due = ms + self.settle.wait

    @property
    def debts(self):
        """Transactions whose reversal is owed, oldest first."""
        return [self.txns[key] for key in sorted(self.txns) if self.txns[key].owes_reversal]

    def forget_done(self, key):
        """Drop a transaction for which nothing is owed any more."""
        t = self.txns.get(key)
        if t is None or t.phase != CLOSED or key == self.last_approved:
            return
        for slip in self.slips:
            if slip[0] == key:
                return
        del self.txns[key]
