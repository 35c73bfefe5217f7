import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import sharp from 'sharp';
import { openOnnxRuntime } from '../../../src/encoder/onnx-runtime.js';
import { readSavedEncoder, type SavedEncoder } from '../../../src/encoder/saved-encoder.js';
import { openTensorFlowRuntime } from '../../../src/encoder/tensorflow-runtime.js';
import { SearchError } from '../../../src/errors.js';
import { embeddingMatrix } from '../../../src/evaluation/embedding-matrix.js';
import { openExactSearch } from '../../../src/evaluation/exact-search.js';
import { voteOfNeighbours } from '../../../src/evaluation/measures/class-measures.js';
import type { Pixels } from '../../../src/images/pixels.js';
import { type Preprocessing, writeInputTensor } from '../../../src/images/preprocessing.js';
import { fitClosedForm } from '../../../src/training/closed-form/closed-form.js';
import { fitClosedFormEncoder } from '../../../src/training/closed-form/closed-form-export.js';
import { closedFormProgram } from '../../../src/training/closed-form/closed-form-graph.js';
import { codeMoments } from '../../../src/training/closed-form/closed-form-moments.js';
import { closedFormOptions, closedFormPreprocessing } from '../../../src/training/closed-form/closed-form-options.js';
import { buildPatchDictionary } from '../../../src/training/closed-form/patch-dictionary.js';
import { mirroredPatches, samplePatches } from '../../../src/training/closed-form/patch-sample.js';
import {
  mirrored,
  range,
  referenceCells,
  referenceCodes,
  referenceEmbedding,
  referenceFeatures,
  SMALL,
  wavyPictures,
} from './closed-form-reference.js';

const DATA_FACTS = { data: 'waves', licence: 'none needed', command: 'this test' };

function inputOf(pictures: readonly Pixels[], preprocessing: Preprocessing): Float32Array {
  const batch = new Float32Array(pictures.length * 3 * preprocessing.width * preprocessing.height);
  for (const [index, pixels] of pictures.entries()) writeInputTensor({ pixels, preprocessing, target: batch, index });
  return batch;
}

function assertClose(found: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number, what: string): void {
  assert.equal(found.length, expected.length, what);
  for (let at = 0; at < found.length; at++) {
    assert.ok(
      Math.abs(found[at]! - expected[at]!) <= tolerance,
      `${what}, value ${at}: ${found[at]}, expected ${expected[at]}`,
    );
  }
}

function withCode(code: string, message: RegExp) {
  return (error: unknown) => error instanceof SearchError && error.code === code && message.test(error.message);
}

async function smallDictionary(seed: number) {
  const sample = await samplePatches({
    images: wavyPictures(80, 8, 1),
    preprocessing: closedFormPreprocessing(SMALL),
    patch: 3,
    seed,
  });
  return {
    sample,
    dictionary: await buildPatchDictionary({ sample, patch: 3, atoms: 24, regularisation: 1e-6, seed }),
  };
}

test('patches are drawn from the pictures, centred per channel; flat ones are left out and the seed decides', async () => {
  const draw = (images: Pixels[], seed: number) =>
    samplePatches({ images, preprocessing: closedFormPreprocessing(SMALL), patch: 3, seed });
  const sample = await draw(wavyPictures(5, 8, 3), 1);
  assert.deepEqual([sample.images, sample.patches], [5, 80]);
  for (let at = 0; at < sample.values.length; at += 9) {
    assert.ok(Math.abs(sample.values.subarray(at, at + 9).reduce((a, b) => a + b)) < 1e-6);
  }
  assert.deepEqual(sample, await draw(wavyPictures(5, 8, 3), 1));
  assert.notDeepEqual(sample.values, (await draw(wavyPictures(5, 8, 3), 2)).values);
  const flat = { width: 8, height: 8, rgb: new Uint8Array(192).fill(200) };
  assert.equal((await draw([flat, flat], 1)).patches, 0);
});

test('whitened patches have unit covariance, and whitening commutes with mirroring', async () => {
  const { sample, dictionary } = await smallDictionary(5);
  const whiten = (values: Float32Array) => {
    const rows = new Float32Array(values.length);
    for (let at = 0; at < rows.length; at++) {
      const first = at - (at % 27);
      for (let k = 0; k < 27; k++)
        rows[at] = rows[at]! + dictionary.whitening[(at % 27) * 27 + k]! * values[first + k]!;
    }
    return rows;
  };
  const both = [sample.values, mirroredPatches(sample.values, 3)].map(whiten);
  assertClose(both[1]!, mirroredPatches(both[0]!, 3), 2e-3, 'mirrored');
  const rows = Float32Array.from([...both[0]!, ...both[1]!]);
  const count = rows.length / 27;
  // A projection: identity but for the mean of each channel, which centring took away.
  for (const [i, j] of [
    [0, 0],
    [4, 4],
    [0, 1],
    [3, 20],
    [9, 10],
    [26, 26],
  ] as const) {
    let sum = 0;
    for (let row = 0; row < count; row++) sum += rows[row * 27 + i]! * rows[row * 27 + j]!;
    const expected = (i === j ? 1 : 0) - (Math.floor(i / 9) === Math.floor(j / 9) ? 1 / 9 : 0);
    assert.ok(Math.abs(sum / count - expected) < 0.02, `covariance ${i}, ${j}: ${sum / count}, expected ${expected}`);
  }
});

test('atoms are unit rows, the second half the mirror images of the first; too few patches are refused', async () => {
  const { sample, dictionary } = await smallDictionary(5);
  for (let row = 0; row < 24; row++)
    assert.ok(Math.abs(Math.hypot(...dictionary.atoms.subarray(row * 27, row * 27 + 27)) - 1) < 1e-6);
  assert.deepEqual(dictionary.atoms.subarray(12 * 27), mirroredPatches(dictionary.atoms.subarray(0, 12 * 27), 3));
  const build = buildPatchDictionary({
    sample,
    patch: 3,
    atoms: 2 * sample.patches + 2,
    regularisation: 1e-3,
    seed: 1,
  });
  await assert.rejects(build, withCode('INVALID_SETTINGS', /more images or fewer atoms/));
});

test('moments of mean codes are those of the definition, over the images that were asked for', async () => {
  const pictures = wavyPictures(90, 8, 7);
  const { dictionary } = await smallDictionary(5);
  const settings = { ...SMALL, momentImages: 30 };
  const { codes, means } = await codeMoments({ images: pictures, count: 90, dictionary, settings });
  assert.deepEqual([codes.count, means.count], [300, 30]);
  // Every third picture: evenly spread.
  const rows = pictures
    .filter((_, index) => index % 3 === 2)
    .map((picture) => {
      const places = referenceCodes(picture, dictionary, SMALL).flat();
      return range(24).map((k) => places.reduce((sum, code) => sum + code[k]!, 0) / places.length);
    });
  const mean = range(24).map((k) => rows.reduce((sum, row) => sum + row[k]!, 0) / 30);
  assertClose(means.mean, mean, 1e-5, 'mean');
  const covariance = range(24 * 24).map((at) => {
    const [i, j] = [Math.floor(at / 24), at % 24];
    return rows.reduce((sum, row) => sum + (row[i]! - mean[i]!) * (row[j]! - mean[j]!), 0) / 30;
  });
  assertClose(means.covariance, covariance, 1e-5, 'covariance');
});

test('with one patch per picture its codes are the mean codes', async () => {
  const pictures = wavyPictures(50, 3, 7);
  const { dictionary } = await smallDictionary(5);
  const { codes, means } = await codeMoments({
    images: pictures,
    count: 50,
    dictionary,
    settings: { ...SMALL, side: 3 },
  });
  assertClose(codes.mean, means.mean, 1e-6, 'mean');
  assertClose(codes.covariance, means.covariance, 1e-6, 'covariance');
});

test('the exported program computes the definition: local features, cells of picture and mirror image, embedding', async () => {
  const fit = await fitClosedForm({ images: wavyPictures(120, 8, 2), settings: SMALL });
  const pictures = wavyPictures(4, 8, 99);
  const session = await InferenceSession.create(closedFormProgram({ ...fit, options: SMALL }));
  const pixels = new Tensor('float32', inputOf(pictures, closedFormPreprocessing(SMALL)), [4, 3, 8, 8]);
  const outputs = await session.run({ pixels });
  await session.release();
  assert.ok(
    fit.codes.even > 0 && fit.codes.even < SMALL.eigenvectors,
    `${fit.codes.even} even: both kinds must be tested`,
  );
  const { dictionary, codes } = fit;
  for (const [index, picture] of pictures.entries()) {
    const map = referenceFeatures(referenceCodes(picture, dictionary, SMALL), codes, SMALL);
    const chw = range(6 * 9).map((at) => map[Math.floor((at % 9) / 3)]![at % 3]![Math.floor(at / 9)]!);
    const found = outputs.features!.data as Float32Array;
    assertClose(found.subarray(index * 54, (index + 1) * 54), chw, 2e-3, `features of picture ${index}`);
    const cells = referenceCells(picture, { dictionary, codes, options: SMALL });
    const embedding = (outputs.embedding!.data as Float32Array).subarray(index * 4, (index + 1) * 4);
    assertClose(embedding, referenceEmbedding(cells, fit.cells, 4), 5e-3, `embedding of picture ${index}`);
  }
});

test('a saved encoder runs the same in both runtimes, is blind to mirroring, and is a function of its seed', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'likeness-closed-form-'));
  try {
    const images = wavyPictures(120, 8, 2);
    const fit = (name: string, seed: number) =>
      fitClosedFormEncoder({
        images,
        settings: { ...SMALL, seed },
        out: join(folder, name),
        name: 'waves',
        dataFacts: DATA_FACTS,
      });
    const encoder = await fit('first', 1);
    assert.equal((await fit('again', 1)).manifest.id, encoder.manifest.id);
    assert.notEqual((await fit('other', 2)).manifest.id, encoder.manifest.id);
    const read = await readSavedEncoder(join(folder, 'first'));
    assert.deepEqual(read.manifest.outputs.features, { name: 'features', channels: 6, grid: { width: 3, height: 3 } });
    assert.equal(read.manifest.training.seed, 1);
    assert.match(await readFile(join(folder, 'first', 'README.md'), 'utf8'), /waves, 120 images/);
    const pictures = wavyPictures(6, 8, 50);
    const batch = inputOf([...pictures, ...pictures.map(mirrored)], read.manifest.preprocessing);
    const onnx = await openOnnxRuntime(read, { device: 'cpu', threads: 1 });
    const embeddings = await onnx.run(batch, 12);
    await onnx.close();
    assertClose(embeddings.subarray(24), embeddings.subarray(0, 24), 1e-3, 'mirrored');
    const tensorflow = await openTensorFlowRuntime(read, { device: 'tensorflow' });
    assertClose(await tensorflow.run(batch, 12), embeddings, 1e-3, 'tensorflow');
    await tensorflow.close();
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('more directions than images can tell apart are refused', async () => {
  const fit = fitClosedForm({ images: wavyPictures(6, 8, 2), settings: SMALL });
  await assert.rejects(fit, withCode('INVALID_SETTINGS', /6 directions need more images than that; there are 6/));
});

test('progress names the step and counts its images', async () => {
  const seen: string[] = [];
  const settings = { ...SMALL, momentImages: 70 };
  await fitClosedForm({
    images: wavyPictures(90, 8, 2),
    settings,
    onProgress: ({ step, images, of }) => seen.push(`${step} ${images}/${of}`),
  });
  assert.deepEqual(seen, ['patches 90/90', 'codes 64/70', 'codes 70/70', 'views 64/90', 'views 90/90']);
});

test('options that do not fit together are refused, all at once', () => {
  const options = { side: 33, atoms: 9, threshold: 1, eigenvectors: 0, seed: 0.5, ridge: 0 };
  assert.throws(
    () => closedFormOptions(options),
    withCode(
      'INVALID_SETTINGS',
      /eigenvectors is 0.*ridge is 0.*threshold is 1.*seed is 0.5.*atoms is 9.*multiple of stride/s,
    ),
  );
  assert.throws(
    () => closedFormOptions({ side: 34, pool: 4 }),
    withCode('INVALID_SETTINGS', /15 patches across; pool, 4, must divide/),
  );
  assert.throws(() => closedFormOptions({ grid: 8 }), withCode('INVALID_SETTINGS', /only 7 places/));
  assert.throws(() => closedFormOptions({ patch: 40 }), withCode('INVALID_SETTINGS', /does not fit into a side of 32/));
  assert.throws(() => closedFormOptions({ eigenvectors: 8, grid: 2 }), withCode('INVALID_SETTINGS', /give only 16/));
  for (const side of [32, 48, 64, 96, 128]) assert.equal(closedFormOptions({ side }).side, side);
});

const SPRITE = '../shared/data/cifar10/test_batch';
const skip = existsSync(`${SPRITE}.webp`) ? false : `needs ${SPRITE}.webp`;
test('fitted to 600 pictures it puts others among their own class better than raw pixels do', { skip }, async () => {
  const labels = await readFile(`${SPRITE}.labels`);
  const images = await spriteImages(`${SPRITE}.webp`, 1600);
  const settings = { atoms: 512, eigenvectors: 64, dimensions: 64, views: 2, seed: 1 };
  const folder = await mkdtemp(join(tmpdir(), 'likeness-closed-form-'));
  try {
    const encoder = await fitClosedFormEncoder({
      images: images.slice(0, 600),
      settings,
      out: join(folder, 'fit'),
      name: 'small',
      dataFacts: DATA_FACTS,
    });
    const learnt = await accuracy(await embed(encoder, images), 64, labels);
    const input = inputOf(images, encoder.manifest.preprocessing);
    const raw = await accuracy(input, 3072, labels);
    console.log(`seed 1: k = 20, T = 0.07: ${learnt}, raw pixels ${raw}`);
    assert.ok(learnt >= raw + 0.06, `${learnt}, raw ${raw}`);
  } finally {
    await rm(folder, { recursive: true });
  }
});

async function embed(encoder: SavedEncoder, images: readonly Pixels[]): Promise<Float32Array> {
  const runtime = await openOnnxRuntime(encoder, { device: 'cpu', threads: 2 });
  const embeddings = await runtime.run(inputOf(images, encoder.manifest.preprocessing), images.length);
  await runtime.close();
  return embeddings;
}

/** Share of the first 600 rows' neighbourhoods that name the class of the others. */
async function accuracy(values: Float32Array, dimensions: number, labels: Uint8Array): Promise<number> {
  const [database, queries] = [values.subarray(0, 600 * dimensions), values.subarray(600 * dimensions)].map((part) =>
    embeddingMatrix(part, dimensions),
  );
  const search = await openExactSearch({ database: database!, metric: 'cosine' });
  const { indices, scores, k } = await search.nearest({ queries: queries!, k: 20 });
  await search.close();
  const correct = range(queries!.rows).filter((query) => {
    const neighbours = Array.from(indices.subarray(query * k, (query + 1) * k), (index) => labels[index]!);
    const similarities = scores.subarray(query * k, (query + 1) * k);
    return (
      voteOfNeighbours({ labels: neighbours, similarities, vote: { k: 20, temperature: 0.07 } }) === labels[600 + query]
    );
  });
  return correct.length / queries!.rows;
}

/** The first images of CIFAR-10's test split from a sprite of 100 x 100. */
async function spriteImages(path: string, count: number): Promise<Pixels[]> {
  const { data, info } = await sharp(path, { limitInputPixels: false })
    .removeAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true });
  return range(count).map((image) => {
    const rgb = new Uint8Array(3072);
    for (const y of range(32)) {
      const from = ((Math.floor(image / 100) * 32 + y) * info.width + (image % 100) * 32) * 3;
      rgb.set(data.subarray(from, from + 96), y * 96);
    }
    return { width: 32, height: 32, rgb };
  });
}
