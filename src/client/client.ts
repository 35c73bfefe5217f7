/**
 * The API of a running service as typed functions, for Node.js and browsers: `import { createClient } from
 * 'likeness-search/client'`. The types come from the schemas of the service. The last parameter of every call takes a
 * signal and retries; failures are thrown as {@link LikenessError}.
 */

import { LikenessError } from './likeness-error.js';
import type {
  Collections,
  Comparison,
  EmbeddingMap,
  ImagePage,
  ImportFailures,
  ImportJob,
  ImportJobs,
  IndexedImages,
  Readiness,
  SearchPage,
  Snapshot,
  Snapshots,
  Statistics,
  StoredImage,
  Welcome,
} from './responses.js';
import {
  appendField,
  fileName,
  type Picture,
  type SearchQuery,
  searchFields,
  searchRequest,
  toBlob,
} from './search-query.js';
import { type CallOptions, type ClientOptions, createTransport, type Transport } from './transport.js';

export { type ClientFaultCode, LikenessError, type LikenessErrorCode } from './likeness-error.js';
export type * from './responses.js';
export type { Picture, SearchQuery } from './search-query.js';
export type { CallOptions, ClientOptions, RetryOptions } from './transport.js';

/** The collection; "default" where none is given. */
export type InCollection = { readonly collection?: string | undefined };
/** Options of storing pictures. `id` is for one picture; `metadata` is stored with each. */
export type IndexOptions = InCollection & {
  readonly id?: string;
  readonly metadata?: { readonly [key: string]: unknown };
  readonly replace?: boolean;
};
/** The stored images to list; `filter` is JSON text as described in docs/api.md. */
export type ListOptions = InCollection & {
  readonly limit?: number;
  readonly cursor?: string;
  readonly filter?: string;
};
/** One side of a comparison: a picture, or the id of a stored image. */
export type Compared = Picture | { readonly id: string };
/** The source of an import: URLs, an archive (zip, tar, tar.gz), or the demo pictures of the installation. */
export type ImportSource =
  | { readonly urls: readonly string[] }
  | { readonly archive: Blob; readonly name?: string }
  | { readonly demo: true };
/** The client; see {@link createClient}. */
export type LikenessClient = ReturnType<typeof createClient>;

/** A client of the service at `url`. It holds neither a connection nor state. */
export function createClient(options: ClientOptions) {
  const transport = createTransport(options);
  return {
    ...searches(transport),
    ...images(transport),
    ...imports(transport),
    ...service(transport),
  };
}

function searches({ json }: Transport) {
  return {
    /** The stored images nearest to the examples. */
    search: (query: SearchQuery, call?: CallOptions) => json<SearchPage>({ ...searchRequest(query), call }),
    /** The same by GET /search, for examples that are stored images or a URL. */
    searchByLink: (
      query: Omit<SearchQuery, 'pictures' | 'negativePictures' | 'embedding' | 'encoderId'>,
      call?: CallOptions,
    ) => json<SearchPage>({ path: '/search', query: searchFields(query), call }),
    /** The stored images nearest to a stored one, without itself. */
    similar: (
      id: string,
      query: Omit<
        SearchQuery,
        'pictures' | 'negativePictures' | 'ids' | 'negativeIds' | 'url' | 'crop' | 'embedding' | 'encoderId'
      > = {},
      call?: CallOptions,
    ) => json<SearchPage>({ path: `${imagePath(id)}/similar`, query: searchFields(query), call }),
    /** Compares two pictures: score, copy or not, hashes, and matching regions. */
    compare({ a, b, collection }: { readonly a: Compared; readonly b: Compared } & InCollection, call?: CallOptions) {
      const request = { method: 'POST' as const, path: '/compare', query: { collection }, call };
      if (isStored(a) && isStored(b))
        return json<Comparison>({ ...request, json: { a: { id: a.id }, b: { id: b.id } } });
      const form = new FormData();
      for (const [name, side] of Object.entries({ a, b })) {
        if (isStored(side)) form.append(`${name}Id`, side.id);
        else form.append(name, toBlob(side), fileName(side));
      }
      return json<Comparison>({ ...request, body: form });
    },
  };
}

function images({ address, json, send }: Transport) {
  return {
    /** Stores pictures. Some may fail while others are stored: the response has an entry for each. */
    index(pictures: readonly Picture[], { metadata, ...query }: IndexOptions = {}, call?: CallOptions) {
      const form = new FormData();
      appendField(form, 'metadata', metadata === undefined ? undefined : JSON.stringify(metadata));
      for (const picture of pictures) form.append('image', toBlob(picture), fileName(picture));
      return json<IndexedImages>({ method: 'POST', path: '/index', query, body: form, call });
    },
    /** A page of the stored images, in the order in which they were stored. */
    images: (query: ListOptions = {}, call?: CallOptions) => json<ImagePage>({ path: '/images', query, call }),
    /** The record of one image. */
    image: (id: string, query: InCollection = {}, call?: CallOptions) =>
      json<StoredImage>({ path: imagePath(id), query, call }),
    /** Changes metadata by JSON merge patch: null removes a key. */
    patch: (id: string, metadata: { readonly [key: string]: unknown }, query: InCollection = {}, call?: CallOptions) =>
      json<StoredImage>({ method: 'PATCH', path: imagePath(id), query, json: { metadata }, call }),
    /** Removes an image. */
    async remove(id: string, query: InCollection = {}, call?: CallOptions): Promise<void> {
      await send({ method: 'DELETE', path: imagePath(id), query, call });
    },
    /**
     * The URL of a thumbnail, for an `img` where no key is needed. `thumbnailUrl` of a response is better: it can be
     * cached for ever.
     */
    thumbnailAddress: (id: string, query: InCollection = {}): URL =>
      address(`${imagePath(id)}/thumbnail`, { ...query }),
    /** The bytes of a thumbnail, WebP. */
    thumbnail: async (id: string, query: InCollection = {}, call?: CallOptions): Promise<Blob> =>
      (await send({ path: `${imagePath(id)}/thumbnail`, query, call })).blob(),
    /** The file as uploaded; NOT_FOUND where it was not kept (`originalUrl` of the record is null). */
    original: async (id: string, query: InCollection = {}, call?: CallOptions): Promise<Blob> =>
      (await send({ path: `${imagePath(id)}/original`, query, call })).blob(),
    /** The absolute URL of a path in a response, such as `thumbnailUrl`; a path prefix of a proxy is kept. */
    addressOf: (path: string): URL => address(path),
    /** The bytes at a path in a response, fetched with the key. */
    file: async (path: string, call?: CallOptions): Promise<Blob> => (await send({ path, call })).blob(),
    /** All collections and their sizes. */
    collections: (call?: CallOptions) => json<Collections>({ path: '/collections', call }),
    /** Removes a collection with all its images. */
    async removeCollection(name: string, call?: CallOptions): Promise<void> {
      await send({ method: 'DELETE', path: `/collections/${encodeURIComponent(name)}`, call });
    },
  };
}

function imports({ json, send }: Transport) {
  return {
    /** Starts an import job, which continues without the client. */
    startImport(source: ImportSource, { collection }: InCollection = {}, call?: CallOptions) {
      const request = { method: 'POST' as const, path: '/imports', call };
      if (!('archive' in source)) return json<ImportJob>({ ...request, json: { ...source, collection } });
      const form = new FormData();
      form.append('archive', source.archive, source.name ?? fileName(source.archive));
      return json<ImportJob>({ ...request, query: { collection }, body: form });
    },
    /** All jobs. */
    imports: (call?: CallOptions) => json<ImportJobs>({ path: '/imports', call }),
    /** One job. */
    import: (id: string, call?: CallOptions) => json<ImportJob>({ path: importPath(id), call }),
    /** The pictures that a job could not store, with the reasons, in pages. */
    importFailures: (id: string, query: { readonly cursor?: string } = {}, call?: CallOptions) =>
      json<ImportFailures>({ path: `${importPath(id)}/failures`, query, call }),
    /** Retries what failed. */
    retryImport: (id: string, call?: CallOptions) =>
      json<ImportJob>({ method: 'POST', path: `${importPath(id)}/retry`, call }),
    /** Cancels a running job, or removes one that has ended; the pictures that it stored remain. */
    async cancelImport(id: string, call?: CallOptions): Promise<void> {
      await send({ method: 'DELETE', path: importPath(id), call });
    },
    /** The job after each change, until it ends or the signal aborts. */
    async *importEvents(id: string, call?: CallOptions): AsyncGenerator<ImportJob, void> {
      const response = await send({ path: `${importPath(id)}/events`, call });
      if (response.body === null) {
        throw new LikenessError({
          code: 'UNEXPECTED_ANSWER',
          message: 'The response has no body.',
          httpStatus: response.status,
        });
      }
      yield* readImportEvents(response.body);
    },
  };
}

function service({ json, send }: Transport) {
  const text = async (path: string, call?: CallOptions): Promise<string> => (await send({ path, call })).text();
  return {
    /** Name, version and links of the documentation. */
    welcome: (call?: CallOptions) => json<Welcome>({ path: '/', call }),
    /** Counts, encoder, health of the indexes. */
    statistics: (call?: CallOptions) => json<Statistics>({ path: '/stats', call }),
    /** The evaluation report of the encoder, an HTML page; REPORT_MISSING where there is none. */
    encoderReport: async (call?: CallOptions): Promise<Blob> => (await send({ path: '/encoder/report', call })).blob(),
    /** The 2-D projection of the collection; its status is "computing" until it is there. */
    map: (query: InCollection = {}, call?: CallOptions) => json<EmbeddingMap>({ path: '/map', query, call }),
    /** Resolves when the service is ready; throws NOT_READY otherwise. */
    ready: (call?: CallOptions) => json<Readiness>({ path: '/readyz', call }),
    /** Resolves when the process serves requests. Both paths give the same response. */
    live: (path: '/livez' | '/healthz' = '/livez', call?: CallOptions) =>
      json<{ readonly status: 'ok' }>({ path, call }),
    /** The metrics in the text format of Prometheus. */
    metrics: (call?: CallOptions) => text('/metrics', call),
    /** The OpenAPI description, YAML. */
    description: (call?: CallOptions) => text('/openapi.yaml', call),
    /** Makes a snapshot of all collections; resolves when it is complete. */
    makeSnapshot: (call?: CallOptions) => json<Snapshot>({ method: 'POST', path: '/snapshots', call }),
    /** All snapshots, oldest first. */
    snapshots: (call?: CallOptions) => json<Snapshots>({ path: '/snapshots', call }),
    /** The file of a snapshot, a tar, as a stream. */
    snapshot: (name: string, call?: CallOptions): Promise<Response> => send({ path: snapshotPath(name), call }),
    /** Removes a snapshot. */
    async removeSnapshot(name: string, call?: CallOptions): Promise<void> {
      await send({ method: 'DELETE', path: snapshotPath(name), call });
    },
  };
}

const imagePath = (id: string): string => `/images/${encodeURIComponent(id)}`;
const importPath = (id: string): string => `/imports/${encodeURIComponent(id)}`;
const snapshotPath = (name: string): string => `/snapshots/${encodeURIComponent(name)}`;

function isStored(side: Compared): side is { readonly id: string } {
  return !(side instanceof Blob) && 'id' in side;
}

/** The jobs in a stream of server-sent events, one for each `data:`. Comments and other fields are skipped. */
async function* readImportEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<ImportJob, void> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let text = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      text += decoder.decode(value, { stream: true });
      const events = text.split(/\r?\n\r?\n/);
      text = events.pop() ?? '';
      for (const event of events) {
        const data = event
          .split(/\r?\n/)
          .filter((line) => line.startsWith('data:'))
          .map((line) => line.slice(5).replace(/^ /, ''));
        if (data.length > 0) yield JSON.parse(data.join('\n')) as ImportJob; // written by the schema of the service
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined); // It is closed or broken already.
  }
}
