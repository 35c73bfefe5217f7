import { basename } from 'node:path';
import { openPackedSource } from '../datasets/data-sources.js';
import { packedImages } from '../datasets/packed-dataset.js';
import { requirePlaceFor } from '../encoder/saved-encoder.js';
import {
  fitWhiteningEncoder,
  WHITENING_DIMENSIONS,
  WHITENING_PREPROCESSING,
} from '../training/closed-form/whitening.js';
import { fitScores } from './fit-scores.js';
import { openTerminalProgress } from './terminal-progress.js';
import { encoderName } from './train.js';

/** Flags of `likeness fit-whitening`. */
export type WhiteningFlags = {
  readonly data: string;
  readonly out: string;
  readonly cache: string;
  readonly dimensions: number;
  readonly regularisation?: number;
  readonly licence: string;
};

/**
 * Fits the whitening encoder and saves it as a folder that `likeness serve --model` takes. Returns the exit code: 0
 * done, 2 done but some files could not be read.
 */
export async function runFitWhitening(flags: WhiteningFlags): Promise<number> {
  const { data, out, cache, dimensions, regularisation, licence } = flags;
  await requirePlaceFor(out, false);
  const progress = openTerminalProgress();
  try {
    const { source, dataset } = await openPackedSource(
      { data, cache, heldOut: 0 },
      { preprocessing: WHITENING_PREPROCESSING, progress },
    );
    const encoder = await fitWhiteningEncoder({
      images: packedImages(dataset),
      out,
      name: encoderName(out),
      dimensions,
      ...(regularisation !== undefined && { regularisation }),
      dataFacts: { data: source.description, licence, command: commandOf(flags) },
      onProgress: (images) => progress.stage('moments', images, dataset.count),
    });
    dataset.close();
    await fitScores({ model: out, source, progress });
    console.log(
      `${out}: encoder ${encoder.manifest.name}, ${dimensions} dimensions, id ${encoder.manifest.id.slice(0, 12)}`,
    );
    console.log(`Serve it with: likeness serve --model ${out}`);
    return progress.exitCode();
  } finally {
    progress.close();
  }
}

/** The command that makes the same encoder again. */
function commandOf({ data, out, dimensions, regularisation }: WhiteningFlags): string {
  const choices = [
    ...(dimensions === WHITENING_DIMENSIONS ? [] : [`--dimensions ${dimensions}`]),
    ...(regularisation === undefined ? [] : [`--regularisation ${regularisation}`]),
  ];
  return ['likeness fit-whitening', `--data ${basename(data)}`, `--out ${basename(out)}`, ...choices].join(' ');
}
