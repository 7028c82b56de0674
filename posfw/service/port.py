"""The service port: COBS frames, CBOR arrays, challenge-response by role. Hostile input is expected here.

Bounded: one receive buffer, one reply waiting to be written; nothing is read while a reply is not out yet.
"""

from posfw.codec import cbor, cobs
from posfw.codec.crc import crc32
from posfw.crypto.mac import hmac_sha256, same
from posfw.hal import KeyStoreError
from posfw.journal.frame import FrameError
from posfw.journal.ring import RingError
from posfw.journal.seal import SealError
from posfw.micro import const
from posfw.numbers import SUPERVISOR, TECHNICIAN

VERSION = 1
MAX_REQUEST = 1024  # bytes of a request frame before COBS
HELLO, AUTH, STATUS, CHECKPOINT, READ, RELEASE, TIME, SELFTEST, HUMAN = 1, 2, 3, 4, 5, 6, 7, 8, 9
OK, MALFORMED, UNKNOWN_COMMAND, NOT_AUTHORISED, BAD_ARGUMENT, UNSUPPORTED, FAULT, BAD_VERSION = 0, 1, 2, 3, 4, 5, 6, 7

_AUTH_LABEL = b"posfw/auth/1"
_MAX_WRONG_PROOFS = const(5)
_MOST_ITEMS = const(8)  # of a request
_READ_LIMIT = const(1400)  # entry bytes in one reply: it is held a few times over while it is framed
_CHUNK = const(256)
_LATEST = const(0xFFFFFFFF)  # rtc of a TIME request: 2106


class _Refused(Exception):
    """A request is answered with a status other than OK."""

    def __init__(self, status, text):
        super().__init__(text)
        self.status = status


class ServicePort:
    """Serves `usb` (posfw.hal.Usb) for `host`, the terminal: see posfw.terminal.serving for what it may
    ask.
    """

    def __init__(self, usb, host):
        self.usb = usb
        self.host = host
        self._frames = cobs.FrameReader(MAX_REQUEST)
        self._in = bytearray(_CHUNK)
        self._out = b""
        self._waiting = []
        self._challenge = None
        self._role = 0
        self._wrong = 0

    def pump(self):
        """Move what can be moved without waiting: write, read, answer one frame. True if there is more to do."""
        if self._out:
            sent = self.usb.write(self._out)
            self._out = self._out[sent:]
            if self._out:
                return sent > 0
        if not self._waiting:
            count = self.usb.readinto(self._in)
            if count == 0:
                return False
            self._waiting = self._frames.feed(memoryview(self._in)[:count])
        if self._waiting:
            self._out = self._frame(self._answer(self._waiting.pop(0)))
        return True

    def _frame(self, reply):
        body = cbor.encode(reply)
        return cobs.encode(body + crc32(body).to_bytes(4, "little")) + b"\x00"

    def _answer(self, frame):
        number = 0
        try:
            request = self._open(frame)
            number = request[1]
            return [VERSION, number, OK] + self._do(request)  # noqa: RUF005
        except _Refused as e:
            if e.status == MALFORMED:
                self.host.usb_fault(e.status)
            return [VERSION, number, e.status, str(e)]

    def _open(self, frame):
        if frame is None or len(frame) < 5 or crc32(frame[:-4]) != int.from_bytes(frame[-4:], "little"):
            raise _Refused(MALFORMED, "damaged frame: send 00 and try again")
        try:
            request = cbor.decode_flat(frame[:-4], _MOST_ITEMS)
        except cbor.CborError:
            raise _Refused(MALFORMED, "not a request")
        if len(request) < 3 or not all(_is_number(v) for v in request[:3]):
            raise _Refused(MALFORMED, "not a request")
        if not 1 <= request[1] <= 65535:
            raise _Refused(MALFORMED, "request id out of range")
        return request

    def _do(self, request):
        if request[0] != VERSION:
            raise _Refused(BAD_VERSION, "this firmware speaks version 1")
        command, args = request[2], request[3:]
        if command not in _COMMANDS:
            raise _Refused(UNKNOWN_COMMAND, "unknown command")
        handler, roles, shapes = _COMMANDS[command]
        if handler is None:
            raise _Refused(UNSUPPORTED, "not in this firmware")
        if roles and self._role not in roles:
            raise _Refused(NOT_AUTHORISED, "authenticate first, with the role this needs")
        if len(args) != len(shapes) or not all(_fits(v, s) for v, s in zip(args, shapes)):  # noqa: B905
            raise _Refused(BAD_ARGUMENT, "wrong arguments")
        return handler(self, *args)

    # -- commands --------------------------------------------------------------------------------------------

    def _hello(self):
        self._challenge = self.host.challenge()
        self._role = 0
        return list(self.host.identity()) + [self._challenge]  # noqa: RUF005

    def _auth(self, role, proof):
        challenge, self._challenge = self._challenge, None
        self._role = 0
        if challenge is None:
            raise _Refused(NOT_AUTHORISED, "ask for a challenge first (HELLO)")
        if self._wrong >= _MAX_WRONG_PROOFS:
            raise _Refused(NOT_AUTHORISED, "locked after wrong keys: restart the terminal")
        if not 1 <= role <= SUPERVISOR:
            raise _Refused(BAD_ARGUMENT, "unknown role")
        try:
            key = self.host.role_key(role)
        except KeyStoreError:
            raise _Refused(FAULT, "the key store does not answer")
        if not same(hmac_sha256(key, _AUTH_LABEL, bytes((role,)), challenge), proof):
            self._wrong += 1
            raise _Refused(NOT_AUTHORISED, "wrong key for this terminal and role")
        self._role = role
        return []

    def _status(self):
        s = self.host.status()
        names = (
            "first_seq", "next_seq", "rtc", "rtc_quality", "batch", "next_stan", "owed", "message",
            "settlement", "refused",
        )  # fmt: skip
        return [s[name] for name in names]

    def _checkpoint(self, nonce):
        done = self.host.export(nonce, self._role)
        if isinstance(done, str):
            raise _Refused(FAULT, done)
        return [done[0], done[1], "mac"]

    def _read(self, seq, max_bytes):
        entries, size = [], 0
        try:
            for _, entry in self.host.read(seq):
                size += len(entry) + 3
                if entries and size > min(max_bytes, _READ_LIMIT):
                    break
                entries.append(entry)
        except (RingError, FrameError, SealError) as e:
            raise _Refused(FAULT, str(e))
        return [seq, entries]

    def _time(self, rtc):
        return self._plain(self.host.set_time(rtc))

    def _human(self, signed):
        return self._plain(self.host.human(signed))

    def _plain(self, key):
        if key is not None:
            raise _Refused(FAULT, key)
        return []


def _is_number(value):
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _fits(value, shape):
    # shape: a number is the length of a byte string, 0 any byte string, None a whole number from 0 to 2^32-1
    if shape is None:
        return _is_number(value) and value <= _LATEST
    return isinstance(value, bytes) and (shape == 0 or len(value) == shape)


_ANY = (TECHNICIAN, 2, SUPERVISOR)
# command: (handler, roles, shapes of the arguments). None: its place in the protocol, not in this firmware yet.
_COMMANDS = {
    HELLO: (ServicePort._hello, (), ()),
    AUTH: (ServicePort._auth, (), (None, 32)),
    STATUS: (ServicePort._status, _ANY, ()),
    CHECKPOINT: (ServicePort._checkpoint, _ANY, (16,)),
    READ: (ServicePort._read, _ANY, (None, None)),
    RELEASE: (None, (2,), ()),
    TIME: (ServicePort._time, (TECHNICIAN,), (None,)),
    SELFTEST: (None, (TECHNICIAN,), ()),
    HUMAN: (ServicePort._human, (SUPERVISOR,), (0,)),
}
