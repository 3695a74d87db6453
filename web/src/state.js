/**
 * What the page shows, as it stands in its address: a link brings the same view back. Pure.
 *
 * @typedef {'live'|'15m'|'1h'|'6h'|'24h'|'7d'|'30d'} Range
 * @typedef {{
 *   range:Range, points:number, from:?number, to:?number,
 *   refresh:number, auto:boolean, window:string, draw:'line'|'bars', compare:string,
 *   server:string, channel:string, user:string, rows:string, theme:string,
 *   tables:Record<string,{sort:string,find:string}>
 * }} State
 */

export const RANGES = /** @type {Record<Range,number>} */ ({
	live: 0, '15m': 900, '1h': 3600, '6h': 21600, '24h': 86400, '7d': 604800, '30d': 2592000,
});
export const LENGTHS = [60, 120, 360, 720, 2000];
export const REFRESHES = [1, 2, 5, 10, 30, 60];
export const ROWS = ['open', 'closed', 'all']; /* of connections */
export const WINDOWS = ['1m', '5m', '15m', '1h'];
export const COMPARES = /** @type {Record<string,{text:string,seconds:number}>} */ ({
	none: {text: 'nothing', seconds: 0},
	hour: {text: 'an hour before', seconds: 3600},
	day: {text: 'a day before', seconds: 86400},
	week: {text: 'a week before', seconds: 604800},
});
export const FILTERS = /** @type {const} */ (['server', 'channel', 'user']);
const TEXT_MAX = 256;

/** @returns {State} */
export function initial() {
	return {
		range: 'live', points: 60, from: null, to: null, refresh: 5, auto: true, window: '5m', draw: 'line',
		compare: 'none', server: '', channel: '', user: '', rows: 'open', theme: '', tables: {},
	};
}

/** @template T @param {readonly T[]} list @param {T} value @param {T} otherwise */
function oneOf(list, value, otherwise) {
	return list.includes(value) ? value : otherwise;
}

/** What is wrong in an address is left out, not guessed. @param {string} query @returns {State} */
export function decode(query) {
	const from = new URLSearchParams(query);
	const state = initial();
	const text = (/** @type {string} */ key) => (from.get(key) ?? '').slice(0, TEXT_MAX);

	state.range = /** @type {Range} */ (oneOf(Object.keys(RANGES), text('range'), state.range));
	state.points = oneOf(LENGTHS, Number(text('points')), state.points);
	state.refresh = oneOf(REFRESHES, Number(text('refresh')), state.refresh);
	state.auto = text('auto') !== 'off';
	state.window = oneOf(WINDOWS, text('window'), state.window);
	state.draw = text('draw') === 'bars' ? 'bars' : 'line';
	state.compare = oneOf(Object.keys(COMPARES), text('compare'), state.compare);
	state.rows = oneOf(ROWS, text('rows'), state.rows);
	state.theme = oneOf(['light', 'dark'], text('theme'), '');
	for (const key of FILTERS) state[key] = text(key);
	const [begin, end] = [Number(text('from')), Number(text('to'))];
	if (begin > 0 && end > begin && Number.isFinite(end)) [state.from, state.to] = [begin, end];
	for (const [key, value] of from) {
		const match = /^([a-z]{1,20})\.(sort|find)$/.exec(key);
		if (!match) continue;
		const table = state.tables[match[1]] ??= {sort: '', find: ''};
		table[/** @type {'sort'|'find'} */ (match[2])] = value.slice(0, TEXT_MAX);
	}
	return state;
}

/** "?range=1h&…", "" for the view that the page begins with. @param {State} state */
export function encode(state) {
	const to = new URLSearchParams();
	const plain = initial();
	for (const key of /** @type {const} */ (['range', 'points', 'refresh', 'window', 'draw', 'compare', 'server', 'channel', 'user', 'rows', 'theme']))
		if (state[key] !== plain[key]) to.set(key, String(state[key]));
	if (!state.auto) to.set('auto', 'off');
	if (state.from !== null && state.to !== null) {
		to.set('from', String(Math.round(state.from)));
		to.set('to', String(Math.round(state.to)));
	}
	for (const [name, table] of Object.entries(state.tables))
		for (const key of /** @type {const} */ (['sort', 'find'])) if (table[key]) to.set(`${name}.${key}`, table[key]);
	const text = to.toString();
	return text ? `?${text}` : '';
}

/** The filters as the API takes them. @param {State} state @returns {Record<string,string>} */
export function filters(state) {
	/** @type {Record<string,string>} */
	const query = {};
	for (const key of FILTERS) if (state[key]) query[key] = state[key];
	return query;
}
