"""What the runner does outside: the effects of posfw.engine.decide, a function each; it returns the event that follows.
"""

from posfw import overlay
from posfw.acquirer import messages
from posfw.acquirer.profile import ProfileError
from posfw.codec import cbor
from posfw.engine.decide import SIGN_ON, UNDO
from posfw.hal import OFFLINE, STAGE_SIGN_ON, KeyStoreError, LinkError, PrinterError
from posfw.journal.frame import FrameError
from posfw.journal.ring import RingError
from posfw.journal.seal import SealError
from posfw.journal.vault import VaultError
from posfw.micro import const
from posfw.numbers import V_DATA_LOST, V_MATCHED
from posfw.terminal import facts

_KEY_SIZE = const(16)
_CHECK_SIZE = const(4)
_WRAPPED_KEY = const(62)  # DE62 of the sign-on reply


def show(runner, key, *args):
    """Tell the cashier."""
    runner.board.display.show(key, *args)


def set_clock(runner, rtc, quality):
    """Set the real-time clock."""
    runner.board.clock.set(rtc, quality)


def hold(runner, key, ms, count):
    """Do not try `key` for a while: a transaction's reversal, or None for the settlement."""
    holds = runner.holds
    for old in [old for old in holds if old and old > 0 and old not in runner.state.txns]:
        del holds[old]  # its debt has ended
    holds[key] = [runner.board.clock.now()[0] + ms, count]


# -- reversals -------------------------------------------------------------------------------------------------


def connect(runner, txn):
    """Build the reversal, then connect: what fails here is no attempt."""
    t = runner.state.txns[txn]
    runner.request = None
    try:
        record = cbor.decode(runner.vault.get(t.vault))
    except (VaultError, KeyStoreError, cbor.CborError) as e:
        runner.board.display.show("reversal_unresolved", str(e))
        return ("reversal_replied", txn, V_DATA_LOST, {}, runner.random_number())
    try:
        runner.request = messages.reversal(
            runner.profile, runner.state.config, t, record, runner.board.keystore.cmac
        )
        runner.session.open()
    except KeyStoreError:
        return ("mac_lost", txn, runner.random_number(), runner.count(txn))
    except (messages.MessageError, ProfileError) as e:
        runner.board.display.show("profile_error", str(e))
        return ("reversal_replied", txn, V_DATA_LOST, {}, runner.random_number())
    except LinkError as e:
        return _dial_failed(runner, txn, e)
    return ("connected", txn)


def dial(runner, txn):
    """Open the link, for a sign-on before the reversal."""
    try:
        runner.session.open()
    except LinkError as e:
        return _dial_failed(runner, txn, e)
    return ("reverse", txn, runner.random_number(), 1)


def no_key(runner, txn):
    """The sign-on that had to come first failed."""
    return ("connect_failed", txn, STAGE_SIGN_ON, runner.random_number(), runner.count(txn))


def _dial_failed(runner, txn, error):
    return ("connect_failed", txn, error.stage, runner.random_number(), runner.count(txn))


# -- messages --------------------------------------------------------------------------------------------------


def send(runner, purpose, txn):
    """Exchange a message of the host's: a request, a reversal, a sign-on."""
    if purpose == SIGN_ON:
        return _send_sign_on(runner, txn)
    if purpose == UNDO:
        return _send_reversal(runner, runner.state.txns[txn])
    return _send_payment(runner, runner.state.txns[runner.state.current])


def _send_payment(runner, t):
    try:
        request = messages.payment(
            runner.profile, runner.state.config, t, runner.card, runner.board.keystore.cmac
        )
    except (messages.MessageError, ProfileError) as e:
        runner.board.display.show("profile_error", str(e))
        return ("unsendable", t.txn, "profile_error")
    except KeyStoreError:
        return ("unsendable", t.txn, "keystore_fault")
    try:
        runner.session.open()
        runner.left = True
        verdict, fields = runner.session.exchange(request)
    except LinkError as e:
        runner.left = False
        return _dial_failed(runner, t.txn, e)
    return ("replied", t.txn, verdict, fields, runner.random_number())


def _send_reversal(runner, t):
    try:
        verdict, fields = runner.session.exchange(runner.request)
    except LinkError as e:
        return _dial_failed(runner, t.txn, e)
    return ("reversal_replied", t.txn, verdict, fields, runner.random_number())


def _send_sign_on(runner, stan):
    verdict, fields = V_DATA_LOST, {}
    try:
        request = messages.sign_on(
            runner.profile, runner.state.config, stan, runner.state.batch, runner.board.keystore.cmac
        )
        runner.session.open()
        verdict, fields = runner.session.exchange(request)
    except (messages.MessageError, ProfileError) as e:
        runner.board.display.show("profile_error", str(e))
    except LinkError:
        runner.board.display.show("link_down")
    fits = True
    if runner.profile.mac_field and verdict == V_MATCHED:
        fits = _take_key(runner, fields.get(_WRAPPED_KEY, b""))
    return ("signon_replied", stan, verdict, fields, fits)


def _take_key(runner, wrapped):
    if len(wrapped) < _KEY_SIZE + _CHECK_SIZE:
        return False
    try:
        return runner.board.keystore.install_mac_key(
            wrapped[:_KEY_SIZE], wrapped[_KEY_SIZE : _KEY_SIZE + _CHECK_SIZE]
        )
    except KeyStoreError:
        return False  # the sign-on failed; the store may be well again at the next


def card(runner, txn):
    """Let the card have its last word."""
    try:
        accepted = bool(runner.finish()) if runner.finish else True
    except Exception:  # noqa: BLE001 - the vendor's code; whatever broke there, the card has not accepted
        accepted = False
    if not accepted:
        runner.refused = txn  # should the entry that says so fail
    return ("card_done", txn, accepted, runner.random_number())


# -- paper -----------------------------------------------------------------------------------------------------


def print(runner, txn, slip, again):
    """Print; the slip names the SLIP entry that was just appended. txn: a transaction, or an entry of the batch."""
    seq, head = runner.state.seq - 1, runner.journal.head
    t = runner.state.txns.get(txn)
    if t is not None:
        what = facts.of(runner.profile, runner.state.config, t, seq, head, again)
    else:
        overlay.use(overlay.BATCH)
        from posfw.terminal import clearing

        try:
            what = clearing.facts_of(runner, txn, slip, seq, head, again)
        except (VaultError, FrameError, RingError, SealError, StopIteration):
            return ("printed", txn, slip, OFFLINE)  # the journal cannot be read just now: tried again later
    return ("printed", txn, slip, put_on_paper(runner, slip, seq, what))


def put_on_paper(runner, slip, seq, what):
    """Print a slip of the facts `what`; return the fault, 0 if it is out."""
    overlay.use(overlay.PAPER)
    printer = runner.board.printer
    try:
        from posfw.receipt import slips

        printer.begin(slip, seq or 0)
        for chunk in slips.render(slip, what, runner.profile.receipt_width):
            printer.write(chunk)
        printer.end()
    except PrinterError as e:
        return e.fault if e.fault in (1, 2, 3, 4) else OFFLINE
    except (OSError, MemoryError):
        return OFFLINE
    except slips.SlipError:
        return OFFLINE
    return 0
