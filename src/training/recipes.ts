/** The gradient recipes that come with Likeness. recipe.ts and infomax/ explain the settings. */
import type { ObjectiveSpec } from '../infomax/objective.js';
import { SEED_CIFAR10, SEED_TINY_IMAGENET, type SeedSettings } from '../infomax/seed-recipe.js';
import type { Recipe } from './recipe.js';

export const RECIPES = {
  /** The article's recipe for CIFAR-10 (Su Jianlin, kexue.fm/archives/6024). */
  seed: seedRecipe('seed', SEED_CIFAR10),
  /** The article's variant for 64 x 64 pixels (Tiny ImageNet). */
  'seed-tiny-imagenet': seedRecipe('seed-tiny-imagenet', SEED_TINY_IMAGENET),
  /**
   * Two augmented views, all other images of the batch as negatives, cosine logits and decoupled InfoNCE. The embedding
   * is the layer before the heads.
   */
  views: {
    name: 'views',
    seed: 2018,
    input: { side: 32, fit: 'cover', mean: 0.5, scale: 2 },
    network: {
      stages: [
        { channels: 32, kernel: 3, pool: 2 },
        { channels: 64, kernel: 3, pool: 2 },
        { channels: 128, kernel: 3, pool: 1 },
        { channels: 128, kernel: 3, pool: 2 },
        { channels: 256, kernel: 3, pool: 1 },
      ],
      mapStages: 4,
      codeSize: 256,
      leak: 0.1,
    },
    global: viewsTerm('pooled'),
    local: viewsTerm('map'),
    priorWeight: 0.01,
    views: 2,
    augmentation: {
      crop: { areaMin: 0.2, areaMax: 1, aspectMax: 4 / 3 },
      flip: 0.5,
      jitter: { probability: 0.8, brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 },
      grey: 0.2,
    },
    optimiser: {
      learningRate: 1e-3,
      weightDecay: 1e-4,
      schedule: { kind: 'warm-up-cosine', warmUp: 0.05, end: 0 },
      batchSize: 256,
      epochs: 20,
    },
    embedding: 'pooled',
  },
} as const satisfies Readonly<Record<string, Recipe>>;

function viewsTerm<Image extends 'pooled' | 'map'>(image: Image) {
  return {
    weight: 1,
    image,
    negatives: { draw: 'all' },
    discriminator: { kind: 'dot', hidden: 256, size: 128, temperature: 0.2 },
    estimator: 'decoupled-info-nce',
  } as const;
}

function seedRecipe(
  name: string,
  { objective, settings }: { readonly objective: ObjectiveSpec; readonly settings: SeedSettings },
): Recipe {
  const { network, global, local, priorWeight } = objective;
  const { image, stages, mapStages, codeSize, leak } = network;
  return {
    name,
    seed: 2018,
    input: { side: image.width, fit: 'cover', mean: settings.pixelMean, scale: settings.pixelScale },
    network: { stages, mapStages, codeSize, leak },
    global,
    local,
    priorWeight,
    views: 1,
    augmentation: null,
    optimiser: {
      learningRate: settings.learningRate,
      weightDecay: 0,
      schedule: { kind: 'constant' },
      batchSize: settings.batchSize,
      epochs: settings.epochs,
    },
    embedding: 'mean',
  };
}
