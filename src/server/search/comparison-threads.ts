import { performance } from 'node:perf_hooks';
import { Worker } from 'node:worker_threads';
import { CallPort, workerChannel } from '../../call-port.js';
import type { Sketch } from '../../images/sketch.js';
import type { Alignment } from '../../matching/align-pictures.js';
import type { FeatureGrid, RegionPair } from '../../matching/match-regions.js';
import { createFairQueue } from '../limits/fair-queue.js';
import type { RequestScope } from '../limits/request-tracker.js';
import type { Candidate, ComparisonTasks } from './comparison-worker.js';

/** Compares pictures in threads of its own, fairly between callers and within each request's deadline. */
export type ComparisonThreads = {
  /**
   * How the query (a sketch, or the thumbnail of a stored picture) aligns with the candidates, in order: null where
   * they cannot be aligned, undefined where there was no time or room for it. The verdict never depends on how busy the
   * threads are. Rejects only as `scope` does.
   */
  align(
    scope: RequestScope,
    query: Sketch | Uint8Array,
    candidates: readonly Candidate[],
  ): Promise<readonly (Alignment | null | undefined)[]>;
  /** Rejects as `scope` does, with OVERLOADED where there is no room, and where the thread died. */
  matchRegions(scope: RequestScope, a: FeatureGrid, b: FeatureGrid): Promise<readonly RegionPair[]>;
  close(): Promise<void>;
};

/** Candidates of one task, so that a request is spread over idle threads. */
const CHUNK = 8;
/**
 * Tasks that wait or run; the callers of one more go without. A waiting one holds a sketch and eight thumbnails, some
 * 150 kB.
 */
const TASKS_MAX = 512;
/** A search is answered without what is not compared this long before its deadline. */
const ANSWER_MS = 500;

type Thread = { readonly worker: Worker; readonly port: CallPort<ComparisonTasks> };

/** Threads start with the first task. `onFailure` is told when one died; a later task starts another. */
export function createComparisonThreads(options: {
  readonly threads: number;
  readonly onFailure: (error: Error) => void;
}): ComparisonThreads {
  const idle: Thread[] = [];
  const all = new Set<Thread>();
  let isClosed = false;
  const queue = createFairQueue({
    unit: 'comparisons',
    flags: '--comparison-threads',
    limit: TASKS_MAX,
    window: options.threads,
    maxWaitMs: Number.POSITIVE_INFINITY,
    now: () => performance.now(),
  });

  const start = (): Thread => {
    const worker = new Worker(new URL('./comparison-worker.js', import.meta.url));
    worker.unref();
    const thread = { worker, port: new CallPort<ComparisonTasks>(workerChannel(worker)) };
    all.add(thread);
    void thread.port.gone.then((error) => {
      all.delete(thread);
      const at = idle.indexOf(thread);
      if (at >= 0) idle.splice(at, 1);
      if (!isClosed) options.onFailure(error);
    });
    return thread;
  };

  /** Runs one task when it is the caller's turn. */
  const run = async <T>(
    { caller, signal }: Pick<RequestScope, 'caller' | 'signal'>,
    task: (port: Thread['port']) => Promise<T>,
  ): Promise<T> => {
    const release = await queue.acquire({ caller, slots: 1, signal });
    const thread = idle.pop() ?? start();
    try {
      return await task(thread.port);
    } finally {
      if (all.has(thread)) idle.push(thread);
      release();
    }
  };

  return {
    async align(scope, query, candidates) {
      const chunks = Array.from({ length: Math.ceil(candidates.length / CHUNK) }, (_, at) =>
        candidates.slice(at * CHUNK, (at + 1) * CHUNK),
      );
      const late = lateSignal(scope);
      try {
        const alignments = await scope.race(
          Promise.all(
            chunks.map(
              (chunk) =>
                Promise.race([
                  run({ caller: scope.caller, signal: late.signal }, (port) =>
                    port.call('align', [{ query, candidates: chunk }]),
                  ),
                  late.reached,
                ]).catch(() => undefined), // no room, no time, or a thread that died, which onFailure is told
            ),
          ),
        );
        return chunks.flatMap(
          (chunk, at): readonly (Alignment | null | undefined)[] => alignments[at] ?? chunk.map(() => undefined),
        );
      } finally {
        late.end();
      }
    },
    matchRegions(scope, a, b) {
      return scope.race(run(scope, (port) => port.call('matchRegions', [a, b])));
    },
    async close() {
      isClosed = true;
      await Promise.all([...all].map(({ worker }) => worker.terminate()));
    },
  };
}

/**
 * Fires when a request has to be answered without what is not compared yet, or ends. Call `end` when it is no longer
 * needed. Not `AbortSignal.any` with `AbortSignal.timeout`: Node.js may collect such a timeout before it fires and then
 * keeps the combined signal, and all that its listeners hold, for ever.
 */
function lateSignal({ signal, deadline }: Pick<RequestScope, 'signal' | 'deadline'>): {
  readonly signal: AbortSignal;
  readonly reached: Promise<undefined>;
  end(): void;
} {
  const late = new AbortController();
  const fire = (): void => late.abort();
  const timer = setTimeout(fire, Math.max(0, deadline - performance.now() - ANSWER_MS));
  if (signal.aborted) fire();
  else signal.addEventListener('abort', fire, { once: true });
  const reached = new Promise<undefined>((resolve) => {
    if (late.signal.aborted) resolve(undefined);
    else late.signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
  return {
    signal: late.signal,
    reached,
    end() {
      clearTimeout(timer);
      signal.removeEventListener('abort', fire);
    },
  };
}
