/**
 * The history endpoints (SPEC 4): what to ask, and their answers as what panels draw. Pure.
 *
 * @typedef {{state:'wait'}|{state:'failed',why:string}|{state:'ok',data:any}} Answer
 */
import {words} from './format.js';
import {gap, seconds} from './samples.js';
import {RANGES} from './state.js';

/** @typedef {import('./types.js').Point} Point */
/** @typedef {import('./types.js').HeatColumn} HeatColumn */
/** @typedef {{from:number,to:number,step:number}} Span */

const POINTS = 360; /* of a chart's width; the API gives at most 2,000 */
const STEPS = [10, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400];
const HOUR = 3600;

/** The shortest step with which a length has at most so many points. @param {number} length seconds @param {number} [most] */
export function stepOf(length, most = POINTS) {
	return STEPS.find((s) => length / s <= most) ?? /** @type {number} */ (STEPS.at(-1));
}

/** The span that is asked for, in whole steps. @param {import('./state.js').State} state @param {number} now @returns {Span} */
export function span(state, now) {
	const zoomed = state.from !== null && state.to !== null;
	const length = zoomed ? /** @type {number} */ (state.to) - /** @type {number} */ (state.from) : RANGES[state.range];
	const step = stepOf(length);
	const to = zoomed ? /** @type {number} */ (state.to) : Math.floor(now / step) * step;
	return {from: Math.floor((zoomed ? /** @type {number} */ (state.from) : to - length) / step) * step, to, step};
}

/** @param {Span} at @param {number} [back] seconds earlier */
export function query(at, back = 0) {
	return {from: String(Math.round(at.from - back)), to: String(Math.round(at.to - back)), step: String(at.step)};
}

/** The span and the one before it, as /compare/ takes them. @param {Span} at @param {number} back seconds */
export function periods(at, back) {
	const period = (/** @type {number} */ less) => `${Math.round(at.from - less)}/${Math.round(at.to - less)}`;
	return {a: period(back), b: period(0)};
}

/**
 * Points at the middle of their interval. Where one is absent the line breaks: the agent did not run.
 * @param {any} answer of /metrics/history/ @param {number} [shift] seconds, to lay an earlier period over a later one
 * @returns {Point[]}
 */
export function points(answer, shift = 0) {
	const step = answer.interval_seconds;
	/** @type {Point[]} */
	const found = [];
	let before = NaN;
	for (const row of answer.data) {
		const begin = seconds(row.timestamp);
		if (begin - before > step * 1.5) found.push(gap(before + step + shift));
		before = begin;
		found.push(pointOf(row, begin + step / 2 + shift));
	}
	return found;
}

/** Numbers are of the time that was counted, which may be less than the interval. @param {any} row @param {number} t @returns {Point} */
function pointOf({connections, messages, errors, covered_seconds: covered}, t) {
	const per = (/** @type {?number} */ n, /** @type {number} */ time) => (n === null || !(covered > 0) ? null : n / covered * time);
	/** @type {?Record<string,number>} */
	let perMinute = null;
	if (errors.total !== null) {
		perMinute = {};
		for (const [type, n] of Object.entries(errors.by_type)) perMinute[type] = per(Number(n), 60) ?? 0;
	}
	return {
		t, active: connections.total, opened: per(connections.created, 1), closed: per(connections.closed, 1),
		received: per(messages.received, 1), sent: per(messages.sent, 1),
		p50: messages.latency?.p50 ?? null, p95: messages.latency?.p95 ?? null, p99: messages.latency?.p99 ?? null, errors: perMinute, by_type: errors.by_type,
	};
}

/** Null: latencies of what was asked for are not known. @param {any} answer of /heatmap/ @returns {?import('./types.js').HeatColumn[]} */
export function heat(answer) {
	if (answer.data.some((/** @type {any} */ row) => row.buckets === null)) return null;
	return answer.data.map((/** @type {any} */ row) => ({
		t: seconds(row.timestamp), until: seconds(row.timestamp) + answer.interval_seconds,
		cells: row.buckets.map((/** @type {number[]} */ [low, high, count]) => ({low, high, count})),
	}));
}

/** The hours to come. @param {any} answer of /forecast/ @param {number} until @returns {import('./types.js').Ahead[]} */
export function ahead(answer, until) {
	return answer.data.map((/** @type {any} */ row) => ({t: seconds(row.timestamp) + HOUR / 2, active: row.connections, rate: row.message_rate}))
		.filter((/** @type {import('./types.js').Ahead} */ hour) => hour.t < until);
}

const EVENTS = /** @type {Record<string,string>} */ ({
	agent_start: 'agent started', agent_stop: 'agent stopped', server_seen: 'is there', server_gone: 'is gone', config_changed: 'configuration changed',
	clock_jumped: 'clock jumped', store_damaged: 'store damaged', store_resumed: 'store is written again',
});

/** @param {any} answer of /events/ @returns {import('./types.js').Mark[]} */
export function marks(answer) {
	return answer.data.map((/** @type {any} */ e) => ({
		t: seconds(e.timestamp), type: e.type, server: e.server,
		text: `${e.server ? `${e.server} ` : ''}${EVENTS[e.type] ?? words(e.type)}${e.text ? `: ${e.text}` : ''}`,
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
 * @param {Point[]} day points of five minutes
 */
export function usual(day) {
	const there = day.filter((p) => p.active !== null);
	if (there.length < 12) return null;
	return {errors: median(there.map(errorsOf)), p95: median(there.map((p) => p.p95))};
}

/**
 * Since when a measure has been above a limit without a break, as the day tells; null: not even the last point was.
 * @param {Point[]} day points of five minutes @param {(p:Point)=>?number} of @param {number} limit
 */
export function above(day, of, limit) {
	let since = null;
	for (let i = day.length - 1; i >= 0; i--) {
		const value = of(day[i]);
		if (value === null || value <= limit) break;
		since = day[i].t - 150;
	}
	return since;
}

/**
 * The deepest fall within a minute of the last five that has not been made good: the open connections now are
 * still fewer by that share than they were. Null: none.
 * @param {Point[]} list in order @param {number} now @param {number} open now @param {{percent:number,least:number}} limits
 */
export function fall(list, now, open, limits) {
	/** @type {?{from:number,share:number,since:number}} */
	let found = null;
	const near = list.filter((p) => p.active !== null && p.t >= now - 360 && p.t <= now);
	const all = [...near.map((p) => ({t: p.t, n: /** @type {number} */ (p.active)})), {t: now, n: open}];
	let begin = 0;
	all.forEach((low, i) => {
		while (all[begin].t < low.t - 60) begin++;
		if (low.t < now - 300) return;
		for (let k = begin; k < i; k++) {
			const from = all[k].n;
			const share = from > 0 ? (from - Math.max(low.n, open)) / from : 0;
			if (from >= limits.least && share * 100 >= limits.percent && (!found || share > found.share)) found = {from, share, since: low.t};
		}
	});
	return /** @type {?{from:number,share:number,since:number}} */ (found);
}

/** The point nearest to a time, within a distance. @param {Point[]} list @param {number} t @param {number} within */
export function nearest(list, t, within) {
	let best = null;
	for (const point of list) if (point.active !== null && Math.abs(point.t - t) <= within && (!best || Math.abs(point.t - t) < Math.abs(best.t - t))) best = point;
	return best;
}

/**
 * The page's own samples, and before and between them what history knows: it counted while the page slept.
 * @param {Point[]} own @param {Point[]} past @param {number} from
 */
export function joined(own, past, from) {
	const known = past.filter((p) => p.t >= from);
	/** @type {Point[]} */
	const found = [];
	let at = 0;
	const take = (/** @type {number} */ until) => {
		const begun = at;
		while (at < known.length && known[at].t < until) at++;
		return known.slice(begun, at);
	};
	const skip = (/** @type {number} */ t) => {
		while (at < known.length && known[at].t <= t) at++;
	};
	own.forEach((point, i) => {
		if (!i) found.push(...take(point.t - 5));
		else if (own[i - 1].active === null) {
			skip((own[i - 2]?.t ?? -Infinity) + 5);
			const between = take(point.t - 5);
			if (between.some((p) => p.active !== null)) found.splice(-1, 1, ...between);
		}
		/* the first of the page's own has no rates yet: where history comes near, the line goes on without it */
		const last = found.at(-1);
		if (point.received === null && point.active !== null && last && last.received !== null && point.t - last.t <= 20) return;
		found.push(point);
	});
	return own.length ? found : known;
}

/** The same for the heatmap: what history knows where the page has no column of its own. @param {HeatColumn[]} own in order @param {?HeatColumn[]} past @returns {HeatColumn[]} */
export function joinedHeat(own, past) {
	if (!past?.length) return own;
	let at = 0;
	const free = past.filter((column) => {
		while (at < own.length && own[at].until <= column.t + 1) at++;
		return at === own.length || own[at].t >= column.until - 1;
	});
	return [...free, ...own].sort((a, b) => a.t - b.t);
}
