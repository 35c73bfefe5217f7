/** `likeness train --recipe closed-form`: minutes of CPU, no gradients, nothing to resume. */
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { fitClosedForm } from '../training/closed-form.js';
import { saveClosedForm } from '../training/closed-form-export.js';
import { type ClosedFormOptions, closedFormOptions, closedFormPreprocessing } from '../training/closed-form-options.js';
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

const RECIPE = 'closed-form';

/** The options of `--recipe closed-form` or of a JSON file `{"base": "closed-form", ...options}`; undefined for any other recipe. */
export async function closedFormRecipe(recipe: string): Promise<Partial<ClosedFormOptions> | undefined> {
  if (recipe === RECIPE) return {};
  if (!recipe.endsWith('.json')) return undefined;
  const given: unknown = JSON.parse(await readFile(recipe, 'utf8'));
  if (typeof given !== 'object' || given === null || !('base' in given) || given.base !== RECIPE) return undefined;
  const { base: _, ...options } = given;
  return options;
}

/** Fits, saves, measures and reports. Returns the exit code: 0 done, 2 done but some files could not be read. */
export async function runTrainClosedForm(flags: ClosedFormFlags, recipe: Partial<ClosedFormOptions>): Promise<number> {
  const { data, out, seed } = flags;
  const settings = closedFormOptions({ ...recipe, ...(seed !== undefined && { seed }) });
  const preprocessing = closedFormPreprocessing(settings);
  const display = openTrainingDisplay();
  const decoding = openDecoding(preprocessing);
  try {
    const { source, dataset } = await openPackedSource(flags, { preprocessing, decode: decoding.decode, display });
    const startedAt = performance.now();
    const fit = await fitClosedForm({
      images: packedImages(dataset),
      settings,
      onProgress: ({ step, images: done, of }) => display.stage(step, done, of ?? done),
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
          command: `likeness train --data ${basename(data)} --out ${basename(out)} --recipe ${basename(flags.recipe)}`,
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
  }
}
