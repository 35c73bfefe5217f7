import { Socket } from 'node:net';
import type { FastifyPluginAsyncTypebox, Static } from '@fastify/type-provider-typebox';
import type { Snapshot } from '../../catalogue/snapshots.js';
import { errorAnswers, fileAnswer, NoContent, SnapshotAnswer, SnapshotPath, SnapshotsAnswer } from '../schemas.js';
import type { ServerContext } from '../server-context.js';

const tags = ['snapshots'];

/** Snapshots of the whole catalogue: make, list, download, remove. For administrators only, since they hold every collection. */
export const snapshotRoutes: FastifyPluginAsyncTypebox<ServerContext> = async (app, { snapshots }) => {
  app.post(
    '/snapshots',
    {
      config: { access: 'admin', scope: 'service' },
      schema: {
        tags,
        summary: 'Make a snapshot',
        description:
          'A consistent copy of all collections in one file in the data folder, made while the service goes on. Answers when it is whole and flushed, however long that takes; it is finished also if the client leaves.',
        response: { 201: SnapshotAnswer, ...errorAnswers },
      },
    },
    async (request, reply) => {
      // Nothing is sent until it is done, which a quiet connection must outlive; an injected request has no real one.
      if (request.raw.socket instanceof Socket) request.raw.socket.setTimeout(0);
      const snapshot = await snapshots.create();
      return reply.code(201).header('location', `/snapshots/${snapshot.name}`).send(toAnswer(snapshot));
    },
  );

  app.get(
    '/snapshots',
    {
      config: { access: 'admin', scope: 'service' },
      schema: { tags, summary: 'List snapshots', response: { 200: SnapshotsAnswer, ...errorAnswers } },
    },
    async () => ({ snapshots: (await snapshots.list()).map(toAnswer) }),
  );

  app.get(
    '/snapshots/:name',
    {
      exposeHeadRoute: false,
      config: { access: 'admin', scope: 'service' },
      schema: {
        tags,
        summary: 'Download a snapshot',
        description: '`likeness restore` makes a data folder of it, after verifying every byte.',
        params: SnapshotPath,
        response: { 200: fileAnswer('application/x-tar', 'The snapshot, a tar.'), ...errorAnswers },
      },
    },
    async (request, reply) => {
      const { name } = request.params;
      const { bytes, content } = await snapshots.open(name);
      reply.header('content-length', bytes).header('content-disposition', `attachment; filename="${name}.tar"`);
      return reply
        .header('cache-control', 'private, no-store')
        .type('application/x-tar')
        .send(content as unknown as Uint8Array); // the schema knows bytes, and Fastify streams
    },
  );

  app.delete(
    '/snapshots/:name',
    {
      config: { access: 'admin', scope: 'service' },
      schema: { tags, summary: 'Remove a snapshot', params: SnapshotPath, response: { 204: NoContent, ...errorAnswers } },
    },
    async (request, reply) => {
      await snapshots.remove(request.params.name);
      return reply.code(204).send(null);
    },
  );
};

function toAnswer({ name, bytes, manifest }: Snapshot): Static<typeof SnapshotAnswer> {
  if (manifest === undefined) return { name, bytes, whole: false };
  const { created, encoderId, dimensions, lastSequence, images, collections } = manifest;
  return { name, bytes, whole: true, created, encoderId, dimensions, lastSequence, images, collections: [...collections] };
}
