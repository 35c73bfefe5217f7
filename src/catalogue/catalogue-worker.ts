/**
 * The catalogue's thread: it owns the engine and its scheduler and serves the catalogue's methods. One thread, because
 * every call of hnswlib-node and better-sqlite3 blocks the thread that makes it, and their objects cannot be shared.
 */
import v8 from 'node:v8';
import vm from 'node:vm';
import { type MessagePort, parentPort } from 'node:worker_threads';
import { portChannel, serveCalls, Transferred } from '../call-port.js';
import type { CatalogueEngine, EngineOptions } from './catalogue-engine.js';
import type { CatalogueRequest, EngineEvent } from './catalogue-requests.js';
import { asNativeModuleError } from './records/store-errors.js';
import type { RequestScheduler } from './request-scheduler.js';

/** What `openCatalogue` sends; functions cannot cross threads. */
export type WorkerOptions = Omit<EngineOptions, 'now' | 'onCommit' | 'onWarning' | 'collectGarbage'> & {
  readonly saveEveryMs: number;
};

/** What the thread serves: `open` first, `close` last. */
export type WorkerMethods = {
  open(options: WorkerOptions): Promise<void>;
  request(request: CatalogueRequest): Promise<unknown>;
  close(): Promise<void>;
};

if (parentPort !== null) serve(parentPort);

function serve(port: MessagePort): void {
  let engine: CatalogueEngine;
  let scheduler: RequestScheduler;
  let saving: NodeJS.Timeout;
  const notify = serveCalls<WorkerMethods, EngineEvent>(portChannel(port), {
    async open({ saveEveryMs, ...options }) {
      // Imported here: a native module that is not compiled fails at its import.
      const modules = [import('./catalogue-engine.js'), import('./request-scheduler.js')] as const;
      const [{ CatalogueEngine }, { RequestScheduler }] = await Promise.all(modules).catch((error: unknown) => {
        throw asNativeModuleError(error) ?? error;
      });
      engine = new CatalogueEngine({
        ...options,
        now: Date.now,
        onCommit: (report) => notify({ kind: 'commit', report }),
        onWarning: (message) => notify({ kind: 'warning', message }),
        collectGarbage: garbageCollector(),
      });
      scheduler = new RequestScheduler(engine);
      saving = setInterval(() => engine.saveSome('changed'), saveEveryMs);
    },
    request: (request) =>
      new Promise((resolve, reject) => {
        scheduler.push(request, (outcome) => {
          if ('error' in outcome) reject(outcome.error);
          else resolve(withOwnMemory(outcome.value));
        });
      }),
    async close() {
      clearInterval(saving);
      await scheduler.close();
      await engine.close();
      setImmediate(() => port.close()); // after the result is sent
    },
  });
}

/** Blobs are read into memory of their own, which is moved to the caller. */
function withOwnMemory(value: unknown): unknown {
  return ArrayBuffer.isView(value) && value.buffer instanceof ArrayBuffer
    ? new Transferred(value, [value.buffer])
    : value;
}

function garbageCollector(): () => void {
  v8.setFlagsFromString('--expose-gc');
  const collect: unknown = vm.runInNewContext('gc');
  return () => {
    if (typeof collect === 'function') collect();
  };
}
