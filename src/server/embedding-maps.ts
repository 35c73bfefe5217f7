/** Maps of collections: answered from what there is, computed one at a time where somebody looks, kept until the collection has changed. */
import { createHash } from 'node:crypto';
import type { Catalogue, Standing } from '../catalogue/catalogue.js';
import { MAP_ROWS_MIN } from '../layout/plane-layout.js';
import { layOutMap } from './lay-out-map.js';
import { type KeptMap, mapFiles } from './map-files.js';
import type { MapAnswerFields } from './map-schemas.js';
import type { OpenCollection, RouteCatalogue } from './tenancy.js';

/** The maps of a service. */
export type EmbeddingMaps = {
  /** The newest map there is, without what was removed since. Where it is missing or out of date, it is computed while nobody waits for it. */
  mapOf(collection: OpenCollection): Promise<MapAnswerFields>;
  /** Ends the computation that runs, and begins no other; answers go on. Resolves when nothing of it is left. */
  close(): Promise<void>;
};

/** Points of a map: what a person can look at, and some seconds of work. */
const POINTS_MAX = 2000;
/** A map is out of date when so many images, or this share of them, have come or gone. */
const CHANGES_MAX = 50;
const CHANGED_SHARE_MAX = 0.1;
/** A collection's next map is begun this long after its last at the earliest. */
const REST_MS = 30_000;
/** Maps in memory, some 100 kB each, and collections that wait for theirs; one more is computed when it is asked for again. */
const MAPS_HELD = 32;
const WAITING_MAX = 32;

/** Builds the maps; nothing is read or computed before one is asked for. `onFailure` is told of what no caller waits for. Tests set clock and rest. */
export function createEmbeddingMaps(options: {
  readonly catalogue: Pick<RouteCatalogue, 'sample' | 'standing'> & Pick<Catalogue, 'statistics'>;
  readonly folder: string;
  readonly encoderId: string;
  readonly onFailure: (error: unknown) => void;
  readonly restMs?: number;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}): EmbeddingMaps {
  const { catalogue, encoderId, onFailure, restMs = REST_MS, now = Date.now } = options;
  const files = mapFiles(options.folder, encoderId);
  const closing = new AbortController();
  /** By when they were last asked for, the youngest last. */
  const held = new Map<string, KeptMap>();
  const waiting = new Set<OpenCollection>();
  const begunAt = new Map<string, number>();
  let current: OpenCollection | undefined;
  let work = Promise.resolve();
  let swept: Promise<void> | undefined;

  const hold = (map: KeptMap): KeptMap => {
    held.delete(map.collection);
    held.set(map.collection, map);
    for (const oldest of held.keys()) {
      if (held.size <= MAPS_HELD) break;
      held.delete(oldest);
    }
    return map;
  };

  const newest = async (collection: string): Promise<KeptMap | undefined> => {
    const map = held.get(collection) ?? (await files.read(collection));
    // What was computed while the file was read is newer.
    const newer = held.get(collection) ?? map;
    return newer === undefined ? undefined : hold(newer);
  };

  const forget = async (collection: string): Promise<void> => {
    if (!held.delete(collection)) return;
    await files.remove(collection).catch(onFailure);
  };

  /** Once a process: what lies in the folder of collections that are gone. */
  const sweep = async (): Promise<void> => {
    const { collections } = await catalogue.statistics();
    await files.keepOnly(collections.filter(({ images }) => images >= MAP_ROWS_MIN).map(({ name }) => name));
  };

  const compute = async (collection: OpenCollection): Promise<void> => {
    const seed = seedOf(collection);
    const { images, lastSequence, sequences, embeddings } = await catalogue.sample(collection, { size: POINTS_MAX, seed });
    if (sequences.length < MAP_ROWS_MIN) return;
    const task = { embeddings, dimensions: embeddings.length / sequences.length, seed };
    const { x, y } = await layOutMap(task, closing.signal);
    const computedAt = new Date(now()).toISOString();
    await files.write(hold({ collection, encoderId, images, lastSequence, computedAt, sequences, x, y }));
  };

  const computeAll = async (): Promise<void> => {
    for (const collection of waiting) {
      waiting.delete(collection);
      current = collection;
      begunAt.set(collection, now());
      await compute(collection).catch((error: unknown) => {
        if (!closing.signal.aborted) onFailure(error);
      });
      current = undefined;
    }
  };

  const request = (collection: OpenCollection): void => {
    for (const [name, at] of begunAt) if (now() - at >= restMs) begunAt.delete(name);
    const isKnown = current === collection || waiting.has(collection) || begunAt.has(collection);
    if (closing.signal.aborted || isKnown || waiting.size >= WAITING_MAX) return;
    const isIdle = current === undefined && waiting.size === 0;
    waiting.add(collection);
    if (isIdle) work = work.then(computeAll);
  };

  return {
    async mapOf(collection) {
      swept ??= sweep().catch(onFailure);
      await swept;
      const kept = await newest(collection);
      const query = { sequences: kept?.sequences ?? [], since: kept?.lastSequence ?? 0 };
      const standing = await catalogue.standing(collection, query);
      const { images } = standing;
      if (images < MAP_ROWS_MIN) {
        await forget(collection);
        return { status: 'empty', computedAt: null, images, points: [] };
      }
      // A file from a later state of the records than there is now belongs to others.
      const map = kept !== undefined && kept.lastSequence <= standing.lastSequence ? kept : undefined;
      if (map === undefined || isOutOfDate(map, standing)) request(collection);
      const isComing = map === undefined || current === collection || waiting.has(collection);
      return {
        status: isComing ? 'computing' : 'ready',
        computedAt: map?.computedAt ?? null,
        images,
        points: map === undefined ? [] : pointsOf(map, standing),
      };
    },
    async close() {
      closing.abort();
      waiting.clear();
      await work;
    },
  };
}

function isOutOfDate(map: KeptMap, { images, added }: Standing): boolean {
  const removed = map.images + added - images;
  const changes = added + removed;
  return changes > CHANGES_MAX || changes > map.images * CHANGED_SHARE_MAX;
}

function pointsOf({ x, y }: KeptMap, { ids }: Standing): MapAnswerFields['points'] {
  return ids.flatMap((id, place) => (id === null ? [] : [{ id, x: x[place]!, y: y[place]! }]));
}

/** The collection's own, so that its map stays the same as long as it does. */
function seedOf(collection: string): number {
  return createHash('sha256').update(collection).digest().readUInt32LE(0);
}
