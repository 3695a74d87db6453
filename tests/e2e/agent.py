"""`wsvitals run` as a user starts it: directories of its own, a port of its own, a scope, and its answers."""
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from servers import free_port
from watch import ROOT, WSVITALS

TRIAL = ROOT / "build" / "trial" / "wsvitals"
START_SECONDS = 20
END_SECONDS = 15


class Answer:
    """Status, headers (lower case) and body of one answer."""

    def __init__(self, response, body):
        self.status, self.body = response.status, body
        self.headers = {k.lower(): v for k, v in response.getheaders()}

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.body[:200]!r}>"


class Agent:
    """Started with a scope; serves when __init__ returns. Its end is checked: no child, no socket file is left."""

    def __init__(self, *scope, directory=None, port=None, program=WSVITALS, env=None, prefix=(), config=None, wait=True,
                 host="127.0.0.1"):
        self.temporary = None if directory else tempfile.TemporaryDirectory(prefix="wsvitals-")
        self.directory = Path(directory or self.temporary.name)
        os.chmod(self.directory, 0o755)
        self.db, self.run_dir = self.directory / "db", self.directory / "run"
        self.port, self.host = port or free_port(), host
        self.places = ("--db", str(self.db), "--run-dir", str(self.run_dir))
        self.errors = open(self.directory / "stderr", "a+")
        listen = () if config and "listen" in Path(config).read_text() else ("--listen", f"{host}:{self.port}")
        if config:
            self.places += ("--config", str(config))
        self.process = subprocess.Popen([*prefix, str(program), "run", *self.places, *listen, *map(str, scope)],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.errors, text=True,
                                        env={**os.environ, **(env or {})})
        self.pid = self.process.pid
        self.lines = []
        self.greeted = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()
        if wait:
            self.wait_ready()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if "a token" in line:
                self.greeted.set()
        self.greeted.set()

    def wait_ready(self):
        self.greeted.wait(START_SECONDS)
        assert any("wsvitals watches" in line for line in self.lines), f"the agent did not start: {self.log()}"
        return self

    def log(self):
        self.errors.flush()
        return (self.directory / "stderr").read_text()

    @property
    def link(self):
        """The one-time login link's path."""
        line = next(line for line in self.lines if "log in once" in line)
        return re.sub(r"^.*?://[^/]*", "", line)

    @property
    def agent_pid(self):
        """The process without privilege: the keeper's child."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        assert len(children) == 1, children
        return int(children[0])

    @property
    def first_token(self):
        return (self.db / "first-token").read_text().strip()

    def command(self, *args, program=WSVITALS, stdin="", timeout=30):
        """`wsvitals ARGS` with this agent's places: (status, stdout, stderr)."""
        places = self.places if args[0] != "config" or "--db" not in args else ()
        done = subprocess.run([str(program), *args, *places], input=stdin, capture_output=True, text=True, timeout=timeout)
        return done.returncode, done.stdout, done.stderr

    def add_token(self, name, role="staff"):
        status, out, err = self.command("token", "add", name, "--role", role)
        assert status == 0, err
        return out.strip()

    def ask(self, path, token=None, method="GET", headers=None, timeout=10, source=None):
        """One request; token: None for the first one, False for none."""
        if token is None:
            token = self.token
        headers = dict(headers or {})
        if token:
            headers["Authorization"] = f"Bearer {token}"
        connection = http.client.HTTPConnection(self.host.strip("[]"), self.port, timeout=timeout,
                                                source_address=(source, 0) if source else None)
        try:
            connection.request(method, path, headers=headers)
            response = connection.getresponse()
            return Answer(response, response.read())
        finally:
            connection.close()

    @property
    def token(self):
        """A staff token of the tests, so that the first one stays as it is."""
        if not hasattr(self, "_token"):
            self._token = self.add_token(f"tests-{self.pid}")
        return self._token

    def ask_local(self, path, method="GET"):
        """One request over the local socket."""
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(10)
        s.connect(str(self.run_dir / "agent.sock"))
        s.sendall(f"{method} {path} HTTP/1.1\r\nHost: wsvitals\r\nConnection: close\r\n\r\n".encode())
        try:
            response = http.client.HTTPResponse(s, method=method)
            response.begin()
            return response.status, response.read().decode()
        except http.client.BadStatusLine as e:
            raise ConnectionError("no answer") from e
        finally:
            s.close()

    def metrics(self, query=""):
        answer = self.ask("/api/websocket/metrics/" + query)
        assert answer.status == 200, answer
        return answer.json

    def metrics_when(self, condition, query="", seconds=15):
        """The metrics as soon as they satisfy the condition; the agent counts once a second."""
        until = time.monotonic() + seconds
        while True:
            dump = self.metrics(query)
            if condition(dump):
                return dump
            assert time.monotonic() < until, f"never came true; last {json.dumps(dump)[:3000]}"
            time.sleep(0.3)

    def end(self, sig=signal.SIGTERM):
        """Ends it in order: (exit status, what it wrote to stderr)."""
        if self.process.poll() is None:
            self.process.send_signal(sig)
        return self.wait()

    def wait(self):
        try:
            status = self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the agent did not end within {END_SECONDS} s; it said:\n{self.log()}")
        return status, self.log()

    def kill(self):
        if self.process.poll() is None:
            try:
                os.kill(self.agent_pid, signal.SIGKILL)
            except (OSError, AssertionError):
                pass
            self.process.kill()
            self.process.wait(10)

    def left_over(self):
        """What must not be there after the end."""
        left = [str(p) for p in self.run_dir.glob("*.sock")]
        mine = str(self.db).encode()
        for proc in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if mine in proc.read_bytes().split(b"\0") and b"run" in proc.read_bytes().split(b"\0"):
                    left.append(f"process {proc.parent.name}")
            except OSError:
                pass
        return left

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.kill()
        self.errors.close()
        if self.temporary:
            self.temporary.cleanup()
