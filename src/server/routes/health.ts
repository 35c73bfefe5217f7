import type { FastifyPluginAsyncTypebox, Static } from '@fastify/type-provider-typebox';
import { AliveAnswer, errorAnswers, ReadyAnswer } from '../schemas.js';
import type { ServerContext } from '../server-context.js';

/** Probes, open to all: `/livez` and `/healthz` say that the process serves, `/readyz` that encoder and catalogue work. */
export const healthRoutes: FastifyPluginAsyncTypebox<ServerContext> = async (app, { readiness, tenancy }) => {
  for (const path of ['/livez', '/healthz']) {
    const summary = 'Does the process serve?';
    app.get(
      path,
      { config: { access: 'open' }, schema: { tags: ['health'], summary, response: { 200: AliveAnswer, ...errorAnswers } } },
      async () => ({
        status: 'ok' as const,
      }),
    );
  }

  app.get(
    '/readyz',
    {
      config: { access: 'open' },
      schema: { tags: ['health'], summary: 'Do encoder and catalogue work?', response: { 200: ReadyAnswer, ...errorAnswers } },
    },
    async (request): Promise<Static<typeof ReadyAnswer>> => {
      const { catalogue, ...report } = await readiness.check();
      return tenancy.seesAll(request) ? { ...report, ...(catalogue !== undefined && { catalogue }) } : report;
    },
  );
};
