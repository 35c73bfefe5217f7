/**
 * Collections of real photographs fit their own scores, by the code that the service runs: of results called near, 95
 * of 100 are copies, on pictures of a collection that shares none with the one fitted on. The copies that a collection
 * holds of its own pictures are left out, as in the fit.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Catalogue } from '../../../src/catalogue/catalogue.js';
import { openCatalogue } from '../../../src/catalogue/open-catalogue.js';
import type { Encoder } from '../../../src/encoder/encoder.js';
import { openEncoder } from '../../../src/encoder/open-encoder.js';
import { readShippedScores } from '../../../src/encoder/score-defaults.js';
import { decodeImage } from '../../../src/images/decoding/decode-image.js';
import { DEFAULT_IMAGE_LIMITS } from '../../../src/images/decoding/image-limits.js';
import type { ScoreMeasure } from '../../../src/matching/fit-score-model.js';
import { NEAR_PRECISION, type ScoreModel, UNFITTED_SCORES } from '../../../src/matching/score-model.js';
import { seededRandom, shuffledIndices } from '../../../src/seeded-random.js';
import { type BackgroundProcess, startBackgroundProcess } from '../../../src/server/derived/background-process.js';
import { type FitSize, fitCollection } from '../../../src/server/derived/fit-collection.js';
import type { OpenCollection } from '../../../src/server/tenancy.js';
import { REPOSITORY, sharedData } from '../../service-process.js';

const SEED = 2018;
const photos = sharedData('photos');
/**
 * Folders below the photographs, and how many pictures are edited. The clothes are fewer than a service asks for: a
 * harder trial.
 */
const TRIALS: readonly { readonly folder: string; readonly model: string; readonly size: FitSize }[] = [
  { folder: 'clothing', model: 'photos', size: { fitted: 115, heldOut: 60 } },
  { folder: 'clothing', model: 'closed-form-cifar10', size: { fitted: 115, heldOut: 60 } },
  { folder: '.', model: 'photos', size: { fitted: 200, heldOut: 100 } },
];

type Parts = { readonly catalogue: Catalogue; readonly encoder: Encoder; readonly child: BackgroundProcess };

for (const { folder, model, size } of TRIALS) {
  test(`${model} on ${folder}: what is called near is a copy`, {
    skip: photos === undefined && '../shared is absent',
  }, async () => {
    const data = await mkdtemp(join(tmpdir(), 'likeness-fitted-'));
    const modelFolder = join(REPOSITORY, 'models', model);
    const encoder = await openEncoder({ folder: modelFolder, device: 'cpu', threads: 1 });
    const { id: encoderId, dimensions } = encoder.description;
    const catalogue = await openCatalogue({ folder: data, encoderId, dimensions });
    const child = startBackgroundProcess();
    try {
      const parts = { catalogue, encoder, child };
      const root = join(photos!, folder);
      const names = (await readdir(root, { recursive: true })).filter((name) => name.endsWith('.jpg')).sort();
      const order = [...shuffledIndices(names.length, seededRandom(SEED, 'halves'))].map((at) =>
        join(root, names[at]!),
      );
      const half = order.length >> 1;
      await store(parts, 'one', order.slice(0, half));
      await store(parts, 'other', order.slice(half));

      const shipped = (await readShippedScores(modelFolder, encoderId))?.model ?? UNFITTED_SCORES;
      const startedAt = performance.now();
      const own = await fit(parts, 'one', size, shipped);
      const seconds = (performance.now() - startedAt) / 1000;
      assert.ok(own.fitted, 'its own curves are used');
      // Nothing is fitted on the other half: it only tells what curves are worth. Two thirds and one third change
      // places, so that most pictures judge.
      const judged = await fit(parts, 'other', { fitted: size.heldOut, heldOut: size.fitted }, own.fitted.model);
      const byEncoder = await fit(parts, 'other', { fitted: size.heldOut, heldOut: size.fitted }, shipped);
      console.log(
        `${model} on ${folder}, ${half} images, ${seconds.toFixed(1)} s: near from ${own.fitted.model.nearProbability.toFixed(2)}; held out ${told(own.fitted)}; ` +
          `on the other half ${told(judged.current)}, by the encoder's curves ${told(byEncoder.current)}`,
      );
      assert.ok(own.fitted.precision >= NEAR_PRECISION, told(own.fitted));
      assert.ok(judged.current.precision >= NEAR_PRECISION, told(judged.current));
    } finally {
      await child.close();
      await catalogue.close();
      await encoder.close();
      await rm(data, { recursive: true, force: true });
    }
  });
}

function fit(parts: Parts, collection: string, size: FitSize, current: ScoreModel) {
  return fitCollection({
    ...parts,
    collection: collection as OpenCollection,
    size,
    current,
    whenIdle: async () => undefined,
  });
}

function told({ precision, recall }: ScoreMeasure): string {
  return `precision ${precision.toFixed(4)}, recall ${recall.toFixed(3)}`;
}

async function store({ catalogue, encoder }: Parts, collection: string, paths: readonly string[]): Promise<void> {
  const settings = {
    limits: DEFAULT_IMAGE_LIMITS,
    preprocessing: encoder.description.preprocessing,
    thumbnailSize: 256,
    thumbnail: true,
  };
  for (const path of paths) {
    const bytes = await readFile(path);
    const { pixels, thumbnail, ...image } = await decodeImage(bytes, settings);
    const { embedding } = await encoder.encode(pixels, {});
    await catalogue.add(collection, {
      ...image,
      ...{ id: undefined, metadata: {}, bytes: bytes.length, fileName: null, original: undefined, replace: false },
      ...{ embedding, thumbnail: thumbnail! },
    });
  }
}
