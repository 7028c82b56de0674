"""The runner: makes a decision's entries durable first, then performs its effects. Nothing else in posfw acts.

    event -> decide(state, event, now) -> entries: vault, journal, fold -> effects -> events ...
"""

from posfw.acquirer import messages
from posfw.acquirer.session import Session
from posfw.codec import cbor
from posfw.engine import decide as engine
from posfw.engine.fold import apply
from posfw.engine.state import State
from posfw.hal import KeyStoreError, LinkError, PrinterError
from posfw.journal.journal import Journal, JournalError
from posfw.journal.ring import RingError, RingFull
from posfw.journal.seal import SealError
from posfw.journal.vault import Vault, VaultError
from posfw.micro import const
from posfw.numbers import AREA_FLASH, AREA_HOST, AREA_VAULT, V_BAD_MAC, V_DATA_LOST, V_GARBLED, V_MATCHED
from posfw.receipt import slips
from posfw.terminal import facts

# A failure to make something durable, as the cashier reads it
_MESSAGES = (
    (RingFull, "journal_full"),
    (JournalError, "flash_failed"),
    (VaultError, "vault_full"),
    (SealError, "seal_mismatch"),
    (RingError, "seal_mismatch"),
    (KeyStoreError, "keystore_fault"),
)
DURABILITY = tuple(pair[0] for pair in _MESSAGES)
_KEY_SIZE = const(16)
_CHECK_SIZE = const(4)
_WRAPPED_KEY = const(62)  # DE62 of the sign-on reply


def message_of(error):
    """The message key of one of the DURABILITY errors."""
    for kind, key in _MESSAGES:
        if isinstance(error, kind):
            return key
    raise error


class Runner:
    """Runs events on a board. `state` is the fold of the journal; `stopped` the message key of why no money, or
    None.
    """

    def __init__(self, board, profile):
        self.board = board
        self.profile = profile
        self.state = State()
        self.journal = Journal(board.flash, board.keystore, self._snapshot)
        self.vault = Vault(board.vault_flash, board.keystore)
        self.session = Session(board.link, profile, board.clock, board.keystore.cmac, self._stray)
        self.stopped = None
        self._txn = None  # of the event in hand
        self._card = None  # of the request in hand; never stored
        self._finish = None

    # -- boot ------------------------------------------------------------------------------------------------

    def boot(self):
        """Recover the journal and fold it. Raises one of DURABILITY."""
        self.state = self.journal.recover(State, apply)
        self.journal.boot += 1

    def _snapshot(self):
        return self.state.to_array()

    # -- events ----------------------------------------------------------------------------------------------

    def run(self, event, card=None, finish=None):
        """Decide `event` and all that follows from it; return (ok, key, Txn or None) of its "done", or None.

        card: the request's card data, for the message only. finish(): the card's last word on an approval, True or
        False.
        """
        if self.stopped:
            return False, self.stopped, None
        self._card, self._finish = card, finish
        result = self._txn = None
        work = [("again", event)]
        try:
            while work:
                effect = work.pop()
                if effect[0] == "done":
                    result = (effect[1], effect[2], self.state.txns.get(effect[3]) or self._txn)
                    self.board.display.show(effect[2])
                    continue
                follow = effect[1] if effect[0] == "again" else self._perform(effect)
                if follow is not None:
                    work.extend(reversed(self._decide(follow)))
        except DURABILITY as e:
            return self._not_durable(e)
        finally:
            self._card = self._finish = None
        return result

    def _decide(self, event):
        now = self.board.clock.now()
        drafts, effects = engine.decide(self.state, self.profile, event, now)
        for draft in drafts:
            if len(draft) == 3:
                self._to_vault(draft)
            _, payload = self.journal.append(draft[0], draft[1], now)
            apply(self.state, payload)
            # Kept for the result: the state forgets a transaction for which nothing is owed.
            self._txn = self.state.txns.get(self.state.current) or self._txn
        return effects

    def _to_vault(self, draft):
        body, plaintext = draft[1], draft[2]
        keep = [t.vault for t in self.state.txns.values() if t.phase]
        self.vault.put(body[-1], body[1], plaintext, self.board.random(48), keep)

    def _not_durable(self, error):
        """Something could not be made durable: say so, note it where that still works, and do nothing else."""
        key = message_of(error)
        self.board.display.show(key)
        if isinstance(error, (SealError, RingError, KeyStoreError)):
            self.stopped = key
        elif not isinstance(error, RingFull):
            area = AREA_VAULT if isinstance(error, VaultError) else AREA_FLASH
            try:
                self._decide(("fault", area, 1, 1))
            except DURABILITY as second:
                self.board.display.show(message_of(second))
        return False, key, None

    def random_number(self):
        """A random 32-bit number for an event."""
        return int.from_bytes(self.board.random(4), "big")

    # -- effects ---------------------------------------------------------------------------------------------

    def _perform(self, effect):
        return getattr(self, "_do_" + effect[0])(*effect[1:])

    def _do_show(self, key, *args):
        self.board.display.show(key, *args)

    def _do_set_clock(self, rtc, quality):
        self.board.clock.set(rtc, quality)

    def _do_connect(self, txn):
        try:
            self.session.open()
        except LinkError as e:
            return ("connect_failed", txn, e.stage, self.random_number())
        return ("connected", txn)

    def _do_card(self, txn):
        accepted = self._finish() if self._finish else True
        return ("card_done", txn, bool(accepted), self.random_number())

    def _do_send(self, purpose, txn):
        if purpose == engine.SIGN_ON:
            return self._send_sign_on(txn)
        if purpose == engine.UNDO:
            return self._send_reversal(self.state.txns[txn])
        return self._send_payment(self.state.txns[self.state.current])

    def _send_payment(self, t):
        try:
            request = messages.payment(self.profile, t, self._card, self.board.keystore.cmac)
        except messages.MessageError as e:
            self.board.display.show("profile_error", str(e))
            return ("unsendable", t.txn, "profile_error")
        except KeyStoreError:
            return ("unsendable", t.txn, "keystore_fault")
        try:
            self.session.open()
            verdict, fields = self.session.exchange(request)
        except LinkError as e:
            return ("connect_failed", t.txn, e.stage, self.random_number())
        return ("replied", t.txn, verdict, fields, self.random_number())

    def _send_reversal(self, t):
        verdict, fields = V_DATA_LOST, {}
        try:
            record = cbor.decode(self.vault.get(t.vault, t.batch))
            request = messages.reversal(self.profile, t, record, self.board.keystore.cmac)
            verdict, fields = self.session.exchange(request)
        except LinkError as e:
            return ("connect_failed", t.txn, e.stage, self.random_number())
        except (VaultError, KeyStoreError, cbor.CborError, messages.MessageError) as e:
            # No replay data, no reversal: a human must know at once.
            self.board.display.show("reversal_unresolved", str(e))
        return ("reversal_replied", t.txn, verdict, fields, self.random_number())

    def _send_sign_on(self, stan):
        request = messages.sign_on(self.profile, stan, self.state.batch, self.board.keystore.cmac)
        try:
            self.session.open()
            verdict, fields = self.session.exchange(request)
        except LinkError:
            verdict, fields = V_DATA_LOST, {}
        fits = True
        if self.profile.mac_field and verdict == V_MATCHED:
            key = fields.get(_WRAPPED_KEY, b"")
            fits = len(key) >= _KEY_SIZE + _CHECK_SIZE and self.board.keystore.install_mac_key(
                key[:_KEY_SIZE], key[_KEY_SIZE : _KEY_SIZE + _CHECK_SIZE]
            )
        return ("signon_replied", stan, verdict, fields, fits)

    def _do_print(self, txn, slip, again):
        """Print; the slip names the SLIP entry that was just appended."""
        printer = self.board.printer
        what = facts.of(self.profile, self.state.txns[txn], self.state.seq - 1, self.journal.head, again)
        try:
            printer.begin(slip, self.state.seq - 1)
            for chunk in slips.render(slip, what, self.profile.receipt_width):
                printer.write(chunk)
            printer.end()
        except PrinterError as e:
            return ("printed", txn, slip, e.fault)
        return ("printed", txn, slip, 0)

    # -- what comes in unasked -------------------------------------------------------------------------------

    def _stray(self, verdict, fields):
        """Journal a frame that answers something else; True if it is known what."""
        if verdict in (V_GARBLED, V_BAD_MAC):
            self._decide(("fault", AREA_HOST, verdict, 1))
            return False
        self._decide(("stray", fields))
        stan = fields.get(11, "")
        current = self.state.current
        return stan.isdigit() and any(
            t.stan == int(stan) and t.txn != current for t in self.state.txns.values()
        )
