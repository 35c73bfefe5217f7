import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { flushFolder } from '../atomic-write.js';
import { SearchError } from '../errors.js';
import type { CatalogueStatistics, Neighbour, NeighbourQuery } from './catalogue.js';
import type { CommitReport, ReadRequest, RequestOutcome, WriteRequest } from './catalogue-requests.js';
import { reached } from './failpoint.js';
import { checkFilterCost, type Filter } from './filters/filter.js';
import { FilterCache, type Steps } from './filters/filter-cache.js';
import { HashIndex } from './hashes/hash-index.js';
import { ImportStore } from './imports/import-store.js';
import { RecordStore, type StoreChange } from './records/record-store.js';
import { StoreDatabase, type StoreWrite } from './records/store-database.js';
import { asStoreError } from './records/store-errors.js';
import { CollectionIndex, mismatchOfGraph } from './vectors/collection-index.js';
import { changesOf, takeSample } from './vectors/collection-sample.js';
import { ExactIndex } from './vectors/exact-index.js';
import { findNeighbours } from './vectors/find-neighbours.js';
import type { HnswSettings } from './vectors/hnsw-index.js';
import { IndexFiles } from './vectors/index-file.js';

/** What the catalogue's engine is opened with. */
export type EngineOptions = {
  readonly folder: string;
  readonly encoderId: string;
  readonly settings: HnswSettings;
  readonly collectionsMax: number;
  readonly maxMetadataBytes: number;
  /** A collection's index file is written after this many changes. */
  readonly saveEveryChanges: number;
  readonly lockTimeoutMs: number;
  readonly reserveBytes: number;
  readonly now: () => number;
  readonly onCommit: (report: CommitReport) => void;
  /** What an operator should know and no caller waits for: an index file that is not used, a save that failed. */
  readonly onWarning: (message: string) => void;
  /** Frees the memory of dropped graphs, which V8 does not know of. */
  readonly collectGarbage: () => void;
};

/** Records of removed collections deleted in one transaction, some milliseconds. */
const DELETED_TOGETHER = 32;

type Indexed = { readonly index: CollectionIndex; readonly hashes: HashIndex; readonly name: string; changes: number };

/**
 * Owns record store and indexes, on one thread, without a queue: `RequestScheduler` decides what runs when. Every call
 * leaves indexes and store consistent; what `write` returned is on disk and found by the next search.
 */
export class CatalogueEngine {
  readonly #options: EngineOptions;
  readonly #database: StoreDatabase;
  readonly #store: RecordStore;
  readonly #imports: ImportStore;
  readonly #files: IndexFiles;
  readonly #collections = new Map<number, Indexed>();
  /** Removed collections whose records are not all deleted yet. */
  readonly #removed: Set<number>;
  readonly #filterCache = new FilterCache();
  #isDeletesTurn = false;
  /** The present work on files: saving or copying, one at a time. */
  #saving: Promise<void> | undefined;
  readonly #closing = new AbortController();

  /**
   * Opens or makes the folder and locks it. Blocks until every collection can be searched. Throws as
   * StoreDatabase does.
   */
  constructor(options: EngineOptions) {
    this.#options = options;
    const { folder, encoderId, settings } = options;
    const indexFolder = join(folder, 'indexes');
    mkdirSync(folder, { recursive: true });
    const encoder = { id: encoderId, dimensions: settings.dimensions };
    this.#database = new StoreDatabase({ ...options, encoder });
    this.#store = new RecordStore(this.#database, options);
    this.#imports = new ImportStore(this.#database.connection, options.now);
    try {
      mkdirSync(indexFolder, { recursive: true });
      flushFolder(folder);
      this.#files = new IndexFiles(indexFolder, {
        catalogueId: this.#database.identity.catalogueId,
        encoderId,
        settings,
      });
      this.#files.removeLeftovers();
      this.#removed = new Set(this.#store.removedCollections());
      for (const { key, name } of this.#store.collections()) this.#collections.set(key, this.#opened(key, name));
    } catch (error) {
      this.#database.close();
      throw asStoreError(error, folder);
    }
  }

  #opened(key: number, name: string): Indexed {
    const flat = new ExactIndex(this.#options.settings.dimensions);
    for (const { sequence, embedding } of this.#store.embeddings(key)) {
      try {
        flat.add(sequence, embedding);
      } catch (error) {
        // One damaged record must not stop the others from being served.
        this.#options.onWarning(
          `Image number ${sequence} of collection ${name} cannot be searched. Run: likeness check. ${String(error)}`,
        );
      }
    }
    const loaded = this.#files.load(key, (generation) => this.#store.knowsGeneration(key, generation));
    const fault = loaded.refused ?? mismatchOfGraph(loaded.index, loaded.labels, flat);
    if (fault !== undefined && (loaded.index !== undefined || !loaded.missing)) {
      this.#options.onWarning(
        `Index file of collection ${name} is not used and is rebuilt from the records: ${fault}.`,
      );
    }
    const graph = fault === undefined ? loaded.index : undefined;
    const hashes = new HashIndex();
    for (const { sequence, perceptualHash } of this.#store.perceptualHashes(key))
      if (flat.has(sequence)) hashes.add(sequence, perceptualHash);
    return {
      index: new CollectionIndex(this.#options.settings, flat, graph),
      hashes,
      name,
      changes: graph === undefined ? flat.size : 0,
    };
  }

  /** Commits the writes as one group with one flush, updates the indexes, and returns the outcome of each. */
  write(requests: readonly WriteRequest[]): RequestOutcome[] {
    const begun = performance.now();
    const outcomes = this.#database.commit(requests.map((request) => () => this.#storeWrite(request)));
    this.#options.onCommit({ images: requests.length, ms: performance.now() - begun });
    reached('commit done');
    for (const outcome of outcomes)
      if ('change' in outcome && outcome.change !== undefined) this.#updateIndexes(outcome.change);
    reached('index follows');
    const answers = requests.map((request, place): RequestOutcome => {
      const outcome = outcomes[place]!;
      // On a full disk removals must still work: they make room.
      const isRemoval = request.method === 'remove' || request.method === 'removeCollection';
      const isRefusedRemoval = isRemoval && 'error' in outcome && outcome.error.code === 'DISK_FULL';
      const last = isRefusedRemoval ? this.#database.commitFreeing(() => this.#storeWrite(request)) : outcome;
      if (last !== outcome && 'change' in last && last.change !== undefined) this.#updateIndexes(last.change);
      return 'error' in last ? last : { value: last.value };
    });
    this.#database.reclaim();
    return answers;
  }

  #storeWrite(request: WriteRequest): StoreWrite<unknown, StoreChange> {
    switch (request.method) {
      case 'changeImport':
        return { value: this.#imports.change(request.args[0]) };
      case 'add':
      case 'addKnown': {
        const outcome =
          request.method === 'add' ? this.#store.add(...request.args) : this.#store.addKnown(...request.args);
        const { importItem } = request.args[1];
        const { value } = outcome;
        if (importItem !== undefined && value !== undefined)
          this.#imports.settleAdded(importItem, value.status === 'exists' ? 'existing' : 'added');
        return outcome;
      }
      case 'remove':
        return this.#store.remove(...request.args);
      case 'removeCollection':
        return this.#store.removeCollection(...request.args);
      case 'patchMetadata':
        return this.#store.patchMetadata(...request.args);
    }
  }

  #updateIndexes({ collection, isGone = false, removed, added, metadata }: StoreChange): void {
    if (isGone) {
      this.#collections.delete(collection);
      this.#removed.add(collection);
      this.#options.collectGarbage();
    }
    // A later write of the same group may have removed the collection.
    if (!this.#collections.has(collection) && this.#store.isRemoved(collection)) return;
    const indexed = this.#indexed(collection);
    if (removed !== undefined) {
      indexed.index.remove(removed);
      indexed.hashes.remove(removed);
      this.#filterCache.remove(collection, removed);
    }
    if (added !== undefined) {
      indexed.index.add(added.sequence, added.embedding);
      indexed.hashes.add(added.sequence, added.perceptualHash);
    }
    if (metadata !== undefined) this.#filterCache.put(collection, metadata.sequence, metadata.metadataJson);
    if (removed !== undefined || added !== undefined) indexed.changes++;
  }

  #indexed(key: number): Indexed {
    const known = this.#collections.get(key);
    if (known !== undefined) return known;
    const name = this.#store.collections().find((collection) => collection.key === key)?.name;
    if (name === undefined) throw new Error(`Collection ${key} is not in the record store. This is a bug.`);
    const { settings } = this.#options;
    const index = new CollectionIndex(settings, new ExactIndex(settings.dimensions));
    const indexed: Indexed = { index, hashes: new HashIndex(), name, changes: 0 };
    this.#collections.set(key, indexed);
    return indexed;
  }

  /**
   * Serves one read in steps: whoever runs the generator may do other work between two of them. Throws a SearchError.
   * The `queued` of statistics is left to whoever queues.
   */
  *read(request: ReadRequest): Steps<unknown> {
    const steps = this.#read(request);
    for (;;) {
      const step = this.#database.read(() => steps.next());
      if (step.done === true) return step.value;
      yield;
    }
  }

  *#read(request: ReadRequest): Steps<unknown> {
    switch (request.method) {
      case 'statistics':
        this.#database.refuseLostFile();
        return this.#statistics();
      case 'readImports':
        return this.#imports.read(request.args[0]);
      case 'neighbours':
        return yield* this.#neighbours(request.args[0]);
      case 'get':
        return this.#store.get(...request.args);
      case 'findBySha256':
        return this.#store.findBySha256(...request.args);
      case 'embedding':
        return this.#store.embedding(...request.args);
      case 'thumbnail':
      case 'original':
        return this.#store.blob(request.method, request.args[0], request.args[1]);
      case 'list':
        this.#checkFilterCost(request.args[1].filter, request.args[0]);
        return yield* this.#store.list(...request.args, this.#filterCache);
      case 'sample':
        return takeSample(request.args[1], this.#indexOf(request.args[0]), this.#store.lastSequence);
      case 'changesSince':
        return changesOf(request.args[1], this.#indexOf(request.args[0]), this.#store);
    }
  }

  #indexOf(collection: string): CollectionIndex | undefined {
    const key = this.#store.collectionKey(collection);
    return key === undefined ? undefined : this.#indexed(key).index;
  }

  *#neighbours(query: NeighbourQuery): Steps<Neighbour[]> {
    const key = this.#store.collectionKey(query.collection);
    if (key === undefined) return [];
    const { index, hashes } = this.#indexed(key);
    const { filter } = query;
    this.#checkFilterCost(filter, query.collection);
    const passes =
      filter === undefined
        ? undefined
        : yield* this.#filterCache.passing(key, filter, () => this.#store.metadataBatches(key));
    return findNeighbours(query, { key, index, hashes, store: this.#store, passes });
  }

  #checkFilterCost(filter: Filter | undefined, collection: string): void {
    if (filter !== undefined) checkFilterCost(filter, this.#indexOf(collection)?.size ?? 0);
  }

  #statistics(): CatalogueStatistics {
    const { database, wal } = this.#database.fileBytes;
    const collections = [...this.#collections.values()].map(({ name, index }) => ({ name, ...index.statistics }));
    collections.sort((a, b) => (a.name < b.name ? -1 : 1));
    return { collections, lastSequence: this.#store.lastSequence, databaseBytes: database, walBytes: wal, queued: 0 };
  }

  get hasWork(): boolean {
    if (this.#removed.size > 0 && !this.isSaving) return true;
    for (const { index } of this.#collections.values()) if (index.hasWork) return true;
    return false;
  }

  /** True while an index file is being written: that graph is frozen and its tail grows. */
  get isSaving(): boolean {
    return this.#saving !== undefined;
  }

  /**
   * Inserts vectors into graphs, or deletes records of removed collections, for about `budgetMs`. Returns how many
   * vectors were inserted.
   */
  work(budgetMs: number): number {
    // Taking turns, since both may take long.
    this.#isDeletesTurn = !this.#isDeletesTurn;
    if (this.#isDeletesTurn) this.#deleteRemoved();
    for (const [key, indexed] of this.#collections) {
      if (!indexed.index.hasWork) continue;
      const { inserted, droppedGraph } = indexed.index.work(budgetMs);
      if (droppedGraph) {
        indexed.changes += this.#options.saveEveryChanges;
        this.#options.collectGarbage();
      }
      // Round robin: a large collection does not delay the others.
      this.#collections.delete(key);
      this.#collections.set(key, indexed);
      return inserted;
    }
    return 0;
  }

  /**
   * Deletes some records of a removed collection, at last its index file and the collection. Not during a save, which
   * may be of its graph.
   */
  #deleteRemoved(): void {
    const [key] = this.#removed;
    if (key === undefined || this.isSaving) return;
    const outcome = this.#database.commitFreeing(() => this.#store.deleteSome(key, DELETED_TOGETHER));
    this.#database.reclaim();
    if ('value' in outcome && outcome.value) return;
    // After an error, the next start goes on.
    this.#removed.delete(key);
    if ('error' in outcome)
      this.#options.onWarning(
        `A removed collection still takes disk space; the next start goes on. ${outcome.error.message}`,
      );
    else this.#files.remove(key);
  }

  /**
   * Starts to write the index files with at least `saveEveryChanges` changes ('due'), or with any. Failures
   * are warnings.
   */
  saveSome(which: 'due' | 'changed'): void {
    const least = which === 'due' ? this.#options.saveEveryChanges : 1;
    if (this.#saving !== undefined || ![...this.#collections.values()].some(({ changes }) => changes >= least)) return;
    this.#save(least).catch((error: unknown) => this.#options.onWarning(`Index file was not saved: ${String(error)}`));
  }

  /** Writes every index file that is older than its records. Rejects with DISK_FULL or INTERNAL. */
  async saveIndexes(): Promise<void> {
    while (this.#saving !== undefined) await this.#saving.catch(() => undefined); // its caller handles it
    await this.#save(1);
  }

  #save(leastChanges: number): Promise<void> {
    return this.#exclusively(this.#saveCollections(leastChanges));
  }

  #exclusively(work: Promise<void>): Promise<void> {
    this.#saving = work.finally(() => {
      this.#saving = undefined;
    });
    return this.#saving;
  }

  /** See `DurableCatalogue.copyTo`. Writes no index file meanwhile: the copied database must know the copied files. */
  async copyTo(folder: string): Promise<void> {
    while (this.#saving !== undefined) await this.#saving.catch(() => undefined);
    this.#files.copyTo(join(folder, 'indexes'));
    await this.#exclusively(this.#database.copyTo(join(folder, 'catalogue.db'), this.#closing.signal));
  }

  async #saveCollections(leastChanges: number): Promise<void> {
    for (const [key, indexed] of [...this.#collections]) {
      const { changes, index } = indexed;
      if (changes < leastChanges || index.indexed === 0 || this.#removed.has(key)) continue;
      // Added back where the save fails, so that it is tried again.
      indexed.changes = 0;
      try {
        await index.withFrozenGraph((graph) =>
          this.#files.save(key, graph, (...generations) => this.#store.rememberGeneration(key, ...generations)),
        );
      } catch (error) {
        indexed.changes += changes;
        throw error;
      }
    }
  }

  get isRebuilding(): boolean {
    for (const { index } of this.#collections.values()) if (index.isRebuilding) return true;
    return false;
  }

  /**
   * Saves the indexes and releases the folder. A failed save is a warning: the next start rebuilds from the records.
   */
  async close(): Promise<void> {
    this.#closing.abort(new SearchError('SHUTTING_DOWN', 'The catalogue is closing.'));
    try {
      await this.saveIndexes();
    } catch (error) {
      this.#options.onWarning(`Index file was not saved: ${String(error)}`);
    }
    this.#database.close();
  }
}
