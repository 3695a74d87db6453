import assert from 'node:assert/strict';
import {test} from 'node:test';
import {cells, parse, percentile} from '../../src/prometheus.js';
import {Samples, SAMPLES_MAX} from '../../src/samples.js';
import {stack} from '../../src/chart.js';
import {compare} from '../../src/table.js';

const SINCE = '2024-01-01T00:00:00Z';

function metrics(n = {}) {
	const {since = SINCE, open = 1, created = 0, closed = 0, received = 0, sent = 0, errors = {}, p95 = null, servers = {}} = n;
	return {
		counting_since: since, connections: {total: open, created, closed, by_server: servers, by_channel: {}, by_user: {}},
		messages: {received, sent, latency: {p50: p95, p95, p99: p95}}, errors: {by_type: errors, recent: []}, capture: {},
	};
}

test('rates are differences over time', () => {
	const s = new Samples();
	s.add(100, metrics({received: 10, sent: 20}), null);
	s.add(105, metrics({received: 60, sent: 20, created: 3, errors: {x: 1}, p95: 7}), null);
	assert.deepEqual(s.points[0], {t: 100, active: 1, opened: null, closed: null, received: null, sent: null, p50: null, p95: null, p99: null, errors: null});
	assert.deepEqual(s.points[1], {t: 105, active: 1, opened: 0.6, closed: 0, received: 10, sent: 0, p50: 7, p95: 7, p99: 7, errors: {x: 12}});
});

test('rates are of the time between two counts, not between two answers', () => {
	const s = new Samples();
	const at = (came, uptime, received) => s.add(came, {...metrics({received}), uptime_seconds: uptime}, null);
	at(100, 10.2, 0);
	at(102.9, 12.2, 200); // late
	at(104, 14.2, 400);
	at(104.5, 14.2, 400); // the same count again
	assert.deepEqual(s.points.map((p) => p.received), [null, 100, 100]);
	assert.deepEqual(s.points.map((p) => Math.round(p.t * 10) / 10), [100, 102, 104]);
	at(204, 16.2, 600); // the host slept
	assert.equal(s.points.at(-1).t, 204);
});

test('a counter that began anew makes a gap and a mark, no negative rate', () => {
	const s = new Samples();
	s.add(100, metrics({received: 1000}), null);
	s.add(105, metrics({received: 5, since: '2024-01-01T00:01:42Z'}), null);
	s.add(110, metrics({received: 10, since: '2024-01-01T00:01:42Z'}), null);
	assert.deepEqual(s.points.map((p) => p.active), [1, null, 1, 1]);
	assert.deepEqual(s.points.map((p) => p.received), [null, null, null, 1]);
	assert.equal(s.marks.length, 1);
});

test('what was missed is a gap, not a line', () => {
	const s = new Samples();
	s.add(100, metrics({received: 0}), null);
	s.miss();
	s.add(160, metrics({received: 600}), null);
	assert.deepEqual(s.points.map((p) => p.active), [1, null, 1]);
	assert.equal(s.points[2].received, null);
});

test('memory is bounded and old answers are cut', () => {
	const s = new Samples();
	for (let t = 1; t < SAMPLES_MAX + 500; t++) s.add(t, metrics({received: t}), new Map([['a', {open: 1, messages: t, errors: 0, buckets: new Map([[1, t]])}]]));
	assert.equal(s.list.length, 60);
	assert.ok(s.points.length <= SAMPLES_MAX && s.heat.length <= SAMPLES_MAX && s.kept.length <= 16);
	assert.equal(s.list.filter((x) => x.servers || x.metrics.capture).length, 1);
	assert.equal(s.points.at(-1)?.received, 1);
});

test('the same moment twice is one sample', () => {
	const s = new Samples();
	s.add(100, metrics(), null);
	s.add(100, metrics(), null);
	assert.equal(s.list.length, 1);
});

test('a server has its own rates, from the last minute', () => {
	const s = new Samples();
	const at = (messages, errors, n) => new Map([['a', {open: 2, messages, errors, buckets: new Map([[1, 0], [2, n], [Infinity, n]])}]]);
	s.add(100, metrics({servers: {a: 2}}), at(0, 0, 0));
	s.add(130, metrics({servers: {a: 3}}), at(300, 1, 30));
	assert.deepEqual(s.rows('by_server'), [{name: 'a', open: 3, messages: null, line: [2, 3], rate: 10, errors: 2, p95: 1.5}]);
});

test('the heatmap has a column for each step of the agent, empty ones too', () => {
	const s = new Samples();
	const at = (n) => new Map([['a', {open: 1, messages: 0, errors: 0, buckets: new Map([[1, n], [Infinity, n]])}]]);
	for (const [t, n] of [[100, 0], [105, 0], [110, 4], [115, 4], [120, 4], [125, 4], [130, 5]]) s.add(t, metrics(), at(n));
	assert.deepEqual(s.heat.map((c) => [c.t, c.until, c.cells.map((x) => x.count)]), [[100, 110, [4]], [110, 125, []], [125, 130, [1]]]);
});

test('the exposition: servers with hostile names, sums over labels', () => {
	const found = parse([
		'# HELP wsvitals_connections x', 'wsvitals_connections{server="a\\"} 9\\\\ \\n{b\\""} 3',
		'wsvitals_messages_total{server="s",direction="received"} 5', 'wsvitals_messages_total{server="s",direction="sent"} 6',
		'wsvitals_errors_total{server="s",type="x"} 2', 'wsvitals_latency_seconds_bucket{server="s",le="0.001"} 4', 'wsvitals_latency_seconds_bucket{server="s",le="+Inf"} 7',
		'wsvitals_other{server="s"} 1', 'wsvitals_connections 5', '',
	].join('\n'));
	assert.deepEqual([...found.keys()], ['a"} 9\\ \n{b"', 's']);
	assert.deepEqual(found.get('s'), {open: 0, messages: 11, errors: 2, buckets: new Map([[1, 4], [Infinity, 7]])});
});

test('cells are differences between bounds; none after a new beginning', () => {
	const before = new Map([[1, 5], [2, 6], [Infinity, 6]]);
	assert.deepEqual(cells(before, new Map([[1, 5], [2, 9], [Infinity, 9]])), [{low: 1, high: 2, count: 3}]);
	assert.deepEqual(cells(before, new Map([[1, 1], [2, 1], [Infinity, 1]])), []);
	assert.deepEqual(cells(before, before), []);
	assert.equal(percentile([{low: 0, high: 2, count: 90}, {low: 2, high: 4, count: 10}], 0.95), 3);
	assert.equal(percentile([], 0.95), null);
});

test('stacks keep gaps', () => assert.deepEqual(stack([[1, null, 2], [3, null, 0]]), [[1, null, 2], [4, null, 2]]));

test('sorting puts what is not known last, and numbers in names in order', () => {
	assert.deepEqual([3, null, 1].sort((a, b) => compare(a, b, false)), [1, 3, null]);
	assert.deepEqual([3, null, 1].sort((a, b) => compare(a, b, true)), [3, 1, null]);
	assert.deepEqual(['c10', 'c9'].sort((a, b) => compare(a, b, false)), ['c9', 'c10']);
});
