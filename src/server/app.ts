/** The application, top to bottom: options, hooks in the order in which a request meets them, plugins, routes. */
import { performance } from 'node:perf_hooks';
import helmet from '@fastify/helmet';
import multipart from '@fastify/multipart';
import swagger from '@fastify/swagger';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import fastify, { type FastifyRequest, type RouteOptions } from 'fastify';
import type { Catalogue } from '../catalogue/catalogue.js';
import type { Snapshots } from '../catalogue/snapshots.js';
import type { Encoder } from '../encoder/encoder.js';
import type { ShippedScores } from '../encoder/score-defaults.js';
import { SearchError } from '../errors.js';
import type { ImageDecoder } from '../images/image-decoder.js';
import type { Settings } from '../settings.js';
import { createBudget } from './admission.js';
import { describeRoute, openApiFrame } from './api-document.js';
import { type ApiKey, createGate, readApiKeys, type Visitor } from './auth.js';
import { endSlowBody } from './body-deadline.js';
import { createCollectionScores, type FitPlan } from './collection-scores.js';
import { createCopyVerifier } from './copy-verifier.js';
import { allowOrigins, isOriginAllowed, parseOrigins } from './cors.js';
import { closeIfBodyIsUnread, refuseDeclaredExcess } from './early-close.js';
import { createEmbeddingMaps } from './embedding-maps.js';
import type { EncoderReport } from './encoder-report.js';
import { createErrorHandler } from './error-answers.js';
import { createFairTurns } from './fair-turns.js';
import { BODY_BYTES_MAX, fastifyOptions } from './fastify-options.js';
import { createImports, type ImportStorage } from './import-service.js';
import { type LogOptions, logFit, logRequestEnd, statusOf } from './logging.js';
import { type Monitoring, UNKNOWN_ROUTE } from './monitoring.js';
import { createPictureUrls } from './picture-urls.js';
import { createPipeline } from './pipeline.js';
import { UNANSWERED_MAX } from './pipelining.js';
import { productVersion } from './product-version.js';
import { createReadiness } from './readiness.js';
import { createRequestLedger, type RequestLedger } from './request-ledger.js';
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
import type { App, ServerContext } from './server-context.js';
import { createTenancy } from './tenancy.js';
import { createTokenBuckets } from './token-buckets.js';

/** What the application is built from; tests pass their own. Without `keys` they are read from the settings, without `log` nothing is logged. */
export type AppParts = {
  readonly settings: Settings;
  readonly decoder: ImageDecoder;
  readonly encoder: Encoder;
  readonly catalogue: Catalogue;
  readonly snapshots: Snapshots;
  readonly imports: ImportStorage;
  /** Folder of maps that were computed; made when there is one. */
  readonly mapFolder: string;
  /** Folder of scores that were fitted to collections; made when there are some. */
  readonly scoreFolder: string;
  readonly monitoring: Monitoring;
  /** What came with the encoder; without, its scores are read with caution. */
  readonly scores?: ShippedScores | undefined;
  /** For tests: when scores are fitted to collections. */
  readonly fitPlan?: Partial<FitPlan> | undefined;
  readonly report?: EncoderReport | undefined;
  readonly keys?: readonly ApiKey[];
  readonly log?: LogOptions;
  /** Told of every route, the ones of plugins too. */
  readonly onRoute?: (route: RouteOptions) => void;
};

/** The application and what the process needs to end it well. */
export type Application = {
  readonly app: App;
  readonly ledger: RequestLedger;
  /** Reads what was fitted to collections, and goes on with the imports that ran when the service ended; to be called once, before it listens. */
  resumeWork(): Promise<void>;
  /** From now on every new request is refused with SHUTTING_DOWN and every answer closes its connection. */
  startDraining(): void;
};

const MAX_CALLERS = 10_000;
/** A caller may send ten seconds' worth of his quota at once, and as many images as one request holds; a whole minute's at once is a flood. */
const BURSTS_A_MINUTE = 6;
/** Nobody needs the machine when no image is on its way and no request has ended for so long: a user's next search comes no sooner. */
const QUIET_MS = 250;
/** Of a full batch, the share that may be on its way to the encoder beside what the decoders hold: large enough for batches, small enough for fair turns. */
const WINDOW_OF_BATCH = 0.25;

/** Builds the application; it neither listens nor owns its parts. */
export async function buildApp(parts: AppParts): Promise<Application> {
  const { settings, decoder, encoder, catalogue, snapshots, monitoring, log } = parts;
  const keys = parts.keys ?? (await readApiKeys(settings));
  const version = productVersion();
  const routes: RouteOptions[] = [];
  let isDraining = false;
  let lastEndAt = performance.now();

  const visitors = new WeakMap<FastifyRequest, Visitor>();
  const visitorOf = (request: FastifyRequest): Visitor => {
    const visitor = visitors.get(request);
    if (visitor === undefined) throw new Error('A request passed the gate unseen. This is a bug.');
    return visitor;
  };
  const ledger = createRequestLedger({
    requestTimeoutMs: settings.requestTimeoutMs,
    callerOf: (request) => visitorOf(request).caller,
    onEnd: (request, reply, end) => {
      lastEndAt = performance.now();
      const route = request.routeOptions.url ?? UNKNOWN_ROUTE;
      monitoring.countRequest({ method: request.method, route, status: statusOf(reply, end), elapsedMs: end.elapsedMs });
      if (end.error instanceof SearchError) monitoring.countError(end.error.code);
      logRequestEnd(request, reply, end);
    },
  });
  const origins = parseOrigins(settings.corsOrigins, keys.length > 0);
  const allowsOrigin = (origin: string): boolean => isOriginAllowed(origins, origin);
  const gate = createGate({ keys, trustsProxy: settings.trustProxy !== '', allowsOrigin });
  const quota = createTokenBuckets({
    perMinute: settings.rateLimit,
    burst: Math.min(settings.rateLimit, Math.max(settings.maxFilesPerRequest, Math.ceil(settings.rateLimit / BURSTS_A_MINUTE))),
    maxCallers: MAX_CALLERS,
    now: () => performance.now(),
  });
  const turns = createFairTurns({
    limit: settings.maxImagesInFlight,
    window: 2 * settings.decoders + Math.ceil(settings.batchSizeMax * WINDOW_OF_BATCH),
    maxWaitMs: settings.queueWaitMs,
    now: () => performance.now(),
  });
  const uploadMemory = createBudget({
    limit: settings.uploadMemoryBytes,
    sentence: `Uploads hold ${settings.uploadMemoryBytes} bytes already (--upload-memory-bytes).`,
  });
  const pictureUrls = createPictureUrls({ settings, memory: uploadMemory, monitoring, version });
  const readiness = createReadiness({ encoder, catalogue });
  const encodeImage = createPipeline({ decoder, encoder, turns, monitoring });
  const verifier = createCopyVerifier({ onFailure: (error) => app.log.error({ err: error }, 'the thread that verifies copies died') });
  const spendQuota: ServerContext['spendQuota'] = (request, images) => {
    if (settings.rateLimit === 0) return;
    const waitSeconds = quota.take(visitorOf(request).caller, images);
    if (waitSeconds === 0) return;
    const message = `More than ${settings.rateLimit} images a minute (--rate-limit).`;
    throw new SearchError('RATE_LIMITED', message, { retryAfterSeconds: waitSeconds });
  };
  const imports = createImports({
    ...{ settings, storage: parts.imports, catalogue, encodeImage, turns, pictureUrls, monitoring },
    onFailure: (error) => app.log.error({ err: error }, 'an import met an unforeseen error'),
  });
  const maps = createEmbeddingMaps({
    ...{ catalogue, folder: parts.mapFolder, encoderId: encoder.description.id },
    onFailure: (error) => app.log.error({ err: error }, 'a map could not be computed or kept'),
  });
  const isQuiet = (): boolean => {
    const { queued, active } = encoder.statistics;
    return turns.held + queued + active === 0 && performance.now() - lastEndAt >= QUIET_MS;
  };
  const scores = createCollectionScores({
    ...{ catalogue, encoder, shipped: parts.scores, folder: parts.scoreFolder, isOn: settings.refitScores === 'on', isQuiet },
    ...(parts.fitPlan !== undefined && { plan: parts.fitPlan }),
    onFit: (report) => logFit(app.log, report),
    onFailure: (error) => app.log.warn({ err: error }, 'scores could not be fitted to a collection; the curves of before stay'),
  });
  const context: ServerContext = {
    settings,
    version,
    encoder,
    catalogue,
    tenancy: createTenancy({ catalogue, visitorOf }),
    snapshots,
    monitoring,
    ledger,
    readiness,
    encodeImage,
    verifier,
    scores,
    report: parts.report,
    refuseWhenFull: (request) => turns.refuseWhenFull(visitorOf(request).caller),
    uploadMemory,
    pictureUrls,
    imports,
    maps,
    spendQuota,
  };

  const onExcess = (ip: string | undefined): void =>
    app.log.info({ ip }, `connection closed: more than ${UNANSWERED_MAX} requests ahead of their answers`);
  const app: App = fastify(fastifyOptions({ settings, monitoring, log, onExcess })).withTypeProvider<TypeBoxTypeProvider>();
  await allowOrigins(app, origins);

  // A request meets these in this order, all of them before a byte of its body is read.
  app.addHook('onRequest', (request, reply, done) => {
    ledger.open(request, reply);
    reply.header('x-request-id', request.id);
    if (isDraining) throw new SearchError('SHUTTING_DOWN', 'The service is stopping.', { retryAfterSeconds: 1 });
    const {
      access,
      scope = 'collections',
      maxBodyBytes = BODY_BYTES_MAX,
      bodyTimeoutMs = settings.requestTimeoutMs,
    } = request.routeOptions.config;
    visitors.set(request, gate(request, { access: request.is404 ? 'open' : stated(access), scope }));
    refuseDeclaredExcess(request, maxBodyBytes);
    endSlowBody(app.server, request, bodyTimeoutMs);
    done();
  });
  app.addHook('onSend', (request, reply, _payload, done) => {
    if (isDraining) reply.header('connection', 'close');
    closeIfBodyIsUnread(request, reply);
    done();
  });
  app.setErrorHandler(createErrorHandler(ledger));
  app.setNotFoundHandler(() => {
    throw new SearchError('NOT_FOUND', 'There is no such route; openapi.yaml lists all.');
  });
  app.addHook('onRoute', (route) => {
    routes.push(route);
    parts.onRoute?.(route);
  });
  app.addHook('onClose', () => verifier.close());
  app.addHook('onClose', () => imports.close());
  app.addHook('onClose', () => maps.close());
  app.addHook('onClose', () => scores.close());
  app.addHook('onReady', async () => {
    for (const { url, config } of routes) stated(config?.access, url);
    monitoring.expectRoutes(routes.map(({ url }) => url));
  });

  app.removeContentTypeParser('text/plain');
  app.addContentTypeParser('application/merge-patch+json', { parseAs: 'string' }, app.getDefaultJsonParser('error', 'error'));
  app.addContentTypeParser(/^(image\/|application\/octet-stream)/, (_request, _payload, done) => done(null)); // upload.ts reads these.
  await app.register(swagger, { openapi: openApiFrame(version), transform: describeRoute });
  await app.register(helmet, {
    contentSecurityPolicy: { useDefaults: false, directives: { 'default-src': ["'none'"], 'frame-ancestors': ["'none'"] } },
    strictTransportSecurity: false, // Whoever terminates TLS in front says so.
    referrerPolicy: { policy: 'no-referrer' },
  });
  await app.register(multipart, { throwFileSizeLimit: false });

  await app.register(healthRoutes, context);
  await app.register(searchingRoutes, context);
  await app.register(comparingRoutes, context);
  await app.register(indexingRoutes, context);
  await app.register(imageRoutes, context);
  await app.register(importRoutes, context);
  await app.register(collectionRoutes, context);
  await app.register(mapRoutes, context);
  await app.register(statisticsRoutes, context);
  await app.register(encoderReportRoutes, context);
  await app.register(snapshotRoutes, context);
  await app.register(documentRoutes, context);
  if (settings.metricsPort === 0) await app.register(metricsRoutes, { monitoring, access: 'read' as const });

  const requestsInFlight = (): number => ledger.inFlight.total;
  const urlFetchesActive = (): number => pictureUrls.active;
  monitoring.watch({
    decoder,
    encoder,
    catalogue,
    imagesInFlight: turns,
    uploadMemory,
    urlFetchesActive,
    imports,
    requestsInFlight,
    version,
  });
  return {
    app,
    ledger,
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
