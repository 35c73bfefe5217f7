import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { SearchError } from '../errors.js';
import type { HnswIndex } from './hnsw-index.js';
import { ImportStore } from './import-store.js';
import { IndexFiles } from './index-file.js';
import { RecordStore } from './record-store.js';
import { StoreDatabase } from './store-database.js';
import { asStoreError } from './store-errors.js';

/** What a check found. A bad index file is no loss: the next start builds it from the records, so that only `storeProblems` make it fail. */
export type CatalogueCheck = {
  /** The records are whole. */
  readonly ok: boolean;
  readonly encoderId: string | undefined;
  readonly dimensions: number | undefined;
  readonly lastSequence: number;
  readonly storeProblems: readonly string[];
  readonly collections: readonly CollectionCheck[];
};

export type CollectionCheck = {
  readonly name: string;
  readonly images: number;
  /** good: will be used; missing: none was written yet; refused: will be built anew, and `indexProblem` says why. */
  readonly index: 'good' | 'missing' | 'refused';
  readonly indexProblem: string | undefined;
  /** Images that came after the index file was written; the next start adds them. */
  readonly notYetIndexed: number;
};

/** Problems of one kind that are listed; the rest is counted. */
const LISTED_MAX = 20;
/** How far a stored embedding's length may be from 1: float32 rounding. */
const LENGTH_TOLERANCE = 1e-3;

/**
 * Verifies a data folder that no process uses: SQLite's integrity, every image's embedding (right length, finite, unit), every index file's
 * side-car and hash. `deep` also compares SQLite's indexes with their tables, and every vector of the graphs with the store's. Reads only.
 * `m` is the setting that the index files were written with. Throws CATALOGUE_LOCKED where the folder is in use, NOT_FOUND where it holds no catalogue.
 */
export function checkCatalogue(folder: string, options: { readonly deep: boolean; readonly m?: number }): CatalogueCheck {
  if (!existsSync(join(folder, 'catalogue.db'))) throw new SearchError('NOT_FOUND', `${folder} holds no catalogue.`);
  let database: StoreDatabase;
  try {
    database = new StoreDatabase({ folder, lockTimeoutMs: 0, reserveBytes: 8 * 1024 * 1024 });
  } catch (error) {
    if (!(error instanceof SearchError) || error.code !== 'CATALOGUE_DAMAGED') throw error;
    return { ok: false, encoderId: undefined, dimensions: undefined, lastSequence: 0, storeProblems: [error.message], collections: [] };
  }
  try {
    return checkStore(database, folder, { deep: options.deep, m: options.m ?? 16 });
  } finally {
    database.close();
  }
}

function checkStore(database: StoreDatabase, folder: string, options: { readonly deep: boolean; readonly m: number }): CatalogueCheck {
  const { encoderId, dimensions, catalogueId } = database.identity;
  const store = new RecordStore(database, { collectionsMax: 0, now: Date.now });
  const settings = { dimensions, m: options.m, efConstruction: 200, ef: 64 };
  const files = new IndexFiles(join(folder, 'indexes'), { catalogueId, encoderId, settings });
  const problems: string[] = [];
  const collections: CollectionCheck[] = [];
  let lastSequence = 0;
  try {
    problems.push(
      ...database.integrityProblems(options.deep),
      ...store.incompleteImages(),
      ...new ImportStore(database.connection, Date.now).problems(),
    );
    lastSequence = store.lastSequence;
    for (const { key, name } of store.collections()) {
      const loaded = files.load(key, (generation) => store.knowsGeneration(key, generation));
      const found = compareVectors(store.embeddings(key), dimensions, { graph: loaded.index, deep: options.deep });
      problems.push(...found.storeProblems.map((problem) => `collection ${name}: ${problem}`));
      const indexProblem = loaded.refused ?? found.indexProblem;
      const index = indexProblem === undefined ? 'good' : loaded.index === undefined && loaded.missing ? 'missing' : 'refused';
      collections.push({ name, images: found.images, index, indexProblem, notYetIndexed: found.notYetIndexed });
    }
  } catch (error) {
    problems.push(asStoreError(error, folder).message);
  }
  return { ok: problems.length === 0, encoderId, dimensions, lastSequence, storeProblems: shortened(problems), collections };
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
        indexProblem = vector === undefined ? `it lacks image number ${sequence}` : `it holds another vector for image number ${sequence}`;
    }
  }
  return { images, notYetIndexed, storeProblems: shortened(storeProblems), indexProblem };
}

function faultOfEmbedding(embedding: Float32Array, dimensions: number): string | undefined {
  if (embedding.length !== dimensions) return `has ${embedding.length} elements instead of ${dimensions}`;
  const squared = embedding.reduce((sum, element) => sum + element * element, 0);
  if (!Number.isFinite(squared)) return 'holds an element that is not a finite number';
  return Math.abs(Math.sqrt(squared) - 1) > LENGTH_TOLERANCE ? `has length ${Math.sqrt(squared)} instead of 1` : undefined;
}

function shortened(problems: readonly string[]): string[] {
  if (problems.length <= LISTED_MAX) return [...problems];
  return [...problems.slice(0, LISTED_MAX), `and ${problems.length - LISTED_MAX} more`];
}
