"""The board as one object (posfw.hal), put together from its configuration.

| key | meaning, default |
|---|---|
| dir | directory of everything that survives the process |
| flash | `blocks` 256, `block_size` 4096, `program_size` 32, `vault_blocks` 16 (the last ones) |
| link | `host`, `port`; `ca` (DER file) and `hostname` for TLS; `send_timeout_ms` |
| clock | null: the host's; or `rtc` and `quality` of a clock that only moves when told |
| seed | null: real random bytes; or hex of the seed of a reproducible stream |
| usb_fd | descriptor of the technician's port, null: none |
| reset_cause | 1 power |
"""

from posfw import __version__
from posfw.hal import RTC_FREE

from .clock import InjectedClock, RealClock
from .console import Console
from .display import Display
from .entropy import InjectedEntropy, SystemEntropy
from .keystore import KeyStore
from .link import Link
from .nor import NorFlash, partition
from .printer import Printer
from .tamper import TamperSwitch
from .usb import Usb


class Board:
    """`config` is a dict as in the table above. Raises OSError or posfw.hal.HalError if a part does not start."""

    firmware = "posfw-emulated/" + __version__

    def __init__(self, config):
        here = config["dir"] + "/"
        self.chip, self.flash, self.vault_flash = _flash(here + "flash.img", config.get("flash") or {})
        self.keystore = KeyStore(here + "keystore.bin")
        link = config["link"]
        self.link = Link(
            link["host"], link["port"], link.get("ca"), link.get("hostname"), link.get("send_timeout_ms", 10000)
        )
        self.printer = Printer(here + "slips")
        clock = config.get("clock")
        if clock:
            self.clock = InjectedClock(here + "clock.json", clock["rtc"], clock.get("quality", RTC_FREE))
        else:
            self.clock = RealClock(here + "clock.json")
        seed = config.get("seed")
        self._entropy = InjectedEntropy(here + "boots", bytes.fromhex(seed)) if seed else SystemEntropy()
        self.tamper = TamperSwitch(here + "tampered")
        self.usb = Usb(config.get("usb_fd"))
        self.console = Console()
        self.display = Display(self.console.emit)
        self._reset_cause = config.get("reset_cause", 1)

    def random(self, n):
        return self._entropy.random(n)

    def reset_cause(self):
        return self._reset_cause

    def wait(self, ms):
        """Sleep until a command or a technician's byte comes, at most `ms` milliseconds."""
        self.console.wait(ms, self.usb.file if self.usb.connected() else None)


def _flash(path, geometry):
    blocks = geometry.get("blocks", 256)
    vault = geometry.get("vault_blocks", 16)
    chip = NorFlash(blocks, geometry.get("block_size", 4096), geometry.get("program_size", 32), path)
    return chip, partition(chip, 0, blocks - vault), partition(chip, blocks - vault, vault)
