"""Scripted WebSocket client at the level of bytes, and the tally of what it did: the truth the tests compare with.

It has its own framing, so that it can send what no library would: headers cut anywhere, frames in the segment of the
upgrade request, violations of the protocol. The tally is the client's view; it is the server's too as long as the client
reads everything before it ends a connection, so every way to end one here does that (wait for the last echo, or drain).
Received and sent are the server's words: received = client to server.
"""
import base64
import ctypes
import errno
import hashlib
import os
import socket
import struct
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
CONTROL = {CLOSE: "close", PING: "ping", PONG: "pong"}
NO_CODE = 1005
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TIMEOUT = 20
OPEN = []  # sockets of connections that were made and not ended: a test that fails leaves them behind
CLONE_NEWNET = 0x40000000

ERRORS_BY_CODE = {3000: "authentication_error", 3003: "authentication_error", 4401: "authentication_error",
                  4403: "authentication_error", 1013: "rate_limit_error", 4029: "rate_limit_error", 4429: "rate_limit_error",
                  1002: "protocol_error", 1003: "protocol_error", 1007: "protocol_error", 1010: "protocol_error",
                  1009: "message_too_big", 1008: "policy_violation", 1011: "internal_error", 1014: "internal_error",
                  1012: "service_restart", 1000: None, 1001: None, NO_CODE: None}


def error_of_code(code):
    """SPEC §3, from the first close frame's code to the error type; None for a normal close."""
    if code in ERRORS_BY_CODE:
        return ERRORS_BY_CODE[code]
    return "application_error" if 3000 <= code <= 4999 else "websocket_error"


def error_of_refusal(status):
    return {401: "authentication_error", 403: "authentication_error", 429: "rate_limit_error"}.get(status, "handshake_error")


@dataclass
class Tally:
    """What one client did, or, added up, several. Threads add through `add`."""

    counts: Counter = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, name, n=1):
        with self.lock:
            self.counts[name] += n

    def __getitem__(self, name):
        return self.counts[name]

    def group(self, prefix):
        """`group("refused")` of refused.401=2 is {"401": 2}; zeros are left out."""
        return {name[len(prefix) + 1:]: n for name, n in sorted(self.counts.items()) if n and name.startswith(prefix + ".")}


class Refused(Exception):
    """The server did not upgrade; status 0 when it closed without an answer."""

    def __init__(self, status):
        super().__init__(f"upgrade refused with {status}")
        self.status = status


class Closed(Exception):
    """The server ended the connection, or began to, while a message was expected."""


def frame(opcode, payload=b"", fin=True, masked=True, rsv=0, length_bytes=None):
    """One frame. length_bytes forces the form of the length: 1, 2 or 8 bytes."""
    n = len(payload)
    form = length_bytes or (1 if n < 126 else 2 if n < 65536 else 8)
    mask_bit = 0x80 if masked else 0
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    head += {1: lambda: bytes([mask_bit | n]), 2: lambda: struct.pack(">BH", mask_bit | 126, n),
             8: lambda: struct.pack(">BQ", mask_bit | 127, n)}[form]()
    if not masked:
        return head + payload
    key = os.urandom(4)
    return head + key + xor(payload, key)


def xor(data, key):
    n = len(data)
    stream = (key * (n // 4 + 1))[:n]
    return (int.from_bytes(data, "big") ^ int.from_bytes(stream, "big")).to_bytes(n, "big")


def connect(host, port, netns=None, timeout=TIMEOUT):
    """A TCP connection, or one to the Unix socket at /path or @name; with netns, made by a thread that has entered that namespace."""
    if host[0] in "/@":
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(timeout)
        s.connect(host.replace("@", "\0", 1) if host[0] == "@" else host)
        return s
    if netns is None:
        s = socket.create_connection((host, port), timeout)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return s
    result = []

    def enter_and_connect():
        libc = ctypes.CDLL(None, use_errno=True)
        with open(netns) as namespace:
            if libc.setns(namespace.fileno(), CLONE_NEWNET):
                result.append(OSError(ctypes.get_errno(), f"setns {netns}"))
                return
        try:
            result.append(connect(host, port, None, timeout))
        except OSError as error:
            result.append(error)

    thread = threading.Thread(target=enter_and_connect)
    thread.start()
    thread.join()
    if isinstance(result[0], OSError):
        raise result[0]
    return result[0]


class Connection:
    """One connection, from connect to its end. It counts in `tally` what it sent and what it read."""

    def __init__(self, host, port, tally, path="/", subprotocol="", headers=(), before=0, early=(), cut=None, netns=None,
                 deflate=False, pong_delay=0.0, answers_close=True):
        """`before` plain GETs go first; the frames `early` leave in the segment of the upgrade request; `cut` sends the
        request in pieces of that many bytes; a `pong_delay` lets the server's pings wait; without `answers_close` the
        server's close frame gets no reply, for servers that would not read it."""
        self.host, self.port, self.tally = host, port, tally
        self.authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.pong_delay, self.answers_close = pong_delay, answers_close
        self.buffer = b""
        self.parts, self.kind = [], 0  # the message that is being received
        self.open_kind = 0  # the message that is being sent
        self.is_open = False
        self.closing = False  # a close frame has passed in one direction
        self.sock = connect(host, port, netns)
        OPEN.append(self.sock)
        for _ in range(before):
            self.get("/plain")
        self.key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {path} HTTP/1.1", f"Host: {self.authority}", "Upgrade: websocket", "Connection: Upgrade",
                 f"Sec-WebSocket-Key: {self.key}", "Sec-WebSocket-Version: 13", *headers]
        if subprotocol:
            lines.append(f"Sec-WebSocket-Protocol: {subprotocol}")
        if deflate:
            lines.append("Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; server_no_context_takeover")
        request = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        encoded = [self.encode(*f) for f in early]
        self.write(request + b"".join(data for data, _ in encoded), cut)
        self.await_101()
        for _, note in encoded:
            note()

    # -- HTTP ---------------------------------------------------------------------------------------------------------

    def get(self, path):
        """A plain request on this connection, answered with any status; the connection stays usable."""
        self.write(f"GET {path} HTTP/1.1\r\nHost: {self.authority}\r\n\r\n".encode())
        status, headers = self.response()
        self.need(int(headers.get("content-length", 0)))
        while headers.get("transfer-encoding") == "chunked":
            size = int(self.line(), 16)
            self.need(size + 2)
            if not size:
                break
        return status

    def line(self):
        while b"\r\n" not in self.buffer:
            self.fill()
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line

    def response(self):
        while b"\r\n\r\n" not in self.buffer:
            self.fill()
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        return int(first.split(" ")[1]), headers

    def await_101(self):
        try:
            status, headers = self.response()
        except (Closed, ConnectionError):
            status, headers = 0, {}
        accept = base64.b64encode(hashlib.sha1((self.key + GUID).encode()).digest()).decode()
        if status != 101 or headers.get("sec-websocket-accept") != accept:
            self.tally.add(f"refused.{status}")
            self.tally.add(f"error.{error_of_refusal(status)}")
            self.hang_up()
            raise Refused(status)
        self.extensions = headers.get("sec-websocket-extensions", "")
        self.is_open = True
        self.tally.add("opened")

    # -- bytes --------------------------------------------------------------------------------------------------------

    def write(self, data, cut=None):
        """Send; with `cut`, in pieces of that many bytes, each in a segment of its own."""
        if not cut:
            self.sock.sendall(data)
            return
        for at in range(0, len(data), cut):
            self.sock.sendall(data[at:at + cut])

    def fill(self):
        data = self.sock.recv(262144)
        if not data:
            raise Closed("end of stream")
        self.buffer += data

    def need(self, count):
        if len(self.buffer) < count:
            parts, have = [self.buffer], len(self.buffer)
            while have < count:
                data = self.sock.recv(262144)
                if not data:
                    raise Closed("end of stream")
                parts.append(data)
                have += len(data)
            self.buffer = b"".join(parts)
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    # -- sending ------------------------------------------------------------------------------------------------------

    def note_sent(self, opcode, payload, fin):
        """Count a frame that has gone out whole."""
        if opcode in CONTROL:
            self.tally.add(f"received.{CONTROL[opcode]}")
            self.tally.add("control_bytes.received", len(payload))
            return
        self.open_kind = opcode or self.open_kind
        self.tally.add("bytes_received", len(payload))
        if fin:
            self.tally.add("received")
            self.tally.add("type.text" if self.open_kind == TEXT else "type.binary")

    def encode(self, opcode, payload=b"", fin=True, **options):
        """The frame's bytes, and what to call once they have been sent."""
        data = frame(opcode, payload, fin, **options)

        def note():
            self.tally.add("wire.received", len(data))
            self.note_sent(opcode, payload, fin)
        return data, note

    def send(self, opcode, payload=b"", fin=True, cut=None, **options):
        data, note = self.encode(opcode, payload, fin, **options)
        self.write(data, cut)
        note()

    def send_together(self, frames):
        """Several frames in one send call: (opcode, payload) or (opcode, payload, fin)."""
        encoded = [self.encode(*f) for f in frames]
        self.write(b"".join(data for data, _ in encoded))
        for _, note in encoded:
            note()

    def text(self, text, **options):
        self.send(TEXT, text.encode(), **options)

    # -- receiving ----------------------------------------------------------------------------------------------------

    def read_frame(self):
        first, second = self.need(2)
        length, head = second & 127, 2
        if length == 126:
            length, = struct.unpack(">H", self.need(2))
            head = 4
        elif length == 127:
            length, = struct.unpack(">Q", self.need(8))
            head = 10
        if second & 128:
            self.need(4)
            head += 4
        payload = self.need(length)
        self.tally.add("wire.sent", head + length)
        return first >> 7, first & 15, payload

    def receive(self):
        """The next data message or pong as (opcode, payload). Control frames on the way are counted, pings answered; a close
        frame raises Closed after it has been answered."""
        while True:
            got = self.receive_frame()
            if got:
                return got

    def receive_frame(self):
        """Take one frame; return the message that it completes, or the pong that it is, else None."""
        fin, opcode, payload = self.read_frame()
        if opcode in CONTROL:
            self.tally.add(f"sent.{CONTROL[opcode]}")
            self.tally.add("control_bytes.sent", len(payload))
        if opcode == CLOSE:
            self.on_close(payload)
            raise Closed(payload)
        if opcode == PING:
            time.sleep(self.pong_delay)
            self.send(PONG, payload)
            return None
        if opcode == PONG:
            return opcode, payload
        self.kind = opcode or self.kind
        self.parts.append(payload)
        self.tally.add("bytes_sent", len(payload))
        if not fin:
            return None
        message, self.parts = b"".join(self.parts), []
        self.tally.add("sent")
        self.tally.add("type.text" if self.kind == TEXT else "type.binary")
        return self.kind, message

    def on_close(self, payload):
        if self.closing:
            return
        self.closing = True
        code = struct.unpack(">H", payload[:2])[0] if payload else NO_CODE
        self.note_close(code, "server")
        if self.answers_close:
            self.send(CLOSE, payload[:2])

    def note_close(self, code, initiator):
        self.tally.add(f"close.{code}.{initiator}")
        error = error_of_code(code)
        if error:
            self.tally.add(f"error.{error}")

    def expect(self, opcode, payload):
        """The next message is this one."""
        got = self.receive()
        assert got == (opcode, payload), f"wanted {opcode} {payload[:60]!r} ({len(payload)} bytes), got {got[0]} {got[1][:60]!r} ({len(got[1])})"

    def echo(self, opcode, payload, **options):
        """Send a message and wait for its echo, so that nothing is under way afterwards."""
        self.send(opcode, payload, **options)
        self.expect(opcode, payload)

    def ask(self, text):
        """A text message and its echo."""
        self.echo(TEXT, text.encode())

    def answer_ping(self):
        """The server's ping comes next; answer it."""
        pings = self.tally["sent.ping"]
        assert self.receive_frame() is None and self.tally["sent.ping"] == pings + 1, "no ping came"

    def ping(self, payload=b"probe"):
        """A ping, and its pong."""
        self.send(PING, payload)
        self.expect(PONG, payload)

    # -- ending -------------------------------------------------------------------------------------------------------

    def close(self, code=None, reason=b""):
        """Closing handshake begun by the client; returns when the server has closed the socket."""
        self.closing = True
        self.note_close(code or NO_CODE, "client")
        self.send(CLOSE, (struct.pack(">H", code) + reason) if code else b"")
        self.drain_and_close()

    def await_close(self):
        """Closing handshake begun by the server: answer it and wait for the end. Returns the code."""
        try:
            while True:
                self.receive()
        except Closed as closed:
            payload = closed.args[0]
            assert isinstance(payload, bytes), "the server ended the connection without a close frame"
        self.drain_and_close()
        return struct.unpack(">H", payload[:2])[0] if payload else NO_CODE

    def reset(self):
        """End with a RST. The caller has read the last echo, so that nothing is lost on the way."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()
        self.note_abnormal("reset_by_peer")

    def fin(self):
        """End the stream without a close frame, and read what the server still says: some send a close frame then."""
        self.sock.shutdown(socket.SHUT_WR)
        self.drain_and_close()
        if not self.closing:
            self.note_abnormal("fin_without_close")

    def await_server_exit(self):
        """The server process dies while the connection is open."""
        self.await_end("server_exit")

    def await_end(self, cause):
        """The server ends the connection without a close frame."""
        self.note_abnormal(cause)
        self.drain_and_close()

    def note_abnormal(self, cause):
        self.tally.add(f"cause.{cause}")
        self.tally.add("error.abnormal_closure")
        self.end()

    def violate(self, data, name):
        """Send bytes that break the protocol and hang up. That is one error for this connection, whatever follows, and what
        the server answers is not tallied."""
        self.tally.add(f"violation.{name}")
        self.tally.add("error.protocol_error")
        self.write(data)
        self.end()
        self.hang_up()

    def hang_up(self):
        """End our direction and wait for the server to end its own; whatever it says is not looked at."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
            while self.sock.recv(65536):
                pass
        except ConnectionError:
            pass
        except OSError as error:
            if error.errno != errno.ENOTCONN:
                raise
        self.sock.close()

    def drain_and_close(self):
        """Tally what the server still sends, to the end of the stream, then close."""
        try:
            while True:
                self.receive()
        except (Closed, ConnectionError):
            pass
        self.end()
        self.hang_up()

    def end(self):
        if self.is_open:
            self.is_open = False
            self.tally.add("closed")
