/** Numbers and times as people read them. Pure. Everything unknown is a dash, never a zero. */

export const NONE = '–';

const whole = new Intl.NumberFormat('en', {maximumFractionDigits: 0});
const short = new Intl.NumberFormat('en', {notation: 'compact', maximumFractionDigits: 2});

/** @param {?number|undefined} n @returns {n is number} */
export function known(n) {
	return typeof n === 'number' && Number.isFinite(n);
}

/** 12,345; from a million on 1.23M @param {?number} [n] */
export function count(n) {
	if (!known(n)) return NONE;
	return Math.abs(n) < 1e6 ? whole.format(n) : short.format(n);
}

/** three digits that matter @param {number} n */
function digits(n) {
	const size = Math.abs(n);
	if (size >= 1e5) return count(n);
	if (size >= 100) return whole.format(n);
	if (size >= 10) return n.toFixed(1);
	return size === 0 ? '0' : n.toFixed(2);
}

/** @param {?number} [n] */
export function rate(n) {
	return known(n) ? digits(n) : NONE;
}

/** milliseconds with the unit that fits @param {?number} [n] */
export function ms(n) {
	const [value, unit] = msParts(n);
	return unit ? `${value} ${unit}` : value;
}

/** @param {?number} [n] @returns {[string,string]} */
export function msParts(n) {
	if (!known(n)) return [NONE, ''];
	if (n === 0) return ['0', 'ms'];
	if (n < 0.9995) return [digits(n * 1000), 'µs'];
	if (n < 999.5) return [digits(n), 'ms'];
	return [digits(n / 1000), 's'];
}

/** seconds @param {?number} [s] */
export function duration(s) {
	if (!known(s)) return NONE;
	if (s < 1) return `${Math.round(s * 1000)} ms`;
	if (s < 60) return `${s < 10 ? s.toFixed(1) : Math.round(s)} s`;
	const units = /** @type {[string, number][]} */ ([['d', 86400], ['h', 3600], ['min', 60], ['s', 1]]);
	let rest = Math.round(s);
	const parts = [];
	for (const [unit, size] of units) {
		const n = Math.floor(rest / size);
		if (n || parts.length) parts.push(`${n} ${unit}`);
		rest -= n * size;
	}
	return parts.slice(0, 2).filter((word) => !word.startsWith('0 ')).join(' ');
}

/** @param {?number} [n] */
export function bytes(n) {
	if (!known(n)) return NONE;
	const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
	let at = 0;
	while (Math.abs(n) >= 999.5 && at < units.length - 1) {
		n /= 1000;
		at++;
	}
	return `${at ? digits(n) : whole.format(n)} ${units[at]}`;
}

/** @param {?number} [n] 0 to 1; what is not all is never 100 %, what is not nothing never 0 % */
export function share(n) {
	if (!known(n)) return NONE;
	const percent = n * 100;
	if (percent > 99 && percent < 100) return percent >= 99.9 ? '>99.9 %' : `${percent.toFixed(1)} %`;
	if (percent > 0 && percent < 1) return percent < 0.1 ? '<0.1 %' : `${percent.toFixed(1)} %`;
	return `${Math.round(percent)} %`;
}

/** How it has changed: {text, up}; null when it cannot be said. @param {?number} [now] @param {?number} [before] */
export function change(now, before) {
	if (!known(now) || !known(before)) return null;
	if (now === before) return {text: 'unchanged', up: 0};
	if (before === 0) return {text: `up from 0`, up: 1};
	const part = now / before - 1;
	const up = Math.sign(part);
	if (Math.abs(part) < 0.005) return {text: 'unchanged', up: 0};
	if (part > 9.995) return {text: `${digits(now / before)} times`, up};
	return {text: `${up > 0 ? '+' : '−'}${Math.round(Math.abs(part) * 100)} %`, up};
}

/** @type {Map<string, Intl.DateTimeFormat>} */
const formats = new Map();

/** @param {string} key @param {Intl.DateTimeFormatOptions} options @param {string} [zone] */
function formatter(key, options, zone) {
	const name = `${key} ${zone ?? ''}`;
	let made = formats.get(name);
	if (!made) {
		made = new Intl.DateTimeFormat('en-GB', {...options, hourCycle: 'h23', timeZone: zone});
		formats.set(name, made);
	}
	return made;
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sept', 'Oct', 'Nov', 'Dec'];
const two = (/** @type {number} */ n) => (n < 10 ? `0${n}` : String(n));

/* Without a zone by hand: a page writes hundreds of times a second, and Intl takes its time. */

/** 14:05:09 @param {number} t seconds @param {string} [zone] */
export function clock(t, zone) {
	if (!zone) return `${hour(t)}:${two(new Date(t * 1000).getSeconds())}`;
	return formatter('clock', {hour: '2-digit', minute: '2-digit', second: '2-digit'}, zone).format(t * 1000);
}

/** 14:05 @param {number} t @param {string} [zone] */
export function hour(t, zone) {
	if (!zone) {
		const at = new Date(t * 1000);
		return `${two(at.getHours())}:${two(at.getMinutes())}`;
	}
	return formatter('hour', {hour: '2-digit', minute: '2-digit'}, zone).format(t * 1000);
}

/** 25 Nov @param {number} t @param {string} [zone] */
export function day(t, zone) {
	if (!zone) {
		const at = new Date(t * 1000);
		return `${at.getDate()} ${MONTHS[at.getMonth()]}`;
	}
	return formatter('day', {day: 'numeric', month: 'short'}, zone).format(t * 1000);
}

/** 25 Nov 14:05:09 @param {number} t @param {string} [zone] */
export function stamp(t, zone) {
	return `${day(t, zone)} ${clock(t, zone)}`;
}

/** Today's times without the date. @param {number} t @param {number} now @param {string} [zone] */
export function moment(t, now, zone) {
	return day(t, zone) === day(now, zone) && now - t < 86400 ? clock(t, zone) : stamp(t, zone);
}

let zone = '';

/** "UTC+01:00 (Europe/Berlin)" @param {Date} [at] */
export function zoneName(at = new Date()) {
	const minutes = -at.getTimezoneOffset();
	zone ||= Intl.DateTimeFormat().resolvedOptions().timeZone;
	const size = Math.abs(minutes);
	const offset = minutes ? `UTC${minutes > 0 ? '+' : '−'}${two(Math.floor(size / 60))}:${two(size % 60)}` : 'UTC';
	return zone && zone !== 'UTC' ? `${offset} (${zone})` : offset;
}

/** What a label in code is in words: authentication_error -> authentication error @param {string} key */
export function words(key) {
	return key.replaceAll('_', ' ');
}

/** One cell; a text from strangers is no formula (SPEC 5). @param {string|number|null|undefined} value */
export function csvCell(value) {
	if (value === null || value === undefined) return '';
	if (typeof value === 'number') return String(value);
	const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
	return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** @param {(string|number|null|undefined)[][]} rows */
export function csv(rows) {
	return rows.map((row) => row.map(csvCell).join(',')).join('\r\n') + '\r\n';
}
