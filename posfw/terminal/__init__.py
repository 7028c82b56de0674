"""The terminal: the facade a vendor's application calls, and the only place where effects happen."""

from posfw.terminal.terminal import Terminal

__all__ = ["Terminal"]
