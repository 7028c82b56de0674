"""Seeded random days: faults of host, link, printer and flash, power cuts, restarts, clock jumps. When the host is
healthy again, journal and host agree on each transaction, nothing is owed, and who was perhaps charged holds paper.

A failing seed is printed by its assertion: `play(seed)` replays it.
"""

import sys

from sim import JOURNAL_ID, MASTER, PAN, TERMINAL_ID, PowerCut, Sim, profile

from posfw import numbers as n
from posfw.codec import cbor
from posfw.crypto.hkdf import hkdf
from posfw.journal import seal

HEAP = "4M"  # the simulated flash lies in RAM, and so do the tests

SEEDS = 250 if sys.implementation.name == "cpython" else 12
DOUBT = ("silent", "lost", "garbled", "bad_mac", "wrong_stan", "wrong_amount", "half", "close", "slow", "twice")
TRACK2 = PAN + "=30122010000012345"
APPROVED_SLIPS = (n.SLIP_SALE, n.SLIP_VOID, n.SLIP_REFUND, n.SLIP_PREAUTH, n.SLIP_COMPLETION)
REVERSAL_SLIPS = (n.SLIP_PENDING, n.SLIP_REVERSED, n.SLIP_UNRESOLVED_CUSTOMER)


class Dice:
    """The same numbers on both interpreters (Numerical Recipes' generator; the high bits are used)."""

    def __init__(self, seed):
        self.state = seed * 2654435761 & 0xFFFFFFFF

    def below(self, limit):
        self.state = (self.state * 1664525 + 1013904223) & 0xFFFFFFFF
        return (self.state >> 8) % limit

    def chance(self, percent):
        return self.below(100) < percent

    def pick(self, items):
        return items[self.below(len(items))]


class Day:
    def __init__(self, seed):
        self.dice = Dice(seed)
        gate = (
            {"policy": "warn", "limit": self.dice.below(5)} if self.dice.chance(40) else {"policy": "block", "limit": 0}
        )
        self.sim = Sim(profile(gate=gate))
        self.approved = []
        self.fuse = 0
        board = self.sim.board
        board.flash.on_op = board.vault_flash.on_op = self.tick
        board.keystore.on_advance = board.printer.on_write = self.tick
        board.link.on_send = self.sending
        self.take, board.host.take = board.host.take, self.only_reversals_get_codes
        self.flash_fault = 0
        self.sent, self.said = [], []
        board.display.show = lambda *args: self.said.append(args)

    # -- the world -------------------------------------------------------------------------------------------

    def tick(self, *op):
        if self.fuse:
            self.fuse -= 1
            if not self.fuse:
                raise PowerCut()
        if len(op) == 4 and self.flash_fault:
            self.flash_fault -= 1
            if not self.flash_fault:
                raise OSError(5)

    def sending(self):
        """Promise 1, at the moment of each send: what goes out now is durable already."""
        self.tick()
        sim = self.sim
        kinds = [kind for kind in sim.kinds() if kind not in (n.REPLY, n.FAULT)]  # strays met on the way
        self.sent.append(kinds[-1])

    def only_reversals_get_codes(self, wire):
        """The simulated host books before it picks a code: for a payment that would be a host that lies."""
        host = self.sim.host
        at = len(host.prefix)
        coded = host.faults and isinstance(host.faults[0], tuple) and host.faults[0][0] == "code"
        if coded and wire[at : at + 2] != b"\x04\x00":
            host.faults[0] = None
        return self.take(wire)

    def fate(self):
        dice, host = self.dice, self.sim.host
        host.faults = []
        for _ in range(3):
            roll = dice.below(10)
            if roll < 3:
                host.faults.append(dice.pick(DOUBT))
            elif roll == 3:
                host.faults.append(("decline", dice.pick(("51", "91", "03"))))
            elif roll == 4:
                host.faults.append(("late", dice.pick((5000, 29000, 31000, 65000))))
            elif roll == 5:
                host.faults.append(("code", dice.pick(("96", "05", "12"))))
            else:
                host.faults.append(None)
        host.refuse = dice.below(4) if dice.chance(20) else 0
        if dice.chance(20):
            self.sim.board.link.close()
        self.sim.printer.paper = dice.below(40) if dice.chance(15) else None
        self.flash_fault = 1 + dice.below(6) if dice.chance(8) else 0
        self.fuse = 1 + dice.below(30) if dice.chance(25) else 0

    # -- the shop --------------------------------------------------------------------------------------------

    def act(self):
        dice, sim = self.dice, self.sim
        roll = dice.below(12)
        if roll < 5:
            # The card's refusal is not combined with a flash fault: see test_hostile_open.
            aac = dice.chance(10) and not self.flash_fault and not self.fuse
            done = sim.pay(1 + dice.below(10**9), finish=(lambda: False) if aac else None, card=sim.card(track2=TRACK2))
            if done["ok"]:
                self.approved.append(done["stan"])
        elif roll == 5 and self.approved:
            sim.pay(kind=n.VOID, original=self.approved.pop(dice.below(len(self.approved))))
        elif roll == 6 and self.approved:
            sim.pay(kind=n.REFUND, original=self.approved.pop(dice.below(len(self.approved))), amount=1)
        elif roll == 7:
            if sim.terminal.cancel()["ok"] and self.approved:
                self.approved.pop()
        elif roll == 8:
            sim.terminal.sign_on()
        elif roll == 9:
            sim.start()
        elif roll == 10 and dice.chance(30):
            sim.clock.rtc += dice.pick((-86400, -3600, -200, 3600, 86400))
        else:
            sim.clock.advance(dice.pick((100, 20000, 400000, 4000000)))
            sim.idle(6)
        if not sim.state.signed_on or sim.state.clock_bad:
            sim.terminal.sign_on()
        sim.idle(2)

    def restart(self):
        while True:
            try:
                return self.sim.start()
            except PowerCut:
                self.fuse = 0

    def play(self, actions=25):
        for _ in range(actions):
            self.fate()
            try:
                self.act()
            except PowerCut:
                self.fuse = 1 + self.dice.below(12) if self.dice.chance(30) else 0
                self.restart()
        self.heal()

    def heal(self):
        sim = self.sim
        sim.host.faults, sim.host.refuse, sim.printer.paper, self.fuse, self.flash_fault = [], 0, None, 0, 0
        self.restart()
        sim.terminal.sign_on()
        for _ in range(12):
            sim.clock.advance(4000000)
            sim.idle(40)


def check(day, seed):
    sim = day.sim
    state = sim.state
    assert state.debts == [] and state.slips == [] and state.current is None, (seed, state.debts, state.slips)
    entries = sim.entries()
    assert [p[0] for p in entries] == list(range(len(entries))), seed
    assert all(kind in (n.INTENT, n.SIGNON, n.REVERSAL_SENT, n.SETTLE_SENT) for kind in day.sent), (seed, day.sent)
    txns = books(entries)
    stans = [t["stan"] for t in txns.values()]
    assert len(stans) == len(set(stans)), seed
    paper(sim, entries, txns)
    for txn, t in txns.items():
        host = sim.host.ledger.get(("%06d" % t["batch"], "%06d" % t["stan"]))
        where = (seed, txn, t, host)
        if t["state"] == n.APPROVED:
            assert host == "approved" and set(t["slips"]) & set(APPROVED_SLIPS), where
        elif t["state"] == n.DECLINED:
            assert host == "declined", where
        elif t["state"] == n.NOT_SENT:
            assert host is None, where
        else:
            assert t["state"] == "reversed" and host in (None, "reversed"), where
            assert set(t["slips"]) & set(REVERSAL_SLIPS), where
    # Nothing the host knows is unknown to the journal, and each reversal names a transaction that owed one.
    assert all(int(key[1]) in stans for key in sim.host.ledger), seed
    owed = [t["stan"] for t in txns.values() if t["owed"]]
    assert all(int(fields[11]) in owed for mti, fields in sim.host.seen if mti == "0400"), seed


def books(entries):
    txns = {}
    for seq, kind, _, _, _, _, body in entries:
        if kind == n.INTENT:
            txns[seq] = {"stan": body[0], "batch": body[1], "state": "open", "owed": False, "slips": []}
        elif kind == n.OUTCOME:
            txns[body[0]]["state"] = body[1]
            txns[body[0]]["owed"] |= body[1] in (n.UNKNOWN, n.CANCELLED)
        elif kind == n.REVERSAL_REPLY and body[1] == n.V_MATCHED:
            txns[body[0]]["state"] = "reversed"
    return txns


def paper(sim, entries, txns):
    """Which slips came out whole, by transaction: a slip names its SLIP entry."""
    for kind, seq, _, complete in sim.printer.slips:
        if complete:
            body = entries[seq][6]
            assert body[1] == kind and body[2] == n.PRINT_STARTED
            if body[0] in txns:  # the others are about a batch
                txns[body[0]]["slips"].append(kind)


def check_seal(sim, seed):
    key = hkdf(MASTER, JOURNAL_ID, b"posfw/seal/1" + TERMINAL_ID.encode(), 32)
    head = seal.genesis(JOURNAL_ID)
    for _, entry in sim.terminal.runner.journal.read(0):
        assert seal.verify(entry, key, head), seed
        head, key = seal.chain(head, entry), seal.ratchet(key)


def check_secrets(day, seed):
    """No full PAN and no track 2 outside the encrypted vault, in ASCII, BCD or hex."""
    sim = day.sim
    digits = "".join([c for c in TRACK2 if c != "="])
    needles = [PAN.encode(), TRACK2.encode(), TRACK2.replace("=", "D").encode()]
    for text in (PAN, digits, TRACK2.replace("=", "d")):
        for padded in (text + "0", "0" + text):
            even = padded[: len(padded) // 2 * 2]
            needles += [bytes.fromhex(even)[:9], bytes.fromhex(even)[1:10]]
    needles += [PAN.encode().hex().encode(), PAN[6:].encode()]
    places = [b"".join([bytes(slip[2]) for slip in sim.printer.slips]), repr(day.said).encode()]
    places.append(bytes(sim.board.usb.from_device))
    places.append(repr(cbor.encode(sim.state.to_array())).encode())
    for flash in (sim.board.flash, sim.board.vault_flash):
        buf = bytearray(flash.block_size)
        for block in range(flash.blocks):
            flash.readblocks(block, buf)
            places.append(bytes(buf))
    for place in places:
        for needle in needles:
            assert needle not in place, (seed, needle)


def play(seed):
    day = Day(seed)
    day.play()
    check(day, seed)
    check_seal(day.sim, seed)
    if seed % 10 == 0:
        check_secrets(day, seed)
    return day


def test_random_days_end_in_agreement():
    for seed in range(SEEDS):
        play(seed)
