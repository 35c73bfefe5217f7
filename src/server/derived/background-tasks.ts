/**
 * The process that computes what is derived from collections: edits of thumbnails, alignments and curves for fitted
 * scores, and 2-D projections. It holds no state and dies with the service. Started by background-process.ts.
 */
import { type Handlers, processChannel, serveCalls } from '../../call-port.js';
import { attackImage, type CopyAttack } from '../../images/copy-attacks.js';
import { decodeImage, restrictSharp } from '../../images/decoding/decode-image.js';
import { DEFAULT_IMAGE_LIMITS } from '../../images/decoding/image-limits.js';
import type { Pixels } from '../../images/pixels.js';
import type { Preprocessing } from '../../images/preprocessing.js';
import { sketchOfThumbnail } from '../../images/sketch.js';
import { alignmentQuery, alignPictures } from '../../matching/align-pictures.js';
import { EDITED_AGREEMENT_MIN } from '../../matching/copy-verdict.js';
import {
  fitScoreModel,
  measureScores,
  relatedFrom,
  type ScoredPair,
  type ScoreFit,
  type ScoreMeasure,
} from '../../matching/fit-score-model.js';
import { dot } from '../../matching/logistic-regression.js';
import { nearestRows } from '../../matching/nearest-rows.js';
import { neighboursWanted, planeLayout } from '../../matching/plane-layout.js';
import type { ScoreModel } from '../../matching/score-model.js';
import { seededRandom } from '../../seeded-random.js';

/** An edited picture as a search would see it. */
export type EditedPicture = {
  readonly pixels: Pixels;
  readonly perceptualHash: Uint8Array;
  readonly perceptualHashQuality: number;
};

/** The tasks of the process. */
export type BackgroundTasks = {
  /** The edits of a stored thumbnail, ready to be encoded. */
  edit(input: {
    readonly thumbnail: Uint8Array;
    readonly seed: number;
    readonly attacks: readonly CopyAttack[];
    readonly preprocessing: Preprocessing;
  }): Promise<readonly EditedPicture[]>;
  /** Which of other stored thumbnails are copies of one. */
  findCopies(input: {
    readonly original: Uint8Array;
    readonly others: readonly Uint8Array[];
  }): Promise<readonly boolean[]>;
  /**
   * A model, undefined where none can be fitted; what the model that was used before is worth on the same held-out
   * pairs; and from which cosine on pictures are related, whether or not a model can be fitted.
   */
  fitScores(input: {
    readonly fitted: readonly ScoredPair[];
    readonly heldOut: readonly ScoredPair[];
    /** [rows, dimensions], rows of length 1, of which random pairs are drawn. */
    readonly sample: Float32Array;
    readonly dimensions: number;
    readonly before: ScoreModel;
  }): { readonly fit: ScoreFit | undefined; readonly before: ScoreMeasure; readonly relatedSimilarity: number };
  /**
   * A 2-D projection: a place for each row, 0..1. `embeddings`: [rows, dimensions], rows of length 1; equal seeds,
   * equal maps.
   */
  project(input: {
    readonly embeddings: Float32Array;
    readonly dimensions: number;
    readonly seed: number;
  }): Promise<{ readonly x: readonly number[]; readonly y: readonly number[] }>;
};

const RANDOM_PAIRS = 5000;
const SEED = 2018;
/** decodeImage asks for it; no thumbnail is made. */
const THUMBNAIL_SIZE = 256;

const HANDLERS: Handlers<BackgroundTasks> = {
  async edit({ thumbnail, seed, attacks, preprocessing }) {
    const settings = { limits: DEFAULT_IMAGE_LIMITS, preprocessing, thumbnailSize: THUMBNAIL_SIZE, thumbnail: false };
    const edited: EditedPicture[] = [];
    for (const attack of attacks) {
      const bytes = await attackImage({ bytes: thumbnail, attack, seed });
      const { pixels, perceptualHash, perceptualHashQuality } = await decodeImage(bytes, settings);
      edited.push({ pixels, perceptualHash, perceptualHashQuality });
    }
    return edited;
  },
  async findCopies({ original, others }) {
    const [sketch, ...sketches] = await Promise.all(
      [original, ...others].map((thumbnail) => sketchOfThumbnail(thumbnail)),
    );
    const query = alignmentQuery(sketch!); // one sketch for each picture
    return sketches.map((other) => (alignPictures(query, other)?.agreement ?? 0) >= EDITED_AGREEMENT_MIN);
  },
  fitScores({ fitted, heldOut, sample, dimensions, before }) {
    const random = randomSimilarities(sample, dimensions);
    const fit = fitScoreModel({ fitted, heldOut, randomSimilarities: random });
    return { fit, before: measureScores(before, heldOut), relatedSimilarity: relatedFrom(random) };
  },
  async project({ embeddings, dimensions, seed }) {
    const k = neighboursWanted(embeddings.length / dimensions);
    const nearest = nearestRows({ values: embeddings, dimensions, k });
    const points = await planeLayout({ nearest, random: seededRandom(seed) });
    return { x: points.map(([x]) => rounded(x)), y: points.map(([, y]) => rounded(y)) };
  },
};

/** Finer than any screen. */
function rounded(coordinate: number): number {
  return Math.round(coordinate * 1e5) / 1e5;
}

/** Cosines of random pairs of different rows. */
function randomSimilarities(sample: Float32Array, dimensions: number): number[] {
  const rows = sample.length / dimensions;
  const random = seededRandom(SEED, 'random pairs');
  const row = (at: number): readonly number[] => Array.from(sample.subarray(at * dimensions, (at + 1) * dimensions));
  const drawn = (): number => Math.floor(random() * rows);
  return Array.from({ length: RANDOM_PAIRS }, () => [drawn(), drawn()] as const)
    .filter(([a, b]) => a !== b)
    .map(([a, b]) => dot(row(a), row(b)));
}

if (process.send !== undefined) {
  restrictSharp();
  // The service is gone. SIGKILL and not exit(), which would wait for native work under way.
  process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
  // Signals to the whole process group (Ctrl-C, systemd) are for the service, which ends this process itself.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
  serveCalls<BackgroundTasks>(processChannel(process), HANDLERS);
}
