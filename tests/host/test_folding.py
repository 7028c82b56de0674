"""Folding constants while staging changes names into numbers, and nothing else."""

import ast

import pytest
from interpreters import ROOT
from poslab.folding import FOLDED, constants, fold

TABLES = {m: constants((ROOT / (m.replace(".", "/") + ".py")).read_text()) for m in FOLDED}
MODULES = sorted(p for package in ("posfw", "board") for p in (ROOT / package).rglob("*.py"))


def test_the_table_is_the_modules_own():
    import posfw.hal
    import posfw.numbers

    for name, module in (("posfw.numbers", posfw.numbers), ("posfw.hal", posfw.hal)):
        public = {k: v for k, v in vars(module).items() if k.isupper() and isinstance(v, int)}
        assert TABLES[name] == public and len(public) > 10


class Substitute(ast.NodeTransformer):
    """The same by another road: on the syntax tree."""

    def __init__(self, names, modules):
        self.names, self.modules = names, modules

    def visit_Name(self, node):
        return ast.Constant(self.names[node.id]) if node.id in self.names else node

    def visit_Attribute(self, node):
        if isinstance(node.value, ast.Name) and node.value.id in self.modules:
            return ast.Constant(TABLES["posfw.numbers"][node.attr])
        return self.generic_visit(node)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_every_module_means_the_same_after_folding(path):
    source = path.read_text()
    tree = ast.parse(source)
    names, modules = {}, set()
    body = []
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and not node.level:
            if node.module == "posfw.micro":
                continue
            table = TABLES.get(node.module, {})
            kept = []
            for alias in node.names:
                if alias.name in table:
                    names[alias.asname or alias.name] = table[alias.name]
                elif (node.module, alias.name) == ("posfw", "numbers"):
                    modules.add(alias.asname or alias.name)
                else:
                    kept.append(alias)
            if not kept:
                continue
            node.names = kept
        body.append(node)
    tree.body = body
    wanted = ast.unparse(ast.fix_missing_locations(Substitute(names, modules).visit(tree)))
    got = fold(source, TABLES)
    assert ast.unparse(ast.parse(got)) == wanted
    assert got.count("\n") == source.count("\n"), "a line moved"


def test_an_unknown_constant_is_an_error():
    with pytest.raises(ValueError, match=r"n\.NO_SUCH"):
        fold("from posfw import numbers as n\nx = n.NO_SUCH\n", TABLES)


def test_strings_comments_and_other_attributes_stay():
    source = 'from posfw.numbers import SALE\nx = "SALE"  # SALE\ny = other.SALE\nz = SALE\n'
    assert fold(source, TABLES) == '\nx = "SALE"  # SALE\ny = other.SALE\nz = 1\n'
