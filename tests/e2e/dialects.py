"""What servers speak above WebSocket: how a conversation begins, and how one message gets one answer.

With these two, whatever needs only a conversation can be asked of every server of the table. What a protocol can do beyond
that is in its own scenarios.
"""
import json
import struct
from dataclasses import dataclass
from typing import Callable

from wsclient import BINARY, TEXT

SOCKETIO_PATH = "/socket.io/?EIO=4&transport=websocket"


@dataclass(frozen=True)
class Dialect:
    greet: Callable  # (connection): what must be said before anything else
    exchange: Callable  # (connection, text): send a message that carries the text, and take the one message that answers it
    path: str = ""  # the only one that it has


def send_json(c, **message):
    c.text(json.dumps(message))


def expect_json(c, **message):
    opcode, payload = c.receive()
    assert opcode == TEXT and json.loads(payload) == message, f"wanted {message}, got {opcode} {payload[:200]!r}"


def expect_text(c, start):
    """A text that begins so; returns the rest."""
    opcode, payload = c.receive()
    assert opcode == TEXT and payload.decode().startswith(start), f"wanted {start!r}…, got {opcode} {payload[:200]!r}"
    return payload.decode()[len(start):]


def socketio_event(name, value, digit="42"):
    return f'{digit}{json.dumps([name, value], separators=(",", ":"))}'


def socketio_greet(c):
    expect_text(c, "0{")
    c.tally.add("push")
    socketio_join(c)


def socketio_join(c):
    c.text("40")
    expect_text(c, "40{")


def socketio_exchange(c, text):
    c.ask(socketio_event("m", text))


def graphql_greet(c):
    send_json(c, type="connection_init")
    expect_json(c, type="connection_ack")


def graphql_exchange(c, text):
    send_json(c, type="ping", payload={"text": text})
    expect_json(c, type="pong", payload={"text": text})


# MQTT 3.1.1: the first byte of each packet
MQTT_CONNECT, MQTT_CONNACK, MQTT_PUBLISH, MQTT_PUBLISH_QOS1, MQTT_PUBACK = 0x10, 0x20, 0x30, 0x32, 0x40
MQTT_SUBSCRIBE, MQTT_SUBACK, MQTT_PINGREQ, MQTT_PINGRESP, MQTT_DISCONNECT = 0x82, 0x90, 0xC0, 0xD0, 0xE0


def mqtt_packet(first, body=b""):
    head, n = bytes([first]), len(body)
    while True:
        head += bytes([n % 128 | (0x80 if n > 127 else 0)])
        n //= 128
        if not n:
            return head + body


def mqtt_string(text):
    return struct.pack(">H", len(text)) + text.encode()


def mqtt_connect():
    clean_session, keep_alive = 2, 3600
    return mqtt_packet(MQTT_CONNECT, mqtt_string("MQTT") + struct.pack(">BBHH", 4, clean_session, keep_alive, 0))


def mqtt_publish(topic, payload, packet_id=1):
    return mqtt_packet(MQTT_PUBLISH_QOS1, mqtt_string(topic) + struct.pack(">H", packet_id) + payload)


def mqtt_greet(c):
    c.send(BINARY, mqtt_connect())
    c.expect(BINARY, mqtt_packet(MQTT_CONNACK, b"\0\0"))


def mqtt_exchange(c, text):
    c.send(BINARY, mqtt_publish("nobody/listens", text.encode()))
    c.expect(BINARY, mqtt_packet(MQTT_PUBACK, b"\0\1"))


DIALECTS = {
    "echo": Dialect(lambda c: None, lambda c, text: c.ask(text)),
    "socketio": Dialect(socketio_greet, socketio_exchange, SOCKETIO_PATH),
    "graphql": Dialect(graphql_greet, graphql_exchange, "/"),
    "mqtt": Dialect(mqtt_greet, mqtt_exchange, "/mqtt"),
}
