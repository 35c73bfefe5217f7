import { SearchError } from '../errors.js';
import type { ImageId, NeighbourQuery, NewImage, SampleQuery, StandingQuery } from './catalogue.js';
import { HASH_BYTES } from './hash-scan.js';
import { metadataToJson } from './metadata.js';
import type { PageCursors } from './page-cursor.js';
import { unitVector } from './unit-vector.js';

const COLLECTION_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const ID_BYTES_MAX = 255;
const NEIGHBOURS_MAX = 1000;
const PAGE_MAX = 1000;
const EF_MAX = 10_000;
/** Embeddings of a sample cross threads in one piece. */
const SAMPLE_MAX = 10_000;

/** Throws INVALID_REQUEST for what is no collection's name: 1..64 letters, digits, dots, underscores and hyphens, a letter or digit first. */
export function checkCollectionName(name: string): void {
  if (typeof name !== 'string' || !COLLECTION_NAME.test(name)) {
    refuse('A collection is named by 1 to 64 letters, digits, dots, underscores and hyphens, with a letter or digit first.');
  }
}

/** The text as an image id. Throws INVALID_REQUEST unless it has 1..255 bytes of UTF-8 and no control characters or halves of surrogate pairs. */
export function checkedImageId(id: string): ImageId {
  if (typeof id !== 'string' || id === '') refuse('An image id must not be empty.');
  const bytes = Buffer.byteLength(id);
  if (bytes > ID_BYTES_MAX) refuse(`Image id has ${bytes} bytes; the limit is ${ID_BYTES_MAX}.`);
  if (/[\p{Cc}\p{Cs}]/u.test(id)) refuse('An image id must not contain control characters.');
  return id as ImageId; // checked above
}

/** The image with its embedding at length 1. Throws INVALID_REQUEST or INVALID_EMBEDDING, before anything is queued or stored. */
export function checkedNewImage(image: NewImage, dimensions: number): NewImage {
  if (image.id !== undefined) checkedImageId(image.id);
  metadataToJson(image.metadata);
  if (!(image.sha256 instanceof Uint8Array) || image.sha256.length !== 32) refuse('A SHA-256 has 32 bytes.');
  for (const size of [image.width, image.height, image.bytes]) {
    if (!Number.isSafeInteger(size) || size < 0) refuse('Width, height and bytes of an image are whole numbers.');
  }
  return { ...image, embedding: unitVector(image.embedding, dimensions) };
}

/** The query with its embedding at length 1. Throws INVALID_REQUEST or INVALID_EMBEDDING. */
export function checkedQuery(query: NeighbourQuery, dimensions: number): NeighbourQuery {
  checkCollectionName(query.collection);
  if (!Number.isInteger(query.k) || query.k < 1 || query.k > NEIGHBOURS_MAX)
    refuse(`k must be a whole number from 1 to ${NEIGHBOURS_MAX}.`);
  if (query.ef !== undefined && (!Number.isInteger(query.ef) || query.ef < 1 || query.ef > EF_MAX)) {
    refuse(`ef must be a whole number from 1 to ${EF_MAX}.`);
  }
  if (query.minSimilarity !== undefined && !Number.isFinite(query.minSimilarity)) refuse('The least similarity must be a finite number.');
  if (query.sha256 !== undefined && query.sha256.length !== 32) refuse('A SHA-256 has 32 bytes.');
  for (const hash of query.nearHash?.hashes ?? []) if (hash.length !== HASH_BYTES) refuse(`A perceptual hash has ${HASH_BYTES} bytes.`);
  return { ...query, embedding: unitVector(query.embedding, dimensions) };
}

/** Throws INVALID_REQUEST unless the size is 1..10,000 and the seed a whole number. */
export function checkedSample(query: SampleQuery): SampleQuery {
  const { size, seed } = query;
  if (!Number.isInteger(size) || size < 1 || size > SAMPLE_MAX) refuse(`A sample has 1 to ${SAMPLE_MAX} images.`);
  if (!Number.isInteger(seed)) refuse('The seed of a sample is a whole number.');
  return query;
}

/** Throws INVALID_REQUEST where more than 10,000 are asked about. */
export function checkedStanding(query: StandingQuery): StandingQuery {
  if (query.sequences.length > SAMPLE_MAX) refuse(`At most ${SAMPLE_MAX} images can be asked about at once.`);
  return query;
}

/** The sequence that a page's cursor stands for; 0 for none. Throws INVALID_REQUEST for a cursor that no page gave, or a limit outside 1..1000. */
export function checkedPage(
  page: { readonly limit: number; readonly cursor?: string },
  cursors: PageCursors,
): { readonly limit: number; readonly after: number } {
  if (!Number.isInteger(page.limit) || page.limit < 1 || page.limit > PAGE_MAX) {
    refuse(`A page's limit must be a whole number from 1 to ${PAGE_MAX}.`);
  }
  if (page.cursor === undefined) return { limit: page.limit, after: 0 };
  const after = cursors.open(page.cursor);
  if (after === undefined) refuse('The cursor is none that a page gave; start again without one.');
  return { limit: page.limit, after };
}

function refuse(message: string): never {
  throw new SearchError('INVALID_REQUEST', message);
}
