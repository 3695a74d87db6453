/**
 * A browser for tests in Python (tests/e2e/browser.py): one JSON object a line comes in, {"run": "code of an
 * async function", "with": argument}; it is run here with `page`, `context`, `browser` and `argument`, and
 * {"result": …} or {"error": …} goes out.
 */
import {createInterface} from 'node:readline';
import {chromium} from 'playwright-core';

const browser = await chromium.launch({
	executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
	args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update',
		'--disable-sync', '--disable-extensions', '--disable-default-apps', '--no-default-browser-check', '--no-pings', '--font-render-hinting=none'],
});
/* eslint no-new-func: "off" -- the code is the test's own */
const state = {browser, context: null, page: null, problems: []};
const AsyncFunction = async function () {}.constructor;

for await (const line of createInterface({input: process.stdin})) {
	const {run, with: argument} = JSON.parse(line);
	try {
		const result = await new AsyncFunction('state', 'argument', `let {browser, context, page, problems} = state; ${run}`)(state, argument);
		process.stdout.write(`${JSON.stringify({result: result ?? null})}\n`);
	} catch (error) {
		process.stdout.write(`${JSON.stringify({error: String(error.stack ?? error)})}\n`);
	}
}
await browser.close();
