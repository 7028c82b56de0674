"""The acquirer on the network: asyncio, two-byte length frames, TCP or TLS, and the faults on the wire."""

from __future__ import annotations

import asyncio
import datetime
import json
import os
import signal
import sqlite3
import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from poslab.acquirer import codec, wirefaults
from poslab.acquirer.connection import Arrival, Connection
from poslab.acquirer.faults import Fault, ScenarioError, load_scenario
from poslab.acquirer.host import Answer, Host, NoAnswer
from poslab.acquirer.ledger import Ledger
from poslab.acquirer.profile import load_profile
from poslab.acquirer.request import identify
from poslab.acquirer.tls import server_context

_MAX_CONNECTIONS = 64
_MESSAGE_TIMEOUT_S = 60  # from a message's first byte to its last


def run(
    host: str,
    port: int,
    ledger_path: Path | str,
    scenario_path: Path | str | None,
    profile_path: Path | str,
    tls: bool,
    cert_dir: Path | str,
    terminal_master_key: bytes,
    ready: Callable[[str, int], None],
    end_with_stdin: bool = False,
) -> None:
    """Serve until SIGTERM or SIGINT, or until stdin (a pipe) ends if asked; SIGHUP reads the scenario again.

    `port` 0 takes a free one; `ready(host, port)` is called once, when connections are accepted.
    Log lines (JSON) go to stderr. Raises ProfileError, ScenarioError, LedgerError, OSError before `ready`.
    """
    profile = load_profile(Path(profile_path))
    path = None if scenario_path is None else Path(scenario_path)
    scenario = load_scenario(path, profile.mac_field is not None)
    context = server_context(Path(cert_dir)) if tls else None
    ledger = Ledger(Path(ledger_path))
    try:
        server = Server(Host(profile, ledger, terminal_master_key, scenario), path, context)
        asyncio.run(server.serve(host, port, ready, end_with_stdin))
    finally:
        ledger.close()


class Server:
    """Listener, connections and the scripted network."""

    def __init__(self, host: Host, scenario_path: Path | None, context: ssl.SSLContext | None):
        self._host = host
        self._scenario_path = scenario_path
        self._tls = context
        self._address = ("", 0)
        self._listener: asyncio.Server | None = None
        self._connections: set[Connection] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._refuse_next = 0
        self._down_until = 0.0
        self._stop = asyncio.Event()

    async def serve(
        self, host: str, port: int, ready: Callable[[str, int], None], end_with_stdin: bool = False
    ) -> None:
        """Listen, until told to stop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        if end_with_stdin:
            loop.add_reader(0, self._stdin)
        self._address = (host, port)
        await self._open()
        profile = self._host.profile.name
        log("listening", host=host, port=self._address[1], tls=self._tls is not None, profile=profile)
        self._connect_faults()
        ready(host, self._address[1])
        await self._stop.wait()
        if self._listener is not None:
            self._listener.close()
        for connection in list(self._connections):
            connection.abort()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        log("stopped")

    def _stdin(self) -> None:
        if not os.read(0, 4096):  # whoever started us has gone
            self._stop.set()

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(lambda: Arrival(self._arrive), *self._address)
        self._address = (self._address[0], self._listener.sockets[0].getsockname()[1])

    def _connect_faults(self) -> None:
        for fault in self._host.scenario.at_start():
            self._refuse(fault)

    def _reload(self) -> None:
        try:
            scenario = load_scenario(self._scenario_path, self._host.profile.mac_field is not None)
        except ScenarioError as error:
            log("scenario_kept", error=str(error))
            return
        self._host.scenario = scenario
        log("scenario_read", faults=len(scenario.faults))
        self._connect_faults()

    def _arrive(self, transport: asyncio.Transport) -> None:
        """Count a connection from its first moment, long before a TLS handshake is done."""
        if self._refuse_next or self._stop.is_set():
            self._refuse_next = max(0, self._refuse_next - 1)
            log("connection_refused")
            transport.abort()
            return
        if len(self._connections) >= _MAX_CONNECTIONS:
            # Those that never said anything first, then the longest idle: silence must not lock terminals out.
            idle = min(self._connections, key=lambda c: (c.spoke, c.heard))
            log("connection_dropped", reason="too many, and this one was idle longest")
            self._connections.discard(idle)
            idle.abort()
        connection = Connection(transport)
        if self._tls is None:
            transport.set_protocol(connection.protocol)
            connection.protocol.connection_made(transport)
        self._connections.add(connection)
        self._spawn(self._attend(connection))

    async def _attend(self, connection: Connection) -> None:
        try:
            await connection.open(self._tls)
            try:
                while not self._stop.is_set() and await self._one_message(connection):
                    pass
            finally:
                await connection.close()
        except (OSError, ssl.SSLError, asyncio.IncompleteReadError, asyncio.TimeoutError) as error:
            log("connection_lost", error=type(error).__name__)
        except asyncio.CancelledError:
            if not self._stop.is_set():
                raise
        except sqlite3.Error as error:
            # Nothing was committed, so nothing may be answered; the terminal will see silence.
            log("ledger_failed", error=str(error))
        finally:
            connection.abort()
            self._connections.discard(connection)

    async def _one_message(self, connection: Connection) -> bool:
        """Read, process and answer one message; False when the connection should close."""
        first = await connection.reader.read(1)
        if not first:
            return False
        frame = await asyncio.wait_for(self._frame(connection.reader, first), _MESSAGE_TIMEOUT_S)
        if frame is None:
            return False
        connection.message()
        host = self._host
        try:
            wire = codec.decode(host.profile, frame)
        except codec.WireError as error:
            log("refused", reason=str(error))
            try:
                return await self._deliver(connection, host.refuse(frame, error), None)
            except NoAnswer:
                return False
        request = identify(host.profile, wire)
        fault = host.scenario.meet(request.facts())
        log("received", **request.facts(), fault=fault.action if fault else "", wrong=request.wrong)
        if fault is not None and (
            fault.action == "drop_request" or (fault.action == "restart" and not fault.processed)
        ):
            host.ignore(request, fault)
            self._after(connection, fault)
            return fault.action == "drop_request"
        try:
            answer = host.handle(request, fault)
        except NoAnswer as error:
            log("refused", reason=str(error))
            return False
        return await self._deliver(connection, answer, fault)

    async def _frame(self, reader: asyncio.StreamReader, first: bytes) -> bytes | None:
        length = int.from_bytes(first + await reader.readexactly(1), "big")
        if not 0 < length <= self._host.profile.max_message:
            log("refused", reason=f"length {length} is not 1 to {self._host.profile.max_message}")
            return None
        return await reader.readexactly(length)

    async def _deliver(self, connection: Connection, answer: Answer, fault: Fault | None) -> bool:
        try:
            plan = wirefaults.plan(self._host.profile, answer, fault)
        except codec.WireError as error:
            log("refused", reason=f"cannot be answered in this profile: {error}")
            return False
        if self._host.scenario.latency_ms:
            await asyncio.sleep(self._host.scenario.latency_ms / 1000)
        if plan.delay_ms:
            self._spawn(self._later(connection, plan, answer))
        elif plan.chunks:
            sent = await connection.send(plan.chunks, plan.pause_ms)
            log("answered" if sent else "undeliverable", **answer.facts)
        if fault is not None:
            self._after(connection, fault)
        return not plan.close

    async def _later(self, connection: Connection, plan: wirefaults.Plan, answer: Answer) -> None:
        await asyncio.sleep(plan.delay_ms / 1000)
        sent = await connection.send(plan.chunks)
        log("answered_late" if sent else "undeliverable", **answer.facts)

    def _after(self, connection: Connection, fault: Fault) -> None:
        """What a fault does to listener and connections once the message is dealt with."""
        if fault.action == "refuse_connection":
            self._refuse(fault)
        elif fault.action == "restart":
            log("restart", down_ms=fault.settings["down_ms"])
            self._host.forget()
            for other in list(self._connections):
                other.abort()
            self._go_down(fault.settings["down_ms"])

    def _refuse(self, fault: Fault) -> None:
        if fault.settings["connects"]:
            self._refuse_next += fault.settings["connects"]
        else:
            self._go_down(fault.settings["for_ms"])

    def _go_down(self, duration_ms: int) -> None:
        """Close the listener, so that connecting fails as to a host that is not there; reopen later."""
        loop = asyncio.get_running_loop()
        waiting = self._listener is None
        self._down_until = max(self._down_until, loop.time() + duration_ms / 1000)
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        log("listener_closed", for_ms=duration_ms)
        if not waiting:
            self._spawn(self._come_back())

    async def _come_back(self) -> None:
        loop = asyncio.get_running_loop()
        while (left := self._down_until - loop.time()) > 0:
            await asyncio.sleep(left)
        try:
            await self._open()
        except OSError as error:
            log("failed", reason=f"the port could not be opened again ({error.strerror})")
            self._stop.set()
            return
        log("listening", host=self._address[0], port=self._address[1])

    def _spawn(self, work: Any) -> None:
        self._track(asyncio.get_running_loop().create_task(work))

    def _track(self, task: asyncio.Task[Any]) -> None:
        """Keep a task alive until it is done, and know it when stopping."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def log(event: str, **values: object) -> None:
    """One JSON line on stderr. Callers pass references and codes only, never card data."""
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")
    shown = {key: value for key, value in values.items() if value not in ("", None, [])}
    print(json.dumps({"time": now, "event": event, **shown}), file=sys.stderr, flush=True)
