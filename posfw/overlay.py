"""Code that is needed now and then: a slip's, and what neither a sale nor its slip needs.

Each takes tens of kilobytes of heap where modules are loaded from files. `use()` says which comes next: the modules of
the other are dropped, and loaded again when they are next imported. Where modules are frozen into the firmware this
costs little; on CPython, where nothing is short, nothing is dropped.
"""

import gc
import sys

PAPER, BATCH = 0, 1
_KINDS = (
    ("posfw.receipt.",),
    (
        "posfw.engine.settlement", "posfw.engine.batch_care", "posfw.engine.batch_fold", "posfw.acquirer.clearing",
        "posfw.terminal.clearing", "posfw.terminal.records",
        "posfw.engine.upkeep", "posfw.engine.reversal", "posfw.engine.lookup",
    ),
)  # fmt: skip


def use(kind):
    """The next imports are of `kind`: make room for them."""
    for prefix in _KINDS[1 - kind]:
        drop(prefix)


def drop(prefix):
    """Forget the modules whose names begin with `prefix`: they have done their work."""
    if sys.implementation.name != "micropython":
        return
    names = [name for name in sys.modules if name.startswith(prefix)]
    for name in names:
        del sys.modules[name]
        dot = name.rfind(".")
        package = sys.modules.get(name[:dot])
        if package is not None and hasattr(package, name[dot + 1 :]):
            delattr(package, name[dot + 1 :])
    if names:
        gc.collect()
