/** The capture line: whether every byte, connection and message is accounted for, and what was lost. */
import {el, write} from '../dom.js';
import {bytes, count, words} from '../format.js';

/** What is no part of the numbers: legs to other servers, and what was open before and has shown nothing. @param {any} metrics */
function elsewhere(metrics) {
	const upstream = `upstream: ${count(metrics.upstream?.connections)} connections`;
	const silent = metrics.connections.unrecognised;
	return silent ? `${upstream}; ${count(silent)} more of these servers, open before counting began, silent since` : upstream;
}

/** @returns {import('../types.js').Panel} */
export function books() {
	const names = ['Bytes received', 'Bytes sent', 'Connections', 'Messages', 'Events', 'Losses', 'Hooks', 'Elsewhere'];
	const cells = names.map(() => el('dd'));
	const sign = el('span', {class: 'tag'});
	const list = el('dl', {class: 'books'}, ...names.map((name, i) => el('div', {}, el('dt', {}, name), cells[i])));
	const apart = el('p', {class: 'empty'}, 'The books are kept for all servers together. Without a filter they are here.');
	const node = el('section', {class: 'panel wide', id: 'books', 'aria-labelledby': 'books-title'},
		el('div', {class: 'head'}, el('h2', {id: 'books-title'}, 'Books'), sign),
		list, apart);
	return {
		node,
		update({metrics}) {
			const c = metrics.capture;
			list.hidden = !c?.bytes;
			apart.hidden = !list.hidden;
			if (list.hidden) return write(sign, '');
			const way = (/** @type {any} */ b) => `${bytes(b.seen)} seen = ${bytes(b.header)} headers + ${bytes(b.payload)} payload + ${bytes(b.gap)} gap`;
			const dropped = Object.entries(c.events?.dropped ?? {}).filter(([, n]) => n);
			const losses = Object.entries(c.losses ?? {}).filter(([, n]) => n);
			const loose = (c.hooks ?? []).filter((/** @type {any} */ hook) => !hook.attached);
			const named = (/** @type {[string,any][]} */ rows) => rows.map(([name, n]) => `${count(n)} ${words(name)}`).join(', ');
			write(sign, c.balanced ? 'balanced' : 'not balanced');
			sign.classList.toggle('bad-value', !c.balanced);
			[
				way(c.bytes.received), way(c.bytes.sent),
				`${count(c.connections.opened)} opened = ${count(c.connections.closed)} closed + ${count(c.connections.active)} active`,
				`${count(c.messages.received)} received = ${count(c.messages.timed)} timed + ${count(c.messages.ambiguous)} ambiguous + ${count(c.messages.unanswered)} unanswered + ${count(c.messages.waiting)} waiting`,
				dropped.length ? `${count(c.events.submitted)} submitted, dropped: ${named(dropped)}` : `${count(c.events.submitted)} submitted, none dropped`,
				losses.length ? named(losses) : 'nothing was lost',
				loose.length ? `${loose.length} not attached: ${loose.map((/** @type {any} */ h) => h.purpose).join(', ')}` : `all ${count(c.hooks?.length)} attached`,
				elsewhere(metrics),
			].forEach((text, i) => write(cells[i], text));
		},
	};
}
