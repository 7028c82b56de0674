"""MicroPython's `const` for CPython.

MicroPython's compiler folds `_NAME = const(7)` wherever `_NAME` stands in its module: the name then costs neither a
dictionary slot nor an interned string on the terminal. It goes by the word `const` alone, so this import is as good as
`from micropython import const`, which CPython does not have.
"""


def const(value):
    """Return `value`."""
    return value
