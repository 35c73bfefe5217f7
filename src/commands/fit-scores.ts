/** Score curves of a saved encoder that was just made, fitted to pictures as a service fits those of a collection. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeAtomically } from '../atomic-write.js';
import { openCatalogue } from '../catalogue/open-catalogue.js';
import { atMost, type DataSource, type Progress } from '../datasets/data-sources.js';
import { isFaultOfImage } from '../datasets/image-dataset.js';
import { openEncoder } from '../encoder/open-encoder.js';
import { addToModelCard } from '../encoder/saved-encoder.js';
import { SCORES_FILE, type ShippedScores } from '../encoder/score-defaults.js';
import { createDecoderPool } from '../images/decoding/decoder-pool.js';
import { NEAR_PRECISION, UNFITTED_SCORES, withdrawnScores } from '../matching/score-model.js';
import { startBackgroundProcess } from '../server/derived/background-process.js';
import { EDITS_OF_EACH, fitCollection } from '../server/derived/fit-collection.js';
import type { OpenCollection } from '../server/tenancy.js';

const COLLECTION = 'pictures' as OpenCollection; // of a catalogue of our own
/** Pictures of either part of the source that are stored and searched. */
const STORED_MAX = 1000;
const STORED_AT_ONCE = 32;
const SIZE = { fitted: 200, heldOut: 100 };

/**
 * Writes scores.json into the encoder's folder, and into its card what the curves are worth. Where results called near
 * would not be copies often enough, or there are too few pictures to tell, the file only says from which cosine on
 * pictures are related. Pictures that cannot be read are left out.
 */
export async function fitScores(options: {
  readonly model: string;
  readonly source: DataSource;
  readonly threads?: number | undefined;
  readonly progress: Pick<Progress, 'stage'>;
}): Promise<void> {
  const { model, source, threads, progress } = options;
  const folder = await mkdtemp(join(tmpdir(), 'likeness-scores-'));
  const opened: { close(): Promise<void> }[] = [];
  const keep = <Part extends { close(): Promise<void> }>(part: Part): Part => {
    opened.unshift(part);
    return part;
  };
  try {
    const encoder = keep(
      await openEncoder({ folder: model, device: 'cpu', ...(threads !== undefined && { threads }) }),
    );
    const { id: encoderId, dimensions, preprocessing } = encoder.description;
    const decoder = keep(createDecoderPool({ preprocessing, niceness: 5 }));
    const catalogue = keep(await openCatalogue({ folder, encoderId, dimensions }));
    const store = async (read: () => Promise<Uint8Array>): Promise<void> => {
      try {
        const bytes = await read();
        const { pixels, thumbnail, ...image } = (await decoder.decode(bytes, { thumbnail: true })).image;
        const { embedding } = await encoder.encode(pixels, {});
        await catalogue.add(COLLECTION, {
          ...image,
          ...{ id: undefined, metadata: {}, bytes: bytes.length, fileName: null, original: undefined, replace: false },
          ...{ embedding, thumbnail: thumbnail! }, // it was requested
        });
      } catch (error) {
        if (!isFaultOfImage(error)) throw error;
      }
    };
    const pictures = [source.database, ...(source.queries ? [source.queries] : [])].flatMap((part) => {
      const dataset = atMost(part, STORED_MAX);
      return Array.from({ length: dataset.count }, (_, index) => () => dataset.bytes(index));
    });
    for (let first = 0; first < pictures.length; first += STORED_AT_ONCE) {
      progress.stage('score curves', first, pictures.length);
      await Promise.all(pictures.slice(first, first + STORED_AT_ONCE).map(store));
    }
    progress.stage('fit score curves', 0, 1);
    const { images, fitted, current, relatedSimilarity } = await fitCollection({
      ...{ catalogue, encoder, child: keep(startBackgroundProcess()), collection: COLLECTION, size: SIZE },
      current: UNFITTED_SCORES,
      whenIdle: async () => undefined,
    });
    const isCareful = fitted !== undefined && fitted.precision >= NEAR_PRECISION;
    const fit = isCareful ? fitted : { ...current, model: withdrawnScores({ relatedSimilarity }), images: 0, pairs: 0 };
    const { byCosine, byCosineAndHash } = fit.model;
    const data = isCareful
      ? `fitted on ${EDITS_OF_EACH} edits each of ${fit.images} of ${images} pictures; precision, recall and reliability on as many of others of them, held out`
      : `cautious: too few pictures (${images}), or their copies cannot be told from others; only relatedSimilarity is measured`;
    const scores: ShippedScores = {
      formatVersion: 1,
      encoderId,
      fittedAt: new Date().toISOString(),
      data,
      images: fit.images,
      pairs: fit.pairs,
      precision: fit.precision || 0, // NaN: nothing is called near
      recall: fit.recall || 0,
      model: { ...fit.model, byCosine: [...byCosine], byCosineAndHash: [...byCosineAndHash] },
      reliability: [...fit.reliability],
    };
    await writeAtomically(join(model, SCORES_FILE), `${JSON.stringify(scores, null, 2)}\n`);
    const worth = `${(100 * scores.precision).toFixed(1)} % of results called copies by score are copies, and ${(100 * scores.recall).toFixed(1)} % of copies are called so`;
    await addToModelCard(model, `## What scores mean\n\n\`${SCORES_FILE}\`: ${data}. ${worth}.`);
  } finally {
    for (const part of opened) await part.close();
    await rm(folder, { recursive: true, force: true });
  }
}
