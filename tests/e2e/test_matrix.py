"""Every number equals the client's tally, for every server of the table and every part of the known mix."""
import time

import pytest

from scenarios import SCENARIOS, Peer, supported_by, together
from servers import SERVERS, TCP_ESTABLISHED, TCP_LISTEN, TCP_TIME_WAIT, socket_states, wait_until
from watch import Watch, assert_balanced, assert_equal, assert_pairing, watched

EVERY = [pytest.param(server, s, id=f"{server.name}-{s.name}") for server in SERVERS.values() for s in supported_by(server)]


@pytest.mark.parametrize("server, scenario", EVERY)
def test_equals_the_tally(running, server, scenario):
    peer = Peer(running(server.name))
    with watched(peer.running) as watch:
        scenario.run(peer)
        peer.running.wait_idle()
        dump = watch.finish()
    assert peer.tally.counts, "the scenario did nothing"
    assert_equal(dump, peer.tally)
    if scenario.lock_step(server):
        assert_pairing(dump, peer.tally)


@pytest.mark.parametrize("name", [s.name for s in SERVERS.values() if s.ipv6])
def test_whole_mix_over_ipv6(running, name):
    whole_mix(Peer(running(name, host="::1")))


@pytest.mark.parametrize("name", SERVERS)
def test_whole_mix_at_once(running, name):
    """All scenarios at the same time, three times over, on many connections of one server."""
    whole_mix(Peer(running(name)), times=3)


def whole_mix(peer, times=1):
    parts = supported_by(peer.server) * times
    with watched(peer.running) as watch:
        together(lambda i: parts[i].run(peer), len(parts))
        peer.running.wait_idle()
        dump = watch.finish()
    assert_equal(dump, peer.tally)


def test_all_servers_add_up(running):
    """Several ports in one scope: the numbers are the sum, and each server has its name."""
    peers = [Peer(running(name)) for name in SERVERS]
    held = []
    with Watch("--port", ",".join(str(p.running.port) for p in peers)) as watch:
        together(lambda i: SCENARIOS["several_connections"].run(peers[i]), len(peers))
        for peer in peers:
            held.append(peer.connect())
            held[-1].ask("stay")
        for peer in peers:
            wait_idle_but(peer.running, 1)
        dump = watch.finish()
    for c in held:
        c.close(1000)
    assert dump["connections"]["created"] == sum(p.tally["opened"] for p in peers)
    assert dump["connections"]["total"] == len(peers)
    assert dump["messages"]["received"] == sum(p.tally["received"] for p in peers)
    assert_balanced(dump)
    names = {name.partition("@")[0]: n for name, n in dump["connections"]["by_server"].items()}
    assert names == {f"{p.server.comm}:{p.running.port}": 1 for p in peers}


def wait_idle_but(running, still_open):
    wait_until(lambda: [s for s in socket_states(running.pid, running.port) if s not in (TCP_LISTEN, TCP_TIME_WAIT)]
               == [TCP_ESTABLISHED] * still_open, f"{running.server.name} to keep only {still_open} connections")


def test_open_connections_are_counted_by_walking(running):
    """Connections that stay open are active, have an age, and are neither closed nor in the durations."""
    peer = Peer(running("node_ws"))
    with watched(peer.running) as watch:
        held = [peer.connect(f"/kept/{i % 2}") for i in range(5)]
        for c in held:
            c.ask("hello")
        time.sleep(0.3)
        held.pop().close(1000)
        wait_idle_but(peer.running, 4)
        dump = watch.finish()
    assert_equal(dump, peer.tally, still_open=4)
    assert dump["connections"]["peak"] == 5
    assert dump["connections"]["by_channel"] == {"/kept/0": 2, "/kept/1": 2}
    assert dump["connections"]["open_age"]["min"] >= 0.3
    assert list(dump["connections"]["by_user"].values()) == [4]
    for c in held:
        c.close(1000)


def test_the_clients_side_is_upstream(running):
    """The test's client connects from this host, so it is an upstream leg: counted there, and nowhere else. Like
    connections.total, upstream.connections is what is open now."""
    peer = Peer(running("node_ws"))
    with watched(peer.running) as watch:
        held = [peer.connect() for _ in range(3)]
        for c in held:
            c.ask("one")
            c.ask("two")
        held.pop().close(1000)
        wait_idle_but(peer.running, 2)
        dump = watch.finish()
    assert_equal(dump, peer.tally, still_open=2)
    assert dump["upstream"] == {"connections": 2, "messages": 12}
    for c in held:
        c.close(1000)
