import { createHash } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import type { FastifyPluginAsyncTypebox, Static } from '@fastify/type-provider-typebox';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { ImageId, ImageRecord } from '../../catalogue/catalogue.js';
import { SearchError } from '../../errors.js';
import { originalUrl, thumbnailUrl } from '../image-paths.js';
import { checkMetadata, parseImageId } from '../names.js';
import { createNeighbourSearch, tookMs } from '../neighbour-search.js';
import { createExampleReader } from '../query-examples.js';
import {
  errorAnswers,
  fileAnswer,
  ImageAnswer,
  ImagePage,
  ImagePath,
  InCollection,
  ListQuery,
  MetadataPatch,
  NoContent,
  PictureQuery,
} from '../schemas.js';
import { parseFilterText, parseSearch } from '../search-request.js';
import { SearchAnswer, SimilarQuery } from '../search-schemas.js';
import type { ServerContext } from '../server-context.js';
import type { OpenCollection } from '../tenancy.js';

const tags = ['images'];
/** A query of a stored image alone. */
const NOTHING = { pictures: [], negativePictures: [], negativeIds: [], embedding: undefined, crop: undefined };

type Place = { readonly collection: OpenCollection; readonly id: ImageId };
type ImageRequest = FastifyRequest<{ Params: Static<typeof ImagePath>; Querystring: { collection?: string } }>;

/** Stored images: list, look, change, remove, and what is like them. */
export const imageRoutes: FastifyPluginAsyncTypebox<ServerContext> = async (app, context) => {
  const { catalogue, encoder, ledger, settings, spendQuota, tenancy } = context;
  /** The image that a request names, in a collection that it may use. */
  const place = (request: ImageRequest): Place => ({
    collection: tenancy.collectionFor(request, request.query.collection),
    id: parseImageId(request.params.id),
  });
  const findNeighbours = createNeighbourSearch(context);
  const readExamples = createExampleReader(context);

  app.get(
    '/images',
    {
      config: { access: 'read' },
      schema: { tags, summary: 'List images', querystring: ListQuery, response: { 200: ImagePage, ...errorAnswers } },
    },
    async (request): Promise<Static<typeof ImagePage>> => {
      const { limit = 50, cursor, filter } = request.query;
      const collection = tenancy.collectionFor(request, request.query.collection);
      const page = { limit, ...(cursor !== undefined && { cursor }), ...(filter !== undefined && { filter: parseFilterText(filter) }) };
      const { items, nextCursor } = await ledger.lifeOf(request).bound(catalogue.list(collection, page));
      return { images: items.map((record) => toAnswer(collection, record)), ...(nextCursor !== undefined && { nextCursor }) };
    },
  );

  app.get(
    '/images/:id',
    {
      config: { access: 'read' },
      schema: { tags, summary: 'One image', params: ImagePath, querystring: InCollection, response: { 200: ImageAnswer, ...errorAnswers } },
    },
    async (request) => {
      const { collection, id } = place(request);
      return toAnswer(collection, found(await ledger.lifeOf(request).bound(catalogue.get(collection, id)), id));
    },
  );

  app.patch(
    '/images/:id',
    {
      config: { access: 'write' },
      bodyLimit: settings.maxMetadataBytes * 2 + 1024,
      schema: {
        tags,
        summary: "Change an image's metadata",
        params: ImagePath,
        querystring: InCollection,
        body: MetadataPatch,
        response: { 200: ImageAnswer, ...errorAnswers },
      },
    },
    async (request) => {
      const { collection, id } = place(request);
      const patch = checkMetadata(request.body.metadata, settings.maxMetadataBytes);
      return toAnswer(collection, found(await ledger.lifeOf(request).bound(catalogue.patchMetadata(collection, id, patch)), id));
    },
  );

  app.delete(
    '/images/:id',
    {
      config: { access: 'write' },
      schema: {
        tags,
        summary: 'Remove an image',
        params: ImagePath,
        querystring: InCollection,
        response: { 204: NoContent, ...errorAnswers },
      },
    },
    async (request, reply) => {
      const { collection, id } = place(request);
      const wasThere = await ledger.lifeOf(request).bound(catalogue.remove(collection, id));
      found(wasThere ? true : undefined, id);
      return reply.code(204).send(null);
    },
  );

  app.get(
    '/images/:id/similar',
    {
      config: { access: 'read' },
      schema: {
        tags,
        summary: 'Images like this one',
        params: ImagePath,
        querystring: SimilarQuery,
        response: { 200: SearchAnswer, ...errorAnswers },
      },
    },
    async (request): Promise<Static<typeof SearchAnswer>> => {
      const startedAt = performance.now();
      const { collection, id } = place(request);
      const search = parseSearch(request.query);
      if (search.views.length > 0) spendQuota(request, 1);
      const life = ledger.lifeOf(request);
      const query = await readExamples(life, {
        ...NOTHING,
        collection,
        positiveIds: [id],
        views: search.views,
        traits: search.groups,
        features: search.includesRegions,
      });
      const { searchMs, ...page } = await findNeighbours(life, search, { collection, query, without: [id] });
      const times = { ...query.times, searchMs, totalMs: performance.now() - startedAt };
      return { encoder: { name: encoder.description.name, id: encoder.description.id }, tookMs: tookMs(times), ...page };
    },
  );

  app.get(
    '/images/:id/thumbnail',
    {
      config: { access: 'read' },
      schema: {
        tags,
        summary: 'Thumbnail (WebP)',
        params: ImagePath,
        querystring: PictureQuery,
        response: { 200: fileAnswer('image/webp', 'WebP without metadata.'), ...errorAnswers },
      },
    },
    async (request, reply) => {
      const { collection, id } = place(request);
      const bytes = found(await ledger.lifeOf(request).bound(catalogue.thumbnail(collection, id)), id);
      reply.header('cache-control', cachingOf(request.query)).header('content-disposition', 'inline; filename="thumbnail.webp"');
      return sendBytes(request, reply, { bytes, type: 'image/webp' });
    },
  );

  app.get(
    '/images/:id/original',
    {
      config: { access: 'read' },
      schema: {
        tags,
        summary: 'The uploaded file without its metadata',
        description:
          "Only where the service ran with --keep-originals, and of JPEG, PNG, WebP and GIF. Pixels, colours and orientation are the upload's; EXIF, GPS, XMP, comments and embedded previews are gone. The file is a stranger's: it is sent as a download, never to be shown in place.",
        params: ImagePath,
        querystring: PictureQuery,
        response: { 200: fileAnswer('image/*', 'The file.'), ...errorAnswers },
      },
    },
    async (request, reply) => {
      const { collection, id } = place(request);
      const life = ledger.lifeOf(request);
      const [record, bytes] = await Promise.all([
        life.bound(catalogue.get(collection, id)),
        life.bound(catalogue.original(collection, id)),
      ]);
      const { format } = found(record, id);
      if (bytes === undefined)
        throw new SearchError('NOT_FOUND', 'No original is kept of this image (--keep-originals; of TIFF and AVIF none is).');
      reply.header('cache-control', cachingOf(request.query)).header('content-disposition', `attachment; filename="original.${format}"`);
      reply.header('content-security-policy', "default-src 'none'; sandbox");
      return sendBytes(request, reply, { bytes, type: `image/${format}` });
    },
  );
};

function found<T>(value: T | undefined, id: ImageId): T {
  if (value === undefined) throw new SearchError('NOT_FOUND', `There is no image "${id}" in this collection.`);
  return value;
}

/** With a version in its URL the picture behind it never changes; without one it may, by ?replace=true, so a cache must ask. */
function cachingOf({ v }: Static<typeof PictureQuery>): string {
  return v === undefined ? 'private, no-cache' : 'private, max-age=31536000, immutable';
}

/** Answers 304 without the bytes where the client has them already. */
function sendBytes(
  request: FastifyRequest,
  reply: FastifyReply,
  file: { readonly bytes: Uint8Array; readonly type: string },
): FastifyReply {
  const { bytes, type } = file;
  const etag = `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"`;
  reply.header('etag', etag);
  const known = request.headers['if-none-match'];
  if (known !== undefined && (known === '*' || known.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag))) {
    return reply.code(304).send();
  }
  return reply.type(type).send(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
}

function toAnswer(collection: string, record: ImageRecord): Static<typeof ImageAnswer> {
  const { id, metadata, format, width, height, bytes, fileName } = record;
  return {
    id,
    metadata,
    format,
    width,
    height,
    bytes,
    fileName,
    sha256: Buffer.from(record.sha256).toString('hex'),
    perceptualHash: Buffer.from(record.perceptualHash).toString('hex'),
    addedAt: new Date(record.addedAt).toISOString(),
    updatedAt: new Date(record.updatedAt).toISOString(),
    thumbnailUrl: thumbnailUrl(collection, id, record.sha256),
    originalUrl: originalUrl(collection, record),
  };
}
