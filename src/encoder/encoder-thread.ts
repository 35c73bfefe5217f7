import { Worker } from 'node:worker_threads';
import { fromErrorData, SearchError } from '../errors.js';
import type { WorkerRequest, WorkerResponse, WorkerStart } from './encoder-worker.js';

/** What a worker said when it was ready. */
export type WorkerReady = Extract<WorkerResponse, { kind: 'ready' }>;

export type EncoderThreadOptions = {
  readonly start: WorkerStart;
  /** A batch that takes longer than this has hung: its thread is given up. */
  readonly batchTimeoutMs: number;
  /** A worker that is not ready by then does not start. Compiling for an accelerator takes its time. */
  readonly startTimeoutMs: number;
  /** The worker's file; tests give one that fails in ways a real one seldom does. */
  readonly workerUrl?: URL;
};

/** Whole batches that fail one after the other before the worker, and with it the device, is taken to be broken. */
const FAILURES_MAX = 3;
/** Pause before a start after one that failed; doubles up to the maximum. */
const RESTART_PAUSE_MS = 500;
const RESTART_PAUSE_MAX_MS = 30_000;
/** How long a worker may take to close before it is ended. */
const CLOSE_TIMEOUT_MS = 5_000;

/** What a batch gives: embeddings [count, D] and, where asked for, feature maps [count, channels, grid height, grid width]. */
export type BatchOutputs = { readonly embeddings: Float32Array; readonly features?: Float32Array };

type Pending = { readonly resolve: (outputs: BatchOutputs) => void; readonly reject: (error: Error) => void };

/**
 * The encoder's worker thread seen from outside: one batch at a time, and a new worker in place of one that died, hung or keeps failing.
 * A replacement chooses its device anew, so that with `auto` the service goes on without an accelerator that has gone.
 */
export class EncoderThread {
  private readonly options: EncoderThreadOptions;
  private worker: Worker | undefined;
  private starting: Promise<void> | undefined;
  private readyState: WorkerReady | undefined;
  private pending: (Pending & { readonly id: number }) | undefined;
  private nextId = 1;
  private failures = 0;
  private startFailures = 0;
  private notBefore = 0;
  private restartCount = 0;
  private closed = false;

  private constructor(options: EncoderThreadOptions) {
    this.options = options;
  }

  /** Starts the worker and waits until it is warm. Rejects with what kept it from starting. */
  static async start(options: EncoderThreadOptions): Promise<EncoderThread> {
    const thread = new EncoderThread(options);
    await thread.startWorker();
    return thread;
  }

  /** What the newest worker runs on. */
  get ready(): WorkerReady {
    if (this.readyState === undefined) throw new Error('The encoder thread has not started. This is a bug.');
    return this.readyState;
  }

  /** Workers replaced since the start. */
  get restarts(): number {
    return this.restartCount;
  }

  /**
   * Embeddings of `count` images, whose bytes are given away, with their feature maps where `features` asks an encoder that has them. Rejects with ENCODER_FAILED where the batch failed, its worker died
   * or no worker can be had; with a BatchHungError where it took longer than it may.
   */
  async run(pixels: Uint8Array<ArrayBuffer>, count: number, features = false): Promise<BatchOutputs> {
    const worker = await this.liveWorker();
    const id = this.nextId++;
    let timer: NodeJS.Timeout | undefined;
    try {
      const outputs = await new Promise<BatchOutputs>((resolve, reject) => {
        this.pending = { id, resolve, reject };
        timer = setTimeout(() => {
          reject(new BatchHungError(this.options.batchTimeoutMs));
          this.abandon(worker);
        }, this.options.batchTimeoutMs);
        worker.postMessage({ id, pixels, count, features } satisfies WorkerRequest, [pixels.buffer]);
      });
      this.failures = 0;
      return outputs;
    } catch (error) {
      if (this.worker === worker && ++this.failures >= FAILURES_MAX) this.abandon(worker);
      throw error;
    } finally {
      clearTimeout(timer);
      this.pending = undefined;
    }
  }

  /** Lets the worker release its device, and ends it where it does not. */
  async close(): Promise<void> {
    this.closed = true;
    await this.starting?.catch(() => undefined); // A start that fails leaves nothing to close.
    const { worker } = this;
    this.worker = undefined;
    if (worker === undefined) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => {
        void worker.terminate();
        resolve();
      }, CLOSE_TIMEOUT_MS);
      worker.once('exit', () => {
        clearTimeout(timer);
        resolve();
      });
      worker.postMessage(null satisfies WorkerRequest);
    });
  }

  private async liveWorker(): Promise<Worker> {
    if (this.worker === undefined) {
      if (this.closed) throw new SearchError('SHUTTING_DOWN', 'The encoder is closed.');
      const pauseMs = this.notBefore - performance.now();
      if (this.starting === undefined && pauseMs > 0) {
        const retryAfterSeconds = Math.ceil(pauseMs / 1000);
        throw new SearchError('ENCODER_FAILED', `The encoder does not start; next try in ${retryAfterSeconds} s.`, { retryAfterSeconds });
      }
      await this.startWorker();
    }
    if (this.worker === undefined) throw new SearchError('ENCODER_FAILED', 'The encoder stopped as soon as it had started.');
    return this.worker;
  }

  /** Starts a worker; who comes while one starts waits for the same. */
  private startWorker(): Promise<void> {
    this.starting ??= this.startOne()
      .then(
        () => {
          this.startFailures = 0;
        },
        (error: unknown) => {
          this.notBefore = performance.now() + Math.min(RESTART_PAUSE_MAX_MS, RESTART_PAUSE_MS * 2 ** this.startFailures++);
          throw error;
        },
      )
      .finally(() => {
        this.starting = undefined;
      });
    return this.starting;
  }

  private startOne(): Promise<void> {
    const { start, startTimeoutMs, workerUrl = new URL('./encoder-worker.js', import.meta.url) } = this.options;
    const worker = new Worker(workerUrl, { workerData: start, name: 'encoder' });
    return new Promise<void>((resolve, reject) => {
      const fail = (error: Error): void => {
        clearTimeout(timer);
        reject(error);
        this.lose(worker, error);
        dismiss(worker);
      };
      const timer = setTimeout(() => fail(failed(`The encoder was not ready within ${startTimeoutMs / 1000} s.`)), startTimeoutMs);
      worker.on('error', (cause: Error) => fail(failed(`The encoder's thread died: ${cause.message}`, cause)));
      worker.on('exit', (code) => fail(failed(`The encoder's thread ended with code ${code}.`)));
      worker.on('message', (response: WorkerResponse) => {
        switch (response.kind) {
          case 'ready':
            clearTimeout(timer);
            this.worker = worker;
            this.readyState = response;
            this.failures = 0;
            resolve();
            break;
          case 'not-started':
            fail(fromErrorData(response.error));
            break;
          case 'embeddings':
            if (this.pending?.id === response.id) this.pending.resolve(response);
            break;
          case 'failed':
            if (this.pending?.id === response.id) this.pending.reject(fromErrorData(response.error));
        }
      });
    });
  }

  /** Gives a worker up and starts the next one. Not awaited: a thread that hangs in native code ends only when that returns. */
  private abandon(worker: Worker): void {
    this.lose(worker, failed('The encoder was replaced.'));
    dismiss(worker);
  }

  private lose(worker: Worker, error: Error): void {
    if (this.worker !== worker) return;
    this.worker = undefined;
    this.pending?.reject(error);
    if (this.closed) return;
    this.restartCount++;
    this.startWorker().catch(() => undefined); // The next batch meets the pause that this set, and says so.
  }
}

/** A batch that did not come back in time. Its images are not tried again one by one: each could hang as long. */
export class BatchHungError extends SearchError {
  constructor(timeoutMs: number) {
    super('ENCODER_FAILED', `The encoder did not answer within ${timeoutMs / 1000} s and was replaced.`);
  }
}

/**
 * Asks a worker to close when it comes to it. It is not terminated: a thread that is ended inside ONNX Runtime aborts the whole process as soon as
 * the call returns. One that never returns keeps its thread, but keeps no process alive.
 */
function dismiss(worker: Worker): void {
  worker.postMessage(null satisfies WorkerRequest);
  worker.unref();
}

function failed(message: string, cause?: unknown): SearchError {
  return new SearchError('ENCODER_FAILED', message, cause === undefined ? {} : { cause });
}
