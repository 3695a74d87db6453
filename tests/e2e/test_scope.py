"""Each scope option sees only what it names, of two servers that both have traffic; together they narrow."""
import os
import subprocess
from pathlib import Path

import pytest

from scenarios import Peer
from servers import RAW, SERVERS, Running
from watch import Watch, assert_balanced, assert_equal
from wsclient import Tally

CGROUPS = Path("/sys/fs/cgroup/unified") if Path("/sys/fs/cgroup/unified/cgroup.procs").exists() else Path("/sys/fs/cgroup")


def converse(*peers):
    for n, peer in enumerate(peers):
        c = peer.connect()
        for i in range(3 + n):
            c.ask(f"message {i}")
        c.close(1000)
        peer.running.wait_idle()


def watch_two(scope, inside, outside):
    """Traffic on both while the scope is watched; the dump equals the tally of the one inside."""
    with Watch(*scope) as watch:
        converse(outside, inside)
        dump = watch.finish()
    assert inside.tally["opened"] and outside.tally["opened"]
    assert_equal(dump, inside.tally)
    return dump


@pytest.fixture
def two(running):
    """Two peers with tallies of their own."""
    return Peer(running("node_ws")), Peer(running("py_websockets"))


def test_port(two):
    watch_two(["--port", two[0].running.port], *two)


def test_ports_add_up(running, two):
    both = Tally()
    peers = [Peer(p.running, tally=both) for p in two]
    other = Peer(running("go_gorilla"))
    with Watch("--port", f"{peers[0].running.port},{peers[1].running.port}") as watch:
        converse(other, *peers)
        dump = watch.finish()
    assert_equal(dump, both)


def test_pid(two):
    dump = watch_two(["--pid", two[0].running.pid], *two)
    assert dump["upstream"] == {"connections": 0, "messages": 0}, "the client is a process outside the scope"


def test_pid_with_a_child_forked_after_the_start(two):
    """A server that serves each connection in a child of its own."""
    with Running(RAW, env={"FORK": "1"}) as forking:
        watch_two(["--pid", forking.pid], Peer(forking), two[0])


def test_pid_of_the_parent_of_a_running_server(two):
    """Descendants that were there before wsvitals are in scope too."""
    with Running(RAW, prefix=("sh", "-c", '"$@" & wait', "sh")) as server:
        child = int(Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()[0])
        try:
            watch_two(["--pid", server.pid], Peer(server), two[0])
        finally:
            os.kill(child, 15)


def test_comm(two):
    watch_two(["--comm", "node"], *two)


def test_cgroup(two):
    """A group of the test's own, and one below it."""
    group = CGROUPS / f"wsvitals-e2e-{os.getpid()}"
    below = group / "below"
    below.mkdir(parents=True)
    try:
        with Running(SERVERS["py_websockets"]) as server:
            for place in (group, below):
                (place / "cgroup.procs").write_text(str(server.pid))
                watch_two(["--cgroup", group], Peer(server), Peer(two[0].running))
            (CGROUPS / "cgroup.procs").write_text(str(server.pid))
    finally:
        below.rmdir()
        group.rmdir()


def test_netns(two):
    name = f"wsv-e2e-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        with Running(SERVERS["py_websockets"], prefix=("ip", "netns", "exec", name)) as server:
            watch_two(["--netns", f"/run/netns/{name}"], Peer(server, netns=f"/run/netns/{name}"), two[0])
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


def test_same_port_in_two_namespaces_are_two_servers(two):
    """`--netns` tells apart what the port alone cannot."""
    name = f"wsv-e2e-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        port = two[0].running.port
        with Running(SERVERS["py_websockets"], prefix=("ip", "netns", "exec", name), port=port) as server:
            inside = Peer(server, netns=f"/run/netns/{name}")
            watch_two(["--port", port, "--netns", f"/run/netns/{name}"], inside, two[0])
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


def test_options_narrow_each_other(two):
    node, python = two
    ports = f"{node.running.port},{python.running.port}"
    watch_two(["--port", ports, "--comm", "node"], node, python)


def test_options_that_exclude_each_other_show_nothing(two):
    node, python = two
    with Watch("--port", python.running.port, "--comm", "node") as watch:
        converse(node, python)
        dump = watch.finish()
    assert_equal(dump, Tally())


def test_without_scope_every_server_is_seen(two):
    node, python = two
    with Watch() as watch:
        converse(node, python)
        dump = watch.finish()
    assert dump["connections"]["created"] >= 2
    assert dump["messages"]["received"] >= node.tally["received"] + python.tally["received"]
    assert_balanced(dump)
