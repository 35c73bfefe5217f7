import type { FastifyPluginAsyncTypebox, Static } from '@fastify/type-provider-typebox';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { AddResult, ImageId, Metadata } from '../../catalogue/catalogue.js';
import { SearchError } from '../../errors.js';
import { errorBody, prepareErrorReply, publicError, toSearchError } from '../error-answers.js';
import { isJson } from '../http-headers.js';
import { thumbnailUrl } from '../image-paths.js';
import { createPictureStore, type PictureTarget, type PreparedPicture } from '../ingest/picture-store.js';
import { maxBodyBytes, type ReceivedFile, readUpload } from '../ingest/upload.js';
import { ClientGoneError, type RequestScope } from '../limits/request-tracker.js';
import { checkMetadata, parseImageId, parseMetadata } from '../names.js';
import {
  IndexBody,
  type IndexBodyFields,
  IndexErrorResponse,
  IndexForm,
  IndexQuery,
  IndexResponse,
} from '../schemas/schemas.js';
import type { ServerContext } from '../server-context.js';
import type { OpenCollection } from '../tenancy.js';

/** Files of one request in progress; the next is not read from the socket until one is done. */
const FILES_AT_ONCE = 8;

/** A file that is decoded and encoded, before the fields that follow it are known. */
type Prepared = PreparedPicture | { readonly kind: 'failed'; readonly error: SearchError };
type Named<T> = T & { readonly name: string | null };
type PreparedUpload = {
  readonly fields: { readonly id: ImageId | undefined; readonly metadata: Metadata | undefined };
  readonly files: readonly Named<Prepared>[];
};
type Outcome = Named<{ readonly result: AddResult } | { readonly error: SearchError }>;

/** POST /index: pictures in, stored and found by the very next search. */
export const indexingRoutes: FastifyPluginAsyncTypebox<ServerContext> = async (app, context) => {
  const { settings, scopeOf, monitoring, tenancy, uploadMemory, pictureUrls, admit } = context;
  const pictures = createPictureStore(context);

  app.post(
    '/index',
    {
      config: {
        access: 'write',
        maxBodyBytes: maxBodyBytes(settings.maxUploadBytes, settings.maxFilesPerRequest),
        form: IndexForm,
        raw: ['image/*'],
        json: IndexBody,
      },
      schema: {
        tags: ['images'],
        summary: 'Store pictures',
        description:
          'The pictures are file parts of a multipart form, any field name, or one raw body; a JSON body names one by its URL. An answer 201 means: stored, flushed, and found by the very next search. Each file has its own outcome; where only some failed the answer is still 201.',
        querystring: IndexQuery,
        body: { content: { 'application/json': { schema: IndexBody } } },
        response: { 201: IndexResponse, '4xx': IndexErrorResponse, '5xx': IndexErrorResponse },
      },
    },
    async (request, reply) => {
      const { replace = false } = request.query;
      const collection = tenancy.collectionFor(request, request.query.collection);
      const idOfQuery = request.query.id === undefined ? undefined : parseImageId(request.query.id);
      const scope = scopeOf(request);
      const prepared = isJson(request)
        ? await prepareUrl(request, scope, collection)
        : await prepareFiles(request, scope, collection);
      scope.signal.throwIfAborted(); // nothing is stored for a client that has gone
      const { id, metadata } = { ...prepared.fields, id: oneOf(prepared.fields.id, idOfQuery) };
      if (id !== undefined && prepared.files.length > 1)
        throw new SearchError('INVALID_REQUEST', 'An id names one file; several were sent.');
      const outcomes = await Promise.all(
        prepared.files.map((file) => store(scope, file, { collection, id, metadata, replace })),
      );
      return answer(reply, collection, outcomes);
    },
  );

  /** Fetches the one picture that a JSON body names. */
  async function prepareUrl(
    request: FastifyRequest,
    scope: RequestScope,
    collection: OpenCollection,
  ): Promise<PreparedUpload> {
    const { url, id, metadata } = request.body as IndexBodyFields; // validated by the schema
    admit(request);
    const fields = {
      id: id === undefined ? undefined : parseImageId(id),
      metadata: metadata === undefined ? undefined : checkMetadata(metadata, settings.maxMetadataBytes),
    };
    const { bytes, name, release } = await pictureUrls.fetch(scope, url);
    try {
      return { fields, files: [{ name, ...(await pictures.prepare(scope, collection, bytes)) }] };
    } finally {
      release();
    }
  }

  /**
   * Reads the body; files are decoded and encoded while later ones arrive, and stored only when all fields are known.
   */
  async function prepareFiles(
    request: FastifyRequest,
    scope: RequestScope,
    collection: OpenCollection,
  ): Promise<PreparedUpload> {
    const files: Promise<Named<Prepared>>[] = [];
    const working = new Set<Promise<unknown>>();
    admit(request);
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
        if (!isPaid) admit(request);
        return { name: file.name, ...(await pictures.prepare(scope, collection, file.bytes)) };
      } catch (error) {
        return { name: file.name, kind: 'failed', error: toSearchError(error) };
      } finally {
        if ('bytes' in file) file.release();
      }
    };
    try {
      const fields = await readUpload({
        request,
        scope,
        memory: uploadMemory,
        settings,
        maxFiles: settings.maxFilesPerRequest,
        fieldNames: ['id', 'metadata'],
        receive,
      });
      return { fields: parseFields(fields), files: await Promise.all(files) };
    } catch (error) {
      await Promise.allSettled(files); // their memory and slots are released before the request ends
      throw error;
    }
  }

  async function store(
    scope: RequestScope,
    file: Named<Prepared>,
    target: Omit<PictureTarget, 'fileName'>,
  ): Promise<Outcome> {
    const { name } = file;
    if (file.kind === 'failed') return { name, error: file.error };
    try {
      return { name, result: await pictures.store(scope, file, { ...target, fileName: name }) };
    } catch (error) {
      if (error instanceof ClientGoneError) throw error;
      return { name, error: toSearchError(error) };
    }
  }

  function parseFields(fields: ReadonlyMap<string, string>): PreparedUpload['fields'] {
    const id = fields.get('id');
    const metadata = fields.get('metadata');
    return {
      id: id === undefined ? undefined : parseImageId(id),
      metadata: metadata === undefined ? undefined : parseMetadata(metadata, settings.maxMetadataBytes),
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
    return { images, added: count('added', 'replaced', 'updated'), existing: count('exists'), failed: errors.length };
  }
};

/**
 * One file fails with its own error. Where all of several failed, the response has the gravest error and lists each.
 */
function refuseAll(
  reply: FastifyReply,
  outcomes: readonly Outcome[],
  errors: readonly SearchError[],
): Static<typeof IndexErrorResponse> {
  const gravest = errors.reduce((worst, error) => (error.httpStatus > worst.httpStatus ? error : worst));
  if (errors.length === 1) throw gravest;
  prepareErrorReply(reply, gravest);
  const images = outcomes.flatMap((outcome) =>
    'error' in outcome ? [{ name: outcome.name, error: publicError(outcome.error) }] : [],
  );
  return {
    ...errorBody(gravest),
    message: `All ${errors.length} files failed; the gravest: ${publicError(gravest).message}`,
    images,
  };
}

function toEntry(collection: string, outcome: Outcome): Static<typeof IndexResponse>['images'][number] {
  const { name } = outcome;
  if ('error' in outcome) return { name, error: publicError(outcome.error) };
  const { id, status } = outcome.result;
  return { id, status, name, thumbnailUrl: thumbnailUrl(collection, id) };
}

function oneOf(inBody: ImageId | undefined, inQuery: ImageId | undefined): ImageId | undefined {
  if (inBody !== undefined && inQuery !== undefined)
    throw new SearchError('INVALID_REQUEST', '"id" stands in the query and in the body.');
  return inBody ?? inQuery;
}
