/** Which curves read a collection's scores: those that came with the encoder, or its own, fitted while nobody else needs the machine. */
import { Type } from '@fastify/type-provider-typebox';
import type { Catalogue, CatalogueStatistics } from '../catalogue/catalogue.js';
import type { Encoder } from '../encoder/encoder.js';
import { FITTED_SCORES, type ShippedScores } from '../encoder/score-defaults.js';
import type { ScoreFit } from '../matching/fit-score-model.js';
import { type ScoreModel, UNFITTED_SCORES } from '../matching/score-model.js';
import { DerivedFiles } from './derived-files.js';
import { type CollectionFit, type FitSize, fitCollection } from './fit-collection.js';
import { createIdlePace } from './idle-pace.js';
import { startScoreChild } from './score-child.js';
import type { OpenCollection, RouteCatalogue } from './tenancy.js';

/** Curves with what they are worth; `source`: whose they are. */
export type UsedScores = { readonly source: 'encoder' | 'collection'; readonly fittedAt: string } & Pick<
  ScoreFit,
  'images' | 'precision' | 'recall' | 'model'
>;

/** What the scores of every collection mean. */
export type CollectionScores = {
  /** What came with the encoder. */
  readonly shipped: ShippedScores | undefined;
  /** By what the scores of a collection are read now; its words may change from one search to the next, when a fit is done. */
  modelOf(collection: string): ScoreModel;
  /** The same with its measure; undefined where nothing was ever fitted. */
  usedFor(collection: string): UsedScores | undefined;
  /** Reads what was fitted before, and from then on looks now and then whether a collection is due. To be called once. */
  open(): Promise<void>;
  /** Ends the fit that runs, and begins no other. Resolves when nothing of it is left. */
  close(): Promise<void>;
};

/** When a collection is fitted, and on how many pictures. */
export type FitPlan = FitSize & {
  readonly imagesMin: number;
  /** How often it is looked whether one is due, and how long after a failure the next attempt is made. */
  readonly lookMs: number;
  readonly restMs: number;
};

/**
 * Of 500 images the 300 that are edited are a part and not all, and the wrong results, ten for each edit, are many times the few that decide where `near`
 * begins. With fewer the encoder's curves, fitted on more, are the better guess.
 */
const PLAN: FitPlan = { imagesMin: 500, fitted: 200, heldOut: 100, lookMs: 60_000, restMs: 3_600_000 };
/** A collection is fitted again when as many images were added as it had: the nearest wrong result comes nearer with the logarithm of their number. */
const GROWTH = 1;
/** Curves are dropped below this share of the least images. */
const KEPT_SHARE = 0.5;
/** A file has some 2 kB. */
const FILE_BYTES_MAX = 64 * 1024;

/** A fit as it is kept. `fit` is null where the encoder's curves were the more careful ones, so that it is not tried again at once. */
type KeptScores = {
  readonly collection: string;
  readonly encoderId: string;
  readonly fittedAt: string;
  readonly images: number;
  readonly lastSequence: number;
  readonly fit: ScoreFit | null;
};
const Kept = Type.Object({
  ...{ collection: Type.String(), encoderId: Type.String(), fittedAt: Type.String() },
  ...{ images: Type.Integer({ minimum: 0 }), lastSequence: Type.Integer({ minimum: 0 }) },
  fit: Type.Union([Type.Object(FITTED_SCORES, { additionalProperties: false }), Type.Null()]),
});

/** Told of a fit that was done, for the log. */
export type FitReport = CollectionFit & { readonly collection: string };

/** Builds the scores; nothing is read or computed before `open`. `onFailure` is told of what no caller waits for. */
export function createCollectionScores(parts: {
  readonly catalogue: Pick<RouteCatalogue, 'sample' | 'standing' | 'thumbnail' | 'neighbours'> & Pick<Catalogue, 'statistics'>;
  readonly encoder: Encoder;
  readonly shipped: ShippedScores | undefined;
  readonly folder: string;
  /** Whether collections have curves of their own at all. */
  readonly isOn: boolean;
  /** Whether nobody else needs the machine now. */
  readonly isQuiet: () => boolean;
  readonly onFit: (report: FitReport) => void;
  readonly onFailure: (error: unknown) => void;
  /** For tests. */
  readonly plan?: Partial<FitPlan>;
}): CollectionScores {
  const { catalogue, encoder, shipped, isOn, isQuiet, onFit, onFailure } = parts;
  const plan = { ...PLAN, ...parts.plan };
  const encoderId = encoder.description.id;
  const files = new DerivedFiles<KeptScores>({
    ...{ folder: parts.folder, encoderId, format: 'likeness scores 1', extension: 'scores', schema: Kept, bytesMax: FILE_BYTES_MAX },
  });
  const closing = new AbortController();
  const pace = createIdlePace({ isQuiet, signal: closing.signal });
  const held = new Map<string, KeptScores>();
  /** Until when a collection is left alone after a failure, by performance.now(). */
  const restUntil = new Map<string, number>();
  let work = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;

  const usedFor = (collection: string): UsedScores | undefined => {
    const kept = held.get(collection);
    if (kept?.fit) return { source: 'collection', fittedAt: kept.fittedAt, ...kept.fit };
    return shipped && { source: 'encoder', ...shipped };
  };
  const shippedModel = shipped?.model ?? UNFITTED_SCORES;
  const modelOf = (collection: string): ScoreModel => held.get(collection)?.fit?.model ?? shippedModel;

  const forget = async (collection: string): Promise<void> => {
    held.delete(collection);
    await files.remove(collection);
  };

  const isKept = ({ images }: { readonly images: number }): boolean => images >= plan.imagesMin * KEPT_SHARE;

  /** Drops what belongs to other records than there are now: a collection that is gone or shrunk, a data folder that was restored. */
  const sweep = async ({ collections, lastSequence }: CatalogueStatistics): Promise<void> => {
    const kept = new Set(collections.filter(isKept).map(({ name }) => name));
    for (const { collection, lastSequence: then } of [...held.values()]) {
      if (!kept.has(collection) || then > lastSequence) await forget(collection);
    }
  };

  const isDue = async ({ name, images }: CatalogueStatistics['collections'][number]): Promise<boolean> => {
    if (images < plan.imagesMin || performance.now() < (restUntil.get(name) ?? 0)) return false;
    const kept = held.get(name);
    if (kept === undefined) return true;
    const { added } = await catalogue.standing(name as OpenCollection, { sequences: [], since: kept.lastSequence }); // opened for nobody but ourselves
    return added >= GROWTH * kept.images;
  };

  const fit = async (name: string): Promise<void> => {
    const child = startScoreChild();
    const end = (): void => void child.close();
    closing.signal.addEventListener('abort', end, { once: true });
    try {
      const size = { fitted: plan.fitted, heldOut: plan.heldOut };
      const collection = name as OpenCollection; // opened for nobody but ourselves
      const result = await fitCollection({ catalogue, encoder, child, collection, size, model: shippedModel, pace });
      const { images, lastSequence } = result;
      const kept = { collection: name, encoderId, fittedAt: new Date().toISOString(), images, lastSequence, fit: result.fit ?? null };
      await files.write(kept);
      held.set(name, kept);
      onFit({ ...result, collection: name });
    } finally {
      closing.signal.removeEventListener('abort', end);
      await child.close();
    }
  };

  const look = async (): Promise<void> => {
    const statistics = await catalogue.statistics();
    await sweep(statistics);
    for (const collection of statistics.collections) {
      if (closing.signal.aborted) return;
      if (!(await isDue(collection))) continue;
      try {
        await fit(collection.name);
        restUntil.delete(collection.name);
      } catch (error) {
        if (closing.signal.aborted) return;
        restUntil.set(collection.name, performance.now() + plan.restMs);
        onFailure(error);
      }
    }
  };

  const lookLater = (): void => {
    timer = setTimeout(() => {
      work = look()
        .catch((error: unknown) => {
          if (!closing.signal.aborted) onFailure(error);
        })
        .then(() => {
          if (!closing.signal.aborted) lookLater();
        });
    }, plan.lookMs);
    timer.unref();
  };

  return {
    shipped,
    modelOf,
    usedFor,
    async open() {
      if (!isOn) return;
      const statistics = await catalogue.statistics();
      const names = statistics.collections.filter(isKept).map(({ name }) => name);
      for (const name of names) {
        const kept = await files.read(name);
        if (kept !== undefined) held.set(name, kept);
      }
      await sweep(statistics).catch(onFailure);
      await files.keepOnly(names).catch(onFailure);
      lookLater();
    },
    async close() {
      closing.abort();
      clearTimeout(timer);
      await work;
    },
  };
}
