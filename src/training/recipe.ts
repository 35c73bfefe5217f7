/** A recipe: all settings that, with the images, determine a training. Plain values, validated once. */
import Type, { type Static } from 'typebox';
import { Check, Errors } from 'typebox/value';
import { SearchError } from '../errors.js';
import type { Preprocessing } from '../images/preprocessing.js';
import { isReversible } from '../infomax/decoder.js';
import { ESTIMATORS, type EstimatorName } from '../infomax/estimators.js';
import { mapShape } from '../infomax/network.js';
import type { ObjectiveSpec } from '../infomax/objective.js';

const closed = { additionalProperties: false } as const;
const Whole = (minimum: number, maximum: number) => Type.Integer({ minimum, maximum });
const Between = (minimum: number, maximum: number) => Type.Number({ minimum, maximum });
const oneOf = <T extends string>(...names: readonly T[]) => Type.Unsafe<T>(Type.Enum([...names]));
const Probability = Between(0, 1);

const Pair = Type.Object(
  {
    weight: Between(0, 1e6),
    image: oneOf('code', 'pooled', 'map'),
    negatives: Type.Union([
      Type.Object({ draw: Type.Literal('all') }, closed),
      Type.Object({ draw: oneOf('shuffle', 'derangement'), count: Whole(1, 4096) }, closed),
    ]),
    discriminator: Type.Union([
      Type.Object(
        { kind: Type.Literal('concatenate'), hidden: Type.Array(Whole(1, 8192), { minItems: 1, maxItems: 8 }) },
        closed,
      ),
      Type.Object(
        {
          kind: Type.Literal('dot'),
          hidden: Whole(1, 8192),
          size: Whole(1, 8192),
          temperature: Type.Optional(Between(0.01, 10)),
        },
        closed,
      ),
    ]),
    // The names are the keys of the table of estimators.
    estimator: oneOf(...(Object.keys(ESTIMATORS) as EstimatorName[])),
  },
  closed,
);

const AugmentationSchema = Type.Object(
  {
    crop: Type.Object({ areaMin: Between(0.01, 1), areaMax: Between(0.01, 1), aspectMax: Between(1, 4) }, closed),
    flip: Probability,
    jitter: Type.Object(
      {
        probability: Probability,
        brightness: Probability,
        contrast: Probability,
        saturation: Probability,
        hue: Between(0, 0.5),
      },
      closed,
    ),
    grey: Probability,
  },
  closed,
);

const RecipeSchema = Type.Object(
  {
    name: Type.String({ pattern: '^[a-z0-9][a-z0-9._-]{0,60}$' }),
    seed: Whole(0, 2 ** 32 - 1),
    input: Type.Object(
      { side: Whole(4, 1024), fit: oneOf('cover', 'contain', 'stretch'), mean: Probability, scale: Between(0.1, 100) },
      closed,
    ),
    network: Type.Object(
      {
        stages: Type.Array(Type.Object({ channels: Whole(1, 4096), kernel: Whole(1, 15), pool: Whole(1, 8) }, closed), {
          minItems: 1,
          maxItems: 40,
        }),
        mapStages: Whole(1, 40),
        codeSize: Whole(1, 8192),
        leak: Probability,
      },
      closed,
    ),
    global: Pair,
    local: Pair,
    priorWeight: Between(0, 1e6),
    prior: Type.Optional(
      Type.Object(
        {
          kind: Type.Literal('adversarial'),
          distribution: oneOf('normal', 'uniform'),
          hidden: Type.Array(Whole(1, 8192), { minItems: 1, maxItems: 8 }),
        },
        closed,
      ),
    ),
    reconstruction: Type.Optional(Type.Object({ weight: Between(0, 1e6), code: oneOf('mean', 'sample') }, closed)),
    views: Whole(1, 64),
    augmentation: Type.Union([AugmentationSchema, Type.Null()]),
    optimiser: Type.Object(
      {
        learningRate: Between(0, 10),
        weightDecay: Between(0, 10),
        schedule: Type.Union([
          Type.Object({ kind: Type.Literal('constant') }, closed),
          Type.Object({ kind: Type.Literal('warm-up-cosine'), warmUp: Between(0, 0.9), end: Probability }, closed),
        ]),
        batchSize: Whole(2, 16_384),
        epochs: Whole(0, 100_000),
      },
      closed,
    ),
    embedding: oneOf('mean', 'pooled', 'map'),
  },
  closed,
);

type Immutable<T> = T extends object ? { readonly [Key in keyof T]: Immutable<T[Key]> } : T;

/**
 * A recipe. input: side in pixels; a value becomes (pixel / 255 - mean) * scale. views: versions of each image in a
 * batch, all augmented. embedding: the layer that the saved encoder outputs, L2-normalised: the mean of the code (the
 * article's), the maximum over the last stage, or the average of the feature map. prior: KL divergence by default.
 * reconstruction: only for the baselines with a decoder. The rest as in infomax/objective.ts.
 */
export type Recipe = Immutable<Static<typeof RecipeSchema>>;

/**
 * Random changes of an image; see augmentation.ts. Areas are shares of the image; aspectMax: longer side of the crop to
 * the shorter.
 */
export type Augmentation = Immutable<Static<typeof AugmentationSchema>>;

export type EmbeddingLayer = Recipe['embedding'];

/** Validates a recipe. INVALID_SETTINGS names `source` and the key of each fault. */
export function checkedRecipe(value: unknown, source: string): Recipe {
  const faults = Check(RecipeSchema, value) ? faultsOf(value) : shapeFaults(value);
  if (faults.length > 0) throw new SearchError('INVALID_SETTINGS', `Recipe ${source}: ${faults.join('; ')}.`);
  return value as Recipe; // checked above
}

export function objectiveOf(recipe: Recipe): ObjectiveSpec {
  const { input, network, global, local, priorWeight, views, prior, reconstruction } = recipe;
  return {
    network: { image: { height: input.side, width: input.side, channels: 3 }, ...network },
    global,
    local,
    priorWeight,
    views,
    ...(prior !== undefined && { prior }),
    ...(reconstruction !== undefined && { reconstruction }),
  };
}

/** The preprocessing of a recipe, for training and for the saved encoder. */
export function preprocessingOf({ input }: Pick<Recipe, 'input'>): Preprocessing {
  const { side, fit, mean, scale } = input;
  return { width: side, height: side, fit, mean: [mean, mean, mean], scale: [scale, scale, scale], layout: 'NHWC' };
}

/** Faults that the schema does not cover. */
function faultsOf(recipe: Recipe): string[] {
  const { network, views, augmentation, optimiser, global, local } = recipe;
  const faults: string[] = [];
  if (network.mapStages > network.stages.length)
    faults.push(`network.mapStages is ${network.mapStages}, but there are ${network.stages.length} stages`);
  const all = { ...objectiveOf(recipe).network, mapStages: network.stages.length };
  if (mapShape(all).height < 1)
    faults.push(`network.stages pool ${recipe.input.side} pixels to nothing; pool less or raise input.side`);
  if (views > 1 && augmentation === null)
    faults.push('views is above 1 without augmentation: all views would be the same pixels');
  if (augmentation !== null && augmentation.crop.areaMin > augmentation.crop.areaMax)
    faults.push('augmentation.crop.areaMin is above areaMax');
  if (global.weight === 0 && local.weight === 0 && !(recipe.reconstruction && recipe.reconstruction.weight > 0))
    faults.push('global.weight and local.weight are both 0: there is nothing to learn from');
  if (recipe.reconstruction !== undefined && !isReversible(objectiveOf(recipe).network))
    faults.push(
      `reconstruction: input.side ${recipe.input.side} is no multiple of what network.stages pool, so no decoder leads back to it`,
    );
  for (const [name, { estimator, discriminator, weight }] of Object.entries({ global, local })) {
    const isUnbounded = estimator === 'decoupled-info-nce';
    if (weight > 0 && isUnbounded && (discriminator.kind !== 'dot' || discriminator.temperature === undefined))
      faults.push(
        `${name}.estimator decoupled-info-nce has no upper bound: give ${name}.discriminator kind dot and a temperature`,
      );
  }
  if (optimiser.batchSize < 2) faults.push('optimiser.batchSize must be at least 2');
  return faults;
}

function shapeFaults(value: unknown): string[] {
  const errors = Errors(RecipeSchema, value).filter(({ keyword }) => keyword !== 'boolean' && keyword !== 'anyOf');
  const faults = errors.map((error) => {
    const key = error.instancePath.replace(/^\//, '').replaceAll('/', '.') || 'the recipe';
    const extra = error.keyword === 'additionalProperties' ? ` (${error.params.additionalProperties.join(', ')})` : '';
    const missing = error.keyword === 'required' ? ` (${error.params.requiredProperties.join(', ')})` : '';
    const allowed = error.keyword === 'enum' ? ` (${error.params.allowedValues.join(', ')})` : '';
    return `${key} ${error.message}${extra}${missing}${allowed}`;
  });
  return [...new Set(faults)].slice(0, 8);
}

/**
 * Course of the learning rate. constant: the article's. warm-up-cosine: linear from 0 over the first `warmUp` (a share
 * of all steps), then half a cosine down to `end` (a share of the rate).
 */
export type Schedule = Recipe['optimiser']['schedule'];

/** The learning rate of step `step` (0 is the first) of `steps`. */
export function learningRateAt(options: {
  readonly schedule: Schedule;
  readonly learningRate: number;
  readonly step: number;
  readonly steps: number;
}): number {
  const { schedule, learningRate, step, steps } = options;
  if (schedule.kind === 'constant') return learningRate;
  const warmUpSteps = Math.round(schedule.warmUp * steps);
  if (step < warmUpSteps) return (learningRate * (step + 1)) / warmUpSteps;
  const progress = (step - warmUpSteps) / Math.max(1, steps - warmUpSteps);
  const half = (1 + Math.cos(Math.PI * progress)) / 2;
  return learningRate * (schedule.end + (1 - schedule.end) * half);
}
