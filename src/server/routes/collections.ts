import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { CollectionPath, CollectionsResponse, NoContent } from '../schemas/schemas.js';
import type { ServerContext } from '../server-context.js';
import { collectionNotFound } from '../tenancy.js';

/** The collections that the key may use: their sizes, and their removal. The first image creates a collection. */
export const collectionRoutes: FastifyPluginAsyncTypebox<ServerContext> = async (
  app,
  { catalogue, tenancy, scopeOf },
) => {
  app.get(
    '/collections',
    {
      config: { access: 'read' },
      schema: { tags: ['images'], summary: 'List collections', response: { 200: CollectionsResponse } },
    },
    async (request) => {
      const collections = await scopeOf(request).race(tenancy.statistics(request));
      return {
        collections: collections.map(({ efSearch = Number.POSITIVE_INFINITY, ...collection }) => ({
          ...collection,
          efSearch: Number.isFinite(efSearch) ? efSearch : null,
        })),
      };
    },
  );

  app.delete(
    '/collections/:name',
    {
      config: { access: 'write' },
      schema: {
        tags: ['images'],
        summary: 'Remove a collection with all its images',
        params: CollectionPath,
        response: { 204: NoContent },
      },
    },
    async (request, reply) => {
      const collection = tenancy.collectionFor(request, request.params.name);
      const wasThere = await scopeOf(request).race(catalogue.removeCollection(collection));
      if (!wasThere) throw collectionNotFound(collection);
      return reply.code(204).send(null);
    },
  );
};
