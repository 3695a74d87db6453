"""WebSocket server written on the socket calls themselves, to put every call and every cut on the wire.

The query of the request path chooses what the connection does (first value of each wins):
  read=NAME    how bytes are read: a key of READERS
  write=NAME   how bytes are written: a key of WRITERS
  with=COUNT   that many pushed messages leave in the same call as the 101
  accept=wrong a 101 whose Sec-WebSocket-Accept does not belong to the key
  answer=HEX   these bytes are sent after the 101
  sink=1       everything after the 101 is read and thrown away, until the client ends
Paths: /refuse/CODE, /page (a body that looks like a 101), /silent (reads the request, then closes without an answer).
Text messages: ignore: close:CODE sleep:MS stop: (the server exits). Everything else is echoed.

FORK=1 serves each connection in a child. TIME_LOG=FILE gets one line a `sleep:` reply: ns from the return of the read
that completed the message to the return of the write.
"""
import base64
import ctypes
import hashlib
import os
import signal
import socket
import struct
import sys
import threading
import time
from urllib.parse import parse_qs, urlsplit

CHUNK = 65536
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
libc = ctypes.CDLL(None, use_errno=True)


def read_iovecs(read_into):
    """Spread one read over buffers of 1, 2, 3 … bytes and one large, so that headers are cut at every place."""
    buffers = [bytearray(n) for n in (1, 2, 3, 5, 7)] + [bytearray(CHUNK)]
    count = read_into(buffers)
    return b"".join(map(bytes, buffers))[:count]


def peek_then_read(s, want):
    s.recv(CHUNK, socket.MSG_PEEK)
    s.recv(2, socket.MSG_PEEK)
    return s.recv(CHUNK)


def splice_payload(s, want):
    """Move payload to a pipe without a read call, but keep to small reads while a header is wanted."""
    if want <= 14:
        return s.recv(want)
    r, w = os.pipe()
    try:
        count = os.splice(s.fileno(), w, min(want, 60000))
        return os.read(r, count) if count else b""
    finally:
        os.close(r)
        os.close(w)


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]


class Msghdr(ctypes.Structure):
    _fields_ = [("name", ctypes.c_void_p), ("namelen", ctypes.c_uint32), ("iov", ctypes.POINTER(Iovec)),
                ("iovlen", ctypes.c_size_t), ("control", ctypes.c_void_p), ("controllen", ctypes.c_size_t),
                ("flags", ctypes.c_int)]


class Mmsghdr(ctypes.Structure):
    _fields_ = [("hdr", Msghdr), ("len", ctypes.c_uint)]


def mmsg(buffers):
    iovecs = (Iovec * len(buffers))(*[Iovec(ctypes.cast(b, ctypes.c_void_p), len(b)) for b in buffers])
    vector = (Mmsghdr * len(buffers))()
    for i, entry in enumerate(vector):
        entry.hdr.iov = ctypes.pointer(iovecs[i])
        entry.hdr.iovlen = 1
    return vector, iovecs


def recvmmsg(s, want):
    """Two entries a call: the first fills, the second takes what is already there."""
    buffers = [ctypes.create_string_buffer(3), ctypes.create_string_buffer(CHUNK)]
    vector, _keep = mmsg(buffers)
    count = libc.recvmmsg(s.fileno(), vector, 2, 0x10000, None)  # MSG_WAITFORONE
    if count < 0:
        raise OSError(ctypes.get_errno(), "recvmmsg")
    return b"".join(b.raw[:entry.len] for b, entry in list(zip(buffers, vector))[:count])


def sendmmsg(s, data):
    cut = [data[:1], data[1:4], data[4:]]
    buffers = [ctypes.create_string_buffer(c, len(c)) for c in cut if c]
    vector, _keep = mmsg(buffers)
    count = libc.sendmmsg(s.fileno(), vector, len(buffers), 0)
    if count < 0:
        raise OSError(ctypes.get_errno(), "sendmmsg")
    return sum(entry.len for entry in list(vector)[:count])


READERS = {
    "recv": lambda s, want: s.recv(CHUNK),
    "read": lambda s, want: os.read(s.fileno(), CHUNK),
    "one": lambda s, want: s.recv(1),
    "exact": lambda s, want: s.recv(want),
    "peek": peek_then_read,
    "recvmsg": lambda s, want: read_iovecs(lambda b: s.recvmsg_into(b)[0]),
    "recvmmsg": recvmmsg,
    "readv": lambda s, want: read_iovecs(lambda b: os.readv(s.fileno(), b)),
    "preadv2": lambda s, want: read_iovecs(lambda b: os.preadv(s.fileno(), b, -1)),
    "splice": splice_payload,
}


def iovecs(data):
    """Cut into pieces of 1, 2, 3 … bytes, then the rest: no frame header lies in one iovec."""
    pieces, at = [], 0
    for n in (1, 2, 3, 5, 7, 1, 1):
        pieces.append(data[at:at + n])
        at += n
    return [p for p in pieces + [data[at:]] if p]


def sendfile(s, data):
    """Header by send, the rest by sendfile: its bytes are in the page cache, not in the caller's memory."""
    header = min(len(data), 10)
    if s.send(data[:header]) < header or len(data) == header:
        return header
    with os.fdopen(os.memfd_create("body"), "w+b", 0) as body:
        body.write(data[header:])
        at = 0
        while at < len(data) - header:
            at += os.sendfile(s.fileno(), body.fileno(), at, len(data) - header - at)
    return len(data)


def partial(s, data):
    """One non-blocking attempt: with a small send buffer the kernel takes only a part of a large message."""
    try:
        return s.send(data, socket.MSG_DONTWAIT)
    except BlockingIOError:
        time.sleep(0.001)
        return 0


WRITERS = {
    "send": lambda s, data: s.send(data),
    "write": lambda s, data: os.write(s.fileno(), data),
    "one": lambda s, data: s.send(data[:1]),
    "partial": partial,
    "sendmsg": lambda s, data: s.sendmsg(iovecs(data)),
    "sendmmsg": sendmmsg,
    "writev": lambda s, data: os.writev(s.fileno(), iovecs(data)),
    "pwritev2": lambda s, data: os.pwritev(s.fileno(), iovecs(data), -1),
    "sendfile": sendfile,
}


def frame(opcode, payload):
    n = len(payload)
    if n < 126:
        return bytes([0x80 | opcode, n]) + payload
    if n < 65536:
        return struct.pack(">BBH", 0x80 | opcode, 126, n) + payload
    return struct.pack(">BBQ", 0x80 | opcode, 127, n) + payload


class Ended(Exception):
    """The client has no more bytes for us."""


class Connection:
    def __init__(self, sock):
        self.sock = sock
        self.buffer = b""
        self.read_ns = 0
        self.reader, self.writer = READERS["recv"], WRITERS["send"]

    def fill(self, want):
        data = self.reader(self.sock, want)
        self.read_ns = time.monotonic_ns()
        if not data:
            raise Ended
        self.buffer += data

    def take(self, count):
        while len(self.buffer) < count:
            self.fill(count - len(self.buffer))
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def write(self, data):
        while data:
            data = data[self.writer(self.sock, data):]

    def head(self):
        while b"\r\n\r\n" not in self.buffer:
            self.fill(CHUNK)
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        return head

    def http(self):
        """Answer requests until one is an upgrade; return its query."""
        while True:
            head = self.head()
            lines = head.split(b"\r\n")
            path = urlsplit(lines[0].split(b" ")[1].decode("latin-1"))
            headers = dict((k.strip().lower(), v.strip()) for k, _, v in (line.partition(b":") for line in lines[1:]))
            if b"content-length" in headers:
                self.take(int(headers[b"content-length"]))
            if path.path == "/silent":
                raise Ended
            if path.path.startswith("/refuse/"):
                self.write(b"HTTP/1.1 %d Refused\r\nContent-Length: 0\r\n\r\n" % int(path.path.split("/")[2]))
                continue
            if b"upgrade" not in headers:
                body = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x02hi"
                self.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
                continue
            query = {k: v[0] for k, v in parse_qs(path.query).items()}
            self.upgrade(headers[b"sec-websocket-key"], query)
            return query

    def upgrade(self, key, query):
        if query.get("accept") == "wrong":
            key = b"wrong"
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
        pushes = b"".join(frame(1, b"push %d" % i) for i in range(int(query.get("with", 0))))
        self.reader = READERS[query.get("read", "recv")]
        if query.get("write") != "sendfile":  # it hides bytes, and a 101 that is hidden opens nothing
            self.writer = WRITERS[query.get("write", "send")]
        if query.get("write") == "partial":
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        self.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                   b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n" + pushes)
        self.writer = WRITERS[query.get("write", "send")]

    def next_frame(self):
        first, second = self.take(2)
        length = second & 127
        if length == 126:
            length, = struct.unpack(">H", self.take(2))
        elif length == 127:
            length, = struct.unpack(">Q", self.take(8))
        mask = self.take(4) if second & 128 else bytes(4)
        data = self.take(length)
        key = (mask * (length // 4 + 1))[:length]
        return first >> 7, first & 15, (int.from_bytes(data, "big") ^ int.from_bytes(key, "big")).to_bytes(length, "big")

    def messages(self):
        """Serve frames; return when the closing handshake is done."""
        parts, kind, closing = [], 0, False
        while True:
            fin, opcode, payload = self.next_frame()
            if opcode == 8:
                if not closing:
                    self.write(frame(8, payload[:2]))
                return
            if opcode == 9:
                self.write(frame(10, payload))
            if opcode >= 8:
                continue
            kind = opcode or kind
            parts.append(payload)
            if not fin:
                continue
            message, parts = b"".join(parts), []
            closing = self.answer(kind, message) or closing

    def answer(self, kind, message):
        """Reply to one message; true if that began the closing handshake."""
        name, _, value = (message if kind == 1 and len(message) < 32 else b"").partition(b":")
        received_ns = self.read_ns
        if name == b"ignore":
            return False
        if name == b"stop":
            os._exit(0)
        if name == b"close":
            self.write(frame(8, struct.pack(">H", int(value)) if value else b""))
            return True
        if name == b"sleep":
            time.sleep(int(value) / 1000)
        self.write(frame(kind, message))
        if name == b"sleep" and "TIME_LOG" in os.environ:
            with open(os.environ["TIME_LOG"], "a") as log:
                log.write(f"{time.monotonic_ns() - received_ns}\n")
        return False

    def serve(self):
        try:
            query = self.http()
            if "answer" in query:
                self.write(bytes.fromhex(query["answer"]))
            while "sink" in query:
                self.fill(CHUNK)
                self.buffer = b""
            self.messages()
        except (Ended, ConnectionError):
            pass
        finally:
            self.sock.close()


def main():
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    host, port = os.environ["HOST"], int(os.environ["PORT"])
    listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=128)
    while True:
        sock, _ = listener.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if os.environ.get("FORK") != "1":
            threading.Thread(target=Connection(sock).serve, daemon=True).start()
        elif os.fork() == 0:
            listener.close()
            Connection(sock).serve()
            os._exit(0)
        else:
            sock.close()


if __name__ == "__main__":
    sys.exit(main())
