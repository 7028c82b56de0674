"""Every device test a second time, under MicroPython, from .mpy files and in the heap a terminal has.

A file runs once per session (per worker under xdist); each of its tests is a case of its own here. A file
whose simulation keeps in RAM what a terminal has in flash says so with a line `HEAP = "2M"` and the reason.
"""

import ast
import functools
import re
import subprocess
from pathlib import Path

import pytest
from interpreters import ROOT, compile_tree, micropython, stage_mpy

DEVICE = ROOT / "tests" / "device"
BUILD = ROOT / "build" / "mpy"
FILES = sorted(path.stem for path in DEVICE.glob("test_*.py"))


def top_level(stem):
    """The statements of a file; none if it is not valid Python."""
    try:
        return ast.parse((DEVICE / f"{stem}.py").read_text(encoding="utf-8")).body
    except SyntaxError:
        return []


def names_of(stem):
    """The test functions of a file, in order."""
    return [n.name for n in top_level(stem) if isinstance(n, ast.FunctionDef) and n.name.startswith("test_")]


def heap_of(stem):
    """The heap a file runs in: a terminal's, unless it declares another."""
    for node in top_level(stem):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "HEAP":
            return ast.literal_eval(node.value)
    return "256K"


class Run:
    """What one file did: `results` {test: its output lines, first `ok` or `FAIL`}, `crash` a text or None."""

    def __init__(self, stem, stdout, stderr, status):
        self.results = {}
        lines = None
        for line in stdout.splitlines():
            match = re.fullmatch(rf"(?:ok|FAIL) {stem}\.(\w+)", line)
            if match:
                lines = self.results[match[1]] = [line]
            elif lines is not None:
                lines.append(line)
        self.crash = None
        if not re.search(r"^ran \d+$", stdout, re.MULTILINE):
            self.crash = f"MicroPython stopped with status {status} in {stem}\n{stderr}\n{stdout}"


@functools.cache
def run_file(stem):
    try:
        stage = stage_mpy(BUILD / "device")
        modules = [p for p in DEVICE.glob("*.py") if p.stem == stem or not p.stem.startswith("test_")]
        tests = compile_tree({Path(p.name): p for p in modules}, BUILD / "tests" / stem)
        # Device tests open data files by their place in the tree, as they do under pytest.
        path = {"MICROPYPATH": f"{tests}:{stage}:.frozen"}
        done = micropython(["-m", "runner", stem], cwd=stage, heap=heap_of(stem), env=path, timeout=300)
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        return Run(stem, "", str(error), "none")
    return Run(stem, done.stdout, done.stderr, done.returncode)


@pytest.mark.parametrize(("stem", "name"), [(stem, name) for stem in FILES for name in names_of(stem)])
def test_device(stem, name):
    run = run_file(stem)
    if run.crash:
        pytest.fail(run.crash, pytrace=False)
    lines = run.results.get(name, [f"{stem}.{name} did not run"])
    if not lines[0].startswith("ok "):
        pytest.fail("\n".join(lines), pytrace=False)


@pytest.mark.parametrize("stem", FILES)
def test_file_holds_tests(stem):
    names = names_of(stem)
    assert names, "no test function at the top level, or not valid Python"
    assert len(names) == len(set(names)), "two tests of one name: the second hides the first"


def test_there_are_device_tests():
    assert FILES


def test_the_code_under_test_is_the_compiled_one(tmp_path):
    stage = stage_mpy(BUILD / "device")
    code = "import posfw.codec.cbor as m, sys; print(sys.implementation.name, m.__file__)"
    done = micropython(["-c", code], cwd=tmp_path, env={"MICROPYPATH": f"{stage}:.frozen"})
    assert done.stdout.split() == ["micropython", f"{stage}/posfw/codec/cbor.mpy"], done.stderr


def test_failure_and_crash_are_told_apart():
    good = Run("test_x", "ok test_x.test_a\nFAIL test_x.test_b\n    Traceback\nran 2\n", "", 1)
    assert good.crash is None
    assert good.results["test_a"] == ["ok test_x.test_a"]
    assert good.results["test_b"] == ["FAIL test_x.test_b", "    Traceback", "ran 2"]
    dead = Run("test_x", "ok test_x.test_a\n", "Segmentation fault", -11)
    assert "Segmentation fault" in dead.crash and "-11" in dead.crash


@pytest.mark.parametrize(
    ("body", "heap", "expected"),
    [
        ("def test_a():\n    assert 1 == 2\n", "256K", {"test_a": "FAIL"}),
        ("def test_a():\n    1 / 0\n\ndef test_b():\n    pass\n", "256K", {"test_a": "FAIL", "test_b": "ok"}),
        ("def test_a():\n    bytearray(300000)\n", "256K", {"test_a": "FAIL"}),
        ("def test_a():\n    bytearray(300000)\n", "1M", {"test_a": "ok"}),
        ("import sys\ndef test_a():\n    sys.exit(0)\n", "256K", None),
        ("import no_such_module\ndef test_a():\n    pass\n", "256K", None),
    ],
)
def test_the_runner_itself(tmp_path, body, heap, expected):
    source = tmp_path / "test_sample.py"
    source.write_text(body)
    stage = compile_tree(
        {Path("test_sample.py"): source, Path("runner.py"): DEVICE / "runner.py"}, tmp_path / "stage"
    )
    done = micropython(["-m", "runner", "test_sample"], cwd=stage, heap=heap, env={"MICROPYPATH": str(stage)})
    run = Run("test_sample", done.stdout, done.stderr, done.returncode)
    if expected is None:
        assert run.crash
    else:
        assert run.crash is None
        assert {name: lines[0].split()[0] for name, lines in run.results.items()} == expected
        assert (done.returncode != 0) == ("FAIL" in expected.values())


def test_staging_compiles_changes_and_forgets_removals(tmp_path):
    source = tmp_path / "m.py"
    source.write_text("X = 1\n")
    dest = tmp_path / "stage"
    target = dest / "p" / "m.mpy"
    compile_tree({Path("p/m.py"): source}, dest)
    first = target.read_bytes()
    stamp = target.stat().st_mtime_ns
    compile_tree({Path("p/m.py"): source}, dest)
    assert target.stat().st_mtime_ns == stamp, "an unchanged source was compiled again"
    source.write_text("X = 1234\n")
    compile_tree({Path("p/m.py"): source}, dest)
    assert target.read_bytes() != first
    table = tmp_path / "t.json"
    table.write_text("{}")
    compile_tree({Path("p/m.py"): source, Path("p/t.json"): table}, dest)
    assert (dest / "p" / "t.json").read_text() == "{}"
    compile_tree({}, dest)
    assert [path for path in dest.rglob("*") if path.is_file()] == []
    source.write_text("def broken(:\n")
    with pytest.raises(RuntimeError, match=r"p/m\.py"):
        compile_tree({Path("p/m.py"): source}, dest)


def test_a_file_may_declare_its_heap(tmp_path, monkeypatch):
    monkeypatch.setattr("test_micropython.DEVICE", tmp_path)
    (tmp_path / "test_big.py").write_text('"""Doc."""\nHEAP = "2M"  # reason\n\ndef test_a():\n    pass\n')
    (tmp_path / "test_small.py").write_text("def test_a():\n    HEAP = 1\n")
    assert (heap_of("test_big"), heap_of("test_small")) == ("2M", "256K")
