import type { FastifyPluginAsyncTypebox, Static } from '@fastify/type-provider-typebox';
import type { FastifyRequest } from 'fastify';
import { SearchError } from '../../errors.js';
import type { ImportJob } from '../../importing/import-jobs.js';
import { isJson } from '../http-headers.js';
import { ARCHIVE_TYPES, readArchive } from '../ingest/archive-upload.js';
import {
  FailuresQuery,
  FailuresResponse,
  ImportBody,
  type ImportBodyFields,
  ImportForm,
  ImportPath,
  ImportQueryString,
  ImportResponse,
  ImportsResponse,
  MAX_URL_LIST_BYTES,
} from '../schemas/import-schemas.js';
import { fileResponse } from '../schemas/schemas.js';
import type { ServerContext } from '../server-context.js';

const tags = ['imports'];
const config = { access: 'write' as const };
/** Bytes allowed for the boundaries of a form around the archive. */
const FORM_BYTES = 64 * 1024;

/** Imports: many pictures by URL or archive, stored in the background. */
export const importRoutes: FastifyPluginAsyncTypebox<ServerContext> = async (app, context) => {
  const { settings, imports, pictureUrls, tenancy, scopeOf } = context;
  const callerOf = (request: FastifyRequest): string => scopeOf(request).caller;
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
        raw: ['application/zip', 'application/x-tar', 'application/gzip'],
        json: ImportBody,
      },
      schema: {
        tags,
        summary: 'Start an import',
        description:
          'An archive (zip, tar, tar.gz) as the raw body or the one file of a form; or, as JSON, URLs or the demo pictures. Responds 202 when the job is stored: it continues without the client, and after a restart.',
        querystring: ImportQueryString,
        body: { content: { 'application/json': { schema: ImportBody } } },
        response: { 202: ImportResponse },
      },
    },
    async (request, reply) => {
      const job = isJson(request)
        ? await startFromJson(request)
        : await startFromArchive(request, request.query.collection);
      return reply.code(202).header('location', `/imports/${job.id}`).send(toAnswer(job));
    },
  );

  async function startFromArchive(request: FastifyRequest, name: string | undefined): Promise<ImportJob> {
    const target = { collection: tenancy.collectionFor(request, name), caller: callerOf(request) };
    return readArchive(request, settings.importMaxArchiveBytes, (archive) => imports.importArchive(target, archive));
  }

  async function startFromJson(request: FastifyRequest): Promise<ImportJob> {
    const { urls, demo, collection: inBody } = request.body as ImportBodyFields; // validated by the schema
    const { collection: inQuery } = request.query as Static<typeof ImportQueryString>;
    if (inBody !== undefined && inQuery !== undefined && inBody !== inQuery)
      throw new SearchError('INVALID_REQUEST', '"collection" is in the query and in the body; send it once.');
    if ((urls === undefined) === (demo === undefined))
      throw new SearchError('INVALID_REQUEST', 'Send either "urls" or "demo".');
    const target = { collection: tenancy.collectionFor(request, inBody ?? inQuery), caller: callerOf(request) };
    if (urls === undefined) return imports.importDemo(target);
    pictureUrls.refuseWhereOff();
    return imports.importUrls(target, urls);
  }

  app.get(
    '/imports',
    { config, schema: { tags, summary: 'List imports', response: { 200: ImportsResponse } } },
    async (request) => {
      const jobs = await scopeOf(request).race(imports.list());
      return { imports: jobs.filter(({ collection }) => tenancy.mayUse(request, collection)).map(toAnswer) };
    },
  );

  app.get(
    '/imports/:id',
    {
      config,
      schema: { tags, summary: 'One import', params: ImportPath, response: { 200: ImportResponse } },
    },
    async (request) => toAnswer(await visible(request, request.params.id)),
  );

  app.get(
    '/imports/:id/failures',
    {
      config,
      schema: {
        tags,
        summary: 'Pictures that an import could not store, and why',
        params: ImportPath,
        querystring: FailuresQuery,
        response: { 200: FailuresResponse },
      },
    },
    async (request): Promise<Static<typeof FailuresResponse>> => {
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
        description:
          'Server-sent events: the job as data, again after every change; closed when it ends or the service stops.',
        params: ImportPath,
        response: {
          200: fileResponse('text/event-stream', 'Events, each with the job in the format of GET /imports/{id}.'),
        },
      },
    },
    async (request, reply) => {
      const job = await visible(request, request.params.id);
      const events = imports.follow(job, callerOf(request), (changed) =>
        changed === undefined ? ':\n\n' : `data: ${JSON.stringify(toAnswer(changed))}\n\n`,
      );
      reply
        .header('cache-control', 'no-store')
        .header('x-accel-buffering', 'no')
        .type('text/event-stream; charset=utf-8');
      return reply.send(events as unknown as string); // the schema says text; Fastify sends the stream
    },
  );

  app.post(
    '/imports/:id/retry',
    {
      config,
      schema: {
        tags,
        summary: 'Retry what failed',
        description:
          'Also continues a cancelled import of URLs. An archive is kept for a retry while its import has failures and is among the newest.',
        params: ImportPath,
        response: { 202: ImportResponse },
      },
    },
    async (request, reply) => {
      const { id } = await visible(request, request.params.id);
      return reply.code(202).send(toAnswer(await imports.retry(id, callerOf(request))));
    },
  );

  app.delete(
    '/imports/:id',
    {
      config,
      schema: {
        tags,
        summary: 'Cancel an import, or remove one that has ended',
        description: 'The pictures that it stored remain. Returns the job in its last state.',
        params: ImportPath,
        response: { 200: ImportResponse },
      },
    },
    async (request) => {
      const { id } = await visible(request, request.params.id);
      return toAnswer(await imports.cancel(id));
    },
  );

  /** Throws NOT_FOUND where the request may not use the collection of the job. */
  async function visible(request: FastifyRequest, id: string): Promise<ImportJob> {
    const job = await scopeOf(request).race(imports.get(id));
    if (!tenancy.mayUse(request, job.collection)) throw new SearchError('NOT_FOUND', 'There is no such import.');
    return job;
  }
};

function toAnswer(job: ImportJob): Static<typeof ImportResponse> {
  const { id, status, kind, name, collection, counts, error, skipped } = job;
  return {
    ...{ id, status, source: { kind, name }, collection, createdAt: new Date(job.createdAt).toISOString() },
    ...{ finishedAt: job.finishedAt === null ? null : new Date(job.finishedAt).toISOString(), counts, error, skipped },
    outcome: status === 'done' && counts.failed > 0 ? 'done with failures' : status,
  };
}
