import type Database from 'better-sqlite3';

/** An image's larger parts, each in a table of its own. */
export type BlobPart = 'embedding' | 'thumbnail' | 'original';

/** 1 where the uploaded bytes of an image are kept, else 0. */
const HAS_ORIGINAL = 'EXISTS (SELECT 1 FROM originals WHERE originals.sequence = images.sequence) AS hasOriginal';

/** Columns of one {@link ImageRow}, for statements that are made as they are asked for. */
export const IMAGE_COLUMNS = `sequence, id, sha256, perceptual_hash AS perceptualHash,
  perceptual_hash_quality AS perceptualHashQuality, format, width, height, bytes, file_name AS fileName,
  added_at AS addedAt, updated_at AS updatedAt, metadata, ${HAS_ORIGINAL}`;

/** A record as SQLite gives it. */
export type ImageRow = {
  readonly sequence: number;
  readonly id: string;
  readonly sha256: Buffer;
  readonly perceptualHash: Buffer;
  readonly perceptualHashQuality: number | null;
  readonly format: string;
  readonly width: number;
  readonly height: number;
  readonly bytes: number;
  readonly fileName: string | null;
  readonly addedAt: number;
  readonly updatedAt: number;
  readonly metadata: string;
  readonly hasOriginal: number;
};

/** What is answered of a search's match. */
type MatchRow = Pick<ImageRow, 'id' | 'metadata' | 'sha256' | 'perceptualHash' | 'perceptualHashQuality' | 'hasOriginal'>;

type Plain = 'begin' | 'commit' | 'rollback' | 'savepoint' | 'release' | 'undo';
type Change =
  | 'insertCollection'
  | 'insertImage'
  | 'insertEmbedding'
  | 'insertThumbnail'
  | 'insertOriginal'
  | 'removeImage'
  | 'updateMetadata'
  | 'insertGeneration'
  | 'forgetGenerations';

/** The record store's statements: what each is given and what its rows hold. */
export type Statements = { readonly [Name in Plain]: Database.Statement<[]> } & {
  readonly [Name in Change]: Database.Statement<unknown[]>;
} & { readonly [Part in BlobPart]: Database.Statement<[number, string], Buffer> } & {
  readonly collections: Database.Statement<[], { key: number; name: string }>;
  readonly collectionKey: Database.Statement<[string], number>;
  readonly imageById: Database.Statement<[number, string], ImageRow>;
  readonly idBySha256: Database.Statement<[number, Uint8Array], { sequence: number; id: string }>;
  readonly idBySequence: Database.Statement<[number], string>;
  readonly matched: Database.Statement<[number], MatchRow>;
  readonly perceptualHashes: Database.Statement<[number], { sequence: number; perceptualHash: Buffer }>;
  readonly embeddings: Database.Statement<[number], { sequence: number; embedding: Buffer }>;
  readonly lastSequence: Database.Statement<[], number>;
  readonly knowsGeneration: Database.Statement<[number, string]>;
  readonly incomplete: Database.Statement<[], string>;
};

/** Every statement of the record store whose text is known beforehand, prepared once. */
export function prepareStatements(database: Database.Database): Statements {
  const blobOf = (part: BlobPart): Database.Statement<[number, string], Buffer> =>
    database
      .prepare<[number, string], Buffer>(`SELECT ${part} FROM images JOIN ${part}s USING (sequence) WHERE collection = ? AND id = ?`)
      .pluck();
  return {
    begin: database.prepare('BEGIN IMMEDIATE'),
    commit: database.prepare('COMMIT'),
    rollback: database.prepare('ROLLBACK'),
    savepoint: database.prepare('SAVEPOINT one_write'),
    release: database.prepare('RELEASE one_write'),
    undo: database.prepare('ROLLBACK TO one_write'),
    collections: database.prepare<[], { key: number; name: string }>('SELECT key, name FROM collections ORDER BY name'),
    collectionKey: database.prepare<[string], number>('SELECT key FROM collections WHERE name = ?').pluck(),
    insertCollection: database.prepare('INSERT INTO collections (name) VALUES (?)'),
    imageById: database.prepare<[number, string], ImageRow>(`SELECT ${IMAGE_COLUMNS} FROM images WHERE collection = ? AND id = ?`),
    idBySha256: database.prepare<[number, Uint8Array], { sequence: number; id: string }>(
      'SELECT sequence, id FROM images WHERE collection = ? AND sha256 = ?',
    ),
    idBySequence: database.prepare<[number], string>('SELECT id FROM images WHERE sequence = ?').pluck(),
    matched: database.prepare<[number], MatchRow>(
      `SELECT id, metadata, sha256, perceptual_hash AS perceptualHash, perceptual_hash_quality AS perceptualHashQuality,
         ${HAS_ORIGINAL} FROM images WHERE sequence = ?`,
    ),
    perceptualHashes: database.prepare<[number], { sequence: number; perceptualHash: Buffer }>(
      'SELECT sequence, perceptual_hash AS perceptualHash FROM images WHERE collection = ?',
    ),
    insertImage: database.prepare(
      `INSERT INTO images (collection, id, sha256, perceptual_hash, perceptual_hash_quality, format, width, height, bytes, file_name, added_at, updated_at, metadata)
       VALUES (@collection, @id, @sha256, @perceptualHash, @perceptualHashQuality, @format, @width, @height, @bytes, @fileName, @addedAt, @updatedAt, @metadata)`,
    ),
    insertEmbedding: database.prepare('INSERT INTO embeddings (sequence, embedding) VALUES (?, ?)'),
    insertThumbnail: database.prepare('INSERT INTO thumbnails (sequence, thumbnail) VALUES (?, ?)'),
    insertOriginal: database.prepare('INSERT INTO originals (sequence, original) VALUES (?, ?)'),
    removeImage: database.prepare('DELETE FROM images WHERE sequence = ?'),
    updateMetadata: database.prepare('UPDATE images SET metadata = ?, updated_at = ? WHERE sequence = ?'),
    embedding: blobOf('embedding'),
    thumbnail: blobOf('thumbnail'),
    original: blobOf('original'),
    embeddings: database.prepare<[number], { sequence: number; embedding: Buffer }>(
      'SELECT sequence, embedding FROM images JOIN embeddings USING (sequence) WHERE collection = ? ORDER BY sequence',
    ),
    lastSequence: database.prepare<[], number>("SELECT seq FROM sqlite_sequence WHERE name = 'images'").pluck(),
    insertGeneration: database.prepare('INSERT INTO index_generations (collection, generation) VALUES (?, ?)'),
    forgetGenerations: database.prepare('DELETE FROM index_generations WHERE collection = ? AND generation <> ?'),
    knowsGeneration: database.prepare('SELECT 1 FROM index_generations WHERE collection = ? AND generation = ?'),
    incomplete: database
      .prepare<[], string>(
        `SELECT 'image ' || quote(id) || ' of collection ' || collection || ' has no ' ||
           CASE WHEN embeddings.sequence IS NULL THEN 'embedding' ELSE 'thumbnail' END
         FROM images LEFT JOIN embeddings USING (sequence) LEFT JOIN thumbnails USING (sequence)
         WHERE embeddings.sequence IS NULL OR thumbnails.sequence IS NULL`,
      )
      .pluck(),
  };
}
