"""Under load nothing is lost, and nothing costs more because there is more of it.

LOAD_SECONDS is how long the load lasts, LOAD_ROUNDS how often costs are compared (`make campaign-load`: 600, 5).
"""
import os
import statistics

import pytest

import figures
from agent import Agent
from tools import SERVE, Crowd, build_tools, load, meter, namespace
from servers import Running
from watch import Watch, assert_balanced

SECONDS = float(os.environ.get("LOAD_SECONDS", 10))
MANY, FEW = 20000, 10
ROUNDS = int(os.environ.get("LOAD_ROUNDS", 1))
METERED_S = 0.7
SILENT_LIMIT, TALKING_LIMIT = 1.2, 2.5


@pytest.fixture(scope="module", autouse=True)
def tools():
    build_tools()


def test_every_message_of_a_load_is_counted():
    """As many messages as this machine gives, with the agent on; each connection sends as soon as it has its answer."""
    connections, size = 64, 100
    with Running(SERVE) as server, Agent("--port", server.port, "--comm", SERVE.comm) as agent:
        result = load(server.port, SECONDS, connections=connections, size=size)
        server.wait_idle()
        dump = agent.metrics_when(lambda d: d["connections"]["closed"] == connections)
    sent = result["sent"]
    figures.add("load with the agent on", f"{2 * result['per_second']:.0f} messages/s in both directions for {result['seconds']:.0f} s "
                f"on {connections} connections; received {dump['messages']['received']}/{sent}, sent {dump['messages']['sent']}/{sent}")
    assert sent == result["answered"] >= result["messages"] > 0
    messages = dump["messages"]
    assert (messages["received"], messages["sent"]) == (sent, sent)
    assert (messages["bytes_received"], messages["bytes_sent"]) == (size * sent, size * sent)
    assert messages["by_type"] == {"text": 2 * sent, "binary": 0}
    assert dump["capture"]["connections"] == {"opened": connections, "closed": connections, "active": 0}
    assert dump["capture"]["messages"]["timed"] == sent  # one message at a time on each connection
    assert dump["upstream"] == {"connections": 0, "messages": 0}
    assert_balanced(dump)


def cost(result):
    """ns of wsvitals' programs, above empty ones on the same hooks, for a message that is received and answered."""
    total = 0
    for name, hook in result["hooks"].items():
        empty = hook["ns"] / hook["runs"] if hook["runs"] else 0
        total += sum(p["ns"] - p["runs"] * empty for p in result["programs"] if p["hook"] == name)
    return total / result["hooks"]["sock_recv_length"]["server"]


def test_a_message_costs_the_same_with_20000_connections():
    """Both ends of every connection are counted, so 20 000 of them are 40 000 states. A connection costs nothing while it is
    silent. When all of them talk in turn, no state is in the processor's caches when its message comes, neither ours nor the
    kernel's; that has a bound of its own, and is written down."""
    few, few_of_many, many = [], [], []
    with namespace() as name, Crowd(name, MANY) as crowd, Watch("--netns", f"/run/netns/{name}", "--port", crowd.port) as watch:
        def measure(costs, times):
            for _ in range(times):
                costs.append(cost(meter(watch.pid, crowd.port, METERED_S)))

        def measure_few():
            with crowd.clients("ws", FEW):
                crowd.wait_open(FEW)
                measure(few, 2)
            crowd.wait_open(0)

        measure_few()
        for _ in range(ROUNDS):
            with crowd.clients("hold", MANY - FEW), crowd.clients("ws", FEW):
                crowd.wait_open(MANY)
                measure(few_of_many, 4)
            crowd.wait_open(0)
            measure_few()
            with crowd.clients("ws", MANY):
                crowd.wait_open(MANY)
                measure(many, 2)
            crowd.wait_open(0)
            measure_few()
        dump = watch.finish()
    base = statistics.median(few)
    silent, talking = statistics.median(few_of_many) / base, statistics.median(many) / base
    figures.add(f"a message and its answer, both ends, {FEW} connections", f"{base:.0f} ns in wsvitals' programs")
    figures.add(f"the same while {MANY} are open", f"{100 * (silent - 1):+.0f} %")
    figures.add(f"the same on all {MANY} in turn", f"{100 * (talking - 1):+.0f} %")
    opened = FEW + ROUNDS * 2 * (MANY + FEW)
    assert dump["connections"]["created"] == dump["connections"]["closed"] == opened
    assert_balanced(dump)
    assert silent <= SILENT_LIMIT and talking <= TALKING_LIMIT, (few, few_of_many, many)
