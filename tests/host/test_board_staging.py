"""Staged trees hold what a device needs, no more, and follow their sources."""

import subprocess
import sys
from pathlib import Path

import pytest
from interpreters import ROOT, micropython
from poslab import staging


def names(root):
    return {p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file() and not p.name.startswith(".")}


def sources():
    found = set()
    for package in ("posfw", "board"):
        for path in (ROOT / package).rglob("*.py"):
            if "__pycache__" not in path.parts:
                found.add(path.relative_to(ROOT).as_posix())
    return found


def test_micropython_tree(tmp_path):
    root = staging.stage(tmp_path / "code", "micropython")
    staged = names(root)
    shipped = sources() - set(staging.HOST_ONLY)
    assert {n for n in staged if n.endswith(".mpy")} == {n[:-3] + ".mpy" for n in shipped}
    assert {n for n in staged if not n.endswith(".mpy")} <= {
        p.relative_to(ROOT).as_posix() for p in (ROOT / "posfw").rglob("*.json")
    }
    assert "posfw/acquirer/profiles/unionpay.json" in staged
    done = micropython(
        ["-c", "import board.emulated.nor as n; print(n.__file__, n.NorFlash(1, 256).ioctl(5, 0))"],
        cwd=tmp_path,
        env={"MICROPYPATH": str(root)},
    )
    assert done.stdout.split() == [f"{root}/board/emulated/nor.mpy", "256"], done.stderr
    for path in root.rglob("*.mpy"):
        assert str(ROOT).encode() not in path.read_bytes(), "a path of this machine went into the code"


def test_cpython_tree(tmp_path):
    root = staging.stage(tmp_path / "code", "cpython")
    assert {n for n in names(root) if n.endswith(".py")} == sources()
    done = subprocess.run(
        [sys.executable, "-c", "import board.emulated.nor as n; print(n.__file__)"],
        cwd=tmp_path, env={"PYTHONPATH": str(root)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == f"{root}/board/emulated/nor.py"


def small(tmp_path, monkeypatch):
    """Two small packages in place of the real ones."""
    for package in ("posfw", "board"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("")
        (tmp_path / package / "m.py").write_text("X = 1\n")
    monkeypatch.setattr(staging, "posfw_dir", lambda: tmp_path / "posfw")
    monkeypatch.setattr(staging, "board_dir", lambda: tmp_path / "board")


@pytest.mark.parametrize("interpreter", staging.INTERPRETERS)
def test_only_changes_are_built_and_removals_followed(tmp_path, monkeypatch, interpreter):
    small(tmp_path, monkeypatch)
    dest = tmp_path / "code"
    suffix = ".mpy" if interpreter == "micropython" else ".py"
    staging.stage(dest, interpreter)
    changed, same = dest / f"posfw/m{suffix}", dest / f"board/m{suffix}"
    stamps = changed.stat().st_mtime_ns, same.stat().st_mtime_ns
    first = changed.read_bytes()
    staging.stage(dest, interpreter)
    assert (changed.stat().st_mtime_ns, same.stat().st_mtime_ns) == stamps
    (tmp_path / "posfw" / "m.py").write_text("X = 12345\n")
    staging.stage(dest, interpreter)
    assert changed.read_bytes() != first
    assert same.stat().st_mtime_ns == stamps[1]
    (tmp_path / "board" / "m.py").unlink()
    changed.unlink()
    staging.stage(dest, interpreter)
    assert changed.exists() and not same.exists()
    # A record cut short: built anew, not trusted.
    (dest / ".staged.json").write_text('{"posfw/m')
    staging.stage(dest, interpreter)
    assert changed.exists()


def test_code_that_does_not_compile_is_named(tmp_path, monkeypatch):
    small(tmp_path, monkeypatch)
    (tmp_path / "board" / "m.py").write_text("def broken(:\n")
    with pytest.raises(staging.StagingError, match=r"board/m\.py"):
        staging.stage(tmp_path / "code", "micropython")
    assert not (tmp_path / "code" / "board" / "m.mpy").exists()


def test_unknown_interpreter_and_missing_tool(tmp_path, monkeypatch):
    with pytest.raises(staging.StagingError, match="pypy"):
        staging.stage(tmp_path, "pypy")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(staging.StagingError, match=r"posfw\[lab\]"):
        staging.find_tool("no-such-tool", "POSFW_NO_SUCH_TOOL")
    tool = tmp_path / "no-such-tool"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    monkeypatch.setenv("POSFW_NO_SUCH_TOOL", str(tool))
    assert Path(staging.find_tool("no-such-tool", "POSFW_NO_SUCH_TOOL")) == tool


def test_the_host_finds_the_key_store_module():
    module = staging.board_module("emulated.keystore")
    assert Path(module.__file__) == ROOT / "board" / "emulated" / "keystore.py"
    assert staging.board_module("emulated.keystore") is module
