/**
 * `npm run bench` runs the benchmarks that need nothing but this repository and ../shared; `npm run bench -- hnsw` runs
 * one; what follows its name are its arguments. With `--write` what they print replaces their sections of
 * docs/benchmarks.md.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { withSection } from './benchmark-document.js';

const BENCHMARKS = ['stages', 'service', 'hnsw'];
const DOCUMENT = new URL('../../docs/benchmarks.md', import.meta.url);

const given = process.argv.slice(2);
const isWritten = given[0] === '--write';
const [name, ...flags] = isWritten ? given.slice(1) : given;
const machine = `${availableParallelism()} cores of ${cpus()[0]?.model ?? 'an unknown processor'}, Node ${process.version}`;
console.log(machine);
for (const each of name === undefined ? BENCHMARKS : [name]) {
  const program = fileURLToPath(new URL(`${each}.js`, import.meta.url));
  const stdio = ['inherit', isWritten ? 'pipe' : 'inherit', 'inherit'] as const;
  const { status, stdout } = spawnSync(process.execPath, [program, ...flags], { stdio: [...stdio], encoding: 'utf8' });
  if (status !== 0) process.exitCode = 1;
  if (!isWritten) continue;
  process.stdout.write(stdout);
  if (status !== 0) continue;
  const section = { command: [each, ...flags].join(' '), printed: stdout, machine, date: new Date() };
  writeFileSync(DOCUMENT, withSection(readFileSync(DOCUMENT, 'utf8'), section));
}
