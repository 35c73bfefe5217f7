/**
 * The API of a running service as typed functions, for Node 20 and browsers: `import { createClient } from 'likeness/client'`. Its types are
 * those of the service's own schemas. Every call takes a signal and its own patience; refusals are thrown as {@link LikenessError}.
 */
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
} from './answers.js';
import { readImportEvents } from './import-events.js';
import { LikenessError } from './likeness-error.js';
import { appendField, fileName, type Picture, type SearchQuery, searchFields, searchRequest, toBlob } from './search-query.js';
import { type CallOptions, type ClientOptions, createTransport, type Transport } from './transport.js';

export type * from './answers.js';
export { type ClientFaultCode, LikenessError, type LikenessErrorCode } from './likeness-error.js';
export type { Picture, SearchQuery } from './search-query.js';
export type { CallOptions, ClientOptions, RetryOptions } from './transport.js';

/** Where an image is looked for; the collection "default" where none is named. */
export type InCollection = { readonly collection?: string | undefined };
/** How pictures are stored. An `id` names one picture; `metadata` is kept with each. */
export type IndexOptions = InCollection & {
  readonly id?: string;
  readonly metadata?: { readonly [key: string]: unknown };
  readonly replace?: boolean;
};
/** Which stored images to list; `filter` is JSON text as docs/api.md describes it. */
export type ListOptions = InCollection & { readonly limit?: number; readonly cursor?: string; readonly filter?: string };
/** One side of a comparison: a picture, or a stored image by its id. */
export type Compared = Picture | { readonly id: string };
/** What to import: addresses, an archive (zip, tar, tar.gz), or the demo pictures that ship with the service. */
export type ImportSource =
  | { readonly urls: readonly string[] }
  | { readonly archive: Blob; readonly name?: string }
  | { readonly demo: true };
/** The client; see {@link createClient}. */
export type LikenessClient = ReturnType<typeof createClient>;

/** A client of the service at `url`. It holds no connection and no state: make as many as you like. */
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
    /** The stored images nearest to pictures, stored images, an address or a vector. */
    search: (query: SearchQuery, call?: CallOptions) => json<SearchPage>({ ...searchRequest(query), call }),
    /** The same as a link (GET /search), for stored images and addresses. */
    searchByLink: (query: Omit<SearchQuery, 'pictures' | 'negativePictures' | 'embedding' | 'encoderId'>, call?: CallOptions) =>
      json<SearchPage>({ path: '/search', query: searchFields(query), call }),
    /** The stored images nearest to a stored one, itself left out. */
    similar: (
      id: string,
      query: Omit<SearchQuery, 'pictures' | 'negativePictures' | 'ids' | 'negativeIds' | 'url' | 'crop' | 'embedding' | 'encoderId'> = {},
      call?: CallOptions,
    ) => json<SearchPage>({ path: `${imagePath(id)}/similar`, query: searchFields(query), call }),
    /** What two pictures are to each other: score, band, hashes, and where they match. */
    compare({ a, b, collection }: { readonly a: Compared; readonly b: Compared } & InCollection, call?: CallOptions) {
      const ask = { method: 'POST' as const, path: '/compare', query: { collection }, call };
      if (isStored(a) && isStored(b)) return json<Comparison>({ ...ask, json: { a: { id: a.id }, b: { id: b.id } } });
      const form = new FormData();
      for (const [name, side] of Object.entries({ a, b })) {
        if (isStored(side)) form.append(`${name}Id`, side.id);
        else form.append(name, toBlob(side), fileName(side));
      }
      return json<Comparison>({ ...ask, body: form });
    },
  };
}

function images({ address, json, send }: Transport) {
  return {
    /** Stores pictures. Some may fail while others are stored: each has its own entry in the answer. */
    index(pictures: readonly Picture[], { metadata, ...query }: IndexOptions = {}, call?: CallOptions) {
      const form = new FormData();
      appendField(form, 'metadata', metadata === undefined ? undefined : JSON.stringify(metadata));
      for (const picture of pictures) form.append('image', toBlob(picture), fileName(picture));
      return json<IndexedImages>({ method: 'POST', path: '/index', query, body: form, call });
    },
    /** A page of the stored images, in the order in which they were stored. */
    images: (query: ListOptions = {}, call?: CallOptions) => json<ImagePage>({ path: '/images', query, call }),
    /** The record of one image. */
    image: (id: string, query: InCollection = {}, call?: CallOptions) => json<StoredImage>({ path: imagePath(id), query, call }),
    /** Changes metadata by JSON merge patch: null removes a key. */
    patch: (id: string, metadata: { readonly [key: string]: unknown }, query: InCollection = {}, call?: CallOptions) =>
      json<StoredImage>({ method: 'PATCH', path: imagePath(id), query, json: { metadata }, call }),
    /** Removes an image; no later search finds it. */
    async remove(id: string, query: InCollection = {}, call?: CallOptions): Promise<void> {
      await send({ method: 'DELETE', path: imagePath(id), query, call });
    },
    /** The address of a thumbnail, for an `img` where no key is needed. Answers hold a better one, which may be cached for ever. */
    thumbnailAddress: (id: string, query: InCollection = {}): URL => address(`${imagePath(id)}/thumbnail`, { ...query }),
    /** The bytes of a thumbnail, WebP. */
    thumbnail: async (id: string, query: InCollection = {}, call?: CallOptions): Promise<Blob> =>
      (await send({ path: `${imagePath(id)}/thumbnail`, query, call })).blob(),
    /** The file as it was uploaded; NOT_FOUND where none was kept. Answers say so beforehand: `originalUrl` is null. */
    original: async (id: string, query: InCollection = {}, call?: CallOptions): Promise<Blob> =>
      (await send({ path: `${imagePath(id)}/original`, query, call })).blob(),
    /** The absolute address of a path in an answer, such as `thumbnailUrl`; a prefix that a proxy put before the service is kept. */
    addressOf: (path: string): URL => address(path),
    /** The bytes behind a path in an answer, fetched with the key. */
    file: async (path: string, call?: CallOptions): Promise<Blob> => (await send({ path, call })).blob(),
    /** All collections and their sizes. */
    collections: (call?: CallOptions) => json<Collections>({ path: '/collections', call }),
  };
}

function imports({ json, send }: Transport) {
  return {
    /** Starts an import job; it goes on without the client. */
    startImport(source: ImportSource, { collection }: InCollection = {}, call?: CallOptions) {
      const ask = { method: 'POST' as const, path: '/imports', call };
      if (!('archive' in source)) return json<ImportJob>({ ...ask, json: { ...source, collection } });
      const form = new FormData();
      form.append('archive', source.archive, source.name ?? fileName(source.archive));
      return json<ImportJob>({ ...ask, query: { collection }, body: form });
    },
    /** All jobs. */
    imports: (call?: CallOptions) => json<ImportJobs>({ path: '/imports', call }),
    /** One job. */
    import: (id: string, call?: CallOptions) => json<ImportJob>({ path: importPath(id), call }),
    /** What a job could not store, and why, in pages. */
    importFailures: (id: string, query: { readonly cursor?: string } = {}, call?: CallOptions) =>
      json<ImportFailures>({ path: `${importPath(id)}/failures`, query, call }),
    /** Tries what failed once more. */
    retryImport: (id: string, call?: CallOptions) => json<ImportJob>({ method: 'POST', path: `${importPath(id)}/retry`, call }),
    /** Cancels a job; what it stored stays. */
    async cancelImport(id: string, call?: CallOptions): Promise<void> {
      await send({ method: 'DELETE', path: importPath(id), call });
    },
    /** The job each time it has moved on, until it ends or the signal is raised. */
    async *importEvents(id: string, call?: CallOptions): AsyncGenerator<ImportJob, void> {
      const response = await send({ path: `${importPath(id)}/events`, call });
      if (response.body === null) {
        throw new LikenessError({ code: 'UNEXPECTED_ANSWER', message: 'The events have no body.', httpStatus: response.status });
      }
      yield* readImportEvents(response.body);
    },
  };
}

function service({ json, send }: Transport) {
  const text = async (path: string, call?: CallOptions): Promise<string> => (await send({ path, call })).text();
  return {
    /** Name, version and where the documentation is. */
    welcome: (call?: CallOptions) => json<Welcome>({ path: '/', call }),
    /** Counts, encoder, health of the indexes. */
    statistics: (call?: CallOptions) => json<Statistics>({ path: '/stats', call }),
    /** The encoder's evaluation, a page; REPORT_MISSING where it has none. */
    encoderReport: async (call?: CallOptions): Promise<Blob> => (await send({ path: '/encoder/report', call })).blob(),
    /** The collection laid out in two dimensions; computed in the background, so it may say "computing". */
    map: (query: InCollection = {}, call?: CallOptions) => json<EmbeddingMap>({ path: '/map', query, call }),
    /** Ready, or thrown as NOT_READY. */
    ready: (call?: CallOptions) => json<Readiness>({ path: '/readyz', call }),
    /** The process serves. `path` is the probe's: both say the same. */
    live: (path: '/livez' | '/healthz' = '/livez', call?: CallOptions) => json<{ readonly status: 'ok' }>({ path, call }),
    /** The metrics as Prometheus reads them. */
    metrics: (call?: CallOptions) => text('/metrics', call),
    /** The description of the API, YAML. */
    description: (call?: CallOptions) => text('/openapi.yaml', call),
    /** Makes a snapshot of all collections; answers when it is whole. */
    makeSnapshot: (call?: CallOptions) => json<Snapshot>({ method: 'POST', path: '/snapshots', call }),
    /** All snapshots, oldest first. */
    snapshots: (call?: CallOptions) => json<Snapshots>({ path: '/snapshots', call }),
    /** A snapshot's file, a tar, as it arrives. */
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
