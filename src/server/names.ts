/**
 * Names that strangers choose: ids and collections are checked and refused, file names are cleaned, metadata
 * is bounded.
 */
import type { Metadata } from '../catalogue/catalogue.js';
import { checkedImageId } from '../catalogue/records/checked-input.js';
import { parseExactJson } from '../catalogue/records/exact-json.js';
import { metadataToJson } from '../catalogue/records/metadata.js';

const MAX_NAME_BYTES = 255;
const UNFIT_FOR_FILE_NAMES = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}/\\]/gu;

/** An id as the caller wrote it. Throws INVALID_REQUEST. */
export const parseImageId = checkedImageId;

/**
 * A client's file name, for people only: NFC, without control, format and separator characters, at most 255 bytes; null
 * where nothing is left.
 */
export function cleanFileName(name: string | undefined): string | null {
  if (name === undefined) return null;
  let clean = name.normalize('NFC').replace(UNFIT_FOR_FILE_NAMES, '').trim();
  while (Buffer.byteLength(clean) > MAX_NAME_BYTES)
    clean = [...clean].slice(0, Math.min(MAX_NAME_BYTES, [...clean].length - 1)).join('');
  return clean === '' ? null : clean;
}

/** Metadata from its JSON text. Throws INVALID_REQUEST for what the catalogue would refuse. */
export function parseMetadata(text: string, maxBytes: number): Metadata {
  return checkMetadata(parseExactJson(text, 'The metadata'), maxBytes);
}

/** The same for metadata of a JSON body. */
export function checkMetadata(value: unknown, maxBytes: number): Metadata {
  metadataToJson(value, maxBytes);
  return value as Metadata; // checked by the line above
}
