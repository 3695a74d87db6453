/** The four numbers to see at a glance, each with a trend and what has changed against the hour before. */
import {el, Spark, write} from '../dom.js';
import {change, count, ms, msParts, NONE, rate, share} from '../format.js';
import {errorsOf} from '../history.js';
import {unknown} from './tables.js';

/** @typedef {import('../types.js').View} View */
/** @typedef {import('../types.js').Point} Point */

/**
 * @typedef {{
 *   id:string, title:string, color:string,
 *   value:(v:View)=>[string,string], facts:(v:View)=>[string,string][],
 *   trend:(p:Point)=>?number, now:(v:View)=>?number, down?:boolean
 * }} Card
 */

/** @param {Point} p */
const rateOf = (p) => (p.received === null || p.sent === null ? null : p.received + p.sent);

/** @type {Card[]} */
const CARDS = [
	{
		id: 'card-connections', title: 'Active connections', color: '--a',
		value: (v) => [count(v.metrics.connections.total), 'open'],
		facts: (v) => {
			const {created, closed, peak, unrecognised} = v.metrics.connections;
			/** @type {[string,string][]} */
			const facts = [['created', count(created)], ['closed', count(closed)], ['peak', count(peak)]];
			return unrecognised ? [...facts, ['older and silent', count(unrecognised)]] : facts;
		},
		trend: (p) => p.active, now: (v) => v.metrics.connections.total,
	},
	{
		id: 'card-rate', title: 'Message rate', color: '--b',
		value: (v) => [rate(v.metrics.messages.rate_1m), 'per second'],
		facts: (v) => [['1 min', rate(v.metrics.messages.rate_1m)], ['5 min', rate(v.metrics.messages.rate_5m)], ['15 min', rate(v.metrics.messages.rate_15m)]],
		trend: rateOf, now: (v) => v.metrics.messages.rate_1m,
	},
	{
		id: 'card-latency', title: 'Reply latency', color: '--a',
		value: (v) => {
			const [value, unit] = msParts(v.metrics.messages.latency?.p95);
			return [value, unit && `${unit} p95`];
		},
		facts: (v) => {
			const {latency, queue_wait} = v.metrics.messages;
			return [
				['p50', ms(latency?.p50)], ['p99', ms(latency?.p99)], ['timed', share(latency?.timed_share)],
				['queue wait p95', queue_wait ? ms(queue_wait.p95) : unknown(v.state)],
			];
		},
		trend: (p) => p.p95, now: (v) => v.metrics.messages.latency?.p95 ?? null, down: true,
	},
	{
		id: 'card-errors', title: 'Errors', color: '--e1',
		value: (v) => [rate(v.metrics.errors.rate), 'per minute'],
		facts: (v) => [['total', count(v.metrics.errors.total)], ['of opened', share(v.metrics.connections.created ? Math.min(1, v.metrics.errors.total / v.metrics.connections.created) : null)]],
		trend: errorsOf, now: (v) => v.metrics.errors.rate, down: true,
	},
];

/** @param {Card} card @returns {import('../types.js').Panel} */
function make(card) {
	const value = el('span', {class: 'number'}), unit = el('small');
	const changed = el('p', {class: 'change'}), facts = el('p', {class: 'facts'});
	const spark = new Spark(true);
	const title = el('h2', {id: `${card.id}-title`}, card.title);
	/** @type {HTMLElement[]} */
	let cells = [];
	spark.line.style.stroke = `var(${card.color})`;
	if (spark.area) spark.area.style.fill = `color-mix(in srgb, var(${card.color}) 12%, transparent)`;
	spark.node.classList.add('spark');
	const node = el('div', {class: 'panel card', role: 'group', id: card.id, 'aria-labelledby': title.id}, title, spark.node, el('p', {class: 'value'}, value, unit), changed, facts);
	return {
		node,
		update(view) {
			const [text, words] = card.value(view);
			write(value, text);
			write(unit, words);
			const list = card.facts(view);
			if (cells.length !== list.length) {
				cells = list.map(() => el('b'));
				facts.replaceChildren(...list.map(([label], i) => el('span', {}, `${label} `, cells[i])));
			}
			list.forEach(([, number], i) => write(cells[i], number));
			const before = view.before ? card.trend(view.before) : null;
			const how = change(card.now(view), before);
			write(changed, how ? `${how.text} against an hour before` : `${NONE} against an hour before`);
			spark.update(view.trend.map(card.trend));
		},
	};
}

/** @returns {import('../types.js').Panel[]} */
export function cards() {
	return CARDS.map(make);
}
