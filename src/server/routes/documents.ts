import swaggerUi from '@fastify/swagger-ui';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { openApiDocument } from '../api-document.js';
import { errorAnswers, fileAnswer, WelcomeAnswer } from '../schemas.js';
import type { ServerContext } from '../server-context.js';
import { elementRoutes } from './element.js';
import { pageRoutes, readPage, sendPage, wantsPage } from './page.js';

/** What the documentation page may load: its own files and the images it draws itself. */
const DOCS_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

/** GET / (the search page, or what this is), GET /openapi.yaml, and the page under /docs that is drawn from it. */
export const documentRoutes: FastifyPluginAsyncTypebox<ServerContext> = async (app, { version }) => {
  const page = await readPage();
  if (page !== undefined) await app.register(pageRoutes);
  await app.register(elementRoutes);

  app.get(
    '/',
    {
      config: { access: 'open' },
      schema: {
        tags: ['documents'],
        summary: 'What this is',
        description: 'A browser, which accepts text/html, gets the search page.',
        response: { 200: WelcomeAnswer, ...errorAnswers },
      },
    },
    async (request, reply) => {
      reply.header('vary', 'accept');
      if (page !== undefined && wantsPage(request)) return sendPage(request, reply, page);
      return { name: 'likeness', version, documentation: '/docs/', description: '/openapi.yaml' };
    },
  );

  app.get(
    '/openapi.yaml',
    {
      config: { access: 'read' },
      schema: {
        tags: ['documents'],
        summary: 'This description',
        response: { 200: fileAnswer('application/yaml', 'OpenAPI 3.1.'), ...errorAnswers },
      },
    },
    async (_request, reply) => reply.type('application/yaml; charset=utf-8').send(openApiDocument(app)),
  );

  await app.register(async (docs) => {
    // The page's routes are the plugin's own, so their access is stated here for all of them.
    docs.addHook('onRoute', (route) => {
      route.config = { ...route.config, access: 'read' };
    });
    await docs.register(swaggerUi, {
      routePrefix: '/docs',
      staticCSP: DOCS_POLICY,
      uiConfig: { docExpansion: 'list', validatorUrl: null },
    });
  });
};
