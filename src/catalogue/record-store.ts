import { endianness } from 'node:os';
import { SearchError } from '../errors.js';
import type { AddResult, ImageId, ImageRecord, Metadata, Neighbour, NewImage, Page, Sequence } from './catalogue.js';
import { checkedPage } from './checked-input.js';
import type { Filter } from './filter.js';
import { filterToSql } from './filter-sql.js';
import { mergePatch, metadataToJson } from './metadata.js';
import { PageCursors } from './page-cursor.js';
import type { StoreDatabase, StoreWrite } from './store-database.js';
import { type BlobPart, IMAGE_COLUMNS, type ImageRow, type Statements } from './store-statements.js';
import { LABEL_LIMIT } from './vector-index.js';

/** What a write changed, for what follows the store: labels to remove and one to add, and metadata. */
export type StoreChange = {
  readonly collection: number;
  readonly removed?: Sequence;
  readonly added?: { readonly sequence: Sequence; readonly embedding: Float32Array; readonly perceptualHash: Uint8Array };
  /** Metadata of the added image, or of one that it changed of. */
  readonly described?: { readonly sequence: Sequence; readonly metadataJson: string };
};

/** What `RecordStore` may make, and its clock. */
export type RecordStoreOptions = {
  /** Collections that may be created. */
  readonly collectionsMax: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
};

/**
 * The truth: every image's record, embedding and thumbnail. Writes are to be run by the database's `commit`, which groups and flushes them, reads by
 * its `read`.
 */
export class RecordStore {
  readonly #database: StoreDatabase;
  readonly #statements: Statements;
  readonly #options: RecordStoreOptions;
  readonly #cursors: PageCursors;

  constructor(database: StoreDatabase, options: RecordStoreOptions) {
    this.#database = database;
    this.#statements = database.statements;
    this.#options = options;
    this.#cursors = new PageCursors(database.identity.catalogueId);
  }

  /** An add, to be run by `commit`. Throws ID_EXISTS, CATALOGUE_FULL, and DISK_FULL. */
  add(collectionName: string, image: NewImage): StoreWrite<AddResult, StoreChange> {
    const collection = this.#collectionKeyOrNew(collectionName);
    const statements = this.#statements;
    const same = statements.idBySha256.get(collection, image.sha256);
    if (same !== undefined) return { value: { id: same.id as ImageId, status: 'exists' } };
    const id = image.id ?? this.#freeId(collection, image.sha256);
    const former = statements.imageById.get(collection, id);
    if (former !== undefined && !image.replace) {
      const message = `Image ${JSON.stringify(id)} exists with other bytes. Choose another id, or replace it.`;
      throw new SearchError('ID_EXISTS', message);
    }
    const { embedding, thumbnail, original } = image;
    this.#database.refuseWithoutRoom(embedding.byteLength + thumbnail.byteLength + (original?.byteLength ?? 0));
    const metadata = metadataToJson(image.metadata);
    if (former !== undefined) statements.removeImage.run(former.sequence);
    const now = this.#options.now();
    const { lastInsertRowid } = statements.insertImage.run({
      ...{ collection, id, sha256: image.sha256, perceptualHash: image.perceptualHash, format: image.format, width: image.width },
      perceptualHashQuality: image.perceptualHashQuality ?? null,
      ...{ height: image.height, bytes: image.bytes, fileName: image.fileName, addedAt: former?.addedAt ?? now, updatedAt: now, metadata },
    });
    const sequence = Number(lastInsertRowid) as Sequence;
    if (sequence > LABEL_LIMIT) {
      const message = `The catalogue has numbered ${LABEL_LIMIT} images, as many as its indexes can. Use another data folder.`;
      throw new SearchError('CATALOGUE_FULL', message);
    }
    statements.insertEmbedding.run(sequence, toLittleEndian(embedding));
    statements.insertThumbnail.run(sequence, thumbnail);
    if (original !== undefined) statements.insertOriginal.run(sequence, original);
    const change = {
      collection,
      added: { sequence, embedding, perceptualHash: image.perceptualHash },
      described: { sequence, metadataJson: metadata },
    };
    if (former === undefined) return { value: { id, status: 'added' }, change };
    return { value: { id, status: 'replaced' }, change: { ...change, removed: former.sequence as Sequence } };
  }

  /** A removal, to be run by `commit`. */
  remove(collectionName: string, id: ImageId): StoreWrite<boolean, StoreChange> {
    const collection = this.collectionKey(collectionName);
    const image = collection === undefined ? undefined : this.#statements.imageById.get(collection, id);
    if (collection === undefined || image === undefined) return { value: false };
    this.#statements.removeImage.run(image.sequence);
    return { value: true, change: { collection, removed: image.sequence as Sequence } };
  }

  /** A merge into the metadata, to be run by `commit`. */
  patchMetadata(collectionName: string, id: ImageId, patch: Metadata): StoreWrite<ImageRecord | undefined, StoreChange> {
    const collection = this.collectionKey(collectionName);
    const record = this.get(collectionName, id);
    if (collection === undefined || record === undefined) return { value: undefined };
    const metadata = mergePatch(record.metadata, patch);
    const metadataJson = metadataToJson(metadata);
    const updatedAt = this.#options.now();
    this.#statements.updateMetadata.run(metadataJson, updatedAt, record.sequence);
    const described = { sequence: record.sequence, metadataJson };
    return { value: { ...record, metadata, updatedAt }, change: { collection, described } };
  }

  get(collectionName: string, id: ImageId): ImageRecord | undefined {
    const collection = this.collectionKey(collectionName);
    const row = collection === undefined ? undefined : this.#statements.imageById.get(collection, id);
    return row === undefined ? undefined : toRecord(row);
  }

  findBySha256(collectionName: string, sha256: Uint8Array): ImageId | undefined {
    return this.#ofBytes(collectionName, sha256)?.id as ImageId | undefined;
  }

  /** The sequence of the image of the same bytes: its label in the indexes. */
  sequenceOfBytes(collectionName: string, sha256: Uint8Array): number | undefined {
    return this.#ofBytes(collectionName, sha256)?.sequence;
  }

  /** One of an image's larger parts, in memory of its own. */
  blob(part: BlobPart, collectionName: string, id: ImageId): Uint8Array | undefined {
    const collection = this.collectionKey(collectionName);
    const blob = collection === undefined ? undefined : this.#statements[part].get(collection, id);
    return blob === undefined ? undefined : new Uint8Array(blob);
  }

  embedding(collectionName: string, id: ImageId): Float32Array | undefined {
    const blob = this.blob('embedding', collectionName, id);
    return blob === undefined ? undefined : fromLittleEndian(blob);
  }

  /** What is answered of a search's match. */
  matched(sequence: number): Omit<Neighbour, 'similarity' | 'sequence'> | undefined {
    const row = this.#statements.matched.get(sequence);
    if (row === undefined) return undefined;
    const [sha256, perceptualHash] = [new Uint8Array(row.sha256), new Uint8Array(row.perceptualHash)];
    const { id, perceptualHashQuality } = row;
    const metadata = JSON.parse(row.metadata) as Metadata; // an object when it was stored
    return { id: id as ImageId, metadata, sha256, perceptualHash, perceptualHashQuality, hasOriginal: row.hasOriginal === 1 };
  }

  idOf(sequence: number): ImageId | undefined {
    return this.#statements.idBySequence.get(sequence) as ImageId | undefined; // checked before it was stored
  }

  list(collectionName: string, page: { readonly limit: number; readonly cursor?: string; readonly filter?: Filter }): Page<ImageRecord> {
    const { limit, after } = checkedPage(page, this.#cursors);
    const collection = this.collectionKey(collectionName);
    if (collection === undefined) return { items: [], nextCursor: undefined };
    const condition = page.filter === undefined ? { sql: '1', values: [] } : filterToSql(page.filter, 'metadata');
    const sql = `SELECT ${IMAGE_COLUMNS} FROM images WHERE collection = ? AND sequence > ? AND ${condition.sql} ORDER BY sequence LIMIT ?`;
    const rows = this.#database.connection.prepare<unknown[], ImageRow>(sql).all(collection, after, ...condition.values, limit + 1);
    const items = rows.slice(0, limit).map(toRecord);
    const last = items.at(-1);
    return { items, nextCursor: rows.length > limit && last !== undefined ? this.#cursors.seal(last.sequence) : undefined };
  }

  /** Sequences of a collection's images that pass a filter, ascending. Reads every record's metadata. */
  passing(collection: number, filter: Filter): number[] {
    const { sql, values } = filterToSql(filter, 'metadata');
    const statement = this.#database.connection.prepare(`SELECT sequence FROM images WHERE collection = ? AND ${sql} ORDER BY sequence`);
    return statement.pluck().all(collection, ...values) as number[]; // one column of integers
  }

  collections(): { readonly key: number; readonly name: string }[] {
    return this.#statements.collections.all();
  }

  collectionKey(name: string): number | undefined {
    return this.#statements.collectionKey.get(name);
  }

  /** Every embedding of a collection by ascending sequence. Must be read to its end before anything else is asked of the store. */
  *embeddings(collection: number): Generator<{ readonly sequence: number; readonly embedding: Float32Array }> {
    for (const row of this.#statements.embeddings.iterate(collection)) {
      yield { sequence: row.sequence, embedding: fromLittleEndian(new Uint8Array(row.embedding)) };
    }
  }

  /** Every perceptual hash of a collection. Must be read to its end before anything else is asked of the store. */
  *perceptualHashes(collection: number): Generator<{ readonly sequence: number; readonly perceptualHash: Uint8Array }> {
    yield* this.#statements.perceptualHashes.iterate(collection);
  }

  /** Largest sequence ever given out. */
  get lastSequence(): number {
    return this.#statements.lastSequence.get() ?? 0;
  }

  /** Remembers that an index file of this generation was written for this store, and `former`, which is in force until then; forgets all others. */
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

  /** Images that lack an embedding or a thumbnail, as text. */
  incompleteImages(): string[] {
    return this.#statements.incomplete.all();
  }

  #collectionKeyOrNew(name: string): number {
    const key = this.collectionKey(name);
    if (key !== undefined) return key;
    const { collectionsMax } = this.#options;
    if (this.collections().length >= collectionsMax) {
      throw new SearchError('CATALOGUE_FULL', `The catalogue holds ${collectionsMax} collections, the most it may. Use one of them.`);
    }
    return Number(this.#statements.insertCollection.run(name).lastInsertRowid);
  }

  /** The first 32 digits of the SHA-256, or more where another image has that id. */
  #ofBytes(collectionName: string, sha256: Uint8Array): { readonly sequence: number; readonly id: string } | undefined {
    const collection = this.collectionKey(collectionName);
    return collection === undefined ? undefined : this.#statements.idBySha256.get(collection, sha256);
  }

  #freeId(collection: number, sha256: Uint8Array): ImageId {
    const digits = Buffer.from(sha256).toString('hex');
    for (let length = 32; ; length += 8) {
      const id = length <= digits.length ? digits.slice(0, length) : `${digits}-${length}`;
      if (this.#statements.imageById.get(collection, id) === undefined) return id as ImageId; // hex digits are a valid id
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

function toRecord({ perceptualHashQuality, ...row }: ImageRow): ImageRecord {
  return {
    ...row,
    ...(perceptualHashQuality !== null && { perceptualHashQuality }),
    id: row.id as ImageId, // checked before it was stored
    sequence: row.sequence as Sequence,
    sha256: new Uint8Array(row.sha256),
    perceptualHash: new Uint8Array(row.perceptualHash),
    metadata: JSON.parse(row.metadata) as Metadata, // an object when it was stored
    hasOriginal: row.hasOriginal === 1,
  };
}
