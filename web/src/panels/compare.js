/** What is seen beside the period that it is compared with: sums and percentiles of each, from /compare/. */
import {el, write} from '../dom.js';
import {change, count, duration, ms, NONE, rate, stamp} from '../format.js';
import {seconds} from '../samples.js';
import {COMPARES} from '../state.js';

/** @type {[string,(side:any)=>?number,(n:?number)=>string][]} */
const MEASURES = [
	['Most open', (s) => s.connections.peak, count], ['Opened', (s) => s.connections.created, count], ['Closed', (s) => s.connections.closed, count],
	['Closed after, median', (s) => s.connection_duration?.median ?? null, duration],
	['Received', (s) => s.messages.received, count], ['Sent', (s) => s.messages.sent, count], ['Messages/s', (s) => s.messages.rate, rate],
	['Latency p50', (s) => s.messages.latency?.p50 ?? null, ms], ['Latency p95', (s) => s.messages.latency?.p95 ?? null, ms], ['Latency p99', (s) => s.messages.latency?.p99 ?? null, ms],
	['Errors', (s) => s.errors.total, count], ['Errors/min', (s) => s.errors.rate, rate],
];

/** @returns {import('../types.js').Panel} */
export function comparison() {
	const cells = MEASURES.map(() => [el('td'), el('td'), el('td')]);
	const note = el('span', {class: 'note'});
	const before = el('th', {scope: 'col'}, 'Before'), now = el('th', {scope: 'col'}, 'Shown');
	const half = Math.ceil(MEASURES.length / 2);
	const table = (/** @type {number} */ from, /** @type {number} */ to, /** @type {HTMLElement[]} */ top, /** @type {string} */ label) => el('table', {'aria-label': label},
		el('thead', {}, el('tr', {}, el('td'), ...top)),
		el('tbody', {}, ...MEASURES.slice(from, to).map(([name], i) => el('tr', {}, el('th', {scope: 'row', class: 'left'}, name), ...cells[from + i]))));
	const heads = () => [/** @type {HTMLElement} */ (before.cloneNode(true)), /** @type {HTMLElement} */ (now.cloneNode(true)), el('th', {scope: 'col'}, 'Change')];
	const empty = el('p', {class: 'empty'});
	const both = el('div', {class: 'halves'}, table(0, half, heads(), 'Comparison, first half'), table(half, MEASURES.length, heads(), 'Comparison, second half'));
	const node = el('section', {class: 'panel full', id: 'compare', 'aria-labelledby': 'compare-title'},
		el('div', {class: 'head'}, el('h2', {id: 'compare-title'}, 'Comparison'), note), both, empty);
	node.hidden = true;
	return {
		node,
		update({past, state}) {
			node.hidden = state.compare === 'none';
			if (node.hidden) return;
			const answer = past.compare;
			const why = state.user ? 'Periods of one user are not compared.' : past.failed.get('compare') ?? 'Asking the history.';
			both.hidden = !answer;
			write(empty, answer ? '' : why);
			empty.hidden = Boolean(answer);
			write(note, answer ? `${stamp(seconds(answer.b.from))} to ${stamp(seconds(answer.b.to))}, and ${COMPARES[state.compare].text}${counted(answer)}` : '');
			MEASURES.forEach(([, of, show], i) => {
				const [a, b] = answer ? [of(answer.a), of(answer.b)] : [null, null];
				[show(a), show(b), change(b, a)?.text ?? NONE].forEach((text, k) => write(cells[i][k], text));
			});
		},
	};
}

/** Sums of two periods of which one was counted for less time must not be taken as they are. @param {any} answer */
function counted({a, b}) {
	const [x, y] = [a.covered_seconds, b.covered_seconds];
	return Math.abs(x - y) > 0.05 * Math.max(x, y) ? `; counted for ${duration(y)}, before for ${duration(x)}` : '';
}
