#!/usr/bin/python3
"""history_api.py STORE: how long the API's answers from history take (SPEC 8), over HTTP, on a store that
build/tests/store/store_fill has filled. The store is copied; a clock is preloaded into the agent, so that the
store's days are its last ones.

Beside the times on the wall stands the processor time that the agent took for an answer, which a shared machine
cannot spoil: that is what must hold the figure, else the exit status is 1. Root."""
import os
import re
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "e2e"))
from agent import Agent  # noqa: E402
from servers import BUILD, SOURCES  # noqa: E402

ASKED = 15
API = "/api/websocket/"
PACKED = {"Accept-Encoding": "gzip"}
QUESTIONS = [("metrics/", 5), ("metrics/history/?hours=24", 20), ("metrics/history/?hours=168", 50),
             ("metrics/history/?hours=24", 20, PACKED), ("metrics/history/?hours=168", 50, PACKED),
             ("metrics/history/?hours=24&format=csv", None), ("metrics/history/?hours=168&format=csv", None),  # in pieces
             ("metrics/history/?hours=24&type=text", 20), ("metrics/history/?hours=24&user=000000001eef", 20),
             ("metrics/history/?hours=24&channel=/ws/project/3", 20), ("metrics/history/?hours=168&channel=/ws/project/3", 50),
             ("heatmap/?hours=24", 20), ("heatmap/?hours=168", 50), ("metrics/history/?hours=1&step=10", 20),
             ("connections/", None), ("connections/?sort=duration", None), ("errors/", None), ("channels/", None), ("users/", None),
             ("events/", None), ("forecast/", None)]


def end_of(store):
    """The beginning of the last interval in it."""
    import sqlite3
    last = sorted(store.glob("raw-*.db"))[-1]
    with sqlite3.connect(f"file:{last}?mode=ro", uri=True) as file:
        return file.execute("SELECT max(time) FROM interval").fetchone()[0]


def resident_mb(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) / 1024


def processor_ms(pid):
    """Of its only thread."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e6


def main(store):
    BUILD.mkdir(parents=True, exist_ok=True)
    subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", str(BUILD / "clock.so"), str(SOURCES.parent / "clock.c")], check=True)
    failed = False
    with tempfile.TemporaryDirectory(prefix="wsvitals-") as name:
        os.chmod(name, 0o755)
        place = Path(name)
        clock = place / "clock"
        end = end_of(store)
        clock.write_bytes(struct.pack("q", 0))
        (place / "agent").mkdir(mode=0o755)
        with Agent("--port", 7, directory=place / "agent") as agent:
            agent.end()
            owner = agent.db.stat()
        for file in store.glob("*.db*"):
            copy = shutil.copy2(file, agent.db)
            os.chown(copy, owner.st_uid, owner.st_gid)
        for file in list(agent.db.glob("*.db")):  # of the first start, years later
            if not (store / file.name).exists():
                file.unlink()
        clock.write_bytes(struct.pack("q", int(end + 60 - time.time())))
        with Agent("--port", 7, directory=place / "agent", env={"LD_PRELOAD": str(BUILD / "clock.so"), "WSVITALS_CLOCK": str(clock)}) as agent:
            time.sleep(2)
            before = resident_mb(agent.agent_pid)
            print(f"{'question':<58} {'median':>9} {'worst':>9} {'processor':>9} {'bytes':>9}  figure")
            for question, figure, *headers in QUESTIONS:
                times, taken = [], []
                for _ in range(ASKED):
                    before_ms = processor_ms(agent.agent_pid)
                    began = time.perf_counter()
                    answer = agent.ask(API + question, timeout=60, headers=headers[0] if headers else None)
                    times.append((time.perf_counter() - began) * 1000)
                    taken.append(processor_ms(agent.agent_pid) - before_ms)
                    assert answer.status == 200, answer
                    time.sleep(max(0, 0.06 - times[-1] / 1000))  # 20 a second are allowed
                median, processor = statistics.median(times), statistics.median(taken)
                failed |= figure is not None and processor > figure
                over = " OVER" if figure and median > figure else ""
                print(f"{question + (' gzip' if headers else ''):<58} {median:6.1f} ms {max(times):6.1f} ms {processor:6.1f} ms {len(answer.body):9}"
                      f"  {f'{figure} ms' if figure else ''}{over}")
            print(f"resident: {before:.1f} MB before, {resident_mb(agent.agent_pid):.1f} MB after")
            print("until", datetime.fromtimestamp(end, timezone.utc).isoformat())
    return failed


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1])))
