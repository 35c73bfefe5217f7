import { type Static, Type } from 'typebox';
import { Check, Errors } from 'typebox/value';
import { SearchError } from '../../errors.js';

export const SNAPSHOT_FORMAT = 'likeness-snapshot';
export const SNAPSHOT_VERSION = 1;
/** A manifest of 100,000 collections with long names is smaller. */
export const MANIFEST_BYTES_MAX = 64 * 1024 * 1024;

const DATABASE = 'catalogue.db';
/** Every name that a member may have, so that no path leads out of the folder. */
const MEMBER_NAME = '^(catalogue\\.db|indexes/[0-9]{1,15}(\\.json|-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\\.hnsw))$';

const exact = { additionalProperties: false };
const Count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const Member = Type.Object(
  { name: Type.String({ pattern: MEMBER_NAME }), bytes: Count, sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }) },
  exact,
);
/**
 * `created`: ISO 8601, UTC. `lastSequence`: the snapshot holds everything committed up to it. `members`: the files, in
 * their order.
 */
const Manifest = Type.Object(
  {
    format: Type.Literal(SNAPSHOT_FORMAT),
    version: Type.Literal(SNAPSHOT_VERSION),
    created: Type.String(),
    catalogueId: Type.String(),
    encoderId: Type.String(),
    dimensions: Count,
    lastSequence: Count,
    images: Count,
    collections: Type.Array(Type.Object({ name: Type.String(), images: Count }, exact)),
    members: Type.Array(Member, { minItems: 1 }),
  },
  exact,
);

/** One file in a snapshot. */
export type SnapshotMember = Static<typeof Member>;
/** The facts of a snapshot: the first file in it. */
export type SnapshotManifest = Static<typeof Manifest>;

/**
 * Parses a manifest that anyone may have written. Throws SNAPSHOT_FORMAT for another version, SNAPSHOT_DAMAGED for
 * anything that Likeness does not write: other fields, other file names, a name twice, the database missing or
 * not first.
 */
export function parseManifest(text: string): SnapshotManifest {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new SearchError('SNAPSHOT_DAMAGED', 'The manifest of the snapshot is not JSON.', { cause });
  }
  // compared only
  const { format, version } = (value ?? {}) as { readonly format?: unknown; readonly version?: unknown };
  if (format !== SNAPSHOT_FORMAT) throw damaged('it is no manifest of a Likeness snapshot');
  if (version !== SNAPSHOT_VERSION) {
    const message = `The snapshot has format version ${JSON.stringify(version)}; this Likeness reads version ${SNAPSHOT_VERSION}. Restore it with the Likeness that made it.`;
    throw new SearchError('SNAPSHOT_FORMAT', message);
  }
  if (!Check(Manifest, value)) {
    const [fault] = Errors(Manifest, value);
    throw damaged(`${fault?.instancePath || '/'} ${fault?.message}`);
  }
  const { created, collections, images, members } = value;
  if (Number.isNaN(Date.parse(created)) || new Date(created).toISOString() !== created)
    throw damaged('/created is not a time');
  if (collections.reduce((sum, collection) => sum + collection.images, 0) !== images)
    throw damaged('/images is not the sum of the collections');
  if (members[0]?.name !== DATABASE || new Set(members.map(({ name }) => name)).size !== members.length)
    throw damaged('/members lacks the database or names a file twice');
  return value;
}

function damaged(fault: string): SearchError {
  return new SearchError('SNAPSHOT_DAMAGED', `The manifest of the snapshot is wrong: ${fault}.`);
}
