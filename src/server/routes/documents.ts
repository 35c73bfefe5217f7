import swaggerUi from '@fastify/swagger-ui';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { openApiDocument } from '../api-document.js';
import { fileResponse, WelcomeResponse } from '../schemas/schemas.js';
import type { ServerContext } from '../server-context.js';
import { elementRoutes } from './element.js';
import { pageRoutes, readPage, sendPage, wantsPage } from './page.js';

/** The documentation page loads its own files and images that it draws itself. */
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

/** GET / (the search page, or JSON), GET /openapi.yaml, and the documentation page under /docs. */
export const documentRoutes: FastifyPluginAsyncTypebox<ServerContext> = async (app, { version, tenancy }) => {
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
        response: { 200: WelcomeResponse },
      },
    },
    async (request, reply) => {
      reply.header('vary', 'accept');
      if (page !== undefined && wantsPage(request)) return sendPage(request, reply, page);
      const known = tenancy.isAnonymous(request) ? {} : { version };
      return { name: 'likeness', ...known, documentation: '/docs/', description: '/openapi.yaml' };
    },
  );

  let description: string | undefined;
  app.get(
    '/openapi.yaml',
    {
      config: { access: 'read' },
      schema: {
        tags: ['documents'],
        summary: 'This description',
        response: { 200: fileResponse('application/yaml', 'OpenAPI 3.1.') },
      },
    },
    async (_request, reply) => {
      description ??= openApiDocument(app);
      return reply.type('application/yaml; charset=utf-8').send(description);
    },
  );

  await app.register(async (docs) => {
    // A browser sends no key with a page, so the page tells nothing of this service, not even its version. "Authorize"
    // takes a key.
    docs.addHook('onRoute', (route) => {
      route.config = { ...route.config, access: 'open' };
    });
    await docs.register(swaggerUi, {
      routePrefix: '/docs',
      staticCSP: DOCS_POLICY,
      uiConfig: { docExpansion: 'list', validatorUrl: null },
      transformSpecification: (document) => ({ ...document, info: { title: 'Likeness', version: '' } }),
      transformSpecificationClone: false,
    });
  });
};
