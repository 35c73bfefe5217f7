/** One adapted backbone from recipe to measured encoder: minutes on a CPU, no gradients, nothing to resume. */
import { type DataSource, openPackedSource, type Progress } from '../../datasets/data-sources.js';
import { packedImages } from '../../datasets/packed-dataset.js';
import { addToModelCard } from '../../encoder/saved-encoder.js';
import type { EvaluationReport } from '../../evaluation/evaluation-report.js';
import { type EvaluationScope, measureSavedEncoder, reportOn } from '../../evaluation/measured-encoder.js';
import { compareReports, comparisonMarkdown } from '../../evaluation/reports/compare.js';
import { findInPackage } from '../../package-files.js';
import { fitAdapt } from '../adapt/adapt.js';
import { saveAdapted, verdictOf, viewSearchMarkdown } from '../adapt/adapt-export.js';
import type { AdaptRecipe } from '../adapt/adapt-options.js';
import { type Backbone, namedTaps, readBackbone } from '../adapt/backbone.js';
import { defaultTaps, type PooledTap, pooled } from '../adapt/choose-taps.js';

/** What to fit and measure, and where to put it. */
export type AdaptRun = {
  readonly recipe: AdaptRecipe;
  /** Instead of the recipe's. */
  readonly seed?: number;
  /** Folder of the encoder to learn on top of. */
  readonly backbone: string;
  /** Values of its program; undefined: chosen by shape. */
  readonly taps: readonly string[] | undefined;
  /** Folder of an encoder to join. */
  readonly also: string | undefined;
  readonly pictures: Parameters<typeof openPackedSource>[0];
  /** Folder of the saved encoder. */
  readonly out: string;
  readonly name: string;
  readonly licence: string;
  readonly command: string;
  /** How the encoders are evaluated; undefined leaves that out. */
  readonly evaluation: EvaluationScope | undefined;
  readonly threads: number | undefined;
  readonly progress: Progress;
};

/**
 * Fits, saves, measures the backbone as it comes and what was learnt, reports. `summary`: tables and a verdict,
 * Markdown.
 */
export async function runAdapt(run: AdaptRun): Promise<{
  readonly source: DataSource;
  readonly report: EvaluationReport | undefined;
  readonly summary: string;
}> {
  const { recipe, seed, out, name, licence, command, evaluation, threads, progress } = run;
  const backbone = await readBackbone(findInPackage(run.backbone));
  const also = run.also === undefined ? undefined : await readBackbone(findInPackage(run.also));
  const taps = await tapsOf(backbone, run.taps);
  const settings = { ...recipe.options, ...(seed !== undefined && { seed }) };
  const { preprocessing } = backbone.encoder.manifest;
  const { source, dataset } = await openPackedSource(run.pictures, { preprocessing, progress });
  try {
    const startedAt = performance.now();
    const images = packedImages(dataset);
    const fit = await fitAdapt({
      ...{ images, count: dataset.count, backbone, taps, also, settings, threads },
      onProgress: ({ step, done, of }) => progress.stage(step, done, of),
    });
    progress.note(`fitted to ${fit.images} images in ${Math.round((performance.now() - startedAt) / 1000)} s`);
    await saveAdapted({ fit, out, name, data: source.description, licence, command });
    const summary = [viewSearchMarkdown(fit), verdictOf(fit)];
    if (evaluation === undefined) return { source, report: undefined, summary: summary.join('\n') };
    const measure = { ...evaluation, source, seed: settings.seed, threads, device: 'cpu', progress } as const;
    const report = await reportOn({ ...measure, model: out });
    const others = [];
    for (const { encoder } of also === undefined ? [backbone] : [backbone, also])
      others.push(await measureSavedEncoder({ ...measure, model: encoder.folder }));
    const table = comparisonMarkdown(compareReports([...others, report]));
    await addToModelCard(out, `## Beside what it was made from\n\n${table}`);
    return { source, report, summary: [table, ...summary].join('\n') };
  } finally {
    dataset.close();
  }
}

/** The taps of these names, or those chosen by shape. */
async function tapsOf(backbone: Backbone, names: readonly string[] | undefined): Promise<readonly PooledTap[]> {
  return names === undefined ? defaultTaps(backbone) : (await namedTaps(backbone, names)).map(pooled);
}
