"""The cashier's display, as events on standard output."""


class Display:
    """`emit(event)` takes one dict. Keys are those of the text catalogue; the host words them."""

    def __init__(self, emit):
        self._emit = emit

    def show(self, key, *args):
        self._emit({"event": "show", "key": key, "args": list(args)})
