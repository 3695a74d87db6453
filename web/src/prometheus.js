/**
 * What the JSON does not split by server, out of the exposition on /metrics: counters and the latency's
 * histogram. Pure.
 *
 * @typedef {{open:number,messages:number,errors:number,buckets:Map<number,number>}} ServerCounters
 *   buckets: upper bound in milliseconds -> how many at most that, since counting began
 */

const LINE = /^wsvitals_(connections|messages_total|errors_total|latency_seconds_bucket)\{(.*)\} ([-+.0-9eEInfa]+)/;
const LABEL = /([a-z_]+)="((?:[^"\\]|\\.)*)"/g;

/** @param {string} text the labels between the braces @returns {Record<string,string>} */
function labels(text) {
	/** @type {Record<string,string>} */
	const found = {};
	for (const [, key, value] of text.matchAll(LABEL))
		found[key] = value.replace(/\\(.)/g, (_, c) => (c === 'n' ? '\n' : c));
	return found;
}

/** @param {string} text @returns {Map<string, ServerCounters>} */
export function parse(text) {
	/** @type {Map<string, ServerCounters>} */
	const servers = new Map();
	for (const line of text.split('\n')) {
		const match = LINE.exec(line);
		if (!match) continue;
		const {server, le} = labels(match[2]);
		const value = Number(match[3]);
		if (server === undefined || !Number.isFinite(value)) continue;
		let counters = servers.get(server);
		if (!counters) servers.set(server, counters = {open: 0, messages: 0, errors: 0, buckets: new Map()});
		if (match[1] === 'connections') counters.open = value;
		else if (match[1] === 'messages_total') counters.messages += value;
		else if (match[1] === 'errors_total') counters.errors += value;
		else counters.buckets.set(le === '+Inf' ? Infinity : Number(le) * 1000, value);
	}
	return servers;
}

/**
 * The cells between two states of cumulative buckets; none when a counter has begun anew.
 * @param {Map<number,number>} before @param {Map<number,number>} now
 */
export function cells(before, now) {
	const bounds = [...now.keys()].sort((a, b) => a - b);
	const found = [];
	let low = 0, below = 0;
	for (const high of bounds) {
		const upTo = (now.get(high) ?? 0) - (before.get(high) ?? 0);
		if (upTo < below) return [];
		if (upTo > below && high !== Infinity) found.push({low: low || high / 1.5, high, count: upTo - below});
		below = upTo;
		low = high;
	}
	return found;
}

/** @param {{low:number,high:number,count:number}[]} list @param {number} part 0.95; within a bucket the middle */
export function percentile(list, part) {
	let all = 0;
	for (const cell of list) all += cell.count;
	let rest = all * part;
	for (const cell of list) {
		rest -= cell.count;
		if (rest <= 0) return (cell.low + cell.high) / 2;
	}
	return null;
}

/** Of several servers together. @param {Iterable<ServerCounters>} servers */
export function together(servers) {
	/** @type {Map<number,number>} */
	const buckets = new Map();
	for (const server of servers) for (const [bound, n] of server.buckets) buckets.set(bound, (buckets.get(bound) ?? 0) + n);
	return buckets;
}
