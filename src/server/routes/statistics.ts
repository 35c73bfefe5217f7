import { performance } from 'node:perf_hooks';
import type { FastifyPluginAsyncTypebox, Static } from '@fastify/type-provider-typebox';
import type { UsedScores } from '../derived/collection-scores.js';
import { StatisticsResponse } from '../schemas/statistics-schemas.js';
import type { ServerContext } from '../server-context.js';
import { REPORT_PATH } from './encoder-report.js';

/**
 * GET /stats: what runs here, what it holds, and how good its scores are. A key limited to collections learns of those
 * alone.
 */
export const statisticsRoutes: FastifyPluginAsyncTypebox<ServerContext> = async (
  app,
  { settings, encoder, version, scores, report, imports, tenancy, scopeOf },
) => {
  const startedAt = performance.now();

  app.get(
    '/stats',
    {
      config: { access: 'read' },
      schema: {
        tags: ['health'],
        summary: 'What runs here and what it holds',
        response: { 200: StatisticsResponse },
      },
    },
    async (request): Promise<Static<typeof StatisticsResponse>> => {
      const collections = await scopeOf(request).race(tenancy.statistics(request));
      const { name, id, dimensions, runtime, device, hasFeatures = false } = encoder.description;
      return {
        version,
        urlFetch: settings.allowUrlFetch,
        uptimeSeconds: Math.round((performance.now() - startedAt) / 1000),
        encoder: { name, id, dimensions, runtime, device, hasFeatures },
        collections: collections.map(({ name, images, indexed, deleted, efSearch, recall }) => ({
          ...{ name, images, indexedImages: indexed, deletedMarks: deleted },
          breadth: efSearch !== undefined && Number.isFinite(efSearch) ? efSearch : null,
          recall: recall ?? null,
          scores: describeUsed(scores.usedFor(name)),
        })),
        scores: scores.shipped === undefined ? null : describeScores(scores.shipped),
        imports: { running: imports.runningIn((collection) => tenancy.mayUse(request, collection)) },
        report: report !== undefined && tenancy.seesAll(request) ? REPORT_PATH : null,
      };
    },
  );
};

type Described = NonNullable<Static<typeof StatisticsResponse>['scores']>;

function describeScores({ fittedAt, images, precision, recall, model }: Omit<UsedScores, 'source'>): Described {
  return {
    ...{ fittedAt, images },
    bands: {
      near: { probability: model.nearProbability, precision, recall },
      related: { score: model.relatedSimilarity },
    },
  };
}

function describeUsed(
  used: UsedScores | undefined,
): Static<typeof StatisticsResponse>['collections'][number]['scores'] {
  return used === undefined ? null : { source: used.source, ...describeScores(used) };
}
