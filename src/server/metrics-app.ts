import helmet from '@fastify/helmet';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import fastify from 'fastify';
import { SearchError } from '../errors.js';
import type { Settings } from '../settings.js';
import { isLoopback, refuseWebPages } from './auth.js';
import { answerClientError, errorBody, prepareErrorReply, toSearchError } from './error-answers.js';
import { HELMET_OPTIONS } from './fastify-options.js';
import type { Monitoring } from './monitoring.js';
import { metricsRoutes } from './routes/metrics.js';
import type { App } from './server-context.js';

const MAX_CONNECTIONS = 64;

/**
 * A listener for GET /metrics alone. It asks for no key; on loopback it refuses web pages as the main port does
 * without keys.
 */
export async function buildMetricsApp(parts: {
  readonly monitoring: Monitoring;
  readonly settings: Pick<Settings, 'headersTimeoutMs' | 'requestTimeoutMs' | 'metricsHost'>;
}): Promise<App> {
  const { monitoring, settings } = parts;
  const { headersTimeoutMs: headersTimeout, requestTimeoutMs: requestTimeout } = settings;
  const app: App = fastify({
    logger: false,
    forceCloseConnections: true,
    connectionTimeout: requestTimeout,
    requestTimeout,
    http: { headersTimeout, requestTimeout, connectionsCheckingInterval: Math.min(1000, headersTimeout / 2) },
    clientErrorHandler: (error, socket) => void answerClientError(error, socket),
  }).withTypeProvider<TypeBoxTypeProvider>();
  app.server.maxConnections = MAX_CONNECTIONS;
  await app.register(helmet, HELMET_OPTIONS);
  if (isLoopback(settings.metricsHost))
    app.addHook('onRequest', (request, _reply, done) => {
      refuseWebPages(request);
      done();
    });
  app.setErrorHandler((thrown, _request, reply) => {
    const error = toSearchError(thrown);
    prepareErrorReply(reply, error).send(errorBody(error));
  });
  app.setNotFoundHandler(() => {
    throw new SearchError('NOT_FOUND', 'This port serves GET /metrics only.');
  });
  await app.register(metricsRoutes, { monitoring, access: 'open' as const });
  return app;
}
