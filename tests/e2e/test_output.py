"""The three forms of the dump: JSON has every field of SPEC §4, all forms say the same, strangers' text stays text."""
import json
import os
import pty
import re
import select
import signal
import subprocess
import time

import pytest

from exposition import parse
from scenarios import Peer, bytes_of
from watch import READY, WSVITALS, Watch, assert_balanced, assert_equal, run, watched
from wsclient import BINARY, Refused

# -- JSON -----------------------------------------------------------------------------------------------------------------

NUMBER, COUNT, TEXT_VALUE, FLAG = (int, float), int, str, bool
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
SPREAD = {name: NUMBER for name in ("p50", "p95", "p99", "avg", "min", "max")} | {"count": COUNT}
SPAN = {name: NUMBER for name in ("avg", "median", "min", "max")} | {"count": COUNT}
CONTROL = {"close": COUNT, "ping": COUNT, "pong": COUNT}
BYTES = {"seen": COUNT, "header": COUNT, "payload": COUNT, "gap": COUNT}
COUNTS = {"*": COUNT}
SHAPE = {
    "timestamp": TIME, "counting_since": TIME, "uptime_seconds": NUMBER,
    "connections": {"total": COUNT, "peak": COUNT, "created": COUNT, "closed": COUNT, "by_user": COUNTS, "by_channel": COUNTS,
                    "by_server": COUNTS, "open_age": SPAN, "handshake": SPREAD},
    "messages": {"rate_1m": NUMBER, "rate_5m": NUMBER, "rate_15m": NUMBER, "received": COUNT, "sent": COUNT,
                 "bytes_received": COUNT, "bytes_sent": COUNT, "by_type": {"text": COUNT, "binary": COUNT}, "types": {},
                 "latency": SPREAD, "queue_wait": SPREAD, "ping_rtt": SPREAD, "control": {"received": CONTROL, "sent": CONTROL},
                 "unpaired": {"push": COUNT, "ambiguous": COUNT, "unanswered": COUNT, "waiting": COUNT}},
    "errors": {"total": COUNT, "by_type": COUNTS, "rate": NUMBER, "recent": list, "close_codes": {"*": COUNTS},
               "refused": COUNTS, "causes": COUNTS, "violations": COUNTS},
    "connection_duration": SPAN,
    "upstream": {"connections": COUNT, "messages": COUNT},
    "capture": {"balanced": FLAG, "bytes": {"received": BYTES, "sent": BYTES},
                "connections": {"opened": COUNT, "closed": COUNT, "active": COUNT},
                "messages": {name: COUNT for name in ("received", "timed", "ambiguous", "unanswered", "waiting", "sent", "push",
                                                      "answers_to_ambiguous")},
                "events": {"submitted": COUNT, "received": COUNT, "dropped": COUNTS}, "losses": COUNTS, "hooks": list},
}


def misshapen(value, shape, where="dump"):
    """What differs from the shape. More fields than the shape's are allowed, in objects with fixed names."""
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return [f"{where} is {value!r}, not an object"]
        if "*" in shape:
            return [w for name, v in value.items() for w in misshapen(v, shape["*"], f"{where}.{name}")]
        missing = [f"{where}.{name} is missing" for name in shape if name not in value]
        return missing + [w for name, s in shape.items() if name in value for w in misshapen(value[name], s, f"{where}.{name}")]
    if isinstance(shape, re.Pattern):
        return [] if isinstance(value, str) and shape.fullmatch(value) else [f"{where} is {value!r}"]
    if isinstance(value, bool) and shape is not FLAG:
        return [f"{where} is {value!r}"]
    return [] if isinstance(value, shape) else [f"{where} is {value!r}"]


def some_traffic(peer):
    """A bit of everything; two connections stay open and are returned."""
    held = [peer.connect("/kept") for _ in range(2)]
    for c in held:
        for _ in range(10):
            c.ask("hello")
    c = peer.connect("/done")
    c.echo(BINARY, bytes_of(1000))
    c.ask("ping:")
    c.ask("pong has been sent")
    c.close(4401, b"who are you")
    with pytest.raises(Refused):
        peer.connect("/refuse/429")
    c = peer.connect("/gone")
    c.ask("hello")
    c.reset()
    return held


def test_every_field_of_the_contract(running):
    peer = Peer(running("node_ws"))
    with watched(peer.running) as watch:
        held = some_traffic(peer)
        time.sleep(1.1)
        dump = watch.finish()
    assert not misshapen(dump, SHAPE)
    connections, errors = dump["connections"], dump["errors"]
    assert connections["by_channel"] == {"/kept": 2}
    assert {name.partition("@")[0] for name in connections["by_server"]} == {f"node:{peer.running.port}"}
    assert [bool(re.fullmatch(r"[0-9a-f]{12}", user)) for user in connections["by_user"]] == [True]
    assert 0 < dump["uptime_seconds"] < 60 and dump["timestamp"] > dump["counting_since"]
    recent = {e["type"]: e for e in errors["recent"]}
    assert errors["total"] == len(errors["recent"]) == 3
    for e in errors["recent"]:
        assert {"type", "message", "timestamp", "server", "channel", "user", "code", "initiator", "cause", "status"} <= e.keys()
        assert TIME.fullmatch(e["timestamp"]) and e["server"].startswith(f"node:{peer.running.port}")
    closed, refused, gone = recent["authentication_error"], recent["rate_limit_error"], recent["abnormal_closure"]
    assert (closed["code"], closed["initiator"], closed["message"], closed["channel"]) == (4401, "client", "who are you", "/done")
    assert refused["status"] == 429 and "429" in refused["message"] and refused["channel"] == "/refuse/429"
    assert gone["cause"] == "reset_by_peer" and gone["message"] == "reset_by_peer" and gone["channel"] == "/gone"
    assert closed["user"] in connections["by_user"]
    assert errors["rate"] > 0
    for hook in dump["capture"]["hooks"]:
        assert {"name", "attached", "reason"} <= hook.keys()
    assert len(dump["capture"]["hooks"]) >= 6
    for c in held:
        c.close(1000)


def test_a_dump_of_nothing_has_the_same_shape(running):
    with watched(running("node_ws")) as watch:
        dump = watch.finish()
    # A distribution without values has no percentile, and must not claim 0 ms.
    wrong = [w for w in misshapen(dump, SHAPE) if not w.endswith("is None")]
    assert not wrong
    assert dump["messages"]["latency"]["count"] == 0
    assert_balanced(dump)


def test_it_ends_when_its_time_is_over(running):
    peer = Peer(running("node_ws"))
    with Watch("--port", peer.running.port, seconds=2) as watch:
        c = peer.connect()
        c.ask("hello")
        c.close(1000)
        dump = watch.result(5)
    assert 1.5 < time.monotonic() - watch.since < 4
    assert_equal(dump, peer.tally)


def test_sigterm_prints_the_dump_too(running):
    peer = Peer(running("node_ws"))
    with watched(peer.running) as watch:
        c = peer.connect()
        c.ask("hello")
        c.close(1000)
        peer.running.wait_idle()
        assert_equal(watch.finish(signal.SIGTERM), peer.tally)


def test_start_to_first_number_takes_a_second(running):
    """The best of three: whoever shares the machine may take a second of it."""
    starts = []
    for _ in range(3):
        since = time.monotonic()
        with watched(running("node_ws")) as watch:
            starts.append(watch.since - since)
            watch.finish()
    assert min(starts) < 1.5, f"SPEC §8 says 1 s; half a second more for a busy machine: {starts}"


def test_top_100_users_and_channels_then_other(running):
    """150 paths are open: 100 are listed, the others are one number, and no connection is missing."""
    peer = Peer(running("node_ws"))
    with watched(peer.running) as watch:
        held = [peer.connect(f"/room/{i:03}") for i in range(150)]
        for c in held:
            c.ask("hello")
        dump = watch.finish()
    channels = dump["connections"]["by_channel"]
    assert len(channels) == 101 and list(channels)[-1] == "other"
    assert channels["other"] == 50 and sum(channels.values()) == 150
    for c in held:
        c.close(1000)


# -- the three forms say the same -------------------------------------------------------------------------------------------

def at(dump, path):
    for name in path.split("."):
        dump = dump[name]
    return dump


# metric, labels of the series that are added up, where the JSON has the number, JSON units to the metric's
SAME = (
    ("wsvitals_connections", {}, "connections.total", 1),
    ("wsvitals_connections_opened_total", {}, "connections.created", 1),
    ("wsvitals_connections_closed_total", {}, "connections.closed", 1),
    ("wsvitals_messages_total", {"direction": "received"}, "messages.received", 1),
    ("wsvitals_messages_total", {"direction": "sent"}, "messages.sent", 1),
    ("wsvitals_message_bytes_total", {"direction": "received"}, "messages.bytes_received", 1),
    ("wsvitals_message_bytes_total", {"direction": "sent"}, "messages.bytes_sent", 1),
    ("wsvitals_errors_total", {}, "errors.total", 1),
    ("wsvitals_errors_total", {"type": "rate_limit_error"}, "errors.by_type.rate_limit_error", 1),
    ("wsvitals_errors_total", {"type": "abnormal_closure"}, "errors.by_type.abnormal_closure", 1),
    ("wsvitals_latency_seconds_count", {}, "messages.latency.count", 1),
    ("wsvitals_queue_wait_seconds_count", {}, "messages.queue_wait.count", 1),
    ("wsvitals_connection_duration_seconds_count", {}, "connection_duration.count", 1),
)


def added_up(families, metric, labels):
    family = families.get(metric) or families.get(re.sub(r"_(count|sum|bucket)$", "", metric))
    assert family, f"no metric {metric} among {sorted(families)}"
    return sum(s.value for s in family.samples if s.name == metric and all(s.label(k) == v for k, v in labels.items()))


@pytest.fixture(scope="module")
def three_forms(running):
    """(dump, table, exposition, port) of three runs that watched the same traffic, hostile text included."""
    peer, raw = Peer(running("node_ws")), Peer(running("raw"))
    scope = ("--port", f"{peer.running.port},{raw.running.port}")
    with Watch(*scope) as as_json, Watch(*scope, form="--table") as as_table, Watch(*scope, form="--prometheus") as as_metrics:
        held = some_traffic(peer) + hostile_traffic(raw)
        time.sleep(1.1)
        forms = [watch.finish() for watch in (as_json, as_table, as_metrics)]
    for c in held:
        c.close(1000)
    return *forms, peer.running.port


HOSTILE_PATH = '/\x1b]0;owned\x07"\\{le="1"}<script>alert(1)</script>\x00\x7f\x9b31m=cmd|calc!A1'
HOSTILE_REASON = '\x1b[2J\x1b]0;owned\x07"}\n# TYPE x counter\n<img src=x onerror=alert(1)>\u009b31m\u202e\x7f'


def hostile_traffic(peer):
    """Paths and close reasons that try to be something else; one connection stays open, so that its path is shown."""
    held = peer.connect(HOSTILE_PATH)
    held.ask("hello")
    c = peer.connect(HOSTILE_PATH)
    c.ask("hello")
    c.close(4000, HOSTILE_REASON.encode()[:123])
    return [held]


UNSAFE = re.compile(r"[\x00-\x09\x0b-\x1f\x7f\x80-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


@pytest.mark.parametrize("form", ["json", "table", "prometheus"])
def test_hostile_text_reaches_no_terminal(three_forms, form):
    dump, table, exposition, _ = three_forms
    text = {"json": json.dumps(dump, ensure_ascii=False), "table": table, "prometheus": exposition}[form]
    if form == "json":
        # As decoded, so that an escaped control character counts as one: dashboards print what they decode.
        assert any("owned" in channel for channel in dump["connections"]["by_channel"]), "the hostile path is not shown at all"
        text = "\n".join(strings_of(dump))
    assert not UNSAFE.search(text), UNSAFE.findall(text)
    assert "\x1b" not in text
    if form != "json":
        assert "\n# TYPE x counter" not in text.replace(exposition if form == "prometheus" else "", "")


def strings_of(value):
    if isinstance(value, dict):
        return [s for k, v in value.items() for s in [k, *strings_of(v)]]
    if isinstance(value, list):
        return [s for v in value for s in strings_of(v)]
    return [value] if isinstance(value, str) else []


def test_reason_is_cleaned_and_cut(three_forms):
    dump = three_forms[0]
    reason = next(e["message"] for e in dump["errors"]["recent"] if e["code"] == 4000)
    assert "owned" in reason and "<img src=x" in reason, "text that is only odd stays"
    assert len(reason.encode()) <= 123 and not UNSAFE.search(reason)


def test_prometheus_says_what_the_json_says(three_forms):
    dump, _, exposition, _ = three_forms
    families = parse(exposition)
    assert "x" not in families, "a close reason became a metric"
    assert {metric: added_up(families, metric, labels) for metric, labels, _, _ in SAME if not labels} \
        == {metric: at(dump, path) * unit for metric, labels, path, unit in SAME if not labels}
    for metric, labels, path, unit in SAME:
        assert added_up(families, metric, labels) == at(dump, path) * unit, (metric, labels, path)


def test_prometheus_histogram_holds_the_latencies(three_forms):
    """The buckets agree with the percentile of the JSON."""
    dump, _, exposition, _ = three_forms
    buckets = [s for s in parse(exposition)["wsvitals_latency_seconds"].samples if s.name.endswith("_bucket")]
    p50, total = dump["messages"]["latency"]["p50"] / 1000, dump["messages"]["latency"]["count"]
    below = sum(max((s.value for s in buckets if s.label("server") == server and float(s.label("le")) < p50 * 0.968), default=0)
                for server in {s.label("server") for s in buckets})
    upto = sum(min((s.value for s in buckets if s.label("server") == server and float(s.label("le")) >= p50 * 1.032), default=0)
               for server in {s.label("server") for s in buckets})
    assert below < -(-total // 2) <= upto


def test_table_says_what_the_json_says(three_forms):
    dump, table, _, port = three_forms
    assert f"node:{port}" in table
    for path in ("connections.created", "messages.received", "messages.sent", "errors.total"):
        assert re.search(rf"(?<![\d.]){at(dump, path)}(?![\d.])", table), f"{path} = {at(dump, path)} is not in the table:\n{table}"
    for kind in dump["errors"]["by_type"]:
        assert kind in table


def test_table_is_for_people(three_forms):
    """Units are said, columns line up, nothing is wider than a terminal."""
    table = three_forms[1]
    lines = table.splitlines()
    assert re.search(r"\d\s?(ms|µs|us)\b", table) or re.search(r"\bms\b", table), "no unit of latency"
    assert re.search(r"\d\s?(B|KiB|kB|KB|MiB|MB)\b", table) or "bytes" in table.lower(), "no unit of size"
    assert "\t" not in table and not [line for line in lines if line != line.rstrip()], "tabs or trailing blanks"
    assert max(len(line) for line in lines) <= 132
    crooked = [(a, b) for a, b in zip(lines, lines[1:]) if not in_columns(a, b)]
    assert not crooked, "columns that do not line up:\n" + "\n\n".join(f"{a}\n{b}" for a, b in crooked)


def cells(line):
    """(start, end) of each cell: words apart by two blanks or more."""
    return [m.span() for m in re.finditer(r"\S+(?: \S+)*", line)]


def in_columns(a, b):
    """Rows of one block with as many cells share each cell's left or right edge. Headings and other blocks do not count."""
    first, second = cells(a), cells(b)
    if len(first) != len(second) or len(first) < 3:
        return True
    return all(x[0] == y[0] or x[1] == y[1] for x, y in zip(first, second))


def test_table_on_a_terminal_counts_down_and_ends_with_the_table(running):
    """Refreshed while it runs; hostile text does not reach the terminal there either."""
    assert WSVITALS.exists(), f"{WSVITALS} does not exist: build it first (make)"
    peer, raw = Peer(running("node_ws")), Peer(running("raw"))
    ours, theirs = pty.openpty()
    process = subprocess.Popen([str(WSVITALS), "snapshot", "--for", "4", "--port", f"{peer.running.port},{raw.running.port}", "--table"],
                               stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.PIPE, text=True)
    os.close(theirs)
    try:
        assert any(line.startswith(READY) for line in process.stderr), "it did not begin to count"
        held = some_traffic(peer) + hostile_traffic(raw)
        screen = read_all(ours, 10)
        assert process.wait(5) == 0
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(5)
        process.stderr.close()
        os.close(ours)
    for c in held:
        c.close(1000)
    without_moves = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen)
    assert "\x1b" not in without_moves, "an escape sequence that is no cursor movement or colour"
    assert not UNSAFE.search(without_moves.replace("\r", "")), UNSAFE.findall(without_moves)
    assert screen.count(f"node:{peer.running.port}") >= 3, "the table was not refreshed"
    assert re.search(r"\b[123]\s?s\b", without_moves), "no time left is shown"
    assert "rate_limit_error" in without_moves[without_moves.rindex(f"node:{peer.running.port}") - 2000:]


def read_all(fd, seconds):
    """Everything that comes until the other side closes."""
    parts, deadline = [], time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not select.select([fd], [], [], 0.2)[0]:
            continue
        try:
            data = os.read(fd, 65536)
        except OSError:  # EIO: the last writer has gone
            break
        if not data:
            break
        parts.append(data)
    return b"".join(parts).decode("utf-8", "replace")


# -- the other commands -----------------------------------------------------------------------------------------------------

def test_version():
    status, out, err = run("version")
    assert (status, err) == (0, "") and re.fullmatch(r"wsvitals \d+\.\d+\S*\nagent    .+\n", out), out


def test_doctor_names_every_hook(running):
    with watched(running("node_ws")) as watch:
        hooks = watch.finish()["capture"]["hooks"]
    status, out, err = run("doctor")
    assert status == 0, err
    for hook in hooks:
        assert hook["name"].split("/")[-1] in out, f"doctor does not say anything on {hook['name']}"


def test_data_goes_to_stdout_and_nothing_else_does(running):
    status, out, err = run("snapshot", "--for", "1", "--port", str(running("node_ws").port), "--json")
    assert status == 0 and json.loads(out)
    assert READY in err
