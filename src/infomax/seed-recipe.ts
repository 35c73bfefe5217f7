import type { NetworkSpec } from './network.js';
import type { ObjectiveSpec, PairSpec } from './objective.js';

/** Optimiser settings of the seed article. Pixels / 255 - 0.5 or 2 * pixels / 255 - 1. */
export type SeedSettings = {
  readonly learningRate: number;
  readonly batchSize: number;
  readonly epochs: number;
  readonly pixelMean: number;
  readonly pixelScale: number;
};

/** The article's objective for CIFAR-10 (Su Jianlin, kexue.fm/archives/6024), exactly. */
export const SEED_CIFAR10: { readonly objective: ObjectiveSpec; readonly settings: SeedSettings } = {
  objective: seedObjective({ side: 32, channels: [64, 128, 256] }),
  settings: { learningRate: 1e-3, batchSize: 64, epochs: 50, pixelMean: 0.5, pixelScale: 1 },
};

/** The article's variant for Tiny ImageNet, exactly: one stage more, narrower at first. */
export const SEED_TINY_IMAGENET: { readonly objective: ObjectiveSpec; readonly settings: SeedSettings } = {
  objective: seedObjective({ side: 64, channels: [32, 64, 128, 256] }),
  settings: { learningRate: 1e-3, batchSize: 100, epochs: 100, pixelMean: 0.5, pixelScale: 2 },
};

/**
 * The article's network at another size: stages with pooling of these channels to the map, then two without, all heads
 * `codeSize` wide.
 */
export function seedObjective(options: {
  readonly side: number;
  readonly channels: readonly number[];
  readonly codeSize?: number;
}): ObjectiveSpec {
  const { side, channels, codeSize = 256 } = options;
  const last = channels.at(-1) ?? codeSize;
  const network: NetworkSpec = {
    image: { height: side, width: side, channels: 3 },
    stages: [
      ...channels.map((count) => ({ channels: count, kernel: 3, pool: 2 })),
      { channels: last, kernel: 3, pool: 1 },
      { channels: last, kernel: 3, pool: 1 },
    ],
    mapStages: channels.length,
    codeSize,
    leak: 0.2,
  };
  const pair = {
    negatives: { draw: 'shuffle', count: 1 },
    discriminator: { kind: 'concatenate', hidden: [codeSize, codeSize, codeSize] },
    estimator: 'jensen-shannon',
  } as const satisfies Partial<PairSpec>;
  return {
    network,
    global: { ...pair, weight: 0.5, image: 'code' },
    local: { ...pair, weight: 1.5, image: 'map' },
    priorWeight: 0.01,
  };
}
