/** The rows of an ablation: each changes one option of the method. */

/**
 * A row: its name, its question, and its changes to the recipe (objects are merged key by key, anything else replaces).
 */
export type AblationRow = {
  readonly name: string;
  readonly question: string;
  readonly changes: Readonly<Record<string, unknown>>;
};

const DOT = { kind: 'dot', hidden: 256, size: 256 } as const;
const COSINE = { ...DOT, temperature: 0.2 } as const;
const ALL = { draw: 'all' } as const;
const NO_PAIRS = { global: { weight: 0 }, local: { weight: 0 } } as const;
/** Prior weight of the paper (Hjelm et al. 2019). */
const PAPER_PRIOR_WEIGHT = 0.1;
/**
 * Weight that makes the objective the evidence lower bound of a decoder with standard deviation 0.1: error / (2 *
 * 0.1^2) summed over 3,072 values and divergence summed over 256 dimensions, written with means and divided by the
 * error's factor.
 */
const VAE_PRIOR_WEIGHT = (2 * 0.1 ** 2 * 256) / 3072;
const AUGMENTATION = {
  crop: { areaMin: 0.3, areaMax: 1, aspectMax: 4 / 3 },
  flip: 0.5,
  jitter: { probability: 0.8, brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 },
  grey: 0.2,
} as const;

/** Rows in the order of the docs: terms, pairs, discriminator, estimator, views, reconstruction. */
export const ABLATION_ROWS: readonly AblationRow[] = [
  {
    name: 'random-weights',
    question: 'What the network knows before it learns',
    changes: { optimiser: { learningRate: 0, epochs: 1 } },
  },
  { name: 'both', question: 'The recipe as it is', changes: {} },
  { name: 'global-only', question: 'Without the local term', changes: { local: { weight: 0 } } },
  { name: 'local-only', question: 'Without the global term', changes: { global: { weight: 0 } } },
  { name: 'no-prior', question: 'Without the prior', changes: { priorWeight: 0 } },
  {
    name: 'adversarial-prior',
    question: 'Codes held to the normal distribution by an adversary instead of the KL divergence',
    changes: {
      priorWeight: PAPER_PRIOR_WEIGHT,
      prior: { kind: 'adversarial', distribution: 'normal', hidden: [1000, 200] },
    },
  },
  {
    name: 'adversarial-uniform',
    question: "The paper's prior: an adversary holds the sigmoids of codes to the unit cube",
    changes: {
      priorWeight: PAPER_PRIOR_WEIGHT,
      prior: { kind: 'adversarial', distribution: 'uniform', hidden: [1000, 200] },
    },
  },
  {
    name: 'derangement',
    question: 'No image is its own false pair',
    changes: {
      global: { negatives: { draw: 'derangement', count: 1 } },
      local: { negatives: { draw: 'derangement', count: 1 } },
    },
  },
  {
    name: 'global-pooled',
    question: 'The image, not the code itself, meets the code',
    changes: { global: { image: 'pooled' } },
  },
  { name: 'dot', question: 'Encode and dot product instead of concatenation', changes: both({ discriminator: DOT }) },
  {
    name: 'dot-all',
    question: 'Every other image of the batch is a false pair',
    changes: both({ discriminator: DOT, negatives: ALL }),
  },
  {
    name: 'dot-all-info-nce',
    question: 'InfoNCE instead of Jensen-Shannon',
    changes: both({ discriminator: DOT, negatives: ALL, estimator: 'info-nce' }),
  },
  {
    name: 'dot-all-decoupled',
    question: 'Decoupled InfoNCE of cosines',
    changes: both({ discriminator: COSINE, negatives: ALL, estimator: 'decoupled-info-nce' }),
  },
  {
    name: 'donsker-varadhan',
    question: 'The KL divergence by Donsker and Varadhan',
    changes: both({ estimator: 'donsker-varadhan' }),
  },
  {
    name: 'kullback-leibler',
    question: 'The KL divergence by f-GAN',
    changes: both({ estimator: 'kullback-leibler' }),
  },
  {
    name: 'squared-hellinger',
    question: 'The squared Hellinger distance',
    changes: both({ estimator: 'squared-hellinger' }),
  },
  { name: 'augmented', question: 'One augmented view of each image', changes: { augmentation: AUGMENTATION } },
  {
    name: 'two-views',
    question: 'The code of one view meets the map of another',
    changes: { augmentation: AUGMENTATION, views: 2, global: { image: 'pooled' } },
  },
  {
    name: 'two-views-decoupled',
    question: 'Two views, every negative, decoupled InfoNCE of cosines',
    changes: {
      augmentation: AUGMENTATION,
      views: 2,
      global: { image: 'pooled', discriminator: COSINE, negatives: ALL, estimator: 'decoupled-info-nce' },
      local: { discriminator: COSINE, negatives: ALL, estimator: 'decoupled-info-nce' },
    },
  },
  {
    name: 'autoencoder',
    question: 'Reconstruction instead of mutual information, the same trunk',
    changes: { ...NO_PAIRS, priorWeight: 0, reconstruction: { weight: 1, code: 'mean' } },
  },
  {
    name: 'vae',
    question: 'A variational autoencoder, the same trunk',
    changes: { ...NO_PAIRS, priorWeight: VAE_PRIOR_WEIGHT, reconstruction: { weight: 1, code: 'sample' } },
  },
];

function both(pair: Readonly<Record<string, unknown>>): AblationRow['changes'] {
  return { global: pair, local: pair };
}
