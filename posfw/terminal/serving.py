"""What the service port may ask of the terminal (posfw.service.port)."""

from posfw.codec import cbor
from posfw.hal import KeyStoreError
from posfw.journal import seal
from posfw.numbers import AREA_USB, HUMAN_BATCH_CLOSED, SUPERVISOR

_HUMAN_AAD = b"posfw/human/1"


class Serving:
    """Answers for `terminal` (posfw.terminal.Terminal)."""

    def __init__(self, terminal):
        self.terminal = terminal
        self._usb_faults = 0

    def status(self):
        """The terminal's status dict."""
        return self.terminal.status()

    def identity(self):
        """(terminal id, journal id, firmware)."""
        return self.terminal.profile.config[0], self.terminal.journal_id, self.terminal.board.firmware

    def role_key(self, role):
        """The role's 32-byte key. Raises KeyStoreError."""
        return self.terminal.board.keystore.role_key(role)

    def challenge(self):
        """16 fresh random bytes."""
        return self.terminal.board.random(16)

    def export(self, nonce, role):
        """Journal the host's nonce; return (seq, head) of that entry, or a message key."""
        done = self.terminal.runner.run(("export", nonce, role))
        return (self.terminal.runner.journal.seq - 1, self.terminal.runner.journal.head) if done is None else done[1]

    def read(self, seq):
        """Yield (number, entry) from `seq` on."""
        return self.terminal.runner.journal.read(seq)

    def set_time(self, rtc):
        """A technician sets the clock; returns None, or a message key."""
        done = self.terminal.runner.run(("clock_set", rtc))
        return None if done and done[0] else done[1]

    def human(self, signed):
        """A supervisor takes an unresolved reversal over. Returns None, or a message key."""
        try:
            if not seal.verify(signed, self.role_key(SUPERVISOR), _HUMAN_AAD + self.terminal.journal_id):
                return "bad_request"
            payload = cbor.decode(seal.payload_of(signed))
        except (seal.SealError, cbor.CborError):
            return "bad_request"
        except KeyStoreError:
            return "keystore_fault"
        if not _human_fits(payload):
            return "bad_request"
        done = self.terminal.runner.run(("human",) + tuple(payload) + (signed,))  # noqa: RUF005
        return None if done and done[0] else done[1]

    def usb_fault(self, code):
        """Hostile bytes on the USB port: journaled once per boot, so that they cannot fill the journal."""
        self._usb_faults += 1
        if self._usb_faults == 1:
            self.terminal.runner.run(("fault", AREA_USB, code, 1))


def _human_fits(payload):
    if not isinstance(payload, list) or len(payload) != 4:
        return False
    txn, decision, name, reason = payload
    if type(txn) is not int or type(decision) is not int or not 1 <= decision <= HUMAN_BATCH_CLOSED:
        return False
    return all(isinstance(text, str) and 1 <= len(text.encode()) <= 64 for text in (name, reason))
