"""posfw: the firmware-side library of a card terminal that never loses a reversal."""

__version__ = "0.1.0"
