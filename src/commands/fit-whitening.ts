import { basename } from 'node:path';
import { packedImages } from '../training/packed-images.js';
import { fitWhiteningEncoder, WHITENING_DIMENSIONS, WHITENING_PREPROCESSING } from '../training/whitening.js';
import { openDecoding } from './measured-encoder.js';
import { openPackedSource } from './packed-source.js';
import { openTrainingDisplay } from './training-display.js';

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
 * Fits the whitening encoder and saves it as a folder that `likeness serve --model` takes. Returns the exit code: 0 done, 2 done but some
 * files could not be read.
 */
export async function runFitWhitening(flags: WhiteningFlags): Promise<number> {
  const { data, out, cache, dimensions, regularisation, licence } = flags;
  const decoding = openDecoding(WHITENING_PREPROCESSING);
  const display = openTrainingDisplay();
  try {
    const { source, dataset } = await openPackedSource(
      { data, cache, heldOut: 0 },
      { preprocessing: WHITENING_PREPROCESSING, decode: decoding.decode, display },
    );
    const encoder = await fitWhiteningEncoder({
      images: packedImages(dataset),
      out,
      name: basename(out),
      dimensions,
      ...(regularisation !== undefined && { regularisation }),
      dataFacts: { data: source.description, licence, command: commandOf(flags) },
      onProgress: (images) => display.stage('moments', images, dataset.count),
    });
    dataset.close();
    console.log(`${out}: encoder ${encoder.manifest.name}, ${dimensions} dimensions, id ${encoder.manifest.id.slice(0, 12)}`);
    console.log(`Serve it with: likeness serve --model ${out}`);
    return dataset.skipped.length > 0 ? 2 : 0;
  } finally {
    display.close();
    await decoding.close();
  }
}

/** What makes the same encoder again, whatever the defaults become. */
function commandOf({ data, out, dimensions, regularisation }: WhiteningFlags): string {
  const choices = [
    ...(dimensions === WHITENING_DIMENSIONS ? [] : [`--dimensions ${dimensions}`]),
    ...(regularisation === undefined ? [] : [`--regularisation ${regularisation}`]),
  ];
  return ['likeness fit-whitening', `--data ${basename(data)}`, `--out ${basename(out)}`, ...choices].join(' ');
}
