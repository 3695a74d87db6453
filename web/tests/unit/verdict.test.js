import assert from 'node:assert/strict';
import {test} from 'node:test';
import {reasons, Roster, verdict} from '../../src/verdict.js';

function known(more = {}, m = {}) {
	return {
		metrics: {
			connections: {total: 10, created: 20, by_server: {}}, messages: {latency: {p95: 10}}, errors: {rate: 2}, counting_since: 'a',
			capture: {balanced: true, unbalanced: [], hooks: [{attached: true}]}, ...m,
		},
		about: null, gone: [], usual: null, peakOfMinute: 10, filtered: false, ...more,
	};
}

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
	['a lost store', known({}, {store: 'unavailable since 14:05'}), ['bad store']],
	['a store that is there', known({}, {store: 'available'}), []],
	['a server that is gone', known({gone: ['node:8000']}), ['bad gone node:8000']],
	['an engine that cannot count', known({about: {engine: 'what was counted cannot be read', verdict: {}}}), ['bad engine']],
	['an engine without hooks', known({}, {capture: {balanced: true, hooks: [{attached: false}]}}), ['bad hooks']],
	['one hook of two', known({}, {capture: {balanced: true, hooks: [{attached: false}, {attached: true}]}}), []],
	['errors above three times their median', known({usual: {errors: 0.6, p95: 10}}), ['warning errors']],
	['errors below it', known({usual: {errors: 0.7, p95: 10}}), []],
	['few errors, however unusual', known({usual: {errors: 0, p95: 10}}, {errors: {rate: 0.9}}), []],
	['latency above three times its median', known({usual: {errors: 9, p95: 3}}), ['warning latency']],
	['tiny latency, however unusual', known({usual: {errors: 9, p95: 0.1}}, {messages: {latency: {p95: 4.9}}}), []],
	['no latency', known({usual: {errors: 9, p95: 1}}, {messages: {latency: null}}), []],
	['a fall by 30 per cent', known({peakOfMinute: 100}, {connections: {total: 70, created: 200, by_server: {}}}), ['warning drop']],
	['a fall by 29 per cent', known({peakOfMinute: 100}, {connections: {total: 71, created: 200, by_server: {}}}), []],
	['a fall of few', known({peakOfMinute: 9}, {connections: {total: 0, created: 200, by_server: {}}}), []],
	['other thresholds', known({peakOfMinute: 100, about: {engine: null, verdict: {'drop-percent': 50}}}, {connections: {total: 51, created: 200, by_server: {}}}), []],
	['a selection is not measured by what is usual for all', known({filtered: true, usual: {errors: 0.1, p95: 1}}), []],
]) test(sentence, () => assert.deepEqual(said(k), expected));

test('the worst comes first', () => {
	const k = known({peakOfMinute: 100, gone: ['x']});
	const found = reasons(k);
	assert.deepEqual(found.map((r) => r.level), ['bad', 'warning']);
	assert.deepEqual(verdict(k, found), {level: 'bad', text: 'Server x is gone'});
});

test('a server is gone when it has ended with connections and nobody has come back', () => {
	const roster = new Roster();
	const m = (by_server, exits = [], since = 'a') => ({counting_since: since, connections: {by_server}, errors: {recent: exits.map((server) => ({server, cause: 'server_exit', timestamp: '2024-01-01T00:00:00Z'}))}});
	assert.deepEqual(roster.update(m({a: 1, b: 2})), []);
	assert.deepEqual(roster.update(m({a: 1, b: 0})), []); // idle is not gone
	assert.deepEqual(roster.update(m({a: 1, b: 0}, ['b'])), ['b']);
	assert.deepEqual(roster.update(m({a: 1, b: 0})), ['b']); // also when the error has left the list
	assert.deepEqual(roster.update(m({a: 1, b: 3})), []); // back
	assert.deepEqual(roster.update(m({a: 1, b: 0})), []);
	assert.deepEqual(roster.update(m({a: 0, b: 0}, ['a', 'b'])), ['a', 'b']);
	assert.deepEqual(roster.update(m({b: 0})), ['b']); // forgotten by the agent
	assert.deepEqual(roster.update(m({b: 0}, [], 'b')), []); // counting began anew
});
