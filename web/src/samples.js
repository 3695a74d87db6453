/**
 * What the page has seen itself while it was open: the source of the live charts. In: answers of the
 * API, in order. Out: points. Pure; bounded.
 */
import {cells, percentile, together} from './prometheus.js';

/** @typedef {import('./types.js').Metrics} Metrics */
/** @typedef {import('./types.js').Point} Point */
/** @typedef {Map<string, import('./prometheus.js').ServerCounters>} Servers */
/** @typedef {{t:number,since:string,metrics:Metrics,servers:?Servers}} Sample */

export const SAMPLES_MAX = 2000;
/* Rates and percentiles of a server are of the last minute; its counters are kept every few seconds. */
const KEEP_S = 4.5, WITHIN_S = 65;
const LINE = 60; /* samples in the small line of a row */
const APART_S = 5;
const HEAT_S = 12; /* without a change: nothing was timed */

/** A counter's way from one sample to the next; null when it began anew. @param {number} now @param {number} before */
function delta(now, before) {
	return now >= before ? now - before : null;
}

/** @param {?number} n @param {number} span seconds */
function per(n, span) {
	return n === null || span <= 0 ? null : n / span;
}

/** @param {string} text RFC 3339 */
export function seconds(text) {
	return Date.parse(text) / 1000;
}

export class Samples {
	constructor() {
		/** @type {Sample[]} */
		this.list = [];
		/** @type {Point[]} */
		this.points = [];
		/** @type {import('./types.js').HeatColumn[]} */
		this.heat = [];
		/** @type {import('./types.js').Mark[]} */
		this.marks = [];
		this.missed = false;
		this.base = NaN; /* the agent's beginning, by our clock */
		/** @type {{t:number,since:string,servers:NonNullable<Servers>}[]} */
		this.kept = [];
		/** @type {?{t:number,buckets:Map<number,number>}} */
		this.heatBase = null;
	}

	get last() {
		return this.list.at(-1);
	}

	/** Something was asked for and did not come, or the page slept: the line breaks here. */
	miss() {
		this.missed = true;
	}

	/**
	 * The agent counts once a second, and an answer comes when it comes: rates taken over the time between answers
	 * would go up and down by what the two are apart. So the time of a sample is the agent's own.
	 * @param {number} came @param {Metrics} metrics @returns {number}
	 */
	#time(came, {uptime_seconds: uptime}) {
		if (uptime === undefined) return came;
		const t = this.base + uptime;
		/* another agent, or one of the clocks was set, or the host slept */
		if (!(Math.abs(came - t) < APART_S)) this.base = came - uptime;
		return this.base + uptime;
	}

	/** @param {number} came when it came @param {Metrics} metrics @param {?Servers} servers */
	add(came, metrics, servers) {
		const before = this.last;
		const t = this.#time(came, metrics);
		if (before && t <= before.t) return;
		const anew = before !== undefined && before.metrics.counting_since !== metrics.counting_since;
		if (anew) this.marks.push({t: seconds(metrics.counting_since), text: 'counting began anew'});
		if (before && (this.missed || anew)) this.points.push(gap((before.t + t) / 2));
		const apart = this.missed || anew;
		this.missed = false;
		this.list.push({t, since: metrics.counting_since, metrics, servers});
		this.points.push(this.#point(apart ? undefined : before, t, metrics));
		this.#addHeat(t, servers, apart);
		for (const list of [this.points, this.heat, this.marks])
			if (list.length > SAMPLES_MAX) list.splice(0, list.length - SAMPLES_MAX);
		if (this.list.length > LINE) this.list.shift();
		/* The answers themselves are large: only the last one is needed whole. */
		if (before) [before.metrics, before.servers] = [slim(before.metrics), null];
		if (servers && t - (this.kept.at(-1)?.t ?? 0) >= KEEP_S) this.kept.push({t, since: metrics.counting_since, servers});
		while (this.kept.length && t - this.kept[0].t > WITHIN_S) this.kept.shift();
	}

	/**
	 * The agent moves its histograms in steps of 10 s: a column begins where the one before it ended.
	 * @param {number} t @param {?Servers} servers @param {boolean} apart
	 */
	#addHeat(t, servers, apart) {
		if (!servers) return;
		const buckets = together(servers.values());
		const base = apart ? null : this.heatBase;
		const found = base ? cells(base.buckets, buckets) : [];
		if (base && !found.length && t - base.t < HEAT_S) return;
		if (base) this.heat.push({t: base.t, until: t, cells: found});
		this.heatBase = {t, buckets};
	}

	/** @param {Sample|undefined} before @param {number} t @param {Metrics} metrics @returns {Point} */
	#point(before, t, metrics) {
		const was = before?.metrics;
		const span = before ? t - before.t : 0;
		const diff = (/** @type {(m:Metrics)=>number} */ of) => (was ? delta(of(metrics), of(was)) : null);
		const latency = metrics.messages.latency;
		/** @type {?Record<string,number>} */
		let errors = null;
		if (was) {
			errors = {};
			for (const [type, n] of Object.entries(metrics.errors.by_type)) {
				const more = n - (was.errors.by_type[type] ?? 0);
				if (more > 0) errors[type] = more / span * 60;
			}
		}
		return {
			t, active: metrics.connections.total, opened: per(diff((m) => m.connections.created), span), closed: per(diff((m) => m.connections.closed), span),
			received: per(diff((m) => m.messages.received), span), sent: per(diff((m) => m.messages.sent), span),
			p50: latency?.p50 ?? null, p95: latency?.p95 ?? null, p99: latency?.p99 ?? null, errors,
		};
	}

	/** Whoever was there within the last samples, with how it goes. @param {'by_server'|'by_channel'|'by_user'} key @returns {import('./types.js').Row[]} */
	rows(key) {
		const last = this.last;
		if (!last) return [];
		return Object.entries(last.metrics.connections[key]).map(([name, open]) => ({
			name, open, messages: null, line: this.list.map((sample) => sample.metrics.connections[key][name] ?? 0),
			...(key === 'by_server' ? this.#rates(name) : {rate: null, p95: null, errors: null}),
		}));
	}

	/** @param {string} name */
	#rates(name) {
		const last = this.last;
		const before = this.kept.find((kept) => kept.since === last?.since);
		const [now, was] = [last?.servers?.get(name), before?.servers.get(name)];
		if (!last || !before || !now || !was || last.t <= before.t) return {rate: null, p95: null, errors: null};
		const span = last.t - before.t;
		return {
			rate: per(delta(now.messages, was.messages), span), errors: per(delta(now.errors, was.errors), span / 60),
			p95: percentile(cells(was.buckets, now.buckets), 0.95),
		};
	}
}

/** @param {number} t @returns {Point} */
export function gap(t) {
	return {t, active: null, opened: null, closed: null, received: null, sent: null, p50: null, p95: null, p99: null, errors: null};
}

/** What rows() and the counters still need of an old answer. @param {Metrics} m @returns {Metrics} */
function slim(m) {
	return {...m, capture: null, errors: {...m.errors, recent: []}};
}
