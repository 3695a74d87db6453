"""The API of SPEC §4 and /metrics, as programs ask for them: shape, numbers against the client's tally, filters, HTTP."""
import bisect
import collections
import gzip
import json
import re
import subprocess
import time
import urllib.parse
import urllib.request
from collections import Counter

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from agent import Agent, free_port
from exposition import parse
from scenarios import SCENARIOS, Peer
from servers import wait_until
from watch import assert_balanced, assert_equal
from wsclient import Refused, Tally

METRICS = "/api/websocket/metrics/"
OPENMETRICS = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"

# --- the shape of SPEC §4: fields that are fixed, each with its type ---

INT, REAL, TIME = int, float, re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
COUNTS = {str: INT}
SPREAD = {"p50": REAL, "p95": REAL, "p99": REAL, "avg": REAL, "min": REAL, "max": REAL, "count": INT}
DURATION = {"avg": REAL, "median": REAL, "min": REAL, "max": REAL, "count": INT}
SHAPE = {
    "timestamp": TIME, "counting_since": TIME, "uptime_seconds": REAL,
    "connections": {"total": INT, "peak": INT, "created": INT, "closed": INT, "by_user": COUNTS, "by_channel": COUNTS, "by_server": COUNTS,
                    "open_age": DURATION},
    "messages": {"rate_1m": REAL, "rate_5m": REAL, "rate_15m": REAL, "received": INT, "sent": INT, "bytes_received": INT, "bytes_sent": INT,
                 "by_type": {"text": INT, "binary": INT}, "types": {}, "latency": SPREAD, "queue_wait": SPREAD,
                 "unpaired": {"push": INT, "ambiguous": INT, "unanswered": INT, "waiting": INT}},
    "errors": {"total": INT, "by_type": COUNTS, "rate": REAL, "recent": [{"type": str, "message": str, "timestamp": TIME}]},
    "connection_duration": DURATION,
    "upstream": {"connections": INT, "messages": INT},
    "capture": {},
}


def misshapen(value, shape, where="", nullable=False):
    """What is not as the shape says; further fields may be there."""
    if nullable and value is None:
        return []
    if shape is INT or shape is REAL:
        good = not isinstance(value, bool) and isinstance(value, (int,) if shape is INT else (int, float)) and value >= 0
        return [] if good else [f"{where} is {value!r}"]
    if shape is str:
        return [] if isinstance(value, str) else [f"{where} is {value!r}"]
    if shape is TIME:
        return [] if isinstance(value, str) and TIME.fullmatch(value) else [f"{where} is {value!r}"]
    if isinstance(shape, list):
        return [w for i, row in enumerate(value) for w in misshapen(row, shape[0], f"{where}[{i}]", nullable)]
    if not isinstance(value, dict):
        return [f"{where} is {value!r}"]
    if list(shape) == [str]:
        return [w for name, n in value.items() for w in misshapen(n, shape[str], f"{where}.{name}", nullable)]
    return [f"{where}.{name} is missing" for name in shape if name not in value] + \
        [w for name in shape if name in value for w in misshapen(value[name], shape[name], f"{where}.{name}", nullable)]


# --- one agent that watches two servers, and what clients did to them ---

class PacedAgent(Agent):
    """Asked no more than twenty times in a second, as one token may."""

    def ask(self, *args, **options):
        times = self.__dict__.setdefault("_times", collections.deque(maxlen=19))
        if len(times) == 19:
            time.sleep(max(0, times[0] + 1.02 - time.monotonic()))
        answer = super().ask(*args, **options)
        times.append(time.monotonic())
        return answer


class Seen:
    """What the clients did, in all and for each (server, channel, user)."""

    def __init__(self, agent, peers):
        self.agent, self.peers = agent, peers
        self.parts = {}  # (server, channel, user address) -> Tally
        self.open = []

    def part(self, server, channel, user):
        return self.parts.setdefault((server, channel, user), Tally())

    def sum(self, server=None, channel=None, user=None):
        total = Counter()
        for key, tally in self.parts.items():
            if all(want is None or want == is_ for want, is_ in zip((server, channel, user), key)):
                total.update(tally.counts)
        return Tally(total)

    def still_open(self, **which):
        tally = self.sum(**which)
        return tally["opened"] - tally["closed"]


ROOMS = ("/room/1", "/room/2", "/chat")
USERS = ("192.0.2.1", "192.0.2.2", "2001:db8::3")


@pytest.fixture(scope="module")
def seen(running):
    """Several users in several channels on two servers; some connections stay open, some end in errors."""
    servers = [running("node_ws"), running("py_websockets")]
    scope = ",".join(str(s.port) for s in servers)
    with PacedAgent("--port", scope) as agent:
        seen = Seen(agent, servers)
        for i, server in enumerate(servers):
            name = f"{server.server.comm}:{server.port}"
            for j, room in enumerate(ROOMS):
                for k, user in enumerate(USERS):
                    if (i + j + k) % 4 == 3:
                        continue  # not everybody is everywhere
                    tally = seen.part(name, room, user)
                    peer = Peer(server, tally=tally)
                    for n in range(1 + k):
                        c = peer.connect(room, headers=[f"X-Forwarded-For: 10.0.0.1, {user}"])
                        for m in range(3 + 2 * j + i):
                            c.echo(1 + m % 2, b"x" * (10 * m + k))
                        if n == 0:
                            seen.open.append(c)
                        elif k == 2:
                            c.text("close:4401")
                            tally.add("unanswered")
                            c.await_close()
                        else:
                            c.close(1000)
            try:
                Peer(server, tally=seen.part(name, "/refuse/403", USERS[0])).connect("/refuse/403", headers=[f"X-Forwarded-For: {USERS[0]}"])
            except Refused:
                pass
        total = seen.sum()
        agent.metrics_when(lambda d: d["connections"]["closed"] == total["closed"] and d["capture"]["ending"] == 0
                           and d["messages"]["sent"] == total["sent"])
        yield seen
        for c in seen.open:
            c.end()


@pytest.fixture(autouse=True)
def clean_servers():
    """Replaces conftest's: the connections of `seen` stay."""
    yield


def test_the_shape_is_that_of_the_specification(seen):
    dump = seen.agent.metrics()
    assert misshapen(dump, SHAPE) == []
    assert dump["errors"]["recent"] and dump["counting_since"] <= dump["timestamp"]
    assert dump["messages"]["types"] == {}, "no rule names types"


def test_an_idle_agent_has_the_same_shape_with_nulls_where_nothing_was_measured():
    with Agent("--port", free_port()) as agent:
        dump = agent.metrics()
        assert misshapen(dump, SHAPE, nullable=True) == []
        for spread in (dump["messages"]["latency"], dump["connection_duration"], dump["connections"]["open_age"]):
            assert spread["count"] == 0 and set(spread.values()) <= {0, None}
        assert dump["connections"]["total"] == dump["messages"]["received"] == dump["errors"]["total"] == 0
        assert dump["errors"]["recent"] == [] and dump["connections"]["by_server"] == {}
        assert_balanced(dump)


def test_numbers_are_the_clients(seen):
    dump, total = seen.agent.metrics(), seen.sum()
    assert_equal(dump, total, still_open=len(seen.open))
    c = dump["connections"]
    assert c["by_server"] == {name: seen.still_open(server=name) for name, _, _ in seen.parts}
    assert c["by_channel"] == {room: seen.still_open(channel=room) for room in ROOMS}
    assert sorted(c["by_user"].values()) == sorted(seen.still_open(user=user) for user in USERS)
    assert all(re.fullmatch("[0-9a-f]{12}", user) for user in c["by_user"])
    assert c["peak"] >= c["total"] == len(seen.open)
    assert dump["messages"]["latency"]["count"] == total["received"] - total["unanswered"]
    assert {row["type"] for row in dump["errors"]["recent"]} == {"authentication_error"}
    assert len(dump["errors"]["recent"]) == min(20, sum(total.group("error").values()))


def narrowed(dump):
    m = dump["messages"]
    return {"created": dump["connections"]["created"], "closed": dump["connections"]["closed"], "total": dump["connections"]["total"],
            "received": m["received"], "sent": m["sent"], "bytes_received": m["bytes_received"], "bytes_sent": m["bytes_sent"],
            "errors": dump["errors"]["total"]}


def wanted(seen, **which):
    t = seen.sum(**which)
    return {"created": t["opened"], "closed": t["closed"], "total": t["opened"] - t["closed"], "received": t["received"], "sent": t["sent"],
            "bytes_received": t["bytes_received"], "bytes_sent": t["bytes_sent"], "errors": sum(t.group("error").values())}


def query(**which):
    return "?" + urllib.parse.urlencode({k: v for k, v in which.items() if v})


def which_filters(seen):
    servers = sorted({server for server, _, _ in seen.parts})
    yield from ({"server": s} for s in servers)
    yield from ({"channel": r} for r in ROOMS)
    yield from ({"user": u} for u in USERS)
    yield {"server": servers[0], "channel": ROOMS[1]}
    yield {"server": servers[1], "user": USERS[2]}
    yield {"channel": ROOMS[0], "user": USERS[1]}
    yield {"server": servers[0], "channel": ROOMS[2], "user": USERS[0]}
    yield {"server": servers[1], "channel": ROOMS[2], "user": USERS[2]}


def test_filters_narrow_to_what_these_clients_did(seen):
    for which in which_filters(seen):
        dump = seen.agent.metrics_when(lambda d: narrowed(d) == wanted(seen, **which), query(**which))
        assert misshapen(dump, SHAPE, nullable=True) == [], which
        parts = [key for key in seen.parts if all(which.get(n, v) == v for n, v in zip(("server", "channel", "user"), key))]
        assert set(dump["connections"]["by_server"]) <= {server for server, _, _ in parts}
        assert set(dump["connections"]["by_channel"]) <= {channel for _, channel, _ in parts}
        assert len(dump["connections"]["by_user"]) <= len({user for _, _, user in parts})


def test_filters_that_match_nothing_give_zeros(seen):
    for which in ({"server": "nginx:1"}, {"channel": "/nowhere"}, {"user": "198.51.100.9"}, {"user": "0123456789ab"},
                  {"server": "node:8000\x1b[2J"}, {"channel": "' OR 1=1 --"}, {"user": "%"}, {"channel": "x" * 256}):
        answer = seen.agent.ask(METRICS + query(**which))
        assert answer.status == 200, answer
        assert set(narrowed(answer.json).values()) == {0}, which
        assert "\x1b" not in answer.text


def test_a_user_is_found_by_pseudonym_and_by_true_value_and_never_shown(seen):
    by_pseudonym = {}
    for pseudonym, count in seen.agent.metrics()["connections"]["by_user"].items():
        dump = seen.agent.metrics(query(user=pseudonym))
        by_pseudonym[pseudonym] = narrowed(dump)
        assert dump["connections"]["by_user"] == {pseudonym: count}
    for user in USERS:
        answer = seen.agent.ask(METRICS + query(user=user))
        assert narrowed(answer.json) in by_pseudonym.values()
        assert user not in answer.text
    assert all(user not in seen.agent.ask(METRICS).text for user in USERS)


def test_windows(seen):
    """All traffic is younger than the shortest window here: each has all of it."""
    total = seen.agent.metrics()["messages"]
    for window in ("1m", "5m", "15m", "1h"):
        m = seen.agent.metrics(query(window=window))["messages"]
        assert m["received"] == total["received"], "counters are since counting_since, whatever the window"
        if window != "1m":  # the tests before may have taken longer than that
            assert m["latency"]["count"] == total["latency"]["count"] > 0


# --- HTTP ---

def test_what_has_not_changed_is_not_sent_again(seen):
    """Within a second: the agent counts once a second, and then the tag is another one."""
    agent, unchanged = seen.agent, 0
    for _ in range(8):
        first = agent.ask(METRICS)
        etag = first.headers["etag"]
        assert re.fullmatch(r'W/"[0-9a-f]{32}"', etag)
        for tags in (etag, f'"x", {etag[2:]}, W/"y"'):
            again = agent.ask(METRICS, headers={"If-None-Match": tags})
            if again.status == 304:
                unchanged += 1
                assert again.body == b"" and again.headers["etag"] == etag and "content-type" not in again.headers
                assert again.headers.get("content-length", str(len(first.body))) == str(len(first.body))
            else:
                assert again.status == 200 and again.headers["etag"] != etag
    assert unchanged >= 8
    assert agent.ask(METRICS, headers={"If-None-Match": '"0123"'}).status == 200
    assert agent.ask("/nothing", headers={"If-None-Match": "*"}).status == 404
    assert agent.ask(METRICS, token=False, headers={"If-None-Match": "*"}).status == 401
    assert agent.ask("/logout", method="POST", headers={"If-None-Match": "*"}).status == 200


@pytest.mark.parametrize("accept, packed", [
    (None, False), ("gzip", True), ("GZIP", True), ("br, gzip;q=0.5", True), ("*", True), ("gzip;q=0", False), ("gzip;q=0, *", False),
    ("identity", False), ("gzipx", False), ("", False), ("gzip;q=0.000", False), ("deflate, gzip ;q=1.0", True), ("*;q=0", False),
])
def test_gzip_where_it_is_accepted(seen, accept, packed):
    for path in (METRICS, "/metrics"):
        answer = seen.agent.ask(path, headers={} if accept is None else {"Accept-Encoding": accept})
        assert (answer.headers.get("content-encoding") == "gzip") == packed
        assert "accept-encoding" in answer.headers["vary"].lower()
        body = gzip.decompress(answer.body) if packed else answer.body
        assert len(body) > 3 * len(answer.body) or not packed
        assert json.loads(body)["connections"] if path == METRICS else b"# TYPE" in body


def test_head_is_get_without_the_body(seen):
    for path, token in ((METRICS, None), ("/metrics", None), ("/healthz", False), ("/nothing", None), (METRICS, False), ("/", None)):
        for _ in range(5):  # both within one second
            get, head = seen.agent.ask(path, token=token), seen.agent.ask(path, token=token, method="HEAD")
            for answer in (get, head):
                answer.headers.pop("date")
            if get.headers == head.headers:
                break
        assert head.status == get.status and head.body == b"" and get.headers == head.headers, path
        assert int(head.headers["content-length"]) == len(get.body)


@pytest.mark.parametrize("path, token, status, kind", [
    (METRICS, None, 200, "application/json; charset=utf-8"), (METRICS[:-1], None, 200, "application/json; charset=utf-8"),
    (METRICS, False, 401, "application/json; charset=utf-8"), (METRICS + "?x=1", None, 400, "application/json; charset=utf-8"),
    ("/nothing", None, 404, "application/json; charset=utf-8"), ("/healthz", False, 200, "application/json; charset=utf-8"),
    ("/healthz/", False, 200, "application/json; charset=utf-8"), ("/metrics", None, 200, "text/plain; version=0.0.4; charset=utf-8"),
    ("/metrics/", None, 200, "text/plain; version=0.0.4; charset=utf-8"),
])
def test_every_answer_says_what_it_is_and_is_not_kept(seen, path, token, status, kind):
    answer = seen.agent.ask(path, token=token)
    assert (answer.status, answer.headers["content-type"]) == (status, kind)
    assert answer.headers["cache-control"] == "no-store" and answer.headers["x-content-type-options"] == "nosniff"
    assert ("www-authenticate" in answer.headers) == (status == 401)
    if status >= 400:
        assert list(answer.json) == ["error"] and answer.json["error"]


def test_errors_say_what_is_accepted(seen):
    for query_, words in (("?x=1", "server, channel, user, window"), ("?window=2h", "1m, 5m, 15m or 1h"), ("?window=", "window needs a value"),
                          ("?user=" + "x" * 257, "1 to 256 bytes"), ("?window=5m&window=5m", "window is given twice"),
                          ("?" + "&".join(f"a{i}=1" for i in range(40)), "server, channel, user, window"),
                          ("?server=a%0Ab&server=c", "server is given twice"), ("?user", "user needs a value")):
        answer = seen.agent.ask(METRICS + query_)
        assert answer.status == 400 and words in answer.json["error"], answer


# --- Prometheus ---

def test_metrics_in_text_and_openmetrics_by_accept(seen):
    agent, total = seen.agent, seen.sum()
    names = {}
    for accept, kind, families in ((None, "text/plain; version=0.0.4; charset=utf-8", parse_text),
                                   ("*/*", "text/plain; version=0.0.4; charset=utf-8", parse_text),
                                   ("text/plain, application/openmetrics-text;q=0.5", "text/plain; version=0.0.4; charset=utf-8", parse_text),
                                   ("application/openmetrics-text;q=0", "text/plain; version=0.0.4; charset=utf-8", parse_text),
                                   ("application/openmetrics-text", "application/openmetrics-text; version=1.0.0; charset=utf-8", parse_openmetrics),
                                   (OPENMETRICS, "application/openmetrics-text; version=1.0.0; charset=utf-8", parse_openmetrics)):
        answer = agent.ask("/metrics", headers={"Accept": accept} if accept else {})
        assert answer.headers["content-type"] == kind and "accept" in answer.headers["vary"].lower()
        read = {family.name: family for family in families(answer.text)}
        names.setdefault(families, set()).add(frozenset(name.removesuffix("_info") for name in read))
        received = sum(s.value for s in read["wsvitals_messages"].samples
                       if s.name == "wsvitals_messages_total" and s.labels["direction"] == "received")
        assert received == total["received"]
        assert all(name.startswith("wsvitals_") for name in read)
        assert not any("user" in s.labels for f in read.values() for s in f.samples), "no user is a label"
    assert all(len(n) == 1 for n in names.values()) and names[parse_text] == names[parse_openmetrics], names
    parse(agent.ask("/metrics").text)  # our own, stricter one


def test_promtool_finds_nothing_to_say(seen):
    text = seen.agent.ask("/metrics").body
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


class Prometheus:
    """Debian's, on a port of its own, with one target."""

    def __init__(self, directory, target, token):
        self.port = free_port()
        (directory / "token").write_text(token)
        (directory / "prometheus.yml").write_text(f"""
global: {{scrape_interval: 1s}}
scrape_configs:
- job_name: wsvitals
  authorization: {{credentials_file: {directory}/token}}
  static_configs: [{{targets: ["{target}"]}}]
""")
        self.log = open(directory / "log", "w+")
        self.process = subprocess.Popen(["prometheus", f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/data",
                                         f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn"],
                                        stdout=self.log, stderr=subprocess.STDOUT)

    def get(self, path, **parameters):
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]

    def value(self, expression):
        """Of an instant query that has one result; None without."""
        try:
            result = self.get("query", query=expression)["result"]
        except OSError:  # it is still starting
            return None
        assert len(result) <= 1, result
        return float(result[0]["value"][1]) if result else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)
        self.log.close()


BOUNDS_MS = sorted(factor * 2 ** e / 1e6 for e in range(16, 38) for factor in ((1, 1.5) if e < 37 else (1,)))


def bucket(ms):
    return bisect.bisect_left(BOUNDS_MS, ms)


def test_debians_prometheus_scrapes_it_and_agrees_on_percentiles(running, tmp_path):
    """Replies take 1 to 48 ms; what Prometheus makes of the buckets is within one of what the API says."""
    servers = [running("node_ws"), running("py_websockets")]
    with Agent("--port", ",".join(str(s.port) for s in servers)) as agent:
        token = agent.add_token("prometheus", "scrape")
        with Prometheus(tmp_path, f"127.0.0.1:{agent.port}", token) as prometheus:
            peers = [Peer(s) for s in servers]
            for peer, scale in zip(peers, (1, 3)):
                c = peer.connect("/latency")
                for n in range(60):
                    c.ask(f"sleep:{scale * (1 + n % 16)}")
                c.close(1000)
            received = sum(peer.tally["received"] for peer in peers)
            wait_until(lambda: prometheus.value('sum(wsvitals_messages_total{direction="received"})') == received, "Prometheus to see all messages", 30)
            assert prometheus.value("up") == 1
            target, = prometheus.get("targets")["activeTargets"]
            assert target["health"] == "up" and target["lastError"] == ""
            assert prometheus.value("scrape_samples_scraped") == prometheus.value("scrape_samples_post_metric_relabeling") > 100
            meta = prometheus.get("metadata", metric="wsvitals_latency_seconds")["wsvitals_latency_seconds"][0]
            assert meta["type"] == "histogram" and meta["help"]
            assert prometheus.value("sum(wsvitals_latency_seconds_count)") == received

            answers = [("", "sum by (le) (wsvitals_latency_seconds_bucket)")]
            answers += [(query(server=f"{s.server.comm}:{s.port}"), f'wsvitals_latency_seconds_bucket{{server="{s.server.comm}:{s.port}"}}') for s in servers]
            for which, buckets in answers:
                latency = agent.metrics(which)["messages"]["latency"]
                assert latency["count"] in (60, 120)
                for name, q in (("p50", 0.5), ("p95", 0.95)):
                    theirs = 1000 * prometheus.value(f"histogram_quantile({q}, {buckets})")
                    assert abs(bucket(theirs) - bucket(latency[name])) <= 1, f"{name} of {which}: {theirs} ms, but {latency[name]} ms"
            assert abs(prometheus.value("sum(wsvitals_latency_seconds_sum)") * 1000 / received - agent.metrics()["messages"]["latency"]["avg"]) < 0.01
            assert agent.ask("/metrics", token=token).status == 200 and agent.ask(METRICS, token=token).status == 403
