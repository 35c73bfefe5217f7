import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { CallPort, workerChannel } from '../call-port.js';
import { SearchError } from '../errors.js';
import type { BatchOutputs, EncoderCalls, WorkerReady, WorkerStart } from './encoder-worker.js';

export type EncoderThreadOptions = {
  readonly start: WorkerStart;
  /** A batch that takes longer is taken to hang: its thread is replaced. */
  readonly batchTimeoutMs: number | undefined;
  /** Longest start of a worker. Compiling for an accelerator takes its time. */
  readonly startTimeoutMs: number | undefined;
  /** The worker's file; tests give one that fails on demand. */
  readonly workerUrl?: URL;
};

/** After this many failed batches in a row the worker, and with it the device, is taken to be broken. */
const FAILURES_MAX = 3;
/** Pause before a start after one that failed; doubles up to the maximum. */
const RESTART_PAUSE_MS = 500;
const RESTART_PAUSE_MAX_MS = 30_000;
/** Longest close of a worker before it is terminated. */
const CLOSE_TIMEOUT_MS = 5_000;

type LiveWorker = {
  readonly worker: Worker;
  readonly port: CallPort<EncoderCalls>;
  readonly ready: WorkerReady;
};

/**
 * The encoder's worker thread seen from outside: runs one batch at a time and replaces a worker that dies, hangs or
 * keeps failing. A replacement chooses its device anew, so that with `auto` the service goes on without an accelerator
 * that has failed.
 */
export class EncoderThread {
  /** Workers replaced since the start. */
  restarts = 0;
  readonly #options: EncoderThreadOptions;
  #live: LiveWorker | undefined;
  #starting: Promise<LiveWorker> | undefined;
  #ready!: WorkerReady; // set by start()
  #failures = 0;
  #startFailures = 0;
  #notBefore = 0;
  #isClosed = false;

  private constructor(options: EncoderThreadOptions) {
    this.#options = options;
  }

  /** Starts the worker and waits until it is warm. Rejects with the error of the start. */
  static async start(options: EncoderThreadOptions): Promise<EncoderThread> {
    const thread = new EncoderThread(options);
    await thread.#startWorker();
    return thread;
  }

  /** What the newest worker runs on. */
  get ready(): WorkerReady {
    return this.#ready;
  }

  /**
   * Embeddings of `count` images, with their feature maps where `features` requests them; `pixels` is transferred.
   * Rejects with ENCODER_FAILED where the batch failed or its worker died, and with a {@link BatchHungError} after
   * the timeout.
   */
  async run(pixels: Uint8Array<ArrayBuffer>, count: number, features = false): Promise<BatchOutputs> {
    const live = await this.#liveWorker();
    const { batchTimeoutMs } = this.#options;
    const cancel = after(batchTimeoutMs, (ms) => this.#abandon(live, new BatchHungError(ms)));
    try {
      const outputs = await live.port.call('run', [pixels, count, features], [pixels.buffer]);
      this.#failures = 0;
      return outputs;
    } catch (error) {
      if (this.#live === live && ++this.#failures >= FAILURES_MAX) this.#abandon(live, failed('It keeps failing.'));
      throw error;
    } finally {
      cancel();
    }
  }

  /** Lets the worker release its device, and terminates it where it does not. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#starting?.catch(() => undefined); // a start that fails leaves nothing to close
    const live = this.#live;
    this.#live = undefined;
    if (live === undefined) return;
    const exit = once(live.worker, 'exit');
    const timer = setTimeout(() => void live.worker.terminate(), CLOSE_TIMEOUT_MS);
    live.port.call('close', []).catch(() => undefined); // its end may come before the result
    await exit;
    clearTimeout(timer);
  }

  async #liveWorker(): Promise<LiveWorker> {
    if (this.#live !== undefined) return this.#live;
    if (this.#isClosed) throw new SearchError('SHUTTING_DOWN', 'The encoder is closed.');
    const pauseMs = this.#notBefore - performance.now();
    if (this.#starting === undefined && pauseMs > 0) {
      const retryAfterSeconds = Math.ceil(pauseMs / 1000);
      throw failed(`It does not start; next try in ${retryAfterSeconds} s.`, { retryAfterSeconds });
    }
    return this.#startWorker();
  }

  /** Starts a worker; a call during a start waits for the same one. */
  #startWorker(): Promise<LiveWorker> {
    this.#starting ??= this.#startOne()
      .then(
        (live) => {
          this.#startFailures = 0;
          this.#failures = 0;
          this.#live = live;
          this.#ready = live.ready;
          void live.port.gone.then(() => this.#replace(live));
          return live;
        },
        (error: unknown) => {
          const pauseMs = Math.min(RESTART_PAUSE_MAX_MS, RESTART_PAUSE_MS * 2 ** this.#startFailures++);
          this.#notBefore = performance.now() + pauseMs;
          throw error;
        },
      )
      .finally(() => {
        this.#starting = undefined;
      });
    return this.#starting;
  }

  async #startOne(): Promise<LiveWorker> {
    const { start, startTimeoutMs, workerUrl = new URL('./encoder-worker.js', import.meta.url) } = this.#options;
    const worker = new Worker(workerUrl, { workerData: start, name: 'encoder' });
    const port = new CallPort<EncoderCalls>(workerChannel(worker), {
      toGoneError: (cause) => failed(`Its thread died: ${cause.message}`, { cause }),
    });
    const cancel = after(startTimeoutMs, (ms) => port.abandon(failed(`It was not ready within ${ms / 1000} s.`)));
    try {
      return { worker, port, ready: await port.call('start', []) };
    } catch (error) {
      dismiss(worker, port);
      throw error;
    } finally {
      cancel();
    }
  }

  /** Gives a worker up; {@link replace} starts the next one. */
  #abandon(live: LiveWorker, error: SearchError): void {
    dismiss(live.worker, live.port);
    live.port.abandon(error);
  }

  #replace(live: LiveWorker): void {
    if (this.#live !== live) return;
    this.#live = undefined;
    if (this.#isClosed) return;
    this.restarts++;
    this.#startWorker().catch(() => undefined); // the next batch meets the pause that this set, and reports it
  }
}

/** A batch that did not return in time. Its images are not retried one by one: each could hang as long. */
export class BatchHungError extends SearchError {
  constructor(timeoutMs: number) {
    super('ENCODER_FAILED', `The encoder did not answer within ${timeoutMs / 1000} s and was replaced.`);
  }
}

/**
 * Asks a worker to close when its current call returns. It is not terminated: a thread that is ended inside ONNX
 * Runtime aborts the whole process when that call returns. One whose call never returns keeps its thread, but keeps no
 * process alive.
 */
function dismiss(worker: Worker, port: CallPort<EncoderCalls>): void {
  port.call('close', []).catch(() => undefined); // the port is given up
  worker.unref();
}

/** Calls `act` after a time, if there is one. Returns the function that cancels. */
function after(ms: number | undefined, act: (ms: number) => void): () => void {
  const timer = ms === undefined ? undefined : setTimeout(() => act(ms), ms);
  return () => clearTimeout(timer);
}

function failed(what: string, options: { cause?: unknown; retryAfterSeconds?: number } = {}): SearchError {
  return new SearchError('ENCODER_FAILED', `The encoder failed. ${what}`, options);
}
