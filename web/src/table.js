/**
 * A table that can be sorted and searched; its state is the app's, so that it stands in the address.
 * Rows are kept and written anew, so that focus and selection stay.
 *
 * @template T
 * @typedef {{key:string,label:string,value:(row:T)=>string|number|null,show?:(row:T)=>string,class?:string,node?:(row:T,old:?Node)=>Node,title?:(row:T)=>string}} Column
 */
import {el, write} from './dom.js';
import {count, NONE} from './format.js';

/** @template T */
export class Table {
	/**
	 * @param {{id:string,title:string,columns:Column<T>[],key:(row:T)=>string,app:import('./types.js').App,sort:string,
	 *   size?:string,search?:(row:T)=>string,empty:string,max?:number,tools?:HTMLElement[]}} options
	 */
	constructor(options) {
		this.options = options;
		/** @type {string[]} keys of the rows that are shown, in order */
		this.shown = [];
		/** @type {Map<string,HTMLTableRowElement>} */
		this.made = new Map();
		this.body = el('tbody');
		this.heads = options.columns.map((column) => el('th', {scope: 'col', class: /name|text|left/.test(column.class ?? '') ? 'left' : ''},
			el('button', {type: 'button', onclick: () => this.#sort(column.key)}, column.label)));
		this.empty = el('p', {class: 'empty'});
		this.count = el('span', {class: 'note'});
		this.find = el('input', {
			class: 'find', type: 'search', placeholder: 'Find', 'aria-label': `Find in ${options.title}`, value: options.app.find(options.id),
			oninput: () => options.app.setTable(options.id, this.#sorting(), this.find.value),
		});
		const title = el('h2', {id: `${options.id}-title`}, options.title);
		this.table = el('table', {'aria-labelledby': title.id}, el('thead', {}, el('tr', {}, ...this.heads)), this.body);
		this.node = el('section', {class: `panel ${options.size ?? 'wide'}`, id: options.id, 'aria-labelledby': title.id},
			el('div', {class: 'head'}, title, this.count, el('div', {class: 'tools'}, ...(options.tools ?? []), options.search ? this.find : null)),
			el('div', {class: 'scroll tall', tabindex: 0, role: 'region', 'aria-label': `${options.title}, rows`}, this.table, this.empty));
	}

	#sorting() {
		const now = this.options.app.sort(this.options.id);
		return now ? `${now.down ? '-' : ''}${now.key}` : '';
	}

	/** @param {string} key */
	#sort(key) {
		const now = this.options.app.sort(this.options.id) ?? parse(this.options.sort);
		const down = now.key === key ? !now.down : true;
		this.options.app.setTable(this.options.id, `${down ? '-' : ''}${key}`, this.find.value);
	}

	/** empty: instead of the usual words; all: how many rows there are where these are only some. @param {T[]} rows @param {string|{empty?:string,all?:number}} [how] */
	update(rows, how = {}) {
		const {options} = this;
		const {empty, all = rows.length} = typeof how === 'string' ? {empty: how} : how;
		const {key, down} = options.app.sort(options.id) ?? parse(options.sort);
		const find = options.app.find(options.id).toLowerCase();
		if (document.activeElement !== this.find && this.find.value !== options.app.find(options.id)) this.find.value = options.app.find(options.id);
		const column = options.columns.find((c) => c.key === key) ?? options.columns[0];
		const found = find && options.search ? rows.filter((row) => options.search?.(row).toLowerCase().includes(find)) : rows;
		const sorted = [...found].sort((a, b) => compare(column.value(a), column.value(b), down));
		const shown = sorted.slice(0, options.max ?? 100);
		options.columns.forEach((c, i) => {
			if (c === column) this.heads[i].setAttribute('aria-sort', down ? 'descending' : 'ascending');
			else this.heads[i].removeAttribute('aria-sort');
		});
		write(this.count, rows.length ? (shown.length < all ? `${count(shown.length)} of ${count(all)}` : count(rows.length)) : '');
		this.shown = shown.map(options.key);
		write(this.empty, shown.length ? '' : rows.length ? 'Nothing matches.' : empty ?? options.empty);
		this.empty.hidden = shown.length > 0;
		this.table.hidden = shown.length === 0;
		this.#write(shown);
	}

	/** @param {T[]} shown */
	#write(shown) {
		const left = new Set(this.made.keys());
		shown.forEach((row, at) => {
			const key = this.options.key(row);
			let tr = this.made.get(key);
			if (!tr) {
				tr = el('tr', {}, ...this.options.columns.map((column) => el('td', {class: column.class ?? ''})));
				this.made.set(key, tr);
			}
			left.delete(key);
			this.options.columns.forEach((column, i) => {
				const cell = /** @type {HTMLTableCellElement} */ (tr?.cells[i]);
				if (column.node) {
					const node = column.node(row, cell.firstChild);
					if (node !== cell.firstChild) cell.replaceChildren(node);
				} else {
					const value = column.value(row);
					write(cell, column.show ? column.show(row) : value === null ? NONE : String(value));
				}
				if (column.title) cell.title = column.title(row);
			});
			if (this.body.rows[at] !== tr) this.body.insertBefore(tr, this.body.rows[at] ?? null);
		});
		for (const key of left) {
			this.made.get(key)?.remove();
			this.made.delete(key);
		}
	}
}

/** "-open" @param {string} text */
export function parse(text) {
	return {key: text.replace(/^-/, ''), down: text.startsWith('-')};
}

/** What is not known comes last, whichever way. @param {string|number|null} a @param {string|number|null} b @param {boolean} down */
export function compare(a, b, down) {
	if (a === null || b === null) return Number(a === null) - Number(b === null);
	const order = typeof a === 'number' && typeof b === 'number' ? a - b : String(a).localeCompare(String(b), 'en', {numeric: true});
	return down ? -order : order;
}
