#!/usr/bin/env python3
"""Writes the seed corpora of ws, resync, http1, pair, hist, accept, decode, handshake, label, point,
http and gate: tests/corpus/NAME/seed-*.

The same files every time, so that a change here shows in git. What fuzzing found lies beside them,
under its hash (make corpus-merge). The form of the files is in tests/fuzz/input.h and
pair_steps.h, or at the head of tests/fuzz/fuzz_NAME.c.
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


def resync_seeds():
    m = [bytes([0xA1 + i, 0xB2, 0xC3 ^ i, 0xD4]) for i in range(9)]
    known = 2

    def client(n, size=20, opcode=1):
        return [frame(opcode, bytes(i & 255 ^ 0x55 for i in range(size)), mask=m[i % 9]) for i in range(n)]

    def server(n, size=20, opcode=1):
        return [frame(opcode, bytes(i & 255 ^ 0x55 for i in range(size))) for i in range(n)]

    def events(what, frames):
        return ws(what, b"".join(frames), [len(f) for f in frames])

    yield "lock-step-client", events(CLIENT, client(6))
    yield "lock-step-server", events(SERVER, server(6))
    yield "lock-step-known", events(CLIENT | known, client(4, 70))
    yield "small-server", events(SERVER, server(7, 1))
    yield "pings", events(SERVER, server(6, 0, 9))
    yield "pongs", events(CLIENT, client(6, 0, 10))
    yield "empty-text", events(SERVER, server(6, 0))
    yield "pipelined", ws(CLIENT, b"".join(client(9)))
    yield "pipelined-cut", ws(CLIENT, b"".join(client(9)), [31] * 8)
    yield "byte-by-byte", ws(CLIENT, b"".join(client(6, 1)), [1] * 42)
    yield "apart", ws(SERVER, b"".join(server(6)), [2, 20] * 6)
    yield "apart-client", ws(CLIENT, b"".join(client(6)), [2, 4, 20] * 6)
    yield "long", ws(SERVER, b"".join(server(6, 300)), [100] * 18)
    yield "middle", events(SERVER, [b"abcdefgh", *server(5)])
    yield "wrong-start", events(SERVER, [b"\x82\x7e\xff\xffab", *server(5)])
    yield "gap", ws(SERVER, b"".join(server(8)), [22, 22, gap(22), 22, 22, 22, 22])
    yield "gap-in-payload", ws(SERVER, b"".join(server(6)), [5, gap(17)] * 6)
    yield "huge-gap", ws(SERVER, b"".join(server(6)), [22, unseen(40), 22, 22, 22, 22])
    yield "close", events(SERVER, [*server(2), frame(8, b"\x03\xe8bye"), *server(2)])
    yield "fragments", events(CLIENT, [frame(1, b"a" * 30, fin=False, mask=m[0]), frame(9, b"p", mask=m[1]),
                                       frame(0, b"b" * 30, mask=m[2]), *client(3)])
    yield "deflate", events(SERVER, [frame(1, b"x" * 40, rsv=4) for _ in range(5)])
    yield "breach-after", events(SERVER, [*server(5), b"\x83\x01x", *server(3)])
    yield "http", ws(CLIENT, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 4, [27] * 4)
    yield "equal-numbers", ws(SERVER, b"\x81\x00" * 60, [2] * 40)
    yield "equal-bytes", ws(CLIENT, b"\x82" * 120, [9] * 12)


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


def decode_seeds():
    """Records of bpf/event.h, good ones and each with one thing wrong."""
    OPEN, REFUSED, REASON, CLOSE = 1, 2, 3, 4
    # limits of event.h
    servers, channels, request_max, response_max, causes, violations = 64, 1024, 4096, 1024, 5, 10
    buckets = 544

    def record(type, rest, *, length=None, behind=b"", offset=0):
        n = 24 + len(rest) if length is None else length
        return bytes([offset]) + struct.pack("<IIQQ", type, n, 7, 10**12) + rest + behind

    def opened(type=OPEN, request=b"GET / H\r\n\r\n", response=b"HTTP/1.1 101 X\r\n\r\n", *,
               server=2, status=101, upstream=0, wrong=0, proxy=0, request_len=None, response_len=None,
               **how):
        endpoint = bytes(10) + b"\xff\xff\x7f\0\0\1" + struct.pack("<H6x", 8000)
        fixed = struct.pack(
            "<QQQ24s24sIIHHHHBBB5x16s", 99, 1000, 1, endpoint, endpoint, 42, 5, server, status,
            len(request) if request_len is None else request_len,
            len(response) if response_len is None else response_len, upstream, wrong,
            proxy, b"node")
        return record(type, fixed + request + response, **how)

    def reason(text=b"\x0f\xa0going away", *, mask=bytes(4), offset=0, n=None, by=1, **how):
        text = bytes(b ^ mask[(offset + i) % 4] for i, b in enumerate(text))
        fixed = mask + bytes([offset, len(text) if n is None else n, by, 0])
        return record(REASON, fixed + text, **how)

    def closed(*, server=2, channel=3, code=1000, closed_by=0, has=1, cause=0, violation=0,
               violated_by=0, upstream=0, resync=0, largest=100, **how):
        return record(CLOSE, struct.pack(
            "<QQQQIIHHHBBBBBBB3xII", 1, 2, 3, 4, 5, 6, server, channel, code, closed_by, has, cause,
            violation, violated_by, upstream, resync, 9000, largest << 22 | 2), **how)

    yield "open", opened()
    yield "open-unaligned", opened(offset=3)
    yield "open-rounded-up", opened(behind=b"next rec")
    yield "open-no-heads", opened(request=b"", response=b"")
    yield "open-upstream", opened(upstream=1)
    yield "open-last", opened(server=servers - 1, status=999, wrong=1)
    yield "open-request-beyond", opened(request_len=500)
    yield "open-response-beyond", opened(response_len=18)
    yield "open-heads-together-beyond", opened(request_len=20, response_len=20)
    yield "open-request-max", opened(request=bytes(request_max), response=b"")
    yield "open-request-long", opened(request=bytes(request_max + 1), response=b"")
    yield "open-response-max", opened(response=bytes(response_max))
    yield "open-response-long", opened(response=bytes(response_max + 1))
    yield "open-lengths-wrap", opened(request_len=0xFFFF, response_len=0xFFFF)
    yield "open-server", opened(server=servers)
    yield "open-status", opened(status=1000)
    yield "open-upstream-2", opened(upstream=2)
    yield "open-wrong-2", opened(wrong=2)
    yield "open-proxy", opened(proxy=1)
    yield "open-proxy-2", opened(proxy=2)
    yield "open-cut", opened()[:100]
    yield "open-short", opened(length=135)
    yield "open-short-alone", opened(request=b"", response=b"", length=135)[:-1]
    yield "refused", opened(REFUSED, response=b"HTTP/1.1 403 No\r\n\r\n", status=403)
    yield "refused-no-answer", opened(REFUSED, response=b"", status=0)
    yield "reason", reason()
    yield "reason-masked", reason(mask=b"\xa1\xb2\xc3\xd4", by=0)
    yield "reason-second-piece", reason(b"away", mask=b"\xa1\xb2\xc3\xd4", offset=7, by=0)
    yield "reason-empty", reason(b"")
    yield "reason-125", reason(bytes(125), behind=bytes(3))
    yield "reason-126", reason(bytes(126))
    yield "reason-to-125", reason(b"x", offset=124)
    yield "reason-beyond-125", reason(b"xy", offset=124)
    yield "reason-offset-wraps", reason(b"x", offset=255)
    yield "reason-beyond-record", reason(b"x", n=2)
    yield "reason-by-2", reason(by=2)
    yield "reason-short", reason(b"", length=31)
    yield "reason-short-alone", reason(b"", length=31)[:-1]
    yield "close", closed()
    yield "close-unaligned", closed(offset=1, behind=b"x")
    yield "close-abnormal", closed(has=0, cause=causes - 1)
    yield "close-last", closed(server=servers - 1, channel=channels - 1, violation=violations - 1,
                               violated_by=1, closed_by=1, upstream=1, resync=1, code=0xFFFF)
    for field, value in {"server": servers, "channel": channels, "cause": causes, "has": 2,
                         "violation": violations, "closed_by": 2, "violated_by": 2, "upstream": 2,
                         "resync": 2, "largest": buckets}.items():
        yield f"close-{field}", closed(**{field: value})
    yield "close-short", closed(length=87)
    yield "close-short-alone", closed(length=87)[:-1]
    yield "close-as-open", record(OPEN, closed()[25:])
    yield "type-0", record(0, bytes(136))
    yield "type-5", record(5, bytes(136))
    yield "length-beyond", closed(length=0xFFFFFFFF)
    yield "length-0", closed(length=0)
    yield "event-cut", bytes(24)


def handshake_seeds():
    up = b"Upgrade: websocket\r\n"
    ok = b"HTTP/1.1 101 Switching Protocols\r\n" + up

    def heads(request, response=ok + b"\r\n"):
        return struct.pack("<H", len(request)) + request + response

    def get(target, rest=b""):
        return b"GET " + target + b" HTTP/1.1\r\n" + up + rest + b"\r\n"

    forwarded = lambda value: get(b"/", b"X-Forwarded-For: " + value + b"\r\n")
    for name, target in {
        "path": b"/chat", "query": b"/chat?room=1", "fragment": b"/chat#x", "root": b"/",
        "only-query": b"?x", "absolute": b"http://h:80/ws?x", "absolute-root": b"ws://h/",
        "absolute-host-alone": b"http://h", "absolute-host-query": b"http://h?u=/x",
        "scheme-later": b"/r/http://x/y", "no-path": b"other", "star": b"*", "empty": b"",
        "bytes": bytes(b for b in range(256) if b not in b" ?#\r\n"), "cr": b"/a\rb",
    }.items():
        yield name, heads(get(target))
    for name, value in {
        "one": b"192.0.2.7", "list": b"6.6.6.6, 10.0.0.1 ,\t192.0.2.7 ", "last-empty": b"1.2.3.4,",
        "v6": b"[2001:db8::1]:443", "empty": b"", "blanks": b" \t ", "comma": b",", "cr": b"1\r",
    }.items():
        yield f"forwarded-{name}", heads(forwarded(value))
    two = b"X-Forwarded-For: 6.6.6.6\r\nX-FORWARDED-FOR:192.0.2.7\r\n"
    yield "forwarded-twice", heads(get(b"/", two))
    yield "forwarded-alike", heads(get(b"/", b"X-Forwarded-For-2: 1\r\nX-Forwarded-Fo: 2\r\n"))
    yield "forwarded-blank-before-colon", heads(get(b"/", b"X-Forwarded-For : 1\r\n"))
    yield "forwarded-in-body", heads(get(b"/") + b"X-Forwarded-For: 1.2.3.4\r\n")
    yield "forwarded-cut", heads(get(b"/", two)[:-4])
    yield "request-cut", heads(get(b"/very/long/path")[:12])
    yield "request-no-blank", heads(b"GET")
    yield "request-cr-at-end", heads(b"GET /x\r")
    yield "lf-only", heads(get(b"/a", two).replace(b"\r", b""), (ok + b"\n").replace(b"\r", b""))
    chosen = b"Sec-WebSocket-Protocol: graphql-ws\r\nsec-websocket-extensions:x;y=1\r\n"
    yield "chosen", heads(get(b"/", b"Sec-WebSocket-Protocol: a, b\r\n"), ok + chosen + b"\r\n")
    yield "chosen-cut", heads(get(b"/"), (ok + chosen)[:-1])
    yield "chosen-in-body", heads(get(b"/"), ok + b"\r\n" + chosen)
    yield "refused", heads(get(b"/"), b"HTTP/1.1 401 Unauthorized\r\nA: b\r\n\r\nbody")
    yield "no-response", heads(get(b"/"), b"")
    yield "no-request", heads(b"")
    yield "status-cut", heads(get(b"/"), b"HTTP/1.1 10")
    yield "status-escape", heads(get(b"/"), b"HTTP/1.1 400 \x1b[31m\x00\r\r\n\r\n")
    yield "nothing", heads(b"", b"")


def label_seeds():
    def text(text, size=123, server=2):
        return bytes([size, server]) + (text if isinstance(text, bytes) else text.encode())

    full = 0x82  # server 2 without a plain channel left
    container = "0123456789abcdef" * 4
    yield "plain", text("going away")
    yield "world", text("żółw 亀 🐢")
    yield "escape", text("\x1b[31mred\x1b]0;x\x07")
    yield "line-ends", text("a\nb\tc\rd\0e\x7f\u0085\u2028\u2029")
    bidi = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff"
    yield "bidi", text(bidi)
    beside = "\u061b\u061d\u200d\u2010\u2027\u202f\u2065\u206a\ufefe\uff00"
    yield "bidi-neighbours", text(beside)
    yield "c0", text(bytes(range(33)))
    yield "c1", text("".join(map(chr, range(0x7F, 0xA1))))
    yield "ends-of-lengths", text("\x7f\x80\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff")
    yield "overlong", text(b"\xc0\xaf\xc1\xbf\xe0\x80\xaf\xe0\x9f\xbf\xf0\x8f\xbf\xbf")
    yield "surrogates", text(b"\xed\x9f\xbf\xed\xa0\x80\xed\xbf\xbf")
    yield "beyond", text(b"\xf4\x8f\xbf\xbf\xf4\x90\x80\x80\xf5\x80\x80\x80\xff\xfe")
    yield "broken", text(b"\xe2\x82x\xf0\x9f\x90x\xf0\x9fx\x80\xc3x\xe2x\x82")
    for cut in (1, 2, 3):
        yield f"character-cut-{cut}", text("a🐢".encode()[: 1 + cut])
        yield f"label-cut-{cut}", text("a🐢b亀cż", cut + 1)
    yield "label-of-nothing", text("abc", 0)
    yield "label-long", text("x" * 130)
    yield "label-long-escapes", text("\x1b" * 130)
    yield "label-cut-at-end", text("x" * 120 + "亀x")
    yield "markup", text("\"<b>\\=1+1@{}")
    uuid = "123e4567-e89b-12d3-a456-426614174000"
    yield "ids", text(f"/room/42/\n/u/{uuid}\n/x/deadBEEF0123/y", server=full)
    yield "no-ids", text("/x/deadbeef012\n/ws/chat-2/v1\n//\n/{id}", server=full)
    yield "folds-to-one", text("/room/1\n/room/2\n/room/{id}\n/room/x", server=full)
    yield "fold-cut", text("/abc/42", 3)
    yield "fold-cut-at-id", text("/abc/42", 8)
    yield "folds-longer", text("/1" * 60, server=full)
    yield "filled", text("/fill-!!\n/fill-!\"\n/fill-zz", server=full)
    yield "paths", text("/a\n/b\n/a\n\n/\x1b\n/\x07")
    yield "path-other", text("other\n/other\nother/\n\n/a")
    yield "path-other-full", text("other\n/1\n/2", server=full)
    yield "many-paths", text("".join(f"/{i}\n" for i in range(40)))
    for name, cgroup in {
        "service": "0::/system.slice/chat.service\n",
        "service-below": "0::/system.slice/ws@8000.service/worker\n",
        "docker": f"0::/system.slice/docker-{container}.scope\n",
        "not-docker": f"0::/docker-1{container}.scope\n",
        "v1": f"12:pids:/docker/{container}\n1:name=systemd:/docker/{container}\n0::/\n",
        "v1-service": "1:name=systemd:/system.slice/a.service\n0::/\n",
        "v1-other-path": "3:cpu:/x:name=systemd:/system.slice/a.service\n0::/\n",
        "user": "0::/user.slice/user-0.slice/user@0.service/app.slice/ws.service\n",
        "escape": "0::/a\x1b.service",
        "long": "0::/" + "y" * 100 + ".service",
        "none": "0::/init.scope\n",
    }.items():
        yield f"unit-{name}", text(cgroup)
    for name, address in {
        "v4": "192.0.2.7", "v4-port": "192.0.2.7:1234", "v6": "2001:DB8::1", "any": "::",
        "v6-all": "1:2:3:4:5:6:7:8", "v6-port": "[2001:db8::1]:443", "open-bracket": "[::1",
        "brackets": "[]", "mapped": "::ffff:192.0.2.7", "compatible": "::192.0.2.7",
        "loopback": "127.0.0.1", "word": "unknown", "and-more": "1.2.3.4 x", "none": "",
        "and-nul": "1.2.3.4\0", "zone": "fe80::1%eth0", "long": "0" * 46,
    }.items():
        yield f"address-{name}", text(address)


def varint(value):
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def numbers(*values):
    return b"".join(varint(value) for value in values)


def point_seeds():
    """[0] bit 0: a roster; two bytes where the checksum is put; numbers as point.c describes."""
    point, roster = b"\0\0\0", b"\1\0\0"
    yield "empty", point + numbers(0, 0)
    yield "counts", point + numbers(3, 3, 1, 3, 3, 1, 5, 0)
    yield "all-numbers", point + numbers(2, 1, 2**64 - 1, 74, 1, 0)
    yield "latency", point + numbers(0, 1, 2001000, 111, 2, 2, 3, 173, 9, 33921)
    yield "last-bucket", point + numbers(0, 2, 2**60, 543, 1, 2, 0, 2**50)
    yield "all-hists", point + numbers(0, 31) + numbers(5, 5, 1, 2, 1, 1) * 5
    yield "wide", point + numbers(0, 1, 9, 0, 20) + numbers(*[2] * 20) + numbers(1, 1)
    yield "number-0", point + numbers(1, 0, 5, 0)
    yield "unknown-number", point + numbers(1, 40, 5, 0)
    yield "count-0", point + numbers(0, 1, 5, 5, 1, 0, 1, 1)
    yield "bucket-544", point + numbers(0, 1, 5, 543, 2, 2, 2, 1, 1)
    yield "gap-first", point + numbers(0, 1, 5, 5, 1, 3, 0, 1, 1)
    yield "min-beyond", point + numbers(0, 1, 5, 5, 1, 2, 3, 1)
    yield "more-behind", point + numbers(0, 0, 0)
    yield "long-varint", point + b"\x80\0\0"
    yield "roster-empty", roster + numbers(0)
    yield "roster", roster + numbers(2, 1, *range(7), 500, *range(7))
    yield "roster-full", roster + numbers(101) + numbers(3, 1, 0, 0, 9, 9, 300, 300) * 101
    yield "roster-102", roster + numbers(102) + numbers(1, 1, 0, 0, 0, 0, 0, 0) * 102
    yield "roster-twice", roster + numbers(2, 1, *range(7), 0, *range(7))
    yield "roster-wraps", roster + numbers(2, 5, *range(7), 2**64 - 1, *range(7))


def http_seeds():
    """Requests to the agent's own HTTP; secrets as in fuzz_http.c."""
    staff, scrape, code = (b"wsv_" + c * 43 for c in (b"S", b"P", b"C"))
    tcp, local, based = 0, 1, 2

    def ask(path, *headers, method=b"GET", version=b"HTTP/1.1", token=None):
        lines = [method + b" " + path + b" " + version, b"Host: 127.0.0.1", *headers]
        if token:
            lines.append(b"Authorization: Bearer " + token)
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def to(listener, stream, cuts=()):
        return bytes([listener, len(cuts)]) + bytes(cuts) + stream

    metrics = b"/api/websocket/metrics/"
    for name, path in {
        "metrics": metrics, "filters": metrics + b"?server=node:8000&channel=%2Froom%2F1&window=1m",
        "user": metrics + b"?user=192.0.2.1&window=1h", "no-slash": metrics[:-1],
        "unknown": metrics + b"?x=1", "twice": metrics + b"?window=1m&window=5m",
        "window": metrics + b"?window=2m", "empty": metrics + b"?server=", "bare": metrics + b"?user",
        "prometheus": b"/metrics", "health": b"/healthz", "root": b"/", "nothing": b"/nothing",
        "local": b"/local/version", "dots": b"/../metrics", "escaped": b"/%6detrics",
    }.items():
        yield f"staff-{name}", to(tcp, ask(path, token=staff))
        yield f"scrape-{name}", to(tcp, ask(path, token=scrape))
        yield f"nobody-{name}", to(tcp, ask(path))
        yield f"based-{name}", to(based, ask(b"/admin/ws" + path, token=staff))
    for name in (b"table?width=80&bold=1", b"doctor", b"version", b"config", b"metrics", b"trial?call=x"):
        yield f"local-{name.decode()[:7].strip('?')}", to(local, ask(b"/local/" + name))
    for name in (b"reset", b"reload", b"version"):
        yield f"local-post-{name.decode()}", to(local, ask(b"/local/" + name, method=b"POST"))
        yield f"tcp-post-{name.decode()}", to(tcp, ask(b"/local/" + name, method=b"POST", token=staff))
    yield "local-metrics", to(local, ask(metrics) + ask(b"/metrics"))
    yield "login", to(tcp, ask(b"/login?code=" + code) + ask(b"/login?code=" + code))
    yield "login-token", to(tcp, ask(b"/login?code=" + staff) + ask(b"/login?code=" + scrape))
    form = b"Content-Type: application/x-www-form-urlencoded"
    for name, body in {"staff": b"token=" + staff, "scrape": b"token=" + scrape, "code": b"a=b&token=+" + code,
                       "escaped": b"token=%77sv_%00", "none": b"tokens=x", "long": b"token=" + b"x" * 506}.items():
        yield f"form-{name}", to(tcp, ask(b"/login", form, b"Content-Length: %d" % len(body), method=b"POST") + body
                                 + ask(b"/healthz"), [127, 127, 3])
    yield "form-short", to(tcp, ask(b"/login", form, b"Content-Length: 99", method=b"POST") + b"token=")
    yield "form-too-long", to(tcp, ask(b"/login", form, b"Content-Length: 513", method=b"POST") + b"token=")
    yield "form-chunks", to(tcp, ask(b"/login", form, b"Transfer-Encoding: chunked", method=b"POST") + b"0\r\n\r\n")
    yield "form-other-type", to(tcp, ask(b"/login", b"Content-Length: 2", method=b"POST") + b"{}")
    yield "form-other-site", to(tcp, ask(b"/login", form, b"Origin: https://evil.example", b"Content-Length: 7",
                                         method=b"POST") + b"token=x")
    for name in ("", "page.js", "page.css", "icon.svg", "login", "login/", "api/websocket/about"):
        path = b"/" + name.encode()
        yield f"page-{name.replace('/', '_') or 'index'}", to(tcp, ask(path, token=staff) + ask(path))
        yield f"page-gzip-{name.replace('/', '_') or 'index'}", to(tcp, ask(path, b"Accept-Encoding: gzip", token=staff))
    yield "host-other", to(tcp, ask(metrics, token=staff).replace(b"127.0.0.1", b"rebound.example"))
    yield "proxy", to(tcp, ask(metrics, b"X-Forwarded-For: 192.0.2.1", b"X-Forwarded-Proto: https", token=staff))
    yield "logout", to(tcp, ask(b"/logout", method=b"POST", token=staff))
    yield "cookie", to(tcp, ask(metrics, b"Cookie: a=b; wsvitals_session=" + code + b"; c=d"))
    yield "many", to(tcp, ask(metrics, token=staff) * 22)
    yield "many-wrong", to(tcp, ask(metrics, token=code) * 12 + ask(metrics, token=staff))
    yield "gzip", to(tcp, ask(metrics, b"Accept-Encoding: gzip;q=0.5, br", token=staff))
    yield "no-gzip", to(tcp, ask(metrics, b"Accept-Encoding: gzip;q=0, *;q=0.1", token=staff))
    yield "openmetrics", to(tcp, ask(b"/metrics", b"Accept: application/openmetrics-text;q=0.9, text/plain;q=0.5",
                                     token=scrape))
    yield "etag", to(tcp, ask(metrics, b"If-None-Match: *", token=staff) + ask(b"/healthz"))
    yield "head", to(tcp, ask(metrics, method=b"HEAD", token=staff) + ask(b"/healthz"))
    yield "http-1.0", to(tcp, ask(b"/healthz", version=b"HTTP/1.0") + ask(b"/healthz"))
    yield "keep-alive", to(tcp, ask(b"/healthz", b"Connection: Keep-Alive", version=b"HTTP/1.0") * 2)
    yield "close", to(tcp, ask(b"/healthz", b"Connection: close") + ask(b"/healthz"))
    yield "http-2", to(tcp, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    yield "body", to(tcp, ask(b"/logout", b"Content-Length: 5", method=b"POST", token=staff) + b"hello")
    yield "length-bad", to(tcp, ask(b"/healthz", b"Content-Length: x") + ask(b"/healthz"))
    yield "length-twice", to(tcp, ask(b"/healthz", b"Content-Length: 0", b"Content-Length: 0"))
    yield "chunks", to(tcp, ask(b"/healthz", b"Transfer-Encoding: chunked") + b"0\r\n\r\n" + ask(b"/metrics"))
    yield "expect", to(tcp, ask(b"/healthz", b"Expect: 100-continue", b"Content-Length: 9"))
    yield "host-twice", to(tcp, ask(b"/healthz", b"host: y"))
    yield "host-missing", to(tcp, b"GET /healthz HTTP/1.1\r\nX: y\r\n\r\n")
    yield "nul-line", to(tcp, ask(b"/healthz", b"\0: x") + ask(metrics))
    yield "nul-for-cr", to(tcp, ask(b"/healthz")[:-2] + b"\0\n" + ask(metrics))
    yield "colon-for-cr", to(tcp, ask(b"/healthz")[:-2] + b":\n" + ask(metrics))
    yield "nul-and-lf", to(tcp, ask(b"/healthz", b"X: a\0b").replace(b"\r\n", b"\n", 2) + ask(metrics))
    yield "nul-path", to(tcp, ask(b"/healthz\0/x"))
    yield "folded", to(tcp, ask(b"/healthz", b"X: a\r\n b"))
    yield "lf", to(tcp, ask(b"/healthz").replace(b"\r", b""))
    yield "cut", to(tcp, ask(metrics, token=staff), [1, 1, 2, 3, 30, 30, 1, 20])
    yield "gap", to(tcp, ask(metrics, b"X: " + b"y" * 100, token=staff), [40, gap(9)])
    yield "partial", to(tcp, ask(b"/healthz")[:-2])
    form = b"Content-Type: application/x-www-form-urlencoded"
    for name, body in {"staff": b"token=" + staff, "scrape": b"token=" + scrape, "code": b"a=b&token=" + code, "none": b"", "long": b"token=" + b"x" * 600}.items():
        yield f"form-{name}", to(tcp, ask(b"/login", form, b"Content-Length: %d" % len(body), method=b"POST") + body + ask(b"/healthz"), [90, 20])
    yield "form-no-type", to(tcp, ask(b"/login", b"Content-Length: 3", method=b"POST") + b"a=b")
    yield "form-elsewhere", to(tcp, ask(b"/logout", form, b"Content-Length: 3", method=b"POST", token=staff) + b"a=b")
    yield "form-other-site", to(tcp, ask(b"/login", form, b"Origin: http://y", b"Content-Length: 3", method=b"POST") + b"a=b")
    yield "form-same-site", to(tcp, ask(b"/login", form, b"Sec-Fetch-Site: same-origin", b"Content-Length: 3", method=b"POST") + b"a=b")
    for name in ("", "login", "page.js", "page.css", "icon.svg", "api/websocket/about/"):
        path = b"/" + name.encode()
        yield f"page-{name.strip('/').split('/')[-1]}", to(tcp, ask(path, b"Accept-Encoding: gzip", token=staff) + ask(path, token=staff))
        yield f"page-nobody-{name.strip('/').split('/')[-1]}", to(based, ask(b"/admin/ws" + path))
    yield "other-host", to(tcp, ask(metrics, token=staff).replace(b"Host: x", b"Host: y"))
    yield "forwarded", to(tcp, ask(metrics, b"X-Forwarded-For: 1.2.3.4", b"X-Forwarded-Proto: https", b"X-Forwarded-Host: y", token=staff))
    for method in (b"PUT", b"OPTIONS", b"get", b"M-SEARCH"):
        yield f"method-{method.decode()}", to(tcp, ask(b"/metrics", method=method, token=scrape))


def gate_seeds():
    """A byte of switches (fuzz_gate.c), then lines."""
    def lines(switches, host="", origin="", site="", forwarded_for="", forwarded_host="", proto="", form=""):
        return bytes([switches]) + "\n".join((host, origin, site, forwarded_for, forwarded_host, proto, form)).encode()
    return {
        "plain": lines(0, "localhost:9797"), "v6": lines(1, "[::1]:9797"), "dot": lines(0, "localhost."), "name": lines(0, "metrics.example.org"),
        "other": lines(0, "127.0.0.1.evil.example"), "port": lines(0, ":80"), "bracket": lines(0, "[::1"), "network": lines(0, "10.0.0.0/8"),
        "origin": lines(4, "localhost:1", "http://localhost:1"), "null": lines(4, "localhost", "null"), "site": lines(12, "localhost", "http://localhost", "same-origin"),
        "cross": lines(8, "localhost", "", "cross-site"), "proxy": lines(18, "x", "", "", "1.2.3.4, 10.0.0.1", "b", "https"),
        "stranger": lines(16, "b", "", "", "1.2.3.4", "evil", "https"), "chain": lines(2, "b", "", "", "10.0.0.1,10.0.0.2,::1"),
        "form": lines(0, "b", form="a=b&token=x%20y+z"), "twice": lines(0, "b", form="token=a&token=b"), "escape": lines(0, "b", form="token=%4"), "empty": b"\0",
    }.items()


def main():
    for name, seeds in {
        "ws": ws_seeds, "resync": resync_seeds, "http1": http1_seeds, "pair": pair_seeds, "hist": hist_seeds,
        "accept": accept_seeds, "decode": decode_seeds, "handshake": handshake_seeds,
        "label": label_seeds, "point": point_seeds, "http": http_seeds, "gate": gate_seeds,
    }.items():
        folder = HERE / name
        folder.mkdir(exist_ok=True)
        for old in folder.glob("seed-*"):
            old.unlink()
        for seed, data in seeds():
            (folder / f"seed-{seed}").write_bytes(data)


if __name__ == "__main__":
    main()
