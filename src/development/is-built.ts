/** Exits 0 where what was built is newer than every source, else 1: `npm start` builds only then. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

/** What the two builds write last, and the sources of each. */
const BUILDS = [
  { output: 'dist/.tsbuildinfo', sources: 'src' },
  { output: 'dist/page/likeness-search.js', sources: 'src/page' },
];

const isBuilt = BUILDS.every(({ output, sources }) => {
  const builtAt = modified(output);
  return readdirSync(join(ROOT, sources), { recursive: true, encoding: 'utf8' }).every(
    (name) => modified(join(sources, name)) <= builtAt,
  );
});
process.exitCode = isBuilt ? 0 : 1;

/** Modification time in ms; 0 for a file that is not there. */
function modified(path: string): number {
  return statSync(join(ROOT, path), { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
