"""One terminal's connection to the acquirer: known from its first moment, TLS, bounded ends."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable

_HANDSHAKE_TIMEOUT_S = 5
_CLOSE_TIMEOUT_S = 2  # for the last bytes and TLS's farewell


class Connection:
    """One terminal's connection; `lock` keeps a late answer from landing inside another one."""

    def __init__(self, transport: asyncio.Transport):
        self._loop = asyncio.get_running_loop()
        self.transport = transport
        self.reader = asyncio.StreamReader()
        self.protocol = asyncio.StreamReaderProtocol(self.reader)
        self.lock = asyncio.Lock()
        self.spoke = False  # a whole message has come
        self.heard = self._loop.time()  # when the last message came, or the connection

    async def open(self, context: ssl.SSLContext | None) -> None:
        """Make `writer`, after the TLS handshake if there is one. Raises OSError."""
        if context is not None:
            secure = await self._loop.start_tls(
                self.transport,
                self.protocol,
                context,
                server_side=True,
                ssl_handshake_timeout=_HANDSHAKE_TIMEOUT_S,
            )
            if secure is None:  # Python 3.10's answer when the peer goes away in mid-handshake
                raise ConnectionResetError("lost during the TLS handshake")
            self.transport = secure
            self.protocol.connection_made(secure)
        self.writer = asyncio.StreamWriter(self.transport, self.protocol, self.reader, self._loop)

    async def close(self) -> None:
        """Send what is left and close, in bounded time."""
        self.writer.close()
        with contextlib.suppress(OSError, asyncio.TimeoutError):  # it is over either way
            await asyncio.wait_for(self.writer.wait_closed(), _CLOSE_TIMEOUT_S)

    def message(self) -> None:
        """Note that a message has come."""
        self.spoke = True
        self.heard = self._loop.time()

    async def send(self, chunks: list[bytes], pause_ms: int = 0) -> bool:
        """Write the chunks; False if the terminal has gone."""
        async with self.lock:
            try:
                for number, chunk in enumerate(chunks):
                    if number and pause_ms:
                        await asyncio.sleep(pause_ms / 1000)
                    if self.writer.is_closing() or self.reader.at_eof():
                        return False
                    self.writer.write(chunk)
                    await self.writer.drain()
            except (OSError, ssl.SSLError):
                return False
        return True

    def abort(self) -> None:
        """Drop the connection at once."""
        self.transport.abort()


class Arrival(asyncio.Protocol):
    """A new TCP connection, handed on before a byte is read: asyncio's own TLS server shows it after the handshake."""

    def __init__(self, arrive: Callable[[asyncio.Transport], None]):
        self._arrive = arrive

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hand it on."""
        self._arrive(transport)  # type: ignore[arg-type]
