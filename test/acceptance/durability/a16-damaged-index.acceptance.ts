/**
 * A damaged index file (A16): a bit flipped at 200 places (50 of them in the header), cut short at 50, a page zeroed at
 * 50, emptied, lengthened, and 20 times its side-car: every start succeeds, says that the file is not used, and answers
 * 202 known queries rightly; no signal.
 */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { runChild } from '../../catalogue/run-child.js';
import { atLeast, atMost, record } from '../record.js';

it('322 damages to an index file: 0 signals, 0 wrong answers', async () => {
  const { code, signal, stdout, stderr } = await runChild(
    new URL('../../catalogue/vectors/index-damage-child.js', import.meta.url),
    ['run-full'],
    {
      timeoutMs: 3_600_000,
    },
  );
  const rounds = stdout.trim().split('\n');
  assert.deepEqual({ code, signal }, { code: 0, signal: null }, `${rounds.at(-1)}\n${stderr}`);
  assert.equal(rounds.at(-1), 'undamaged');
  assert.equal(rounds.length, 323);
  record({
    criterion: 'A16',
    given:
      'one catalogue of 1,010 vectors; its index file with one bit flipped at 200 places (50 in the header), cut at 50, a page zeroed at 50, emptied, lengthened; its side-car flipped or cut 20 times; each start answers 202 known queries',
    seed: 77,
    measures: [
      atLeast('damages', rounds.length - 1, 300),
      atMost('signals', 0, 0),
      atMost('wrong answers and failed starts', 0, 0),
    ],
  });
});
