import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { MapAnswer } from '../map-schemas.js';
import { errorAnswers, InCollection } from '../schemas.js';
import type { ServerContext } from '../server-context.js';

/** GET /map: a collection laid out in the plane. Answers at once what there is; a map that is missing or out of date is computed meanwhile. */
export const mapRoutes: FastifyPluginAsyncTypebox<ServerContext> = async (app, { maps, tenancy, ledger }) => {
  app.get(
    '/map',
    {
      config: { access: 'read' },
      schema: {
        tags: ['images'],
        summary: 'The collection laid out in the plane',
        querystring: InCollection,
        response: { 200: MapAnswer, ...errorAnswers },
      },
    },
    async (request) => {
      const collection = tenancy.collectionFor(request, request.query.collection);
      return ledger.lifeOf(request).bound(maps.mapOf(collection));
    },
  );
};
