/** The charts over time. */
import {Chart, color} from '../chart.js';
import {el} from '../dom.js';
import {count, duration, ms, rate, words} from '../format.js';
import {sentence} from '../verdict.js';
import {errorsOf, span} from '../history.js';
import {LENGTHS} from '../state.js';

/** @typedef {import('../types.js').View} View */
/** @typedef {import('../types.js').Point} Point */
/** @typedef {import('../types.js').HeatColumn} HeatColumn */
/** @typedef {import('../types.js').App} App */
/** @typedef {import('../types.js').Panel} Panel */
/** @typedef {import('../chart.js').Line} Line */

const EMPTY = 'Nothing in this time.';
/** @type {Line} */
const GHOST = {label: 'before', optional: true, color: '--ghost', dash: [4, 4], width: 1};

/** The value of the earlier period at each time: the nearest point's. @param {number[]} t @param {?Point[]} ghost @param {(p:Point)=>?number} of */
function laid(t, ghost, of) {
	if (!ghost?.length) return t.map(() => null);
	const reach = ghost.length > 1 ? (ghost[ghost.length - 1].t - ghost[0].t) / (ghost.length - 1) * 1.5 : 60;
	let at = 0;
	return t.map((x) => {
		while (at + 1 < ghost.length && Math.abs(ghost[at + 1].t - x) <= Math.abs(ghost[at].t - x)) at++;
		return Math.abs(ghost[at].t - x) <= reach ? of(ghost[at]) : null;
	});
}

/** The forecast: what is expected, and the interval of four values in five as a band. @returns {Line[]} */
function expected() {
	const line = {color: '--ghost', width: 1};
	return [{...line, label: 'expected', optional: true}, {...line, label: 'expected at least', width: 0, silent: true}, {...line, label: 'expected at most', width: 0, silent: true}];
}

/** @param {number} first index of the line `expected` @returns {import('uplot').Band[]} */
function band(first) {
	return [{series: [first + 2, first + 1], fill: () => color('--accent-soft')}];
}

/** @type {WeakMap<Point[],number[]>} */
const made = new WeakMap();

/** All charts draw the same points. @param {Point[]} list */
function times(list) {
	let t = made.get(list);
	if (!t) made.set(list, t = list.map((p) => p.t));
	return t;
}

/**
 * @param {View} view @param {((p:Point)=>?number)[]} columns @param {(p:Point)=>?number} [ghost]
 * @param {(a:import('../types.js').Ahead)=>import('../types.js').Expected} [ahead]
 * @returns {import('../chart.js').Content}
 */
function content(view, columns, ghost, ahead) {
	const hours = ahead ? view.ahead.filter((hour) => !view.points.length || hour.t > view.points[view.points.length - 1].t) : [];
	const t = times(view.points);
	const none = t.map(() => null);
	const drawn = [...columns.map((of) => view.points.map(of)), ...(ghost ? [view.ghost?.length ? laid(t, view.ghost, ghost) : none] : [])];
	if (ahead && !hours.length) drawn.push(none, none, none);
	if (hours.length) {
		drawn.forEach((column, i) => { drawn[i] = [...column, ...hours.map(() => null)]; });
		for (const key of /** @type {const} */ (['value', 'low', 'high'])) drawn.push([...none, ...hours.map((hour) => (ahead ? ahead(hour)[key] : null))]);
	}
	return {
		t: hours.length ? [...t, ...hours.map((hour) => hour.t)] : t, columns: drawn, of: [view.points, view.ghost, view.ahead, view.marks, view.from, view.to, view.why],
		from: view.from, to: view.to, marks: view.marks, empty: view.live && t.length < 2 ? 'Drawing begins with the second number.' : view.why ? sentence(`${view.why}.`) : EMPTY,
	};
}

/** Buttons of which one is pressed. @param {string} label @param {[string,string][]} choices @param {(value:string)=>void} choose */
export function segments(label, choices, choose) {
	const buttons = choices.map(([value, text]) => el('button', {type: 'button', 'data-value': value, onclick: () => choose(value)}, text));
	const node = el('div', {class: 'segments small', role: 'group', 'aria-label': label}, ...buttons);
	return {
		node,
		/** @param {string} value */
		set(value) {
			for (const button of buttons) button.setAttribute('aria-pressed', String(button.dataset.value === value));
		},
	};
}

/** Open connections are whole, those opened in a second are not. @param {?number} n */
function some(n) {
	return n !== null && n < 100 && !Number.isInteger(n) ? rate(n) : count(n);
}

/** @param {App} app @returns {Panel} */
function connections(app) {
	const draw = segments('Draw connections as', [['line', 'Line'], ['bars', 'Bars']], (value) => app.set({draw: value === 'bars' ? 'bars' : 'line'}));
	const length = segments('Points shown', LENGTHS.map((n) => [String(n), String(n)]), (value) => app.set({points: Number(value), from: null, to: null}));
	/** @param {string} how @returns {Line[]} */
	const lines = (how) => [
		how === 'bars' ? {label: 'open', color: '--a', bars: true} : {label: 'open', color: '--a', fill: '--accent-soft', width: 2},
		{label: 'opened/s', color: '--b', width: 1}, {label: 'closed/s', color: '--c', width: 1}, GHOST, ...expected(),
	];
	let drawn = 'line';
	const chart = new Chart({id: 'connections', title: 'Connections', lines: lines('line'), format: some, whole: true, bands: band(5), app, tools: [length.node, draw.node]});
	return {
		node: chart.node, retheme: () => chart.retheme(),
		update(view) {
			draw.set(view.state.draw);
			length.set(String(view.state.points));
			length.node.hidden = !view.live;
			if (drawn !== view.state.draw) chart.setLines(lines(drawn = view.state.draw));
			chart.update({
				...content(view, [(p) => p.active, (p) => p.opened, (p) => p.closed], (p) => p.active, (a) => a.active),
				note: view.live || !view.aheadWhy ? '' : `no forecast: ${view.aheadWhy}`,
			});
		},
	};
}

/** @param {App} app @returns {Panel} */
function messageRate(app) {
	const chart = new Chart({
		id: 'rate', title: 'Message rate', note: 'per second', format: rate, app,
		lines: [{label: 'received', color: '--a'}, {label: 'sent', color: '--b'}, {label: 'both', color: '--text', width: 1}, {...GHOST, label: 'both before'}, ...expected()], bands: band(5),
	});
	const both = (/** @type {Point} */ p) => (p.received === null || p.sent === null ? null : p.received + p.sent);
	return {node: chart.node, retheme: () => chart.retheme(), update: (view) => chart.update(content(view, [(p) => p.received, (p) => p.sent, both], both, (a) => a.rate))};
}

/** Of how much time each percentile is. @param {View} view */
function over(view) {
	if (!view.live) return `of ${duration(span(view.state, view.now).step)} each`;
	return `of the last ${view.state.window.replace('m', ' min').replace('h', ' h')}; before this page was open, of 10 s`;
}

/** @param {App} app @returns {Panel} */
function latency(app) {
	const chart = new Chart({
		id: 'latency', title: 'Reply latency', note: 'percentiles', format: ms, app,
		lines: [{label: 'p50', color: '--p50'}, {label: 'p95', color: '--p95', width: 2}, {label: 'p99', color: '--p99'}, {...GHOST, label: 'p95 before'}],
	});
	return {
		node: chart.node, retheme: () => chart.retheme(),
		update: (view) => chart.update({
			...content(view, [(p) => p.p50, (p) => p.p95, (p) => p.p99], (p) => p.p95),
			empty: view.why ? sentence(`${view.why}.`) : 'No reply was timed in this time.', note: over(view),
		}),
	};
}

/** 1, 10, 100 between two bounds. @param {number} low @param {number} high */
function decades(low, high) {
	const found = [];
	for (let e = Math.ceil(Math.log10(low) - 1e-9); 10 ** e <= high * 1.000001; e++) found.push(10 ** e);
	return found;
}

const CELL_PX = 3; /* no column is narrower */
const SHADES = 16;

/** Columns side by side as one, so that there are at most so many. @param {HeatColumn[]} columns @param {number} most @returns {HeatColumn[]} */
export function widen(columns, most) {
	const size = Math.ceil(columns.length / Math.max(most, 1));
	if (size < 2) return columns;
	/** @type {HeatColumn[]} */
	const found = [];
	for (let at = 0; at < columns.length; at += size) {
		const group = columns.slice(at, at + size);
		/* where a column is missing nothing was counted: the gap stays */
		for (let k = 1; k < group.length; k++) if (group[k].t - group[k - 1].until > 1) at -= group.splice(k).length;
		/** @type {Map<number,{low:number,high:number,count:number}>} */
		const cells = new Map();
		for (const column of group)
			for (const {low, high, count: n} of column.cells) {
				const cell = cells.get(low);
				if (cell) cell.count += n;
				else cells.set(low, {low, high, count: n});
			}
		found.push({t: group[0].t, until: group[group.length - 1].until, cells: [...cells.values()]});
	}
	return found;
}

/** Time by latency, the darker the more replies. @param {App} app @returns {Panel} */
function heatmap(app) {
	/** @type {HeatColumn[]} as they came, and as they are drawn */
	let columns = [], wide = /** @type {HeatColumn[]} */ ([]), drawn = /** @type {HeatColumn[]} */ ([]);
	let most = 1, low = Infinity, high = 0;
	/** @type {unknown[]} */
	let from = [];
	const at = (/** @type {import('uplot')} */ u, /** @type {number} */ index) => {
		const column = drawn[index];
		if (!column) return '–';
		const y = u.cursor.top !== undefined && u.cursor.top >= 0 ? u.posToVal(u.cursor.top, 'y') : null;
		const cell = y === null ? undefined : column.cells.find((c) => y >= c.low && y < c.high);
		if (cell) return `${count(cell.count)} of ${ms(cell.low)} to ${ms(cell.high)}`;
		return count(column.cells.reduce((all, c) => all + c.count, 0));
	};
	const chart = new Chart({
		id: 'heatmap', title: 'Latency heatmap', note: 'replies by time and latency', format: count, axis: ms, app,
		lines: [{label: 'replies', color: '--a', width: 0}],
		scale: {distr: 3, log: 10, range: () => bounds()},
		splits: decades, under: (u) => paint(u), read: at,
		table: () => [['time', 'from ms', 'to ms', 'replies'], ...columns.flatMap((c) => c.cells.map((cell) => [new Date(c.t * 1000).toISOString(), cell.low, cell.high, cell.count]))],
	});
	/** @returns {[number,number]} */
	function bounds() {
		return high ? [10 ** Math.floor(Math.log10(low)), 10 ** Math.ceil(Math.log10(high))] : [0.1, 1000];
	}
	/** Cells of one shade are one path: setting a colour costs more than a rectangle. @param {import('uplot')} u */
	function paint(u) {
		const {ctx, bbox} = u;
		const rgb = color('--heat');
		const shades = Array.from({length: SHADES}, () => new Path2D());
		/** @type {Map<number,number>} bounds of buckets in pixels */
		const places = new Map();
		const place = (/** @type {number} */ value) => {
			let y = places.get(value);
			if (y === undefined) places.set(value, y = Math.floor(u.valToPos(value, 'y', true)));
			return y;
		};
		const scale = bbox.width / (chart.content.to - chart.content.from);
		for (const column of drawn) {
			const left = Math.floor(bbox.left + (column.t - chart.content.from) * scale), right = Math.floor(bbox.left + (column.until - chart.content.from) * scale);
			const width = Math.max(1, right - left - (right - left > 4 ? 1 : 0));
			for (const cell of column.cells) {
				const top = place(cell.high);
				shades[Math.min(SHADES - 1, Math.floor(Math.sqrt(cell.count / (column.until - column.t) / most) * SHADES))].rect(left, top, width, Math.max(1, place(cell.low) - top));
			}
		}
		ctx.save();
		ctx.beginPath();
		ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
		ctx.clip();
		shades.forEach((path, i) => {
			ctx.fillStyle = `rgb(${rgb} / ${(0.12 + 0.88 * (i + 0.5) / SHADES).toFixed(2)})`;
			ctx.fill(path);
		});
		ctx.restore();
	}
	return {
		node: chart.node, retheme: () => chart.retheme(),
		update(view) {
			const room = Math.max(50, Math.floor((chart.plot?.bbox.width ?? 600) / devicePixelRatio / CELL_PX));
			const of = [view.heat, view.from, view.to, view.marks, view.heatWhy, room];
			if (of.every((part, i) => part === from[i])) return;
			const seen = (/** @type {HeatColumn} */ c) => c.until >= view.from && c.t <= view.to;
			if (view.heat !== from[0] || room !== from[5]) wide = widen(view.heat ?? [], room);
			from = of;
			columns = (view.heat ?? []).filter(seen);
			drawn = wide.filter(seen);
			[most, low, high] = [0, Infinity, 0];
			/* columns may be of different length */
			for (const column of drawn) for (const cell of column.cells) [most, low, high] = [Math.max(most, cell.count / (column.until - column.t)), Math.min(low, cell.low), Math.max(high, cell.high)];
			chart.update({
				t: drawn.map((c) => (c.t + c.until) / 2), columns: [drawn.map(() => (high ? 1 : null))],
				from: view.from, to: view.to, marks: view.marks, empty: view.heatWhy || 'No reply was timed in this time.',
			});
		},
	};
}

/* A type has the same colour on every day. */
const ERROR_COLORS = /** @type {Record<string,string>} */ ({
	abnormal_closure: '--e1', authentication_error: '--e5', rate_limit_error: '--e7', handshake_error: '--e6', protocol_error: '--e3',
	internal_error: '--e2', application_error: '--e4', policy_violation: '--p99', message_too_big: '--b', service_restart: '--ghost', websocket_error: '--p50',
});

/** @param {App} app @returns {Panel} */
function errors(app) {
	/** @type {string[]} */
	let types = [];
	const line = (/** @type {string} */ type) => ({label: words(type), color: ERROR_COLORS[type] ?? '--p50', bars: true});
	const chart = new Chart({id: 'errors', title: 'Errors', note: 'per minute, by type', format: rate, app, lines: [], stacked: true});
	return {
		node: chart.node, retheme: () => chart.retheme(),
		update(view) {
			/** @type {Map<string,number>} */
			const seen = new Map(types.map((type) => [type, 0]));
			for (const point of view.points) for (const type in point.errors) seen.set(type, (seen.get(type) ?? 0) + 1);
			const now = [...seen.keys()];
			/* the last one drawn lies on top: the smallest stack comes last */
			if (now.length !== types.length) chart.setLines((types = now).map(line).reverse());
			chart.update({
				...content(view, types.map((type) => (/** @type {Point} */ p) => (p.errors === null ? null : p.errors[type] ?? 0)).reverse()),
				...(types.length && view.points.some((p) => errorsOf(p)) ? {} : {empty: 'No errors in this time.'}),
			});
		},
	};
}

/** @param {App} app @returns {Panel[]} */
export function charts(app) {
	return [connections(app), messageRate(app), latency(app), heatmap(app), errors(app)];
}
