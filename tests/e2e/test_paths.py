"""Every way a server moves bytes: one mode of servers/paths.c each, with the client's tally as the truth."""
import json
import os
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from scenarios import MEGABYTE, Peer, bytes_of, text_of, together
from servers import Running, Server, wait_until
from watch import Watch, assert_balanced, assert_equal, assert_pairing, counted, differences, watched
from wsclient import BINARY, TEXT, connect, frame

PATHS = ("gcc", "-O1", "-g", "-Wall", "-Wextra", "-Wno-missing-field-initializers", "-D_GNU_SOURCE", "-include", "paths.h", "-o", "{build}/paths",
         "paths.c", "paths_link.c", "paths_uring.c", "-lpthread", "-luring")

PATHS_32 = tuple("{build}/paths32" if word == "{build}/paths" else word for word in PATHS if word not in ("paths_uring.c", "-luring")) \
    + ("-m32", "-DNO_URING")


def paths(mode):
    return Server("paths", ("{build}/paths", mode, "{port}"), build=PATHS, comm="paths")


def converse(c, largest=MEGABYTE):
    """Each header form, fragments, control frames between them, and cuts, in lock step."""
    for n in (0, 1, 2, 125, 126, 3000, 65535, 65536, largest):
        c.echo(BINARY, bytes_of(n))
    c.echo(TEXT, text_of(300), cut=1)
    c.send(TEXT, b"first ", fin=False)
    c.send(0, b"second")
    c.expect(TEXT, b"first second")
    c.ping(b"alive?")


def observe(mode, talk=converse, host="127.0.0.1", end=1000):
    """One conversation with the server in this mode: (what wsvitals says, what the client did)."""
    with Running(paths(mode), host="::") as running:
        peer = Peer(running, host=host)
        with watched(running) as watch:
            c = peer.connect()
            talk(c)
            if end:
                c.close(end)
            else:
                c.fin()
            running.wait_idle()
            dump = watch.finish()
    return dump, peer.tally


# -- found, and equal ---------------------------------------------------------------------------------------------------

EXACT = ("plain", "waitall", "dontwait", "peek", "zerocopy-send", "mmsg", "mmsg-partial", "sendfile", "splice-out", "aio",
         "aio-vector", "threads", "pass", "fork", "exec", "prefork")


@pytest.mark.parametrize("mode", EXACT)
def test_counts_equal_the_tally(mode):
    dump, tally = observe(mode)
    assert_equal(dump, tally)
    assert_pairing(dump, tally)
    assert {name.partition("@")[0] for name in dump["connections"]["by_server"]} <= {f"paths:{dump_port(dump)}"}


URING = ("uring", "uring-defer", "uring-sqpoll", "uring-async", "uring-files", "uring-waitall", "uring-waitall-msg",
         "uring-poll-first", "uring-read-only", "uring-write-only", "uring-select", "uring-bundle", "uring-multishot",
         "uring-multishot-defer", "uring-multishot-msg", "uring-msg", "uring-msg-zc", "uring-zc", "uring-zc-fixed", "uring-rw",
         "uring-rw-async", "uring-rwv", "uring-fixed", "uring-chain", "uring-chain-files")


@pytest.mark.parametrize("mode", URING)
def test_io_uring(mode):
    dump, tally = observe(mode)
    assert_equal(dump, tally)
    assert_pairing(dump, tally)


@pytest.mark.parametrize("mode", URING)
def test_io_uring_with_many_connections_on_one_ring(mode):
    with Running(paths(mode), host="::") as running:
        peer = Peer(running, host="127.0.0.1")
        with watched(running) as watch:
            together(lambda i: worker(peer, i), 16)
            running.wait_idle()
            dump = watch.finish()
    assert_equal(dump, peer.tally)
    assert_pairing(dump, peer.tally)


def test_io_uring_receives_while_its_task_sits_in_a_write_on_the_same_socket():
    """The registers then tell of the write: taken for the receive's, they give the wrong buffer."""
    messages = [(BINARY, bytes_of(3000, i)) for i in range(400)]

    def talk(c):
        data, notes = zip(*(c.encode(*m) for m in messages))
        sender = threading.Thread(target=c.write, args=(b"".join(data),))
        sender.start()
        for m in messages:
            c.expect(*m)
        sender.join()
        for note in notes:
            note()
    dump, tally = observe("uring-cross", talk)
    assert_equal(dump, tally)


def dump_port(dump):
    return next(iter(dump["connections"]["by_server"]), ":0").partition("@")[0].rpartition(":")[2]


def test_a_connection_that_is_passed_on_after_its_upgrade():
    """Who reads the frames is another process than who read the upgrade; the connection is one."""
    dump, tally = observe("pass-late")
    assert_equal(dump, tally)
    assert_pairing(dump, tally)


def test_an_ipv4_client_of_an_ipv6_listener():
    dump, tally = observe("plain", host="127.0.0.1")
    assert_equal(dump, tally)
    dump, tally = observe("plain", host="::ffff:127.0.0.1")
    assert_equal(dump, tally)
    dump, tally = observe("plain", host="::1")
    assert_equal(dump, tally)


@pytest.mark.parametrize("mode", ["threads", "prefork", "mmsg", "aio", "pass"])
def test_many_connections_at_once(mode):
    """`pass` has one worker, which serves them one after the other."""
    with Running(paths(mode), host="::") as running:
        peer = Peer(running, host="127.0.0.1")
        with watched(running) as watch:
            together(lambda i: worker(peer, i), 1 if mode == "pass" else 16)
            running.wait_idle()
            dump = watch.finish()
    assert_equal(dump, peer.tally)
    assert_pairing(dump, peer.tally)


def worker(peer, i):
    c = peer.connect(f"/room/{i}")
    for n in range(40):
        c.echo(TEXT if n % 2 else BINARY, bytes_of(n * 37, i))
    c.close(1000)


# -- not readable, and said so ------------------------------------------------------------------------------------------

@pytest.mark.parametrize("mode", ["splice-in", "zerocopy-in"])
@pytest.mark.parametrize("end", [1000, None], ids=["close frame", "end of stream"])
def test_payload_that_passes_without_an_event_is_an_exact_gap(mode, end):
    """Headers are read; payload goes by. The stream stays in step, no message is lost, and the bytes are a gap. With the
    end of the stream nothing is read after the last payload: the gap is found at the server's close."""
    sizes = (10, 200, 3000, 20000)

    def talk(c):
        for n in sizes:
            c.echo(BINARY, bytes_of(n))
    dump, tally = observe(mode, talk, end=end)
    ours = counted(dump)
    wrong = {name: both for name, both in differences(dump, tally).items() if name not in ("gap_received", "payload_received")}
    assert not wrong, wrong
    assert ours["gap_received"] == sum(sizes)
    assert ours["payload_received"] == tally["control_bytes.received"]
    assert dump["capture"]["losses"]["desync"] == 0
    assert_balanced(dump)


def test_discarded_payload_is_payload():
    """MSG_TRUNC: the bytes are nowhere, but they are inside a payload whose length is known."""
    def talk(c):
        for n in (10, 200, 70000):
            c.send(BINARY, bytes_of(n))
            key_dependent = c.receive()
            assert len(key_dependent[1]) == n
    dump, tally = observe("trunc", talk, end=None)
    assert_equal(dump, tally)
    assert_pairing(dump, tally)


def test_bytes_discarded_across_frames_are_a_gap_and_invent_nothing():
    def talk(c):
        for n in (10, 200, 3000):
            c.send(BINARY, bytes_of(n))
    dump, tally = observe("discard", talk, end=None)
    ours = counted(dump)
    assert ours["gap_received"] == ours["seen_received"] == tally["wire.received"]
    assert (ours["received"], ours["violations"]) == (0, {})
    assert dump["capture"]["losses"]["truncated"] >= 1 and dump["capture"]["losses"]["desync"] == 1
    assert_balanced(dump)


@pytest.mark.parametrize("mode, readable", [("sendfile-all", 0), ("aio-twice", 0)])
def test_frames_that_are_in_no_memory_are_a_gap_and_invent_nothing(mode, readable):
    def talk(c):
        for n in (10, 200, 3000):
            c.echo(BINARY, bytes_of(n))
    dump, tally = observe(mode, talk)
    ours = counted(dump)
    assert ours["gap_sent"] == ours["seen_sent"] == tally["wire.sent"]
    assert (ours["sent"], ours["violations"], ours["received"]) == (0, {}, 3)
    assert dump["capture"]["losses"]["no_buffer"] >= 1
    assert_balanced(dump)


# -- Unix sockets ---------------------------------------------------------------------------------------------------------

def unix(mode):
    return Server("paths", ("{build}/paths", mode, "{host}"), build=PATHS, comm="paths")


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "app.sock")


def observe_unix(mode, where, talk, scope=()):
    with Running(unix(mode), host=where) as running:
        peer = Peer(running)
        with Watch(*(word for pid in (running.pid, *scope) for word in ("--pid", pid))) as watch:
            talk(peer)
            if running.process.poll() is None:
                running.wait_idle()
            # whatever ended without an event is found by the walk, once a second
            wait_until(lambda: not states(watch.pid), "the table of Unix sockets to be empty")
            dump = watch.finish()
    return dump, peer.tally


def states(pid):
    """Entries of the tables of Unix sockets that a running wsvitals holds."""
    ids = set()
    for info in Path(f"/proc/{pid}/fdinfo").iterdir():
        try:
            ids |= {line.split()[1] for line in info.read_text().splitlines() if line.startswith("map_id:")}
        except FileNotFoundError:
            continue
    maps = json.loads(subprocess.run(["bpftool", "-j", "map", "list"], capture_output=True, check=True).stdout)
    names = {m["id"]: m.get("name") for m in maps if str(m["id"]) in ids}
    assert {"unix_conns", "unix_owners"} <= set(names.values())
    return sum(len(json.loads(subprocess.run(["bpftool", "-j", "map", "dump", "id", str(n)], capture_output=True, check=True).stdout))
               for n, name in names.items() if name in ("unix_conns", "unix_owners"))


def one(peer):
    c = peer.connect()
    converse(c)
    c.close(1000)


@pytest.mark.parametrize("mode", ["plain", "dontwait", "peek", "mmsg", "sendfile", "threads", "pass-late", "fork", "aio", "uring",
                                  "uring-multishot", "uring-sqpoll", "uring-async", "uring-rwv", "uring-msg"])
def test_a_unix_socket_equals_the_tally(mode, path):
    dump, tally = observe_unix(mode, path, one)
    assert_equal(dump, tally)
    assert_pairing(dump, tally)
    assert dump["upstream"] == {"connections": 0, "messages": 0}


def test_an_abstract_name_and_the_servers_label(path):
    for where in (path, "@wsvitals-test"):
        held = []

        def talk(peer):
            held.append(peer.connect("/chat"))
            held[0].ask("hello")
        with Running(unix("plain"), host=where) as running:
            peer = Peer(running)
            with Watch("--pid", running.pid) as watch:
                talk(peer)
                dump = watch.finish()
            assert_equal(dump, peer.tally, still_open=1)
            assert {name.partition("@wsvitals.")[0]: n for name, n in dump["connections"]["by_server"].items()} \
                == {name: 1 for name in dump["connections"]["by_server"]}
            (name,) = dump["connections"]["by_server"]
            assert name.startswith(f"paths:{where}"[:60]), name
            held[0].close(1000)


def test_ends_of_unix_connections(path):
    """Each way to end; afterwards no state is left."""
    def talk(peer):
        for end in (lambda c: c.close(1000), lambda c: c.close(4401), lambda c: c.fin(), lambda c: hang_up(c)):
            for _ in range(3):
                c = peer.connect()
                c.ask("hello")
                end(c)
    dump, tally = observe_unix("plain", path, talk)
    assert_equal(dump, tally)


def hang_up(c):
    """Closed with nothing under way: the server reads an end of stream."""
    c.sock.close()
    c.note_abnormal("fin_without_close")


def test_a_server_that_dies_with_unix_connections(path):
    def talk(peer):
        held = [peer.connect() for _ in range(3)]
        for c in held:
            c.ask("hello")
        peer.running.kill()
        for c in held:
            c.await_server_exit()
    dump, tally = observe_unix("plain", path, talk)
    assert_equal(dump, tally)


def test_many_unix_connections_come_and_go_and_leave_no_state(path):
    """Addresses of sockets are used again at once; the table must not keep the dead."""
    def talk(peer):
        together(lambda i: [worker(peer, i) for _ in range(20)], 16)
    dump, tally = observe_unix("threads", path, talk)
    assert tally["opened"] == 320
    assert_equal(dump, tally)


def test_both_ends_of_a_unix_connection(path):
    """The client's side is an upstream leg, and the server's numbers are the server's alone."""
    dump, tally = observe_unix("plain", path, one, scope=(os.getpid(),))
    assert_equal(dump, tally)
    assert dump["upstream"]["messages"] == tally["received"] + tally["sent"]


def test_unix_sockets_that_are_no_websockets(path):
    """Out of step with HTTP from the first byte, or a socketpair: nothing is counted, and the neighbour is exact."""
    def talk(peer):
        for first in (b"\0AUTH EXTERNAL\r\n", b"GET / HTTP/1.0\r\n\r\n", bytes(5000), b"\x81\x05hello"):
            with connect(path, 0) as s:
                s.sendall(first)
                s.shutdown(socket.SHUT_WR)
                while s.recv(65536):
                    pass
        one(peer)
    dump, tally = observe_unix("plain", path, talk)
    assert_equal(dump, tally)


# -- not covered, and counted as that -------------------------------------------------------------------------------------

def unsupported(running, talk, connections):
    with watched(running) as watch:
        talk()
        running.wait_idle()
        dump = watch.finish()
    ours = counted(dump)
    assert (ours["opened"], ours["received"], ours["sent"], ours["errors"]) == (0, 0, 0, {}), ours
    assert dump["capture"]["losses"]["unsupported"] == connections
    assert_balanced(dump)


def test_a_32_bit_server_is_counted_as_unsupported():
    """Its system calls have other numbers, and other structs behind them."""
    with Running(Server("paths32", ("{build}/paths32", "plain", "{port}"), build=PATHS_32, comm="paths32"), host="::") as running:
        peer = Peer(running, host="127.0.0.1")

        def talk():
            for _ in range(3):
                c = peer.connect()
                converse(c, 70000)
                c.close(1000)
        unsupported(running, talk, 3)


def test_an_mptcp_client_is_counted_as_unsupported_and_a_tcp_client_of_the_same_listener_is_exact():
    with Running(paths("mptcp"), host="::") as running:
        peer = Peer(running, host="127.0.0.1")

        def talk():
            for _ in range(2):
                with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_MPTCP) as s:
                    s.settimeout(10)
                    s.connect(("127.0.0.1", running.port))
                    s.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                              b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
                    s.sendall(frame(TEXT, b"hello"))
                    data = b""
                    while not data.endswith(b"\x81\x05hello"):
                        data += s.recv(65536)
                    assert data.startswith(b"HTTP/1.1 101")
        # both ends are on this host: a socket that was accepted, and one that connected
        unsupported(running, talk, 4)
        with watched(running) as watch:
            c = peer.connect()
            converse(c)
            c.close(1000)
            running.wait_idle()
            dump = watch.finish()
    assert_equal(dump, peer.tally)


# -- what the kernel refuses us ---------------------------------------------------------------------------------------------

def test_exhausted_option_memory_is_counted_and_the_server_unharmed():
    """State is charged to the socket's option memory. None left: the sockets are not observed, and said to be."""
    name = f"wsv-mem-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        subprocess.run(["ip", "netns", "exec", name, "sysctl", "-qw", "net.core.optmem_max=64"], check=True)
        with Running(paths("plain"), host="::", prefix=("ip", "netns", "exec", name)) as running:
            peer = Peer(running, host="127.0.0.1", netns=f"/run/netns/{name}")
            with Watch("--port", running.port, "--netns", f"/run/netns/{name}") as watch:
                one(peer)
                running.wait_idle()
                dump = watch.finish()
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)
    ours = counted(dump)
    assert (ours["opened"], ours["received"], ours["sent"], ours["errors"]) == (0, 0, 0, {})
    assert dump["capture"]["losses"]["conn_full"] > 0
    assert_balanced(dump)
