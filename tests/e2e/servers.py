"""The real servers of the end-to-end tests: one row each, and how to start, find and end one.

A server that is in the table understands this small language:
  text  close:CODE  close with that code, `close:` without one     push:N     echo, then N messages nobody asked for
        ignore:     no reply                                       sleep:MS   echo after that time
        ping:       echo, then a ping                              exit:      end the process at once
  path  /refuse/CODE refuse the upgrade    /push/N push on connect    /slow/MS accept after that time
Everything else is echoed. HOST and PORT come from the environment. What a library cannot do is said in its row.
"""
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

SOURCES = Path(__file__).resolve().parent / "servers"
BUILD = Path(os.environ.get("E2E_BUILD") or Path(tempfile.gettempdir()) / f"wsvitals-e2e-{os.getuid()}")
PYTHON = "/usr/bin/python3"  # Debian's: it has the packages


@dataclass(frozen=True)
class Server:
    """One row. {build} {host} {port} are filled in when the server starts."""

    name: str
    command: tuple
    build: tuple = ()
    build_env: tuple = ()
    comm: str = "python3"
    subprotocol: str = ""
    refuses: tuple = (401, 403, 404, 429, 500)
    keeps_alive: bool = True  # answers a plain GET and still accepts an upgrade on the same connection
    reads_early_frames: bool = True  # tolerates frames in the segment of the upgrade request
    echoes_empty: bool = True
    close_codes: tuple = (1000, 1001, 1011, 4401, None)  # it can close with; None is a close frame without a code
    pings: bool = True  # the application can send a ping
    reads_close_reply: bool = True  # after a close frame of its own it reads the client's
    ipv6: bool = True


SERVERS = {s.name: s for s in (
    # Ends the connection after any answer but 101.
    Server("py_websockets", (PYTHON, "py_websockets.py"), keeps_alive=False),
    Server("node_ws", ("node", "node_ws.cjs"), comm="node"),
    # Closes the socket without a frame when it is given no code, and after a frame without reading the reply; takes frames in the segment of the request for a violation.
    Server("c_lws", ("{build}/c_lws",), comm="c_lws", subprotocol="echo", close_codes=(1000, 1001, 1011, 4401),
           reads_early_frames=False, reads_close_reply=False, ipv6=False,
           build=("gcc", "-O1", "-g", "-Wall", "-o", "{build}/c_lws", "c_lws.c", "-lwebsockets")),
    # Hangs up without an answer when data arrives with the request.
    Server("go_gorilla", ("{build}/go_gorilla",), comm="go_gorilla", reads_early_frames=False,
           build=("go", "build", "-o", "{build}/go_gorilla", "go_gorilla.go"),
           build_env=(("GO111MODULE", "off"), ("GOPATH", "/usr/share/gocode"), ("GOCACHE", "{build}/gocache"))),
    # daphne refuses with 403 (the consumer closes) or 500 (it fails), drops empty replies and frames that come with the
    # request, and autobahn lets an application close with 1000 and 3000-4999 only (1011 is what a failing consumer sends).
    Server("py_channels", ("/usr/bin/daphne", "-v", "0", "-b", "{host}", "-p", "{port}", "py_channels:app"), comm="daphne",
           refuses=(403, 500), reads_early_frames=False, echoes_empty=False, close_codes=(1000, 1011, 4401), pings=False),
)}
RAW = Server("raw", (PYTHON, "raw.py"))  # not third-party: our own, for cases on the wire that no library can be made to show

LOWEST_PORT, HIGHEST_PORT = 20000, 29999  # below the ephemeral range: a probe must not connect to itself
_next_port = LOWEST_PORT + os.getpid() * 37 % (HIGHEST_PORT - LOWEST_PORT)


def free_port():
    """A port that nobody listens on; each call gives another one."""
    global _next_port
    while True:
        _next_port = LOWEST_PORT + (_next_port + 1 - LOWEST_PORT) % (HIGHEST_PORT - LOWEST_PORT)
        with socket.socket(socket.AF_INET6) as s:
            try:
                s.bind(("::", _next_port))
                return _next_port
            except OSError:
                continue


def wait_until(condition, what, seconds=10.0):
    """Wait for an event, never for a time; say what did not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain for {what}")
        time.sleep(0.005)


TCP_ESTABLISHED, TCP_TIME_WAIT, TCP_LISTEN = "01", "06", "0A"


def socket_states(pid, port):
    """States of the TCP sockets whose local port this is, in the network namespace of the process."""
    states = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            columns = line.split()
            if int(columns[1].rsplit(":", 1)[1], 16) == port:
                states.append(columns[3])
    return states


def unix_sockets(pid, path):
    """How many sockets have this path or @name: the listener, and each that it accepted."""
    return sum(line.split()[7:] == [path] for line in Path(f"/proc/{pid}/net/unix").read_text().splitlines()[1:])


def build(server):
    """Compile a server once; its source decides whether that is needed."""
    BUILD.mkdir(parents=True, exist_ok=True)
    if not server.build:
        return
    target = BUILD / server.name
    sources = [SOURCES / word for word in server.build if (SOURCES / word).is_file()]
    if target.exists() and all(target.stat().st_mtime > s.stat().st_mtime for s in sources):
        return
    env = os.environ | {k: v.format(build=BUILD) for k, v in server.build_env}
    done = subprocess.run([word.format(build=BUILD) for word in server.build], cwd=SOURCES, env=env, capture_output=True, text=True)
    assert done.returncode == 0, f"{server.name} does not build:\n{done.stderr}"


@dataclass
class Running:
    """A server of the table that accepts on (host, port), or on the Unix socket /path or @name that host is then."""

    server: Server
    host: str = "127.0.0.1"
    env: dict = field(default_factory=dict)
    prefix: tuple = ()  # words in front of the command, e.g. `ip netns exec NAME`
    port: int = 0  # 0: a free one

    def __post_init__(self):
        build(self.server)
        self.port = self.port or free_port()
        command = [word.format(build=BUILD, host=self.host, port=self.port) for word in self.server.command]
        assert shutil.which(command[0]), f"{command[0]} is not installed (tests/e2e/README.md says what is needed)"
        env = os.environ | {"HOST": self.host, "PORT": str(self.port), "PYTHONPATH": str(SOURCES),
                            "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"} | self.env
        self.log = tempfile.TemporaryFile()  # a pipe that nobody reads would block a talkative server
        # The server must not outlive a test run that is killed.
        self.process = subprocess.Popen([*self.prefix, "setpriv", "--pdeathsig", "KILL", "--", *command], cwd=SOURCES, env=env,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.log)
        self.pid = self.process.pid
        wait_until(self._accepts, f"{self.server.name} to listen on port {self.port}", 20)

    def _accepts(self):
        if self.process.poll() is not None:
            self.log.seek(0)
            raise AssertionError(f"{self.server.name} ended: {self.log.read().decode()[-2000:]}")
        try:
            if self.host[0] in "/@":
                return bool(unix_sockets(self.pid, self.host))
            return TCP_LISTEN in socket_states(self.pid, self.port)
        except OSError:
            return False

    def wait_idle(self):
        """Wait until the server has closed every accepted socket: only then is everything it did on the record."""
        if self.host[0] in "/@":
            wait_until(lambda: unix_sockets(self.pid, self.host) == 1, f"{self.server.name} to close its connections", 15)
            return
        wait_until(lambda: not set(socket_states(self.pid, self.port)) - {TCP_LISTEN, TCP_TIME_WAIT},
                   f"{self.server.name} to close its connections", 15)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(3)
            except subprocess.TimeoutExpired:
                self.kill()
        self.log.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
