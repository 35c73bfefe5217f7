import type { Filter } from './filters/filter.js';
import type { ImportItemRef, ImportLedger } from './imports/import-records.js';

/** The caller's id of an image, unique within its collection: 1..255 bytes of UTF-8, no control characters. */
export type ImageId = string & { readonly __brand: 'ImageId' };
/** Order of commit, unique over the whole catalogue, never reused. */
export type Sequence = number & { readonly __brand: 'Sequence' };

/** A JSON object that users store with an image. */
export type Metadata = { readonly [key: string]: unknown };

/** The record of an image. Embedding, thumbnail and original are read separately: most readers need none of them. */
export type ImageRecord = {
  readonly id: ImageId;
  readonly sequence: Sequence;
  readonly metadata: Metadata;
  readonly sha256: Uint8Array;
  /** 32 bytes. */
  readonly perceptualHash: Uint8Array;
  /** 0..100: how much detail the hash rests on; absent in records made before it was stored. */
  readonly perceptualHashQuality?: number;
  readonly format: string;
  readonly width: number;
  readonly height: number;
  /** Size of the uploaded file. */
  readonly bytes: number;
  /** Name of the uploaded file, for display only. */
  readonly fileName: string | null;
  /** Whether the uploaded bytes are kept. */
  readonly hasOriginal: boolean;
  /** Milliseconds since 1970. */
  readonly addedAt: number;
  readonly updatedAt: number;
};

export type NewImage = Omit<ImageRecord, 'id' | 'sequence' | 'metadata' | 'hasOriginal' | 'addedAt' | 'updatedAt'> & {
  /**
   * Undefined: the image of the same bytes if there is one, else an id made from the SHA-256. With an id the image is a
   * record of its own.
   */
  readonly id: ImageId | undefined;
  readonly embedding: Float32Array;
  readonly thumbnail: Uint8Array;
  /** The uploaded bytes, if originals are kept. */
  readonly original: Uint8Array | undefined;
  /** The item of an import job that this image is; it is settled in the same transaction. */
  readonly importItem?: ImportItemRef | undefined;
  /**
   * Replace a record of the same id: its picture where the bytes differ (else ID_EXISTS), its metadata where they are
   * given and differ.
   */
  readonly replace: boolean;
  /** Undefined: none for a new image; those of a stored one stay. */
  readonly metadata?: Metadata | undefined;
};

/** An image whose bytes the collection holds already. */
export type KnownFile = Pick<NewImage, 'id' | 'sha256' | 'fileName' | 'metadata' | 'replace' | 'importItem'>;

export type AddResult = {
  readonly id: ImageId;
  /**
   * updated: same bytes, other metadata. exists: the collection holds the same bytes under the returned id; nothing
   * was written.
   */
  readonly status: 'added' | 'replaced' | 'updated' | 'exists';
};

/** Cosine similarity, -1..1; larger is nearer. */
export type Neighbour = {
  readonly id: ImageId;
  readonly similarity: number;
  readonly metadata: Metadata;
  /** As uploaded; null where it had none. */
  readonly fileName: string | null;
  readonly sequence: Sequence;
  readonly sha256: Uint8Array;
  readonly perceptualHash: Uint8Array;
  readonly perceptualHashQuality: number | null;
  readonly hasOriginal: boolean;
  /** Present if the query has `withEmbedding`. */
  readonly embedding?: Float32Array;
};

export type NeighbourQuery = {
  readonly collection: string;
  readonly embedding: Float32Array;
  /** 1..1000. */
  readonly k: number;
  readonly minSimilarity?: number;
  readonly filter?: Filter;
  /** efSearch of HNSW, at least k. Undefined: what the target recall needs, as measured on the collection. */
  readonly ef?: number;
  /** Scan every vector instead of the graph. */
  readonly exact?: boolean;
  /** Return the embedding of each neighbour too. */
  readonly withEmbedding?: boolean;
  /** SHA-256 of the query's file: the images of the same bytes (at most `k`) are returned too, and first. */
  readonly sha256?: Uint8Array;
  /**
   * Return also the `limit` nearest images by perceptual hash, at most `maxDistance` bits from one of `hashes` (1..8,
   * 32 bytes each). They come in addition to the `k` nearest by embedding.
   */
  readonly nearHash?: { readonly hashes: readonly Uint8Array[]; readonly maxDistance: number; readonly limit: number };
};

export type CollectionStatistics = {
  readonly name: string;
  readonly images: number;
  /**
   * Vectors in the HNSW graph, or all of a collection that is too small for one; and how many of them are marked
   * as deleted.
   */
  readonly indexed: number;
  readonly deleted: number;
  readonly rebuilding: boolean;
  /** efSearch of searches that set none; Infinity where every vector is scanned. */
  readonly efSearch?: number;
  /** recall@10 of searches, 0..1, by the latest measurements; absent before the first ones. */
  readonly recall?: number;
};

export type CatalogueStatistics = {
  readonly collections: readonly CollectionStatistics[];
  readonly lastSequence: number;
  readonly databaseBytes: number;
  readonly walBytes: number;
  /** Requests that wait for the catalogue's thread. */
  readonly queued: number;
};

/** `size`: 1..10,000. `seed`: a whole number of 32 bits. */
export type SampleQuery = { readonly size: number; readonly seed: number };

/** Some images of a collection, by ascending sequence, and the collection's size at that moment. */
export type Sample = {
  readonly images: number;
  /** The catalogue's latest. */
  readonly lastSequence: number;
  readonly sequences: readonly Sequence[];
  /** [sequences, dimensions], rows of length 1. */
  readonly embeddings: Float32Array;
};

/** At most 10,000 sequences. */
export type ChangesQuery = { readonly sequences: readonly number[]; readonly since: number };

/** What changed in a collection since an earlier sample of it. */
export type Changes = {
  readonly images: number;
  /** The catalogue's latest. */
  readonly lastSequence: number;
  /** Images of the collection whose sequence is larger than `since`. */
  readonly added: number;
  /** The id of each sequence, in order; null where the collection does not hold it any more. */
  readonly ids: readonly (ImageId | null)[];
};

/** `limit`: 1..1000. `cursor`: the former page's `nextCursor`. */
export type PageQuery = { readonly limit: number; readonly cursor?: string; readonly filter?: Filter };

export type Page<T> = { readonly items: readonly T[]; readonly nextCursor: string | undefined };

/**
 * Named collections of images, searched by nearest neighbours. One contract suite holds for every implementation.
 *
 * Invariants: `add` resolves when its record is committed and flushed, and the next `neighbours` finds it. Records are
 * the truth; indexes are derived and can be rebuilt. All embeddings come from the encoder that the catalogue was
 * opened with. Methods reject with a SearchError: ID_EXISTS, NOT_FOUND, INVALID_EMBEDDING, INVALID_FILTER, DISK_FULL,
 * CATALOGUE_FULL, OVERLOADED, SHUTTING_DOWN.
 */
export interface Catalogue {
  add(collection: string, image: NewImage): Promise<AddResult>;
  /**
   * As `add`, of a file that the collection holds already; it need not be decoded again. Undefined where the collection
   * does not hold it (any more).
   */
  addKnown(collection: string, image: KnownFile): Promise<AddResult | undefined>;
  /** Finds the first image by the SHA-256 of its file, so that a known file is not decoded again. */
  findBySha256(collection: string, sha256: Uint8Array): Promise<ImageId | undefined>;
  /** True where a record was removed. No later search finds it. */
  remove(collection: string, id: ImageId): Promise<boolean>;
  /** Removes a collection with all its images at once; false where there is none. A later `add` begins it anew. */
  removeCollection(collection: string): Promise<boolean>;
  /** Merges by RFC 7396 (null removes a key); undefined where there is no such image. */
  patchMetadata(collection: string, id: ImageId, patch: Metadata): Promise<ImageRecord | undefined>;
  get(collection: string, id: ImageId): Promise<ImageRecord | undefined>;
  embedding(collection: string, id: ImageId): Promise<Float32Array | undefined>;
  thumbnail(collection: string, id: ImageId): Promise<Uint8Array | undefined>;
  original(collection: string, id: ImageId): Promise<Uint8Array | undefined>;
  /** Images in order of commit. Records committed while paging appear on later pages. */
  list(collection: string, page: PageQuery): Promise<Page<ImageRecord>>;
  neighbours(query: NeighbourQuery): Promise<readonly Neighbour[]>;
  /** A random sample: equal for equal seeds, and it changes little where the collection changes little. */
  sample(collection: string, query: SampleQuery): Promise<Sample>;
  /** Compares a collection with an earlier sample of it. */
  changesSince(collection: string, query: ChangesQuery): Promise<Changes>;
  statistics(): Promise<CatalogueStatistics>;
  /**
   * Writes the index files now, so that the next start need not rebuild. The catalogue does so regularly and on close
   * by itself.
   */
  saveIndexes(): Promise<void>;
  close(): Promise<void>;
}

/** A catalogue that is stored in a data folder. */
export interface DurableCatalogue extends Catalogue, ImportLedger {
  /**
   * Copies database and index files into an existing, empty folder on the same disk, while reads and writes go on. The
   * copy is the state between two commits, near the end of the copying; index files may be older, never newer. Not
   * flushed. Rejects with DISK_FULL, CATALOGUE_DAMAGED, or SHUTTING_DOWN where the catalogue is closed meanwhile.
   */
  copyTo(folder: string): Promise<void>;
}
