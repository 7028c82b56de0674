"""A journal made by the device's own code, held against what it did not make: posaudit's verifier, cwt, cbor2, pycddl.

The entries come from the whole terminal on a simulated board (tests/device/sim.py), through faults, power cuts, full
sectors and a tampered case; every key and head is derived again from the auditor's master.
"""

import functools
import sys
from pathlib import Path

import cbor2
import journal_maker as jm
import pytest
from cwt import COSE, COSEKey
from posaudit.keys import AuditorKeys
from posaudit.seal import Chain, verify_entries

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "device"))

import sim as simulated
from sim import PowerCut, Sim

from posfw import numbers as n
from posfw.acquirer.profile import load
from posfw.journal import seal

BODIES = {
    n.BOOT: "boot", n.CLOCK: "clock", n.CONFIG: "config", n.SIGNON: "signon", n.INTENT: "intent", n.REPLY: "reply",
    n.OUTCOME: "outcome", n.CONNECT_FAIL: "connect-fail", n.REVERSAL_SENT: "reversal-sent",
    n.REVERSAL_REPLY: "reversal-reply", n.UNRESOLVED: "unresolved", n.HUMAN: "human", n.SLIP: "slip",
    n.TAMPER: "tamper", n.EXPORT: "export", n.FAULT: "fault", n.SETTLE_SENT: "settle-sent",
    n.SETTLE_REPLY: "settle-reply", n.UPLOAD_REPLY: "upload-reply", n.BATCH_CLOSED: "batch-closed",
    n.VAULT_DESTROYED: "vault-destroyed", n.UNSETTLED: "unsettled",
}  # fmt: skip


def wait(sim, ms=400000, times=4):
    for _ in range(times):
        sim.clock.advance(ms)
        sim.idle()


def human(sim, txn, decision=1):
    buf = bytearray(400)
    payload = cbor2.dumps([txn, decision, "Zhang San 张三", "confirmed by phone"])
    key = jm.hkdf(simulated.MASTER, simulated.JOURNAL_ID, b"posfw/role/supervisor/1" + simulated.TERMINAL_ID.encode())
    size = seal.write(memoryview(buf), payload, key, b"posfw/human/1" + simulated.JOURNAL_ID)
    assert sim.terminal.service.host.human(bytes(buf[:size])) is None


def cut(sim, hook):
    """A sale during which the supply fails at `hook`; then a boot."""

    def fail(*_):
        raise PowerCut()

    holder, name = hook
    setattr(holder, name, fail)
    with pytest.raises(PowerCut):
        sim.pay()
    setattr(holder, name, None)
    sim.start()
    wait(sim)


def settle(sim):
    """A batch that does not balance, whose replies go astray and of which one record is refused and written off."""
    stan = sim.pay()["stan"]
    sim.host.lose.add(stan)
    sim.host.refuse_records[stan] = "14"
    sim.board.link.close()
    sim.host.refuse = 1
    sim.host.faults = ["silent", "garbled", None, "close"]
    sim.terminal.settle()
    wait(sim, times=40)
    assert sim.state.batch == 2
    ((number, _, _, _),) = sim.state.refused
    sim.terminal.present_again()
    human(sim, number, n.HUMAN_WRITTEN_OFF)
    sim.terminal.print_detail(closed=True)
    wait(sim)


def story(profile_name, **geometry):
    """A long day; returns the sim."""
    profile = load(str(Path(__file__).resolve().parents[2] / simulated.PROFILES / f"{profile_name}.json"))
    sim = Sim(profile, **geometry)
    board = sim.board
    sale = sim.pay()
    sim.host.faults = [("decline", "51")]
    sim.pay()
    faults = "silent", "garbled", "wrong_stan", "wrong_amount", "half", "close", "oversize", "twice", ("late", 31000)
    for fault in faults:
        sim.host.faults = [fault]
        sim.pay()
        sim.host.faults = []
        wait(sim)
    if sim.host.mac_field:
        sim.host.faults = ["bad_mac"]
        sim.pay()
        sim.host.faults = []
        wait(sim)
    sim.host.refuse = 1
    sim.pay()
    sim.pay(kind=n.VOID, original=sale["stan"])
    sim.pay(finish=lambda: False)
    wait(sim)
    sim.pay()
    sim.terminal.cancel()
    wait(sim)
    cut(sim, (board.keystore, "on_advance"))
    cut(sim, (board.link, "on_send"))
    cut(sim, (board.printer, "on_write"))
    sim.printer.paper = 1
    sim.pay()
    sim.printer.paper = None
    wait(sim)
    sim.host.faults = ["silent"]
    sim.pay()
    sim.board.link.close()
    sim.host.refuse = 2
    wait(sim)
    assert sim.host.refuse == 0
    sim.host.faults = ["silent"] * 60
    sim.pay()
    wait(sim, times=12)
    (debt,) = sim.state.debts
    assert debt.phase == 3
    human(sim, debt.txn)
    sim.host.faults = []
    settle(sim)
    assert sim.terminal.service.host.set_time(sim.clock.rtc + 60) is None
    board.usb.to_device = b"\x05x\x00"
    wait(sim)
    # A torn program at the journal's end.
    ring = sim.terminal.runner.journal.ring
    at = ring.header.block * board.flash.block_size + ring.pos
    board.flash.store.view[at : at + 7] = b"\x60\x00\x12torn"
    sim.start()
    sim.terminal.service.host.export(bytes(range(16)), n.AUDITOR)
    board.tamper.open = True
    sim.idle()
    return sim


@functools.cache
def made(profile_name, size, unit):
    """(entries, payloads by the host's cbor2) of a story."""
    sim = story(profile_name, blocks=96, block_size=size, program_size=unit)
    entries = [entry for _, entry in sim.terminal.runner.journal.read(0)]
    return entries, [cbor2.loads(cbor2.loads(entry)[2]) for entry in entries]


STORIES = pytest.mark.parametrize(
    ("profile_name", "size", "unit"),
    [("unionpay", 4096, 32), ("unionpay", 2048, 1), ("iso8583_1987", 4096, 256), ("iso8583_1987", 2048, 4)],
)


@STORIES
def test_the_story_has_every_kind(profile_name, size, unit):
    _, payloads = made(profile_name, size, unit)
    assert {p[1] for p in payloads} == set(BODIES) | {n.SNAPSHOT}
    assert [p[0] for p in payloads] == list(range(len(payloads)))


@STORIES
def test_posaudit_proves_it(profile_name, size, unit):
    entries, _ = made(profile_name, size, unit)
    keys = AuditorKeys(simulated.MASTER, {simulated.TERMINAL_ID: simulated.JOURNAL_ID})
    report = verify_entries(entries, Chain.start(keys, simulated.TERMINAL_ID))
    assert report.ok, report.findings
    assert report.entries == len(entries)
    assert report.boots == 5
    # An honest power cut is told, and is not taken for tampering.
    assert len(report.power_cuts) == 2


@STORIES
def test_posaudit_does_not_prove_it_with_one_bit_changed(profile_name, size, unit):
    entries, _ = made(profile_name, size, unit)
    keys = AuditorKeys(simulated.MASTER, {simulated.TERMINAL_ID: simulated.JOURNAL_ID})
    for index in (0, 1, len(entries) // 2, len(entries) - 1):
        for pos in (3, 8, len(entries[index]) // 2, -1):
            raw = bytearray(entries[index])
            raw[pos] ^= 1
            changed = [*entries[:index], bytes(raw), *entries[index + 1 :]]
            assert not verify_entries(changed, Chain.start(keys, simulated.TERMINAL_ID)).ok, (index, pos)


@STORIES
def test_cwt_accepts_each_entry(profile_name, size, unit):
    entries, payloads = made(profile_name, size, unit)
    key = jm.hkdf(simulated.MASTER, simulated.JOURNAL_ID, b"posfw/seal/1" + simulated.TERMINAL_ID.encode())
    head = jm.sha(b"posfw/genesis/1", simulated.JOURNAL_ID)
    for entry, payload in zip(entries, payloads, strict=True):
        cose_key = COSEKey.new({1: 4, 3: 5, -1: key})
        tagged = cbor2.dumps(cbor2.CBORTag(17, cbor2.loads(entry)))
        decoded = COSE.new().decode(tagged, cose_key, external_aad=head)
        assert (cbor2.loads(decoded) if isinstance(decoded, bytes) else decoded) == payload
        # And the whole entry is what the specification alone makes of the payload.
        assert jm.seal(key, head, cbor2.dumps(payload, canonical=True)) == entry, payload[0]
        key, head = jm.sha(b"posfw/ratchet/1", key), jm.sha(head, entry)


@STORIES
def test_each_payload_is_in_deterministic_encoding(profile_name, size, unit):
    entries, payloads = made(profile_name, size, unit)
    for entry, payload in zip(entries, payloads, strict=True):
        assert cbor2.dumps(payload, canonical=True) == cbor2.loads(entry)[2], payload[:2]
        assert len(cbor2.loads(entry)[2]) <= 1900


@STORIES
def test_each_entry_fits_the_published_cddl(profile_name, size, unit):
    entries, payloads = made(profile_name, size, unit)
    entry_schema, payload_schema, bodies = jm.cddl_schemas()
    for entry, payload in zip(entries, payloads, strict=True):
        entry_schema.validate_cbor(entry)
        assert cbor2.loads(entry)[:2] == [bytes.fromhex("A10105"), {}]
        payload_schema.validate_cbor(cbor2.dumps(payload))
        if payload[1] == n.SNAPSHOT:
            assert payload[6][0] == 2
            continue
        linked = " with original" if payload[1] == n.INTENT and payload[6][9] is not None else ""
        try:
            bodies[f"{BODIES[payload[1]]}-body{linked}"].validate_cbor(cbor2.dumps(payload[6]))
        except Exception as error:
            raise AssertionError(f"{BODIES[payload[1]]} {payload[6]}: {error}") from error


@STORIES
def test_no_card_data_in_any_entry(profile_name, size, unit):
    entries, _ = made(profile_name, size, unit)
    pan = simulated.PAN
    packed = bytes.fromhex(pan + "f") if len(pan) % 2 else bytes.fromhex(pan)
    shifted = bytes.fromhex("0" + pan) if len(pan) % 2 else packed
    for entry in entries:
        for needle in (pan.encode(), pan[:12].encode(), pan[6:].encode(), packed[:7], shifted[:7]):
            assert needle not in entry


def test_both_cuts_left_copies_that_are_sent_once():
    sim = story("unionpay", blocks=96, block_size=2048, program_size=32)
    journal = sim.terminal.runner.journal
    ring = journal.ring
    # The same number in two adjacent sectors: after the stop between entry and key, and after the torn program.
    copies = 0
    for sequence in range(1, ring.header.sequence + 1):
        before, header = ring.sector(sequence - 1), ring.sector(sequence)
        held = [e for _, e in ring.entries(before) if isinstance(e, bytes)]
        first = next(ring.entries(header))[1]
        if header.first_seq < before.first_seq + len(held):
            assert first == held[-1]
            copies += 1
    assert copies == 2
    assert len({seq for seq, _ in journal.read(0)}) == journal.seq
