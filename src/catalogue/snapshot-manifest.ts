import { SearchError } from '../errors.js';

/** One file in a snapshot. */
export type SnapshotMember = { readonly name: string; readonly bytes: number; readonly sha256: string };

/** What a snapshot is: the first file in it, and its facts wherever it is listed. */
export type SnapshotManifest = {
  readonly format: typeof SNAPSHOT_FORMAT;
  readonly version: typeof SNAPSHOT_VERSION;
  /** ISO 8601, UTC. */
  readonly created: string;
  readonly catalogueId: string;
  readonly encoderId: string;
  readonly dimensions: number;
  /** The state it holds: everything committed up to this sequence number, nothing after it. */
  readonly lastSequence: number;
  readonly images: number;
  readonly collections: readonly { readonly name: string; readonly images: number }[];
  /** The files after manifest and checksum, in their order. */
  readonly members: readonly SnapshotMember[];
};

export const SNAPSHOT_FORMAT = 'likeness-snapshot';
export const SNAPSHOT_VERSION = 1;
/** A manifest of 100,000 collections with long names stays below it. */
export const MANIFEST_BYTES_MAX = 64 * 1024 * 1024;

const DATABASE = 'catalogue.db';
/** Every name that a member may have; so no path leads anywhere else. */
const MEMBER_NAME = /^(catalogue\.db|indexes\/\d{1,15}(\.json|-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.hnsw))$/;

/**
 * Reads a manifest that anyone may have written. Throws SNAPSHOT_FORMAT for another format or version, SNAPSHOT_DAMAGED for anything that
 * Likeness would not have written: other fields, other names, the database not first or not there, a name twice.
 */
export function parseManifest(text: string): SnapshotManifest {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new SearchError('SNAPSHOT_DAMAGED', 'The manifest of the snapshot is not JSON.', { cause });
  }
  if (!isObject(value) || value.format !== SNAPSHOT_FORMAT) throw damaged('it is no manifest of a Likeness snapshot');
  if (value.version !== SNAPSHOT_VERSION) {
    const message = `The snapshot has format version ${JSON.stringify(value.version)}; this Likeness reads version ${SNAPSHOT_VERSION}. Restore it with the Likeness that made it.`;
    throw new SearchError('SNAPSHOT_FORMAT', message);
  }
  const { created, catalogueId, encoderId, dimensions, lastSequence, images, collections, members } = value;
  if (typeof created !== 'string' || Number.isNaN(Date.parse(created)) || new Date(created).toISOString() !== created)
    throw damaged('`created` is no time');
  if (typeof catalogueId !== 'string' || typeof encoderId !== 'string') throw damaged('`catalogueId` or `encoderId` is no text');
  if (!isCount(dimensions) || !isCount(lastSequence) || !isCount(images)) throw damaged('a count is no whole number');
  if (!Array.isArray(collections) || !collections.every(isCollection)) throw damaged('`collections` is wrong');
  if (collections.reduce((sum, collection) => sum + collection.images, 0) !== images)
    throw damaged('`images` is not the sum of the collections');
  if (!Array.isArray(members) || !members.every(isMember)) throw damaged('`members` holds something that no snapshot holds');
  const names = new Set(members.map(({ name }) => name));
  if (members[0]?.name !== DATABASE || names.size !== members.length) throw damaged('`members` lacks the database or names a file twice');
  const counts = { dimensions, lastSequence, images, collections, members };
  return { format: SNAPSHOT_FORMAT, version: SNAPSHOT_VERSION, created, catalogueId, encoderId, ...counts };
}

function isCollection(value: unknown): value is SnapshotManifest['collections'][number] {
  return isObject(value) && typeof value.name === 'string' && isCount(value.images);
}

function isMember(value: unknown): value is SnapshotMember {
  if (!isObject(value) || typeof value.name !== 'string' || !MEMBER_NAME.test(value.name) || !isCount(value.bytes)) return false;
  return typeof value.sha256 === 'string' && /^[0-9a-f]{64}$/.test(value.sha256);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

function isObject(value: unknown): value is { readonly [key: string]: unknown } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function damaged(what: string): SearchError {
  return new SearchError('SNAPSHOT_DAMAGED', `The manifest of the snapshot is wrong: ${what}.`);
}
