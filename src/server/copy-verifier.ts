import { Worker } from 'node:worker_threads';
import type { Sketch } from '../images/sketch.js';
import type { Alignment } from '../matching/align-pictures.js';
import type { AlignmentRequest, AlignmentResponse, Candidate } from './alignment-worker.js';

/** Lays a query on stored pictures, off the main thread. */
export type CopyVerifier = {
  /**
   * How the query agrees with the candidates, in order; null where it does not fit at all. Shorter than the candidates, or empty, where its time ran out,
   * too many queries wait, or the thread failed: what is not verified is not called a copy, and no search fails for it.
   */
  verify(query: Sketch, candidates: readonly Candidate[]): Promise<readonly (Alignment | null)[]>;
  close(): Promise<void>;
};

/** Longest that one query keeps the thread. Some 2 ms a candidate are usual. */
const BUDGET_MS = 250;
/** Queries that may wait; one more goes unverified. */
const WAITING_MAX = 8;

/** Starts its thread with the first query. `onFailure` is told when it died; the next query starts another. */
export function createCopyVerifier(options: { readonly onFailure?: (error: Error) => void } = {}): CopyVerifier {
  let worker: Worker | undefined;
  let isClosed = false;
  let nextId = 1;
  const waiting = new Map<number, (alignments: readonly (Alignment | null)[]) => void>();

  const start = (): Worker => {
    const started = new Worker(new URL('./alignment-worker.js', import.meta.url));
    const lose = (error: Error | undefined): void => {
      if (worker === started) worker = undefined;
      if (error !== undefined) options.onFailure?.(error);
      for (const resolve of waiting.values()) resolve([]);
      waiting.clear();
    };
    started.on('message', ({ id, alignments }: AlignmentResponse) => {
      waiting.get(id)?.(alignments);
      waiting.delete(id);
    });
    started.on('error', lose);
    started.on('exit', () => lose(undefined));
    started.unref();
    return started;
  };

  return {
    async verify(query, candidates) {
      if (isClosed || candidates.length === 0 || waiting.size >= WAITING_MAX) return [];
      worker ??= start();
      const id = nextId++;
      const answer = new Promise<readonly (Alignment | null)[]>((resolve) => waiting.set(id, resolve));
      worker.postMessage({ id, query, candidates, budgetMs: BUDGET_MS } satisfies AlignmentRequest);
      return answer;
    },
    async close() {
      isClosed = true;
      await worker?.terminate();
    },
  };
}
