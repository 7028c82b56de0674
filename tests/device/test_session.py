"""Framing on the acquirer's link: any chunking, partial frames, lengths that lie, strays, and links that break."""

from sim import SETTINGS, Sim, SimClock, profile

from posfw.acquirer import messages
from posfw.acquirer.profile import Profile
from posfw.acquirer.session import Session
from posfw.crypto.cmac import Cmac
from posfw.hal import LinkError
from posfw.numbers import (
    V_BAD_MAC,
    V_GARBLED,
    V_LATE,
    V_MATCHED,
    V_MISMATCH,
    V_PARTIAL,
    V_SEND_FAILED,
    V_SILENCE,
)

HEAP = "1M"  # the simulated flash lies in RAM
KEY = b"working key 0001"


class Pipe:
    """A link that delivers `chunks`, bytes or an exception to raise, one per recv; None is silence for a while."""

    def __init__(self, clock, chunks=()):
        self.clock, self.chunks = clock, list(chunks)
        self.is_open = False
        self.sent, self.opened, self.asked = b"", 0, []
        self.fail_send = None

    def open(self, timeout_ms):
        self.is_open = True
        self.opened += 1

    def send(self, buf):
        if self.fail_send:
            raise self.fail_send
        self.sent += bytes(buf)

    def recv_into(self, buf, timeout_ms):
        self.asked.append(len(buf))
        if not self.chunks or self.chunks[0] is None:
            if self.chunks:
                self.chunks.pop(0)
            self.clock.advance(timeout_ms)
            return 0
        if isinstance(self.chunks[0], Exception):
            raise self.chunks.pop(0)
        count = min(len(buf), len(self.chunks[0]))
        buf[:count] = self.chunks[0][:count]
        self.chunks[0] = self.chunks[0][count:]
        if not self.chunks[0]:
            self.chunks.pop(0)
        self.clock.advance(1)
        return count

    def close(self):
        self.is_open = False


class Host:
    def __init__(self, chunks=()):
        self.clock = SimClock()
        self.pipe = Pipe(self.clock, chunks)
        self.profile = Profile(profile(), SETTINGS, "T-0001", bytes(32))
        self.strays = []
        self.know = True
        self.session = Session(self.pipe, self.profile, self.clock, Cmac(KEY).mac, self.stray)

    def stray(self, verdict, fields):
        self.strays.append((verdict, fields.get(11)))
        return self.know

    def reply(self, stan="000007", mti="0810", **more):
        """A framed sign-on reply: the one message that needs no MAC."""
        fields = {11: stan, 12: "120000", 13: "1123", 39: "00", 41: "12345678", 62: bytes(20)}
        fields.update(more)
        body = self.profile.prefix + self.profile.spec.pack(mti, fields)
        return len(body).to_bytes(2, "big") + body

    def late(self, stan):
        """A framed reply to a sale, its MAC good: what may come unasked."""
        fields = {4: "000000001234", 11: stan, 39: "00", 41: "12345678", 64: bytes(8)}
        iso = self.profile.spec.pack("0210", fields)
        body = self.profile.prefix + iso[:-8] + Cmac(KEY).mac(iso[:-8])[:8]
        return len(body).to_bytes(2, "big") + body

    def run(self, *chunks):
        self.pipe.chunks = []
        self.session.open()
        self.pipe.chunks = list(chunks)
        return self.session.exchange(messages.sign_on(self.profile, self.profile.config, 7, 1, Cmac(KEY).mac))


def test_every_split_of_a_reply_in_two():
    host = Host()
    wire = host.reply()
    for cut in range(1, len(wire)):
        verdict, fields = host.run(wire[:cut], wire[cut:])
        assert verdict == V_MATCHED and fields[39] == "00", cut
    assert host.strays == [] and host.pipe.opened == 1


def test_a_byte_at_a_time_with_silences_between():
    host = Host()
    wire = host.reply()
    host.run(*[wire[i : i + 1] for i in range(len(wire))])
    assert host.run(*[wire[i : i + 1] for i in range(len(wire))])[0] == V_MATCHED


def test_two_replies_in_one_chunk_leave_the_second_for_later():
    host = Host()
    assert host.run(host.reply() + host.late("000009") + host.late("000008")[:5])[0] == V_MATCHED
    assert host.strays == []
    host.session.pump()
    assert [stan for _, stan in host.strays] == ["000009"]
    # The frame that began goes on where it stopped.
    host.pipe.chunks = [host.late("000008")[5:]]
    host.session.pump()
    assert [stan for _, stan in host.strays] == ["000009", "000008"]


def test_never_more_is_read_than_the_frame_needs():
    host = Host()
    wire = host.reply()
    host.run(wire)
    assert host.pipe.asked[:2] == [2, len(wire) - 2]


def test_silence_and_partial_frames_by_the_deadline():
    host = Host()
    wire = host.reply()
    start = host.clock.ms
    assert host.run()[0] == V_SILENCE
    assert host.clock.ms - start == host.profile.reply_timeout_ms
    assert host.pipe.is_open
    for cut in (1, 2, 3, len(wire) - 1):
        start = host.clock.ms
        assert host.run(wire[:cut])[0] == V_PARTIAL, cut
        assert host.clock.ms - start <= host.profile.reply_timeout_ms
        assert not host.pipe.is_open
        # Nothing of it is left: the next exchange is whole.
        assert host.run(wire)[0] == V_MATCHED


def test_a_dripping_host_cannot_stretch_the_deadline():
    host = Host()
    wire = host.reply()

    class Drip(Pipe):
        def recv_into(self, buf, timeout_ms):
            self.clock.advance(min(timeout_ms, 1000))
            return Pipe.recv_into(self, buf[:1], timeout_ms)

    drip = Drip(host.clock)
    host.pipe = host.session.link = drip
    start = host.clock.ms
    assert host.run(wire)[0] == V_PARTIAL
    assert host.clock.ms - start <= host.profile.reply_timeout_ms + 1001


def test_lengths_that_lie():
    host = Host()
    limit = host.profile.max_message
    for head in (b"\x00\x00", b"\xff\xff", limit.to_bytes(2, "big"), (limit - 1).to_bytes(2, "big")):
        host.pipe.asked = []
        assert host.run(head + bytes(50))[0] == V_GARBLED, head
        assert not host.pipe.is_open
        assert max(host.pipe.asked) <= 2, "read beyond a length that is refused"
    assert host.run((limit - 2).to_bytes(2, "big") + bytes(limit - 2))[0] == V_GARBLED
    assert host.run(b"\x00\x01\x00")[0] == V_GARBLED
    assert host.run(host.reply())[0] == V_MATCHED


def test_each_byte_damaged_is_never_taken_for_a_good_reply_to_something_else():
    host = Host()
    wire = host.reply()
    for pos in range(len(wire)):
        bad = wire[:pos] + bytes((wire[pos] ^ 0x40,)) + wire[pos + 1 :]
        verdict, fields = host.run(bad)
        assert verdict in (V_MATCHED, V_GARBLED, V_MISMATCH, V_PARTIAL, V_SILENCE, V_BAD_MAC), pos
        if verdict == V_MATCHED:
            assert fields[11] == "000007" and fields[41] == "12345678", pos
        host.session.close()


def test_a_link_that_breaks():
    host = Host()
    wire = host.reply()
    closed = LinkError(4, True, "closed")
    assert host.run(closed)[0] == V_SEND_FAILED
    assert host.run(wire[:7], closed)[0] == V_PARTIAL
    assert not host.pipe.is_open
    assert host.run(host.reply("000009"), closed)[0] in (V_SEND_FAILED, V_MISMATCH)
    host.session.open()
    host.pipe.fail_send = LinkError(4, True, "broke")
    assert host.run()[0] == V_SEND_FAILED
    host.pipe.fail_send = LinkError(4, False, "broke")
    try:
        host.run()
    except LinkError as error:
        assert not error.maybe_sent
    else:
        raise AssertionError("a send that never left was counted")
    host.pipe.fail_send = None
    assert host.run(wire)[0] == V_MATCHED


def test_strays_are_passed_on_and_ours_still_counts():
    host = Host()
    assert host.run(host.reply("000003"), host.reply("000004"), host.reply())[0] == V_MATCHED
    assert [stan for _, stan in host.strays] == ["000003", "000004"]
    assert all(verdict in (V_LATE, V_MISMATCH) for verdict, _ in host.strays)
    # One that nobody knows spoils the outcome only if ours never comes.
    host.know = False
    assert host.run(host.reply("000003"), host.reply())[0] == V_MATCHED
    assert host.run(host.reply("000003"))[0] in (V_MISMATCH, V_SILENCE)


def test_a_flood_of_strays_ends_the_connection():
    host = Host()
    verdict, _ = host.run(*[host.reply("%06d" % (100 + i)) for i in range(500)])
    assert verdict == V_GARBLED and not host.pipe.is_open
    assert len(host.strays) <= 8
    host.strays = []
    host.run(host.reply())
    host.pipe.chunks = [host.late("%06d" % (100 + i)) for i in range(500)]
    host.session.pump()
    assert len(host.strays) <= 8 and not host.pipe.is_open


def test_garbage_that_comes_unasked_closes_and_costs_one_stray():
    host = Host()
    host.run(host.reply())
    host.pipe.chunks = [b"\x00\x05\xff\xff\xff\xff\xff" * 30]
    host.session.pump()
    assert len(host.strays) == 1 and not host.pipe.is_open
    host.run(host.reply())
    host.pipe.chunks = [b"\xff\xff" * 30]
    host.session.pump()
    assert not host.pipe.is_open


def test_open_finds_a_peer_that_left():
    host = Host()
    host.run(host.reply())
    host.pipe.chunks = [LinkError(4, True, "closed")]
    opened = host.pipe.opened
    host.session.open()
    assert host.pipe.opened == opened + 1 and host.pipe.is_open


def test_a_stray_with_a_mac_before_there_is_a_key_does_not_stop_the_terminal():
    sim = Sim(sign_on=False)
    take = sim.host.take
    fields = {4: "000000001234", 11: "000009", 39: "00", 41: "12345678"}
    stray = sim.host._wire("0210", fields)
    sim.host.take = lambda wire: [(10, stray)] + take(wire)  # noqa: RUF005
    try:
        sim.terminal.sign_on()
    except Exception as error:  # noqa: BLE001
        raise AssertionError("sign_on raised %r" % (error,))
    sim.host.take = take
    sim.terminal.idle()
    assert sim.terminal.sign_on()["ok"], "stopped by the host: " + str(sim.terminal.runner.stopped)
    assert sim.pay()["ok"]
