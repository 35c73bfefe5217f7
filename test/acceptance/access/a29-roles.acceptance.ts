/**
 * Roles (A29): every route that the application registers, with every kind of key, against the specification. The table
 * itself is a test of `npm test`; here it is counted.
 */
import { test } from 'node:test';
import { runChild } from '../../catalogue/run-child.js';
import { atLeast, atMost, record } from '../record.js';

test('each route with each kind of key', async () => {
  // A test inside a test would report in the runner's binary form; on its own it counts in plain lines.
  const alone = ['env', '-u', 'NODE_TEST_CONTEXT', 'NODE_OPTIONS=--test-reporter=tap'];
  const { code, stdout } = await runChild(new URL('../../server/auth.test.js', import.meta.url), [], {
    timeoutMs: 300_000,
    prefix: alone,
  });
  const count = (kind: string): number => Number(new RegExp(`^# ${kind} (\\d+)$`, 'm').exec(stdout)?.[1] ?? Number.NaN);
  const asked = Number(/^# (\d+) routes with each kind of key$/m.exec(stdout)?.[1] ?? Number.NaN);
  record({
    criterion: 'A29',
    given:
      'every registered route, HEAD and plugin routes too, with no key and with one of each role; a route that the table does not know fails',
    measures: [
      atLeast('routes walked', asked, 1),
      atLeast('tests of keys and roles that pass', count('pass'), 1),
      atMost('tests of keys and roles that fail', count('fail'), 0),
      atMost('exit code', code ?? 1, 0),
    ],
  });
});
