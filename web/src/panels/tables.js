/** Who: servers, channels, users, errors, close codes; and the measures in full. */
import {el, Spark, write} from '../dom.js';
import {bytes, count, duration, moment, ms, NONE, rate, stamp, words} from '../format.js';
import {seconds} from '../samples.js';
import {ROWS} from '../state.js';
import {Table} from '../table.js';
import {sentence} from '../verdict.js';
import {segments} from './charts.js';

/** @typedef {import('../types.js').App} App */
/** @typedef {import('../types.js').Panel} Panel */
/** @typedef {import('../types.js').Row} Row */
/** @typedef {import('../types.js').ErrorRow} ErrorRow */

/** A name that leads to its own view. @param {App} app @param {'server'|'channel'|'user'} filter @param {?string} name @param {?Node} old */
function pick(app, filter, name, old) {
	if (!name) return el('span', {class: 'note'}, NONE);
	if (name === 'other') return el('span', {class: 'note'}, 'all others');
	if (old instanceof HTMLButtonElement && old.dataset.name === name) return old;
	return el('button', {class: 'pick', type: 'button', 'data-name': name, title: name, onclick: () => app.set({[filter]: name})}, name);
}

/** @type {WeakMap<Node, Spark>} */
const sparks = new WeakMap();

/** @param {Row} row @param {?Node} old */
function line(row, old) {
	const spark = (old && sparks.get(old)) || new Spark();
	sparks.set(spark.node, spark);
	spark.update(row.line);
	return spark.node;
}

/** @param {App} app @param {'server'|'channel'|'user'} filter @param {string} title @param {string} size @param {(v:import('../types.js').View)=>Row[]} rows @returns {Panel & {sight:()=>string[]}} */
function who(app, filter, title, size, rows) {
	/** @type {import('../table.js').Column<Row>[]} */
	const columns = [
		{key: 'name', label: title.replace(/s$/, ''), class: 'name', value: (r) => r.name, node: (r, old) => pick(app, filter, r.name, old)},
		{key: 'open', label: 'Open', value: (r) => r.open, show: (r) => count(r.open)},
	];
	columns.push({key: 'rate', label: 'Messages/s', value: (r) => r.rate, show: (r) => rate(r.rate)});
	if (filter !== 'user') columns.push(
		{key: 'latency', label: 'p95', value: (r) => r.p95, show: (r) => ms(r.p95)},
		{key: 'errors', label: 'Errors/min', value: (r) => r.errors, show: (r) => rate(r.errors)});
	columns.push({key: 'trend', label: 'Trend', value: (r) => (r.line.at(-1) ?? 0) - (r.line[0] ?? 0), node: line});
	const table = new Table({
		id: `${filter}s`, title, columns, key: (r) => r.name, app, sort: '-open', size, search: (r) => r.name,
		empty: `No ${filter} has an open connection.`,
	});
	return {
		node: table.node, sight: () => table.shown,
		update: (view) => table.update(rows(view), view.live && view.state.from === null ? undefined : view.past.failed.get(`${filter}s`) || `No ${filter} was there in this time.`),
	};
}

/** @param {App} app @returns {Panel} */
function recent(app) {
	let now = 0;
	/** @type {Table<ErrorRow & {id:string}>} */
	const table = new Table({
		id: 'recent', title: 'Last errors', key: (r) => r.id, app, sort: '-time', size: 'wide',
		search: (r) => [r.type, r.message, r.server, r.channel, r.user, r.code].join(' '),
		columns: [
			{key: 'time', label: 'Time', value: (r) => seconds(r.timestamp), show: (r) => moment(seconds(r.timestamp), now), title: (r) => stamp(seconds(r.timestamp))},
			{key: 'type', label: 'Type', class: 'left', value: (r) => words(r.type)},
			{key: 'code', label: 'Code', value: (r) => r.code ?? r.status ?? null},
			{key: 'by', label: 'By', class: 'left', value: (r) => r.initiator ?? null},
			{key: 'channel', label: 'Channel', class: 'text isolate', value: (r) => r.channel ?? null, title: (r) => `${r.channel ?? ''} on ${r.server ?? ''}`},
			{key: 'message', label: 'Message', class: 'text isolate', value: (r) => (r.cause ? words(r.cause) : r.message) || null, title: (r) => r.message},
		],
		empty: 'No errors since counting began.',
	});
	return {
		node: table.node,
		update(view) {
			now = view.now;
			/** @type {Map<string,number>} */
			const seen = new Map();
			const {rows, all} = lastErrors(view);
			table.update(rows.map((row) => {
				const text = JSON.stringify(row);
				const nr = seen.get(text) ?? 0;
				seen.set(text, nr + 1);
				return {...row, id: `${text}${nr}`};
			}), {empty: view.past.failed.get('errors') || (view.live ? 'No errors within a day.' : 'No errors in this time.'), all});
		},
	};
}

/**
 * History has all, the agent's own list the latest seconds: live, both, each error once.
 * @param {import('../types.js').View} view @returns {{rows:ErrorRow[],all:number}}
 */
export function lastErrors({metrics, past, live, state}) {
	const kept = /** @type {ErrorRow[]} */ (past.errors?.data ?? []);
	const all = past.errors?.total ?? 0;
	if (!live || state.from !== null) return {rows: kept, all};
	const latest = metrics.errors.recent;
	const whole = (/** @type {ErrorRow} */ row) => Math.floor(seconds(row.timestamp));
	/* the agent forgets the oldest of a second first */
	const oldest = latest.reduce((least, row) => Math.min(least, whole(row)), Infinity);
	const same = new Map();
	const key = (/** @type {ErrorRow} */ row) => `${whole(row)} ${row.type} ${row.server} ${row.channel} ${row.user} ${row.code} ${row.message}`;
	for (const row of latest) same.set(key(row), (same.get(key(row)) ?? 0) + 1);
	const older = kept.filter((row) => {
		if (whole(row) < oldest) return true;
		const left = same.get(key(row)) ?? 0;
		same.set(key(row), left - 1);
		return left <= 0;
	});
	return {rows: [...latest, ...older], all: Math.max(all, latest.length + older.length)};
}

/** Errors by type: how many, and when the last one was. @param {App} app @returns {Panel} */
function kinds(app) {
	let now = 0;
	/** @type {Table<{type:string,n:number,last:?number}>} */
	const table = new Table({
		id: 'kinds', title: 'Errors by type', key: (r) => r.type, app, sort: '-count', size: '', empty: 'No errors.',
		columns: [
			{key: 'type', label: 'Type', class: 'left', value: (r) => words(r.type)},
			{key: 'count', label: 'Count', value: (r) => r.n, show: (r) => count(r.n)},
			{key: 'last', label: 'Last', value: (r) => r.last, show: (r) => (r.last === null ? NONE : moment(r.last, now)), title: (r) => (r.last === null ? '' : stamp(r.last))},
		],
	});
	return {
		node: table.node,
		update(view) {
			now = view.now;
			/** @type {Map<string,number>} */
			const last = new Map();
			for (const row of lastErrors(view).rows) last.set(row.type, Math.max(last.get(row.type) ?? 0, seconds(row.timestamp)));
			/** @type {Record<string,number>} */
			const sums = {};
			if (view.live && view.state.from === null) Object.assign(sums, view.metrics.errors.by_type);
			else for (const point of view.points) for (const [type, n] of Object.entries(point.by_type ?? {})) sums[type] = (sums[type] ?? 0) + n;
			table.update(Object.entries(sums).filter(([, n]) => n > 0).map(([type, n]) => ({type, n, last: last.get(type) ?? null})),
				{empty: view.live ? 'No errors since counting began.' : 'No errors in this time.'});
		},
	};
}

const CODES = /** @type {Record<string,string>} */ ({
	1000: 'normal', 1001: 'going away', 1002: 'protocol error', 1003: 'unsupported data', 1005: 'no code', 1006: 'no close frame', 1007: 'invalid payload',
	1008: 'policy violation', 1009: 'message too big', 1010: 'extension missing', 1011: 'internal error', 1012: 'service restart', 1013: 'try again later',
	1014: 'bad gateway', 1015: 'TLS failure', 3000: 'unauthorized', 3003: 'forbidden', 4401: 'unauthorized', 4403: 'forbidden', 4429: 'too many requests',
});

/** @param {App} app @returns {Panel} */
function codes(app) {
	/** @type {Table<{code:string,client:?number,server:?number,all:number}>} */
	const table = new Table({
		id: 'codes', title: 'Close codes', key: (r) => r.code, app, sort: '-all', size: '', empty: 'Nothing has closed yet.',
		columns: [
			{key: 'code', label: 'Code', class: 'left', value: (r) => r.code, show: (r) => (CODES[r.code] ? `${r.code} ${CODES[r.code]}` : r.code)},
			{key: 'client', label: 'By client', value: (r) => r.client, show: (r) => count(r.client)},
			{key: 'server', label: 'By server', value: (r) => r.server, show: (r) => count(r.server)},
		],
	});
	return {
		node: table.node,
		update(view) {
			const rows = Object.entries(view.metrics.errors.close_codes ?? {}).map(([code, by]) => ({code, client: /** @type {?number} */ (by.client), server: /** @type {?number} */ (by.server), all: by.client + by.server}));
			for (const [status, n] of Object.entries(view.metrics.errors.refused ?? {})) rows.push({code: `HTTP ${status}`, client: null, server: n, all: n});
			table.update(rows);
		},
	};
}

/** Why there is no number. @param {import('../state.js').State} state */
export function unknown(state) {
	return state.user ? 'not by user' : state.channel ? 'not by channel' : 'not on this kernel';
}

/** @returns {Panel} */
function measures() {
	const spreads = /** @type {[string,(m:import('../types.js').Metrics)=>?import('../types.js').Spread][]} */ ([
		['Reply latency', (m) => m.messages.latency], ['Queue wait', (m) => m.messages.queue_wait],
		['Handshake', (m) => m.connections.handshake], ['Ping round trip', (m) => m.messages.ping_rtt],
	]);
	const durations = /** @type {[string,(m:import('../types.js').Metrics)=>import('../types.js').Duration][]} */ ([
		['Closed after', (m) => m.connection_duration], ['Open for', (m) => m.connections.open_age],
	]);
	const keys = /** @type {const} */ (['p50', 'p95', 'p99', 'avg', 'min', 'max']);
	const cells = spreads.map(() => [...keys, 'count'].map(() => el('td')));
	const more = durations.map(() => [0, 1, 2, 3, 4, 5, 6].map(() => el('td')));
	const head = ['', 'p50', 'p95', 'p99', 'Average', 'Least', 'Most', 'Count'];
	const node = el('section', {class: 'panel wide', id: 'measures', 'aria-labelledby': 'measures-title'},
		el('div', {class: 'head'}, el('h2', {id: 'measures-title'}, 'Measures'), el('span', {class: 'note'}, '')),
		el('div', {class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Measures, rows'}, el('table', {'aria-labelledby': 'measures-title'},
			el('thead', {}, el('tr', {}, ...head.map((text, i) => (i ? el('th', {scope: 'col'}, text) : el('td'))))),
			el('tbody', {}, ...spreads.map(([name], i) => el('tr', {}, el('th', {scope: 'row', class: 'left'}, name), ...cells[i])),
				...durations.map(([name], i) => el('tr', {}, el('th', {scope: 'row', class: 'left'}, name), ...more[i]))))));
	return {
		node,
		update({metrics, state}) {
			write(/** @type {Node} */ (node.querySelector('.note')), `latencies of the last ${state.window.replace('m', ' min').replace('h', ' h')}`);
			spreads.forEach(([, of], i) => {
				const spread = of(metrics);
				keys.forEach((key, k) => write(cells[i][k], spread ? ms(spread[key]) : NONE));
				write(cells[i][6], spread ? count(spread.count) : unknown(state));
			});
			durations.forEach(([, of], i) => {
				const d = of(metrics);
				[d.median, null, null, d.avg, d.min, d.max].forEach((n, k) => write(more[i][k], duration(n)));
				write(more[i][6], count(d.count));
			});
		},
	};
}

/** One by one, from the agent's walk and the store. @param {App} app @returns {Panel} */
function open(app) {
	let now = 0;
	const rows = segments('Connections shown', ROWS.map((key) => [key, sentence(key)]), (value) => app.set({rows: value}));
	const way = (/** @type {any} */ r) => (r.state === 'open' ? 'open' : r.close_code ? `closed ${r.close_code}${r.initiator ? ` by ${r.initiator}` : ''}` : `closed, ${words(r.cause ?? 'no code')}`);
	/** @type {Table<any>} */
	const table = new Table({
		id: 'open', title: 'One by one', key: (r) => r.id, app, sort: '-opened', size: 'full', empty: 'None is open.', tools: [rows.node],
		search: (r) => [r.server, r.channel, r.user].join(' '),
		columns: [
			{key: 'channel', label: 'Channel', class: 'name', value: (r) => r.channel, node: (r, old) => pick(app, 'channel', r.channel, old)},
			{key: 'user', label: 'User', class: 'left isolate', value: (r) => r.user, node: (r, old) => pick(app, 'user', r.user, old)},
			{key: 'server', label: 'Server', class: 'left isolate', value: (r) => r.server, node: (r, old) => pick(app, 'server', r.server, old)},
			{key: 'opened', label: 'Opened', value: (r) => seconds(r.opened), show: (r) => moment(seconds(r.opened), now), title: (r) => stamp(seconds(r.opened))},
			{key: 'age', label: 'Open for', value: (r) => r.duration, show: (r) => duration(r.duration)},
			{key: 'received', label: 'Received', value: (r) => r.received, show: (r) => count(r.received)},
			{key: 'sent', label: 'Sent', value: (r) => r.sent, show: (r) => count(r.sent)},
			{key: 'messages', label: 'Messages', value: (r) => r.received + r.sent, show: (r) => count(r.received + r.sent)},
			{key: 'latency', label: 'Latency', value: (r) => r.latency?.avg ?? null, show: (r) => ms(r.latency?.avg), title: (r) => (r.latency ? `average of ${count(r.latency.count)}, at most ${ms(r.latency.max)}` : 'known when it has closed')},
			{key: 'bytes', label: 'Payload', value: (r) => r.bytes_received + r.bytes_sent, show: (r) => bytes(r.bytes_received + r.bytes_sent)},
			{key: 'state', label: 'State', class: 'left', value: way},
		],
	});
	return {
		node: table.node,
		update({now: at, past, state}) {
			now = at;
			rows.set(state.rows);
			const answer = past.connections;
			const why = past.failed.get('connections');
			table.update(answer?.data ?? [], {empty: why ? sentence(`${why}.`) : !answer ? 'Asking the history.' : state.rows === 'open' ? 'None is open.' : 'None in this time.', all: answer?.total ?? 0});
		},
	};
}

/** @param {App} app */
export function tables(app) {
	const servers = who(app, 'server', 'Servers', 'wide', (v) => v.servers);
	const channels = who(app, 'channel', 'Channels', 'wide', (v) => v.channels);
	const users = who(app, 'user', 'Users', 'wide', (v) => v.users);
	return {
		servers, channels, users, recent: recent(app), kinds: kinds(app), codes: codes(app), measures: measures(), open: open(app),
		sight: {servers: servers.sight, channels: channels.sight, users: users.sight},
	};
}
