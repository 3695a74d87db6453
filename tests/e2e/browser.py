"""A real Chromium, driven through web/tests/driver.js; it is ended with its process group."""
import json
import os
import queue
import signal
import subprocess
import threading

from watch import ROOT

DRIVER = ROOT / "web" / "tests" / "driver.js"
AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
SECONDS = 60
DESKTOP, TABLET, PHONE = (1440, 900), (820, 1180), (375, 812)


class Browser:
    def __init__(self):
        env = {**os.environ, "TZ": "UTC"}
        for name in list(env):
            if "proxy" in name.lower():
                del env[name]
        self.process = subprocess.Popen(["setpriv", "--pdeathsig", "TERM", "--", "node", str(DRIVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True, env=env, start_new_session=True)
        self.answers, self.complaints = queue.Queue(), []
        for stream, take in ((self.process.stdout, self.answers.put), (self.process.stderr, self.complaints.append)):
            threading.Thread(target=self._read, args=(stream, take), daemon=True).start()

    @staticmethod
    def _read(stream, take):
        for line in stream:
            take(line)

    def run(self, code, argument=None, seconds=SECONDS):
        """Runs JavaScript in the driver: `page`, `context`, `browser`, `problems`, `argument` are there."""
        self.process.stdin.write(json.dumps({"run": code, "with": argument}) + "\n")
        self.process.stdin.flush()
        try:
            answer = json.loads(self.answers.get(timeout=seconds))
        except queue.Empty:
            raise AssertionError(f"the browser has not answered within {seconds} s; it said {''.join(self.complaints)[-2000:]}")
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def open(self, size=DESKTOP, dark=False, reduced=False, scale=1, insecure=False):
        """A fresh profile with one page; what goes wrong in it is kept in problems."""
        self.run("""
            if (context) await context.close();
            state.problems = problems = [];
            state.context = context = await browser.newContext({viewport: {width: argument.size[0], height: argument.size[1]}, colorScheme: argument.dark ? 'dark' : 'light',
                reducedMotion: argument.reduced ? 'reduce' : 'no-preference', deviceScaleFactor: argument.scale, timezoneId: 'UTC', ignoreHTTPSErrors: argument.insecure, acceptDownloads: true});
            state.page = page = await context.newPage();
            page.setDefaultTimeout(15000);
            page.on('pageerror', (error) => problems.push(`error: ${error}`));
            page.on('console', (message) => { if (['error', 'warning'].includes(message.type())) problems.push(`${message.type()}: ${message.text()}`); });
            page.on('request', (request) => { if (!request.url().startsWith('http://127.') && !request.url().startsWith('https://127.') && !request.url().startsWith('blob:') && !request.url().startsWith('http://localhost')) problems.push(`asked for ${request.url()}`); });
        """, {"size": size, "dark": dark, "reduced": reduced, "scale": scale, "insecure": insecure})
        return self

    def goto(self, url):
        return self.run("const answer = await page.goto(argument, {waitUntil: 'load'}); return answer ? answer.status() : null;", url)

    def text(self, selector):
        return self.run("return await page.locator(argument).first().innerText();", selector)

    def eval(self, code, argument=None):
        """In the page itself."""
        return self.run(f"return await page.evaluate(({{argument}}) => {{ {code} }}, {{argument}});", argument)

    def when(self, condition, argument=None, seconds=15):
        """Waits until an expression in the page is true."""
        return self.run(f"await page.waitForFunction((argument) => ({condition}), argument.value, {{timeout: argument.ms, polling: 50}}); return true;",
                        {"value": argument, "ms": seconds * 1000})

    def click(self, selector):
        self.run("await page.locator(argument).first().click();", selector)

    def axe(self):
        """What axe-core objects to: rule and where."""
        return self.run("""
            const text = (await import('node:fs')).readFileSync(argument, 'utf8');
            await page.evaluate(`if (!window.axe) { ${text} }`);
            const result = await page.evaluate(() => axe.run(document, {resultTypes: ['violations']}));
            return result.violations.map((v) => `${v.id}: ${v.nodes.slice(0, 4).map((n) => n.target.join(' ') + ' ' + (n.any[0]?.message ?? n.all[0]?.message ?? '')).join('; ')}`);
        """, str(AXE))

    def problems(self):
        return self.run("return problems;")

    def login(self, agent, path="/", host=None):
        """By the form, as a person does; the agent's first token stays as it is."""
        base = f"http://{host or agent.host}:{agent.port}"
        assert self.goto(f"{base}/login") == 200
        self.run("await page.fill('#token', argument); await page.click('button[type=submit]'); await page.waitForURL((url) => !url.pathname.endsWith('/login'));", agent.token)
        if path != "/":
            self.goto(base + path)
        self.when("document.querySelector('.grid') && !document.querySelector('.grid').hidden")
        return self

    def close(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)  # the group is ours: start_new_session
        except ProcessLookupError:
            pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
