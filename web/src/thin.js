/**
 * More points than pixels are not drawn one by one: side by side they become one step, of which a line keeps the
 * lowest and the highest value in their order, and a stack of bars the mean. What is read and exported stays
 * whole. Pure.
 *
 * @typedef {{t:number[],columns:(?number)[][]}} Drawn
 */

/** Where groups of at most so many points begin; what no column knows is a gap, and a group of its own. @param {(?number)[][]} columns @param {number} nr @param {number} size */
function groups(columns, nr, size) {
	const begins = [];
	let left = 0;
	for (let i = 0; i < nr; i++) {
		const gap = columns.every((column) => column[i] === null);
		if (gap || left === 0) {
			begins.push(i);
			left = gap ? 0 : size - 1;
		} else {
			left--;
		}
	}
	begins.push(nr);
	return begins;
}

/** @param {?number} value */
const unknown = (value) => value === null;

/** @param {number[]} t @param {(?number)[][]} columns @param {number} room points that there is room for @returns {Drawn} */
export function thinLines(t, columns, room) {
	const size = Math.ceil(2 * t.length / Math.max(room, 2));
	if (size < 3) return {t, columns};
	const begins = groups(columns, t.length, size);
	const pairs = begins.slice(0, -1).map((begin, g) => [begin, begins[g + 1]]);
	/** @type {number[]} */
	const times = [];
	for (const [begin, end] of pairs) {
		times.push(t[begin]);
		if (end - begin > 1) times.push(t[end - 1]);
	}
	return {
		t: times,
		columns: columns.map((column) => {
			/** @type {(?number)[]} */
			const found = [];
			if (column.every(unknown)) return times.map(() => null);
			for (const [begin, end] of pairs) {
				let low = -1, high = -1;
				for (let i = begin; i < end; i++) {
					const value = column[i];
					if (value === null || value === undefined) continue;
					if (low < 0 || value < /** @type {number} */ (column[low])) low = i;
					if (high < 0 || value > /** @type {number} */ (column[high])) high = i;
				}
				const first = low < 0 ? null : column[Math.min(low, high)];
				found.push(first);
				if (end - begin > 1) found.push(low < 0 ? null : column[Math.max(low, high)]);
			}
			return found;
		}),
	};
}

/** @param {number[]} t @param {(?number)[][]} columns @param {number} room bars that there is room for @returns {Drawn} */
export function thinBars(t, columns, room) {
	const size = Math.ceil(t.length / Math.max(room, 1));
	if (size < 2) return {t, columns};
	const begins = groups(columns, t.length, size);
	const middle = (/** @type {number} */ g) => (t[begins[g]] + t[begins[g + 1] - 1]) / 2;
	return {
		t: begins.slice(0, -1).map((_begin, g) => middle(g)),
		columns: columns.map((column) => begins.slice(0, -1).map((begin, g) => {
			let sum = 0, known = 0;
			for (let i = begin; i < begins[g + 1]; i++) {
				const value = column[i];
				if (value === null || value === undefined) continue;
				sum += value;
				known++;
			}
			return known ? sum / known : null;
		})),
	};
}

/** The index of the time nearest to this one; -1: there is none. @param {number[]} list in order @param {number} t */
export function nearestIndex(list, t) {
	let low = 0, high = list.length - 1;
	while (low < high) {
		const middle = (low + high) >> 1;
		if (list[middle] < t) low = middle + 1;
		else high = middle;
	}
	return low > 0 && t - list[low - 1] < list[low] - t ? low - 1 : Math.min(low, list.length - 1);
}
