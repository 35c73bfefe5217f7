import type Database from 'better-sqlite3';

/** The large parts of an image, each in its own table. */
export type BlobPart = 'embedding' | 'thumbnail' | 'original';

/** Columns of one {@link ImageRow} in a store of some format; what it did not have yet is null. */
export function imageColumns(version: number): string {
  const since = (first: number, column: string): string => (version < first ? 'NULL' : column);
  return `sequence, collection, id, sha256, perceptual_hash AS perceptualHash,
    ${since(2, 'perceptual_hash_quality')} AS perceptualHashQuality, format, width, height, bytes, file_name AS fileName,
    added_at AS addedAt, updated_at AS updatedAt, metadata, ${since(4, 'checksum')} AS checksum,
    ${since(4, 'embedding_checksum')} AS embeddingChecksum, ${since(4, 'thumbnail_checksum')} AS thumbnailChecksum,
    ${since(4, 'original_checksum')} AS originalChecksum,
    EXISTS (SELECT 1 FROM originals WHERE originals.sequence = images.sequence) AS hasOriginal`;
}

/** A record as SQLite returns it. */
export type ImageRow = {
  readonly sequence: number;
  readonly collection: number;
  readonly id: string;
  readonly sha256: Uint8Array;
  readonly perceptualHash: Uint8Array;
  readonly perceptualHashQuality: number | null;
  readonly format: string;
  readonly width: number;
  readonly height: number;
  readonly bytes: number;
  readonly fileName: string | null;
  readonly addedAt: number;
  readonly updatedAt: number;
  readonly metadata: string;
  readonly checksum: number | null;
  readonly embeddingChecksum: number | null;
  readonly thumbnailChecksum: number | null;
  readonly originalChecksum: number | null;
  /** 1 or 0. */
  readonly hasOriginal: number;
};

/** Sequences and metadata of some records, each joined by commas; null where there is no record. */
type MetadataRows = { readonly sequences: string | null; readonly metadata: string };

/** A prepared statement, by the values it binds and the rows it returns. */
type Statement<Values extends unknown[], Row> = {
  run(...values: Values): Database.RunResult;
  get(...values: Values): Row | undefined;
  all(...values: Values): Row[];
  iterate(...values: Values): IterableIterator<Row>;
};

/** The record store's statements. */
export type Statements = ReturnType<typeof prepareStatements>;

/**
 * The statements of a record store of some format. Each is prepared at its first use: an old store lacks some columns.
 */
export function prepareStatements(database: Database.Database, version: number) {
  const columns = imageColumns(version);
  const lazily = <Values extends unknown[], Row>(make: () => unknown): Statement<Values, Row> => {
    let made: Statement<Values, Row> | undefined;
    const statement = (): Statement<Values, Row> => {
      made ??= make() as Statement<Values, Row>; // each caller below states what its SQL takes and returns
      return made;
    };
    return {
      run: (...values) => statement().run(...values),
      get: (...values) => statement().get(...values),
      all: (...values) => statement().all(...values),
      iterate: (...values) => statement().iterate(...values),
    };
  };
  const prepare = <Values extends unknown[] = unknown[], Row = unknown>(sql: string): Statement<Values, Row> =>
    lazily(() => database.prepare(sql));
  /** A statement whose rows are their only column. */
  const value = <Values extends unknown[], Value>(sql: string): Statement<Values, Value> =>
    lazily(() => database.prepare(sql).pluck());
  const blobOf = (part: BlobPart) => value<[number], Buffer>(`SELECT ${part} FROM ${part}s WHERE sequence = ?`);
  const allOf = (part: BlobPart) =>
    prepare<[], { sequence: number; blob: Buffer; checksum: number | null }>(
      `SELECT sequence, ${part} AS blob, ${part}_checksum AS checksum FROM images JOIN ${part}s USING (sequence)`,
    );
  return {
    begin: prepare('BEGIN IMMEDIATE'),
    commit: prepare('COMMIT'),
    rollback: prepare('ROLLBACK'),
    savepoint: prepare('SAVEPOINT one_write'),
    release: prepare('RELEASE one_write'),
    undo: prepare('ROLLBACK TO one_write'),
    collections: prepare<[], { key: number; name: string }>('SELECT key, name FROM collections ORDER BY name'),
    collectionKey: value<[string], number>('SELECT key FROM collections WHERE name = ?'),
    renameCollection: prepare('UPDATE collections SET name = ? WHERE key = ?'),
    deleteCollection: prepare('DELETE FROM collections WHERE key = ?'),
    insertCollection: prepare('INSERT INTO collections (name) VALUES (?)'),
    imageById: prepare<[number, string], ImageRow>(`SELECT ${columns} FROM images WHERE collection = ? AND id = ?`),
    imageBySequence: prepare<[number], ImageRow>(`SELECT ${columns} FROM images WHERE sequence = ?`),
    imagesAfter: prepare<[number, number, number], ImageRow>(
      `SELECT ${columns} FROM images WHERE collection = ? AND sequence > ? ORDER BY sequence LIMIT ?`,
    ),
    metadataAfter: prepare<[number, number, number], MetadataRows>(
      `SELECT group_concat(sequence) AS sequences, group_concat(metadata) AS metadata FROM (
         SELECT sequence, metadata FROM images WHERE collection = ? AND sequence > ? ORDER BY sequence LIMIT ?)`,
    ),
    imagesBySha256: prepare<[number, Uint8Array, number], ImageRow>(
      `SELECT ${columns} FROM images WHERE collection = ? AND sha256 = ? ORDER BY sequence LIMIT ?`,
    ),
    sequencesBySha256: value<[number, Uint8Array, number], number>(
      'SELECT sequence FROM images WHERE collection = ? AND sha256 = ? ORDER BY sequence LIMIT ?',
    ),
    idBySequence: value<[number], string>('SELECT id FROM images WHERE sequence = ?'),
    perceptualHashes: prepare<[number], { sequence: number; perceptualHash: Buffer }>(
      'SELECT sequence, perceptual_hash AS perceptualHash FROM images WHERE collection = ?',
    ),
    insertImage: prepare(
      `INSERT INTO images (sequence, collection, id, sha256, perceptual_hash, perceptual_hash_quality, format, width, height, bytes,
         file_name, added_at, updated_at, metadata, checksum, embedding_checksum, thumbnail_checksum, original_checksum)
       VALUES (@sequence, @collection, @id, @sha256, @perceptualHash, @perceptualHashQuality, @format, @width, @height, @bytes,
         @fileName, @addedAt, @updatedAt, @metadata, @checksum, @embeddingChecksum, @thumbnailChecksum, @originalChecksum)`,
    ),
    insertEmbedding: prepare('INSERT INTO embeddings (sequence, embedding) VALUES (?, ?)'),
    insertThumbnail: prepare('INSERT INTO thumbnails (sequence, thumbnail) VALUES (?, ?)'),
    insertOriginal: prepare('INSERT INTO originals (sequence, original) VALUES (?, ?)'),
    removeImage: prepare('DELETE FROM images WHERE sequence = ?'),
    updateMetadata: prepare('UPDATE images SET metadata = ?, updated_at = ?, checksum = ? WHERE sequence = ?'),
    allImages: prepare<[], ImageRow>(`SELECT ${columns} FROM images ORDER BY sequence`),
    all_embedding: allOf('embedding'),
    all_thumbnail: allOf('thumbnail'),
    all_original: allOf('original'),
    embedding: blobOf('embedding'),
    thumbnail: blobOf('thumbnail'),
    original: blobOf('original'),
    embeddings: prepare<[number], { sequence: number; embedding: Buffer; checksum: number | null }>(
      `SELECT sequence, embedding, ${version < 4 ? 'NULL' : 'embedding_checksum'} AS checksum FROM images JOIN embeddings USING (sequence) WHERE collection = ? ORDER BY sequence`,
    ),
    lastSequence: value<[], number>("SELECT seq FROM sqlite_sequence WHERE name = 'images'"),
    insertGeneration: prepare('INSERT INTO index_generations (collection, generation) VALUES (?, ?)'),
    sequencesOf: value<[number, number], number>('SELECT sequence FROM images WHERE collection = ? LIMIT ?'),
    forgetGenerations: prepare('DELETE FROM index_generations WHERE collection = ? AND generation <> ?'),
    knowsGeneration: prepare('SELECT 1 FROM index_generations WHERE collection = ? AND generation = ?'),
    incomplete: value<[], string>(`SELECT 'image ' || quote(id) || ' of collection ' || collection || ' has no ' ||
           CASE WHEN embeddings.sequence IS NULL THEN 'embedding' ELSE 'thumbnail' END
         FROM images LEFT JOIN embeddings USING (sequence) LEFT JOIN thumbnails USING (sequence)
         WHERE embeddings.sequence IS NULL OR thumbnails.sequence IS NULL`),
  };
}
