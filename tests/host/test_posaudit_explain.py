"""show, explain, verify and keys, as people and programs meet them."""

import json
import os
import stat
import subprocess
import sys

import cbor2
import journal_maker as jm
import pytest
from posaudit import keys as keys_module
from posaudit.cli import app
from posaudit.describe import Context, describe, money, span
from posaudit.explain import lines, read_story, to_dict
from posaudit.keys import AuditorKeys, KeysError
from posaudit.names import KINDS, misshapen, well_shaped
from posaudit.show import read_entries
from posaudit.texts import _TEXT
from typer.testing import CliRunner

from posfw import numbers
from posfw.receipt.text import cause_text


def cli(*args, **env):
    return CliRunner(env={"LANG": "C", "LC_ALL": "", **env}).invoke(app, [str(a) for a in args])


@pytest.fixture
def key_file(tmp_path):
    path = tmp_path / "keys.json"
    AuditorKeys(jm.MASTER, {jm.TERMINAL: jm.JOURNAL_ID}).save(path, new=True)
    return path


@pytest.fixture
def posj(tmp_path):
    def write(data, name="j.posj"):
        path = tmp_path / name
        path.write_bytes(data if isinstance(data, bytes) else data.file())
        return path

    return write


# -- show


def test_show_gives_every_entry_a_line_in_local_time(posj):
    maker = jm.day()
    done = cli("show", posj(maker))
    rows = done.stdout.splitlines()
    assert done.exit_code == 0
    assert len(rows) == maker.seq
    assert rows[0].split()[:4] == ["#0", "2026-06-01", "12:00:01", "CONFIG"]
    assert [r.split()[3] for r in rows] == [KINDS[p[1]] for p in maker.payloads]
    assert "not verified" in done.stderr.lower()
    assert "不能证明" in cli("show", posj(maker), "--lang", "zh").stderr


def test_show_filters(posj, key_file):
    path = posj(jm.day())

    def seqs(*args):
        return [e["seq"] for e in json.loads(cli("show", path, "--json", *args).stdout)["entries"]]

    intents = [p[0] for p in jm.day().payloads if p[1] == jm.INTENT]
    assert seqs("--kind", "intent") == intents
    assert seqs("--kind", "reversal-sent") == seqs("--kind", "REVERSAL_SENT") != []
    assert seqs("--txn", 9) == [9, 10, 11, 12, 13]
    assert seqs("--stan", 2) == [4, 5, 6, 7, 8, *range(intents[-1], intents[-1] + 5)]
    assert seqs("--stan", 1) == [2, 3]
    assert seqs("--stan", 4, "--kind", "slip") == [17, 18, 22, 23]
    assert cli("show", path, "--kind", "nonsense").exit_code == 2
    assert cli("show", path, "--kind", "intent", "--keys", key_file).exit_code == 0


def test_a_filter_hides_nothing_that_was_made_unreadable(posj, key_file):
    maker = jm.day()
    raw = bytearray(maker.entries[20])
    raw[9:12] = b"\xff\xff\xff"
    entries = [*maker.entries[:20], bytes(raw), *maker.entries[21:]]
    done = cli("show", posj(maker.file(entries)), "--stan", 3)
    assert any("?" in row and f"byte {maker.offset(20)}" in row for row in done.stdout.splitlines())
    shaped = jm.Maker().begin()
    shaped.add(jm.SLIP, ["nine", 1, 1, 0])
    assert "nine" in cli("show", posj(shaped), "--txn", 9).stdout


def test_show_with_keys_marks_what_is_not_proven(posj, key_file):
    done = cli("show", posj(jm.edit_payload(jm.day())), "--keys", key_file)
    assert done.exit_code == 1
    rows = done.stdout.splitlines()
    assert [r.startswith("[not proven]") for r in rows[:8]] == [False] * 6 + [True] * 2
    assert "edit at entry 6" in done.stderr


def test_texts_from_a_journal_cannot_drive_the_terminal(posj):
    maker = jm.Maker()
    maker.add(jm.CONFIG, ["T", "\x1b[2J", "m\n\r", "\u202eevil", "p", bytes(32), 10**9, "\x1b"])
    maker.add(jm.HUMAN, [0, 1, "\x1b]0;x\x07", "a\nb", b""])
    maker.add(23, ["\x1b[31m"])
    out = cli("show", posj(maker.file())).stdout
    assert len(out.splitlines()) == 3
    assert all(row.isprintable() for row in out.splitlines())


def test_every_kind_and_number_has_its_words_in_both_languages():
    named = {name: value for name, value in vars(numbers).items() if name.isupper()}
    assert len(KINDS) == 25
    for lang in ("en", "zh"):
        context = Context(lang)
        said = set()
        for payload in jm.day().payloads:
            text = describe(payload, context)
            assert "{" not in text
            said.add(text)
        assert len(said) > 30
    stems = (("V_", "verdict"), ("SLIP_", "slip"), ("AREA_", "area"), ("BY_", "by"), ("CLOSED_", "how"))
    for prefix, stem in stems:
        for name, value in named.items():
            if name.startswith(prefix) and value:
                assert f"{stem}{value}" in _TEXT, name
    for key, pair in _TEXT.items():
        fields = [sorted(part.split("}")[0] for part in text.split("{")[1:]) for text in pair]
        assert fields[0] == fields[1], key


def test_shapes_agree_with_the_published_cddl():
    days = [jm.day(), jm.balanced_day(), jm.upload_day()[0], jm.Maker().begin(counting=None)]
    for payload in (p for day in days for p in day.payloads):
        assert well_shaped(payload)
        body = payload[6]
        for broken in ([*body, 1], body[:-1], [None] * 3, [[]] * len(body)):
            shorter = payload[1] == jm.CONFIG and broken == body[:8]  # as it was before settlement
            assert misshapen([*payload[:6], broken]) is not shorter


def test_money_and_spans():
    assert money(12805, "156") == "128.05 CNY"
    assert money(5, "840") == "0.05 USD"
    assert money(500, "392") == "500 JPY"
    assert money(500, "999") == "5.00 999"
    assert span(640) == "0.6 s"
    assert span(90_000) == "1 min 30 s"
    assert span(7_260_000) == "2 h 1 min"


# -- explain


def story_of(posj, maker, txn, lang="en"):
    return read_story(posj(maker), txn, lang)


def test_each_way_a_transaction_can_end(posj):
    def began():
        return jm.Maker().begin()

    cases = []
    m = began()
    cases.append((m, m.approved_sale(2), "approved", 0, []))
    m = began()
    cases.append((m, m.declined_sale(2), "declined", 7, []))
    m = began()
    txn = m.intent(2)
    cases.append((m, txn, "open", 0, []))
    m = began()
    txn = m.intent(2)
    m.add(jm.CONNECT_FAIL, [txn, 2, 0, 1])
    m.add(jm.OUTCOME, [txn, 4, 1, "", 0])
    cases.append((m, txn, "not_sent", 1, []))
    m = began()
    cases.append((m, m.silent_sale(2), "reversal_owed", 3, ["reversal"]))
    m = began()
    txn = m.silent_sale(2)
    m.add(jm.REVERSAL_SENT, [txn, 1, "98"])
    m.power_cycle(1)
    cases.append((m, txn, "reversal_owed", 3, ["reversal"]))
    m = began()
    txn = m.silent_sale(2)
    m.reverse(txn, 1, verdict=11, code="25")
    m.add(jm.UNRESOLVED, [txn, 1, 3])
    m.slip(txn, 7)
    cases.append((m, txn, "unresolved", 3, ["reversal", "slip"]))
    m = began()
    txn = m.silent_sale(2)
    m.reverse(txn)
    cases.append((m, txn, "reversed", 3, []))
    m = began()
    txn = m.approved_sale(2)
    m.add(jm.OUTCOME, [txn, 5, 16, "96", 0])
    cases.append((m, txn, "reversal_owed", 16, ["reversal", "slip"]))
    day = jm.day()
    late = next(p[0] for p in day.payloads if p[1] == jm.INTENT and p[6][0] == 5)
    cases.append((day, late, "closed_by_human", 2, []))
    for maker, txn, state, cause, owed in cases:
        for lang in ("en", "zh"):
            story = story_of(posj, maker, txn, lang)
            value = to_dict(story, None)
            assert story.replay_failed_at is None
            assert (value["state"], [o["what"] for o in value["owed"]]) == (state, owed), state
            if state != "closed_by_human":
                assert value["cause"] == cause
            text = "\n".join(lines(story, None))
            assert value["state_text"] in text
            if cause and state != "closed_by_human":
                assert cause_text(lang, "customer", cause) in text
                assert cause_text(lang, "technician", cause) in text


def test_a_restart_in_the_middle_is_part_of_the_story_and_a_later_one_is_not(posj):
    maker = jm.Maker().begin()
    txn = maker.silent_sale(2)
    cut = maker.power_cycle(1)
    maker.reverse(txn)
    later = maker.power_cycle(0)
    story = story_of(posj, maker, txn)
    seqs = [p[0] for p, _, _ in story.events]
    assert cut in seqs
    assert later not in seqs
    assert [p[0] for p, own, _ in story.events if not own] == [cut]
    assert "power was cut" in "\n".join(lines(story, None))


def test_a_void_is_told_on_both_sides(posj):
    maker = jm.day()
    path = posj(maker)
    sale = cli("explain", path, "--txn", 4)
    assert "STAN 000006" in sale.stdout
    assert "void" in sale.stdout
    void = cli("explain", path, "--stan", 6)
    assert "of STAN 000002, batch 000001, 128.00 CNY" in void.stdout
    assert "Nothing was sent" in void.stdout


def test_explain_by_command(posj, key_file):
    maker = jm.day()
    path = posj(maker)
    done = cli("explain", path, "--stan", "000004", "--keys", key_file)
    assert done.exit_code == 0
    for words in (
        "100.00 CNY",
        "622848******1234",
        "TEA HOUSE 茶馆",
        "#14",
        "12:00:15",
        "Reversed",
        "Verified",
        jm.JOURNAL_ID.hex(),
        "+08:00",
    ):
        assert words in done.stdout
    chinese = cli("explain", path, "--stan", 4, LANG="zh_CN.UTF-8").stdout
    assert "已冲正" in chinese
    assert "未验证" in chinese
    value = json.loads(cli("explain", path, "--stan", 5, "--json", "--keys", key_file).stdout)
    assert value["verified"] is True
    assert value["state"] == "closed_by_human"
    assert value["rrn"] == "000000000005"
    assert all(e["proven"] for e in value["events"])


def test_a_stan_in_two_batches_must_be_chosen(posj):
    path = posj(jm.day())
    both = cli("explain", path, "--stan", 2)
    assert both.exit_code == 2
    assert "--batch 1 (--txn 4)" in both.stderr
    assert "--batch 2 (--txn 53)" in both.stderr
    assert both.stdout == ""
    assert "128.00" in cli("explain", path, "--stan", 2, "--batch", 1).stdout
    assert "7.77" in cli("explain", path, "--stan", 2, "--batch", 2).stdout


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["--stan", 2, "--txn", 4],
        ["--stan", 99],
        ["--txn", 5],
        ["--stan", 2, "--batch", 9],
        ["--stan", 4, "--lang", "fr"],
    ],
)
def test_explain_says_what_to_try(posj, args):
    done = cli("explain", posj(jm.day()), *args)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert "posaudit: " in done.stderr


def test_explain_of_a_broken_journal_says_so(posj, key_file):
    path = posj(jm.edit_payload(jm.day(), 21))
    done = cli("explain", path, "--stan", 4, "--keys", key_file)
    assert done.exit_code == 1
    assert "NOT PROVEN" in done.stdout
    assert "edit at entry 21" in done.stdout
    assert "[not proven]" in done.stdout


def test_a_forged_entry_is_told_but_not_believed(posj, key_file):
    maker = jm.Maker().begin()
    txn = maker.silent_sale(2)
    maker.export()
    payload = [maker.seq - 1, jm.REVERSAL_REPLY, 1, maker.ms, maker.rtc, 2, [txn, 1, "00", "", 500, 0]]
    forged = jm.seal(bytes(32), maker.heads[-2], cbor2.dumps(payload))
    path = posj(maker.file([*maker.entries[:-1], forged, maker.entries[-1]]))
    value = json.loads(cli("explain", path, "--stan", 2, "--json", "--keys", key_file).stdout)
    assert value["state"] == "reversal_owed"
    assert [o["what"] for o in value["owed"]] == ["reversal"]
    assert [e["proven"] for e in value["events"]] == [True] * (len(value["events"]) - 1) + [False]
    shown = json.loads(cli("show", path, "--json", "--keys", key_file).stdout)["entries"]
    assert [e["proven"] for e in shown[-3:]] == [True, False, True]
    assert [e["seq"] for e in shown[-2:]] == [maker.seq - 1] * 2
    unchecked = json.loads(cli("explain", path, "--stan", 2, "--json").stdout)
    assert unchecked["state"] == "reversed"
    assert unchecked["verified"] is None


def test_what_cannot_be_replayed_is_not_guessed(posj):
    maker = jm.Maker().begin()
    txn = maker.silent_sale(2)
    maker.add(jm.REVERSAL_SENT, [txn, "one", "98"])
    maker.add(jm.OUTCOME, [txn + 1000, 1, 0, "", 0])
    story = story_of(posj, maker, txn)
    assert story.replay_failed_at == txn + 5
    text = "\n".join(lines(story, None))
    assert f"#{txn + 5}" in text
    assert "cannot be read" in text
    assert to_dict(story, None)["owed_known"] is False
    orphan = jm.Maker().begin()
    txn = orphan.silent_sale(2)
    orphan.add(jm.OUTCOME, [txn + 1000, 1, 0, "", 0])
    assert story_of(posj, orphan, txn).replay_failed_at == orphan.seq - 1


# -- verify, and files that are none


def test_verify_by_command(posj, key_file, tmp_path):
    good, bad = posj(jm.day(), "good.posj"), posj(jm.delete_one(jm.day()), "bad.posj")
    done = cli("verify", good, "--keys", key_file)
    assert done.exit_code == 0
    assert "VERIFIED" in done.stdout
    assert "1 power cut repaired" in done.stdout
    assert "does not prove" in done.stdout
    done = cli("verify", good, bad, "--keys", key_file)
    assert done.exit_code == 1
    assert "delete at entry 6" in done.stdout
    value = json.loads(cli("verify", good, bad, "--keys", key_file, "--json").stdout)
    assert [f["ok"] for f in value["files"]] == [True, False]
    assert value["files"][1]["findings"][0]["tamper"] == "delete"
    assert value["ok"] is False
    assert cli("verify", tmp_path / "none", "--keys", key_file).exit_code == 2
    assert cli("verify", good, "--keys", tmp_path / "none").exit_code == 2
    assert cli("verify", good, "--keys", key_file, "--nonce", "12").exit_code == 2
    assert cli("verify", good).exit_code == 2
    assert cli("verify", good, POSAUDIT_KEYS=str(key_file)).exit_code == 0


def test_files_that_are_none_give_exit_2(posj, tmp_path, key_file):
    path = posj(b"hello")
    for args in (
        ["show", path],
        ["explain", path, "--stan", 1],
        ["show", tmp_path / "none"],
        ["explain", tmp_path, "--stan", 1],
    ):
        done = cli(*args)
        assert done.exit_code == 2
        assert "posaudit: " in done.stderr
    assert cli("verify", path, "--keys", key_file).exit_code == 1


def test_the_console_script_and_a_closed_pipe(posj):
    path = posj(jm.day())
    code = "from posaudit.cli import main; main()"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "LANG": "C.UTF-8"}
    done = subprocess.run([sys.executable, "-c", code, "show", str(path)], capture_output=True, env=env)
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == jm.day().seq
    process = subprocess.Popen(
        [sys.executable, "-c", code, "show", str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env
    )
    process.stdout.close()
    assert b"Traceback" not in process.stderr.read()
    process.stderr.close()
    process.wait()


def test_reading_entries_is_lazy_and_checks_cbor(posj):
    maker = jm.Maker().begin()
    maker.add_raw(cbor2.dumps([4, 20, 1, 9999, 0, 0, [1.5]]))
    _, entries = read_entries(posj(maker.file()))
    found = list(entries)
    assert [bool(e.fault) for e in found] == [False] * 4 + [True]


# -- keys


def test_a_new_key_file_is_private_and_never_overwritten(tmp_path):
    path = tmp_path / "k.json"
    assert cli("keys", "new", path).exit_code == 0
    before = path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = cli("keys", "new", path)
    assert again.exit_code == 2
    assert path.read_bytes() == before
    document = json.loads(before)
    assert document["format"] == "posfw-auditor-keys/1"
    assert len(bytes.fromhex(document["master"])) == 32
    assert document["terminals"] == {}
    other = tmp_path / "l.json"
    cli("keys", "new", other)
    assert json.loads(other.read_bytes())["master"] != document["master"]
    assert document["master"] not in cli("keys", "new", tmp_path / "m.json", "--json").stdout


def test_keys_round_trip_and_keep_what_they_do_not_know(tmp_path):
    path = tmp_path / "k.json"
    keys = AuditorKeys.new()
    journal_id = keys.add_terminal("POS-1")
    assert len(journal_id) == 16
    keys.save(path, new=True)
    document = json.loads(path.read_text())
    document["future"] = [1]
    document["terminals"]["POS-1"]["public"] = "aa"
    path.write_text(json.dumps(document))
    loaded = AuditorKeys.load(path)
    assert (loaded.master, loaded.terminals) == (keys.master, {"POS-1": journal_id})
    loaded.add_terminal("POS-2")
    loaded.save(path)
    after = json.loads(path.read_text())
    assert after["future"] == [1]
    assert after["terminals"]["POS-1"] == document["terminals"]["POS-1"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["k.json"]
    with pytest.raises(KeysError):
        loaded.add_terminal("POS-2")
    for bad in ("", "a" * 65, "a\nb", "茶" * 22):
        with pytest.raises(KeysError):
            loaded.add_terminal(bad)
    assert loaded.master.hex() not in repr(loaded)


def test_derived_keys_are_those_of_the_specification():
    maker = jm.Maker()
    assert keys_module.derive_k0(jm.MASTER, jm.TERMINAL, jm.JOURNAL_ID) == maker.keys[0]
    for role in ("technician", "auditor", "supervisor"):
        info = f"posfw/role/{role}/1{jm.TERMINAL}".encode()
        assert keys_module.role_key(jm.MASTER, jm.TERMINAL, jm.JOURNAL_ID, role) == jm.hkdf(
            jm.MASTER, jm.JOURNAL_ID, info
        )
    with pytest.raises(KeysError):
        keys_module.role_key(jm.MASTER, jm.TERMINAL, jm.JOURNAL_ID, "thief")


GOOD = {"format": "posfw-auditor-keys/1", "master": "00" * 32, "terminals": {"T": {"journal_id": "11" * 16}}}
BAD = {
    "empty": "", "not json": "{", "array": "[]", "other format": json.dumps({**GOOD, "format": "x"}),
    "short master": json.dumps({**GOOD, "master": "00"}),
    "no master": json.dumps({"format": GOOD["format"], "terminals": {}}),
    "bad hex": json.dumps({**GOOD, "master": "zz" * 32}), "terminals": json.dumps({**GOOD, "terminals": []}),
    "journal": json.dumps({**GOOD, "terminals": {"T": {"journal_id": "11"}}}),
    "terminal": json.dumps({**GOOD, "terminals": {"T": 1}}), "deep": "[" * 100_000,
    "twice": '{"format": "posfw-auditor-keys/1", "master": "' + "00" * 32 + '", "master": "' + "11" * 32
             + '", "terminals": {}}',
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_key_files_are_refused_without_quoting_them(tmp_path, name):
    path = tmp_path / "k.json"
    path.write_text(BAD[name])
    path.chmod(0o600)
    with pytest.raises(KeysError) as caught:
        AuditorKeys.load(path)
    assert "00" * 8 not in str(caught.value)


def test_key_files_others_can_read_are_refused(tmp_path):
    path = tmp_path / "k.json"
    path.write_text(json.dumps(GOOD))
    for mode in (0o644, 0o640, 0o606):
        path.chmod(mode)
        with pytest.raises(KeysError, match="chmod 600"):
            AuditorKeys.load(path)
    path.chmod(0o400)
    assert AuditorKeys.load(path).terminals == {"T": b"\x11" * 16}
