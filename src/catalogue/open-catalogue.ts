import { Worker } from 'node:worker_threads';
import { fromErrorData, SearchError } from '../errors.js';
import type { Catalogue, CatalogueStatistics, DurableCatalogue, ImageId, Metadata, NeighbourQuery, NewImage } from './catalogue.js';
import { type CatalogueRequest, type CommitReport, isWrite, type MessageFromWorker, type MessageToWorker } from './catalogue-requests.js';
import type { WorkerOptions } from './catalogue-worker.js';
import { checkCollectionName, checkedImageId, checkedNewImage, checkedQuery } from './checked-input.js';
import type { ImportAnswer, ImportChange, ImportQuery } from './import-records.js';
import { metadataToJson } from './metadata.js';

export type CatalogueOptions = {
  /** Data folder, made where it is missing, and locked while open. No other code of this process may open the files in it. */
  readonly folder: string;
  /** The encoder all embeddings come from; a catalogue made with another is refused as ENCODER_MISMATCH. */
  readonly encoderId: string;
  /** Elements of an embedding. */
  readonly dimensions: number;
  /** HNSW: links a node, 4..64 (16). More costs memory and finds more. */
  readonly m?: number;
  /** HNSW: breadth while building, 16..2000 (200). */
  readonly efConstruction?: number;
  /** HNSW: breadth of a search that names none, 1..10000 (64). */
  readonly ef?: number;
  /** Share of the ten true neighbours that searches naming no breadth shall find, 0..1; `ef` is then the least breadth. 0: just `ef` (0.98). */
  readonly recall?: number;
  /** Writes, and as many reads, that may wait; further ones are OVERLOADED (1024). */
  readonly queueLimit?: number;
  /** Bytes of images that may wait to be added; further adds are OVERLOADED (256 MiB). */
  readonly queueBytesLimit?: number;
  readonly collectionsMax?: number;
  /** An index file is written after this many changes of its collection (20,000), and after `saveEveryMs` (10 minutes) if there was any. */
  readonly saveEveryChanges?: number;
  readonly saveEveryMs?: number;
  /** How long to wait for another process to let go of the folder (2,000 ms). */
  readonly lockTimeoutMs?: number;
  /** Disk space kept aside so that images can be removed on a full disk (8 MiB). */
  readonly reserveBytes?: number;
  /** Called after each transaction: the metrics' commit histogram. */
  readonly onCommit?: (report: CommitReport) => void;
  /** What an operator should know and no caller waits for, such as an index file that was damaged and is built anew. */
  readonly onWarning?: (message: string) => void;
  /** The catalogue's thread died and every later call rejects; the process should end and be started again. */
  readonly onFailure?: (error: SearchError) => void;
};

/**
 * Opens the catalogue in a worker thread that owns record store and indexes; resolves when it can be searched. Arguments are copied, so that callers
 * keep their buffers; answers are handed over. Rejects with ENCODER_MISMATCH, CATALOGUE_LOCKED, CATALOGUE_DAMAGED, DISK_FULL,
 * NATIVE_MODULE_MISSING or INVALID_SETTINGS.
 */
export async function openCatalogue(options: CatalogueOptions): Promise<DurableCatalogue> {
  const catalogue = new WorkerCatalogue(options);
  await catalogue.opened;
  return catalogue;
}

type Pending = {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  readonly isWrite: boolean;
  readonly bytes: number;
};

class WorkerCatalogue implements DurableCatalogue {
  readonly opened: Promise<void>;
  readonly #options: CatalogueOptions;
  readonly #limits: { readonly queue: number; readonly bytes: number };
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  readonly #waiting = { reads: 0, writes: 0, bytes: 0 };
  readonly #exited: Promise<void>;
  #nextNumber = 0;
  #failure: SearchError | undefined;
  #isClosing = false;

  constructor(options: CatalogueOptions) {
    this.#options = options;
    this.#limits = { queue: options.queueLimit ?? 1024, bytes: options.queueBytesLimit ?? 256 * 1024 * 1024 };
    this.#worker = new Worker(new URL('./catalogue-worker.js', import.meta.url), { workerData: toWorkerOptions(options) });
    this.opened = new Promise((resolve, reject) => {
      this.#worker.on('message', (message: MessageFromWorker) => {
        if (message.kind === 'opened') resolve();
        else if (message.kind === 'failed') reject(fromErrorData(message.error));
        else this.#receive(message);
      });
      this.#worker.once('error', (error) => {
        reject(error);
        this.#fail(error);
      });
    });
    this.#exited = new Promise((resolve) => {
      this.#worker.once('exit', () => {
        if (this.#pending.size > 0 || !this.#isClosing) this.#fail(new Error('it ended by itself'));
        resolve();
      });
    });
    // Who failed to open learns it from `opened`; nobody waits for this exit then.
    this.opened.catch(() => {
      this.#isClosing = true;
    });
  }

  async add(collection: string, image: NewImage): Promise<Awaited<ReturnType<Catalogue['add']>>> {
    checkCollectionName(collection);
    const checked = checkedNewImage(image, this.#options.dimensions);
    const { embedding, thumbnail, original, sha256, perceptualHash } = checked;
    // A view is sent with the whole memory it looks into, hence the copies; these are then handed over and not copied again.
    const own = {
      ...{
        embedding: embedding.slice(),
        thumbnail: ownBytes(thumbnail),
        original: original === undefined ? undefined : ownBytes(original),
      },
      ...{ sha256: ownBytes(sha256), perceptualHash: ownBytes(perceptualHash) },
    };
    const transfer = [own.embedding.buffer, own.thumbnail.buffer, ...(own.original === undefined ? [] : [own.original.buffer])];
    const bytes = transfer.reduce((sum, buffer) => sum + buffer.byteLength, 0);
    return this.#call({ method: 'add', args: [collection, { ...checked, ...own }] }, { transfer, bytes });
  }

  async findBySha256(collection: string, sha256: Uint8Array): Promise<ImageId | undefined> {
    return this.#call({ method: 'findBySha256', args: [collection, ownBytes(sha256)] });
  }

  async remove(collection: string, id: ImageId): Promise<boolean> {
    checkCollectionName(collection);
    checkedImageId(id);
    return this.#call({ method: 'remove', args: [collection, id] });
  }

  async patchMetadata(collection: string, id: ImageId, patch: Metadata): ReturnType<Catalogue['patchMetadata']> {
    checkCollectionName(collection);
    checkedImageId(id);
    metadataToJson(patch);
    return this.#call({ method: 'patchMetadata', args: [collection, id, patch] });
  }

  async get(collection: string, id: ImageId): ReturnType<Catalogue['get']> {
    return this.#call({ method: 'get', args: [collection, id] });
  }

  async embedding(collection: string, id: ImageId): ReturnType<Catalogue['embedding']> {
    return this.#call({ method: 'embedding', args: [collection, id] });
  }

  async thumbnail(collection: string, id: ImageId): ReturnType<Catalogue['thumbnail']> {
    return this.#call({ method: 'thumbnail', args: [collection, id] });
  }

  async original(collection: string, id: ImageId): ReturnType<Catalogue['original']> {
    return this.#call({ method: 'original', args: [collection, id] });
  }

  async list(...args: Parameters<Catalogue['list']>): ReturnType<Catalogue['list']> {
    return this.#call({ method: 'list', args });
  }

  async neighbours(query: NeighbourQuery): ReturnType<Catalogue['neighbours']> {
    const checked = checkedQuery(query, this.#options.dimensions);
    const embedding = checked.embedding.slice();
    return this.#call({ method: 'neighbours', args: [{ ...checked, embedding }] }, { transfer: [embedding.buffer] });
  }

  async sample(...args: Parameters<Catalogue['sample']>): ReturnType<Catalogue['sample']> {
    return this.#call({ method: 'sample', args });
  }

  async standing(...args: Parameters<Catalogue['standing']>): ReturnType<Catalogue['standing']> {
    return this.#call({ method: 'standing', args });
  }

  async statistics(): Promise<CatalogueStatistics> {
    const queued = this.#waiting.reads + this.#waiting.writes;
    const statistics = await this.#call<CatalogueStatistics>({ method: 'statistics', args: [] });
    return { ...statistics, queued };
  }

  async changeImport(change: ImportChange): ReturnType<DurableCatalogue['changeImport']> {
    return this.#call({ method: 'changeImport', args: [change] });
  }

  async readImports<Query extends ImportQuery>(query: Query): Promise<ImportAnswer<Query>> {
    return this.#call({ method: 'readImports', args: [query] });
  }

  async saveIndexes(): Promise<void> {
    return this.#call({ method: 'saveIndexes', args: [] });
  }

  async copyTo(folder: string): Promise<void> {
    return this.#call({ method: 'copyTo', args: [folder] });
  }

  /** Answers what was asked before, saves the index files, lets the folder go. Later calls are SHUTTING_DOWN; closing again waits for the same. */
  async close(): Promise<void> {
    if (!this.#isClosing) {
      this.#isClosing = true;
      if (this.#failure === undefined) this.#post({ kind: 'close' }, []);
    }
    await this.#exited;
  }

  #call<Value>(
    request: CatalogueRequest,
    cargo: { readonly transfer: ArrayBuffer[]; readonly bytes?: number } = { transfer: [] },
  ): Promise<Value> {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#isClosing) throw new SearchError('SHUTTING_DOWN', 'The catalogue is closing.');
    const kind = isWrite(request) ? 'writes' : 'reads';
    const bytes = cargo.bytes ?? 0;
    const { queue, bytes: bytesLimit } = this.#limits;
    if (this.#waiting[kind] >= queue) throw overloaded(`${queue} ${kind} wait for the catalogue already (its queue limit)`);
    if (bytes > 0 && this.#waiting.bytes > 0 && this.#waiting.bytes + bytes > bytesLimit) {
      throw overloaded(`${this.#waiting.bytes} bytes of images wait for the catalogue already; the limit is ${bytesLimit}`);
    }
    const number = this.#nextNumber++;
    this.#post({ kind: 'request', number, request }, cargo.transfer);
    this.#waiting[kind]++;
    this.#waiting.bytes += bytes;
    return new Promise<Value>((resolve, reject) => {
      // The worker answers each method with what the engine gives for it, of the type the interface says.
      this.#pending.set(number, { resolve: resolve as (value: unknown) => void, reject, isWrite: kind === 'writes', bytes });
    });
  }

  #post(message: MessageToWorker, transfer: ArrayBuffer[]): void {
    this.#worker.postMessage(message, transfer);
  }

  #receive(message: MessageFromWorker): void {
    switch (message.kind) {
      case 'answer':
        this.#settled(message.number)?.resolve(message.value);
        return;
      case 'refusal':
        this.#settled(message.number)?.reject(fromErrorData(message.error));
        return;
      case 'commit':
        this.#options.onCommit?.(message.report);
        return;
      case 'warning':
        this.#options.onWarning?.(message.message);
        return;
      default:
    }
  }

  #settled(number: number): Pending | undefined {
    const pending = this.#pending.get(number);
    if (pending === undefined) return undefined;
    this.#pending.delete(number);
    this.#waiting[pending.isWrite ? 'writes' : 'reads']--;
    this.#waiting.bytes -= pending.bytes;
    return pending;
  }

  #fail(cause: Error): void {
    if (this.#failure !== undefined) return;
    this.#failure = new SearchError('INTERNAL', `The catalogue's thread died: ${cause.message}. Start the service again.`, { cause });
    for (const number of [...this.#pending.keys()]) this.#settled(number)?.reject(this.#failure);
    this.#options.onFailure?.(this.#failure);
  }
}

function toWorkerOptions(options: CatalogueOptions): WorkerOptions {
  const within = (name: string, value: number, least: number, most: number): number => {
    if (Number.isInteger(value) && value >= least && value <= most) return value;
    throw new SearchError('INVALID_SETTINGS', `${name} of the catalogue is ${value}; it must be a whole number from ${least} to ${most}.`);
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

function overloaded(words: string): SearchError {
  return new SearchError('OVERLOADED', `${words[0]?.toUpperCase()}${words.slice(1)}. Try again in a second.`, { retryAfterSeconds: 1 });
}
