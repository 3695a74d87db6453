"""tshark, which knows nothing of us, counts the same frames on the wire: the tally that all tests lean on is itself true."""
import os
import re
import signal
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

import pytest

from scenarios import Peer, supported_by
from servers import SERVERS, wait_until
from wsclient import CONTROL, connect

BLIND = {"frames_with_the_request"}  # tshark does not look for frames behind a request
TRIES = 3  # a capture that lost packets proves nothing and is taken again


class Capture:
    """tshark on lo for one port, into a file."""

    def __init__(self, directory, port):
        self.port, self.file = port, Path(directory) / "capture.pcapng"
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(["setpriv", "--pdeathsig", "TERM", "--", "tshark", "-q", "-i", "lo", "-B", "64", "-f", f"tcp port {port}",
                                         "-w", str(self.file)],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.log)
        wait_until(lambda: "Capture started" in self.said() or "Capturing on" in self.said(), "tshark to capture", 20)
        wait_until(lambda: self.file.exists() and self.file.stat().st_size > 0, "tshark's file", 20)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(10)

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def stop(self):
        """Packets lost. tshark drops what still lies in the kernel's buffer, so a last packet must reach the file first."""
        marker = os.urandom(8).hex().encode()
        with connect("127.0.0.1", self.port) as s:
            s.sendall(b"GET /" + marker + b" HTTP/1.1\r\nHost: marker\r\n\r\n")
            s.recv(1)
        wait_until(lambda: marker in self.file.read_bytes(), "the last packet to reach tshark's file", 20)
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)
        lost = re.search(r"(\d+) packets? dropped", self.said())
        return int(lost.group(1)) if lost else 0

    def frames(self):
        """(from the client, opcode, fin, payload length) of each frame of the capture."""
        fields = ["tcp.dstport", "websocket.opcode", "websocket.fin", "websocket.payload_length",
                  "websocket.payload_length_ext_16", "websocket.payload_length_ext_64"]
        command = ["tshark", "-r", str(self.file), "-d", f"tcp.port=={self.port},http", "-Y", "websocket", "-T", "fields"]
        for field in fields:
            command += ["-e", field]
        text = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
        for line in text.splitlines():
            port, opcodes, fins, lengths, ext16, ext64 = (c.split(",") if c else [] for c in line.split("\t"))
            assert len(opcodes) == len(fins) == len(lengths), f"tshark's fields do not line up: {line}"
            for opcode, fin, length in zip(opcodes, fins, lengths):
                n = int(length)
                yield int(port[0]) == self.port, int(opcode), fin in ("1", "True"), \
                    n if n < 126 else int(ext16.pop(0) if n == 126 else ext64.pop(0))


def count(frames):
    """tshark's frames in the words of a tally."""
    counts = Counter()
    for from_client, opcode, fin, length in frames:
        direction = "received" if from_client else "sent"
        if opcode in CONTROL:
            counts[f"{direction}.{CONTROL[opcode]}"] += 1
            continue
        counts[f"bytes_{direction}"] += length
        counts[direction] += fin
    return counts


@pytest.mark.parametrize("name", SERVERS)
def test_tshark_counts_what_the_client_tallies(running, tmp_path, name):
    for attempt in range(TRIES):
        peer = Peer(running(name))
        directory = tmp_path / str(attempt)
        directory.mkdir()
        with Capture(directory, peer.running.port) as capture:
            for scenario in supported_by(peer.server):
                if scenario.name not in BLIND:
                    scenario.run(peer)
            peer.running.wait_idle()
            if capture.stop() == 0:
                break
    else:
        raise AssertionError(f"tshark lost packets in each of {TRIES} captures")
    counts = count(capture.frames())
    assert counts["received"] > 100
    wanted = {name: n for name, n in peer.tally.counts.items() if n and name.startswith(("received", "sent", "bytes_"))}
    assert counts == wanted, "tshark's counts differ from the client's tally"
