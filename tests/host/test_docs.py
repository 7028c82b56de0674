"""What the documents say can be done, can be done: commands, options, links, keys, and the code they show."""

import importlib
import json
import re
import shlex
import sys
import types
from pathlib import Path
from typing import Any

import posaudit.cli
import pytest
import typer
from interpreters import ROOT
from poslab.acquirer.profile import load_profile
from poslab.cli import app as poslab_app

from posfw.acquirer import messages
from posfw.acquirer.profile import Profile, ProfileError
from posfw.numbers import SALE, SLIP_REVERSED, SLIP_SALE, VOID

sys.path.append(str(ROOT / "tests" / "device"))
sim = importlib.import_module("sim")
UsageError = typer.BadParameter.__mro__[1]  # wherever this version of typer has it
READMES = ("README.md", "README.zh-CN.md")
TRANSLATED = ("docs/pictures/explain.svg", "docs/pictures/explain.zh-CN.svg")
DOCS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "board" / "README.md"])
TOOLS = {
    "poslab": typer.main.get_command(poslab_app),
    "posaudit": typer.main.get_command(posaudit.cli.app),
}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROFILES = sorted((ROOT / "posfw" / "acquirer" / "profiles").glob("*.json"))


def read(path) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def blocks(path, language: str) -> list[str]:
    return [body for found, body in FENCE.findall(read(path)) if found == language]


def prose(text: str) -> str:
    return FENCE.sub("", text)


def named(doc: Path):
    return doc.relative_to(ROOT).as_posix()


def command_lines():
    """(document, words) of every line of every shell block."""
    for doc in DOCS:
        for block in blocks(doc, "sh"):
            for line in block.splitlines():
                if line.strip() and not line.lstrip().startswith("#"):
                    yield pytest.param(shlex.split(line), id=f"{named(doc)}: {line[:60]}")


def quoted_commands():
    """(document, words) of every command of ours that stands in the text itself, in backticks."""
    for doc in DOCS:
        for span in re.findall(r"`([^`\n]+)`", prose(doc.read_text(encoding="utf-8"))):
            if re.match(r"(make|poslab|posaudit) [a-z]", span):
                yield pytest.param(shlex.split(span), id=f"{named(doc)}: {span}")


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", read("Makefile"), re.MULTILINE))


def enter(words: list[str]) -> tuple[Any, list[str]]:
    """The command that `words` name, and the words behind its name."""
    command, rest = TOOLS[Path(words[0]).name], words[1:]
    while hasattr(command, "commands"):
        assert rest, f"{words} names no command"
        found = command.commands.get(rest[0])
        assert found is not None, f"{rest[0]} is no command of {command.name}"
        command, rest = found, rest[1:]
    return command, rest


@pytest.mark.parametrize("words", list(command_lines()))
def test_commands_in_blocks_are_complete(words):
    program = Path(words[0]).name
    if program == "make":
        targets = [word for word in words[1:] if "=" not in word]
        assert targets and set(targets) <= make_targets()
        return
    assert program in TOOLS, f"{program} is not ours: a reader cannot know where it comes from"
    assert words[0] == f".venv/bin/{program}", "as typed from the checkout, without an activated environment"
    command, rest = enter(words)
    # Parses options, types and required values as a real run does, and runs nothing.
    command.make_context(command.name, list(rest))


@pytest.mark.parametrize("words", list(quoted_commands()))
def test_commands_in_the_text_exist(words):
    if words[0] == "make":
        assert {word for word in words[1:] if "=" not in word} <= make_targets()
        return
    command, rest = enter(words)
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word.split("=")[0] for word in rest if word.startswith("--")} <= known


def test_the_check_of_commands_would_notice():
    for wrong in ("posaudit vanish x", "posaudit verify x --frobnicate", "posaudit pull --port auto"):
        with pytest.raises((AssertionError, UsageError)):
            command, rest = enter(wrong.split())
            command.make_context(command.name, list(rest))


def anchor(heading: str) -> str:
    """GitHub's anchor of a heading."""
    kept = re.sub(r"[^\w\- ]", "", re.sub(r"[`*]", "", heading).lower())
    return kept.strip().replace(" ", "-")


@pytest.mark.parametrize("doc", DOCS, ids=named)
def test_links_resolve(doc):
    text = prose(doc.read_text(encoding="utf-8"))
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'\b(?:src|href)="([^"]+)"', text)
    for target in targets:
        if re.match(r"https?://", target):
            continue
        path, _, place = target.partition("#")
        there = (doc.parent / path).resolve() if path else doc
        assert there.exists(), target
        assert there.is_relative_to(ROOT), target
        if place:
            headings = re.findall(r"^#+ (.+)$", prose(there.read_text(encoding="utf-8")), re.MULTILINE)
            assert place in {anchor(heading) for heading in headings}, target


def test_files_named_in_the_docs_exist():
    paths = re.compile(r"`((?:posfw|board|tools|tests|docs)/[\w./-]+)`")
    for doc in DOCS:
        for span in paths.findall(prose(doc.read_text(encoding="utf-8"))):
            assert (ROOT / span).exists(), f"{named(doc)}: {span}"


def test_readmes_name_the_two_commands():
    for path in READMES:
        assert "make demo\nmake test\n" in blocks(path, "sh")


def test_readmes_have_the_same_structure():
    english, chinese = (read(path) for path in READMES)
    shapes = [
        {
            "headings": [len(level) for level in re.findall(r"^(#+) ", prose(text), re.MULTILINE)],
            "blocks": FENCE.findall(text),
            "bullets": len(re.findall(r"^- ", text, re.MULTILINE)),
            "table rows": len(re.findall(r"^\|", text, re.MULTILINE)),
            "links": sorted(set(re.findall(r"\]\(([^)#\s]+)\)", text)) - {*READMES, *TRANSLATED}),
            "options": sorted(set(re.findall(r"`(--[\w-]+)", text))),
        }
        for text in (english, chinese)
    ]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("doc", DOCS, ids=named)
def test_docs_hold_no_path_of_the_machine_they_were_written_on(doc):
    assert not re.search(r"(/home/|/root/|/work/|/tmp/|/Users/)", doc.read_text(encoding="utf-8"))


def test_pictures_fetch_nothing_and_hold_no_path():
    pictures = sorted((ROOT / "docs" / "pictures").glob("*.svg"))
    assert len(pictures) >= 4
    for picture in pictures:
        svg = picture.read_text(encoding="utf-8")
        assert not re.search(r"url\(\W?https?:|@import|<script|(?:href|src)=.https?:", svg), picture.name
        assert not re.search(r"/(home|root|work|tmp|Users)/", svg), picture.name


def test_the_pending_slip_in_the_picture_says_what_it_must():
    svg = read("docs/pictures/pending-slip.svg")
    shown = "".join(re.findall(r"<text[^>]*>([^<]*)</text>", svg))
    for text in ("PENDING REVERSAL", "待冲正", "13.00", "622202*4567", "请先查询,勿重复交易", "非凭证联"):
        assert text in shown


# -- profiles ----------------------------------------------------------------------------------------------------------


def documented() -> set[str]:
    """Every word in backticks in docs/profiles.md."""
    spans = re.findall(r"`([^`\n]+)`", prose(read("docs/profiles.md")))
    return {*spans, *(span.strip('"') for span in spans)}


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_every_key_of_a_shipped_profile_is_documented(path):
    words = documented()
    data = json.loads(path.read_text(encoding="utf-8"))
    assert data["name"] in words
    free = ("messages", "acquirer", "reasons")
    for key, value in data.items():
        if isinstance(value, dict) and key not in free and key != "mac":
            assert {f"{key}.{inner}" for inner in value} <= words, key
        else:
            assert key in words, key
    assert {*data["acquirer"], *data["reasons"], *(data["mac"] or {})} <= words
    assert set(data["messages"]) <= words
    assert {key for message in data["messages"].values() for key in message} <= words


def test_every_source_of_a_message_field_is_documented():
    words = documented()
    simulated = sim.Sim()
    simulated.pay()
    t = simulated.state.txns[simulated.state.last_approved]
    t.original = [0, 1, 1, "1123", "", "", 1]
    values = messages.values_of(simulated.terminal.profile, t, {"mti": "0200"})
    assert len(values) > 15
    card = {"pan", "expiry", "card_seq", "track2", "icc", "pin_block", "tid", "mid", "mac"}
    assert set(values) | card <= words
    for path in PROFILES:
        for message in json.loads(path.read_text(encoding="utf-8"))["messages"].values():
            for source in message["fields"].values():
                for part in source if isinstance(source, list) else [source]:
                    assert part.startswith("=") or part.lstrip("?") in words, part


def smallest() -> dict:
    (block,) = blocks("docs/profiles.md", "json")
    return json.loads(block)


def test_the_smallest_profile_is_accepted_by_terminal_and_acquirer(tmp_path):
    Profile(smallest(), sim.SETTINGS, "T", bytes(32))
    path = tmp_path / "smallest.json"
    path.write_text(json.dumps(smallest()), encoding="utf-8")
    assert {m.kind for m in load_profile(path).messages} == {"signon", "sale", "reversal"}


def test_the_smallest_profile_sells_and_reverses():
    simulated = sim.Sim(smallest())
    assert simulated.pay()["message"] == "approved"
    assert simulated.pay(kind=VOID, original=2)["message"] == "bad_request", "a type without a message is not offered"
    simulated.host.faults = ["silent"]
    assert simulated.pay(500)["message"] == "unknown_outcome"
    assert simulated.pay(600)["message"] == "approved"
    mti, fields = simulated.host.seen[-2]
    assert (mti, fields[11], fields[4], fields[39]) == ("0400", "000003", "000000000500", "98")
    simulated.idle()
    assert simulated.printer.kinds()[-2:] == [SLIP_REVERSED, SLIP_SALE]


@pytest.mark.parametrize("key", sorted(set(smallest()) - {"mac"}))
def test_what_the_smallest_profile_holds_must_be_given(key):
    data = smallest()
    del data[key]
    with pytest.raises(ProfileError):
        Profile(data, sim.SETTINGS, "T", bytes(32))


# -- code that is shown ------------------------------------------------------------------------------------------------


def run_shown(code: str, tmp_path, monkeypatch, turns: int = 40, **extra):
    """Run a program of the docs on the board in RAM, its endless loop cut short; return the board."""
    (tmp_path / "profile.json").write_text(json.dumps(sim.profile()), encoding="utf-8")
    board = sim.SimBoard(sim.profile())
    module = types.ModuleType("myboard")
    module.Board, module.SETTINGS = lambda: board, sim.SETTINGS
    for name, value in extra.items():
        setattr(module, name, value)
    monkeypatch.setitem(sys.modules, "myboard", module)
    assert code.count("while True:") == 1
    monkeypatch.chdir(tmp_path)
    exec(compile(code.replace("while True:", f"for _ in range({turns}):"), "shown", "exec"), {"__name__": "shown"})
    return board


CARD = {
    "mode": 5, "pan": sim.PAN, "expiry": "3012", "card_seq": "001", "scheme": 1, "aid": "A000000333010101",
    "icc": bytes.fromhex("9F2608010203040506070895050000000000"),
}  # fmt: skip


def test_the_ten_lines_sell(tmp_path, monkeypatch, capsys):
    (code,) = blocks("README.md", "python")
    assert len([line for line in code.splitlines() if line]) <= 11
    board = run_shown(code, tmp_path, monkeypatch, read_card=lambda: dict(CARD))
    assert capsys.readouterr().out == "approved\n"
    assert board.printer.kinds() == [SLIP_SALE]


def test_the_main_program_for_vendors_sells(tmp_path, monkeypatch):
    (code,) = blocks("docs/vendors.md", "python")
    requests = [{"type": SALE, "amount": 1234, "card": dict(CARD), "operator": "01"}]
    board = run_shown(code, tmp_path, monkeypatch, read_request=lambda: requests.pop() if requests else None)
    assert not requests
    assert board.printer.kinds() == [SLIP_SALE]
