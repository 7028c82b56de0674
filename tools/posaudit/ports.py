"""Which port is meant: a path, `port:PATH`, `id:SERIAL-NUMBER` or `auto`, as mpremote has them."""

from __future__ import annotations

import io
import json
import re
import sys
from typing import Any

import serial  # type: ignore[import-untyped]
from serial.tools import list_ports  # type: ignore[import-untyped]

_NOT_ASCII = re.compile(r"[^\n -~]")  # json.dumps itself writes \n between lines only


class PortError(Exception):
    """There is no such port, or it cannot be opened; the message says what to try."""


def find_port(selector: str) -> str:
    """The device path that `selector` names. Raises PortError."""
    if selector.startswith("port:"):
        return selector[5:]
    if selector != "auto" and not selector.startswith("id:"):
        return selector
    usb = [p for p in list_ports.comports() if p.vid is not None]
    there = "; ".join(f"{p.device} (id:{p.serial_number})" for p in usb) or "no USB serial port is connected"
    if selector.startswith("id:"):
        usb = [p for p in usb if p.serial_number == selector[3:]]
        if not usb:
            raise PortError(f"No port has the serial number {selector[3:]!r}: {there}.")
    if not usb:
        raise PortError("No USB serial port is connected. Plug the terminal in, or name the port with --port PATH.")
    if len(usb) > 1:
        raise PortError(f"Several ports are connected, choose one with --port: {there}.")
    return str(usb[0].device)


def open_port(selector: str) -> serial.Serial:
    """Open the port raw, 8N1, for this process alone. Raises PortError."""
    path = find_port(selector)
    options = {"baudrate": 115200, "timeout": 0.05, "write_timeout": 2.0}
    try:
        try:
            return serial.Serial(path, exclusive=True, **options)
        except ValueError:  # a platform where a port is exclusive anyway
            return serial.Serial(path, **options)
    except (serial.SerialException, OSError) as error:
        raise PortError(
            f"Cannot open {path}: {clean_text(str(error), 120)}. Check that it exists, that you may use it (group "
            "dialout on Linux), and that no other program holds it."
        ) from error


def clean_text(text: str, limit: int = 200) -> str:
    """`text` from a device or a file, fit for a terminal: no control characters, not longer than `limit`."""
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[: limit + 1])
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def json_text(value: Any, indent: int | None = None) -> str:
    """`value` as JSON, fit for a terminal: Chinese stays readable, what is not printable is escaped."""
    return _NOT_ASCII.sub(_escaped, json.dumps(value, ensure_ascii=False, indent=indent))


def _escaped(found: re.Match[str]) -> str:
    return found[0] if found[0].isprintable() else json.dumps(found[0])[1:-1]


def forgiving_output() -> None:
    """Let stdout and stderr show as an escape what their encoding lacks (LANG=C, cron, a Windows console)."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
