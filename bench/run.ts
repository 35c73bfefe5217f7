/** `npm run bench` runs the benchmarks that need nothing but this repository and ../shared; `npm run bench -- hnsw` runs one. Ratios, in one run. */
import { spawnSync } from 'node:child_process';
import { availableParallelism, cpus } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const BENCHMARKS = ['stages', 'service', 'hnsw'];

const chosen = process.argv.length > 2 ? process.argv.slice(2) : BENCHMARKS;
console.log(`${availableParallelism()} cores of ${cpus()[0]?.model ?? 'an unknown processor'}, Node ${process.version}`);
for (const name of chosen) {
  console.log(`\n== ${name}`);
  const { status } = spawnSync(process.execPath, [join(dirname(fileURLToPath(import.meta.url)), `${name}.js`)], { stdio: 'inherit' });
  if (status !== 0) process.exitCode = 1;
}
