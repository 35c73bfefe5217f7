import type { Preprocessing } from '../images/preprocessing.js';
import { type PackedDataset, packDataset } from '../training/packed-dataset.js';
import { atMost, type DataSource, openDataSource } from './data-sources.js';
import type { Decoding } from './measured-encoder.js';
import type { TrainingDisplay } from './training-display.js';

/** Pictures to learn from, decoded once and for all, beside the source that they are measured with. */
export type PackedSource = { readonly source: DataSource; readonly dataset: PackedDataset };

/**
 * Opens `--data` and packs what is to be learnt from in the cache; files that cannot be read are told and left out. trainLimit: most pictures to
 * learn from, evenly spread; they are then also what is searched in.
 */
export async function openPackedSource(
  flags: { readonly data: string; readonly cache: string; readonly heldOut: number; readonly trainLimit?: number },
  options: {
    readonly preprocessing: Preprocessing;
    readonly decode: Decoding['decode'];
    /** How pictures are packed, where that is not how the encoder will see them. */
    readonly packing?: { readonly preprocessing: Preprocessing; readonly decode: Decoding['decode'] };
    readonly display: Pick<TrainingDisplay, 'note' | 'stage'>;
  },
): Promise<PackedSource> {
  const { decode, packing = options, display } = options;
  const source = limited(await openDataSource({ ...flags, decode, onNote: display.note }), flags.trainLimit);
  const dataset = await packDataset({
    dataset: source.database,
    source: source.source,
    preprocessing: packing.preprocessing,
    decode: packing.decode,
    folder: `${flags.cache}/packed`,
    onProgress: (done, total) => display.stage('decode', done, total),
  });
  for (const { name, reason } of dataset.skipped) display.note(`skipped ${name}: ${reason}`);
  return { source, dataset };
}

function limited(source: DataSource, limit: number | undefined): DataSource {
  const { count } = source.database;
  if (limit === undefined || limit >= count) return source;
  return {
    ...source,
    database: atMost(source.database, limit),
    source: `${source.source}, ${limit} of ${count}`,
    description: `${source.description}, ${limit} of its ${count} images, evenly spread`,
  };
}
