"""wsvitals starts in the middle of conversations, or loses a stream's frame boundary in one: counts are equal from the next
message boundary on, whatever the server, and what is no WebSocket any more makes no messages."""
import os
import random
import socket
import subprocess
import tempfile
import threading
from contextlib import ExitStack, contextmanager

import pytest

from ends import RFC_KEY, Ends, request, response
from exposition import parse
from scenarios import MEGABYTE, Peer, bytes_of, text_of
from servers import BUILD, SERVERS, SOURCES, Running, Server, build, free_port, unix_sockets, wait_until
from test_paths import unix
from test_wire import READS, WRITES
from watch import Watch, assert_balanced, assert_equal, counted, nonzero, watched
from wsclient import BINARY, CLOSE, PING, TEXT, Tally, frame


def begin_tally(c):
    """From now on: the connection was open before."""
    c.tally = Tally()
    c.tally.add("opened")


def assert_late(dump, c):
    """Equal, and all of it one connection that was open before us."""
    assert_equal(dump, c.tally, still_open=c.tally["opened"] - c.tally["closed"])
    assert dump["connections"]["resynced"] == 1
    assert dump["connections"]["unrecognised"] == 0
    m = dump["capture"]["messages"]
    assert m["ambiguous"] <= 4 and m["answers_to_ambiguous"] <= 4, m  # those that proved it cannot be timed


@pytest.mark.parametrize("name", SERVERS)
def test_every_server_from_the_next_message_on(running, name):
    peer = Peer(running(name))
    c = peer.open()
    peer.exchange(c, "before")
    with watched(peer.running) as watch:
        begin_tally(c)
        for i in range(5):
            peer.exchange(c, f"after {i}")
        for n in (1, 125, 126, 65535, 65536, MEGABYTE):
            peer.exchange(c, text_of(n).decode())
        c.ping()
        c.close(1000)
        peer.running.wait_idle()
        dump = watch.finish()
    assert_late(dump, c)
    assert list(dump["connections"]["by_server"]) and all(
        n.startswith(f"{peer.server.comm}:{peer.running.port}") for n in dump["connections"]["by_server"])


@pytest.mark.parametrize("name", SERVERS)
def test_every_server_while_it_talks(running, name):
    """The conversation never stops, and message i has a length of its own: what was counted must be exactly the last
    messages, in both directions."""
    peer = Peer(running(name))
    c = peer.open()
    lengths, stop, failed = {"received": [], "sent": []}, threading.Event(), []

    def done():
        return len(lengths["sent"])

    def talk():
        try:
            while not stop.is_set():
                before = dict(c.tally.counts)
                peer.exchange(c, text_of(20 + done() * 7 % 3001).decode())
                for direction, of in lengths.items():
                    assert c.tally[direction] == before.get(direction, 0) + 1
                    of.append(c.tally[f"bytes_{direction}"] - before.get(f"bytes_{direction}", 0))
        except Exception as error:  # shown by the test's own thread
            failed.append(error)

    talker = threading.Thread(target=talk)
    talker.start()
    try:
        wait_until(lambda: done() > 20 or failed, "a conversation")
        with watched(peer.running) as watch:
            since = done()
            wait_until(lambda: done() > since + 100 or failed, "more of it")
            stop.set()
            talker.join()
            assert not failed, failed
            c.close(1000)
            peer.running.wait_idle()
            dump = watch.finish()
    finally:
        stop.set()
        talker.join()
    m = dump["messages"]
    assert done() - since - 1 <= m["received"] <= done()
    # it may have begun between a message and its echo, or between attaching to reads and to writes
    assert abs(m["received"] - m["sent"]) <= 1
    for direction, of in lengths.items():
        assert m[f"bytes_{direction}"] == sum(of[-m[direction]:])
    assert dump["connections"]["resynced"] == dump["connections"]["closed"] == 1
    assert dump["errors"]["close_codes"]["1000"]["client"] == 1
    assert_balanced(dump)


@pytest.mark.parametrize("read, write", [(r, "send") for r in READS] + [("recv", w) for w in WRITES])
def test_every_way_to_read_and_write(running, read, write):
    """Header and payload read apart, byte by byte, in vectors; messages longer than a read or a write."""
    peer = Peer(running("raw"))
    c = peer.connect(f"/?read={read}&write={write}")
    c.ask("before")
    with watched(peer.running) as watch:
        begin_tally(c)
        for n in (300, 40, 1000, 70, 300):
            c.echo(BINARY, bytes_of(n))
        if "one" not in (read, write):
            for n in (200000, MEGABYTE, 65536):
                c.echo(BINARY, bytes_of(n))
        c.echo(TEXT, b"cut", cut=1)
        c.close(1000)
        peer.running.wait_idle()
        dump = watch.finish()
    assert_late(dump, c)


def test_a_unix_socket_from_the_next_message_on(tmp_path):
    """And one that stays silent, and one on which HTTP goes on."""
    with Running(unix("plain"), host=f"{tmp_path}/app.sock") as running:
        peer = Peer(running)
        c, silent = peer.connect(), peer.connect()
        c.ask("before")
        waiting = connect_raw(running.host)
        with Watch("--pid", running.pid) as watch:
            begin_tally(c)
            for i in range(5):
                c.echo(TEXT, b"after %d" % i)
            for n in (1, 125, 126, 65535, 65536, MEGABYTE):
                c.echo(BINARY, bytes_of(n))
            c.ping()
            c.close(1000)
            waiting.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
            assert waiting.recv(4096).startswith(b"HTTP/1.1 101")
            wait_until(lambda: unix_sockets(running.pid, running.host) == 3, "the connection to end")
            dump = watch.finish()
        waiting.close()
        silent.close(1000)
    connections = dump["connections"]
    assert (connections["resynced"], connections["created"], connections["closed"], connections["total"]) == (1, 2, 1, 1)
    assert connections["unrecognised"] == 1
    assert (dump["messages"]["received"], dump["messages"]["sent"]) == (c.tally["received"], c.tally["sent"])
    assert dump["messages"]["bytes_received"] == c.tally["bytes_received"]
    assert dump["errors"]["close_codes"] == {"1000": {"client": 1, "server": 0}}
    assert_balanced(dump)


def connect_raw(path):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(10)
    s.connect(path)
    return s


def test_five_messages_in_one_direction_are_enough(running):
    """A client that only listens, and messages as small as they come."""
    peer = Peer(running("node_ws"))
    c = peer.connect("/push/1")
    c.expect(TEXT, b"push 0")
    with watched(peer.running) as watch:
        begin_tally(c)
        c.text("push:4")
        c.expect(TEXT, b"push:4")
        for i in range(4):
            c.expect(TEXT, b"push %d" % i)
        dump = watch.finish()
    assert_late(dump, c)
    c.close(1000)


@pytest.mark.parametrize("form", ["--json", "--prometheus", "--table"])
def test_connections_that_are_silent_are_shown_as_unrecognised(running, form):
    """Of a server that has shown a WebSocket: others may be anything."""
    peer, other = Peer(running("go_gorilla")), Peer(running("node_ws"))
    held = [p.connect() for p in (peer, peer, peer, peer, other)]
    with Watch("--port", f"{peer.running.port},{other.running.port}", form=form) as watch:
        for i in range(5):
            held[0].ask(f"message {i}")
        shown = watch.finish()
    if form == "--json":
        assert (shown["connections"]["total"], shown["connections"]["resynced"], shown["connections"]["unrecognised"]) == (1, 1, 3)
    elif form == "--prometheus":
        assert parse(shown)["wsvitals_connections_unrecognised"].samples[0].value == 3
    else:
        assert "3 more of these servers, open before counting began, silent since" in shown
    for c in held:
        c.close(1000)


# -- gaps -------------------------------------------------------------------------------------------------------------


@contextmanager
def both():
    with socket.create_server(("127.0.0.1", free_port())) as listener:
        with Watch("--port", listener.getsockname()[1], "--pid", os.getpid()) as watch:
            with Ends(listener) as ends:
                yield ends, watch


def test_a_stream_that_lost_its_boundary_is_recognised_again():
    with both() as (ends, watch):
        for i in range(3):
            ends.up(frame(TEXT, b"m" * 50))
        ends.unseen(frame(TEXT, b"lost" * 10) * 2)
        for i in range(10):
            ends.up(frame(BINARY, b"m" * 100))
        ends.close()
        dump = watch.finish()
    m, losses = dump["messages"], dump["capture"]["losses"]
    assert (losses["desync"], losses["resync"]) == (1, 1)
    # the first two that prove it pass in vain, the third completes the proof
    assert (m["received"], m["by_type"]) == (3 + 8, {"text": 3, "binary": 8})
    lost = 2 * 46 + 2 * 106 + 6  # what was not seen, two frames and the header that proved it
    assert dump["capture"]["bytes"]["received"]["gap"] == lost
    assert not nonzero(dump["errors"]["violations"])
    assert_balanced(dump)


@pytest.mark.parametrize("what", ["random", "text", "empty pings"])
def test_a_stream_that_is_no_websocket_any_more_makes_no_messages(what):
    rng = random.Random(5)
    with both() as (ends, watch):
        ends.up(frame(TEXT, b"before"))
        ends.unseen(frame(TEXT, b"lost"))
        passed = 0
        for _ in range(3000):
            data = {"random": lambda: rng.randbytes(rng.randrange(1, 400)), "text": lambda: b"GET / HTTP/1.1\r\n\r\n",
                    "empty pings": lambda: b"\x89\0"}[what]()
            passed += len(data)
            ends.up(data)
        ends.close()
        dump = watch.finish()
    assert dump["messages"]["received"] == 1
    # the client's own end sees a breach, which is the second of these
    assert (dump["capture"]["losses"]["desync"], dump["capture"]["losses"]["resync"]) == (2, 0)
    assert dump["capture"]["bytes"]["received"]["gap"] == passed + 10
    assert not nonzero(dump["errors"]["violations"])
    assert_balanced(dump)


# -- strangers --------------------------------------------------------------------------------------------------------

STRANGERS = Server("strangers", (), build=("gcc", "-O2", "-Wall", "-Wextra", "-o", "{build}/strangers",
                                           str(SOURCES.parent / "strangers.c")))


class Strangers:
    def __init__(self, count, sockets, rounds):
        build(STRANGERS)
        self.port = free_port()
        self.process = subprocess.Popen([BUILD / "strangers", str(self.port), str(count), str(sockets), str(rounds)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"

    def go(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def wait(self):
        word, moved = self.process.stdout.readline().split()
        assert word == "done"
        return int(moved)

    def end(self):
        self.process.stdin.close()
        assert self.process.wait(10) == 0
        self.process.stdout.close()


def test_other_protocols_are_never_taken_for_websockets():
    """10 200 connections of HTTP/1, HTTP/2, TLS, Redis, PostgreSQL, MQTT, SSH, runs of equal numbers and random bytes, open
    before us and watched at both ends; 20 WebSockets on one of the two ports show that we do look, and are exact."""
    sockets, rounds = 20, 20
    groups = [Strangers(5100, 0, rounds), Strangers(5100, sockets, rounds)]
    with Watch("--port", ",".join(str(g.port) for g in groups)) as watch:
        for g in groups:
            g.go()
        assert sum(g.wait() for g in groups) > 50_000_000
        dump = watch.finish()
    for g in groups:
        g.end()
    c, m = dump["connections"], dump["messages"]
    assert (c["created"], c["resynced"], c["total"]) == (sockets, sockets, sockets)
    assert (m["received"], m["sent"]) == (sockets * rounds, sockets * rounds)
    assert c["by_server"] == {f"strangers:{groups[1].port}": sockets}
    assert dump["upstream"] == {"connections": sockets, "messages": 2 * sockets * rounds}
    assert dump["capture"]["losses"]["desync"] == 0
    assert dump["capture"]["bytes"]["received"]["gap"] == dump["capture"]["bytes"]["sent"]["gap"] == 0
    assert_balanced(dump)


def test_an_answer_that_cannot_be_read_is_no_refusal():
    """sendfile carries the 101, so nobody knows that it was one: the frames say so."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", free_port())))
        with Watch("--port", listener.getsockname()[1], "--pid", os.getpid()) as watch:
            client = stack.enter_context(socket.create_connection(listener.getsockname()))
            server = stack.enter_context(listener.accept()[0])
            client.sendall(request(RFC_KEY))
            server.recv(65536)
            answer = stack.enter_context(tempfile.TemporaryFile())
            answer.write(response(RFC_KEY))
            answer.seek(0)
            assert server.sendfile(answer) == len(response(RFC_KEY))
            client.recv(65536)
            for n in range(10):
                client.sendall(frame(TEXT, bytes_of(100 + n)))
                server.recv(65536)
                server.sendall(frame(TEXT, bytes_of(200 + n), masked=False))
                client.recv(65536)
            client.sendall(frame(CLOSE, b"\x03\xe8"))
            server.recv(65536)
            client.close()
            server.close()
            dump = watch.finish()
    numbers = counted(dump)
    assert (numbers["opened"], numbers["closed"], numbers["received"], numbers["sent"]) == (1, 1, 10, 10)
    assert numbers["close_codes"] == {"1000": {"client": 1}} and numbers["refused"] == {}
    assert_balanced(dump)
