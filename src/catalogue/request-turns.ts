import { SearchError } from '../errors.js';
import type { CatalogueEngine } from './catalogue-engine.js';
import { type CatalogueRequest, isWrite, type ReadRequest, type RequestOutcome, type WriteRequest } from './catalogue-requests.js';
import { Queue } from './queue.js';

type Waiting<Request> = { readonly request: Request; readonly answer: (outcome: RequestOutcome) => void };

/** Bounds of one turn: what a request that comes in the middle waits for at most, about. */
const READ_MS = 8;
const WORK_MS = 4;
const GROUP_WRITES = 64;
const GROUP_BYTES = 4 * 1024 * 1024;
/** While an index file is written its graph stands still; this many vectors may wait to be scanned by each search. */
const STILL_GRAPH_WRITES = 4096;

/**
 * Gives the catalogue's one thread to its requests by turns: some reads, one group of writes, a little index work, then a look for new
 * messages. So a search never waits behind a thousand adds, writes that wait together share one flush, and adding goes no faster than graphs can
 * follow.
 */
export class RequestTurns {
  readonly #engine: CatalogueEngine;
  readonly #reads = new Queue<Waiting<ReadRequest>>();
  readonly #writes = new Queue<Waiting<WriteRequest>>();
  /** Vectors added that graphs have not been given time for yet. */
  #debt = 0;
  /** Debt at which adding goes on. Above 0 during a save and, shrinking at half the graphs' speed, for a while after it. */
  #allowedDebt = 0;
  #isCommitsTurn = false;
  #isScheduled = false;
  #drained: (() => void) | undefined;
  #isClosed = false;

  constructor(engine: CatalogueEngine) {
    this.#engine = engine;
    this.#schedule();
  }

  push(request: CatalogueRequest, answer: (outcome: RequestOutcome) => void): void {
    if (this.#isClosed) answer({ error: new SearchError('SHUTTING_DOWN', 'The catalogue is closing.') });
    else if (request.method === 'saveIndexes') void this.#answerLater(this.#saveIndexes(), answer);
    else if (request.method === 'copyTo') void this.#answerLater(this.#engine.copyTo(...request.args), answer);
    else if (isWrite(request)) this.#writes.push({ request, answer });
    else this.#reads.push({ request, answer });
    this.#schedule();
  }

  /** Resolves when everything pushed before has been answered; nothing is taken after. Index work that is left is left. */
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
    this.#answerReads();
    // One after the other in turn, so that a read that comes meanwhile waits for the longer of them and not for both.
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
      this.#allowedDebt = STILL_GRAPH_WRITES;
      return;
    }
    this.#allowedDebt = Math.max(0, this.#allowedDebt - inserted / 2);
    this.#debt = this.#engine.hasWork ? Math.max(0, this.#debt - inserted) : 0;
  }

  #answerReads(): void {
    const until = performance.now() + READ_MS;
    for (let next = this.#reads.shift(); next !== undefined; next = this.#reads.shift()) {
      next.answer(this.#outcomeOf(next.request));
      if (performance.now() >= until) return;
    }
  }

  #outcomeOf(request: ReadRequest): RequestOutcome {
    try {
      return { value: this.#engine.read(request) };
    } catch (error) {
      return { error };
    }
  }

  /** True where there was a group to commit. */
  #commitWrites(): boolean {
    if (this.#debt > this.#allowedDebt) return false;
    const group: Waiting<WriteRequest>[] = [];
    for (let bytes = 0; group.length < GROUP_WRITES && bytes < GROUP_BYTES; ) {
      const next = this.#writes.shift();
      if (next === undefined) break;
      group.push(next);
      bytes += bytesOf(next.request);
    }
    if (group.length === 0) return false;
    const outcomes = this.#engine.write(group.map(({ request }) => request));
    group.forEach(({ answer }, place) => {
      answer(outcomes[place]!);
    });
    this.#debt += group.filter(({ request }) => request.method === 'add').length;
    return true;
  }

  /** Waits for graphs that are being built or caught up: a file of half a graph would spare the next start only half. */
  async #saveIndexes(): Promise<void> {
    while (this.#engine.isRebuilding && !this.#isClosed) await new Promise(setImmediate);
    await this.#engine.saveIndexes();
  }

  async #answerLater(work: Promise<void>, answer: (outcome: RequestOutcome) => void): Promise<void> {
    try {
      await work;
      answer({ value: undefined });
    } catch (error) {
      answer({ error });
    }
    this.#schedule();
  }
}

function bytesOf(request: WriteRequest): number {
  if (request.method !== 'add') return 0;
  const { embedding, thumbnail, original } = request.args[1];
  return embedding.byteLength + thumbnail.byteLength + (original?.byteLength ?? 0);
}
