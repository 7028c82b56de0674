"""SIGKILL at moments nobody chose: the real terminal on MicroPython, killed again and again while it sells.

Afterwards journal and ledger must agree, and the pulled journal must verify: no power cut may look like tampering.
"""

import json
import random
import subprocess
import sys
import time

import pytest
from poslab import compare
from poslab.board_launch import TerminalDied
from poslab.day import CARD_CHIP
from poslab.demo import Demo

pytestmark = pytest.mark.demo
KILLS = 25


def under_way(event):
    """The request is about to be sent, or was refused."""
    return event.get("key") == "connecting" or event.get("event") == "result"


def test_killed_at_random_moments(tmp_path):
    seed = random.SystemRandom().randrange(1 << 32)
    print("seed", seed)  # shown where the test fails
    rng = random.Random(seed)
    demo = Demo(tmp_path / "out", "micropython")
    demo.prepare()
    try:
        demo.start_acquirer()
        demo.process = demo._terminal()
        while demo.terminal({"do": "signon"})["message"] != "signon_ok":
            time.sleep(0.1)
        for number in range(KILLS):
            if number % 4 == 3:
                demo.terminal({"do": "paper", "lines": rng.randrange(30)})
            mark = len(demo.process.events)
            demo.post({"do": "sale", "amount": 10000 + number, "card": CARD_CHIP, "operator": "01"})
            if number % 2:
                # Half of the kills come when the sale is on its way, however slow the machine is.
                demo.process.wait_event(under_way, 20, mark)
            time.sleep(rng.random() * 0.08)
            demo.process.kill()
            time.sleep(rng.random() * 0.01)
            try:
                demo.process.start()
            except TerminalDied:
                pytest.fail((demo.out / "terminal.log").read_text()[-2000:])
        demo.terminal({"do": "paper"})
        for _ in range(40):
            if not demo.terminal({"do": "status"})["owed"]:
                break
            demo.wait(500)
        status = demo.terminal({"do": "status"})
        assert status["owed"] == [] and status["message"] == "", status
        demo._pull(str(demo.out / "auditor-keys.json"), str(demo.out / "journal.posj"))
    finally:
        if demo.process is not None:
            demo.process.kill()
        demo.stop_acquirer()
    rows = compare.rows(demo.out / "journal.posj", demo.out / "ledger.sqlite")
    assert len(rows) >= 5
    assert [row for row in rows if not row["agree"]] == []
    command = [sys.executable, "-m", "posaudit.cli", "verify", str(demo.out / "journal.posj"), "--json"]
    command += ["--keys", str(demo.out / "auditor-keys.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout
    assert "boots" in json.dumps(json.loads(done.stdout))
