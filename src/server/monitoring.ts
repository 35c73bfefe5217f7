/**
 * Metrics in Prometheus form. Every label has a bounded set of values: route patterns, codes of the table, stages, a
 * few collections.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { Catalogue, CatalogueStatistics } from '../catalogue/catalogue.js';
import type { Encoder } from '../encoder/encoder.js';
import { ERROR_TABLE, type ErrorCode } from '../errors.js';
import type { ImageDecoder } from '../images/image-decoder.js';
import type { Budget } from './limits/budget.js';

/** Where an image's time goes; one histogram each. */
type Stage = 'queue' | 'decode' | 'encode' | 'search' | 'commit';

/** What became of an image that a client sent. */
type ImageOutcome = 'added' | 'replaced' | 'updated' | 'exists' | 'searched' | 'failed';

/** The service's numbers: functions to count with, and the registry that GET /metrics prints. */
export type Monitoring = {
  readonly registry: Registry;
  observeStage(stage: Stage, milliseconds: number): void;
  /** Call for each batch that the encoder ran. */
  observeBatch(size: number): void;
  /** Call for each transaction of the catalogue: images committed together, and its time. */
  observeTransaction(images: number, milliseconds: number): void;
  countImage(outcome: ImageOutcome): void;
  /** Call for each picture of an import job that waits no more. */
  countImportItem(outcome: 'added' | 'existing' | 'failed'): void;
  /** `route` is the pattern (`/images/:id`), never the path, or {@link UNKNOWN_ROUTE}. */
  countRequest(request: {
    readonly method: string;
    readonly route: string;
    readonly status: number;
    readonly elapsedMs: number;
  }): void;
  countError(code: ErrorCode): void;
  /** Call for each URL: `fetched` or the code it failed with, and its time. */
  countUrlFetch(outcome: 'fetched' | ErrorCode, milliseconds: number): void;
  /**
   * Gives each route pattern its times at zero, so that from the start a request adds one series at most: its route and
   * status. To be called once.
   */
  expectRoutes(routes: readonly string[]): void;
  /** Adds the gauges that read the parts at every scrape. To be called once. */
  watch(parts: WatchedParts): void;
};

/** What the gauges read. */
export type WatchedParts = {
  readonly decoder: ImageDecoder;
  readonly encoder: Encoder;
  readonly catalogue: Pick<Catalogue, 'statistics'>;
  readonly imagesInFlight: Pick<Budget, 'held'>;
  readonly readsInFlight: Pick<Budget, 'held'>;
  readonly uploadMemory: Budget;
  readonly responseMemory: Pick<Budget, 'held'>;
  readonly urlFetchesActive: () => number;
  readonly imports: { readonly running: number; readonly listeners: number };
  readonly requestsInFlight: () => number;
  readonly version: string;
};

/** The route label of every request that met no route, so that strangers cannot grow the series. */
export const UNKNOWN_ROUTE = 'none';

/**
 * Collections that get series of their own, the largest ones; all others are summed under {@link OTHER_COLLECTIONS}.
 */
const MAX_COLLECTIONS = 50;
const OTHER_COLLECTIONS = '(others)';
const METHODS: readonly string[] = ['GET', 'HEAD', 'POST', 'PATCH', 'DELETE', 'OPTIONS', 'PUT'];
const STAGE_SECONDS = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5];
const REQUEST_SECONDS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30];
const BATCH_SIZES = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];
const STAGES: readonly Stage[] = ['queue', 'decode', 'encode', 'search', 'commit'];
/** Kinds as prom-client names them; some come up only after hours. */
const GARBAGE_COLLECTIONS = ['major', 'minor', 'incremental', 'weakcb'];
const STATISTICS_TIMEOUT_MS = 1000;

/** A registry of its own, so that two applications in one process (tests, commands) do not meet. */
export function createMonitoring(): Monitoring {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const garbage = registry.getSingleMetric('nodejs_gc_duration_seconds');
  if (garbage instanceof Histogram) for (const kind of GARBAGE_COLLECTIONS) garbage.zero({ kind });
  const stages = new Map(
    STAGES.map((stage) => [
      stage,
      new Histogram({
        name: `likeness_${stage}_seconds`,
        help: `Time of one image in stage ${stage}.`,
        buckets: STAGE_SECONDS,
        registers,
      }),
    ]),
  );
  const batches = new Histogram({
    name: 'likeness_batch_images',
    help: 'Images encoded together.',
    buckets: BATCH_SIZES,
    registers,
  });
  const transactions = new Histogram({
    name: 'likeness_transaction_seconds',
    help: 'Time of one transaction of the catalogue, the flush included.',
    buckets: STAGE_SECONDS,
    registers,
  });
  const transactionImages = new Histogram({
    name: 'likeness_transaction_images',
    help: 'Images committed together.',
    buckets: BATCH_SIZES,
    registers,
  });
  const images = new Counter({
    name: 'likeness_images_total',
    help: 'Images by outcome.',
    labelNames: ['outcome'],
    registers,
  });
  const errors = new Counter({
    name: 'likeness_errors_total',
    help: 'Refusals and faults by code.',
    labelNames: ['code'],
    registers,
  });
  // A rate sees the first fault only where there was a zero before it.
  for (const code of Object.keys(ERROR_TABLE)) errors.inc({ code }, 0);
  const labelNames = ['method', 'route', 'status'];
  const requests = new Counter({
    name: 'likeness_requests_total',
    help: 'Requests by route pattern and status.',
    labelNames,
    registers,
  });
  const durations = new Histogram({
    name: 'likeness_request_seconds',
    help: 'Time from the headers of a request to the end of its answer.',
    labelNames: ['route'],
    buckets: REQUEST_SECONDS,
    registers,
  });
  const importItems = new Counter({
    name: 'likeness_import_items_total',
    help: 'Pictures of import jobs by outcome.',
    labelNames: ['outcome'],
    registers,
  });
  const urlFetches = new Counter({
    name: 'likeness_url_fetches_total',
    help: 'URLs by outcome.',
    labelNames: ['outcome'],
    registers,
  });
  const urlFetchTimes = new Histogram({
    name: 'likeness_url_fetch_seconds',
    help: 'Time of one URL, redirects and body included.',
    buckets: REQUEST_SECONDS,
    registers,
  });
  return {
    registry,
    observeStage: (stage, milliseconds) => stages.get(stage)?.observe(milliseconds / 1000),
    observeBatch: (size) => batches.observe(size),
    observeTransaction: (count, milliseconds) => {
      transactionImages.observe(count);
      transactions.observe(milliseconds / 1000);
    },
    countImage: (outcome) => images.inc({ outcome }),
    countImportItem: (outcome) => importItems.inc({ outcome }),
    countError: (code) => errors.inc({ code }),
    countUrlFetch: (outcome, milliseconds) => {
      urlFetches.inc({ outcome });
      urlFetchTimes.observe(milliseconds / 1000);
    },
    countRequest: ({ method, route, status, elapsedMs }) => {
      requests.inc({ method: METHODS.includes(method) ? method : 'OTHER', route, status: String(status) });
      durations.observe({ route }, elapsedMs / 1000);
    },
    expectRoutes: (routes) => {
      for (const route of new Set([...routes, UNKNOWN_ROUTE])) durations.zero({ route });
    },
    watch: (parts) => watchParts(parts, registers),
  };
}

function watchParts(parts: WatchedParts, registers: Registry[]): void {
  const { decoder, encoder, catalogue, version } = parts;
  const gauge = (name: string, help: string, read: () => number): void => {
    new Gauge({
      name: `likeness_${name}`,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  };
  gauge('decode_queue_images', 'Images that wait for a decoder.', () => decoder.statistics.queued);
  gauge('decode_active_images', 'Images being decoded.', () => decoder.statistics.active);
  gauge('encode_queue_images', 'Images that wait for the encoder.', () => encoder.statistics.queued);
  gauge('encode_active_images', 'Images being encoded.', () => encoder.statistics.active);
  gauge(
    'images_in_flight',
    'Images that wait for their turn, are decoded or encoded.',
    () => parts.imagesInFlight.held,
  );
  gauge('reads_in_flight', 'Cost of reads that wait for the catalogue or are served.', () => parts.readsInFlight.held);
  gauge('response_memory_bytes', 'Bytes of responses that clients have not read yet.', () => parts.responseMemory.held);
  gauge('upload_memory_bytes', 'Bytes of uploads held in memory.', () => parts.uploadMemory.held);
  gauge('imports_running', 'Import jobs that run.', () => parts.imports.running);
  gauge('import_listeners', 'Listeners that follow import jobs.', () => parts.imports.listeners);
  gauge('url_fetches_active', 'URLs being fetched.', parts.urlFetchesActive);
  gauge('requests_in_flight', 'Requests not yet answered.', parts.requestsInFlight);
  new Counter({
    name: 'likeness_decoder_restarts_total',
    help: 'Decoders that died or were killed, and were replaced.',
    registers,
    collect() {
      this.reset();
      this.inc(decoder.statistics.restarts);
    },
  });
  const { name, id, device, runtime, dimensions, preprocessing } = encoder.description;
  const information = {
    name,
    id,
    device,
    runtime,
    dimensions: String(dimensions),
    input: `${preprocessing.width}x${preprocessing.height}`,
  };
  constantOne('encoder_info', 'The encoder in use.', information, registers);
  constantOne('build_info', 'The running build.', { version, node: process.version }, registers);
  watchCatalogue(catalogue, registers);
}

function constantOne(
  name: string,
  help: string,
  labels: { readonly [label: string]: string },
  registers: Registry[],
): void {
  new Gauge({ name: `likeness_${name}`, help, labelNames: Object.keys(labels), registers }).set(labels, 1);
}

/**
 * The first gauge asks the catalogue; the others, collected at the same time, await the same answer. A scrape never
 * fails with it.
 */
function watchCatalogue(catalogue: Pick<Catalogue, 'statistics'>, registers: Registry[]): void {
  let pending: Promise<CatalogueStatistics | undefined> | undefined;
  const statistics = (): Promise<CatalogueStatistics | undefined> => {
    pending ??= answerInTime(catalogue.statistics(), STATISTICS_TIMEOUT_MS).finally(() => {
      pending = undefined;
    });
    return pending;
  };
  const single = (name: string, help: string, read: (statistics: CatalogueStatistics) => number): void => {
    new Gauge({
      name: `likeness_catalogue_${name}`,
      help,
      registers,
      async collect() {
        const current = await statistics();
        if (current !== undefined) this.set(read(current));
      },
    });
  };
  single('collections', 'Collections.', ({ collections }) => collections.length);
  single('database_bytes', 'Size of the database file.', ({ databaseBytes }) => databaseBytes);
  single('wal_bytes', 'Size of the write-ahead log.', ({ walBytes }) => walBytes);
  single('queue_requests', 'Requests that wait for the catalogue.', ({ queued }) => queued);
  single('last_sequence', 'Sequence number of the last commit.', ({ lastSequence }) => lastSequence);
  single(
    'least_recall',
    'Least share of the ten true neighbours that searches find in a collection, as measured; 1 before.',
    ({ collections }) => collections.reduce((least, { recall = 1 }) => Math.min(least, recall), 1),
  );
  const perCollection = (
    name: string,
    help: string,
    read: (collection: CatalogueStatistics['collections'][number]) => number,
  ): void => {
    new Gauge({
      name: `likeness_collection_${name}`,
      help,
      labelNames: ['collection'],
      registers,
      async collect() {
        const current = await statistics();
        if (current === undefined) return;
        this.reset();
        const byImages = [...current.collections].sort((a, b) => b.images - a.images || (a.name < b.name ? -1 : 1));
        for (const [place, collection] of byImages.entries()) {
          this.inc({ collection: place < MAX_COLLECTIONS ? collection.name : OTHER_COLLECTIONS }, read(collection));
        }
      },
    });
  };
  perCollection('images', 'Images of a collection.', ({ images }) => images);
  perCollection('indexed_vectors', 'Vectors in the graph of a collection.', ({ indexed }) => indexed);
  perCollection('deleted_vectors', 'Vectors in the graph that are marked deleted.', ({ deleted }) => deleted);
  perCollection('rebuilding', '1 while the graph of a collection is rebuilt.', ({ rebuilding }) =>
    rebuilding ? 1 : 0,
  );
}

/** The answer, or undefined where it fails or takes too long: the other metrics matter most just then. */
async function answerInTime<T>(work: Promise<T>, timeoutMs: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), timeoutMs);
  });
  try {
    return await Promise.race([work.catch(() => undefined), late]);
  } finally {
    clearTimeout(timer);
  }
}
