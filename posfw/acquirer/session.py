"""One exchange on a link: framing by a 2-byte length, deadlines, and strays that answer something else.

Producer and consumer is the terminal's runner, one exchange at a time. The receive buffer is made once, as large as the
profile's limit: a length above it is refused before anything is read.
"""

from posfw.acquirer import messages
from posfw.hal import STAGE_SEND, LinkError
from posfw.micro import const
from posfw.numbers import V_BAD_MAC, V_GARBLED, V_LATE, V_MISMATCH, V_PARTIAL, V_SEND_FAILED, V_SILENCE

_NOTHING = object()
_MAX_STRAYS = const(8)  # on one connection: each is journaled, and a host must not fill the journal


class Session:
    """Exchanges on `link` (posfw.hal.Link) for one profile.

    stray(verdict, fields) is called for each frame that answers something else; it returns True if it knows what.
    """

    def __init__(self, link, profile, clock, cmac, stray):
        self.link = link
        self.profile = profile
        self.clock = clock
        self.cmac = cmac
        self.stray = stray
        self._buf = bytearray(profile.max_message)
        self._view = memoryview(self._buf)
        self._have = 0  # bytes of a frame that began, the two of its length included
        self._strays = 0

    def open(self):
        """Have a live connection. Raises LinkError; no byte of a message has left then."""
        if self.link.is_open:
            self.pump()  # a peer that closed meanwhile is found out before anything is sent
        if not self.link.is_open:
            self._have = self._strays = 0
            self.link.open(self.profile.connect_timeout_ms)

    def exchange(self, request):
        """Send `request` and wait; return (verdict, fields). Raises LinkError if certainly no byte has left."""
        try:
            self.link.send(len(request.wire).to_bytes(2, "big") + request.wire)
        except LinkError as e:
            self.close()
            if not e.maybe_sent:
                raise LinkError(STAGE_SEND, False, str(e))
            return V_SEND_FAILED, {}
        deadline = self.clock.ticks() + self.profile.reply_timeout_ms
        outcome = V_SILENCE
        while True:
            try:
                wire = self._receive(deadline)
            except LinkError:
                begun = self._have
                self.close()
                if outcome != V_SILENCE:
                    return outcome, {}
                return (V_PARTIAL if begun else V_SEND_FAILED), {}
            if wire is None:
                if self._have:
                    self.close()
                    return V_PARTIAL, {}
                return outcome, {}
            verdict, fields = self._judge(request, wire)
            if verdict in (V_LATE, V_MISMATCH):
                # Not ours: journaled, and we go on waiting. Only a reply nobody knows spoils the outcome.
                if not self._pass_on(verdict, fields) and verdict == V_MISMATCH:
                    outcome = V_MISMATCH
                if not self.link.is_open:
                    return V_GARBLED, {}
                continue
            if verdict in (V_GARBLED, V_BAD_MAC):
                self.close()
            return verdict, fields

    def pump(self):
        """Take in what arrived without being waited for."""
        while self.link.is_open:
            try:
                wire = self._receive(None)
            except LinkError:
                self.close()
                return
            if wire is None:
                return
            verdict, fields = self._judge(None, wire)
            self._pass_on(verdict, fields)
            if verdict in (V_GARBLED, V_BAD_MAC):
                self.close()

    def _pass_on(self, verdict, fields):
        self._strays += 1
        if self._strays > _MAX_STRAYS:
            self.close()
            return False
        return self.stray(verdict, fields)

    def close(self):
        """Close the link and forget a frame that began."""
        self.link.close()
        self._have = 0

    def _judge(self, request, wire):
        if wire is _NOTHING:
            return V_GARBLED, {}
        return messages.judge(self.profile, request, wire, self.cmac)

    def _receive(self, deadline):
        """A whole frame; None when time is up; _NOTHING for a length beyond the limit. deadline None: do not wait."""
        view = self._view
        while True:
            need = 2
            if self._have >= 2:
                length = view[0] << 8 | view[1]
                if length == 0 and self._strays < _MAX_STRAYS:  # a keep-alive of some hosts
                    self._strays += 1
                    self._have = 0
                    continue
                if not 1 <= length <= self.profile.max_message - 2:
                    return _NOTHING
                need = 2 + length
                if self._have == need:
                    self._have = 0
                    return bytes(view[2:need])
            left = 0 if deadline is None else deadline - self.clock.ticks()
            if left <= 0 and deadline is not None:
                return None
            got = self.link.recv_into(view[self._have : need], left)
            if got == 0:
                return None
            self._have += got
