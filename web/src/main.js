/**
 * The page: asks the agent again and again, keeps what it saw, and hands one view to all panels. A later
 * measure is a panel more in `arrange`.
 */
import {ask} from './api.js';
import {forgetColors} from './chart.js';
import {chips, controls} from './controls.js';
import {el, write} from './dom.js';
import {duration, moment, stamp, zoneName} from './format.js';
import {ahead, nearest, points, query, span, usual} from './history.js';
import {books} from './panels/books.js';
import {cards} from './panels/cards.js';
import {charts} from './panels/charts.js';
import {first} from './panels/first.js';
import {tables} from './panels/tables.js';
import {parse as parseExposition} from './prometheus.js';
import {Samples, seconds} from './samples.js';
import {COMPARES, decode, encode, FILTERS, filters, RANGES} from './state.js';
import {parse as parseSort} from './table.js';
import {reasons, Roster, sentence, verdict} from './verdict.js';

/** @typedef {import('./state.js').State} State */
/** @typedef {import('./history.js').Answer} Answer */
/** @typedef {import('./types.js').Point} Point */
/** @typedef {import('./types.js').View} View */

const API = 'api/websocket/';
const LATE_AGAIN_S = 60; /* until a path that was missing is asked for again */
const SLOW_S = 60; /* what changes slowly is asked for so often */
const DAY = 86400;
/** @type {Record<string,number>} how far the forecast is drawn */
const AHEAD_S = {'24h': 21600, '7d': 86400};
const SEEN_MAX = 4; /* selections whose samples are kept while another is shown */

/** @param {string} name @param {string} value */
function remember(name, value) {
	try {
		localStorage.setItem(`wsvitals.${name}`, value);
	} catch { /* a browser may forbid it */ }
}

/** @param {string} name */
function remembered(name) {
	try {
		return localStorage.getItem(`wsvitals.${name}`) ?? '';
	} catch {
		return '';
	}
}

const BACK = 'wsvitals.back';

/** The view that was left for the login, else what the address says. */
function backFromLogin() {
	const back = sessionStorage.getItem(BACK);
	sessionStorage.removeItem(BACK);
	if (back && !location.search) history.replaceState(null, '', `${location.pathname}${encode(decode(back))}`);
	return location.search;
}

/** @param {State} state */
const only = (state) => JSON.stringify(filters(state));

const wall = () => Date.now() / 1000;

class Page {
	constructor() {
		/** @type {State} */
		this.state = decode(backFromLogin());
		this.samples = new Samples();
		/** @type {Map<string,Samples>} of selections that were left */
		this.seen = new Map();
		this.roster = new Roster();
		/** @type {?import('./types.js').About} */
		this.about = null;
		/** @type {Point[]} */
		this.past = [];
		/** @type {?Point[]} */
		this.ghost = null;
		/** @type {Point[]} */
		this.day = [];
		/** @type {?import('./types.js').HeatColumn[]} */
		this.pastHeat = null;
		/** @type {import('./types.js').Mark[]} */
		this.events = [];
		/** @type {import('./types.js').Ahead[]} */
		this.ahead = [];
		/** @type {Record<string,Answer>} */
		this.lists = {history: {state: 'wait'}, heatmap: {state: 'wait'}, connections: {state: 'wait'}, events: {state: 'wait'}};
		/** @type {Map<string,number>} when a path was found missing */
		this.missing = new Map();
		/** @type {Map<string,number>} since when each reason holds */
		this.since = new Map();
		this.healthySince = 0;
		this.answered = 0; /* when the last numbers came */
		this.moved = 0; /* when the agent's clock last moved */
		this.trouble = '';
		this.ended = false;
		this.asking = false;
		this.again = false;
		this.slowAt = 0;
		/** @type {?number} */
		this.timer = null;
		this.epoch = 0; /* counts changes of what is asked for: answers to older questions are dropped */
		/** @type {unknown[]} what the panels were last drawn from */
		this.drawn = [];
		this.#build();
		this.#theme();
		addEventListener('popstate', () => this.#become(decode(location.search)));
		document.addEventListener('visibilitychange', () => this.#visible());
		matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#theme());
		addEventListener('online', () => this.refresh());
		setInterval(() => this.#show(), 1000);
		this.refresh();
	}

	/* --- what is there --- */

	#build() {
		const set = this.set.bind(this);
		/** @type {import('./types.js').App} */
		const app = {
			set, zoom: (from, to) => this.#zoom(from, to), unzoom: () => set({from: null, to: null}),
			sort: (table) => (this.state.tables[table]?.sort ? parseSort(this.state.tables[table].sort) : undefined),
			find: (table) => this.state.tables[table]?.find ?? '',
			setTable: (table, sort, find) => set({tables: {...this.state.tables, [table]: {sort, find}}}),
		};
		this.controls = controls({set, refresh: () => this.refresh()});
		document.getElementById('controls')?.append(...this.controls.nodes);
		this.chips = chips(set);
		this.banner = document.getElementById('banner') ?? document.body;
		this.level = el('div', {class: 'verdict', id: 'verdict', 'data-level': 'unknown'});
		this.sentence = el('p', {role: 'status'});
		this.words = el('span');
		this.sinceWhen = el('span', {class: 'since'});
		this.detail = el('small', {id: 'detail'});
		this.sentence.append(this.words, ' ', this.sinceWhen);
		this.level.append(el('span', {class: 'dot', 'aria-hidden': 'true'}), el('div', {}, this.sentence, this.detail));
		this.panels = this.#arrange(app);
		this.grid = el('div', {class: 'grid'}, ...this.panels.map((panel) => panel.node));
		this.grid.hidden = true;
		this.foot = el('footer', {});
		const main = document.getElementById('main');
		main?.replaceChildren(this.level, this.chips.node, this.grid, this.foot);
		write(this.words, 'Asking the agent');
	}

	/** The one place that says which panels there are, in which order. @param {import('./types.js').App} app */
	#arrange(app) {
		const t = tables(app);
		return [first(), ...cards(), ...charts(app), t.recent, t.servers, t.channels, t.measures, t.users, t.codes, t.open, books()];
	}

	#theme() {
		const theme = this.state.theme || remembered('theme');
		if (theme) document.documentElement.dataset.theme = theme;
		else delete document.documentElement.dataset.theme;
		if (this.state.theme) remember('theme', this.state.theme);
		forgetColors();
		for (const panel of this.panels ?? []) panel.retheme?.();
	}

	/* --- state --- */

	/** @param {Partial<State>} change */
	set(change) {
		const state = {...this.state, ...change};
		const address = `${location.pathname}${encode(state)}`;
		/* typing in a field is no step to come back to */
		if ('tables' in change) history.replaceState(null, '', address);
		else history.pushState(null, '', address);
		this.#become(state);
	}

	/** @param {State} state */
	#become(state) {
		const before = this.state;
		this.state = state;
		const other = (/** @type {(keyof State)[]} */ ...keys) => keys.some((key) => before[key] !== state[key]);
		if (other('theme')) this.#theme();
		if (other(...FILTERS)) {
			/* Other numbers from now on: what was drawn is not theirs, but may be wanted again. */
			this.samples.miss();
			this.seen.delete(only(before));
			this.seen.set(only(before), this.samples);
			while (this.seen.size > SEEN_MAX) this.seen.delete(/** @type {string} */ (this.seen.keys().next().value));
			this.samples = this.seen.get(only(state)) ?? new Samples();
			this.roster = new Roster();
			[this.past, this.ghost, this.day, this.pastHeat] = [[], null, [], null];
			this.since.clear();
			this.healthySince = 0;
		}
		if (other(...FILTERS, 'range', 'from', 'to', 'compare', 'window')) {
			this.epoch++;
			this.slowAt = 0;
			[this.past, this.ghost, this.pastHeat] = [[], null, null];
			this.refresh();
		}
		if (other('refresh', 'auto')) this.#schedule();
		if (other('auto') && state.auto) this.refresh();
		this.#show();
	}

	/** @param {number} from @param {number} to */
	#zoom(from, to) {
		const least = this.#live() && this.state.range === 'live' ? 2 * this.state.refresh : 30;
		if (to - from < least) [from, to] = [(from + to - least) / 2, (from + to + least) / 2];
		this.set({from, to});
	}

	/** The page's own samples are drawn, not the history. */
	#live() {
		return this.state.range === 'live' || this.lists.history.state === 'missing';
	}

	/* --- asking --- */

	#visible() {
		if (document.hidden) {
			this.#schedule();
			this.samples.miss();
		} else {
			this.refresh();
		}
	}

	#schedule() {
		if (this.timer !== null) clearTimeout(this.timer);
		this.timer = null;
		if (document.hidden || this.ended || !this.state.auto) return;
		this.timer = window.setTimeout(() => this.refresh(), this.state.refresh * 1000);
	}

	/** Now, and then as chosen. One question at a time. */
	async refresh() {
		if (this.asking) {
			this.again = true;
			return;
		}
		this.asking = true;
		if (this.timer !== null) clearTimeout(this.timer);
		try {
			do {
				this.again = false;
				await this.#ask();
			} while (this.again);
		} finally {
			this.asking = false;
		}
		this.#schedule();
		this.#show();
	}

	async #ask() {
		const {epoch, state} = this;
		/** @type {Record<string,string>} */
		const what = {...filters(state), ...(state.window === '5m' ? {} : {window: state.window})};
		/* the exposition knows servers only */
		const split = !state.channel && !state.user;
		const slow = wall() - this.slowAt >= SLOW_S;
		const [metrics, exposition, about] = await Promise.all([
			ask(`${API}metrics/`, what), split ? ask('metrics', {}, 'text') : null, slow || !this.about || this.trouble ? ask(`${API}about/`) : null,
		]);
		if (epoch !== this.epoch) return;
		if (about?.kind === 'ok') this.about = about.data;
		if (metrics.kind !== 'ok') return this.#troubled(metrics);
		const t = wall();
		const last = this.samples.last;
		const gapped = last && t - last.t > Math.max(3 * state.refresh, 5) && state.auto;
		if (gapped) this.samples.miss();
		if (!last || last.metrics.timestamp !== metrics.data.timestamp) this.moved = t;
		let servers = exposition?.kind === 'ok' ? parseExposition(exposition.data) : null;
		if (servers && state.server) servers = new Map([...servers].filter(([name]) => name === state.server));
		this.samples.add(t, metrics.data, servers);
		this.gone = this.roster.update(metrics.data);
		this.answered = t;
		this.trouble = '';
		this.ended = false;
		this.#show();
		await this.#askHistory(slow);
	}

	/** @param {import('./api.js').Result} answer */
	#troubled(answer) {
		this.samples.miss();
		if (answer.kind === 'login') {
			this.ended = true;
			this.trouble = 'ended';
		} else {
			this.trouble = answer.kind === 'lost' ? 'lost' : answer.kind === 'refused' ? `refused: ${answer.why}` : answer.kind === 'late' ? `late: ${answer.why}` : 'lost';
		}
		this.#show();
	}

	/** One path of the history; what is missing is not asked for again at once. @param {string} path @param {Record<string,string>} [what] @returns {Promise<Answer>} */
	async #list(path, what) {
		if (wall() - (this.missing.get(path) ?? 0) < LATE_AGAIN_S) return {state: 'missing'};
		const answer = await ask(`${API}${path}/`, what);
		if (answer.kind === 'ok') return {state: 'ok', data: answer.data};
		if (answer.kind === 'missing') {
			this.missing.set(path, wall());
			return {state: 'missing'};
		}
		return {state: 'failed', why: 'why' in answer ? answer.why : 'no answer'};
	}

	/** @param {boolean} slow */
	async #askHistory(slow) {
		const {epoch, state} = this;
		const now = wall();
		const at = span(state, now);
		const chosen = filters(state);
		const back = COMPARES[state.compare].seconds;
		const due = slow || (state.range !== 'live' && state.from === null && now - this.slowAt >= at.step);
		if (due) {
			this.slowAt = now;
			const live = {from: now - 3600 - 300, to: now, step: 10};
			const shown = state.range === 'live' && state.from === null ? live : at;
			const history = await this.#list('metrics/history', {...query(shown), ...chosen});
			if (epoch !== this.epoch) return;
			this.lists.history = history;
			if (history.state === 'ok') {
				this.past = points(history.data);
				await this.#askMore(epoch, shown, back, chosen);
			}
		}
		const connections = await this.#list('connections', {...chosen, limit: '100'});
		if (epoch !== this.epoch) return;
		this.lists.connections = connections;
	}

	/** @param {number} epoch @param {{from:number,to:number,step:number}} at @param {number} back @param {Record<string,string>} chosen */
	async #askMore(epoch, at, back, chosen) {
		const now = wall();
		const [ghost, day, heat, events, forecast] = await Promise.all([
			back ? this.#list('metrics/history', {...query(at, back), ...chosen}) : null,
			this.#list('metrics/history', {from: String(Math.round(now - DAY)), to: String(Math.round(now)), step: '300', ...chosen}),
			this.state.range === 'live' ? null : this.#list('heatmap', {...query(at), ...chosen}),
			this.#list('events', {from: String(Math.round(at.from)), to: String(Math.round(at.to))}),
			this.state.from === null && AHEAD_S[this.state.range] ? this.#list('forecast', chosen) : null,
		]);
		if (epoch !== this.epoch) return;
		this.ghost = ghost?.state === 'ok' ? points(ghost.data, back) : null;
		if (day.state === 'ok') this.day = points(day.data);
		if (heat) this.lists.heatmap = heat;
		this.pastHeat = heat?.state === 'ok' ? heatColumns(heat.data, at.step) : null;
		this.ahead = forecast?.state === 'ok' ? ahead(forecast.data).filter((hour) => hour.t < now + AHEAD_S[this.state.range]) : [];
		if (events.state === 'ok') this.events = (events.data.data ?? []).map((/** @type {any} */ e) => ({t: seconds(e.timestamp), text: String(e.text ?? e.message ?? e.type)}));
	}

	/* --- showing --- */

	/** @returns {?View} */
	#view() {
		const last = this.samples.last;
		if (!last) return null;
		const {state, samples} = this;
		const now = wall();
		const live = this.#live();
		const length = state.range === 'live' ? state.points * state.refresh : RANGES[state.range];
		/* the right edge stands still between two answers, so that nothing crawls */
		let [from, to] = [last.t - length, last.t];
		if (!live) ({from, to} = span(state, now));
		if (!live && this.ahead.length) to = this.ahead[this.ahead.length - 1].t;
		if (state.from !== null && state.to !== null) [from, to] = [state.from, state.to];
		const began = samples.points[0]?.t ?? now;
		const drawn = live ? [...this.past.filter((p) => p.t < began - 5 && p.t >= from), ...samples.points.filter((p) => p.t >= from - state.refresh && p.t <= to)] : this.past;
		const trend = this.past.length > 12 ? this.past.slice(-120) : samples.points.slice(-120);
		const hourBefore = nearest(this.day, now - 3600, 450) ?? nearest(samples.points, now - 3600, 300);
		return {
			state, metrics: last.metrics, about: this.about, now, points: drawn, ghost: this.ghost, from, to, live,
			heat: live ? samples.heat : this.pastHeat,
			heatWhy: state.channel || state.user ? (live ? 'Not split by channel or user while live.' : '') : live ? (samples.heat.length ? '' : 'Drawing begins with the second number.') : this.lists.heatmap.state === 'missing' ? 'This version keeps no history of it.' : '',
			marks: [...samples.marks, ...this.events], ahead: live ? [] : this.ahead, trend, before: hourBefore,
			servers: samples.rows('by_server'), channels: samples.rows('by_channel'), users: samples.rows('by_user'), lists: this.lists,
		};
	}

	#show() {
		performance.clearMeasures();
		const begun = performance.now();
		const view = this.#view();
		const now = wall();
		const age = this.answered ? now - this.answered : 0;
		const paused = !this.state.auto && !this.trouble;
		const stuck = this.answered && now - this.moved > Math.max(10, 2.5 * this.state.refresh) && !paused;
		const stale = Boolean(this.trouble) || Boolean(stuck) || (!paused && this.answered > 0 && age > Math.max(3 * this.state.refresh, 5) && !document.hidden);
		this.controls?.update(this.state, this.trouble === 'lost' || this.trouble === 'ended' ? 'lost' : this.state.auto ? 'on' : 'off');
		this.chips?.update(this.state);
		document.body.classList.toggle('stale', stale);
		this.#tell(stale, Boolean(stuck), now);
		if (view && this.grid) {
			this.#judge(view, stale, now);
			const from = [this.samples.last, this.state, this.past, this.lists.connections, this.about];
			const fresh = from.some((part, i) => part !== this.drawn[i]);
			if (this.grid.hidden) this.grid.hidden = false;
			if (fresh) for (const panel of this.panels ?? []) panel.update(view);
			this.drawn = from;
			/* uPlot draws in a microtask of its own, which was asked for before this one */
			if (fresh) queueMicrotask(() => performance.measure('update', {start: begun}));
		}
		if (!view && this.trouble) write(this.words ?? document.body, 'No numbers yet');
	}

	/** Lost, late or ended: in words, with the time of what is still on the page. @param {boolean} stale @param {boolean} stuck @param {number} now */
	#tell(stale, stuck, now) {
		const last = this.answered ? `The numbers below are of ${moment(this.answered, now)}, ${duration(now - this.answered)} ago.` : 'There are no numbers yet.';
		let text = '', kind = '';
		if (this.trouble === 'ended') text = 'Your session has ended: the token was revoked or 12 hours are over.';
		else if (this.trouble === 'lost') text = 'Connection to the agent lost; trying again.';
		else if (this.trouble.startsWith('refused')) text = `The agent does not accept this view (${this.trouble.slice(9)}).`;
		else if (this.trouble) [text, kind] = [`The agent is not answering (${this.trouble.slice(6)}); trying again.`, 'warning'];
		else if (stuck) text = 'The agent answers but has stopped counting.';
		else if (stale) [text, kind] = ['The numbers are stale.', 'warning'];
		if (!this.banner) return;
		if (!text) return this.banner.replaceChildren();
		let box = this.banner.firstElementChild;
		if (!box) this.banner.append(box = el('div', {}, el('span'), el('small'), el('a', {href: 'login', hidden: true, onclick: () => sessionStorage.setItem(BACK, location.search)}, 'Log in again')));
		box.className = `banner ${kind}`;
		write(box.children[0], text);
		write(box.children[1], last);
		/** @type {HTMLElement} */ (box.children[2]).hidden = !this.ended;
	}

	/** @param {View} view @param {boolean} stale @param {number} now */
	#judge(view, stale, now) {
		const filtered = FILTERS.some((key) => this.state[key]);
		const known = {metrics: view.metrics, about: this.about, gone: filtered ? [] : this.gone ?? [], usual: usual(this.day), peakOfMinute: this.samples.peakOfMinute(this.answered), filtered};
		const found = reasons(known);
		const {level, text} = verdict(known, found);
		for (const key of this.since.keys()) if (!found.some((reason) => reason.key === key)) this.since.delete(key);
		for (const reason of found) if (!this.since.has(reason.key)) this.since.set(reason.key, this.answered);
		if (found.length) this.healthySince = 0;
		else this.healthySince ||= this.answered;
		const since = found.length ? this.since.get(found[0].key) ?? now : this.healthySince;
		const shown = stale ? 'unknown' : level;
		if (this.level && this.level.dataset.level !== shown) this.level.dataset.level = shown;
		if (this.words) write(this.words, stale ? 'Not known' : text);
		if (this.sinceWhen) write(this.sinceWhen, stale ? `since ${moment(this.answered, now)}` : level === 'idle' ? '' : `since ${moment(level === 'good' ? Math.max(since, seconds(view.metrics.counting_since)) : since, now)}`);
		const began = seconds(view.metrics.counting_since);
		const parts = found.slice(1).map((reason) => `Also: ${reason.text}.`);
		if (found[0]?.key.startsWith('gone')) parts.unshift('Its process has ended, and nobody has connected to it since.');
		if (level === 'good') parts.push(filtered ? 'The books balance, and the open connections hold.' : 'The books balance, every server is there, and the open connections hold.');
		if (level === 'good' && !filtered && !known.usual) parts.push('What is usual for errors and latency is known once the history holds an hour.');
		if (level === 'idle') parts.push('Numbers appear here by themselves.');
		if (known.usual && (level === 'warning' || level === 'bad')) parts.push(found.length === 1 && !parts.length ? 'Nothing else is out of the ordinary.' : '');
		if (stale) parts.splice(0, parts.length, `Last known: ${sentence(text)}.`);
		if (this.detail) write(this.detail, parts.join(' '));
		write(document.getElementById('scope') ?? document.body, this.about?.scope ?? '');
		const title = stale ? '? wsvitals' : level === 'bad' ? '✕ wsvitals' : level === 'warning' ? '! wsvitals' : 'wsvitals';
		if (document.title !== title) document.title = title;
		if (this.foot) {
			const lines = [`Counting since ${stamp(began)}`, `Numbers of ${stamp(seconds(view.metrics.timestamp))}`, `Times are ${zoneName()}, 24 hours`, `wsvitals ${this.about?.version ?? ''}`];
			if (this.foot.childElementCount !== lines.length) this.foot.replaceChildren(...lines.map(() => el('span')));
			lines.forEach((line, i) => write(/** @type {Node} */ (this.foot?.children[i]), line));
		}
	}
}

/** @param {any} answer of /heatmap/ @param {number} step @returns {import('./types.js').HeatColumn[]} */
function heatColumns(answer, step) {
	const width = answer.interval_seconds ?? step;
	return (answer.data ?? []).map((/** @type {any} */ row) => {
		const t = seconds(row.timestamp);
		return {
			t, until: t + width,
			cells: (row.buckets ?? []).map((/** @type {any} */ b) => (Array.isArray(b) ? {low: b[0], high: b[1], count: b[2]} : {low: b.from ?? b.low, high: b.to ?? b.high, count: b.count})),
		};
	});
}

new Page();
