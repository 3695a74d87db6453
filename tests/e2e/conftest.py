"""Servers live for the whole run: starting one costs more than a test. They start side by side, as some are slow."""
from concurrent.futures import ThreadPoolExecutor

import pytest

import figures
import report
from servers import RAW, SERVERS, Running, wait_idle
from wsclient import OPEN

STARTED = {}  # (name, host): future of Running
STARTERS = ThreadPoolExecutor(len(SERVERS) * 2)  # not fewer: a server ends with the thread that started it


def start(name, host="127.0.0.1"):
    """The future of a server; a proxy's waits for the server behind it."""
    if (name, host) not in STARTED:
        row = RAW if name == "raw" else SERVERS[name]
        behind = start(row.behind) if row.behind else None
        STARTED[name, host] = STARTERS.submit(lambda: Running(row, host, behind=behind and behind.result()))
    return STARTED[name, host]


def hosts_in(items):
    """(row of the table that tests are parametrised with, address on which they may want it)"""
    for item in items:
        callspec = getattr(item, "callspec", None)
        for name in callspec.params.values() if callspec else ():
            if isinstance(name, str) and name in SERVERS:
                yield name, "127.0.0.1"
                if SERVERS[name].ipv6 and item.originalname == "test_whole_mix_at_once":
                    yield name, "::1"


@pytest.fixture(scope="session")
def running(request):
    """running("node_ws"), running("raw", host="::1"): the one instance of this run."""
    for name, host in hosts_in(request.session.items):
        start(name, host)
    yield lambda name, host="127.0.0.1": start(name, host).result()
    for server in all_running():
        server.stop()


def all_running():
    """The servers that have started."""
    return [f.result() for f in STARTED.values() if f.done() and not f.exception()]


@pytest.fixture(autouse=True)
def clean_servers():
    """A test that fails must not leave connections to the next one."""
    yield
    while OPEN:
        OPEN.pop().close()
    if servers := all_running():
        wait_idle(*servers)


# Tests that mostly wait for real time to pass: scripts/test runs them beside the others. All of a file, or one test.
WAITS = ("test_history.py", "test_page_history.py", "test_memory_stays_flat",
         "test_clients_that_send_a_byte_a_second_are_cut_off", "test_clients_that_never_read_cost_a_bounded_amount")


def pytest_configure(config):
    config.addinivalue_line("markers", "waits: mostly waits for real time to pass")


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.name in WAITS or item.originalname in WAITS:
            item.add_marker("waits")


def pytest_addoption(parser):
    parser.addoption("--server-table", metavar="FILE", help="write the table of the server matrix there, as Markdown")
    parser.addoption("--figures", metavar="FILE", help="write what was measured there, as Markdown")


def pytest_terminal_summary(terminalreporter, config):
    if report.RESULTS:
        terminalreporter.section("servers")
        terminalreporter.write_line(report.text())
    if figures.FOUND:
        terminalreporter.section("figures")
        terminalreporter.write_line(figures.text())
    if config.getoption("--figures"):
        figures.write(config.getoption("--figures"), len(terminalreporter.getreports("failed")))
    if config.getoption("--server-table"):
        report.write(config.getoption("--server-table"))
