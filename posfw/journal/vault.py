"""The vault: what a replay needs of the card (PAN for DE2, a DE55 subset), encrypted under a key per batch.

docs/journal-format.md section 5. Encrypt-then-MAC; the key lives in the key store only, so erasing it shreds the batch.
Sectors are used in turn; a record that is still needed is copied ahead before its sector comes up. What outlives its
batch is moved: encrypted again, under the same reference and the key of the present batch.
"""

from posfw.codec.crc import crc32
from posfw.crypto.aes import ctr
from posfw.crypto.mac import Hmac, same
from posfw.hal import KeyStoreError
from posfw.journal.frame import END, TORN, FrameError, Frames
from posfw.micro import const

_MAGIC = b"PV\x01\x00"
_HEADER = const(12)
_HEAD = const(12)  # batch, version, reference
_TAG = const(16)
_MAX_RECORD = const(512)
_LAST_SEQUENCE = const(0xFFFFFF00)  # no flash lives that long: a number beyond was not written by us
MIN_BLOCKS = 3

_FULL = "the vault is full of data still needed: settle, or resolve what is owed"


class VaultError(Exception):
    """The vault cannot store or find a record."""


class VaultLost(VaultError):
    """What is asked for is gone for good: trying again cannot help."""


class Vault:
    """The vault on its own flash. `keep` below is always a function of a record's reference (8 bytes) and batch: True
    if it is still needed.
    """

    def __init__(self, flash, keystore):
        self.frames = Frames(flash, _MAX_RECORD)
        if self.frames.blocks < MIN_BLOCKS:
            raise VaultError("the vault needs %d erase blocks or more" % MIN_BLOCKS)
        self.keystore = keystore
        self.start = self.frames.padded(_HEADER)
        self._sequence = None  # of the sector in use; None: not looked yet
        self._pos = 0
        self._carried = False
        self._found = -1  # the sector the last get() found its record in
        self._looked_at = self._full = None

    def put(self, ref, batch, plaintext, new_key, keep):
        """Encrypt and store a record under the random reference `ref`; durable on return.

        new_key: 48 random bytes for the first record of a batch, None for later ones. Raises VaultError, KeyStoreError.
        """
        record = self._encrypt(ref, batch, plaintext, new_key)
        if len(record) > _MAX_RECORD:
            raise VaultError("replay data of %d bytes are above the vault's limit" % len(record))
        try:
            self._make_room(len(record), keep)
            self._pos = self.frames.program_copy(self._block(self._sequence), self._pos, record)
        except FrameError as e:
            self._pos = self.frames.block_size  # whatever stands there, nothing goes behind it
            raise VaultError("vault flash: %s" % e)

    def get(self, ref):
        """Return the plaintext under `ref`. Raises VaultError if it is gone or damaged, KeyStoreError if its key is."""
        return self.find(ref)[1]

    def find(self, ref):
        """Return (batch whose key it lies under, plaintext). Raises as get().

        The sector of the last one found is searched first: an upload asks for a batch's records in order.
        """
        failure = None
        try:
            self._locate()
            oldest = max(-1, self._sequence - self.frames.blocks)
            for sequence in self._search_order(oldest):
                for record in self._records(sequence):
                    if _ref(record) != ref:
                        continue
                    try:
                        plaintext = _decrypt(record, self.keystore.vault_key(_batch(record)))
                        self._found = sequence
                        return _batch(record), plaintext
                    except (VaultError, KeyStoreError) as e:
                        failure = e  # perhaps moved: a copy under another batch's key may follow
        except FrameError as e:
            raise VaultError("vault flash: %s" % e)
        raise failure or VaultLost("the replay data are not in the vault")

    def _search_order(self, oldest):
        first = self._found if oldest < self._found <= self._sequence else self._sequence
        yield first
        if first < self._sequence:
            yield first + 1
        for sequence in range(self._sequence, oldest, -1):
            if not first <= sequence <= first + 1:
                yield sequence

    def nearly_full(self, keep, batch):
        """True if fewer than two sectors can be opened before records still needed are in the way. batch: the present
        one; the answer is worked out again when it or the sector in use changes. Raises VaultError."""
        try:
            return self._nearly_full(keep, batch)
        except FrameError as e:
            raise VaultError("vault flash: %s" % e)

    def _nearly_full(self, keep, batch):
        self._locate()
        if self._looked_at != (self._sequence, batch):
            self._looked_at, self._full = (self._sequence, batch), False
            oldest = self._sequence + 1 - self.frames.blocks
            for sequence in (oldest, oldest + 1):
                if sequence >= 0 and any(keep(_ref(r), _batch(r)) for r in self._records(sequence)):
                    self._full = True
        return self._full

    def ensure_key(self, batch, new_key):
        """Return the batch's key; make it from `new_key` if there is none. Raises KeyStoreError."""
        try:
            return self.keystore.vault_key(batch)
        except KeyStoreError:
            if new_key is None:  # the batch has a key, and records under it: never another one
                raise
            self.keystore.new_vault_key(batch, new_key)
            return new_key

    def _encrypt(self, ref, batch, plaintext, new_key):
        key = self.ensure_key(batch, new_key)
        body = batch.to_bytes(3, "big") + b"\x01" + ref
        body += ctr(key[:16], _counter_block(ref), plaintext)
        return body + Hmac(key[16:]).mac(body)[:_TAG]

    # -- sectors ---------------------------------------------------------------------------------------------

    def _block(self, sequence):
        return sequence % self.frames.blocks

    def _header(self, block):
        """The sequence number in the block's header, or None."""
        raw = bytearray(_HEADER)
        self.frames.fetch(block, raw, 0)
        if raw[:4] != _MAGIC or crc32(raw[:8]) != int.from_bytes(raw[8:], "little"):
            return None
        sequence = int.from_bytes(raw[4:8], "little")
        return sequence if self._block(sequence) == block and sequence < _LAST_SEQUENCE else None

    def _records(self, sequence):
        block = self._block(sequence)
        if self._header(block) != sequence:
            return
        pos = self.start
        while True:
            record, pos = self.frames.read(block, pos)
            if record is END or record is TORN:
                return
            yield record

    def _locate(self):
        if self._sequence is not None:
            return
        found = -1
        for block in range(self.frames.blocks):
            sequence = self._header(block)
            if sequence is not None and sequence > found:
                found = sequence
        if found < 0:
            self._sequence, self._pos = -1, self.frames.block_size
            return
        pos = self.start
        while True:
            record, pos = self.frames.read(self._block(found), pos)
            if record is TORN:
                pos = self.frames.block_size
            if record is END or record is TORN:
                break
        self._sequence, self._pos = found, pos

    def _make_room(self, length, keep):
        self._locate()
        if self._sequence >= 0 and not self._carried:
            self._carry(keep)
        if self._pos + self.frames.space(length) > self.frames.block_size:
            self._open(self._sequence + 1)
            self._carry(keep)
            if self._pos + self.frames.space(length) > self.frames.block_size:
                raise VaultError(_FULL)

    def _open(self, sequence):
        block = self._block(sequence)
        self.frames.erase(block)
        raw = bytearray(b"\xff" * self.start)
        raw[:8] = _MAGIC + sequence.to_bytes(4, "little")
        raw[8:12] = crc32(raw[:8]).to_bytes(4, "little")
        self.frames.program(block, 0, raw)
        self._sequence, self._pos = sequence, self.start
        self._carried = False

    def _carry(self, keep):
        """Copy what is still needed out of the sector that comes up next, so that it can be erased when it does.

        Runs before anything else is put into a newly opened sector. If it was cut short, the sector in use holds copies
        only, and is opened again.
        """
        oldest = self._sequence + 1 - self.frames.blocks
        if oldest >= 0:
            needed = [r for r in self._records(oldest) if keep(_ref(r), _batch(r)) and not self._copied(r, oldest)]
            size = sum(self.frames.space(len(r)) for r in needed)
            if needed and self._pos + size > self.frames.block_size:
                if not self._only_copies_of(oldest):
                    raise VaultError(_FULL)
                self._open(self._sequence)
                needed = [r for r in self._records(oldest) if keep(_ref(r), _batch(r))]
            for record in needed:
                if self._pos + self.frames.space(len(record)) > self.frames.block_size:
                    raise VaultError(_FULL)
                self._pos = self.frames.program_copy(self._block(self._sequence), self._pos, record)
        self._carried = True

    def _only_copies_of(self, oldest):
        originals = [_ref(r) for r in self._records(oldest)]
        return all(_ref(r) in originals for r in self._records(self._sequence))

    def _copied(self, wanted, oldest):
        for sequence in range(oldest + 1, self._sequence + 1):
            for record in self._records(sequence):
                if record == wanted:
                    return True
        return False


def _ref(record):
    return record[4:12]


def _batch(record):
    return int.from_bytes(record[:3], "big")


def _decrypt(record, key):
    body, tag = record[:-_TAG], record[-_TAG:]
    if len(record) < _HEAD + _TAG or record[3] != 1 or not same(Hmac(key[16:]).mac(body)[:_TAG], tag):
        raise VaultLost("the replay data are damaged")
    return ctr(key[:16], _counter_block(body[4:12]), body[_HEAD:])


def _counter_block(ref):
    return ref + b"\x00\x00\x00\x00\x00\x00\x00\x00"
