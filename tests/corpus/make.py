#!/usr/bin/env python3
"""Writes the seed corpora of ws, http1, pair, hist and accept: tests/corpus/NAME/seed-*.

The same files every time, so that a change here shows in git. What fuzzing found lies beside them,
under its hash (make corpus-merge). The form of the files is in tests/fuzz/input.h and
pair_steps.h.
"""

import base64
import hashlib
import pathlib
import random
import struct

HERE = pathlib.Path(__file__).resolve().parent
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
CLIENT, SERVER = 0, 1  # direction: from the client (masked), from the server
CUT_512 = 0


def gap(n):
    return 0x80 | n


def unseen(exponent):
    return 0xC0 | exponent


def frame(opcode, payload=b"", *, fin=True, rsv=0, mask=None, length=None, form=None):
    """One frame; length and form (7, 16, 64) may lie."""
    n = len(payload) if length is None else length
    form = form or (7 if n < 126 else 16 if n < 65536 else 64)
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    bit = 0x80 if mask else 0
    if form == 7:
        head += bytes([bit | n])
    elif form == 16:
        head += bytes([bit | 126]) + struct.pack(">H", n)
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", n)
    if mask:
        payload = bytes(b ^ mask[i % 4] for i, b in enumerate(payload))
        head += mask
    return head + payload


def ws(direction, stream, cuts=()):
    return bytes([direction, len(cuts)]) + bytes(cuts) + stream


def ws_seeds():
    m = b"\xa1\xb2\xc3\xd4"
    close = lambda code, reason=b"": struct.pack(">H", code) + reason
    both = {
        "empty": [frame(1)],
        "text": [frame(1, b"hello")],
        "length-125": [frame(2, bytes(125))],
        "length-126": [frame(2, bytes(126))],
        "length-127": [frame(2, bytes(127))],
        "three": [frame(1, b"a"), frame(2, b"bc"), frame(1, b"")],
        "fragments": [frame(1, b"a", fin=False), frame(0, b"b", fin=False), frame(0, b"c")],
        "control-between": [frame(2, b"a", fin=False), frame(9, b"p"), frame(10), frame(0, b"b")],
        "close-1000": [frame(8, close(1000))],
        "close-reason": [frame(8, close(4401, b"token has expired"))],
        "close-empty": [frame(8)],
        "close-one-byte": [frame(8, b"\x03")],
        "close-twice": [frame(8, close(1001, b"away")), frame(8, close(1011, b"no"))],
        "close-999": [frame(8, close(999))],
        "ping-125": [frame(9, bytes(125))],
        "long-control": [frame(9, bytes(126))],
        "fragmented-control": [frame(8, close(1000), fin=False)],
        "reserved-opcode": [frame(1, b"x"), frame(3, b"y"), frame(1, b"z")],
        "rsv1": [frame(1, b"x", rsv=4)],
        "rsv2": [frame(1, b"x", rsv=2)],
        "continuation": [frame(0, b"x")],
        "unfinished": [frame(1, b"x", fin=False), frame(2, b"y")],
        "form-16-of-125": [frame(1, bytes(125), form=16)],
        "form-64-of-126": [frame(1, bytes(126), form=64)],
        "huge": [frame(2, b"x", length=1 << 62)],
        "too-huge": [frame(2, b"x", length=1 << 63)],
    }
    for name, frames in both.items():
        yield f"{name}-server", ws(SERVER, b"".join(frames), [1, 1, 2, 3])
        masked = [mask_again(f, m) for f in frames]
        yield f"{name}-client", ws(CLIENT, b"".join(masked), [1, 2, 4, 1])
    mixed = frame(1, b"hello") + frame(9, b"ping") + frame(8, close(1000, b"bye"))
    yield "unmasked-client", ws(CLIENT, mixed)
    yield "masked-server", ws(SERVER, frame(1, b"hello", mask=m))
    yield "byte-by-byte", ws(SERVER, mixed, [1] * len(mixed))
    yield "gap-in-payload", ws(SERVER, frame(1, bytes(60)) + mixed, [10, gap(40)])
    yield "gap-to-end", ws(SERVER, frame(1, bytes(40)) + mixed, [2, gap(40)])
    yield "gap-beyond", ws(SERVER, frame(1, bytes(40)) + mixed, [2, gap(41)])
    yield "gap-in-header", ws(SERVER, frame(1, bytes(300)), [1, gap(1)])
    yield "gap-in-close", ws(SERVER, frame(8, close(1000, b"bye")) + mixed, [3, gap(1)])
    yield "gap-in-ping", ws(SERVER, frame(9, b"pingping") + mixed, [3, gap(7)])
    yield "unseen-all", ws(SERVER, frame(2, length=1 << 20) + mixed, [10, unseen(20)])
    yield "unseen-part", ws(SERVER, frame(2, length=1 << 62) + mixed, [10, unseen(61), unseen(3)])
    yield "cut-512", ws(SERVER, frame(2, bytes(1000)) + mixed, [CUT_512, CUT_512])
    for n in range(6):
        whole = frame(8, close(4001, b"r"), mask=m)
        yield f"close-cut-{n}", ws(CLIENT, whole, [6 + n, 1] if n else [6])
    for n in range(1, 14):
        yield f"header-cut-{n}", ws(CLIENT, frame(2, length=65536, mask=m) + b"x", [n])


def mask_again(unmasked, m):
    """The same frame with a mask."""
    n = {126: 4, 127: 10}.get(unmasked[1], 2)
    payload = bytes(b ^ m[i % 4] for i, b in enumerate(unmasked[n:]))
    return bytes([unmasked[0], unmasked[1] | 0x80]) + unmasked[2:n] + m + payload


def accept_of(key):
    return base64.b64encode(hashlib.sha1(key + GUID).digest())


def http1_seeds():
    q = lambda text, cuts=(): bytes([0, len(cuts)]) + bytes(cuts) + text
    a = lambda text, cuts=(): bytes([1, len(cuts)]) + bytes(cuts) + text
    up = b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
    key = b"Sec-WebSocket-Key: " + KEY + b"\r\n"
    accept = b"Sec-WebSocket-Accept: " + accept_of(KEY) + b"\r\n"
    get = lambda path, rest: b"GET " + path + b" HTTP/1.1\r\n" + rest + b"\r\n"
    ok = b"HTTP/1.1 101 Switching Protocols\r\n"
    yield "request", q(get(b"/chat?x=1", b"Host: h\r\n" + up + key + b"Origin: o\r\n"))
    yield "request-cut", q(get(b"/", up + key), [1, 1, 2, 3, 30, 5, 1, 1])
    yield "response", a(ok + up + accept + b"\r\n")
    yield "response-cut", a(ok + up + accept + b"\r\n", [3, 6, 1, 1, 1, 1, 20])
    yield "lf-only", q(get(b"/", up + key).replace(b"\r", b""))
    yield "lf-response", a((ok + up + accept + b"\r\n").replace(b"\r", b""))
    yield "capitals", q(get(b"/", (up + b"SEC-WEBSOCKET-KEY:x\r\n").upper()))
    yield "list", q(get(b"/", b"Upgrade: h2c, WebSocket , x\r\n"))
    yield "websockets", q(get(b"/", b"Upgrade: websockets, xwebsocket, websocket-1\r\n"))
    yield "key-twice", q(get(b"/", up + key + key))
    yield "key-long", q(get(b"/", b"Sec-WebSocket-Key: " + b"k" * 66 + b"\r\n"))
    yield "key-empty", q(get(b"/", b"Sec-WebSocket-Key: \t\r\n" + key))
    yield "key-blanks", q(get(b"/", b"sec-websocket-key:\t a b \r\n"))
    yield "no-upgrade", q(get(b"/index.html", b"Accept: */*\r\n"))
    yield "names-alike", q(get(b"/", b"Upgrade-Insecure-Requests: 1\r\nUpgrad: x\r\nSec-: y\r\n"))
    yield "no-version", q(b"GET /x\r\n\r\n")
    yield "post", q(b"POST / HTTP/1.1\r\n\r\n")
    yield "tls", q(b"\x16\x03\x01\x02\x00\x01\x00")
    yield "truncated", q(get(b"/", up)[:-2])
    yield "partial-status", a(b"HTTP/1.1 10")
    for status in (b"200 OK", b"401 Unauthorized", b"429", b"500 ", b"999 X", b"10 X", b"1011", b"10x",
                   b"000 X", b" 101"):
        name = status.decode().replace(" ", "_")
        yield f"status-{name}", a(b"HTTP/1.1 " + status + b"\r\n\r\n")
    yield "http-1.0", a(b"HTTP/1.0 403 Forbidden\r\n\r\nbody")
    yield "http-2", a(b"HTTP/2 200\r\n\r\n")
    yield "body-like-a-head", a(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n" + ok + up + b"\r\n")
    yield "nul", a(b"HTTP/1.\x00 101 X\r\nUpgrade\x00: websocket\r\n\r\n")
    yield "path-bytes", q(get(bytes(b for b in range(256) if b not in b" ?\r\n"), up))
    yield "long", q(get(b"/", b"Cookie: " + b"c" * 700 + b"\r\n" + up + key), [CUT_512])
    yield "accept-in-request", q(get(b"/", accept + key))


def pair_seeds():
    def steps(*s):
        return b"".join(bytes(x) for x in s)

    read = lambda n=1, pause=2: (0, n - 1, 0, pause)
    write = lambda n=1, ended=1, pause=2: (100, n, ended, pause)
    touch = lambda pause=2: (230, 0, 0, pause)
    closed = (250, 0, 0, 2)
    yield "reply", steps(read(), write())
    yield "push", steps(write(), write(2, 2))
    yield "batch", steps(read(3), write(), write(), write())
    yield "batch-one-write", steps(read(3), write(3, 1))
    yield "ambiguous", steps(read(), read(), write(), write(), read(), write())
    yield "unanswered", steps(read(), read(1, 6), write())
    yield "broken-silence", steps(read(), touch(5), read(1, 5), write())
    yield "partial", steps(read(), write(1, 0), touch(), write(0, 1))
    yield "partial-batch", steps(read(4), write(3, 0), write(1, 2), write(2, 0), closed)
    yield "read-in-partial", steps(read(2), write(1, 0), read(), write(0, 1), write(2, 1))
    yield "closed-waiting", steps(read(3), write(), closed, write(), read(), closed)
    yield "lost-end", steps(read(), write(1, 0), write(1, 0), write(0, 1))
    yield "lost-start", steps(read(), write(0, 1), write())
    yield "a-day", steps(read(), read(1, 7), write(1, 1, 7))
    r = random.Random(2)
    for i in range(24):
        yield f"random-{i:02}", r.randbytes(4 * r.randrange(4, 60))


def hist_seeds():
    pack = lambda values: b"".join(struct.pack("<Q", v) for v in values)
    yield "small", pack(range(64))
    yield "powers", pack(1 << b for b in range(64))
    yield "below-powers", pack((1 << b) - 1 for b in range(65))
    yield "above-powers", pack((1 << b) + 1 for b in range(64))
    yield "last", pack([(1 << 37) - 1, 1 << 37, (1 << 37) + 1, (1 << 64) - 1])
    yield "bounds", pack((16 + i) << s for s in range(34) for i in range(0, 16, 5))
    r = random.Random(3)
    for i in range(18):
        yield f"random-{i:02}", pack(r.getrandbits(r.randrange(1, 65)) for _ in range(24))


def accept_seeds():
    yield "rfc", KEY + accept_of(KEY) + b"\x00\x01"
    yield "wrong", KEY + accept_of(KEY)[::-1] + b"\x05\x01"
    yield "zero", bytes(54)
    yield "ones", b"\xff" * 54
    r = random.Random(4)
    for i in range(24):
        key = base64.b64encode(r.randbytes(16)) if i % 3 else r.randbytes(24)
        yield f"random-{i:02}", key + accept_of(key) + r.randbytes(2)


def main():
    for name, seeds in {
        "ws": ws_seeds, "http1": http1_seeds, "pair": pair_seeds, "hist": hist_seeds,
        "accept": accept_seeds,
    }.items():
        folder = HERE / name
        folder.mkdir(exist_ok=True)
        for old in folder.glob("seed-*"):
            old.unlink()
        for seed, data in seeds():
            (folder / f"seed-{seed}").write_bytes(data)


if __name__ == "__main__":
    main()
