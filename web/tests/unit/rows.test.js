import assert from 'node:assert/strict';
import {test} from 'node:test';
import {lineQuery, merge, sheetQuery, sheetRows} from '../../src/rows.js';
import {decode} from '../../src/state.js';
import {widen} from '../../src/panels/charts.js';
import {lastErrors} from '../../src/panels/tables.js';

const sum = (channel, n, server = 'a:1') => ({server, channel, connections: {total: n}, messages: {rate: n / 10, received: n, sent: n, latency: {p95: n}}, errors: {rate: n / 100}});
const answer = (...data) => ({from: '2024-01-01T00:00:00Z', to: '2024-01-01T00:01:00Z', data});

test('sums of history are asked for only where they are of the selection', () => {
	const of = (q) => ['servers', 'channels', 'users'].map((kind) => sheetQuery(kind, decode(q)));
	assert.deepEqual(of(''), [{}, {}, {}]);
	assert.deepEqual(of('?server=a'), [{}, {server: 'a'}, null]);
	assert.deepEqual(of('?channel=c'), [null, {}, null]);
	assert.deepEqual(of('?user=u'), [null, null, {}]);
	assert.deepEqual(lineQuery('channels', '/x', decode('?server=a')), {server: 'a', channel: '/x'});
	assert.deepEqual(lineQuery('users', 'u', decode('')), {user: 'u'});
});

test('a channel of two servers is one row, without a percentile', () => {
	const rows = sheetRows('channels', answer(sum('/x', 10), sum('/y', 20), sum('/x', 30, 'b:1')));
	assert.deepEqual([...rows.values()].map((r) => [r.name, r.open, r.messages, r.rate, r.p95, r.errors]), [['/x', 40, 80, 4, null, 0.4], ['/y', 20, 40, 2, 20, 0.2]]);
	assert.deepEqual([...sheetRows('channels', answer(sum('/x', 10), sum('/y', 20)), '/y').keys()], ['/y']);
});

test('users have no rate of their own in history: their messages over the time', () => {
	const [row] = sheetRows('users', answer({user: 'u', connections: {total: 1}, messages: {received: 60, sent: 60}})).values();
	assert.deepEqual([row.rate, row.p95, row.errors], [2, null, null]);
});

test('live: who is there now, with what history knows; else what history has', () => {
	const now = [{name: '/x', open: 3, messages: null, rate: null, p95: null, errors: null, line: [1, 3]}, {name: '/new', open: 1, messages: null, rate: null, p95: null, errors: null, line: [1]}];
	const sums = sheetRows('channels', answer(sum('/x', 10), sum('/old', 20)));
	const lines = new Map([['/x', [7, null]]]);
	assert.deepEqual(merge(now, sums, true, lines).map((r) => [r.name, r.open, r.rate, r.line]), [['/x', 3, 1, [7, null, 3]], ['/new', 1, null, [1]]]);
	assert.deepEqual(merge(now, sums, false, lines).map((r) => [r.name, r.open, r.line]), [['/x', 10, [7, null]], ['/old', 20, []]]);
	assert.deepEqual(merge(now, null, false, lines), []);
	assert.deepEqual(merge(now, null, true, lines).map((r) => r.name), ['/x', '/new']);
});

test('columns of a heatmap that have no room become one, gaps stay', () => {
	const column = (t, ...counts) => ({t, until: t + 10, cells: counts.map((count, i) => ({low: i + 1, high: i + 2, count}))});
	const four = [column(0, 1), column(10, 2, 3), column(20, 4), column(30, 5)];
	assert.equal(widen(four, 4), four);
	assert.deepEqual(widen(four, 2), [{t: 0, until: 20, cells: [{low: 1, high: 2, count: 3}, {low: 2, high: 3, count: 3}]}, {t: 20, until: 40, cells: [{low: 1, high: 2, count: 9}]}]);
	assert.deepEqual(widen([column(0, 1), column(100, 2), column(110, 3), column(120, 4)], 2).map((c) => [c.t, c.until]), [[0, 10], [100, 120], [120, 130]]);
});

test('live, each error is there once: the latest of the agent, the older of history', () => {
	const e = (timestamp, message) => ({timestamp, type: 'x', message, server: 's', channel: 'c', user: 'u', code: 1});
	const recent = [e('2024-01-01T00:00:09Z', 'new'), e('2024-01-01T00:00:05Z', 'both'), e('2024-01-01T00:00:05Z', 'both')];
	const kept = [e('2024-01-01T00:00:05.900Z', 'both'), e('2024-01-01T00:00:05.100Z', 'both'), e('2024-01-01T00:00:05.050Z', 'both'), e('2024-01-01T00:00:01.000Z', 'old')];
	const view = (query) => ({metrics: {errors: {recent}}, past: {errors: {data: kept, total: 40}}, live: !query, state: decode(query)});
	const found = lastErrors(view(''));
	assert.deepEqual(found.rows.map((r) => r.message), ['new', 'both', 'both', 'both', 'old']);
	assert.equal(found.all, 40);
	assert.deepEqual(lastErrors(view('?range=1h')).rows, kept);
});
