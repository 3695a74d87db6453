"""Servers live for the whole run: starting one costs more than a test."""
import pytest

from servers import RAW, SERVERS, Running
from wsclient import OPEN

STARTED = {}


@pytest.fixture(scope="session")
def running():
    """running("node_ws"), running("raw", host="::1"): the one instance of this run."""
    def get(name, host="127.0.0.1"):
        if (name, host) not in STARTED:
            STARTED[name, host] = Running(RAW if name == "raw" else SERVERS[name], host)
        return STARTED[name, host]

    yield get
    for server in STARTED.values():
        server.stop()


@pytest.fixture(autouse=True)
def clean_servers():
    """A test that fails must not leave connections to the next one."""
    yield
    while OPEN:
        OPEN.pop().close()
    for server in STARTED.values():
        server.wait_idle()
