"""Where a transaction stands in its batch, in sentences."""

from __future__ import annotations

from typing import Any

from posaudit.batches import Record
from posaudit.describe import Context, code_meaning, how_closed
from posaudit.texts import say


def settled_lines(r: Record, c: Context) -> list[str]:
    """What became of `r` at the settlement; nothing if it moved no money."""
    lang, batch, place = c.lang, r.batch, r.place
    if place == "none" or (place == "not_counted" and r.money):  # an older journal does not say how it counts
        return []
    closed = batch.closed
    name = f"{batch.number:06}"
    code = code_meaning(lang, r.code)
    values: dict[str, Any] = {"batch": name, "code": code}
    if place == "taken_out":
        values["other"] = r.taken_out
    elif place == "written_off":
        values["name"] = r.written_off
    elif place == "settled" and closed is not None:
        values.update(how=how_closed(lang, closed[6][1]), time=c.when(closed), seq=closed[0])
    out = [say(lang, f"in_{place}", **values)]
    if r.verdict == "accepted" and not r.presented:
        out.append(say(lang, "in_uploaded", code=code))
    if r.presented:
        codes = ", ".join(f"#{seq} {code or '-'}" for seq, code in r.presented)
        out.append(say(lang, "in_presented", codes=codes))
    return out
