/**
 * What the agent's history says of the view, each part asked for as often as it changes, one question after the
 * other: 20 a second are allowed to all pages of a session. A part that fails keeps its reason, not its numbers.
 */
import {ahead, heat, marks, periods, points, query, span, stepOf} from './history.js';
import {KINDS, lineQuery, sheetQuery, sheetRows} from './rows.js';
import {COMPARES, filters} from './state.js';

/** @typedef {import('./history.js').Answer} Answer */
/** @typedef {import('./history.js').Span} Span */
/** @typedef {import('./types.js').Point} Point */
/** @typedef {import('./rows.js').Kind} Kind */
/** @typedef {import('./state.js').State} State */

/** @typedef {{key:string, path:string, every:number, what:Record<string,string>, take:(data:any)=>void, fail?:()=>void}} Question */

const PAUSE_MS = 70;
const POINTS_MAX = 1990; /* the API gives 2,000 at most, and both ends may be widened by one */
const SOON_S = 10; /* the store is written so often */
const LINE_POINTS = 60, LINES_MAX = 10, LINES_KEPT = 100; /* of each table */
const LIVE_WINDOW_S = 300;
/** @type {Record<string,number>} how far the forecast is drawn */
export const AHEAD_S = {'24h': 21600, '7d': 86400};
const FRESH_S = 40; /* what passed just before the page began is written within this time */
const FAR_S = 3600; /* what is over does not change */

export class Past {
	/** @type {Point[]} the last hour by ten seconds */
	hour = [];
	/** @type {Point[]} the last day by five minutes */
	day = [];
	/** @type {Point[]} the span that is shown */
	shown = [];
	/** @type {?Point[]} */
	ghost = null;
	/** @type {?import('./types.js').HeatColumn[]} */
	heat = null;
	/** @type {import('./types.js').Mark[]} */
	marks = [];
	/** @type {import('./types.js').Ahead[]} */
	ahead = [];
	aheadWhy = '';
	/** @type {any} answers as they came */
	compare = null;
	/** @type {any} */
	errors = null;
	/** @type {any} */
	connections = null;
	/** @type {Record<Kind,?Map<string,import('./types.js').Row>>} */
	sums = {servers: null, channels: null, users: null};
	/** @type {Record<Kind,Map<string,(?number)[]>>} */
	lines = {servers: new Map(), channels: new Map(), users: new Map()};

	/** @param {(path:string, what:Record<string,string>) => Promise<Answer>} ask @param {()=>void} changed @param {()=>boolean} asleep nobody looks: nothing more is asked */
	constructor(ask, changed, asleep) {
		this.ask = ask;
		this.asleep = asleep;
		this.changed = changed;
		this.running = false;
		this.more = false;
		this.epoch = 0;
		this.begun = Date.now() / 1000;
		/** @type {Map<string,number>} when each part was last asked for */
		this.asked = new Map();
		/** @type {Map<string,string>} why a part is not there */
		this.failed = new Map();
	}

	/** Another view from now on. @param {boolean} whole other filters too: nothing that is known is of it */
	forget(whole) {
		this.epoch++;
		this.begun = Date.now() / 1000;
		for (const key of this.asked.keys()) if (whole || (key !== 'hour' && key !== 'day')) this.asked.delete(key);
		this.failed.clear();
		if (whole) [this.hour, this.day] = [[], []];
		[this.shown, this.ghost, this.heat, this.marks] = [[], null, null, []];
		[this.ahead, this.aheadWhy, this.compare, this.errors, this.connections] = [[], '', null, null, null];
		this.sums = {servers: null, channels: null, users: null};
		this.lines = {servers: new Map(), channels: new Map(), users: new Map()};
	}

	/** The page has slept: history counted on. */
	wake() {
		this.begun = Date.now() / 1000;
		this.again('shown', 'hour', 'events');
	}

	/** @param {...string} keys what is asked for anew, whenever it was the last time */
	again(...keys) {
		for (const key of keys) this.asked.delete(key);
	}

	/** Asks for all that is due. wanted: the rows that tables show. @param {()=>State} state @param {(kind:Kind)=>string[]} wanted */
	async refresh(state, wanted) {
		this.more = true;
		if (this.running) return;
		this.running = true;
		try {
			while (this.more) {
				this.more = false;
				await this.#run(state(), wanted);
			}
		} finally {
			this.running = false;
		}
	}

	/** @param {State} state @param {(kind:Kind)=>string[]} wanted */
	async #run(state, wanted) {
		const {epoch} = this;
		const due = this.#due(state);
		for (const question of due) {
			if (this.asleep()) return;
			await this.#put(question);
			if (epoch !== this.epoch) return;
			if (question.key === 'shown' || question.key === 'heat') this.changed();
		}
		if (due.length) this.changed();
		const lines = this.#linesDue(state, wanted);
		for (const question of lines) {
			if (this.more || this.asleep()) return;
			await this.#put(question);
			if (epoch !== this.epoch) return;
		}
		if (lines.length) this.changed();
	}

	/** @param {Question} question */
	async #put({key, path, what, take, fail}) {
		const {epoch} = this;
		this.asked.set(key, Date.now() / 1000);
		const answer = await this.ask(path, what);
		if (epoch !== this.epoch) return;
		if (answer.state === 'ok') {
			this.failed.delete(key);
			take(answer.data);
		} else {
			this.failed.set(key, answer.state === 'failed' ? answer.why : '');
			fail?.();
		}
		await new Promise((resolve) => { setTimeout(resolve, PAUSE_MS); });
	}

	/** @param {State} state */
	#due(state) {
		const now = Date.now() / 1000;
		return questions(this, state, now).filter(({key, every}) => now - (this.asked.get(key) ?? 0) >= every);
	}

	/** A page is open all day, and names come and go. @param {Kind} kind @param {string[]} wanted */
	#forgetLines(kind, wanted) {
		if (this.lines[kind].size <= LINES_KEPT) return;
		for (const name of this.lines[kind].keys()) {
			if (wanted.includes(name)) continue;
			this.lines[kind].delete(name);
			this.asked.delete(`${kind} ${name}`);
			this.failed.delete(`${kind} ${name}`);
		}
	}

	/** The small lines of the rows in sight. @param {State} state @param {(kind:Kind)=>string[]} wanted @returns {Question[]} */
	#linesDue(state, wanted) {
		const now = Date.now() / 1000;
		const live = state.range === 'live' && state.from === null;
		const at = live ? {from: now - 3600, to: now, step: 60} : span(state, now);
		const step = Math.max(at.step, stepOf(at.to - at.from, LINE_POINTS));
		for (const kind of KINDS) this.#forgetLines(kind, wanted(kind));
		return KINDS.flatMap((kind) => wanted(kind).slice(0, LINES_MAX).map((name) => ({
			key: `${kind} ${name}`, path: 'metrics/history', every: live ? LIVE_WINDOW_S : Math.max(60, step),
			what: {...lineQuery(kind, name, state), ...query({from: at.from, to: at.to, step})},
			take: (/** @type {any} */ data) => this.lines[kind].set(name, points(data).map((p) => p.active)), fail: () => this.lines[kind].set(name, []),
		}))).filter(({key, every}) => now - (this.asked.get(key) ?? 0) >= every);
	}
}

/** A live chart begins with what was before the page: an hour at least. @param {State} state @param {number} now @returns {Span} */
function liveSpan(state, now) {
	const length = Math.max(3900, state.points * state.refresh);
	const step = stepOf(length, Math.max(400, state.points));
	return {from: Math.floor((now - Math.min(length, POINTS_MAX * step)) / step) * step, to: Math.floor(now / step) * step + step, step};
}

/** @param {Past} past @param {State} state @param {number} now @returns {Question[]} the most wanted first */
function questions(past, state, now) {
	const chosen = filters(state);
	const zoomed = state.from !== null;
	const live = state.range === 'live';
	const at = live && !zoomed ? liveSpan(state, now) : span(state, now);
	const often = at.to < now - 120 ? FAR_S : live && !zoomed ? (now - past.begun < FRESH_S ? SOON_S : 60) : Math.max(SOON_S, Math.min(at.step, 300));
	const back = COMPARES[state.compare].seconds;
	const within = {from: String(Math.round(at.from)), to: String(Math.round(at.to))};
	/* lists are of the same time as the charts; live, of the last day */
	const list = live && !zoomed ? {} : within;
	const sums = live && !zoomed ? {from: String(Math.round(now - LIVE_WINDOW_S)), to: String(Math.round(now))} : within;
	const {recent, open} = state.tables;
	/** @type {Question[]} */
	const all = [
		{key: 'shown', path: 'metrics/history', every: often, what: {...query(at), ...chosen}, take: (data) => { past.shown = points(data); }, fail: () => { past.shown = []; }},
		{key: 'events', path: 'events', every: Math.min(often, 30), what: within, take: (data) => { past.marks = marks(data); }},
		{key: 'errors', path: 'errors', every: Math.min(often, SOON_S), what: {...list, ...chosen, ...(recent?.find ? {search: recent.find} : {})}, take: (data) => { past.errors = data; }},
		{
			key: 'connections', path: 'connections', every: Math.min(often, 5),
			what: {...list, ...chosen, state: state.rows, ...(open?.find ? {search: open.find} : {}), ...sortOf(open?.sort ?? '')}, take: (data) => { past.connections = data; },
		},
		{key: 'hour', path: 'metrics/history', every: 60, what: {...query({from: now - 3900, to: now, step: 10}), ...chosen}, take: (data) => { past.hour = points(data); }},
		{key: 'day', path: 'metrics/history', every: 300, what: {...query({from: now - 86400, to: now, step: 300}), ...chosen}, take: (data) => { past.day = points(data); }},
	];
	if (!state.user) {
		const own = live && !zoomed && !state.channel; /* the page has its own, and needs what was before */
		const narrow = live && !zoomed ? {...at, from: Math.max(at.from, now - state.points * state.refresh - 20)} : at;
		all.splice(1, 0, {key: 'heat', path: 'heatmap', every: live && !own ? SOON_S : often, what: {...query(narrow), ...chosen}, take: (data) => { past.heat = heat(data); }});
	}
	if (back) {
		all.splice(1, 0, {key: 'ghost', path: 'metrics/history', every: Math.max(often, 60), what: {...query(at, back), ...chosen}, take: (data) => { past.ghost = points(data, back); }});
		if (!state.user) {
			const seen = live && !zoomed ? {...at, from: at.to - state.points * state.refresh} : at;
			all.push({key: 'compare', path: 'compare', every: Math.max(often, 30), what: {...periods(seen, back), ...chosen}, take: (data) => { past.compare = data; }});
		}
	}
	for (const kind of KINDS) {
		const what = sheetQuery(kind, state);
		const only = state[/** @type {const} */ ({servers: 'server', channels: 'channel', users: 'user'})[kind]];
		if (what) all.push({key: kind, path: kind, every: often, what: {...sums, ...what}, take: (data) => { past.sums[kind] = sheetRows(kind, data, only); }});
	}
	if (!zoomed && AHEAD_S[state.range] && !state.user)
		all.push({key: 'ahead', path: 'forecast', every: 300, what: chosen, take: (data) => {
			past.ahead = ahead(data, now + AHEAD_S[state.range]);
			past.aheadWhy = data.available ? '' : data.why;
		}});
	return all;
}

/** What the API can sort connections by; the rest is sorted among those that came. @param {string} sort @returns {Record<string,string>} */
function sortOf(sort) {
	const key = /** @type {Record<string,string>} */ ({age: 'duration', messages: 'messages', bytes: 'bytes', latency: 'latency', opened: 'time'})[sort.replace(/^-/, '')];
	return key ? {sort: key, order: sort.startsWith('-') ? 'desc' : 'asc'} : {};
}
