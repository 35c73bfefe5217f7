/** What the scores of one collection mean: searches it with edits of its own pictures, and fits curves to what they find. */
import type { ImageId, Neighbour } from '../catalogue/catalogue.js';
import type { Encoder } from '../encoder/encoder.js';
import { COPY_ATTACKS } from '../images/copy-attacks.js';
import { PERCEPTUAL_HASH_QUALITY_MIN, PERCEPTUAL_HASH_THRESHOLD } from '../images/perceptual-hash.js';
import type { ScoredPair, ScoreFit, ScoreMeasure } from '../matching/fit-score-model.js';
import { NEAR_PRECISION, type ScoreModel } from '../matching/score-model.js';
import { seededRandom, shuffledIndices } from '../seeded-random.js';
import { distanceOf, speaks } from './hash-evidence.js';
import type { IdlePace } from './idle-pace.js';
import { type ScoreChild, ScoreTaskError } from './score-child.js';
import type { EditedPicture } from './score-process.js';
import type { OpenCollection, RouteCatalogue } from './tenancy.js';

/** How many pictures are edited to fit on, and how many others to judge the fit by. */
export type FitSize = { readonly fitted: number; readonly heldOut: number };

/** A fit, undefined where the encoder's curves are the more careful ones; what was `tried`, and what the encoder's are worth on the same held-out pictures. */
export type CollectionFit = {
  readonly images: number;
  readonly lastSequence: number;
  readonly fit: ScoreFit | undefined;
  readonly tried: ScoreMeasure | undefined;
  readonly before: ScoreMeasure;
};

const SEED = 2018;
/** Edits of each picture, in turn of all 17, so that all are as frequent. */
const EDITS_OF_EACH = 6;
/** Results of a search. */
const RESULTS = 10;
/** Pictures of which random pairs are drawn. */
const SAMPLE = 1000;
/** So many at a time of a picture's nearest, where they are as alike as this, are laid on it, as long as there are copies among them. */
const DOUBTFUL = { at: 4, most: 16, similarity: 0.5 } as const;

/** Rejects where the catalogue, the encoder or the child fails, or with what the pace throws. A picture that cannot be edited is left out. */
export async function fitCollection(parts: {
  readonly catalogue: Pick<RouteCatalogue, 'sample' | 'standing' | 'thumbnail' | 'neighbours'>;
  readonly encoder: Encoder;
  readonly child: ScoreChild;
  readonly collection: OpenCollection;
  readonly size: FitSize;
  /** What came with the encoder, which a fit must not be worse than. */
  readonly model: ScoreModel;
  readonly pace: IdlePace;
}): Promise<CollectionFit> {
  const { catalogue, child, collection, size, model, pace } = parts;
  const sample = await pace(() => catalogue.sample(collection, { size: SAMPLE, seed: SEED }));
  const { images, lastSequence, sequences, embeddings } = sample;
  const dimensions = embeddings.length / Math.max(1, sequences.length);
  const chosen = [...shuffledIndices(sequences.length, seededRandom(SEED, collection))].slice(0, size.fitted + size.heldOut);
  const { ids } = await catalogue.standing(collection, { sequences: chosen.map((row) => sequences[row]!), since: lastSequence });
  const fitted: ScoredPair[] = [];
  const heldOut: ScoredPair[] = [];
  for (const [picture, row] of chosen.entries()) {
    const id = ids[picture];
    if (id === null || id === undefined) continue;
    const embedding = embeddings.slice(row * dimensions, (row + 1) * dimensions);
    (picture < size.fitted ? fitted : heldOut).push(...(await pairsOf({ id, picture, embedding }, parts)));
  }
  const task = { fitted, heldOut, sample: embeddings, dimensions, before: model };
  const { fit, before } = await pace(() => child.ask('fit', task));
  const isUsed = fit !== undefined && isCarefulEnough(fit, before);
  return { images, lastSequence, fit: isUsed ? fit : undefined, tried: fit, before };
}

/** A fit that errs is used only where what it would replace errs more. */
function isCarefulEnough(fit: ScoreMeasure, before: ScoreMeasure): boolean {
  const precisionBefore = Number.isNaN(before.precision) ? 1 : before.precision; // what calls nothing near is never wrong
  return fit.precision >= Math.min(NEAR_PRECISION, precisionBefore);
}

type Picture = { readonly id: ImageId; readonly picture: number; readonly embedding: Float32Array };
type Parts = Parameters<typeof fitCollection>[0];

/** What searches with edits of a stored picture find. */
async function pairsOf({ id, picture, embedding }: Picture, parts: Parts): Promise<ScoredPair[]> {
  const { catalogue, encoder, child, collection, pace } = parts;
  const thumbnail = await catalogue.thumbnail(collection, id);
  if (thumbnail === undefined) return [];
  const attacks = Array.from({ length: EDITS_OF_EACH }, (_, at) => COPY_ATTACKS[(picture * EDITS_OF_EACH + at) % COPY_ATTACKS.length]!);
  const { preprocessing } = encoder.description;
  let edits: readonly EditedPicture[];
  let known: ReadonlySet<ImageId>;
  try {
    edits = await pace(() => child.ask('edit', { thumbnail, seed: picture, attacks, preprocessing }));
    known = await copiesOf({ id, embedding, thumbnail }, parts);
  } catch (error) {
    if (error instanceof ScoreTaskError) return [];
    throw error;
  }
  const pairs: ScoredPair[] = [];
  for (const edit of edits) {
    // One at a time: what a search may have to wait for is one picture, not a batch.
    const found = await pace(async () => {
      const { embedding: query } = await encoder.encode(edit.pixels, {});
      return catalogue.neighbours({ collection, embedding: query, k: RESULTS, ...nearHashOf(edit) });
    });
    for (const neighbour of found) if (!known.has(neighbour.id)) pairs.push(scored(edit, neighbour, { id, picture }));
  }
  return pairs;
}

function nearHashOf({ perceptualHash, perceptualHashQuality }: EditedPicture) {
  if (perceptualHashQuality < PERCEPTUAL_HASH_QUALITY_MIN) return {};
  return { nearHash: { hashes: [perceptualHash], maxDistance: PERCEPTUAL_HASH_THRESHOLD, limit: RESULTS } };
}

function scored(
  edit: EditedPicture,
  neighbour: Neighbour,
  { id, picture }: { readonly id: ImageId; readonly picture: number },
): ScoredPair {
  const isCopy = neighbour.id === id;
  const hasHashes = speaks([edit.perceptualHashQuality, neighbour.perceptualHashQuality]);
  const distance = hasHashes ? distanceOf(edit.perceptualHash, neighbour.perceptualHash) : undefined;
  // Half of all searches are for what is not stored, and find only others.
  return { picture, similarity: neighbour.similarity, distance, isCopy, weight: isCopy ? 1 : 2 };
}

/** Other images of the collection that are copies of one: to find them is no mistake, and no proof either. */
async function copiesOf(
  { id, embedding, thumbnail }: { readonly id: ImageId; readonly embedding: Float32Array; readonly thumbnail: Uint8Array },
  { catalogue, child, collection, pace }: Parts,
): Promise<ReadonlySet<ImageId>> {
  const nearest = await pace(() =>
    catalogue.neighbours({ collection, embedding, k: DOUBTFUL.most + 1, minSimilarity: DOUBTFUL.similarity }),
  );
  const others = nearest.filter((neighbour) => neighbour.id !== id);
  const known = new Set<ImageId>();
  for (let from = 0; from < others.length; from += DOUBTFUL.at) {
    const candidates = await Promise.all(
      others
        .slice(from, from + DOUBTFUL.at)
        .map(async (other) => ({ id: other.id, thumbnail: await catalogue.thumbnail(collection, other.id) })),
    );
    const there = candidates.flatMap((other) => (other.thumbnail === undefined ? [] : [{ id: other.id, thumbnail: other.thumbnail }]));
    const are = await pace(() => child.ask('copies', { original: thumbnail, others: there.map((other) => other.thumbnail) }));
    for (const [at, { id: copy }] of there.entries()) if (are[at]) known.add(copy);
    if (!are.includes(true)) break;
  }
  return known;
}
