/** The life of the service's process: open the parts, listen, and at the end let every request in flight be answered. */
import { join } from 'node:path';
import { openCatalogue } from '../catalogue/open-catalogue.js';
import { Snapshots } from '../catalogue/snapshots.js';
import type { Device } from '../encoder/encoder.js';
import { openEncoder } from '../encoder/open-encoder.js';
import { readShippedScores } from '../encoder/score-defaults.js';
import type { SearchError } from '../errors.js';
import { createDecoderPool } from '../images/decoder-pool.js';
import type { Settings } from '../settings.js';
import { buildApp } from './app.js';
import { type ApiKey, readApiKeys, refuseOpenDoors } from './auth.js';
import { drain } from './drain.js';
import { readEncoderReport } from './encoder-report.js';
import type { LogOptions } from './logging.js';
import { buildMetricsApp } from './metrics-app.js';
import { createMonitoring } from './monitoring.js';
import type { App } from './server-context.js';

/** A service that listens. */
export type RunningServer = {
  /** Where it listens, with the port that it really got. */
  readonly url: string;
  /** Where GET /metrics is, without a key where it has a port of its own. */
  readonly metricsUrl: string;
  readonly encoder: { readonly name: string; readonly device: Device };
  /** Drains, then closes everything; the second call awaits the first. Resolves when nothing of it is left. */
  close(): Promise<void>;
  /** SIGTERM or SIGINT: {@link close}, then exit code 0 (1 where it fails). A second signal exits at once with code 1. */
  stopOnSignals(): void;
};

/** Something opened that must be closed again; closed in reverse order. */
type Opened = { readonly name: string; readonly close: () => Promise<unknown> };

/** HTTP goes before decoding, so that a refusal is quick also when all cores are busy. */
const DECODER_NICENESS = 5;

/**
 * Starts the service: keys, encoder (warm when this resolves), decoders, catalogue, HTTP. Throws a SearchError for what an operator can
 * mend, with everything opened so far closed again. `log.stream` is for tests.
 */
export async function startServer(settings: Settings, log: Omit<LogOptions, 'level'> = {}): Promise<RunningServer> {
  const opened: Opened[] = [];
  const keep = <T extends { close(): Promise<unknown> }>(name: string, part: T): T => {
    opened.push({ name, close: () => part.close() });
    return part;
  };
  try {
    const keys = await readApiKeys(settings);
    refuseOpenDoors(settings.host, keys);
    return await openAll(settings, keys, { level: settings.logLevel, ...log }, keep, opened);
  } catch (error) {
    await closeAll(opened);
    throw error;
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
  const early: string[] = []; // Warnings from before there is a logger.
  let warn = (message: string): void => void early.push(message);
  let fail = (_error: SearchError): void => {};

  const encoder = keep(
    'encoder',
    await openEncoder({
      folder: settings.model,
      device: settings.device as Device | 'auto', // The table of settings lists just these.
      threads: settings.encoderThreads,
      batchSizeMax: settings.batchSizeMax,
      waitMs: settings.batchWaitMs,
      queueSizeMax: settings.encodeQueue,
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
      onCommit: ({ images, ms }) => monitoring.observeTransaction(images, ms),
      onWarning: (message) => warn(message),
      onFailure: (error) => fail(error),
    }),
  );
  const snapshots = new Snapshots({ folder: join(settings.data, 'snapshots'), copyTo: (folder) => catalogue.copyTo(folder) });
  await snapshots.removeLitter();
  const { maxPixels, maxPixelsGif, maxPixelsAvif } = settings;
  const decoder = keep(
    'decoder',
    createDecoderPool({
      preprocessing,
      processes: settings.decoders,
      queueLimit: settings.decodeQueue,
      decodeTimeoutMs: settings.decodeTimeoutMs,
      memoryBudgetBytes: settings.decodeMemoryBytes,
      thumbnailSize: settings.thumbnailSize,
      niceness: DECODER_NICENESS,
      limits: {
        maxPixels: { jpeg: maxPixels, png: maxPixels, webp: maxPixels, tiff: maxPixels, gif: maxPixelsGif, avif: maxPixelsAvif },
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
    await metrics.listen({ host: settings.host, port: settings.metricsPort });
    metricsUrl = `${urlOf(metrics)}/metrics`;
  }
  await application.resumeWork();
  await app.listen({ host: settings.host, port: settings.port, backlog: Math.min(settings.maxConnections, 511) });
  const url = urlOf(app);
  app.log.info({ url, encoder: name, encoderId, device, runtime, data: settings.data, keys: keys.length }, 'likeness is ready');

  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closing ??= drain(application, settings.drainTimeoutMs).then(() => closeAll(opened));
    return closing;
  };
  // The catalogue's thread is gone, and with it every further answer: end, so that whoever watches the process starts it again.
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
  let isStopping = false;
  const stop = (signal: NodeJS.Signals): void => {
    if (isStopping) process.exit(1);
    isStopping = true;
    app.log.info({ signal }, 'stopping; a second signal stops at once');
    close().then(
      () => process.exit(0),
      (error: unknown) => {
        app.log.fatal({ err: error }, 'the stop failed');
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
}

/** Closes in reverse order; what fails does not keep the others open. Throws the first error when all are closed. */
async function closeAll(opened: Opened[]): Promise<void> {
  const errors: unknown[] = [];
  for (const part of opened.splice(0).reverse()) await part.close().catch((error: unknown) => errors.push(error));
  if (errors.length > 0) throw errors[0];
}

function urlOf(app: App): string {
  const address = app.server.address();
  if (address === null || typeof address === 'string') throw new Error('A TCP server has an address and a port. This is a bug.');
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  return `http://${host}:${address.port}`;
}
