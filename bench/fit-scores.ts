/**
 * Fits what the scores of saved encoders mean on a folder of pictures, and writes scores.json into each
 * encoder's folder: `node dist/bench/fit-scores.js [--curve FILE.svg] [--different 'A = B'] PICTURES_FOLDER
 * MODEL_FOLDER...`. The pictures are parted in two collections that share none: curves and threshold come of searches
 * in the one, precision, recall and the reliability curve of searches in the other. Copies that the folder holds are
 * found by laying pictures on each other, listed and left out; a listed pair that the eye tells apart is counted again
 * with --different.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Encoder } from '../src/encoder/encoder.js';
import { openEncoder } from '../src/encoder/open-encoder.js';
import { SCORES_FILE, type ShippedScores } from '../src/encoder/score-defaults.js';
import { attackImage, COPY_ATTACKS } from '../src/images/copy-attacks.js';
import { decodeImage } from '../src/images/decoding/decode-image.js';
import { DEFAULT_IMAGE_LIMITS } from '../src/images/decoding/image-limits.js';
import type { DecodedImage } from '../src/images/image-decoder.js';
import {
  hammingDistance,
  PERCEPTUAL_HASH_QUALITY_MIN,
  PERCEPTUAL_HASH_THRESHOLD,
} from '../src/images/perceptual-hash.js';
import { type Sketch, sketchOfThumbnail } from '../src/images/sketch.js';
import { alignmentQuery, alignPictures } from '../src/matching/align-pictures.js';
import { EDITED_AGREEMENT_MIN } from '../src/matching/copy-verdict.js';
import { fitScoreModel, type ScoredPair, type ScoreFit } from '../src/matching/fit-score-model.js';
import { NEAR_PRECISION } from '../src/matching/score-model.js';
import { seededRandom, shuffledIndices } from '../src/seeded-random.js';
import { reliabilityCurves } from './reliability-curve.js';

const SEED = 2018;
/** Least and most pictures that are stored, half in either collection. */
const PICTURES_MIN = 200;
const PICTURES_MAX = 2000;
/** Of either collection, the pictures that are edited, and the edits of each, in turn so that all are as frequent. */
const EDITED_MAX = 200;
const EDITS_OF_EACH = 6;
/** Results of a search. */
const RESULTS = 10;
/**
 * So many of an edited picture's nearest, where they are as alike as this, are laid on it: they may be copies that the
 * folder holds.
 */
const DOUBTFUL = { count: 5, similarity: 0.5 } as const;
const BATCH = 32;

type Stored = { readonly name: string; readonly embedding: Float32Array; readonly image: DecodedImage };
type Subject = {
  readonly encoder: Encoder;
  readonly folder: string;
  readonly collection: readonly Stored[];
  readonly pairs: ScoredPair[];
};

const { values, positionals } = parseArgs({
  options: { curve: { type: 'string' }, different: { type: 'string', multiple: true, default: [] } },
  allowPositionals: true,
});
const [picturesFolder, ...modelFolders] = positionals;
if (picturesFolder === undefined || modelFolders.length === 0)
  throw new Error('Give a folder of pictures and at least one of a saved encoder.');
const found = readdirSync(picturesFolder, { recursive: true, encoding: 'utf8' })
  .filter((name) => /\.(jpe?g|png|webp)$/i.test(name))
  .sort();
if (found.length < PICTURES_MIN)
  throw new Error(`${picturesFolder} holds ${found.length} pictures; ${PICTURES_MIN} are the least to fit on.`);
const order = [...shuffledIndices(found.length, seededRandom(SEED, 'collections'))]
  .slice(0, PICTURES_MAX)
  .map((at) => found[at]!);
const half = order.length >> 1;
const encoders = await Promise.all(
  modelFolders.map(async (folder) => ({ folder, encoder: await openEncoder({ folder, device: 'cpu', threads: 2 }) })),
);

const sketches = new Map<string, Promise<Sketch>>();
const copies = new Map(values.different.map((pair) => [pair, false]));
const fitted = await searched(order.slice(0, half), 'fitted');
const heldOut = await searched(order.slice(half), 'held out');
const fits = fitted.map((subject, at) => finished(subject, heldOut[at]!));
for (const { encoder } of encoders) await encoder.close();
if (values.curve !== undefined) {
  writeFileSync(
    values.curve,
    reliabilityCurves(fits.map(({ name, fit }) => ({ ...fit, name, nearProbability: fit.model.nearProbability }))),
  );
}
console.log(
  `Left out as copies that the folder holds:\n${[...copies].flatMap(([pair, is]) => (is ? [`  ${pair}`] : [])).join('\n')}`,
);

/** Stores a collection for every encoder and searches it with edits of its pictures. */
async function searched(names: readonly string[], part: string): Promise<Subject[]> {
  const bytesOf = (name: string): Uint8Array => readFileSync(join(picturesFolder!, name));
  const subjects: Subject[] = [];
  for (const { encoder, folder } of encoders) {
    const collection: Stored[] = [];
    for (let from = 0; from < names.length; from += BATCH) {
      const batch = names.slice(from, from + BATCH);
      const encoded = await encodeAll(encoder, batch.map(bytesOf), true);
      collection.push(...encoded.map((one, at) => ({ ...one, name: batch[at]! })));
    }
    subjects.push({ encoder, folder, collection, pairs: [] });
  }
  const edited = Math.min(EDITED_MAX, names.length);
  for (let picture = 0; picture < edited; picture++) {
    // From the stored thumbnail, as a service does it, which has no originals.
    const bytes = subjects[0]!.collection[picture]!.image.thumbnail!;
    const attacks = Array.from(
      { length: EDITS_OF_EACH },
      (_, at) => COPY_ATTACKS[(picture * EDITS_OF_EACH + at) % COPY_ATTACKS.length]!,
    );
    const edits = await Promise.all(attacks.map((attack) => attackImage({ bytes, attack, seed: picture })));
    for (const { encoder, collection, pairs } of subjects) {
      const known = await copiesOf(picture, collection);
      for (const query of await encodeAll(encoder, edits, false))
        pairs.push(...resultsOf(query, { picture, known, collection }));
    }
    if (picture % 50 === 49)
      console.error(
        `${part}: ${picture + 1} of ${edited} pictures, ${process.cpuUsage().user / 1e6} s of processor time`,
      );
  }
  return subjects;
}

async function encodeAll(
  encoder: Encoder,
  pictures: readonly Uint8Array[],
  thumbnail: boolean,
): Promise<Omit<Stored, 'name'>[]> {
  const { preprocessing } = encoder.description;
  return await Promise.all(
    pictures.map(async (bytes) => {
      const image = await decodeImage(bytes, {
        limits: DEFAULT_IMAGE_LIMITS,
        preprocessing,
        thumbnailSize: 256,
        thumbnail,
      });
      return { image, embedding: (await encoder.encode(image.pixels, {})).embedding };
    }),
  );
}

/**
 * What a search for the edit would answer: the nearest by embedding, and a near hash however it ranks. Copies that the
 * folder holds are left out.
 */
function resultsOf(
  query: Omit<Stored, 'name'>,
  {
    picture,
    known,
    collection,
  }: { readonly picture: number; readonly known: ReadonlySet<number>; readonly collection: readonly Stored[] },
): ScoredPair[] {
  const all = collection.map((stored, at): ScoredPair & { readonly at: number } => {
    const similarity = cosine(query.embedding, stored.embedding);
    const isCopy = at === picture;
    return { at, picture, similarity, distance: distanceOf(query.image, stored.image), isCopy, weight: isCopy ? 1 : 2 };
  });
  return all
    .filter(({ at }) => !known.has(at))
    .sort((a, b) => b.similarity - a.similarity)
    .filter(
      ({ distance }, rank) => rank < RESULTS || (distance ?? Number.POSITIVE_INFINITY) <= PERCEPTUAL_HASH_THRESHOLD,
    )
    .map(({ at: _, ...pair }) => pair);
}

/** Others of a collection that are copies of one of its pictures, by laying them on it. */
async function copiesOf(picture: number, collection: readonly Stored[]): Promise<ReadonlySet<number>> {
  const original = collection[picture]!;
  const doubtful = [...collection.keys()]
    .filter((at) => at !== picture)
    .map((at) => ({ at, similarity: cosine(original.embedding, collection[at]!.embedding) }))
    .sort((a, b) => b.similarity - a.similarity)
    .slice(0, DOUBTFUL.count)
    .filter(({ similarity }) => similarity >= DOUBTFUL.similarity);
  const known = new Set<number>();
  for (const { at } of doubtful) {
    const key = [original.name, collection[at]!.name].sort().join(' = ');
    let isCopy = copies.get(key);
    if (isCopy === undefined) {
      const alignment = alignPictures(alignmentQuery(await sketchOf(original)), await sketchOf(collection[at]!));
      isCopy = (alignment?.agreement ?? 0) >= EDITED_AGREEMENT_MIN;
      copies.set(key, isCopy);
    }
    if (isCopy) known.add(at);
  }
  return known;
}

function sketchOf({ name, image }: Stored): Promise<Sketch> {
  const sketch = sketches.get(name) ?? sketchOfThumbnail(image.thumbnail!);
  sketches.set(name, sketch);
  return sketch;
}

function distanceOf(a: DecodedImage, b: DecodedImage): number | undefined {
  const speaks = Math.min(a.perceptualHashQuality, b.perceptualHashQuality) >= PERCEPTUAL_HASH_QUALITY_MIN;
  return speaks ? hammingDistance(a.perceptualHash, b.perceptualHash) : undefined;
}

function cosine(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

/** Cosines of random pairs of stored pictures. */
function randomSimilarities({ collection }: Subject): number[] {
  const random = seededRandom(SEED, 'random pairs');
  const drawn = (): number => Math.floor(random() * collection.length);
  return Array.from({ length: 5000 }, () => [drawn(), drawn()] as const)
    .filter(([a, b]) => a !== b)
    .map(([a, b]) => cosine(collection[a]!.embedding, collection[b]!.embedding));
}

function finished(subject: Subject, judged: Subject): { readonly name: string; readonly fit: ScoreFit } {
  const { name, id: encoderId } = subject.encoder.description;
  const fit = fitScoreModel({
    fitted: subject.pairs,
    heldOut: judged.pairs,
    randomSimilarities: randomSimilarities(subject),
  });
  if (fit === undefined) throw new Error(`${name}: too few pictures, or copies of them cannot be told from others.`);
  const { model, images, pairs, precision, recall, reliability } = fit;
  const of = (part: Subject): string =>
    `${new Set(part.pairs.map(({ picture }) => picture)).size} of ${part.collection.length} pictures`;
  console.log(
    `${name}: near from ${model.nearProbability.toFixed(3)}, related from cosine ${model.relatedSimilarity.toFixed(3)}; ` +
      `held out: precision ${precision.toFixed(4)}, recall ${recall.toFixed(4)}, ${judged.pairs.length} pairs`,
  );
  console.log(
    reliability
      .map(({ probability, copies: right, pairs: count }) => `${probability.toFixed(2)}: ${right} of ${count}`)
      .join('; '),
  );
  if (!(precision >= NEAR_PRECISION))
    throw new Error(`${name}: precision ${precision} on held-out pictures is below ${NEAR_PRECISION}.`);
  const scores: ShippedScores = {
    formatVersion: 1,
    encoderId,
    fittedAt: new Date().toISOString(),
    data: `fitted on ${EDITS_OF_EACH} edits each of ${of(subject)}; precision, recall and reliability on ${EDITS_OF_EACH} each of ${of(judged)} held out`,
    images,
    pairs,
    precision,
    recall,
    model: { ...model, byCosine: [...model.byCosine], byCosineAndHash: [...model.byCosineAndHash] },
    reliability: [...reliability],
  };
  writeFileSync(join(subject.folder, SCORES_FILE), `${JSON.stringify(scores, null, 2)}\n`);
  return { name, fit };
}
