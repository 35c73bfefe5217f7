/** Recipes small enough for tests. */
import { changed } from '../../src/training/read-recipe.js';
import { checkedRecipe, type Recipe } from '../../src/training/recipe.js';
import { RECIPES } from '../../src/training/recipes.js';

const TINY_NETWORK = {
  stages: [
    { channels: 16, kernel: 3, pool: 2 },
    { channels: 32, kernel: 3, pool: 2 },
    { channels: 32, kernel: 3, pool: 1 },
  ],
  mapStages: 2,
  codeSize: 32,
} as const;

/** The seed's method on 16 x 16 pixels, with changes. */
export function tinySeed(changes: Readonly<Record<string, unknown>> = {}): Recipe {
  const hidden = { discriminator: { kind: 'concatenate', hidden: [32, 32] } };
  const tiny = {
    name: 'tiny-seed',
    input: { side: 16 },
    network: TINY_NETWORK,
    global: hidden,
    local: hidden,
    optimiser: { batchSize: 32, epochs: 2 },
  };
  return checkedRecipe(changed(changed(RECIPES.seed, tiny), changes), 'tiny-seed');
}

/**
 * The recipe of views on 16 x 16 pixels, with changes. Textures are told by their direction, so nothing is mirrored.
 */
export function tinyViews(changes: Readonly<Record<string, unknown>> = {}): Recipe {
  const small = { discriminator: { kind: 'dot', hidden: 64, size: 32, temperature: 0.2 } };
  const tiny = {
    name: 'tiny-views',
    input: { side: 16 },
    network: TINY_NETWORK,
    global: small,
    local: small,
    augmentation: { crop: { areaMin: 0.5 }, flip: 0 },
    optimiser: { batchSize: 64, epochs: 2, learningRate: 2e-3 },
  };
  return checkedRecipe(changed(changed(RECIPES.views, tiny), changes), 'tiny-views');
}
