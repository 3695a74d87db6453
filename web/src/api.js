/**
 * Asks the agent. Every answer is one of: ok, missing (404: this version has no such path), login (the
 * session has ended), refused (a 4xx that says why), late (it is overloaded or just starting), lost
 * (it cannot be reached).
 *
 * @typedef {{kind:'ok',data:any}|{kind:'missing'|'login'|'lost'}|{kind:'refused'|'late',why:string}} Result
 */
const TIMEOUT_MS = 10_000;
const AGAIN_MS = 1000;

/** @param {string} path relative to the page @param {Record<string,string>} [query] @param {'json'|'text'} [as] @returns {Promise<Result>} */
export async function ask(path, query = {}, as = 'json') {
	const text = new URLSearchParams(query).toString();
	const get = () => fetch(text ? `${path}?${text}` : path, {
		credentials: 'same-origin', cache: 'no-store', redirect: 'error', signal: AbortSignal.timeout(TIMEOUT_MS),
		headers: as === 'json' ? {Accept: 'application/json'} : {Accept: 'text/plain'},
	});
	try {
		let response = await get();
		if (response.status === 429) {
			/* quick clicks, or several tabs of one session: 20 requests a second are allowed */
			await new Promise((resolve) => { setTimeout(resolve, AGAIN_MS * (1 + Math.random())); });
			response = await get();
		}
		if (response.ok) return {kind: 'ok', data: as === 'json' ? await response.json() : await response.text()};
		if (response.status === 404) return {kind: 'missing'};
		if (response.status === 401 || response.status === 403) return {kind: 'login'};
		return {kind: response.status === 429 || response.status >= 500 ? 'late' : 'refused', why: await why(response)};
	} catch {
		return {kind: 'lost'};
	}
}

/** @param {Response} response */
async function why(response) {
	try {
		return String((await response.json()).error).slice(0, 300);
	} catch {
		return `HTTP ${response.status}`;
	}
}

export async function logout() {
	try {
		await fetch('logout', {method: 'POST', credentials: 'same-origin', cache: 'no-store'});
	} finally {
		location.assign('login');
	}
}
