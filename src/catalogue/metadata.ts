import { SearchError } from '../errors.js';
import type { Metadata } from './catalogue.js';

/** What one image's metadata may be at most; beyond it INVALID_REQUEST. SQLite refuses to read JSON much deeper, in every later filter. */
export const METADATA_LIMITS = { depth: 32, bytes: 65_536 } as const;

/**
 * The metadata as JSON text, as the record store keeps it. Throws INVALID_REQUEST for what is no plain JSON object, nested too deep or too long, and for
 * text that SQLite would read otherwise than JavaScript does (U+0000, half a surrogate pair): filters must see what clients see.
 */
export function metadataToJson(metadata: Metadata): string {
  if (typeof metadata !== 'object' || metadata === null || Array.isArray(metadata)) refuse('must be a JSON object');
  if (isDeeper(metadata, METADATA_LIMITS.depth)) refuse(`is nested deeper than ${METADATA_LIMITS.depth} levels`);
  const json = JSON.stringify(metadata);
  const bytes = Buffer.byteLength(json);
  if (bytes > METADATA_LIMITS.bytes) refuse(`has ${bytes} bytes as JSON; the limit is ${METADATA_LIMITS.bytes}`);
  // JSON.stringify escapes these, and nothing else, so; an even number of backslashes before would be text about an escape.
  if (/(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f])/.test(json)) refuse('must not contain U+0000 or half a surrogate pair');
  return json;
}

/**
 * JSON merge patch, RFC 7396: objects merge key by key, null removes a key, anything else replaces. Returns a new object; `__proto__` is a key
 * like any other.
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

function isObject(value: unknown): value is Metadata {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return levels === 0 || Object.values(value).some((child) => isDeeper(child, levels - 1));
}

function refuse(fault: string): never {
  throw new SearchError('INVALID_REQUEST', `Metadata ${fault}.`);
}
