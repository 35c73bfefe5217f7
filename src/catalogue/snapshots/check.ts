import { join } from 'node:path';
import { SearchError } from '../../errors.js';
import { importProblems } from '../imports/import-store.js';
import { recordProblems } from '../records/record-problems.js';
import { RecordStore } from '../records/record-store.js';
import { StoreDatabase } from '../records/store-database.js';
import { asStoreError } from '../records/store-errors.js';
import { STORE_VERSION } from '../records/store-schema.js';
import { GRAPH_LEAST } from '../vectors/collection-index.js';
import type { HnswIndex } from '../vectors/hnsw-index.js';
import { IndexFiles } from '../vectors/index-file.js';

/**
 * Result of a check. Only `storeProblems` make it fail: the next start builds a damaged index file from the records.
 */
export type CatalogueCheck = {
  /** The records are whole. */
  readonly ok: boolean;
  readonly encoderId: string | undefined;
  readonly dimensions: number | undefined;
  /**
   * Of the record store; a start migrates one that is older than `newestFormat`. Records have checksums from format
   * 4 on.
   */
  readonly format: number | undefined;
  readonly newestFormat: number;
  readonly lastSequence: number;
  readonly storeProblems: readonly string[];
  readonly collections: readonly CollectionCheck[];
};

type CollectionCheck = {
  readonly name: string;
  readonly images: number;
  /**
   * good: will be used; not needed: so few images have none; missing: not written yet; refused: will be rebuilt, for
   * the reason in `indexProblem`.
   */
  readonly index: 'good' | 'not needed' | 'missing' | 'refused';
  readonly indexProblem: string | undefined;
  /** Images added after the index file was written; the next start inserts them. */
  readonly notYetIndexed: number;
};

/** Problems of one kind that are listed; the others are counted. */
const LISTED_MAX = 20;
/** First format of the record store that has import jobs. */
const IMPORTS_VERSION = 3;
/** Largest difference of a stored embedding's length from 1: float32 rounding. */
const LENGTH_TOLERANCE = 1e-3;

/**
 * Verifies a data folder that no process uses, without changing it: SQLite's integrity, the checksum of every record,
 * the rules of the API (ids, names, metadata), every embedding (dimensions, finite, unit length), every index file's
 * hash. `deep` also compares SQLite's indexes with their tables, and every vector of the graphs with the store's. `m`:
 * the HNSW setting that the index files were written with. Throws CATALOGUE_LOCKED, or NOT_FOUND where there is
 * no catalogue.
 */
export function checkCatalogue(
  folder: string,
  options: { readonly deep: boolean; readonly m?: number },
): CatalogueCheck {
  let database: StoreDatabase;
  try {
    database = new StoreDatabase({ folder, lockTimeoutMs: 0, reserveBytes: 0 });
  } catch (error) {
    if (!(error instanceof SearchError) || error.code !== 'CATALOGUE_DAMAGED') throw error;
    return {
      ok: false,
      encoderId: undefined,
      dimensions: undefined,
      format: undefined,
      newestFormat: STORE_VERSION,
      lastSequence: 0,
      storeProblems: [error.message],
      collections: [],
    };
  }
  try {
    return checkStore(database, folder, { deep: options.deep, m: options.m ?? 16 });
  } finally {
    database.close();
  }
}

function checkStore(
  database: StoreDatabase,
  folder: string,
  options: { readonly deep: boolean; readonly m: number },
): CatalogueCheck {
  const { encoderId, dimensions, catalogueId } = database.identity;
  const store = new RecordStore(database, {
    collectionsMax: 0,
    maxMetadataBytes: 0,
    now: Date.now,
    onWarning: () => undefined,
  });
  const settings = { dimensions, m: options.m, efConstruction: 200, ef: 64 };
  const files = new IndexFiles(join(folder, 'indexes'), { catalogueId, encoderId, settings });
  const problems: string[] = [];
  const collections: CollectionCheck[] = [];
  let lastSequence = 0;
  try {
    problems.push(
      ...database.integrityProblems(options.deep),
      ...shortened(recordProblems(database.connection)),
      ...(database.version < IMPORTS_VERSION ? [] : importProblems(database.connection)),
    );
    lastSequence = store.lastSequence;
    for (const { key, name } of store.collections()) {
      const loaded = files.load(key, (generation) => store.knowsGeneration(key, generation));
      const found = compareVectors(store.embeddings(key, false), dimensions, {
        graph: loaded.index,
        deep: options.deep,
      });
      problems.push(...found.storeProblems.map((problem) => `collection ${name}: ${problem}`));
      const { images } = found;
      const isMissing = loaded.index === undefined && loaded.missing;
      if (isMissing && images < GRAPH_LEAST) {
        collections.push({ name, images, index: 'not needed', indexProblem: undefined, notYetIndexed: 0 });
        continue;
      }
      const indexProblem = loaded.refused ?? found.indexProblem;
      const index = indexProblem === undefined ? 'good' : isMissing ? 'missing' : 'refused';
      collections.push({ name, images, index, indexProblem, notYetIndexed: found.notYetIndexed });
    }
  } catch (error) {
    problems.push(asStoreError(error, folder).message);
  }
  return {
    ok: problems.length === 0,
    encoderId,
    dimensions,
    format: database.version,
    newestFormat: STORE_VERSION,
    lastSequence,
    storeProblems: shortened(problems),
    collections,
  };
}

type Comparison = {
  readonly images: number;
  readonly notYetIndexed: number;
  readonly storeProblems: string[];
  readonly indexProblem: string | undefined;
};

function compareVectors(
  embeddings: ReturnType<RecordStore['embeddings']>,
  dimensions: number,
  options: { readonly graph: HnswIndex | undefined; readonly deep: boolean },
): Comparison {
  const { graph, deep } = options;
  const storeProblems: string[] = [];
  let indexProblem: string | undefined;
  let images = 0;
  let notYetIndexed = 0;
  for (const { sequence, embedding } of embeddings) {
    images++;
    const fault = faultOfEmbedding(embedding, dimensions);
    if (fault !== undefined) storeProblems.push(`embedding of image number ${sequence} ${fault}`);
    if (graph === undefined || sequence > graph.highest) notYetIndexed++;
    else if (deep && indexProblem === undefined) {
      const vector = graph.vector(sequence);
      const isSame = vector?.every((element, at) => element === embedding[at]);
      if (!isSame)
        indexProblem =
          vector === undefined
            ? `it lacks image number ${sequence}`
            : `it holds another vector for image number ${sequence}`;
    }
  }
  return { images, notYetIndexed, storeProblems: shortened(storeProblems), indexProblem };
}

function faultOfEmbedding(embedding: Float32Array, dimensions: number): string | undefined {
  if (embedding.length !== dimensions) return `has ${embedding.length} elements instead of ${dimensions}`;
  const squared = embedding.reduce((sum, element) => sum + element * element, 0);
  if (!Number.isFinite(squared)) return 'holds an element that is not a finite number';
  return Math.abs(Math.sqrt(squared) - 1) > LENGTH_TOLERANCE
    ? `has length ${Math.sqrt(squared)} instead of 1`
    : undefined;
}

function shortened(problems: readonly string[]): string[] {
  if (problems.length <= LISTED_MAX) return [...problems];
  return [...problems.slice(0, LISTED_MAX), `and ${problems.length - LISTED_MAX} more`];
}
