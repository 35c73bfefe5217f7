import { Socket } from 'node:net';
import type { FastifyPluginAsyncTypebox, Static } from '@fastify/type-provider-typebox';
import type { Snapshot } from '../../catalogue/snapshots/snapshots.js';
import { fileResponse, NoContent, SnapshotPath, SnapshotResponse, SnapshotsResponse } from '../schemas/schemas.js';
import type { ServerContext } from '../server-context.js';

const tags = ['snapshots'];
const config = { access: 'admin', scope: 'service' } as const;

/** Snapshots of the whole catalogue. For administrators only, since they hold every collection. */
export const snapshotRoutes: FastifyPluginAsyncTypebox<ServerContext> = async (app, { snapshots }) => {
  app.post(
    '/snapshots',
    {
      config,
      schema: {
        tags,
        summary: 'Make a snapshot',
        description:
          'A consistent copy of all collections in one file in the data folder, made while the service goes on. Answers when it is whole and flushed, however long that takes; it is finished also if the client leaves.',
        response: { 201: SnapshotResponse },
      },
    },
    async (request, reply) => {
      // The connection is silent until the snapshot is done. An injected request has no real socket.
      if (request.raw.socket instanceof Socket) request.raw.socket.setTimeout(0);
      const snapshot = await snapshots.create();
      return reply.code(201).header('location', `/snapshots/${snapshot.name}`).send(toAnswer(snapshot));
    },
  );

  app.get(
    '/snapshots',
    {
      config,
      schema: { tags, summary: 'List snapshots', response: { 200: SnapshotsResponse } },
    },
    async () => ({ snapshots: (await snapshots.list()).map(toAnswer) }),
  );

  app.get(
    '/snapshots/:name',
    {
      exposeHeadRoute: false,
      config,
      schema: {
        tags,
        summary: 'Download a snapshot',
        description: '`likeness restore` makes a data folder of it, after verifying every byte.',
        params: SnapshotPath,
        response: { 200: fileResponse('application/x-tar', 'The snapshot, a tar.') },
      },
    },
    async (request, reply) => {
      const { name } = request.params;
      const { bytes, content } = await snapshots.open(name);
      reply.header('content-length', bytes).header('content-disposition', `attachment; filename="${name}.tar"`);
      return reply
        .header('cache-control', 'private, no-store')
        .type('application/x-tar')
        .send(content as unknown as Uint8Array); // the schema says bytes; Fastify sends the stream
    },
  );

  app.delete(
    '/snapshots/:name',
    {
      config,
      schema: {
        tags,
        summary: 'Remove a snapshot',
        params: SnapshotPath,
        response: { 204: NoContent },
      },
    },
    async (request, reply) => {
      await snapshots.remove(request.params.name);
      return reply.code(204).send(null);
    },
  );
};

function toAnswer({ name, bytes, manifest }: Snapshot): Static<typeof SnapshotResponse> {
  if (manifest === undefined) return { name, bytes, whole: false };
  const { created, encoderId, dimensions, lastSequence, images } = manifest;
  const collections = [...manifest.collections];
  return { name, bytes, whole: true, created, encoderId, dimensions, lastSequence, images, collections };
}
