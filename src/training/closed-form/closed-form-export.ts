/** Writes a closed-form encoder as a folder for `serve`: program, manifest, model card. */
import { EMBEDDING_OUTPUT, type SavedEncoder, writeSavedEncoder } from '../../encoder/saved-encoder.js';
import { type ClosedFormFit, type ClosedFormProgress, fitClosedForm, type RepeatableImages } from './closed-form.js';
import { closedFormProgram, FEATURES_OUTPUT } from './closed-form-graph.js';
import { type ClosedFormOptions, closedFormGeometry, closedFormPreprocessing } from './closed-form-options.js';
import type { ClosedFormStem } from './closed-form-stem.js';

/** Facts for the manifest and the model card. */
export type ClosedFormDataFacts = {
  readonly data: string;
  readonly licence: string;
  readonly command: string;
};

/** {@link fitClosedForm}, then {@link saveClosedForm}. */
export async function fitClosedFormEncoder(options: {
  readonly images: RepeatableImages;
  readonly settings?: Partial<ClosedFormOptions>;
  readonly stem?: ClosedFormStem;
  readonly out: string;
  readonly name: string;
  readonly dataFacts: ClosedFormDataFacts;
  readonly replace?: boolean;
  readonly onProgress?: (progress: ClosedFormProgress) => void;
}): Promise<SavedEncoder> {
  return saveClosedForm({ ...options, fit: await fitClosedForm(options) });
}

/**
 * Saves a fit in the folder `out` with its manifest and model card. An existing folder is INVALID_SETTINGS unless
 * `replace`.
 */
export async function saveClosedForm(options: {
  readonly fit: ClosedFormFit;
  readonly out: string;
  readonly name: string;
  readonly dataFacts: ClosedFormDataFacts;
  readonly replace?: boolean;
}): Promise<SavedEncoder> {
  const { fit, out, name, dataFacts, replace = false } = options;
  const { settings, stem } = fit;
  const { mapSide } = closedFormGeometry(settings);
  return writeSavedEncoder({
    folder: out,
    onnx: closedFormProgram({ ...fit, options: settings }),
    card: closedFormCard({ name, fit, dataFacts }),
    manifest: {
      name,
      dimensions: settings.dimensions,
      preprocessing: closedFormPreprocessing(settings),
      outputs: {
        embedding: EMBEDDING_OUTPUT,
        features: { name: FEATURES_OUTPUT, channels: settings.eigenvectors, grid: { width: mapSide, height: mapSide } },
      },
      training: {
        method: 'closed-form InfoMax',
        data: dataFacts.data,
        images: fit.images,
        ...settings,
        ...(stem !== undefined && { stem: stem.name, stemId: stem.id, stemData: stem.data }),
        command: dataFacts.command,
      },
      dataLicence: stem === undefined ? dataFacts.licence : `${dataFacts.licence} Stem: ${stem.licence}`,
      created: new Date().toISOString(),
    },
    replace,
  });
}

function closedFormCard(facts: {
  readonly name: string;
  readonly fit: ClosedFormFit;
  readonly dataFacts: ClosedFormDataFacts;
}): string {
  const { name, fit, dataFacts } = facts;
  const { settings, images, stem, cells } = fit;
  const {
    side,
    patch,
    stride,
    atoms,
    threshold,
    eigenvectors,
    grid,
    dimensions,
    regularisation,
    correlationPower,
    views,
    frameProbability,
    seed,
  } = settings;
  const kinds = frameProbability > 0 ? 'crop, light, colour, frame' : 'crop, light, colour';
  return `# ${name}

Closed-form InfoMax for ${side}x${side} RGB pixels (\`fit: stretch\`): ${dimensions} dimensions, L2-normalised, fitted to unlabelled images without gradients.
Patches of ${patch}x${patch} pixels, every ${stride}, are whitened and coded by ${atoms} random patches (cosine above ${threshold}); an eigenproblem keeps the
${eigenvectors} directions of the codes that say most about the whole picture; ${grid}x${grid} cells of them are projected, by a second eigenproblem, to what a
picture shares with ${views === 1 ? 'a random view' : `${views} random views`} of itself (${kinds}). A picture and its mirror image have the same embedding. It knows shapes and textures
of the kind it was fitted to; it does not know objects as a trained deep network does.

- **Data**: ${dataFacts.data}, ${images} images, labels unused. Licence of the data: ${dataFacts.licence}
- **Made by**: \`${dataFacts.command}\`
- **Settings**: seed ${seed}, regularisation ${regularisation} x the mean variance, correlationPower ${correlationPower}; the others are in encoder.json.
${stem === undefined ? codesLine(fit) : stemLine(stem)}
- **Views**: correlation of a picture with its views ${figures(cells.correlations)} (first to last dimension).
`;
}

function codesLine({ codes, settings }: ClosedFormFit): string {
  const eigenvalues = codes.eigenvalues === undefined ? '' : `eigenvalues ${figures(codes.eigenvalues)}; `;
  return `- **Codes**: ${eigenvalues}${codes.even} of ${settings.eigenvectors} directions are even under mirroring.`;
}

function stemLine({ name, id, data, licence }: ClosedFormStem): string {
  return `- **Stem**: patches and codes are those of \`${name}\` (id ${id.slice(0, 12)}…), fitted to ${data}. Licence of that data: ${licence}`;
}

function figures(values: Float64Array): string {
  const sorted = [...values].sort((a, b) => b - a);
  return `${sorted[0]!.toPrecision(3)} ... ${sorted.at(-1)!.toPrecision(3)}`;
}
