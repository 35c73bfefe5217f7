import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { SearchError } from '../../errors.js';
import { errorAnswers, fileAnswer } from '../schemas.js';
import type { ServerContext } from '../server-context.js';

/** Where the report is, as GET /stats names it. */
export const REPORT_PATH = '/encoder/report';

/**
 * What the report may do: show its own styles and the pictures in it. It is a file that whoever made the encoder wrote, so it runs no script, loads nothing, sends
 * nothing, and (sandbox) is no page of this origin: it could not ask the service for anything even if it ran.
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

/** GET /encoder/report. Its pictures may be of any collection, so it is for keys of all of them. */
export const encoderReportRoutes: FastifyPluginAsyncTypebox<ServerContext> = async (app, { encoder, report }) => {
  app.get(
    REPORT_PATH,
    {
      config: { access: 'read', scope: 'service' },
      schema: {
        tags: ['health'],
        summary: "The encoder's evaluation, as a page",
        response: { 200: fileAnswer('text/html', 'A page that needs nothing besides itself.'), ...errorAnswers },
      },
    },
    async (request, reply) => {
      if (report === undefined) {
        throw new SearchError('REPORT_MISSING', `The encoder "${encoder.description.name}" has no report.html of its own in its folder.`);
      }
      const { html, etag } = report;
      reply.header('content-security-policy', REPORT_POLICY).header('cache-control', 'private, no-cache').header('etag', etag);
      if (request.headers['if-none-match']?.includes(etag)) return reply.code(304).send('');
      return reply.type('text/html; charset=utf-8').send(html);
    },
  );
};
