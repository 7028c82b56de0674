"""The errors and numbers of the hardware interface. What a board implements is described in posfw.interfaces."""

# Printer faults and SLIP entry faults share these numbers (docs/journal-format.md).
PAPER_OUT, COVER_OPEN, OFFLINE, POWER = 1, 2, 3, 4

# Stages at which a connection can fail before any byte has left (CONNECT_FAIL entries).
# 5 is posfw's own: the sign-on before a reversal failed.
STAGE_RESOLVE, STAGE_CONNECT, STAGE_TLS, STAGE_SEND, STAGE_SIGN_ON = 1, 2, 3, 4, 5

# Quality of the real-time clock.
RTC_UNKNOWN, RTC_FREE, RTC_HOST, RTC_TECHNICIAN = 0, 1, 2, 3


class HalError(Exception):
    """A part of the board failed. The message says which and holds no secret."""


class LinkError(HalError):
    """The link failed at `stage`; `maybe_sent` is True if a byte may have reached the host."""

    def __init__(self, stage, maybe_sent, text):
        super().__init__(text)
        self.stage = stage
        self.maybe_sent = maybe_sent


class PrinterError(HalError):
    """The printer stopped; `fault` is PAPER_OUT, COVER_OPEN, OFFLINE or POWER."""

    def __init__(self, fault, text):
        super().__init__(text)
        self.fault = fault


class KeyStoreError(HalError):
    """The key store refused: zeroised, locked, torn, or no such key."""
