import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { Access } from '../auth.js';
import type { Monitoring } from '../monitoring.js';
import { errorAnswers, fileAnswer } from '../schemas.js';

/** GET /metrics in Prometheus form: on the main port for readers, or, where it has a port of its own, open on that. */
export const metricsRoutes: FastifyPluginAsyncTypebox<{ readonly monitoring: Monitoring; readonly access: Access }> = async (
  app,
  { monitoring, access },
) => {
  app.get(
    '/metrics',
    {
      config: { access, scope: 'service' },
      schema: {
        tags: ['health'],
        summary: 'Metrics for Prometheus',
        response: { 200: fileAnswer('text/plain', 'Prometheus text format.'), ...errorAnswers },
      },
    },
    async (_request, reply) => reply.type(monitoring.registry.contentType).send(await monitoring.registry.metrics()),
  );
};
