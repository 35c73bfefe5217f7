import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { NamedValues } from '../../src/compile/program.js';
import type { PackedDataset } from '../../src/datasets/packed-dataset.js';
import { readLatestCheckpoint } from '../../src/training/checkpoint.js';
import { readMetrics } from '../../src/training/metrics-log.js';
import type { Recipe } from '../../src/training/recipe.js';
import { epochMeasures } from '../../src/training/runs/epoch-measures.js';
import { METRICS_FILE, type TrainOptions, type TrainOutcome, train } from '../../src/training/train.js';
import { packedTextures, temporaryFolder } from './temporary-folder.js';
import { tinySeed, tinyViews } from './tiny-recipes.js';

const SEED = 7;

async function fixture(t: TestContext, count = 100): Promise<{ folder: string; dataset: PackedDataset }> {
  t.diagnostic(`seed ${SEED}`);
  const folder = await temporaryFolder(t);
  return { folder, dataset: await packedTextures(t, { folder: join(folder, 'packed'), count, seed: SEED }) };
}

function run(
  options: { recipe: Recipe; dataset: PackedDataset; folder: string } & Partial<TrainOptions>,
): Promise<TrainOutcome> {
  return train({
    engine: { kind: 'onnx', provider: 'cpu', threads: 1 },
    resume: 'automatic',
    checkpointEvery: { seconds: 3600 },
    ...options,
  });
}

/** Aborts when `steps` steps are done. */
function stopAfter(steps: number): Pick<TrainOptions, 'signal' | 'onProgress'> {
  const stop = new AbortController();
  return { signal: stop.signal, onProgress: ({ step }) => step >= steps && stop.abort() };
}

function assertSameBits(found: NamedValues, expected: NamedValues): void {
  assert.deepEqual(Object.keys(found), Object.keys(expected));
  for (const [name, values] of Object.entries(expected)) {
    const bytes = (array: ArrayBufferView) => Buffer.from(array.buffer, array.byteOffset, array.byteLength);
    assert.ok(bytes(found[name]!).equals(bytes(values)), `${name} differs`);
  }
}

for (const [words, recipe] of [
  ['the method of the seed', tinySeed({ optimiser: { epochs: 4 } })],
  ['two views, with a schedule', tinyViews({ optimiser: { epochs: 4, batchSize: 32 } })],
] as const) {
  test(`a run stopped in mid-epoch and resumed gives the same weights bit for bit: ${words}`, async (t) => {
    const { folder, dataset } = await fixture(t);
    const whole = await run({ recipe, dataset, folder: join(folder, 'whole') });
    assert.equal(whole.ended, 'finished');
    assert.equal(whole.trained.step, 12);
    const parts = { recipe, dataset, folder: join(folder, 'parts') };
    const first = await run({ ...parts, ...stopAfter(5) });
    assert.equal(first.ended, 'interrupted');
    assert.equal(first.trained.step, 5);
    const second = await run({ ...parts, ...stopAfter(9) });
    assert.equal(second.trained.step, 9);
    const last = await run(parts);
    assert.equal(last.ended, 'finished');
    assertSameBits(last.trained.state, whole.trained.state);
    assert.ok(
      !Buffer.from(first.trained.state['adam.step']!.buffer).equals(
        Buffer.from(last.trained.state['adam.step']!.buffer),
      ),
    );
  });
}

test('two epochs and then four in all are four epochs, where the schedule is constant', async (t) => {
  const { folder, dataset } = await fixture(t);
  const whole = await run({ recipe: tinySeed({ optimiser: { epochs: 4 } }), dataset, folder: join(folder, 'whole') });
  const parts = join(folder, 'parts');
  await run({ recipe: tinySeed({ optimiser: { epochs: 2 } }), dataset, folder: parts });
  const last = await run({ recipe: tinySeed({ optimiser: { epochs: 4 } }), dataset, folder: parts });
  assertSameBits(last.trained.state, whole.trained.state);
});

test('a signal that is heard between two steps is answered with a checkpoint of the very step', async (t) => {
  const { folder, dataset } = await fixture(t);
  const stop = new AbortController();
  const heard = await run({
    recipe: tinySeed({ optimiser: { epochs: 4 } }),
    dataset,
    folder: join(folder, 'run'),
    signal: stop.signal,
    // As a signal of the system comes: not while the step is told of, but when the event loop turns.
    onProgress: ({ step }) => step === 4 && setImmediate(() => stop.abort()),
  });
  assert.equal(heard.ended, 'interrupted');
  const saved = await readLatestCheckpoint(join(folder, 'run'), (name) => assert.fail(name));
  assert.equal(saved?.step, heard.trained.step);
  assertSameBits(saved.state, heard.trained.state);
});

test('a killed run goes on from its last checkpoint and says each metric once', async (t) => {
  const { folder, dataset } = await fixture(t);
  const recipe = tinySeed({ optimiser: { epochs: 4 } });
  const work = join(folder, 'run');
  const evaluated: number[] = [];
  const evaluateEpoch = async (_: unknown, epoch: number) => {
    evaluated.push(epoch);
    return { figure: epoch };
  };
  // An error in the middle of a step's telling is as good as a kill: nothing is saved after it.
  const killed = run({
    recipe,
    dataset,
    folder: work,
    checkpointEvery: { seconds: 3600, steps: 2 },
    evaluateEpoch,
    onProgress: ({ step }) => {
      if (step === 8) throw new Error('killed');
    },
  });
  await assert.rejects(killed, /killed/);
  const notes: string[] = [];
  const outcome = await run({ recipe, dataset, folder: work, evaluateEpoch, onNote: (note) => notes.push(note) });
  assert.match(notes.join(), /after step 6 of 12/);
  const lines = (await readMetrics(join(work, METRICS_FILE))).map(({ kind, step }) => `${kind} ${step}`);
  assert.deepEqual(lines, [
    'steps 1',
    'steps 3',
    'epoch 3',
    'steps 6',
    'epoch 6',
    'steps 9',
    'epoch 9',
    'steps 12',
    'epoch 12',
  ]);
  const whole = await run({ recipe, dataset, folder: join(folder, 'whole') });
  assertSameBits(outcome.trained.state, whole.trained.state);
});

test('a damaged checkpoint is named and the one before is used, to the same end', async (t) => {
  const { folder, dataset } = await fixture(t);
  const recipe = tinySeed();
  const work = join(folder, 'run');
  const whole = await run({ recipe, dataset, folder: work });
  const newest = (await readdir(work))
    .filter((name) => name.endsWith('.checkpoint'))
    .sort()
    .at(-1)!;
  const bytes = await readFile(join(work, newest));
  bytes[bytes.length >> 1] = bytes[bytes.length >> 1]! ^ 64;
  await writeFile(join(work, newest), bytes);
  const notes: string[] = [];
  const again = await run({ recipe, dataset, folder: work, onNote: (note) => notes.push(note) });
  assert.match(notes[0]!, new RegExp(`^Checkpoint ${newest} is refused: its SHA-256`));
  assert.match(notes[1]!, /after step 3 of 6/);
  assertSameBits(again.trained.state, whole.trained.state);
});

test('another recipe, other images or too few are refused with the reason', async (t) => {
  const { folder, dataset } = await fixture(t);
  const work = join(folder, 'run');
  await run({ recipe: tinySeed({ optimiser: { epochs: 1 } }), dataset, folder: work });
  await assert.rejects(
    run({ recipe: tinySeed({ priorWeight: 0.5 }), dataset, folder: work }),
    /another recipe: priorWeight\..*--resume never/,
  );
  const others = await packedTextures(t, { folder: join(folder, 'packed'), count: 100, seed: SEED + 1 });
  await assert.rejects(run({ recipe: tinySeed(), dataset: others, folder: work }), /other images/);
  const few = await packedTextures(t, { folder: join(folder, 'packed'), count: 20, seed: SEED });
  await assert.rejects(
    run({ recipe: tinySeed(), dataset: few, folder: join(folder, 'few') }),
    /20 images, but a batch takes 32/,
  );
  const cosine = tinyViews({ optimiser: { epochs: 1, batchSize: 32 } });
  await run({ recipe: cosine, dataset, folder: join(folder, 'cosine') });
  const longer = tinyViews({ optimiser: { epochs: 2, batchSize: 32 } });
  await assert.rejects(
    run({ recipe: longer, dataset, folder: join(folder, 'cosine') }),
    /optimiser\.epochs \(this schedule/,
  );
});

test('a loss that is no number stops training with the reason and without a checkpoint', async (t) => {
  const { folder, dataset } = await fixture(t);
  const recipe = tinySeed({ local: { estimator: 'kullback-leibler' }, optimiser: { learningRate: 10, epochs: 20 } });
  const outcome = await run({ recipe, dataset, folder: join(folder, 'run') });
  assert.equal(outcome.ended, 'failed');
  assert.match(
    outcome.reason,
    /^Training stopped after step \d+: the (loss|local|prior) is (NaN|-?Infinity), no finite number/,
  );
});

test('both engines take the same steps', async (t) => {
  const { folder, dataset } = await fixture(t, 24);
  const recipe = tinySeed({ optimiser: { epochs: 1, batchSize: 8 } });
  const compiled = await run({ recipe, dataset, folder: join(folder, 'onnx') });
  const eager = await run({ recipe, dataset, folder: join(folder, 'tensorflow'), engine: { kind: 'tensorflow' } });
  const last = ({ metrics }: TrainOutcome) =>
    metrics.filter(({ kind }) => kind === 'steps').map(({ loss }) => Number(loss));
  assert.equal(last(eager).length, 2);
  for (const [index, loss] of last(compiled).entries())
    assert.ok(Math.abs(loss - last(eager)[index]!) < 1e-3, `${loss} ${last(eager)[index]}`);
});

test('training finds textures that random weights do not, by at least 25 points', async (t) => {
  const { folder, dataset } = await fixture(t, 1024);
  const augmentation = {
    crop: { areaMin: 0.5 },
    jitter: { probability: 1, brightness: 0.6, contrast: 0.8, saturation: 1, hue: 0.5 },
    grey: 0.3,
  };
  const recipe = tinyViews({ augmentation, optimiser: { epochs: 28, learningRate: 3e-3 } });
  // The same weights as drawn, but with measured statistics: what the network knows before it learns.
  const untrained = tinyViews({ augmentation, optimiser: { epochs: 1, learningRate: 0 } });
  const unseen = await packedTextures(t, { folder: join(folder, 'packed'), count: 1500, seed: SEED + 1 });
  const measure = epochMeasures({ recipe, dataset: unseen, sample: unseen.count });
  const trained = await run({ recipe, dataset, folder: join(folder, 'trained') });
  const random = await run({ recipe: untrained, dataset, folder: join(folder, 'random') });
  const [after, before] = [await measure(trained.trained), await measure(random.trained)];
  t.diagnostic(
    `kNN (k = 20) of unseen textures: random weights ${before['kNN20 pooled']}, trained ${after['kNN20 pooled']}; chance 0.125`,
  );
  assert.ok(after['kNN20 pooled']! > before['kNN20 pooled']! + 0.25);
});
