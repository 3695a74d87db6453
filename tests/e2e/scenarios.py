"""The known mix: what a client does to a server, one named scenario each, for all servers of the table.

A scenario that runs in lock step (each reply is awaited before the next message) fixes the pairing of SPEC §2 too: it then
tallies `push` and `unanswered`, everything else is timed and nothing is ambiguous.
"""
import http.client
import itertools
import json
import random
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Callable

import dialects
from dialects import DIALECTS, expect_json, expect_text, mqtt_packet, mqtt_string, send_json, socketio_event
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

    @property
    def dialect(self):
        return DIALECTS[self.server.speaks]

    def open(self, path="/", **options):
        """A connection on which exchange() works, whatever the server speaks; one protocol has one path."""
        c = self.connect(self.dialect.path or path, **options)
        self.dialect.greet(c)
        return c

    def exchange(self, c, text):
        """One message and its one answer."""
        self.dialect.exchange(c, text)


ANY = ""  # the dialect of a scenario that needs no more than a conversation


@dataclass(frozen=True)
class Scenario:
    run: Callable
    lock_step: Callable  # server -> bool
    can: Callable  # server -> bool
    speaks: str

    @property
    def name(self):
        return self.run.__name__

    def supported(self, server):
        return self.speaks in (ANY, server.speaks) and bool(self.can(server))


SCENARIOS = {}


def scenario(lock_step=lambda server: True, supported=lambda server: True, speaks="echo"):
    """Registers a scenario for the servers of one dialect (dialects.py) that can do it."""
    def register(run):
        SCENARIOS[run.__name__] = Scenario(run, lock_step, supported, speaks)
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


@scenario(speaks=ANY)
def several_connections(peer):
    together(lambda i: several_worker(peer, i), 8)


def several_worker(peer, i):
    c = peer.open(f"/room/{i}")
    for n in range(20):
        peer.exchange(c, f"{n} of {i}")
    c.close(1000)


@scenario(speaks=ANY)
def client_closes(peer):
    for code in CLOSE_CODES:
        c = peer.open()
        peer.exchange(c, "hello")
        c.close(code, b"because" if code else b"")


@scenario()
def server_closes(peer):
    for code in peer.server.close_codes:
        c = peer.connect()
        c.text(f"close:{code or ''}")
        peer.tally.add("unanswered")
        got = c.await_close()
        assert got == (code or 1005), f"asked the server for close {code}, got {got}"


@scenario(speaks=ANY)
def client_resets(peer):
    for n in (10, 70000):
        c = peer.open()
        peer.exchange(c, text_of(n).decode())
        c.reset()


@scenario(speaks=ANY)
def client_leaves_without_close(peer):
    c = peer.open()
    peer.exchange(c, "bye")
    c.fin()


@scenario(supported=lambda server: server.refuses)
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


# -- protocols of their own ---------------------------------------------------------------------------------------------

@scenario(speaks="socketio")
def socketio_events(peer):
    c = peer.open()
    for n in (1, 100, 70000):
        peer.exchange(c, text_of(n).decode())
    c.text(socketio_event("m", "acknowledge this", "427"))
    c.expect(TEXT, b'437["acknowledge this"]')
    c.text(socketio_event("push", 5))
    for i in range(5):
        c.expect(TEXT, socketio_event("p", i).encode())
    peer.tally.add("push", 4)
    c.close(1000)


@scenario(speaks="socketio", lock_step=never)
def socketio_binary(peer):
    """An event is two messages, and its echo too."""
    c = peer.open()
    event = b'451-["m",{"_placeholder":true,"num":0}]'
    for n in (1, 70000):
        c.send(TEXT, event)
        c.send(BINARY, bytes_of(n))
        c.expect(TEXT, event)
        c.expect(BINARY, bytes_of(n))
    c.close(1000)


@scenario(speaks="socketio")
def socketio_begins_by_polling(peer):
    """As its own client does: the session begins with plain requests and then moves to a WebSocket."""
    polling = http.client.HTTPConnection(peer.host, peer.running.port, timeout=10)
    polling.request("GET", dialects.SOCKETIO_PATH.replace("websocket", "polling"))
    session = json.loads(polling.getresponse().read()[1:])["sid"]
    c = peer.connect(f"{dialects.SOCKETIO_PATH}&sid={session}")
    c.text("2probe")
    c.expect(TEXT, b"3probe")
    c.text("5")
    peer.tally.add("unanswered")
    wait_silent()
    dialects.socketio_join(c)
    peer.exchange(c, "on the WebSocket")
    polling.close()
    c.close(1000)


@scenario(speaks="socketio")
def socketio_refuses_an_unknown_session(peer):
    try:
        peer.connect(f"{dialects.SOCKETIO_PATH}&sid=unknown")
    except Refused as refused:
        assert refused.status == 400
    else:
        raise AssertionError("the server accepted a session that it has not made")


@scenario(speaks="socketio")
def socketio_disconnects(peer):
    c = peer.open()
    c.text(socketio_event("leave", ""))
    expect_text(c, "41")
    c.await_close()


@scenario(speaks="graphql")
def graphql_operations(peer):
    c = peer.open()
    for i, n in enumerate((1, 100, 70000)):
        text = text_of(n).decode()
        send_json(c, id=str(i), type="subscribe",
                  payload={"query": "query($text: String!) { echo(text: $text) }", "variables": {"text": text}})
        expect_json(c, id=str(i), type="next", payload={"data": {"echo": text}})
        expect_json(c, id=str(i), type="complete")
        peer.tally.add("push")  # the second message of the answer
    send_json(c, id="count", type="subscribe", payload={"query": "subscription { count(to: 5) }"})
    for i in range(5):
        expect_json(c, id="count", type="next", payload={"data": {"count": i}})
    expect_json(c, id="count", type="complete")
    peer.tally.add("push", 5)
    c.close(1000)


@scenario(speaks="graphql")
def graphql_closes_with_its_own_codes(peer):
    for code, greets, message in ((4401, False, {"id": "1", "type": "subscribe", "payload": {"query": "{ echo }"}}),
                                  (4429, True, {"type": "connection_init"}),
                                  (4400, True, {"type": "nothing that it knows"})):
        c = peer.open() if greets else peer.connect()
        send_json(c, **message)
        peer.tally.add("unanswered")
        assert c.await_close() == code


mqtt_topics = itertools.count()  # what one session publishes is none of another's business


@scenario(speaks="mqtt")
def mqtt_session(peer):
    """Subscribe, publish to oneself at QoS 1, ping. The server's packets are a message each."""
    c, topic = peer.open(), f"topic {next(mqtt_topics):06}"
    c.send(BINARY, mqtt_packet(dialects.MQTT_SUBSCRIBE, struct.pack(">H", 1) + mqtt_string(topic) + b"\0"))
    c.expect(BINARY, mqtt_packet(dialects.MQTT_SUBACK, b"\0\1\0"))
    for n in (0, 100, 70000):
        c.send(BINARY, dialects.mqtt_publish(topic, bytes_of(n)))
        wanted = [(BINARY, mqtt_packet(dialects.MQTT_PUBLISH, mqtt_string(topic) + bytes_of(n))),
                  (BINARY, mqtt_packet(dialects.MQTT_PUBACK, b"\0\1"))]
        assert sorted(c.receive() for _ in wanted) == wanted
        peer.tally.add("push")
    c.send(BINARY, mqtt_packet(dialects.MQTT_PINGREQ))
    c.expect(BINARY, mqtt_packet(dialects.MQTT_PINGRESP))
    c.close(1000)


@scenario(speaks="mqtt", lock_step=never)
def mqtt_packets_are_no_messages(peer):
    """A packet over three messages, and several packets in one: MQTT 3.1.1, 6.0."""
    c = peer.connect(peer.dialect.path)
    packet = dialects.mqtt_connect()
    for part in (packet[:1], packet[1:7], packet[7:]):
        c.send(BINARY, part)
    c.expect(BINARY, mqtt_packet(dialects.MQTT_CONNACK, b"\0\0"))
    c.send(BINARY, mqtt_packet(dialects.MQTT_PINGREQ) * 3)
    for _ in range(3):
        c.expect(BINARY, mqtt_packet(dialects.MQTT_PINGRESP))
    c.close(1000)


@scenario(speaks="mqtt")
def mqtt_disconnects(peer):
    c = peer.open()
    c.send(BINARY, mqtt_packet(dialects.MQTT_DISCONNECT))
    peer.tally.add("unanswered")
    c.await_end("fin_without_close")


def together(work, count, at_once=12):
    """Run work(0..count-1) in threads, fewer at once than a listen backlog; fail if one fails."""
    with ThreadPoolExecutor(at_once) as pool:
        for done in [pool.submit(work, i) for i in range(count)]:
            done.result()


def supported_by(server):
    return [s for s in SCENARIOS.values() if s.supported(server)]


def wait_silent():
    """Longer than the silence after which SPEC §2 gives up waiting for an answer."""
    time.sleep(1.1)
