"""History: what the store has equals what the client did, whatever happens to the agent, the disk and the clock."""
import csv
import io
import json
import os
import re
import signal
import sqlite3
import struct
import subprocess
import time
from collections import Counter
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

from agent import Agent
from scenarios import SCENARIOS, Peer
from servers import BUILD, SERVERS, SOURCES, Running, wait_until
from watch import ROOT, nonzero
from wsclient import TEXT, Refused

API = "/api/websocket/"
INTERVAL = 10
WRITTEN = 25  # seconds after which everything that was counted is in the store, on a busy machine


@pytest.fixture(scope="module", autouse=True)
def built():
    BUILD.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["gcc", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", str(BUILD / "clock.so"),
                           str(SOURCES.parent / "clock.c")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def place(tmp_path_factory):
    """A directory that everybody can reach, as /var/lib is; pytest's own are root's."""
    import tempfile
    with tempfile.TemporaryDirectory(prefix="wsvitals-") as name:
        os.chmod(name, 0o755)
        yield Path(name)


def get(agent, path, status=200, **query):
    """Over the local socket, where nobody counts requests: the JSON of an answer."""
    got, text = agent.ask_local(f"{API}{path}/?{urlencode(query)}" if query else f"{API}{path}/")
    assert got == status, f"{path} {query}: {got} {text[:500]}"
    return json.loads(text)


def rows(agent, path, **query):
    return get(agent, path, **query)["data"]


def summed(points):
    """Points added up, in the tally's words."""
    sums = Counter()
    for p in points:
        c, m, e = p["connections"], p["messages"], p["errors"]
        for name, value in (("opened", c["created"]), ("closed", c["closed"]), ("received", m["received"]), ("sent", m["sent"]),
                            ("bytes_received", m["bytes_received"]), ("bytes_sent", m["bytes_sent"]), ("errors", e["total"])):
            assert value is None or value >= 0, (name, p)
            sums[name] += value or 0
        for kind, n in e["by_type"].items():
            sums[kind] += n
    return sums


NAMES = ("opened", "closed", "received", "sent", "bytes_received", "bytes_sent")


def tallied(tally, errors=True):
    sums = Counter({name: tally[name] for name in NAMES})
    if errors:
        sums.update(nonzero(tally.group("error")))
        sums["errors"] = sum(tally.group("error").values())
    return sums


def history_when(agent, condition, seconds=WRITTEN, **query):
    """The points as soon as they satisfy the condition."""
    until = time.monotonic() + seconds
    while True:
        points = rows(agent, "metrics/history", **query)
        if condition(points):
            return points
        assert time.monotonic() < until, f"never came true; last {json.dumps(points)[-3000:]}"
        time.sleep(0.5)


def equal_when_written(agent, tally, errors=True, **query):
    want = tallied(tally, errors)
    picked = (lambda sums: {k: v for k, v in sums.items() if v and (errors or k in NAMES)})
    try:
        points = history_when(agent, lambda points: picked(summed(points)) == picked(want), step=10, **query)
    except AssertionError:
        got = picked(summed(rows(agent, "metrics/history", step=10, **query)))
        raise AssertionError(f"history {query} | tally: {got} | {picked(want)}") from None
    return points


SPAN = {"hours": 1}


def last_interval(db):
    """Of the raw files: the beginning of the last interval that is on disk."""
    last = 0
    for path in db.glob("raw-*.db"):
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as file:
            last = max(last, file.execute("SELECT coalesce(max(time), 0) FROM interval").fetchone()[0])
    return last


# -- what is there is what was -------------------------------------------------------------------------------------------

def test_points_add_up_to_what_the_client_did(running):
    """By all, by server, by channel and by user, over several intervals, with a reset in between."""
    peer, other = Peer(running("node_ws")), Peer(running("py_websockets"))
    with Agent("--port", f"{peer.running.port},{other.running.port}") as agent:
        for name in ("every_length", "pushes", "client_closes", "client_resets", "client_leaves_without_close", "refused_upgrades"):
            SCENARIOS[name].run(peer)
        room = Peer(peer.running)
        c = room.connect("/room/7")
        for n in range(20):
            c.echo(TEXT, b"%d" % n)
        time.sleep(INTERVAL + 1)
        before = rows(agent, "metrics/history", **SPAN)
        assert before, "an interval is over"
        status, _, err = agent.command("reset", "--yes")
        assert status == 0, err
        for n in range(30):
            c.echo(TEXT, b"%d" % n)
        SCENARIOS["several_connections"].run(other)
        c.close(1000)
        for p in (room, peer, other):
            p.running.wait_idle()
        sums = Counter()
        for p in (peer, room):
            sums.update(tallied(p.tally))
        whole = Peer(peer.running)
        for p in (peer, room, other):
            whole.tally.counts.update(p.tally.counts)
        points = equal_when_written(agent, whole.tally, **SPAN)
        assert len(points) >= 2 and all(p["connections"]["peak"] >= p["connections"]["total"] for p in points)
        assert points[-1]["connections"]["total"] == 0
        names = {row["server"]: row for row in rows(agent, "servers")}
        assert len(names) == 2
        mine = next(name for name in names if str(peer.running.port) in name)
        both = Peer(peer.running)
        for p in (peer, room):
            both.tally.counts.update(p.tally.counts)
        equal_when_written(agent, both.tally, server=mine, **SPAN)
        equal_when_written(agent, room.tally, channel="/room/7", server=mine, **SPAN)
        equal_when_written(agent, whole.tally, errors=False, user="127.0.0.1", **SPAN)
        # by message type: both directions together, as the contract has it
        for kind in ("text", "binary"):
            of_type = rows(agent, "metrics/history", type=kind, **SPAN)
            assert sum(p["messages"]["by_type"][kind] for p in of_type) == whole.tally[f"type.{kind}"] > 0, kind
            mine_of_type = rows(agent, "metrics/history", type=kind, server=mine, **SPAN)
            assert sum(p["messages"]["by_type"][kind] for p in mine_of_type) == both.tally[f"type.{kind}"]
            for p, all_of_it in zip(of_type, points):
                m = p["messages"]
                pure = all_of_it["messages"]["by_type"][kind] in (0, all_of_it["messages"]["received"] + all_of_it["messages"]["sent"])
                assert (m["received"] is not None) == pure and p["connections"]["total"] is None, (p, all_of_it)
        # messages that were timed, and what the percentiles are made of
        count = sum(p["messages"]["latency"]["count"] for p in points)
        assert count == sum(p["messages"]["latency"]["timed"] for p in points) > 0
        cells = [cell for row in rows(agent, "heatmap", **SPAN) for cell in row["buckets"]]
        assert sum(n for _, _, n in cells) == count and all(low < high for low, high, _ in cells)
        # rows
        closed = rows(agent, "connections", state="closed", limit=2000)
        assert len(closed) == whole.tally["closed"]
        for name in ("received", "sent", "bytes_received", "bytes_sent"):
            assert sum(row[name] for row in closed) == whole.tally[name], name
        errors = rows(agent, "errors", limit=2000)
        assert Counter(e["type"] for e in errors) == Counter(nonzero(whole.tally.group("error")))
        assert {e["message"] for e in errors if e["code"] == 1011} == {"because"}
        # users: one, with everything
        users = rows(agent, "users")
        assert [u["connections"]["created"] for u in users] == [whole.tally["opened"]]
        by_channel = rows(agent, "channels", limit=2000)
        assert sum(r["messages"]["received"] for r in by_channel) == whole.tally["received"]
        assert sum(r["connections"]["created"] for r in by_channel) == whole.tally["opened"]
        assert [e["type"] for e in rows(agent, "events")] == ["agent_start", "server_seen", "server_seen"]
        assert get(agent, "metrics")["store"] == "ok"
        status, log = agent.end()
        assert status == 0 and "level=error" not in log and "level=warning" not in log, log


def test_a_restart_leaves_a_gap_and_no_zero(running, place):
    peer = Peer(running("node_ws"))
    with Agent("--port", peer.running.port, directory=place) as agent:
        SCENARIOS["pushes"].run(peer)
        peer.running.wait_idle()
        time.sleep(1.2)
        assert agent.end()[0] == 0
    away = time.time()
    time.sleep(2 * INTERVAL + 1)
    back = time.time()
    with Agent("--port", peer.running.port, directory=place) as agent:
        begun = [p["timestamp"] for p in rows(agent, "metrics/history", step=10, **SPAN)]
        SCENARIOS["client_closes"].run(peer)
        peer.running.wait_idle()
        points = equal_when_written(agent, peer.tally, **SPAN)
        stamps = [time.mktime(time.strptime(p["timestamp"], "%Y-%m-%dT%H:%M:%SZ")) - time.timezone for p in points]
        assert [p["timestamp"] for p in points][: len(begun)] == begun
        assert not [s for s in stamps if away < s and s + INTERVAL < back], "absent, not zero"
        assert max(b - a for a, b in zip(stamps, stamps[1:])) >= 2 * INTERVAL
        kinds = [e["type"] for e in rows(agent, "events")]
        assert kinds[:3] == ["agent_start", "server_seen", "agent_stop"] and kinds[3] == "agent_start"


def test_a_kill_loses_ten_seconds_at_most(running, place):
    peer = Peer(running("node_ws"))
    with Agent("--port", peer.running.port, directory=place) as agent:
        SCENARIOS["several_connections"].run(peer)
        peer.running.wait_idle()
        equal_when_written(agent, peer.tally, **SPAN)
        wait_until(lambda: time.time() % INTERVAL > 8, "the end of an interval", 15)
        served = agent.agent_pid
        now = time.time()
        os.kill(agent.pid, signal.SIGKILL)
        os.kill(served, signal.SIGKILL)
        agent.process.wait(10)
        assert now - (last_interval(agent.db) + INTERVAL) <= INTERVAL + 1
        status, out, err = agent.command("store", "check")
        assert status == 0, out + err
    with Agent("--port", peer.running.port, directory=place) as agent:
        equal_when_written(agent, peer.tally, **SPAN)


def test_a_server_that_goes_and_comes_back_is_an_event(place):
    """So is a configuration that has changed, by the keys that have."""
    server = Running(SERVERS["py_websockets"])
    port = server.port
    config = place / "wsvitals.conf"
    config.write_text("[verdict]\nerrors-factor = 3\n")
    try:
        with Agent("--port", port, directory=place, config=config) as agent:
            config.write_text("[verdict]\nerrors-factor = 4\n")
            assert agent.command("reload")[0] == 0
            c = Peer(server).connect()
            c.ask("hello")
            server.kill()
            wait_until(lambda: "server_gone" in [e["type"] for e in rows(agent, "events")], "the event of its end", WRITTEN)
            c.sock.close()
            server.stop()
            server = Running(SERVERS["py_websockets"], port=port)
            c = Peer(server).connect()
            c.ask("again")
            wait_until(lambda: [e["type"] for e in rows(agent, "events")].count("server_seen") == 2, "the event of its return", WRITTEN)
            gone = next(e for e in rows(agent, "events") if e["type"] == "server_gone")
            assert str(port) in gone["server"] and "1 connection" in gone["text"]
            assert [e["text"] for e in rows(agent, "events") if e["type"] == "config_changed"] == ["changed: [verdict] errors-factor"]
            c.close(1000)
    finally:
        server.stop()


# -- disks and clocks -----------------------------------------------------------------------------------------------------

@pytest.fixture
def disk(place):
    """The agent's data directory is a small disk of its own: disk("size=64m") mounts it anew."""
    db = place / "db"
    db.mkdir()

    def remount(options):
        subprocess.run(["mount", "-o", f"remount,{options}", str(db)], check=True)

    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m,mode=0755", "wsvitals-test", str(db)], check=True)
    try:
        yield remount
    finally:
        subprocess.run(["umount", "-l", str(db)], check=True)


def unavailable(agent):
    state = get(agent, "metrics")["store"]
    return state if state != "ok" else None


def test_numbers_go_on_while_the_disk_is_full(running, place, disk):
    peer = Peer(running("node_ws"))
    with Agent("--port", peer.running.port, directory=place) as agent:
        SCENARIOS["client_closes"].run(peer)
        peer.running.wait_idle()
        equal_when_written(agent, peer.tally, **SPAN)
        agent.token  # made while the disk can be written
        disk("size=2m")
        SCENARIOS["pushes"].run(peer)
        wait_until(lambda: unavailable(agent), "the store to be unavailable", WRITTEN)
        state = unavailable(agent)
        assert state.startswith("unavailable since 20") and "10 % of the disk" in state, state
        answer = get(agent, "metrics/history", **SPAN)
        assert answer["store"] == state and answer["data"], "what is on disk is still told"
        SCENARIOS["several_connections"].run(peer)
        peer.running.wait_idle()
        dump = agent.metrics_when(lambda d: d["messages"]["received"] == peer.tally["received"])
        assert dump["store"] == state
        assert agent.ask("/healthz", token=False).status == 200, "the engine counts"
        disk("size=64m")
        wait_until(lambda: not unavailable(agent), "the store to be back", WRITTEN)
        equal_when_written(agent, peer.tally, **SPAN)
        wait_until(lambda: "store_resumed" in [e["type"] for e in rows(agent, "events")], "the event of it", WRITTEN)


def test_a_directory_that_is_away_for_a_while_costs_nothing(running, place):
    """What the store does on a read-only disk is in tests/store: an agent's lock file keeps a disk from being made so."""
    peer = Peer(running("node_ws"))
    with Agent("--port", peer.running.port, directory=place) as agent:
        SCENARIOS["client_closes"].run(peer)
        peer.running.wait_idle()
        equal_when_written(agent, peer.tally, **SPAN)
        agent.db.rename(place / "away")
        SCENARIOS["pushes"].run(peer)
        peer.running.wait_idle()
        wait_until(lambda: unavailable(agent), "the store to be unavailable", WRITTEN)
        assert "No such file" in unavailable(agent), unavailable(agent)
        assert get(agent, "metrics")["messages"]["received"] == peer.tally["received"]
        assert unavailable(agent) in get(agent, "metrics/history", 503, **SPAN)["error"]
        (place / "away").rename(agent.db)
        wait_until(lambda: not unavailable(agent), "the store to be back", WRITTEN)
        equal_when_written(agent, peer.tally, **SPAN)


def test_a_damaged_file_costs_its_period_only(running, place):
    peer = Peer(running("node_ws"))
    with Agent("--port", peer.running.port, directory=place) as agent:
        SCENARIOS["pushes"].run(peer)
        peer.running.wait_idle()
        equal_when_written(agent, peer.tally, **SPAN)
        raw = next(agent.db.glob("raw-*.db"))
        with open(raw, "r+b") as file:
            file.seek(0)
            file.write(os.urandom(8192))
        again = Peer(peer.running)
        SCENARIOS["client_closes"].run(again)
        again.running.wait_idle()
        wait_until(lambda: get(agent, "metrics/history", **SPAN) and "store_damaged" in [e["type"] for e in rows(agent, "events")],
                   "the event of the damage", 2 * WRITTEN)
        # what comes after it is kept; what had been counted before the damage was seen may be lost with the file
        more = Peer(peer.running)
        SCENARIOS["several_connections"].run(more)
        more.running.wait_idle()
        history_when(agent, lambda points: summed(points)["received"] >= more.tally["received"], **SPAN)
        assert get(agent, "metrics")["store"] == "ok"
        assert len(rows(agent, "connections", state="closed", limit=2000)) == sum(p.tally["closed"] for p in (peer, again, more))


def test_a_clock_that_jumps_loses_nothing_that_was_written(running, place):
    clock = place / "clock"
    clock.write_bytes(struct.pack("q", 0))
    peer = Peer(running("node_ws"))
    with Agent("--port", peer.running.port, directory=place / "agent" if (place / "agent").mkdir() else place / "agent",
               env={"LD_PRELOAD": str(BUILD / "clock.so"), "WSVITALS_CLOCK": str(clock)}) as agent:
        SCENARIOS["client_closes"].run(peer)
        peer.running.wait_idle()
        equal_when_written(agent, peer.tally, **SPAN)
        with open(clock, "r+b") as f:
            f.write(struct.pack("q", 7200))
        time.sleep(2)
        ahead = Peer(peer.running)
        SCENARIOS["pushes"].run(ahead)
        ahead.running.wait_idle()
        points = history_when(agent, lambda points: summed(points)["received"] == peer.tally["received"] + ahead.tally["received"],
                              hours=3, step=10)
        assert all(p["covered_seconds"] <= 2 * INTERVAL for p in points)
        with open(clock, "r+b") as f:
            f.write(struct.pack("q", 0))
        wait_until(lambda: [e["type"] for e in events_around(agent)].count("clock_jumped") == 2, "both jumps as events", WRITTEN)
        assert get(agent, "metrics")["store"] == "ok"
        total = summed(rows(agent, "metrics/history", **around()))
        assert total["received"] == peer.tally["received"] + ahead.tally["received"]


def around():
    now = int(time.time())
    return {"from": now - 3 * 3600, "to": now + 4 * 3600}


def events_around(agent):
    return rows(agent, "events", **around())


# -- questions, good and bad ----------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def known():
    """An agent with a little history, for questions that change nothing; and its peer, whose server is nobody else's."""
    with Running(SERVERS["node_ws"]) as server, Agent("--port", server.port) as agent:
        peer = Peer(server)
        for name in ("client_closes", "client_resets", "refused_upgrades", "pushes"):
            SCENARIOS[name].run(peer)
        c = peer.connect("/room/1")
        c.ask("hello")
        c.close(4000, b'=cmd|" /C calc"!A0')
        peer.running.wait_idle()
        equal_when_written(agent, peer.tally, **SPAN)
        agent.peer = peer
        yield agent


PATHS = ("metrics/history", "heatmap", "connections", "errors", "servers", "channels", "users", "events", "forecast")

BAD = [
    ("metrics/history", {"hours": "0"}, "1 to 168"), ("metrics/history", {"hours": "169"}, "1 to 168"),
    ("metrics/history", {"hours": "1.5"}, "whole number"), ("metrics/history", {"hours": "-1"}, "whole number"),
    ("metrics/history", {"hours": "1", "from": "1", "to": "2"}, "two of"), ("metrics/history", {"from": "5", "to": "5"}, "before"),
    ("metrics/history", {"from": "yesterday"}, "seconds since 1970"), ("metrics/history", {"to": "2026-02-30"}, "seconds since 1970"),
    ("metrics/history", {"step": "5"}, "from 10"), ("metrics/history", {"step": "10", "hours": "168"}, "at most 2000"),
    ("metrics/history", {"step": "1e3"}, "whole number"), ("metrics/history", {"window": "5m"}, "unknown parameter"),
    ("metrics/history", {"user": "a", "server": "b"}, "user alone"), ("metrics/history", {"type": "chat"}, "text or binary"),
    ("metrics/history", {"type": "text", "channel": "/x"}, "not by channel"), ("metrics/history", {"type": "' OR 1=1 --"}, "text or binary"),
    ("metrics/history", {"format": "xml"}, "json or csv"),
    ("metrics/history", {"from": "99999999999999999999"}, "seconds since 1970"), ("heatmap", {"type": "text"}, "unknown parameter"),
    ("connections", {"sort": "age"}, "time, duration"), ("connections", {"state": "half"}, "all, open or closed"),
    ("connections", {"limit": "0"}, "1 to 2000"), ("connections", {"limit": "2001"}, "1 to 2000"),
    ("connections", {"sort": "bytes", "offset": "1999", "limit": "2"}, "2000 together"), ("connections", {"order": "up"}, "desc or asc"),
    ("errors", {"type": "bad"}, "protocol_error"), ("errors", {"sort": "time"}, "unknown parameter"),
    ("servers", {"server": "x"}, "unknown parameter"), ("channels", {"sort": "p95"}, "messages, connections"),
    ("users", {"sort": "errors"}, "messages, connections, bytes or name"), ("events", {"offset": "1"}, "unknown parameter"),
    ("compare", {}, "a=FROM/TO"), ("compare", {"a": "1/2"}, "a=FROM/TO"), ("compare", {"a": "2/1", "b": "1/2"}, "FROM before TO"),
    ("compare", {"a": "1", "b": "1/2"}, "FROM/TO"), ("forecast", {"hours": "200"}, "1 to 168"),
]


@pytest.mark.parametrize("path, query, accepted", BAD, ids=[f"{p}?{urlencode(q)}" for p, q, _ in BAD])
def test_a_bad_question_is_told_what_is_accepted(known, path, query, accepted):
    assert accepted in get(known, path, 400, **query)["error"]


HOSTILE = ["' OR 1=1 --", "'); DROP TABLE point; --", "../../../etc/passwd", "%", "_", "a\x01b", "\\", '"', "<script>", "\u202e", "x" * 256]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_values_match_nothing_and_harm_nothing(known, text):
    for path, key in (("metrics/history", "server"), ("metrics/history", "channel"), ("metrics/history", "user"),
                      ("heatmap", "channel"), ("connections", "server"), ("connections", "search"), ("errors", "channel"),
                      ("errors", "search"), ("channels", "server")):
        answer = get(known, path, **{key: text, **SPAN})
        found = answer["data"] if path not in ("metrics/history", "heatmap") else \
            [p for p in answer["data"] if (p.get("count") or p.get("messages", {}).get("received"))]
        assert not [row for row in found if text not in json.dumps(row, ensure_ascii=False)], (path, key, found[:2])
    equal_when_written(known, known.peer.tally, **SPAN)
    assert known.command("store", "check")[0] == 0


@pytest.mark.parametrize("path", PATHS + ("compare",))
def test_only_staff_may_ask(known, path):
    assert known.ask(f"{API}{path}/", token=False).status == 401
    time.sleep(0.06)
    assert known.ask(f"{API}{path}/", method="POST").status == 405


def flat(row, path):
    for key in path.split("."):
        row = (row or {}).get(key)
    return row


@pytest.mark.parametrize("path", [p for p in PATHS if p != "heatmap"])
def test_csv_is_the_same_answer(known, path):
    query = {"hours": 1}
    data = get(known, path, **query)["data"]
    status, text = known.ask_local(f"{API}{path}/?{urlencode(query)}&format=csv")
    assert status == 200
    lines = list(csv.DictReader(io.StringIO(text)))
    assert len(lines) == len(data)
    for line, row in zip(lines, data):
        for name, value in line.items():
            want = flat(row, name)
            if name == "duration" and row["state"] == "open":
                continue
            if name.startswith("errors.by_type.") and want is None and row["errors"]["total"] is not None:
                want = 0  # rows of JSON name the types that happened
            if isinstance(want, (int, float)):
                assert float(value) == want, (name, value, want)
            else:
                assert value in (want or "", "'" + (want or "")), (name, value, want)


@pytest.mark.parametrize("path", PATHS + ("compare",))
def test_csv_is_a_file_with_a_name(known, path):
    now = int(time.time())
    query = {"a": f"{now - 7200}/{now - 3600}", "b": f"{now - 3600}/{now}"} if path == "compare" else {"hours": 1}
    headers = known.ask(f"{API}{path}/?{urlencode(query)}&format=csv", headers={"Accept-Encoding": "gzip"}).headers
    name = path.rpartition("/")[2]
    assert re.fullmatch(rf'attachment; filename="wsvitals-{name}-\d{{8}}T\d{{6}}Z\.csv"', headers["content-disposition"]), headers
    assert headers["content-type"] == "text/csv; charset=utf-8; header=present"
    time.sleep(0.06)
    assert "content-disposition" not in known.ask(f"{API}{path}/?{urlencode(query)}").headers


def test_no_formula_reaches_a_csv(known):
    text = known.ask_local(f"{API}errors/?format=csv&search=calc")[1]
    lines = list(csv.DictReader(io.StringIO(text)))
    assert [line["message"] for line in lines] == ["'=cmd|\" /C calc\"!A0"]
    assert get(known, "errors", search="calc")["data"][0]["message"] == '=cmd|" /C calc"!A0'


def test_rows_are_sorted_searched_and_paged(known):
    everything = rows(known, "connections", limit=2000)
    assert get(known, "connections")["total"] == len(everything) > 8
    for sort, of in (("duration", lambda r: r["duration"]), ("messages", lambda r: r["received"] + r["sent"]),
                     ("bytes", lambda r: r["bytes_received"] + r["bytes_sent"])):
        down = [of(r) for r in rows(known, "connections", sort=sort, limit=2000)]
        up = [of(r) for r in rows(known, "connections", sort=sort, order="asc", limit=2000)]
        assert down == sorted(down, reverse=True) and up == sorted(up)
    ids = [r["id"] for r in everything]
    for order in ("desc", "asc"):
        paged = []
        for offset in range(0, len(ids), 3):
            paged += [r["id"] for r in rows(known, "connections", limit=3, offset=offset, order=order)]
        assert paged == (ids if order == "desc" else paged) and sorted(paged) == sorted(ids)
    assert {r["close_code"] for r in rows(known, "connections", search="/room/1")} == {4000}
    assert {e["type"] for e in rows(known, "errors", type="abnormal_closure")} == {"abnormal_closure"}


def test_open_connections_stand_among_the_closed(running):
    peer = Peer(running("node_ws"))
    with Agent("--port", peer.running.port) as agent:
        old = peer.connect("/old")
        short = peer.connect("/short")
        short.ask("x")
        short.ask("sleep:200")
        short.close(1000)
        new = peer.connect("/new")
        for _ in range(5):
            old.ask("hello")
        wait_until(lambda: len(rows(agent, "connections", state="closed")) == 1, "the closed one to be written", WRITTEN)

        def order(**query):
            return [r["channel"] for r in rows(agent, "connections", **query)]
        assert order() == ["/new", "/old", "/short"]
        assert order(order="asc") == ["/short", "/old", "/new"]
        assert order(sort="messages") == ["/old", "/short", "/new"]
        assert order(sort="duration", order="asc")[0] == "/short"
        assert order(state="open", search="OLD") == ["/old"]
        assert order(offset=1, limit=1) == ["/old"] and order(offset=2, limit=5) == ["/short"]
        assert get(agent, "connections", limit=1)["total"] == 3
        row = rows(agent, "connections", channel="/old")[0]
        assert (row["state"], row["received"], row["sent"], row["closed"]) == ("open", 5, 5, None) and row["duration"] > 0
        latency = rows(agent, "connections", channel="/short")[0]["latency"]
        assert latency["count"] == 2 and 90 < latency["avg"] < latency["max"] < 400, latency
        assert row["latency"] is None  # not before it ends
        wait_until(lambda: get(agent, "metrics")["messages"]["latency"]["count"] >= 7, "all to be counted")
        known = get(agent, "metrics", channel="/short")["messages"]["latency"]
        assert known["count"] == 2 and abs(latency["avg"] - known["avg"]) < 0.001
        assert abs(latency["max"] - known["max"]) < known["max"] / 16
        old.close(1000)
        new.close(1000)


def test_two_periods_side_by_side(known):
    now = int(time.time())
    a, b = f"{now - 7200}/{now - 3600}", f"{now - 3600}/{now + 10}"
    answer = get(known, "compare", a=a, b=b)
    tally = known.peer.tally
    assert answer["a"]["messages"]["received"] == 0 and answer["b"]["messages"]["received"] == tally["received"]
    assert answer["difference"]["messages"]["received"] == {"difference": tally["received"], "change": None}
    assert answer["b"]["errors"]["by_type"] == nonzero(tally.group("error"))
    text = known.ask_local(f"{API}compare/?{urlencode({'a': a, 'b': b, 'format': 'csv'})}")[1]
    lines = {line["measure"]: line for line in csv.DictReader(io.StringIO(text))}
    assert lines["messages.received"]["b"] == str(tally["received"])


def test_a_short_history_has_no_forecast_and_says_so(known):
    answer = get(known, "forecast")
    assert answer["available"] is False and "48 more hours" in answer["why"] and answer["data"] == []


def test_the_default_day_has_the_shape_of_the_contract(known):
    answer = get(known, "metrics/history", hours=24)
    assert (answer["hours"], answer["interval_minutes"]) == (24, 5)
    assert answer["data_points"] == len(answer["data"]) <= 288
    point = answer["data"][-1]
    assert set(point["messages"]["latency"]) >= {"p50", "p95", "p99", "avg", "min", "max", "count"}
    assert set(point["connection_duration"]) == {"avg", "median", "min", "max", "count"}
    assert set(point["connections"]) >= {"total", "peak", "created", "closed"}
    assert "by_user" not in point["connections"] and "recent" not in point["errors"]
    week = get(known, "metrics/history", hours=168)
    assert (week["hours"], week["interval_minutes"]) == (168, 10), "five minutes would be 2 016 points, and 2 000 are given"


# -- commands -------------------------------------------------------------------------------------------------------------

def run_command(agent, *args):
    status, out, err = agent.command(*args)
    assert status == 0, (args, err)
    return out


def test_commands_print_history(known):
    tally = known.peer.tally
    out = run_command(known, "history", "--hours", "1")
    assert "Time (UTC)" in out.splitlines()[0] and "\033" not in out
    assert json.loads(run_command(known, "history", "--hours", "1", "--json"))["hours"] == 1
    lines = list(csv.DictReader(io.StringIO(run_command(known, "history", "--hours", "1", "--csv"))))
    assert sum(int(line["messages.received"]) for line in lines) == tally["received"]
    out = run_command(known, "history", "--hours", "1", "--channel", "/room/1")
    assert out.count("\n") >= 2

    out = run_command(known, "connections", "--limit", "3")
    assert f"3 of {tally['closed']} connections" in out
    assert "4000 by client application_error" in run_command(known, "connections", "--search", "/room/1")
    assert len(run_command(known, "connections", "--csv").splitlines()) == tally["closed"] + 1

    out = run_command(known, "errors")
    assert "authentication_error" in out and "because" in out
    assert len(run_command(known, "errors", "--csv").splitlines()) == sum(tally.group("error").values()) + 1
    assert run_command(known, "errors", "--search", "nobody writes this") == "No errors in this time.\n"

    out = run_command(known, "compare")
    assert "peak connections" in out and "latency p95" in out
    now = int(time.time())
    both = json.loads(run_command(known, "compare", f"{now - 60}/{now - 50}", f"{now - 3600}/{now + 10}", "--json"))
    assert both["b"]["messages"]["received"] == tally["received"]


def test_a_terminal_gets_small_lines(known):
    """In a pseudo terminal of 80 columns: no line is wider."""
    import pty
    import fcntl
    import termios
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 80, 0, 0))
    done = subprocess.run([str(ROOT / "build" / "wsvitals"), "history", "--hours", "1", *known.places], stdout=slave, timeout=20)
    os.close(slave)
    text = os.read(master, 1 << 20).decode()
    os.close(master)
    assert done.returncode == 0
    lines = [line.replace("\033[1m", "").replace("\033[0m", "").rstrip("\r") for line in text.splitlines()]
    assert any(line.startswith("messages/s") and any(bar in line for bar in "▁▂▃▄▅▆▇█") for line in lines), text
    assert all(len(line) <= 80 for line in lines), lines


@pytest.mark.parametrize("args, word", [
    (("history", "--hours", "0"), "1 to 168"), (("history", "--json", "--csv"), "only one of"), (("history", "--search", "x"), "takes no option"),
    (("connections", "--limit", "5000"), "1 to 2000"), (("errors", "--user", ""), "1 to 256 bytes"), (("compare", "1/2"), "two periods")])
def test_commands_say_what_they_take(known, args, word):
    status, out, err = known.command(*args)
    assert status == 2 and word in err and not out, err


def test_a_command_passes_on_what_the_agent_refuses(known):
    status, out, err = known.command("compare", "yesterday", "today")
    assert status == 1 and "FROM/TO" in err and not out


# -- large answers --------------------------------------------------------------------------------------------------------

def test_an_export_holds_all_rows(running, place):
    """More rows than a page and than a piece of a stream; each once, newest first."""
    peer = Peer(running("c_lws"))
    with Agent("--port", peer.running.port, directory=place) as agent:
        for n in range(1300):
            c = peer.connect(f"/n/{n % 50}")
            c.close(1000 if n % 2 else 4000)
        peer.running.wait_idle()
        wait_until(lambda: get(agent, "connections", state="closed")["total"] == 1300, "all rows to be written", WRITTEN)
        text = agent.ask_local(f"{API}connections/?format=csv")[1]
        lines = list(csv.DictReader(io.StringIO(text)))
        assert len(lines) == len({line["id"] for line in lines}) == 1300
        closed = [line["closed"] for line in lines]
        assert closed == sorted(closed, reverse=True)
        assert len(agent.ask_local(f"{API}errors/?format=csv")[1].splitlines()) == 651
        assert len(agent.ask_local(f"{API}connections/?format=csv&search=/n/7")[1].splitlines()) == 27
        # over TCP too, with a token, and for HEAD without a body
        assert len(agent.ask(f"{API}connections/?format=csv").text.splitlines()) == 1301
        answer = agent.ask(f"{API}connections/?format=csv", method="HEAD")
        assert answer.status == 200 and answer.body == b"" and answer.headers["content-type"].startswith("text/csv")


# -- the description ------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def described(known):
    status, text = known.ask_local("/api/openapi.json")
    assert status == 200
    return json.loads(text)


def validator(described, schema):
    import jsonschema
    return jsonschema.Draft202012Validator({**schema, "components": described["components"]},
                                           format_checker=jsonschema.FormatChecker())


ANSWERS = [("metrics/", {}), ("metrics/", {"channel": "/room/1"}), ("metrics/history/", {"hours": 1}), ("metrics/history/", {"channel": "/room/1"}),
           ("metrics/history/", {"user": "127.0.0.1"}), ("metrics/history/", {"type": "text"}), ("metrics/history/", {"from": 1, "to": 2}),
           ("heatmap/", {"hours": 1}), ("heatmap/", {"user": "127.0.0.1"}), ("connections/", {"limit": 2000}), ("errors/", {"limit": 2000}),
           ("servers/", {}), ("channels/", {"sort": "name"}), ("users/", {}), ("events/", {}), ("forecast/", {"hours": 3})]


@pytest.mark.parametrize("path, query", ANSWERS + [("compare/", None), ("compare/", "/room/1")], ids=str)
def test_answers_are_as_described(known, described, path, query):
    if path == "compare/":
        now = int(time.time())
        query = {"a": f"{now - 7200}/{now - 3600}", "b": f"{now - 3600}/{now + 10}", **({"channel": query} if query else {})}
    operation = described["paths"][API + path]["get"]
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    answer = get(known, path.rstrip("/"), **query)
    wrong = [f"{list(e.absolute_path)}: {e.message[:200]}" for e in validator(described, schema).iter_errors(answer)]
    assert not wrong, wrong[:5]
    # and the description says no to what is not an answer
    assert list(validator(described, schema).iter_errors({**answer, "data": 7, "connections": 7}))


def test_every_described_parameter_is_taken_and_no_other(known, described):
    now = int(time.time())
    good = {"from": str(now - 100), "to": str(now), "a": f"{now - 100}/{now}", "b": f"{now - 100}/{now}", "hours": "2", "step": "3600"}
    for path, item in described["paths"].items():
        names = {p["name"]: p for p in item["get"]["parameters"]}
        needed = {name: good[name] for name, p in names.items() if p["required"]}
        for name, p in names.items():
            schema = p["schema"]
            values = schema.get("enum") or [good.get(name) or str(schema.get("default", schema.get("minimum", "text")))]
            for value in values:
                status, text = known.ask_local(f"{path}?{urlencode({**needed, name: value})}")
                assert status == 200, (path, name, value, text[:300])
                if schema.get("enum") and status == 200 and name != "type":
                    continue
            bad = {"integer": "x"}.get(schema["type"]) or ("nonsense" if "enum" in schema or "pattern" in schema else None)
            if bad:
                status, text = known.ask_local(f"{path}?{urlencode({**needed, name: bad})}")
                assert status == 400 and list(validator(described, {"$ref": "#/components/schemas/Error"}).iter_errors(json.loads(text))) == []
        status, text = known.ask_local(f"{path}?nonsense=1")
        accepted = json.loads(text)["error"].partition("accepted: ")[2]
        assert status == 400 and set(accepted.split(", ")) == set(names), (path, accepted)


def test_every_path_of_the_api_is_described(described):
    source = (ROOT / "user" / "api.c").read_text()
    served = set(re.findall(r'\{"(/api/websocket/[a-z/]+)", ROLE_STAFF', source))
    assert served - {"/api/websocket/about"} == {path.rstrip("/") for path in described["paths"]}
