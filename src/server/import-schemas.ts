/** Requests and answers of the import jobs, as JSON Schema. */
import { type Static, Type } from '@fastify/type-provider-typebox';
import { binary, CollectionName, closed } from './schemas.js';

/** Most URLs in one job, and the largest list of them. */
export const MAX_URLS = 10_000;
export const MAX_URL_LIST_BYTES = 4 * 1024 * 1024;
export const MAX_FAILURES_PAGE = 1000;

/** Path parameters of one import. */
export const ImportPath = Type.Object({ id: Type.String({ pattern: '^[0-9a-f-]{36}$', description: "The import's id." }) }, closed);
/** Query of POST /imports. */
export const ImportQueryString = Type.Object({ collection: Type.Optional(CollectionName) }, closed);
/** Query of GET /imports/:id/failures. */
export const FailuresQuery = Type.Object(
  {
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: MAX_FAILURES_PAGE, default: 100, description: 'Failures a page.' })),
    cursor: Type.Optional(Type.String({ pattern: '^[0-9]{1,9}$', description: 'nextCursor of the page before.' })),
  },
  closed,
);

/** Body of POST /imports as application/json: URLs, or the demo pictures. */
export const ImportBody = Type.Object(
  {
    urls: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 4096 }), {
        minItems: 1,
        maxItems: MAX_URLS,
        description: 'http(s) URLs of pictures; each is looked at when its turn comes and fails alone.',
      }),
    ),
    demo: Type.Optional(Type.Literal(true, { description: 'The demo pictures that ship with the service.' })),
    collection: Type.Optional(CollectionName),
  },
  closed,
);
export type ImportBodyFields = Static<typeof ImportBody>;
/** Multipart form of POST /imports, for the document; the route reads it. */
export const ImportForm = Type.Object({ archive: binary('A zip, tar or tar.gz, any field name.') });

const Count = Type.Integer({ minimum: 0 });
/** One import. */
export const ImportAnswer = Type.Object(
  {
    id: Type.String(),
    status: Type.Union([Type.Literal('running'), Type.Literal('done'), Type.Literal('cancelled'), Type.Literal('failed')]),
    source: Type.Object(
      { kind: Type.Union([Type.Literal('urls'), Type.Literal('archive'), Type.Literal('demo')]), name: Type.String() },
      closed,
    ),
    collection: Type.String(),
    createdAt: Type.String({ description: 'ISO 8601, UTC.' }),
    finishedAt: Type.Union([Type.String(), Type.Null()], { description: 'ISO 8601, UTC; null while it runs.' }),
    counts: Type.Object(
      { found: Count, added: Count, existing: Count, waiting: Count, failed: Count },
      { ...closed, description: 'found = added + existing + waiting + failed, always.' },
    ),
    error: Type.Union([Type.Object({ code: Type.String(), message: Type.String() }, closed), Type.Null()], {
      description: 'Why the whole import failed; of a running one, what it waits for.',
    }),
  },
  { ...closed, description: 'An import job.' },
);
/** All imports, the newest first. */
export const ImportsAnswer = Type.Object(
  { imports: Type.Array(ImportAnswer) },
  { ...closed, description: 'Import jobs, the newest first.' },
);
/** A page of what was not stored. */
export const FailuresAnswer = Type.Object(
  {
    failures: Type.Array(Type.Object({ name: Type.String(), code: Type.String(), message: Type.String() }, closed)),
    nextCursor: Type.Optional(Type.String()),
  },
  { ...closed, description: 'Pictures that were not stored, and why.' },
);
