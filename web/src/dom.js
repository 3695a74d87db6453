/** Nodes. Text from strangers becomes text nodes and attribute values, never markup. */

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, string|boolean|number|((event:any)=>void)>} [props] class, attributes; onX: listeners
 * @param {...(Node|string|null)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function el(tag, props = {}, ...children) {
	const node = document.createElement(tag);
	for (const [key, value] of Object.entries(props)) {
		if (typeof value === 'function') node.addEventListener(key.slice(2), value);
		else if (value === true) node.setAttribute(key, '');
		else if (value !== false) node.setAttribute(key, String(value));
	}
	node.append(...children.filter((child) => child !== null));
	return node;
}

/** Writes only what has changed, so that nothing flickers and no selection is lost. @param {Node} node @param {string} text */
export function write(node, text) {
	if (node.textContent !== text) node.textContent = text;
}

const SVG = 'http://www.w3.org/2000/svg';

/** @param {string} d @param {string} label */
export function icon(d, label) {
	const svg = document.createElementNS(SVG, 'svg');
	const path = document.createElementNS(SVG, 'path');
	svg.setAttribute('viewBox', '0 0 16 16');
	svg.setAttribute('aria-hidden', 'true');
	path.setAttribute('d', d);
	svg.append(path);
	return el('span', {class: 'icon-holder'}, svg, el('span', {class: 'hidden'}, label));
}

/** A small line of its own scale; gaps stay gaps. */
export class Spark {
	/** @param {boolean} [area] */
	constructor(area = false) {
		this.node = document.createElementNS(SVG, 'svg');
		this.node.setAttribute('class', 'spark');
		this.node.setAttribute('viewBox', '0 0 100 30');
		this.node.setAttribute('preserveAspectRatio', 'none');
		this.node.setAttribute('aria-hidden', 'true');
		this.area = area ? document.createElementNS(SVG, 'path') : null;
		this.area?.setAttribute('class', 'area');
		this.line = document.createElementNS(SVG, 'path');
		if (this.area) this.node.append(this.area);
		this.node.append(this.line);
	}

	/** @param {(?number)[]} values */
	update(values) {
		let low = Infinity, high = -Infinity;
		for (const value of values) if (value !== null) [low, high] = [Math.min(low, value), Math.max(high, value)];
		let line = '', area = '', start = -1, x = 0;
		const span = high - low;
		const close = () => {
			if (start >= 0) area += `L${x} 30L${start} 30Z`;
			start = -1;
		};
		values.forEach((value, i) => {
			if (value === null) return close();
			x = values.length > 1 ? Math.round(i / (values.length - 1) * 1000) / 10 : 0;
			const y = span > 0 ? Math.round((28 - (value - low) / span * 26) * 10) / 10 : 22;
			line += `${start < 0 ? 'M' : 'L'}${x} ${y}`;
			area += `${start < 0 ? 'M' : 'L'}${x} ${y}`;
			if (start < 0) start = x;
		});
		close();
		this.line.setAttribute('d', line);
		this.area?.setAttribute('d', area);
	}
}

/** @param {string} name @param {string} type @param {string} text */
export function download(name, type, text) {
	const url = URL.createObjectURL(new Blob([text], {type}));
	const link = el('a', {href: url, download: name});
	document.body.append(link);
	link.click();
	link.remove();
	setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
