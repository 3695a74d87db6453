/** Who: servers, channels, users, errors, close codes; and the measures in full. */
import {el, Spark, write} from '../dom.js';
import {count, duration, moment, ms, NONE, rate, stamp, words} from '../format.js';
import {seconds} from '../samples.js';
import {Table} from '../table.js';

/** @typedef {import('../types.js').App} App */
/** @typedef {import('../types.js').Panel} Panel */
/** @typedef {import('../types.js').Row} Row */
/** @typedef {import('../types.js').ErrorRow} ErrorRow */

/** A name that leads to its own view. @param {App} app @param {'server'|'channel'|'user'} filter @param {string} name @param {?Node} old */
function pick(app, filter, name, old) {
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

/** @param {App} app @param {'server'|'channel'|'user'} filter @param {string} title @param {string} size @param {(v:import('../types.js').View)=>Row[]} rows @returns {Panel} */
function who(app, filter, title, size, rows) {
	/** @type {import('../table.js').Column<Row>[]} */
	const columns = [
		{key: 'name', label: title.replace(/s$/, ''), class: 'name', value: (r) => r.name, node: (r, old) => pick(app, filter, r.name, old)},
		{key: 'open', label: 'Open', value: (r) => r.open, show: (r) => count(r.open)},
	];
	if (filter === 'server') columns.push(
		{key: 'rate', label: 'Messages/s', value: (r) => r.rate, show: (r) => rate(r.rate)},
		{key: 'latency', label: 'p95', value: (r) => r.p95, show: (r) => ms(r.p95)},
		{key: 'errors', label: 'Errors/min', value: (r) => r.errors, show: (r) => rate(r.errors)});
	columns.push({key: 'trend', label: 'Trend', value: (r) => (r.line.at(-1) ?? 0) - (r.line[0] ?? 0), node: line});
	const table = new Table({
		id: `${filter}s`, title, columns, key: (r) => r.name, app, sort: '-open', size, search: (r) => r.name,
		empty: `No ${filter} has an open connection.`,
	});
	return {node: table.node, update: (view) => table.update(rows(view))};
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
			table.update(view.metrics.errors.recent.map((row) => {
				const text = JSON.stringify(row);
				const nr = seen.get(text) ?? 0;
				seen.set(text, nr + 1);
				return {...row, id: `${text}${nr}`};
			}));
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
				write(cells[i][6], spread ? count(spread.count) : 'not on this kernel');
			});
			durations.forEach(([, of], i) => {
				const d = of(metrics);
				[d.median, null, null, d.avg, d.min, d.max].forEach((n, k) => write(more[i][k], duration(n)));
				write(more[i][6], count(d.count));
			});
		},
	};
}

/** Open and just closed connections, from the history. @param {App} app @returns {Panel} */
function open(app) {
	let now = 0;
	/** @type {Table<any>} */
	const table = new Table({
		id: 'open', title: 'Open connections', key: (r) => String(r.id ?? `${r.opened} ${r.user} ${r.channel} ${r.peer ?? ''}`), app, sort: '-opened', size: 'full', empty: 'None is open.',
		search: (r) => [r.server, r.channel, r.user, r.close_code, r.cause].join(' '),
		columns: [
			{key: 'channel', label: 'Channel', class: 'name', value: (r) => r.channel ?? null, node: (r, old) => pick(app, 'channel', r.channel ?? NONE, old)},
			{key: 'user', label: 'User', class: 'left isolate', value: (r) => r.user ?? null, node: (r, old) => pick(app, 'user', r.user ?? NONE, old)},
			{key: 'server', label: 'Server', class: 'left isolate', value: (r) => r.server ?? null},
			{key: 'opened', label: 'Opened', value: (r) => (r.opened ? seconds(r.opened) : null), show: (r) => (r.opened ? moment(seconds(r.opened), now) : NONE)},
			{key: 'received', label: 'Received', value: (r) => r.received ?? null, show: (r) => count(r.received)},
			{key: 'sent', label: 'Sent', value: (r) => r.sent ?? null, show: (r) => count(r.sent)},
			{key: 'p95', label: 'p95', value: (r) => r.latency?.p95 ?? null, show: (r) => ms(r.latency?.p95)},
			{key: 'state', label: 'State', class: 'left', value: (r) => (r.closed ? `closed ${r.close_code ?? words(r.cause ?? '')}` : 'open')},
		],
	});
	return {
		node: table.node,
		update(view) {
			now = view.now;
			const answer = view.lists.connections;
			table.node.hidden = answer.state === 'missing' || answer.state === 'wait';
			table.update(answer.state === 'ok' ? answer.data.data ?? [] : [], answer.state === 'failed' ? answer.why : undefined);
		},
	};
}

/** @param {App} app */
export function tables(app) {
	return {
		recent: recent(app),
		servers: who(app, 'server', 'Servers', 'wide', (v) => v.servers),
		channels: who(app, 'channel', 'Channels', 'wide', (v) => v.channels),
		users: who(app, 'user', 'Users', '', (v) => v.users),
		codes: codes(app),
		measures: measures(),
		open: open(app),
	};
}
