import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { SearchError } from '../errors.js';
import type { CatalogueStatistics, Neighbour, NeighbourQuery } from './catalogue.js';
import type { ReadRequest, RequestOutcome, WriteRequest } from './catalogue-requests.js';
import { checkCollectionName, checkedImageId, checkedNewImage, checkedQuery, checkedSample, checkedStanding } from './checked-input.js';
import { CollectionIndex } from './collection-index.js';
import { standingOf, takeSample } from './collection-sample.js';
import type { EngineOptions } from './engine-options.js';
import { ExactIndex } from './exact-index.js';
import { reached } from './failpoint.js';
import { findNeighbours } from './find-neighbours.js';
import { faultOfGraph } from './graph-fault.js';
import { HashIndex } from './hash-index.js';
import { ImportStore } from './import-store.js';
import { flushFolder, IndexFiles } from './index-file.js';
import { PassSets } from './pass-sets.js';
import { RecordStore, type StoreChange } from './record-store.js';
import { StoreDatabase, type StoreWrite } from './store-database.js';
import { asStoreError } from './store-errors.js';

type Indexed = { readonly index: CollectionIndex; readonly hashes: HashIndex; readonly name: string; changes: number };

/**
 * One owner of record store and indexes, on one thread, with no queue of its own: `RequestTurns` decides what is done when. Every call leaves
 * index and store in step, and what `write` answered is on disk and found by the very next search.
 */
export class CatalogueEngine {
  readonly #options: EngineOptions;
  readonly #database: StoreDatabase;
  readonly #store: RecordStore;
  readonly #imports: ImportStore;
  readonly #files: IndexFiles;
  readonly #collections = new Map<number, Indexed>();
  readonly #passSets = new PassSets();
  /** The work on files that is going on: saving or copying, one at a time. */
  #saving: Promise<void> | undefined;
  readonly #closing = new AbortController();

  /** Opens the folder, made where it is missing, and takes its lock. Blocks until every collection can be searched. Throws as StoreDatabase does. */
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
      this.#files = new IndexFiles(indexFolder, { catalogueId: this.#database.identity.catalogueId, encoderId, settings });
      this.#files.removeStrays();
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
        // One damaged record must not keep all the others from being served.
        this.#options.onWarning(`Image number ${sequence} of collection ${name} cannot be searched; run likeness check. ${String(error)}`);
      }
    }
    const loaded = this.#files.load(key, (generation) => this.#store.knowsGeneration(key, generation));
    const fault = loaded.refused ?? faultOfGraph(loaded.index, loaded.labels, flat);
    if (fault !== undefined && (loaded.index !== undefined || !loaded.missing)) {
      this.#options.onWarning(`Index file of collection ${name} is not used, and built anew from the records: ${fault}.`);
    }
    const graph = fault === undefined ? loaded.index : undefined;
    const hashes = new HashIndex();
    for (const { sequence, perceptualHash } of this.#store.perceptualHashes(key))
      if (flat.has(sequence)) hashes.add(sequence, perceptualHash);
    return { index: new CollectionIndex(this.#options.settings, flat, graph), hashes, name, changes: graph === undefined ? flat.size : 0 };
  }

  /** Commits these writes as one group with one flush, puts them into the indexes, and answers each. */
  write(requests: readonly WriteRequest[]): RequestOutcome[] {
    const begun = performance.now();
    const outcomes = this.#database.commit(requests.map((request) => () => this.#storeWrite(request)));
    this.#options.onCommit({ images: requests.length, ms: performance.now() - begun });
    reached('commit done');
    for (const outcome of outcomes) if ('change' in outcome && outcome.change !== undefined) this.#follow(outcome.change);
    reached('index follows');
    const answers = requests.map((request, place): RequestOutcome => {
      const outcome = outcomes[place]!;
      // On a full disk removing must still work: it is what makes room.
      const isRefusedRemoval = request.method === 'remove' && 'error' in outcome && outcome.error.code === 'DISK_FULL';
      const last = isRefusedRemoval ? this.#database.commitFreeing(() => this.#storeWrite(request)) : outcome;
      if (last !== outcome && 'change' in last && last.change !== undefined) this.#follow(last.change);
      return 'error' in last ? last : { value: last.value };
    });
    this.#database.reclaim();
    return answers;
  }

  #storeWrite(request: WriteRequest): StoreWrite<unknown, StoreChange> {
    if (request.method === 'changeImport') return { value: this.#imports.change(request.args[0]) };
    checkCollectionName(request.args[0]);
    switch (request.method) {
      case 'add': {
        const [collection, image] = request.args;
        const outcome = this.#store.add(collection, checkedNewImage(image, this.#options.settings.dimensions));
        const { importItem } = image;
        if (importItem !== undefined) this.#imports.settleAdded(importItem, outcome.value.status === 'exists' ? 'existing' : 'added');
        return outcome;
      }
      case 'remove':
        return this.#store.remove(...request.args);
      case 'patchMetadata':
        return this.#store.patchMetadata(...request.args);
    }
  }

  #follow({ collection, removed, added, described }: StoreChange): void {
    const indexed = this.#indexed(collection);
    if (removed !== undefined) {
      indexed.index.remove(removed);
      indexed.hashes.remove(removed);
      this.#passSets.remove(collection, removed);
    }
    if (added !== undefined) {
      indexed.index.add(added.sequence, added.embedding);
      indexed.hashes.add(added.sequence, added.perceptualHash);
    }
    if (described !== undefined) this.#passSets.put(collection, described.sequence, described.metadataJson);
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

  /** Answers one read; throws a SearchError. `statistics` leaves `queued` to whoever queues. */
  read(request: ReadRequest): unknown {
    return this.#database.read(() => {
      const { method, args } = request;
      if (method === 'statistics') return this.#statistics();
      if (method === 'readImports') return this.#imports.read(args[0]);
      if (method === 'neighbours') return this.#neighbours(checkedQuery(args[0], this.#options.settings.dimensions));
      checkCollectionName(args[0]);
      switch (method) {
        case 'get':
          return this.#store.get(args[0], checkedImageId(args[1]));
        case 'findBySha256':
          return this.#store.findBySha256(...args);
        case 'embedding':
          return this.#store.embedding(args[0], checkedImageId(args[1]));
        case 'thumbnail':
        case 'original':
          return this.#store.blob(method, args[0], checkedImageId(args[1]));
        case 'list':
          return this.#store.list(...args);
        case 'sample':
          return takeSample(checkedSample(args[1]), this.#indexOf(args[0]), this.#store.lastSequence);
        case 'standing':
          return standingOf(checkedStanding(args[1]), this.#indexOf(args[0]), this.#store);
      }
    });
  }

  #indexOf(collection: string): CollectionIndex | undefined {
    const key = this.#store.collectionKey(collection);
    return key === undefined ? undefined : this.#indexed(key).index;
  }

  #neighbours(query: NeighbourQuery): Neighbour[] {
    const key = this.#store.collectionKey(query.collection);
    if (key === undefined) return [];
    const { index, hashes } = this.#indexed(key);
    const { filter } = query;
    const passes = filter === undefined ? undefined : this.#passSets.passing(key, filter, () => this.#store.passing(key, filter));
    return findNeighbours(query, { index, hashes, store: this.#store, passes });
  }

  #statistics(): CatalogueStatistics {
    const { database, wal } = this.#database.fileBytes;
    const collections = [...this.#collections.values()].map(({ name, index }) => ({ name, ...index.statistics }));
    collections.sort((a, b) => (a.name < b.name ? -1 : 1));
    return { collections, lastSequence: this.#store.lastSequence, databaseBytes: database, walBytes: wal, queued: 0 };
  }

  get hasWork(): boolean {
    for (const { index } of this.#collections.values()) if (index.hasWork) return true;
    return false;
  }

  /** True while an index file is being written, when graphs stand still and only their tails grow. */
  get isSaving(): boolean {
    return this.#saving !== undefined;
  }

  /** Brings graphs nearer to their records for about `budgetMs`. Returns how many vectors it put into them. */
  work(budgetMs: number): number {
    for (const [key, indexed] of this.#collections) {
      if (!indexed.index.hasWork) continue;
      const { inserted, droppedGraph } = indexed.index.work(budgetMs);
      if (droppedGraph) {
        indexed.changes += this.#options.saveEveryChanges;
        this.#options.collectGarbage();
      }
      // To the end of the line, so that a large collection does not hold up the others.
      this.#collections.delete(key);
      this.#collections.set(key, indexed);
      return inserted;
    }
    return 0;
  }

  /** Starts writing the index files that have gathered `saveEveryChanges`, or any change at all; does not wait. Failures are warnings. */
  saveSome(which: 'due' | 'changed'): void {
    const least = which === 'due' ? this.#options.saveEveryChanges : 1;
    if (this.#saving !== undefined || ![...this.#collections.values()].some(({ changes }) => changes >= least)) return;
    this.#save(least).catch((error: unknown) => this.#options.onWarning(`Index file was not saved: ${String(error)}`));
  }

  /** Writes every index file that lags behind its records. Rejects with DISK_FULL or INTERNAL. */
  async saveIndexes(): Promise<void> {
    while (this.#saving !== undefined) await this.#saving.catch(() => undefined); // its own caller is told
    await this.#save(1);
  }

  #save(leastChanges: number): Promise<void> {
    return this.#alone(this.#saveCollections(leastChanges));
  }

  #alone(work: Promise<void>): Promise<void> {
    this.#saving = work.finally(() => {
      this.#saving = undefined;
    });
    return this.#saving;
  }

  /** As {@link DurableCatalogue.copyTo}. No index file is written meanwhile: the copied database must know those that are copied. */
  async copyTo(folder: string): Promise<void> {
    while (this.#saving !== undefined) await this.#saving.catch(() => undefined);
    this.#files.copyTo(join(folder, 'indexes'));
    await this.#alone(this.#database.copyTo(join(folder, 'catalogue.db'), this.#closing.signal));
  }

  async #saveCollections(leastChanges: number): Promise<void> {
    for (const [key, indexed] of [...this.#collections]) {
      const { changes, index } = indexed;
      if (changes < leastChanges || index.indexed === 0) continue;
      // Counted from now on; put back where the save fails, so that it is tried again.
      indexed.changes = 0;
      try {
        await index.withStillGraph((graph) =>
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

  /** Saves what can be saved and lets the folder go. A failed save is a warning: the next start builds the index from the records. */
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
