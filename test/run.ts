/**
 * Runs the compiled tests, two files at a time. `npm test` runs all; `npm test -- catalogue images/decoder` those whose path contains one
 * of the words. `npm run test:acceptance` runs the long ones (*.acceptance.ts), one after the other, as they measure.
 */
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const isAcceptance = process.argv[2] === '--acceptance';
const ending = isAcceptance ? '.acceptance.js' : '.test.js';
const words = process.argv.slice(isAcceptance ? 3 : 2);
const files = readdirSync(here, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith(ending) && (words.length === 0 || words.some((word) => file.includes(word))))
  .sort()
  .map((file) => join(here, file));
if (files.length === 0) throw new Error(`No test file matches ${words.join(', ')}.`);

run({ files, concurrency: isAcceptance ? 1 : 2, timeout: isAcceptance ? 7_200_000 : 600_000 })
  .on('test:fail', () => {
    process.exitCode = 1;
  })
  .compose(new spec())
  .pipe(process.stdout);
