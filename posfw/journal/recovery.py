"""Where the journal ended: found at boot, from the newest sector and the key store's index. Nothing else recovers."""

from posfw.codec import cbor
from posfw.journal import seal
from posfw.journal.frame import END, TORN
from posfw.journal.journal import CLEAN, KEY_BEHIND, SECTOR_UNFINISHED, TORN_FRAME
from posfw.numbers import SNAPSHOT


def recover(journal, new_state, apply):
    """Journal.recover()."""
    index, journal.key = journal.keystore.seal()
    for thorough in (False, True):
        journal.ring.locate(thorough)
        state = new_state()
        if journal.ring.header is None and index == 0:
            return state
        if journal.ring.header is not None:
            end = _replay(journal, state, apply)
            if end in (index, index + 1):
                _settle_key(journal, end - index)
                return state
    raise seal.SealError(
        "the journal ends at entry %d, the key store expects %d: flash was replaced, restored or erased"
        % (journal.seq, index)
    )


def _replay(journal, state, apply):
    """Fold the newest complete sector; return the number the next entry would get."""
    newest = journal.ring.header
    base = newest
    journal.again = not _opens_complete(journal, newest)
    if journal.again and newest.sequence > 0:
        base = journal.ring.sector(newest.sequence - 1)
        if base is None:
            return -1
    journal.unclean = SECTOR_UNFINISHED if journal.again else CLEAN
    seq, head, previous = base.first_seq, base.head, base.head
    live = base.sequence == 0
    journal.last = None
    for pos, entry in journal.ring.entries(base):
        if entry is END:
            break
        if entry is TORN:
            journal.unclean |= TORN_FRAME
            break
        try:
            payload = cbor.decode(seal.payload_of(entry))
            if payload[0] != seq:
                raise seal.SealError("entry %d stands where %d belongs" % (payload[0], seq))
            live = live or payload[1] == SNAPSHOT
            if live:  # a copy carried over before the SNAPSHOT is already in it
                apply(state, payload)
            journal.boot = payload[2]
        except (cbor.CborError, KeyError, IndexError, TypeError, ValueError, AttributeError):
            # Sound checksums around what this firmware never wrote: not a power cut.
            raise seal.SealError("entry %d is not one of this terminal's" % seq)
        previous, head = head, seal.chain(head, entry)
        journal.last = base.block * journal.frames.block_size + pos
        seq += 1
    if base is newest:
        journal.ring.pos = pos
    journal.seq, journal.head, journal.previous_head = seq, head, previous
    journal.needs_fresh = journal.unclean != CLEAN
    return seq


def _opens_complete(journal, header):
    """True if the sector can stand alone: sector 0 with an entry in it, or one that holds its SNAPSHOT."""
    for seen, (_, entry) in enumerate(journal.ring.entries(header)):
        if entry is END or entry is TORN or seen == 2:
            break
        try:
            kind = cbor.decode(seal.payload_of(entry))[1]
        except (cbor.CborError, TypeError, IndexError):
            raise seal.SealError("an entry of the newest sector is not one of this terminal's")
        if header.sequence == 0 or kind == SNAPSHOT:
            return True
    return False


def _settle_key(journal, behind):
    if not behind:
        return
    if journal.last is None:
        raise seal.SealError("the newest journal sector does not hold the entry it claims")
    entry = journal.read_last()
    if not seal.verify(entry, journal.key, journal.previous_head):
        raise seal.SealError("the last entry is not sealed with this terminal's key")
    journal.key = seal.ratchet(journal.key)
    journal.keystore.advance(journal.seq, journal.key)
    # Its program was never acknowledged: the cells may be weak, so the entry is copied before anything follows it.
    journal.unclean |= KEY_BEHIND
    journal.needs_fresh = True
