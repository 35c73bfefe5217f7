/** Requests and answers of every route, as JSON Schema. They validate, serialise and are the source of openapi.yaml. */
import { type Static, type TProperties, type TSchema, Type } from '@fastify/type-provider-typebox';
import { MAX_URL_CHARACTERS } from '../../fetching/checked-url.js';

const described = (description: string | undefined) => (description === undefined ? {} : { description });
/** An object without further properties. */
export const closed = <Fields extends TProperties>(fields: Fields, description?: string) =>
  Type.Object(fields, { additionalProperties: false, ...described(description) });
/** One of some strings. */
export const choice = <const Values extends string[]>(values: [...Values], description?: string) =>
  Type.Enum(values, { type: 'string', ...described(description) });
export const nullable = <Schema extends TSchema>(schema: Schema, description?: string) =>
  Type.Union([schema, Type.Null()], described(description));
/** A file in a form, or a response. */
export const binary = (description: string) =>
  Type.Unsafe<Uint8Array>({ type: 'string', format: 'binary', description });
export const Timestamp = Type.String({ description: 'ISO 8601, UTC.' });

/** It appears in URLs, logs and metric labels, so its alphabet is narrow. */
export const CollectionName = Type.String({
  pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$',
  description: 'Name of the collection. Without it: "default", or the one collection of a key that is limited to one.',
});
export const ImageIdText = Type.String({
  minLength: 1,
  maxLength: 255,
  description: "The image's id: 1 to 255 bytes of UTF-8.",
});
export const FilterText = Type.String({
  maxLength: 16_384,
  description: 'Filter on metadata, as JSON; docs/api.md describes the language.',
});
/** Which URLs may be fetched is decided when they are fetched. */
export const urlText = (description: string) =>
  Type.String({ minLength: 1, maxLength: MAX_URL_CHARACTERS, description });
/** What a user keeps with an image. */
export const MetadataObject = Type.Unsafe<{ readonly [key: string]: unknown }>({
  type: 'object',
  additionalProperties: true,
});

/** Path of one image. */
export const ImagePath = closed({ id: ImageIdText });
/** Query of the routes that need to know the collection only. */
export const InCollection = closed({ collection: Type.Optional(CollectionName) });
/** Path of DELETE /collections/:name. */
export const CollectionPath = Type.Object({ name: CollectionName });
/**
 * Query of GET /images/:id/thumbnail and /original. `v` changes with the picture, so that what it names may be cached
 * for ever.
 */
export const PictureQuery = closed({
  collection: Type.Optional(CollectionName),
  v: Type.Optional(Type.String({ maxLength: 32, description: 'Version, as in thumbnailUrl and originalUrl.' })),
});

/** Query of POST /index. */
export const IndexQuery = closed({
  collection: Type.Optional(CollectionName),
  id: Type.Optional(ImageIdText),
  replace: Type.Optional(Type.Boolean({ description: 'Replace the stored image of the same id.' })),
});

/** Body of POST /index as application/json: a picture to fetch. */
export const IndexBody = closed({
  url: urlText('http(s) URL of the picture; only where the service runs with --allow-url-fetch.'),
  id: Type.Optional(ImageIdText),
  metadata: Type.Optional(MetadataObject),
});
export type IndexBodyFields = Static<typeof IndexBody>;

/** Query of GET /images. */
export const ListQuery = closed({
  collection: Type.Optional(CollectionName),
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000, default: 50, description: 'Images a page.' })),
  cursor: Type.Optional(Type.String({ minLength: 1, maxLength: 512, description: 'nextCursor of the page before.' })),
  filter: Type.Optional(FilterText),
});

/** Body of PATCH /images/:id. */
export const MetadataPatch = closed({
  metadata: Type.Unsafe<{ readonly [key: string]: unknown }>({
    type: 'object',
    additionalProperties: true,
    description: 'Merged into the stored metadata by RFC 7396: null removes a key.',
  }),
});

/** Every answer that is not a success. */
export const ErrorResponse = closed(
  {
    statusCode: Type.Integer(),
    code: Type.String({ description: 'Stable code; docs/errors.md lists all.' }),
    error: Type.String({ description: 'The status in words.' }),
    message: Type.String(),
  },
  'Refused or failed; docs/errors.md lists the codes.',
);
/** A picture of POST /index that was not stored, and why. */
export const FailedImage = closed({
  name: nullable(Type.String(), 'File name as sent.'),
  error: closed({ code: Type.String(), message: Type.String() }),
});
const StoredImage = closed({
  id: Type.String(),
  status: choice(
    ['added', 'replaced', 'updated', 'exists'],
    'added: a new image. replaced: the image of this id has another picture now. updated: it has other metadata now. exists: it was stored like this; nothing changed.',
  ),
  name: nullable(Type.String(), 'File name as sent.'),
  thumbnailUrl: Type.String(),
});
const IndexedImages = Type.Array(Type.Union([StoredImage, FailedImage]));
/** Answer of POST /index: an entry per file, in the order sent. */
export const IndexResponse = closed(
  {
    images: IndexedImages,
    added: Type.Integer({ description: 'Files stored, replacements among them.' }),
    existing: Type.Integer({ description: 'Files that were there already, byte for byte.' }),
    failed: Type.Integer(),
  },
  'At least one file is stored.',
);
/** Answer of POST /index where every file of several failed: the error of the gravest, and each file's own. */
export const IndexErrorResponse = closed({
  ...ErrorResponse.properties,
  images: Type.Optional(Type.Array(FailedImage)),
});

/** Path of the uploaded file. */
export const OriginalUrl = nullable(
  Type.String(),
  'Path of the uploaded file without its metadata; null where it was not kept (--keep-originals).',
);
/** One image as GET /images/:id answers it. */
export const ImageResponse = closed(
  {
    id: Type.String(),
    metadata: MetadataObject,
    format: Type.String(),
    width: Type.Integer(),
    height: Type.Integer(),
    bytes: Type.Integer(),
    fileName: nullable(Type.String()),
    sha256: Type.String({ description: 'SHA-256 of the uploaded file, hex.' }),
    perceptualHash: Type.String({ description: 'Hex.' }),
    addedAt: Timestamp,
    updatedAt: Timestamp,
    thumbnailUrl: Type.String(),
    originalUrl: OriginalUrl,
  },
  'The record of one image.',
);
/** One page of images, in order of commit; no nextCursor on the last. */
export const ImagePage = closed(
  { images: Type.Array(ImageResponse), nextCursor: Type.Optional(Type.String()) },
  'A page of images.',
);
/** Collections and their sizes. */
export const CollectionsResponse = closed(
  {
    collections: Type.Array(
      closed({
        name: Type.String(),
        images: Type.Integer(),
        indexed: Type.Integer(),
        deleted: Type.Integer(),
        rebuilding: Type.Boolean(),
        efSearch: nullable(
          Type.Integer(),
          'Breadth of a search that names none, as the wanted recall needs; null where every vector is scanned.',
        ),
        recall: Type.Optional(
          Type.Number({ description: 'Share of the ten true neighbours that searches find, as measured.' }),
        ),
      }),
    ),
  },
  'All collections.',
);

/** Path parameters of one snapshot. */
export const SnapshotPath = closed({
  name: Type.String({ maxLength: 64, description: "The snapshot's name, as listed: the time it was asked for." }),
});
/** One snapshot. Only name and size are known of one whose file was damaged. */
export const SnapshotResponse = closed(
  {
    name: Type.String(),
    bytes: Type.Integer({ description: 'Size of its file.' }),
    whole: Type.Boolean({ description: 'False where its file was damaged: remove it.' }),
    created: Type.Optional(Timestamp),
    encoderId: Type.Optional(Type.String()),
    dimensions: Type.Optional(Type.Integer()),
    lastSequence: Type.Optional(
      Type.Integer({ description: 'It holds everything committed up to this number, and nothing after it.' }),
    ),
    images: Type.Optional(Type.Integer()),
    collections: Type.Optional(Type.Array(closed({ name: Type.String(), images: Type.Integer() }))),
  },
  'A snapshot of all collections.',
);
/** All snapshots, oldest first. */
export const SnapshotsResponse = closed({ snapshots: Type.Array(SnapshotResponse) }, 'All snapshots, oldest first.');

/** Answer of the probes that only say that the process lives. */
export const AliveResponse = closed({ status: Type.Literal('ok') }, 'The process serves.');
/** Answer of GET /readyz. */
export const ReadyResponse = closed(
  {
    status: Type.Literal('ready'),
    encoder: Type.Optional(
      closed(
        {
          name: Type.String(),
          id: Type.String(),
          dimensions: Type.Integer(),
          device: Type.String(),
          runtime: Type.String(),
        },
        'Absent where keys are set and none was sent.',
      ),
    ),
    catalogue: Type.Optional(
      closed(
        { collections: Type.Integer(), images: Type.Integer(), rebuilding: Type.Boolean() },
        'Totals. Where keys are set, told to keys for all collections only.',
      ),
    ),
    canary: choice(
      ['found', 'empty', 'busy'],
      'found: a stored image found itself. empty: there is none yet. busy: full queues kept the probe out.',
    ),
  },
  'A probe image was encoded and a stored image found itself.',
);
/** Answer of GET /. */
export const WelcomeResponse = closed(
  {
    name: Type.String(),
    version: Type.Optional(Type.String()),
    documentation: Type.String(),
    description: Type.String(),
  },
  'What this service is.',
);

const Coordinate = Type.Number({ minimum: 0, maximum: 1 });

/** A collection laid out in the plane. */
export const MapResponse = closed(
  {
    status: choice(
      ['ready', 'computing', 'empty'],
      'computing: ask again in some seconds; the points, where there are any, are those of the map before. empty: too few images.',
    ),
    computedAt: nullable(Type.String(), 'ISO 8601, UTC; null before there is a map.'),
    images: Type.Integer({ minimum: 0, description: 'In the collection now.' }),
    points: Type.Array(closed({ id: Type.String(), x: Coordinate, y: Coordinate }), {
      description: 'A sample of 2,000 at most, without images that were removed since.',
    }),
  },
  'The collection laid out in the plane: what the encoder holds for alike lies together.',
);
export type MapAnswerFields = Static<typeof MapResponse>;

/** A response that is a file, not JSON. */
export function fileResponse(type: string, description: string) {
  const schema = type.startsWith('text/') || type.endsWith('/yaml') ? Type.String() : binary(description);
  return { description, content: { [type]: { schema } } };
}

/** A response without a body. */
export const NoContent = Type.Null({ description: 'Done.' });

/** Multipart form of POST /index, for the document; upload.ts reads it. */
export const IndexForm = Type.Object({
  images: Type.Array(binary('A picture; any field name will do.')),
  id: Type.Optional(ImageIdText),
  metadata: Type.Optional(Type.String({ description: 'A JSON object, kept with every file of the request.' })),
});

/** The error responses of every route; app.ts adds them. */
export const errorResponses = { '4xx': ErrorResponse, '5xx': ErrorResponse };
