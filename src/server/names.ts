/** Names that strangers choose: ids and collections are checked and refused, file names are cleaned, metadata is bounded. */
import type { ImageId, Metadata } from '../catalogue/catalogue.js';
import { SearchError } from '../errors.js';

const MAX_NAME_BYTES = 255;
const MAX_METADATA_DEPTH = 16;

/** Control characters, format characters that hide or turn text (bidi marks, zero-width), lone surrogates, line and paragraph separators. */
const UNFIT_FOR_IDS = /[\p{Cc}\p{Cs}\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/u;
const UNFIT_FOR_FILE_NAMES = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}/\\]/gu;

/** An id as the caller wrote it, or INVALID_REQUEST. "." and ".." are refused, since no URL can name them. */
export function parseImageId(text: string): ImageId {
  const bytes = Buffer.byteLength(text);
  if (bytes === 0 || bytes > MAX_NAME_BYTES)
    throw new SearchError('INVALID_REQUEST', `An id has 1 to ${MAX_NAME_BYTES} bytes; this has ${bytes}.`);
  if (UNFIT_FOR_IDS.test(text) || text === '.' || text === '..') {
    throw new SearchError('INVALID_REQUEST', 'An id holds no control, direction or separator characters and is neither "." nor "..".');
  }
  return text as ImageId; // The one place where text from outside becomes an id.
}

/** A client's file name, for people only: NFC, without control, format and separator characters, at most 255 bytes; null where nothing is left. */
export function cleanFileName(name: string | undefined): string | null {
  if (name === undefined) return null;
  let clean = name.normalize('NFC').replace(UNFIT_FOR_FILE_NAMES, '').trim();
  while (Buffer.byteLength(clean) > MAX_NAME_BYTES) clean = [...clean].slice(0, Math.min(MAX_NAME_BYTES, [...clean].length - 1)).join('');
  return clean === '' ? null : clean;
}

/** Metadata from its JSON text, or INVALID_REQUEST: an object, bounded in bytes and depth, without `__proto__` keys. */
export function parseMetadata(text: string, maxBytes: number): Metadata {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new SearchError('INVALID_REQUEST', 'The metadata is not JSON.', { cause });
  }
  return checkMetadata(value, maxBytes);
}

/** The same checks for metadata that arrived inside a JSON body. */
export function checkMetadata(value: unknown, maxBytes: number): Metadata {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new SearchError('INVALID_REQUEST', 'The metadata must be a JSON object.');
  }
  checkDepth(value, MAX_METADATA_DEPTH);
  const bytes = Buffer.byteLength(JSON.stringify(value));
  if (bytes > maxBytes)
    throw new SearchError('INVALID_REQUEST', `The metadata has ${bytes} bytes; the limit is ${maxBytes} (--max-metadata-bytes).`);
  return value as Metadata; // An object that came from JSON text, so its keys are strings.
}

function checkDepth(value: unknown, levels: number): void {
  if (typeof value !== 'object' || value === null) return;
  if (levels === 0) throw new SearchError('INVALID_REQUEST', `The metadata is nested deeper than ${MAX_METADATA_DEPTH} levels.`);
  for (const [key, member] of Object.entries(value)) {
    if (key === '__proto__') throw new SearchError('INVALID_REQUEST', 'The metadata may not have the key "__proto__".');
    checkDepth(member, levels - 1);
  }
}
