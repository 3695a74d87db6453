/**
 * The history endpoints (SPEC 4): what to ask, and their answers as points. An agent without one of
 * them answers 404; the panel then says so.
 *
 * @typedef {{state:'wait'}|{state:'missing'}|{state:'failed',why:string}|{state:'ok',data:any}} Answer
 */
import {gap, seconds} from './samples.js';
import {RANGES} from './state.js';

/** @typedef {import('./types.js').Point} Point */

const POINTS = 360; /* of a chart's width; the API gives at most 2,000 */
const STEPS = [10, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400];

/** The span that is asked for, in whole steps. @param {import('./state.js').State} state @param {number} now */
export function span(state, now) {
	const zoomed = state.from !== null && state.to !== null;
	const length = zoomed ? /** @type {number} */ (state.to) - /** @type {number} */ (state.from) : RANGES[state.range];
	const step = STEPS.find((s) => length / s <= POINTS) ?? /** @type {number} */ (STEPS.at(-1));
	const to = zoomed ? /** @type {number} */ (state.to) : Math.floor(now / step) * step;
	return {from: Math.floor((zoomed ? /** @type {number} */ (state.from) : to - length) / step) * step, to, step};
}

/** @param {{from:number,to:number,step:number}} at @param {number} [back] seconds earlier */
export function query(at, back = 0) {
	return {from: String(Math.round(at.from - back)), to: String(Math.round(at.to - back)), step: String(at.step)};
}

/**
 * Points at the middle of their interval. Where one is absent the line breaks: the agent did not run.
 * @param {any} answer of /history/ @param {number} [shift] seconds, to lay an earlier period over a later one
 * @returns {Point[]}
 */
export function points(answer, shift = 0) {
	const step = answer.interval_seconds ?? answer.interval_minutes * 60;
	/** @type {Point[]} */
	const found = [];
	let before = NaN;
	for (const row of answer.data) {
		const begin = seconds(row.timestamp);
		if (begin - before > step * 1.5) found.push(gap(before + step + shift));
		before = begin;
		found.push(pointOf(row, begin + step / 2 + shift, step));
	}
	return found;
}

/** @param {any} row @param {number} t @param {number} step @returns {Point} */
function pointOf(row, t, step) {
	const {connections, messages, errors} = row;
	const latency = messages.latency;
	/** @type {Record<string,number>} */
	const perMinute = {};
	for (const [type, n] of Object.entries(errors?.by_type ?? {})) perMinute[type] = Number(n) / step * 60;
	return {
		t, active: connections.total ?? null, opened: connections.created ?? null, closed: connections.closed ?? null,
		received: messages.received === undefined ? null : messages.received / step,
		sent: messages.sent === undefined ? null : messages.sent / step,
		p50: latency?.p50 ?? null, p95: latency?.p95 ?? null, p99: latency?.p99 ?? null, errors: perMinute,
	};
}

/** What is expected: hours of /forecast/. An answer that says it knows too little has none. @param {any} answer @returns {import('./types.js').Ahead[]} */
export function ahead(answer) {
	const expected = (/** @type {any} */ e) => ({value: e?.value ?? e?.expected ?? null, low: e?.low ?? null, high: e?.high ?? null});
	return (answer.data ?? []).map((/** @type {any} */ row) => ({
		t: seconds(row.timestamp) + 1800, active: expected(row.connections?.total ?? row.connections), rate: expected(row.messages?.rate ?? row.rate),
	}));
}

/** @param {(?number)[]} values */
export function median(values) {
	const list = values.filter((v) => v !== null).sort((a, b) => a - b);
	if (!list.length) return null;
	const half = list.length >> 1;
	return list.length % 2 ? list[half] : (list[half - 1] + list[half]) / 2;
}

/** @param {Point} point */
export function errorsOf(point) {
	return point.errors === null ? null : Object.values(point.errors).reduce((all, n) => all + n, 0);
}

/**
 * What is usual: medians of the last day, if the history knows at least an hour of it.
 * @param {Point[]} day
 */
export function usual(day) {
	const there = day.filter((p) => p.active !== null);
	if (there.length < 12) return null;
	return {errors: median(there.map(errorsOf)), p95: median(there.map((p) => p.p95))};
}

/** The point nearest to a time, within a distance. @param {Point[]} list @param {number} t @param {number} within */
export function nearest(list, t, within) {
	let best = null;
	for (const point of list) if (point.active !== null && Math.abs(point.t - t) <= within && (!best || Math.abs(point.t - t) < Math.abs(best.t - t))) best = point;
	return best;
}
