/**
 * Runs the compiled tests, two files at a time. `npm test` runs all of them; `npm test -- catalogue images/decoder`
 * runs the files whose path contains one of the words. The search page is built only where a selected file serves it.
 * `npm run test:acceptance` runs the long tests (*.acceptance.ts) one after the other, because they measure, and writes
 * the results into docs/reliability.md; rows of criteria that did not run stay as they are.
 */
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { fileURLToPath } from 'node:url';
import { buildPage } from '../src/development/build-page.js';
import { runName } from './acceptance/record.js';
import { closeRun } from './acceptance/reliability-document.js';

const here = dirname(fileURLToPath(import.meta.url));
const isAcceptance = process.argv[2] === '--acceptance';
const ending = isAcceptance ? '.acceptance.js' : '.test.js';
const words = process.argv.slice(isAcceptance ? 3 : 2);
const files = readdirSync(here, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith(ending) && (words.length === 0 || words.some((word) => file.includes(word))))
  // The compiler leaves the output of a test that was removed or renamed.
  .filter((file) => existsSync(join(here, '..', '..', 'test', file.replace(/\.js$/, '.ts'))))
  .sort()
  .map((file) => join(here, file));
if (files.length === 0) throw new Error(`No test file matches ${words.join(', ')}.`);

/** Folders whose tests start a service that serves dist/page. */
const SERVE_PAGE = /\/(page|server|client|install|acceptance)\//;
if (files.some((file) => SERVE_PAGE.test(file.slice(here.length)))) await buildPage();

const startedAt = runName(new Date());
if (isAcceptance) process.env.ACCEPTANCE_RUN = startedAt; // The tests' processes inherit it: one run, one name.
const ends = new Map<string, { readonly kind: 'failed' | 'skipped'; readonly reason: string }>();

run({ files, concurrency: isAcceptance ? 1 : 2, timeout: isAcceptance ? 7_200_000 : 600_000 })
  .on('test:fail', ({ file, details }) => {
    process.exitCode = 1;
    if (file !== undefined && ends.get(file)?.kind !== 'failed')
      ends.set(file, { kind: 'failed', reason: details.error.message.split('\n')[0] ?? '' });
  })
  .on('test:pass', ({ file, skip }) => {
    if (file !== undefined && skip !== undefined && !ends.has(file))
      ends.set(file, { kind: 'skipped', reason: String(skip) });
  })
  .once('end', () => {
    if (isAcceptance) closeRun(startedAt, files, ends);
  })
  .compose(new spec())
  .pipe(process.stdout);
