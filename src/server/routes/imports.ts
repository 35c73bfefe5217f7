import type { FastifyPluginAsyncTypebox, Static } from '@fastify/type-provider-typebox';
import type { FastifyRequest } from 'fastify';
import { SearchError } from '../../errors.js';
import type { ImportJob } from '../../importing/import-jobs.js';
import { ARCHIVE_TYPES, readArchive } from '../archive-upload.js';
import { importEvents } from '../import-events.js';
import {
  FailuresAnswer,
  FailuresQuery,
  ImportAnswer,
  ImportBody,
  type ImportBodyFields,
  ImportForm,
  ImportPath,
  ImportQueryString,
  ImportsAnswer,
  MAX_URL_LIST_BYTES,
} from '../import-schemas.js';
import { errorAnswers, fileAnswer } from '../schemas.js';
import type { ServerContext } from '../server-context.js';

const tags = ['imports'];
const config = { access: 'write' as const };
/** Room for a form's boundaries beside the archive. */
const FORM_BYTES = 64 * 1024;

/** Imports: many pictures by URL or archive, stored in the background, each accounted for. */
export const importRoutes: FastifyPluginAsyncTypebox<ServerContext> = async (app, context) => {
  const { settings, imports, pictureUrls, tenancy, ledger, spendQuota } = context;
  // The archive's bytes are read by the handler, as they arrive.
  app.addContentTypeParser(ARCHIVE_TYPES, (_request, _payload, done) => done(null));

  app.post(
    '/imports',
    {
      bodyLimit: MAX_URL_LIST_BYTES,
      config: {
        ...config,
        maxBodyBytes: Math.max(settings.importMaxArchiveBytes + FORM_BYTES, MAX_URL_LIST_BYTES),
        bodyTimeoutMs: settings.importTimeoutMs,
        form: ImportForm,
        json: ImportBody,
      },
      schema: {
        tags,
        summary: 'Start an import',
        description:
          'An archive (zip, tar, tar.gz) as the raw body or the one file of a form; or, as JSON, URLs or the demo pictures. Answers 202 when the job is written down: it goes on without the client, and after a restart.',
        querystring: ImportQueryString,
        body: { content: { 'application/json': { schema: ImportBody } } },
        response: { 202: ImportAnswer, ...errorAnswers },
      },
    },
    async (request, reply) => {
      spendQuota(request, 1);
      const job = isJson(request) ? await startFromJson(request) : await startFromArchive(request, request.query.collection);
      return reply.code(202).header('location', `/imports/${job.id}`).send(toAnswer(job));
    },
  );

  async function startFromArchive(request: FastifyRequest, name: string | undefined): Promise<ImportJob> {
    const collection = tenancy.collectionFor(request, name);
    return readArchive(request, settings.importMaxArchiveBytes, (archive) => imports.importArchive(collection, archive));
  }

  async function startFromJson(request: FastifyRequest): Promise<ImportJob> {
    const { urls, demo, collection: inBody } = request.body as ImportBodyFields; // the schema has checked it
    const { collection: inQuery } = request.query as Static<typeof ImportQueryString>;
    if (inBody !== undefined && inQuery !== undefined && inBody !== inQuery)
      throw new SearchError('INVALID_REQUEST', '"collection" stands in the query and in the body; send it once.');
    if ((urls === undefined) === (demo === undefined)) throw new SearchError('INVALID_REQUEST', 'Send "urls" or "demo", one of them.');
    const collection = tenancy.collectionFor(request, inBody ?? inQuery);
    if (urls === undefined) return imports.importDemo(collection);
    pictureUrls.refuseWhereOff();
    return imports.importUrls(collection, urls);
  }

  app.get(
    '/imports',
    { config, schema: { tags, summary: 'List imports', response: { 200: ImportsAnswer, ...errorAnswers } } },
    async (request) => {
      const jobs = await ledger.lifeOf(request).bound(imports.list());
      return { imports: jobs.filter(({ collection }) => tenancy.mayUse(request, collection)).map(toAnswer) };
    },
  );

  app.get(
    '/imports/:id',
    { config, schema: { tags, summary: 'One import', params: ImportPath, response: { 200: ImportAnswer, ...errorAnswers } } },
    async (request) => toAnswer(await visible(request, request.params.id)),
  );

  app.get(
    '/imports/:id/failures',
    {
      config,
      schema: {
        tags,
        summary: 'What an import could not store, and why',
        params: ImportPath,
        querystring: FailuresQuery,
        response: { 200: FailuresAnswer, ...errorAnswers },
      },
    },
    async (request): Promise<Static<typeof FailuresAnswer>> => {
      const { limit = 100, cursor } = request.query;
      const { id } = await visible(request, request.params.id);
      const found = await imports.failures(id, { after: cursor === undefined ? -1 : Number(cursor), limit: limit + 1 });
      const page = found.slice(0, limit);
      const failures = page.map(({ name, code, message }) => ({ name, code, message }));
      return found.length > limit ? { failures, nextCursor: String(page.at(-1)?.number) } : { failures };
    },
  );

  app.get(
    '/imports/:id/events',
    {
      config,
      exposeHeadRoute: false,
      schema: {
        tags,
        summary: 'Follow an import',
        description: 'Server-sent events: the job as data, again whenever it has moved on; closed when it ends or the service stops.',
        params: ImportPath,
        response: { 200: fileAnswer('text/event-stream', 'Events, each with the job as GET /imports/{id} answers it.'), ...errorAnswers },
      },
    },
    async (request, reply) => {
      const job = await visible(request, request.params.id);
      const events = importEvents(imports, job, (moved) => JSON.stringify(toAnswer(moved)));
      reply.header('cache-control', 'no-store').header('x-accel-buffering', 'no').type('text/event-stream; charset=utf-8');
      return reply.send(events as unknown as string); // the schema knows text, and Fastify streams
    },
  );

  app.post(
    '/imports/:id/retry',
    {
      config,
      schema: {
        tags,
        summary: 'Try again what failed',
        description:
          'Also goes on with a cancelled import. An archive is kept for this as long as it has failures and is among the newest imports.',
        params: ImportPath,
        response: { 202: ImportAnswer, ...errorAnswers },
      },
    },
    async (request, reply) => {
      const { id } = await visible(request, request.params.id);
      return reply.code(202).send(toAnswer(await imports.retry(id)));
    },
  );

  app.delete(
    '/imports/:id',
    {
      config,
      schema: {
        tags,
        summary: 'Cancel an import, or forget one that has ended',
        description: 'What it stored stays. Answers the job as it is, or last was.',
        params: ImportPath,
        response: { 200: ImportAnswer, ...errorAnswers },
      },
    },
    async (request) => {
      const { id } = await visible(request, request.params.id);
      return toAnswer(await imports.cancel(id));
    },
  );

  /** A job of a collection that the request may know of; another's is not there. */
  async function visible(request: FastifyRequest, id: string): Promise<ImportJob> {
    const job = await ledger.lifeOf(request).bound(imports.get(id));
    if (!tenancy.mayUse(request, job.collection)) throw new SearchError('NOT_FOUND', 'There is no such import.');
    return job;
  }
};

function toAnswer({ id, status, kind, name, collection, createdAt, finishedAt, counts, error }: ImportJob): Static<typeof ImportAnswer> {
  return {
    ...{ id, status, source: { kind, name }, collection, createdAt: new Date(createdAt).toISOString() },
    ...{ finishedAt: finishedAt === null ? null : new Date(finishedAt).toISOString(), counts, error },
  };
}

function isJson(request: FastifyRequest): boolean {
  return /^application\/json/i.test(request.headers['content-type'] ?? '');
}
