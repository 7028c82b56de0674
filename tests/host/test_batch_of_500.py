"""A batch of 500: real MicroPython in its bounded heap, a real acquirer that wants every record, and both books equal.

Settling 500 records takes no more heap than settling 50: they are read from the journal one at a time.
"""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bench"))
import measure

pytestmark = pytest.mark.demo


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return {records: measure.batch(tmp_path_factory.mktemp("batch") / "out", records) for records in (50, 500)}


@pytest.mark.parametrize("records", [50, 500])
def test_every_record_goes_up_and_the_totals_are_equal(runs, records):
    amounts = [1000 + number for number in range(records)]
    chip, stripe = amounts[::5], [amount for amount in amounts if amount % 5]
    totals = [sum(chip), len(chip), 0, 0, sum(stripe), len(stripe), 0, 0]
    books = runs[records]["books"]
    assert books["journal_totals"] == books["acquirer_totals"] == totals
    assert (books["sent"], books["acknowledged"], books["refused"]) == (records, records, 0)
    assert (books["how"], books["state"], books["agree"]) == ("uploaded", "closed", True)


def test_the_heap_of_500_records_is_that_of_50(runs):
    few, many = runs[50], runs[500]
    assert many["size"] <= measure.BATCH_HEAP_KB * 1024
    # A peak that was never sampled would be 0, and one sampled with garbage would fill the heap.
    assert few["live"] * 0.9 < few["peak"] < few["size"]
    assert abs(many["peak"] - few["peak"]) <= 0.05 * few["peak"]
