import assert from 'node:assert/strict';
import { readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  type Checkpoint,
  parseCheckpoint,
  readLatestCheckpoint,
  writeCheckpoint,
} from '../../src/training/checkpoint.js';
import { temporaryFolder } from './temporary-folder.js';
import { tinySeed } from './tiny-recipes.js';

function checkpoint(step: number): Checkpoint {
  const state = {
    weights: Float32Array.of(1.5, -0, Number.MIN_VALUE, 3e38, step),
    count: Int32Array.of(-7, step),
    flags: Uint8Array.of(1, 0, 1),
    'adam.step': Float32Array.of(step),
  };
  return { step, recipe: tinySeed(), data: 'abc', seconds: 12.5, state };
}

const refuseNone = (name: string, reason: string): void => assert.fail(`${name}: ${reason}`);

test('a checkpoint comes back bit for bit', async (t) => {
  const folder = await temporaryFolder(t);
  await writeCheckpoint(folder, checkpoint(40));
  assert.deepEqual(await readLatestCheckpoint(folder, refuseNone), checkpoint(40));
});

test('the newest two are kept', async (t) => {
  const folder = await temporaryFolder(t);
  for (const step of [5, 1000, 7]) await writeCheckpoint(folder, checkpoint(step));
  assert.deepEqual((await readdir(folder)).sort(), ['step-000000007.checkpoint', 'step-000001000.checkpoint']);
  assert.equal((await readLatestCheckpoint(folder, refuseNone))?.step, 1000);
});

test('a folder without checkpoints, or none at all, has no latest one', async (t) => {
  const folder = await temporaryFolder(t);
  assert.equal(await readLatestCheckpoint(folder, refuseNone), undefined);
  assert.equal(await readLatestCheckpoint(join(folder, 'absent'), refuseNone), undefined);
});

test('any byte changed, or the end cut off, refuses a checkpoint by name and takes the one before', async (t) => {
  const folder = await temporaryFolder(t);
  await writeCheckpoint(folder, checkpoint(1));
  const path = await writeCheckpoint(folder, checkpoint(2));
  const whole = await readFile(path);
  for (const at of [0, 9, 40, whole.length >> 1, whole.length - 40, whole.length - 1]) {
    const damaged = Buffer.from(whole);
    damaged[at] = damaged[at]! ^ 1;
    await writeFile(path, damaged);
    const refused: string[] = [];
    const read = await readLatestCheckpoint(folder, (name, reason) => refused.push(`${name} ${reason}`));
    assert.equal(read?.step, 1, `byte ${at}`);
    assert.match(refused.join(), /^step-000000002\.checkpoint it/);
  }
  await writeFile(path, whole);
  await truncate(path, whole.length - 100);
  assert.equal((await readLatestCheckpoint(folder, () => undefined))?.step, 1);
  assert.throws(() => parseCheckpoint(new Uint8Array(0)), /no checkpoint/);
});

test('what a crash left half written is not looked at', async (t) => {
  const folder = await temporaryFolder(t);
  const path = await writeCheckpoint(folder, checkpoint(3));
  await writeFile(`${path.replace('000000003', '000000009')}.123.partial`, 'half');
  assert.equal((await readLatestCheckpoint(folder, refuseNone))?.step, 3);
});
