import type { FastifyPluginAsyncTypebox, Static } from '@fastify/type-provider-typebox';
import { AliveResponse, ReadyResponse } from '../schemas/schemas.js';
import type { ServerContext } from '../server-context.js';

/**
 * Probes, open to all: `/livez` and `/healthz` say that the process serves, `/readyz` that encoder and catalogue work.
 */
export const healthRoutes: FastifyPluginAsyncTypebox<ServerContext> = async (app, { readiness, tenancy }) => {
  for (const path of ['/livez', '/healthz']) {
    const schema = { tags: ['health'], summary: 'Does the process serve?', response: { 200: AliveResponse } };
    app.get(path, { config: { access: 'open' }, schema }, async () => ({ status: 'ok' as const }));
  }

  app.get(
    '/readyz',
    {
      config: { access: 'open' },
      schema: { tags: ['health'], summary: 'Do encoder and catalogue work?', response: { 200: ReadyResponse } },
    },
    async (request): Promise<Static<typeof ReadyResponse>> => {
      const report = await readiness.check();
      const { status, canary, encoder } = report;
      if (tenancy.isAnonymous(request)) return { status, canary };
      return tenancy.seesAll(request) ? report : { status, canary, ...(encoder !== undefined && { encoder }) };
    },
  );
};
