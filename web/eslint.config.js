/* Rules that find mistakes; how it looks is nobody's quarrel. Markup from text is forbidden outright. */
const browser = Object.fromEntries(['document', 'window', 'location', 'history', 'localStorage', 'sessionStorage', 'queueMicrotask', 'fetch', 'AbortSignal', 'URL', 'URLSearchParams',
	'Blob', 'performance', 'setTimeout', 'clearTimeout', 'setInterval', 'addEventListener', 'matchMedia', 'getComputedStyle', 'devicePixelRatio',
	'ResizeObserver', 'HTMLButtonElement', 'Path2D'].map((name) => [name, 'readonly']));
const node = Object.fromEntries(['process', 'URL', 'console', 'setTimeout', 'Buffer'].map((name) => [name, 'readonly']));
const markup = ['innerHTML', 'outerHTML', 'insertAdjacentHTML', 'createContextualFragment', 'setHTMLUnsafe', 'srcdoc'].map((property) => ({property, message: 'Text from strangers is data: use text nodes.'}));

const rules = {
	'no-undef': 'error', 'no-unused-vars': 'error', 'no-const-assign': 'error', 'no-dupe-keys': 'error', 'no-unreachable': 'error', 'no-self-compare': 'error',
	'no-fallthrough': 'error', 'no-cond-assign': 'error', 'no-redeclare': 'error', 'no-shadow': 'error', 'no-eval': 'error', 'no-implied-eval': 'error', 'no-new-func': 'error',
	'no-var': 'error', 'prefer-const': ['error', {destructuring: 'all'}], eqeqeq: 'error', 'no-implicit-globals': 'error', 'no-script-url': 'error', 'no-promise-executor-return': 'error',
	'no-unused-expressions': ['error', {allowShortCircuit: true}], 'array-callback-return': 'error', 'no-constant-condition': 'error', 'no-restricted-properties': ['error', ...markup],
};

export default [
	{ignores: ['dist/**', 'node_modules/**']},
	{files: ['src/**/*.js'], languageOptions: {ecmaVersion: 2023, sourceType: 'module', globals: browser}, rules},
	{files: ['*.js', 'tests/**/*.js'], languageOptions: {ecmaVersion: 2024, sourceType: 'module', globals: node}, rules},
];
