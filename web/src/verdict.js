/**
 * Is it healthy? One sentence. Pure: what is known goes in, level and reasons come out.
 *
 * @typedef {'good'|'warning'|'bad'|'unknown'|'idle'} Level
 * @typedef {{key:string,level:'warning'|'bad',text:string}} Reason
 * @typedef {{
 *   metrics:import('./types.js').Metrics, about:?import('./types.js').About, gone:string[],
 *   usual:?{errors:?number,p95:?number}, peakOfMinute:number, filtered:boolean,
 * }} Known
 */
import {count, ms, rate, share, words} from './format.js';

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
	const bad = (/** @type {string} */ key, /** @type {string} */ text) => found.push({key, level: 'bad', text});
	const warn = (/** @type {string} */ key, /** @type {string} */ text) => found.push({key, level: 'warning', text});

	if (known.about?.engine) bad('engine', known.about.engine);
	const loose = (metrics.capture?.hooks ?? []).filter((/** @type {any} */ hook) => !hook.attached);
	const all = metrics.capture?.hooks?.length ?? 0;
	if (all && loose.length === all) bad('hooks', 'no hook is attached to the kernel: nothing is counted');
	if (metrics.capture?.balanced === false)
		bad('books', `the books do not balance (${(metrics.capture.unbalanced ?? []).map(words).join(', ')}): do not trust the numbers`);
	if (typeof metrics.store === 'string' && metrics.store.startsWith('unavailable')) bad('store', `history is not being written, ${metrics.store}`);
	for (const server of known.gone) bad(`gone ${server}`, `server ${server} is gone`);

	const now = metrics.connections.total, peak = known.peakOfMinute;
	const drop = peak > 0 ? (peak - now) / peak : 0;
	if (peak >= limits['drop-least'] && drop * 100 >= limits['drop-percent'])
		warn('drop', `open connections fell by ${share(drop)} within a minute, from ${count(peak)} to ${count(now)}`);
	if (known.usual && !known.filtered) {
		const {errors, p95} = known.usual;
		if (errors !== null && metrics.errors.rate >= limits['errors-least'] && metrics.errors.rate > errors * limits['errors-factor'])
			warn('errors', `${rate(metrics.errors.rate)} errors a minute, usual are ${rate(errors)}`);
		const latest = metrics.messages.latency?.p95;
		if (p95 !== null && typeof latest === 'number' && latest >= limits['latency-least'] && latest > p95 * limits['latency-factor'])
			warn('latency', `latency p95 is ${ms(latest)}, usual is ${ms(p95)}`);
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

/**
 * Servers whose process has ended with connections open, and to which nobody has connected since. In:
 * each answer. One that is back, or that the agent knows no more, is not gone.
 */
export class Roster {
	constructor() {
		/** @type {Map<string,number>} which have ended, and when */
		this.ended = new Map();
		this.since = '';
	}

	/** @param {import('./types.js').Metrics} metrics @returns {string[]} gone */
	update(metrics) {
		if (this.since !== metrics.counting_since) this.ended.clear();
		this.since = metrics.counting_since;
		for (const row of metrics.errors.recent)
			if (row.cause === 'server_exit' && row.server) this.ended.set(row.server, Math.max(this.ended.get(row.server) ?? 0, Date.parse(row.timestamp) / 1000));
		const gone = [];
		for (const [name, open] of Object.entries(metrics.connections.by_server)) {
			if (open > 0) this.ended.delete(name);
			else if (this.ended.has(name)) gone.push(name);
		}
		return gone;
	}
}
