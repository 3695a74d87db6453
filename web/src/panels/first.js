/** What a person sees who has just started: what is watched, and how to see something. */
import {el, write} from '../dom.js';

/** @returns {import('../types.js').Panel} */
export function first() {
	const scope = el('code');
	const node = el('section', {class: 'panel full first', id: 'first', 'aria-labelledby': 'first-title'},
		el('h2', {id: 'first-title'}, 'Nothing has been seen yet'),
		el('ol', {},
			el('li', {}, 'The agent watches ', scope, '. A connection appears here as soon as it is opened.'),
			el('li', {}, 'Open a page that uses one of your WebSocket servers, or reconnect a client. Servers need no change and no restart.'),
			el('li', {}, 'To see living numbers without a server of your own: ', el('code', {}, 'sudo scripts/run --demo')),
			el('li', {}, 'Still nothing? ', el('code', {}, 'sudo wsvitals doctor'), ' says what this host can and cannot observe, and why.')));
	return {
		node,
		update(view) {
			const {created, total} = view.metrics.connections;
			node.hidden = created > 0 || total > 0 || view.metrics.errors.total > 0 || Boolean(view.state.server || view.state.channel || view.state.user);
			write(scope, view.about?.scope ?? 'its scope');
		},
	};
}
