"""Random days of a simulated terminal, for tests/host/test_random_days.py: money in every form, and everything that can
go wrong on the way, from one seed. Afterwards all is well again, and both sides' books must agree to the cent.

A day is a function of its seed alone (random.Random(seed)): a failing one replays. Time is simulated.
"""

import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "device"))

import sim as simulated
from sim import PowerCut, Sim

from posfw import numbers as n
from posfw.acquirer.profile import load
from posfw.engine.state import STUCK
from posfw.hal import KeyStoreError

ROOT = Path(__file__).resolve().parents[2]
HOUR_MS = 3600000
DAY_MS = 24 * HOUR_MS
TYPES = ("", "sale", "void", "refund", "preauth", "completion", "preauth_void")

# What may happen to one message; more often nothing
FAULTS = [
    "lost", "silent", "garbled", "half", "close", "twice", "wrong_stan", "bad_mac", ("decline", "51"),
    ("decline", "91"), ("decline", "03"), ("decline", "30"), ("late", 2500), ("late", 33000),
]  # fmt: skip
# What people and the world do, and how often
MOVES = {
    "sale": 40, "preauth": 8, "follow_up": 20, "cancel": 4, "settle": 9, "present_again": 4, "wait": 7, "restart": 4,
    "line": 3, "paper": 3, "spoil_books": 5, "refuse_records": 2, "end_code": 2, "refuse_reversals": 1,
}  # fmt: skip


class Day:
    """One random day. `log` tells what was done, for people who look at a failing seed."""

    def __init__(self, seed):
        self.rng = rng = random.Random(seed)
        self.log = []
        name = rng.choice(("unionpay", "iso8583_1987"))
        data = load(str(ROOT / simulated.PROFILES / name) + ".json")
        table = data["settlement"]
        if name == "unionpay":
            table["pack"] = rng.choice((8, 8, 8, 3, 1))
            table["chip_always"] = rng.random() < 0.7
            table["on_error"] = rng.choice(("upload", "retry"))
        table["unresolved"] = rng.choice(("settle", "settle", "block"))
        if rng.random() < 0.15:
            table["at"] = "%02d:30" % rng.randrange(24)
        if rng.random() < 0.2:
            data["batch"] = {"limit": rng.randrange(2, 7)}
        if rng.random() < 0.5:
            data["gate"] = {"policy": "warn", "limit": rng.randrange(6)}
        data["retry"]["attempts"] = rng.choice((2, 3, 4))
        self.log.append("%s %s gate %s" % (name, table, data["gate"]))
        self.count = table["count"]
        self.sim = Sim(data, blocks=64)
        self.sim.host.clock = self.sim.clock
        self.amounts, self.earlier = set(), []
        self.cut_left, self.error = 0, PowerCut
        for flash in (self.sim.board.flash, self.sim.board.vault_flash):
            self.may_tear(flash)
        self.theme(rng.choice(("plain", "lose", "refuse", "refuse", "again", "unresolved")))
        self.faulty = rng.choice((0.0, 0.1, 0.3))
        self.restless = rng.choice((0.0, 0.1, 0.25))

    def theme(self, name):
        """What the host has in mind today, for transactions to come too: rare things come together on such days."""
        rng, host = self.rng, self.sim.host
        self.log.append("theme " + name)
        if name in ("lose", "refuse", "again"):
            host.lose = {stan for stan in range(2, 40) if rng.random() < 0.3}
        if name == "refuse":
            host.refuse_records = {stan: rng.choice(("14", "05")) for stan in range(2, 40) if rng.random() < 0.4}
        if name == "again":
            host.end_code = rng.choice(("95", "95", "91"))
            host.force_flags = [[2, 2]]
        if name == "unresolved":
            host.reversal_code = rng.choice(("05", "96"))

    # -- the day ---------------------------------------------------------------------------------------------

    def run(self):
        """Live the day, mend everything, close the last batch, and compare the books."""
        rng = self.rng
        self.money = rng.randint(4, 10)  # transactions still to be done
        for _ in range(50):
            if self.money <= 0:
                break
            name = rng.choices(list(MOVES), MOVES.values())[0]
            if rng.random() < self.restless:
                self.arm()
            self.attempt(getattr(self, "do_" + name))
        self.mend()
        self.compare()

    def attempt(self, move):
        """Do one thing under today's faults; a power cut ends it and the terminal starts again."""
        rng, sim = self.rng, self.sim
        if rng.random() < (self.faulty if move != self.do_settle else min(0.5, self.faulty * 4)):
            sim.host.faults = [rng.choice(FAULTS) if rng.random() < 0.6 else None for _ in range(rng.randint(1, 6))]
            self.log.append("faults %s" % sim.host.faults)
            if not sim.host.mac_field:
                sim.host.faults = [None if fault == "bad_mac" else fault for fault in sim.host.faults]
        try:
            move()
        except PowerCut:
            self.log.append("power cut")
            self.start()
        if sim.terminal.runner.stopped:
            self.log.append("stopped: " + sim.terminal.runner.stopped)
            self.start()

    def arm(self):
        """The supply fails at the n-th effect from now, or just that effect does."""
        rng = self.rng
        self.cut_left = rng.randint(1, rng.choice((3, 10, 30, 80)))
        self.error = rng.choice((PowerCut, PowerCut, PowerCut, OSError))
        self.hook(self.tick)

    def hook(self, tick):
        board = self.sim.board
        board.flash.on_op = board.vault_flash.on_op = tick
        board.keystore.on_advance = board.keystore.on_vault = board.link.on_send = self.error is PowerCut and tick
        if tick and self.error is not PowerCut:
            board.keystore.on_advance = board.keystore.on_vault = self.tick_key_store

    def tick(self, *_):
        self.cut_left -= 1
        if self.cut_left == 0:
            self.log.append("fails: " + self.error.__name__)
            raise self.error()

    def tick_key_store(self):
        try:
            self.tick()
        except OSError:
            raise KeyStoreError("once") from None

    def may_tear(self, flash):
        """A program that the power ends may have been done in part."""
        real = flash.writeblocks

        def write(block, buf, off=0):
            try:
                real(block, buf, off)
            except PowerCut:
                part = self.rng.randrange(len(buf) // flash.program_size + 1) * flash.program_size
                self.hook(None)
                real(block, memoryview(buf)[:part], off)
                raise

        flash.writeblocks = write

    def start(self):
        """Power on; sometimes the power fails again at once."""
        if self.rng.random() < self.restless:
            self.cut_left, self.error = self.rng.randint(1, 12), PowerCut
            self.hook(self.tick)
            try:
                self.sim.start()
                self.sim.idle(3)
            except PowerCut:
                self.log.append("power cut at start")
        self.hook(None)
        done = self.sim.start()
        assert done[0], done

    def note(self, what, done):
        self.log.append("%s %s" % (what, done))
        if not done["ok"] and done["message"] == "not_signed_on":
            self.sim.terminal.sign_on()
        if done["message"] in ("settling", "reversal_pending_block") and self.rng.random() < 0.6:
            self.sim.wait(self.rng.choice((20000, 400000)), 1)

    def card(self):
        rng = self.rng
        mode = rng.choice((n.MODE_STRIPE, n.MODE_STRIPE, n.MODE_CHIP, n.MODE_KEYED, n.MODE_CONTACTLESS))
        if rng.random() < 0.3:
            return self.sim.card(mode=mode, pan=simulated.VISA, scheme=n.SCHEME_INTERNATIONAL)
        return self.sim.card(mode=mode, scheme=rng.choice((n.SCHEME_DOMESTIC, n.SCHEME_UNKNOWN)))

    def pay(self, kind, amount, original=None, card=None):
        finish = (lambda: False) if self.rng.random() < 0.04 else None
        batch, card = self.sim.state.batch, card or self.card()
        done = self.sim.pay(amount, kind, finish, original=original, card=card)
        if "txn" in done:
            self.money -= 1
            self.earlier.append((batch, done["stan"], kind, amount, card))
        self.note("%s %d" % (TYPES[kind], amount), done)

    def amount(self):
        """Never twice the same in a day: what the host loses must not be made up for by what it doubles."""
        amount = self.rng.choice((1, 9999999, 0)) or self.rng.randint(1, 10**7)
        while amount in self.amounts:
            amount = self.rng.randint(1, 10**7)
        self.amounts.add(amount)
        return amount

    def do_sale(self):
        self.pay(n.SALE, self.amount())

    def do_preauth(self):
        self.pay(n.PREAUTH, self.amount())

    def do_follow_up(self):
        """A void, refund, completion or void of a pre-authorisation, of anything earlier: allowed or not."""
        if not self.earlier:
            return
        rng = self.rng
        batch, stan, kind, amount, card = rng.choice(self.earlier)
        kinds = (n.COMPLETION, n.COMPLETION, n.PREAUTH_VOID) if kind == n.PREAUTH else (n.VOID, n.REFUND, n.VOID)
        found = self.sim.terminal.find(stan, batch)
        self.pay(rng.choice(kinds), rng.randint(1, amount), found.original if found else None, card)

    def do_cancel(self):
        self.note("cancel", self.sim.terminal.cancel())

    def do_settle(self):
        self.note("settle", self.sim.terminal.settle())

    def do_present_again(self):
        self.note("present again", self.sim.terminal.present_again())

    def do_wait(self):
        ms = self.rng.choice((1000, 30000, 400000, 2 * HOUR_MS, 9 * HOUR_MS))
        self.log.append("wait %d" % ms)
        self.sim.wait(ms, self.rng.randint(1, 4))

    def do_restart(self):
        self.log.append("restart")
        self.hook(None)
        self.start()

    def do_line(self):
        self.sim.board.link.close()
        self.sim.host.refuse = self.rng.choice((1, 3, 12))
        self.log.append("line down %d" % self.sim.host.refuse)

    def do_paper(self):
        self.sim.printer.paper = self.rng.choice((None, None, 0, 5, 40))
        self.log.append("paper %s" % self.sim.printer.paper)

    def do_spoil_books(self):
        """The host loses a transaction, doubles one, changes an amount, or cannot say."""
        rng, host = self.rng, self.sim.host
        keys = host.approved(self.sim.state.batch)
        if keys:
            stan = rng.choice(keys)[1]
            what = rng.randrange(3)
            if what == 0:
                host.lose.add(stan)
            elif what == 1:
                host.double.add(stan)
            else:
                host.change[stan] = rng.randint(1, 10**7)
            self.log.append("host spoils %d %s" % (stan, ("lost", "doubled", "changed")[what]))
        if rng.random() < 0.3:
            host.force_flags = [rng.choice(([2, 1], [1, 2], [2, 2], [3, 3], [1, 3])) for _ in range(rng.randint(1, 5))]
            self.log.append("host flags %s" % host.force_flags)

    def do_refuse_records(self):
        host = self.sim.host
        for _, stan in host.approved(self.sim.state.batch):
            if self.rng.random() < 0.3:
                host.refuse_records[stan] = self.rng.choice(("14", "05", "30"))
        self.log.append("host refuses %s" % host.refuse_records)

    def do_end_code(self):
        self.sim.host.end_code = self.rng.choice(("95", "91", "12"))
        self.log.append("host ends with %s" % self.sim.host.end_code)

    def do_refuse_reversals(self):
        self.sim.host.reversal_code = self.rng.choice((None, "05", "96"))
        self.log.append("host answers reversals with %s" % self.sim.host.reversal_code)

    # -- afterwards ------------------------------------------------------------------------------------------

    def mend(self):
        """The network is healthy, there is paper, people do what they are asked to. Some records stay refused, and some
        reversals stay unresolved."""
        rng, sim = self.rng, self.sim
        host = sim.host
        self.hook(None)
        host.faults, host.refuse, host.end_code, host.force_flags = [], 0, None, []
        sim.printer.paper = None
        if rng.random() < 0.5:
            host.refuse_records = {}
        if rng.random() < 0.7:
            host.reversal_code = None
        if rng.random() < 0.5:
            self.start()
        self.hook(None)
        self.log.append("mended: refused %s, reversals %s" % (host.refuse_records, host.reversal_code))
        blocks = sim.terminal.profile.unresolved_blocks
        for turn in range(60):
            state = sim.state
            if not state.signed_on:
                sim.terminal.sign_on()
            if state.settle is None and state.refused and not host.refuse_records:
                sim.terminal.present_again()
            if len(state.refused) >= 8:
                self.decide([state.refused[0][0], n.HUMAN_WRITTEN_OFF, "Li", "paid otherwise"])
            if blocks and turn > 20:
                for t in state.debts:
                    self.decide([t.txn, n.HUMAN_OTHER, "Li", "paid back in cash"])
            if state.settle is None and state.intents:
                sim.terminal.settle()
            sim.wait(DAY_MS + HOUR_MS if turn > 3 else 400000, 1)
            state = sim.state
            owed = [t for t in state.debts if not host.reversal_code or t.phase != STUCK]
            listed = state.refused and not host.refuse_records
            if state.settle is None and not (state.intents or owed or listed or state.slips or state.shred):
                return
        raise AssertionError("the day does not end: %s %s" % (sim.terminal.status(), sim.board.display.shown[-10:]))

    def decide(self, payload):
        done = self.sim.human(payload)
        self.log.append("human %s %s" % (payload, done))

    def compare(self):
        """Both sides' books."""
        sim = self.sim
        host, state, entries = sim.host, sim.state, sim.entries()
        assert [p[0] for p in entries] == list(range(len(entries))), "numbers"
        assert sim.board.keystore.index == len(entries)
        books = Books(entries)
        batches = list(range(1, state.batch))
        assert [body[0] for body in books.closed] == batches, "each batch is closed once, in order"
        assert sorted(host.closed) == batches, "at the host too"
        assert [body[0] for body in books.destroyed] == batches, "and its vault key destroyed once"
        assert [key for key in sim.board.keystore.vault if key != state.batch] == []
        unresolved = sorted(books.place(number) for number in books.owed)
        assert unresolved == sorted((t.batch, t.stan) for t in state.debts), "debts"
        # What the journal calls approved is what the host calls so, but for what is unresolved or was taken over.
        approved = sorted(books.place(number) for number in books.approved)
        other = sorted(books.place(number) for number in books.taken_over)
        assert [key for key in host.approved() if key not in unresolved + other] == approved, "approved"
        for batch, body in zip(batches, books.closed, strict=True):
            counted = books.counted(batch, self.count)
            refused = {stan for stan, number in counted.items() if number in books.refused}
            settled = host.closed[batch].settled
            assert sorted(settled) == sorted(set(counted) - refused) or (
                host.closed[batch].how == "balanced" and sorted(settled) == sorted(counted)
            ), f"batch {batch}: settled {sorted(settled)}, counted {sorted(counted)}, refused {sorted(refused)}"
            assert body[2] == books.totals(counted.values(), self.count), f"batch {batch}: totals of the journal"
            host_side = dict(settled)
            for stan in refused:  # the host has not taken it, and a person knows
                host_side[stan] = host.books[(batch, stan)]
            assert host.sum_of(host_side) == body[2], f"batch {batch}: totals of both sides"
            assert body[2] == books.sent[batch], f"batch {batch}: totals sent"
        listed = {item[0] for item in state.refused}
        assert listed == books.refused - books.written_off, "refused records are listed"
        self.paper(books)

    def paper(self, books):
        """Everyone has the slip that is his."""
        printed = books.printed
        for number in books.approved:
            assert any((number, slip) in printed for slip in (1, 2, 3, 12, 13)), f"no slip of {number}"
        for number in books.owed:
            for slip in (n.SLIP_UNRESOLVED_CUSTOMER, n.SLIP_UNRESOLVED_MERCHANT):
                assert (number, slip) in printed, f"no slip of the unresolved {number}"
        for number in books.told:
            assert (number, n.SLIP_UPLOAD) in printed, f"no slip of the refused record of {number}"
        for number in books.closings:
            assert (number, n.SLIP_SETTLEMENT) in printed, f"no settlement slip of {number}"


class Books:
    """What a journal says of money, read by rules of its own: posfw.engine.fold is what is checked."""

    def __init__(self, entries):
        self.intents, outcome, self.closed, self.closings, self.destroyed = {}, {}, [], [], []
        self.owed, self.taken_over, self.written_off, self.refused = set(), set(), set(), set()
        self.sent, self.printed, self.told = {}, set(), []
        packs = {}
        for number, kind, _, _, _, _, body in entries:
            if kind == n.INTENT:
                self.intents[number] = body
            elif kind == n.OUTCOME:
                outcome[body[0]] = body[1]
                if body[1] in (n.UNKNOWN, n.CANCELLED):
                    self.owed.add(body[0])
            elif kind == n.REVERSAL_REPLY and body[1] == n.V_MATCHED:
                self.owed.discard(body[0])
            elif kind == n.HUMAN and body[1] <= n.HUMAN_OTHER:
                self.owed.discard(body[0])
                self.taken_over.add(body[0])
            elif kind == n.HUMAN and body[1] == n.HUMAN_WRITTEN_OFF:
                self.written_off.add(body[0])
            elif kind == n.SETTLE_SENT:
                packs[body[2]] = body[3]
                if body[0] == n.P_TOTALS:
                    self.sent[body[1]] = body[3]
            elif kind == n.UPLOAD_REPLY and body[2] == n.V_MATCHED:
                for place, txn in enumerate(packs[body[1]]):
                    if place in body[5]:
                        self.refused.add(txn)
                    else:
                        self.refused.discard(txn)
            elif kind == n.UNSETTLED and body[1] == n.CAUSE_UPLOAD:
                self.told.append(number)
            elif kind == n.BATCH_CLOSED:
                self.closed.append(body)
                self.closings.append(number)
            elif kind == n.VAULT_DESTROYED:
                self.destroyed.append(body)
            elif kind == n.SLIP and body[2] == n.PRINT_DONE:
                self.printed.add((body[0], body[1]))
        self.approved = {number for number in outcome if outcome[number] == n.APPROVED}

    def place(self, number):
        """(batch, STAN) of a transaction."""
        return self.intents[number][1], self.intents[number][0]

    def counted(self, batch, rule):
        """{STAN: number} of what counts in a batch."""
        out, gone = {}, set()
        for number in sorted(self.approved):
            body = self.intents[number]
            how = rule[TYPES[body[2]]]
            if body[1] != batch or how == "none":
                continue
            if how == "cancels" and body[9][1] == batch:
                gone.add(body[9][2])
                continue
            out[body[0]] = number
        return {stan: number for stan, number in out.items() if stan not in gone}

    def totals(self, numbers, rule):
        """The 8 totals of transactions."""
        out = [0] * 8
        for number in numbers:
            body = self.intents[number]
            place = 4 if body[7] == n.SCHEME_INTERNATIONAL else 0
            place += 0 if rule[TYPES[body[2]]] == "debit" else 2
            out[place] += body[3]
            out[place + 1] += 1
        return out


def run(seed):
    """Run one day; raise AssertionError with its log where it does not end well."""
    day = None
    try:
        day = Day(seed)
        day.run()
    except Exception as error:
        log = "\n  ".join(day.log if day else ())
        raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}\n  {log}") from error
