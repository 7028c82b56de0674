"""The emulated board: every part of posfw.hal on a workstation, under CPython or MicroPython's unix port."""

import gc

# Collecting early and often, from the first import on, keeps the heap in one piece: without this the same code needs
# a heap a sixth larger, lost between its fragments. CPython has no such setting and no such need.
if hasattr(gc, "threshold"):
    gc.threshold(8192)
