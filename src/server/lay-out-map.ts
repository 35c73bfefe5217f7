import { Worker } from 'node:worker_threads';
import type { MapPlaces, MapTask } from './map-worker.js';

/** Far more than a sample of vectors of some thousand elements needs. */
const HEAP_MIB = 512;
/** Some seconds are usual; on a machine that is busy with better things, minutes. */
const TIMEOUT_MS = 15 * 60_000;

/**
 * Lays a sample out in a thread of its own, which ends with it; the embeddings' memory goes along. Rejects where the thread fails, takes more memory than
 * it may or longer than a quarter of an hour, and with the signal's reason as soon as it is aborted.
 */
export async function layOutMap(task: MapTask, signal: AbortSignal): Promise<MapPlaces> {
  signal.throwIfAborted();
  const { buffer } = task.embeddings;
  const worker = new Worker(new URL('./map-worker.js', import.meta.url), {
    workerData: task,
    transferList: buffer instanceof ArrayBuffer ? [buffer] : [],
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MIB },
  });
  worker.unref();
  const ended = new AbortController();
  try {
    return await new Promise<MapPlaces>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`A map was not laid out within ${TIMEOUT_MS} ms.`)), TIMEOUT_MS);
      timer.unref();
      ended.signal.addEventListener('abort', () => clearTimeout(timer));
      signal.addEventListener('abort', () => reject(signal.reason), { signal: ended.signal });
      worker.once('message', resolve);
      worker.once('error', reject);
      worker.once('exit', (code) => reject(new Error(`The thread that lays out maps ended with code ${code} and no map.`)));
    });
  } finally {
    ended.abort();
    await worker.terminate();
  }
}
