import assert from 'node:assert/strict';
import {test} from 'node:test';
import * as f from '../../src/format.js';

function table(sentence, fn, rows) {
	for (const [given, expected] of rows) test(`${sentence}: ${JSON.stringify(given)}`, () => assert.deepEqual(fn(given), expected));
}

const unknown = [[null, '–'], [undefined, '–'], [NaN, '–'], [Infinity, '–']];
table('count', f.count, [[0, '0'], [999, '999'], [12345, '12,345'], [999999, '999,999'], [1234567, '1.23M'], [2.5e9, '2.5B'], ...unknown]);
table('rate', f.rate, [[0, '0'], [0.004, '0.00'], [1.234, '1.23'], [12.34, '12.3'], [123.4, '123'], [12345.6, '12,346'], ...unknown]);
table('milliseconds', f.ms, [[0, '0 ms'], [0.0004, '0.40 µs'], [0.217, '217 µs'], [0.9994, '999 µs'], [0.9996, '1.00 ms'], [8.65, '8.65 ms'], [45.67, '45.7 ms'], [999.4, '999 ms'],
	[999.6, '1.00 s'], [12345, '12.3 s'], ...unknown]);
table('duration', f.duration, [[0, '0 ms'], [0.061, '61 ms'], [2.955, '3.0 s'], [45.2, '45 s'], [60, '1 min'], [252, '4 min 12 s'], [3600, '1 h'], [7500, '2 h 5 min'], [3661, '1 h 1 min'],
	[273600, '3 d 4 h'], [86400, '1 d'], [59.7, '60 s'], ...unknown]);
table('bytes', f.bytes, [[0, '0 B'], [999, '999 B'], [1000, '1.00 kB'], [999_999, '1.00 MB'], [5.02e3, '5.02 kB'], [1.5e15, '1.50 PB'], ...unknown]);
table('share', f.share, [[0, '0 %'], [1, '100 %'], [0.9308, '93 %'], [0.996, '99.6 %'], [0.99999, '>99.9 %'], [0.004, '0.4 %'], [0.0001, '<0.1 %'], ...unknown]);

test('a change is told in per cent', () => {
	assert.deepEqual(f.change(110, 100), {text: '+10 %', up: 1});
	assert.deepEqual(f.change(70, 100), {text: '−30 %', up: -1});
	assert.deepEqual(f.change(2000, 100), {text: '20.0 times', up: 1});
	assert.deepEqual(f.change(100.2, 100), {text: 'unchanged', up: 0});
	assert.deepEqual(f.change(0, 0), {text: 'unchanged', up: 0});
	assert.deepEqual(f.change(5, 0), {text: 'up from 0', up: 1});
	assert.equal(f.change(null, 1), null);
	assert.equal(f.change(1, null), null);
});

const T = Date.parse('2024-01-05T23:04:09Z') / 1000;
test('times have 24 hours and two digits', () => {
	assert.equal(f.clock(T, 'UTC'), '23:04:09');
	assert.equal(f.clock(T + 3600, 'UTC'), '00:04:09');
	assert.equal(f.hour(T, 'UTC'), '23:04');
	assert.equal(f.stamp(T, 'UTC'), '5 Jan 23:04:09');
	assert.equal(f.clock(T, 'Asia/Kolkata'), '04:34:09');
});
test('a time of another day carries its date', () => {
	assert.equal(f.moment(T, T + 60, 'UTC'), '23:04:09');
	assert.equal(f.moment(T, T + 3600, 'UTC'), '5 Jan 23:04:09');
	assert.equal(f.moment(T, T + 86400 * 366, 'UTC'), '5 Jan 23:04:09');
});
test('the time zone is named with its offset', () => assert.match(f.zoneName(), /^UTC([+−]\d\d:\d\d)?( \(.+\))?$/));

test('a text is no formula in a CSV, a number stays one', () => {
	for (const evil of ['=1+1', '+1', '-1', '@x', '\tx']) assert.ok(f.csvCell(evil).replace(/^"/, '').startsWith("'"), evil);
	assert.equal(f.csvCell(-1), '-1');
	assert.equal(f.csvCell('a,"b"\n'), '"a,""b""\n"');
	assert.equal(f.csvCell(null), '');
	assert.equal(f.csv([['a', 1], ['b', null]]), 'a,1\r\nb,\r\n');
});
