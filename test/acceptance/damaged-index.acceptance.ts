/**
 * A damaged index file (A16): a bit flipped at 200 places (50 of them in the header), cut short at 50, a page zeroed at 50, emptied, lengthened, and 20 times its side-car:
 * every start succeeds, says that the file is not used, and answers 202 known queries rightly; no signal.
 */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { runChild } from '../catalogue/run-child.js';

it('322 damages to an index file: 0 signals, 0 wrong answers', async (test) => {
  const { code, signal, stdout, stderr } = await runChild('./index-damage-child.js', ['run-full'], { timeoutMs: 3_600_000 });
  const rounds = stdout.trim().split('\n');
  assert.deepEqual({ code, signal }, { code: 0, signal: null }, `${rounds.at(-1)}\n${stderr}`);
  assert.equal(rounds.at(-1), 'undamaged');
  assert.equal(rounds.length, 323);
  test.diagnostic(`${rounds.length - 1} damages: no signal, no wrong answer, no start that failed`);
});
