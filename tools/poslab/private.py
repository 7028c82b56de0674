"""Give the private functions and classes of a module short names that every module shares, when staging.

MicroPython keeps each name interned for good, and its table of names grows by 15 KB at once beyond 1,270 of them. What
begins with an underscore at the top of a module is that module's own business, so `_a` may serve in each. Error traces
of a staged terminal show these names with their lines; a frozen image does not need this.

Only whole tokens change and no line moves, so that what runs is what was read.
"""

from __future__ import annotations

import ast
import io
import tokenize

# Read by vendors, as in poslab.arguments
PUBLIC_PACKAGES = ("board/",)


def rename_private(source: str, file: str, used_outside: frozenset[str]) -> str:
    """`source`, staged as `file`, renamed; names in `used_outside` stay."""
    names = mapping(source, file, used_outside)
    if not names:
        return source
    rows = source.splitlines(keepends=True)
    before = ""
    edits: list[tuple[int, int, int, str]] = []  # row, from, to, text
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NAME and token.string in names and before != ".":
            edits.append((token.start[0], token.start[1], token.end[1], names[token.string]))
        before = token.string
    for row, start, end, text in sorted(edits, reverse=True):
        line = rows[row - 1]
        rows[row - 1] = line[:start] + text + line[end:]
    return "".join(rows)


def mapping(source: str, file: str, used_outside: frozenset[str]) -> dict[str, str]:
    """{private name: short name} of the functions and classes at the top of a module."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return {}  # the compiler behind us names the place
    if file.startswith(PUBLIC_PACKAGES):
        return {}
    defined = [n.name for n in tree.body if isinstance(n, (ast.FunctionDef, ast.ClassDef)) and n.name.startswith("_")]
    words = _words(tree)
    # A word that also names an argument, an attribute or anything else in this module is left alone.
    private = [name for name in defined if name not in used_outside and words["other"].isdisjoint({name})]
    taken = words["names"] | words["other"]
    short = (name for name in map("_{}".format, _letters()) if name not in taken)
    return dict(zip(private, short, strict=False))


def _letters() -> list[str]:
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    return letters + [first + second for first in letters for second in letters]


def _words(tree: ast.AST) -> dict[str, set[str]]:
    """`names`: what is read as a name; `other`: attributes, arguments, what is bound elsewhere than at the top."""
    names: set[str] = set()
    other: set[str] = set()
    top = set(ast.iter_child_nodes(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (names if isinstance(node.ctx, ast.Load) else other).add(node.id)
        elif isinstance(node, ast.Attribute):
            other.add(node.attr)
        elif isinstance(node, ast.arg):
            other.add(node.arg)
        elif isinstance(node, ast.keyword):
            other.add(node.arg or "")
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node not in top:
            other.add(node.name)
        elif isinstance(node, (ast.Global, ast.Nonlocal)):
            other.update(node.names)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            other.update((alias.asname or alias.name).split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ExceptHandler):
            other.add(node.name or "")
        elif isinstance(node, ast.JoinedStr):  # no positions of their own before Python 3.12
            other.update(n.id for n in ast.walk(node) if isinstance(n, ast.Name))
    return {"names": names, "other": other}


def attributes(source: str) -> frozenset[str]:
    """Private names that `source` takes from other modules, as attributes or by import."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return frozenset()
    found = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    found |= {a.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for a in node.names}
    return frozenset(name for name in found if name.startswith("_"))
