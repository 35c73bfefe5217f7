import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { CollectionsAnswer, errorAnswers } from '../schemas.js';
import type { ServerContext } from '../server-context.js';

/** GET /collections: the named sets of images that the key may use, and their sizes. A collection begins with its first image. */
export const collectionRoutes: FastifyPluginAsyncTypebox<ServerContext> = async (app, { tenancy, ledger }) => {
  app.get(
    '/collections',
    {
      config: { access: 'read' },
      schema: { tags: ['images'], summary: 'List collections', response: { 200: CollectionsAnswer, ...errorAnswers } },
    },
    async (request) => {
      const collections = await ledger.lifeOf(request).bound(tenancy.statistics(request));
      return {
        collections: collections.map(({ searchBreadth = Number.POSITIVE_INFINITY, ...collection }) => ({
          ...collection,
          searchBreadth: Number.isFinite(searchBreadth) ? searchBreadth : null,
        })),
      };
    },
  );
};
