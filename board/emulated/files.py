"""Files the board keeps its state in: whole or old after SIGKILL, under both interpreters."""

import os


def exists(path):
    """True if there is a file or directory at `path`."""
    try:
        os.stat(path)
    except OSError:
        return False
    return True


def open_raw(path, mode):
    """Open `path`, or an inherited descriptor number, unbuffered: a write that returned outlives the process."""
    return open(path, mode, buffering=0)


def write_all(file, data):
    """Write all of `data` at the file's position. Raises OSError."""
    done = 0
    view = memoryview(data)
    while done < len(view):
        done += file.write(view[done:])


def replace(path, data):
    """Make `data` the content of `path`: after a kill at any moment the old content is there whole, or the new.

    The unix port has no fsync; where there is one it is used. What is promised is to survive the process, as the
    emulated board has no power of its own to lose.
    """
    new = path + ".new"
    file = open_raw(new, "wb")
    write_all(file, data)
    if hasattr(os, "fsync"):
        os.fsync(file.fileno())
    file.close()
    os.rename(new, path)
