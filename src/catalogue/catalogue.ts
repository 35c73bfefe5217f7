import type { Filter } from './filter.js';
import type { ImportItemRef, ImportLedger } from './import-records.js';

/** The caller's name for an image, unique within its collection: 1..255 bytes of UTF-8, no control characters. */
export type ImageId = string & { readonly __brand: 'ImageId' };
/** Order of commit, unique over the whole catalogue, never reused. */
export type Sequence = number & { readonly __brand: 'Sequence' };

/** A JSON object that the user keeps with an image. */
export type Metadata = { readonly [key: string]: unknown };

/** What is stored of an image. Embedding and thumbnail are read apart, since most readers need neither. */
export type ImageRecord = {
  readonly id: ImageId;
  readonly sequence: Sequence;
  readonly metadata: Metadata;
  readonly sha256: Uint8Array;
  /** 32 bytes. */
  readonly perceptualHash: Uint8Array;
  /** 0..100, how much detail the hash speaks of; absent where it was not kept. */
  readonly perceptualHashQuality?: number;
  readonly format: string;
  readonly width: number;
  readonly height: number;
  /** Size of the uploaded file. */
  readonly bytes: number;
  /** The uploaded file's own name, where it had one; for people only. */
  readonly fileName: string | null;
  /** Whether the uploaded bytes are kept. */
  readonly hasOriginal: boolean;
  /** Milliseconds since 1970. */
  readonly addedAt: number;
  readonly updatedAt: number;
};

export type NewImage = Omit<ImageRecord, 'id' | 'sequence' | 'hasOriginal' | 'addedAt' | 'updatedAt'> & {
  /** Undefined: the catalogue generates one from the SHA-256. */
  readonly id: ImageId | undefined;
  readonly embedding: Float32Array;
  readonly thumbnail: Uint8Array;
  /** The uploaded bytes, kept only where the operator asked for it. */
  readonly original: Uint8Array | undefined;
  /** The picture of an import job that it is, settled in the same transaction. */
  readonly importItem?: ImportItemRef | undefined;
  /** Replace a record of the same id with other bytes; otherwise that is ID_EXISTS. */
  readonly replace: boolean;
};

export type AddResult = {
  readonly id: ImageId;
  /** exists: the same bytes are in this collection already (under the answered id); nothing was written. */
  readonly status: 'added' | 'replaced' | 'exists';
};

/** Cosine similarity, -1..1; larger is nearer. */
export type Neighbour = {
  readonly id: ImageId;
  readonly similarity: number;
  readonly metadata: Metadata;
  readonly sequence: Sequence;
  readonly sha256: Uint8Array;
  readonly perceptualHash: Uint8Array;
  readonly perceptualHashQuality: number | null;
  readonly hasOriginal: boolean;
  /** Where the query asked for it. */
  readonly embedding?: Float32Array;
};

export type NeighbourQuery = {
  readonly collection: string;
  readonly embedding: Float32Array;
  /** 1..1000. */
  readonly k: number;
  readonly minSimilarity?: number;
  readonly filter?: Filter;
  /** Breadth of the HNSW search; at least k. Undefined: what the wanted recall needs, as measured on the collection. */
  readonly ef?: number;
  /** Scan every vector instead of the graph. */
  readonly exact?: boolean;
  /** Answer each neighbour's embedding too. */
  readonly withEmbedding?: boolean;
  /** SHA-256 of the query's file. The image of the same bytes is answered too, where there is one and the search of the graph missed it. */
  readonly sha256?: Uint8Array;
  /**
   * Answer also the `limit` nearest of the images whose perceptual hash is within `maxDistance` bits of one of these (1..8, 32 bytes each). They
   * come besides the `k` nearest by embedding and are more than `k` together.
   */
  readonly nearHash?: { readonly hashes: readonly Uint8Array[]; readonly maxDistance: number; readonly limit: number };
};

export type CollectionStatistics = {
  readonly name: string;
  readonly images: number;
  /** Vectors in the HNSW graph, and those among them marked deleted. */
  readonly indexed: number;
  readonly deleted: number;
  readonly rebuilding: boolean;
  /** Breadth of a search that names none; Infinity where every vector is scanned. */
  readonly searchBreadth?: number;
  /** Share of the ten true neighbours that searches find, 0..1, by the latest measurements; absent before there are some. */
  readonly recall?: number;
};

export type CatalogueStatistics = {
  readonly collections: readonly CollectionStatistics[];
  readonly lastSequence: number;
  readonly databaseBytes: number;
  readonly walBytes: number;
  /** Requests waiting for the catalogue's thread. */
  readonly queued: number;
};

/** `size`: 1..10,000. `seed`: a whole number of 32 bits. */
export type SampleQuery = { readonly size: number; readonly seed: number };

/** Some of a collection's images, by ascending sequence, with the collection's numbers at that moment. */
export type Sample = {
  readonly images: number;
  /** The catalogue's latest. */
  readonly lastSequence: number;
  readonly sequences: readonly Sequence[];
  /** [sequences, dimensions], rows of length 1. */
  readonly embeddings: Float32Array;
};

/** At most 10,000 sequences. */
export type StandingQuery = { readonly sequences: readonly number[]; readonly since: number };

/** What became of images that were known once. */
export type Standing = {
  readonly images: number;
  /** The catalogue's latest. */
  readonly lastSequence: number;
  /** Images of the collection that are there now and are younger than `since`. */
  readonly added: number;
  /** The id under each sequence, in order; null where the collection has it no more. */
  readonly ids: readonly (ImageId | null)[];
};

export type Page<T> = { readonly items: readonly T[]; readonly nextCursor: string | undefined };

/**
 * Named collections of images and their nearest neighbours, durable. One contract suite holds for every implementation.
 *
 * The invariants: `add` resolves after its record is committed and flushed, and the very next `neighbours` finds it. Records are the
 * truth, indexes are derived and can be rebuilt. Every embedding was made by the encoder the catalogue was opened with.
 * Rejects with a SearchError: ID_EXISTS, NOT_FOUND, INVALID_EMBEDDING, INVALID_FILTER, DISK_FULL, CATALOGUE_FULL, OVERLOADED, SHUTTING_DOWN.
 */
export interface Catalogue {
  add(collection: string, image: NewImage): Promise<AddResult>;
  /** Answers by SHA-256 before any decoding, so that the same file is never encoded twice. */
  findBySha256(collection: string, sha256: Uint8Array): Promise<ImageId | undefined>;
  /** True where a record was removed. It is found by no later search. */
  remove(collection: string, id: ImageId): Promise<boolean>;
  /** Merges by RFC 7396 (null removes a key); undefined where there is no such image. */
  patchMetadata(collection: string, id: ImageId, patch: Metadata): Promise<ImageRecord | undefined>;
  get(collection: string, id: ImageId): Promise<ImageRecord | undefined>;
  embedding(collection: string, id: ImageId): Promise<Float32Array | undefined>;
  thumbnail(collection: string, id: ImageId): Promise<Uint8Array | undefined>;
  original(collection: string, id: ImageId): Promise<Uint8Array | undefined>;
  /** In order of commit. The cursor is opaque; records committed while paging appear on later pages. */
  list(
    collection: string,
    page: { readonly limit: number; readonly cursor?: string; readonly filter?: Filter },
  ): Promise<Page<ImageRecord>>;
  neighbours(query: NeighbourQuery): Promise<readonly Neighbour[]>;
  /** At random, but the same for the same seed, and little changed where the collection changed little. Empty for a collection without images. */
  sample(collection: string, query: SampleQuery): Promise<Sample>;
  /** How a collection stands towards an earlier sample of it. */
  standing(collection: string, query: StandingQuery): Promise<Standing>;
  statistics(): Promise<CatalogueStatistics>;
  /** Writes the index files now, so that the next start need not rebuild. Also done by the catalogue itself, now and then and on close. */
  saveIndexes(): Promise<void>;
  close(): Promise<void>;
}

/** A catalogue with files of its own. */
export interface DurableCatalogue extends Catalogue, ImportLedger {
  /**
   * Writes a copy of database and index files into an existing, empty folder on the same disk, while reads and writes go on: the state at one moment
   * between two commits, near the end of the copying. Index files may be older than the records, never newer. Not flushed. Rejects with
   * DISK_FULL, CATALOGUE_DAMAGED or, where the catalogue is closed meanwhile, SHUTTING_DOWN.
   */
  copyTo(folder: string): Promise<void>;
}
