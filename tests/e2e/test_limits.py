"""What finds no room, cannot be read, or comes from two CPUs at a time: counted and shown, never silent, never guessed, and
never an effect on the server. Tables are made small by the trial build, so that a test can fill them."""
import ctypes
import os
import signal
import socket
import subprocess
import tempfile
import threading
from contextlib import ExitStack, contextmanager

import pytest

from agent import TRIAL
from ends import RFC_KEY, Ends, request, response
from scenarios import Peer, bytes_of, together
from servers import Running, free_port, wait_idle, wait_until
from test_paths import paths, unix
from watch import Watch, assert_balanced, assert_equal, counted, differences, nonzero
from wsclient import BINARY, CLOSE, PING, TEXT, frame

MAX_SERVERS = 64 - 2  # bpf/event.h; two slots are taken
MAX_CODES = 64


def small(**maps):
    """Options of a Watch whose tables are this small."""
    return {"program": TRIAL, "env": {"WSVITALS_TRIAL_MAPS": ",".join(f"{name}={n}" for name, n in maps.items())}}


def losses(dump):
    """What is said to be lost, and nothing else is."""
    return nonzero(dump["capture"]["losses"])


def test_upgrades_beyond_the_table_are_counted_and_their_connections_found_by_their_frames(running):
    """Six upgrades wait for their answers at a time; four can be kept. Of the others path and user are lost, and nothing else."""
    peer = Peer(running("node_ws"))
    held = []
    with Watch("--pid", peer.running.pid, **small(heads=4)) as watch:
        together(lambda i: held.append(peer.connect("/slow/400")), 6)
        for c in held:
            for n in range(5):
                c.echo(TEXT, b"served %d" % n)
            c.close(1000)
        peer.running.wait_idle()
        dump = watch.finish()
    assert losses(dump) == {"heads_full": 2}
    assert (counted(dump)["opened"], counted(dump)["closed"]) == (6, 6) and dump["connections"]["resynced"] == 2
    assert (counted(dump)["received"], counted(dump)["sent"]) == (peer.tally["received"], peer.tally["sent"])
    assert_balanced(dump)


def test_a_head_that_is_longer_than_what_is_kept_still_makes_a_connection(running):
    peer = Peer(running("node_ws"))
    with Watch("--port", peer.running.port, "--pid", peer.running.pid) as watch:
        c = peer.connect("/long", headers=("X-Long: " + "l" * 6000,))
        c.echo(TEXT, b"hello")
        c.close(1000)
        peer.running.wait_idle()
        dump = watch.finish()
    assert_equal(dump, peer.tally)
    assert losses(dump) == {"heads_long": 1}


def test_an_upgrade_behind_more_requests_than_are_looked_at_is_known_by_its_frames():
    """All in one read; the connection has no request that was read, and is not passed over in silence."""
    many = 500
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", free_port())))
        with Watch("--port", listener.getsockname()[1], "--pid", os.getpid()) as watch:
            client = stack.enter_context(socket.create_connection(listener.getsockname()))
            server = stack.enter_context(listener.accept()[0])
            asked = b"GET / HTTP/1.1\r\n\r\n" * many + request(RFC_KEY)
            client.sendall(asked)
            assert server.recv(len(asked), socket.MSG_WAITALL) == asked
            server.sendall(b"HTTP/1.1 204 No Content\r\n\r\n" * many + response(RFC_KEY))
            for _ in range(10):
                client.sendall(frame(TEXT, b"hello"))
                server.recv(64)
                server.sendall(frame(TEXT, b"hello", masked=False))
            dump = watch.finish()
    assert losses(dump)["frames_capped"] == 2  # the server's socket, and the client's
    assert (counted(dump)["opened"], counted(dump)["received"], counted(dump)["sent"]) == (1, 10, 10)
    assert_balanced(dump)


def test_ways_to_end_beyond_the_table_are_counted(running):
    """Close codes come from strangers. The connections are closed all the same."""
    peer = Peer(running("node_ws"))
    codes = [1000, 1001, 4000, 4001, 4002, 4003]
    with Watch("--pid", peer.running.pid, **small(outcomes=4)) as watch:
        for code in codes:
            c = peer.connect()
            c.close(code)
        peer.running.wait_idle()
        dump = watch.finish()
    assert losses(dump) == {"outcomes_full": 2}
    assert (counted(dump)["opened"], counted(dump)["closed"]) == (6, 6)
    assert sum(sum(by.values()) for by in counted(dump)["close_codes"].values()) == 4
    assert_balanced(dump)


def test_close_codes_that_a_client_makes_up_fill_only_their_part_of_the_table():
    """The codes that have a name still count under it, and so do the other server's."""
    made_up, named = range(3500, 3500 + MAX_CODES + 6), (1000, 1008, 4401)
    with ExitStack() as stack:
        hostile, other = (stack.enter_context(socket.create_server(("127.0.0.1", free_port()))) for _ in range(2))
        with Watch("--port", f"{hostile.getsockname()[1]},{other.getsockname()[1]}", "--pid", os.getpid()) as watch:
            for listener, codes in ((hostile, made_up), (hostile, named), (other, (4000, 4999))):
                for code in codes:
                    with Ends(listener) as ends:
                        ends.up(frame(CLOSE, code.to_bytes(2, "big")))
            dump = watch.finish()
    codes = {code: by["client"] for code, by in counted(dump)["close_codes"].items()}
    assert codes.pop("other") == 6
    assert set(codes.values()) == {1} and len(codes) == MAX_CODES + len(named) + 2
    assert {"1000", "1008", "4401", "4000", "4999"} < codes.keys()
    assert counted(dump)["errors"] == {"application_error": len(made_up) + 2, "policy_violation": 1, "authentication_error": 1}
    assert losses(dump) == {}
    assert_balanced(dump)


def test_servers_beyond_the_table_are_counted_as_other():
    """Their connections and messages are in the totals."""
    more = 3
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", free_port()))) for _ in range(MAX_SERVERS + more)]
        with Watch("--pid", os.getpid()) as watch:
            for listener in listeners:
                ends = stack.enter_context(Ends(listener))
                ends.up(frame(TEXT, b"hello"))
            dump = watch.finish()
    assert losses(dump) == {"servers_full": more}
    assert dump["connections"]["total"] == dump["messages"]["received"] == len(listeners)
    assert len(dump["connections"]["by_server"]) == MAX_SERVERS + 1
    assert dump["connections"]["by_server"]["other"] == more
    assert_balanced(dump)


def test_upgrades_that_are_refused_leave_room_for_servers_that_accept():
    """Somebody asks every port of the host for a WebSocket before the first real one opens."""
    ports, servers = MAX_SERVERS, 5
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", free_port()))) for _ in range(ports + servers)]
        with Watch("--pid", os.getpid()) as watch:
            for listener in listeners[:ports]:
                with socket.create_connection(listener.getsockname()) as client, listener.accept()[0] as server:
                    client.sendall(request(RFC_KEY))
                    server.recv(65536)
                    server.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                    client.recv(65536)
            for listener in listeners[ports:]:
                stack.enter_context(Ends(listener))
            real = {str(listener.getsockname()[1]): 1 for listener in listeners[ports:]}
            dump = watch.finish()
    shown = {name.rpartition(":")[2]: n for name, n in dump["connections"]["by_server"].items() if n}
    assert shown == real
    assert counted(dump)["refused"] == {"404": ports}
    assert losses(dump).keys() == {"servers_full"}
    assert_balanced(dump)


def test_unix_sockets_beyond_the_table_are_counted(tmp_path):
    with Running(unix("plain"), host=f"{tmp_path}/app.sock") as running:
        peer = Peer(running)
        with Watch("--pid", running.pid, **small(unix_conns=2)) as watch:
            held = [peer.connect() for _ in range(5)]
            for c in held:
                c.echo(TEXT, b"hello")
            dump = watch.finish()
        for c in held:
            c.close(1000)
    assert losses(dump) == {"unix_full": 3}
    assert dump["connections"]["total"] == dump["messages"]["received"] == dump["messages"]["sent"] == 2
    assert_balanced(dump)


def test_io_uring_of_strangers_leaves_nothing_in_the_table():
    """A request is noted before its socket is known to be out of scope."""
    with Running(paths("uring"), host="::") as stranger, Running(paths("uring"), host="::") as running:
        peer = Peer(running, host="127.0.0.1")
        with Watch("--port", running.port, "--pid", running.pid, **small(armed=1)) as watch:
            c = Peer(stranger, host="127.0.0.1").connect()
            c.ask("hello")
            c.close(1000)
            wait_idle(stranger)
            c = peer.connect()
            c.echo(TEXT, b"hello")
            c.close(1000)
            wait_idle(running)
            dump = watch.finish()
    assert_equal(dump, peer.tally)
    assert losses(dump) == {}


def test_requests_of_io_uring_beyond_the_table_are_gaps():
    """Which buffer a request has that waited is then not known: its bytes are a gap, not a message."""
    with Running(paths("uring"), host="::") as running:
        peer = Peer(running, host="127.0.0.1")
        with Watch("--port", running.port, "--pid", running.pid, **small(armed=1)) as watch:
            held = [peer.connect() for _ in range(4)]
            for n in range(5):
                for c in held:
                    c.echo(BINARY, bytes_of(100 + n))
            for c in held:
                c.close(1000)
            running.wait_idle()
            dump = watch.finish()
    assert losses(dump)["armed_full"] > 0
    ours = counted(dump)
    assert ours["received"] <= 20 and ours["violations"] == {}
    assert ours["seen_received"] <= peer.tally["wire.received"]
    assert_balanced(dump)


def test_records_that_find_the_ring_full_are_counted_and_no_number_is_lost(running):
    """wsvitals stands still while connections come and go."""
    peer = Peer(running("node_ws"))
    with Watch("--port", peer.running.port, "--pid", peer.running.pid, **small(events=4096)) as watch:
        watch.process.send_signal(signal.SIGSTOP)
        try:
            for i in range(30):
                c = peer.connect(f"/room/{i}")
                c.echo(TEXT, b"hello")
                c.close(1000)
            peer.running.wait_idle()
        finally:
            watch.process.send_signal(signal.SIGCONT)
        dump = watch.finish()
    assert_equal(dump, peer.tally)
    events = dump["capture"]["events"]
    assert events["dropped"]["ring"] > 20 and events["received"] > 3
    assert_balanced(dump)


# -- kernels that lack tracepoints --------------------------------------------------------------------------------------------


def without(*tracepoints):
    return {"program": TRIAL, "env": {"WSVITALS_TRIAL_LACKS": ",".join(tracepoints)}}


REQUIRED = ("sock_recv_length", "sock_send_length", "inet_sock_set_state", "tcp_destroy_sock", "tcp_receive_reset", "tcp_send_reset")


@pytest.mark.parametrize("command", [("snapshot", "--for", "1"), ("run", "--db", "{0}/db", "--run-dir", "{0}/run")],
                         ids=["snapshot", "run"])
@pytest.mark.parametrize("tracepoint", REQUIRED)
def test_a_tracepoint_that_the_kernel_lacks_is_named(command, tracepoint):
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)  # the agent's own user has to enter
        done = subprocess.run([TRIAL, *(word.format(directory) for word in command), "--port", str(free_port())],
                              env=os.environ | without(tracepoint)["env"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1 and done.stdout == "", done.stderr
    line, = done.stderr.splitlines()
    assert tracepoint in line and "6.3" in line


def test_doctor_names_the_tracepoints_that_the_kernel_lacks():
    lacks = ("sock_recv_length", "sk_data_ready", "io_uring_poll_arm")
    done = subprocess.run([TRIAL, "doctor"], env=os.environ | without(*lacks)["env"], capture_output=True, text=True, timeout=30)
    lines = done.stdout.splitlines()
    for tracepoint in lacks:
        assert [line for line in lines if tracepoint in line and "does not have" in line], done.stdout
    assert done.returncode == 1, done.stdout


def test_without_queue_waits_tracepoint_all_else_is_exact(running):
    peer = Peer(running("node_ws"))
    with Watch("--port", peer.running.port, "--pid", peer.running.pid, **without("sk_data_ready")) as watch:
        c = peer.connect()
        c.echo(TEXT, b"hello")
        c.close(1000)
        peer.running.wait_idle()
        dump = watch.finish()
    hooks = {h["name"].removeprefix("tp_btf/"): h for h in dump["capture"]["hooks"]}
    assert [name for name, h in hooks.items() if not h["attached"]] == ["sk_data_ready"]
    assert "does not have" in hooks["sk_data_ready"]["reason"]
    assert dump["messages"]["queue_wait"] is None
    assert not differences(dump, peer.tally)
    assert dump["capture"]["balanced"] is True


# -- memory that cannot be read, frames without end -------------------------------------------------------------------------


@contextmanager
def ends_here():
    """Both ends of a connection, watched from the server's side."""
    with socket.create_server(("127.0.0.1", free_port())) as listener, \
            Watch("--port", listener.getsockname()[1], "--pid", os.getpid()) as watch, Ends(listener) as ends:
        yield ends, watch


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]


def test_a_reader_that_overwrites_where_it_reads_to_makes_a_gap():
    """The array of buffers lies in the buffer: what was read is not where the call's arguments say any more."""
    libc = ctypes.CDLL(None, use_errno=True)
    memory = ctypes.create_string_buffer(4096)
    message = frame(BINARY, bytes_of(1000))
    with ends_here() as (ends, watch):
        ends.up(frame(TEXT, b"before"))
        ends.client.sendall(message)
        wait_until(lambda: len(ends.server.recv(4096, socket.MSG_PEEK)) == len(message), "the message")
        Iovec.from_buffer(memory).base, Iovec.from_buffer(memory).len = ctypes.addressof(memory), len(memory)
        assert libc.readv(ends.server.fileno(), memory, 1) == len(message)
        assert memory.raw[:len(message)] == message
        dump = watch.finish()
    assert losses(dump) == {"read_failed": 1, "desync": 1}
    assert dump["messages"]["received"] == 1
    assert dump["capture"]["bytes"]["received"]["gap"] == len(message)
    assert_balanced(dump)


def test_more_frames_in_one_call_than_a_run_may_parse_are_a_gap():
    """80 000 pings in one write. One run of a program has to end, and soon."""
    pings, most = 80_000, 1 << 16  # bpf/stream.bpf.h, STREAM_STEPS
    with ends_here() as (ends, watch):
        reader = threading.Thread(target=ends.drain, args=(2 * pings,))
        reader.start()
        assert ends.server.send(frame(PING, masked=False) * pings) == 2 * pings
        reader.join()
        dump = watch.finish()
    found = losses(dump)
    assert found["frames_capped"] == 1 and found["desync"] == 1
    sent = dump["messages"]["control"]["sent"]["ping"]
    assert most <= sent <= most + 1
    assert dump["capture"]["bytes"]["sent"]["gap"] == 2 * (pings - sent)
    assert_balanced(dump)


# -- two CPUs at a time -----------------------------------------------------------------------------------------------------


def test_threads_that_read_one_connection_at_a_time_make_gaps_and_no_messages():
    """Which of two reads came first is not known when they end together: then that is said, and nothing is invented. On a busy
    machine the threads may take turns, and all is exact; so this is done until they do not."""
    with Running(paths("crowd"), host="::") as running:
        for _ in range(20):
            if read_by_a_crowd(running):
                return
    raise AssertionError("the threads never read at a time")


def read_by_a_crowd(running):
    """Whether two CPUs met."""
    messages = size = 0
    with Watch("--port", running.port, "--pid", running.pid) as watch:
        c = Peer(running, host="127.0.0.1").connect()
        for _ in range(200):
            data = b"".join(c.encode(BINARY, bytes_of(n))[0] for n in range(500))
            c.write(data)
            messages += 500
            size += len(data)
        c.fin()
        running.wait_idle()
        dump = watch.finish()
    assert dump["capture"]["bytes"]["received"]["seen"] == size
    assert counted(dump)["violations"] == {}
    assert_balanced(dump)
    found = losses(dump)
    if not found:
        assert dump["messages"]["received"] == messages
        return False
    assert found.get("contended", 0) + found.get("reordered", 0) > 0, found
    assert dump["messages"]["received"] < messages
    return True
