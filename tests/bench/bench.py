"""What watching costs, beside the figures to hold. Run by scripts/bench, which says how.

Each part compares within one run of the bench, in alternation, because machines are noisy; every figure is printed with its
spread. wsvitals is scoped to the bench's own port and to the server's name, so the load's end of a connection is a stranger
to it, as a client elsewhere is: it costs what an ignored socket costs.
"""
import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
from servers import SERVERS, Running, Server, free_port  # noqa: E402
from subject import COMMANDS, ROOT, Subject, Unmeasured, first_number  # noqa: E402

TOOLS = ROOT / "build" / "tests" / "bench"
SERVE = Server("serve", (str(TOOLS / "serve"), "{host}", "{port}"), comm="serve")
HOOKS = {"recv": "sock_recv_length", "send": "sock_send_length", "data_ready": "sk_data_ready"}
NEVER_PORT = 1  # a scope in which nothing is
RATE = 50000
HELD_PER_PROCESS = 12000  # connections: below the usual limit of descriptors of a process


@dataclass
class Row:
    part: str
    what: str
    value: object  # None: could not be taken on this machine, `note` says why
    unit: str = ""
    limit: float = None  # of SPEC 8; at most
    spread: tuple = ()
    note: str = ""
    samples: list = field(default_factory=list)

    @property
    def verdict(self):
        if self.limit is None or self.value is None:
            return ""
        return "ok" if self.value <= self.limit else "OVER"


@dataclass
class Bench:
    """What all parts need, and what they find."""

    command: object
    quick: bool
    rows: list = field(default_factory=list)
    notes: list = field(default_factory=list)

    def add(self, *args, **kw):
        self.rows.append(Row(*args, **kw))

    def sampled(self, part, what, samples, unit="", limit=None, note=""):
        """A row from several measurements: their median, smallest and largest."""
        self.add(part, what, statistics.median(samples), unit, limit, (min(samples), max(samples)), note, samples)

    def subject(self, server, port):
        """wsvitals, watching this server alone."""
        return Subject(self.command, "--port", port, "--comm", server.comm)


def tool(*words, **options):
    return subprocess.run([str(TOOLS / words[0]), *map(str, words[1:])], stdout=subprocess.PIPE, text=True, check=True, **options)


def load(mode, port, seconds, *, warmup=0.3, connections=64, rate=0, pids=()):
    """Load on a server; what tests/bench/load.c prints."""
    words = ["load", mode, "-s", seconds, "-w", warmup, "-c", connections]
    if rate:
        words += ["-r", rate]
    for pid in pids:
        words += ["-p", pid]
    return json.loads(tool(*words, "127.0.0.1", port, timeout=seconds + 60).stdout)


# ---- throughput

def watched_load(bench, server, running, seconds, rate):
    """One run of load with wsvitals; it has to have counted it."""
    with bench.subject(server, running.port) as subject:
        result = load("ws", running.port, seconds, rate=rate, pids=[running.pid])
        counted = subject.finish()
    if counted < result["messages"]:
        raise Unmeasured(f"wsvitals counted {counted} of at least {result['messages']} messages")
    return result


def pairs(bench, server, running, number, seconds, rate=0):
    """[(without, with)], each pair in the other order than the one before: what drifts falls on both."""
    done = []
    for i in range(number):
        runs = {}
        for watched in (False, True) if i % 2 == 0 else (True, False):
            runs[watched] = watched_load(bench, server, running, seconds, rate) if watched \
                else load("ws", running.port, seconds, rate=rate, pids=[running.pid])
        done.append((runs[False], runs[True]))
    return done


def cpu_per_message(run):
    return run["cpu_ns"][0] / run["messages"]


def loss(done, key):
    """Of each pair, how much less of `key` there is with wsvitals, in percent."""
    return [100 * (1 - b[key] / a[key]) for a, b in done]


def gain(done, key):
    return [100 * (b[key] / a[key] - 1) for a, b in done]


def part_throughput(bench):
    """messages/s and the server's processor time per message, with and without"""
    for name in ("go_gorilla",) if bench.quick else ("go_gorilla", "c_lws"):
        server = SERVERS[name]
        part = f"throughput, {name}"
        with Running(server) as running:
            load("ws", running.port, 0.5)
            done = pairs(bench, server, running, 5 if bench.quick else 11, 0.7 if bench.quick else 1.5)
            without, watched = zip(*done)
            bench.sampled(part, "as fast as it can: without", [r["per_second"] for r in without], "msg/s")
            bench.sampled(part, "as fast as it can: with", [r["per_second"] for r in watched], "msg/s")
            bench.sampled(part, "loss of throughput", loss(done, "per_second"), "%", note="no idle processor: the worst case")
            bench.sampled(part, "server CPU a message: without", [cpu_per_message(r) for r in without], "ns")
            bench.sampled(part, "server CPU a message: with", [cpu_per_message(r) for r in watched], "ns")
            bench.sampled(part, "server CPU a message: more", [cpu_per_message(b) - cpu_per_message(a) for a, b in done], "ns")
            if name == "go_gorilla":
                part_rate(bench, server, running, statistics.median(r["per_second"] for r in watched))


def part_rate(bench, server, running, fastest):
    """The same server at a fixed rate: SPEC's, or what leaves a third of this machine idle."""
    rate = min(RATE, int(fastest * 0.65 / 1000) * 1000)
    part = f"{server.name} at {rate} msg/s"
    note = "" if rate == RATE else f"{RATE} is more than this machine holds with {server.name} and its load"
    done = pairs(bench, server, running, 4 if bench.quick else 11, 1 if bench.quick else 2, rate)
    without, watched = zip(*done)
    bench.sampled(part, "loss of throughput", loss(done, "per_second"), "%", 1, note)
    bench.sampled(part, "messages skipped: without", [r["skipped"] for r in without])
    bench.sampled(part, "messages skipped: with", [r["skipped"] for r in watched])
    for p in ("p50", "p99"):
        bench.sampled(part, f"{p}: without", [r[f"{p}_us"] for r in without], "us")
        bench.sampled(part, f"{p}: with", [r[f"{p}_us"] for r in watched], "us")
        bench.sampled(part, f"loss of {p}", gain(done, f"{p}_us"), "%", 1 if p == "p99" else None)


# ---- cost of an event

def metered(bench, scope, mode, running, seconds, *options):
    """{hook: numbers of tests/bench/meter.c} under load; `above`: ns of wsvitals above as many runs of an empty program."""
    words = [str(TOOLS / "load"), mode, "-w", "0.1", "-s", "3600", "127.0.0.1", str(running.port)]
    with Subject(bench.command, *scope) as subject, subprocess.Popen(words, stdout=subprocess.DEVNULL) as loading:
        try:
            time.sleep(0.3)
            result = json.loads(tool("meter", *options, running.port, seconds, *subject.pids).stdout)
            if loading.poll() is not None:
                raise Unmeasured(f"the load ended with {loading.returncode}")
        finally:
            loading.kill()
    if result["strangers"]:
        bench.notes.append(f"{result['strangers']} programs of others were attached to the same hooks during `{mode}'")
    for name, hook in result["hooks"].items():
        runs = [p for p in result["programs"] if p["hook"] == name]
        empty = hook["ns"] / hook["runs"] if hook["runs"] else 0
        hook["above"] = sum(p["ns"] - p["runs"] * empty for p in runs)
        hook["missed"] = sum(p["missed"] for p in runs)
        hook["empty"] = empty
    return {short: result["hooks"][name] for short, name in HOOKS.items()}


def per_event(hook, strangers, classes=("server",)):
    """ns of one event of these classes, after taking away what the other classes' events cost: {class: ns}."""
    number = sum(hook[c] for c in classes)
    if not number:
        return None
    return (hook["above"] - sum(hook[c] * ns for c, ns in strangers.items() if c not in classes)) / number


def part_events(bench):
    """kernel time per event of each program, above an empty one on the same hook"""
    rounds, seconds = (2, 0.5) if bench.quick else (5, 1.5)
    found = {}

    def note(case, hook, ns):
        if ns is not None:
            found.setdefault((case, hook), []).append(ns)

    with Running(SERVE) as running, ExitStack() as stack:
        gorilla = None if bench.quick else stack.enter_context(Running(SERVERS["go_gorilla"]))
        port = ("--port", running.port)
        for _ in range(rounds):
            # What strangers cost comes first: it is taken away from the rest.
            away = metered(bench, ("--port", NEVER_PORT), "ws", running, seconds, "-f")
            nothing = metered(bench, port, "none", running, seconds)
            raw = metered(bench, port, "raw", running, seconds)
            ws = metered(bench, (*port, "--comm", "serve"), "ws", running, seconds)
            both = metered(bench, port, "ws", running, seconds)
            http = metered(bench, (*port, "--comm", "serve"), "http", running, seconds)
            real = metered(bench, ("--port", gorilla.port, "--comm", "go_gorilla"), "ws", gorilla, seconds) if gorilla else {}
            for hook in HOOKS:
                note("empty", hook, ws[hook]["empty"])
                outside = per_event(away[hook], {}, ("server", "client"))
                ignored = per_event(raw[hook], {}, ("server", "client"))
                no_data = per_event(nothing[hook], {}, ("no_data",)) or 0
                strangers = {"client": ignored, "other": outside, "no_data": no_data}
                mine = per_event(ws[hook], strangers)
                note("outside", hook, outside)
                note("ignored", hook, ignored)
                note("ws", hook, mine)
                note("upstream", hook, per_event(both[hook], strangers | {"server": mine}, ("client",)))
                note("http", hook, per_event(http[hook], strangers))
                if hook == "recv":
                    note("no data", hook, no_data)
                if gorilla:
                    note("real", hook, per_event(real[hook], strangers))
                if hook != "data_ready":
                    note("floor", hook, (away[hook]["floor_ns"] - away[hook]["runs"] * away[hook]["empty"]) / away[hook]["server"])

    part = "ns an event"
    for case, text, limit in (
            ("empty", "an empty program", None),
            ("floor", "the calls that cannot be avoided", None),
            ("ws", "WebSocket, server's side", 120), ("real", "WebSocket, go_gorilla", 120),
            ("upstream", "WebSocket, connecting side", 120),
            ("ignored", "in scope, no HTTP", 40), ("http", "in scope, HTTP kept alive", 40), ("outside", "out of scope", 40),
            ("no data", "a read that finds nothing", None)):
        for hook in HOOKS:
            if (case, hook) in found:
                bench.sampled(part, f"{text}: {hook}", found[case, hook], "ns", limit)
    exchange = [sum(three) for three in zip(*(found["ws", hook] for hook in HOOKS))]
    bench.sampled(part, "a message in and its reply, all three", exchange, "ns", 250)


# ---- memory

def slabs():
    """{cache: (objects in use, bytes of one)}"""
    rows = (line.split() for line in Path("/proc/slabinfo").read_text().splitlines()[2:])
    return {r[0]: (int(r[1]), int(r[3])) for r in rows}


class Held:
    """N WebSockets to a server, open from __init__'s return to the end."""

    def __init__(self, port, number):
        self.processes = []
        try:
            while number > 0:
                n = min(number, HELD_PER_PROCESS)
                self.processes.append(subprocess.Popen([str(TOOLS / "load"), "hold", "-c", str(n), "127.0.0.1", str(port)],
                                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
                number -= n
            for process in self.processes:
                if not process.stdout.readline().startswith("open "):
                    raise Unmeasured("the connections could not be opened")
        except BaseException:
            self.close()
            raise

    def close(self):
        for process in self.processes:
            process.stdin.close()
        for process in self.processes:
            process.wait(60)
            process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def servers_for(stack, number):
    """Enough servers on one port for so many connections, none of them near its limit of descriptors."""
    port = free_port()
    for _ in range(-(-number // HELD_PER_PROCESS) + 1):
        stack.enter_context(Running(SERVE, port=port))
    return port


def grown(port, number):
    """{cache: (objects more, bytes of one)} while so many connections are open."""
    before = slabs()
    with Held(port, number):
        time.sleep(0.5)
        after = slabs()
    time.sleep(0.5)
    return {name: (after[name][0] - before[name][0], size) for name, (_, size) in before.items() if name in after}


def part_kernel_memory(bench):
    """kernel bytes per open connection, from the allocator's own counts"""
    number, rounds = (5000, 2) if bench.quick else (20000, 3)
    part = f"kernel memory, {number} open"
    samples, caches = [], {}
    with ExitStack() as stack:
        port = servers_for(stack, number)
        grown(port, number)  # caches that keep what they once had
        for _ in range(rounds):
            without = grown(port, number)
            with bench.subject(SERVE, port) as subject:
                fixed, value = subject.kernel_memory()
                watched = grown(port, number)
                subject.finish()
            # Both ends are here and both have a state. Caches of which there are not more by a number like that are others'.
            more = {name: (n - without[name][0], size) for name, (n, size) in watched.items()
                    if name in without and n - without[name][0] > number / 2}
            for name, (n, size) in more.items():
                caches.setdefault(f"{name} of {size} B", []).append(n / (2 * number))
            samples.append(sum(n * size for n, size in more.values()) / (2 * number))
    if not all(samples):
        raise Unmeasured("no cache of the kernel grew with the connections")
    bench.sampled(part, "a connection", samples, "B", 512,
                  ", ".join(f"{statistics.median(n):.2f} x {name}" for name, n in caches.items()))
    bench.add(part, "of these the state itself", value, "B")
    bench.add(part, "maps and programs, without connections", fixed / 1e6, "MB")


def part_memory(bench):
    """resident memory of wsvitals with 0, 10 000 and 100 000 connections"""
    part = "resident memory"
    for number, limit in ((0, 16), (10000, 32)) if bench.quick else ((0, 16), (10000, 32), (100000, 96)):
        what = f"{number} connections" if number else "idle"
        with ExitStack() as stack:
            port = servers_for(stack, number)
            subject = stack.enter_context(bench.subject(SERVE, port))
            stack.enter_context(Held(port, number))
            time.sleep(2.5)  # two samples of it
            bench.add(part, what, subject.resident() / 1e6, "MB", limit)
            subject.finish()


def part_agent(bench):
    """processor time of wsvitals, and how soon it shows a number"""
    rate, seconds = 10000, 3 if bench.quick else 12
    with Running(SERVE) as running:
        with bench.subject(SERVE, running.port) as subject:
            result = load("ws", running.port, seconds, warmup=1, rate=rate, pids=subject.pids)
            subject.finish()
            bench.add("wsvitals itself", f"CPU at {result['per_second']:.0f} msg/s",
                      100 * sum(result["cpu_ns"]) / 1e9 / result["seconds"], "% of a core", 1)
        with Chatter(running.port):
            taken = [first_number(bench.command, "--port", running.port, "--comm", SERVE.comm) for _ in range(3 if bench.quick else 9)]
        bench.sampled("wsvitals itself", "start to first number", taken, "s", 1)


class Chatter:
    """New connections with messages, all the time: those that are older than wsvitals would not be its own."""

    def __init__(self, port):
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._chat, args=(port,))
        self.thread.start()

    def _chat(self, port):
        while not self.ended.is_set():
            load("ws", port, 0.02, warmup=0, connections=4, rate=1000)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()


# ---- all of it

PARTS = {"throughput": part_throughput, "events": part_events, "kernel-memory": part_kernel_memory, "memory": part_memory,
         "agent": part_agent}


def number(value):
    if value is None:
        return "-"
    if isinstance(value, int):
        return str(value)
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def table(bench):
    """The rows, aligned, with a heading a part."""
    lines, part = [], None
    for row in bench.rows:
        if row.part != part:
            part = row.part
            lines.append(("", part, "", "", "", "", ""))
        spread = f"{number(row.spread[0])} … {number(row.spread[1])}" if row.spread else ""
        limit = f"<= {number(row.limit)}" if row.limit is not None else ""
        lines.append(("  ", row.what, number(row.value), row.unit, spread, limit, row.verdict + (f"  {row.note}" if row.note else "")))
    head = ("  ", "", "median", "", "smallest … largest", "to hold", "")
    wide = [max(len(line[i]) for line in [head, *lines]) for i in range(6)]
    for indent, what, value, unit, spread, limit, rest in (head, *lines):
        yield (f"{indent}{what:<{wide[1]}}  {value:>{wide[2]}} {unit:<{wide[3]}}  "
               f"{spread:>{wide[4]}}  {limit:>{wide[5]}}  {rest}").rstrip()


def machine():
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "?")
    return {"kernel": platform.release(), "processor": model, "processors": os.cpu_count(),
            "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "load": os.getloadavg()[0]}


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench", description="What watching costs, beside the figures to hold.",
                                     epilog="parts: " + "; ".join(f"{name}: {part.__doc__}" for name, part in PARTS.items()))
    parser.add_argument("how", nargs="?", choices=("quick", "full"), default="full", help="about a minute, or up to eight")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "bench.json", metavar="FILE", help="where the figures go too")
    parser.add_argument("--part", action="append", choices=PARTS, help="only this part; may be given again")
    parser.add_argument("--command", choices=COMMANDS, default="run", help="which command of wsvitals is measured")
    args = parser.parse_args()
    bench = Bench(COMMANDS[args.command], args.how == "quick")
    before, began, failed = machine(), time.monotonic(), []
    for name in args.part or PARTS:
        print(f"bench: {name}: {PARTS[name].__doc__}", file=sys.stderr)
        try:
            PARTS[name](bench)
        except (Unmeasured, AssertionError, OSError, subprocess.SubprocessError) as error:
            failed.append(f"{name}: {error}")
            print(f"bench: {name} could not be measured: {error}", file=sys.stderr)
    print("\n".join(table(bench)))
    for text in dict.fromkeys(bench.notes):
        print(f"note: {text}")
    over = sum(row.verdict == "OVER" for row in bench.rows)
    print(f"{sum(row.verdict == 'ok' for row in bench.rows)} figures held, {over} OVER, {len(failed)} parts not measured "
          f"({args.how}, {args.command}, {time.monotonic() - began:.0f} s, {before['processor']} x {before['processors']}, {before['kernel']})")
    args.json.parent.mkdir(parents=True, exist_ok=True)
    args.json.write_text(json.dumps({"machine": before, "how": args.how, "command": args.command, "failed": failed, "notes": bench.notes,
                                     "rows": [asdict(row) | {"verdict": row.verdict} for row in bench.rows]}, indent=1) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
