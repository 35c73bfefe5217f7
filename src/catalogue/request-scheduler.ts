import { SearchError } from '../errors.js';
import type { CatalogueEngine } from './catalogue-engine.js';
import { type CatalogueRequest, isWrite, type RequestOutcome, type WriteRequest } from './catalogue-requests.js';
import type { Steps } from './filters/filter-cache.js';
import { Queue } from './queue.js';

type Respond = (outcome: RequestOutcome) => void;
type Write = { readonly request: WriteRequest; readonly respond: Respond };
type Read = { readonly steps: Steps<unknown>; readonly respond: Respond };

/** Limits of one turn, and so about the longest wait of a request that arrives during it. */
const READ_MS = 8;
const WORK_MS = 4;
const GROUP_WRITES = 64;
const GROUP_BYTES = 4 * 1024 * 1024;
/** Vectors that may wait for a graph that is frozen while its file is written; every search scans them. */
const FROZEN_GRAPH_LAG = 4096;

/**
 * Schedules the catalogue's thread. Each turn serves some reads, then commits one group of writes or does some index
 * work, then lets new messages in. So no search waits behind a thousand adds, waiting writes share one flush, and adds
 * go no faster than the graphs.
 */
export class RequestScheduler {
  readonly #engine: CatalogueEngine;
  readonly #reads = new Queue<Read>();
  readonly #writes = new Queue<Write>();
  /** Vectors added for which the graphs have not had time yet. */
  #indexLag = 0;
  /** Lag at which adds go on: above 0 during a save, and then shrinking at half the graphs' speed. */
  #maxIndexLag = 0;
  #isCommitsTurn = false;
  #isScheduled = false;
  #drained: (() => void) | undefined;
  #isClosed = false;

  constructor(engine: CatalogueEngine) {
    this.#engine = engine;
    this.#schedule();
  }

  push(request: CatalogueRequest, respond: Respond): void {
    if (this.#isClosed) respond({ error: new SearchError('SHUTTING_DOWN', 'The catalogue is closing.') });
    else if (request.method === 'saveIndexes') void this.#respondLater(this.#saveIndexes(), respond);
    else if (request.method === 'copyTo') void this.#respondLater(this.#engine.copyTo(...request.args), respond);
    else if (isWrite(request)) this.#writes.push({ request, respond });
    else this.#reads.push({ steps: this.#engine.read(request), respond });
    this.#schedule();
  }

  /**
   * Resolves when everything pushed before has its outcome; later requests are SHUTTING_DOWN. Does not finish the
   * index work.
   */
  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#reads.size + this.#writes.size > 0) await new Promise<void>((resolve) => (this.#drained = resolve));
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#turn();
    });
  }

  #turn(): void {
    this.#serveReads();
    // Alternating: a read that arrives meanwhile waits for one of them, not for both.
    this.#isCommitsTurn = !this.#isCommitsTurn;
    if (!this.#isCommitsTurn || !this.#commitWrites()) this.#work();
    const isWaiting = this.#reads.size + this.#writes.size > 0;
    if (this.#isClosed && !isWaiting) {
      this.#drained?.();
      return;
    }
    this.#engine.saveSome('due');
    if (isWaiting || this.#engine.hasWork) this.#schedule();
  }

  #work(): void {
    const inserted = this.#engine.work(WORK_MS);
    if (this.#engine.isSaving) {
      this.#maxIndexLag = FROZEN_GRAPH_LAG;
      return;
    }
    this.#maxIndexLag = Math.max(0, this.#maxIndexLag - inserted / 2);
    this.#indexLag = this.#engine.hasWork ? Math.max(0, this.#indexLag - inserted) : 0;
  }

  /** Runs reads, step by step, for about READ_MS. One that is not finished goes to the end of the queue. */
  #serveReads(): void {
    const until = performance.now() + READ_MS;
    for (let next = this.#reads.shift(); next !== undefined; next = this.#reads.shift()) {
      const { steps, respond } = next;
      try {
        let step = steps.next();
        while (step.done !== true && performance.now() < until) step = steps.next();
        if (step.done === true) respond({ value: step.value });
        else this.#reads.push(next);
      } catch (error) {
        respond({ error });
      }
      if (performance.now() >= until) return;
    }
  }

  /** Commits a group of writes; false where none may be committed now. */
  #commitWrites(): boolean {
    if (this.#indexLag > this.#maxIndexLag) return false;
    const group: Write[] = [];
    for (let bytes = 0; group.length < GROUP_WRITES && bytes < GROUP_BYTES; ) {
      const next = this.#writes.shift();
      if (next === undefined) break;
      group.push(next);
      bytes += bytesOf(next.request);
    }
    if (group.length === 0) return false;
    const outcomes = this.#engine.write(group.map(({ request }) => request));
    group.forEach(({ respond }, place) => {
      respond(outcomes[place]!);
    });
    this.#indexLag += group.filter(({ request }) => request.method === 'add').length;
    return true;
  }

  /** Waits for graphs that are being built: a file of half a graph would save the next start only half the work. */
  async #saveIndexes(): Promise<void> {
    while (this.#engine.isRebuilding && !this.#isClosed) await new Promise(setImmediate);
    await this.#engine.saveIndexes();
  }

  async #respondLater(work: Promise<void>, respond: Respond): Promise<void> {
    try {
      await work;
      respond({ value: undefined });
    } catch (error) {
      respond({ error });
    }
    this.#schedule();
  }
}

function bytesOf(request: WriteRequest): number {
  if (request.method !== 'add') return 0;
  const { embedding, thumbnail, original } = request.args[1];
  return embedding.byteLength + thumbnail.byteLength + (original?.byteLength ?? 0);
}
