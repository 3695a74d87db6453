"""The load, the server that costs next to nothing and the meter of tests/bench, built here when they are needed."""
import json
import os
import subprocess
from contextlib import contextmanager

from servers import TCP_ESTABLISHED, TCP_LISTEN, TCP_TIME_WAIT, Running, Server, free_port, tcp_sockets, wait_until
from watch import ROOT

TOOLS = ROOT / "build" / "tests" / "bench"
SERVE = Server("serve", (str(TOOLS / "serve"), "{host}", "{port}"), comm="serve")
PER_PROCESS = 10000  # connections: below the usual limit of descriptors


def build_tools():
    done = subprocess.run(["make", "-s", "-C", str(ROOT), "bench-tools"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def load(port, seconds, *, connections=64, rate=0, size=100):
    """What tests/bench/load.c prints, after all answers have come."""
    words = ["ws", "-n", "-s", str(seconds), "-c", str(connections), "-b", str(size)] + (["-r", str(rate)] if rate else [])
    done = subprocess.run([str(TOOLS / "load"), *words, "127.0.0.1", str(port)], capture_output=True, text=True, timeout=seconds + 120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def meter(pid, port, seconds):
    """Run statistics of the programs of this wsvitals, and of empty ones on the same hooks (tests/bench/meter.c)."""
    done = subprocess.run([str(TOOLS / "meter"), str(port), str(seconds), str(pid)], capture_output=True, text=True, timeout=seconds + 60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@contextmanager
def namespace():
    """A network namespace of our own, loopback up: what many connections leave behind ends with it."""
    name = f"wsv-load-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        yield name
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


class Crowd:
    """Servers that share a port in a network namespace, enough of them for so many connections."""

    def __init__(self, name, connections):
        self.prefix = ("ip", "netns", "exec", name)
        self.port = free_port()
        self.running = []
        try:
            for _ in range(-(-connections // PER_PROCESS) + 2):  # the kernel does not share them out evenly
                self.running.append(Running(SERVE, port=self.port, prefix=self.prefix))
        except BaseException:
            self.stop()
            raise

    def wait_open(self, connections):
        """Until this many are open, and none is on its way in or out."""
        def others():
            return [s for local, s in tcp_sockets(self.running[0].pid) if local == self.port and s not in (TCP_LISTEN, TCP_TIME_WAIT)]
        wait_until(lambda: others() == [TCP_ESTABLISHED] * connections, f"{connections} connections", 120)

    @contextmanager
    def clients(self, mode, connections):
        """So many of them, with load ("ws") or without ("hold"), until the end of the block."""
        options = ["-n", "-s", "3600"] if mode == "ws" else []
        parts = [min(PER_PROCESS, connections - at) for at in range(0, connections, PER_PROCESS)]
        processes = [subprocess.Popen([*self.prefix, str(TOOLS / "load"), mode, *options, "-c", str(n), "127.0.0.1", str(self.port)],
                                      stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
                     for n in parts]
        try:
            yield
            ended = [p for p in processes if p.poll() is not None]
            assert not ended, f"a load ended early: {ended[0].stderr.read()}"
        finally:
            for p in processes:
                p.kill()
                p.communicate()

    def stop(self):
        for server in self.running:
            server.stop()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
