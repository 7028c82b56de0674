"""Give positional arguments names from a small shared pool, when staging.

MicroPython keeps the name of every argument interned for good, in case somebody calls by it: some hundred strings of
posfw are nothing else. Nobody calls by most of them, so one short name serves many functions. A frozen image does not
need this. Local variables that are no arguments have no names on the device.

Left alone is what could be seen: an argument whose name is used as a keyword in any call, those of the functions
vendors call, `self`, keyword-only, *args and **kwargs, and whatever a nested scope binds anew. Only whole tokens
change and no line moves, so that what runs is what was read.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from functools import lru_cache

# Functions a vendor's application calls, perhaps by keyword: {file: their names}; an empty set means the whole file.
# All of board/ too: vendors read it and take parts of it.
PUBLIC: dict[str, set[str]] = {
    "posfw/terminal/__init__.py": set(),
    "posfw/terminal/terminal.py": set(),
    "posfw/acquirer/profile.py": {"load", "Profile.__init__"},
    "posfw/receipt/slips.py": {"render"},
}
PUBLIC_PACKAGES = ("board/",)

# Names that callers outside the staged tree use: the device tests, the host tools. A test keeps the list complete.
_CALLED_BY = """
aad accepted again amount area batch bitmap blocks body card cause closed code codes config count decision digest
end error fault fields finish firmware flags header host how info journal journal_id key keys kind length mode moved
mti name nonce number numeric op original outcome pan path profile purpose quality reason record records refused
role said salt seq size slip stage stan state terminal terminal_id text title totals txn unclean unit verdict what
width
"""
CALLED_BY = frozenset(_CALLED_BY.split())

_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_SCOPES = (*_FUNCTIONS, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@lru_cache(maxsize=256)  # asked for at every start of a terminal
def keywords(source: str) -> frozenset[str]:
    """The names used as keywords in the calls of `source`."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return frozenset()  # the compiler behind us names the place
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return frozenset(k.arg for call in calls for k in call.keywords if k.arg)


def rename(source: str, file: str, kept: Collection[str]) -> str:
    """`source`, staged as `file`, with its arguments renamed but those in `kept`."""
    if file.startswith(PUBLIC_PACKAGES) or PUBLIC.get(file) == set():
        return source
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return source
    rows = source.splitlines(keepends=True)
    edits: list[tuple[int, int, str, str]] = []  # row, column, old, new
    for path, function in _outermost(tree):
        # A class within a function is a scope of another kind.
        if path not in PUBLIC.get(file, ()) and not any(isinstance(node, ast.ClassDef) for node in ast.walk(function)):
            edits += _edits(function, kept)
    for row, column, old, new in sorted(edits, reverse=True):
        line = rows[row - 1].encode()  # the tree counts bytes
        if line[column : column + len(old.encode())] != old.encode():
            raise ValueError(f"{file}, line {row}: expected {old} in column {column}")
        rows[row - 1] = (line[:column] + new.encode() + line[column + len(old.encode()) :]).decode()
    return "".join(rows)


def _outermost(node: ast.AST, path: str = "") -> Iterator[tuple[str, _Function]]:
    """Every function that lies in no other, with its dotted name."""
    for child in ast.iter_child_nodes(node):
        name = path + getattr(child, "name", "") if isinstance(child, (*_FUNCTIONS, ast.ClassDef)) else path
        if isinstance(child, _FUNCTIONS):
            yield name, child
        else:
            yield from _outermost(child, name + "." if isinstance(child, ast.ClassDef) else path)


def _edits(outermost: _Function, kept: Collection[str]) -> Iterator[tuple[int, int, str, str]]:
    taken = _words(outermost)
    # What stands in an f-string has no position of its own before Python 3.12.
    quoted = {name for node in ast.walk(outermost) if isinstance(node, ast.JoinedStr) for name in _words(node)}
    for function in [node for node in ast.walk(outermost) if isinstance(node, _FUNCTIONS)]:
        if function.args.kwarg:
            continue  # a new name could be one of its keywords
        body = function.body if isinstance(function.body, list) else [function.body]
        nested = [node for part in body for node in ast.walk(part) if isinstance(node, _SCOPES)]
        fixed = {"self", *kept, *quoted, *(name for scope in nested for name in _bound(scope))}
        fixed.update(name for part in body for name in _spelt(part))
        for argument in function.args.posonlyargs + function.args.args:
            old = argument.arg
            if old in fixed:
                continue
            new = next(name for name in _pool() if name not in taken and name not in kept)
            taken.add(new)
            yield argument.lineno, argument.col_offset, old, new
            for part in body:
                for node in ast.walk(part):
                    if isinstance(node, ast.Name) and node.id == old:
                        yield node.lineno, node.col_offset, old, new


def _words(tree: ast.AST) -> set[str]:
    """Every name in `tree`, whoever it belongs to."""
    found = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return found | _spelt(tree) | {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}


def _bound(scope: ast.AST) -> set[str]:
    """What `scope` or anything in it binds, as far as the tree tells by name."""
    found = {n.id for n in ast.walk(scope) if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
    return found | {node.arg for node in ast.walk(scope) if isinstance(node, ast.arg)}


def _spelt(tree: ast.AST) -> set[str]:
    """Names in `tree` that stand in statements without a position of their own: def, import, except, global."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found.add(node.name)
        elif isinstance(node, ast.ExceptHandler):
            found.add(node.name or "")
        elif isinstance(node, (ast.Global, ast.Nonlocal)):
            found.update(node.names)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            found.update((alias.asname or alias.name).split(".")[0] for alias in node.names)
    return found


def _pool() -> Iterator[str]:
    """a, b, ... z, aa, ab, ..."""
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    yield from letters
    yield from (first + second for first in letters for second in letters)
