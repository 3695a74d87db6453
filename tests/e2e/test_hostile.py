"""Requests and clients that mean harm: nothing is served that should not be, and nobody else waits for it."""
import os
import resource
import select
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agent import Agent, free_port
from rawhttp import Client, parse

METRICS = b"/api/websocket/metrics/"
ELSEWHERE = "127.0.0.2"  # wrong credentials from here lock nobody else out


def usage(pid):
    """(open descriptors, resident KiB); the store opens its files when it first writes, whoever asks."""
    status = Path(f"/proc/{pid}/status").read_text()
    files = [file_of(pid, fd) for fd in os.listdir(f"/proc/{pid}/fd")]
    return len([f for f in files if ".db" not in f]), int(status.split("VmRSS:")[1].split()[0])


def file_of(pid, fd):
    try:
        return os.readlink(f"/proc/{pid}/fd/{fd}")
    except OSError:
        return ""  # closed meanwhile


def settle(agent, fds, seconds=45):
    """Waits until the agent has closed what clients left; how many descriptors it then has."""
    until = time.monotonic() + seconds
    while usage(agent.agent_pid)[0] > fds and time.monotonic() < until:
        time.sleep(0.2)
    return usage(agent.agent_pid)[0]


def seconds_to_answer(agent, n=10, source="127.0.0.1"):
    """The slowest of n answers, each over a connection of its own."""
    slowest = 0
    for _ in range(n):
        start = time.monotonic()
        assert agent.ask("/healthz", token=False, source=source, timeout=20).status == 200
        slowest = max(slowest, time.monotonic() - start)
    return slowest


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Loris(threading.Thread):
    """Clients that send a byte now and then, while the other tests go on: half of them of a header."""

    def __init__(self, agent):
        super().__init__(daemon=True)
        self.agent, self.ended, self.waits, self.over = agent, [], [], False
        seconds_to_answer(agent)
        self.fds = usage(agent.agent_pid)[0]
        self.cpu = -cpu_seconds(agent.agent_pid)
        self.slow = [Client(agent.port, source=f"127.0.2.{i % 4 + 1}", timeout=0.01) for i in range(40)]
        for client in self.slow[:20]:
            client.send(b"GET /healthz HTTP/1.1\r\nX-Slow: ")
        self.start()

    def run(self):
        begin = time.monotonic()
        while self.slow and not self.over and time.monotonic() < begin + 45:
            for client in list(self.slow):
                try:
                    client.socket.send(b"a")
                    if client.socket.recv(1000) == b"":
                        raise ConnectionResetError
                except TimeoutError:
                    continue
                except OSError:
                    self.slow.remove(client)
                    client.close()
                    self.ended.append(time.monotonic() - begin)
            self.waits.append(seconds_to_answer(self.agent, 1))
            time.sleep(0.5)
        self.cpu += cpu_seconds(self.agent.agent_pid)


@pytest.fixture(scope="module")
def loris():
    with Agent("--port", free_port()) as agent:
        loris = Loris(agent)
        yield loris
        loris.over = True
        loris.join(10)


@pytest.fixture(scope="module")
def agent(loris):
    with Agent("--port", free_port()) as agent:
        agent.token
        yield agent


def request(line=b"GET /healthz HTTP/1.1", *headers, token=None):
    lines = [line, b"Host: 127.0.0.1", *headers]
    if token:
        lines.append(b"Authorization: Bearer " + token.encode())
    return b"\r\n".join(lines) + b"\r\n\r\n"


def one_answer(agent, data, source=None):
    """The only answer to these bytes, after which the agent closes the connection; None when it closes without one."""
    with Client(agent.port, source) as client:
        answer = client.send(data).answer()
        rest = client.rest()
        if answer and "cache-control" in answer.headers:
            assert not rest, f"a second answer: {rest!r} after {answer}"
        # What is not ours libmicrohttpd 0.9.75 has said, which may write the head of such an answer twice.
        assert not rest or answer.status >= 400 and answer.headers["connection"] == "close" and rest.endswith(b"</html>"), rest
        return answer


# What must be refused and how (None: closed without a word); SMUGGLED is what a smuggler would like to be served.
SMUGGLED = b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
FORM = b"Content-Type: application/x-www-form-urlencoded"
REFUSED = {
    "a NUL in the method": (400, b"GET\0 /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
    "a NUL behind the path": (400, b"GET /healthz\0 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
    "a NUL in the path": (400, b"GET /healthz\0/../metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
    "a NUL in the query": (400, b"GET /healthz?\0a=1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
    "a NUL in the version": (400, b"GET /healthz HTTP/1.1\0\r\nHost: 127.0.0.1\r\n\r\n"),
    "a NUL in a header's name": (400, b"GET /healthz HTTP/1.1\r\nHo\0st: x\r\nHost: 127.0.0.1\r\n\r\n"),
    "a NUL in a header's value": (400, b"GET /healthz HTTP/1.1\r\nHost: x\0y\r\n\r\n"),
    "a NUL at the end of a value": (400, b"GET /healthz HTTP/1.1\r\nHost: x\0\r\n\r\n"),
    "a header that begins with a NUL": (400, b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\0: x\r\n" + SMUGGLED),
    "a line that is a NUL": (400, b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\0\r\n" + SMUGGLED),
    "a NUL and line feeds that make up for it": (400, b"GET /healthz HTTP/1.1\nHost: x\nX: a\0b\r\n\r\n"),
    "a blank, and a line feed that makes up for it": (400, b"GET  /healthz HTTP/1.1\r\nHost: x\n\r\n"),
    "a header that is a colon": (400, request(b"GET /healthz HTTP/1.1", b":") + SMUGGLED),
    "an escaped NUL in the path": (400, request(b"GET /healthz%00 HTTP/1.1")),
    "an escaped NUL in the query": (400, request(b"GET /healthz?a=%00 HTTP/1.1")),
    "a broken escape": (400, request(b"GET /healthz%zz HTTP/1.1")),
    "half an escape": (400, request(b"GET /healthz?a=%4 HTTP/1.1")),
    "a blank in the URI": (400, request(b"GET /healthz /x HTTP/1.1")),
    "two blanks before the URI": (400, request(b"GET  /healthz HTTP/1.1")),
    "a tab before the URI": (400, request(b"GET\t/healthz HTTP/1.1")),
    "a blank behind the version": (400, request(b"GET /healthz HTTP/1.1 ")),
    "a blank before the method": (None, request(b" GET /healthz HTTP/1.1")),
    "bytes above ASCII in the URI": (400, request("GET /healthz\u00e9 HTTP/1.1".encode())),
    "a carriage return in the URI": (400, request(b"GET /healthz\r HTTP/1.1")),
    "a carriage return in a value": (400, request(b"GET /healthz HTTP/1.1", b"X: a\rb")),
    "a carriage return that ends a header": (400, b"GET /healthz HTTP/1.1\r\nHost: x\rX: y\r\n\r\n"),
    "a line feed that ends the request line": (400, b"GET /healthz HTTP/1.1\nHost: 127.0.0.1\r\n\r\n"),
    "a line feed that ends a header": (400, b"GET /healthz HTTP/1.1\r\nHost: x\n\r\n"),
    "a line feed that ends the head": (400, b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\n"),
    "a folded header": (400, request(b"GET /healthz HTTP/1.1", b"X: a\r\n b")),
    "a folded first header": (400, b"GET /healthz HTTP/1.1\r\n Host: 127.0.0.1\r\n\r\n"),
    "a folded Authorization": (400, request(b"GET /healthz HTTP/1.1", b"Authorization: Bearer\r\n\tx")),
    "a blank before the colon": (400, b"GET /healthz HTTP/1.1\r\nHost : x\r\n\r\n"),
    "a tab before the colon": (400, request(b"GET /healthz HTTP/1.1", b"X\t: y")),
    "a header without a name": (400, request(b"GET /healthz HTTP/1.1", b": y")),
    "a header without a colon": (400, request(b"GET /healthz HTTP/1.1", b"X")),
    "a control character in a value": (400, request(b"GET /healthz HTTP/1.1", b"X: \x1b[2J")),
    "no Host": (400, b"GET /healthz HTTP/1.1\r\n\r\n"),
    "Host twice": (400, request(b"GET /healthz HTTP/1.1", b"Host: y")),
    "Host twice, the same": (400, request(b"GET /healthz HTTP/1.1", b"host: 127.0.0.1")),
    "Authorization twice": (400, request(b"GET /healthz HTTP/1.1", b"Authorization: Bearer a", b"Authorization: Bearer b")),
    "Cookie twice": (400, request(b"GET /healthz HTTP/1.1", b"Cookie: a=b", b"cookie: c=d")),
    "Content-Length twice": (400, request(b"POST /logout HTTP/1.1", b"Content-Length: 0", b"Content-Length: 0")),
    "Content-Length twice, unlike": (400, request(b"GET /healthz HTTP/1.1", b"Content-Length: 0", b"Content-Length: 5") + b"hello"),
    "Content-Length as a list": (400, request(b"POST /logout HTTP/1.1", b"Content-Length: 0, 0")),
    "a negative Content-Length": (400, request(b"POST /logout HTTP/1.1", b"Content-Length: -1")),
    "a Content-Length with a sign": (400, request(b"POST /logout HTTP/1.1", b"Content-Length: +0")),
    "a Content-Length in hexadecimal": (400, request(b"POST /logout HTTP/1.1", b"Content-Length: 0x5")),
    "a Content-Length that no number holds": (413, request(b"POST /logout HTTP/1.1", b"Content-Length: 99999999999999999999")),
    "a body": (413, request(b"POST /logout HTTP/1.1", b"Content-Length: 5") + b"hello"),
    "a body that does not come": (413, request(b"GET /healthz HTTP/1.1", b"Content-Length: 99999999")),
    "a body that is a request": (413, request(b"GET /healthz HTTP/1.1", b"Content-Length: %d" % len(SMUGGLED)) + SMUGGLED),
    "a body, and a request behind it": (413, request(b"POST /logout HTTP/1.1", b"Content-Length: 5") + b"hello" + SMUGGLED),
    "a body that asks whether it may come": (413, request(b"POST /logout HTTP/1.1", b"Content-Length: 5", b"Expect: 100-continue")),
    "chunks": (413, request(b"POST /logout HTTP/1.1", b"Transfer-Encoding: chunked") + b"0\r\n\r\n" + SMUGGLED),
    "chunks and a length": (413, request(b"POST /logout HTTP/1.1", b"Content-Length: 4", b"Transfer-Encoding: chunked") + b"0\r\n\r\n" + SMUGGLED),
    "a length and chunks": (413, request(b"POST /logout HTTP/1.1", b"Transfer-Encoding: chunked", b"Content-Length: 0") + b"0\r\n\r\n" + SMUGGLED),
    "Transfer-Encoding twice": (400, request(b"POST /logout HTTP/1.1", b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity") + b"0\r\n\r\n" + SMUGGLED),
    "a login in chunks": (413, request(b"POST /login HTTP/1.1", FORM, b"Transfer-Encoding: chunked") + b"7\r\ntoken=x\r\n0\r\n\r\n" + SMUGGLED),
    "a login in chunks and with a length": (413, request(b"POST /login HTTP/1.1", FORM, b"Content-Length: 7", b"Transfer-Encoding: chunked") + b"token=x" + SMUGGLED),
    "a login with two lengths": (400, request(b"POST /login HTTP/1.1", FORM, b"Content-Length: 7", b"Content-Length: 44") + b"token=x" + SMUGGLED),
    "a long login": (413, request(b"POST /login HTTP/1.1", FORM, b"Content-Length: 513") + b"token=" + b"x" * 507 + SMUGGLED),
    "a login that asks whether it may come": (413, request(b"POST /login HTTP/1.1", FORM, b"Content-Length: 7", b"Expect: 100-continue")),
    "a body for the page": (413, request(b"GET /login HTTP/1.1", FORM, b"Content-Length: 7") + b"token=x" + SMUGGLED),
    "an unknown Transfer-Encoding": (413, request(b"GET /healthz HTTP/1.1", b"Transfer-Encoding: xchunked") + b"0\r\n\r\n" + SMUGGLED),
    "Transfer-Encoding without a value": (413, request(b"GET /healthz HTTP/1.1", b"Transfer-Encoding:") + SMUGGLED),
    "an absolute URI": (400, request(b"GET http://x/healthz HTTP/1.1")),
    "the URI of another host": (400, request(b"GET http://example.org/healthz HTTP/1.1")),
    "the URI of CONNECT": (400, request(b"CONNECT example.org:443 HTTP/1.1")),
    "an asterisk": (400, request(b"OPTIONS * HTTP/1.1")),
    "a backslash": (400, request(b"GET /\\healthz HTTP/1.1")),
    "backslashes only": (400, request(b"GET \\healthz HTTP/1.1")),
    "a fragment is no part of a request": (400, request(b"GET /healthz#x HTTP/1.1")),
    "markup": (400, request(b"GET /<script> HTTP/1.1")),
    "a method that is none": (400, request(b"G@T /healthz HTTP/1.1")),
    "no method": (None, request(b" /healthz HTTP/1.1")),
    "HTTP/0.9": (400, b"GET /healthz\r\n\r\n"),
    "HTTP/0.9, with the version": (505, request(b"GET /healthz HTTP/0.9")),
    "HTTP/2": (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "HTTP/3": (505, request(b"GET /healthz HTTP/3.0")),
    "a version that is none": (400, request(b"GET /healthz HTTP/1.1.1")),
    "a version in small letters": (400, request(b"GET /healthz http/1.1")),
    "a long URI": (414, request(b"GET /" + b"a" * 20000 + b" HTTP/1.1")),
    "a long query": (414, request(b"GET /healthz?" + b"a=b&" * 5000 + b" HTTP/1.1")),
    "a long method": (414, b"A" * 20000 + b" / HTTP/1.1\r\n\r\n"),
    "a long header": (431, request(b"GET /healthz HTTP/1.1", b"X: " + b"a" * 20000)),
    "a long header name": (431, request(b"GET /healthz HTTP/1.1", b"X" * 20000 + b": a")),
    "many headers": (431, request(b"GET /healthz HTTP/1.1", *[b"X%d: a" % i for i in range(2000)])),
    "a long cookie": (431, request(b"GET /healthz HTTP/1.1", b"Cookie: " + b"a=b; " * 3000)),
}


@pytest.mark.parametrize("what", REFUSED)
def test_is_refused_once_and_the_connection_closed(agent, what):
    """No second answer: what follows is never taken for a request."""
    status, data = REFUSED[what]
    answer = one_answer(agent, data)
    assert (answer and answer.status) == status, answer


@pytest.mark.parametrize("data", [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)) * 2, b"\0" * 3000, b"\xff" * 3000, b"\r\n" * 3000,
    b"SSH-2.0-OpenSSH_9.2\r\n", b"\0\0\0\x2a\x12\x04\0\0\0\0", b"EHLO x\r\n", b"*1\r\n$4\r\nPING\r\n",
], ids=["tls", "NULs", "0xff", "empty lines", "ssh", "http2 frame", "smtp", "redis"])
def test_another_protocol_gets_no_more_than_an_error(agent, data):
    with Client(agent.port) as client:
        client.send(data + b"\r\nx\r\n\r\n")  # lines that begin with a NUL are passed over like empty ones
        answer = client.answer()
        assert answer is None or answer.status in (400, 414, 431, 505), answer
        assert client.is_closed()


TRICKS = [b"//metrics", b"/metrics//", b"/./metrics", b"/metrics/.", b"/healthz/../metrics", b"/../metrics", b"/%2e/metrics", b"/%2e%2e/metrics",
          b"/metrics%2f", b"/%2fmetrics", b"/%6detrics", b"/metrics;x", b"/;x/metrics", b"/metrics/;", b"/metrics%20", b"/metrics+", b"/METRICS",
          b"/metrics%3f", b"/metrics%23", b"/healthz/metrics", b"/metrics/metrics", b"/metrics:9797", b"/@metrics", b"/%c0%af/metrics",
          b"/%u002fmetrics", b"/..;/metrics", b"/metrics%0d%0aX:y", b"/api/websocket/metrics/..", b"/api/websocket//metrics",
          b"/api//websocket/metrics", b"/api/websocket/metrics%2f", b"/api%2fwebsocket/metrics", b"/local/version", b"/local/config", b"/local/reset",
          b"/local/reload", b"/local/table", b"/local/doctor", b"/local/trial?call=setuid", b"/%6cocal/version", b"//local/version", b"/local%2fversion",
          b"/../local/version", b"/healthz/../local/version", b"/etc/passwd", b"/../../../../etc/passwd", b"/..%2f..%2fetc%2fpasswd"]


def test_a_path_is_a_path_only_as_it_is_written(agent):
    """None is taken for one that exists, with a token or without, and /local/ exists on the local socket only."""
    for path in TRICKS:
        head = b"GET " + path + b" HTTP/1.1"
        assert one_answer(agent, request(head, b"Connection: close", token=agent.token)).status in (400, 404), path
        assert one_answer(agent, request(head, b"Connection: close")).status in (400, 401), path
        time.sleep(0.06)  # 20 requests a second


def test_the_base_path_is_no_way_around(agent):
    with Agent("--port", free_port(), "--base-path", "/admin/ws") as other:
        status = {}
        for path in (b"/metrics", b"/admin/metrics", b"/admin/wsmetrics", b"/admin/ws/../metrics", b"/admin//ws/metrics", b"/admin/ws//metrics",
                     b"/admin/ws/local/version", b"/local/version", b"/admin/ws/metrics", b"/admin/ws/metrics/"):
            status[path] = one_answer(other, request(b"GET " + path + b" HTTP/1.1", b"Connection: close", token=other.token)).status
        assert set(status.popitem()[1:] + status.popitem()[1:]) == {200}
        assert set(status.values()) == {404}, status
        assert other.ask_local("/local/version")[0] == 200 and other.ask_local("/metrics")[0] == 200


def test_a_request_that_came_along_with_a_good_one_is_answered_after_it(agent):
    """Pipelining is legal; what is behind a good request needs a token of its own."""
    with Client(agent.port) as client:
        client.send(request() + SMUGGLED + request(b"HEAD /healthz HTTP/1.1") + request())
        assert client.answer().status == 200
        assert client.answer().status == 401
        assert client.answer(head_only=True).status == 200
        assert client.answer().status == 200
        client.send(request(b"GET /healthz HTTP/1.1", b"Connection: close") + request())
        assert client.answer().status == 200 and client.is_closed()


def test_the_body_of_a_login_is_as_long_as_it_says(agent):
    """Neither what is in it nor what is behind it is taken for something else."""
    with Client(agent.port, source="127.0.0.3") as client:
        client.send(request(b"POST /login HTTP/1.1", FORM, b"Content-Length: %d" % len(SMUGGLED)) + SMUGGLED + request())
        assert client.answer().status == 400  # a form without a token
        assert client.answer().status == 200
        for part in (request(b"POST /login HTTP/1.1", FORM, b"Content-Length: 7"), b"to", b"ken=", b"x", SMUGGLED):
            client.send(part)
            time.sleep(0.05)
        assert client.answer().status == 401 and client.answer().status == 401
        client.send(request(b"POST /login HTTP/1.1", FORM, b"Content-Length: 512") + b"token=" + b"x" * 506 + request())
        assert client.answer().status == 401 and client.answer().status == 200


def test_unknown_methods_get_405_with_a_token_and_401_without(agent):
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get", "PROPFIND", "XYZ", "POST"):
        for path in ("/metrics", METRICS.decode()):
            answer = agent.ask(path, method=method)
            assert (answer.status, answer.headers.get("allow")) == (405, "GET, HEAD"), (method, path, answer)
            assert agent.ask(path, token=False, method=method).status == 401, (method, path)
        assert agent.ask("/healthz", token=False, method=method).status == 405, method
        time.sleep(0.12)


def test_what_it_says_of_a_bad_request_is_harmless(agent):
    """No byte of the request comes back that could be markup or a control character."""
    evil = "%1b%5b2J%0a%22%3Cscript%3E%07%C2%9B%E2%80%AE"
    for query in (f"?window={evil}", f"?{evil}=1", f"?server={evil}&server={evil}", f"?user={evil * 40}"):
        answer = agent.ask(METRICS.decode() + query)
        assert answer.status == 400 and answer.json.keys() == {"error"}
        assert answer.headers["x-content-type-options"] == "nosniff" and answer.headers["content-type"] == "application/json; charset=utf-8"
        assert not any(ord(c) < 0x20 or 0x7f <= ord(c) < 0xa0 or c == "\u202e" for c in answer.json["error"]), answer


# --- many and slow clients ---

def open_many(port, nr, sources):
    """Sockets that are connecting, from these addresses in turn; those that have connected say nothing, or half of something."""
    sockets, poll = {}, select.epoll()
    for i in range(nr):
        s = socket.socket()
        s.setblocking(False)
        s.bind((sources[i % len(sources)], 0))
        s.connect_ex(("127.0.0.1", port))
        sockets[s.fileno()] = s
        poll.register(s, select.EPOLLOUT)
        if i % 200 == 199:
            for fd, _ in poll.poll(0):
                poll.unregister(fd)
                try:
                    sockets[fd].send((b"", b"GET /heal", b"GET /healthz HTTP/1.1\r\nX: ")[fd % 3])
                except OSError:
                    pass
    poll.close()
    return list(sockets.values())


@pytest.fixture
def many_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 12000), max(hard, 12000)))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("sources", [2, 50])
def test_ten_thousand_clients_starve_nobody(many_files, sources):
    """From few addresses each is limited; from many, those that take longest give way."""
    with Agent("--port", free_port()) as agent:
        seconds_to_answer(agent)
        fds, memory = usage(agent.agent_pid)
        sockets = open_many(agent.port, 10000, [f"127.0.1.{i + 1}" for i in range(sources)])
        try:
            assert len(sockets) == 10000
            assert seconds_to_answer(agent) < 2
            assert agent.ask(METRICS.decode()).status == 200
            status, out, err = agent.command("snapshot", "--json")
            assert status == 0, err
            during = usage(agent.agent_pid)
            assert during[0] < fds + 1200 and during[1] < memory + 32 * 1024, f"{during} against {(fds, memory)}"
        finally:
            for s in sockets:
                s.close()
        assert settle(agent, fds + 2) <= fds + 2
        assert usage(agent.agent_pid)[1] < memory + 8 * 1024, f"{usage(agent.agent_pid)} KiB against {memory}"


def test_clients_that_send_a_byte_a_second_are_cut_off(loris):
    """Each byte keeps the idle time from running out; the time of a request does not wait for them."""
    loris.join(60)
    assert not loris.slow, f"{len(loris.slow)} are still there"
    assert 25 < min(loris.ended) and max(loris.ended) < 40, (min(loris.ended), max(loris.ended))
    assert max(loris.waits) < 2, loris.waits
    assert loris.cpu < 3, f"{loris.cpu} s of CPU for clients that do nothing"
    assert settle(loris.agent, loris.fds) <= loris.fds


def test_clients_that_never_read_cost_a_bounded_amount(agent):
    """Thousands of pipelined requests whose answers nobody takes: the agent stops reading, then closes."""
    fds, memory = usage(agent.agent_pid)
    wall = request(token=agent.token) * 3000
    deaf = []
    for i in range(60):
        client = Client(agent.port, source=f"127.0.3.{i % 3 + 1}", timeout=0.2)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.append(client)
    try:
        with ThreadPoolExecutor(20) as pool:
            list(pool.map(lambda client: quietly_send(client, wall), deaf))
        assert seconds_to_answer(agent) < 2
        assert agent.command("snapshot", "--json")[0] == 0
        during = usage(agent.agent_pid)
        assert during[1] < memory + 16 * 1024, f"{during} against {(fds, memory)}"
        assert settle(agent, fds) <= fds  # while they still hold on
    finally:
        for client in deaf:
            client.close()
    assert usage(agent.agent_pid)[1] < memory + 8 * 1024


def quietly_send(client, data):
    try:
        client.socket.sendall(data)
    except OSError:  # a timeout is what is expected
        pass


def test_descriptors_and_memory_are_flat_over_many_requests(agent):
    """Connections of every kind, good and bad."""
    kinds = [request(b"GET /healthz HTTP/1.1", b"Connection: close"), request(b"GET /metrics HTTP/1.1", b"Connection: close"),
             REFUSED["a NUL in the path"][1], REFUSED["a body that is a request"][1], REFUSED["many headers"][1], REFUSED["HTTP/2"][1]]

    def storm(nr):
        for i in range(nr):
            with Client(agent.port, source=f"127.0.4.{i % 200 + 1}") as client:
                client.send(kinds[i % len(kinds)])
                if i % len(kinds) < 6:
                    client.answer()

    fds = usage(agent.agent_pid)[0]
    storm(1000)
    assert settle(agent, fds) <= fds
    memory = usage(agent.agent_pid)[1]
    storm(3000)
    assert settle(agent, fds) <= fds
    assert usage(agent.agent_pid)[1] <= memory + 512
