/** The application: parts, hooks in the order in which a request passes them, plugins, routes. */
import { readFileSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import helmet from '@fastify/helmet';
import multipart from '@fastify/multipart';
import swagger from '@fastify/swagger';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import fastify, { type FastifyRequest, type RouteOptions } from 'fastify';
import type { Catalogue } from '../catalogue/catalogue.js';
import { checkExactNumbers } from '../catalogue/records/exact-json.js';
import type { Snapshots } from '../catalogue/snapshots/snapshots.js';
import type { Encoder } from '../encoder/encoder.js';
import type { ShippedScores } from '../encoder/score-defaults.js';
import { SearchError } from '../errors.js';
import type { ImageDecoder } from '../images/image-decoder.js';
import type { Settings } from '../settings.js';
import { describeRoute, nameComponents, openApiFrame } from './api-document.js';
import { type ApiKey, createAuthenticator, type Principal, readApiKeys } from './auth.js';
import { allowOrigins, isOriginAllowed, parseOrigins } from './cors.js';
import { createCollectionScores, type FitPlan } from './derived/collection-scores.js';
import { createEmbeddingMaps } from './derived/embedding-maps.js';
import type { EncoderReport } from './encoder-report.js';
import { createErrorHandler } from './error-answers.js';
import { BODY_BYTES_MAX, fastifyOptions, HELMET_OPTIONS } from './fastify-options.js';
import { createImports, type ImportStorage } from './ingest/import-service.js';
import { createPipeline } from './ingest/pipeline.js';
import { createBudget, createSharedBudget } from './limits/budget.js';
import { createFairQueue } from './limits/fair-queue.js';
import { READS_PER_IMAGE } from './limits/read-cost.js';
import {
  closeIfBodyIsUnread,
  endSlowBody,
  refuseAmbiguousHeaders,
  refuseDeclaredExcess,
  UNANSWERED_MAX,
} from './limits/request-limits.js';
import { createRequestTracker, type RequestTracker } from './limits/request-tracker.js';
import { createTokenBuckets } from './limits/token-buckets.js';
import { type LogOptions, logFit, logRequestEnd, statusOf } from './logging.js';
import { type Monitoring, UNKNOWN_ROUTE } from './monitoring.js';
import { createPictureUrls } from './picture-urls.js';
import { createReadiness } from './readiness.js';
import { collectionRoutes } from './routes/collections.js';
import { comparingRoutes } from './routes/comparing.js';
import { documentRoutes } from './routes/documents.js';
import { encoderReportRoutes } from './routes/encoder-report.js';
import { healthRoutes } from './routes/health.js';
import { imageRoutes } from './routes/images.js';
import { importRoutes } from './routes/imports.js';
import { indexingRoutes } from './routes/indexing.js';
import { mapRoutes } from './routes/map.js';
import { metricsRoutes } from './routes/metrics.js';
import { searchingRoutes } from './routes/searching.js';
import { snapshotRoutes } from './routes/snapshots.js';
import { statisticsRoutes } from './routes/statistics.js';
import { errorResponses } from './schemas/schemas.js';
import { type ComparisonThreads, createComparisonThreads } from './search/comparison-threads.js';
import type { App, ServerContext } from './server-context.js';
import { createTenancy } from './tenancy.js';
import { refuseInfinite } from './validation-messages.js';

/**
 * What the application is built from. Without `keys` they are read from the settings; without `log` nothing is logged.
 */
export type AppParts = {
  readonly settings: Settings;
  readonly decoder: ImageDecoder;
  readonly encoder: Encoder;
  readonly catalogue: Catalogue;
  readonly snapshots: Snapshots;
  readonly imports: ImportStorage;
  /** Folders of computed maps and of fitted scores; created when first needed. */
  readonly mapFolder: string;
  readonly scoreFolder: string;
  readonly monitoring: Monitoring;
  /** The encoder's score curves; cautious ones where it has none. */
  readonly scores?: ShippedScores | undefined;
  /** For tests: when scores are fitted to collections, and what compares pictures. */
  readonly fitPlan?: Partial<FitPlan> | undefined;
  readonly comparisons?: ComparisonThreads | undefined;
  readonly report?: EncoderReport | undefined;
  readonly keys?: readonly ApiKey[];
  readonly log?: LogOptions;
  /** Called with every route, those of plugins included. */
  readonly onRoute?: (route: RouteOptions) => void;
};

/** The application and what the process needs to stop it well. */
export type Application = {
  readonly app: App;
  readonly tracker: RequestTracker;
  /** Reads fitted scores and resumes interrupted imports. Called once, before the application listens. */
  resumeWork(): Promise<void>;
  /** Refuses every further request with SHUTTING_DOWN and closes each connection with its next response. */
  startDraining(): void;
};

const MAX_CALLERS = 10_000;
/** Reads that the catalogue works on at once: enough to keep its thread busy. */
const READ_WINDOW = 4;
/** Smaller responses need no room in the response memory. */
const SMALL_RESPONSE_BYTES = 16 * 1024;
/** A burst of the quota is ten seconds' worth, and at least the images of one request. */
const BURSTS_A_MINUTE = 6;
/** The service is idle when no image is in flight and no request has ended for this long. */
const IDLE_MS = 250;
/** Share of a full batch that runs besides what the decoders hold: enough for batches, few enough for fair queueing. */
const WINDOW_OF_BATCH = 0.25;

/** The routes, in the order of the API's document. */
const ROUTES = [
  healthRoutes,
  searchingRoutes,
  comparingRoutes,
  indexingRoutes,
  imageRoutes,
  importRoutes,
  collectionRoutes,
  mapRoutes,
  statisticsRoutes,
  encoderReportRoutes,
  snapshotRoutes,
  documentRoutes,
];

/** Builds the application; it neither listens nor owns its parts. */
export async function buildApp(parts: AppParts): Promise<Application> {
  const { settings, decoder, encoder, catalogue, snapshots, monitoring, log } = parts;
  const keys = parts.keys ?? (await readApiKeys(settings));
  const version = productVersion();
  const routes: RouteOptions[] = [];
  let isDraining = false;
  let lastEndAt = performance.now();

  const principals = new WeakMap<FastifyRequest, Principal>();
  const principalOf = (request: FastifyRequest): Principal => {
    const principal = principals.get(request);
    if (principal === undefined) throw new Error('The request was not authenticated. This is a bug.');
    return principal;
  };
  const reads = createFairQueue({
    unit: 'reads',
    flags: '--catalogue-queue',
    limit: settings.catalogueQueue,
    window: READ_WINDOW,
    maxWaitMs: settings.requestTimeoutMs / 4,
    now: () => performance.now(),
  });
  const tracker = createRequestTracker({
    requestTimeoutMs: settings.requestTimeoutMs,
    reads,
    callerOf: (request) => principalOf(request).caller,
    onEnd: (request, reply, end) => {
      lastEndAt = performance.now();
      const route = request.routeOptions.url ?? UNKNOWN_ROUTE;
      monitoring.countRequest({
        method: request.method,
        route,
        status: statusOf(reply, end),
        elapsedMs: end.elapsedMs,
      });
      if (end.error instanceof SearchError) monitoring.countError(end.error.code);
      logRequestEnd(request, reply, end);
    },
  });
  const origins = parseOrigins(settings.corsOrigins, keys.length > 0);
  const allowsOrigin = (origin: string): boolean => isOriginAllowed(origins, origin);
  const authenticate = createAuthenticator({ keys, allowsOrigin });
  const quota = createTokenBuckets({
    perMinute: settings.rateLimit,
    burst: Math.min(
      settings.rateLimit,
      Math.max(settings.maxFilesPerRequest, Math.ceil(settings.rateLimit / BURSTS_A_MINUTE)),
    ),
    maxCallers: MAX_CALLERS,
    now: () => performance.now(),
  });
  const queue = createFairQueue({
    unit: 'images',
    flags: '--max-images-in-flight, --queue-wait-ms',
    limit: settings.maxImagesInFlight,
    window: 2 * settings.decoders + Math.ceil(settings.batchSizeMax * WINDOW_OF_BATCH),
    maxWaitMs: settings.queueWaitMs,
    now: () => performance.now(),
  });
  const responseMemory = createSharedBudget({
    limit: settings.responseMemoryBytes,
    message: `Responses that their clients have not read hold too much memory (--response-memory-bytes).`,
  });
  const uploadMemory = createBudget({
    limit: settings.uploadMemoryBytes,
    message: `Uploads hold ${settings.uploadMemoryBytes} bytes already (--upload-memory-bytes).`,
  });
  const pictureUrls = createPictureUrls({ settings, memory: uploadMemory, monitoring, version });
  const readiness = createReadiness({ encoder, catalogue });
  const encodeImage = createPipeline({ decoder, encoder, queue, monitoring });
  const comparisons =
    parts.comparisons ??
    createComparisonThreads({
      threads: settings.comparisonThreads,
      onFailure: (error) => app.log.error({ err: error }, 'a thread that compares pictures died'),
    });
  const spendQuota: ServerContext['spendQuota'] = (request, images) => {
    if (settings.rateLimit === 0) return;
    const waitSeconds = quota.take(principalOf(request).caller, images);
    if (waitSeconds === 0) return;
    const message = `More than ${settings.rateLimit} images a minute (--rate-limit).`;
    throw new SearchError('RATE_LIMITED', message, { retryAfterSeconds: waitSeconds });
  };
  const imports = createImports({
    ...{ settings, storage: parts.imports, catalogue, encodeImage, queue, pictureUrls, monitoring },
    charge: (caller, images) => (settings.rateLimit === 0 ? 0 : quota.take(caller, images)),
    onFailure: (error) => app.log.error({ err: error }, 'an import met an unforeseen error'),
  });
  const maps = createEmbeddingMaps({
    ...{ catalogue, folder: parts.mapFolder, encoderId: encoder.description.id },
    onFailure: (error) => app.log.error({ err: error }, 'a map could not be computed or kept'),
  });
  const isIdle = (): boolean => {
    const { queued, active } = encoder.statistics;
    return queue.held + queued + active === 0 && performance.now() - lastEndAt >= IDLE_MS;
  };
  const scores = createCollectionScores({
    ...{
      catalogue,
      encoder,
      shipped: parts.scores,
      folder: parts.scoreFolder,
      isOn: settings.refitScores === 'on',
      isIdle,
    },
    ...(parts.fitPlan !== undefined && { plan: parts.fitPlan }),
    onFit: (report) => logFit(app.log, report),
    onFailure: (error) =>
      app.log.warn({ err: error }, 'scores could not be fitted to a collection; the curves of before stay'),
  });
  const context: ServerContext = {
    settings,
    version,
    encoder,
    catalogue,
    tenancy: createTenancy({ catalogue, principalOf }),
    snapshots,
    monitoring,
    scopeOf: tracker.scopeOf,
    readiness,
    encodeImage,
    comparisons,
    scores,
    report: parts.report,
    admit: (request, images = 1) => {
      queue.requireRoom(principalOf(request).caller);
      spendQuota(request, images);
    },
    admitRead: (request, cost) => {
      reads.requireRoom(principalOf(request).caller, cost);
      spendQuota(request, cost / READS_PER_IMAGE);
    },
    uploadMemory,
    pictureUrls,
    imports,
    maps,
    spendQuota,
  };

  const onExcess = (ip: string | undefined): void =>
    app.log.info({ ip }, `connection closed: more than ${UNANSWERED_MAX} requests ahead of their answers`);
  const app: App = fastify(
    fastifyOptions({ settings, monitoring, log, onExcess }),
  ).withTypeProvider<TypeBoxTypeProvider>();
  await allowOrigins(app, origins);

  // In this order, before the body is read.
  app.addHook('onRequest', (request, reply, done) => {
    tracker.open(request, reply);
    reply.header('x-request-id', request.id);
    refuseAmbiguousHeaders(request);
    if (isDraining) throw new SearchError('SHUTTING_DOWN', 'The service is stopping.', { retryAfterSeconds: 1 });
    const { access, scope = 'collections', maxBodyBytes = BODY_BYTES_MAX } = request.routeOptions.config;
    const principal = authenticate(request, { access: request.is404 ? 'open' : stated(access), scope });
    principals.set(request, principal);
    request.log.debug({ caller: principal.caller, route: request.routeOptions.url }, 'authenticated');
    refuseDeclaredExcess(request, maxBodyBytes);
    endSlowBody(app.server, request, { graceMs: settings.requestTimeoutMs, bytesPerSecond: settings.uploadMinRate });
    done();
  });
  app.addHook('onSend', (request, reply, payload, done) => {
    if (isDraining) reply.header('connection', 'close');
    closeIfBodyIsUnread(request, reply);
    const bytes = typeof payload === 'string' || payload instanceof Uint8Array ? payload.length : 0;
    request.log.debug({ status: reply.statusCode, bytes }, 'responding');
    if (bytes >= SMALL_RESPONSE_BYTES)
      reply.raw.once('close', responseMemory.reserve(principals.get(request)?.caller ?? request.ip, bytes));
    done();
  });
  app.setErrorHandler(createErrorHandler(tracker));
  app.setNotFoundHandler((request, reply) => {
    const allowed = methodsOf(routes, request.url);
    if (allowed.length === 0) throw new SearchError('NOT_FOUND', 'There is no such route; openapi.yaml lists all.');
    reply.header('allow', allowed.join(', '));
    const message = `${request.method} is not a method of this route; it has ${allowed.join(', ')}.`;
    throw new SearchError('METHOD_NOT_ALLOWED', message);
  });
  app.addHook('preValidation', (request, _reply, done) => {
    refuseInfinite(request.query as object, request.routeOptions.schema?.querystring);
    done();
  });
  app.addHook('onRoute', (route) => {
    const { response } = (route.schema ?? {}) as { readonly response?: object };
    if (response !== undefined) route.schema = { ...route.schema, response: { ...errorResponses, ...response } };
    routes.push(route);
    parts.onRoute?.(route);
  });
  app.addHook('onClose', () => comparisons.close());
  app.addHook('onClose', () => imports.close());
  app.addHook('onClose', () => maps.close());
  app.addHook('onClose', () => scores.close());
  app.addHook('onReady', async () => {
    for (const { url, config } of routes) stated(config?.access, url);
    monitoring.expectRoutes(routes.map(({ url }) => url));
  });

  app.removeContentTypeParser('text/plain');
  const parseJson = app.getDefaultJsonParser('error', 'ignore'); // `constructor` is a key like any other
  app.removeContentTypeParser('application/json');
  app.addContentTypeParser<string>(
    ['application/json', 'application/merge-patch+json'],
    { parseAs: 'string' },
    (request, body, done) => {
      try {
        checkExactNumbers(body, 'The body');
      } catch (error) {
        done(error as SearchError); // what it throws
        return;
      }
      parseJson(request, body, done);
    },
  );
  // upload.ts reads these.
  app.addContentTypeParser(/^(image\/|(application|binary)\/octet-stream)/, (_request, _payload, done) => done(null));
  await app.register(swagger, {
    openapi: openApiFrame(version),
    transform: describeRoute,
    transformObject: nameComponents,
  });
  await app.register(helmet, HELMET_OPTIONS);
  await app.register(multipart, { throwFileSizeLimit: false });

  for (const routes of ROUTES) await app.register(routes, context);
  if (settings.metricsPort === 0) await app.register(metricsRoutes, { monitoring, access: 'read' as const });

  const requestsInFlight = (): number => tracker.inFlight.total;
  const urlFetchesActive = (): number => pictureUrls.active;
  monitoring.watch({
    decoder,
    encoder,
    catalogue,
    imagesInFlight: queue,
    readsInFlight: reads,
    uploadMemory,
    responseMemory,
    urlFetchesActive,
    imports,
    requestsInFlight,
    version,
  });
  return {
    app,
    tracker,
    async resumeWork() {
      await scores.open();
      await imports.resume();
    },
    startDraining() {
      isDraining = true;
      readiness.startDraining();
      imports.endListeners();
      void maps.close();
      void scores.close();
    },
  };
}

function stated<T>(access: T | undefined, url = 'This route'): T {
  if (access === undefined) throw new Error(`${url} does not state who may use it (config.access). This is a bug.`);
  return access;
}

/** The methods of the route that a path means. */
function methodsOf(routes: readonly RouteOptions[], url: string): readonly string[] {
  const path = url.split('?', 1)[0] ?? '';
  const ofPath = routes.filter((route) => new RegExp(`^${route.url.replace(/:[a-z]+/gi, '[^/]+')}$`).test(path));
  return [...new Set(ofPath.flatMap(({ method }) => method))].filter((method) => method !== 'OPTIONS').toSorted();
}

/** The version in package.json, three folders above the compiled file. */
function productVersion(): string {
  const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  return version;
}
