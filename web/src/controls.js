/** The bar: time range, refresh, what is compared, theme, log out. */
import {logout} from './api.js';
import {el, icon} from './dom.js';
import {segments} from './panels/charts.js';
import {COMPARES, FILTERS, RANGES, REFRESHES, WINDOWS} from './state.js';

/** @typedef {import('./state.js').State} State */

const ICONS = {
	pause: 'M5.5 3.5v9M10.5 3.5v9', play: 'M5 3l7.5 5L5 13z', refresh: 'M13 8a5 5 0 1 1-1.5-3.6M13 2.5v3h-3',
	theme: 'M8 2.5a5.5 5.5 0 1 0 5.5 6.5A4.5 4.5 0 0 1 8 2.5z', out: 'M6 3H3.5v10H6M7 8h6M10.5 5.5 13 8l-2.5 2.5',
};

/** @param {string} label @param {[string,string][]} choices @param {(value:string)=>void} choose */
function select(label, choices, choose) {
	const field = el('select', {'aria-label': label, onchange: () => choose(field.value)}, ...choices.map(([value, text]) => el('option', {value}, text)));
	return {node: el('label', {class: 'select'}, el('span', {'aria-hidden': 'true'}, label), field), field};
}

/**
 * @param {{set:(change:Partial<State>)=>void, refresh:()=>void}} app
 */
export function controls(app) {
	const range = segments('Time range', Object.keys(RANGES).map((key) => [key, key === 'live' ? 'Live' : key]),
		(value) => app.set({range: /** @type {any} */ (value), from: null, to: null}));
	range.node.classList.remove('small');
	const every = select('Every', REFRESHES.map((n) => [String(n), `${n} s`]), (value) => app.set({refresh: Number(value)}));
	const window_ = select('Window', WINDOWS.map((w) => [w, w.replace('m', ' min').replace('h', ' h')]), (value) => app.set({window: value}));
	const compare = select('Against', Object.entries(COMPARES).map(([key, c]) => [key, c.text]), (value) => app.set({compare: value}));
	const beat = el('span', {class: 'beat'});
	const auto = el('button', {class: 'button', type: 'button', id: 'auto', onclick: () => app.set({auto: auto.getAttribute('aria-pressed') !== 'true'})}, beat, el('span', {}, 'Live'));
	const refresh = el('button', {class: 'button icon', type: 'button', id: 'refresh', title: 'Refresh now', onclick: () => app.refresh()}, icon(ICONS.refresh, 'Refresh now'));
	const theme = el('button', {class: 'button icon', type: 'button', id: 'theme', title: 'Dark or light', onclick: () => app.set({theme: isDark() ? 'light' : 'dark'})}, icon(ICONS.theme, 'Dark or light'));
	const out = el('button', {class: 'button icon', type: 'button', id: 'logout', title: 'Log out', onclick: () => void logout()}, icon(ICONS.out, 'Log out'));
	const all = el('button', {class: 'button', type: 'button', id: 'unzoom', onclick: () => app.set({from: null, to: null})}, 'Show all');
	return {
		nodes: [all, range.node, compare.node, window_.node, every.node, auto, refresh, theme, out],
		/** @param {State} state @param {'on'|'off'|'lost'} how */
		update(state, how) {
			range.set(state.range);
			all.hidden = state.from === null;
			every.field.value = String(state.refresh);
			window_.field.value = state.window;
			compare.field.value = state.compare;
			auto.setAttribute('aria-pressed', String(state.auto));
			auto.title = state.auto ? 'Stop refreshing' : 'Refresh by itself';
			/** @type {HTMLElement} */ (auto.lastChild).textContent = how === 'lost' ? 'Lost' : state.auto ? 'Live' : 'Paused';
			beat.className = `beat ${how}`;
		},
	};
}

export function isDark() {
	const set = document.documentElement.dataset.theme;
	return set ? set === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
}

/** The filters in force, each with a way out. @param {(change:Partial<State>)=>void} set */
export function chips(set) {
	const node = el('div', {class: 'chips', role: 'group', 'aria-label': 'Filters'});
	let shown = '';
	return {
		node,
		/** @param {State} state */
		update(state) {
			const now = JSON.stringify(FILTERS.map((key) => state[key]));
			if (now === shown) return;
			shown = now;
			node.replaceChildren(...FILTERS.filter((key) => state[key]).map((key) => el('span', {class: 'chip'}, `${key} `, el('b', {title: state[key]}, state[key]),
				el('button', {type: 'button', 'aria-label': `Show every ${key} again`, onclick: () => set({[key]: ''})}, '×'))));
		},
	};
}
