/** Requests and answers of the import jobs, as JSON Schema. */
import { type Static, Type } from '@fastify/type-provider-typebox';
import { binary, CollectionName, choice, closed, nullable, Timestamp } from './schemas.js';

/** Most URLs in one job, and the largest list of them. */
const MAX_URLS = 10_000;
export const MAX_URL_LIST_BYTES = 4 * 1024 * 1024;
const MAX_FAILURES_PAGE = 1000;

/** Path parameters of one import. */
export const ImportPath = closed({ id: Type.String({ pattern: '^[0-9a-f-]{36}$', description: "The import's id." }) });
/** Query of POST /imports. */
export const ImportQueryString = closed({ collection: Type.Optional(CollectionName) });
/** Query of GET /imports/:id/failures. */
export const FailuresQuery = closed({
  limit: Type.Optional(
    Type.Integer({ minimum: 1, maximum: MAX_FAILURES_PAGE, default: 100, description: 'Failures a page.' }),
  ),
  cursor: Type.Optional(Type.String({ pattern: '^[0-9]{1,9}$', description: 'nextCursor of the page before.' })),
});

/** Body of POST /imports as application/json: URLs, or the demo pictures. */
export const ImportBody = closed({
  urls: Type.Optional(
    Type.Array(Type.String({ minLength: 1, maxLength: 4096 }), {
      minItems: 1,
      maxItems: MAX_URLS,
      description: 'http(s) URLs of pictures; each is looked at when its turn comes and fails alone.',
    }),
  ),
  demo: Type.Optional(Type.Literal(true, { description: 'The demo pictures that ship with the service.' })),
  collection: Type.Optional(CollectionName),
});
export type ImportBodyFields = Static<typeof ImportBody>;
/** Multipart form of POST /imports, for the document; the route reads it. */
export const ImportForm = Type.Object({ archive: binary('A zip, tar or tar.gz, any field name.') });

const Count = Type.Integer({ minimum: 0 });
/** One import. */
export const ImportResponse = closed(
  {
    id: Type.String(),
    status: choice(['running', 'done', 'cancelled', 'failed']),
    outcome: choice(
      ['running', 'done', 'done with failures', 'cancelled', 'failed'],
      'The status, for people: a job that is done may have failures.',
    ),
    source: closed({ kind: choice(['urls', 'archive', 'demo']), name: Type.String() }),
    collection: Type.String(),
    createdAt: Timestamp,
    finishedAt: nullable(Type.String(), 'ISO 8601, UTC; null while it runs.'),
    counts: closed(
      { found: Count, added: Count, existing: Count, waiting: Count, failed: Count },
      'found = added + existing + waiting + failed, always.',
    ),
    // Not Type.Record: its patternProperties become additionalProperties in the document, where the type would lose
    // its name.
    skipped: Type.Unsafe<{ readonly [reason: string]: number }>({
      type: 'object',
      additionalProperties: Count,
      description: 'Entries of the archive that are not read, by reason (hidden, system file, no picture by its name).',
    }),
    error: nullable(
      closed({ code: Type.String(), message: Type.String() }),
      'Why the whole import failed; of a running one, what it waits for.',
    ),
  },
  'An import job.',
);
/** All imports, the newest first. */
export const ImportsResponse = closed({ imports: Type.Array(ImportResponse) }, 'Import jobs, the newest first.');
/** A page of what was not stored. */
export const FailuresResponse = closed(
  {
    failures: Type.Array(closed({ name: Type.String(), code: Type.String(), message: Type.String() })),
    nextCursor: Type.Optional(Type.String()),
  },
  'Pictures that were not stored, and why.',
);
