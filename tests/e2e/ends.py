"""Both ends of one connection in this process, so that the server's calls are ours to choose."""
import base64
import hashlib
import os
import socket

from wsclient import GUID

RFC_KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455 1.3, which many a client has copied


def request(key):
    return (f"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n").encode()


def response(key):
    accept = base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()
    return (f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\n\r\n").encode()


class Ends:
    def __init__(self, listener, key=None):
        self.client = socket.create_connection(listener.getsockname())
        self.server, _ = listener.accept()
        key = key or base64.b64encode(os.urandom(16)).decode()
        self.client.sendall(request(key))
        self.server.recv(65536)
        self.server.sendall(response(key))
        self.client.recv(65536)

    def up(self, data):
        self.client.sendall(data)
        left = len(data)
        while left:
            left -= len(self.server.recv(left))

    def unseen(self, data):
        """The server takes these bytes past every read call."""
        self.client.sendall(data)
        out, into = os.pipe()
        left = len(data)
        while left:
            left -= os.splice(self.server.fileno(), into, left)
        os.close(out)
        os.close(into)

    def drain(self, n):
        """The client reads n bytes."""
        while n:
            n -= len(self.client.recv(min(n, 65536)))

    def close(self):
        self.client.close()
        self.server.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
