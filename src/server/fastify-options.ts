/**
 * How Fastify and Node's HTTP server below it are set up: limits of time and size that hold before any route is known.
 */
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { type FastifyHttpOptions, LogController, type RawServerDefault } from 'fastify';
import type { Settings } from '../settings.js';
import { answerClientError, errorBody, prepareErrorReply, toSearchError } from './error-answers.js';
import { oneByOne } from './limits/request-limits.js';
import { type LogOptions, loggerOptions } from './logging.js';
import type { Monitoring } from './monitoring.js';
import { describeInvalid } from './validation-messages.js';

/** Largest body of a route that states no limit of its own. */
export const BODY_BYTES_MAX = 1024 * 1024;

const MAX_HEADER_BYTES = 16 * 1024;
const KEEP_ALIVE_MS = 72_000;
/**
 * A socket on which nothing moves for this long beyond the request's own time belongs to a reader who does not read.
 */
const SLOW_READER_MS = 10_000;
/** An id of 255 bytes, each written as %XX. */
const MAX_PARAM_CHARACTERS = 1024;

/** Headers of every response: nothing is loaded, framed, sniffed or referred to. Pages set a policy of their own. */
export const HELMET_OPTIONS = {
  contentSecurityPolicy: {
    useDefaults: false,
    directives: { 'default-src': ["'none'"], 'frame-ancestors': ["'none'"] },
  },
  strictTransportSecurity: false, // whoever terminates TLS in front sets it
  referrerPolicy: { policy: 'no-referrer' as const },
};

/**
 * The options of the one Fastify instance. Without `log` nothing is logged; `onExcess` is told of connections that send
 * too many requests ahead.
 */
export function fastifyOptions(parts: {
  readonly settings: Settings;
  readonly monitoring: Monitoring;
  readonly log: LogOptions | undefined;
  readonly onExcess: (ip: string | undefined) => void;
}): FastifyHttpOptions<RawServerDefault> {
  const { settings, monitoring, log, onExcess } = parts;
  return {
    logger: log === undefined ? false : loggerOptions(log),
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'requestId' }),
    genReqId: () => randomUUID(),
    trustProxy: settings.trustProxy === '' ? false : settings.trustProxy,
    bodyLimit: BODY_BYTES_MAX,
    routerOptions: { maxParamLength: MAX_PARAM_CHARACTERS },
    // serve.ts drains first; what is open when the application is closed is closed at once.
    forceCloseConnections: true,
    return503OnClosing: true,
    // Set up here and not by Fastify's options, since something stands between the server and Fastify.
    serverFactory: (handle) => {
      // The three limits of time together, or none of them fires: Node takes the lesser of two as the header timeout,
      // and looks only now and then.
      const limits = {
        headersTimeout: settings.headersTimeoutMs,
        // Node's limit is the longest that any route has; body-deadline.ts keeps each request to its own.
        requestTimeout: Math.max(settings.requestTimeoutMs, settings.importTimeoutMs),
        connectionsCheckingInterval: Math.min(1000, settings.headersTimeoutMs / 2),
      };
      const options = { ...limits, keepAliveTimeout: KEEP_ALIVE_MS, maxHeaderSize: MAX_HEADER_BYTES };
      const server = createServer(options, oneByOne(handle, onExcess));
      server.maxConnections = settings.maxConnections;
      return server.setTimeout(settings.requestTimeoutMs + SLOW_READER_MS);
    },
    ajv: {
      customOptions: { removeAdditional: false, coerceTypes: true, useDefaults: true, allErrors: false, verbose: true },
    },
    schemaErrorFormatter: describeInvalid,
    rewriteUrl: (request) => encodeSlashesOfIds(request.url ?? '/'),
    clientErrorHandler: (error, socket) => {
      const code = answerClientError(error, socket);
      if (code !== undefined) monitoring.countError(code);
    },
    frameworkErrors: (thrown, _request, reply) => {
      const error = toSearchError(thrown);
      monitoring.countError(error.code);
      prepareErrorReply(reply, error).header('x-content-type-options', 'nosniff').send(errorBody(error));
    },
  };
}

/**
 * The URL with the slashes of an image's id encoded. Reverse proxies that serve the service under a path decode `%2F`,
 * so that `/images/dress%2F1.jpg/thumbnail` arrives as `/images/dress/1.jpg/thumbnail`.
 */
function encodeSlashesOfIds(url: string): string {
  const [, id, part = '', query = ''] =
    /^\/images\/([^?]+?)(\/(?:thumbnail|original|similar))?(\?.*)?$/.exec(url) ?? [];
  return id?.includes('/') ? `/images/${id.replaceAll('/', '%2F')}${part}${query}` : url;
}
