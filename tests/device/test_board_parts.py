"""Printer, clocks, entropy, tamper switch and an unplugged USB port."""

import os
from hashlib import sha256

from board.emulated.clock import InjectedClock, RealClock
from board.emulated.entropy import InjectedEntropy, SystemEntropy
from board.emulated.printer import Printer
from board.emulated.tamper import TamperSwitch
from board.emulated.ticks import ticks_ms
from board.emulated.usb import Usb
from posfw.hal import COVER_OPEN, PAPER_OUT, RTC_FREE, RTC_HOST, RTC_TECHNICIAN, PrinterError
from posfw.numbers import SLIP_NOT_SENT, SLIP_PENDING, SLIP_SALE, SLIP_UNRESOLVED_MERCHANT


def folder():
    path = "%s/posfw-board-%s" % (os.getenv("TMPDIR") or "/tmp", os.urandom(6).hex())
    os.mkdir(path)
    return path


def remove(path):
    for name in os.listdir(path):
        os.remove(path + "/" + name)
    os.rmdir(path)


def content(path):
    with open(path, "rb") as file:
        return file.read()


def fault_of(call, *args):
    try:
        call(*args)
    except PrinterError as e:
        return e.fault
    raise AssertionError("the printer went on")


def slip(printer, kind, *chunks):
    printer.begin(kind, 7)
    for chunk in chunks:
        printer.write(chunk)
    printer.end()


def test_slips_are_numbered_on_over_restarts():
    path = folder()
    try:
        printer = Printer(path)
        slip(printer, SLIP_SALE, b"one\n", b"two\n")
        slip(printer, SLIP_UNRESOLVED_MERCHANT, b"x\n")
        slip(Printer(path), SLIP_NOT_SENT, memoryview(b"y\n"))
        assert sorted(os.listdir(path)) == ["001-sale.bin", "002-unresolved-merchant.bin", "003-not-sent.bin"]
        assert content(path + "/001-sale.bin") == b"one\ntwo\n"
        assert content(path + "/003-not-sent.bin") == b"y\n"
    finally:
        remove(path)


def test_paper_ends_in_mid_slip_after_whole_lines():
    path = folder()
    try:
        printer = Printer(path)
        printer.paper = 3
        assert printer.fault() == 0
        printer.begin(SLIP_PENDING, 1)
        printer.write(b"\x1b@")
        printer.write(b"a\nb\n")
        assert fault_of(printer.write, b"c\nd\ne\n") == PAPER_OUT
        assert printer.fault() == PAPER_OUT
        assert fault_of(printer.write, b"f") == PAPER_OUT
        assert fault_of(printer.end) == PAPER_OUT
        assert content(path + "/001-pending.partial.bin") == b"\x1b@a\nb\nc\n"
        printer.begin(SLIP_PENDING, 2)
        assert fault_of(printer.write, b"a\n") == PAPER_OUT
        printer.paper = None
        assert printer.fault() == 0
        slip(printer, SLIP_PENDING, b"a\nb\nc\nd\ne\n")
        assert sorted(os.listdir(path)) == ["001-pending.partial.bin", "002-pending.bin"]
    finally:
        remove(path)


def test_a_slip_that_just_fits_is_done():
    path = folder()
    try:
        printer = Printer(path)
        printer.paper = 2
        slip(printer, SLIP_SALE, b"a\nb\n", b"\x1d(k\n\n\n", b"\x1dV\x00")
        assert printer.fault() == PAPER_OUT
        assert os.listdir(path) == ["001-sale.bin"]
    finally:
        remove(path)


def test_forced_fault_and_a_slip_left_behind():
    path = folder()
    try:
        printer = Printer(path)
        printer.begin(SLIP_SALE, 1)
        printer.write(b"half\n")
        printer.set_fault(COVER_OPEN)
        assert printer.fault() == COVER_OPEN
        assert fault_of(printer.write, b"more\n") == COVER_OPEN
        printer.set_fault(0)
        assert fault_of(printer.end) == COVER_OPEN, "a slip that missed a part is not whole"
        printer.begin(SLIP_SALE, 1)
        printer.write(b"killed here\n")
        slip(Printer(path), SLIP_SALE, b"whole\n")
        assert sorted(os.listdir(path)) == ["001-sale.partial.bin", "002-sale.partial.bin", "003-sale.bin"]
        assert content(path + "/002-sale.partial.bin") == b"killed here\n"
        assert fault_of(Printer(path).write, b"no slip") != 0
    finally:
        remove(path)


def test_real_clock_keeps_its_offset():
    import time

    path = folder()
    try:
        clock = RealClock(path + "/c")
        ms, rtc, quality = clock.now()
        assert 0 <= ms < 1000 and abs(rtc - time.time()) < 2 and quality == RTC_FREE
        clock.set(1000000000, RTC_HOST)
        again = RealClock(path + "/c")
        ms, rtc, quality = again.now()
        assert 1000000000 <= rtc < 1000000010 and quality == RTC_HOST
        last = 0
        start = ticks_ms()
        while ticks_ms() < start + 30:
            now = clock.now()[0]
            assert now >= last
            last = now
        assert clock.now()[0] >= 30
    finally:
        remove(path)


def test_injected_clock_stands_still_and_survives():
    path = folder()
    try:
        clock = InjectedClock(path + "/c", 1700000000)
        assert clock.now() == (0, 1700000000, RTC_FREE) == clock.now()
        clock.advance(700)
        clock.advance(700)
        assert clock.now() == (1400, 1700000001, RTC_FREE)
        clock.set(86400, RTC_TECHNICIAN)
        clock.advance(1999)
        assert clock.now() == (3399, 86401, RTC_TECHNICIAN)
        again = InjectedClock(path + "/c", 1700000000)
        assert again.now() == (0, 86401, RTC_TECHNICIAN)
        again.advance(1)
        assert again.now() == (1, 86402, RTC_TECHNICIAN)
        try:
            again.advance(-1)
        except ValueError:
            pass
        else:
            raise AssertionError("time went back")
    finally:
        remove(path)


def test_entropy():
    path = folder()
    try:
        real = SystemEntropy()
        draws = {real.random(8) for _ in range(50)}
        assert len(draws) == 50 and len(real.random(33)) == 33
        seed = b"seed"
        one = InjectedEntropy(path + "/boots", seed)
        first = one.random(40)
        # The formula written out, so that a change of the stream cannot pass unseen.
        block = [sha256(seed + b"\0\0\0\1" + bytes(7) + bytes([i])).digest() for i in range(3)]
        assert first == (block[0] + block[1])[:40]
        assert one.random(5) == block[2][:5]
        second = InjectedEntropy(path + "/boots", seed)
        assert second.random(32) == sha256(seed + b"\0\0\0\2" + bytes(8)).digest()
    finally:
        remove(path)


def test_tamper_is_latched():
    path = folder()
    try:
        switch = TamperSwitch(path + "/t")
        assert switch.tripped() is False
        switch.trip()
        assert switch.tripped() is True
        assert TamperSwitch(path + "/t").tripped() is True
    finally:
        remove(path)


def test_no_cable():
    usb = Usb()
    assert (usb.connected(), usb.readinto(bytearray(4)), usb.write(b"x")) == (False, 0, 0)
