"""Random days: once the network is healthy again, every approved transaction is in exactly one closed batch on both
sides, or listed as refused or unresolved with its slip, and both sides' totals agree to the cent.

2,000 days by default. `pytest tests/host/test_random_days.py --seeds 20000` runs more, `--seed 1234` replays one.
"""

import functools

import pytest
import random_days

from posfw.receipt import escpos

CHUNK = 100


@pytest.fixture(autouse=True)
def quick_paper(monkeypatch):
    """The same lines are printed day after day: remember their bytes."""
    monkeypatch.setattr(escpos, "encode", functools.lru_cache(10000)(escpos.encode))


def pytest_generate_tests(metafunc):
    if "first" not in metafunc.fixturenames:
        return
    one, count = metafunc.config.getoption("--seed"), metafunc.config.getoption("--seeds")
    ranges = [(one, 1)] if one is not None else [(i, min(CHUNK, count - i)) for i in range(0, count, CHUNK)]
    metafunc.parametrize(("first", "count"), ranges, ids=[f"{first}+{size}" for first, size in ranges])


def test_days_from(first, count):
    for seed in range(first, first + count):
        random_days.run(seed)


def test_a_day_is_a_function_of_its_seed():
    days = [random_days.Day(7) for _ in range(2)]
    for day in days:
        day.run()
    assert days[0].log == days[1].log
    assert days[0].sim.entries() == days[1].sim.entries()
