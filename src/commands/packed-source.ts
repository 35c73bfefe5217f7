import type { Preprocessing } from '../images/preprocessing.js';
import { type PackedDataset, packDataset } from '../training/packed-dataset.js';
import { type DataSource, openDataSource } from './data-sources.js';
import type { Decoding } from './measured-encoder.js';
import type { TrainingDisplay } from './training-display.js';

/** Pictures to learn from, decoded once and for all, beside the source that they are measured with. */
export type PackedSource = { readonly source: DataSource; readonly dataset: PackedDataset };

/** Opens `--data` and packs what is to be learnt from in the cache; files that cannot be read are told and left out. */
export async function openPackedSource(
  flags: { readonly data: string; readonly cache: string; readonly heldOut: number },
  options: {
    readonly preprocessing: Preprocessing;
    readonly decode: Decoding['decode'];
    readonly display: Pick<TrainingDisplay, 'note' | 'stage'>;
  },
): Promise<PackedSource> {
  const { preprocessing, decode, display } = options;
  const source = await openDataSource({ ...flags, decode, onNote: display.note });
  const dataset = await packDataset({
    dataset: source.database,
    source: source.source,
    preprocessing,
    decode,
    folder: `${flags.cache}/packed`,
    onProgress: (done, total) => display.stage('decode', done, total),
  });
  for (const { name, reason } of dataset.skipped) display.note(`skipped ${name}: ${reason}`);
  return { source, dataset };
}
