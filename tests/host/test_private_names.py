"""Private functions get short names when staging: the code means the same, and nobody outside is left behind."""

import ast

import pytest
from interpreters import ROOT
from poslab.private import attributes, mapping, rename_private

MODULES = sorted(p for package in ("posfw", "board") for p in (ROOT / package).rglob("*.py"))
OUTSIDE = frozenset().union(*(attributes(p.read_text()) for p in MODULES))


def staged_name(path):
    return path.relative_to(ROOT).as_posix()


class Back(ast.NodeTransformer):
    """Short names to long ones, on the syntax tree."""

    def __init__(self, names):
        self.names = {short: long for long, short in names.items()}

    def visit_Name(self, node):
        node.id = self.names.get(node.id, node.id)
        return node

    def visit_FunctionDef(self, node):
        node.name = self.names.get(node.name, node.name)
        return self.generic_visit(node)

    visit_ClassDef = visit_FunctionDef


@pytest.mark.parametrize("path", MODULES, ids=staged_name)
def test_every_module_means_the_same(path):
    source, file = path.read_text(), staged_name(path)
    names, got = mapping(source, file, OUTSIDE), rename_private(source, file, OUTSIDE)
    assert len(set(names.values())) == len(names)
    assert not set(names.values()) & {w.id for w in ast.walk(ast.parse(source)) if isinstance(w, ast.Name)}
    for long in names:
        assert not any(isinstance(w, ast.Name) and w.id == long for w in ast.walk(ast.parse(got))), long
    assert ast.dump(Back(names).visit(ast.parse(got))) == ast.dump(ast.parse(source))
    assert got.count("\n") == source.count("\n")
    if file.startswith("board/"):
        assert got == source


def test_it_is_worth_it():
    before, after = set(), set()
    for path in MODULES:
        names = mapping(path.read_text(), staged_name(path), OUTSIDE)
        before |= set(names)
        after |= set(names.values())
    assert len(before) - len(after) > 70


@pytest.mark.parametrize(
    "source",
    [
        "def _f(): pass\nx.y._f()\n",  # an attribute of the same name
        "def _f(): pass\ndef g(_f): return _f\n",  # an argument
        "def _f(): pass\ndef g():\n    _f = 1\n    return _f\n",  # a local variable
        "def _f(): pass\ndef g():\n    def _f(): pass\n",  # a nested function
        "from m import _f\n",  # not this module's own
        "def _f(): pass\n_f = 3\n",  # rebound
        "def _f(): pass\ng(_f=1)\n",  # a keyword
        "def _f(): pass\ng(f'{_f}')\n",  # in an f-string
        "def f(): pass\n",  # public
        "def _f(:\n",  # not Python
    ],
)
def test_what_could_be_seen_is_left_alone(source):
    assert rename_private(source, "posfw/x.py", frozenset()) == source


def test_what_is_used_outside_keeps_its_name():
    source = "def _f(): return _g()\ndef _g(): pass\n"
    assert rename_private(source, "posfw/x.py", frozenset(["_g"])) == "def _a(): return _g()\ndef _g(): pass\n"
    assert attributes("import x\nx._g\nfrom y import _h, z\n") == {"_g", "_h"}


def test_strings_comments_and_other_names_stay():
    source = '_a = 1\ndef _f():  # _f\n    "_f"\n    return x._a, _f\n'
    wanted = source.replace("def _f", "def _b").replace(", _f", ", _b")
    assert rename_private(source, "posfw/x.py", frozenset()) == wanted
