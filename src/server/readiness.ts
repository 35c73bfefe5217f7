/** Readiness: a probe image is encoded, and a stored image finds itself. */
import { performance } from 'node:perf_hooks';
import type { Static } from '@fastify/type-provider-typebox';
import type { Catalogue, CollectionStatistics } from '../catalogue/catalogue.js';
import type { Encoder } from '../encoder/encoder.js';
import { SearchError } from '../errors.js';
import type { Pixels } from '../images/pixels.js';
import type { ReadyResponse } from './schemas/schemas.js';

/** What GET /readyz answers where all is well. */
type ReadyReport = Static<typeof ReadyResponse>;

/**
 * Probes, or returns the result of a probe that runs or is less than a second old. Rejects with NOT_READY (the cause
 * says why) or SHUTTING_DOWN.
 */
export type Readiness = { check(): Promise<ReadyReport>; startDraining(): void };

const CACHE_MS = 1000;
const PROBE_TIMEOUT_MS = 5000;
/**
 * A graph may by rare bad luck lose the way to one vector; that it loses three old ones and is sound is out of
 * the question.
 */
const CANARIES = 3;
/** Pages of the oldest images that are looked through for canaries: damaged records are left out of them. */
const CANARY_PAGES = 10;
const SAME_IMAGE = 0.999;

/**
 * One probe at a time, also where it takes long; its result is shared and kept for a second, so that the route cannot
 * be used to make load.
 */
export function createReadiness(parts: { readonly encoder: Encoder; readonly catalogue: Catalogue }): Readiness {
  let isDraining = false;
  let probe: { endedAt: number; readonly result: Promise<ReadyReport> } | undefined;
  return {
    check() {
      if (isDraining) return Promise.reject(new SearchError('SHUTTING_DOWN', 'The service is stopping.'));
      if (probe === undefined || performance.now() - probe.endedAt > CACHE_MS) {
        const result = look(parts).catch((cause: unknown) => {
          throw new SearchError('NOT_READY', 'The readiness probe failed.', { cause, retryAfterSeconds: 1 });
        });
        const started = { endedAt: Number.POSITIVE_INFINITY, result };
        const end = (): void => {
          started.endedAt = performance.now();
        };
        result.then(end, end);
        probe = started;
      }
      return probe.result;
    },
    startDraining() {
      isDraining = true;
    },
  };
}

async function look({
  encoder,
  catalogue,
}: {
  readonly encoder: Encoder;
  readonly catalogue: Catalogue;
}): Promise<ReadyReport> {
  const { name, id, dimensions, device, runtime, preprocessing } = encoder.description;
  const deadline = performance.now() + PROBE_TIMEOUT_MS;
  const signal = AbortSignal.timeout(PROBE_TIMEOUT_MS);
  const late = new Promise<never>((_, reject) =>
    signal.addEventListener('abort', () => reject(signal.reason), { once: true }),
  );
  late.catch(() => {});
  const work = async (): Promise<ReadyReport> => {
    const { collections } = await catalogue.statistics();
    const canary = await passWhenBusy(async () => {
      const { embedding } = await encoder.encode(probeImage(preprocessing.width, preprocessing.height), {
        deadline,
        signal,
      });
      const norm = Math.sqrt(embedding.reduce((sum, value) => sum + value * value, 0));
      // Not "norm < ...": that is false for NaN.
      if (!(Math.abs(norm - 1) < 1e-3)) throw new Error(`The probe image's embedding has norm ${norm}.`);
      return findCanary(catalogue, collections);
    });
    const images = collections.reduce((sum, collection) => sum + collection.images, 0);
    const rebuilding = collections.some((collection) => collection.rebuilding);
    return {
      status: 'ready',
      encoder: { name, id, dimensions, device, runtime },
      catalogue: { collections: collections.length, images, rebuilding },
      canary,
    };
  };
  return Promise.race([work(), late]);
}

/** The oldest images of the largest collection look for themselves; one of them must succeed. */
async function findCanary(
  catalogue: Catalogue,
  collections: readonly CollectionStatistics[],
): Promise<'found' | 'empty'> {
  const largest = [...collections].sort((a, b) => b.images - a.images)[0];
  if (largest === undefined || largest.images === 0) return 'empty';
  let stored = 0;
  let cursor: string | undefined;
  for (let page = 0; page < CANARY_PAGES && stored < CANARIES; page++) {
    const { items, nextCursor } = await catalogue.list(largest.name, {
      limit: CANARIES,
      ...(cursor !== undefined && { cursor }),
    });
    for (const { id } of items) {
      const embedding = await catalogue.embedding(largest.name, id).catch(ignoreDamage);
      if (embedding === undefined) continue; // Deleted since it was listed, or damaged.
      stored += 1;
      const [nearest] = await catalogue.neighbours({ collection: largest.name, embedding, k: 1 });
      if (nearest !== undefined && nearest.similarity > SAME_IMAGE) return 'found';
    }
    if (nextCursor === undefined) break;
    cursor = nextCursor;
  }
  if (stored === 0) return 'empty';
  throw new Error(`None of ${stored} stored images of collection ${largest.name} finds itself.`);
}

/** One damaged record is told in the log, by `check` and to who asks for it; all others are served. */
function ignoreDamage(error: unknown): undefined {
  if (error instanceof SearchError && error.code === 'CATALOGUE_DAMAGED') return undefined;
  throw error;
}

/**
 * Full queues are a busy service, not a broken one: it stays ready, or every load balancer would add to the load of
 * the others.
 */
async function passWhenBusy<T>(probe: () => Promise<T>): Promise<T | 'busy'> {
  try {
    return await probe();
  } catch (error) {
    if (error instanceof SearchError && error.code === 'OVERLOADED') return 'busy';
    throw error;
  }
}

/** A gradient: an image that no encoder maps to nothing. */
function probeImage(width: number, height: number): Pixels {
  const rgb = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++)
      rgb.set([(x * 255) / width, (y * 255) / height, ((x ^ y) * 8) & 255], (y * width + x) * 3);
  }
  return { width, height, rgb };
}
