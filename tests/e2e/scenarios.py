"""The known mix: what a client does to a server, one named scenario each, for all servers of the table.

A scenario that runs in lock step (each reply is awaited before the next message) fixes the pairing of SPEC §2 too: it then
tallies `push` and `unanswered`, everything else is timed and nothing is ambiguous.
"""
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Callable

from wsclient import BINARY, PING, PONG, TEXT, Connection, Refused, Tally

MEGABYTE = 1 << 20
CLOSE_CODES = (1000, 1001, 1011, 4401, None)


class Peer:
    """A running server as a client sees it, with the tally of all connections made through it."""

    def __init__(self, running, host=None, netns=None, tally=None):
        self.running, self.server = running, running.server
        self.host, self.netns = host or running.host, netns
        self.tally = tally or Tally()

    def connect(self, path="/", **options):
        return Connection(self.host, self.running.port, self.tally, path, self.server.subprotocol, netns=self.netns,
                          answers_close=self.server.reads_close_reply, **options)


@dataclass(frozen=True)
class Scenario:
    run: Callable
    lock_step: Callable  # server -> bool
    supported: Callable

    @property
    def name(self):
        return self.run.__name__


SCENARIOS = {}


def scenario(lock_step=lambda server: True, supported=lambda server: True):
    def register(run):
        SCENARIOS[run.__name__] = Scenario(run, lock_step, supported)
        return run
    return register


def never(server):
    return False


def bytes_of(n, seed=1):
    return random.Random(seed * 1000003 + n).randbytes(n)


def text_of(n):
    return ("0123456789 the quick brown fox " * (n // 30 + 1))[:n].encode()


@scenario()
def every_length(peer):
    """Both sides of each length form of the frame header, as text and binary."""
    c = peer.connect()
    for n in (1, 125, 126, 65535, 65536, MEGABYTE):
        c.echo(TEXT, text_of(n))
        c.echo(BINARY, bytes_of(n))
    c.close(1000)


@scenario(lock_step=lambda server: server.echoes_empty)
def empty_messages(peer):
    c = peer.connect()
    for opcode in (TEXT, BINARY):
        c.send(opcode)
        if peer.server.echoes_empty:
            c.expect(opcode, b"")
    c.close(1000)


@scenario()
def fragments_with_pings_between(peer):
    c = peer.connect()
    for opcode, parts in ((TEXT, (b"one ", b"two ", b"three")), (BINARY, (bytes_of(70000), b"", bytes_of(126), b"")),
                          (TEXT, (b"", text_of(65536)))):
        for i, part in enumerate(parts):
            c.send(0 if i else opcode, part, fin=i == len(parts) - 1)
            if i < len(parts) - 1:
                c.ping(b"between %d" % i)
        c.expect(opcode, b"".join(parts))
    c.ping(b"")
    c.ping(bytes_of(125))
    c.send(PONG, b"unasked")
    c.ask("still here")
    c.close(1000)


@scenario()
def byte_by_byte(peer):
    c = peer.connect(cut=1)
    c.echo(TEXT, text_of(20), cut=1)
    c.echo(BINARY, bytes_of(200), cut=1)
    c.echo(BINARY, bytes_of(65536), cut=4099)
    c.send(PING, b"slow ping", cut=1)
    c.expect(PONG, b"slow ping")
    c.close(1000)


@scenario(lock_step=never)
def pipelined_bursts(peer):
    """Many frames in one send call; the server may take them in any number of reads, so the pairing is not ours to know."""
    c = peer.connect()
    for n, count in ((5, 100), (300, 60), (3000, 40), (0 if peer.server.echoes_empty else 1, 50)):
        messages = [(TEXT if i % 2 else BINARY, text_of(n)) for i in range(count)]
        c.send_together(messages)
        for message in messages:
            c.expect(*message)
    c.send_together([(TEXT, b"a ", False), (PING, b"inside"), (0, b"b", True), (BINARY, b"c")])
    wanted = [(PONG, b"inside"), (TEXT, b"a b"), (BINARY, b"c")]
    got = [c.receive() for _ in wanted]
    assert sorted(got) == sorted(wanted)
    c.close(1000)


@scenario()
def pushes(peer):
    """Messages that nobody asked for: on connect, and after a reply."""
    c = peer.connect("/push/3")
    for i in range(3):
        c.expect(TEXT, b"push %d" % i)
    c.ask("push:5")
    for i in range(5):
        c.expect(TEXT, b"push %d" % i)
    c.ask("then a reply")
    peer.tally.add("push", 8)
    c.close(1000)


@scenario()
def several_connections(peer):
    together(lambda i: several_worker(peer, i), 8)


def several_worker(peer, i):
    c = peer.connect(f"/room/{i}")
    for n in range(20):
        c.echo(TEXT, b"%d of %d" % (n, i))
    c.close(1000)


@scenario()
def client_closes(peer):
    for code in CLOSE_CODES:
        c = peer.connect()
        c.ask("hello")
        c.close(code, b"because" if code else b"")


@scenario()
def server_closes(peer):
    for code in peer.server.close_codes:
        c = peer.connect()
        c.text(f"close:{code or ''}")
        peer.tally.add("unanswered")
        got = c.await_close()
        assert got == (code or 1005), f"asked the server for close {code}, got {got}"


@scenario()
def client_resets(peer):
    for n in (10, 70000):
        c = peer.connect()
        c.echo(BINARY, bytes_of(n))
        c.reset()


@scenario()
def client_leaves_without_close(peer):
    c = peer.connect()
    c.ask("bye")
    c.fin()


@scenario()
def refused_upgrades(peer):
    for status in peer.server.refuses:
        try:
            peer.connect(f"/refuse/{status}")
        except Refused as refused:
            assert refused.status == status
        else:
            raise AssertionError(f"the server accepted /refuse/{status}")


@scenario(supported=lambda server: server.keeps_alive)
def requests_before_the_upgrade(peer):
    c = peer.connect(before=3)
    c.ask("after three requests")
    c.close(1000)


@scenario(lock_step=never, supported=lambda server: server.reads_early_frames)
def frames_with_the_request(peer):
    """Frames in the segment of the upgrade request."""
    c = peer.connect(early=[(TEXT, b"early"), (BINARY, bytes_of(300)), (PING, b"early ping")])
    wanted = [(TEXT, b"early"), (BINARY, bytes_of(300)), (PONG, b"early ping")]
    got = [c.receive() for _ in wanted]
    assert sorted(got) == sorted(wanted)
    c.close(1000)


@scenario()
def large_request_head(peer):
    c = peer.connect("/large?" + "q" * 500, headers=["Cookie: " + "c" * 2500], cut=1000)
    c.ask("hello")
    c.close(1000)


@scenario(supported=lambda server: server.pings)
def server_pings(peer):
    c = peer.connect()
    for _ in range(3):
        c.ask("ping:")
    c.ask("the last ping is answered before this")
    c.close(1000)


def together(work, count, at_once=12):
    """Run work(0..count-1) in threads, fewer at once than a listen backlog; fail if one fails."""
    with ThreadPoolExecutor(at_once) as pool:
        for done in [pool.submit(work, i) for i in range(count)]:
            done.result()


def supported_by(server):
    return [s for s in SCENARIOS.values() if s.supported(server)]
