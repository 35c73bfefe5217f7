/**
 * The stem of a closed form: patches and codes of a saved encoder. They need many thousands of pictures to fit and are
 * much the same for all pictures; the last projection can be fitted to a few hundred.
 */
import type { OnnxGraph } from '../../compile/onnx-model.js';
import { decodeModel } from '../../compile/onnx-reader.js';
import { readSavedEncoder } from '../../encoder/saved-encoder.js';
import { SearchError } from '../../errors.js';
import type { CodeProjection } from './closed-form-graph.js';
import type { ClosedFormOptions } from './closed-form-options.js';
import { currentNames } from './closed-form-recipes.js';
import type { PatchDictionary } from './patch-dictionary.js';

/** Options of patches and codes: a fit on a stem takes them from the stem. */
const FIXED = [
  'patch',
  'atoms',
  'threshold',
  'eigenvectors',
  'patchRegularisation',
  'ridge',
  'momentImages',
  'codesPerImage',
] as const satisfies readonly (keyof ClosedFormOptions)[];

/** Sampling options: a fit on a stem may change them, since the codes of a patch stay the same. */
const SAMPLING = ['stride', 'pool'] as const satisfies readonly (keyof ClosedFormOptions)[];

/** Patches and codes of a saved encoder, with their options and origin. */
export type ClosedFormStem = {
  readonly name: string;
  /** Id of the saved encoder. */
  readonly id: string;
  readonly data: string;
  readonly licence: string;
  readonly settings: Pick<ClosedFormOptions, (typeof FIXED)[number] | (typeof SAMPLING)[number]>;
  readonly dictionary: PatchDictionary;
  readonly codes: CodeProjection;
};

/**
 * Reads the stem of the saved encoder in `folder`. INVALID_ENCODER as readSavedEncoder; INVALID_SETTINGS where no
 * closed form made it.
 */
export async function readClosedFormStem(folder: string): Promise<ClosedFormStem> {
  const { manifest, onnx } = await readSavedEncoder(folder);
  const { name, id, dataLicence } = manifest;
  const training = currentNames(manifest.training);
  const refuse = (what: string): never => {
    const remedy = 'Name a folder that `likeness train --recipe closed-form` made';
    throw new SearchError('INVALID_SETTINGS', `${folder} is no stem for a closed form: ${what}. ${remedy}.`);
  };
  const settings = Object.fromEntries(
    [...FIXED, ...SAMPLING].map((key) => {
      const value = training[key];
      return [key, typeof value === 'number' ? value : refuse(`its manifest has no training.${key}`)];
    }),
  ) as ClosedFormStem['settings']; // a number for each key, above
  const { graph } = decodeModel(onnx);
  const floats = (tensor: string, length: number): Float32Array => {
    const data = graph.initializers.find((initializer) => initializer.name === tensor)?.data;
    return data instanceof Float32Array && data.length === length
      ? data
      : refuse(`its program has no ${tensor} of ${length} values`);
  };
  const { patch, atoms, eigenvectors } = settings;
  const values = 3 * patch * patch;
  return {
    name,
    id,
    data: String(training.data ?? name),
    licence: dataLicence,
    settings,
    dictionary: { patch, whitening: floats('whitening', values * values), atoms: floats('atoms', atoms * values) },
    codes: {
      weights: floats('code_projection', eigenvectors * atoms),
      offsets: floats('code_offsets', eigenvectors),
      even: evenCount(graph, eigenvectors),
    },
  };
}

/** Options for a fit on a stem: those of patches and codes are the stem's; stride and pool are too unless given. */
export function optionsOnStem(stem: ClosedFormStem, given: Partial<ClosedFormOptions>): Partial<ClosedFormOptions> {
  const { stride, pool, ...fixed } = stem.settings;
  return { stride, pool, ...given, ...fixed };
}

/** Number of even local dimensions, as the program splits them; it does not where all have one parity. */
function evenCount(graph: OnnxGraph, eigenvectors: number): number {
  const parities = graph.initializers.find(({ name }) => name === 'parities');
  if (parities !== undefined) return Number(parities.data[0]);
  return graph.initializers.some(({ name }) => name === 'even_places') ? eigenvectors : 0;
}
