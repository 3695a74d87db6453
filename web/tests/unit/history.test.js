import assert from 'node:assert/strict';
import {test} from 'node:test';
import {above, ahead, fall, heat, joined, joinedHeat, marks, median, nearest, periods, points, span, stepOf, usual} from '../../src/history.js';
import {decode} from '../../src/state.js';

const row = (timestamp, total, more = {}) => ({
	timestamp, covered_seconds: 300, connections: {total, created: 300, closed: 600}, messages: {received: 300, sent: 600, latency: {p50: 1, p95: 2, p99: 3}}, errors: {total: 5, by_type: {x: 5}}, ...more,
});

test('an interval is drawn at its middle, as rates of the time that was counted', () => {
	const [p] = points({interval_seconds: 300, data: [row('2024-01-01T00:00:00Z', 7)]});
	assert.deepEqual(p, {t: Date.parse('2024-01-01T00:02:30Z') / 1000, active: 7, opened: 1, closed: 2, received: 1, sent: 2, p50: 1, p95: 2, p99: 3, errors: {x: 1}, by_type: {x: 5}});
	const [half] = points({interval_seconds: 300, data: [row('2024-01-01T00:00:00Z', 7, {covered_seconds: 150})]});
	assert.equal(half.received, 2);
	assert.deepEqual(half.errors, {x: 2});
	assert.equal(points({interval_seconds: 300, data: [row('2024-01-01T00:00:00Z', 7, {covered_seconds: 0})]})[0].received, null);
});

test('what history does not know of a user is not zero', () => {
	const [p] = points({interval_seconds: 300, data: [{
		timestamp: '2024-01-01T00:00:00Z', covered_seconds: 300, connections: {total: 2, created: 0, closed: 0},
		messages: {received: 3, sent: 6, latency: null}, errors: {total: null, by_type: {}},
	}]});
	assert.deepEqual([p.errors, p.p95, p.opened], [null, null, 0]);
	assert.equal(heat({interval_seconds: 10, data: [{timestamp: '2024-01-01T00:00:00Z', buckets: null, count: null}]}), null);
});

test('time without the agent is a gap', () => {
	const found = points({interval_seconds: 300, data: [row('2024-01-01T00:00:00Z', 1), row('2024-01-01T00:05:00Z', 2), row('2024-01-01T00:30:00Z', 3)]});
	assert.deepEqual(found.map((p) => p.active), [1, 2, null, 3]);
});

test('an earlier period is laid over a later one', () => {
	const [p] = points({interval_seconds: 10, data: [row('2024-01-01T00:00:00Z', 1)]}, 3600);
	assert.equal(p.t, Date.parse('2024-01-01T01:00:05Z') / 1000);
	assert.deepEqual(periods({from: 7200, to: 9000, step: 10}, 3600), {a: '3600/5400', b: '7200/9000'});
});

test('a heatmap has the buckets of each interval', () => {
	assert.deepEqual(heat({interval_seconds: 10, data: [{timestamp: '1970-01-01T00:01:00Z', buckets: [[1, 2, 3], [2, 4, 5]], count: 8}, {timestamp: '1970-01-01T00:01:10Z', buckets: [], count: 0}]}), [
		{t: 60, until: 70, cells: [{low: 1, high: 2, count: 3}, {low: 2, high: 4, count: 5}]}, {t: 70, until: 80, cells: []},
	]);
});

test('events are told in words', () => {
	const found = marks({data: [{timestamp: '1970-01-01T00:01:00Z', type: 'agent_start', server: null, text: 'wsvitals 1'}, {timestamp: '1970-01-01T00:01:00Z', type: 'server_gone', server: 'a:1', text: ''}, {timestamp: '1970-01-01T00:01:00Z', type: 'new_kind', server: null, text: ''}]});
	assert.deepEqual(found.map((m) => [m.t, m.text]), [[60, 'agent started: wsvitals 1'], [60, 'a:1 is gone'], [60, 'new kind']]);
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
	assert.equal(usual(points({interval_seconds: 300, data: data.slice(1)})), null);
	assert.deepEqual(usual(points({interval_seconds: 300, data})), {errors: 1, p95: 2});
});

test('the nearest point is near enough or none', () => {
	const list = points({interval_seconds: 300, data: [row('2024-01-01T00:00:00Z', 1), row('2024-01-01T00:05:00Z', 2)]});
	assert.equal(nearest(list, list[1].t + 10, 60)?.active, 2);
	assert.equal(nearest(list, list[1].t + 100, 60), null);
});

test('a forecast is hours with an interval, or none', () => {
	const hours = ['2024-01-01T00:00:00Z', '2024-01-01T01:00:00Z'].map((timestamp) => ({timestamp, connections: {value: 5, low: 3, high: 9}, message_rate: {value: 1, low: 0, high: 2}}));
	const t = Date.parse('2024-01-01T00:30:00Z') / 1000;
	assert.deepEqual(ahead({data: hours}, t + 60), [{t, active: {value: 5, low: 3, high: 9}, rate: {value: 1, low: 0, high: 2}}]);
	assert.equal(ahead({data: hours}, Infinity).length, 2);
	assert.deepEqual(ahead({data: [], missing_hours: 30}, Infinity), []);
});

test('steps are as fine as there is room', () => assert.deepEqual([3600, 86400, 604800, 1e12].map((n) => stepOf(n)), [10, 300, 1800, 86400]));

const open = (t, active) => ({t, active, errors: {}, p95: active});

test('a fall is within a minute, of the last five, and lasts until it is made good', () => {
	const limits = {percent: 30, least: 10};
	const list = [open(0, 100), open(30, 100), open(50, 60), open(200, 60)];
	assert.deepEqual(fall(list.slice(0, 3), 55, 60, limits), {from: 100, share: 0.4, since: 50});
	assert.deepEqual(fall(list, 300, 60, limits), {from: 100, share: 0.4, since: 50});
	assert.equal(fall(list, 300, 80, limits), null);
	assert.equal(fall(list, 360, 60, limits), null);
	assert.deepEqual(fall([open(0, 10)], 5, 7, limits), {from: 10, share: 0.3, since: 5});
	assert.equal(fall([open(0, 10)], 5, 8, limits), null);
	assert.equal(fall([open(0, 9)], 5, 0, limits), null);
	assert.equal(fall([open(0, 100), open(50, 80), open(100, 60)], 100, 60, limits), null); // slowly
	assert.equal(fall([], 5, 5, limits), null);
});

test('since when a measure is above its limit', () => {
	const day = [5, 1, 5, 6].map((n, i) => open(150 + i * 300, n));
	assert.equal(above(day, (p) => p.p95, 4), 600);
	assert.equal(above(day, (p) => p.p95, 6), null);
	assert.equal(above([], (p) => p.p95, 6), null);
});

test('what the page slept through comes from history', () => {
	const own = [open(100, 1), open(105, 1), open(150, null), open(200, 2)];
	const past = [75, 85, 95, 105, 115, 125, 185, 195, 205].map((t) => open(t, 9));
	assert.deepEqual(joined(own, past, 80).map((p) => p.t), [85, 100, 105, 115, 125, 185, 200]);
	assert.deepEqual(joined(own, [], 0).map((p) => p.t), [100, 105, 150, 200]);
	const fresh = [{...open(100, 1), received: null}, {...open(101, 1), received: 5}];
	assert.deepEqual(joined(fresh, past.map((p) => ({...p, received: 1})), 80).map((p) => p.t), [85, 101]); // without a break
	assert.deepEqual(joined(fresh, [], 80).map((p) => p.t), [100, 101]);
	assert.deepEqual(joined([], past, 190).map((p) => p.t), [195, 205]);
});

test('a heatmap has columns of history where the page has none', () => {
	const c = (t, until, n) => ({t, until, cells: [{low: 1, high: 2, count: n}]});
	const own = [c(31, 33, 1), c(33, 38, 1), c(72, 74, 1)];
	const past = [c(10, 20, 9), c(20, 30, 9), c(30, 40, 9), c(40, 50, 9), c(60, 70, 9), c(70, 80, 9)];
	assert.deepEqual(joinedHeat(own, past).map((x) => x.t), [10, 20, 31, 33, 40, 60, 72]);
	assert.equal(joinedHeat(own, null), own);
	assert.deepEqual(joinedHeat([], past), past);
});
