/** Score curves of one collection: searches it with edits of its own pictures and fits curves to the results. */
import type { ImageId, Neighbour } from '../../catalogue/catalogue.js';
import type { Encoder } from '../../encoder/encoder.js';
import { SearchError } from '../../errors.js';
import { COPY_ATTACKS } from '../../images/copy-attacks.js';
import type { ScoredPair, ScoreFit, ScoreMeasure } from '../../matching/fit-score-model.js';
import type { ScoreModel } from '../../matching/score-model.js';
import { seededRandom, shuffledIndices } from '../../seeded-random.js';
import { hasDetail, hashDistance, hashOf, NEAR_HASH_BITS } from '../search/hash-evidence.js';
import type { OpenCollection, RouteCatalogue } from '../tenancy.js';
import type { BackgroundProcess } from './background-process.js';
import type { EditedPicture } from './background-tasks.js';

/** How many pictures are edited to fit on, and how many others to judge the fit by. */
export type FitSize = { readonly fitted: number; readonly heldOut: number };

/**
 * A fit and the curves in use, both measured on the same held-out pictures; `fitted` is undefined where no curves fit.
 * `relatedSimilarity` is known either way.
 */
export type CollectionFit = {
  readonly images: number;
  readonly lastSequence: number;
  readonly fitted: ScoreFit | undefined;
  readonly current: ScoreMeasure;
  readonly relatedSimilarity: number;
};

const SEED = 2018;
/** Edits of each picture, taken in turn from all 17 so that each is equally frequent. */
export const EDITS_OF_EACH = 6;
const RESULTS = 10;
/** Pictures from which random pairs are drawn. */
const SAMPLE = 1000;
/** A picture's nearest are aligned with it, `at` at a time while there are copies among them, from this cosine on. */
const DOUBTFUL = { at: 4, most: 16, similarity: 0.5 } as const;

/**
 * Rejects where the catalogue, the encoder, the process or `whenIdle` does. Pictures that cannot be edited are
 * left out.
 */
export async function fitCollection(parts: {
  readonly catalogue: Pick<RouteCatalogue, 'sample' | 'changesSince' | 'thumbnail' | 'neighbours'>;
  readonly encoder: Encoder;
  readonly child: BackgroundProcess;
  readonly collection: OpenCollection;
  readonly size: FitSize;
  /** The curves in use. */
  readonly current: ScoreModel;
  /** Resolves when nobody else needs the service; awaited before each step. */
  readonly whenIdle: () => Promise<void>;
}): Promise<CollectionFit> {
  const { catalogue, child, collection, size, whenIdle } = parts;
  await whenIdle();
  const sample = await catalogue.sample(collection, { size: SAMPLE, seed: SEED });
  const { images, lastSequence, sequences, embeddings } = sample;
  const dimensions = embeddings.length / Math.max(1, sequences.length);
  const chosen = [...shuffledIndices(sequences.length, seededRandom(SEED, collection))].slice(
    0,
    size.fitted + size.heldOut,
  );
  const { ids } = await catalogue.changesSince(collection, {
    sequences: chosen.map((row) => sequences[row]!),
    since: lastSequence,
  });
  const fitted: ScoredPair[] = [];
  const heldOut: ScoredPair[] = [];
  for (const [picture, row] of chosen.entries()) {
    const id = ids[picture];
    if (id === null || id === undefined) continue;
    const embedding = embeddings.slice(row * dimensions, (row + 1) * dimensions);
    (picture < size.fitted ? fitted : heldOut).push(...(await pairsOf({ id, picture, embedding }, parts)));
  }
  const task = { fitted, heldOut, sample: embeddings, dimensions, before: parts.current };
  const { fit, before, relatedSimilarity } = await child.run('fitScores', [task]);
  return { images, lastSequence, fitted: fit, current: before, relatedSimilarity };
}

type Picture = { readonly id: ImageId; readonly picture: number; readonly embedding: Float32Array };
type Parts = Parameters<typeof fitCollection>[0];

/** Results of searches with edits of one stored picture. */
async function pairsOf({ id, picture, embedding }: Picture, parts: Parts): Promise<ScoredPair[]> {
  const { catalogue, encoder, child, collection, whenIdle } = parts;
  const thumbnail = await catalogue.thumbnail(collection, id);
  if (thumbnail === undefined) return [];
  const attacks = Array.from(
    { length: EDITS_OF_EACH },
    (_, at) => COPY_ATTACKS[(picture * EDITS_OF_EACH + at) % COPY_ATTACKS.length]!,
  );
  const { preprocessing } = encoder.description;
  let edits: readonly EditedPicture[];
  let known: ReadonlySet<ImageId>;
  try {
    await whenIdle();
    edits = await child.run('edit', [{ thumbnail, seed: picture, attacks, preprocessing }]);
    known = await copiesOf({ id, embedding, thumbnail }, parts);
  } catch (error) {
    if (error instanceof SearchError) return [];
    throw error;
  }
  const pairs: ScoredPair[] = [];
  for (const edit of edits) {
    // One at a time: a search waits for one picture at most, not for a batch.
    await whenIdle();
    const { embedding: query } = await encoder.encode(edit.pixels, {});
    const found = await catalogue.neighbours({ collection, embedding: query, k: RESULTS, ...nearHashOf(edit) });
    for (const neighbour of found) if (!known.has(neighbour.id)) pairs.push(scored(edit, neighbour, { id, picture }));
  }
  return pairs;
}

function nearHashOf({ perceptualHash, perceptualHashQuality }: EditedPicture) {
  if (!hasDetail(perceptualHashQuality)) return {};
  return { nearHash: { hashes: [perceptualHash], maxDistance: NEAR_HASH_BITS, limit: RESULTS } };
}

function scored(
  edit: EditedPicture,
  neighbour: Neighbour,
  { id, picture }: { readonly id: ImageId; readonly picture: number },
): ScoredPair {
  const isCopy = neighbour.id === id;
  const distance = hashDistance(hashOf(edit), hashOf(neighbour));
  // Half of all searches are for what is not stored, and find only others.
  return { picture, similarity: neighbour.similarity, distance, isCopy, weight: isCopy ? 1 : 2 };
}

/** Other images of the collection that are copies of one; as results they are neither right nor wrong. */
async function copiesOf(
  { id, embedding, thumbnail }: Omit<Picture, 'picture'> & { readonly thumbnail: Uint8Array },
  { catalogue, child, collection, whenIdle }: Parts,
): Promise<ReadonlySet<ImageId>> {
  const query = { collection, embedding, k: DOUBTFUL.most + 1, minSimilarity: DOUBTFUL.similarity };
  const nearest = await catalogue.neighbours(query);
  const others = nearest.filter((neighbour) => neighbour.id !== id);
  const known = new Set<ImageId>();
  for (let from = 0; from < others.length; from += DOUBTFUL.at) {
    await whenIdle();
    const candidates = others.slice(from, from + DOUBTFUL.at);
    const thumbnails = await Promise.all(candidates.map((other) => catalogue.thumbnail(collection, other.id)));
    const ids = candidates.filter((_, at) => thumbnails[at] !== undefined).map((other) => other.id);
    const found = thumbnails.filter((other) => other !== undefined);
    const are = await child.run('findCopies', [{ original: thumbnail, others: found }]);
    for (const [at, copy] of ids.entries()) if (are[at]) known.add(copy);
    if (!are.includes(true)) break;
  }
  return known;
}
