/** Options of the recipe `adapt`: types, defaults, checks. */
import { SearchError } from '../../errors.js';

/** All settings that, with the pictures and the backbone, determine an adapted encoder. */
export type AdaptOptions = {
  /** Dimensions of the embedding at most: a fifth of the pictures, but 32, where that is less. */
  readonly dimensions: number;
  /** Random views of each picture; 0: 4 of 1,000 pictures or more, 8 of fewer. */
  readonly views: number;
  /**
   * Ridges to choose from, in units of the mean variance: the largest that finds as many views of held-out pictures as
   * the best, but for one standard error.
   */
  readonly ridges: readonly number[];
  /** Dimensions are weighted by the correlation of two views to this power. */
  readonly correlationPower: number;
  /** Probability that a view lies in a frame of one colour; 0..1. */
  readonly frameProbability: number;
  readonly seed: number;
};

/** The recipe `adapt`: its options. */
export type AdaptRecipe = { readonly options: AdaptOptions };

/** Chosen on photographs with one small network, each searched among the others; see docs/training.md. */
export const ADAPT_DEFAULTS: AdaptOptions = {
  dimensions: 256,
  views: 0,
  ridges: [0.003, 0.01, 0.03],
  correlationPower: 3,
  frameProbability: 0.25,
  seed: 2018,
};

/** The defaults with the changes of a recipe file. INVALID_SETTINGS lists every fault. */
export function adaptOptions(changes: Readonly<Record<string, unknown>>, file: string): AdaptOptions {
  const options = { ...ADAPT_DEFAULTS, ...changes } as AdaptOptions; // checked below
  const faults = Object.keys(changes)
    .filter((key) => !Object.hasOwn(ADAPT_DEFAULTS, key))
    .map((key) => `${key} is no option; give ${Object.keys(ADAPT_DEFAULTS).join(', ')}.`);
  const expect = (name: keyof AdaptOptions, holds: boolean, what: string): void => {
    if (!holds) faults.push(`${name} is ${JSON.stringify(options[name])}; give ${what}.`);
  };
  const isWhole = (value: number, least: number): boolean => Number.isSafeInteger(value) && value >= least;
  expect('dimensions', isWhole(options.dimensions, 1), 'a whole number above 0');
  expect('views', isWhole(options.views, 0), 'a whole number, 0 for a number that suits the pictures');
  expect(
    'ridges',
    Array.isArray(options.ridges) && options.ridges.length > 0 && options.ridges.every((ridge) => ridge > 0),
    'a list of numbers above 0',
  );
  expect('correlationPower', options.correlationPower >= 0 && options.correlationPower <= 10, 'a number from 0 to 10');
  expect('frameProbability', options.frameProbability >= 0 && options.frameProbability <= 1, 'a share from 0 to 1');
  expect('seed', Number.isSafeInteger(options.seed), 'a whole number');
  if (faults.length > 0) throw new SearchError('INVALID_SETTINGS', `Recipe ${file}: ${faults.join(' ')}`);
  return options;
}
