/**
 * One chart over time: uPlot for the drawing; here what it does not do. In: columns of numbers, null
 * where nothing is known (drawn as a gap). Shared cursor, brushing, reading by keyboard, a table for
 * those who do not see, export.
 *
 * @typedef {{label:string,color:string,fill?:string,dash?:number[],width?:number,bars?:boolean,optional?:boolean,silent?:boolean}} Line
 *   color, fill: custom properties of the style sheet; optional: named only while there is something of it; silent: never
 * @typedef {{t:number[],columns:(?number)[][],from:number,to:number,marks:import('./types.js').Mark[],empty:string,note?:string,of?:unknown[]}} Content
 *   of: what it was made from; the same again is not drawn again
 * @typedef {{
 *   id:string, title:string, note?:string, lines:Line[], format:(n:?number)=>string, axis?:(n:number)=>string,
 *   app:import('./types.js').App, tools?:HTMLElement[], stacked?:boolean,
 *   whole?:boolean, bands?:uPlot.Band[], scale?:Partial<uPlot.Scale>, splits?:(low:number,high:number)=>number[], under?:(u:uPlot)=>void, read?:(u:uPlot,at:number)=>string,
 *   table?:()=>(string|number|null)[][],
 * }} Options
 */
import uPlot from 'uplot';
import {download, el, write} from './dom.js';
import {nearestIndex, thinBars, thinLines} from './thin.js';
import {clock, csv, day, hour, moment, NONE, stamp} from './format.js';

const AXIS = 54; /* pixels; fixed, so that nothing moves when numbers grow */
const ROWS_MAX = 500; /* of the table */
const LINE_PX = 1.5;
const BAR_PX = 3; /* no bar is narrower */
const WHOLE = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 1e7];
const FONT = '11px Inter, system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';

/** @type {Map<string,string>} */
const colors = new Map();

/** @param {string} name */
export function color(name) {
	let value = colors.get(name);
	if (value === undefined) colors.set(name, value = getComputedStyle(document.documentElement).getPropertyValue(name).trim());
	return value;
}

export function forgetColors() {
	colors.clear();
}

/** @param {number[]} splits @param {number} step */
function timeLabels(splits, step) {
	return splits.map((t) => {
		if (step >= 86400 || (step >= 3600 && new Date(t * 1000).getHours() === 0)) return day(t);
		return step < 60 ? clock(t) : hour(t);
	});
}

export class Chart {
	/** @param {Options} options */
	constructor(options) {
		this.options = options;
		this.lines = options.lines;
		/** @type {?uPlot} */
		this.plot = null;
		this.wide = 600; /* of the holder: to ask for it would make the browser lay out the page for each chart */
		/** @type {?number} the point that keys have just led to: it may share its pixel with others */
		this.keyed = null;
		/** @type {Content} */
		this.content = {t: [], columns: [], from: 0, to: 1, marks: [], empty: ''};
		this.holder = el('div', {
			class: 'chart', tabindex: 0, role: 'group', 'aria-roledescription': 'chart', 'aria-label': `${options.title}, chart. Left and right arrow read values, plus and minus zoom, Escape shows all. A table follows.`,
			onkeydown: (/** @type {KeyboardEvent} */ event) => this.#key(event),
		});
		this.nothing = el('div', {class: 'nothing'});
		this.holder.append(this.nothing);
		this.readout = el('div', {class: 'readout', 'aria-live': 'off'});
		this.spoken = el('div', {class: 'hidden', role: 'status'});
		this.table = el('div', {class: 'scroll', tabindex: 0, role: 'region', 'aria-label': `${options.title}, table`});
		this.details = el('details', {class: 'fallback', ontoggle: () => this.#fillTable()}, el('summary', {}, 'Table'), this.table);
		const title = el('h2', {id: `${options.id}-title`}, options.title);
		this.note = el('span', {class: 'note'}, options.note ?? '');
		this.node = el('section', {class: 'panel wide', id: options.id, 'aria-labelledby': title.id},
			el('div', {class: 'head'}, title, this.note,
				options.tools ? el('div', {class: 'tools'}, ...options.tools) : null),
			this.readout, this.holder, this.spoken,
			el('div', {class: 'foot'}, this.details,
				el('button', {class: 'link', type: 'button', 'aria-label': `${options.title} as CSV`, onclick: () => this.#save('csv')}, 'CSV'),
				el('button', {class: 'link', type: 'button', 'aria-label': `${options.title} as JSON`, onclick: () => this.#save('json')}, 'JSON')));
		this.#makeReadout();
		new ResizeObserver(() => this.#fit()).observe(this.holder);
	}

	#makeReadout() {
		const values = this.lines.map(() => el('b', {}, NONE));
		this.time = el('span');
		/** @type {HTMLElement[]} */
		this.values = values;
		this.parts = this.lines.map((line, i) => {
			const swatch = el('i');
			swatch.style.background = `var(${line.color})`;
			return el('span', {}, swatch, `${line.label} `, values[i]);
		});
		this.readout.replaceChildren(this.time, ...this.parts.filter((_part, i) => !this.lines[i].silent));
	}

	/** Other lines from now on. @param {Line[]} lines */
	setLines(lines) {
		this.lines = lines;
		this.#makeReadout();
		this.plot?.destroy();
		this.plot = null;
	}

	/** @param {Content} content */
	update(content) {
		const {of} = content, was = this.content.of;
		if (this.plot && of && was && of.length === was.length && of.every((part, i) => part === was[i])) return;
		this.content = content;
		write(this.note, [this.options.note, content.note].filter(Boolean).join(' · '));
		const any = content.columns.some((column) => column.some((value) => value !== null && value !== undefined));
		write(this.nothing, any ? '' : content.empty);
		if (!this.plot) this.#make();
		else this.plot.setData(this.#data());
		this.#read(this.#under());
		if (this.details.open) this.#fillTable();
	}

	#data() {
		const {t, columns, from, to} = this.content;
		const wide = this.wide - AXIS;
		/* the points may reach over the edges */
		const room = wide * (t.length > 1 ? Math.max(1, (t[t.length - 1] - t[0]) / (to - from)) : 1);
		const bars = this.lines.some((line) => line.bars);
		const drawn = bars ? thinBars(t, columns, room / BAR_PX) : thinLines(t, columns, room);
		this.#weigh(drawn.t.length > room / 2);
		/* The first line is drawn first and lies lowest: it is the whole stack. */
		return /** @type {uPlot.AlignedData} */ ([drawn.t, ...(this.options.stacked ? stack(drawn.columns.toReversed()).reverse() : drawn.columns)]);
	}

	/** Where lines go up and down with every pixel, thin ones show more, and are drawn in a third of the time. @param {boolean} dense */
	#weigh(dense) {
		this.lines.forEach((line, i) => {
			const series = this.plot?.series[i + 1];
			if (series && !line.bars) series.width = dense ? Math.min(1, line.width ?? 1) : line.width ?? LINE_PX;
		});
	}

	/** The point that the cursor is at; null: at none. @returns {?number} */
	#under() {
		const left = this.plot?.cursor.left ?? -1;
		if (!this.plot || left < 0 || !this.content.t.length) return null;
		return this.keyed ?? nearestIndex(this.content.t, this.plot.posToVal(left, 'x'));
	}

	#make() {
		const {options} = this;
		const {width, height} = this.holder.getBoundingClientRect();
		if (width < 50) return;
		this.wide = width;
		this.plot = new uPlot({
			width, height, padding: [10, 26, 0, 0], legend: {show: false}, pxAlign: 1,
			cursor: {
				sync: {key: 'wsvitals', setSeries: false}, drag: {x: true, y: false, setScale: false}, points: {size: 7},
				bind: {dblclick: () => () => (options.app.unzoom(), null)},
			},
			scales: {
				x: {time: true, range: () => [this.content.from, this.content.to]},
				y: {range: (_u, _low, high) => [0, high > 0 ? high * 1.08 : 1], ...options.scale},
			},
			axes: [
				{stroke: () => color('--faint'), font: FONT, grid: {show: false}, ticks: {show: false}, size: 26, gap: 4, space: 80, values: (_u, splits, _axis, _space, step) => timeLabels(splits, step)},
				{stroke: () => color('--faint'), font: FONT, grid: {stroke: () => color('--line'), width: 1}, ticks: {show: false}, size: AXIS, gap: 8, space: 38, values: (_u, splits) => splits.map((n) => (n === null ? '' : plain((options.axis ?? options.format)(n)))),
					...(options.whole ? {incrs: WHOLE} : {}), ...(options.splits ? {splits: (u) => options.splits?.(u.scales.y.min ?? 0, u.scales.y.max ?? 1) ?? []} : {})},
			],
			bands: options.bands ?? [],
			series: [{}, ...this.lines.map((line) => this.#series(line))],
			hooks: {
				drawAxes: options.under ? [options.under] : [],
				draw: [(u) => this.#drawMarks(u)],
				setCursor: [() => this.#read(this.#under())],
				setSelect: [(u) => this.#brush(u)],
			},
		}, this.#data(), this.holder);
	}

	/** @param {Line} line @returns {uPlot.Series} */
	#series(line) {
		const bars = line.bars ? uPlot.paths.bars?.({size: [0.72, 26], gap: 0}) : undefined;
		return {
			label: line.label, width: line.bars ? 0 : line.width ?? LINE_PX, dash: line.dash, spanGaps: false,
			stroke: () => color(line.color), ...(line.fill || line.bars ? {fill: () => color(line.fill ?? line.color)} : {}),
			...(bars ? {paths: bars, points: {show: false}} : {points: {size: 4, width: 0, fill: () => color(line.color), show: false, filter: lonely}}),
		};
	}

	#fit() {
		const {width, height} = this.holder.getBoundingClientRect();
		this.wide = width;
		if (!this.plot) this.#make();
		else if (Math.abs(this.plot.width - width) >= 1 || Math.abs(this.plot.height - height) >= 1) this.plot.setSize({width, height});
	}

	retheme() {
		this.plot?.redraw(false);
	}

	/* --- reading --- */

	/** @param {?number} at an index; null: the last that is known */
	#read(at) {
		const {t, columns} = this.content;
		/* the cursor may still stand where the points before these ended */
		let index = Math.min(at ?? t.length - 1, t.length - 1);
		if (at === null) while (index > 0 && columns.slice(0, 1).every((column) => column[index] === null)) index--;
		if (!this.time) return;
		write(this.time, t.length ? moment(t[index], this.content.to) : NONE);
		this.lines.forEach((line, i) => {
			const column = columns[i];
			if (line.optional && this.parts) this.parts[i].hidden = !column?.some((value) => value !== null);
			if (this.values) write(this.values[i], this.options.read && this.plot ? this.options.read(this.plot, index) : this.options.format(column?.[index] ?? null));
		});
		const near = at === null ? [] : this.#marksAt(index);
		if (near.length) write(this.time, `${moment(t[index], this.content.to)} · ${near.map((mark) => mark.text).join(', ')}`);
	}

	/** What happened nearest to this point, and near enough to be meant. @param {number} index */
	#marksAt(index) {
		const {t, marks, from, to} = this.content;
		const reach = Math.max((to - from) / 150, ((t[index + 1] ?? t[index]) - (t[index - 1] ?? t[index])) / 4);
		return marks.filter((mark) => Math.abs(mark.t - t[index]) <= reach);
	}

	/** @param {KeyboardEvent} event */
	#key(event) {
		const {plot, content} = this;
		if (!plot || event.target !== this.holder || event.ctrlKey || event.metaKey || event.altKey) return;
		const first = content.t.findIndex((t) => t >= content.from);
		const last = content.t.findLastIndex((t) => t <= content.to);
		let at = this.#under() ?? last + 1;
		const span = content.to - content.from;
		const middle = content.t[Math.min(Math.max(at, 0), last)] ?? content.to;
		if (event.key === 'ArrowLeft') at--;
		else if (event.key === 'ArrowRight') at++;
		else if (event.key === 'Home') at = first;
		else if (event.key === 'End') at = last;
		else if (event.key === '+' || event.key === '=') this.options.app.zoom(middle - span / 4, middle + span / 4);
		else if (event.key === '-') this.options.app.zoom(middle - span, Math.min(middle + span, Date.now() / 1000));
		else if (event.key === 'Escape') this.options.app.unzoom();
		else return;
		event.preventDefault();
		if (!event.key.startsWith('Arrow') && event.key !== 'Home' && event.key !== 'End') return;
		if (first < 0 || last < 0) return;
		at = Math.min(Math.max(at, first), last);
		this.keyed = at;
		plot.setCursor({left: plot.valToPos(content.t[at], 'x'), top: plot.over.clientHeight / 2}, true);
		this.keyed = null;
		write(this.spoken, this.readout.textContent ?? '');
	}

	/** @param {uPlot} u */
	#brush(u) {
		const {left, width} = u.select;
		if (width < 8) return;
		const [from, to] = [u.posToVal(left, 'x'), u.posToVal(left + width, 'x')];
		u.setSelect({left: 0, top: 0, width: 0, height: 0}, false);
		this.options.app.zoom(from, to);
	}

	/** @param {uPlot} u */
	#drawMarks(u) {
		const {ctx, bbox} = u;
		const scale = devicePixelRatio;
		ctx.save();
		ctx.strokeStyle = ctx.fillStyle = color('--muted');
		ctx.lineWidth = scale;
		ctx.setLineDash([3 * scale, 3 * scale]);
		let before = -Infinity;
		for (const mark of this.content.marks) {
			if (mark.t < this.content.from || mark.t > this.content.to) continue;
			const x = Math.round(u.valToPos(mark.t, 'x', true)) + 0.5;
			if (x - before < 2 * scale) continue;
			before = x;
			ctx.beginPath();
			ctx.moveTo(x, bbox.top);
			ctx.lineTo(x, bbox.top + bbox.height);
			ctx.stroke();
			ctx.beginPath();
			ctx.moveTo(x - 4 * scale, bbox.top);
			ctx.lineTo(x + 4 * scale, bbox.top);
			ctx.lineTo(x, bbox.top + 6 * scale);
			ctx.fill();
		}
		ctx.restore();
	}

	/* --- for those who do not see, and for others --- */

	/** @returns {(string|number|null)[][]} */
	#rows() {
		if (this.options.table) return this.options.table();
		const {t, columns, from, to} = this.content;
		const marks = this.content.marks.filter((mark) => mark.t >= from && mark.t <= to);
		/* columns that say nothing are left out; an event stands with the first point after it */
		const lines = this.lines.map((line, c) => ({label: line.label, column: columns[c] ?? [], optional: line.optional || line.silent}))
			.filter(({column, optional}) => !optional || column.some((value) => value !== null));
		const rows = /** @type {(string|number|null)[][]} */ ([['time', ...lines.map(({label}) => label), ...(marks.length ? ['event'] : [])]]);
		let next = 0;
		t.forEach((at, i) => {
			if (at < from || at > to) return;
			const texts = [];
			while (next < marks.length && marks[next].t <= at) texts.push(marks[next++].text);
			rows.push([new Date(at * 1000).toISOString(), ...lines.map(({column}) => column[i] ?? null), ...(marks.length ? [texts.join(', ') || null] : [])]);
		});
		if (next < marks.length && rows.length > 1) rows[rows.length - 1][rows[0].length - 1] = marks.slice(next).map((mark) => mark.text).join(', ');
		return rows;
	}

	#fillTable() {
		if (!this.details.open) return;
		const [head, ...rows] = this.#rows();
		const shown = rows.slice(-ROWS_MAX).reverse();
		const left = rows.length - shown.length;
		this.table.replaceChildren(el('table', {},
			el('thead', {}, el('tr', {}, ...head.map((text) => el('th', {scope: 'col'}, String(text))))),
			el('tbody', {}, ...shown.map((row) => el('tr', {}, ...row.map((value, i) => el('td', {},
				i === 0 ? stamp(Date.parse(String(value)) / 1000) : typeof value === 'string' ? value : head[i] === 'event' ? '' : this.options.format(value))))))),
		...(left > 0 ? [el('p', {class: 'note'}, `and ${left} earlier ones, in CSV and JSON`)] : []));
	}

	/** @param {'csv'|'json'} as */
	#save(as) {
		const rows = this.#rows();
		const name = `wsvitals-${this.options.id}-${new Date().toISOString().slice(0, 19).replaceAll(':', '')}.${as}`;
		if (as === 'csv') return download(name, 'text/csv', csv(rows));
		const [head, ...body] = rows;
		download(name, 'application/json', JSON.stringify(body.map((row) => Object.fromEntries(row.map((value, i) => [head[i], value]))), null, 1));
	}
}

/** On an axis: 75.0 -> 75, 1.00 s -> 1 s. @param {string} text */
function plain(text) {
	return text.replace(/(\.\d*?)0+(?=\D|$)/, '$1').replace(/\.(?=\D|$)/, '');
}

/** Each column on the one before it. @param {(?number)[][]} columns */
export function stack(columns) {
	/** @type {number[]} */
	const below = [];
	return columns.map((column) => column.map((value, i) => {
		if (value === null) return null;
		below[i] = (below[i] ?? 0) + value;
		return below[i];
	}));
}

/* A value between two gaps would not be seen without a point.
 * @type {uPlot.Series.Points.Filter} */
const lonely = (/** @type {uPlot} */ u, /** @type {number} */ line, /** @type {boolean} */ show) => {
	if (show) return null;
	const values = u.data[line];
	const found = [];
	for (let i = 0; i < values.length; i++)
		if (values[i] !== null && values[i] !== undefined && (values[i - 1] ?? null) === null && (values[i + 1] ?? null) === null) found.push(i);
	return found;
};
