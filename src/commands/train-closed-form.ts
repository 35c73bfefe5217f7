/** `likeness train --recipe closed-form`: minutes of CPU, no gradients, nothing to resume. */
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { SearchError } from '../errors.js';
import { fitClosedForm } from '../training/closed-form.js';
import { saveClosedForm } from '../training/closed-form-export.js';
import {
  type ClosedFormOptions,
  closedFormFitPreprocessing,
  closedFormOptions,
  closedFormPreprocessing,
} from '../training/closed-form-options.js';
import { optionsOnStem, readClosedFormStem } from '../training/closed-form-stem.js';
import { packedImages } from '../training/packed-images.js';
import { figuresMarkdown, type MeasureFlags, measureSavedEncoder, openDecoding, REPORT_PAGE, writeReports } from './measured-encoder.js';
import { openPackedSource } from './packed-source.js';
import { openTrainingDisplay } from './training-display.js';

/** What this recipe takes of the flags of `likeness train`. */
export type ClosedFormFlags = {
  readonly data: string;
  readonly out: string;
  readonly recipe: string;
  readonly seed?: number;
  readonly cache: string;
  readonly heldOut: number;
  readonly trainLimit?: number;
  readonly threads?: number;
  readonly licence: string;
  readonly evaluation: boolean;
} & MeasureFlags;

/** What a recipe says: options of the fit, and the folder of the encoder whose patches and codes are taken over, where there is one. */
export type ClosedFormRecipe = { readonly options: Partial<ClosedFormOptions>; readonly stem?: string };

/**
 * Recipes by the names that `--recipe` takes. infomax: more work for the best neighbours on pictures like CIFAR-10's, chosen on a validation cut
 * of its training images, see docs/training.md. photos: for pictures too few or too large to fit patches and codes to, on the stem fitted to
 * CIFAR-10; chosen on the pictures that models/photos was fitted to, see its card.
 */
const RECIPES = {
  'closed-form': { options: {} },
  infomax: { options: { hop: 1, pool: 3, views: 4, dimensions: 384, emphasis: 1 } },
  photos: { options: { side: 64, views: 8, detail: 2, framed: 0.25, regularisation: 0.3 }, stem: 'models/closed-form-cifar10' },
} as const satisfies Readonly<Record<string, ClosedFormRecipe>>;

/**
 * The recipe of one of the names above, or of a JSON file `{"base": "photos", "stem": FOLDER, ...options}`; undefined for any other. INVALID_SETTINGS
 * where `stem` is no text.
 */
export async function closedFormRecipe(recipe: string): Promise<ClosedFormRecipe | undefined> {
  const named = recipeNamed(recipe);
  if (named !== undefined || !recipe.endsWith('.json')) return named;
  const given: unknown = JSON.parse(await readFile(recipe, 'utf8'));
  if (typeof given !== 'object' || given === null || !('base' in given) || typeof given.base !== 'string') return undefined;
  const base = recipeNamed(given.base);
  if (base === undefined) return undefined;
  const { base: _, stem = base.stem, ...options } = given as { readonly base: string; readonly stem?: unknown }; // An object, by the line above.
  if (stem !== undefined && typeof stem !== 'string')
    throw new SearchError(
      'INVALID_SETTINGS',
      `Recipe ${recipe}: stem is ${JSON.stringify(stem)}; give the folder of a closed-form encoder.`,
    );
  return { options: { ...base.options, ...options }, ...(stem !== undefined && { stem }) };
}

function recipeNamed(name: string): ClosedFormRecipe | undefined {
  return Object.hasOwn(RECIPES, name) ? RECIPES[name as keyof typeof RECIPES] : undefined; // By the line's own check.
}

/** Fits, saves, measures and reports. Returns the exit code: 0 done, 2 done but some files could not be read. */
export async function runTrainClosedForm(flags: ClosedFormFlags, recipe: ClosedFormRecipe): Promise<number> {
  const { data, out, seed, heldOut } = flags;
  const stem = recipe.stem === undefined ? undefined : await readClosedFormStem(recipe.stem);
  const given = { ...recipe.options, ...(seed !== undefined && { seed }) };
  const settings = closedFormOptions(stem === undefined ? given : optionsOnStem(stem, given));
  const preprocessing = closedFormPreprocessing(settings);
  const display = openTrainingDisplay();
  const decoding = openDecoding(preprocessing);
  const packing = { preprocessing: closedFormFitPreprocessing(settings), decoding: openDecoding(closedFormFitPreprocessing(settings)) };
  try {
    const { source, dataset } = await openPackedSource(flags, {
      preprocessing,
      decode: decoding.decode,
      packing: { preprocessing: packing.preprocessing, decode: packing.decoding.decode },
      display,
    });
    const startedAt = performance.now();
    const fit = await fitClosedForm({
      images: packedImages(dataset),
      settings,
      ...(stem !== undefined && { stem }),
      onProgress: ({ step, images: done, of }) => display.stage(step, done, of ?? dataset.count),
    });
    const seconds = Math.round((performance.now() - startedAt) / 1000);
    display.note(`fitted to ${fit.images} images of ${settings.side} x ${settings.side} in ${seconds} s`);

    const save = (notes?: string) =>
      saveClosedForm({
        fit,
        out,
        name: basename(out),
        replace: notes !== undefined,
        dataFacts: {
          data: source.description,
          licence: flags.licence,
          command: `likeness train --data ${basename(data)}${heldOut > 0 ? ` --held-out ${heldOut}` : ''} --out ${basename(out)} --recipe ${basename(flags.recipe)}`,
          ...(notes !== undefined && { notes }),
        },
      });
    await save();
    console.log(`${out}: an encoder that \`likeness serve --model ${out}\` serves.`);
    if (flags.evaluation) {
      const { limit, queryLimit, probes, copies, map, threads } = flags;
      const measuring = { limit, queryLimit, probes, copies, map, threads, device: 'cpu' as const, seed: settings.seed };
      const report = await measureSavedEncoder({ ...measuring, model: out, source, decode: decoding.decode, onProgress: display.stage });
      await save(`## Measured\n\n${figuresMarkdown(report)}`);
      await writeReports(out, report);
      console.log(`${out}/${REPORT_PAGE} says how good it is.`);
    }
    dataset.close();
    return dataset.skipped.length > 0 ? 2 : 0;
  } finally {
    display.close();
    await decoding.close();
    await packing.decoding.close();
  }
}
