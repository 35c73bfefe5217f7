import { SearchError } from '../../errors.js';
import type {
  ChangesQuery,
  ImageId,
  KnownFile,
  NeighbourQuery,
  NewImage,
  PageQuery,
  SampleQuery,
} from '../catalogue.js';
import type { CheckedImage, KnownImage } from '../catalogue-requests.js';
import { HASH_BYTES } from '../hashes/linear-hash-index.js';
import { unitVector } from '../vectors/unit-vector.js';
import { METADATA_LIMITS, metadataToJson } from './metadata.js';
import type { ImageRow } from './store-statements.js';

/**
 * The checks of everything that callers pass to a catalogue, done once, before a request is sent to the
 * engine's thread.
 */

const COLLECTION_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const ID_BYTES_MAX = 255;
/** Formats of the pictures that are stored; originals are served as these. */
const IMAGE_FORMATS: readonly string[] = ['jpeg', 'png', 'webp', 'gif', 'avif', 'tiff'];
const NEIGHBOURS_MAX = 1000;
const PAGE_MAX = 1000;
const EF_MAX = 10_000;
/** Embeddings of a sample cross threads in one message. */
const SAMPLE_MAX = 10_000;

/**
 * Throws INVALID_REQUEST unless a collection's name has 1..64 letters, digits, dots, underscores and hyphens, a letter
 * or digit first.
 */
export function checkCollectionName(name: string): void {
  if (!isCollectionName(name)) {
    refuse(
      'A collection is named by 1 to 64 letters, digits, dots, underscores and hyphens, with a letter or digit first.',
    );
  }
}

export function isCollectionName(name: string): boolean {
  return typeof name === 'string' && COLLECTION_NAME.test(name);
}

/** The name of a removed collection until all its records are deleted; no caller's name begins with a tilde. */
export function removedCollectionName(key: number): string {
  return `~${key}`;
}

/**
 * Control characters, characters that hide or turn text (bidi marks, zero-width), lone surrogates, line and
 * paragraph separators.
 */
const UNFIT_FOR_IDS = /[\p{Cc}\p{Cs}\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/u;

/**
 * The text as an image id. Throws INVALID_REQUEST unless it has 1..255 bytes of UTF-8 and no control, direction or
 * separator characters; and for "." and "..", which no URL can name.
 */
export function checkedImageId(id: string): ImageId {
  const bytes = typeof id === 'string' ? Buffer.byteLength(id) : 0;
  if (bytes === 0 || bytes > ID_BYTES_MAX) refuse(`An id has 1 to ${ID_BYTES_MAX} bytes; this has ${bytes}.`);
  if (UNFIT_FOR_IDS.test(id) || id === '.' || id === '..')
    refuse('An id holds no control, direction or separator characters and is neither "." nor "..".');
  return id as ImageId; // checked above
}

/** Limits of one catalogue: elements of an embedding, and bytes of an image's metadata as JSON. */
export type InputLimits = { readonly dimensions: number; readonly maxMetadataBytes: number };

/** The image with its embedding at length 1 and its metadata as JSON. Throws INVALID_REQUEST or INVALID_EMBEDDING. */
export function checkedNewImage(image: NewImage, limits: InputLimits): CheckedImage {
  checkSizesAndFormat(image);
  return { ...image, ...checkedKnownFile(image, limits), embedding: unitVector(image.embedding, limits.dimensions) };
}

/** The file with its metadata as JSON. Throws INVALID_REQUEST. */
export function checkedKnownFile({ metadata, ...file }: KnownFile, limits: InputLimits): KnownImage {
  if (file.id !== undefined) checkedImageId(file.id);
  checkSha256(file.sha256);
  const metadataJson = metadata === undefined ? undefined : metadataToJson(metadata, limits.maxMetadataBytes);
  return { ...file, metadataJson, fileName: file.fileName?.replace(/\p{Cs}/gu, '\uFFFD') ?? null };
}

/** Checks a stored record by the same rules. Throws INVALID_REQUEST. */
export function checkStoredRow(row: ImageRow): void {
  checkedImageId(row.id);
  checkSha256(row.sha256);
  checkSizesAndFormat(row);
  metadataToJson(JSON.parse(row.metadata), METADATA_LIMITS.bytes);
}

function checkSizesAndFormat({
  width,
  height,
  bytes,
  format,
}: Pick<NewImage, 'width' | 'height' | 'bytes' | 'format'>): void {
  for (const size of [width, height, bytes]) {
    if (!Number.isSafeInteger(size) || size < 0) refuse('Width, height and bytes of an image are whole numbers.');
  }
  if (!IMAGE_FORMATS.includes(format)) refuse(`An image's format is one of ${IMAGE_FORMATS.join(', ')}.`);
}

/** The query with its embedding at length 1. Throws INVALID_REQUEST or INVALID_EMBEDDING. */
export function checkedQuery(query: NeighbourQuery, dimensions: number): NeighbourQuery {
  checkCollectionName(query.collection);
  checkWithin('k', query.k, NEIGHBOURS_MAX);
  if (query.ef !== undefined) checkWithin('ef', query.ef, EF_MAX);
  if (query.minSimilarity !== undefined && !Number.isFinite(query.minSimilarity))
    refuse('The least similarity must be a finite number.');
  if (query.sha256 !== undefined) checkSha256(query.sha256);
  for (const hash of query.nearHash?.hashes ?? [])
    if (hash.length !== HASH_BYTES) refuse(`A perceptual hash has ${HASH_BYTES} bytes.`);
  return { ...query, embedding: unitVector(query.embedding, dimensions) };
}

/** Throws INVALID_REQUEST unless the size is 1..10,000 and the seed a whole number. */
export function checkedSample(query: SampleQuery): SampleQuery {
  checkWithin("A sample's size", query.size, SAMPLE_MAX);
  if (!Number.isInteger(query.seed)) refuse('The seed of a sample is a whole number.');
  return query;
}

/** Throws INVALID_REQUEST where more than 10,000 are asked about. */
export function checkedChanges(query: ChangesQuery): ChangesQuery {
  if (query.sequences.length > SAMPLE_MAX) refuse(`At most ${SAMPLE_MAX} images can be asked about at once.`);
  return query;
}

/** Throws INVALID_REQUEST for a limit outside 1..1000. */
export function checkedPage(page: PageQuery): PageQuery {
  checkWithin("A page's limit", page.limit, PAGE_MAX);
  return page;
}

function checkWithin(name: string, value: number, most: number): void {
  if (!Number.isInteger(value) || value < 1 || value > most)
    refuse(`${name} must be a whole number from 1 to ${most}.`);
}

function checkSha256(digest: Uint8Array): void {
  if (!(digest instanceof Uint8Array) || digest.length !== 32) refuse('A SHA-256 has 32 bytes.');
}

function refuse(message: string): never {
  throw new SearchError('INVALID_REQUEST', message);
}
