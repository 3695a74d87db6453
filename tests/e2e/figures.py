"""What tests measured, for people: printed at the end of a run, and kept in docs/campaign.md by `make campaign-load`."""
import os
import platform
import time
from pathlib import Path

FOUND = []  # (what, figure), in the order in which they were found

HEAD = """# The last campaign

Written by `sudo make campaign-load`, which runs the load tests of `tests/e2e/` for longer than `scripts/test` does; do not edit it.
Counts were compared with the client's in the same run; a figure is what this machine gave, not what is promised.
"""


def add(what, figure):
    FOUND.append((what, figure))


def text():
    wide = max(len(what) for what, _ in FOUND)
    return "\n".join(f"{what:<{wide}}  {figure}" for what, figure in FOUND)


def machine():
    model = next((line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), "?")
    return f"{os.cpu_count()} x {model}, Linux {platform.release()}"


def write(path, failed):
    verdict = "all tests passed" if not failed else f"{failed} tests FAILED"
    lines = [HEAD, f"{time.strftime('%Y-%m-%d', time.gmtime())}, {machine()}: {verdict}.", "", "| what | figure |", "| --- | --- |",
             *(f"| {what} | {figure} |" for what, figure in FOUND)]
    Path(path).write_text("\n".join(lines) + "\n")
