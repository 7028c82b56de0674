"""Folds the public integer constants of posfw.numbers and posfw.hal into the modules that use them, when staging.

MicroPython's compiler does this for `_NAME = const(7)` within one module. Across modules a name costs an interned
string, a dictionary slot and a look-up at run time, and the table itself some 7 KB of a terminal's heap, for nothing:
these numbers are the format's and never change. A frozen image, where all this lies in flash, does not need it.

Only whole tokens change and no line moves, so that what runs is what was read.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Mapping

FOLDED = ("posfw.numbers", "posfw.hal")


def constants(source: str) -> dict[str, int]:
    """The module-level integers in capitals of a module's source: {name: value}."""
    found: dict[str, int] = {}
    for node in ast.parse(source).body:
        if not isinstance(node, ast.Assign) or len(node.targets) != 1:
            continue
        target, value = node.targets[0], node.value
        names = target.elts if isinstance(target, ast.Tuple) else [target]
        values = value.elts if isinstance(value, ast.Tuple) else [value]
        for name, item in zip(names, values, strict=False):
            if not isinstance(name, ast.Name) or not name.id.isupper() or name.id.startswith("_"):
                continue
            if isinstance(item, ast.Constant) and type(item.value) is int:
                found[name.id] = item.value
    return found


def fold(source: str, tables: Mapping[str, Mapping[str, int]]) -> str:
    """`source` with the constants of `tables` ({module: {name: value}}) in the place of their names."""
    try:
        names, modules, lines = _imports(source, tables)
    except SyntaxError:
        return source  # the compiler behind us names the place
    if not lines:
        return source
    rows = source.splitlines(keepends=True)
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    edits: list[tuple[int, int, int, str]] = []  # row, from, to, text
    for i, token in enumerate(tokens):
        row, start = token.start
        if token.type != tokenize.NAME or row in lines or (i and tokens[i - 1].string == "."):
            continue
        if token.string in names:
            edits.append((row, start, token.end[1], str(names[token.string])))
        elif token.string in modules and tokens[i + 1].string == "." and tokens[i + 2].start[0] == row:
            value = tables[modules[token.string]].get(tokens[i + 2].string)
            if value is None:
                raise ValueError(f"line {row}: {token.string}.{tokens[i + 2].string} is not a constant of the table")
            edits.append((row, start, tokens[i + 2].end[1], str(value)))
    for row, start, end, text in sorted(edits, reverse=True):
        line = rows[row - 1]
        rows[row - 1] = line[:start] + text + line[end:]
    for row, text in lines.items():
        rows[row - 1] = text
    return "".join(rows)


def _imports(
    source: str, tables: Mapping[str, Mapping[str, int]]
) -> tuple[dict[str, int], dict[str, str], dict[int, str]]:
    """(names that are constants here, names that are folded modules here, import lines as they are to be)."""
    names: dict[str, int] = {}
    modules: dict[str, str] = {}
    lines: dict[int, str] = {}
    for node in ast.parse(source).body:
        if not isinstance(node, ast.ImportFrom) or node.level:
            continue
        kept = []
        if node.module == "posfw.micro":  # `const` is the compiler's own word: nothing is looked up at run time
            lines[node.lineno] = "\n"
            continue
        for alias in node.names:
            here, table = alias.asname or alias.name, tables.get(node.module or "", {})
            if alias.name in table:
                names[here] = table[alias.name]
            elif f"{node.module}.{alias.name}" == "posfw.numbers" and "posfw.numbers" in tables:
                modules[here] = "posfw.numbers"
            else:
                kept.append(alias.name + (f" as {alias.asname}" if alias.asname else ""))
        if len(kept) != len(node.names):
            for row in range(node.lineno, (node.end_lineno or node.lineno) + 1):
                lines[row] = "\n"
            if kept:
                lines[node.lineno] = f"from {node.module} import {', '.join(kept)}\n"
    return names, modules, lines
