"""The terminal's own codec and seal make the bytes that the specification alone gives."""

import journal_maker as jm
from posaudit.describe import Context, describe
from posaudit.seal import Chain, verify_entries

from posfw.codec import cbor
from posfw.engine.fold import apply
from posfw.engine.state import State
from posfw.journal import seal


def test_the_terminals_seal_is_that_of_the_specification():
    maker = jm.day()
    head, key = seal.genesis(jm.JOURNAL_ID), maker.keys[0]
    made = []
    for payload in maker.payloads:
        buf = bytearray(2048)
        made.append(bytes(buf[: seal.write(buf, cbor.encode(payload), key, head)]))
        head, key = seal.chain(head, made[-1]), seal.ratchet(key)
    assert made == maker.entries
    report = verify_entries(made, Chain(0, maker.keys[0], maker.heads[0]))
    assert report.ok
    assert report.entries == maker.seq


def test_a_snapshot_of_the_terminals_state_verifies_and_shows():
    maker = jm.Maker().begin()
    maker.silent_sale(2)
    state = State()
    for payload in maker.payloads:
        apply(state, payload)
    maker.add(jm.SNAPSHOT, state.to_array())
    report = verify_entries(maker.entries, Chain(0, maker.keys[0], maker.heads[0]))
    assert report.ok
    assert describe(maker.payloads[-1], Context()).startswith("State")
