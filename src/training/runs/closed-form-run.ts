/** One closed-form fit from recipe to measured encoder: minutes on a CPU, no gradients, nothing to resume. */
import { type DataSource, openPackedSource, type Progress } from '../../datasets/data-sources.js';
import { packedImages } from '../../datasets/packed-dataset.js';
import type { EvaluationReport } from '../../evaluation/evaluation-report.js';
import { type EvaluationScope, reportOn } from '../../evaluation/measured-encoder.js';
import { findInPackage } from '../../package-files.js';
import { fitClosedForm } from '../closed-form/closed-form.js';
import { saveClosedForm } from '../closed-form/closed-form-export.js';
import { closedFormFitPreprocessing, closedFormOptions } from '../closed-form/closed-form-options.js';
import type { ClosedFormRecipe } from '../closed-form/closed-form-recipes.js';
import { optionsOnStem, readClosedFormStem } from '../closed-form/closed-form-stem.js';

/** What to fit and measure, and where to put it. */
export type ClosedFormRun = {
  readonly recipe: ClosedFormRecipe;
  /** Instead of the recipe's. */
  readonly seed?: number;
  readonly pictures: Parameters<typeof openPackedSource>[0];
  /** Folder of the saved encoder. */
  readonly out: string;
  readonly name: string;
  readonly licence: string;
  readonly command: string;
  /** How the encoder is evaluated; undefined leaves that out. */
  readonly evaluation: EvaluationScope | undefined;
  readonly threads: number | undefined;
  readonly progress: Progress;
};

/** Fits, saves, evaluates, reports. */
export async function runClosedForm(
  run: ClosedFormRun,
): Promise<{ readonly source: DataSource; readonly report: EvaluationReport | undefined }> {
  const { recipe, seed, out, name, licence, command, evaluation, threads, progress } = run;
  const stem = recipe.stem === undefined ? undefined : await readClosedFormStem(findInPackage(recipe.stem));
  const given = { ...recipe.options, ...(seed !== undefined && { seed }) };
  const settings = closedFormOptions(stem === undefined ? given : optionsOnStem(stem, given));
  const { source, dataset } = await openPackedSource(run.pictures, {
    preprocessing: closedFormFitPreprocessing(settings),
    progress,
  });
  try {
    const startedAt = performance.now();
    const fit = await fitClosedForm({
      images: packedImages(dataset),
      settings,
      ...(stem !== undefined && { stem }),
      onProgress: ({ step, images: done, of }) => progress.stage(step, done, of ?? dataset.count),
    });
    const seconds = Math.round((performance.now() - startedAt) / 1000);
    progress.note(`fitted to ${fit.images} images of ${settings.side} x ${settings.side} in ${seconds} s`);
    await saveClosedForm({ fit, out, name, dataFacts: { data: source.description, licence, command } });
    const report =
      evaluation &&
      (await reportOn({
        ...evaluation,
        model: out,
        source,
        device: 'cpu',
        threads,
        seed: settings.seed,
        progress,
      }));
    return { source, report };
  } finally {
    dataset.close();
  }
}
