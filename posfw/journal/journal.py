"""The journal: appends sealed entries to the ring, recovers after any stop, reads them back.

One order holds for ring and key store: the entry is committed to flash, then the key store moves on. At boot the key
store is therefore at the journal's end or exactly one entry behind; everything else is a fault and is said so.
"""

from posfw import overlay
from posfw.codec import cbor
from posfw.journal import seal
from posfw.journal.frame import END, TORN, FrameError, Frames
from posfw.journal.ring import Ring, RingFull
from posfw.micro import const
from posfw.numbers import (
    CHECKPOINT,
    EXPORT,
    HUMAN,
    OUTCOME,
    RELEASE,
    REVERSAL_REPLY,
    REVERSAL_SENT,
    SNAPSHOT,
    UNRESOLVED,
)

# How the last run ended (BOOT entry, bits).
CLEAN, TORN_FRAME, KEY_BEHIND, SECTOR_UNFINISHED = 0, 1, 2, 4

_HOST_KINDS = (EXPORT, RELEASE, CHECKPOINT)
_DEBT_KINDS = (OUTCOME, REVERSAL_SENT, REVERSAL_REPLY, UNRESOLVED, HUMAN)
_TAG_AND_HEADS = const(45)  # COSE_Mac0 around a payload, at most
_USUAL = const(8)  # seal.payload_place() of nearly every payload


class JournalError(Exception):
    """An entry was not taken: by the flash (then the next append goes to a fresh sector), or for its size or form.
    It is not in the journal."""


class Journal:
    """One terminal's journal on `flash` (posfw.hal.Flash), sealed with `keystore` (posfw.hal.KeyStore).

    snapshot: called whenever a sector is opened, returns the SNAPSHOT body of the state up to now.
    After recover(): `seq` is the number the next entry will get, `head` the chain head, 32 bytes, `unclean` how the
    last run ended. Set `boot` before the first append.
    """

    def __init__(self, flash, keystore, snapshot):
        self.keystore = keystore
        self.terminal_id, self.journal_id = keystore.identity()
        self.frames = Frames(flash)
        self.ring = Ring(self.frames, self.journal_id)
        self.snapshot = snapshot
        self.boot = 0
        self.seq = 0
        self.head = seal.genesis(self.journal_id)
        self.unclean = CLEAN
        self.key = None
        self.previous_head = self.head
        self.last = None  # the newest entry's place on the flash; one integer, as a tuple is garbage of each append
        self.needs_fresh = False
        self.again = False
        self._broken = False

    # -- boot ------------------------------------------------------------------------------------------------

    def recover(self, new_state, apply):
        """Find the journal's end and rebuild the state; return it.

        new_state(): an empty state. apply(state, payload): folds one decoded payload into it.
        Reads the sector headers by binary search and one sector, two after an unclean stop. Writes nothing but, where
        an entry was committed and the key store not yet moved on, the key store.
        Raises SealError where journal and key store do not belong together, KeyStoreError.
        """
        from posfw.journal import recovery  # needed here only, so it does not stay

        try:
            return recovery.recover(self, new_state, apply)
        finally:
            overlay.drop("posfw.journal.recovery")

    # -- append ----------------------------------------------------------------------------------------------

    def append(self, kind, body, now):
        """Seal and commit one entry; return (sequence number, payload list).

        now: (ms, rtc, rtc_quality). Raises RingFull (nothing written), JournalError (not in the journal), SealError and
        KeyStoreError (no further entry can be sealed before a restart).
        """
        if self._broken:
            raise seal.SealError("the key store stopped; restart the terminal")
        if self.needs_fresh:
            self._open_sector(now, self.last is not None)
        elif self.ring.header is None:
            self._open(self.seq, self.head)
        payload = [self.seq, kind, self.boot, now[0], now[1], now[2], body]
        encoded = self._encode(payload)
        length = len(encoded) + _TAG_AND_HEADS
        if kind not in _HOST_KINDS and self._would_use_the_last(length, kind):
            raise RingFull()
        if not self.ring.room_for(length):
            self._open_sector(now, False)
            payload[0] = self.seq
            encoded = self._encode(payload)
        self._commit(encoded)
        return payload[0], payload

    def _would_use_the_last(self, length, kind):
        # A full ring must still let a reversal out and answer a technician's pull: of its last sector, the end is kept
        # for EXPORT and what frees the ring, and the part before it for what ends a debt.
        ring, size = self.ring, self.frames.block_size
        kept = size // 8 if kind in _DEBT_KINDS else size * 3 // 8
        return ring.pos + self.frames.space(length) > size - kept and ring.last_sector()

    def _encode(self, payload):
        """The payload's bytes, a view of where the entry will be built: a buffer of their own would cost 1.9 KB."""
        buf = self.frames.entry_buffer
        try:
            size = cbor.encode_into(buf, _USUAL, payload) - _USUAL
            if size > seal.MAX_PAYLOAD:
                raise cbor.CborError("%d bytes are above its limit" % size)
        except cbor.CborError as e:
            raise JournalError("entry of kind %d is not in the format: %s" % (payload[1], e))
        encoded = buf[_USUAL : _USUAL + size]
        # Copied where seal.write() will move it: how overlapping slices are assigned is not said of MicroPython.
        return encoded if seal.payload_place(size) == _USUAL else bytes(encoded)

    def read_last(self):
        """The newest entry as the flash has it, or END or TORN."""
        block_size = self.frames.block_size
        return self.frames.read(self.last // block_size, self.last % block_size)[0]

    def _open(self, first_seq, head):
        # A sector with nothing committed in it is opened again, not left behind.
        newest = self.ring.header
        again = self.again or (newest is not None and newest.first_seq == self.seq)
        try:
            self.ring.open_sector(first_seq, head, again)
        except FrameError as e:
            raise JournalError("journal flash: %s" % e)

    def _open_sector(self, now, carry):
        """Open a sector: the last entry again if it may be weak, then the SNAPSHOT."""
        entry = None
        if carry:
            try:
                entry = self.read_last()
            except FrameError as e:
                raise JournalError("journal flash: %s" % e)
            if entry is END or entry is TORN:
                raise JournalError("the last journal entry can no longer be read")
        self._open(self.seq - 1 if carry else self.seq, self.previous_head if carry else self.head)
        # Until its SNAPSHOT is in, the new sector is unfinished and may be erased and opened again.
        self.needs_fresh = self.again = True
        if entry is not None:
            try:
                place = (self.ring.header.block, self.ring.pos)
                self.ring.pos = self.frames.program_copy(place[0], place[1], entry)
            except FrameError as e:
                raise JournalError("journal flash: %s" % e)
        reported = True
        if self.ring.header.sequence or self.seq:
            payload = [self.seq, SNAPSHOT, self.boot, now[0], now[1], now[2], self.snapshot()]
            reported = self._commit(self._encode(payload))
        self.again = False
        self.needs_fresh = not reported

    def _commit(self, payload):
        """Seal and program the encoded payload. False: it is committed, but the flash reported a failure, so that
        nothing may follow it in its sector."""
        ring, frames = self.ring, self.frames
        block, pos = ring.header.block, ring.pos
        buf = frames.entry_buffer
        length = seal.write(buf, payload, self.key, self.head)
        if not ring.room_for(length):
            raise JournalError("entry of %d bytes does not fit a sector" % length)
        entry = buf[:length]
        # All that can fail for want of memory comes before the program. From there to the key store's step the journal
        # is "broken": whatever ends it in between, no second entry may take this number before recovery has looked.
        head, key = seal.chain(self.head, entry), seal.ratchet(self.key)
        self._broken = reported = True
        try:
            ring.pos = frames.program_entry(block, pos, entry)
        except FrameError as e:
            self.needs_fresh = True
            landed, after = frames.read(block, pos)
            if landed != entry:
                self._broken = False
                raise JournalError("journal flash: %s" % e)
            ring.pos = after  # reported as failed, yet whole: it is committed
            reported = False
        self.last = block * frames.block_size + pos
        self.previous_head, self.head = self.head, head
        self.seq += 1
        self.key = key
        self.keystore.advance(self.seq, key)
        self._broken = False
        return reported

    # -- room and reading ------------------------------------------------------------------------------------

    def free_sectors(self):
        """Sectors that may still be opened."""
        return self.ring.free_sectors()

    def first_seq(self):
        """The oldest entry still in the ring."""
        return self.ring.oldest().first_seq if self.ring.header is not None else self.seq

    def read(self, seq):
        """Yield (number, entry bytes) from `seq` to the end, in order, each once. Safe between appends, not across."""
        header = self.ring.find(seq) if seq < self.seq else None
        while header is not None:
            number = header.first_seq
            following = self.ring.sector(header.sequence + 1)
            # What a later sector begins with is not this one's any more: a frame that once read wrong may read right.
            # (Its first entry may be a copy of this one's last.)
            end = following.first_seq + 1 if following is not None else self.seq
            for _, entry in self.ring.entries(header):
                if entry is END or entry is TORN or number >= end:
                    break
                if number >= seq:
                    yield number, entry
                    seq = number + 1
                number += 1
            header = following
