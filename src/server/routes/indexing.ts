import { createHash, webcrypto } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import type { FastifyPluginAsyncTypebox, Static } from '@fastify/type-provider-typebox';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { AddResult, ImageId, Metadata } from '../../catalogue/catalogue.js';
import { SearchError } from '../../errors.js';
import { errorBody, prepareErrorReply, publicError, toSearchError } from '../error-answers.js';
import { parseImageId, parseMetadata } from '../names.js';
import { thumbnailUrl } from '../neighbour-search.js';
import type { EncodedImage } from '../pipeline.js';
import { ClientGoneError, type RequestLife } from '../request-ledger.js';
import { IndexAnswer, IndexErrorAnswer, IndexForm, IndexQuery } from '../schemas.js';
import type { ServerContext } from '../server-context.js';
import type { OpenCollection } from '../tenancy.js';
import { maxBodyBytes, type ReceivedFile, readUpload } from '../upload.js';

/** Files of one request that are worked on at once; the next is not read from the socket until one is done. */
const FILES_AT_ONCE = 8;
/** Up to here a digest on the main thread is cheaper than handing it to the thread pool (about 1 ms a megabyte). */
const DIGEST_INLINE_BYTES = 256 * 1024;

/** A file of the request, as far as it can be brought before the fields that follow it are known. */
type Prepared =
  | { readonly kind: 'exists'; readonly id: ImageId }
  | { readonly kind: 'encoded'; readonly encoded: EncodedImage; readonly bytes: number; readonly original: Buffer | undefined }
  | { readonly kind: 'failed'; readonly error: SearchError };
type Named<T> = T & { readonly name: string | null };
type PreparedUpload = { readonly fields: ReadonlyMap<string, string>; readonly files: readonly Named<Prepared>[] };
type Outcome = Named<{ readonly result: AddResult } | { readonly error: SearchError }>;

/** POST /index: pictures in, stored and found by the very next search. */
export const indexingRoutes: FastifyPluginAsyncTypebox<ServerContext> = async (app, context) => {
  const { settings, catalogue, encodeImage, ledger, monitoring, tenancy, uploadMemory, refuseWhenFull, spendQuota } = context;

  app.post(
    '/index',
    {
      config: { access: 'write', maxBodyBytes: maxBodyBytes(settings.maxUploadBytes, settings.maxFilesPerRequest), form: IndexForm },
      schema: {
        tags: ['images'],
        summary: 'Store pictures',
        description:
          'The pictures are file parts of a multipart form, any field name, or one raw body. An answer 201 means: stored, flushed, and found by the very next search. Each file has its own outcome; where only some failed the answer is still 201.',
        querystring: IndexQuery,
        response: { 201: IndexAnswer, '4xx': IndexErrorAnswer, '5xx': IndexErrorAnswer },
      },
    },
    async (request, reply) => {
      const { replace = false } = request.query;
      const collection = tenancy.collectionFor(request, request.query.collection);
      const idOfQuery = request.query.id === undefined ? undefined : parseImageId(request.query.id);
      const life = ledger.lifeOf(request);
      const prepared = await prepareFiles(request, life, collection);
      life.signal.throwIfAborted(); // Nothing is stored for a client that has gone.
      const { id, metadata } = parseFields(prepared.fields, idOfQuery);
      if (id !== undefined && prepared.files.length > 1)
        throw new SearchError('INVALID_REQUEST', 'An id names one file; several were sent.');
      const outcomes = await Promise.all(prepared.files.map((file) => store(life, file, { collection, id, metadata, replace })));
      return answer(reply, collection, outcomes);
    },
  );

  /** Reads the body; files are decoded and encoded while later ones still arrive, and stored only when all fields are known. */
  async function prepareFiles(request: FastifyRequest, life: RequestLife, collection: OpenCollection): Promise<PreparedUpload> {
    const { maxFilesPerRequest: maxFiles } = settings;
    const files: Promise<Named<Prepared>>[] = [];
    const working = new Set<Promise<unknown>>();
    spendQuota(request, 1);
    refuseWhenFull(request);
    const receive = async (file: ReceivedFile): Promise<void> => {
      const isPaid = files.length === 0;
      const work = prepare(file, isPaid).finally(() => working.delete(work));
      working.add(work);
      files.push(work);
      if (working.size >= FILES_AT_ONCE) await Promise.race(working);
    };
    const prepare = async (file: ReceivedFile, isPaid: boolean): Promise<Named<Prepared>> => {
      try {
        if ('error' in file) throw file.error;
        if (!isPaid) spendQuota(request, 1);
        return { name: file.name, ...(await prepareBytes(file.bytes, life, collection)) };
      } catch (error) {
        return { name: file.name, kind: 'failed', error: toSearchError(error) };
      } finally {
        if ('bytes' in file) file.release();
      }
    };
    try {
      const fields = await readUpload({ request, life, memory: uploadMemory, settings, maxFiles, fieldNames: ['id', 'metadata'], receive });
      return { fields, files: await Promise.all(files) };
    } catch (error) {
      await Promise.allSettled(files); // Their memory and places are given back before the request is over.
      throw error;
    }
  }

  /** The same bytes are not decoded twice: the catalogue is asked for their digest first. */
  async function prepareBytes(bytes: Buffer, life: RequestLife, collection: OpenCollection): Promise<Prepared> {
    const id = await life.bound(catalogue.findBySha256(collection, await sha256(bytes)));
    if (id !== undefined) return { kind: 'exists', id };
    const encoded = await encodeImage(bytes, { life, thumbnail: true });
    return { kind: 'encoded', encoded, bytes: bytes.length, original: settings.keepOriginals ? bytes : undefined };
  }

  async function store(life: RequestLife, file: Named<Prepared>, target: Target): Promise<Outcome> {
    const { name } = file;
    if (file.kind === 'failed') return { name, error: file.error };
    if (file.kind === 'exists') return { name, result: { id: file.id, status: 'exists' } };
    const { image, embedding } = file.encoded;
    const { sha256: digest, perceptualHash, perceptualHashQuality, format, width, height, thumbnail } = image;
    const { collection, id, metadata, replace } = target;
    if (thumbnail === undefined) throw new Error('The decoder made no thumbnail. This is a bug.');
    const picture = {
      sha256: digest,
      perceptualHash,
      perceptualHashQuality,
      format,
      width,
      height,
      thumbnail,
      bytes: file.bytes,
      original: file.original,
    };
    try {
      const startedAt = performance.now();
      const result = await life.bound(catalogue.add(collection, { ...picture, id, metadata, replace, fileName: name, embedding }));
      monitoring.observeStage('commit', performance.now() - startedAt);
      return { name, result };
    } catch (error) {
      if (error instanceof ClientGoneError) throw error;
      return { name, error: toSearchError(error) };
    }
  }

  function parseFields(fields: ReadonlyMap<string, string>, idOfQuery: ImageId | undefined): Pick<Target, 'id' | 'metadata'> {
    const idText = fields.get('id');
    if (idText !== undefined && idOfQuery !== undefined)
      throw new SearchError('INVALID_REQUEST', '"id" stands in the query and in the form.');
    const metadataText = fields.get('metadata');
    return {
      id: idText === undefined ? idOfQuery : parseImageId(idText),
      metadata: metadataText === undefined ? {} : parseMetadata(metadataText, settings.maxMetadataBytes),
    };
  }

  function answer(reply: FastifyReply, collection: string, outcomes: readonly Outcome[]) {
    const count = (...statuses: readonly AddResult['status'][]): number =>
      outcomes.filter((outcome) => 'result' in outcome && statuses.includes(outcome.result.status)).length;
    for (const outcome of outcomes) monitoring.countImage('result' in outcome ? outcome.result.status : 'failed');
    const errors = outcomes.flatMap((outcome) => ('error' in outcome ? [outcome.error] : []));
    for (const error of errors)
      if (error.httpStatus >= 500) reply.log.error({ err: error, code: error.code }, 'an image of POST /index failed');
    if (errors.length === outcomes.length) return refuseAll(reply, outcomes, errors);
    const images = outcomes.map((outcome) => toEntry(collection, outcome));
    reply.code(201);
    return { images, added: count('added', 'replaced'), existing: count('exists'), failed: errors.length };
  }
};

type Target = {
  readonly collection: OpenCollection;
  readonly id: ImageId | undefined;
  readonly metadata: Metadata;
  readonly replace: boolean;
};

/** A single file fails with its own error; of several that all failed the gravest speaks, and each is listed. */
function refuseAll(reply: FastifyReply, outcomes: readonly Outcome[], errors: readonly SearchError[]): Static<typeof IndexErrorAnswer> {
  const gravest = errors.reduce((worst, error) => (error.httpStatus > worst.httpStatus ? error : worst));
  if (errors.length === 1) throw gravest;
  prepareErrorReply(reply, gravest);
  const images = outcomes.flatMap((outcome) => ('error' in outcome ? [{ name: outcome.name, error: publicError(outcome.error) }] : []));
  return { ...errorBody(gravest), message: `All ${errors.length} files failed; the gravest: ${publicError(gravest).message}`, images };
}

function toEntry(collection: string, outcome: Outcome): Static<typeof IndexAnswer>['images'][number] {
  const { name } = outcome;
  if ('error' in outcome) return { name, error: publicError(outcome.error) };
  const { id, status } = outcome.result;
  return { id, status, name, thumbnailUrl: thumbnailUrl(collection, id) };
}

async function sha256(bytes: Buffer): Promise<Uint8Array> {
  if (bytes.length <= DIGEST_INLINE_BYTES) return createHash('sha256').update(bytes).digest();
  return new Uint8Array(await webcrypto.subtle.digest('SHA-256', bytes));
}
