/**
 * What alignment calls a copy: edits of photographs and of drawn documents against their originals, and other pictures
 * that it must tell apart: the nearest strangers by embedding, random ones, photographs between white bars, different
 * documents of one layout. Prints shares by kind and, for several limits of the agreement, how many copies are found
 * and strangers called copies.
 *
 *   node dist/bench/copy-verification.js [--photos FOLDER] [--every N] [--model FOLDER]
 *
 * (about 20 minutes of one core; N: 1 of N)
 *
 * A pair counts as a copy as a search with `groups=true` decides it: by the alignment, or by a near hash that the
 * alignment does not contradict. Documents: half of the kinds were used to choose thresholds, the other half was
 * only measured.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import sharp from 'sharp';
import { openEncoder } from '../src/encoder/open-encoder.js';
import { attackImage, COPY_ATTACKS, type CopyAttack } from '../src/images/copy-attacks.js';
import { decodeImage } from '../src/images/decoding/decode-image.js';
import { DEFAULT_IMAGE_LIMITS } from '../src/images/decoding/image-limits.js';
import {
  DIHEDRAL_VARIANTS,
  type DihedralHashes,
  type DihedralVariant,
  hammingDistance,
  PERCEPTUAL_HASH_QUALITY_MIN,
  PERCEPTUAL_HASH_THRESHOLD,
} from '../src/images/perceptual-hash.js';
import { type Sketch, sketchOfThumbnail } from '../src/images/sketch.js';
import { type Alignment, type AlignmentQuery, alignmentQuery, alignPictures } from '../src/matching/align-pictures.js';
import { EDITED_AGREEMENT_MIN } from '../src/matching/copy-verdict.js';
import { seededRandom, shuffledIndices } from '../src/seeded-random.js';
import { drawnDocument, HELD_OUT_KINDS, TUNED_KINDS } from '../test/matching/drawn-documents.js';

const SEED = 2018;
const EDITED_PHOTOS = 200;
const STRANGERS = { queries: 232, nearest: 16, random: 4 } as const;
const BARRED_PHOTOS = 80;
const DOCUMENTS_OF_EACH_KIND = 10;
const DOCUMENT_EDITS: readonly CopyAttack[] = ['jpeg-60', 'half-size', 'crop-90', 'grey'];
const LIMITS = [0.3, 0.5, EDITED_AGREEMENT_MIN, 0.9] as const;

type Stored = {
  readonly sketch: Sketch;
  readonly embedding: Float32Array;
  readonly hash: Uint8Array;
  readonly quality: number;
};
type Query = {
  readonly aligned: AlignmentQuery;
  readonly embedding: Float32Array;
  readonly hashes: DihedralHashes;
  readonly quality: number;
};
type Judged = {
  readonly isCopy: boolean;
  readonly alignment: Alignment | undefined;
  readonly nearHash: 'upright' | 'turned' | undefined;
};

const { values } = parseArgs({
  options: {
    photos: { type: 'string' },
    every: { type: 'string', default: '1' },
    model: { type: 'string', default: 'models/photos' },
  },
});
const folder = values.photos ?? fileURLToPath(new URL('../../../shared/data/photos/', import.meta.url));
const every = Number(values.every);
const encoder = await openEncoder({ folder: values.model, device: 'cpu', threads: 1 });
const names = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  .filter((name) => /\.jpe?g$/i.test(name))
  .sort();
const rows = new Map<string, Judged[]>();

const photos: Stored[] = [];
for (const name of names) photos.push(await stored(readFileSync(join(folder, name))));
const order = [...shuffledIndices(names.length, seededRandom(SEED, 'copies'))];
for (const at of taken(order, EDITED_PHOTOS)) {
  const bytes = readFileSync(join(folder, names[at]!));
  for (const attack of COPY_ATTACKS) {
    judge(`photograph: ${attack}`, true, await query(await attackImage({ bytes, attack, seed: at })), photos[at]!);
  }
}
for (const at of taken(order, STRANGERS.queries)) {
  const asked = await query(readFileSync(join(folder, names[at]!)));
  for (const other of nearest(asked, at, STRANGERS.nearest)) judge('stranger: nearest', false, asked, photos[other]!);
  for (const other of order.slice(0, STRANGERS.random))
    if (other !== at) judge('stranger: random', false, asked, photos[other]!);
}
const barred = order.filter((at) => names[at]!.includes('clothing'));
for (const at of taken(barred.length > 0 ? barred : order, BARRED_PHOTOS)) {
  const picture = sharp(readFileSync(join(folder, names[at]!)));
  const side = Math.round((await picture.metadata()).width / 4);
  const asked = await query(await picture.extend({ left: side, right: side, background: 'white' }).png().toBuffer());
  for (const other of nearest(asked, at, STRANGERS.nearest))
    judge('stranger: white bars', false, asked, photos[other]!);
}
for (const [half, kinds] of [
  ['tuned', TUNED_KINDS],
  ['held out', HELD_OUT_KINDS],
] as const) {
  for (const kind of kinds) {
    const name = names.find((candidate) => candidate.includes(kind === 'meme' ? 'Faces' : 'garfield'));
    const template = name === undefined ? undefined : readFileSync(join(folder, name));
    const sheets: Buffer[] = [];
    const own: Stored[] = [];
    for (let at = 0; at < DOCUMENTS_OF_EACH_KIND; at += every) {
      sheets.push(await drawnDocument(kind, at, { font: 'system', ...(template !== undefined && { template }) }));
      own.push(await stored(sheets.at(-1)!));
    }
    for (const [at, bytes] of sheets.entries()) {
      const asked = await query(bytes);
      for (const [other, picture] of own.entries())
        if (other !== at) judge(`${half} layout: ${kind}`, false, asked, picture);
      const tilted = await sharp(bytes).rotate(2, { background: 'white' }).jpeg({ quality: 85 }).toBuffer();
      judge(`${half} document: tilt`, true, await query(tilted), own[at]!);
      for (const attack of DOCUMENT_EDITS) {
        judge(
          `${half} document: ${attack}`,
          true,
          await query(await attackImage({ bytes, attack, seed: at })),
          own[at]!,
        );
      }
    }
  }
}
await encoder.close();

console.log('| pairs | | called copies | contradicted | not aligned |\n|---|---:|---:|---:|---:|');
for (const [kind, judged] of rows) {
  const share = (is: (pair: Judged) => boolean): string =>
    `${((100 * judged.filter(is).length) / judged.length).toFixed(1)} %`;
  const called = share((pair) => isCalledCopy(pair, EDITED_AGREEMENT_MIN));
  const contradicted = share(({ alignment }) => alignment !== undefined && alignment.agreement < EDITED_AGREEMENT_MIN);
  console.log(
    `| ${kind} | ${judged.length} | ${called} | ${contradicted} | ${share(({ alignment }) => alignment === undefined)} |`,
  );
}
console.log('\n| agreement from | copies found | strangers called copies |\n|---|---:|---:|');
for (const limit of LIMITS) {
  const share = (isCopy: boolean): string => {
    const all = [...rows.values()].flat().filter((pair) => pair.isCopy === isCopy);
    return `${((100 * all.filter((pair) => isCalledCopy(pair, limit)).length) / all.length).toFixed(2)} %`;
  };
  console.log(`| ${limit} | ${share(true)} | ${share(false)} |`);
}

function taken(places: readonly number[], count: number): number[] {
  return places.slice(0, count).filter((_, at) => at % every === 0);
}

/** Alignment turns no picture, so it contradicts upright hashes only. */
function isCalledCopy({ alignment, nearHash }: Judged, limit: number): boolean {
  if (alignment !== undefined && alignment.agreement >= limit) return true;
  return nearHash === 'turned' || (nearHash === 'upright' && alignment === undefined);
}

function judge(kind: string, isCopy: boolean, asked: Query, picture: Stored): void {
  const speaks = Math.min(asked.quality, picture.quality) >= PERCEPTUAL_HASH_QUALITY_MIN;
  const isNear = (variants: readonly DihedralVariant[]): boolean =>
    speaks &&
    variants.some((variant) => hammingDistance(asked.hashes[variant], picture.hash) <= PERCEPTUAL_HASH_THRESHOLD);
  const nearHash = isNear(['original', 'flipY']) ? 'upright' : isNear(DIHEDRAL_VARIANTS) ? 'turned' : undefined;
  const alignment = alignPictures(asked.aligned, picture.sketch);
  const list = rows.get(kind) ?? [];
  list.push({ isCopy, alignment, nearHash });
  rows.set(kind, list);
}

function nearest({ embedding }: Query, self: number, count: number): number[] {
  const scored = photos.map((picture, at) => ({
    at,
    score: picture.embedding.reduce((sum, value, i) => sum + value * embedding[i]!, 0),
  }));
  return scored
    .filter(({ at }) => at !== self)
    .sort((a, b) => b.score - a.score)
    .slice(0, count)
    .map(({ at }) => at);
}

async function stored(bytes: Uint8Array): Promise<Stored> {
  const { image, embedding } = await looked(bytes, true);
  const sketch = await sketchOfThumbnail(image.thumbnail!);
  return { sketch, embedding, hash: image.perceptualHash, quality: image.perceptualHashQuality };
}

async function query(bytes: Uint8Array): Promise<Query> {
  const { image, embedding } = await looked(bytes, false);
  const { sketch, hashes } = image.copyFeatures!;
  return { aligned: alignmentQuery(sketch), embedding, hashes, quality: image.perceptualHashQuality };
}

async function looked(bytes: Uint8Array, thumbnail: boolean) {
  const { preprocessing } = encoder.description;
  const image = await decodeImage(bytes, {
    limits: DEFAULT_IMAGE_LIMITS,
    preprocessing,
    thumbnailSize: 256,
    thumbnail,
    copyFeatures: true,
  });
  const { embedding } = await encoder.encode(image.pixels, {});
  return { image, embedding: Float32Array.from(embedding) };
}
