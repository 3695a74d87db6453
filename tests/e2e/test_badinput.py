"""Bad arguments, missing rights, traffic that is no WebSocket, broken WebSocket, servers that die, and what is left behind."""
import errno
import json
import random
import shutil
import signal
import ssl
import subprocess
import time
from pathlib import Path

import pytest

from scenarios import Peer
from servers import ECHOES, SERVERS, Running, wait_until
from watch import WSVITALS, Watch, assert_equal, run, watched
from wsclient import BINARY, CLOSE, PING, TEXT, Refused, connect, frame

# -- arguments and rights -------------------------------------------------------------------------------------------------

# arguments, what the message must name (the bad input), what it must say besides (the accepted form)
USAGE = [
    (["snapshot", "--for", "1", "--port", "70000"], "70000", "65535"),
    (["snapshot", "--for", "1", "--port", "0"], "0", "65535"),
    (["snapshot", "--for", "1", "--port", "http"], "http", "65535"),
    (["snapshot", "--for", "1", "--port", "80,"], "80,", "65535"),
    (["snapshot", "--for", "1", "--port", "-5"], "-5", "65535"),
    (["snapshot", "--for", "1", "--port", "99999999999999999999"], "99999999999999999999", "65535"),
    (["snapshot", "--for", "soon"], "soon", "second"),
    (["snapshot", "--for", "-1"], "-1", "second"),
    (["snapshot", "--for", "1x"], "1x", "second"),
    (["snapshot", "--for", "1", "--pid", "init"], "init", ""),
    (["snapshot", "--for", "1", "--pid", "0"], "0", ""),
    (["snapshot", "--for", "1", "--comm", "longer-than-a-name-can-be"], "longer-than-a-name-can-be", "15"),
    (["snapshot", "--for", "1", "--prot", "80"], "--prot", ""),
    (["snapshot", "--for", "1", "stray"], "stray", ""),
    (["snapshot", "--port"], "--port", ""),
    (["snapshot", "--for"], "--for", ""),
    (["snapshoot"], "snapshoot", "snapshot"),
]


@pytest.mark.parametrize("args, bad, accepted", USAGE, ids=[" ".join(a) for a, _, _ in USAGE])
def test_bad_arguments_get_one_clear_line(args, bad, accepted):
    status, out, err = run(*args)
    assert (status, out) == (2, ""), err
    lines = err.splitlines()
    assert len(lines) == 1, err
    assert bad in lines[0] and accepted in lines[0], lines[0]


def test_no_command_is_a_usage_error():
    status, out, err = run()
    assert (status, out) == (2, "")
    assert "snapshot" in err


@pytest.mark.parametrize("scope", [["--cgroup", "/sys/fs/cgroup/no-such-group"], ["--netns", "/run/netns/no-such-space"]],
                         ids=["cgroup", "netns"])
def test_a_scope_that_does_not_exist_is_said(scope):
    status, out, err = run("snapshot", "--for", "1", "--json", *scope)
    assert status in (1, 2) and out == ""
    assert scope[1] in err and len(err.splitlines()) == 1, err


def test_without_root_the_message_says_what_is_missing(tmp_path):
    """A copy that everyone may run, run by nobody."""
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:-2]:
        parent.chmod(parent.stat().st_mode | 0o011)
    assert WSVITALS.exists(), f"{WSVITALS} does not exist: build it first (make)"
    copy = shutil.copy(WSVITALS, tmp_path / "wsvitals")
    done = subprocess.run(["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups", "--inh-caps=-all",
                           str(copy), "snapshot", "--for", "1", "--json"], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "root" in done.stderr or "CAP_" in done.stderr, done.stderr


# -- traffic that is no WebSocket ---------------------------------------------------------------------------------------

UPGRADE = (b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")


def client_hello():
    out = ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), out, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return out.read()


POST = b"POST /plain HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(UPGRADE)
# name: the pieces that are sent, each in a segment of its own
NOISE = {
    "nothing": [],
    "one byte": [b"G"],
    "half a request": [b"GET / HTTP/1.1\r\nHost: x\r\nUpgr"],
    "slow loris": [bytes([b]) for b in b"GET / HTTP/1.1\r\nX-Slow: yes\r\n"],
    "kept-alive requests": [b"GET /plain HTTP/1.1\r\nHost: x\r\n\r\n"] * 3,
    "garbage line": [b"\r\n\r\nHELLO WORLD\r\n\r\n"],
    "random bytes": [random.Random(7).randbytes(65536)],
    "random bytes in pieces": [random.Random(n).randbytes(n) for n in range(1, 60)],
    "zeros": [bytes(5000)],
    "TLS ClientHello": [client_hello()],
    "HTTP/2 preface": [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])],
    "POST whose body is an upgrade request": [POST + UPGRADE],
    "POST whose body is an upgrade request, in a segment of its own": [POST, UPGRADE],
    "upgrade to h2c": [b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"],
    "a frame without a handshake": [frame(TEXT, b"one")],
}


def send_noise(port, pieces):
    """Send, then hang up and read what the server says until it ends the connection."""
    with connect("127.0.0.1", port) as s:
        try:
            for piece in pieces:
                s.sendall(piece)
                time.sleep(0.03 if len(pieces) < 5 else 0.001)
            s.shutdown(1)
            while s.recv(65536):
                pass
        except OSError as error:  # the server may have hung up already
            if error.errno not in (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN):
                raise


@pytest.mark.parametrize("name", NOISE)
def test_noise_changes_no_count(running, name):
    """On two servers; beside it one real conversation on each, which alone is counted."""
    servers = [running("node_ws"), running("go_gorilla")]
    first = Peer(servers[0])
    second = Peer(servers[1], tally=first.tally)
    with Watch("--port", f"{servers[0].port},{servers[1].port}") as watch:
        for peer in (first, second):
            c = peer.connect()
            send_noise(peer.running.port, NOISE[name])
            c.ask("still counting")
            c.close(1000)
            peer.running.wait_idle()
        dump = watch.finish()
    assert_equal(dump, first.tally)


def test_a_body_that_looks_like_a_101_opens_nothing(running):
    peer = Peer(running("raw"))
    with watched(peer.running) as watch:
        c = peer.connect(before=2)  # /plain answers with such a body
        c.ask("the real one")
        c.close(1000)
        peer.running.wait_idle()
        dump = watch.finish()
    assert_equal(dump, peer.tally)


# -- broken WebSocket -----------------------------------------------------------------------------------------------------

VIOLATIONS = [
    ("unmasked_client_frame", frame(TEXT, b"hi", masked=False)),
    ("reserved_opcode", frame(3, b"x")),
    ("reserved_opcode", frame(11, b"x")),
    ("reserved_bits", frame(TEXT, b"x", rsv=4)),
    ("reserved_bits", frame(TEXT, b"x", rsv=2)),
    ("reserved_bits", frame(BINARY, b"x", rsv=1)),
    ("fragmented_control", frame(PING, b"x", fin=False)),
    ("long_control", frame(PING, bytes(126))),
    ("unexpected_continuation", frame(0, b"x")),
    ("unfinished_message", frame(TEXT, b"a", fin=False) + frame(TEXT, b"b")),
    ("non_minimal_length", frame(TEXT, b"a", length_bytes=2)),
    ("non_minimal_length", frame(TEXT, bytes(200), length_bytes=8)),
]


def errors_of(dump):
    e = dump["errors"]
    return {"total": e["total"], "by_type": {t: n for t, n in e["by_type"].items() if n},
            "violations": {v: n for v, n in e["violations"].items() if n}}


@pytest.mark.parametrize("name, data", VIOLATIONS, ids=[f"{n}-{i}" for i, (n, _) in enumerate(VIOLATIONS)])
def test_a_violation_is_the_connections_one_error(running, name, data):
    """Whatever follows, here the end without a close frame and a close 1011: at most one error a connection, and a violation
    that we saw comes first."""
    peer = Peer(running("raw"))
    with watched(peer.running) as watch:
        for afterwards in (b"", frame(CLOSE, b"\x03\xf3")):
            c = peer.connect("/?sink=1")
            c.violate(data + afterwards, name)
        peer.running.wait_idle()
        dump = watch.finish()
    assert errors_of(dump) == {"total": 2, "by_type": {"protocol_error": 2}, "violations": {name: 2}}
    assert (dump["connections"]["created"], dump["connections"]["closed"]) == (2, 2)


@pytest.mark.parametrize("name, data", [("masked_server_frame", frame(TEXT, b"hi", masked=True)), ("reserved_opcode", b"\x83\x00"),
                                        ("unexpected_continuation", b"\x80\x00"), ("long_control", b"\x89\x7e\x00\x7e" + bytes(126))])
def test_a_violation_of_the_server_is_one_too(running, name, data):
    peer = Peer(running("raw"))
    with watched(peer.running) as watch:
        c = peer.connect(f"/?sink=1&answer={data.hex()}")
        c.need(len(data))
        c.violate(b"", name)
        peer.running.wait_idle()
        dump = watch.finish()
    assert errors_of(dump) == {"total": 1, "by_type": {"protocol_error": 1}, "violations": {name: 1}}


@pytest.mark.parametrize("name", ECHOES)
def test_a_real_server_that_answers_a_violation_with_1002(running, name):
    """The violation and the close 1002 that follows are one error."""
    peer = Peer(running(name))
    with watched(peer.running) as watch:
        c = peer.connect()
        c.ask("fine so far")
        c.violate(frame(TEXT, b"hi", rsv=2), "reserved_bits")
        peer.running.wait_idle()
        dump = watch.finish()
    assert errors_of(dump) == {"total": 1, "by_type": {"protocol_error": 1}, "violations": {"reserved_bits": 1}}


def test_a_wrong_accept_is_a_handshake_error(running):
    peer = Peer(running("raw"))
    with watched(peer.running) as watch:
        with pytest.raises(Refused):
            peer.connect("/?accept=wrong")
        peer.running.wait_idle()
        dump = watch.finish()
    assert dump["errors"]["by_type"] == {"handshake_error": 1}
    assert dump["errors"]["total"] == 1
    assert dump["connections"]["total"] == 0
    assert dump["errors"]["recent"][0]["type"] == "handshake_error"


@pytest.mark.parametrize("cut", [None, 1000], ids=["in one segment", "in pieces"])
def test_a_head_beyond_the_bound_is_counted_and_the_connection_goes_on(running, cut):
    peer = Peer(running("raw"))
    cookies = [f"Cookie: c{i}=" + "v" * 1000 for i in range(20)]
    with watched(peer.running) as watch:
        c = peer.connect("/long", headers=cookies, cut=cut)
        c.ask("hello")
        c.close(1000)
        peer.running.wait_idle()
        dump = watch.finish()
    assert_equal(dump, peer.tally)
    assert [n for name, n in dump["capture"]["losses"].items() if "head" in name and n], dump["capture"]["losses"]


# -- servers that die -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", ["py_websockets", "node_ws", "go_gorilla"])
@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM", "exit"])
def test_a_server_that_dies_ends_its_connections(name, how):
    with Running(SERVERS[name]) as server:
        peer = Peer(server)
        with watched(server) as watch:
            held = [peer.connect() for _ in range(3)]
            for c in held:
                c.ask("hello")
            if how == "exit":
                held[0].text("exit:")
                peer.tally.add("unanswered")
            else:
                server.process.send_signal(getattr(signal, how))
            server.process.wait(10)
            for c in held:
                c.await_server_exit()
            dump = watch.finish()
    assert_equal(dump, peer.tally)
    assert dump["errors"]["causes"] == {"server_exit": 3}


# -- what is left behind --------------------------------------------------------------------------------------------------

def held_by(pid):
    """(kind, id) of the BPF programs and maps that a process holds, directly or through a link."""
    held = set()
    for info in Path(f"/proc/{pid}/fdinfo").iterdir():
        try:
            lines = dict(line.split(":\t", 1) for line in info.read_text().splitlines() if ":\t" in line)
        except FileNotFoundError:
            continue
        held |= {(kind, int(lines[f"{kind}_id"])) for kind in ("prog", "map") if f"{kind}_id" in lines}
    return held


def in_kernel():
    """(kind, id) of every BPF program and map of this host."""
    return {(kind, entry["id"]) for kind in ("prog", "map")
            for entry in json.loads(subprocess.run(["bpftool", "-j", kind, "list"], capture_output=True, check=True).stdout)}


@pytest.mark.parametrize("end", ["its time", "SIGINT", "SIGTERM", "SIGKILL"])
def test_nothing_is_left_in_the_kernel(running, end):
    before = in_kernel()
    peer = Peer(running("node_ws"))
    with watched(peer.running) if end != "its time" else Watch("--port", peer.running.port, seconds=2) as watch:
        c = peer.connect()  # an open connection holds state in the kernel
        c.ask("hello")
        ours = held_by(watch.pid)
        assert {kind for kind, _ in ours} == {"prog", "map"} and ours <= in_kernel() and not ours & before
        if end == "its time":
            watch.result()
        elif end == "SIGKILL":
            watch.kill()
        else:
            watch.finish(getattr(signal, end))
        wait_until(lambda: not (in_kernel() - before) & ours, f"the kernel to be free of {sorted(ours)}", 60)
        c.ask("the server goes on")
        c.close(1000)


def pinned():
    return set(Path("/sys/fs/bpf").rglob("*"))  # empty where no bpffs is mounted


def test_nothing_is_pinned(running):
    before = pinned()
    with watched(running("node_ws")) as watch:
        watch.finish()
    assert pinned() == before


def test_stdin_and_descriptors_do_not_matter(running):
    """Started with closed descriptors, as some init systems do, it must not write its dump into a BPF map's descriptor."""
    done = subprocess.run(["sh", "-c", f"exec {WSVITALS} snapshot --for 1 --port {running('node_ws').port} --json <&- 2>&-"],
                          capture_output=True, timeout=30)
    assert done.returncode == 0
    assert json.loads(done.stdout)["connections"]["total"] == 0
