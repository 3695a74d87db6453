/** Sources to web/dist, the files that the agent embeds. The same sources give the same bytes. */
import {mkdir, readFile, writeFile} from 'node:fs/promises';
import {fileURLToPath} from 'node:url';
import esbuild from 'esbuild';

const here = new URL('.', import.meta.url);
const at = (path) => fileURLToPath(new URL(path, here));
const out = process.argv[2] ?? at('dist');
const target = ['chrome111', 'firefox115', 'safari16.4'];

await mkdir(out, {recursive: true});
await esbuild.build({entryPoints: [at('src/main.js')], outfile: `${out}/page.js`, bundle: true, minify: true, format: 'esm', target, legalComments: 'none', charset: 'utf8'});
/* uPlot's licence (MIT) asks to be named in copies */
await writeFile(`${out}/page.js`, `/* Draws with uPlot, (c) Leon Sorokin, MIT licence */\n${await readFile(`${out}/page.js`, 'utf8')}`);
const css = await readFile(at('node_modules/uplot/dist/uPlot.min.css'), 'utf8') + await readFile(at('src/page.css'), 'utf8');
await writeFile(`${out}/page.css`, (await esbuild.transform(css, {loader: 'css', minify: true, target, charset: 'utf8'})).code);
for (const file of ['index.html', 'login.html', 'icon.svg'])
	await writeFile(`${out}/${file}`, (await readFile(at(`src/${file}`), 'utf8')).replaceAll('>\n<', '><'));
