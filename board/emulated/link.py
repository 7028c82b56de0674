"""The way to the acquirer: TCP or TLS over the host's sockets, with a deadline on every wait.

All sockets are non-blocking and every wait is a poll with what is left of the time: a handshake with a silent host
must end too, and MicroPython's own TLS handshake would not.
"""

import io
import select
import socket
import sys
from errno import EAGAIN, EINPROGRESS, ETIMEDOUT

from posfw.hal import STAGE_CONNECT, STAGE_RESOLVE, STAGE_SEND, STAGE_TLS, LinkError

from .ticks import ticks_ms

_CPYTHON = sys.implementation.name == "cpython"
_NOT_NOW = ()  # what CPython's TLS raises for "not now"; MicroPython returns None or raises EAGAIN
if _CPYTHON:
    import ssl

    _NOT_NOW = (ssl.SSLWantReadError, ssl.SSLWantWriteError)
_ADVICE = (
    "",
    "acquirer's name not found: check the address",
    "no connection to the acquirer: check cable, address and port",
    "TLS with the acquirer failed: check its certificate, the host name and the clock",
    "sending failed: check the line",
)
_BROKEN = select.POLLERR | select.POLLHUP


def _now(call, *args):
    """The call's result, or None if it would have had to wait. Raises OSError."""
    try:
        return call(*args)
    except OSError as e:
        if e.errno == EAGAIN or isinstance(e, _NOT_NOW):
            return None
        raise


class _Wire(io.IOBase):
    """What MicroPython's TLS reads and writes: a socket that waits until `deadline` while there is one (the
    handshake) and never afterwards, and counts the bytes that left. Errors go down as negative numbers."""

    def __init__(self, sock, wait, deadline):
        self.sock, self.wait, self.deadline = sock, wait, deadline
        self.left = 0

    def readinto(self, buf):
        return self._try(self.sock.readinto, buf, select.POLLIN)

    def write(self, buf):
        n = self._try(self.sock.send, buf, select.POLLOUT)
        if n is not None and n > 0:
            self.left += n
        return n

    def ioctl(self, request, arg):
        return 0  # a close: the link closes the socket itself

    def _try(self, call, buf, event):
        while True:
            try:
                n = _now(call, buf)
            except OSError as e:
                return -e.errno
            if n is not None or self.deadline is None:
                return n
            if not self.wait(event, self.deadline):
                return -ETIMEDOUT


class Link:
    """`host` may be a number or a name. TLS if `ca`, a DER file with the acquirer's root certificate, is given;
    `hostname` is the name its certificate must bear (default: `host`)."""

    def __init__(self, host, port, ca=None, hostname=None, send_timeout_ms=10000):
        self._host, self._port = host, port
        self._ca, self._hostname = ca, hostname or host
        self._send_timeout = send_timeout_ms
        self._sock = self._pipe = self._poll = self._watched = self._wire = None
        self._sent = False  # whether a byte may have left on this connection
        self.is_open = False

    def open(self, timeout_ms):
        self.close()
        deadline = ticks_ms() + timeout_ms
        stage = STAGE_RESOLVE
        try:
            address = socket.getaddrinfo(self._host, self._port, 0, socket.SOCK_STREAM)[0]
            stage = STAGE_CONNECT
            self._connect(address, deadline)
            stage = STAGE_TLS
            self._pipe = self._tls(deadline) if self._ca else self._sock
        except (OSError, ValueError) as e:  # ValueError: a certificate MicroPython cannot read
            self.close()
            raise LinkError(stage, False, "%s (%s)" % (_ADVICE[stage], e))
        self._sent = False
        self.is_open = True

    def send(self, buf):
        if not self.is_open:
            raise LinkError(STAGE_SEND, False, "link is closed: open it first")
        view = memoryview(buf)
        deadline = ticks_ms() + self._send_timeout
        # One system call at a time: MicroPython's write() may forget bytes that left before an error. With TLS
        # there the wire counts.
        send = self._pipe.write if self._wire else self._pipe.send
        done = 0
        left = self._wire.left if self._wire else 0
        try:
            while done < len(view):
                n = _now(send, view[done:])
                if n:
                    done += n
                elif not self._wait(select.POLLOUT, deadline):
                    raise OSError(ETIMEDOUT)
        except OSError as e:
            if self._wire:
                maybe = self._wire.left != left
            else:
                # CPython's TLS does not say how far it got: then a byte may have left.
                maybe = done > 0 or bool(self._ca)
            self.close()
            raise LinkError(STAGE_SEND, maybe, "%s (%s)" % (_ADVICE[STAGE_SEND], e))
        self._sent = True

    def recv_into(self, buf, timeout_ms):
        if not self.is_open:
            raise LinkError(STAGE_SEND, self._sent, "link is closed: open it first")
        deadline = ticks_ms() + timeout_ms
        receive = self._pipe.recv_into if _CPYTHON else self._pipe.readinto
        try:
            while True:
                # First ask, then wait: TLS may hold bytes that the socket no longer shows.
                n = _now(receive, buf)
                if n:
                    return n
                if n == 0:
                    raise OSError("closed by the host")
                if not self._wait(select.POLLIN, deadline):
                    return 0
        except OSError as e:
            self.close()
            raise LinkError(STAGE_SEND, self._sent, "connection to the acquirer lost (%s)" % e)

    def close(self):
        self.is_open = False
        pipe, sock = self._pipe, self._sock
        self._sock = self._pipe = self._poll = self._watched = self._wire = None
        for part in (pipe, sock):
            try:
                if part is not None:
                    part.close()
            except OSError:
                continue  # closing what the peer has already torn down: there is nothing left to do

    def _connect(self, address, deadline):
        self._sock = self._watched = sock = socket.socket(address[0], socket.SOCK_STREAM)
        sock.setblocking(False)
        self._poll = select.poll()
        self._poll.register(sock, select.POLLOUT)
        try:
            sock.connect(address[-1])
        except OSError as e:
            if e.errno != EINPROGRESS:
                raise
        events = self._wait(select.POLLOUT, deadline)
        if not events:
            raise OSError(ETIMEDOUT)
        if events & _BROKEN:
            raise OSError("refused")

    def _tls(self, deadline):
        import ssl  # not before it is needed: a terminal without TLS keeps the memory

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.verify_mode = ssl.CERT_REQUIRED
        with open(self._ca, "rb") as file:
            context.load_verify_locations(cadata=file.read())
        if not _CPYTHON:
            self._wire = _Wire(self._sock, self._wait, deadline)
            pipe = context.wrap_socket(self._wire, server_hostname=self._hostname)
            self._wire.deadline = None
            return pipe
        self._poll.unregister(self._sock)  # wrapping moves the descriptor to the new object
        pipe = context.wrap_socket(self._sock, server_hostname=self._hostname, do_handshake_on_connect=False)
        self._pipe = self._watched = pipe
        self._poll.register(pipe, select.POLLOUT)
        while True:
            try:
                pipe.do_handshake()
                return pipe
            except _NOT_NOW as e:
                event = select.POLLIN if isinstance(e, ssl.SSLWantReadError) else select.POLLOUT
                if not self._wait(event, deadline):
                    raise OSError(ETIMEDOUT, "no answer in the handshake")

    def _wait(self, event, deadline):
        """Wait for `event`; return the events seen, 0 at the deadline."""
        self._poll.modify(self._watched, event)
        seen = self._poll.poll(max(0, deadline - ticks_ms()))
        return seen[0][1] if seen else 0
