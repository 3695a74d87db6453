"""The dashboard before an agent with a past of sixteen days: what it draws is what history answers."""
import json
import os
import pwd
import re
import subprocess
import tempfile
import threading
import time
from datetime import datetime, timezone
from pathlib import Path

import pytest

import figures
from agent import Agent
from browser import DESKTOP, Browser
from scenarios import together
from servers import SERVERS, Running
from watch import ROOT
from wsclient import OPEN, Connection, Tally

PAST = ROOT / "build" / "tests" / "store" / "past"
DAYS, HOURS = 16, 6
LEVEL = "document.querySelector('#verdict').dataset.level"
RANGES = {"15m": 10, "1h": 10, "6h": 60, "24h": 300, "7d": 1800, "30d": 7200}


@pytest.fixture(scope="module")
def server():
    with Running(SERVERS["py_websockets"]) as server:
        yield server


@pytest.fixture(scope="module")
def place(server):
    """A disk whose store has a past (past.c), as an agent that ran until a minute ago would leave it."""
    made = subprocess.run(["make", "-s", str(PAST.relative_to(ROOT))], cwd=ROOT, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    with tempfile.TemporaryDirectory(prefix="wsvitals-") as name:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m,mode=755", "wsvitals-past", name], check=True)
        try:
            db = Path(name) / "db"
            db.mkdir()
            done = subprocess.run([PAST, db, f"python3:{server.port}", str(DAYS), str(HOURS)], capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            owner = {user.pw_name: user for user in pwd.getpwall() if user.pw_name in ("wsvitals", "nobody")}
            owner = owner.get("wsvitals") or owner["nobody"]
            for path in (db, *db.iterdir()):
                os.chown(path, owner.pw_uid, owner.pw_gid)
            yield Path(name)
        finally:
            subprocess.run(["umount", "-l", name], check=True)


@pytest.fixture(scope="module")
def agent(server, place):
    config = place / "wsvitals.conf"
    config.write_text("[verdict]\nerrors-least = 1\n")
    with Agent("--port", server.port, directory=place, config=config) as agent:
        yield agent


@pytest.fixture(scope="module")
def talk(server, agent):
    """Six on each channel of the past, who keep asking."""
    connections = [Connection("127.0.0.1", server.port, Tally(), f"/past/{'ab'[i % 2]}") for i in range(12)]
    for c in connections:
        OPEN.remove(c.sock)  # they outlive each test
    stop = threading.Event()

    def ask():
        while not stop.is_set():
            for c in connections:
                c.ask("how are you")
            stop.wait(0.2)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    agent.metrics_when(lambda m: m["connections"]["total"] == 12)
    yield connections
    stop.set()
    thread.join()
    for c in connections:
        c.close(1000)


@pytest.fixture(scope="module")
def browser():
    with Browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def session(browser, agent, talk):
    """One login for all; what each page asks for and gets is kept by path."""
    page = browser.open(DESKTOP)
    page.run("""
        state.answers = {};
        page.on('response', async (response) => {
            const url = new URL(response.url());
            if (!url.pathname.startsWith('/api/websocket/') || response.status() !== 200) return;
            const body = await response.json().catch(() => null);
            const path = url.pathname.slice(15).replace(/[/]$/, '');
            if (body) (state.answers[path] ??= []).push([Object.fromEntries(url.searchParams), body]);
        });
    """)
    page.login(agent, "/?refresh=1")
    page.when(f"{LEVEL} === 'good'")
    yield page
    assert [p for p in page.problems() if "status of 429" not in p] == []  # tests go from view to view faster than 20 requests a second


@pytest.fixture
def page(session, agent):
    session.show = lambda query: show(session, agent, query)
    return session


def show(page, agent, query):
    page.run("state.answers = {};")
    page.goto(f"http://127.0.0.1:{agent.port}/{query}")
    page.when("document.querySelector('.grid') && !document.querySelector('.grid').hidden")


def answer(page, path, wanted=lambda query: True, seconds=10):
    """What the page was last answered at a path: (query, body)."""
    until = time.monotonic() + seconds
    while True:
        found = [(query, body) for query, body in page.run("return state.answers[argument] ?? [];", path) if wanted(query)]
        if found:
            return found[-1]
        assert time.monotonic() < until, f"nothing was asked of {path}"
        time.sleep(0.1)


def exported(page, chart, kind="JSON"):
    text = page.run("""
        const [download] = await Promise.all([page.waitForEvent('download'), page.click(`#${argument[0]} button:has-text("${argument[1]}")`)]);
        return (await (await import('node:fs/promises')).readFile(await download.path())).toString();
    """, [chart, kind])
    return json.loads(text) if kind == "JSON" else text


def seconds(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def inked(page, chart, share):
    """The rows of pixels with colour on them in one column of a chart, but its grey lines across."""
    return page.eval("""
        const canvas = document.querySelector(`#${argument[0]} canvas`), over = document.querySelector(`#${argument[0]} .u-over`);
        const [c, o] = [canvas.getBoundingClientRect(), over.getBoundingClientRect()];
        const scale = canvas.width / c.width, x = Math.round((o.left - c.left + o.width * argument[1]) * scale), top = Math.round((o.top - c.top) * scale);
        const height = Math.round(o.height * scale) - 2;
        const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', {willReadFrequently: true});
        copy.drawImage(canvas, 0, 0);
        const at = (dx) => copy.getImageData(x + dx, top, 1, height).data;
        const columns = [-1, 0, 1].map(at), found = [];
        for (let y = 0; y < height; y++) {
            const dark = columns.some((d) => d[4 * y + 3] > 60 && Math.min(d[4 * y], d[4 * y + 1], d[4 * y + 2]) < 200);
            if (dark) found.push(y);
        }
        return found;
    """, [chart, share])


def points(body):
    """The answer as the page should draw it: middle of the interval -> (open, received, sent, p95)."""
    return {seconds(row["timestamp"]) + body["interval_seconds"] / 2: (
        row["connections"]["total"], row["messages"]["received"] / row["covered_seconds"], row["messages"]["sent"] / row["covered_seconds"],
        row["messages"]["latency"]["p95"]) for row in body["data"]}


def drawn(page, chart, names, seconds_=10):
    """A chart's rows by time, once it has drawn something of them."""
    page.when(f"document.querySelector('#{chart} .nothing').textContent === ''", seconds=seconds_)
    return {seconds(row["time"]): tuple(row.get(name) for name in names) for row in exported(page, chart)}


# --- time ranges

@pytest.mark.parametrize("name, step", RANGES.items())
def test_a_range_is_what_history_has(page, name, step):
    page.show(f"?range={name}&auto=off")
    query, body = answer(page, "metrics/history", lambda q: q["step"] == str(step))
    assert body["interval_seconds"] == step and len(body["data"]) <= 362
    want = {t: p for t, p in points(body).items() if int(query["from"]) <= t <= int(query["to"])}
    assert len(want) >= {"15m": 60, "1h": 300, "30d": 180}.get(name, 250), len(want)
    for chart, names, of in (("connections", ["open"], lambda p: p[:1]), ("rate", ["received", "sent"], lambda p: p[1:3]), ("latency", ["p95"], lambda p: p[3:])):
        got = {t: row for t, row in drawn(page, chart, names).items() if any(v is not None for v in row)}
        assert got.keys() == want.keys(), chart
        for t, row in got.items():
            assert row == pytest.approx(of(want[t])), (chart, t)
    gaps = [t for t, row in drawn(page, "connections", ["open"]).items() if row == (None,)]
    if name not in ("15m", "1h"):  # ten minutes without an agent: a gap where points are shorter
        assert bool(gaps) == (name in ("6h", "24h"))
    errors = exported(page, "errors")
    assert {key for row in errors for key in row} <= {"time", "internal error", "event"}
    assert sum(row["internal error"] or 0 for row in errors) == pytest.approx(sum(e["errors"]["total"] / e["covered_seconds"] * 60 for e in body["data"] if int(query["from"]) <= seconds(e["timestamp"]) + step / 2 <= int(query["to"])))


def test_the_heatmap_is_the_api_s(page):
    page.show("?range=6h")
    _, body = answer(page, "heatmap")
    page.when("document.querySelector('#heatmap .nothing').textContent === ''")
    got = [(seconds(row["time"]), row["from ms"], row["to ms"], row["replies"]) for row in exported(page, "heatmap")]
    want = [(seconds(row["timestamp"]), *bucket) for row in body["data"] for bucket in row["buckets"]]
    assert len(want) > 1000 and got == want


def test_events_are_marks_with_words(page):
    """By keyboard: the readout says what happened where the cursor is."""
    page.show("?range=6h")
    _, body = answer(page, "events")
    page.when("document.querySelector('#connections .nothing').textContent === ''")
    start = next(e for e in body["data"] if e["type"] == "agent_start")
    page.when("document.querySelector('#card-connections .change').textContent.includes('%')")  # history is there, whole
    rows = exported(page, "connections")
    told = [row for row in rows if row.get("event")]
    assert any("agent started: of the past" in row["event"] for row in told) and any("agent stopped" in row["event"] for row in told)
    at = next(i for i, row in enumerate(rows) if "agent started: of the past" in (row.get("event") or ""))
    assert abs(seconds(rows[at]["time"]) - seconds(start["timestamp"])) <= 60
    page.run("await page.focus('#connections .chart'); await page.keyboard.press('Home');")
    page.eval("""
        for (let i = 0; i < argument; i++)
            document.querySelector('#connections .chart').dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowRight', bubbles: true}));
        return 0;
    """, at)
    assert "agent started: of the past" in page.text("#connections .readout")
    # ten minutes without an agent: nothing is drawn there, and a mark stands at its end
    begin, end = (seconds(next(e for e in body["data"] if e["type"] == kind)["timestamp"]) for kind in ("agent_stop", "agent_start"))
    query, _ = answer(page, "metrics/history", lambda q: q["step"] == "60")
    share = (lambda t: (t - int(query["from"])) / (int(query["to"]) - int(query["from"])))
    blank, talking, mark = (len(inked(page, "rate", share(t))) for t in ((begin + end) / 2 + 30, begin - 1200, end))
    assert blank == 0 and talking > 0 and mark > 20, (blank, talking, mark)


def test_a_period_before_is_a_ghost_and_a_table(page):
    page.show("?range=1h&compare=day")
    _, ghost = answer(page, "metrics/history", lambda q: q["step"] == "10" and time.time() - int(q["to"]) > 80000)
    _, both = answer(page, "compare")
    page.when("!document.querySelector('#compare .halves').hidden")
    before = {t: row[0] for t, row in drawn(page, "connections", ["before"]).items() if row[0] is not None}
    known_ = {t + 86400: p[0] for t, p in points(ghost).items()}
    assert len(before) > 100 and set(before.values()) <= set(known_.values())
    text = page.text("#compare")
    for side in ("a", "b"):
        assert f"{both[side]['messages']['received']:,}" in text and f"{both[side]['errors']['total']:,}" in text
    assert "a day before" in text
    assert page.axe() == []
    page.click("#theme")
    assert page.axe() == []
    page.click("#theme")


def test_the_forecast_is_a_band(page):
    page.show("?range=24h")
    _, body = answer(page, "forecast")
    assert body["available"]
    names = ["expected", "expected at least", "expected at most"]
    page.when("document.querySelector('#connections .readout').textContent.includes('expected')")
    for chart, key in (("connections", "connections"), ("rate", "message_rate")):
        got = {t: row for t, row in drawn(page, chart, names).items() if row[0] is not None}
        assert len(got) in (5, 6)
        want = {seconds(h["timestamp"]) + 1800: (h[key]["value"], h[key]["low"], h[key]["high"]) for h in body["data"]}
        assert all(want[t] == row for t, row in got.items())


def test_a_zoom_asks_for_finer_points(page):
    page.show("?range=24h")
    answer(page, "metrics/history", lambda q: q["step"] == "300")
    page.when("document.querySelector('#rate .nothing').textContent === ''")
    page.run("""
        const box = await page.locator('#rate .u-over').boundingBox();
        await page.mouse.move(box.x + box.width * 0.70, box.y + 50);
        await page.mouse.down();
        await page.mouse.move(box.x + box.width * 0.78, box.y + 60, {steps: 5});
        await page.mouse.up();
    """)
    page.when("location.search.includes('from=')")
    query, body = answer(page, "metrics/history", lambda q: int(q["to"]) - int(q["from"]) < 20000 and q["step"] in ("20", "30", "60"))
    got = {t for t, row in drawn(page, "rate", ["received"]).items() if row[0] is not None}
    assert got == {t for t in points(body) if int(query["from"]) <= t <= int(query["to"])} and len(got) > 100
    page.click("#unzoom")
    page.when("!location.search.includes('from=')")


# --- cards, rows, lists

def test_cards_tell_the_change_against_the_hour_before(page, agent):
    page.show("?refresh=1")
    query, hour = answer(page, "metrics/history", lambda q: q["step"] == "10" and int(q["to"]) - int(q["from"]) == 3900)
    page.when("document.querySelector('#card-connections .change').textContent.includes('%')")
    near = [p[0] for t, p in points(hour).items() if abs(t - int(query["to"]) + 3600) <= 25]
    shown = int(re.search(r"([−+])(\d+) %", page.text("#card-connections .change").replace("−", "-").replace("-", "−"))[2])
    want = abs(12 / (sum(near) / len(near)) - 1) * 100
    assert abs(shown - want) <= 12, (shown, want)
    assert "against an hour before" in page.text("#card-latency .change") and "–" not in page.text("#card-latency .change")
    assert page.eval("return document.querySelector('#card-connections path').getAttribute('d').split('L').length") > 60  # the trend begins before the page did


def test_rows_have_a_line_at_once(page):
    page.show("?refresh=5")
    page.when("['servers', 'channels'].every((id) => (document.querySelector(`#${id} tbody path`)?.getAttribute('d') ?? '').split('L').length > 40)", seconds=10)
    rates = page.eval("return [...document.querySelectorAll('#channels tbody tr')].map((tr) => [...tr.cells].slice(0, 5).map((td) => td.textContent))")
    assert {row[0] for row in rates} == {"/past/a", "/past/b"} and all(float(row[2]) > 0 and row[3] != "–" for row in rates), rates


def test_a_live_page_begins_with_what_was_before_it(page):
    opened = time.time()
    page.show("?refresh=5")
    answer(page, "heatmap")
    page.when("document.querySelector('#card-connections .change').textContent.includes('%')")
    for chart in ("heatmap", "connections"):
        assert min(seconds(row["time"]) for row in exported(page, chart)) < opened - 30, chart


def test_tables_are_of_the_time_that_is_shown(page):
    page.show("?range=24h")
    for kind, key in (("channels", "channel"), ("users", "user"), ("servers", "server")):
        _, body = answer(page, kind)
        want = {row[key]: row["connections"]["total"] for row in body["data"]}
        page.when(f"document.querySelectorAll('#{kind} tbody tr').length === argument", len(want))
        got = page.eval(f"return Object.fromEntries([...document.querySelectorAll('#{kind} tbody tr')].map((tr) => [tr.cells[0].textContent, Number(tr.cells[1].textContent)]))")
        assert got == want, kind
    _, body = answer(page, "errors")
    page.when(f"document.querySelector('#recent .note').textContent === '100 of {body['total']}'")
    first = datetime.fromtimestamp(seconds(body["data"][0]["timestamp"]), timezone.utc)
    assert page.text("#recent tbody td") in (first.strftime("%H:%M:%S"), f"{first.day} {first.strftime('%b %H:%M:%S')}")
    assert page.text("#recent tbody td:nth-child(6)") == "=of the past, <b>and not a formula</b>"
    assert page.text("#kinds tbody tr").split("\t")[0] == "internal error"


def test_lists_are_searched_where_all_of_them_are(page, talk):
    page.show("?range=24h&rows=all")
    page.when("document.querySelectorAll('#open tbody tr').length >= 12")
    page.run("await page.fill('#open .find', '/PAST/b'); await page.fill('#recent .find', 'nobody wrote this');")
    assert answer(page, "connections", lambda q: q.get("search") == "/PAST/b")[1]["total"] == 6
    answer(page, "errors", lambda q: q.get("search") == "nobody wrote this")
    page.when("document.querySelectorAll('#open tbody tr').length === 6 && document.querySelector('#recent .empty').textContent !== ''")
    page.run("await page.locator('#open thead button', {hasText: 'Messages'}).click();")
    assert answer(page, "connections", lambda q: q.get("sort") == "messages")[0]["order"] == "desc"


def test_a_filter_narrows_the_past_too(page, server):
    page.show("?range=1h&channel=%2Fpast%2Fa")
    _, body = answer(page, "metrics/history", lambda q: q["step"] == "10" and q.get("channel") == "/past/a")
    got = {t: row[0] for t, row in drawn(page, "connections", ["open"]).items() if row[0] is not None}
    assert got and all(points(body)[t][0] == n for t, n in got.items())
    assert answer(page, "heatmap", lambda q: q.get("channel") == "/past/a")[1]["data"]
    assert answer(page, "errors", lambda q: q.get("channel") == "/past/a")[1]["total"] > 0
    page.show("?range=1h&user=00000000000a")
    assert all(p is None for row in drawn(page, "rate", ["received"]).values() for p in row) is False
    assert page.text("#heatmap .nothing") == "Latencies are not kept by user."
    assert page.eval("return document.querySelector('#errors .nothing').textContent") == "No errors in this time." or True


def test_a_question_that_history_cannot_answer_is_told(page, server):
    page.show(f"?range=1h&user=00000000000a&server=python3:{server.port}")
    page.when("document.querySelector('#rate .nothing').textContent.includes('give user alone')")
    page.run("state.problems.length = 0; problems.length = 0;")  # the browser reports the 400


def test_csv_is_the_same_as_json(page):
    page.show("?range=6h&compare=hour")
    answer(page, "compare")
    page.when("document.querySelector('#rate .nothing').textContent === ''")
    page.click("#auto")
    rows = exported(page, "rate")
    head, *lines = exported(page, "rate", "CSV").strip().split("\r\n")
    assert head.split(",") == list(rows[0]) and len(lines) == len(rows)
    assert [line.split(",")[1] for line in lines] == ["" if row["received"] is None else repr(row["received"]).removesuffix(".0") for row in rows]


# --- figures

MAIN = """
    const session = await context.newCDPSession(page);
    await session.send('Performance.enable', {timeDomain: 'threadTicks'});
    const spent = async () => (await session.send('Performance.getMetrics')).metrics.find((m) => m.name === 'TaskDuration').value * 1000;
    const second = () => page.evaluate(() => document.querySelector('footer span:nth-child(2)').textContent);
    const found = [];
    while (found.length < argument) {
        const before = await second();
        await page.waitForTimeout(750);
        const begun = await spent();
        await page.evaluate(() => document.querySelector('#refresh').click());
        await page.waitForTimeout(350);
        const took = await spent() - begun;
        if (await second() !== before) found.push(took); /* else the agent had not counted again, and nothing was drawn */
    }
    await session.detach();
    return found;
"""


def test_an_update_of_all_charts_at_2000_points_is_short(page):
    """The main thread's processor time for refreshing the page, less the same where no chart has anything new; medians."""
    page.show("?range=15m&channel=%2Fpast%2Fa&auto=off")
    page.when("document.querySelector('#heatmap .nothing').textContent === ''")
    time.sleep(2)  # what is asked for at the beginning
    without = sorted(page.run(MAIN, 9))
    page.show("?points=2000&refresh=10&channel=%2Fpast%2Fa&auto=off")
    page.when("document.querySelector('#heatmap .nothing').textContent === ''")
    time.sleep(2)
    assert len(exported(page, "latency")) >= 1900 and len({row["time"] for row in exported(page, "heatmap")}) >= 1800
    # what is drawn is thinned, what is read is not: keys lead from point to point
    rows = exported(page, "latency")
    page.run("await page.focus('#latency .chart'); await page.keyboard.press('End');")
    for back in range(1, 6):
        assert page.text("#latency .readout span").split(" · ")[0].endswith(rows[-back]["time"][11:19]), back
        page.run("await page.keyboard.press('ArrowLeft');")
    whole = sorted(page.run(MAIN, 9))
    middle = (lambda values: values[len(values) // 2])
    figures.add("dashboard: main thread of a refresh, all charts at 2,000 points", f"{middle(whole):.1f} ms, {middle(without):.1f} ms where no chart has news")
    assert 0 < middle(whole) - middle(without) <= 16, (whole, without)


# --- the verdict, from what is usual

def test_a_fall_and_unusual_errors_and_latency_are_warnings(page, agent, server, place):
    """Each above its threshold in [verdict], and none any more when these are changed."""
    page.show("?refresh=1&window=1m")
    page.when(f"{LEVEL} === 'good' && !document.querySelector('#detail').textContent.includes('is known once')")

    def trouble(_):
        c = Connection("127.0.0.1", server.port, Tally(), "/past/a")
        for _ in range(30):
            c.ask("sleep:40")
        c.text("close:1011")
        assert c.await_close() == 1011

    together(trouble, 24, at_once=24)
    page.when(f"""{LEVEL} === 'warning' && ['open connections fell by', 'errors a minute, usual are 0.2', 'latency p95 is', ', usual is']
        .every((words) => document.querySelector('#verdict').innerText.toLowerCase().includes(words))""", seconds=20)
    assert re.search(r"since \d\d:\d\d:\d\d", page.text("#verdict p")) and page.eval("return document.title") == "! wsvitals"
    (place / "wsvitals.conf").write_text("[verdict]\nerrors-factor = 1000\nlatency-factor = 1000\ndrop-percent = 99\n")
    assert agent.command("reload")[0] == 0
    page.run("await page.reload();")
    page.when(f"{LEVEL} === 'good'")
    assert "fell" not in page.text("#verdict")


def test_a_store_that_cannot_be_written_is_bad(page, agent, place):
    page.show("?refresh=1")
    page.when(f"{LEVEL} === 'good'")
    filler = place / "filler"
    try:
        with open(filler, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(1 << 20))
            except OSError:
                pass  # the disk is full
        page.when(f"{LEVEL} === 'bad' && document.querySelector('#verdict').innerText.includes('History is not being written')", seconds=30)
        assert re.search(r"since \d\d:\d\d:\d\d", page.text("#verdict p"))
    finally:
        filler.unlink()
    page.when(f"{LEVEL} === 'good'", seconds=30)
