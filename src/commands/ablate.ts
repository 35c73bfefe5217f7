/** `likeness ablate`: the same budget for every switch of the method, one table at the end. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { scopeOf } from '../evaluation/measured-encoder.js';
import { readGradientRecipe } from '../training/read-recipe.js';
import { runAblation } from '../training/runs/ablation-run.js';
import { openTerminalProgress } from './terminal-progress.js';
import { checkpointsOf, engineOf, INTERRUPTED, interruptible, type TrainFlags, withFlags } from './train.js';

/** Flags of `likeness ablate`: those of `train`, and which rows. beside: reports of other encoders for the table. */
export type AblateFlags = Omit<TrainFlags, 'resume' | 'evaluation'> & {
  readonly rows?: string;
  readonly beside?: readonly string[];
};

/**
 * Returns the exit code: 0 done, 2 some rows failed to train (the table says which), 130 interrupted (the same flags go
 * on from there).
 */
export async function runAblate(flags: AblateFlags): Promise<number> {
  const recipe = withFlags(await readGradientRecipe(flags.recipe), flags);
  const progress = openTerminalProgress();
  const interruption = interruptible(progress);
  try {
    const { done, isInterrupted } = await runAblation({
      recipe,
      rows: flags.rows,
      beside: flags.beside ?? [],
      pictures: flags,
      out: flags.out,
      evaluation: scopeOf(flags),
      engine: engineOf(flags),
      threads: flags.threads,
      checkpointEvery: checkpointsOf(flags),
      licence: flags.licence,
      epochSample: flags.epochSample,
      signal: interruption.signal,
      progress,
    });
    if (isInterrupted) return INTERRUPTED;
    console.log(await readFile(join(flags.out, 'ablation.md'), 'utf8'));
    return done.some((row) => row.report === undefined) ? 2 : 0;
  } finally {
    interruption.close();
    progress.close();
  }
}
