"""The TCP link against sockets of this very process. TLS and hostile peers are in tests/host/test_board_link_tls.py."""

import socket

from board.emulated.link import Link
from board.emulated.ticks import ticks_ms
from posfw.hal import STAGE_CONNECT, STAGE_RESOLVE, STAGE_SEND, LinkError


def listener():
    """A listening socket and its port."""
    for port in range(47000, 47200):
        server = socket.socket()
        try:
            server.bind(socket.getaddrinfo("127.0.0.1", port)[0][-1])
        except OSError:
            server.close()
            continue
        server.listen(2)
        return server, port
    raise AssertionError("no free port")


def pair():
    server, port = listener()
    link = Link("127.0.0.1", port)
    link.open(2000)
    peer, _ = server.accept()
    server.close()
    return link, peer


def failure(call, *args):
    try:
        call(*args)
    except LinkError as e:
        return e
    raise AssertionError("the link did not fail")


def test_bytes_both_ways_as_they_come():
    link, peer = pair()
    assert link.is_open
    link.send(b"to the host")
    assert peer.recv(100) == b"to the host"
    buf = bytearray(64)
    peer.send(b"abc")
    assert (link.recv_into(buf, 1000), bytes(buf[:3])) == (3, b"abc")
    peer.send(b"0123456789")
    view = memoryview(buf)
    got = b""
    while len(got) < 10:
        n = link.recv_into(view[:4], 1000)
        assert 1 <= n <= 4
        got += bytes(buf[:n])
    assert got == b"0123456789"
    peer.close()
    link.close()
    assert not link.is_open
    link.close()


def test_silence_lasts_as_long_as_asked():
    link, peer = pair()
    for wait in (0, 60, 200):
        start = ticks_ms()
        assert link.recv_into(bytearray(8), wait) == 0
        assert wait - 2 <= ticks_ms() - start < wait + 1000
    assert link.is_open
    peer.send(b"late")
    assert link.recv_into(bytearray(8), 1000) == 4
    peer.close()
    link.close()


def test_the_peer_closes():
    link, peer = pair()
    peer.close()
    e = failure(link.recv_into, bytearray(8), 1000)
    assert (e.stage, e.maybe_sent, link.is_open) == (STAGE_SEND, False, False)
    link, peer = pair()
    link.send(b"request")
    peer.recv(100)
    peer.send(b"re")
    peer.close()
    buf = bytearray(8)
    assert link.recv_into(buf, 1000) == 2
    e = failure(link.recv_into, buf, 1000)
    assert (e.stage, e.maybe_sent) == (STAGE_SEND, True)
    e = failure(link.send, b"x")
    assert (e.stage, e.maybe_sent) == (STAGE_SEND, False)


def test_a_full_pipe_ends_at_the_deadline_and_counts_as_maybe_sent():
    server, port = listener()
    link = Link("127.0.0.1", port, send_timeout_ms=200)
    link.open(1000)
    peer, _ = server.accept()
    block = bytes(60000)
    start = ticks_ms()
    error = None
    for _ in range(400):
        try:
            link.send(block)
        except LinkError as e:
            error = e
            break
    assert error is not None and ticks_ms() - start < 5000
    assert error.stage == STAGE_SEND
    assert not link.is_open
    peer.close()
    server.close()


def test_nobody_listens():
    server, port = listener()
    server.close()
    start = ticks_ms()
    e = failure(Link("127.0.0.1", port).open, 3000)
    assert (e.stage, e.maybe_sent) == (STAGE_CONNECT, False)
    assert ticks_ms() - start < 2000


def test_no_such_name():
    e = failure(Link("no-such-host.invalid", 1).open, 3000)
    assert (e.stage, e.maybe_sent) == (STAGE_RESOLVE, False)


def test_closed_link():
    link = Link("127.0.0.1", 1)
    assert not link.is_open
    assert failure(link.send, b"x").maybe_sent is False
    assert failure(link.recv_into, bytearray(1), 10).maybe_sent is False
    link.close()


def test_open_again_after_a_loss():
    server, port = listener()
    link = Link("127.0.0.1", port)
    for _ in range(3):
        link.open(1000)
        peer, _ = server.accept()
        link.send(b"hello")
        assert peer.recv(10) == b"hello"
        peer.close()
        assert failure(link.recv_into, bytearray(1), 1000).maybe_sent is True
    server.close()
