"""HTTP/1.1 at the level of bytes, for requests that no library would send; answers are parsed strictly."""
import re
import socket

STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3}) [\x20-\x7e]*")
FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x21-\xff](?:[\x20-\xff\t]*[\x21-\xff])?)?[ \t]*")
NO_BODY = (204, 304)


class Response:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:200]!r}>"


def parse(data, head_only=False):
    """The first answer in data and what comes behind it; None when it is not whole yet."""
    head, end, rest = data.partition(b"\r\n\r\n")
    if not end:
        return None
    status_line, *lines = head.split(b"\r\n")
    status = STATUS_LINE.fullmatch(status_line)
    assert status, f"no status line: {status_line!r}"
    headers = {}
    for line in lines:
        field = FIELD.fullmatch(line)
        assert field, f"no header: {line!r}"
        name = field[1].decode().lower()
        assert name not in headers or name == "set-cookie", f"{name} twice"
        headers[name] = (field[2] or b"").decode()
    status = int(status[1])
    if head_only or status in NO_BODY:
        return Response(status, headers, b""), rest
    assert "transfer-encoding" not in headers and "content-length" in headers, headers
    length = int(headers["content-length"])
    if len(rest) < length:
        return None
    return Response(status, headers, rest[:length]), rest[length:]


class Client:
    """One TCP connection to the agent."""

    def __init__(self, port, source=None, timeout=8, host="127.0.0.1"):
        self.socket = socket.socket()
        self.socket.settimeout(timeout)
        if source:
            self.socket.bind((source, 0))
        self.socket.connect((host, port))
        self.data = b""

    def send(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before all was sent: the answer says so
        return self

    def answer(self, head_only=False):
        """The next answer; None when the agent has closed instead."""
        while not (found := parse(self.data, head_only)):
            try:
                chunk = self.socket.recv(65536)
            except ConnectionResetError:
                chunk = b""
            if not chunk:
                assert not self.data, f"half an answer: {self.data!r}"
                return None
            self.data += chunk
        response, self.data = found
        return response

    def rest(self):
        """What else comes until the agent closes."""
        try:
            while chunk := self.socket.recv(65536):
                self.data += chunk
        except ConnectionResetError:
            pass
        except socket.timeout:
            raise AssertionError(f"the connection stays, after {self.data!r}")
        return self.data

    def is_closed(self):
        """Whether the agent has closed without another byte; waits for it."""
        try:
            return not self.data and self.socket.recv(1) == b""
        except ConnectionResetError:
            return True
        except socket.timeout:
            return False

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
