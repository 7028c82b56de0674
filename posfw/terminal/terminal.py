"""The facade a vendor's application calls.

    terminal = Terminal(board, profile, settings)
    terminal.boot()
    terminal.sign_on()
    result = terminal.pay({"type": SALE, "amount": 1234, "card": card})
    while True: terminal.idle()

Every call returns; none raises for bad input, a dead link, a full journal or a broken part: the result says what
happened.
"""

import hashlib
import json

from posfw.acquirer.profile import Profile
from posfw.codec import cbor
from posfw.engine import owed
from posfw.engine.request import fits_original, masked
from posfw.journal import seal
from posfw.micro import const
from posfw.numbers import PREAUTH_VOID, VOID
from posfw.service.port import ServicePort
from posfw.terminal.closing import ROOM_FOR_SLIPS, CloseOfDay
from posfw.terminal.runner import DURABILITY, Runner, message_of
from posfw.terminal.serving import Serving

_QUIET_MS = const(30000)


class Terminal:
    """One terminal on `board` (posfw.hal), speaking to the acquirer of `profile`.

    profile: the profile's dict (posfw.acquirer.profile.load) with settings {"tid", "mid", "merchant", "utc_offset_min",
    "currency"}; or a posfw.acquirer.profile.Profile made of both, earlier, while there was room. digest: SHA-256 of the
    profile file, 32 bytes, for the journal; made from the dict if not given.
    Raises ProfileError where profile or settings are not usable, KeyStoreError where the board was never provisioned.
    """

    def __init__(self, board, profile, settings=None, digest=None):
        self.board = board
        terminal_id, self.journal_id = board.keystore.identity()
        if not isinstance(profile, Profile):
            digest = digest or hashlib.sha256(json.dumps(profile).encode()).digest()
            profile = Profile(profile, settings, terminal_id, digest)
        self.profile = profile
        self.runner = Runner(board, self.profile)
        self.close = CloseOfDay(self)
        self.service = ServicePort(board.usb, Serving(self))
        self._booted = False
        self._quiet_until = 0  # ms of this boot: after a fault of the flash, what is owed waits

    # -- money -----------------------------------------------------------------------------------------------

    def boot(self):
        """Recover the journal, fold it, journal the boot, conclude what was open. What is owed is done by idle().

        Returns (ok, key): on a fault the terminal refuses money and says key, and the journal can still be read.
        """
        runner = self.runner
        try:
            runner.boot()
        except DURABILITY as e:
            runner.stopped = message_of(e)
            self.board.display.show(runner.stopped)
            return False, runner.stopped
        done = self._boot_entry()
        self._check_tamper()
        key = runner.stopped or (done[1] if runner.undurable else None)
        if self._booted:
            self.close.remind()
        return key is None, key or "ready"

    def _boot_entry(self):
        runner, board = self.runner, self.board
        event = ("boot", board.firmware, board.reset_cause(), runner.journal.unclean, runner.random_number())
        done = runner.run(event)
        self._booted = not runner.undurable
        if done is not None and done[1] == "journal_full":
            # No room for the entry, but some is kept for ending debts: their waits start again with this boot.
            runner.state.restart_clock(board.clock.now()[0])
            self._booted = True
        return done

    def sign_on(self):
        """Sign on: working key and time from the host. Returns a result dict as pay() does."""
        self._check_tamper()
        return self._result(self._run(("signon",)))

    def pay(self, request, finish=None):
        """Do a sale, void, refund, pre-authorisation or completion; see posfw.engine.request for `request`.

        request["original"] may also be the STAN of a transaction of the present batch: the journal is searched for it.
        finish: called on an approval to let the card have its last word; returns False for AAC.
        Returns {"ok", "message", "txn", "stan", "code", "auth", "rrn"}; message is a key of the text catalogue.
        """
        self._check_tamper()
        runner = self.runner
        room = 0
        try:
            request = dict(request) if isinstance(request, dict) else request  # the caller's own stays as it is
            key = runner.stopped or self._not_booted() or self._resolve_original(request)
            if not key:
                room = self.close.room()
        except DURABILITY as e:
            key = message_of(e)
        if key:
            self.board.display.show(key)
            return self._result((False, key, None))
        event = ("pay", request, room, runner.random_number(), self.board.random(8), ())
        card = request.get("card") if isinstance(request, dict) else None
        result = self._result(runner.run(event, card, finish))
        if "txn" in result:
            self.close.remind()
        return result

    def cancel(self):
        """Take back the last approved transaction: a reversal is owed from now on."""
        self._check_tamper()
        return self._result(self._run(("cancel", self.runner.random_number())))

    # -- close of day ----------------------------------------------------------------------------------------

    def settle(self):
        """Close of day by the operator: as far as it goes now; idle() does the rest.

        Returns {"ok", "message"}: ok with "settled" if the batch is closed, with "settling" if it goes on, otherwise
        why it does not.
        """
        self._check_tamper()
        return self._result(self.close.settle() if self._booted else self._run(None))

    def present_again(self):
        """The operator has the records the host refused presented once more. Returns {"ok", "message"}."""
        self._check_tamper()
        return self._result(self.close.present_again() if self._booted else self._run(None))

    def print_detail(self, closed=False):
        """Print the records of the present batch, or of the one closed last. Returns {"ok", "message"}."""
        number = self.runner.state.batch_first - 1 if closed else 0
        if number < 0:
            return self._result((False, "original_not_found", None))
        return self._result(self._run(("detail", number)) or (True, "detail_done", None))

    def _run(self, event):
        return self.runner.run(event) if self._booted else (False, self.runner.stopped or "flash_failed", None)

    def find(self, stan, batch=None):
        """The earlier transaction (posfw.engine.lookup.Found) with `stan` in `batch` (default: the present one),
        or None.
        """
        state, journal = self.runner.state, self.runner.journal
        batch = batch or state.batch
        first = max(journal.first_seq(), state.batch_first if batch == state.batch else 0)
        from posfw.engine import lookup

        payloads = (cbor.decode(seal.payload_of(entry)) for _, entry in journal.read(first))
        return lookup.find(payloads, stan, batch, self.profile.utc_offset_min)

    def idle(self):
        """Call often: serves the USB port, takes in late replies, and does one thing that is owed if its time has come.

        Returns True if there may be more to do at once.
        """
        runner = self.runner
        if runner.running:
            return False  # called from within a call of ours
        self._check_tamper()
        busy = self.service.pump()
        now = self.board.clock.now()[0]
        if runner.stopped or now < self._quiet_until:
            return busy
        try:
            runner.session.pump()
            worked = self._do_owed(now)
        except DURABILITY as e:
            self.board.display.show(message_of(e))
            worked = runner.undurable = True
        if worked and runner.undurable:
            self._quiet_until = now + _QUIET_MS
            return busy
        return busy or worked

    def _do_owed(self, now):
        """Do one thing that is owed; False if there is none."""
        runner = self.runner
        state = runner.state
        if not self._booted:
            self._boot_entry()
            return True
        if state.current is not None:
            runner.conclude()
            return True
        item = owed.next_due(state, now, self.board.printer.fault() == 0, runner.holds)
        if item is None:
            if not state.debts and state.settle is None and runner.session.link.is_open:
                runner.session.close()
            if state.config != self.profile.config:
                before = runner.journal.seq
                runner.run(("configure",))
                if runner.journal.seq != before:
                    return True
            return self.close.when_due()
        what, txn, slip, _ = item
        if what in (owed.REVERSAL, owed.UNRESOLVED):
            runner.run(("reverse", txn, runner.random_number()))
            return True
        if what in (owed.SETTLEMENT, owed.UPLOADING):
            runner.run(("settle", runner.random_number(), 0))
            return True
        if what == owed.SHRED:
            runner.run(("destroy", txn))
            return True
        if runner.journal.free_sectors() < ROOM_FOR_SLIPS:
            return False  # the last room is for reversals
        runner.run(("print", txn, slip))
        return True

    def status(self):
        """What a cashier or technician asks first, as a dict."""
        runner, state = self.runner, self.runner.state
        _, rtc, quality = self.board.clock.now()
        try:
            first = runner.journal.first_seq()
        except DURABILITY:
            first = 0  # the oldest sector cannot be read: STATUS must answer all the same
        return {
            "first_seq": first,
            "next_seq": runner.journal.seq,
            "rtc": rtc,
            "rtc_quality": quality,
            "batch": state.batch,
            "next_stan": state.stan,
            "owed": [[item[0], item[1]] for item in owed.owed(state)],
            "settlement": _settlement_of(state),
            "refused": [item[:3] for item in state.refused],
            "message": runner.stopped or ("tampered" if state.tampered else ""),
        }

    # -- helpers ---------------------------------------------------------------------------------------------

    def _resolve_original(self, request):
        """Replace a STAN, or a list naming a transaction the journal holds, by what the journal knows of it; return a
        message key if that cannot be undone. A list that names an older one is the application's word (txn 0)."""
        named = request.get("original") if isinstance(request, dict) else None
        if named is None:
            return None
        card = request.get("card")
        if not isinstance(card, dict) or not isinstance(card.get("pan"), str):
            return "bad_card"
        if type(named) is int:
            found = self.find(named)
        elif fits_original(named):
            found = self.find(named[2], named[1])
            if found is None and named[0] == 0 and request.get("type") != VOID:
                return None
        else:
            return "original_not_found"
        if found is None:
            return "original_not_found"
        if found.pan != masked(card["pan"]):
            return "bad_card"
        kind = request.get("type")
        if kind in (VOID, PREAUTH_VOID):
            request["amount"] = found.original[6]
        amount = request.get("amount")
        key = found.refusal(kind, amount if type(amount) is int else 0, self.profile.completion_percent)
        if key is None:
            request["original"] = found.original
            request["card"] = dict(card)
            request["card"]["scheme"] = found.scheme  # the same card, whatever its reader calls it now
        return key

    def _not_booted(self):
        return None if self._booted else "flash_failed"

    def _check_tamper(self):
        state, board = self.runner.state, self.board
        if state.tampered or not board.tamper.tripped():
            return
        try:
            # Sealed with the last key there will be; the keys go whatever comes of it.
            self.runner.run(("tamper", 1))
        finally:
            board.keystore.zeroise()
        state.tampered = True
        self.runner.stopped = "tampered"

    def _result(self, done):
        ok, key, t = done
        result = {"ok": ok, "message": key}
        if t is not None:
            result.update({"txn": t.txn, "stan": t.stan, "code": t.code, "auth": t.auth, "rrn": t.rrn})
        return result


def _settlement_of(state):
    s = state.settle
    if s is None:
        return [state.batch, 0, state.opened, state.cause, 0, 0, 0]
    return [s.batch, s.phase, state.opened, state.cause, s.acked, s.refused, s.number]
