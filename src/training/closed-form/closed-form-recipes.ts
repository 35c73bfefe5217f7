/** The closed-form recipes that come with Likeness. */
import { SearchError } from '../../errors.js';
import type { ClosedFormOptions } from './closed-form-options.js';

/** Options of a fit, and the folder of the encoder whose patches and codes are taken over, where there is one. */
export type ClosedFormRecipe = { readonly options: Partial<ClosedFormOptions>; readonly stem?: string };

/**
 * Recipes by name. `infomax`: more work for the best neighbours on small pictures like CIFAR-10's. `photos`: for
 * photographs, few or many, on the patches and codes fitted to CIFAR-10. How they were chosen: docs/training.md and the
 * cards of their models.
 */
export const CLOSED_FORM_RECIPES: Readonly<Record<string, ClosedFormRecipe>> = {
  'closed-form': { options: {} },
  infomax: { options: { stride: 1, pool: 3, views: 4, dimensions: 384, correlationPower: 1 } },
  photos: {
    options: { side: 64, views: 8, oversampling: 2, frameProbability: 0.25, regularisation: 0.3 },
    stem: 'models/closed-form-cifar10',
  },
};

/**
 * `base` with the changes of a recipe file. INVALID_SETTINGS where `stem` is not a text; fitClosedForm checks
 * the options.
 */
export function changedClosedForm(
  base: ClosedFormRecipe,
  changes: Readonly<Record<string, unknown>>,
  file: string,
): ClosedFormRecipe {
  const { stem = base.stem, ...options } = changes;
  if (stem !== undefined && typeof stem !== 'string')
    throw new SearchError(
      'INVALID_SETTINGS',
      `Recipe ${file}: stem is ${JSON.stringify(stem)}; give the folder of a closed-form encoder.`,
    );
  return { options: { ...base.options, ...currentNames(options) }, ...(stem !== undefined && { stem }) };
}

/** Names that recipes and manifests gave to options before version 0.2. */
const FORMER_NAMES: Readonly<Record<string, keyof ClosedFormOptions>> = {
  hop: 'stride',
  emphasis: 'correlationPower',
  detail: 'oversampling',
  framed: 'frameProbability',
};

/** The same values under the names of this version. */
export function currentNames<T>(options: Readonly<Record<string, T>>): Record<string, T> {
  return Object.fromEntries(Object.entries(options).map(([name, value]) => [FORMER_NAMES[name] ?? name, value]));
}
