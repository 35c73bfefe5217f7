import { basename } from 'node:path';
import { fitWhiteningEncoder, WHITENING_PREPROCESSING } from '../training/whitening.js';
import { openPixelSource } from './pixel-sources.js';

/** Flags of `likeness fit-whitening`. */
export type WhiteningFlags = {
  readonly data: string;
  readonly out: string;
  readonly dimensions: number;
  readonly regularisation?: number;
  readonly licence: string;
};

const REPORT_EVERY_IMAGES = 5000;

/** Fits the whitening encoder and saves it as a folder that `likeness serve --model` takes. Returns the exit code. */
export async function runFitWhitening(flags: WhiteningFlags): Promise<number> {
  const { data, out, dimensions, regularisation, licence } = flags;
  const source = await openPixelSource(data, WHITENING_PREPROCESSING);
  try {
    const encoder = await fitWhiteningEncoder({
      images: source.images,
      out,
      name: basename(out),
      dimensions,
      ...(regularisation !== undefined && { regularisation }),
      dataFacts: { data: source.description, licence, command: `likeness fit-whitening --data ${basename(data)} --out ${out}` },
      onProgress: (images) => {
        if (images % REPORT_EVERY_IMAGES === 0) console.error(`${images} images read`);
      },
    });
    for (const reason of source.skipped) console.error(`skipped ${reason}`);
    console.log(`${out}: encoder ${encoder.manifest.name}, ${dimensions} dimensions, id ${encoder.manifest.id.slice(0, 12)}`);
    console.log(`Serve it with: likeness serve --model ${out}`);
    return 0;
  } finally {
    await source.close();
  }
}
