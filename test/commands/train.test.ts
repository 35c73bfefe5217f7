/** `likeness train`, `evaluate` and `compare` on a folder of pictures: killed, resumed, measured. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { runCompare } from '../../src/commands/compare.js';
import { runEvaluate } from '../../src/commands/evaluate.js';
import { runFitWhitening } from '../../src/commands/fit-whitening.js';
import { runTrain } from '../../src/commands/train.js';
import { openDecoding } from '../../src/datasets/decoding.js';
import { openFolderDataset } from '../../src/datasets/folder-dataset.js';
import { openEncoder } from '../../src/encoder/open-encoder.js';
import { readSavedEncoder } from '../../src/encoder/saved-encoder.js';
import { parseReport } from '../../src/evaluation/evaluation-report.js';
import { readLatestCheckpoint } from '../../src/training/checkpoint.js';
import { readMetrics } from '../../src/training/metrics-log.js';
import { temporaryFolder } from '../training/temporary-folder.js';
import { tinySeed } from '../training/tiny-recipes.js';
import { inProcess, killed, pictures, SHORT_RUN } from './command-line.js';

const BATCH_SIZE = 4;

test('train goes on after kill -9, and its encoder opens in both runtimes', async (t) => {
  const folder = await temporaryFolder(t);
  const data = await pictures(t, folder);
  const out = join(folder, 'mine');
  const recipe = join(folder, 'tiny.json');
  await writeFile(recipe, JSON.stringify(tinySeed({ optimiser: { batchSize: BATCH_SIZE } })));
  const flags = {
    ...SHORT_RUN,
    ...{ data, out, recipe, cache: join(folder, 'cache') },
    ...{ checkpointSteps: 1, heldOut: 0.2, epochSample: 24, limit: 1000 },
    resume: 'automatic',
    evaluation: true,
  } as const;

  // Far more epochs than a slow test takes: the kill always finds the run under way.
  const asTyped = ['train', '--data', data, '--out', out, '--recipe', recipe, '--epochs', '100000'];
  const small = ['--cache', flags.cache, '--threads', '1', '--checkpoint-steps', '1', '--held-out', '0.2'];
  const hasCheckpoint = (): boolean =>
    existsSync(`${out}.training`) && readdirSync(`${out}.training`).some((name) => name.endsWith('.checkpoint'));
  const first = await killed(t, [...asTyped, ...small, '--epoch-sample', '0'], hasCheckpoint);
  assert.equal(first.signal, 'SIGKILL', first.output);
  assert.match(first.output, /skipped .*broken-\d\.jpg/);
  assert.equal(existsSync(out), false);
  const { step } = (await readLatestCheckpoint(`${out}.training`, () => undefined))!;
  const perEpoch = Math.floor(Number(/(\d+) images of 16 x 16/.exec(first.output)![1]) / BATCH_SIZE);
  const epochs = Math.floor(step / perEpoch) + 2;

  const resumed = await inProcess(t, () => runTrain({ ...flags, epochs }));
  assert.equal(resumed.code, 2, resumed.output); // files could not be read
  assert.match(resumed.output, new RegExp(`Going on after step ${step} of ${epochs * perEpoch}`));
  const lines = (await readMetrics(join(out, 'metrics.jsonl'))).map((line) => `${line.kind} ${line.step}`);
  assert.equal(new Set(lines).size, lines.length, 'a metric is written twice');

  const report = parseReport(await readFile(join(out, 'report.json'), 'utf8'), 'report.json');
  assert.equal(report.data.protocol, 'queries against database');
  assert.ok(report.classes[0]!.votes.length > 0 && report.curves.some(({ axis }) => axis === 'kNN accuracy'));
  assert.match(await readFile(join(out, 'README.md'), 'utf8'), /tiny-seed[\s\S]*## Measured[\s\S]*kNN/);
  assert.ok(existsSync(join(out, 'report.html')));

  const { manifest } = await readSavedEncoder(out);
  assert.equal(manifest.outputs.features?.channels, 32);
  const decoding = openDecoding(manifest.preprocessing);
  t.after(() => decoding.close());
  const pixels = await decoding.decode(await (await openFolderDataset(data)).bytes(0));
  const embeddings: Float32Array[] = [];
  for (const device of ['cpu', 'tensorflow'] as const) {
    const encoder = await openEncoder({ folder: out, device, threads: 1 });
    embeddings.push((await encoder.encode(pixels, {})).embedding);
    await encoder.close();
  }
  for (const [index, value] of embeddings[0]!.entries()) assert.ok(Math.abs(value - embeddings[1]![index]!) < 1e-4);

  await t.test('evaluate and compare read what train wrote', async (t) => {
    const again = join(folder, 'again');
    const measured = await inProcess(t, () => runEvaluate({ ...flags, model: out, out: again, seed: 2018 }));
    assert.equal(measured.code, 2, measured.output);
    assert.deepEqual(parseReport(await readFile(join(again, 'report.json'), 'utf8'), 'again').classes, report.classes);
    const page = join(folder, 'both.html');
    const compared = await inProcess(t, () => runCompare([out, join(again, 'report.json')], { out: page }));
    assert.match(compared.output, /\| mine \|.*\n\| mine \|/);
    assert.match(await readFile(page, 'utf8'), /<table>/);
  });

  await t.test('a finished run is not repeated, and a foreign folder is not replaced', async (t) => {
    const again = await inProcess(t, () => runTrain({ ...flags, epochs, evaluation: false }));
    assert.match(again.output, /Going on after step (\d+) of \1/);
    assert.equal((await readSavedEncoder(out)).manifest.id, manifest.id);
    await assert.rejects(runTrain({ ...flags, out: data }), /exists and no training of it/);
  });
});

test('a place where no encoder can be saved is refused before the first picture is read', async (t) => {
  const folder = await temporaryFolder(t);
  const file = join(folder, 'file');
  await writeFile(file, '');
  // Without pictures: a command that looked for them first would say so.
  const flags = { data: join(folder, 'none'), cache: join(folder, 'cache'), licence: 'none', heldOut: 0 };
  const rest = { engine: 'onnx', device: 'cpu', threads: 1, checkpointMinutes: 5, resume: 'automatic' } as const;
  const measures = { evaluation: false, epochSample: 0, limit: 10, probes: false, copies: 0, map: false };
  for (const [out, message] of [
    [join(file, 'mine'), /No encoder can be saved.*--out/],
    [folder, /exists.*--out/],
  ] as const) {
    const refusal = { code: 'INVALID_SETTINGS', message };
    for (const recipe of ['photos', 'seed'])
      await assert.rejects(runTrain({ ...flags, ...rest, ...measures, out, recipe }), refusal);
    await assert.rejects(runFitWhitening({ ...flags, out, dimensions: 16 }), refusal);
  }
  assert.deepEqual(readdirSync(folder), ['file']);
});
