/**
 * The first half of a saved closed-form encoder, patches and codes, to be fitted on: what a small patch says is much the same in all pictures
 * and needs many thousands of them to be learnt; what a whole picture shares with its views can be learnt from a few hundred.
 */
import type { OnnxGraph } from '../compile/onnx-model.js';
import { decodeModel } from '../compile/onnx-reader.js';
import { readSavedEncoder } from '../encoder/saved-encoder.js';
import { SearchError } from '../errors.js';
import type { CodeProjection } from './closed-form-graph.js';
import type { ClosedFormOptions } from './closed-form-options.js';
import type { PatchDictionary } from './patch-dictionary.js';

/** Settings that belong to patches and codes; a fit on a stem takes them from it. */
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

/** Settings of how closely a picture is looked at; a fit on a stem may choose others: the codes of a patch stay what they are. */
const SAMPLING = ['hop', 'pool'] as const satisfies readonly (keyof ClosedFormOptions)[];

/** Patches and codes of a saved encoder, the settings that made them, and what people should know of where they come from. */
export type ClosedFormStem = {
  readonly name: string;
  /** The saved encoder's id. */
  readonly id: string;
  readonly data: string;
  readonly licence: string;
  readonly settings: Pick<ClosedFormOptions, (typeof FIXED)[number] | (typeof SAMPLING)[number]>;
  readonly dictionary: PatchDictionary;
  readonly codes: CodeProjection;
};

/** Reads the stem of the saved encoder in `folder`. INVALID_ENCODER as readSavedEncoder; INVALID_SETTINGS where no closed form made it. */
export async function readClosedFormStem(folder: string): Promise<ClosedFormStem> {
  const { manifest, onnx } = await readSavedEncoder(folder);
  const { training, name, id, dataLicence } = manifest;
  const refuse = (what: string): never => {
    const remedy = 'Name a folder that `likeness train --recipe closed-form` made';
    throw new SearchError('INVALID_SETTINGS', `${folder} is no stem for a closed form: ${what}. ${remedy}.`);
  };
  const settings = Object.fromEntries(
    [...FIXED, ...SAMPLING].map((key) => {
      const value = training[key];
      return [key, typeof value === 'number' ? value : refuse(`its manifest has no training.${key}`)];
    }),
  ) as ClosedFormStem['settings']; // One number for each key, above.
  const { graph } = decodeModel(onnx);
  const floats = (tensor: string, length: number): Float32Array => {
    const data = graph.initializers.find((initializer) => initializer.name === tensor)?.data;
    return data instanceof Float32Array && data.length === length ? data : refuse(`its program has no ${tensor} of ${length} values`);
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

/** Options for a fit on a stem: what belongs to patches and codes is the stem's, whatever is given; hop and pool are unless given. */
export function optionsOnStem(stem: ClosedFormStem, given: Partial<ClosedFormOptions>): Partial<ClosedFormOptions> {
  const { hop, pool, ...fixed } = stem.settings;
  return { hop, pool, ...given, ...fixed };
}

/** How many of the local dimensions are even, from how the program splits them; it does not where all are of one kind. */
function evenCount(graph: OnnxGraph, eigenvectors: number): number {
  const parities = graph.initializers.find(({ name }) => name === 'parities');
  if (parities !== undefined) return Number(parities.data[0]);
  return graph.initializers.some(({ name }) => name === 'even_places') ? eigenvectors : 0;
}
