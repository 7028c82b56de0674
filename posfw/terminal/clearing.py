"""Settlement's effects: what the runner does for posfw.engine.settlement. Needed once a day, so loaded when needed.
"""

from posfw.acquirer import clearing as wire
from posfw.acquirer.messages import MessageError
from posfw.acquirer.profile import ProfileError
from posfw.codec import cbor
from posfw.hal import STAGE_SIGN_ON, KeyStoreError, LinkError
from posfw.journal.vault import VaultError, VaultLost
from posfw.micro import const
from posfw.numbers import (
    AREA_KEYSTORE,
    HUMAN_WRITTEN_OFF,
    P_END,
    P_TOTALS,
    SLIP_DETAIL,
    SLIP_HUMAN,
    SLIP_UPLOAD,
    V_DATA_LOST,
    V_MATCHED,
)
from posfw.terminal import facts
from posfw.terminal.records import detail, gather, payloads, transaction

__all__ = ["facts_of", "gather", "settle_dial", "settle_no_key", "settle_send", "shred"]

_MOST_READS = const(4)  # of a key that a sound key store does not give: then it is gone
_RECOVERY_MS = const(5000)  # before the key store is asked again to erase; doubles


# -- messages ------------------------------------------------------------------------------------------------


def settle_dial(runner):
    """Open the link, for a sign-on."""
    try:
        runner.session.open()
    except LinkError as e:
        return _failed(runner, e.stage)
    return ("settle", runner.random_number(), 1)


def settle_no_key(runner):
    """The sign-on that had to come first failed."""
    return _failed(runner, STAGE_SIGN_ON)


def settle_send(runner):
    """Build the message that waits and exchange it."""
    s, profile = runner.state.settle, runner.profile
    try:
        request = _build(runner, s)
    except KeyStoreError:
        return ("settle_mac_lost", runner.random_number(), runner.count(None))
    except (VaultError, cbor.CborError, MessageError, ProfileError) as e:
        runner.board.display.show("profile_error", str(e))
        return ("settle_replied", V_DATA_LOST, "", [], 0, runner.random_number())
    began = runner.board.clock.now()[0]
    try:
        runner.session.open()
        began = runner.board.clock.now()[0]
        verdict, fields = runner.session.exchange(request)
    except LinkError as e:
        return _failed(runner, e.stage)
    code, said = "", []
    if verdict == V_MATCHED:
        code = fields.get(39, "")
        if s.pending == P_TOTALS:
            verdict, flags, host = wire.read_totals_reply(profile, fields)
            said = (flags, host)
        elif s.pending != P_END:
            verdict, said = wire.read_upload_reply(profile, fields, len(s.pack))
    took = max(0, runner.board.clock.now()[0] - began)
    return ("settle_replied", verdict, code, said, took, runner.random_number())


def _build(runner, s):
    profile, config, cmac = runner.profile, runner.state.config, runner.board.keystore.cmac
    if s.pending == P_TOTALS:
        return wire.totals_message(profile, config, s, runner.state.totals, cmac)
    if s.pending == P_END:
        return wire.end_message(profile, config, s, runner.state.totals, cmac)
    records = []
    for number in s.pack:
        t = transaction(runner, number)
        records.append((t, cbor.decode(_vaulted(runner, t.vault)[1])))
    return wire.upload_message(profile, config, s, records, cmac)


def _failed(runner, stage):
    return ("settle_failed", stage, runner.random_number(), runner.count(None))


# -- the vault -----------------------------------------------------------------------------------------------


def shred(runner, batch):
    """Encrypt again what is still owed of `batch`, then erase its key. Trouble is journaled, and tried again later."""
    state, keystore = runner.state, runner.board.keystore
    try:
        moved = _move_all(runner, batch) if state.debts or state.refused else 0
        keystore.erase_vault_key(batch)
    except (KeyStoreError, VaultError) as e:
        runner.board.display.show("keystore_fault", str(e))
        count = runner.count(0)
        runner.holds[0] = [runner.board.clock.now()[0] + (_RECOVERY_MS << min(count, 14)), count]
        return ("fault", AREA_KEYSTORE, 2, 1) if count & (count - 1) == 0 else None
    runner.holds.pop(0, None)
    return ("shredded", batch, moved)


def _move_all(runner, batch):
    state = runner.state
    # A batch that begins with such records has its key from here, so that no later failure to read it makes another.
    runner.vault.ensure_key(state.batch, None if state.intents else runner.board.random(48))
    needed = [t.vault for t in state.debts]
    for item in state.refused:
        needed.append(transaction(runner, item[0]).vault)

    def keep(ref, of):
        return of == state.batch or ref in needed

    moved = 0
    for ref in needed:
        moved += _move(runner, ref, batch, keep)
    return moved


def _vaulted(runner, ref):
    """(batch whose key it lies under, plaintext) of a record. Raises VaultLost where it is gone, VaultError and
    KeyStoreError where the next try may read it."""
    try:
        found = runner.vault.find(ref)
    except KeyStoreError:
        runner.board.keystore.seal()  # it answers, so it is well
        runner.unread += 1
        if runner.unread < _MOST_READS:
            raise
        raise VaultLost("the vault's key is gone")
    runner.unread = 0
    return found


def _move(runner, ref, batch, keep):
    try:
        held, plaintext = _vaulted(runner, ref)
    except VaultLost:
        return 0  # nothing is left to be kept: the debt itself says so when it comes up
    if held != batch:
        return 0
    runner.vault.put(ref, runner.state.batch, plaintext, None, keep)
    return 1


# -- slips ---------------------------------------------------------------------------------------------------


def facts_of(runner, number, slip, seq, head, again):
    """The facts of a batch's slip (posfw.receipt.slips): about entry `number`, 0 for the present batch's list."""
    state, profile = runner.state, runner.profile
    entry = t = None
    if number:
        entry = next(payloads(runner, number))
        if slip == SLIP_UPLOAD:
            t = transaction(runner, entry[6][3])
        elif slip == SLIP_HUMAN and entry[6][1] == HUMAN_WRITTEN_OFF:
            t = transaction(runner, entry[6][0])
    config = state.config
    listed = ()
    if slip == SLIP_DETAIL:
        listed = detail(runner, number)
        config = listed[2]
    what = facts.of_batch(profile, state, config, entry, t, seq, head, again)
    if listed:
        what["batch"], what["totals"], what["records"] = listed[0], listed[1], listed[3]
    return what
