import assert from 'node:assert/strict';
import {test} from 'node:test';
import {nearestIndex, thinBars, thinLines} from '../../src/thin.js';

const t = Array.from({length: 12}, (_, i) => i * 10);

test('where there is room nothing is thinned', () => {
	const columns = [t.map((x) => x)];
	assert.equal(thinLines(t, columns, 24).t, t);
	assert.equal(thinBars(t, columns, 12).columns, columns);
});

test('a line keeps the lowest and the highest of each step, in their order', () => {
	const found = thinLines(t, [[5, 1, 9, 5, /**/ 5, 9, 1, 5, /**/ 2, 2, 2, 2], [0, 0, 0, 0, 1, null, null, null, null, null, null, null]], 6);
	assert.deepEqual(found.t, [0, 30, 40, 70, 80, 110]);
	assert.deepEqual(found.columns, [[1, 9, 9, 1, 2, 2], [0, 0, 1, 1, null, null]]);
});

test('no peak is lost, wherever it is', () => {
	for (let at = 0; at < 12; at++) {
		const column = t.map((_, i) => (i === at ? 100 : 1));
		for (const room of [2, 3, 4, 5, 6, 8]) assert.ok(thinLines(t, [column], room).columns[0].includes(100), `${at} ${room}`);
	}
});

test('a gap stays one', () => {
	const gap = [1, 1, 1, 1, 1, null, 1, 1, 1, 1, 1, 1];
	const found = thinLines(t, [gap, gap], 6);
	assert.deepEqual(found.columns[0], [1, 1, 1, null, 1, 1, 1, 1]);
	assert.equal(found.t[3], 50);
	assert.deepEqual(thinBars(t, [gap], 3).columns[0], [1, 1, null, 1, 1]);
});

test('bars are means, so that stacks still add up', () => {
	const a = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], b = a.map((x) => 2 * x);
	const found = thinBars(t, [a, b], 3);
	assert.deepEqual(found, {t: [15, 55, 95], columns: [[2.5, 6.5, 10.5], [5, 13, 21]]});
});

test('the nearest point', () => {
	assert.deepEqual([-5, 0, 4, 6, 104, 106, 500].map((x) => nearestIndex(t, x)), [0, 0, 0, 1, 10, 11, 11]);
	assert.equal(nearestIndex([], 5), -1);
});
