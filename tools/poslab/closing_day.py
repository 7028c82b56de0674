"""The day's end: four batches, each closed in spite of what scenarios/demo.toml has against it.

It goes on where poslab.day stops, on the same bench. An injected clock stands still here but for `wait`: what needs no
time is given the terminal by `work`, so that two runs do the same at the same times.
"""

from __future__ import annotations

from typing import Any

from posfw import numbers as n
from poslab.day import CARD_CHIP, CARD_STRIPE, Day, DayFailed

# Each card's other side of the border: the same two numbers, so that one search finds them wherever they should not be.
CHIP_ABROAD = {**CARD_CHIP, "pan": CARD_STRIPE["pan"], "expiry": "2911", "scheme": 2, "aid": "A0000000031010"}
STRIPE_HOME = {
    **CARD_STRIPE,
    "pan": CARD_CHIP["pan"],
    "expiry": "3012",
    "track2": f"{CARD_CHIP['pan']}=3012201000001234",
    "scheme": 1,
}
# Records at the acquirer when a reply to the upload of the second batch is dropped: there the terminal is killed.
_CUTS = (6, 10)
_REFUSED = 8  # the kind of owed item that waits for people


class CloseOfDay:
    """Closes the day of `day`, which has run. deadline_s: the profile's, after which an open batch is an anomaly."""

    def __init__(self, day: Day, deadline_s: int) -> None:
        self.day = day
        self.bench = day.bench
        self.deadline_s = deadline_s

    def run(self) -> None:
        """All four settlements. Raises DayFailed."""
        self.lost_reply()
        self.unbalanced_and_killed()
        self.refused_record()
        self.overdue()

    # -- parts -----------------------------------------------------------------------------------------------------

    def lost_reply(self) -> None:
        self.bench.say("close of day: the reply to the totals is lost, so the same message is sent once more")
        batch = self._batch()
        self._settle("settling")
        self.bench.wait(self.day.retry["max_ms"] * 5 // 4 + 50)
        self._closed(batch)

    def unbalanced_and_killed(self) -> None:
        self.bench.say("the acquirer loses a record, changes an amount and books one sale twice")
        batch = self._batch()
        voided = self.day.sale(4000, "approved")["stan"]
        self.day.sale(4100, "approved")
        self.day.sale(4200, "approved")
        self.day.sale(4300, "approved", CARD_STRIPE)
        self.day.sale(4350, "approved", CARD_STRIPE)
        self.day.sale(4400, "approved")
        self._undo("void", 4000, voided)
        self.day.sale(4500, "approved")
        returned = self.day.sale(4600, "approved", CHIP_ABROAD)["stan"]
        self._undo("refund", 1600, returned, CHIP_ABROAD)
        self.day.sale(4700, "approved", CHIP_ABROAD)
        self.day.sale(4800, "approved", CHIP_ABROAD)
        self.day.sale(4900, "approved", STRIPE_HOME)
        self.bench.say("so the totals differ and every record goes up; SIGKILL in mid-upload, twice")
        failed = self.bench.slips("settle-failed")
        self.bench.post({"do": "settle"})
        for records in _CUTS:
            self.bench.wait_for_upload(batch, records)
            self.bench.kill_terminal()
            self.bench.start_terminal(at_once=True)
        self._closed(batch)
        self._printed("settle-failed", failed + 1)
        if self.bench.uploaded(batch) != 13:
            raise DayFailed(f"the acquirer has {self.bench.uploaded(batch)} records of batch {batch}, not 13")

    def refused_record(self) -> None:
        self.bench.say("the totals agree; of the chip records that follow, the acquirer refuses one")
        batch = self._batch()
        returned = self.day.sale(5000, "approved")["stan"]
        self.day.sale(5100, "approved", CARD_STRIPE)
        self.day.sale(5200, "approved", CHIP_ABROAD)
        self.day.sale(5300, "approved", STRIPE_HOME)
        self._undo("refund", 5000, returned)
        self._settle("settled")
        self._closed(batch, refused=1)
        self._printed("upload", 1)
        self.bench.say("the batch is closed without it; the operator presents it again, and it is taken")
        self.day.expect(self.bench.terminal({"do": "present_again"}), "presented")
        self.day.nothing_owed()

    def overdue(self) -> None:
        self.bench.say("nobody settles: past the deadline the terminal says so, on paper, at boot and at each sale")
        batch = self._batch()
        voided = self.day.sale(6000, "approved")["stan"]
        self.day.sale(6100, "approved", CARD_STRIPE)
        self._undo("void", 6000, voided)
        failed, reminders = self.bench.slips("settle-failed"), self.bench.slips("reminder")
        self.bench.terminal({"do": "clock", "set": self.bench.rtc() + self.deadline_s + 3600})
        self.bench.work(200)
        self._printed("settle-failed", failed + 1)
        cause = self.bench.terminal({"do": "status"})["settlement"][3]
        if cause != n.CAUSE_NOT_SETTLED:
            raise DayFailed(f"the batch is past its deadline and the terminal says cause {cause}")
        self.day.sale(6200, "approved", CHIP_ABROAD)
        self._printed("reminder", reminders + 1)
        self.bench.kill_terminal()
        self.bench.start_terminal()
        self._printed("reminder", reminders + 2)
        self._settle("settled")
        self._closed(batch)

    # -- steps -----------------------------------------------------------------------------------------------------

    def _batch(self) -> int:
        batch: int = self.bench.terminal({"do": "status"})["batch"]
        return batch

    def _undo(self, kind: str, amount: int, original: int, card: dict[str, Any] = CARD_CHIP) -> None:
        command = {"do": kind, "amount": amount, "original": original, "card": card, "operator": "01"}
        self.day.expect(self.bench.terminal(command), "approved", amount)

    def _settle(self, message: str) -> None:
        self.day.expect(self.bench.terminal({"do": "settle"}), message)

    def _closed(self, batch: int, refused: int = 0) -> None:
        """Let the terminal work until `batch` is closed and nothing is left to do but for `refused` records."""
        for _ in range(100):
            status = self.bench.terminal({"do": "status"})
            if status["batch"] != batch and all(item[0] == _REFUSED for item in status["owed"]):
                break
            self.bench.work(100)
        else:
            raise DayFailed(f"batch {batch} does not close: {status['settlement']}, owed {status['owed']}")
        if len(status["refused"]) != refused:
            raise DayFailed(f"{len(status['refused'])} refused records, {refused} expected")

    def _printed(self, kind: str, count: int) -> None:
        if self.bench.slips(kind) != count:
            raise DayFailed(f"{self.bench.slips(kind)} slips of kind {kind}, {count} expected")
