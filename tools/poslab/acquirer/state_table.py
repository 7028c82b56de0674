"""A batch of the ledger for the eye."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from poslab.acquirer.clearing_table import merged

_LINES = ("domestic debit", "domestic credit", "international debit", "international credit")


def table(batch: dict[str, Any]) -> Table:
    """One batch for the eye. Amounts with two decimals, as slips of the lab's currency have them."""
    how = f" ({batch['how']})" if batch["how"] else ""
    title = Text(f"{batch['tid']} batch {batch['batch']}: {batch['state']}{how}")
    shown = Table(
        "", "terminal", "acquirer", "difference", title=title, title_justify="left", caption=Text(_caption(batch)),
        caption_justify="left", box=box.SIMPLE_HEAD,
    )  # fmt: skip
    for column in shown.columns[1:]:
        column.justify = "right"
    own = merged(batch["host_totals"]) if batch["together"] else batch["host_totals"]
    for place, line in enumerate(_LINES[:2] if batch["together"] else _LINES):
        columns = (batch["terminal_totals"], own, batch["differences"])
        name = line.replace("domestic", "both schemes,") if batch["together"] else line
        shown.add_row(name, *(_sum(numbers, place * 2) for numbers in columns))
    return shown


def _caption(batch: dict[str, Any]) -> str:
    counts = ("uploaded", "refused", "recovered", "missing", "settled")
    lines = [", ".join(f"{name} {batch[name]}" for name in counts)]
    for name, items in (("late", batch["late"]), ("reversed after close", batch["reversed_after_close"])):
        if items:
            told = (f"{item['stan']:06d} {item['type']} {_money(item['amount'])}" for item in items)
            lines.append(f"{name}: {', '.join(told)}")
    lines += [f"record {note['stan']:06d}: {note['code']} {note['note']}".rstrip() for note in batch["notes"]]
    return "\n".join(lines)


def _sum(numbers: list[int] | None, place: int) -> str:
    return "-" if numbers is None else f"{_money(numbers[place])} / {numbers[place + 1]}"


def _money(amount: int) -> str:
    return f"{'-' if amount < 0 else ''}{abs(amount) // 100}.{abs(amount) % 100:02d}"
