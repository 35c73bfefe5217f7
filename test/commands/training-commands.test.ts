/** The commands of training as users run them, in processes of their own. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { openDecoding } from '../../src/commands/measured-encoder.js';
import { openEncoder } from '../../src/encoder/open-encoder.js';
import { readSavedEncoder } from '../../src/encoder/saved-encoder.js';
import { parseReport } from '../../src/evaluation/evaluation-report.js';
import { openFolderDataset } from '../../src/images/folder-dataset.js';
import { writeInputTensor } from '../../src/images/preprocessing.js';
import { BatchMaker, epochOrder } from '../../src/training/batches.js';
import { readMetrics } from '../../src/training/metrics-log.js';
import { packDataset } from '../../src/training/packed-dataset.js';
import { preprocessingOf } from '../../src/training/recipe.js';
import { syntheticPicture, toSharp } from '../images/pictures.js';
import { REPOSITORY, sharedData } from '../service-process.js';
import { temporaryFolder } from '../training/temporary-folder.js';
import { tinySeed } from '../training/tiny-recipes.js';

const CLI = join(REPOSITORY, 'dist', 'src', 'cli.js');
const PHOTOS_PER_CLASS = 12;

/** Photographs of two classes from beside the repository; where there are none, pictures made here. One more file is damaged. */
async function pictures(t: TestContext, folder: string): Promise<string> {
  const data = join(folder, 'pictures');
  const clothing = sharedData('photos', 'clothing');
  if (clothing === undefined) t.diagnostic('../shared/data/photos is absent: synthetic pictures stand in for photographs');
  const classes = clothing === undefined ? ['a', 'b'] : (await readdir(clothing)).sort().slice(0, 2);
  for (const [label, name] of classes.entries()) {
    await mkdir(join(data, name), { recursive: true });
    if (clothing !== undefined) {
      const files = (await readdir(join(clothing, name))).sort().slice(0, PHOTOS_PER_CLASS);
      for (const file of files) await cp(join(clothing, name, file), join(data, name, file));
    } else {
      for (let index = 0; index < PHOTOS_PER_CLASS; index++) {
        const picture = syntheticPicture({ width: 80, height: 60, seed: 100 * label + index });
        await toSharp(picture)
          .jpeg()
          .toFile(join(data, name, `${index}.jpg`));
      }
    }
  }
  await writeFile(join(data, classes[0]!, 'broken.jpg'), Buffer.from([0xff, 0xd8, 0xff, 0xe0, 0, 0]));
  return data;
}

type Finished = { readonly code: number | null; readonly signal: string | null; readonly output: string };

/** Runs the command line to its end, or to SIGKILL as soon as `killWhen` holds (looked at every few milliseconds). */
async function cli(given: readonly string[], killWhen?: () => boolean): Promise<Finished> {
  const child = spawn(process.execPath, [CLI, ...given], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  const watch = killWhen && setInterval(() => killWhen() && child.kill('SIGKILL'), 2);
  await once(child, 'close');
  clearInterval(watch);
  return { code: child.exitCode, signal: child.signalCode, output };
}

/** Steps of a few tens of milliseconds, so that a kill finds the run under way. */
const SLOWER = {
  input: { side: 32 },
  network: {
    stages: [
      { channels: 64, kernel: 3, pool: 2 },
      { channels: 128, kernel: 3, pool: 2 },
      { channels: 128, kernel: 3, pool: 1 },
    ],
  },
  optimiser: { batchSize: 4 },
};

test('train survives kill -9 in mid-epoch, and its encoder opens in both runtimes', async (t) => {
  const folder = await temporaryFolder(t);
  const data = await pictures(t, folder);
  const out = join(folder, 'mine');
  const recipe = join(folder, 'tiny.json');
  await writeFile(recipe, JSON.stringify(tinySeed(SLOWER)));
  const flags = [
    'train',
    '--data',
    data,
    '--out',
    out,
    '--recipe',
    recipe,
    '--epochs',
    '2',
    '--cache',
    join(folder, 'cache'),
    '--threads',
    '1',
  ];
  const measures = ['--no-probes', '--copies', '2', '--checkpoint-steps', '1', '--epoch-sample', '24', '--held-out', '0.2'];

  // A checkpoint after every step: the first one is in the middle of the first epoch.
  const hasCheckpoint = (): boolean =>
    existsSync(`${out}.training`) && readdirSync(`${out}.training`).some((name) => name.endsWith('.checkpoint'));
  const killed = await cli([...flags, ...measures], hasCheckpoint);
  assert.equal(killed.signal, 'SIGKILL', killed.output);
  assert.equal(existsSync(out), false);
  const resumed = await cli([...flags, ...measures]);
  assert.equal(resumed.code, 2, resumed.output); // one file could not be read
  assert.match(resumed.output, /skipped .*broken\.jpg/);
  const [, done = '', steps = ''] = /Going on after step (\d+) of (\d+)/.exec(resumed.output) ?? [];
  assert.ok(Number(done) >= 1 && Number(done) < Number(steps) / 2, `killed after step ${done} of ${steps}`);
  const lines = (await readMetrics(join(out, 'metrics.jsonl'))).map(({ kind, step }) => `${kind} ${step}`);
  assert.equal(new Set(lines).size, lines.length, 'a metric is said twice');

  const report = parseReport(await readFile(join(out, 'report.json'), 'utf8'), 'report.json');
  assert.equal(report.data.protocol, 'queries against database');
  assert.ok(report.classes[0]!.votes.length > 0 && report.curves.some(({ axis }) => axis === 'loss'));
  assert.match(await readFile(join(out, 'README.md'), 'utf8'), /tiny-seed[\s\S]*## Measured[\s\S]*kNN/);
  assert.ok(existsSync(join(out, 'report.html')));

  const { manifest } = await readSavedEncoder(out);
  assert.equal(manifest.outputs.features?.channels, 128);
  const decoding = openDecoding(manifest.preprocessing);
  t.after(() => decoding.close());
  const files = await openFolderDataset({ folder: data, decode: decoding.decode });
  const pixels = await files.pixels(0);
  const embeddings: Float32Array[] = [];
  for (const device of ['cpu', 'tensorflow'] as const) {
    const encoder = await openEncoder({ folder: out, device, threads: 1 });
    embeddings.push((await encoder.encode(pixels, {})).embedding);
    await encoder.close();
  }
  for (const [index, value] of embeddings[0]!.entries()) assert.ok(Math.abs(value - embeddings[1]![index]!) < 1e-4);

  await t.test('evaluate and compare read what train wrote', async () => {
    const measured = await cli([
      'evaluate',
      '--model',
      out,
      '--data',
      data,
      '--out',
      join(folder, 'again'),
      '--no-probes',
      '--copies',
      '2',
      '--held-out',
      '0.2',
      '--device',
      'cpu',
    ]);
    assert.equal(measured.code, 2, measured.output);
    const again = parseReport(await readFile(join(folder, 'again', 'report.json'), 'utf8'), 'again');
    assert.deepEqual(again.classes, report.classes);
    const compared = await cli(['compare', out, join(folder, 'again', 'report.json'), '--out', join(folder, 'both.html')]);
    assert.equal(compared.code, 0, compared.output);
    assert.match(compared.output, /\| mine \|.*\n\| mine \|/);
    assert.match(await readFile(join(folder, 'both.html'), 'utf8'), /<table>/);
  });

  await t.test('a finished run is not done again, and a stranger is not replaced', async () => {
    const again = await cli([...flags, ...measures, '--no-evaluation']);
    assert.match(again.output, /Going on after step (\d+) of \1/);
    assert.equal((await readSavedEncoder(out)).manifest.id, manifest.id);
    const stranger = await cli(['train', '--data', data, '--out', data]);
    assert.equal(stranger.code, 1);
    assert.match(stranger.output, /exists and no training of it/);
  });
});

test('an image is the same tensor at training, indexing and search', async (t) => {
  const folder = await temporaryFolder(t);
  const data = await pictures(t, folder);
  const recipe = tinySeed({ optimiser: { batchSize: 8 } });
  const decoding = openDecoding(preprocessingOf(recipe));
  t.after(() => decoding.close());
  const { decode } = decoding;
  const dataset = await openFolderDataset({ folder: data, decode });
  const packed = await packDataset({ dataset, source: 'x', preprocessing: preprocessingOf(recipe), decode, folder: join(folder, 'cache') });
  t.after(() => packed.close());
  const { images } = new BatchMaker(recipe, { reader: packed, count: packed.count }).make(0);

  // What the service does with an upload: decode by the manifest's preprocessing, write the encoder's tensor.
  const { saveTrainedEncoder } = await import('../../src/training/save-trained-encoder.js');
  const { trainingProgram } = await import('../../src/training/training-program.js');
  const { manifest } = await saveTrainedEncoder({
    recipe,
    outcome: { trained: { step: 0, state: trainingProgram(recipe).initialState }, engineName: 'none', seconds: 0, ended: 'finished' },
    folder: join(folder, 'encoder'),
    name: 'untrained',
    facts: { data: 'test', images: packed.count, licence: 'none', command: 'test' },
    replace: false,
  });
  const service = openDecoding(manifest.preprocessing);
  t.after(() => service.close());
  const order = epochOrder(recipe.seed, 0, packed.count);
  const size = images!.length / 8;
  for (let place = 0; place < 8; place++) {
    const pixels = await service.decode(await readFile(join(data, packed.names[order[place]!]!)));
    const tensor = new Float32Array(size);
    writeInputTensor({ pixels, preprocessing: manifest.preprocessing, target: tensor, index: 0 });
    assert.deepEqual(tensor, images!.slice(place * size, (place + 1) * size));
  }
});

test('ablate writes a table, passes over finished rows and goes on', async (t) => {
  const folder = await temporaryFolder(t);
  const data = await pictures(t, folder);
  const out = join(folder, 'ablation');
  const recipe = join(folder, 'tiny.json');
  // Few dimensions, since PCA needs more pictures than it gives.
  await writeFile(recipe, JSON.stringify(tinySeed({ network: { codeSize: 8 }, optimiser: { batchSize: 8 } })));
  const flags = [
    'ablate',
    '--data',
    data,
    '--out',
    out,
    '--recipe',
    recipe,
    '--epochs',
    '1',
    '--cache',
    join(folder, 'cache'),
    '--threads',
    '1',
    '--no-probes',
    '--copies',
    '2',
    '--epoch-sample',
    '0',
    '--limit',
    '12',
  ];
  const first = await cli([...flags, '--rows', 'raw-pixels,local-only']);
  assert.equal(first.code, 0, first.output);
  const second = await cli([...flags, '--rows', 'raw-pixels,pca,local-only,local-only@7,derangement']);
  assert.equal(second.code, 0, second.output);
  assert.doesNotMatch(second.output, /local-only \(Without the global term\)\n[^r]*step 1\//);
  const table = await readFile(join(out, 'ablation.md'), 'utf8');
  assert.match(table, /raw-pixels[\s\S]*pca[\s\S]*local-only[\s\S]*derangement/);
  assert.match(table, /over seeds[^\n]*\n[^\n]*\n\| local-only \| 2 \|/);
  const { rows } = JSON.parse(await readFile(join(out, 'ablation.json'), 'utf8')) as {
    rows: {
      name: string;
      recipe: { global: { weight: number }; seed: number };
      figures: { seed: number; encoder: { dimensions: number } };
    }[];
  };
  assert.ok(existsSync(join(out, 'sheets', 'pca.webp')));
  const again = rows.find(({ name }) => name === 'local-only.seed-7')!;
  assert.deepEqual([again.recipe.seed, again.figures.seed], [7, rows[0]!.recipe.seed], 'another seed learns, the same queries ask');
  assert.equal(rows.find(({ name }) => name === 'pca')!.figures.encoder.dimensions, 8, 'as many dimensions as the code');
  assert.deepEqual(
    rows.map(({ name, recipe: own }) => [name, own.global.weight]),
    [
      ['raw-pixels', 0.5],
      ['pca', 0.5],
      ['local-only', 0],
      ['local-only.seed-7', 0],
      ['derangement', 0.5],
    ],
  );
  const other = await cli([...flags, '--rows', 'local-only', '--seed', '5']);
  assert.equal(other.code, 1);
  assert.match(other.output, /made by another recipe/);
});
