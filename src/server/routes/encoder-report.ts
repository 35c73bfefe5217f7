import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { SearchError } from '../../errors.js';
import { isNotModified } from '../http-headers.js';
import { fileResponse } from '../schemas/schemas.js';
import type { ServerContext } from '../server-context.js';

export const REPORT_PATH = '/encoder/report';

/**
 * The report is a file by whoever made the encoder. It may show its own styles and pictures; it runs no script and
 * loads and sends nothing. With `sandbox` it is not of this origin, so it could not call the service even if it ran.
 */
const REPORT_POLICY = [
  "default-src 'none'",
  "style-src 'unsafe-inline'",
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  'sandbox',
].join('; ');

/** GET /encoder/report. Its pictures may be of any collection, so a key limited to collections does not get it. */
export const encoderReportRoutes: FastifyPluginAsyncTypebox<ServerContext> = async (app, { encoder, report }) => {
  app.get(
    REPORT_PATH,
    {
      config: { access: 'read', scope: 'service' },
      schema: {
        tags: ['health'],
        summary: "The encoder's evaluation, as a page",
        response: { 200: fileResponse('text/html', 'A page that needs nothing besides itself.') },
      },
    },
    async (request, reply) => {
      if (report === undefined)
        throw new SearchError(
          'REPORT_MISSING',
          `The encoder "${encoder.description.name}" has no report.html of its own in its folder.`,
        );
      const { html, etag } = report;
      reply.header('content-security-policy', REPORT_POLICY).header('cache-control', 'private, no-cache');
      if (isNotModified(request, reply, etag)) return reply.send('');
      return reply.type('text/html; charset=utf-8').send(html);
    },
  );
};
