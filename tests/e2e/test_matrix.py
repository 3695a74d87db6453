"""Every number equals the client's tally, for every server of the table and every part of the known mix."""
import time

import pytest

import report
from exposition import parse
from scenarios import SCENARIOS, Peer, supported_by, together
from servers import SERVERS, TCP_ESTABLISHED, TCP_LISTEN, TCP_TIME_WAIT, socket_states, wait_idle, wait_until
from watch import Watch, assert_balanced, assert_equal, assert_pairing, watched
from wsclient import Tally


def parts_of(server, lock_step):
    return [s for s in supported_by(server) if bool(s.lock_step(server)) == lock_step]


EVERY = [pytest.param(s.name, lock_step, id=f"{s.name}-{'lock_step' if lock_step else 'interleaved'}")
         for s in SERVERS.values() for lock_step in (True, False) if parts_of(s, lock_step)]


@pytest.mark.parametrize("name, lock_step", EVERY)
def test_equals_the_tally(running, name, lock_step):
    """One run of wsvitals for all scenarios: it costs more to start than they do. If the sums differ, each has its own."""
    peer = Peer(running(name))
    parts = parts_of(peer.server, lock_step)
    dump = watch_all(peer, parts)
    report.add(peer.server, lock_step, dump, peer.tally)
    try:
        assert_agree(peer, dump, lock_step)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{find_culprits(peer, parts, lock_step)}") from error


def watch_all(peer, parts):
    with watched(peer.running) as watch:
        for part in parts:
            part.run(peer)
        peer.running.wait_idle()
        return watch.finish()


def assert_agree(peer, dump, lock_step):
    assert peer.tally.counts, "nothing was done"
    assert_equal(dump, peer.tally)
    if lock_step:
        assert_pairing(dump, peer.tally)


def find_culprits(peer, parts, lock_step):
    """Which of the scenarios differ when they are watched alone."""
    found = []
    for part in parts:
        alone = Peer(peer.running)
        try:
            assert_agree(alone, watch_all(alone, [part]), lock_step)
        except AssertionError as error:
            found.append(f"alone, {part.name}: {error}")
    return "\n".join(found) or "each scenario alone is equal"


@pytest.mark.parametrize("name", SERVERS)
def test_whole_mix_at_once(running, name):
    """All scenarios at the same time, three times over, on many connections of one server; over IPv6 where it can."""
    peer = Peer(running(name, host="::1" if SERVERS[name].ipv6 else "127.0.0.1"))
    parts = supported_by(peer.server) * 3
    with watched(peer.running) as watch:
        together(lambda i: parts[i].run(peer), len(parts))
        peer.running.wait_idle()
        dump = watch.finish()
    assert_equal(dump, peer.tally)


def test_all_servers_add_up(running):
    """Several ports in one scope: the numbers are the sum, and each server has its name. Proxies have a test of their own:
    a conversation through one passes two of these servers."""
    peers = [Peer(running(s.name)) for s in SERVERS.values() if not s.behind]
    held = []
    with Watch("--port", ",".join(str(p.running.port) for p in peers)) as watch:
        together(lambda i: SCENARIOS["several_connections"].run(peers[i]), len(peers))
        for peer in peers:
            held.append(peer.open())
            peer.exchange(held[-1], "stay")
        for peer in peers:
            wait_idle_but(peer.running, 1)
        dump = watch.finish()
    for c in held:
        c.close(1000)
    assert dump["connections"]["created"] == sum(p.tally["opened"] for p in peers)
    assert dump["connections"]["total"] == len(peers)
    assert dump["messages"]["received"] == sum(p.tally["received"] for p in peers)
    assert_balanced(dump)
    assert names_without_units(dump["connections"]["by_server"]) == {f"{p.server.comm}:{p.running.port}": 1 for p in peers}


@pytest.mark.parametrize("name", [s.name for s in SERVERS.values() if s.behind])
def test_each_leg_of_a_proxy_shows_under_its_server(running, name):
    """What passes the proxy is seen once at each server, whatever the totals make of it."""
    peer = Peer(running(name))
    application = peer.running.behind
    legs = (peer.running, application)
    with Watch("--port", ",".join(str(leg.port) for leg in legs)) as watch:
        held = [peer.connect("/room") for _ in range(3)]
        for i, c in enumerate(held):
            for n in range(5 + i):
                c.ask(f"message {n}")
        by_server = names_without_units(watch.finish()["connections"]["by_server"])
    for c in held:
        c.close(1000)
    wait_idle(*legs)
    assert by_server == {f"{leg.server.comm}:{leg.port}": 3 for leg in legs}
    peer.tally = Tally()
    with Watch("--port", ",".join(str(leg.port) for leg in legs), form="--prometheus") as watch:
        for part in ("several_connections", "pushes", "every_length"):
            SCENARIOS[part].run(peer)
        wait_idle(*legs)
        families = parse(watch.finish())
    for leg in legs:
        for direction in ("received", "sent"):
            assert value_of(families, "wsvitals_messages_total", leg, direction=direction) == peer.tally[direction]
            assert value_of(families, "wsvitals_message_bytes_total", leg, direction=direction) == peer.tally[f"bytes_{direction}"]
        assert value_of(families, "wsvitals_connections_opened_total", leg) == peer.tally["opened"]


def names_without_units(by_server):
    return {name.partition("@")[0]: n for name, n in by_server.items()}


def value_of(families, metric, leg, **labels):
    """The one sample of a server with these labels."""
    found = [s.value for s in families[metric].samples
             if s.label("server").partition("@")[0] == f"{leg.server.comm}:{leg.port}" and dict(s.labels).items() >= labels.items()]
    assert len(found) == 1, (metric, leg.server.name, labels, found)
    return found[0]


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
