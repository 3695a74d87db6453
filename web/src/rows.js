/**
 * Rows of the tables of servers, channels and users: who is there now, and what history adds up for the time
 * that is looked at. Pure.
 *
 * @typedef {'servers'|'channels'|'users'} Kind
 * @typedef {import('./types.js').Row} Row
 */
import {filters} from './state.js';

export const KINDS = /** @type {const} */ (['servers', 'channels', 'users']);
const KEY = /** @type {const} */ ({servers: 'server', channels: 'channel', users: 'user'});

/** What history adds up by a kind cannot be narrowed by all filters; null: not as these want it. @param {Kind} kind @param {import('./state.js').State} state @returns {?Record<string,string>} */
export function sheetQuery(kind, state) {
	const {server, channel, user} = state;
	if (kind === 'servers') return channel || user ? null : {};
	if (kind === 'users') return server || channel ? null : {};
	return user ? null : server ? {server} : {};
}

/** The history of one row. @param {Kind} kind @param {string} name @param {import('./state.js').State} state */
export function lineQuery(kind, name, state) {
	return {...(kind === 'users' ? {} : filters(state)), [KEY[kind]]: name};
}

/** Sums of history as rows; a channel of several servers is one row. @param {Kind} kind @param {any} answer @param {string} [only] @returns {Map<string,Row>} */
export function sheetRows(kind, answer, only) {
	/** @type {Map<string,Row>} */
	const found = new Map();
	const covered = (Date.parse(answer.to) - Date.parse(answer.from)) / 1000;
	for (const sum of answer.data) {
		const name = String(sum[KEY[kind]] ?? '');
		if (!name || (only && name !== only)) continue;
		const {messages: m, connections: c} = sum;
		/** @type {Row} */
		const row = {
			name, open: c.total, line: [], messages: m.received + m.sent, rate: m.rate ?? (covered > 0 ? (m.received + m.sent) / covered : null),
			p95: m.latency?.p95 ?? null, errors: sum.errors?.rate ?? null,
		};
		const other = found.get(name);
		const add = (/** @type {?number} */ a, /** @type {?number} */ b) => (a === null && b === null ? null : (a ?? 0) + (b ?? 0));
		if (!other) found.set(name, row);
		/* percentiles do not add up */
		else found.set(name, {...row, open: row.open + other.open, messages: add(row.messages, other.messages), rate: add(row.rate, other.rate), errors: add(row.errors, other.errors), p95: null});
	}
	return found;
}

/**
 * @param {Row[]} now who is there, from the page's own samples @param {?Map<string,Row>} sums of history; null: none yet
 * @param {boolean} live history is not what is shown, or does not know it @param {Map<string,(?number)[]>} lines of history, by name
 * @returns {Row[]}
 */
export function merge(now, sums, live, lines) {
	if (live)
		return now.map((row) => {
			const sum = sums?.get(row.name);
			const line = lines.get(row.name);
			return {...row, messages: sum?.messages ?? row.messages, rate: row.rate ?? sum?.rate ?? null, p95: row.p95 ?? sum?.p95 ?? null, errors: row.errors ?? sum?.errors ?? null, line: line?.length ? [...line, row.open] : row.line};
		});
	return [...sums?.values() ?? []].map((row) => ({...row, line: lines.get(row.name) ?? []}));
}
