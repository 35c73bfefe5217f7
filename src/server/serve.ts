/** The service's process: opens the parts, listens, and on a signal answers the requests in flight before it ends. */
import { access, constants, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import closeWithGrace, { type AllEvents } from 'close-with-grace';
import { openCatalogue } from '../catalogue/open-catalogue.js';
import { Snapshots } from '../catalogue/snapshots/snapshots.js';
import type { Device } from '../encoder/encoder.js';
import { openEncoder } from '../encoder/open-encoder.js';
import { nameEncoders } from '../encoder/saved-encoder.js';
import { readShippedScores } from '../encoder/score-defaults.js';
import { SearchError } from '../errors.js';
import { createDecoderPool } from '../images/decoding/decoder-pool.js';
import type { Settings } from '../settings.js';
import { type Application, buildApp } from './app.js';
import { type ApiKey, readApiKeys, requireKeysOffLoopback } from './auth.js';
import { readEncoderReport } from './encoder-report.js';
import type { LogOptions } from './logging.js';
import { buildMetricsApp } from './metrics-app.js';
import { createMonitoring } from './monitoring.js';
import type { App } from './server-context.js';

/** A service that listens. */
export type RunningServer = {
  /** Where it listens, with the actual port. */
  readonly url: string;
  /** Address of GET /metrics. */
  readonly metricsUrl: string;
  readonly encoder: { readonly name: string; readonly device: Device };
  /** Drains, then closes everything. A second call awaits the first. */
  close(): Promise<void>;
  /**
   * SIGTERM, SIGINT and SIGHUP: {@link close}, then exit code 0. A second signal, or a failure, exits with code 1. An
   * uncaught error is logged before the process ends. SIGUSR1 opens no debugger.
   */
  stopOnSignals(): void;
};

/** An opened part; parts are closed in reverse order. */
type Opened = { readonly name: string; readonly close: () => Promise<unknown> };

/** Work that does not pass admission: probes, and the fits of scores. */
const INNER_QUEUE_MARGIN = 64;
/** A batch that takes longer is taken to hang, and the encoder's thread is replaced. */
const BATCH_TIMEOUT_MS = 30_000;
const ENCODER_START_TIMEOUT_MS = 120_000;
/** Decoders run at a lower priority than HTTP, so that refusals are quick also when all processors are busy. */
const DECODER_NICENESS = 5;

/** Time between two looks at the requests in flight. */
const POLL_MS = 20;
/** Share of the drain timeout that half-sent uploads get once all other requests are answered. */
const HALF_SENT_SHARE = 0.25;
/**
 * Signals that close-with-grace would catch: faults of native code, after which no JavaScript can run safely,
 * and SIGUSR2.
 */
const LEFT_ALONE: AllEvents[] = [
  'SIGILL',
  'SIGTRAP',
  'SIGABRT',
  'SIGBUS',
  'SIGFPE',
  'SIGSEGV',
  'SIGUSR2',
  'beforeExit',
];

/**
 * Starts the service; its encoder is warm when this resolves. Throws a SearchError for what an operator can fix, after
 * closing what was opened. `log.stream` is for tests.
 */
export async function startServer(settings: Settings, log: Omit<LogOptions, 'level'> = {}): Promise<RunningServer> {
  const opened: Opened[] = [];
  const keep = <T extends { close(): Promise<unknown> }>(name: string, part: T): T => {
    opened.push({ name, close: () => part.close() });
    return part;
  };
  try {
    const keys = await readApiKeys(settings);
    requireKeysOffLoopback(settings, keys);
    // before the encoder is loaded, so that a wrong folder is told at once
    await mkdir(settings.data, { recursive: true });
    await access(settings.data, constants.W_OK);
    return await openAll(settings, keys, { level: settings.logLevel, ...log }, keep, opened);
  } catch (error) {
    await closeAll(opened);
    throw startError(error, settings);
  }
}

async function openAll(
  settings: Settings,
  keys: readonly ApiKey[],
  log: LogOptions,
  keep: <T extends { close(): Promise<unknown> }>(name: string, part: T) => T,
  opened: Opened[],
): Promise<RunningServer> {
  const monitoring = createMonitoring();
  // Admission bounds the images in flight; a few probes come on top.
  const innerQueueMax = settings.maxImagesInFlight + INNER_QUEUE_MARGIN;
  const early: string[] = []; // warnings before there is a logger
  let warn = (message: string): void => void early.push(message);
  let fail = (_error: SearchError): void => {};

  const encoder = keep(
    'encoder',
    await openEncoder({
      folder: settings.model,
      device: settings.device as Device | 'auto', // the table of settings lists exactly these
      threads: settings.encoderThreads,
      batchSizeMax: settings.batchSizeMax,
      waitMs: settings.batchWaitMs,
      queueSizeMax: innerQueueMax,
      batchTimeoutMs: BATCH_TIMEOUT_MS,
      startTimeoutMs: ENCODER_START_TIMEOUT_MS,
      onBatch: (size) => monitoring.observeBatch(size),
    }),
  );
  const { name, id: encoderId, dimensions, preprocessing, device, runtime } = encoder.description;
  const catalogue = keep(
    'catalogue',
    await openCatalogue({
      folder: settings.data,
      encoderId,
      dimensions,
      m: settings.hnswM,
      efConstruction: settings.hnswEfConstruction,
      ef: settings.hnswEf,
      recall: settings.hnswRecall / 100,
      queueLimit: settings.catalogueQueue,
      maxMetadataBytes: settings.maxMetadataBytes,
      onCommit: ({ images, ms }) => monitoring.observeTransaction(images, ms),
      onWarning: (message) => warn(message),
      onFailure: (error) => fail(error),
    }).catch(async (error: unknown) => {
      if (!(error instanceof SearchError && error.code === 'ENCODER_MISMATCH')) throw error;
      throw new SearchError(error.code, await nameEncoders(error.message, settings.model), { cause: error });
    }),
  );
  const snapshots = new Snapshots({
    folder: join(settings.data, 'snapshots'),
    copyTo: (folder) => catalogue.copyTo(folder),
  });
  await snapshots.removeLeftovers();
  const { maxPixels, maxPixelsGif, maxPixelsAvif } = settings;
  const decoder = keep(
    'decoder',
    createDecoderPool({
      preprocessing,
      processes: settings.decoders,
      queueLimit: innerQueueMax,
      decodeTimeoutMs: settings.decodeTimeoutMs,
      memoryBudgetBytes: settings.decodeMemoryBytes,
      thumbnailSize: settings.thumbnailSize,
      niceness: DECODER_NICENESS,
      limits: {
        maxPixels: {
          jpeg: maxPixels,
          png: maxPixels,
          webp: maxPixels,
          tiff: maxPixels,
          gif: maxPixelsGif,
          avif: maxPixelsAvif,
        },
      },
    }),
  );
  await decoder.ready();

  const scores = await readShippedScores(settings.model, encoderId);
  const report = await readEncoderReport(settings.model, encoderId, (message) => warn(message));
  const imports = { ledger: catalogue, folder: join(settings.data, 'imports') };
  const mapFolder = join(settings.data, 'maps');
  const scoreFolder = join(settings.data, 'scores');
  const application = await buildApp({
    settings,
    decoder,
    encoder,
    catalogue,
    snapshots,
    imports,
    mapFolder,
    scoreFolder,
    monitoring,
    keys,
    log,
    scores,
    report,
  });
  const { app } = application;
  warn = (message) => app.log.warn(message);
  for (const message of early) warn(message);

  let metricsUrl: string | undefined;
  if (settings.metricsPort !== 0) {
    const metrics = keep('metrics', await buildMetricsApp({ monitoring, settings }));
    await metrics.listen({ host: settings.metricsHost, port: settings.metricsPort });
    metricsUrl = `${urlOf(metrics)}/metrics`;
  }
  await application.resumeWork();
  const isTerminal = process.stdout.isTTY && log.stream === undefined;
  const { level } = app.log;
  if (isTerminal) app.log.level = 'warn'; // people get one line with the address, not Fastify's
  await app.listen({ host: settings.host, port: settings.port, backlog: Math.min(settings.maxConnections, 511) });
  const url = urlOf(app);
  app.log.level = level;
  if (isTerminal) process.stdout.write(`\nLikeness is ready: open ${url} in a browser. Ctrl-C stops it.\n\n`);
  else
    app.log.info(
      { url, encoder: name, encoderId, device, runtime, data: settings.data, keys: keys.length },
      'likeness is ready',
    );
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closing ??= drain(application, settings.drainTimeoutMs).then(() => closeAll(opened));
    return closing;
  };
  // Without the catalogue's thread no request can be answered: exit, so that the supervisor restarts the service.
  fail = (error) => {
    app.log.fatal({ err: error }, 'the catalogue failed; the service ends');
    void close().finally(() => process.exit(1));
  };
  return {
    url,
    metricsUrl: metricsUrl ?? `${url}/metrics`,
    encoder: { name, device },
    close,
    stopOnSignals: () => stopOnSignals(app, close),
  };
}

function stopOnSignals(app: App, close: () => Promise<void>): void {
  closeWithGrace({ delay: false, logger: false, skip: LEFT_ALONE }, async ({ signal, err }) => {
    if (err !== undefined) {
      app.log.fatal({ err }, 'uncaught error; the service ends');
      return; // What was acknowledged is on disk, and nothing else can be trusted now.
    }
    app.log.info({ signal }, 'stopping; a second signal stops at once');
    await close().catch((error: unknown) => {
      app.log.fatal({ err: error }, 'the stop failed');
      throw error;
    });
  });
  process.on('SIGUSR1', () => app.log.info('SIGUSR1 is ignored: no debugger is opened'));
  process.on('SIGUSR2', () => app.log.info('SIGUSR2 is ignored'));
}

/**
 * Graceful stop: accepts no new connection, refuses new requests on open ones, waits for the responses of requests that
 * have arrived whole, and a little for those still arriving. Ends all connections after `drainTimeoutMs`.
 */
export async function drain({ app, tracker, startDraining }: Application, drainTimeoutMs: number): Promise<void> {
  startDraining();
  const { server } = app;
  if (server.listening) server.close(); // stops listening; app.close() awaits the rest
  const startedAt = performance.now();
  let answeredAt: number | undefined;
  for (;;) {
    server.closeIdleConnections();
    const { total, whole } = tracker.inFlight;
    const now = performance.now();
    if (whole > 0) answeredAt = undefined;
    else answeredAt ??= now;
    const isHalfSentOver = answeredAt !== undefined && now - answeredAt >= drainTimeoutMs * HALF_SENT_SHARE;
    if (total === 0 || isHalfSentOver || now - startedAt >= drainTimeoutMs) break;
    await pause(POLL_MS);
  }
  const { total } = tracker.inFlight;
  app.log.info({ waitedMs: Math.round(performance.now() - startedAt), unanswered: total }, 'drained');
  server.closeAllConnections();
  await app.close();
}

/** A system error of the start as a sentence with its remedy; all others as they are. */
function startError(error: unknown, { host, port, data }: Settings): unknown {
  // Errors of the catalogue's thread arrive with their message alone.
  const text = /\b(E[A-Z]+): .*?, (\w+)/.exec(error instanceof Error ? error.message : '');
  const { code, syscall } = text === null ? (error as NodeJS.ErrnoException) : { code: text[1], syscall: text[2] };
  const refuse = (message: string): SearchError =>
    new SearchError('INVALID_SETTINGS', `The service cannot start: ${message}`, { cause: error });
  if (syscall === 'listen') {
    if (code === 'EADDRINUSE')
      return refuse(
        `port ${port} of ${host} is in use already. Stop the other program or choose another --port (0 takes a free one).`,
      );
    if (code === 'EACCES') return refuse(`port ${port} needs more rights. Choose a --port from 1024 on.`);
    if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND')
      return refuse(`this machine has no address ${host}. Choose another --host, or 127.0.0.1.`);
  }
  if (code === 'ENOTDIR' || code === 'EEXIST')
    return refuse(`--data ${data} is, or lies under, a file. Choose a folder; it is created if it does not exist.`);
  if ((code === 'EACCES' || code === 'EPERM' || code === 'EROFS') && syscall !== undefined)
    return refuse(`--data ${data} cannot be written. Change its owner or choose another folder.`);
  return error;
}

/** Closes all parts in reverse order, then throws the first error. */
async function closeAll(opened: Opened[]): Promise<void> {
  const errors: unknown[] = [];
  for (const part of opened.splice(0).reverse()) await part.close().catch((error: unknown) => errors.push(error));
  if (errors.length > 0) throw errors[0];
}

function urlOf(app: App): string {
  const address = app.server.address();
  if (address === null || typeof address === 'string')
    throw new Error('A TCP server has an address and a port. This is a bug.');
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  return `http://${host}:${address.port}`;
}
