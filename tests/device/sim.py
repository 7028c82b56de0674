"""A terminal in RAM: a board whose parts refuse what hardware refuses, and a host that can be told to misbehave.

Time moves only when something waits, so a run is reproducible. Used by the tests of this folder on both interpreters.
"""

from board.emulated.nor import NorFlash
from posfw.acquirer.profile import load
from posfw.codec.iso8583 import Spec
from posfw.crypto.aes import ecb_decrypt, ecb_encrypt
from posfw.crypto.cmac import Cmac
from posfw.crypto.hkdf import hkdf
from posfw.crypto.mac import same
from posfw.hal import STAGE_CONNECT, STAGE_SEND, KeyStoreError, LinkError, PrinterError
from posfw.numbers import MODE_CHIP, SALE
from posfw.terminal import Terminal

_MAC_SIZE = 8
MASTER = b"auditor master key, 32 bytes...."
JOURNAL_ID = bytes(range(16))
TERMINAL_ID = "T-0001"
TMK = b"terminal master!"
START = 1795406400  # 2026-11-23 12:00:00, UTC+8
PAN = "6222020000001234567"
SETTINGS = {
    "tid": "12345678", "mid": "123456789012345", "merchant": "测试商户", "utc_offset_min": 480, "currency": "156",
}  # fmt: skip
PROFILES = "posfw/acquirer/profiles/"


class PowerCut(BaseException):
    """Raised where the simulated supply fails; nothing that handles errors may catch it."""


class SimClock:
    def __init__(self, rtc=START):
        self.ms, self.rtc, self.quality, self.rest = 0, rtc, 1, 0

    def now(self):
        return self.ms, self.rtc, self.quality

    def ticks(self):
        return self.ms

    def set(self, rtc, quality):
        self.rtc, self.quality = rtc, quality

    def advance(self, ms):
        self.ms += ms
        self.rest += ms
        self.rtc += self.rest // 1000
        self.rest %= 1000

    def restart(self):
        self.ms = 0


class SimKeyStore:
    def __init__(self):
        self.index, self.key = 0, hkdf(MASTER, JOURNAL_ID, b"posfw/seal/1" + TERMINAL_ID.encode(), 32)
        self.vault = {}
        self.mac_key = None
        self.gone = False
        self.on_advance = None

    def _ready(self):
        if self.gone:
            raise KeyStoreError("zeroised")

    def identity(self):
        self._ready()
        return TERMINAL_ID, JOURNAL_ID

    def seal(self):
        self._ready()
        return self.index, self.key

    def advance(self, index, key):
        self._ready()
        if index != self.index + 1:
            raise KeyStoreError("the seal moves by one")
        if self.on_advance:
            self.on_advance()
        self.index, self.key = index, key

    def role_key(self, role):
        self._ready()
        name = ("technician", "auditor", "supervisor")[role - 1]
        return hkdf(MASTER, JOURNAL_ID, b"posfw/role/" + name.encode() + b"/1" + TERMINAL_ID.encode(), 32)

    def vault_key(self, batch):
        self._ready()
        if batch not in self.vault:
            raise KeyStoreError("no vault key")
        return self.vault[batch]

    def new_vault_key(self, batch, key):
        self._ready()
        self.vault[batch] = key

    def erase_vault_key(self, batch):
        self.vault.pop(batch, None)

    def install_mac_key(self, wrapped, check):
        self._ready()
        key = ecb_decrypt(TMK, wrapped)
        if not same(Cmac(key).mac(bytes(16))[: len(check)], check):
            return False
        self.mac_key = key
        return True

    def cmac(self, *parts):
        self._ready()
        if self.mac_key is None:
            raise KeyStoreError("no MAC key")
        return Cmac(self.mac_key).mac(*parts)

    def zeroise(self):
        self.gone, self.key, self.vault, self.mac_key = True, None, {}, None


class SimPrinter:
    """Keeps (slip, seq, bytes, complete); `paper` is how many writes until it is out, None for endless."""

    def __init__(self):
        self.slips, self.paper, self.on_write = [], None, None

    def begin(self, slip, seq):
        self.slips.append([slip, seq, b"", False])

    def write(self, data):
        if self.on_write:
            self.on_write()
        if self.paper is not None:
            if self.paper == 0:
                raise PrinterError(1, "paper out")
            self.paper -= 1
        self.slips[-1][2] += data

    def end(self):
        self.slips[-1][3] = True

    def fault(self):
        return 1 if self.paper == 0 else 0

    def kinds(self):
        return [slip[0] for slip in self.slips if slip[3]]


class SimUsb:
    """Two byte queues: `to_device` and `from_device`."""

    def __init__(self):
        self.to_device, self.from_device, self.room = b"", b"", 1 << 30

    def readinto(self, buf):
        n = min(len(buf), len(self.to_device))
        buf[:n] = self.to_device[:n]
        self.to_device = self.to_device[n:]
        return n

    def write(self, buf):
        n = min(self.room, len(buf))
        self.from_device += bytes(buf[:n])
        return n


class SimDisplay:
    def __init__(self):
        self.shown = []

    def show(self, key, *args):
        self.shown.append(key)


class SimTamper:
    open = False

    def tripped(self):
        return self.open


class SimLink:
    """Delivers what `host` answers, at its time. A recv that waits moves the clock."""

    def __init__(self, host, clock):
        self.host, self.clock, self.is_open = host, clock, False
        self.inbox = []  # [due_ms, bytes] in order; bytes b"" closes
        self.on_send = None
        self.frames = []

    def open(self, timeout_ms):
        if self.host.refuse:
            self.host.refuse -= 1
            self.clock.advance(10)
            raise LinkError(STAGE_CONNECT, False, "refused")
        self.is_open, self.inbox = True, []

    def send(self, buf):
        if not self.is_open:
            raise LinkError(STAGE_SEND, False, "not open")
        if self.on_send:
            self.on_send()
        self.frames.append(bytes(buf))
        for delay, data in self.host.take(bytes(buf[2:])):
            self.inbox.append([self.clock.ms + delay, data])

    def recv_into(self, buf, timeout_ms):
        if not self.is_open:
            raise LinkError(STAGE_SEND, True, "closed")
        if not self.inbox or self.inbox[0][0] > self.clock.ms + timeout_ms:
            self.clock.advance(timeout_ms)
            return 0
        due, data = self.inbox[0]
        if due > self.clock.ms:
            self.clock.advance(due - self.clock.ms)
        if not data:
            self.is_open = False
            raise LinkError(STAGE_SEND, True, "peer closed")
        n = min(len(buf), len(data))
        buf[:n] = data[:n]
        if n == len(data):
            self.inbox.pop(0)
        else:
            self.inbox[0][1] = data[n:]
        return n

    def close(self):
        self.is_open, self.inbox = False, []


class SimHost:
    """An acquirer. `ledger`: (batch, stan) -> state. `faults`: one per message to come, by name; see take()."""

    def __init__(self, profile):
        iso, self.prefix = profile["iso"], bytes.fromhex(profile["framing"]["tpdu"] + profile["framing"]["header"])
        self.spec = Spec(iso["fields"], iso["mti"], iso["bitmap"], iso["numeric"], iso["length"])
        self.mac_field = 64 if profile.get("mac") else 0
        self.key = b"working key 0001"
        self.ledger, self.faults, self.refuse, self.seen = {}, [], 0, []
        self.date, self.time = "1123", "120000"

    def _wire(self, mti, fields, mac=True):
        mac = mac and self.mac_field
        if mac:
            fields[self.mac_field] = bytes(_MAC_SIZE)
        iso = self.spec.pack(mti, fields)
        if mac:
            iso = iso[:-8] + Cmac(self.key).mac(iso[:-8])[:8]
        body = self.prefix + iso
        return len(body).to_bytes(2, "big") + body

    def take(self, wire):
        """One request; return [(delay_ms, bytes), ...]."""
        fault = self.faults.pop(0) if self.faults else None
        if fault == "lost":
            return []
        if self.mac_field and wire[len(self.prefix) : len(self.prefix) + 2] != b"\x08\x00":
            iso = wire[len(self.prefix) :]
            if Cmac(self.key).mac(iso[:-8])[:8] != iso[-8:]:
                raise ValueError("the terminal's MAC is wrong")
        mti, fields = self.spec.parse(wire[len(self.prefix) :])
        self.seen.append((mti, fields))
        reply = {11: fields[11], 41: fields[41], 39: "00"}
        if 4 in fields:
            reply[4] = fields[4]
        key = (fields.get(60, "00000000")[2:8], fields[11])
        if mti == "0800":
            reply[12], reply[13] = self.time, self.date
            if self.mac_field:
                check = Cmac(self.key).mac(bytes(16))[:4]
                reply[62] = ecb_encrypt(TMK, self.key) + check
        elif mti == "0400":
            reply[39] = "00" if self.ledger.get(key) else "25"
            self.ledger[key] = "reversed"
        else:
            code = fault[1] if isinstance(fault, tuple) and fault[0] == "decline" else "00"
            reply[39] = code
            if self.ledger.get(key) != "reversed":
                self.ledger[key] = "approved" if code == "00" else "declined"
            reply[37], reply[38] = "9" + key[1] + "00000", "A" + key[1][1:]
        if isinstance(fault, tuple) and fault[0] == "code":
            reply[39] = fault[1]
        out = "%04d" % (int(mti) + 10)
        if fault == "wrong_stan":
            reply[11] = "999999"
        if fault == "wrong_amount":
            reply[4] = "000000000001"
        wire = self._wire(out, reply, mti != "0800")
        return self._deliver(fault, wire)

    def _deliver(self, fault, wire):
        if fault == "silent":
            return []
        if fault == "garbled":
            return [(50, wire[:13] + b"\xff\xff\xff" + wire[16:])]
        if fault == "bad_mac":
            return [(50, wire[:-1] + bytes((wire[-1] ^ 1,)))]
        if fault == "half":
            return [(50, wire[: len(wire) // 2]), (60, b"")]
        if fault == "close":
            return [(50, b"")]
        if fault == "oversize":
            return [(50, b"\xff\xff" + wire)]
        if fault == "slow":
            return [(4000 * (i + 1), wire[i : i + 1]) for i in range(len(wire))]
        if fault == "twice":
            return [(50, wire), (60, wire)]
        if isinstance(fault, tuple) and fault[0] == "late":
            return [(fault[1], wire)]
        return [(50, wire)]


class SimBoard:
    firmware = "sim/1"

    def __init__(self, profile, blocks=32, block_size=4096, program_size=32, vault_blocks=4):
        self.flash = NorFlash(blocks, block_size, program_size)
        self.vault_flash = NorFlash(vault_blocks, block_size, program_size)
        self.keystore, self.printer, self.usb = SimKeyStore(), SimPrinter(), SimUsb()
        self.clock, self.display, self.tamper = SimClock(), SimDisplay(), SimTamper()
        self.host = SimHost(profile)
        self.link = SimLink(self.host, self.clock)
        self.count = 0

    def random(self, size):
        self.count += 1
        return hkdf(b"seed", b"", self.count.to_bytes(4, "big"), size)

    def reset_cause(self):
        return 1


def profile(name="unionpay", **changes):
    """A shipped profile with parts changed: profile(gate={...})."""
    data = load(PROFILES + name + ".json")
    data.update(changes)
    return data


class Sim:
    """A provisioned, booted and signed-on terminal."""

    def __init__(self, data=None, sign_on=True, **geometry):
        self.data = data or profile()
        self.board = SimBoard(self.data, **geometry)
        self.host, self.clock, self.printer = self.board.host, self.board.clock, self.board.printer
        self.start()
        if sign_on:
            done = self.terminal.sign_on()
            if not done["ok"]:
                raise ValueError(done)

    def start(self):
        """Power on: nothing of the former run is left but flash and key store."""
        self.board.clock.restart()
        self.board.link.close()
        self.terminal = Terminal(self.board, self.data, SETTINGS, bytes(32))
        return self.terminal.boot()

    @property
    def state(self):
        return self.terminal.runner.state

    def card(self, **more):
        icc = bytes.fromhex("9F26080102030405060708950500000000009F360200019F10020102")
        card = {"mode": MODE_CHIP, "pan": PAN, "expiry": "3012", "card_seq": "001", "scheme": 1,
                "aid": "A000000333010101", "icc": icc}  # fmt: skip
        card.update(more)
        return card

    def pay(self, amount=1234, kind=SALE, finish=None, **more):
        request = {"type": kind, "amount": amount, "card": self.card(), "operator": "01"}
        request.update(more)
        return self.terminal.pay(request, finish)

    def idle(self, turns=20):
        for _ in range(turns):
            if not self.terminal.idle():
                break

    def entries(self):
        """Decoded payloads of the whole journal."""
        from posfw.codec import cbor
        from posfw.journal import seal

        return [cbor.decode(seal.payload_of(entry)) for _, entry in self.terminal.runner.journal.read(0)]

    def kinds(self):
        return [payload[1] for payload in self.entries()]
