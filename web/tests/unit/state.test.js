import assert from 'node:assert/strict';
import {test} from 'node:test';
import * as s from '../../src/state.js';

test('the view that the page begins with needs no query', () => {
	assert.equal(s.encode(s.initial()), '');
	assert.deepEqual(s.decode(''), s.initial());
});

test('every part of a view comes back from its address', () => {
	const state = {
		range: '24h', points: 120, from: 1700000000, to: 1700003600, refresh: 1, auto: false, window: '1h', draw: 'bars', compare: 'week',
		server: 'node:8000@chat.service', channel: '/ws/<script>&x=1#', user: '"\'؟😀', rows: 'all', theme: 'dark', tables: {servers: {sort: '-open', find: 'a&b'}, recent: {sort: 'type', find: ''}},
	};
	assert.deepEqual(s.decode(s.encode(state)), state);
	for (const key of Object.keys(state)) {
		const one = {...s.initial(), [key]: state[key], ...(['from', 'to'].includes(key) ? {from: state.from, to: state.to} : {})};
		assert.notEqual(s.encode(one), '', key);
		assert.deepEqual(s.decode(s.encode(one)), one, key);
	}
});

test('what is wrong in an address is left out', () => {
	const wrong = '?range=1y&points=61&refresh=0.001&auto=maybe&window=2m&draw=pie&compare=never&theme=pink&rows=some&from=5&to=4&servers.evil=1&__proto__.sort=x&x.sort=ok';
	const state = s.decode(wrong);
	assert.deepEqual({...state, tables: {}}, s.initial());
	assert.deepEqual(state.tables, {x: {sort: 'ok', find: ''}});
	assert.equal(s.decode(`?channel=${'x'.repeat(999)}`).channel.length, 256);
	assert.equal(s.decode('?from=Infinity&to=Infinity').from, null);
	assert.equal(s.decode('?range=constructor').range, 'live');
});

test('filters go to the API, nothing else does', () => {
	assert.deepEqual(s.filters(s.decode('?server=a&user=b&range=1h')), {server: 'a', user: 'b'});
});
