"""Close of day as the facade drives it: when it is due, how far it goes in one call, the reminder."""

from posfw.engine import gate
from posfw.engine.batch import AGAIN
from posfw.engine.state import OWED
from posfw.micro import const
from posfw.numbers import BY_OPERATOR
from posfw.terminal.runner import DURABILITY

ROOM_FOR_SLIPS = 1  # free sectors below which no slip is printed: the last room is for reversals
# What the upload of one record takes of the journal at most: two entries of so many bytes, where it has a message of
# its own
_ENTRY = const(112)
_PASSES = const(2)  # of an upload: the host may ask for all of it again
_AGAIN_MS = const(60000)
_TRIED = const(-1)  # in the runner's holds: a close of day that could not begin


class CloseOfDay:
    """For `terminal` (posfw.terminal.Terminal). What it returns are results as Runner.run() gives them."""

    def __init__(self, terminal):
        self.terminal = terminal
        self.runner = terminal.runner

    def settle(self):
        """By the operator, as far as it goes now."""
        runner, batch = self.runner, self.runner.state.batch
        if runner.stopped:
            return False, runner.stopped, None
        done = None
        runner.holds.pop(None, None)
        if runner.state.settle is not None and runner.state.settle.phase == AGAIN:
            done = self._go_on()
            if runner.state.settle is not None:
                return False, "busy", None  # a record is being presented, and its message comes first
        if runner.state.settle is None:
            done = runner.run(("settle_begin", BY_OPERATOR, runner.random_number(), ()))
            if done is not None and not done[0] and runner.state.settle is None:
                return done
        again = self._go_on()
        if runner.state.batch != batch:
            return True, "settled", None
        done = again or done
        return done if done is not None and not done[0] else (True, "settling", None)

    def present_again(self):
        """Each record the host refused, once more."""
        done = (False, "nothing_refused", None)
        for number in [item[0] for item in self.runner.state.refused]:
            done = self.runner.run(("present", number)) or (False, "busy", None)
            if not done[0] and done[1] != "record_refused":
                break  # the line, or something else that the next one would meet too
        return done

    def _go_on(self):
        """Take the settlement as far as it goes without waiting, serving the USB port in between; the last result."""
        runner = self.runner
        done = None
        while runner.state.settle is not None and not runner.stopped and not runner.undurable:
            now = self.terminal.board.clock.now()[0]
            if runner.state.settle.due > now or self._held(now):
                break
            done = runner.run(("settle", runner.random_number(), 0)) or done
            self.terminal.service.pump()
        return done

    def _held(self, now):
        return self.runner.holds.get(None, (0, 0))[0] > now

    def remind(self):
        """A batch open past its deadline: the merchant is told at boot and at each sale."""
        runner = self.runner
        if not runner.state.overdue or runner.state.settle is not None or runner.stopped:
            return
        try:
            room = runner.journal.free_sectors()
        except DURABILITY:
            return  # said where the journal is written; a reminder is not owed
        if room >= ROOM_FOR_SLIPS:
            runner.run(("remind",))

    def room(self):
        """Sectors the journal can still open beyond those that uploading the batch will take. Raises RingError,
        FrameError."""
        runner = self.runner
        frames = runner.journal.frames
        upload = runner.state.intents * 2 * _PASSES * frames.space(_ENTRY) if runner.profile.settles else 0
        return runner.journal.free_sectors() - upload // frames.block_size

    def when_due(self):
        """Close of day by schedule or forced by a limit; the word that the batch is overdue. True if one was due."""
        runner, state, profile = self.runner, self.runner.state, self.runner.profile
        now = self.terminal.board.clock.now()
        if not profile.settles or not state.intents:
            return False
        if gate.overdue(state, profile, now):
            runner.run(("overdue",))
            return True
        if runner.holds.get(_TRIED, (0,))[0] > now[0] or any(t.phase == OWED for t in state.debts):
            return False
        reason = gate.must_settle(state, profile, now, self.room(), runner.vault.nearly_full(runner.keep, state.batch))
        if not reason:
            return False
        runner.run(("settle_begin", reason, runner.random_number(), ()))
        if state.settle is None:
            runner.holds[_TRIED] = [now[0] + _AGAIN_MS, 0]  # something is in its way
        return True
