import { EMBEDDING_OUTPUT, type SavedEncoder, writeSavedEncoder } from '../encoder/saved-encoder.js';
import { mapShape } from '../infomax/network.js';
import { encoderModel, layerSizes } from './encoder-layers.js';
import { objectiveOf, preprocessingOf, type Recipe } from './recipe.js';
import type { TrainOutcome } from './train.js';

/** Facts for the manifest and the model card. */
export type TrainingFacts = {
  readonly data: string;
  readonly images: number;
  readonly licence: string;
  readonly command: string;
};

const FEATURES_OUTPUT = 'features';

/**
 * Saves a trained encoder as a folder for `likeness serve --model`: batch norm folded, output `embedding` of norm 1
 * from the recipe's layer, output `features` the feature map, with a model card. An existing folder is INVALID_SETTINGS
 * unless `replace`.
 */
export async function saveTrainedEncoder(options: {
  readonly recipe: Recipe;
  readonly outcome: Pick<TrainOutcome, 'trained' | 'engineName' | 'seconds' | 'ended'>;
  readonly folder: string;
  readonly name: string;
  readonly facts: TrainingFacts;
  readonly replace: boolean;
}): Promise<SavedEncoder> {
  const { recipe, outcome, folder, name, facts, replace } = options;
  const { trained, engineName, seconds } = outcome;
  const map = mapShape(objectiveOf(recipe).network);
  const training = {
    method: 'Deep InfoMax',
    recipe: recipe.name,
    seed: recipe.seed,
    data: facts.data,
    images: facts.images,
    steps: trained.step,
    batchSize: recipe.optimiser.batchSize,
    epochs: Math.floor(trained.step / Math.max(1, Math.floor(facts.images / recipe.optimiser.batchSize))),
    engine: engineName,
    seconds: Math.round(seconds),
    command: facts.command,
  };
  return writeSavedEncoder({
    folder,
    onnx: encoderModel(recipe, trained, { layers: [recipe.embedding], features: true }),
    card: modelCard({ recipe, name, facts, training }),
    manifest: {
      name,
      dimensions: layerSizes(recipe)[recipe.embedding],
      preprocessing: preprocessingOf(recipe),
      outputs: {
        embedding: EMBEDDING_OUTPUT,
        features: { name: FEATURES_OUTPUT, channels: map.channels, grid: { width: map.width, height: map.height } },
      },
      training,
      dataLicence: facts.licence,
      created: new Date().toISOString(),
    },
    replace,
  });
}

const LAYER_WORDS = {
  mean: 'the mean of the code',
  pooled: 'the maximum over places of the last stage',
  map: 'the average of the local feature map',
} as const;

function modelCard(options: {
  readonly recipe: Recipe;
  readonly name: string;
  readonly facts: TrainingFacts;
  readonly training: Readonly<Record<string, string | number>>;
}): string {
  const { recipe, name, facts, training } = options;
  const { side, fit } = recipe.input;
  return `# ${name}

A Deep InfoMax encoder (Hjelm et al. 2019, in the variant of kexue.fm/archives/6024), learnt without labels: ${side}x${side} RGB pixels
(\`fit: ${fit}\`) to ${layerSizes(recipe)[recipe.embedding]} dimensions, L2-normalised: ${LAYER_WORDS[recipe.embedding]}. A second output, \`features\`, is the local feature map.

- **Data**: ${facts.data}, ${facts.images} images, labels unused. Licence of the data: ${facts.licence}
- **Made by**: \`${facts.command}\`
- **Training**: recipe \`${recipe.name}\`, ${training.epochs} epochs (${training.steps} steps of ${training.batchSize} images), seed ${training.seed}, ${training.engine}, ${training.seconds} s.

## Recipe

\`\`\`json
${JSON.stringify(recipe, null, 2)}
\`\`\`
`;
}
