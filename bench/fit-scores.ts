/**
 * Fits what an encoder's scores mean on a folder of pictures, and writes scores.json into its folder, with the reliability curve as SVG where a third
 * argument names a file: `node dist/bench/fit-scores.js MODEL_FOLDER PICTURES_FOLDER [CURVE.svg]`. Some five processor minutes for 1,850 pictures.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openEncoder } from '../src/encoder/open-encoder.js';
import { SCORES_FILE, type ShippedScores } from '../src/encoder/score-defaults.js';
import { attackImage, COPY_ATTACKS } from '../src/evaluation/copy-attacks.js';
import { sampledIndices, seededRandom } from '../src/evaluation/seeded-random.js';
import { decodeImage } from '../src/images/decode-image.js';
import type { DecodedImage } from '../src/images/image-decoder.js';
import { DEFAULT_IMAGE_LIMITS } from '../src/images/image-limits.js';
import { hammingDistance, PERCEPTUAL_HASH_QUALITY_MIN, PERCEPTUAL_HASH_THRESHOLD } from '../src/images/perceptual-hash.js';
import { sketchOfThumbnail } from '../src/images/sketch.js';
import { alignmentQuery, alignPictures } from '../src/matching/align-pictures.js';
import { fitScoreModel, type ScoredPair, type ScoreFit } from '../src/matching/fit-score-model.js';
import { EDITED_AGREEMENT_MIN } from '../src/matching/match-kind.js';

const SEED = 2018;
const EDITED_PICTURES = 200;
const RESULTS = 10;
/** Wrong results that are as alike as this are laid on the query: they may be copies that the folder holds. */
const DOUBTFUL_SIMILARITY = 0.7;
const BATCH = 32;

const [modelFolder, picturesFolder, curveFile] = process.argv.slice(2);
if (modelFolder === undefined || picturesFolder === undefined) throw new Error('Give the folder of a saved encoder and one of pictures.');
const names = readdirSync(picturesFolder, { recursive: true, encoding: 'utf8' })
  .filter((name) => /\.(jpe?g|png|webp)$/i.test(name))
  .sort();
const encoder = await openEncoder({ folder: modelFolder, device: 'cpu' });
const { preprocessing, id: encoderId } = encoder.description;

type Stored = { readonly embedding: Float32Array; readonly image: DecodedImage };

async function encodeAll(pictures: readonly Uint8Array[], thumbnail: boolean): Promise<Stored[]> {
  const stored: Stored[] = [];
  for (let from = 0; from < pictures.length; from += BATCH) {
    const batch = pictures.slice(from, from + BATCH).map(async (bytes) => {
      const image = await decodeImage(bytes, {
        limits: DEFAULT_IMAGE_LIMITS,
        preprocessing,
        thumbnailSize: 256,
        thumbnail,
        traits: !thumbnail,
      });
      return { image, embedding: (await encoder.encode(image.pixels, {})).embedding };
    });
    stored.push(...(await Promise.all(batch)));
  }
  return stored;
}

const stored = await encodeAll(
  names.map((name) => readFileSync(join(picturesFolder, name))),
  true,
);
const pairs: ScoredPair[] = [];
const randomSimilarities: number[] = [];
const random = seededRandom(SEED, 'random pairs');
for (const at of sampledIndices({ count: names.length, size: EDITED_PICTURES, random: seededRandom(SEED, 'edited pictures') })) {
  // From the stored thumbnail, as a service does it, which has no originals.
  const bytes = stored[at]!.image.thumbnail!;
  const edits = await Promise.all(COPY_ATTACKS.map((attack) => attackImage({ bytes, attack, seed: at })));
  for (const query of await encodeAll(edits, false)) {
    pairs.push(...(await resultsOf(query, at)));
    const other = Math.floor(random() * names.length);
    if (other !== at) randomSimilarities.push(cosine(query.embedding, stored[other]!.embedding));
  }
}
await encoder.close();

const fit = fitScoreModel(pairs, randomSimilarities);
if (fit === undefined) throw new Error('Too few pictures, or copies of them cannot be told from others.');
const { model, images, precision, recall, reliability } = fit;
const scores: ShippedScores = {
  ...{
    formatVersion: 1,
    encoderId,
    fittedAt: new Date().toISOString(),
    data: `${names.length} pictures, ${COPY_ATTACKS.length} edits of ${images} of them`,
  },
  ...{ images, pairs: pairs.length, precision, recall, reliability: [...reliability] },
  model: { ...model, byCosine: [...model.byCosine], byCosineAndHash: [...model.byCosineAndHash] },
};
writeFileSync(join(modelFolder, SCORES_FILE), `${JSON.stringify(scores, null, 2)}\n`);
if (curveFile !== undefined) writeFileSync(curveFile, reliabilityCurve(fit));
console.log(
  `${encoder.description.name}: near from ${model.nearProbability.toFixed(3)} on; precision ${precision.toFixed(4)}, recall ${recall.toFixed(4)}`,
);

/** What a search for the edit would answer: the nearest by embedding, and a near hash however it ranks. Copies that the folder holds are left out. */
async function resultsOf(query: Stored, original: number): Promise<ScoredPair[]> {
  const similarities = stored.map(({ embedding }) => cosine(query.embedding, embedding));
  const order = [...similarities.keys()].sort((a, b) => similarities[b]! - similarities[a]!);
  const toPair = (at: number): ScoredPair => {
    const distance = distanceOf(query.image, stored[at]!.image);
    const isCopy = at === original;
    return { picture: original, similarity: similarities[at]!, distance, isCopy, weight: isCopy ? 1 : 2 };
  };
  const copy = toPair(original);
  const isFound = order.indexOf(original) < RESULTS || (copy.distance ?? 256) <= PERCEPTUAL_HASH_THRESHOLD;
  const others: ScoredPair[] = [];
  for (const at of order.filter((at) => at !== original).slice(0, RESULTS)) {
    if (similarities[at]! >= DOUBTFUL_SIMILARITY && (await isCopy(query, at))) continue;
    others.push(toPair(at));
  }
  return [...(isFound ? [copy] : []), ...others];
}

async function isCopy(query: Stored, at: number): Promise<boolean> {
  const sketch = query.image.traits?.sketch;
  if (sketch === undefined) throw new Error('The query has no sketch.');
  const alignment = alignPictures(alignmentQuery(sketch), await sketchOfThumbnail(stored[at]!.image.thumbnail!));
  return (alignment?.agreement ?? 0) >= EDITED_AGREEMENT_MIN;
}

function distanceOf(a: DecodedImage, b: DecodedImage): number | undefined {
  const speaks = Math.min(a.perceptualHashQuality, b.perceptualHashQuality) >= PERCEPTUAL_HASH_QUALITY_MIN;
  return speaks ? hammingDistance(a.perceptualHash, b.perceptualHash) : undefined;
}

function cosine(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, at) => sum + value * b[at]!, 0);
}

/** Share of copies by probability, one dot a tenth, its area by the number of pairs; on the diagonal a probability is what it says. */
function reliabilityCurve({ reliability }: ScoreFit): string {
  const [side, margin] = [320, 44];
  const [x, y] = [(value: number) => margin + value * side, (value: number) => margin / 2 + (1 - value) * side];
  const dots = reliability
    .filter(({ pairs: count }) => count > 0)
    .map(({ probability, copies, pairs: count }) => {
      const radius = Math.min(14, 2 + Math.log10(count) * 2.5);
      return `<circle cx="${x(probability).toFixed(1)}" cy="${y(copies / count).toFixed(1)}" r="${radius.toFixed(1)}" fill="#2a6fdb" fill-opacity="0.6"><title>${count} pairs</title></circle>`;
    });
  const ticks = [0, 0.2, 0.4, 0.6, 0.8, 1].map(
    (tick) =>
      `<text x="${x(tick)}" y="${y(0) + 18}" text-anchor="middle">${tick}</text><text x="${x(0) - 8}" y="${y(tick) + 4}" text-anchor="end">${tick}</text>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${side + 1.5 * margin} ${side + 1.5 * margin}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="#fff"/><rect x="${x(0)}" y="${y(1)}" width="${side}" height="${side}" fill="none" stroke="#999"/>
<path d="M${x(0)} ${y(0)}L${x(1)} ${y(1)}" stroke="#999" stroke-dasharray="4"/>${ticks.join('')}
<text x="${x(0.5)}" y="${y(0) + 36}" text-anchor="middle">probability</text>
<text transform="translate(12 ${y(0.5)}) rotate(-90)" text-anchor="middle">share of copies</text>
${dots.join('\n')}
</svg>
`;
}
