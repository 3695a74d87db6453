"""wsvitals while it is measured: how it is started, when it counts, what it takes itself, what it counted."""
import json
import os
import signal
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WSVITALS = Path(os.environ.get("WSVITALS") or ROOT / "build" / "wsvitals")
START_SECONDS = 20
END_SECONDS = 20


class Unmeasured(Exception):
    """Something that was to be measured did not happen."""


@dataclass(frozen=True)
class Command:
    """A way to run it: wsvitals BEFORE… SCOPE… AFTER…; it counts once a line of its stderr begins with `ready`."""

    before: tuple
    after: tuple
    ready: str
    received: object  # data messages that it received, from what it printed on stdout until its end
    first: tuple  # a run that ends as soon as there is a number to show, in seconds that it is told to wait


def _received(text):
    return json.loads(text)["messages"]["received"]


COMMANDS = {
    "snapshot": Command(("snapshot", "--for", "3600"), ("--json",), "wsvitals: counting", _received,
                        (0.1, ("snapshot", "--for", "0.1"), ("--json",))),
}


def descendants(pid):
    """The process and all that it started."""
    found, parents = [pid], {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:
            continue
        parents.setdefault(int(text.rsplit(")", 1)[1].split()[1]), []).append(int(stat.parent.name))
    for parent in found:
        found.extend(parents.get(parent, ()))
    return found


class Subject:
    """One run of a command with a scope, counting from __init__'s return to finish()."""

    def __init__(self, command, *scope):
        self.command = command
        self.out = tempfile.TemporaryFile()
        self.messages = []
        self.ready = threading.Event()
        began = time.monotonic()
        self.process = subprocess.Popen([str(WSVITALS), *command.before, *map(str, scope), *command.after],
                                        stdin=subprocess.DEVNULL, stdout=self.out, stderr=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self._read_messages, daemon=True)
        self.reader.start()
        self.ready.wait(START_SECONDS)
        self.started_in = time.monotonic() - began
        if not any(m.startswith(command.ready) for m in self.messages):
            self.kill()
            raise Unmeasured(f"wsvitals did not begin to count within {START_SECONDS} s: " + " / ".join(self.messages))
        self.pids = descendants(self.process.pid)

    def _read_messages(self):
        for line in self.process.stderr:
            self.messages.append(line.rstrip("\n"))
            if line.startswith(self.command.ready):
                self.ready.set()
        self.ready.set()  # it ended

    def resident(self):
        """Bytes of all its processes."""
        total = 0
        for pid in self.pids:
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    total += int(line.split()[1]) * 1024
        return total

    def kernel_memory(self):
        """(bytes of all its maps and programs, bytes of its socket state's value); what grows with connections is in neither."""
        total, value, seen = 0, None, set()
        for pid in self.pids:
            for path in Path(f"/proc/{pid}/fdinfo").iterdir():
                try:
                    info = dict(line.split(":\t", 1) for line in path.read_text().splitlines() if ":\t" in line)
                except OSError:
                    continue
                if "memlock" not in info or "link_type" in info:
                    continue
                key = ("map", info["map_id"]) if "map_id" in info else ("prog", info["prog_id"])
                if key in seen:
                    continue
                seen.add(key)
                total += int(info["memlock"])
                if info.get("map_type") == "24":  # BPF_MAP_TYPE_SK_STORAGE
                    value = int(info["value_size"])
        return total, value

    def finish(self):
        """End it as a user would; returns how many messages it counted."""
        self.process.send_signal(signal.SIGINT)
        try:
            status = self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Unmeasured(f"wsvitals did not end within {END_SECONDS} s") from None
        self.reader.join(5)
        if status:
            raise Unmeasured(f"wsvitals ended with {status}: " + " / ".join(self.messages))
        self.out.seek(0)
        return self.command.received(self.out.read().decode())

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        self.reader.join(5)
        self.process.stderr.close()
        self.out.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()


def first_number(command, *scope):
    """Seconds from the start of a command to its first numbers, without those that it is told to wait."""
    wait, before, after = command.first
    began = time.monotonic()
    done = subprocess.run([str(WSVITALS), *before, *map(str, scope), *after], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=START_SECONDS)
    took = time.monotonic() - began
    if done.returncode:
        raise Unmeasured(f"wsvitals ended with {done.returncode}: {done.stderr}")
    if not command.received(done.stdout):
        raise Unmeasured("wsvitals counted nothing although messages passed")
    return took - wait
