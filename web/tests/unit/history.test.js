import assert from 'node:assert/strict';
import {test} from 'node:test';
import {ahead, median, nearest, points, span, usual} from '../../src/history.js';
import {decode} from '../../src/state.js';

const row = (timestamp, total) => ({
	timestamp, connections: {total, created: 1, closed: 2}, messages: {received: 300, sent: 600, latency: {p50: 1, p95: 2, p99: 3}}, errors: {by_type: {x: 5}},
});

test('an interval is drawn at its middle, as rates', () => {
	const [p] = points({interval_minutes: 5, data: [row('2024-01-01T00:00:00Z', 7)]});
	assert.deepEqual(p, {t: Date.parse('2024-01-01T00:02:30Z') / 1000, active: 7, opened: 1, closed: 2, received: 1, sent: 2, p50: 1, p95: 2, p99: 3, errors: {x: 1}});
});

test('time without the agent is a gap', () => {
	const found = points({interval_minutes: 5, data: [row('2024-01-01T00:00:00Z', 1), row('2024-01-01T00:05:00Z', 2), row('2024-01-01T00:30:00Z', 3)]});
	assert.deepEqual(found.map((p) => p.active), [1, 2, null, 3]);
});

test('an earlier period is laid over a later one', () => {
	const [p] = points({interval_seconds: 10, data: [row('2024-01-01T00:00:00Z', 1)]}, 3600);
	assert.equal(p.t, Date.parse('2024-01-01T01:00:05Z') / 1000);
});

test('a span is whole steps, and no more points than a chart has room for', () => {
	for (const range of ['15m', '1h', '6h', '24h', '7d', '30d']) {
		const at = span(decode(`?range=${range}`), 1_700_000_123);
		assert.ok((at.to - at.from) / at.step <= 361, range);
		assert.equal(at.to % at.step, 0);
		assert.equal(at.from % at.step, 0);
	}
	assert.equal(span(decode('?range=24h'), 1_700_000_123).step, 300);
	const zoomed = span(decode('?range=24h&from=1700000000&to=1700001000'), 1_800_000_000);
	assert.deepEqual(zoomed, {from: 1700000000, to: 1700001000, step: 10});
});

test('medians', () => {
	assert.equal(median([]), null);
	assert.equal(median([null, 3, 1, 2]), 2);
	assert.equal(median([4, 1, 2, 3]), 2.5);
});

test('what is usual needs an hour', () => {
	const data = Array.from({length: 12}, (_, i) => row(new Date(1_700_000_000_000 + i * 300_000).toISOString(), 1));
	assert.equal(usual(points({interval_minutes: 5, data: data.slice(1)})), null);
	assert.deepEqual(usual(points({interval_minutes: 5, data})), {errors: 1, p95: 2});
});

test('the nearest point is near enough or none', () => {
	const list = points({interval_minutes: 5, data: [row('2024-01-01T00:00:00Z', 1), row('2024-01-01T00:05:00Z', 2)]});
	assert.equal(nearest(list, list[1].t + 10, 60)?.active, 2);
	assert.equal(nearest(list, list[1].t + 100, 60), null);
});

test('a forecast is hours with an interval, or none', () => {
	assert.deepEqual(ahead({data: [{timestamp: '2024-01-01T00:00:00Z', connections: {value: 5, low: 3, high: 9}, rate: {value: 1, low: 0, high: 2}}]}),
		[{t: Date.parse('2024-01-01T00:30:00Z') / 1000, active: {value: 5, low: 3, high: 9}, rate: {value: 1, low: 0, high: 2}}]);
	assert.deepEqual(ahead({data: [], missing_hours: 30}), []);
	assert.deepEqual(ahead({}), []);
});
