import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { InCollection, MapResponse } from '../schemas/schemas.js';
import type { ServerContext } from '../server-context.js';

/**
 * GET /map: a 2-D projection of a collection. Responds at once; a map that is missing or out of date is computed
 * meanwhile.
 */
export const mapRoutes: FastifyPluginAsyncTypebox<ServerContext> = async (app, { maps, tenancy, scopeOf }) => {
  app.get(
    '/map',
    {
      config: { access: 'read' },
      schema: {
        tags: ['images'],
        summary: 'The collection laid out in the plane',
        querystring: InCollection,
        response: { 200: MapResponse },
      },
    },
    async (request) => {
      const collection = tenancy.collectionFor(request, request.query.collection);
      const scope = scopeOf(request);
      const map = await scope.race(maps.mapOf(collection));
      if (map.images === 0) await scope.race(tenancy.requireExisting(request, collection));
      return map;
    },
  );
};
