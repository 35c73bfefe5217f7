import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { Access } from '../auth.js';
import type { Monitoring } from '../monitoring.js';
import { fileResponse } from '../schemas/schemas.js';

/** GET /metrics in Prometheus form: on the main port for readers, or open on a port of its own. */
export const metricsRoutes: FastifyPluginAsyncTypebox<{
  readonly monitoring: Monitoring;
  readonly access: Access;
}> = async (app, { monitoring, access }) => {
  app.get(
    '/metrics',
    {
      config: { access, scope: 'service' },
      schema: {
        tags: ['health'],
        summary: 'Metrics for Prometheus',
        response: { 200: fileResponse('text/plain', 'Prometheus text format.') },
      },
    },
    async (_request, reply) => reply.type(monitoring.registry.contentType).send(await monitoring.registry.metrics()),
  );
};
