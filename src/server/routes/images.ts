import type { FastifyPluginAsyncTypebox, Static } from '@fastify/type-provider-typebox';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { ImageId, ImageRecord } from '../../catalogue/catalogue.js';
import { SearchError } from '../../errors.js';
import { etagOf, isNotModified } from '../http-headers.js';
import { originalUrl, thumbnailUrl } from '../image-paths.js';
import { imagesOf, listCost, quotaOf, searchCost } from '../limits/read-cost.js';
import { checkMetadata, parseImageId } from '../names.js';
import {
  fileResponse,
  ImagePage,
  ImagePath,
  ImageResponse,
  InCollection,
  ListQuery,
  MetadataPatch,
  NoContent,
  PictureQuery,
} from '../schemas/schemas.js';
import { SearchResponse, SimilarQuery } from '../schemas/search-schemas.js';
import { createSearch } from '../search/search.js';
import { parseFilterText, parseSearch } from '../search/search-request.js';
import type { ServerContext } from '../server-context.js';
import { imageNotFound, type OpenCollection } from '../tenancy.js';

const tags = ['images'];
/** A page of records ends after the chunk in which it reaches this size. */
const PAGE_BYTES = 1024 * 1024;
const CHUNK_RECORDS = 50;
/** Without its metadata. */
const RECORD_BYTES = 512;

type Place = { readonly collection: OpenCollection; readonly id: ImageId };
type ImageRequest = FastifyRequest<{ Params: Static<typeof ImagePath>; Querystring: { collection?: string } }>;

/** Stored images: list, look, change, remove, and what is like them. */
export const imageRoutes: FastifyPluginAsyncTypebox<ServerContext> = async (app, context) => {
  const { catalogue, scopeOf, settings, admit, admitRead, tenancy } = context;
  /** The image that a request names, in a collection that it may use. */
  const place = (request: ImageRequest): Place => ({
    collection: tenancy.collectionFor(request, request.query.collection),
    id: parseImageId(request.params.id),
  });
  const search = createSearch(context);
  /** The value. Rejects with COLLECTION_NOT_FOUND or NOT_FOUND where it is undefined. */
  const found = async <T>(request: ImageRequest, { collection, id }: Place, value: T | undefined): Promise<T> =>
    value ?? scopeOf(request).race(tenancy.rethrow(request, collection, imageNotFound(id)));

  app.get(
    '/images',
    {
      config: { access: 'read' },
      schema: { tags, summary: 'List images', querystring: ListQuery, response: { 200: ImagePage } },
    },
    async (request): Promise<Static<typeof ImagePage>> => {
      const { limit = 50, cursor, filter } = request.query;
      const collection = tenancy.collectionFor(request, request.query.collection);
      const filtered = filter === undefined ? {} : { filter: parseFilterText(filter) };
      const cost = listCost({ limit, hasFilter: filter !== undefined });
      admitRead(request, cost);
      const scope = scopeOf(request);
      const images: Static<typeof ImageResponse>[] = [];
      let next = cursor;
      let bytes = 0;
      // In chunks, so that other callers read between them.
      do {
        const page = { limit: Math.min(limit - images.length, CHUNK_RECORDS), ...filtered };
        const cursorOf = next === undefined ? {} : { cursor: next };
        const { items, nextCursor } = await scope.read(
          () => catalogue.list(collection, { ...page, ...cursorOf }),
          Math.ceil(cost / Math.ceil(limit / CHUNK_RECORDS)),
        );
        for (const record of items) {
          images.push(toAnswer(collection, record));
          bytes += RECORD_BYTES + JSON.stringify(record.metadata).length;
        }
        next = nextCursor;
      } while (next !== undefined && images.length < limit && bytes < PAGE_BYTES);
      if (images.length === 0) await scope.race(tenancy.requireExisting(request, collection));
      return { images, ...(next !== undefined && { nextCursor: next }) };
    },
  );

  app.get(
    '/images/:id',
    {
      config: { access: 'read' },
      schema: {
        tags,
        summary: 'One image',
        params: ImagePath,
        querystring: InCollection,
        response: { 200: ImageResponse },
      },
    },
    async (request) => {
      const { collection, id } = place(request);
      const record = await scopeOf(request).read(() => catalogue.get(collection, id));
      return toAnswer(collection, await found(request, { collection, id }, record));
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
        response: { 200: ImageResponse },
      },
    },
    async (request) => {
      const { collection, id } = place(request);
      const patch = checkMetadata(request.body.metadata, settings.maxMetadataBytes);
      const record = await scopeOf(request).race(catalogue.patchMetadata(collection, id, patch));
      return toAnswer(collection, await found(request, { collection, id }, record));
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
        response: { 204: NoContent },
      },
    },
    async (request, reply) => {
      const { collection, id } = place(request);
      const wasThere = await scopeOf(request).race(catalogue.remove(collection, id));
      await found(request, { collection, id }, wasThere || undefined);
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
        response: { 200: SearchResponse },
      },
    },
    async (request): Promise<Static<typeof SearchResponse>> => {
      const { collection, id } = place(request);
      const parsed = parseSearch(request.query);
      if (imagesOf(parsed) > 0) admit(request, quotaOf(parsed));
      else admitRead(request, searchCost(parsed));
      return search(scopeOf(request), { ...parsed, positiveIds: [id] }, { collection }).catch((error) =>
        tenancy.rethrow(request, collection, error),
      );
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
        response: { 200: fileResponse('image/webp', 'WebP without metadata.') },
      },
    },
    async (request, reply) => {
      const { collection, id } = place(request);
      const thumbnail = await scopeOf(request).read(() => catalogue.thumbnail(collection, id));
      const bytes = await found(request, { collection, id }, thumbnail);
      reply
        .header('cache-control', cachingOf(request.query))
        .header('content-disposition', 'inline; filename="thumbnail.webp"');
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
        response: { 200: fileResponse('image/*', 'The file.') },
      },
    },
    async (request, reply) => {
      const { collection, id } = place(request);
      const [record, bytes] = await scopeOf(request).read(() =>
        Promise.all([catalogue.get(collection, id), catalogue.original(collection, id)]),
      );
      const { format } = await found(request, { collection, id }, record);
      if (bytes === undefined)
        throw new SearchError(
          'NOT_FOUND',
          'No original is kept of this image (--keep-originals; of TIFF and AVIF none is).',
        );
      reply
        .header('cache-control', cachingOf(request.query))
        .header('content-disposition', `attachment; filename="original.${format}"`)
        .header('content-security-policy', "default-src 'none'; sandbox");
      return sendBytes(request, reply, { bytes, type: `image/${format}` });
    },
  );
};

/**
 * A URL with a version names one picture for ever; without one the picture may change (?replace=true), so a cache must
 * ask.
 */
function cachingOf({ v }: Static<typeof PictureQuery>): string {
  return v === undefined ? 'private, no-cache' : 'private, max-age=31536000, immutable';
}

/** Sends the bytes, or 304 where the client has them. */
function sendBytes(
  request: FastifyRequest,
  reply: FastifyReply,
  file: { readonly bytes: Uint8Array; readonly type: string },
): FastifyReply {
  const { bytes, type } = file;
  if (isNotModified(request, reply, etagOf(bytes))) return reply.send();
  return reply.type(type).send(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
}

function toAnswer(collection: string, record: ImageRecord): Static<typeof ImageResponse> {
  const { id, metadata, format, width, height, bytes, fileName } = record;
  return {
    ...{ id, metadata, format, width, height, bytes, fileName },
    sha256: Buffer.from(record.sha256).toString('hex'),
    perceptualHash: Buffer.from(record.perceptualHash).toString('hex'),
    addedAt: new Date(record.addedAt).toISOString(),
    updatedAt: new Date(record.updatedAt).toISOString(),
    thumbnailUrl: thumbnailUrl(collection, id, record.sha256),
    originalUrl: originalUrl(collection, record),
  };
}
