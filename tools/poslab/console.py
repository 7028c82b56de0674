"""The operator's console of `poslab terminal`: friendly commands in, JSON lines out."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, TextIO

from posaudit.ports import json_text

from poslab import lab
from poslab.board_launch import CommandRefused, TerminalDied, TerminalProcess
from poslab.day import CARD_CHIP, CARD_STRIPE
from poslab.demo import SETTINGS

HELP = """\
signon                    sign on: working key and time from the acquirer
sale AMOUNT [stripe]      a sale of AMOUNT (12.34) with the test chip card, or the magnetic stripe one
preauth AMOUNT            a pre-authorisation
void STAN                 take back a transaction of this batch
refund STAN AMOUNT        give back AMOUNT of it
completion STAN AMOUNT    complete a pre-authorisation
cancel                    take back the last approved transaction
settle                    close of day: totals, upload if they differ, a new batch
again                     present the records the acquirer refused once more
detail [closed]           print the records of the batch, or of the one closed last
status                    what is owed, and where the journal stands
paper [LINES]             LINES of paper are left; none: a new roll
clock SECONDS             set the real-time clock (Unix seconds)
tamper                    open the case
kill | start              pull the plug; power on
{"do": ...}               any command of board/README.md as JSON
help | quit"""


class Shell:
    """One emulated terminal and its operator."""

    def __init__(
        self, directory: Path, interpreter: str, heap: str, host: str, port: int, profile: Path, ca: Path | None
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        keys = None
        if not (directory / "keystore.bin").exists():
            keys = lab.provision(directory / "auditor-keys.json", "LAB-0001")
            lab.write_secret(directory / "terminal-master-key.hex", keys.terminal_master_key.hex())
        link: dict[str, Any] = {"host": host, "port": port}
        if ca is not None:
            link.update({"ca": str(ca.resolve()), "hostname": "localhost"})
        config = {"link": link, "profile": str(profile.resolve()), "settings": SETTINGS}
        self.process = TerminalProcess(directory, interpreter, heap, config=config, keys=keys, on_event=self._event)

    def run(self, source: TextIO) -> None:
        """Obey `source` line by line to its end, or `quit`."""
        with self.process:
            print(json.dumps({"event": "port", "port": self.process.port}), flush=True)
            for line in source:
                words = line.split()
                if not words or words[0].startswith("#"):
                    continue
                if words[0] == "quit":
                    return
                try:
                    self._obey(words, line)
                except (IndexError, RecursionError):
                    print("poslab: what? type help", file=sys.stderr, flush=True)
                except (CommandRefused, TerminalDied, TimeoutError, ValueError) as error:
                    print(f"poslab: {error}", file=sys.stderr, flush=True)

    def _obey(self, words: list[str], line: str) -> None:
        verb = words[0]
        if verb == "help":
            print(HELP, file=sys.stderr, flush=True)
        elif verb == "kill":
            self.process.kill()
        elif verb == "start":
            self.process.start()
        elif line.lstrip().startswith("{"):
            self.process.command(json.loads(line))
        else:
            self.process.command(self._command(verb, words))

    def _command(self, verb: str, words: list[str]) -> dict[str, Any]:
        card = CARD_STRIPE if words[-1] == "stripe" else CARD_CHIP
        if verb in ("sale", "preauth"):
            return {"do": verb, "amount": minor_units(words[1]), "card": card, "operator": "01"}
        if verb == "void":
            return {"do": verb, "amount": 1, "original": int(words[1]), "card": card, "operator": "01"}
        if verb in ("refund", "completion"):
            return {
                "do": verb,
                "original": int(words[1]),
                "amount": minor_units(words[2]),
                "card": card,
                "operator": "01",
            }
        if verb == "paper":
            return {"do": "paper", "lines": int(words[1])} if len(words) > 1 else {"do": "paper"}
        if verb == "clock":
            return {"do": "clock", "set": int(words[1])}
        if verb == "again":
            return {"do": "present_again"}
        if verb == "detail":
            return {"do": "detail", "closed": words[-1] == "closed"}
        if verb in ("signon", "cancel", "status", "tamper", "settle"):
            return {"do": verb}
        raise ValueError(f"{verb}: no such command, type help")

    def _event(self, event: dict[str, Any]) -> None:
        print(json_text(event), flush=True)


def minor_units(text: str) -> int:
    """12.34 or 12 as minor units. Raises ValueError."""
    whole, _, cents = text.partition(".")
    if not whole.isdigit() or len(cents) > 2 or (cents and not cents.isdigit()):
        raise ValueError(f"{text}: write an amount as 12.34")
    return int(whole) * 100 + int((cents + "00")[:2])
