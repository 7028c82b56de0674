"""The runner: makes a decision's entries durable first, then performs its effects. Nothing else in posfw acts.

    event -> decide(state, event, now) -> entries: vault, journal, fold -> effects -> events ...
"""

from posfw import overlay
from posfw.acquirer.session import Session
from posfw.engine import decide as engine
from posfw.engine.fold import apply
from posfw.engine.state import OPEN, State, StateError
from posfw.hal import KeyStoreError
from posfw.journal.frame import FrameError
from posfw.journal.journal import Journal, JournalError
from posfw.journal.ring import RingError, RingFull
from posfw.journal.seal import SealError
from posfw.journal.vault import Vault, VaultError
from posfw.numbers import AREA_FLASH, AREA_HOST, AREA_VAULT, SLIP_PENDING, V_BAD_MAC, V_GARBLED
from posfw.terminal import effects, facts

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
# Effects of posfw.terminal.clearing; all others are those of posfw.terminal.effects
_BATCH_EFFECTS = ("settle_dial", "settle_no_key", "settle_send", "gather", "shred")


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
        self.request = None  # a reversal ready to be sent
        self.left = False  # a byte of the present transaction's request may have left
        self.refused = None  # the transaction whose approval the card refused in this boot
        self.unread = 0  # vault records in turn whose key a sound key store did not give
        self.undone = None  # posfw.terminal.records: what voids took out of the batch
        self.card = None  # of the request in hand; never stored
        self.finish = None
        self._txn = None  # of the event in hand
        self._unfolded = False  # the newest entry is in the journal and not in the state yet

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
        self.running, self.undurable, self.left = True, False, False
        self.card, self.finish = card, finish
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
        except MemoryError:
            if self._unfolded:  # durable, and not in the state: only a restart brings the two together again
                self.stopped = "out_of_memory"
            self.board.display.show("out_of_memory")
            return False, "out_of_memory", self._txn
        finally:
            if self.state.settle is None:
                self.holds.pop(None, None)  # what was held belongs to the settlement that has ended

            self.card = self.finish = None
            self.running = False
        return result

    def _decide(self, event):
        now = self.board.clock.now()
        drafts, effects = engine.decide(self.state, self.profile, event, now)
        for draft in drafts:
            if len(draft) == 3:
                self._to_vault(draft)
            _, payload = self.journal.append(draft[0], draft[1], now)
            self._unfolded = True
            apply(self.state, payload)
            self._unfolded = False
            # Kept for the result: the state forgets a transaction for which nothing is owed.
            self._txn = self.state.txns.get(self.state.current) or self._txn
        return effects

    def _to_vault(self, draft):
        body, plaintext = draft[1], draft[2]
        # A batch gets its key with its first record, or with what it takes over from closed ones (clearing.shred).
        # Later a missing key is a fault, never a reason for another.
        state = self.state
        has_key = state.intents or state.refused or any(t.batch != state.batch for t in state.debts)
        self.vault.put(body[-1], body[1], plaintext, None if has_key else self.board.random(48), self.keep)

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
        if self.left and unknown and (self.stopped or isinstance(error, RingFull)):
            # Whoever was perhaps charged leaves with paper, even where the journal cannot say that it was printed.
            what = facts.of(self.profile, self.state.config, self._txn, None, None, False)
            effects.put_on_paper(self, SLIP_PENDING, None, what)
        return False, key, self._txn

    def random_number(self):
        """A random 32-bit number for an event."""
        return int.from_bytes(self.board.random(4), "big")

    def _perform(self, effect):
        name = effect[0]
        if name in _BATCH_EFFECTS:
            overlay.use(overlay.BATCH)
            from posfw.terminal import clearing

            return getattr(clearing, name)(self, *effect[1:])
        return getattr(effects, name)(self, *effect[1:])

    def count(self, key):
        """This failure of `key` (in holds) and those since the last one that was journaled."""
        return self.holds.get(key, (0, 0))[1] + 1

    def keep(self, ref, batch):
        """True if the vault record `ref` of `batch` is still needed: until its batch is closed and what outlives it is
        moved; where no batch is ever closed, as long as its transaction is open."""
        state = self.state
        if self.profile.settles:
            return batch == state.batch or batch in state.shred
        return any(t.vault == ref for t in state.txns.values())

    def conclude(self):
        """Give the open transaction the outcome that could not be journaled when it was due."""
        refused = self.refused == self.state.current
        return self.run(("conclude", self.random_number(), refused))

    # -- what comes in unasked -------------------------------------------------------------------------------

    def _stray(self, verdict, fields):
        """Journal a frame that answers something else; True if it is known what."""
        if verdict in (V_GARBLED, V_BAD_MAC):
            self._decide(("fault", AREA_HOST, verdict, 1))
            return False
        self._decide(("stray", fields))
        stan = fields.get(11, "")
        current = self.state.current
        if not stan.isdigit():
            return False
        settle = self.state.settle
        if settle is not None and settle.stan == int(stan):
            return True
        return any(t.stan == int(stan) and t.txn != current for t in self.state.txns.values())
