/**
 * Is it healthy? One sentence. Pure: what is known goes in, level and reasons come out.
 *
 * @typedef {'good'|'warning'|'bad'|'unknown'|'idle'} Level
 * @typedef {{key:string,level:'warning'|'bad',text:string,since?:?number}} Reason since: null, when nobody but the page knows
 * @typedef {{
 *   metrics:import('./types.js').Metrics, about:?import('./types.js').About, gone:{name:string,since:number}[],
 *   usual:?{errors:?number,p95:?number}, day:Point[], recent:Point[], now:number, filtered:boolean,
 * }} Known usual, day: of the selection; recent: the last minutes, of history and of the page
 * @typedef {import('./types.js').Point} Point
 */
import {count, ms, rate, share, words} from './format.js';
import {above, errorsOf, fall} from './history.js';

/* As in [verdict]; what is in force comes with /api/websocket/about/. */
const DEFAULTS = {
	'errors-factor': 3, 'errors-least': 1, 'latency-factor': 3, 'latency-least': 5, 'drop-percent': 30, 'drop-least': 10,
};

/** @param {Known} known @returns {Reason[]} the worst first */
export function reasons(known) {
	const {metrics} = known;
	const limits = {...DEFAULTS, ...known.about?.verdict};
	/** @type {Reason[]} */
	const found = [];
	const tell = (/** @type {'warning'|'bad'} */ level, /** @type {string} */ key, /** @type {string} */ text, /** @type {?number} */ since = null) => found.push({key, level, text, since});

	if (known.about?.engine) tell('bad', 'engine', known.about.engine);
	const loose = (metrics.capture?.hooks ?? []).filter((/** @type {any} */ hook) => !hook.attached);
	const all = metrics.capture?.hooks?.length ?? 0;
	if (all && loose.length === all) tell('bad', 'hooks', 'no hook is attached to the kernel: nothing is counted');
	if (metrics.capture?.balanced === false)
		tell('bad', 'books', `the books do not balance (${(metrics.capture.unbalanced ?? []).map(words).join(', ')}): do not trust the numbers`);
	const store = /^unavailable since (\S+): (.*)/s.exec(metrics.store ?? '');
	if (store) tell('bad', 'store', `history is not being written: ${store[2]}`, Date.parse(store[1]) / 1000 || null);
	for (const {name, since} of known.gone) tell('bad', `gone ${name}`, `server ${name} is gone`, since);

	const open = metrics.connections.total;
	const fell = fall(known.recent, known.now, open, {percent: limits['drop-percent'], least: limits['drop-least']});
	if (fell) tell('warning', 'drop', `open connections fell by ${share(fell.share)} within a minute, from ${count(fell.from)} to ${count(open)}`, fell.since);
	if (known.usual) {
		const {errors, p95} = known.usual;
		if (errors !== null && metrics.errors.rate >= limits['errors-least'] && metrics.errors.rate > errors * limits['errors-factor'])
			tell('warning', 'errors', `${rate(metrics.errors.rate)} errors a minute, usual are ${rate(errors)}`, above(known.day, errorsOf, Math.max(errors * limits['errors-factor'], limits['errors-least'])));
		const latest = metrics.messages.latency?.p95;
		if (p95 !== null && typeof latest === 'number' && latest >= limits['latency-least'] && latest > p95 * limits['latency-factor'])
			tell('warning', 'latency', `latency p95 is ${ms(latest)}, usual is ${ms(p95)}`, above(known.day, (p) => p.p95, Math.max(p95 * limits['latency-factor'], limits['latency-least'])));
	}
	return found.sort((a, b) => Number(b.level === 'bad') - Number(a.level === 'bad'));
}

/** @param {Known} known @param {Reason[]} found @returns {{level:Level,text:string}} */
export function verdict(known, found) {
	const {connections} = known.metrics;
	if (found.length) return {level: found[0].level, text: sentence(found[0].text)};
	if (!connections.created && !connections.total) return {level: 'idle', text: 'Waiting for the first connection'};
	return {level: 'good', text: known.filtered ? 'Healthy within this selection' : 'Healthy'};
}

/** @param {string} text */
export function sentence(text) {
	return text.charAt(0).toUpperCase() + text.slice(1);
}

const FORGOTTEN_S = 86400; /* a server that has been gone for so long was taken away */

/**
 * Servers whose process has ended, and to which nobody has connected since. In: each answer, and what
 * history recorded. One that is back, or that the agent knows no more, is not gone.
 */
export class Roster {
	constructor() {
		/** @type {Map<string,number>} which have ended, and when */
		this.ended = new Map();
		/** @type {Map<string,number>} which had a connection, and when last: an end before that is history */
		this.there = new Map();
		this.since = '';
	}

	/** @param {import('./types.js').Metrics} metrics @param {import('./types.js').Mark[]} marks in order @param {number} now @returns {{name:string,since:number}[]} gone */
	update(metrics, marks, now) {
		const began = Date.parse(metrics.counting_since) / 1000;
		if (this.since !== metrics.counting_since) {
			this.ended.clear();
			this.there.clear();
		}
		this.since = metrics.counting_since;
		for (const row of metrics.errors.recent)
			if (row.cause === 'server_exit' && row.server) this.#note(row.server, Date.parse(row.timestamp) / 1000);
		for (const {t, type, server} of marks) {
			if (!server || t < began) continue;
			if (type === 'server_gone') this.#note(server, t);
			else if (type === 'server_seen') this.#seen(server, t);
		}
		const gone = [];
		for (const [name, open] of Object.entries(metrics.connections.by_server)) {
			const since = this.ended.get(name);
			if (open > 0) this.#seen(name, Date.parse(metrics.timestamp) / 1000);
			else if (since !== undefined && now - since < FORGOTTEN_S) gone.push({name, since});
		}
		return gone;
	}

	/** @param {string} server @param {number} t */
	#note(server, t) {
		if (t >= (this.there.get(server) ?? 0)) this.ended.set(server, Math.min(this.ended.get(server) ?? Infinity, t));
	}

	/** @param {string} server @param {number} t */
	#seen(server, t) {
		this.there.set(server, Math.max(this.there.get(server) ?? 0, t));
		if ((this.ended.get(server) ?? Infinity) < t) this.ended.delete(server);
	}
}
