"""The verifier against journals made from the specification alone, sound and damaged."""

import ast
import hashlib
import io
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import cbor2
import journal_maker as jm
import posaudit
import pycddl
import pytest
from cwt import COSE, COSEKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from posaudit import posj
from posaudit.findings import MOST_FINDINGS
from posaudit.keys import AuditorKeys
from posaudit.seal import Chain, verify_entries, verify_file

PACKAGE = Path(posaudit.__file__).parent


@pytest.fixture
def keys():
    return AuditorKeys(jm.MASTER, {jm.TERMINAL: jm.JOURNAL_ID, "POS-0043": bytes(15) + b"\x01"})


@pytest.fixture
def check(tmp_path, keys):
    def run(data, nonce=None, on_entry=None):
        path = tmp_path / "j.posj"
        path.write_bytes(data)
        return verify_file(path, keys, nonce, on_entry)

    return run


def test_the_cddl_refuses_what_is_not_in_the_form():
    entry_schema, payload_schema, bodies = jm.cddl_schemas()
    maker = jm.small()
    protected, unprotected, payload, tag = cbor2.loads(maker.entries[0])
    wrong = [
        [protected, unprotected, payload, tag[1:]],
        [protected, unprotected, payload],
        [protected, {}, [], tag],
    ]
    for schema, value in [
        *((entry_schema, w) for w in wrong),
        (payload_schema, [0, 26, 1, 1, 1, 0, []]),
        (payload_schema, [0, 1, 1, 1, 1, 4, []]),
        (payload_schema, [0, 1, 1, 1, 1, 0]),
        (bodies["boot-body"], ["x", 4, 0]),
        (bodies["boot-body"], ["x", 1]),
        (bodies["export-body"], [bytes(15), 1]),
    ]:
        with pytest.raises(pycddl.ValidationError):
            schema.validate_cbor(cbor2.dumps(value))


def test_a_sound_journal_is_proven_whole(check):
    maker = jm.day()
    seen = []
    report = check(maker.file(), jm.NONCE, lambda offset, raw, payload: seen.append((offset, raw, payload)))
    assert report.findings == []
    assert report.ok
    assert report.entries == maker.seq == report.next_seq
    assert report.head == maker.heads[-1].hex()
    assert [p for _, _, p in seen] == maker.payloads
    assert [o for o, _, _ in seen] == [maker.offset(i) for i in range(maker.seq)]
    assert report.boots == 2
    assert [(c["boot"], c["what"]) for c in report.power_cuts] == [(2, "torn frame, key store one behind")]
    assert (report.terminal_id, report.role, report.tier) == (jm.TERMINAL, 2, "mac")
    assert report.first_rtc == jm.NOON + 1
    assert "auditor's key file" in report.does_not_prove
    assert "older" in report.does_not_prove


def test_an_honest_power_cut_is_no_finding(check):
    maker = jm.Maker().begin()
    for unclean in range(8):
        maker.power_cycle(unclean)
    maker.export()
    report = check(maker.file(), jm.NONCE)
    assert report.ok
    assert report.boots == 9
    assert len(report.power_cuts) == 7


@pytest.mark.parametrize("story", [jm.day, jm.balanced_day, lambda: jm.upload_day()[0]])
def test_entries_are_what_cwt_and_the_cddl_say_they_are(story):
    maker = story()
    entry_schema, payload_schema, bodies = jm.cddl_schemas()
    names = {
        jm.BOOT: "boot",
        jm.CLOCK: "clock",
        jm.CONFIG: "config",
        jm.SIGNON: "signon",
        jm.INTENT: "intent",
        jm.REPLY: "reply",
        jm.OUTCOME: "outcome",
        jm.CONNECT_FAIL: "connect-fail",
        jm.REVERSAL_SENT: "reversal-sent",
        jm.REVERSAL_REPLY: "reversal-reply",
        jm.UNRESOLVED: "unresolved",
        jm.HUMAN: "human",
        jm.SLIP: "slip",
        jm.TAMPER: "tamper",
        jm.EXPORT: "export",
        jm.FAULT: "fault",
    }
    settlement = {
        jm.SETTLE_SENT: "settle-sent",
        jm.SETTLE_REPLY: "settle-reply",
        jm.UPLOAD_REPLY: "upload-reply",
        jm.BATCH_CLOSED: "batch-closed",
        jm.VAULT_DESTROYED: "vault-destroyed",
        jm.UNSETTLED: "unsettled",
    }
    assert story is not jm.day or {p[1] for p in maker.payloads} == set(names)
    names.update(settlement)
    special = {"intent-body with original", "config-body without counting"}
    assert {f"{n}-body" for n in names.values()} | special == set(bodies)
    for i, (raw, payload) in enumerate(zip(maker.entries, maker.payloads, strict=True)):
        entry_schema.validate_cbor(raw)
        assert cbor2.loads(raw)[:2] == [bytes.fromhex("A10105"), {}]
        payload_schema.validate_cbor(cbor2.dumps(payload))
        linked = " with original" if payload[1] == jm.INTENT and payload[6][9] is not None else ""
        bodies[names[payload[1]] + "-body" + linked].validate_cbor(cbor2.dumps(payload[6]))
        key = COSEKey.new({1: 4, 3: 5, -1: maker.keys[i]})
        decoded = COSE.new().decode(cbor2.dumps(cbor2.CBORTag(17, cbor2.loads(raw))), key, external_aad=maker.heads[i])
        assert cbor2.loads(decoded) == payload if isinstance(decoded, bytes) else decoded == payload


@pytest.mark.parametrize(("damage", "tamper"), jm.DAMAGE, ids=[f"{d.__name__}" for d, _ in jm.DAMAGE])
@pytest.mark.parametrize("story", [jm.small, jm.day])
def test_each_kind_of_tampering_is_named(check, damage, tamper, story):
    report = check(damage(story()))
    assert not report.ok
    assert tamper in [f.tamper for f in report.findings]
    assert report.findings[0].tamper == tamper


def place(check, data):
    report = check(data)
    return report, report.findings[0]


def test_where_and_what_of_an_edit(check):
    maker = jm.day()
    report, finding = place(check, jm.edit_payload(maker))
    assert (finding.tamper, finding.seq, finding.offset) == ("edit", 6, maker.offset(6))
    assert report.entries == 6
    assert report.unproven == maker.seq - 6
    assert len(report.findings) == 1


def test_a_changed_tag_does_not_hide_the_rest(check):
    maker = jm.day()
    report, finding = place(check, jm.edit_tag(maker))
    assert (finding.seq, finding.offset) == (6, maker.offset(7) - 32)
    assert maker.entries[6][-32:].hex() in finding.expected
    assert report.entries == maker.seq
    assert [f.tamper for f in report.findings if f.seq is not None] == ["edit"]


def test_inserted_entries_do_not_hide_the_rest(check):
    maker = jm.day()
    report, finding = place(check, jm.insert_copy(maker))
    assert finding.offset == maker.offset(6)
    assert finding.seq == 3
    assert report.entries == maker.seq
    report, finding = place(check, jm.insert_junk(maker))
    assert finding.offset == maker.offset(6)
    assert "45 bytes" in finding.found
    assert report.entries == maker.seq


def test_a_deletion_says_how_many(check):
    maker = jm.day()
    _, finding = place(check, maker.file(maker.entries[:6] + maker.entries[9:]))
    assert (finding.tamper, finding.seq, finding.offset) == ("delete", 6, maker.offset(6))
    assert "3 missing" in finding.found


def test_moved_entries_are_all_proven(check):
    maker = jm.day()
    report, finding = place(check, jm.swap(maker))
    assert (finding.tamper, finding.seq, finding.offset) == ("reorder", 6, maker.offset(6))
    assert report.entries == maker.seq
    report, finding = place(check, jm.move_to_end(maker))
    assert finding.seq == 6
    assert report.entries == maker.seq


def test_far_moves_and_floods_are_still_named(check):
    maker = jm.Maker().begin()
    for stan in range(2, 120):
        maker.approved_sale(stan)
    maker.export()
    assert check(maker.file()).ok
    entries = list(maker.entries)
    entries.insert(len(entries) - 1, entries.pop(6))
    assert maker.seq > 300
    assert check(maker.file(entries)).findings[0].tamper == "reorder"
    flood = maker.entries[:6] + [maker.entries[2]] * 400 + maker.entries[6:]
    report = check(maker.file(flood))
    assert "insert" in [f.tamper for f in report.findings] or report.findings[0].tamper == "splice"
    report = check(maker.file() + maker.entries[3] * 1000)
    assert {f.tamper for f in report.findings} == {"insert"}
    assert report.entries == maker.seq


def test_alternating_inserts_do_not_fill_the_report(check):
    maker = jm.Maker().begin()
    for stan in range(2, 300):
        maker.approved_sale(stan)
    maker.export()
    noisy = [x for e in maker.entries for x in (e, maker.entries[1])]
    report = check(maker.file(noisy))
    assert not report.ok
    assert len(report.findings) <= MOST_FINDINGS + 2  # how it ends is always said


def test_a_reseal_is_told_from_an_edit_and_says_which_key(check):
    maker = jm.day()
    report, finding = place(check, jm.reseal(maker))
    assert (finding.tamper, finding.seq, finding.offset) == ("re-seal", 6, maker.offset(6))
    assert f"key of entry {maker.seq}" in finding.found
    assert (report.entries, report.next_seq, report.head) == (6, 6, maker.heads[6].hex())
    assert len(report.findings) == 1


def test_entries_rightly_sealed_behind_a_reseal_prove_nothing(check):
    """Who stole the key of entry 9 rewrites 6 to 8 with it, and goes on from 9 as the terminal would."""
    sound, thief = jm.small(), jm.Maker().begin()
    for payload in sound.payloads[thief.seq :]:
        rightful = thief.keys[-1]
        if 6 <= thief.seq < 9:
            thief.keys[-1] = sound.keys[9]
        thief.add_raw(cbor2.dumps(payload), payload)
        thief.keys[-1] = jm.sha(b"posfw/ratchet/1", rightful)
    report = check(thief.file())
    assert [f.tamper for f in report.findings] == ["re-seal"]
    assert (report.entries, report.next_seq, report.unproven) == (6, 6, sound.seq - 6)


def test_truncation_to_an_older_export_needs_the_nonce(check):
    maker = jm.Maker().begin()
    old = bytes(15) + b"\x01"
    maker.export(old)
    older = maker.file()
    maker.approved_sale(2)
    maker.export(jm.NONCE)
    assert check(maker.file(), jm.NONCE).ok
    report = check(older)
    assert report.ok, "a whole older pull is sound in itself"
    assert "newest" in report.does_not_prove
    assert [f.tamper for f in check(older, jm.NONCE).findings] == ["rollback"]


def test_a_journal_must_begin_at_its_beginning(check):
    maker = jm.small()
    report = check(maker.file(maker.entries[4:], first_seq=4))
    assert [f.tamper for f in report.findings] == ["delete"]
    chain = Chain(4, maker.keys[4], maker.heads[4])
    report = verify_entries(maker.entries[4:], chain)
    assert report.ok
    assert (report.first_seq, report.next_seq, report.entries) == (4, maker.seq, maker.seq - 4)
    assert report.head == maker.heads[-1].hex()


def test_manifest_lies(check):
    maker = jm.small()
    for change in (
        {"count": maker.seq + 1},
        {"count": maker.seq - 1},
        {"head": bytes(32)},
        {"role": 2},
        {"tier": "es256"},
        {"journal_id": bytes(16)},
        {"terminal_id": "POS-0043"},
        {"nonce": bytes(16)},
        {"count": 1 << 60},
        {"first_seq": 1},
    ):
        assert not check(maker.file(**change)).ok, change


GOOD = cbor2.dumps([4, 20, 1, 9999, jm.NOON, 2, [1]])
SEALED_BUT_WRONG = {
    "not an array": b"\x01",
    "float": cbor2.dumps([4, 20, 1, 9999, jm.NOON, 2, [1.5]]),
    "map": cbor2.dumps([4, 20, 1, 9999, jm.NOON, 2, [{}]]),
    "tag": cbor2.dumps([4, 20, 1, 9999, jm.NOON, 2, [cbor2.CBORTag(99, 1)]]),
    "bignum": cbor2.dumps([4, 20, 1, 9999, jm.NOON, 2, [1 << 70]]),
    "undefined": GOOD[:-1] + b"\xf7",
    "non-shortest": GOOD[:-1] + b"\x18\x01",
    "trailing": GOOD + b"\x00",
    "wrong number": cbor2.dumps([5, 20, 1, 9999, jm.NOON, 2, [1]]),
    "kind": cbor2.dumps([4, 26, 1, 9999, jm.NOON, 2, [1]]),
    "quality": cbor2.dumps([4, 20, 1, 9999, jm.NOON, 4, [1]]),
    "boot goes back": cbor2.dumps([4, 20, 0, 9999, jm.NOON, 2, [1]]),
    "ms goes back": cbor2.dumps([4, 20, 1, 1, jm.NOON, 2, [1]]),
    "bool for a number": cbor2.dumps([4, 20, True, 9999, jm.NOON, 2, [1]]),
    "deep": cbor2.dumps([4, 20, 1, 9999, jm.NOON, 2, [[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]),
    "very deep": b"\x87" + b"\x81" * 1800 + b"\x00",
    "indefinite": b"\x9f" + GOOD[1:] + b"\xff",
    "duplicate keys": GOOD[:-1] + b"\xa2\x01\x01\x01\x01",
}


@pytest.mark.parametrize("name", SEALED_BUT_WRONG)
def test_sealed_but_not_in_the_form_is_refused(check, name):
    maker = jm.Maker().begin()
    maker.add_raw(SEALED_BUT_WRONG[name], [4, 20, 1, 0, 0, 0, []])
    maker.export()
    report = check(maker.file())
    assert [(f.tamper, f.seq, f.offset) for f in report.findings] == [("malformed", 4, maker.offset(4))]


def test_every_flipped_bit_is_detected(tmp_path, keys):
    maker = jm.Maker().begin()
    maker.export()
    data = maker.file()
    path = tmp_path / "j.posj"
    path.write_bytes(data)
    assert verify_file(path, keys).ok
    missed = []
    with open(path, "r+b", buffering=0) as file:
        for bit in range(len(data) * 8):
            at = bit // 8
            os.pwrite(file.fileno(), bytes([data[at] ^ 1 << bit % 8]), at)
            if verify_file(path, keys).ok:
                missed.append(bit)
            os.pwrite(file.fileno(), data[at : at + 1], at)
    assert path.read_bytes() == data
    assert missed == []


def test_every_truncation_is_detected(check):
    data = jm.small().file()
    assert check(data).ok
    assert [n for n in range(len(data)) if check(data[:n]).ok] == []


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_damage_crashes_the_verifier_or_passes_it(check, data):
    sound = jm.small().file()
    cut = data.draw(st.integers(0, len(sound)))
    gone = data.draw(st.integers(0, 200))
    junk = data.draw(st.binary(max_size=300) | st.just(jm.small().entries[3]) | st.just(b"\x84\x43\xa1\x01\x05\xa0"))
    damaged = sound[:cut] + junk + sound[cut + gone :]
    assert check(damaged).ok == (damaged == sound)


def test_scanning_gives_the_same_whatever_the_chunk():
    maker = jm.day()
    body = b"".join(maker.entries[:5]) + b"\x84\x43junk" + b"".join(maker.entries[5:9]) + maker.entries[9][:30]
    wanted = [i[:1] + i[3:] for i in posj.scan(io.BytesIO(body), 0)]
    assert len(wanted) == 11
    for chunk in (1, 2, 7, 50, 333):
        assert [i[:1] + i[3:] for i in posj.scan(io.BytesIO(body), 0, chunk)] == wanted
    assert sum(i.length for i in posj.scan(io.BytesIO(body), 0)) == len(body)


def test_memory_does_not_grow_with_the_file(tmp_path, keys):
    def peak(path):
        tracemalloc.start()
        verify_file(path, keys)
        _, top = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return top

    maker = jm.Maker().begin()
    for stan in range(2, 3000):
        maker.add(jm.FAULT, [1, 1, stan])
    maker.export()
    path = tmp_path / "long.posj"
    path.write_bytes(maker.file())
    junk = tmp_path / "junk.posj"
    junk.write_bytes(maker.manifest() + b"\x84" * 8_000_000)
    assert peak(path) < 4_000_000
    assert peak(junk) < 4_000_000


def test_what_is_no_posj_file_is_said_so(check, tmp_path, keys):
    for data in (
        b"",
        b"hello",
        b"\x8a",
        jm.small().entries[0],
        b"\x8a\x64posj" + b"\xff" * 40,
        b"\x8a\x64posj\x02" + jm.small().manifest()[7:],
    ):
        report = check(data)
        assert [f.tamper for f in report.findings] == ["malformed"]
    with pytest.raises(OSError):
        verify_file(tmp_path / "absent", keys)


def test_the_verifier_shares_no_code_with_the_terminal():
    allowed = {
        "cbor2",
        "hashlib",
        "hmac",
        "cryptography",
        "posaudit",
        "collections",
        "dataclasses",
        "typing",
        "__future__",
        "json",
        "os",
        "secrets",
        "stat",
        "pathlib",
    }
    for name in ("seal", "chain", "breaks", "naming", "ending", "findings", "posj", "keys", "__init__"):
        for node in ast.walk(ast.parse((PACKAGE / f"{name}.py").read_text(encoding="utf-8"))):
            found = (
                [a.name for a in node.names]
                if isinstance(node, ast.Import)
                else [node.module]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            assert {f.split(".")[0] for f in found} <= allowed, name
    code = "import sys, posaudit.seal; print([m for m in sys.modules if m.split('.')[0] in ('posfw', 'board')])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
    )
    assert done.stdout.strip() == "[]"


def test_the_first_key_and_head_are_as_the_specification_has_them(keys):
    chain = Chain.start(keys, jm.TERMINAL)
    maker = jm.Maker()
    assert chain.key == maker.keys[0]
    assert chain.head == hashlib.sha256(b"posfw/genesis/1" + jm.JOURNAL_ID).digest()
