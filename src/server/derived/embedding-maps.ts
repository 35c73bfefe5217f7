/** 2-D projections of collections: answered from memory or file, computed one at a time when somebody asks. */
import { createHash } from 'node:crypto';
import { Type } from '@fastify/type-provider-typebox';
import type { Catalogue, Changes } from '../../catalogue/catalogue.js';
import { LruMap } from '../../lru.js';
import { MAP_ROWS_MIN } from '../../matching/plane-layout.js';
import type { MapAnswerFields } from '../schemas/schemas.js';
import type { OpenCollection, RouteCatalogue } from '../tenancy.js';
import { startBackgroundProcess } from './background-process.js';
import { DerivedFiles } from './derived-files.js';

/** A map as it is kept; its points are sequence numbers, so that removed images can be left out. */
type KeptMap = {
  readonly collection: string;
  readonly encoderId: string;
  /** Images of the collection when the sample was taken, and the catalogue's latest sequence number then. */
  readonly images: number;
  readonly lastSequence: number;
  /** ISO 8601, UTC. */
  readonly computedAt: string;
  readonly sequences: readonly number[];
  /** 0..1, a place for each sequence. */
  readonly x: readonly number[];
  readonly y: readonly number[];
};
const Coordinates = Type.Array(Type.Number({ minimum: 0, maximum: 1 }));
const KeptSchema = Type.Object({
  collection: Type.String(),
  encoderId: Type.String(),
  computedAt: Type.String(),
  images: Type.Integer({ minimum: 0 }),
  lastSequence: Type.Integer({ minimum: 0 }),
  sequences: Type.Array(Type.Integer({ minimum: 0 })),
  x: Coordinates,
  y: Coordinates,
});

/** The maps of a service. */
export type EmbeddingMaps = {
  /**
   * The newest map, without images removed since. Where it is missing or out of date, a new one is computed in
   * the background.
   */
  mapOf(collection: OpenCollection): Promise<MapAnswerFields>;
  /**
   * Ends the computation that runs and begins no other; `mapOf` goes on answering. Resolves when the computation
   * is gone.
   */
  close(): Promise<void>;
};

const POINTS_MAX = 2000;
/** A map is out of date when this many images, or this share of them, were added or removed. */
const CHANGES_MAX = 50;
const CHANGED_SHARE_MAX = 0.1;
/** Least time between the starts of two computations of one collection. */
const REST_MS = 30_000;
/** Maps in memory, some 100 kB each, and collections that wait; one more is computed when it is requested again. */
const MAPS_HELD = 32;
const WAITING_MAX = 32;
/** Ten times what the largest map has. */
const FILE_BYTES_MAX = 1024 * 1024;

/**
 * Nothing is read or computed before a map is requested. `onFailure`: errors of background work. Tests set clock
 * and rest.
 */
export function createEmbeddingMaps(options: {
  readonly catalogue: Pick<RouteCatalogue, 'sample' | 'changesSince'> & Pick<Catalogue, 'statistics'>;
  readonly folder: string;
  readonly encoderId: string;
  readonly onFailure: (error: unknown) => void;
  readonly restMs?: number;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}): EmbeddingMaps {
  const { catalogue, encoderId, onFailure, restMs = REST_MS, now = Date.now } = options;
  const files = new DerivedFiles<KeptMap>({
    folder: options.folder,
    encoderId,
    format: 'likeness map 1',
    extension: 'map',
    schema: KeptSchema,
    bytesMax: FILE_BYTES_MAX,
    isSound: ({ sequences, x, y }) => x.length === sequences.length && y.length === sequences.length,
  });
  const closing = new AbortController();
  const held = new LruMap<string, KeptMap>(MAPS_HELD);
  const waiting = new Set<OpenCollection>();
  const begunAt = new Map<string, number>();
  let current: OpenCollection | undefined;
  let work = Promise.resolve();
  let swept: Promise<void> | undefined;

  const newest = async (collection: string): Promise<KeptMap | undefined> => {
    const read = held.get(collection) ?? (await files.read(collection));
    const map = held.get(collection) ?? read; // one computed while the file was read is newer
    if (map !== undefined) held.set(collection, map);
    return map;
  };

  const forget = async (collection: string): Promise<void> => {
    if (!held.delete(collection)) return;
    await files.remove(collection).catch(onFailure);
  };

  /** Once per process: removes maps of collections that are gone. */
  const sweep = async (): Promise<void> => {
    const { collections } = await catalogue.statistics();
    await files.keepOnly(collections.filter(({ images }) => images >= MAP_ROWS_MIN).map(({ name }) => name));
  };

  const compute = async (collection: OpenCollection): Promise<void> => {
    const seed = seedOf(collection);
    const { images, lastSequence, sequences, embeddings } = await catalogue.sample(collection, {
      size: POINTS_MAX,
      seed,
    });
    if (sequences.length < MAP_ROWS_MIN || closing.signal.aborted) return;
    const child = startBackgroundProcess();
    const end = (): void => void child.close();
    closing.signal.addEventListener('abort', end, { once: true });
    try {
      const dimensions = embeddings.length / sequences.length;
      const { x, y } = await child.run('project', [{ embeddings, dimensions, seed }]);
      const computedAt = new Date(now()).toISOString();
      const map = { collection, encoderId, images, lastSequence, computedAt, sequences, x, y };
      held.set(collection, map);
      await files.write(map);
    } finally {
      closing.signal.removeEventListener('abort', end);
      await child.close();
    }
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
      const changes = await catalogue.changesSince(collection, query);
      const { images } = changes;
      if (images < MAP_ROWS_MIN) {
        await forget(collection);
        return { status: 'empty', computedAt: null, images, points: [] };
      }
      // A map of later records than there are now is from before a restore.
      const map = kept !== undefined && kept.lastSequence <= changes.lastSequence ? kept : undefined;
      if (map === undefined || isOutOfDate(map, changes)) request(collection);
      const isComing = map === undefined || current === collection || waiting.has(collection);
      return {
        status: isComing ? 'computing' : 'ready',
        computedAt: map?.computedAt ?? null,
        images,
        points: map === undefined ? [] : pointsOf(map, changes),
      };
    },
    async close() {
      closing.abort();
      waiting.clear();
      await work;
    },
  };
}

function isOutOfDate(map: KeptMap, { images, added }: Changes): boolean {
  const removed = map.images + added - images;
  const changes = added + removed;
  return changes > CHANGES_MAX || changes > map.images * CHANGED_SHARE_MAX;
}

function pointsOf({ x, y }: KeptMap, { ids }: Changes): MapAnswerFields['points'] {
  return ids.flatMap((id, place) => (id === null ? [] : [{ id, x: x[place]!, y: y[place]! }]));
}

/** From the collection's name: equal images give an equal map. */
function seedOf(collection: string): number {
  return createHash('sha256').update(collection).digest().readUInt32LE(0);
}
