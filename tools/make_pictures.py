"""Draw the pictures of the docs from a real run of the demo: what it printed, one slip, one transaction explained.

    python tools/make_pictures.py [--work FOLDER] [--reuse] [--out docs/pictures]

The run's files lie in FOLDER/demo, what it printed in FOLDER/stderr.ansi. --reuse draws the last run anew.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import unicodedata
from html import escape
from io import StringIO
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = 118
PAPER = 32
EXPLAINED = 5  # the STAN the demo explains: the sale whose acknowledgement never arrived
# The parts of the day that are shown, from the line with the first text up to the line with the second.
SCENES = (
    ("terminal up", "the reply's MAC is bad"),
    ("SIGKILL between send and reply", "voids and refunds"),
    ("out of paper", "the acquirer loses a record"),
    ("so the totals differ", "the totals agree"),
    ("the batch is closed without it", "posaudit verify"),
)
_SHOWN_ROWS = (9, 3)  # of the table, at its beginning and its end
_CONTROL = re.compile(r"\x1b\[\??[0-9;]*[A-LN-Za-ln-z]|\r")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_CJK = ", 'Noto Sans Mono CJK SC', 'Microsoft YaHei', 'PingFang SC', monospace"


class PictureError(Exception):
    """The run does not show what the picture is to show; the text says what is missing."""


def run_demo(work: Path) -> None:
    """Run the demo in work/demo, in colour, and keep what it printed. Raises PictureError if it fails."""
    work.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "poslab.cli", "demo", "--out", str(work / "demo")]
    # Wide, so that no line is wrapped where the picture would not wrap it.
    env = {**os.environ, "FORCE_COLOR": "1", "TERM": "xterm-256color", "COLUMNS": "240", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    (work / "stderr.ansi").write_bytes(done.stderr)
    if done.returncode != 0:
        raise PictureError(f"the demo ended with {done.returncode}: see {work / 'stderr.ansi'}")


def demo_lines(work: Path) -> list[str]:
    """What the demo printed, with its colours, without its progress bars, and with `build/demo` for its folder."""
    raw = (work / "stderr.ansi").read_text(encoding="utf-8")
    # A colour reset may follow a bar on its line: the bar is what is dropped.
    lines = [_CONTROL.sub("", line) for line in raw.splitlines()]
    shown = [line for line in lines if not _plain(line).lstrip().startswith("pulling") and _plain(line).strip()]
    return [line.replace(str((work / "demo").resolve()), "build/demo") for line in shown]


def scenes(lines: list[str]) -> list[str]:
    """The shown parts of the day and of the table. Raises PictureError."""
    out: list[str] = []
    for first, behind in SCENES:
        start = _index(lines, first, 0)
        out += [*([_gap()] if out else []), *lines[start : _index(lines, behind, start)]]
    title = _index(lines, "journal and acquirer, transaction", 0)
    batches = _index(lines, "journal and acquirer, batch", title)
    rows = [i for i in range(title, batches) if _plain(lines[i]).startswith("│")]
    if len(rows) < sum(_SHOWN_ROWS):
        raise PictureError("the table of transactions is too short")
    head, tail = _SHOWN_ROWS
    out += [_gap(), *lines[title : rows[head]], _gap(), *lines[rows[-tail] : batches]]
    out += lines[batches:]
    return out


def _plain(line: str) -> str:
    return _COLOUR.sub("", line)


def _gap() -> str:
    return "\x1b[2m      ⋮\x1b[0m"


def _index(lines: list[str], text: str, start: int) -> int:
    for i in range(start, len(lines)):
        if text in _plain(lines[i]):
            return i
    raise PictureError(f"the demo no longer prints {text!r}: change SCENES")


def terminal_svg(lines: list[str], title: str, name: str) -> str:
    """A terminal window with `lines` (ANSI colours) in it, COLUMNS wide."""
    console = Console(record=True, width=COLUMNS, file=StringIO(), highlight=False, force_terminal=True)
    for line in lines:
        console.print(Text.from_ansi(line))
    # Rich's own template fetches a font from elsewhere: a picture must not.
    template = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    template = template.replace("Fira Code, monospace", "'Fira Code', Menlo, Consolas, 'DejaVu Sans Mono'" + _CJK)
    svg = console.export_svg(title=title, code_format=template, unique_id=name)
    return "\n".join(line.rstrip() for line in svg.splitlines() if line.strip()) + "\n"


def explained(demo: Path, lang: str) -> list[str]:
    """What `posaudit explain` says of the transaction, with the command above it."""
    args = ["explain", str(demo / "journal.posj"), "--keys", str(demo / "auditor-keys.json")]
    args += ["--stan", str(EXPLAINED), "--lang", lang]
    done = subprocess.run(
        [sys.executable, "-m", "posaudit.cli", *args], capture_output=True, encoding="utf-8", check=False
    )
    if done.returncode != 0:
        raise PictureError(f"posaudit explain ended with {done.returncode}: {done.stderr}")
    asked = f"$ posaudit explain journal.posj --keys auditor-keys.json --stan {EXPLAINED} --lang {lang}"
    return [f"\x1b[1m{asked}\x1b[0m", *done.stdout.splitlines()]


def slip_svg(preview: str) -> str:
    """A slip's preview as paper: 32 columns, hanzi two wide, every character on its column whatever the font."""
    cell, line_height, margin, size = 9, 20, 18, 15
    parts: list[str] = []
    y = margin
    for row in _rows(preview):
        bare = row.strip()
        wide, tall = (2, 2) if bare.startswith("【") else (1, 2) if bare.startswith("〖") else (1, 1)
        column = len(row) - len(row.lstrip())
        if tall == 2:
            # The mark took two columns of the indentation, if there was any.
            bare, column = bare[1:-1], column + 2 if column else 0
        height = line_height * tall
        parts.append(
            f'<g transform="translate({margin + column * cell} {y}) scale({wide} {tall})">'
            f'<text y="{size}" x="{_places(bare, cell)}"{_bold(tall)}>{escape(bare)}</text></g>'
        )
        y += height
    width, height = PAPER * cell + 2 * margin, y + margin
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'xml:space="preserve">\n<rect width="{width}" height="{height}" fill="#fdfcf7" stroke="#c8c4b8"/>\n'
        f'<g fill="#222" font-size="{size}" font-family="Menlo, Consolas, \'DejaVu Sans Mono\'{_CJK}">\n'
        + "\n".join(parts)
        + "\n</g>\n</svg>\n"
    )


def _rows(preview: str) -> list[str]:
    """The rows up to the cut; one that is longer than the paper is wide (the QR code's text) goes on below."""
    rows: list[str] = []
    for row in preview.split("✂")[0].rstrip().splitlines():
        cut = PAPER if row.startswith("[") else len(row) or 1
        rows += [row[i : i + cut] for i in range(0, max(1, len(row)), cut)]
    return rows


def _bold(tall: int) -> str:
    return ' font-weight="bold"' if tall == 2 else ""


def _places(text: str, cell: int) -> str:
    places, column = [], 0
    for ch in text:
        places.append(str(column * cell))
        column += 2 if unicodedata.east_asian_width(ch) in "WF" else 1
    return " ".join(places)


def main() -> int:
    """Entry point; 0 done, 2 the run or the drawing failed."""
    parser = argparse.ArgumentParser(description="Draw the pictures of the docs from a real run of the demo.")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "pictures", help="where the demo runs")
    parser.add_argument("--reuse", action="store_true", help="draw the last run in --work anew")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures", help="where the pictures go")
    args = parser.parse_args()
    try:
        if not args.reuse:
            run_demo(args.work)
        demo = args.work / "demo"
        pending = next(iter(sorted((demo / "slips").glob("*-pending.txt"))), None)
        if pending is None:
            raise PictureError(f"no pending-reversal slip in {demo / 'slips'}")
        pictures = {
            "demo.svg": terminal_svg(scenes(demo_lines(args.work)), "make demo", "demo"),
            "explain.svg": terminal_svg(explained(demo, "en"), "posaudit explain", "explain"),
            "explain.zh-CN.svg": terminal_svg(explained(demo, "zh"), "posaudit explain", "explain-zh"),
            "pending-slip.svg": slip_svg(pending.read_text(encoding="utf-8")),
        }
    except (PictureError, OSError) as error:
        print(f"make_pictures: {error}", file=sys.stderr)
        return 2
    args.out.mkdir(parents=True, exist_ok=True)
    for name, svg in pictures.items():
        (args.out / name).write_text(svg, encoding="utf-8")
        print(args.out / name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
