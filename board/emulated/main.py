"""A terminal, as a vendor would write it: a board, posfw's Terminal over it, and a loop.

    micropython -X heapsize=256K -m board.emulated.main config.json

`config.json` holds the board's configuration (board.py) and the terminal's: `profile`, the path of an acquirer
profile, and `settings`. Commands come in as JSON lines, results and events go out as JSON lines (board/README.md).
"""

import gc
import json
import sys
from hashlib import sha256

from posfw import numbers
from posfw.acquirer.profile import Profile, load
from posfw.hal import HalError

from .board import Board

PAYMENTS = {
    "sale": numbers.SALE,
    "void": numbers.VOID,
    "refund": numbers.REFUND,
    "preauth": numbers.PREAUTH,
    "completion": numbers.COMPLETION,
    "preauth_void": numbers.PREAUTH_VOID,
}


def perform(board, terminal, command):
    """Do what `command` says and return the result, a dict."""
    do = command["do"]
    if do in PAYMENTS:
        command["type"] = PAYMENTS[do]
        card = command.get("card") or {}
        if "icc" in card:
            card["icc"] = bytes.fromhex(card["icc"])  # DE55, hex in JSON
        return terminal.pay(command)
    if do == "cancel":
        return terminal.cancel()
    if do == "settle":
        return terminal.settle()
    if do == "present_again":
        return terminal.present_again()
    if do == "detail":
        return terminal.print_detail(bool(command.get("closed")))
    if do == "signon":
        return terminal.sign_on()
    if do == "status":
        return terminal.status()
    from .controls import control

    return control(board, terminal, command)


def main(path):
    with open(path) as file:
        config = json.load(file)
    with open(config["profile"], "rb") as file:
        digest = sha256(file.read()).digest()
    board = Board(config)
    # Before the rest is loaded: as a dict the profile takes ten times the room of what is kept of it.
    profile = Profile(load(config["profile"]), config.get("settings") or {}, board.keystore.identity()[0], digest)
    del config
    gc.collect()
    from posfw.terminal import Terminal

    from .controls import interpreter, memory

    terminal = Terminal(board, profile)
    message = terminal.boot()[1]
    console = board.console
    console.emit({"event": "ready", "interpreter": interpreter(), "heap": memory()["size"], "message": message})
    while not console.ended:
        command = console.read()
        if command is None:
            if not terminal.idle():
                board.wait(20)
            continue
        try:
            console.result(command, perform(board, terminal, command))
        except HalError as e:
            console.refuse(command, str(e))
        except (KeyError, TypeError, ValueError) as e:
            # Only the name: the text of these may quote the command, and a command may hold a card number.
            console.refuse(command, "command refused, see board/README.md: " + type(e).__name__)
        if command.get("do") == "exit":
            break
        del command
        gc.collect()  # card data leave the heap's live part with the command


if __name__ == "__main__":
    main(sys.argv[1])
