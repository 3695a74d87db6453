"""build/wsvitals as a user runs it: start it, wait until it counts, end it, read its dump; and what every dump must satisfy."""
import json
import os
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WSVITALS = Path(os.environ.get("WSVITALS") or ROOT / "build" / "wsvitals")
READY = "wsvitals: counting"
START_SECONDS = 20
END_SECONDS = 15


def run(*args, prefix=(), timeout=30, **options):
    """One run to its end: (exit status, stdout, stderr)."""
    assert WSVITALS.exists(), f"{WSVITALS} does not exist: build it first (make)"
    done = subprocess.run([*prefix, str(WSVITALS), *args], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, **options)
    return done.returncode, done.stdout, done.stderr


class Watch:
    """`wsvitals snapshot --for 600 SCOPE FORMAT`, counting from __init__'s return to finish()."""

    def __init__(self, *scope, form="--json", seconds=600, prefix=(), program=WSVITALS, env=None):
        assert program.exists(), f"{program} does not exist: build it first (make all trial)"
        self.out = tempfile.TemporaryFile()
        self.messages = []
        self.ready = threading.Event()
        self.process = subprocess.Popen([*prefix, str(program), "snapshot", "--for", str(seconds), *map(str, scope), form],
                                        env=os.environ | (env or {}), stdin=subprocess.DEVNULL, stdout=self.out, stderr=subprocess.PIPE, text=True)
        self.pid = self.process.pid
        self.reader = threading.Thread(target=self._read_messages, daemon=True)
        self.reader.start()
        self.ready.wait(START_SECONDS)
        if not any(m.startswith(READY) for m in self.messages):
            self.kill()
            raise AssertionError(f"wsvitals did not say `{READY}` within {START_SECONDS} s; it said:\n" + "\n".join(self.messages))
        self.since = time.monotonic()

    def _read_messages(self):
        for line in self.process.stderr:
            self.messages.append(line.rstrip("\n"))
            if line.startswith(READY):
                self.ready.set()
        self.ready.set()  # it ended

    def finish(self, sig=signal.SIGINT):
        """End it with a signal and return what it printed: the parsed dump of --json, else the text."""
        self.process.send_signal(sig)
        return self.result()

    def result(self, seconds=END_SECONDS):
        """What it printed when it ended by itself."""
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"wsvitals did not end within {seconds} s")
        self.reader.join(5)
        self.out.seek(0)
        text = self.out.read().decode()
        self.out.close()
        assert status == 0, f"wsvitals ended with {status}:\n" + "\n".join(self.messages)
        return json.loads(text) if "--json" in self.process.args else text

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        self.reader.join(5)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()


def watched(running, *scope):
    """Watch one running server, by its port and what else narrows."""
    return Watch("--port", running.port, *scope)


def nonzero(counts):
    return {name: n for name, n in counts.items() if n}


def counted(dump):
    """The numbers of a dump that a tally can know, in the tally's words."""
    messages, errors, capture = dump["messages"], dump["errors"], dump["capture"]
    return {
        "opened": dump["connections"]["created"], "closed": dump["connections"]["closed"], "open": dump["connections"]["total"],
        "received": messages["received"], "sent": messages["sent"],
        "bytes_received": messages["bytes_received"], "bytes_sent": messages["bytes_sent"],
        "type": messages["by_type"],
        "control_received": nonzero(messages["control"]["received"]), "control_sent": nonzero(messages["control"]["sent"]),
        "close_codes": {code: nonzero(by) for code, by in errors["close_codes"].items()},
        "refused": nonzero(errors["refused"]), "causes": nonzero(errors["causes"]), "violations": nonzero(errors["violations"]),
        "errors": nonzero(errors["by_type"]), "errors_total": errors["total"],
        "seen_received": capture["bytes"]["received"]["seen"], "seen_sent": capture["bytes"]["sent"]["seen"],
        "payload_received": capture["bytes"]["received"]["payload"], "payload_sent": capture["bytes"]["sent"]["payload"],
        "gap_received": capture["bytes"]["received"]["gap"], "gap_sent": capture["bytes"]["sent"]["gap"],
    }


def tallied(tally, still_open=0):
    """The same from a tally."""
    codes = {}
    for name, n in tally.group("close").items():
        code, _, initiator = name.partition(".")
        codes.setdefault(code, {})[initiator] = n
    return {
        "opened": tally["opened"], "closed": tally["closed"], "open": still_open,
        "received": tally["received"], "sent": tally["sent"],
        "bytes_received": tally["bytes_received"], "bytes_sent": tally["bytes_sent"],
        "type": {"text": tally["type.text"], "binary": tally["type.binary"]},
        "control_received": tally.group("received"), "control_sent": tally.group("sent"),
        "close_codes": codes, "refused": tally.group("refused"), "causes": tally.group("cause"),
        "violations": tally.group("violation"), "errors": tally.group("error"), "errors_total": sum(tally.group("error").values()),
        "seen_received": tally["wire.received"], "seen_sent": tally["wire.sent"],
        "payload_received": tally["bytes_received"] + tally["control_bytes.received"],
        "payload_sent": tally["bytes_sent"] + tally["control_bytes.sent"],
        "gap_received": 0, "gap_sent": 0,
    }


def differences(dump, tally, still_open=0):
    """{what: (wsvitals, tally)} of all numbers that differ: empty when they are equal."""
    ours, truth = counted(dump), tallied(tally, still_open)
    return {what: (ours[what], truth[what]) for what in truth if ours[what] != truth[what]}


def assert_equal(dump, tally, still_open=0):
    wrong = differences(dump, tally, still_open)
    assert not wrong, "wsvitals | tally: " + "; ".join(f"{what}: {ours} | {truth}" for what, (ours, truth) in wrong.items()) \
        + f"; losses {dump['capture']['losses']}"
    assert_balanced(dump)


def assert_balanced(dump):
    """The books of SPEC §2, each equation from its own numbers, then the flag that says so."""
    capture = dump["capture"]
    for direction in ("received", "sent"):
        b = capture["bytes"][direction]
        assert b["seen"] == b["header"] + b["payload"] + b["gap"], f"bytes {direction}: {b}"
    m = capture["messages"]
    assert m["received"] == m["timed"] + m["ambiguous"] + m["unanswered"] + m["waiting"], f"received messages: {m}"
    assert m["sent"] == m["timed"] + m["push"] + m["answers_to_ambiguous"], f"sent messages: {m}"
    c = capture["connections"]
    assert c["opened"] == c["closed"] + c["active"], f"connections: {c}"
    e = capture["events"]
    assert e["submitted"] == e["received"] + sum(e["dropped"].values()), f"events: {e}"
    # The same numbers stand in more than one place; they must be the same.
    assert m["received"] == dump["messages"]["received"] and m["sent"] == dump["messages"]["sent"]
    assert c == {"opened": dump["connections"]["created"], "closed": dump["connections"]["closed"], "active": dump["connections"]["total"]}
    for name in ("push", "ambiguous", "unanswered", "waiting"):
        assert dump["messages"]["unpaired"][name] == m[name], f"unpaired.{name}: {dump['messages']['unpaired']} | {m}"
    latency = dump["messages"]["latency"]
    if dump["uptime_seconds"] <= latency["window_seconds"] + 1:
        assert latency["count"] == m["timed"]
    else:  # the window is shorter than what was counted
        assert 0 <= latency["count"] <= m["timed"]
    assert dump["connection_duration"]["count"] == c["closed"]
    assert dump["connections"]["open_age"]["count"] == c["active"]
    missing = [h for h in capture["hooks"] if not h["attached"]]
    assert not missing, f"hooks that are not attached: {missing}"
    assert capture["balanced"] is True


def assert_pairing(dump, tally):
    """After lock step nothing is ambiguous: what was not tallied as unanswered was timed."""
    m = dump["capture"]["messages"]
    got = {name: m[name] for name in ("timed", "push", "unanswered", "ambiguous", "waiting", "answers_to_ambiguous")}
    wanted = {"timed": tally["received"] - tally["unanswered"], "push": tally["push"], "unanswered": tally["unanswered"],
              "ambiguous": 0, "waiting": 0, "answers_to_ambiguous": 0}
    assert got == wanted, f"pairing: {got} instead of {wanted}"
