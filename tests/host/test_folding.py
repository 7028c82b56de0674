"""Folding constants while staging changes names into numbers, renaming arguments changes their names: nothing else."""

import ast
import itertools
import types

import pytest
from interpreters import ROOT
from poslab.arguments import CALLED_BY, PUBLIC, PUBLIC_PACKAGES, keywords, rename
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


# -- arguments ------------------------------------------------------------------------------------------------------

CALLERS = sorted(p for name in ("tests/device", "tests/bench/device", "tools") for p in (ROOT / name).rglob("*.py"))
KEPT = CALLED_BY.union(*(keywords(path.read_text()) for path in MODULES))
FUNCTIONS = (ast.FunctionDef, ast.Lambda)
LOOPS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def staged_name(path):
    return path.relative_to(ROOT).as_posix()


def functions(tree):
    return [node for node in ast.walk(tree) if isinstance(node, FUNCTIONS)]


def positional(function):
    return [a.arg for a in function.args.posonlyargs + function.args.args]


def others(function):
    args = function.args
    return [a.arg for a in [args.vararg, *args.kwonlyargs, args.kwarg] if a]


class Rename(ast.NodeTransformer):
    """The same by another road: `pairs` says for each function what its arguments become, in the order of a walk."""

    def __init__(self, tree, pairs):
        self.pairs = dict(zip(map(id, functions(tree)), pairs, strict=True))
        self.scopes = []  # of each function or loop around: {name: new name}

    def visit_Name(self, node):
        for scope in reversed(self.scopes):
            if node.id in scope:
                node.id = scope[node.id]
                break
        return node

    def within(self, scope, parts):
        self.scopes.append(scope)
        for part in parts:
            self.visit(part)
        self.scopes.pop()

    def function(self, node):
        for outside in [*getattr(node, "decorator_list", ()), *node.args.defaults, *node.args.kw_defaults]:
            if outside is not None:
                self.visit(outside)
        arguments, body = self.pairs[id(node)], node.body if isinstance(node.body, list) else [node.body]
        own = {n.id: n.id for n in names_here(body) if not isinstance(n.ctx, ast.Load)}
        own |= {name: name for name in others(node)} | arguments
        for argument in node.args.posonlyargs + node.args.args:
            argument.arg = arguments[argument.arg]
        self.within(own, body)
        return node

    visit_FunctionDef = visit_Lambda = function

    def loop(self, node):
        targets = [n.id for g in node.generators for n in ast.walk(g.target) if isinstance(n, ast.Name)]
        self.visit(node.generators[0].iter)  # still in the scope around
        first = node.generators[0].iter
        node.generators[0].iter = ast.Constant(None)
        self.within({name: name for name in targets}, list(ast.iter_child_nodes(node)))
        node.generators[0].iter = first
        return node

    visit_ListComp = visit_SetComp = visit_DictComp = visit_GeneratorExp = loop


def names_here(parts):
    """The names in `parts` that belong to this scope, not to one within."""
    for part in parts:
        if isinstance(part, ast.Name):
            yield part
        if not isinstance(part, (*FUNCTIONS, *LOOPS)):
            yield from names_here(ast.iter_child_nodes(part))


def pairs_of(source, got):
    before, after = functions(ast.parse(source)), functions(ast.parse(got))
    return [dict(zip(positional(old), positional(new), strict=True)) for old, new in zip(before, after, strict=True)]


def same_code(old, new):
    """True if two code objects do the same by way of the same names of globals and attributes."""
    assert (old.co_names, len(old.co_varnames)) == (new.co_names, len(new.co_varnames)), old.co_name
    assert len(set(new.co_varnames) | set(new.co_cellvars)) == len(set(old.co_varnames) | set(old.co_cellvars))
    if not old.co_cellvars and not old.co_freevars:  # those are numbered by the alphabet
        assert old.co_code == new.co_code, old.co_name
    for a, b in itertools.zip_longest(old.co_consts, new.co_consts):
        if isinstance(a, types.CodeType):
            same_code(a, b)
        elif not (isinstance(a, tuple) and isinstance(b, tuple)):  # tuples: a lambda's names among them
            assert a == b and type(a) is type(b)
    return True


def check(source, file="posfw/m.py", kept=KEPT):
    """Rename by both roads; return the pairs of each function."""
    got = rename(source, file, kept)
    assert got.count("\n") == source.count("\n"), "a line moved"
    pairs, tree = pairs_of(source, got), ast.parse(source)
    wanted = Rename(tree, pairs).visit(tree)
    assert ast.dump(wanted) == ast.dump(ast.parse(got))
    assert same_code(compile(source, file, "exec"), compile(got, file, "exec"))
    return pairs


@pytest.mark.parametrize("path", MODULES, ids=staged_name)
def test_every_module_means_the_same_after_renaming(path):
    source, file = fold(path.read_text(), TABLES), staged_name(path)
    pairs = check(source, file)
    for function, pair in zip(functions(ast.parse(source)), pairs, strict=True):
        public = file.startswith(PUBLIC_PACKAGES) or (file in PUBLIC and not PUBLIC[file])
        for old, new in pair.items():
            if old in KEPT or old == "self" or public:
                assert old == new, function.lineno
    # Comments and strings are as they were.
    got = rename(source, file, KEPT)
    texts = [[n.value for n in ast.walk(ast.parse(s)) if isinstance(n, ast.Constant)] for s in (source, got)]
    assert texts[0] == texts[1]


def test_it_is_worth_it():
    before, after = set(), set()
    for path in MODULES:
        source = path.read_text()
        for pair in pairs_of(source, rename(source, staged_name(path), KEPT)):
            before |= set(pair)
            after |= set(pair.values())
    assert len(before) - len(after) > 80


def test_names_called_by_from_outside_are_listed():
    # Keywords of tests and tools that are also names of posfw's arguments.
    arguments = set()
    for path in MODULES:
        if not staged_name(path).startswith(PUBLIC_PACKAGES):
            for function in functions(ast.parse(path.read_text())):
                arguments |= set(positional(function))
    used = frozenset().union(*(keywords(path.read_text()) for path in CALLERS))
    assert sorted(arguments & used - KEPT) == [], "for CALLED_BY in tools/poslab/arguments.py"


def test_what_vendors_call_is_there_and_keeps_its_names():
    for file, names in PUBLIC.items():
        source = (ROOT / file).read_text()
        got = ast.parse(rename(source, file, KEPT))
        if not names:
            assert ast.dump(got) == ast.dump(ast.parse(source))
        for name in names:
            found = []
            for tree in (ast.parse(source), got):
                node = tree
                for part in name.split("."):
                    node = next(n for n in node.body if getattr(n, "name", "") == part)
                found.append(ast.dump(node))
            assert found[0] == found[1], name


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("def f(first, second=1):\n    return first + second\n", [["a", "b"]]),
        ("def f(self, first, *rest, only=2):\n    return first, rest, only\n", [["self", "a"]]),
        ("def f(first, **more):\n    return first\n", [["first"]]),
        ("def f(first):\n    return g(first, key=first)\n", [["a"]]),
        ("def f(key, first):\n    return key\ndef h():\n    f(key=1, first=2)\n", [["key", "first"], []]),
        # The names already there are not taken twice, wherever they stand.
        ("def f(first):\n    a = 1\n    return a + first + b\n", [["c"]]),
        ("def f(first):\n    return [a for a in first]\n", [["b"]]),
        ("def f(first):\n    import a\n    from x import y as b\n    return first\n", [["c"]]),
        ("def f(first):\n    global a\n    a = first\n", [["b"]]),
        ("def f(first):\n    try:\n        return first\n    except E as a:\n        return 1\n", [["b"]]),
        # Attributes, strings and the way of speaking of others stay.
        ("def f(first):\n    first.first = 'first'  # first\n    return x.first\n", [["a"]]),
        ("def f(größe, z):\n    return '￥', größe, z, '￥', z\n", [["a", "b"]]),
        # Nested scopes: what is only read there goes along, what is bound there stays.
        ("def f(first):\n    return lambda: first\n", [["a"], []]),
        ("def f(first):\n    return lambda first: first\n", [["first"], ["a"]]),
        ("def f(first):\n    return lambda first=first: first\n", [["first"], ["a"]]),
        ("def f(first):\n    return [first for first in first]\n", [["first"]]),
        ("def f(first):\n    return [x + first for x in first if first]\n", [["a"]]),
        ("def f(first):\n    def g(second):\n        return first + second\n    return g\n", [["a"], ["b"]]),
        ("def f(first):\n    def g():\n        nonlocal first\n        first = 1\n    return g\n", [["first"], []]),
        ("def f(first):\n    def g():\n        first = 1\n    return g, first\n", [["first"], []]),
        ("def f(first):\n    def first():\n        pass\n    return first\n", [["first"], []]),
        ("def f(first):\n    class C:\n        x = first\n    return C\n", [["first"]]),
        ("first = 1\ndef f(first=first):\n    return first\n", [["a"]]),
        ("class C:\n    first = 1\n    def f(self, first=first):\n        return first\n", [["self", "a"]]),
        ("x = sorted(y, key=lambda item: item[0])\n", [["a"]]),
        ("@first\ndef f(first):\n    return first\n", [["a"]]),
        ("def f(first):\n    del first\n    first = 2\n    first += 1\n    return first\n", [["a"]]),
        ("def f(first):\n    for first in g(first):\n        yield first\n", [["a"]]),
        ('def f(first, second):\n    return f"{first}" + second\n', [["first", "a"]]),
        ('def f(first):\n    return first, f"{a + (lambda x: x)(1)}"\n', [["b"], ["x"]]),
    ],
)  # fmt: skip
def test_scopes(source, wanted):
    pairs = check(source, kept=keywords(source))
    assert [list(pair.values()) for pair in pairs] == wanted


def test_public_functions_by_name(monkeypatch):
    monkeypatch.setitem(PUBLIC, "posfw/m.py", {"load", "C.__init__"})
    source = "def load(first): return first\ndef other(first): return first\nclass C:\n"
    source += "    def __init__(self, first): pass\n    def load(self, first): pass\n"
    assert [list(pair.values()) for pair in check(source)] == [["first"], ["a"], ["self", "first"], ["self", "a"]]
    assert rename(source, "board/m.py", ()) == source


def test_what_does_not_parse_is_left_to_the_compiler():
    assert rename("def broken(:\n", "posfw/m.py", ()) == "def broken(:\n" and keywords("def broken(:\n") == frozenset()
