/**
 * Search for edited copies: images of the database are edited, encoded and searched for, together with edited images
 * that are not in the database (distractor queries, without a right result). Needs no labels.
 */

import type { Decode } from '../datasets/decoding.js';
import type { ImageDataset } from '../datasets/image-dataset.js';
import { attackImage, COPY_ATTACKS, type CopyAttack } from '../images/copy-attacks.js';
import type { Pixels } from '../images/pixels.js';
import { sampledIndices, seededRandom } from '../seeded-random.js';
import { type EmbeddingMatrix, pickRows, unitRows } from './embedding-matrix.js';
import { type EvaluatedEncoder, encodeBatch } from './encode-dataset.js';
import type { EvaluationReport } from './evaluation-report.js';
import { openExactSearch, type RankedNeighbours } from './exact-search.js';
import { microAveragePrecision, normaliseScores, recallAt1 } from './measures/copy-measures.js';
import { alignment } from './measures/embedding-geometry.js';
import { scoreHistogram } from './measures/score-histogram.js';

/** Images and their embeddings, row for image. */
export type EncodedImages = { readonly dataset: ImageDataset; readonly embeddings: EmbeddingMatrix };

/** An edited query and its results. match: database row, -1 for a distractor. nearest, scores: best first. */
export type CopyExample = {
  readonly attack: CopyAttack;
  readonly bytes: Uint8Array;
  readonly match: number;
  readonly nearest: readonly number[];
  readonly scores: readonly number[];
};

/** The measures for the report, and one example per attack for a sheet. */
export type CopySearchResult = {
  readonly measures: NonNullable<EvaluationReport['copies']>;
  readonly examples: readonly CopyExample[];
};

const NEIGHBOURS = 10;
const HISTOGRAM_BINS = 30;
/**
 * Edits per distractor image. With three distractor images per original, there are about half as many distractors as
 * other queries.
 */
const ATTACKS_PER_DISTRACTOR = 3;
const DISTRACTORS_PER_ORIGINAL = 3;

/**
 * Makes every edit of up to `originals` images of the database and searches for it. outsiders: images that are not in
 * the database; part of them become distractor queries, the rest the background of score normalisation (without any: no
 * normalised score).
 */
export async function measureCopySearch(options: {
  readonly encoder: EvaluatedEncoder;
  readonly database: EncodedImages;
  readonly outsiders: EncodedImages | undefined;
  readonly decode: Decode;
  readonly originals: number;
  readonly seed: number;
}): Promise<CopySearchResult> {
  const { database, outsiders, seed } = options;
  const random = seededRandom(seed, 'copy search');
  const originals = sampledIndices({ count: database.dataset.count, size: options.originals, random });
  const cast = castOutsiders(outsiders, originals.length, random);

  const queries = new QuerySet(options);
  for (const row of originals)
    for (const attack of COPY_ATTACKS) await queries.add({ dataset: database.dataset, row, attack, match: row });
  for (const [place, row] of cast.distractors.entries()) {
    for (let turn = 0; turn < ATTACKS_PER_DISTRACTOR; turn++) {
      const attack = COPY_ATTACKS[(place * ATTACKS_PER_DISTRACTOR + turn) % COPY_ATTACKS.length]!;
      if (outsiders) await queries.add({ dataset: outsiders.dataset, row, attack, match: -1 });
    }
  }
  const embeddings = await queries.finish();
  const matches = Int32Array.from(queries.entries, (entry) => entry.match);

  const ranked = await searchOnce({ database: database.embeddings, queries: embeddings, k: NEIGHBOURS });
  const background =
    outsiders && cast.background.length > 0 ? pickRows(outsiders.embeddings, cast.background) : undefined;
  const normalised =
    background &&
    normaliseScores(ranked, await searchOnce({ database: background, queries: embeddings, k: NEIGHBOURS }));

  const unitQueries = unitRows(embeddings);
  const unitDatabase = unitRows(database.embeddings);
  const alignmentOf = (places: readonly number[]): number =>
    alignment(
      pickRows(unitQueries, places),
      pickRows(
        unitDatabase,
        places.map((place) => matches[place]!),
      ),
    );
  const placesOf = (attack: CopyAttack): number[] =>
    [...queries.entries.keys()].filter((place) => matches[place]! >= 0 && queries.entries[place]!.attack === attack);
  const isRight = Array.from(matches, (match, query) => match >= 0 && ranked.indices[query * ranked.k] === match);
  return {
    measures: {
      databaseImages: database.dataset.count,
      originals: originals.length,
      distractorQueries: matches.filter((match) => match < 0).length,
      recallAt1: recallAt1(ranked, matches),
      microAp: microAveragePrecision(ranked, matches),
      microApNormalised: normalised ? microAveragePrecision(normalised, matches) : null,
      alignment: alignmentOf([...queries.entries.keys()].filter((place) => matches[place]! >= 0)),
      attacks: COPY_ATTACKS.map((attack) => {
        const places = placesOf(attack);
        return {
          attack,
          recallAt1: places.filter((place) => isRight[place]).length / places.length,
          alignment: alignmentOf(places),
        };
      }),
      scores: scoreHistogram({
        scores: Float32Array.from(matches, (_, query) => ranked.scores[query * ranked.k]!),
        isRight,
        bins: HISTOGRAM_BINS,
      }),
    },
    examples: await queries.examples(ranked),
  };
}

type Query = {
  readonly dataset: ImageDataset;
  readonly row: number;
  readonly attack: CopyAttack;
  readonly match: number;
};

/** Edits and encodes queries in batches, keeping only embeddings. */
class QuerySet {
  readonly entries: Query[] = [];
  readonly #options: Parameters<typeof measureCopySearch>[0];
  readonly #vectors: Float32Array[] = [];
  #waiting: Pixels[] = [];

  constructor(options: Parameters<typeof measureCopySearch>[0]) {
    this.#options = options;
  }

  async add(query: Query): Promise<void> {
    this.entries.push(query);
    this.#waiting.push(await this.#options.decode(await this.#attacked(query)));
    if (this.#waiting.length >= 64) await this.#encodeWaiting();
  }

  async finish(): Promise<EmbeddingMatrix> {
    await this.#encodeWaiting();
    const { dimensions } = this.#options.encoder;
    const values = new Float32Array(this.#vectors.length * dimensions);
    for (const [index, vector] of this.#vectors.entries()) values.set(vector, index * dimensions);
    return { rows: this.#vectors.length, dimensions, values };
  }

  /** One query of each edit, its originals spread evenly. */
  async examples(ranked: RankedNeighbours): Promise<CopyExample[]> {
    const originals = this.entries.filter((entry) => entry.match >= 0).length / COPY_ATTACKS.length;
    return Promise.all(
      COPY_ATTACKS.map(async (attack, index) => {
        // queries of one original are consecutive, in the order of edits
        const place = Math.floor((index * originals) / COPY_ATTACKS.length) * COPY_ATTACKS.length + index;
        const entry = this.entries[place]!;
        const slice = [place * ranked.k, (place + 1) * ranked.k] as const;
        return {
          attack,
          bytes: await this.#attacked(entry),
          match: entry.match,
          nearest: [...ranked.indices.subarray(...slice)],
          scores: [...ranked.scores.subarray(...slice)],
        };
      }),
    );
  }

  async #attacked(query: Query): Promise<Uint8Array> {
    return attackImage({
      bytes: await query.dataset.bytes(query.row),
      attack: query.attack,
      seed: this.#options.seed + query.row,
    });
  }

  async #encodeWaiting(): Promise<void> {
    if (this.#waiting.length === 0) return;
    this.#vectors.push(...(await encodeBatch(this.#options.encoder, this.#waiting)));
    this.#waiting = [];
  }
}

/** Splits the outsiders into distractor queries (at most half) and background. */
function castOutsiders(
  outsiders: EncodedImages | undefined,
  originals: number,
  random: () => number,
): { readonly distractors: readonly number[]; readonly background: readonly number[] } {
  const count = outsiders?.dataset.count ?? 0;
  const size = Math.min(originals * DISTRACTORS_PER_ORIGINAL, Math.floor(count / 2));
  const distractors = new Set(sampledIndices({ count, size, random }));
  return {
    distractors: [...distractors],
    background: Array.from({ length: count }, (_, row) => row).filter((row) => !distractors.has(row)),
  };
}

async function searchOnce(options: {
  readonly database: EmbeddingMatrix;
  readonly queries: EmbeddingMatrix;
  readonly k: number;
}): Promise<RankedNeighbours> {
  const search = await openExactSearch({ database: options.database, metric: 'cosine' });
  return await search.nearest({ queries: options.queries, k: options.k }).finally(() => search.close());
}
