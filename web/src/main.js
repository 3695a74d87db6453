/**
 * The page: asks the agent again and again, keeps what it saw, and hands one view to all panels. A later
 * measure is a panel more in `arrange`.
 */
import {ask} from './api.js';
import {forgetColors} from './chart.js';
import {chips, controls} from './controls.js';
import {el, write} from './dom.js';
import {duration, moment, stamp, zoneName} from './format.js';
import {joined, joinedHeat, nearest, span, usual} from './history.js';
import {books} from './panels/books.js';
import {cards} from './panels/cards.js';
import {charts} from './panels/charts.js';
import {first} from './panels/first.js';
import {comparison} from './panels/compare.js';
import {tables} from './panels/tables.js';
import {Past} from './past.js';
import {parse as parseExposition} from './prometheus.js';
import {Samples, seconds} from './samples.js';
import {merge, sheetQuery} from './rows.js';
import {decode, encode, FILTERS, filters, RANGES} from './state.js';
import {parse as parseSort} from './table.js';
import {reasons, Roster, sentence, verdict} from './verdict.js';

/** @typedef {import('./state.js').State} State */
/** @typedef {import('./history.js').Answer} Answer */
/** @typedef {import('./types.js').Point} Point */
/** @typedef {import('./types.js').View} View */

const API = 'api/websocket/';
const SLOW_S = 5; /* thresholds, scope, and whether the engine still counts */
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
		this.past = new Past((path, what) => this.#list(path, what), () => {
			this.news++;
			this.#show();
		}, () => document.hidden || this.ended);
		this.news = 0; /* counts what history has brought */
		/** @type {?{day:Point[],usual:ReturnType<typeof usual>}} */
		this.usualOf = null;
		/** @type {?{from:unknown[],made:unknown}} */
		this.kept = null;
		/** @type {Map<string,number>} since when each reason holds */
		this.since = new Map();
		this.healthySince = 0;
		this.answered = 0; /* when the last numbers came */
		this.moved = 0; /* when the agent's clock last moved */
		this.trouble = '';
		this.ended = false;
		this.asking = false;
		this.again = false;
		this.aboutAt = 0;
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
		this.sight = t.sight;
		return [first(), ...cards(), comparison(), ...charts(app), t.recent, t.servers, t.channels, t.users, t.kinds, t.codes, t.measures, books(), t.open];
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
			this.since.clear();
			this.healthySince = 0;
		}
		if (other(...FILTERS, 'range', 'from', 'to', 'compare', 'window')) {
			this.epoch++;
			this.past.forget(other(...FILTERS));
			this.refresh();
		} else if (other('rows', 'tables')) {
			/* what is searched for and sorted by in lists that are longer than what is shown */
			this.past.again('errors', 'connections');
			this.#askPast();
		}
		if (other('refresh', 'auto')) this.#schedule();
		if (other('auto') && state.auto) this.refresh();
		this.#show();
	}

	/** @param {number} from @param {number} to */
	#zoom(from, to) {
		const least = this.#live() ? 2 * this.state.refresh : 30;
		if (to - from < least) [from, to] = [(from + to - least) / 2, (from + to + least) / 2];
		this.set({from, to});
	}

	/** The page's own samples are drawn, not the history. */
	#live() {
		return this.state.range === 'live';
	}

	/* --- asking --- */

	#visible() {
		if (document.hidden) {
			this.#schedule();
			this.samples.miss();
		} else {
			this.past.wake();
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
		const slow = wall() - this.aboutAt >= SLOW_S;
		const [metrics, exposition, about] = await Promise.all([
			ask(`${API}metrics/`, what), split ? ask('metrics', {}, 'text') : null, slow || !this.about || this.trouble ? ask(`${API}about/`) : null,
		]);
		if (epoch !== this.epoch) return;
		if (about?.kind === 'ok') [this.about, this.aboutAt] = [about.data, wall()];
		if (metrics.kind !== 'ok') return this.#troubled(metrics);
		const t = wall();
		const last = this.samples.last;
		const gapped = last && t - last.t > Math.max(3 * state.refresh, 5) && state.auto;
		if (gapped) this.samples.miss();
		if (!last || last.metrics.timestamp !== metrics.data.timestamp) this.moved = t;
		let servers = exposition?.kind === 'ok' ? parseExposition(exposition.data) : null;
		if (servers && state.server) servers = new Map([...servers].filter(([name]) => name === state.server));
		this.samples.add(t, metrics.data, servers);
		this.answered = t;
		this.trouble = '';
		this.ended = false;
		this.#show();
		this.#askPast();
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

	/** Does not hold up the next numbers. */
	#askPast() {
		void this.past.refresh(() => this.state, (kind) => this.sight?.[kind]() ?? []);
	}

	/** One path of the history. @param {string} path @param {Record<string,string>} what @returns {Promise<Answer>} */
	async #list(path, what) {
		const answer = await ask(`${API}${path}/`, what);
		if (answer.kind === 'ok') return {state: 'ok', data: answer.data};
		return {state: 'failed', why: 'why' in answer ? answer.why : answer.kind === 'missing' ? 'this version keeps no history of it' : 'no answer'};
	}

	/* --- showing --- */

	/** @returns {?View} */
	#view() {
		const last = this.samples.last;
		if (!last) return null;
		const {state, samples, past} = this;
		const now = wall();
		const live = this.#live();
		const length = state.range === 'live' ? state.points * state.refresh : RANGES[state.range];
		/* the right edge stands still between two answers, so that nothing crawls */
		let [from, to] = [last.t - length, last.t];
		if (!live) ({from, to} = span(state, now));
		if (!live && past.ahead.length) to = past.ahead[past.ahead.length - 1].t;
		if (state.from !== null && state.to !== null) [from, to] = [state.from, state.to];
		const zoomed = state.from !== null;
		const split = !state.channel && !state.user;
		const own = live && !zoomed;
		const made = this.#memo([last, past.shown, past.hour, past.marks, past.heat, live, from, to], () => ({
			heat: own && split ? joinedHeat(samples.heat, past.heat) : past.heat,
			points: live ? joined(samples.points, past.shown.length ? past.shown : past.hour, from).filter((p) => p.t >= from - state.refresh && p.t <= to) : past.shown,
			marks: [...past.marks, ...samples.marks.filter((mark) => !past.marks.some((other) => Math.abs(other.t - mark.t) < 15))],
			trend: joined(samples.points.slice(-60), past.hour, now - 1800),
		}));
		const rows = (/** @type {import('./rows.js').Kind} */ kind) => merge(samples.rows(/** @type {const} */ ({servers: 'by_server', channels: 'by_channel', users: 'by_user'})[kind]), past.sums[kind], own || !sheetQuery(kind, state), past.lines[kind]);
		return {
			state, metrics: last.metrics, about: this.about, now, ...made, ghost: past.ghost, from, to, live,
			heatWhy: state.user ? 'Latencies are not kept by user.' : own && split && !made.heat?.length ? 'Drawing begins with the second number.' : past.failed.get('heat') ?? '',
			ahead: live ? [] : past.ahead, aheadWhy: past.aheadWhy, before: this.#hourBefore(now), why: past.failed.get('shown') ?? '',
			servers: rows('servers'), channels: rows('channels'), users: rows('users'), past,
		};
	}

	/** Rates are compared with the same minute, percentiles and errors with the same five. @param {number} now @returns {?Point} */
	#hourBefore(now) {
		const five = nearest(this.past.day, now - 3600, 450);
		const minute = this.past.hour.filter((p) => p.active !== null && Math.abs(p.t - now + 3600) <= 30);
		const base = five ?? minute[0] ?? nearest(this.samples.points, now - 3600, 60);
		if (!base || !minute.length) return base;
		const mean = (/** @type {'active'|'received'|'sent'} */ key) => minute.reduce((all, p) => all + (p[key] ?? 0), 0) / minute.length;
		return {...base, active: Math.round(mean('active')), received: mean('received'), sent: mean('sent')};
	}

	/** @template T @param {unknown[]} from @param {()=>T} make @returns {T} the same as before while nothing is new */
	#memo(from, make) {
		if (!this.kept || from.some((part, i) => part !== this.kept?.from[i])) this.kept = {from, made: make()};
		return /** @type {T} */ (this.kept.made);
	}

	#show() {
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
			const from = [this.samples.last, this.state, this.news, this.about];
			const fresh = from.some((part, i) => part !== this.drawn[i]);
			if (this.grid.hidden) this.grid.hidden = false;
			if (fresh) for (const panel of this.panels ?? []) panel.update(view);
			this.drawn = from;
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

	/** @param {Point[]} day */
	#usual(day) {
		if (this.usualOf?.day !== day) this.usualOf = {day, usual: usual(day)};
		return this.usualOf.usual;
	}

	/** @param {View} view @param {boolean} stale @param {number} now */
	#judge(view, stale, now) {
		const filtered = FILTERS.some((key) => this.state[key]);
		const {past, samples} = this;
		const gone = this.roster.update(view.metrics, past.marks, this.answered);
		const known = {metrics: view.metrics, about: this.about, gone: filtered ? [] : gone, usual: this.#usual(past.day), day: past.day, recent: joined(samples.points, past.hour, this.answered - 400), now: this.answered, filtered};
		const found = reasons(known);
		const {level, text} = verdict(known, found);
		for (const key of this.since.keys()) if (!found.some((reason) => reason.key === key)) this.since.delete(key);
		for (const reason of found) this.since.set(reason.key, Math.min(reason.since ?? Infinity, this.since.get(reason.key) ?? this.answered));
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
		if ((level === 'good' || level === 'warning') && !known.usual) parts.push('What is usual for errors and latency is known once the history holds an hour.');
		if (level === 'idle') parts.push('Numbers appear here by themselves.');
		if (known.usual && level === 'warning' && found.length === 1) parts.push('Nothing else is out of the ordinary.');
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

new Page();
