"""The server matrix as a table: per server what the client did and what wsvitals saw, summed over the known mix. Filled by
test_matrix.py, printed at the end of a run, kept in docs/servers.md by scripts/server-table."""
from collections import Counter
from pathlib import Path

from scenarios import SCENARIOS, supported_by
from servers import SERVERS
from watch import counted, tallied

RESULTS = {}  # name: {test's part: (Counter of the client's, Counter of wsvitals')}; a part that is repeated replaces itself
COLUMNS = {"opened": "opened", "closed": "closed", "refused": "refused", "received": "messages received", "sent": "messages sent",
           "bytes_received": "bytes received", "bytes_sent": "bytes sent", "control": "control frames", "close_codes": "close frames",
           "errors_total": "errors"}

HEAD = """# Servers of the test matrix

Written by `sudo scripts/server-table` from a run of `tests/e2e/test_matrix.py`; do not edit it.

Every row is a real server that wsvitals watches from outside while one client, which has framing of its own, does the
known mix of `tests/e2e/scenarios.py` to it. A cell is what the client counted, when wsvitals saw the same; else
**client's ≠ wsvitals'**. Received and sent are the server's words.
"""


def summed(numbers):
    """The columns' numbers out of `counted` or `tallied`."""
    control = sum(sum(numbers[f"control_{d}"].values()) for d in ("received", "sent"))
    closes = sum(sum(by.values()) for by in numbers["close_codes"].values())
    return Counter({**{name: numbers[name] for name in COLUMNS if isinstance(numbers.get(name), int)},
                    "refused": sum(numbers["refused"].values()), "control": control, "close_codes": closes})


def add(server, part, dump, tally):
    """One test's numbers of this server."""
    RESULTS.setdefault(server.name, {})[part] = summed(tallied(tally)), summed(counted(dump))


def rows():
    """(name, what it is, scenarios, cells), in the table's order."""
    for name, server in SERVERS.items():
        if name in RESULTS:
            expected, seen = (sum(numbers, Counter()) for numbers in zip(*RESULTS[name].values()))
            cells = [(expected[c], seen[c]) for c in COLUMNS]
            yield name, server.about, len(supported_by(server)), cells


def text():
    """For a terminal: client's/wsvitals' in each cell, and a verdict."""
    lines = [["server", "scenarios", *COLUMNS.values(), ""]]
    for name, _, scenarios, cells in rows():
        equal = all(a == b for a, b in cells)
        lines.append([name, str(scenarios), *(f"{a}/{b}" for a, b in cells), "equal" if equal else "DIFFERENT"])
    wide = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join("  ".join(f"{word:>{w}}" if i else f"{word:<{w}}" for i, (word, w) in enumerate(zip(line, wide))).rstrip()
                     for line in lines)


def markdown():
    table = [["server", "runtime and I/O", "scenarios", *COLUMNS.values()]]
    for name, about, scenarios, cells in rows():
        table.append([name, about, str(scenarios), *(str(a) if a == b else f"**{a} ≠ {b}**" for a, b in cells)])
    table.insert(1, ["---", "---", *["---:"] * (len(table[0]) - 2)])
    lines = ["| " + " | ".join(line) + " |" for line in table]
    left_out = [f"- **{name}**: " + ", ".join(missing) for name in RESULTS if (missing := cannot(SERVERS[name]))]
    return "\n".join([HEAD, *lines, "", "What a library cannot do, and is therefore not asked of it:", "", *left_out]) + "\n"


def cannot(server):
    """Scenarios of its dialect that it does not support."""
    of_dialect = [s for s in SCENARIOS.values() if s.speaks in ("", server.speaks)]
    return [s.name.replace("_", " ") for s in of_dialect if not s.supported(server)]


def write(path):
    Path(path).write_text(markdown())
