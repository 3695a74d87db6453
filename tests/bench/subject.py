"""wsvitals while it is measured: how it is started, when it counts, what it takes itself, what it counted."""
import json
import os
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from servers import free_port

ROOT = Path(__file__).resolve().parents[2]
WSVITALS = Path(os.environ.get("WSVITALS") or ROOT / "build" / "wsvitals")
START_SECONDS = 20
END_SECONDS = 20


class Unmeasured(Exception):
    """Something that was to be measured did not happen."""


@dataclass(frozen=True)
class Command:
    """A way to run it: wsvitals WORDS… SCOPE…, where {dir} is a directory and {port} a port of its own. It counts once a line
    that it prints begins with `ready`. What it counted is the JSON that ASK… prints meanwhile or, without ASK, it itself at
    its end; FIRST is then a run that ends as soon as it may, and FIRST_WAITS how many seconds of it are asked for."""

    words: tuple
    ready: str
    ask: tuple = ()
    first: tuple = ()
    first_waits: float = 0


COMMANDS = {
    "run": Command(("run", "--db", "{dir}/db", "--run-dir", "{dir}/run", "--listen", "127.0.0.1:{port}"), "wsvitals watches",
                   ask=("snapshot", "--json", "--run-dir", "{dir}/run")),
    "snapshot": Command(("snapshot", "--for", "3600", "--json"), "wsvitals: counting",
                        first=("snapshot", "--for", "0.1", "--json"), first_waits=0.1),
}


def received(text):
    """Data messages that a dump says were received."""
    return json.loads(text)["messages"]["received"]


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
        self.directory = tempfile.TemporaryDirectory(prefix="wsvitals-bench-")
        os.chmod(self.directory.name, 0o755)  # the agent's own user has to enter
        self.fill = {"dir": self.directory.name, "port": free_port()}
        self.out, self.errors = (open(Path(self.directory.name) / name, "w+") for name in ("out", "errors"))
        self.began = time.monotonic()
        self.process = subprocess.Popen([*self._words(command.words), *map(str, scope)], stdin=subprocess.DEVNULL,
                                        stdout=self.out, stderr=self.errors)
        while command.ready not in self._said():
            if self.process.poll() is not None or time.monotonic() > self.began + START_SECONDS:
                said = self._said()
                self.kill()
                raise Unmeasured(f"wsvitals did not begin to count within {START_SECONDS} s: {said}")
            time.sleep(0.002)
        self.pids = descendants(self.process.pid)

    def _words(self, words):
        return [str(WSVITALS), *(word.format(**self.fill) for word in words)]

    def _said(self):
        return "".join(Path(file.name).read_text() for file in (self.errors, self.out))

    def received(self):
        """Messages so far; only of a command that can be asked."""
        done = subprocess.run(self._words(self.command.ask), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=END_SECONDS)
        if done.returncode:
            raise Unmeasured(f"wsvitals could not be asked: {done.stderr}")
        return received(done.stdout)

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
        counted = self.received() if self.command.ask else None
        self.process.send_signal(signal.SIGINT)
        try:
            status = self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Unmeasured(f"wsvitals did not end within {END_SECONDS} s") from None
        if status:
            raise Unmeasured(f"wsvitals ended with {status}: {self._said()}")
        return received(Path(self.out.name).read_text()) if counted is None else counted

    def kill(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(END_SECONDS)
        self.out.close()
        self.errors.close()
        self.directory.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()


def first_number(command, *scope):
    """Seconds from the start of a command to its first numbers, without those that it is told to wait."""
    if command.ask:
        with Subject(command, *scope) as subject:
            while not subject.received():
                if time.monotonic() > subject.began + START_SECONDS:
                    raise Unmeasured("wsvitals counted nothing although messages passed")
            took = time.monotonic() - subject.began
            subject.finish()
            return took
    began = time.monotonic()
    done = subprocess.run([str(WSVITALS), *command.first, *map(str, scope)], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=START_SECONDS)
    took = time.monotonic() - began
    if done.returncode:
        raise Unmeasured(f"wsvitals ended with {done.returncode}: {done.stderr}")
    if not received(done.stdout):
        raise Unmeasured("wsvitals counted nothing although messages passed")
    return took - command.first_waits
