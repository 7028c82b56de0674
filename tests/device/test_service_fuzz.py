"""Noise on the service port, from a seeded generator: idle() raises nothing, nothing grows, one FAULT per boot."""

import binascii
import gc

from sim import Sim, SimUsb

from posfw import numbers as n
from posfw.codec import cbor, cobs
from posfw.crypto.mac import hmac_sha256
from posfw.service.port import AUTH, CHECKPOINT, HELLO, READ, TIME, ServicePort

HEAP = "2M"  # the simulated flash lies in RAM


class Dice:
    """Numerical Recipes' generator: the same on both interpreters."""

    def __init__(self, seed):
        self.x = seed

    def below(self, limit):
        self.x = (self.x * 1664525 + 1013904223) & 0xFFFFFFFF
        return (self.x >> 8) % limit

    def bytes(self, size):
        return bytes([self.below(256) for _ in range(size)])


def value(dice, depth=0):
    """A random CBOR value of the subset."""
    kind = dice.below(9)
    if kind < 3:
        return dice.below(12) if kind else dice.below(1 << 24) << dice.below(40)
    if kind == 3:
        return -1 - dice.below(1000)
    if kind == 4:
        return dice.bytes(dice.below(40))
    if kind == 5:
        return "张x" * dice.below(20)
    if kind == 6:
        return (None, True, False)[dice.below(3)]
    if depth > 4:
        return []
    return [value(dice, depth + 1) for _ in range(dice.below(5))]


def request(dice):
    """A request that is nearly right."""
    out = [1, 1 + dice.below(65535), dice.below(12)]
    if out[2] == AUTH:
        out += [dice.below(5), dice.bytes(32)]
    elif out[2] == CHECKPOINT:
        out.append(dice.bytes(16))
    elif out[2] == READ:
        out += [dice.below(99), dice.below(3000)]
    elif out[2] == TIME:
        out.append(dice.below(1 << 24))
    elif out[2] > TIME:
        out.append(dice.bytes(dice.below(300)))
    if dice.below(3) == 0:
        out[dice.below(len(out))] = value(dice)
    if dice.below(8) == 0:
        out.append(value(dice))
    return out


def wire(dice):
    """Bytes for the terminal: noise, broken frames, whole frames of nonsense, and requests that are nearly right."""
    kind = dice.below(6)
    if kind == 0:
        return dice.bytes(dice.below(600))
    if kind == 1:
        return bytes(dice.below(30))
    if kind == 2:
        return dice.bytes(1 + dice.below(20)) * dice.below(200)
    body = cbor.encode(request(dice)) if kind != 3 else cbor.encode(value(dice))
    if kind == 4 and dice.below(2):
        body = bytearray(body)
        body[dice.below(len(body))] ^= 1 << dice.below(8)
    frame = bytearray(cobs.encode(bytes(body) + binascii.crc32(body).to_bytes(4, "little")) + b"\x00")
    if dice.below(5) == 0:
        frame[dice.below(len(frame))] = dice.below(256)
    if dice.below(9) == 0:
        frame = frame[: dice.below(len(frame) + 1)]
    return bytes(frame)


def ask(sim, command, *args):
    """One request, as a laptop would send it; returns the last reply (what noise was pending is answered first)."""
    usb = sim.board.usb
    usb.from_device = b""
    body = cbor.encode([1, 7, command] + list(args))  # noqa: RUF005
    usb.to_device = b"\x00" + cobs.encode(body + binascii.crc32(body).to_bytes(4, "little")) + b"\x00"
    for _ in range(2000):
        if not sim.terminal.idle() and not usb.to_device:
            break
    return cbor.decode(cobs.decode(usb.from_device.split(b"\x00")[-2])[:-4])


def login(sim, role):
    challenge = ask(sim, HELLO)[-1]
    key = sim.board.keystore.role_key(role)
    return ask(sim, AUTH, role, hmac_sha256(key, b"posfw/auth/1", bytes((role,)), challenge))


def usb_faults(sim):
    return len([p for p in sim.entries() if p[1] == n.FAULT and p[6][0] == n.AREA_USB])


def noise(seed, rounds, role=None):
    sim = Sim(blocks=64)
    dice = Dice(seed)
    usb = sim.board.usb
    if role:
        assert login(sim, role)[2] == 0
    others = len([p for p in sim.entries() if p[1] not in (n.EXPORT, n.CLOCK)])
    for turn in range(rounds):
        usb.to_device += wire(dice)
        usb.room = (1 << 30, 1, 17, 0)[dice.below(4)]
        for _ in range(1 + dice.below(6)):
            try:
                sim.terminal.idle()
            except Exception as error:  # noqa: BLE001
                raise AssertionError("seed %d turn %d raised %r" % (seed, turn, error))
        if role and turn % 10 == 0 and sim.terminal.service._wrong < 5:
            usb.room, usb.to_device = 1 << 30, b""
            login(sim, role)
        usb.from_device = b""
        usb.to_device = usb.to_device[-3000:]
    assert usb_faults(sim) == 1
    grown = len([p for p in sim.entries() if p[1] not in (n.EXPORT, n.CLOCK, n.SNAPSHOT)])
    assert grown - others <= 1
    usb.room, usb.to_device = 1 << 30, b""
    if sim.terminal.service._wrong < 5:
        assert login(sim, n.TECHNICIAN)[2] == 0
    sim.clock.set(sim.state.rtc, 2)
    sim.start()
    assert [p[0] for p in sim.entries()] == list(range(len(sim.entries())))


def test_noise_of_a_stranger():
    for seed in (1, 2, 3):
        noise(seed, 250)


def test_noise_of_each_role():
    for role in (1, 2, 3):
        noise(100 + role, 150, role)


def test_noise_while_there_is_money_to_move():
    sim = Sim(blocks=64)
    dice = Dice(77)
    paid = 0
    for turn in range(60):
        sim.board.usb.to_device += wire(dice)
        try:
            sim.terminal.idle()
        except Exception as error:  # noqa: BLE001
            raise AssertionError("turn %d raised %r" % (turn, error))
        if turn % 10 == 0:
            sim.host.faults = ["silent"] if turn % 20 == 0 else []
            paid += sim.pay()["ok"]
            sim.clock.advance(30000)
    sim.board.usb.to_device = b""
    for _ in range(20):
        sim.clock.advance(60000)
        sim.idle()
    assert paid == 3 and sim.state.debts == [] and sim.state.slips == []
    assert sim.printer.kinds().count(n.SLIP_REVERSED) == 3
    assert usb_faults(sim) == 1


class Nobody:
    """A host for the port alone, so that what is measured is the port's."""

    def identity(self):
        return "T", bytes(16), "f"

    def challenge(self):
        return bytes(16)

    def usb_fault(self, code):
        pass


def test_the_hungriest_request_leaves_room_in_a_terminals_heap():
    # About 1,010 empty arrays in one request of the largest size: one byte each on the wire, a list each in RAM.
    if not hasattr(gc, "mem_alloc"):
        return  # CPython: nothing to measure
    usb = SimUsb()
    port = ServicePort(usb, Nobody())
    worst = 0
    for item in (b"\x80", b"\x40", b"\x60", b"\x81\x80", b"\x82\x80\x80", b"\x00", b"\x81\x81\x81\x80"):
        count = 1010 // len(item)
        body = b"\x99" + count.to_bytes(2, "big") + item * count
        frame = cobs.encode(body + binascii.crc32(body).to_bytes(4, "little")) + b"\x00"
        gc.collect()
        before = gc.mem_alloc()
        gc.disable()
        usb.to_device = frame
        for _ in range(30):
            port.pump()
        worst = max(worst, gc.mem_alloc() - before)
        gc.enable()
        usb.from_device = b""
    # A terminal of 256 KB has a few tens of KB to spare, and anybody may send this.
    assert worst < 24 * 1024, worst
