"""Runs test modules where pytest does not run: `micropython runner.py <module> ...`.

One line per test, `ok <module>.<test>` or `FAIL <module>.<test>` with an indented traceback behind it, then
`ran <n>`. Without that last line the interpreter died. Exits 1 if a test failed or none was found.
"""

import gc
import io
import sys


def report(error):
    """Print the traceback, each line indented so that it cannot be taken for a result."""
    text = io.StringIO()
    if hasattr(sys, "print_exception"):
        sys.print_exception(error, text)
    else:
        import traceback

        traceback.print_exception(error, file=text)
    for line in text.getvalue().split("\n"):
        print("    " + line)


def run(names):
    """Run every test_* function of the modules, sorted by name; return (tests, failures)."""
    ran = failed = 0
    for name in names:
        module = __import__(name)
        for test in sorted(n for n in dir(module) if n.startswith("test_")):
            gc.collect()
            ran += 1
            try:
                getattr(module, test)()
            except Exception as error:  # noqa: BLE001  reported, counted, and the others still run
                failed += 1
                print(f"FAIL {name}.{test}")
                report(error)
            else:
                print(f"ok {name}.{test}")
    return ran, failed


if __name__ == "__main__":
    ran, failed = run(sys.argv[1:])
    print(f"ran {ran}")
    sys.exit(1 if failed or not ran else 0)
