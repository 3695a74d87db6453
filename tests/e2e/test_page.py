"""The dashboard in a real browser, before a real agent that watches a real server."""
import os
import signal
import time

import pytest

import figures
from agent import TRIAL, Agent
from browser import DESKTOP, PHONE, TABLET, Browser
from servers import SERVERS, Running
from wsclient import Connection, Refused, Tally

NUMBER = "Number(document.querySelector('#card-connections .number').textContent)"
BANNER = "document.querySelector('#banner').textContent"


@pytest.fixture(scope="module")
def server():
    with Running(SERVERS["py_websockets"]) as server:
        yield server


@pytest.fixture(scope="module")
def agent(server):
    with Agent("--port", server.port) as agent:
        yield agent


@pytest.fixture(scope="module")
def browser():
    with Browser() as browser:
        yield browser


@pytest.fixture
def page(browser):
    yield browser.open()
    complaints = [p for p in browser.problems() if "status of 429" not in p]
    # a test clicks faster than 20 requests a second allow
    assert not complaints


def connect(server, tally=None, path="/"):
    return Connection("127.0.0.1", server.port, tally or Tally(), path)


def fail(connection):
    """The server closes it with 1011."""
    connection.text("close:1011")
    assert connection.await_close() == 1011


def card(page, name):
    return page.text(f"#card-{name} .number")


def facts(page, name):
    return page.text(f"#card-{name} .facts").replace("\n", " ")


def settle(page, agent):
    """Until page and API tell of the same second."""
    for _ in range(40):
        page.click("#refresh")
        time.sleep(0.25)
        before = agent.metrics()
        shown = page.eval("return document.querySelector('footer span:nth-child(2)').textContent")
        if before["timestamp"][11:19] in shown and agent.metrics()["timestamp"] == before["timestamp"]:
            return before
    raise AssertionError("the page never showed the API's second")


# --- the numbers are true

def test_numbers_equal_the_api_and_what_the_client_did(page, agent, server):
    tally = Tally()
    before = agent.metrics()
    connections = [connect(server, tally, "/numbers") for _ in range(7)]
    for c in connections:
        for i in range(11):
            c.ask(f"message {i}")
    connections.pop().close(1000)
    fail(connections.pop())
    agent.metrics_when(lambda m: m["connections"]["closed"] == before["connections"]["closed"] + 2)
    page.login(agent, "/?refresh=60")
    api = settle(page, agent)
    assert api["connections"]["created"] - before["connections"]["created"] == 7
    assert api["messages"]["received"] - before["messages"]["received"] == tally["received"] == 7 * 11 + 1
    assert int(card(page, "connections")) == api["connections"]["total"] == 5
    assert facts(page, "connections") == f"created {api['connections']['created']} closed {api['connections']['closed']} peak {api['connections']['peak']}"
    assert f"total {api['errors']['total']} " in facts(page, "errors")
    shown = float(card(page, "latency")) * {"ms p95": 1, "µs p95": 1e-3, "s p95": 1e3}[page.text("#card-latency .value small")]
    assert shown == pytest.approx(api["messages"]["latency"]["p95"], rel=0.01)
    assert page.text("#channels tbody td:nth-child(2)") == "5" and page.text("#channels tbody .pick") == "/numbers"
    assert f"{api['messages']['received']:,} received" in page.text("#books")
    assert page.text("#books .tag") == "balanced"
    codes = page.text("#codes")
    assert "1000 normal\t1\t0" in codes and "1011 internal error\t0\t1" in codes
    assert "internal error" in page.text("#recent tbody tr")
    for c in connections:
        c.close(1000)


def test_connections_that_are_older_than_the_agent_are_told_apart_while_they_are_silent(page, server):
    held = [connect(server) for _ in range(3)]
    with Agent("--port", server.port) as late:
        for i in range(5):
            held[0].ask(f"message {i}")
        late.metrics_when(lambda m: m["connections"]["unrecognised"] == 2)
        page.login(late, "/?refresh=1")
        page.when(f"{NUMBER} === 1")
        assert facts(page, "connections").endswith("older and silent 2")
        assert "2 more of these servers, open before counting began, silent since" in page.text("#books")
    for c in held:
        c.close(1000)


def test_the_live_chart_tells_what_passed(page, agent, server):
    """Messages by interval, from the chart's own table, add up to the client's tally."""
    page.login(agent, "/?refresh=1")
    page.when("document.querySelectorAll('#rate .readout b').length > 1")
    page.run("await page.click('#rate details summary');")
    time.sleep(2.5)
    c = connect(server)
    for i in range(30):
        c.ask("x")
        time.sleep(0.05)
    time.sleep(3.5)
    page.click("#auto")
    rows = page.eval("return [...document.querySelectorAll('#rate tbody tr')].map((tr) => [...tr.cells].map((td) => td.textContent))")
    c.close(1000)
    count = page.run("""
        const [download] = await Promise.all([page.waitForEvent('download'), page.click('#rate button:has-text("JSON")')]);
        const rows = JSON.parse((await (await import('node:fs/promises')).readFile(await download.path())).toString());
        let received = 0;
        for (let i = 1; i < rows.length; i++) received += (rows[i].received ?? 0) * (Date.parse(rows[i].time) - Date.parse(rows[i - 1].time)) / 1000;
        return received;
    """)
    assert count == pytest.approx(30, abs=0.1)
    assert len(rows) >= 6 and sum(float(row[1]) > 0 for row in rows if row[1] != "–") >= 2


# --- refreshing

def test_refreshing_on_off_and_by_hand(page, agent, server):
    page.login(agent, "/?refresh=1")
    base = agent.metrics()["connections"]["total"]
    first = connect(server)
    page.when(f"{NUMBER} === argument", base + 1)
    page.click("#auto")
    assert page.text("#auto") == "Paused" and "auto=off" in page.eval("return location.search")
    time.sleep(1.2)
    second = connect(server)
    agent.metrics_when(lambda m: m["connections"]["total"] == base + 2)
    time.sleep(2.5)
    assert int(card(page, "connections")) == base + 1  # it stands still, and is not called stale
    assert page.eval(f"return {BANNER}") == ""
    page.click("#refresh")
    page.when(f"{NUMBER} === argument", base + 2)
    second.close(1000)
    page.click("#auto")
    page.when(f"{NUMBER} === argument", base + 1)
    first.close(1000)
    page.when(f"{NUMBER} === argument", base)


def test_a_hidden_tab_does_not_ask(page, agent):
    page.login(agent, "/?refresh=1")
    asked = page.run("""
        let asked = 0;
        page.on('request', (request) => { if (request.url().includes('/metrics/')) asked++; });
        await page.evaluate(() => {
            Object.defineProperty(document, 'hidden', {value: true, configurable: true});
            document.dispatchEvent(new Event('visibilitychange'));
        });
        await page.waitForTimeout(1200);
        asked = 0;
        await page.waitForTimeout(3000);
        const hidden = asked;
        await page.evaluate(() => {
            Object.defineProperty(document, 'hidden', {value: false, configurable: true});
            document.dispatchEvent(new Event('visibilitychange'));
        });
        await page.waitForTimeout(2500);
        return [hidden, asked];
    """)
    assert asked[0] == 0 and asked[1] >= 2


# --- selections


def test_filters_narrow_everything_and_stand_in_the_address(page, agent, server):
    kept = [connect(server, path="/a") for _ in range(3)] + [connect(server, path="/b")]
    agent.metrics_when(lambda m: m["connections"]["by_channel"].get("/a") == 3)
    page.login(agent, "/?refresh=1")
    page.when("[...document.querySelectorAll('#channels .pick')].some((p) => p.textContent === '/a')")
    page.run("await page.locator('#channels .pick', {hasText: '/a'}).first().click();")
    page.when(f"{NUMBER} === 3")
    assert page.eval("return location.search") == "?refresh=1&channel=%2Fa"
    assert page.text(".chip").split() == ["channel", "/a", "×"]
    page.run("await page.reload();")
    page.when(f"{NUMBER} === 3")
    page.run("await page.goBack();")
    page.when(f"{NUMBER} === 4")
    page.run("await page.fill('#channels .find', '/b');")
    page.when("[...document.querySelectorAll('#channels .pick')].every((p) => p.textContent === '/b')")
    assert "channels.find=%2Fb" in page.eval("return location.search")
    for c in kept:
        c.close(1000)


def test_how_connections_are_drawn_and_how_many_points_are_chosen(page, agent, server):
    c = connect(server)
    agent.metrics_when(lambda m: m["connections"]["total"] == 1)
    page.login(agent, "/?refresh=1&points=120&draw=bars")
    page.when("document.querySelector('#connections .nothing').textContent === ''")
    pressed = "return [...document.querySelectorAll('#connections [aria-pressed=true]')].map((b) => b.textContent)"
    assert page.eval(pressed) == ["120", "Bars"]
    page.run("await page.locator('#connections button', {hasText: 'Line'}).click(); await page.locator('#connections button', {hasText: /^60$/}).click();")
    assert page.eval("return location.search") == "?refresh=1" and page.eval(pressed) == ["60", "Line"]
    c.close(1000)


def test_zoom_by_brush_and_by_key_and_back(page, agent, server):
    page.login(agent, "/?refresh=1")
    time.sleep(4)
    page.run("""
        const box = await page.locator('#rate .u-over').boundingBox();
        await page.mouse.move(box.x + box.width * 0.6, box.y + 50);
        await page.mouse.down();
        await page.mouse.move(box.x + box.width * 0.9, box.y + 60, {steps: 5});
        await page.mouse.up();
    """)
    page.when("location.search.includes('from=')")
    assert page.text("#unzoom") == "Show all"
    page.click("#unzoom")
    page.when("!location.search.includes('from=')")
    page.run("await page.focus('#connections .chart'); await page.keyboard.press('ArrowLeft');")
    spoken = page.eval("return document.querySelector('#connections [role=status]').textContent")
    assert "open" in spoken and ":" in spoken
    # the cursor is shared: another chart reads the same moment
    assert page.text("#rate .readout span") == page.text("#connections .readout span")
    page.run("await page.keyboard.press('+');")
    page.when("location.search.includes('from=')")
    page.run("await page.keyboard.press('Escape');")
    page.when("!location.search.includes('from=')")


# --- hostile strangers

HOSTILE = {
    "/<img src=x onerror=hacked=1>": "<img", "/<script>hacked=1</script>": "<script>", "/\u202egnp.exe": "gnp", "/" + "x" * 400: "xxx",
    "/😀😀": "😀", "/\"'><svg onload=hacked=1>": "<svg", "/%3Cb%3E": "%3Cb%3E", "/{message}${1}": "{message}",
}


def test_what_strangers_write_is_text(page, server):
    """Channels, close reasons and server answers made of markup; nothing of it becomes an element."""
    with Agent("--port", server.port) as agent:
        kept = []
        for path in HOSTILE:
            try:
                kept.append(connect(server, path="".join(c if ord(c) < 128 else "".join(f"%{b:02X}" for b in c.encode()) for c in path).replace(" ", "+")))
            except (Refused, OSError, AssertionError):
                continue
        assert len(kept) >= 6
        reasons = [b"<img src=x onerror=hacked=1>", "\u202e<b>\u2067😀".encode(), b"=cmd|' /C calc'!A0"]
        for reason in reasons:
            connect(server).close(4000, reason)
        agent.metrics_when(lambda m: len(m["connections"]["by_channel"]) >= 6 and len(m["errors"]["recent"]) == len(reasons))
        page.login(agent, "/?refresh=1&channels.sort=name")
        page.when("document.querySelectorAll('#channels tbody tr').length >= 6 && document.querySelectorAll('#recent tbody tr').length === 3")
        api = agent.metrics()
        shown = page.eval("return [...document.querySelectorAll('#channels .pick')].map((p) => p.textContent)")
        assert sorted(shown) == sorted(name for name in api["connections"]["by_channel"] if name != "other")
        messages = page.eval("return [...document.querySelectorAll('#recent td:nth-child(6)')].map((td) => td.textContent)")
        assert sorted(messages) == sorted(e["message"] for e in api["errors"]["recent"])
        assert any("<img" in m for m in messages)
        assert page.eval("return document.querySelectorAll('main img, main script, main svg[onload], main b b').length") == 0
        assert page.eval("return typeof hacked") == "undefined"
        assert page.eval("return document.documentElement.scrollWidth <= innerWidth")
        # and in the address, and in the chip
        page.goto(f"http://127.0.0.1:{agent.port}/?refresh=1&channel=%3Cimg%20src%3Dx%20onerror%3Dhacked%3D1%3E")
        page.when("document.querySelector('.chip b') !== null")
        assert page.text(".chip b") == "<img src=x onerror=hacked=1>"
        assert page.eval("return typeof hacked + document.querySelectorAll('main img').length") == "undefined0"
        page.goto("about:blank")  # it would miss the agent
        for c in kept:
            c.close(1000)


# --- faults

def test_the_agent_is_killed_and_comes_back(browser, server):
    page = browser.open()
    c = connect(server)
    with Agent("--port", server.port) as agent:
        page.login(agent, "/?refresh=1&compare=hour")
        page.when("document.querySelector('#verdict').dataset.level === 'idle' || document.querySelector('#verdict').dataset.level === 'good'")
        d = connect(server)
        d.ask("x")
        page.when(f"{NUMBER} >= 1")
        shown = card(page, "connections")
        agent.kill()
        page.when(f"{BANNER}.includes('Connection to the agent lost')")
        assert "ago" in page.eval(f"return {BANNER}")
        assert card(page, "connections") == shown  # not 0
        assert page.eval("return document.body.classList.contains('stale')")
        assert page.eval("return document.querySelector('#verdict').dataset.level") == "unknown"
        assert page.text("#verdict p").startswith("Not known since") and page.text("#auto") == "Lost"
        with Agent("--port", server.port, directory=agent.directory, port=agent.port) as again:
            # sessions live in the agent's memory
            page.when(f"{BANNER}.includes('Your session has ended')", seconds=20)
            page.click("#banner a")
            page.run("await page.waitForURL('**/login'); await page.fill('#token', argument); await page.click('button[type=submit]');", again.add_token("again"))
            page.when("document.querySelector('.grid') && !document.querySelector('.grid').hidden")
            assert "compare=hour" in page.eval("return location.search")  # the view that was left
            assert page.eval(f"return {BANNER}") == "" and not page.eval("return document.body.classList.contains('stale')")
            again.end()
        d.close(1000)
    c.close(1000)


def test_an_agent_that_hangs_makes_stale_numbers_not_zeros(browser, server):
    page = browser.open()
    with Agent("--port", server.port) as agent:
        c = connect(server)
        agent.metrics_when(lambda m: m["connections"]["total"] == 1)
        page.login(agent, "/?refresh=1")
        page.when(f"{NUMBER} === 1")
        pid = agent.agent_pid
        os.kill(pid, signal.SIGSTOP)
        try:
            page.when(f"{BANNER}.includes('stale')", seconds=12)
            assert card(page, "connections") == "1"
        finally:
            os.kill(pid, signal.SIGCONT)
        page.when(f"{BANNER} === ''", seconds=20)
        c.close(1000)


def test_a_token_revoked_while_the_page_is_open(browser, server):
    page = browser.open()
    with Agent("--port", server.port) as agent:
        page.login(agent, "/?refresh=1")
        status, _, err = agent.command("token", "revoke", f"tests-{agent.pid}")
        assert status == 0, err
        page.when(f"{BANNER}.includes('Your session has ended')", seconds=10)
        assert page.eval("return !document.querySelector('#banner a').hidden")
        asked = page.run("let n = 0; page.on('request', () => n++); await page.waitForTimeout(3000); return n;")
        assert asked == 0  # it does not knock on


def test_a_server_that_goes_away_is_bad(browser):
    page = browser.open()
    with Running(SERVERS["py_websockets"]) as server, Agent("--port", server.port) as agent:
        page.login(agent, "/?refresh=1")
        assert "Waiting for the first connection" in page.text("#verdict p")
        assert page.eval("return !document.querySelector('#first').hidden") and f"port {server.port}" in page.text("#first")
        kept = [connect(server) for _ in range(12)]
        page.when("document.querySelector('#verdict').dataset.level === 'good'")
        assert page.eval("return document.querySelector('#first').hidden")
        server.kill()
        page.when("document.querySelector('#verdict').dataset.level === 'bad'", seconds=20)
        assert f"Server python3:{server.port} is gone" in page.text("#verdict p") and " since " in page.text("#verdict p")
        assert "connections fell by 100 %" in page.text("#detail")
        assert page.eval("return document.title") != "wsvitals"
        del kept


def test_an_engine_that_lost_its_hooks_is_bad(browser, server):
    """Found by the agent itself: a trial program that lets go of a hook (user/trial.h)."""
    page = browser.open()
    with Agent("--port", server.port, program=TRIAL) as agent:
        page.login(agent, "/?refresh=1")
        page.when("document.querySelector('#verdict').dataset.level === 'idle'")
        os.kill(agent.pid, signal.SIGUSR1)
        page.when("document.querySelector('#verdict').dataset.level === 'bad'", seconds=20)
        assert "The engine has lost its hook" in page.text("#verdict p") and " since " in page.text("#verdict p")


def test_logging_out(page, agent):
    page.login(agent)
    page.run("await page.click('#logout'); await page.waitForURL('**/login');")
    assert page.goto(f"http://127.0.0.1:{agent.port}/") == 200
    assert page.eval("return location.pathname") == "/login"


# --- for everyone

@pytest.mark.parametrize("width, height, columns", [(*DESKTOP, 4), (*TABLET, 2), (*PHONE, 1), (320, 640, 1), (3840, 2160, 4)])
def test_widths(browser, agent, width, height, columns):
    page = browser.open((width, height))
    page.login(agent)
    assert page.eval("return getComputedStyle(document.querySelector('.grid')).gridTemplateColumns.split(' ').length") == columns
    assert page.eval("return document.documentElement.scrollWidth") <= width
    wide = page.eval("return [...document.querySelectorAll('.panel')].filter((p) => p.getBoundingClientRect().right > innerWidth + 1).map((p) => p.id)")
    assert wide == []


def test_dark_by_preference_and_by_switch(browser, agent):
    light = "rgb(247, 248, 249)"
    background = "return getComputedStyle(document.body).backgroundColor"
    page = browser.open(dark=True)
    page.login(agent)
    dark = page.eval(background)
    assert dark != light
    page.click("#theme")
    assert page.eval(background) == light and "theme=light" in page.eval("return location.search")
    page.goto(f"http://127.0.0.1:{agent.port}/")  # it is remembered
    page.when("document.querySelector('.grid') && !document.querySelector('.grid').hidden")
    assert page.eval(background) == light
    page = browser.open(dark=False)
    page.login(agent)
    assert page.eval(background) == light
    page.click("#theme")
    assert page.eval(background) == dark


def test_nothing_moves_for_those_who_do_not_want_it(browser, agent):
    page = browser.open(reduced=True)
    page.login(agent)
    assert page.eval("return document.getAnimations().length") == 0


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing(browser, agent, server, size, dark):
    c = connect(server)
    fail(c)
    kept = connect(server)
    page = browser.open(size, dark=dark, reduced=True)
    base = f"http://127.0.0.1:{agent.port}"
    page.goto(f"{base}/login")
    found = {"login": page.axe()}
    page.login(agent, "/?refresh=1&channel=/nobody")
    page.when("document.querySelector('.chip b') !== null")
    found["filtered"] = page.axe()
    page.goto(f"{base}/?refresh=1")
    page.when("document.querySelectorAll('#recent tbody tr').length > 0")
    page.run("for (const s of await page.locator('details summary').all()) await s.click();")
    time.sleep(1.2)
    found["page"] = page.axe()
    kept.close(1000)
    assert found == {"login": [], "filtered": [], "page": []}


def test_no_layout_shift_while_updating(browser, agent, server):
    page = browser.open()
    c = connect(server)
    page.login(agent, "/?refresh=1")
    time.sleep(2.5)
    page.eval("window.shifts = []; new PerformanceObserver((list) => { for (const e of list.getEntries()) shifts.push(e.value); }).observe({type: 'layout-shift', buffered: false}); return 0")
    for i in range(40):
        c.ask("x" * 20)
        time.sleep(0.1)
    time.sleep(1)
    c.close(1000)
    assert sum(page.eval("return shifts")) < 0.01


# --- figures

def test_first_paint_is_early(browser, agent):
    """Best of three: the machine has others to serve."""
    paints = []
    for _ in range(3):
        page = browser.open()
        page.login(agent)
        page.goto(f"http://127.0.0.1:{agent.port}/")
        page.when("performance.getEntriesByName('first-contentful-paint').length > 0")
        paints.append(page.eval("return performance.getEntriesByName('first-contentful-paint')[0].startTime"))
    figures.add("dashboard: first contentful paint, best of three", f"{min(paints):.0f} ms")
    assert min(paints) <= 500


def test_memory_stays_flat(browser, agent, server):
    """Two minutes of updates every second (PAGE_SECONDS=7200: two hours); what grows with time grows after the first."""
    page = browser.open()
    c = connect(server)
    page.login(agent, "/?refresh=1")
    size = """
        const session = await context.newCDPSession(page);
        await session.send('HeapProfiler.enable');
        await session.send('HeapProfiler.collectGarbage');
        const {usedSize} = await session.send('Runtime.getHeapUsage');
        await session.detach();
        return usedSize;
    """
    parts = 8
    sizes = []
    for _ in range(parts):
        until = time.monotonic() + float(os.environ.get("PAGE_SECONDS", 120)) / parts
        while time.monotonic() < until:
            c.ask("x")
            time.sleep(0.4)
        sizes.append(page.run(size) / 1e6)
    c.close(1000)
    figures.add(f"dashboard: heap while {int(float(os.environ.get('PAGE_SECONDS', 120)))} s pass at one refresh a second", " ".join(f"{s:.2f}" for s in sizes) + " MB")
    assert sizes[-1] - sizes[parts // 2] < 0.3
