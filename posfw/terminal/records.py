"""The records of a batch, read from the journal one at a time: memory grows by one bit a STAN, no more."""

from posfw.acquirer.clearing import is_chip
from posfw.codec import cbor
from posfw.engine.batch import CANCELS, NOT_COUNTED, cancels, counting, rules
from posfw.engine.fold import apply
from posfw.engine.sequence import LAST
from posfw.engine.state import State
from posfw.journal import seal
from posfw.journal.vault import VaultLost
from posfw.numbers import APPROVED, CANCELLED, CONFIG, HUMAN, HUMAN_CHARGED, INTENT, OUTCOME, REPLY, SNAPSHOT


def gather(runner, most):
    """The next records to upload, from the settlement's cursor on: at most `most`; chip records with a message of
    their own come singly."""
    state, profile = runner.state, runner.profile
    s = state.settle
    own_chip = profile.has_message("upload_chip")
    numbers = []
    upto = s.number
    for t, at, after in records(runner, s.cursor, s.number, s.batch, state.config):
        chip = is_chip(t)
        if s.balanced and not chip:
            continue
        single = chip and own_chip
        if numbers and (single or len(numbers) >= most):
            upto = at
            break
        numbers.append(t.txn)
        if single:
            upto = after
            break
    return ("gathered", numbers, upto)


def records(runner, start, end, batch, config):
    """Yield (Txn, at, after) of each record of `batch` that entries from `start` to before `end` count, in the order in
    which they were counted: reading may begin again at entry `at` with this one, or at `after` behind it."""
    first = runner.state.batch_first if batch == runner.state.batch else start
    undone = _undone(runner, first, end, batch, config) if CANCELS in rules(config) else ()
    intent = found = None
    at = 0
    for payload in payloads(runner, start):
        seq, kind, body = payload[0], payload[1], payload[6]
        if seq >= end:
            break
        if kind == INTENT:
            if found is not None:  # it can no longer be cancelled
                yield found, at, seq
                found = None
            intent = payload
        elif kind == OUTCOME:
            if body[1] == APPROVED:
                found, at = _counted(runner, body[0], intent, batch, undone, config), seq
            elif body[1] == CANCELLED and found is not None and found.txn == body[0]:
                found = None
        elif kind == HUMAN and body[1] == HUMAN_CHARGED:
            t = _counted(runner, body[0], intent, batch, undone, config)
            if t is not None:
                if found is not None:
                    yield found, at, seq
                    found = None
                yield t, seq, seq + 1
    if found is not None:
        yield found, at, end


def _counted(runner, number, intent, batch, undone, config):
    """The record, or None if it is not uploaded: not counted, or taken out of the totals together with its void."""
    t = _txn(intent) if intent is not None and intent[0] == number else transaction(runner, number)
    if t.batch != batch or counting(config, t.type) == NOT_COUNTED or cancels(config, t) or t.stan in undone:
        return None
    return t


def _undone(runner, start, end, batch, config):
    """The STANs of records that a void of the same batch takes out of it: a bit each."""
    key = (batch, end)
    if runner.undone is None or runner.undone[0] != key:
        stans = _Stans()
        for payload in payloads(runner, start):
            seq, kind, body = payload[0], payload[1], payload[6]
            if seq >= end:
                break
            if kind == INTENT and body[1] == batch:
                stans.start(body[0])
                void = _txn(payload)
            elif kind == OUTCOME and body[1] in (APPROVED, CANCELLED) and stans.first:
                t = void if void.txn == body[0] else transaction(runner, body[0])
                if t.batch == batch and cancels(config, t):
                    stans.mark(t.original[2], body[1] == APPROVED)
            elif kind == HUMAN and body[1] == HUMAN_CHARGED and stans.first:
                t = transaction(runner, body[0])
                if t.batch == batch and cancels(config, t):
                    stans.mark(t.original[2], True)
        runner.undone = (key, stans)
    return runner.undone[1]


class _Stans:
    """A set of STANs of one batch, counted from its first one."""

    def __init__(self):
        self.first = 0
        self.bits = bytearray()

    def start(self, stan):
        """The batch's first STAN; later calls change nothing."""
        if not self.first:
            self.first = stan

    def _place(self, stan):
        place = stan - self.first
        return place if place >= 0 else place + LAST

    def __contains__(self, stan):
        place = self._place(stan)
        return place < len(self.bits) * 8 and self.bits[place >> 3] >> (place & 7) & 1 == 1

    def mark(self, stan, member):
        """Add or remove."""
        place = self._place(stan)
        if place >= len(self.bits) * 8:
            self.bits.extend(bytes((place >> 3) + 1 - len(self.bits)))
        bit = 1 << (place & 7)
        self.bits[place >> 3] = self.bits[place >> 3] | bit if member else self.bits[place >> 3] & ~bit


def payloads(runner, start):
    """The decoded payloads of the journal from entry `start` on."""
    for _, entry in runner.journal.read(start):
        yield cbor.decode(seal.payload_of(entry))


def _txn(intent):
    state = State()
    apply(state, intent)
    return state.txns[intent[0]]


def transaction(runner, number):
    """The Txn of INTENT `number` as its entries tell, up to its outcome. Raises VaultLost where they are gone."""
    state = State()
    for payload in payloads(runner, number):
        kind, body = payload[1], payload[6]
        if payload[0] == number:
            if kind != INTENT:
                break
            apply(state, payload)
        elif kind in (REPLY, OUTCOME) and body[0] == number:
            apply(state, payload)
            if kind == OUTCOME:
                break
    if number not in state.txns:
        raise VaultLost("entry %d is not a transaction of this journal" % number)
    return state.txns[number]


def detail(runner, number):
    """(batch, totals, CONFIG body, records) of the batch that entry `number` closed; of the present one where it is 0.

    records: (stan, type, amount, pan, scheme) each, read from the journal as they are asked for.
    """
    state = runner.state
    config = state.config
    if not number:
        batch, start, end, totals = state.batch, state.batch_first, runner.journal.seq, list(state.totals)
    else:
        body = next(payloads(runner, number))[6]
        batch, end, totals = body[0], number, body[2]
        start, config = _before(runner, number, batch, config)
    found = records(runner, start, end, batch, config)
    return batch, totals, config, ((t.stan, t.type, t.amount, t.pan, t.scheme) for t, _, _ in found)


def _before(runner, closed, batch, config):
    """Where reading for a closed batch may begin, and its CONFIG: the SNAPSHOT of the sector of its end knows."""
    first = runner.journal.ring.find(closed).first_seq
    start = first
    for payload in payloads(runner, first):
        seq, kind, body = payload[0], payload[1], payload[6]
        if seq >= closed:
            break
        if kind == SNAPSHOT:
            config = body[1][1]
            start = body[1][3] if body[1][2] == batch else first
        elif kind == CONFIG:
            config = body
    return start, config
