import assert from 'node:assert/strict';
import {test} from 'node:test';
import {reasons, Roster, verdict} from '../../src/verdict.js';

function known(more = {}, m = {}) {
	return {
		metrics: {
			connections: {total: 10, created: 20, by_server: {}}, messages: {latency: {p95: 10}}, errors: {rate: 2}, counting_since: 'a',
			capture: {balanced: true, unbalanced: [], hooks: [{attached: true}]}, ...m,
		},
		about: null, gone: [], usual: null, day: [], recent: [], now: 100, filtered: false, ...more,
	};
}

/** A minute ago so many were open. */
const were = (active) => ({recent: [{t: 50, active}]});

const said = (k) => reasons(k).map((r) => `${r.level} ${r.key}`);

test('nothing wrong is healthy', () => {
	assert.deepEqual(said(known()), []);
	assert.deepEqual(verdict(known(), []), {level: 'good', text: 'Healthy'});
});

test('nothing seen is neither good nor bad', () => {
	assert.equal(verdict(known({}, {connections: {total: 0, created: 0, by_server: {}}}), []).level, 'idle');
});

for (const [sentence, k, expected] of [
	['unbalanced books', known({}, {capture: {balanced: false, unbalanced: ['bytes_received'], hooks: []}}), ['bad books']],
	['a lost store', known({}, {store: 'unavailable since 2024-01-01T14:05:00Z: the disk is full'}), ['bad store']],
	['a store that is there', known({}, {store: 'ok'}), []],
	['a server that is gone', known({gone: [{name: 'node:8000', since: 1}]}), ['bad gone node:8000']],
	['an engine that cannot count', known({about: {engine: 'what was counted cannot be read', verdict: {}}}), ['bad engine']],
	['an engine without hooks', known({}, {capture: {balanced: true, hooks: [{attached: false}]}}), ['bad hooks']],
	['one hook of two', known({}, {capture: {balanced: true, hooks: [{attached: false}, {attached: true}]}}), []],
	['errors above three times their median', known({usual: {errors: 0.6, p95: 10}}), ['warning errors']],
	['errors below it', known({usual: {errors: 0.7, p95: 10}}), []],
	['few errors, however unusual', known({usual: {errors: 0, p95: 10}}, {errors: {rate: 0.9}}), []],
	['latency above three times its median', known({usual: {errors: 9, p95: 3}}), ['warning latency']],
	['tiny latency, however unusual', known({usual: {errors: 9, p95: 0.1}}, {messages: {latency: {p95: 4.9}}}), []],
	['no latency', known({usual: {errors: 9, p95: 1}}, {messages: {latency: null}}), []],
	['a fall by 30 per cent', known(were(100), {connections: {total: 70, created: 200, by_server: {}}}), ['warning drop']],
	['a fall by 29 per cent', known(were(100), {connections: {total: 71, created: 200, by_server: {}}}), []],
	['a fall of few', known(were(9), {connections: {total: 0, created: 200, by_server: {}}}), []],
	['other thresholds', known({...were(100), about: {engine: null, verdict: {'drop-percent': 50}}}, {connections: {total: 51, created: 200, by_server: {}}}), []],
	['a selection is measured by what is usual for it', known({filtered: true, usual: {errors: 0.1, p95: 1}}), ['warning errors', 'warning latency']],
]) test(sentence, () => assert.deepEqual(said(k), expected));

test('the worst comes first', () => {
	const k = known({...were(100), gone: [{name: 'x', since: 1}]});
	const found = reasons(k);
	assert.deepEqual(found.map((r) => r.level), ['bad', 'warning']);
	assert.deepEqual(verdict(k, found), {level: 'bad', text: 'Server x is gone'});
});

test('since when, where somebody but the page knows', () => {
	const day = [[1, 1], [9, 40], [9, 40]].map(([errors, p95], i) => ({t: 150 + i * 300, errors: {x: errors}, p95}));
	const k = known({gone: [{name: 'x', since: 77}], usual: {errors: 1, p95: 10}, day, ...were(100)}, {errors: {rate: 9}, messages: {latency: {p95: 40}}, store: 'unavailable since 1970-01-01T00:00:05Z: full'});
	assert.deepEqual(Object.fromEntries(reasons(k).map((r) => [r.key, r.since])), {store: 5, 'gone x': 77, drop: 100, errors: 300, latency: 300});
});

const at = (s) => `2024-01-01T00:00:${String(s).padStart(2, '0')}Z`;
const T = Date.parse(at(0)) / 1000;

test('a server is gone when it has ended and nobody has come back', () => {
	const roster = new Roster();
	let now = 0;
	const update = (by_server, exits = [], marks = [], since = at(0)) => {
		now++;
		return roster.update({timestamp: at(now), counting_since: since, connections: {by_server}, errors: {recent: exits.map(([server, s]) => ({server, cause: 'server_exit', timestamp: at(s)}))}},
			marks.map(([type, server, s]) => ({t: T + s, text: '', type, server})), T + now).map(({name, since: s}) => [name, s - T]);
	};
	assert.deepEqual(update({a: 1, b: 2}), []);
	assert.deepEqual(update({a: 1, b: 0}), []); // idle is not gone
	assert.deepEqual(update({a: 1, b: 0}, [['b', 2]]), [['b', 2]]);
	assert.deepEqual(update({a: 1, b: 0}), [['b', 2]]); // also when the error has left the list
	assert.deepEqual(update({a: 1, b: 3}, [['b', 2]]), []); // back
	assert.deepEqual(update({a: 1, b: 0}, [['b', 2]]), []); // its end before that is history
	assert.deepEqual(update({a: 0, b: 0}, [['a', 7], ['b', 7], ['b', 2]]), [['a', 7], ['b', 7]]);
	assert.deepEqual(update({b: 0}), [['b', 7]]); // forgotten by the agent
	assert.deepEqual(update({b: 0}, [], [], at(8)), []); // counting began anew
	assert.deepEqual(update({c: 0}, [], [['server_gone', 'c', 9]], at(8)), [['c', 9]]); // idle, as history recorded it
	assert.deepEqual(update({c: 0}, [], [['server_gone', 'c', 9], ['server_seen', 'c', 10]], at(8)), []);
	assert.deepEqual(update({d: 0}, [], [['server_gone', 'd', 5]], at(8)), []); // of another count
	now += 86400;
	assert.deepEqual(roster.update({timestamp: at(1), counting_since: at(8), connections: {by_server: {a: 0}}, errors: {recent: []}}, [{t: T + 9, text: '', type: 'server_gone', server: 'a'}], T + 86500), []); // long ago
});
