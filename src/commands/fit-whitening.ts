import { basename } from 'node:path';
import { packDataset } from '../training/packed-dataset.js';
import { packedImages } from '../training/packed-images.js';
import { fitWhiteningEncoder, WHITENING_PREPROCESSING } from '../training/whitening.js';
import { openDataSource } from './data-sources.js';
import { openDecoding } from './measured-encoder.js';

/** Flags of `likeness fit-whitening`. */
export type WhiteningFlags = {
  readonly data: string;
  readonly out: string;
  readonly cache: string;
  readonly dimensions: number;
  readonly regularisation?: number;
  readonly licence: string;
};

const REPORT_EVERY_IMAGES = 5000;

/**
 * Fits the whitening encoder and saves it as a folder that `likeness serve --model` takes. Returns the exit code: 0 done, 2 done but some
 * files could not be read.
 */
export async function runFitWhitening(flags: WhiteningFlags): Promise<number> {
  const { data, out, cache, dimensions, regularisation, licence } = flags;
  const decoding = openDecoding(WHITENING_PREPROCESSING);
  try {
    const source = await openDataSource({ data, cache, heldOut: 0, decode: decoding.decode, onNote: console.error });
    const dataset = await packDataset({
      dataset: source.database,
      source: source.source,
      preprocessing: WHITENING_PREPROCESSING,
      decode: decoding.decode,
      folder: `${cache}/packed`,
    });
    const encoder = await fitWhiteningEncoder({
      images: packedImages(dataset),
      out,
      name: basename(out),
      dimensions,
      ...(regularisation !== undefined && { regularisation }),
      dataFacts: { data: source.description, licence, command: `likeness fit-whitening --data ${basename(data)} --out ${basename(out)}` },
      onProgress: (images) => {
        if (images % REPORT_EVERY_IMAGES === 0) console.error(`${images} images read`);
      },
    });
    dataset.close();
    for (const { name, reason } of dataset.skipped) console.error(`skipped ${name}: ${reason}`);
    console.log(`${out}: encoder ${encoder.manifest.name}, ${dimensions} dimensions, id ${encoder.manifest.id.slice(0, 12)}`);
    console.log(`Serve it with: likeness serve --model ${out}`);
    return dataset.skipped.length > 0 ? 2 : 0;
  } finally {
    await decoding.close();
  }
}
