/**
 * Runs the compiled tests, two files at a time. `npm test` runs all; `npm test -- catalogue images/decoder` those whose path contains one
 * of the words.
 */
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const words = process.argv.slice(2);
const files = readdirSync(here, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.test.js') && (words.length === 0 || words.some((word) => file.includes(word))))
  .sort()
  .map((file) => join(here, file));
if (files.length === 0) throw new Error(`No test file matches ${words.join(', ')}.`);

run({ files, concurrency: 2, timeout: 600_000 })
  .on('test:fail', () => {
    process.exitCode = 1;
  })
  .compose(new spec())
  .pipe(process.stdout);
