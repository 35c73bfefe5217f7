import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { CallPort, workerChannel } from '../call-port.js';
import { SearchError } from '../errors.js';
import type {
  Catalogue,
  DurableCatalogue,
  ImageId,
  KnownFile,
  Metadata,
  NeighbourQuery,
  NewImage,
  PageQuery,
} from './catalogue.js';
import { type CatalogueRequest, type CommitReport, type EngineEvent, isWrite } from './catalogue-requests.js';
import type { WorkerMethods, WorkerOptions } from './catalogue-worker.js';
import type { ImportChange, ImportQuery, ImportResult } from './imports/import-records.js';
import {
  checkCollectionName,
  checkedChanges,
  checkedImageId,
  checkedKnownFile,
  checkedNewImage,
  checkedPage,
  checkedQuery,
  checkedSample,
  type InputLimits,
} from './records/checked-input.js';
import { METADATA_LIMITS, metadataToJson } from './records/metadata.js';

export type CatalogueOptions = {
  /** Data folder; made where it is missing, locked while open. No other code of this process may open its files. */
  readonly folder: string;
  /** The encoder of all embeddings; a catalogue made with another is refused as ENCODER_MISMATCH. */
  readonly encoderId: string;
  /** Elements of an embedding. */
  readonly dimensions: number;
  /** HNSW: links per node, 4..64 (16). More take memory and find more. */
  readonly m?: number;
  /** HNSW: 16..2000 (200). */
  readonly efConstruction?: number;
  /** HNSW: least efSearch, 1..10000 (64). */
  readonly ef?: number;
  /** Target recall@10 of searches that set no efSearch, 0..1 (0.98); 0: use `ef`. */
  readonly recall?: number;
  /** Writes, and as many reads, that may wait (1024); more are OVERLOADED. */
  readonly queueLimit?: number;
  /** Bytes of images that may wait to be added (256 MiB); more are OVERLOADED. */
  readonly queueBytesLimit?: number;
  readonly collectionsMax?: number;
  /** Bytes of one image's metadata as JSON, also after a merge, 2..1,048,576 (1,048,576). */
  readonly maxMetadataBytes?: number;
  /**
   * An index file is written after this many changes (20,000), and after `saveEveryMs` (10 minutes) if there was any.
   */
  readonly saveEveryChanges?: number;
  readonly saveEveryMs?: number;
  /** How long to wait for another process to release the folder (2,000 ms). */
  readonly lockTimeoutMs?: number;
  /** Disk space reserved so that images can be removed on a full disk (8 MiB). */
  readonly reserveBytes?: number;
  /** Called after each transaction, for metrics. */
  readonly onCommit?: (report: CommitReport) => void;
  /** What an operator should know and no caller waits for, such as a damaged index file that is rebuilt. */
  readonly onWarning?: (message: string) => void;
  /** The catalogue's thread died and every call rejects: the process should be restarted. */
  readonly onFailure?: (error: SearchError) => void;
};

/**
 * Opens the catalogue in a worker thread that owns record store and indexes; resolves when it can be searched. Callers
 * keep their buffers: arguments are copied. Rejects with ENCODER_MISMATCH, CATALOGUE_LOCKED, CATALOGUE_DAMAGED,
 * DISK_FULL, NATIVE_MODULE_MISSING or INVALID_SETTINGS.
 */
export async function openCatalogue(options: CatalogueOptions): Promise<DurableCatalogue> {
  const workerOptions = toWorkerOptions(options);
  const worker = new Worker(new URL('./catalogue-worker.js', import.meta.url));
  const catalogue = new WorkerCatalogue(worker, options);
  try {
    await catalogue.open(workerOptions);
    return catalogue;
  } catch (error) {
    await worker.terminate();
    throw error;
  }
}

/** The catalogue as its callers hold it: checks what they pass, bounds what waits, and sends it to the thread. */
class WorkerCatalogue implements DurableCatalogue {
  readonly #options: CatalogueOptions;
  readonly #limits: InputLimits & { readonly queue: number; readonly bytes: number };
  readonly #port: CallPort<WorkerMethods, EngineEvent>;
  readonly #waiting = { reads: 0, writes: 0, bytes: 0 };
  readonly #exited: Promise<unknown>;
  #isClosing = false;

  constructor(worker: Worker, options: CatalogueOptions) {
    this.#options = options;
    this.#limits = {
      dimensions: options.dimensions,
      maxMetadataBytes: options.maxMetadataBytes ?? METADATA_LIMITS.bytes,
      queue: options.queueLimit ?? 1024,
      bytes: options.queueBytesLimit ?? 256 * 1024 * 1024,
    };
    this.#exited = once(worker, 'exit');
    this.#exited.catch(() => undefined); // an error of the thread rejects its calls
    this.#port = new CallPort(workerChannel(worker), {
      toGoneError: ({ message }) =>
        new SearchError('INTERNAL', `The catalogue's thread died: ${message} Start the service again.`),
      onEvent: (event) => {
        if (event.kind === 'commit') options.onCommit?.(event.report);
        else options.onWarning?.(event.message);
      },
    });
  }

  async open(options: WorkerOptions): Promise<void> {
    await this.#port.call('open', [options]);
    void this.#port.gone.then((error) => {
      if (!this.#isClosing) this.#options.onFailure?.(error as SearchError); // made by toGoneError
    });
  }

  async add(collection: string, image: NewImage): ReturnType<Catalogue['add']> {
    checkCollectionName(collection);
    const checked = checkedNewImage(image, this.#limits);
    // A view is sent with the whole memory it looks into, hence the copies; the large ones are then moved and not
    // copied again.
    const embedding = checked.embedding.slice();
    const thumbnail = ownBytes(checked.thumbnail);
    const original = checked.original === undefined ? undefined : ownBytes(checked.original);
    const [sha256, perceptualHash] = [ownBytes(checked.sha256), ownBytes(checked.perceptualHash)];
    const transfer = [embedding.buffer, thumbnail.buffer, ...(original === undefined ? [] : [original.buffer])];
    const sent = { ...checked, embedding, thumbnail, original, sha256, perceptualHash };
    return this.#call({ method: 'add', args: [collection, sent] }, transfer);
  }

  async addKnown(collection: string, image: KnownFile): ReturnType<Catalogue['addKnown']> {
    checkCollectionName(collection);
    const checked = checkedKnownFile(image, this.#limits);
    return this.#call({ method: 'addKnown', args: [collection, { ...checked, sha256: ownBytes(checked.sha256) }] });
  }

  async findBySha256(collection: string, sha256: Uint8Array): ReturnType<Catalogue['findBySha256']> {
    checkCollectionName(collection);
    return this.#call({ method: 'findBySha256', args: [collection, ownBytes(sha256)] });
  }

  async remove(collection: string, id: ImageId): Promise<boolean> {
    return this.#call({ method: 'remove', args: named(collection, id) });
  }

  async removeCollection(collection: string): Promise<boolean> {
    checkCollectionName(collection);
    return this.#call({ method: 'removeCollection', args: [collection] });
  }

  async patchMetadata(collection: string, id: ImageId, patch: Metadata): ReturnType<Catalogue['patchMetadata']> {
    metadataToJson(patch, this.#limits.maxMetadataBytes);
    return this.#call({ method: 'patchMetadata', args: [...named(collection, id), patch] });
  }

  async get(collection: string, id: ImageId): ReturnType<Catalogue['get']> {
    return this.#call({ method: 'get', args: named(collection, id) });
  }

  async embedding(collection: string, id: ImageId): ReturnType<Catalogue['embedding']> {
    return this.#call({ method: 'embedding', args: named(collection, id) });
  }

  async thumbnail(collection: string, id: ImageId): ReturnType<Catalogue['thumbnail']> {
    return this.#call({ method: 'thumbnail', args: named(collection, id) });
  }

  async original(collection: string, id: ImageId): ReturnType<Catalogue['original']> {
    return this.#call({ method: 'original', args: named(collection, id) });
  }

  async list(collection: string, page: PageQuery): ReturnType<Catalogue['list']> {
    checkCollectionName(collection);
    return this.#call({ method: 'list', args: [collection, checkedPage(page)] });
  }

  async neighbours(query: NeighbourQuery): ReturnType<Catalogue['neighbours']> {
    const checked = checkedQuery(query, this.#options.dimensions);
    const embedding = checked.embedding.slice();
    return this.#call({ method: 'neighbours', args: [{ ...checked, embedding }] }, [embedding.buffer]);
  }

  async sample(...[collection, query]: Parameters<Catalogue['sample']>): ReturnType<Catalogue['sample']> {
    checkCollectionName(collection);
    return this.#call({ method: 'sample', args: [collection, checkedSample(query)] });
  }

  async changesSince(
    ...[collection, query]: Parameters<Catalogue['changesSince']>
  ): ReturnType<Catalogue['changesSince']> {
    checkCollectionName(collection);
    return this.#call({ method: 'changesSince', args: [collection, checkedChanges(query)] });
  }

  async statistics(): ReturnType<Catalogue['statistics']> {
    const queued = this.#waiting.reads + this.#waiting.writes;
    const statistics = await this.#call<Awaited<ReturnType<Catalogue['statistics']>>>({
      method: 'statistics',
      args: [],
    });
    return { ...statistics, queued };
  }

  async changeImport(change: ImportChange): ReturnType<DurableCatalogue['changeImport']> {
    return this.#call({ method: 'changeImport', args: [change] });
  }

  async readImports<Query extends ImportQuery>(query: Query): Promise<ImportResult<Query>> {
    return this.#call({ method: 'readImports', args: [query] });
  }

  async saveIndexes(): Promise<void> {
    return this.#call({ method: 'saveIndexes', args: [] });
  }

  async copyTo(folder: string): Promise<void> {
    return this.#call({ method: 'copyTo', args: [folder] });
  }

  /** Serves what was requested before, saves the index files, releases the folder. Later calls are SHUTTING_DOWN. */
  async close(): Promise<void> {
    if (!this.#isClosing) {
      this.#isClosing = true;
      await this.#port.call('close', []).catch(() => undefined); // a thread that died has released the folder
    }
    await this.#exited.catch(() => undefined);
  }

  /** Bytes that wait are those of moved memory of writes: images to be added. */
  async #call<Value>(request: CatalogueRequest, transfer: readonly ArrayBuffer[] = []): Promise<Value> {
    if (this.#isClosing) throw new SearchError('SHUTTING_DOWN', 'The catalogue is closing.');
    const kind = isWrite(request) ? 'writes' : 'reads';
    const bytes = kind === 'reads' ? 0 : transfer.reduce((sum, buffer) => sum + buffer.byteLength, 0);
    const waiting = this.#waiting;
    const { queue, bytes: bytesMax } = this.#limits;
    if (waiting[kind] >= queue) throw overloaded(`${queue} ${kind} wait for the catalogue (its queue limit)`);
    if (bytes > 0 && waiting.bytes > 0 && waiting.bytes + bytes > bytesMax)
      throw overloaded(`${waiting.bytes} bytes of images wait for the catalogue; the limit is ${bytesMax}`);
    waiting[kind]++;
    waiting.bytes += bytes;
    try {
      // the engine returns what each method promises
      return (await this.#port.call('request', [request], transfer)) as Value;
    } finally {
      waiting[kind]--;
      waiting.bytes -= bytes;
    }
  }
}

function named(collection: string, id: ImageId): [string, ImageId] {
  checkCollectionName(collection);
  return [collection, checkedImageId(id)];
}

function toWorkerOptions(options: CatalogueOptions): WorkerOptions {
  const within = (name: string, value: number, least: number, most: number): number => {
    if (Number.isInteger(value) && value >= least && value <= most) return value;
    throw new SearchError(
      'INVALID_SETTINGS',
      `${name} of the catalogue is ${value}; it must be a whole number from ${least} to ${most}.`,
    );
  };
  return {
    folder: options.folder,
    encoderId: options.encoderId,
    settings: {
      dimensions: within('dimensions', options.dimensions, 1, 65_536),
      m: within('m', options.m ?? 16, 4, 64),
      efConstruction: within('efConstruction', options.efConstruction ?? 200, 16, 2000),
      ef: within('ef', options.ef ?? 64, 1, 10_000),
      recall: within('recall in percent', Math.round((options.recall ?? 0.98) * 100), 0, 100) / 100,
    },
    collectionsMax: within('collectionsMax', options.collectionsMax ?? 1000, 1, 100_000),
    maxMetadataBytes: within(
      'maxMetadataBytes',
      options.maxMetadataBytes ?? METADATA_LIMITS.bytes,
      2,
      METADATA_LIMITS.bytes,
    ),
    saveEveryChanges: within('saveEveryChanges', options.saveEveryChanges ?? 20_000, 1, Number.MAX_SAFE_INTEGER),
    saveEveryMs: within('saveEveryMs', options.saveEveryMs ?? 600_000, 1000, 2 ** 31 - 1),
    lockTimeoutMs: within('lockTimeoutMs', options.lockTimeoutMs ?? 2000, 0, 600_000),
    reserveBytes: within('reserveBytes', options.reserveBytes ?? 8 * 1024 * 1024, 65_536, 2 ** 31 - 1),
  };
}

/** A copy in memory of exactly its size. */
function ownBytes(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bytes);
}

function overloaded(fault: string): SearchError {
  return new SearchError('OVERLOADED', `${fault}. Try again in a second.`, { retryAfterSeconds: 1 });
}
