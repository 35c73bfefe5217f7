/**
 * Builds the search page and the `<likeness-search>` element into dist/page with Vite, each only where a source is
 * newer than what was built: `npm start` and `npm test` do not wait for a page that did not change.
 */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const PAGE = join(ROOT, 'src', 'page');
/**
 * What Vite writes last, by configuration; the element is built into the folder that the page's build empties, so it
 * comes second.
 */
const BUILDS = [
  { config: 'vite.config.ts', output: 'index.html' },
  { config: 'vite.element.config.ts', output: 'likeness-search.js' },
];

/** Brings dist/page up to date with src/page and src/client. Throws Vite's own errors. */
export async function buildPage(): Promise<void> {
  const newest = Math.max(...[PAGE, join(ROOT, 'src', 'client')].flatMap(modificationTimes));
  const isStale = BUILDS.some(({ output }) => modified(join(ROOT, 'dist', 'page', output)) < newest);
  if (!isStale) return;
  for (const { config } of BUILDS) await build({ root: PAGE, configFile: join(PAGE, config), logLevel: 'warn' });
}

function modificationTimes(folder: string): readonly number[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => modified(join(folder, name)));
}

/** Modification time in ms; 0 for a file that is not there. */
function modified(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildPage();
