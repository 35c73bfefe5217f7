import { SearchError } from '../../errors.js';
import type { Metadata } from '../catalogue.js';

/** Limits of one image's metadata. `bytes` of its JSON is the most that the setting --max-metadata-bytes may allow. */
export const METADATA_LIMITS = { depth: 16, bytes: 65_536 } as const;

/**
 * The metadata as JSON text, as the record store keeps it. Throws INVALID_REQUEST unless it is a plain JSON object of
 * at most `maxBytes`, within {@link METADATA_LIMITS}, without a key `__proto__`, whose text is valid Unicode
 * without U+0000.
 */
export function metadataToJson(metadata: unknown, maxBytes: number): string {
  if (!isObject(metadata)) refuse('must be a JSON object');
  checkNesting(metadata, METADATA_LIMITS.depth);
  const json = JSON.stringify(metadata);
  const bytes = Buffer.byteLength(json);
  if (bytes > maxBytes) refuse(`has ${bytes} bytes as JSON; the limit is ${maxBytes} (--max-metadata-bytes)`);
  // JSON.stringify escapes exactly these so. After an even number of backslashes it would be text about an escape.
  if (/(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f])/.test(json)) refuse('must not contain U+0000 or half a surrogate pair');
  return json;
}

/**
 * JSON merge patch, RFC 7396: objects merge key by key, null removes a key, anything else replaces. Returns a
 * new object.
 */
export function mergePatch(target: Metadata, patch: Metadata): Metadata {
  const merged = new Map<string, unknown>(Object.entries(target));
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) merged.delete(key);
    else if (isObject(value)) {
      const former = merged.get(key);
      merged.set(key, mergePatch(isObject(former) ? former : {}, value));
    } else merged.set(key, value);
  }
  return Object.fromEntries(merged);
}

/** Whether a JSON value is an object. */
export function isObject(value: unknown): value is Metadata {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function checkNesting(value: unknown, levels: number): void {
  if (typeof value === 'number' && !Number.isFinite(value)) refuse('must not contain numbers that are not finite');
  if (typeof value !== 'object' || value === null) return;
  if (levels === 0) refuse(`is nested deeper than ${METADATA_LIMITS.depth} levels`);
  for (const [key, member] of Object.entries(value)) {
    if (key === '__proto__') refuse('must not have the key "__proto__"');
    checkNesting(member, levels - 1);
  }
}

function refuse(fault: string): never {
  throw new SearchError('INVALID_REQUEST', `Metadata ${fault}.`);
}
