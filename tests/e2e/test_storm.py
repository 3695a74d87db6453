"""Connections opened and closed as fast as the machine allows, between two network namespaces with RPS on: that is
where programs on socket events were seen to be skipped because they nest."""
import os
import subprocess
import time

import pytest

import figures
from servers import BUILD, SOURCES, Running, Server
from watch import Watch, assert_balanced

CONNECTIONS = int(os.environ.get("STORM_CONNECTIONS", 20000))  # `make campaign`: 100 000
STORM = Server("storm", ("{build}/storm", "serve", "{port}"), comm="storm",
               build=("gcc", "-O2", "-Wall", "-Wextra", "-o", "{build}/storm", str(SOURCES.parent / "storm.c")))
ADDRESS = "10.213.0.1"


def ip(*args):
    subprocess.run(["ip", *args], check=True)


@pytest.fixture
def two_namespaces():
    """(server's, client's), joined by a veth pair whose receive work RPS spreads over the CPUs."""
    server, client = names = [f"wsv-{side}-{os.getpid()}" for side in ("srv", "cli")]
    made = []
    try:
        for name in names:
            ip("netns", "add", name)
            made.append(name)
            ip("-n", name, "link", "set", "lo", "up")
        ip("-n", server, "link", "add", "veth0", "type", "veth", "peer", "name", "veth0", "netns", client)
        for name, address in ((server, ADDRESS), (client, "10.213.0.2")):
            ip("-n", name, "addr", "add", f"{address}/24", "dev", "veth0")
            ip("-n", name, "link", "set", "veth0", "up")
            ip("netns", "exec", name, "sh", "-c", "for q in /sys/class/net/*/queues/rx-*/rps_cpus; do echo 3 > $q; done; "
               "grep -q 3 /sys/class/net/veth0/queues/rx-0/rps_cpus")
        yield server, client
    finally:
        for name in made:
            ip("netns", "del", name)


def test_every_connection_of_a_storm_is_counted(two_namespaces):
    server_space, client_space = two_namespaces
    with Running(STORM, prefix=("ip", "netns", "exec", server_space)) as server, \
            Watch("--netns", f"/run/netns/{server_space}", "--port", server.port) as watch:
        began = time.monotonic()
        done = subprocess.run(["ip", "netns", "exec", client_space, str(BUILD / "storm"), "connect", ADDRESS, str(server.port),
                               str(CONNECTIONS)], capture_output=True, text=True, timeout=600)
        took = time.monotonic() - began
        assert done.returncode == 0, done.stderr
        quarter = CONNECTIONS // 4
        assert done.stdout == f"clean {2 * quarter} reset {quarter} fin {quarter}\n"
        server.wait_idle()
        dump = watch.finish()
    connections = dump["capture"]["connections"]
    figures.add("connections opened and closed, RPS on", f"{connections['opened']} and {connections['closed']} of {CONNECTIONS}, "
                f"{CONNECTIONS / took:.0f} a second; events dropped: {sum(dump['capture']['events']['dropped'].values())}")
    assert connections == {"opened": CONNECTIONS, "closed": CONNECTIONS, "active": 0}
    events = dump["capture"]["events"]
    assert events["submitted"] == events["received"] + sum(events["dropped"].values()) and events["submitted"] >= CONNECTIONS, events
    messages = dump["messages"]
    assert (messages["received"], messages["sent"]) == (CONNECTIONS, CONNECTIONS)
    assert messages["bytes_received"] == messages["bytes_sent"] == 5 * CONNECTIONS
    assert dump["errors"]["close_codes"]["1000"].get("client", 0) == 2 * quarter
    assert dump["errors"]["by_type"] == {"abnormal_closure": 2 * quarter}
    assert dump["errors"]["causes"] == {"reset_by_peer": quarter, "fin_without_close": quarter}
    assert_balanced(dump)
