"""?server=, ?channel= and ?user=, alone and together, on two real servers: each filter's numbers are those that the clients of its
connections tallied, with connections open and closed, and after a reset."""
import itertools
import json
import time
import urllib.parse

import pytest

from agent import Agent
from scenarios import Peer
from wsclient import BINARY, TEXT, Tally

CHANNELS = ("/room/a", "/room/b")
USERS = ("192.0.2.10", "192.0.2.11", "192.0.2.12")


@pytest.fixture
def crowd(running):
    return Crowd([running("node_ws"), running("go_gorilla")])


class Crowd:
    """Connections of each server, channel and user, with a tally for each of these."""

    def __init__(self, servers):
        self.servers = servers
        self.names = [f"{r.server.comm}:{r.port}" for r in servers]
        self.tallies = {key: Tally() for key in itertools.product(range(len(servers)), CHANNELS, USERS)}
        self.open = {key: [] for key in self.tallies}

    def connect(self, key):
        server, channel, user = key
        peer = Peer(self.servers[server], tally=self.tallies[key])
        # the address of a loopback peer is what its proxy says
        self.open[key].append(peer.connect(channel, headers=[f"X-Forwarded-For: 203.0.113.9, {user}"]))

    def traffic(self):
        for n, (key, connections) in enumerate(self.open.items(), 1):
            for c in connections:
                for i in range(n):
                    c.echo(TEXT if i % 2 else BINARY, b"x" * (10 * n + i))

    def close_one_each(self):
        for n, connections in enumerate(self.open.values()):
            connections.pop().close((1000, 1011, 4401)[n % 3])

    def matching(self, server, channel, user):
        return [key for key in self.tallies if (server is None or key[0] == server) and channel in (None, key[1]) and user in (None, key[2])]

    def total(self, keys, name):
        return sum(self.tallies[key][name] for key in keys)

    def truth(self, keys):
        return {
            "total": sum(len(self.open[key]) for key in keys),
            "created": self.total(keys, "opened"), "closed": self.total(keys, "closed"),
            "received": self.total(keys, "received"), "sent": self.total(keys, "sent"),
            "bytes_received": self.total(keys, "bytes_received"), "bytes_sent": self.total(keys, "bytes_sent"),
            "by_channel": {c: n for c in CHANNELS if (n := sum(len(self.open[k]) for k in keys if k[1] == c))},
            "by_server": {name: n for i, name in enumerate(self.names) if (n := sum(len(self.open[k]) for k in keys if k[0] == i))},
            "errors": {e: n for e in ("internal_error", "authentication_error") if (n := self.total(keys, f"error.{e}"))},
            "users": sorted(n for u in USERS if (n := sum(len(self.open[k]) for k in keys if k[2] == u))),
        }

    def reset(self):
        """Counting begins anew: what is open counts as opened, and nothing else."""
        for key, tally in self.tallies.items():
            tally.counts.clear()
            tally.counts["opened"] = len(self.open[key])


def said(dump):
    c, m = dump["connections"], dump["messages"]
    return {
        "total": c["total"], "created": c["created"], "closed": c["closed"],
        "received": m["received"], "sent": m["sent"], "bytes_received": m["bytes_received"], "bytes_sent": m["bytes_sent"],
        "by_channel": c["by_channel"], "by_server": {name: n for name, n in c["by_server"].items() if n},
        "errors": dump["errors"]["by_type"], "users": sorted(c["by_user"].values()),
    }


def query_of(**values):
    return "?" + urllib.parse.urlencode({name: value for name, value in values.items() if value is not None})


def metrics_when(agent, condition, query, seconds=15):
    """Over the local socket, which has no limit of 20 requests a second."""
    until = time.monotonic() + seconds
    while True:
        status, body = agent.ask_local("/api/websocket/metrics/" + query.rstrip("?"))
        assert status == 200, body
        dump = json.loads(body)
        if condition(dump):
            return dump
        assert time.monotonic() < until, f"{query} never came true; last {said(dump)}"
        time.sleep(0.3)


def check_all(agent, crowd):
    for server, channel, user in itertools.product((None, 0, 1), (None, *CHANNELS), (None, *USERS)):
        truth = crowd.truth(crowd.matching(server, channel, user))
        query = query_of(server=None if server is None else crowd.names[server], channel=channel, user=user)
        dump = metrics_when(agent, lambda d: said(d) == truth, query)
        assert dump["capture"]["balanced"]
        assert (dump["connections"]["peak"] is None) == (user is not None or (channel is not None and server is None)), query
        assert (dump["messages"]["latency"] is None) == (user is not None)
        assert (dump["messages"]["queue_wait"] is None) == (channel is not None or user is not None)
        assert len(dump["errors"]["recent"]) == min(20, sum(truth["errors"].values()))


def test_every_filter_says_what_its_clients_tallied(crowd):
    with Agent("--port", ",".join(str(r.port) for r in crowd.servers)) as agent:
        for _ in range(2):
            for key in crowd.tallies:
                crowd.connect(key)
        agent.metrics_when(lambda d: d["connections"]["total"] == 24)  # the channels have their names
        crowd.traffic()
        check_all(agent, crowd)
        crowd.close_one_each()
        crowd.traffic()
        check_all(agent, crowd)

        pseudonyms = agent.metrics(query_of(channel="/room/a"))["connections"]["by_user"]
        one = agent.metrics(query_of(user=USERS[0]))
        assert one["filter"]["user"] in pseudonyms
        assert said(agent.metrics(query_of(user=one["filter"]["user"]))) == said(one)
        # the kernel times a channel's messages as it does its server's: all were answered
        sums = 0
        for name in crowd.names:
            for channel in CHANNELS:
                latency = metrics_when(agent, lambda d: d["messages"]["latency"]["count"] == d["messages"]["received"],
                                       query_of(server=name, channel=channel))["messages"]["latency"]
                assert latency["timed_share"] == 1 and 0 < latency["p50"] <= latency["p99"] <= latency["max"]
                sums += latency["count"]
        assert sums == agent.metrics()["messages"]["latency"]["count"]
        assert agent.metrics(query_of(channel="/room/a"))["messages"]["rate_1m"] > 0

        assert agent.command("reset", "--yes")[0] == 0
        crowd.reset()
        check_all(agent, crowd)
        crowd.traffic()
        crowd.close_one_each()
        check_all(agent, crowd)
        assert agent.end()[0] == 0
