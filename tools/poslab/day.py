"""The scripted day: what the cashier does, in order, against the faults of scenarios/demo.toml.

It knows the terminal by its console and the acquirer by its process; what must come out is checked where it happens.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

# Test cards: numbers no issuer has given out. Never printed in full.
CARD_CHIP = {
    "mode": 5,
    "pan": "6222020000001234567",
    "expiry": "3012",
    "card_seq": "001",
    "scheme": 1,
    "aid": "A000000333010101",
    "icc": "9F26080102030405060708950500000000009F360200019F10020102",
}
CARD_STRIPE = {
    "mode": 2,
    "pan": "4532015112830366",
    "expiry": "2911",
    "track2": "4532015112830366=29112010000012345678",
    "scheme": 2,
}
DAY_S = 86400


class DayFailed(Exception):
    """The day did not go as it must; the text says where."""


class Bench(Protocol):
    """What the day needs around it."""

    def say(self, text: str) -> None: ...
    def terminal(self, command: dict[str, Any]) -> dict[str, Any]: ...
    def post(self, command: dict[str, Any]) -> int: ...
    def kill_terminal(self) -> None: ...
    def start_terminal(self, at_once: bool = False) -> None: ...
    def stop_acquirer(self) -> None: ...
    def start_acquirer(self) -> None: ...
    def wait_for_sale(self, amount: int) -> None: ...
    def wait_for_upload(self, batch: int, records: int) -> None: ...
    def uploaded(self, batch: int) -> int: ...
    def wait(self, ms: int) -> None: ...
    def work(self, ms: int) -> None: ...
    def rtc(self) -> int: ...
    def slips(self, kind: str) -> int: ...
    def pull_while_selling(self) -> None: ...


class Day:
    """Runs the day on a bench, up to its close (poslab.closing_day)."""

    def __init__(self, bench: Bench, retry: dict[str, int]) -> None:
        self.bench = bench
        self.retry = retry

    def run(self) -> None:
        """The day's sales. Raises DayFailed."""
        for part in (
            self.morning,
            self.replies_that_do_not_count,
            self.power_cut,
            self.unreachable,
            self.void_and_refund,
            self.paper,
            self.technician,
        ):
            part()

    # -- parts -----------------------------------------------------------------------------------------------------

    def morning(self) -> None:
        self.bench.say("sign-in, an approved sale, a declined one")
        self.expect(self.bench.terminal({"do": "signon"}), "signon_ok")
        self.sale(1000, "approved")
        self.sale(1100, "approved", CARD_STRIPE)
        self.sale(1200, "declined")

    def replies_that_do_not_count(self) -> None:
        self.bench.say("the acknowledgement never arrives: a pending slip; the next sale sends the reversal first")
        self.sale(1300, "unknown_outcome")
        self.sale(1400, "approved")
        self.nothing_owed()
        for amount, what in (
            (1500, "the reply comes late: journaled, and reversed all the same"),
            (1600, "the reply's MAC is bad: reversal with reason A0"),
            (1700, "the reply is garbled"),
            (1800, "the reply answers another STAN"),
            (1900, "the reply claims 65,535 bytes"),
            (2000, "the reply trickles in byte by byte"),
            (2100, "the connection closes in mid-reply"),
            (2300, "the request itself is lost"),
        ):
            self.bench.say(what)
            self.sale(amount, "unknown_outcome")
            self.bench.wait(1200 if amount == 1500 else 100)
            self.settle_debts()
        self.bench.say("the reply comes twice: approved once")
        self.sale(2200, "approved")
        self.bench.work(200)

    def power_cut(self) -> None:
        self.bench.say("SIGKILL between send and reply: after the restart the reversal is owed from the journal alone")
        self.bench.post({"do": "sale", "amount": 2400, "card": CARD_CHIP, "operator": "01"})
        self.bench.wait_for_sale(2400)
        self.bench.kill_terminal()
        self.bench.start_terminal()
        self.owed(1)
        self.settle_debts()

    def unreachable(self) -> None:
        self.bench.say("the acquirer is down: connections fail, and none of them counts as an attempt")
        self.sale(2500, "unknown_outcome")
        self.bench.stop_acquirer()
        for _ in range(self.retry["attempts"] + 2):
            self.bench.wait(self.retry["max_ms"] * 5 // 4 + 50)
        self.owed(1)
        self.bench.start_acquirer()
        self.bench.say("it answers the phone and says nothing: the attempts run out, UNRESOLVED, two slips")
        self.wait_until_owed(4)
        self.sale(9900, "reversal_unresolved")
        self.bench.say("restart, and past midnight: the debt is still there")
        self.bench.kill_terminal()
        self.bench.start_terminal()
        self.owed(1, what=4)
        self.bench.terminal({"do": "clock", "set": self.bench.rtc() + DAY_S})
        self.bench.kill_terminal()
        self.bench.start_terminal()
        self.owed(1, what=4)
        self.sale(9900, "reversal_unresolved")
        self.bench.say("the acquirer speaks again: the slow retry is accepted")
        self.bench.wait(self.retry["slow_ms"] * 5 // 4 + 500)
        self.nothing_owed()

    def void_and_refund(self) -> None:
        self.bench.say("voids and refunds meet the same faults")
        for amount in (2600, 2700):
            stan = self.sale(amount, "approved")["stan"]
            void = {"do": "void", "amount": amount, "original": stan, "card": CARD_CHIP, "operator": "01"}
            self.expect(self.bench.terminal(void), "unknown_outcome")
            self.settle_debts()
            self.expect(self.bench.terminal(void), "approved")
            self.expect(self.bench.terminal(void), "already_voided")
        for amount in (2800, 2900):
            stan = self.sale(amount, "approved")["stan"]
            refund = {"do": "refund", "amount": amount, "original": stan, "card": CARD_CHIP, "operator": "01"}
            self.expect(self.bench.terminal(refund), "unknown_outcome")
            self.settle_debts()
            self.expect(self.bench.terminal(refund), "approved")

    def paper(self) -> None:
        self.bench.say("out of paper in mid-slip: the slip stays owed and comes once paper is back")
        self.bench.terminal({"do": "paper", "lines": 9})
        self.sale(3000, "approved")
        self.bench.wait(200)
        self.owed(1, what=3)
        self.bench.kill_terminal()
        self.bench.start_terminal()
        self.bench.terminal({"do": "paper"})
        self.bench.wait(300)
        self.nothing_owed()

    def technician(self) -> None:
        self.bench.say("a technician pulls the journal over USB while the terminal sells")
        self.bench.pull_while_selling()

    # -- steps -----------------------------------------------------------------------------------------------------

    def sale(self, amount: int, message: str, card: dict[str, Any] = CARD_CHIP) -> dict[str, Any]:
        """One sale; its result must be `message`."""
        done = self.bench.terminal({"do": "sale", "amount": amount, "card": card, "operator": "01"})
        return self.expect(done, message, amount)

    def expect(self, done: dict[str, Any], message: str, amount: int = 0) -> dict[str, Any]:
        """Check a result."""
        if done.get("message") != message:
            raise DayFailed(f"amount {amount}: the terminal says {done.get('message')}, {message} was expected")
        return done

    def settle_debts(self) -> None:
        """Wait until the owed reversals are accepted and their slips printed."""
        for _ in range(20):
            if not self.bench.terminal({"do": "status"})["owed"]:
                return
            self.bench.wait(self.retry["base_ms"] * 5 // 4 + 50)
        raise DayFailed("a reversal is still owed though the acquirer answers")

    def wait_until_owed(self, what: int) -> None:
        """Wait, step by step, until something of kind `what` is owed."""
        for _ in range(20):
            if any(item[0] == what for item in self.bench.terminal({"do": "status"})["owed"]):
                return
            self.bench.wait(self.retry["max_ms"] * 5 // 4 + 50)
        raise DayFailed(f"nothing of kind {what} came to be owed")

    def owed(self, count: int, what: int = 2) -> None:
        """Check how many reversals (2), slips (3) or unresolved reversals (4) are owed."""
        items = [item for item in self.bench.terminal({"do": "status"})["owed"] if item[0] == what]
        if len(items) != count:
            raise DayFailed(f"{len(items)} owed of kind {what}, {count} expected")

    def nothing_owed(self) -> None:
        """Check that nothing at all is owed."""
        items = self.bench.terminal({"do": "status"})["owed"]
        if items:
            raise DayFailed(f"still owed: {items}")


def until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Poll `condition`. Raises DayFailed after `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise DayFailed(f"{what} did not happen within {seconds:.0f} s")
        time.sleep(0.02)


__all__ = ["CARD_CHIP", "CARD_STRIPE", "Bench", "Day", "DayFailed", "until"]
