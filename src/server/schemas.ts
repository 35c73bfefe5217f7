/** Requests and answers of every route, as JSON Schema. They validate, serialise and are the source of openapi.yaml. */
import { type Static, Type } from '@fastify/type-provider-typebox';
import { MAX_URL_CHARACTERS } from '../fetching/checked-url.js';

/** Objects name all their properties. */
export const closed = { additionalProperties: false };

/** The largest page of GET /images. */
export const MAX_PAGE = 1000;
const DEFAULT_PAGE = 50;
const MAX_FILTER_CHARACTERS = 16_384;

/** What a collection may be called. It appears in URLs, logs and metric labels, so its alphabet is narrow. */
export const COLLECTION_PATTERN = '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$';
/** A collection's name. */
export const CollectionName = Type.String({
  pattern: COLLECTION_PATTERN,
  description: 'Name of the collection. Without it: "default", or the one collection of a key that is limited to one.',
});
/** An image's id as text. */
export const ImageIdText = Type.String({ minLength: 1, maxLength: 255, description: "The image's id: 1 to 255 bytes of UTF-8." });
/** A filter as JSON text. */
export const FilterText = Type.String({
  maxLength: MAX_FILTER_CHARACTERS,
  description: 'Filter on metadata, as JSON; docs/api.md describes the language.',
});
/** A URL as text; what may be fetched is decided when it is fetched. */
export const urlText = (description: string) => Type.String({ minLength: 1, maxLength: MAX_URL_CHARACTERS, description });
/** What a user keeps with an image. */
export const MetadataObject = Type.Unsafe<{ readonly [key: string]: unknown }>({ type: 'object', additionalProperties: true });

/** Path parameters of one image. */
export const ImagePath = Type.Object({ id: ImageIdText }, closed);
/** Query of the routes that need to know the collection only. */
export const InCollection = Type.Object({ collection: Type.Optional(CollectionName) }, closed);
/** Query of GET /images/:id/thumbnail and /original. `v` changes with the picture, so that what it names may be cached for ever. */
export const PictureQuery = Type.Object(
  {
    collection: Type.Optional(CollectionName),
    v: Type.Optional(Type.String({ maxLength: 32, description: 'Version, as in thumbnailUrl and originalUrl.' })),
  },
  closed,
);

/** Query of POST /index. */
export const IndexQuery = Type.Object(
  {
    collection: Type.Optional(CollectionName),
    id: Type.Optional(ImageIdText),
    replace: Type.Optional(Type.Boolean({ description: 'Replace the stored image of the same id.' })),
  },
  closed,
);

/** Body of POST /index as application/json: a picture to fetch. */
export const IndexBody = Type.Object(
  {
    url: urlText('http(s) URL of the picture; only where the service runs with --allow-url-fetch.'),
    id: Type.Optional(ImageIdText),
    metadata: Type.Optional(MetadataObject),
  },
  closed,
);
export type IndexBodyFields = Static<typeof IndexBody>;

/** Query of GET /images. */
export const ListQuery = Type.Object(
  {
    collection: Type.Optional(CollectionName),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: MAX_PAGE, default: DEFAULT_PAGE, description: 'Images a page.' })),
    cursor: Type.Optional(Type.String({ minLength: 1, maxLength: 512, description: 'nextCursor of the page before.' })),
    filter: Type.Optional(FilterText),
  },
  closed,
);

/** Body of PATCH /images/:id. */
export const MetadataPatch = Type.Object(
  {
    metadata: Type.Unsafe<{ readonly [key: string]: unknown }>({
      type: 'object',
      additionalProperties: true,
      description: 'Merged into the stored metadata by RFC 7396: null removes a key.',
    }),
  },
  closed,
);

/** Every answer that is not a success. */
export const ErrorAnswer = Type.Object(
  {
    statusCode: Type.Integer(),
    code: Type.String({ description: 'Stable code; docs/errors.md lists all.' }),
    error: Type.String({ description: 'The status in words.' }),
    message: Type.String(),
  },
  { ...closed, description: 'Refused or failed; docs/errors.md lists the codes.' },
);
const FailedImage = Type.Object(
  {
    name: Type.Union([Type.String(), Type.Null()], { description: 'File name as sent.' }),
    error: Type.Object({ code: Type.String(), message: Type.String() }, closed),
  },
  closed,
);
const StoredImage = Type.Object(
  {
    id: Type.String(),
    status: Type.Union([Type.Literal('added'), Type.Literal('replaced'), Type.Literal('exists')]),
    name: Type.Union([Type.String(), Type.Null()], { description: 'File name as sent.' }),
    thumbnailUrl: Type.String(),
  },
  closed,
);
const IndexedImages = Type.Array(Type.Union([StoredImage, FailedImage]));
/** Answer of POST /index: an entry per file, in the order sent. */
export const IndexAnswer = Type.Object(
  {
    images: IndexedImages,
    added: Type.Integer({ description: 'Files stored, replacements among them.' }),
    existing: Type.Integer({ description: 'Files that were there already, byte for byte.' }),
    failed: Type.Integer(),
  },
  { ...closed, description: 'At least one file is stored.' },
);
/** Answer of POST /index where every file of several failed: the error of the gravest, and each file's own. */
export const IndexErrorAnswer = Type.Object({ ...ErrorAnswer.properties, images: Type.Optional(Type.Array(FailedImage)) }, closed);

/** Path of the uploaded file. */
export const OriginalUrl = Type.Union([Type.String(), Type.Null()], {
  description: 'Path of the uploaded file without its metadata; null where it was not kept (--keep-originals).',
});
/** One image as GET /images/:id answers it. */
export const ImageAnswer = Type.Object(
  {
    id: Type.String(),
    metadata: MetadataObject,
    format: Type.String(),
    width: Type.Integer(),
    height: Type.Integer(),
    bytes: Type.Integer(),
    fileName: Type.Union([Type.String(), Type.Null()]),
    sha256: Type.String({ description: 'SHA-256 of the uploaded file, hex.' }),
    perceptualHash: Type.String({ description: 'Hex.' }),
    addedAt: Type.String({ description: 'ISO 8601, UTC.' }),
    updatedAt: Type.String({ description: 'ISO 8601, UTC.' }),
    thumbnailUrl: Type.String(),
    originalUrl: OriginalUrl,
  },
  { ...closed, description: 'The record of one image.' },
);
/** One page of images, in order of commit; no nextCursor on the last. */
export const ImagePage = Type.Object(
  { images: Type.Array(ImageAnswer), nextCursor: Type.Optional(Type.String()) },
  { ...closed, description: 'A page of images.' },
);
/** Collections and their sizes. */
export const CollectionsAnswer = Type.Object(
  {
    collections: Type.Array(
      Type.Object(
        {
          name: Type.String(),
          images: Type.Integer(),
          indexed: Type.Integer(),
          deleted: Type.Integer(),
          rebuilding: Type.Boolean(),
          searchBreadth: Type.Union([Type.Integer(), Type.Null()], {
            description: 'Breadth of a search that names none, as the wanted recall needs; null where every vector is scanned.',
          }),
          recall: Type.Optional(Type.Number({ description: 'Share of the ten true neighbours that searches find, as measured.' })),
        },
        closed,
      ),
    ),
  },
  { ...closed, description: 'All collections.' },
);

/** Path parameters of one snapshot. */
export const SnapshotPath = Type.Object(
  { name: Type.String({ maxLength: 64, description: "The snapshot's name, as listed: the time it was asked for." }) },
  closed,
);
/** One snapshot. Only name and size are known of one whose file was damaged. */
export const SnapshotAnswer = Type.Object(
  {
    name: Type.String(),
    bytes: Type.Integer({ description: 'Size of its file.' }),
    whole: Type.Boolean({ description: 'False where its file was damaged: remove it.' }),
    created: Type.Optional(Type.String({ description: 'ISO 8601, UTC.' })),
    encoderId: Type.Optional(Type.String()),
    dimensions: Type.Optional(Type.Integer()),
    lastSequence: Type.Optional(Type.Integer({ description: 'It holds everything committed up to this number, and nothing after it.' })),
    images: Type.Optional(Type.Integer()),
    collections: Type.Optional(Type.Array(Type.Object({ name: Type.String(), images: Type.Integer() }, closed))),
  },
  { ...closed, description: 'A snapshot of all collections.' },
);
/** All snapshots, oldest first. */
export const SnapshotsAnswer = Type.Object(
  { snapshots: Type.Array(SnapshotAnswer) },
  { ...closed, description: 'All snapshots, oldest first.' },
);

/** Answer of the probes that only say that the process lives. */
export const AliveAnswer = Type.Object({ status: Type.Literal('ok') }, { ...closed, description: 'The process serves.' });
/** Answer of GET /readyz. */
export const ReadyAnswer = Type.Object(
  {
    status: Type.Literal('ready'),
    encoder: Type.Object(
      { name: Type.String(), id: Type.String(), dimensions: Type.Integer(), device: Type.String(), runtime: Type.String() },
      closed,
    ),
    catalogue: Type.Optional(
      Type.Object(
        { collections: Type.Integer(), images: Type.Integer(), rebuilding: Type.Boolean() },
        { ...closed, description: 'Totals. Where keys are set, told to keys for all collections only.' },
      ),
    ),
    canary: Type.Union([Type.Literal('found'), Type.Literal('empty'), Type.Literal('busy')], {
      description: 'found: a stored image found itself. empty: there is none yet. busy: full queues kept the probe out.',
    }),
  },
  { ...closed, description: 'A probe image was encoded and a stored image found itself.' },
);
/** Answer of GET /. */
export const WelcomeAnswer = Type.Object(
  { name: Type.String(), version: Type.String(), documentation: Type.String(), description: Type.String() },
  { ...closed, description: 'What this service is.' },
);

/** A file inside a form. */
export const binary = (description: string) => Type.Unsafe<Uint8Array>({ type: 'string', format: 'binary', description });

/** An answer that is a file of its own type and no JSON. */
export function fileAnswer(type: string, description: string) {
  const schema = type.startsWith('text/') || type.endsWith('/yaml') ? Type.String() : binary(description);
  return { description, content: { [type]: { schema } } };
}

const nothing = Type.Null({ description: 'Done.' });
/** Answer without a body. */
export const NoContent = nothing;

/** Multipart form of POST /index, for the document; upload.ts reads it. */
export const IndexForm = Type.Object({
  images: Type.Array(binary('A picture; any field name will do.')),
  id: Type.Optional(ImageIdText),
  metadata: Type.Optional(Type.String({ description: 'A JSON object, kept with every file of the request.' })),
});

/** The error answers that every route may give. */
export const errorAnswers = { '4xx': ErrorAnswer, '5xx': ErrorAnswer };
