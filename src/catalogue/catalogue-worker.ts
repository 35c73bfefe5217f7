import v8 from 'node:v8';
import vm from 'node:vm';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { toErrorData } from '../errors.js';
import type { CatalogueEngine } from './catalogue-engine.js';
import type { MessageFromWorker, MessageToWorker, RequestOutcome } from './catalogue-requests.js';
import type { EngineOptions } from './engine-options.js';
import { asNativeModuleError } from './store-errors.js';

/**
 * The catalogue's thread: owns engine and turns, takes requests as messages. One thread, because every call of hnswlib-node and better-sqlite3 blocks the
 * thread that makes it, and their objects belong to one.
 */

/** What `openCatalogue` hands to its worker; functions cannot cross. */
export type WorkerOptions = Omit<EngineOptions, 'now' | 'onCommit' | 'onWarning' | 'collectGarbage'> & { readonly saveEveryMs: number };

async function run(port: MessagePort, options: WorkerOptions): Promise<void> {
  const post = (message: MessageFromWorker, transfer: ArrayBuffer[] = []): void => port.postMessage(message, transfer);
  let engine: CatalogueEngine;
  try {
    engine = await openEngine(options, post);
  } catch (error) {
    post({ kind: 'failed', error: toErrorData(error) });
    port.close();
    return;
  }
  const { RequestTurns } = await import('./request-turns.js');
  const turns = new RequestTurns(engine);
  const saving = setInterval(() => engine.saveSome('changed'), options.saveEveryMs);
  port.on('message', (message: MessageToWorker) => {
    if (message.kind === 'close') {
      clearInterval(saving);
      void turns
        .close()
        .then(() => engine.close())
        .then(() => {
          post({ kind: 'closed' });
          port.close();
        });
      return;
    }
    turns.push(message.request, (outcome) => post(...toAnswer(message.number, outcome)));
  });
  post({ kind: 'opened' });
}

async function openEngine(options: WorkerOptions, post: (message: MessageFromWorker) => void): Promise<CatalogueEngine> {
  // Imported here and not above, since a native module that is not compiled fails at its import.
  const { CatalogueEngine } = await import('./catalogue-engine.js').catch((error: unknown) => {
    throw asNativeModuleError(error) ?? error;
  });
  return new CatalogueEngine({
    ...options,
    now: Date.now,
    onCommit: (report) => post({ kind: 'commit', report }),
    onWarning: (message) => post({ kind: 'warning', message }),
    collectGarbage: garbageCollector(),
  });
}

/** An answer and the memory that it can hand over: blobs are read into memory of their own. */
function toAnswer(number: number, outcome: RequestOutcome): [MessageFromWorker, ArrayBuffer[]] {
  if ('error' in outcome) return [{ kind: 'refusal', number, error: toErrorData(outcome.error) }, []];
  const { value } = outcome;
  const transfer = ArrayBuffer.isView(value) && value.buffer instanceof ArrayBuffer ? [value.buffer] : [];
  return [{ kind: 'answer', number, value }, transfer];
}

function garbageCollector(): () => void {
  v8.setFlagsFromString('--expose-gc');
  const collect: unknown = vm.runInNewContext('gc');
  return () => {
    if (typeof collect === 'function') collect();
  };
}

if (parentPort !== null) {
  await run(parentPort, workerData as WorkerOptions); // only openCatalogue starts this file
}
