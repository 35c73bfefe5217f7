/** Which score curves a collection uses: those of the encoder, or its own, fitted while the service is idle. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Type } from '@fastify/type-provider-typebox';
import type { Catalogue, CatalogueStatistics } from '../../catalogue/catalogue.js';
import type { Encoder } from '../../encoder/encoder.js';
import { FITTED_SCORES, type ShippedScores } from '../../encoder/score-defaults.js';
import type { ScoreMeasure } from '../../matching/fit-score-model.js';
import { NEAR_PRECISION, type ScoreModel, UNFITTED_SCORES, withdrawnScores } from '../../matching/score-model.js';
import type { OpenCollection, RouteCatalogue } from '../tenancy.js';
import { startBackgroundProcess } from './background-process.js';
import { type Derived, DerivedFiles } from './derived-files.js';
import { type CollectionFit, type FitSize, fitCollection } from './fit-collection.js';

/**
 * Whose curves a collection uses: the encoder's, its own, or none for copies: `withdrawn` curves were measured on
 * the collection itself and call too many wrong results copies.
 */
type ScoreSource = 'encoder' | 'collection' | 'withdrawn';

/** Curves with their measure, on the collection itself where it was taken there. */
export type UsedScores = {
  readonly source: ScoreSource;
  readonly fittedAt: string;
  /** Pictures whose edits the curves were fitted on. */
  readonly images: number;
  readonly precision: number;
  readonly recall: number;
  readonly model: ScoreModel;
};

/** The score curves of all collections. */
export type CollectionScores = {
  /** The encoder's curves. */
  readonly shipped: ShippedScores | undefined;
  /** The curves of a collection now; they change when a fit is done. */
  modelOf(collection: string): ScoreModel;
  /** The same with their measure; undefined where neither the encoder nor the collection has curves. */
  usedFor(collection: string): UsedScores | undefined;
  /** Reads the stored curves and starts to look, at intervals, for collections that are due. To be called once. */
  open(): Promise<void>;
  /** Ends the fit that runs and begins no other. Resolves when it is gone. */
  close(): Promise<void>;
};

/** When collections are fitted, and on how many pictures. */
export type FitPlan = FitSize & {
  readonly imagesMin: number;
  /** Time between two looks, and from a failure to the next attempt. */
  readonly lookMs: number;
  readonly restMs: number;
};

/**
 * With fewer images the encoder's curves, fitted on more, are the better guess: 300 of 500 are still a part and
 * not all.
 */
const PLAN: FitPlan = { imagesMin: 500, fitted: 200, heldOut: 100, lookMs: 60_000, restMs: 3_600_000 };
/**
 * New curves replace careful ones where they find this much more of the copies, so that verdicts do not jump as images
 * are added.
 */
const RECALL_GAIN_MIN = 0.02;
/**
 * A collection is fitted again when this share was added: the nearest wrong result grows with the logarithm of
 * their number.
 */
const GROWTH = 1;
/** A fit waits this long before each step, so a search that arrives is hardly delayed. */
const IDLE_POLL_MS = 5;
/** Curves are dropped when a collection shrinks below this share of `imagesMin`. */
const KEPT_SHARE = 0.5;
/** A file has about 2 kB. */
const FILE_BYTES_MAX = 64 * 1024;

/**
 * The scores of a collection as they are stored; `images` and `lastSequence` are of the catalogue when they
 * were measured.
 */
type KeptScores = Derived & {
  readonly images: number;
  readonly lastSequence: number;
  readonly used: UsedScores;
};
const Kept = Type.Object({
  collection: Type.String(),
  encoderId: Type.String(),
  images: Type.Integer({ minimum: 0 }),
  lastSequence: Type.Integer({ minimum: 0 }),
  used: Type.Object({
    source: Type.Union([Type.Literal('encoder'), Type.Literal('collection'), Type.Literal('withdrawn')]),
    fittedAt: Type.String(),
    images: Type.Integer({ minimum: 0 }),
    precision: Type.Number({ minimum: 0, maximum: 1 }),
    recall: Type.Number({ minimum: 0, maximum: 1 }),
    model: FITTED_SCORES.model,
  }),
});

/** A fit that was done, for the log: what was measured, and what is used from now on instead of what was before. */
export type FitReport = {
  readonly collection: string;
  readonly images: number;
  readonly before: ScoreSource;
  readonly used: UsedScores;
  readonly isChanged: boolean;
};

function encoderScores(shipped: ShippedScores | undefined): UsedScores {
  if (shipped !== undefined) {
    const { fittedAt, images, precision, recall, model } = shipped;
    return { source: 'encoder', fittedAt, images, precision, recall, model };
  }
  return {
    source: 'encoder',
    fittedAt: new Date(0).toISOString(),
    images: 0,
    precision: 1,
    recall: 0,
    model: UNFITTED_SCORES,
  };
}

/**
 * What a collection uses after a fit: the current curves as long as they are careful and the new ones do not find
 * clearly more; the new ones where those are careful; otherwise none.
 */
function chosen({ fitted, current: measured, relatedSimilarity }: CollectionFit, current: UsedScores): UsedScores {
  // NaN: nothing is called near
  const isCareful = (measure: ScoreMeasure): boolean => !(measure.precision < NEAR_PRECISION);
  const isBetter = fitted !== undefined && isCareful(fitted) && fitted.recall >= measured.recall + RECALL_GAIN_MIN;
  const measure = (of: ScoreMeasure) => ({
    precision: Number.isNaN(of.precision) ? 1 : of.precision,
    recall: Number.isNaN(of.recall) ? 0 : of.recall,
  });
  if (isCareful(measured) && !isBetter) return { ...current, ...measure(measured) };
  const fittedAt = new Date().toISOString();
  if (fitted !== undefined && isCareful(fitted))
    return { source: 'collection', fittedAt, images: fitted.images, model: fitted.model, ...measure(fitted) };
  const model = withdrawnScores({ relatedSimilarity });
  return { source: 'withdrawn', fittedAt, images: current.images, model, ...measure(measured) };
}

/** Nothing is read or computed before `open`. `onFailure`: errors of background work. */
export function createCollectionScores(parts: {
  readonly catalogue: Pick<RouteCatalogue, 'sample' | 'changesSince' | 'thumbnail' | 'neighbours'> &
    Pick<Catalogue, 'statistics'>;
  readonly encoder: Encoder;
  readonly shipped: ShippedScores | undefined;
  readonly folder: string;
  /** Whether collections have curves of their own at all. */
  readonly isOn: boolean;
  /** Whether nobody else needs the service now. */
  readonly isIdle: () => boolean;
  readonly onFit: (report: FitReport) => void;
  readonly onFailure: (error: unknown) => void;
  /** For tests. */
  readonly plan?: Partial<FitPlan>;
}): CollectionScores {
  const { catalogue, encoder, shipped, isOn, isIdle, onFit, onFailure } = parts;
  const plan = { ...PLAN, ...parts.plan };
  const encoderId = encoder.description.id;
  const files = new DerivedFiles<KeptScores>({
    folder: parts.folder,
    encoderId,
    format: 'likeness scores 2',
    extension: 'scores',
    schema: Kept,
    bytesMax: FILE_BYTES_MAX,
  });
  const closing = new AbortController();
  const whenIdle = async (): Promise<void> => {
    do await sleep(IDLE_POLL_MS, undefined, { signal: closing.signal, ref: false });
    while (!isIdle());
  };
  const held = new Map<string, KeptScores>();
  /** Time of the next attempt after a failure, by performance.now(). */
  const restUntil = new Map<string, number>();
  let work = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;

  const usedFor = (collection: string): UsedScores | undefined =>
    held.get(collection)?.used ?? (shipped && encoderScores(shipped));
  const modelOf = (collection: string): ScoreModel => usedFor(collection)?.model ?? UNFITTED_SCORES;

  const forget = async (collection: string): Promise<void> => {
    held.delete(collection);
    await files.remove(collection);
  };

  const isKept = ({ images }: { readonly images: number }): boolean => images >= plan.imagesMin * KEPT_SHARE;

  /** Drops curves of collections that are gone or have shrunk, and those from before a restore. */
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
    // not for a caller
    const { added } = await catalogue.changesSince(name as OpenCollection, { sequences: [], since: kept.lastSequence });
    return added >= GROWTH * kept.images;
  };

  const fit = async (name: string): Promise<void> => {
    const child = startBackgroundProcess();
    const end = (): void => void child.close();
    closing.signal.addEventListener('abort', end, { once: true });
    try {
      const before = usedFor(name);
      // Withdrawn curves are measured again by the curves that they were, so that a collection can recover.
      const current = before === undefined || before.source === 'withdrawn' ? encoderScores(shipped) : before;
      const result = await fitCollection({
        catalogue,
        encoder,
        child,
        collection: name as OpenCollection, // not for a caller
        size: { fitted: plan.fitted, heldOut: plan.heldOut },
        current: current.model,
        whenIdle,
      });
      const used = chosen(result, current);
      const { images, lastSequence } = result;
      const kept = { collection: name, encoderId, images, lastSequence, used };
      await files.write(kept);
      held.set(name, kept);
      const isChanged = JSON.stringify(used.model) !== JSON.stringify(before?.model);
      onFit({ collection: name, images, before: before?.source ?? 'encoder', used, isChanged });
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
