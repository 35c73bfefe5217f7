import { endianness } from 'node:os';
import { SearchError } from '../../errors.js';
import type { AddResult, ImageId, ImageRecord, Metadata, Page, PageQuery, Sequence } from '../catalogue.js';
import type { CheckedImage, KnownImage } from '../catalogue-requests.js';
import type { Filter } from '../filters/filter.js';
import { addPassing, type FilterCache, lowerBound, type MetadataBatch, type Steps } from '../filters/filter-cache.js';
import { compileFilter } from '../filters/filter-match.js';
import { LABEL_LIMIT } from '../vectors/vector-index.js';
import { removedCollectionName } from './checked-input.js';
import { CHECKSUM_VERSION, isWholeRow, partChecksum, rowChecksum } from './checksums.js';
import { isObject, mergePatch, metadataToJson } from './metadata.js';
import { PageCursors } from './page-cursor.js';
import { StoreDatabase, type StoreWrite } from './store-database.js';
import type { BlobPart, ImageRow, Statements } from './store-statements.js';

/** What a write changed, for the indexes and caches that follow the store. */
export type StoreChange = {
  readonly collection: number;
  /** The whole collection was removed. */
  readonly isGone?: boolean;
  readonly removed?: Sequence;
  readonly added?: {
    readonly sequence: Sequence;
    readonly embedding: Float32Array;
    readonly perceptualHash: Uint8Array;
  };
  /** New metadata of an added or patched image. */
  readonly metadata?: { readonly sequence: Sequence; readonly metadataJson: string };
};

/** Size of a batch of metadata: so many records, as long as their text has about so many characters. */
const BATCH_ROWS_FIRST = 32;
const BATCH_ROWS_MAX = 512;
const BATCH_CHARACTERS = 32_768;

/** Limits and clock of a {@link RecordStore}. */
export type RecordStoreOptions = {
  /** Collections that may exist. */
  readonly collectionsMax: number;
  /** Bytes of one image's metadata as JSON. */
  readonly maxMetadataBytes: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Called once for each damaged image that is left out. */
  readonly onWarning: (message: string) => void;
};

/** Damaged images that are warned of by name, each once. */
const WARNED_MAX = 10_000;
/** Images of the same bytes that are tried as the source of a copy. */
const TWINS_READ = 10;

/** Records that {@link readRecords} reads at a time. */
const READ_PAGE_RECORDS = 500;

/**
 * The truth: every image's record, embedding, thumbnail and original. Run writes in the database's `commit`, reads in
 * its `read`.
 */
export class RecordStore {
  readonly #database: StoreDatabase;
  readonly #statements: Statements;
  readonly #options: RecordStoreOptions;
  readonly #cursors: PageCursors;
  /** Sequences of damaged images that were warned of. */
  readonly #warned = new Set<number>();

  constructor(database: StoreDatabase, options: RecordStoreOptions) {
    this.#database = database;
    this.#statements = database.statements;
    this.#options = options;
    this.#cursors = new PageCursors(database.identity.catalogueId);
  }

  /**
   * Adds an image, inside `commit`. With an id it is a record of its own, also where other images have the same bytes;
   * without one it is the stored image of the same bytes, if there is one. Same id and bytes with `replace` and other
   * metadata: only these are updated. Throws ID_EXISTS, CATALOGUE_FULL or DISK_FULL.
   */
  add(collectionName: string, image: CheckedImage): StoreWrite<AddResult, StoreChange> {
    const statements = this.#statements;
    const known = this.collectionKey(collectionName);
    const former = known === undefined ? undefined : this.#sameImage(known, image);
    if (former !== undefined && isSameBytes(former, image)) return this.#updateMetadata(former, image);
    if (former !== undefined && !image.replace) {
      const message = `Image ${JSON.stringify(image.id)} exists with other bytes. Choose another id, or set replace=true.`;
      throw new SearchError('ID_EXISTS', message);
    }
    const { embedding, thumbnail, original, sha256, perceptualHash, metadataJson = '{}' } = image;
    this.#database.refuseWithoutRoom(embedding.byteLength + thumbnail.byteLength + (original?.byteLength ?? 0));
    const collection = known ?? this.#makeCollection(collectionName);
    const sequence = (this.lastSequence + 1) as Sequence;
    if (sequence > LABEL_LIMIT) {
      const message = `The catalogue has numbered ${LABEL_LIMIT} images, as many as its indexes can. Use another data folder.`;
      throw new SearchError('CATALOGUE_FULL', message);
    }
    const id = image.id ?? this.#freeId(collection, sha256);
    const storedEmbedding = toLittleEndian(embedding);
    const now = this.#options.now();
    const { format, width, height, bytes, fileName, perceptualHashQuality = null } = image;
    const row = {
      ...{
        sequence,
        collection,
        id,
        sha256,
        perceptualHash,
        perceptualHashQuality,
        format,
        width,
        height,
        bytes,
        fileName,
      },
      ...{ addedAt: former?.addedAt ?? now, updatedAt: now, metadata: metadataJson },
      embeddingChecksum: partChecksum(sequence, storedEmbedding),
      thumbnailChecksum: partChecksum(sequence, thumbnail),
      originalChecksum: original === undefined ? null : partChecksum(sequence, original),
    };
    if (former !== undefined) statements.removeImage.run(former.sequence);
    statements.insertImage.run({ ...row, checksum: rowChecksum(row) });
    statements.insertEmbedding.run(sequence, storedEmbedding);
    statements.insertThumbnail.run(sequence, thumbnail);
    if (original !== undefined) statements.insertOriginal.run(sequence, original);
    const change = { collection, added: { sequence, embedding, perceptualHash }, metadata: { sequence, metadataJson } };
    if (former === undefined) return { value: { id, status: 'added' }, change };
    return { value: { id, status: 'replaced' }, change: { ...change, removed: former.sequence as Sequence } };
  }

  /**
   * Adds an image whose bytes the collection holds already under another id, inside `commit`: embedding, hash,
   * thumbnail and original are copied. Undefined where it does not hold them (any more).
   */
  addKnown(collectionName: string, image: KnownImage): StoreWrite<AddResult | undefined, StoreChange> {
    const collection = this.collectionKey(collectionName);
    if (collection === undefined) return { value: undefined };
    const former = this.#sameImage(collection, image);
    if (former !== undefined && isSameBytes(former, image)) return this.#updateMetadata(former, image);
    for (const row of this.#statements.imagesBySha256.all(collection, image.sha256, TWINS_READ)) {
      const record = this.#record(row);
      const [embedding, thumbnail, original] = (['embedding', 'thumbnail', 'original'] as const).map((part) =>
        this.#part(part, row),
      );
      if (record === undefined || embedding === undefined || thumbnail === undefined) continue; // damaged; warned of
      const copied = { ...record, embedding: fromLittleEndian(embedding), thumbnail, original };
      return this.add(collectionName, { ...copied, ...image });
    }
    return { value: undefined };
  }

  /** The stored image that a new one is: the one of its id or, where it has none, the first one of the same bytes. */
  #sameImage(collection: number, { id, sha256 }: KnownImage): ImageRow | undefined {
    return id === undefined
      ? this.#statements.imagesBySha256.get(collection, sha256, 1)
      : this.#statements.imageById.get(collection, id);
  }

  #updateMetadata(row: ImageRow, image: KnownImage): StoreWrite<AddResult, StoreChange> {
    const { id, collection } = row as ImageRow & { readonly id: ImageId }; // checked before it was stored
    const { metadataJson } = image;
    if (!image.replace || metadataJson === undefined || metadataJson === row.metadata)
      return { value: { id, status: 'exists' } };
    this.#writeMetadata(row, metadataJson);
    const change = { collection, metadata: { sequence: row.sequence as Sequence, metadataJson } };
    return { value: { id, status: 'updated' }, change };
  }

  #writeMetadata(row: ImageRow, metadata: string): number {
    const updatedAt = this.#options.now();
    this.#statements.updateMetadata.run(
      metadata,
      updatedAt,
      rowChecksum({ ...row, metadata, updatedAt }),
      row.sequence,
    );
    return updatedAt;
  }

  /**
   * Removes a collection with all its images, inside `commit`; false where there is none. Its records are only hidden:
   * `deleteSome` deletes them afterwards, in steps, also after a restart. The name is free at once.
   */
  removeCollection(name: string): StoreWrite<boolean, StoreChange> {
    const collection = this.collectionKey(name);
    if (collection === undefined) return { value: false };
    this.#statements.renameCollection.run(removedCollectionName(collection), collection);
    return { value: true, change: { collection, isGone: true } };
  }

  /**
   * Deletes up to `limit` records of a removed collection, inside `commit`. False where there were none; then the
   * collection is deleted.
   */
  deleteSome(collection: number, limit: number): StoreWrite<boolean, never> {
    const sequences = this.#statements.sequencesOf.all(collection, limit);
    for (const sequence of sequences) this.#statements.removeImage.run(sequence);
    if (sequences.length > 0) return { value: true };
    this.#statements.forgetGenerations.run(collection, '');
    this.#statements.deleteCollection.run(collection);
    return { value: false };
  }

  /** Removes an image, inside `commit`. */
  remove(collectionName: string, id: ImageId): StoreWrite<boolean, StoreChange> {
    const row = this.#row(collectionName, id);
    if (row === undefined) return { value: false };
    this.#statements.removeImage.run(row.sequence);
    return { value: true, change: { collection: row.collection, removed: row.sequence as Sequence } };
  }

  /** Merges a patch into the metadata, inside `commit`. */
  patchMetadata(
    collectionName: string,
    id: ImageId,
    patch: Metadata,
  ): StoreWrite<ImageRecord | undefined, StoreChange> {
    const row = this.#row(collectionName, id);
    if (row === undefined) return { value: undefined };
    const record = this.#wholeRecord(row);
    const metadata = mergePatch(record.metadata, patch);
    const metadataJson = metadataToJson(metadata, this.#options.maxMetadataBytes);
    const updatedAt = this.#writeMetadata(row, metadataJson);
    const change = { collection: row.collection, metadata: { sequence: record.sequence, metadataJson } };
    return { value: { ...record, metadata, updatedAt }, change };
  }

  get(collectionName: string, id: ImageId): ImageRecord | undefined {
    const row = this.#row(collectionName, id);
    return row === undefined ? undefined : this.#wholeRecord(row);
  }

  /** The first image of these bytes. */
  findBySha256(collectionName: string, sha256: Uint8Array): ImageId | undefined {
    const collection = this.collectionKey(collectionName);
    const row = collection === undefined ? undefined : this.#statements.imagesBySha256.get(collection, sha256, 1);
    return row?.id as ImageId | undefined; // checked before it was stored
  }

  /** Sequences, and so labels, of the first `limit` images of these bytes. */
  sequencesOfBytes(collection: number, sha256: Uint8Array, limit: number): number[] {
    return this.#statements.sequencesBySha256.all(collection, sha256, limit);
  }

  /**
   * One of an image's larger parts, in memory of its own. Throws CATALOGUE_DAMAGED where it is not as it was stored.
   */
  blob(part: BlobPart, collectionName: string, id: ImageId): Uint8Array | undefined {
    const row = this.#row(collectionName, id);
    if (row === undefined || (part === 'original' && row.hasOriginal === 0)) return undefined;
    return this.#part(part, row) ?? this.#throwDamaged(row);
  }

  embedding(collectionName: string, id: ImageId): Float32Array | undefined {
    const blob = this.blob('embedding', collectionName, id);
    return blob === undefined ? undefined : fromLittleEndian(blob);
  }

  /** The record of a search's match; undefined where it is damaged. */
  matched(sequence: number): ImageRecord | undefined {
    const row = this.#statements.imageBySequence.get(sequence);
    return row === undefined ? undefined : this.#record(row);
  }

  #row(collectionName: string, id: ImageId): ImageRow | undefined {
    const collection = this.collectionKey(collectionName);
    return collection === undefined ? undefined : this.#statements.imageById.get(collection, id);
  }

  /** A row's part, in memory of its own; undefined where it is missing or not as it was stored. */
  #part(part: BlobPart, row: ImageRow): Uint8Array | undefined {
    const blob = this.#statements[part].get(row.sequence);
    const isWhole =
      this.#database.version < CHECKSUM_VERSION || row[`${part}Checksum`] === checksumOf(row.sequence, blob);
    return blob === undefined || !isWhole ? undefined : new Uint8Array(blob);
  }

  /** The record of a row; undefined, with a warning, where the row is not as it was stored. */
  #record(row: ImageRow): ImageRecord | undefined {
    if (isWholeRow(row, this.#database.version)) return toRecord(row);
    this.#warnOf(row.sequence, row.id);
    return undefined;
  }

  #wholeRecord(row: ImageRow): ImageRecord {
    return this.#record(row) ?? this.#throwDamaged(row);
  }

  #throwDamaged({ sequence, id }: ImageRow): never {
    this.#warnOf(sequence, id);
    throw new SearchError(
      'CATALOGUE_DAMAGED',
      `Image ${JSON.stringify(id)} is damaged on the disk. Add it again with replace=true.`,
    );
  }

  /** Once for each image. */
  #warnOf(sequence: number, id?: string): void {
    if (this.#warned.has(sequence)) return;
    if (this.#warned.size < WARNED_MAX) this.#warned.add(sequence);
    const name = id === undefined ? `number ${sequence}` : `${JSON.stringify(id)} (number ${sequence})`;
    this.#options.onWarning(`Image ${name} is damaged and is left out. Run: likeness check.`);
  }

  idOf(sequence: number): ImageId | undefined {
    return this.#statements.idBySequence.get(sequence) as ImageId | undefined; // checked before it was stored
  }

  /** One page, in steps; `cache` knows what passes some filters. */
  *list(
    collectionName: string,
    { limit, cursor, filter }: PageQuery,
    cache: Pick<FilterCache, 'known'>,
  ): Steps<Page<ImageRecord>> {
    const after = cursor === undefined ? 0 : this.#cursors.open(cursor);
    if (after === undefined)
      throw new SearchError('INVALID_REQUEST', 'The cursor is not one that a page gave. Start again without one.');
    const collection = this.collectionKey(collectionName);
    if (collection === undefined) return { items: [], nextCursor: undefined };
    const { imagesAfter, imageBySequence } = this.#statements;
    // One more than the page holds tells whether there is another.
    let rows: ImageRow[];
    if (filter === undefined) rows = imagesAfter.all(collection, after, limit + 1);
    else {
      const passing = cache.known(collection, filter);
      const sequences =
        passing === undefined
          ? yield* this.#passingAfter(collection, filter, { after, limit: limit + 1 })
          : passing.slice(lowerBound(passing, after + 1)).slice(0, limit + 1);
      // one may have been removed between two steps
      rows = sequences.flatMap((sequence) => imageBySequence.get(sequence) ?? []);
    }
    const page = rows.slice(0, limit);
    const items = page.flatMap((row) => this.#record(row) ?? []);
    return { items, nextCursor: rows.length > limit ? this.#cursors.seal(page.at(-1)!.sequence) : undefined };
  }

  /**
   * A page of records without a filter, each with its embedding; undefined where that is damaged. `last`: the page's
   * last sequence.
   */
  page(collectionName: string, after: number, limit: number) {
    const rows = this.#statements.imagesAfter.all(this.collectionKey(collectionName) ?? -1, after, limit);
    const records = rows.flatMap((row) => {
      const record = this.#record(row);
      const embedding = this.#part('embedding', row);
      return record === undefined ? [] : [{ record, embedding: embedding && fromLittleEndian(embedding) }];
    });
    return { records, last: rows.at(-1)?.sequence };
  }

  *#passingAfter(
    collection: number,
    filter: Filter,
    { after, limit }: { readonly after: number; readonly limit: number },
  ): Steps<number[]> {
    const matches = compileFilter(filter);
    const found: number[] = [];
    for (const batch of this.metadataBatches(collection, after)) {
      addPassing(matches, batch, found);
      if (found.length >= limit) break;
      yield;
    }
    return found.slice(0, limit);
  }

  /** The metadata of a collection's images by ascending sequence, in batches of about a millisecond's work. */
  *metadataBatches(collection: number, after = 0): Generator<MetadataBatch, void> {
    for (let last = after, rows = BATCH_ROWS_FIRST; ; ) {
      const batch = this.#statements.metadataAfter.get(collection, last, rows);
      if (batch === undefined || batch.sequences === null) return;
      const sequences = JSON.parse(`[${batch.sequences}]`) as number[];
      last = sequences.at(-1)!;
      yield this.#parsedTogether(sequences, batch.metadata) ?? this.#parsedEach(sequences);
      rows = Math.min(BATCH_ROWS_MAX, Math.ceil((sequences.length * BATCH_CHARACTERS) / batch.metadata.length));
    }
  }

  /**
   * One call for all takes half the time of one for each. Undefined where a damaged text keeps the others from
   * being read.
   */
  #parsedTogether(sequences: readonly number[], texts: string): MetadataBatch | undefined {
    try {
      const metadata = JSON.parse(`[${texts}]`) as Metadata[]; // objects, as they were stored
      return metadata.length === sequences.length && metadata.every(isObject) ? { sequences, metadata } : undefined;
    } catch {
      return undefined;
    }
  }

  /** Leaves out, with a warning, what is damaged. */
  #parsedEach(sequences: readonly number[]): MetadataBatch {
    const records = sequences.flatMap((sequence) => this.matched(sequence) ?? []);
    return { sequences: records.map(({ sequence }) => sequence), metadata: records.map(({ metadata }) => metadata) };
  }

  collections(): { readonly key: number; readonly name: string }[] {
    return this.#statements.collections.all().filter(({ key, name }) => name !== removedCollectionName(key));
  }

  isRemoved(key: number): boolean {
    return this.collectionKey(removedCollectionName(key)) === key;
  }

  /** Keys of removed collections whose records are not all deleted yet. */
  removedCollections(): number[] {
    const all = this.#statements.collections.all();
    return all.filter(({ key, name }) => name === removedCollectionName(key)).map(({ key }) => key);
  }

  collectionKey(name: string): number | undefined {
    return this.#statements.collectionKey.get(name);
  }

  /**
   * Every embedding of a collection by ascending sequence; leaves out, with a warning, those not as they were stored.
   * Read it to its end before any other use of the store.
   */
  *embeddings(
    collection: number,
    isVerified = true,
  ): Generator<{ readonly sequence: number; readonly embedding: Float32Array }> {
    for (const { sequence, embedding, checksum } of this.#statements.embeddings.iterate(collection)) {
      if (isVerified && this.#database.version >= CHECKSUM_VERSION && checksum !== partChecksum(sequence, embedding))
        this.#warnOf(sequence);
      else yield { sequence, embedding: fromLittleEndian(new Uint8Array(embedding)) };
    }
  }

  /** Every perceptual hash of a collection. Read it to its end before any other use of the store. */
  *perceptualHashes(collection: number): Generator<{ readonly sequence: number; readonly perceptualHash: Uint8Array }> {
    yield* this.#statements.perceptualHashes.iterate(collection);
  }

  /** Largest sequence ever used. */
  get lastSequence(): number {
    return this.#statements.lastSequence.get() ?? 0;
  }

  /** Remembers the generation of a new index file and the former one, and forgets all others. */
  rememberGeneration(collection: number, generation: string, former: string | undefined): void {
    const write = (): StoreWrite<undefined, never> => {
      this.#statements.forgetGenerations.run(collection, former ?? '');
      this.#statements.insertGeneration.run(collection, generation);
      return { value: undefined };
    };
    const [outcome] = this.#database.commit([write]);
    if (outcome !== undefined && 'error' in outcome) throw outcome.error;
  }

  knowsGeneration(collection: number, generation: string): boolean {
    return this.#statements.knowsGeneration.get(collection, generation) !== undefined;
  }

  #makeCollection(name: string): number {
    const { collectionsMax } = this.#options;
    if (this.collections().length >= collectionsMax) {
      const message = `There are ${collectionsMax} collections, the most that --max-collections allows. Use one of them, or delete one.`;
      throw new SearchError('CATALOGUE_FULL', message);
    }
    return Number(this.#statements.insertCollection.run(name).lastInsertRowid);
  }

  /** The first 32 digits of the SHA-256, or more where another image has that id. */
  #freeId(collection: number, sha256: Uint8Array): ImageId {
    const digits = Buffer.from(sha256).toString('hex');
    for (let length = 32; ; length += 8) {
      const id = length <= digits.length ? digits.slice(0, length) : `${digits}-${length}`;
      // hex digits are a valid id
      if (this.#statements.imageById.get(collection, id) === undefined) return id as ImageId;
    }
  }
}

/** Embeddings are stored as little-endian float32, so that a data folder can move between machines. */
function toLittleEndian(embedding: Float32Array): Uint8Array {
  const bytes = new Uint8Array(embedding.buffer, embedding.byteOffset, embedding.byteLength);
  return endianness() === 'LE' ? bytes : Buffer.from(bytes).swap32();
}

function fromLittleEndian(bytes: Uint8Array): Float32Array {
  if (endianness() === 'BE') Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).swap32();
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >> 2);
}

function toRecord(row: ImageRow): ImageRecord {
  const { sha256, perceptualHash, perceptualHashQuality, format, width, height, bytes, fileName, addedAt, updatedAt } =
    row;
  return {
    id: row.id as ImageId, // checked before it was stored
    sequence: row.sequence as Sequence,
    metadata: JSON.parse(row.metadata) as Metadata, // an object when it was stored
    sha256: new Uint8Array(sha256),
    perceptualHash: new Uint8Array(perceptualHash),
    ...(perceptualHashQuality !== null && { perceptualHashQuality }),
    ...{ format, width, height, bytes, fileName, hasOriginal: row.hasOriginal === 1, addedAt, updatedAt },
  };
}

function isSameBytes(row: ImageRow, image: { readonly sha256: Uint8Array }): boolean {
  return Buffer.compare(row.sha256, image.sha256) === 0;
}

function checksumOf(sequence: number, blob: Uint8Array | undefined): number | null {
  return blob === undefined ? null : partChecksum(sequence, blob);
}

/** A record and its embedding; undefined where that is damaged. */
type ReadRecord = { readonly record: ImageRecord; readonly embedding: Float32Array | undefined };

/**
 * Reads every record of a collection, in order of commit, from a folder that no process uses, without changing it.
 * Leaves out damaged records and reports each to `onWarning`. Throws CATALOGUE_LOCKED, CATALOGUE_DAMAGED, or NOT_FOUND
 * for a folder without a catalogue or a catalogue without the collection.
 */
export function* readRecords(
  folder: string,
  collection: string,
  onWarning: (message: string) => void = () => undefined,
): Generator<ReadRecord, void> {
  const database = new StoreDatabase({ folder, lockTimeoutMs: 0, reserveBytes: 0 });
  try {
    const store = new RecordStore(database, { collectionsMax: 0, maxMetadataBytes: 0, now: Date.now, onWarning });
    if (database.read(() => store.collectionKey(collection)) === undefined)
      throw new SearchError('NOT_FOUND', `${folder} has no collection ${JSON.stringify(collection)}.`);
    for (let after: number | undefined = 0; after !== undefined; ) {
      const { records, last } = database.read(() => store.page(collection, after ?? 0, READ_PAGE_RECORDS));
      yield* records;
      after = last;
    }
  } finally {
    database.close();
  }
}
