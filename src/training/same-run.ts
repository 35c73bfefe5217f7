import type { PackedDataset } from '../datasets/packed-dataset.js';
import { SearchError } from '../errors.js';
import { stepsPerEpoch } from './batches.js';
import type { Checkpoint } from './checkpoint.js';
import type { Recipe } from './recipe.js';

/**
 * INVALID_SETTINGS where there are fewer images than a batch, or where the checkpoint was made by another recipe or on
 * other pixels. The number of epochs may change, unless the schedule depends on it.
 */
export function requireSameRun(options: {
  readonly recipe: Recipe;
  readonly dataset: PackedDataset;
  readonly former: Checkpoint | undefined;
}): void {
  const { recipe, dataset, former } = options;
  if (stepsPerEpoch(recipe, dataset.count) < 1) {
    const { batchSize } = recipe.optimiser;
    const message = `${dataset.name} has ${dataset.count} images, but a batch takes ${batchSize}. Give more images, or a recipe with a smaller optimiser.batchSize.`;
    throw new SearchError('INVALID_SETTINGS', message);
  }
  if (former === undefined) return;
  const remedy = 'Train into another folder, or start afresh with --resume never';
  if (former.data !== dataset.fingerprint) {
    throw new SearchError(
      'INVALID_SETTINGS',
      `The run to go on with learnt from other images than those of ${dataset.name} now. ${remedy}.`,
    );
  }
  const keys = differingKeys(former.recipe, recipe);
  const epochsMayDiffer = recipe.optimiser.schedule.kind === 'constant';
  const faults = keys.filter((key) => !(epochsMayDiffer && key === 'optimiser.epochs'));
  if (faults.length > 0) {
    const why = faults.includes('optimiser.epochs') ? ' (this schedule goes by the number of epochs)' : '';
    throw new SearchError(
      'INVALID_SETTINGS',
      `The run to go on with has another recipe: ${faults.join(', ')}${why}. ${remedy}.`,
    );
  }
}

/** Keys of the values that differ. */
function differingKeys(a: unknown, b: unknown, path = ''): string[] {
  if (!isBranch(a) || !isBranch(b)) return a === b ? [] : [path];
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
  return [...keys].flatMap((key) => differingKeys(a[key], b[key], path === '' ? key : `${path}.${key}`));
}

function isBranch(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
