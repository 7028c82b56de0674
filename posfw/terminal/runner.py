"""The runner: makes a decision's entries durable first, then performs its effects. Nothing else in posfw acts.

    event -> decide(state, event, now) -> entries: vault, journal, fold -> effects -> events ...
"""

from posfw.acquirer import messages
from posfw.acquirer.profile import ProfileError
from posfw.acquirer.session import Session
from posfw.codec import cbor
from posfw.engine import decide as engine
from posfw.engine.fold import apply
from posfw.engine.state import OPEN, State, StateError
from posfw.hal import OFFLINE, STAGE_SIGN_ON, KeyStoreError, LinkError, PrinterError
from posfw.journal.frame import FrameError
from posfw.journal.journal import Journal, JournalError
from posfw.journal.ring import RingError, RingFull
from posfw.journal.seal import SealError
from posfw.journal.vault import Vault, VaultError
from posfw.micro import const
from posfw.numbers import AREA_FLASH, AREA_HOST, AREA_VAULT, SLIP_PENDING, V_BAD_MAC, V_DATA_LOST, V_GARBLED, V_MATCHED
from posfw.receipt import slips
from posfw.terminal import facts

# A failure to make something durable, as the cashier reads it
_MESSAGES = (
    (RingFull, "journal_full"),
    (JournalError, "flash_failed"),
    (VaultError, "vault_full"),
    (SealError, "seal_mismatch"),
    (RingError, "seal_mismatch"),
    (StateError, "journal_newer"),
    (FrameError, "flash_failed"),
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
        self.undurable = False  # the last event could not be made durable
        self.running = False
        self.holds = {}  # txn -> [ms before which it is not tried, failures not journaled yet]
        self._request = None  # a reversal ready to be sent
        self._left = False  # a byte of the present transaction's request may have left
        self._refused = None  # the transaction whose approval the card refused in this boot
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
        if self.stopped or self.running:
            return False, self.stopped or "busy", None
        self.running, self.undurable, self._left = True, False, False
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
            self.running = False
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
        keep = [t.vault for t in self.state.txns.values()]
        # A batch gets its key with its first record. Later a missing key is a fault, never a reason for another.
        new_key = None if self.state.intents else self.board.random(48)
        self.vault.put(body[-1], body[1], plaintext, new_key, keep)

    def _not_durable(self, error):
        """Something could not be made durable: say so, note it where that still works, and do nothing else."""
        key = message_of(error)
        self.undurable = True
        self.board.display.show(key)
        if isinstance(error, (SealError, RingError, KeyStoreError, StateError)):
            self.stopped = key
        elif not isinstance(error, RingFull):
            area = AREA_VAULT if isinstance(error, VaultError) else AREA_FLASH
            try:
                self._decide(("fault", area, 1, 1))
            except DURABILITY as second:
                self.board.display.show(message_of(second))
        unknown = self._txn is not None and self._txn.phase == OPEN and self._txn.txn in self.state.txns
        if self._left and unknown and (self.stopped or isinstance(error, RingFull)):
            # Whoever was perhaps charged leaves with paper, even where the journal cannot say that it was printed.
            self._print(self._txn, SLIP_PENDING, None, None, False)
        return False, key, self._txn

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

    def _do_hold(self, txn, ms, count):
        for key in [key for key in self.holds if key not in self.state.txns]:
            del self.holds[key]  # its debt has ended
        self.holds[txn] = [self.board.clock.now()[0] + ms, count]

    def _do_connect(self, txn):
        """Build the reversal, then connect: what fails here is no attempt."""
        t = self.state.txns[txn]
        self._request = None
        try:
            record = cbor.decode(self.vault.get(t.vault, t.batch))
        except (VaultError, KeyStoreError, cbor.CborError) as e:
            self.board.display.show("reversal_unresolved", str(e))
            return ("reversal_replied", txn, V_DATA_LOST, {}, self.random_number())
        try:
            self._request = messages.reversal(
                self.profile, self.state.config, t, record, self.board.keystore.cmac
            )
            self.session.open()
        except KeyStoreError:
            return ("mac_lost", txn, self.random_number(), self._count(txn))
        except (messages.MessageError, ProfileError) as e:
            self.board.display.show("profile_error", str(e))
            return ("reversal_replied", txn, V_DATA_LOST, {}, self.random_number())
        except LinkError as e:
            return self._dial_failed(txn, e)
        return ("connected", txn)

    def _do_dial(self, txn):
        try:
            self.session.open()
        except LinkError as e:
            return self._dial_failed(txn, e)
        return ("reverse", txn, self.random_number(), 1)

    def _do_no_key(self, txn):
        return ("connect_failed", txn, STAGE_SIGN_ON, self.random_number(), self._count(txn))

    def _dial_failed(self, txn, error):
        return ("connect_failed", txn, error.stage, self.random_number(), self._count(txn))

    def _count(self, txn):
        """This failure and those since the last one that was journaled."""
        return self.holds.get(txn, (0, 0))[1] + 1

    def _do_card(self, txn):
        try:
            accepted = bool(self._finish()) if self._finish else True
        except Exception:  # noqa: BLE001 - the vendor's code; whatever broke there, the card has not accepted
            accepted = False
        if not accepted:
            self._refused = txn  # should the entry that says so fail
        return ("card_done", txn, accepted, self.random_number())

    def conclude(self):
        """Give the open transaction the outcome that could not be journaled when it was due."""
        refused = self._refused == self.state.current
        return self.run(("conclude", self.random_number(), refused))

    def _do_send(self, purpose, txn):
        if purpose == engine.SIGN_ON:
            return self._send_sign_on(txn)
        if purpose == engine.UNDO:
            return self._send_reversal(self.state.txns[txn])
        return self._send_payment(self.state.txns[self.state.current])

    def _send_payment(self, t):
        try:
            request = messages.payment(
                self.profile, self.state.config, t, self._card, self.board.keystore.cmac
            )
        except (messages.MessageError, ProfileError) as e:
            self.board.display.show("profile_error", str(e))
            return ("unsendable", t.txn, "profile_error")
        except KeyStoreError:
            return ("unsendable", t.txn, "keystore_fault")
        try:
            self.session.open()
            self._left = True
            verdict, fields = self.session.exchange(request)
        except LinkError as e:
            self._left = False
            return self._dial_failed(t.txn, e)
        return ("replied", t.txn, verdict, fields, self.random_number())

    def _send_reversal(self, t):
        try:
            verdict, fields = self.session.exchange(self._request)
        except LinkError as e:
            return self._dial_failed(t.txn, e)
        return ("reversal_replied", t.txn, verdict, fields, self.random_number())

    def _send_sign_on(self, stan):
        verdict, fields = V_DATA_LOST, {}
        try:
            request = messages.sign_on(
                self.profile, self.state.config, stan, self.state.batch, self.board.keystore.cmac
            )
            self.session.open()
            verdict, fields = self.session.exchange(request)
        except (messages.MessageError, ProfileError) as e:
            self.board.display.show("profile_error", str(e))
        except LinkError:
            self.board.display.show("link_down")
        fits = True
        if self.profile.mac_field and verdict == V_MATCHED:
            key = fields.get(_WRAPPED_KEY, b"")
            fits = self._take_key(key)
        return ("signon_replied", stan, verdict, fields, fits)

    def _take_key(self, wrapped):
        if len(wrapped) < _KEY_SIZE + _CHECK_SIZE:
            return False
        try:
            return self.board.keystore.install_mac_key(
                wrapped[:_KEY_SIZE], wrapped[_KEY_SIZE : _KEY_SIZE + _CHECK_SIZE]
            )
        except KeyStoreError:
            return False  # the sign-on failed; the store may be well again at the next

    def _do_print(self, txn, slip, again):
        """Print; the slip names the SLIP entry that was just appended."""
        fault = self._print(self.state.txns[txn], slip, self.state.seq - 1, self.journal.head, again)
        return ("printed", txn, slip, fault)

    def _print(self, t, slip, seq, head, again):
        printer = self.board.printer
        what = facts.of(self.profile, self.state.config, t, seq, head, again)
        try:
            printer.begin(slip, seq or 0)
            for chunk in slips.render(slip, what, self.profile.receipt_width):
                printer.write(chunk)
            printer.end()
        except PrinterError as e:
            return e.fault if e.fault in (1, 2, 3, 4) else OFFLINE
        except (OSError, slips.SlipError):
            return OFFLINE
        return 0

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
