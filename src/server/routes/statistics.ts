import { performance } from 'node:perf_hooks';
import type { FastifyPluginAsyncTypebox, Static } from '@fastify/type-provider-typebox';
import type { UsedScores } from '../collection-scores.js';
import { errorAnswers } from '../schemas.js';
import type { ServerContext } from '../server-context.js';
import { StatisticsAnswer } from '../statistics-schemas.js';
import { REPORT_PATH } from './encoder-report.js';

/** GET /stats: what runs here, what it holds, and what its scores are worth. A key that is limited to collections learns of those alone. */
export const statisticsRoutes: FastifyPluginAsyncTypebox<ServerContext> = async (
  app,
  { encoder, version, scores, report, imports, tenancy, ledger },
) => {
  const startedAt = performance.now();

  app.get(
    '/stats',
    {
      config: { access: 'read' },
      schema: { tags: ['health'], summary: 'What runs here and what it holds', response: { 200: StatisticsAnswer, ...errorAnswers } },
    },
    async (request): Promise<Static<typeof StatisticsAnswer>> => {
      const collections = await ledger.lifeOf(request).bound(tenancy.statistics(request));
      const { name, id, dimensions, runtime, device, hasFeatures = false } = encoder.description;
      return {
        version,
        uptimeSeconds: Math.round((performance.now() - startedAt) / 1000),
        encoder: { name, id, dimensions, runtime, device, hasFeatures },
        collections: collections.map(({ name, images, indexed, deleted, searchBreadth, recall }) => ({
          ...{ name, images, indexedImages: indexed, deletedMarks: deleted },
          breadth: searchBreadth !== undefined && Number.isFinite(searchBreadth) ? searchBreadth : null,
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

type Described = NonNullable<Static<typeof StatisticsAnswer>['scores']>;

function describeScores({ fittedAt, images, precision, recall, model }: Omit<UsedScores, 'source'>): Described {
  return {
    ...{ fittedAt, images },
    bands: { near: { probability: model.nearProbability, precision, recall }, related: { score: model.relatedSimilarity } },
  };
}

function describeUsed(used: UsedScores | undefined): Static<typeof StatisticsAnswer>['collections'][number]['scores'] {
  return used === undefined ? null : { source: used.source, ...describeScores(used) };
}
