/**
 * The process that does what fitting scores takes of the processor: makes edits of thumbnails, decodes them, tells copies apart, fits. A process of the least
 * priority, native code in its threads included, so that searches hardly notice it. Started by score-child.ts, which holds the other end; it holds no
 * state, and it dies with who started it.
 */

import { type SearchErrorData, toErrorData } from '../errors.js';
import { attackImage, type CopyAttack } from '../images/copy-attacks.js';
import { decodeImage, restrictSharp } from '../images/decode-image.js';
import { DEFAULT_IMAGE_LIMITS } from '../images/image-limits.js';
import type { Pixels } from '../images/pixels.js';
import type { Preprocessing } from '../images/preprocessing.js';
import { sketchOfThumbnail } from '../images/sketch.js';
import { alignmentQuery, alignPictures } from '../matching/align-pictures.js';
import { fitScoreModel, measureScores, type ScoredPair, type ScoreFit, type ScoreMeasure } from '../matching/fit-score-model.js';
import { dot } from '../matching/logistic-regression.js';
import { EDITED_AGREEMENT_MIN } from '../matching/match-kind.js';
import type { ScoreModel } from '../matching/score-model.js';
import { seededRandom } from '../seeded-random.js';

/** An edited picture as a search would see it. */
export type EditedPicture = { readonly pixels: Pixels; readonly perceptualHash: Uint8Array; readonly perceptualHashQuality: number };

/** What the process is asked. */
export type ScoreTasks = {
  /** The edits of a stored thumbnail, ready to be encoded. */
  readonly edit: {
    readonly task: {
      readonly thumbnail: Uint8Array;
      readonly seed: number;
      readonly attacks: readonly CopyAttack[];
      readonly preprocessing: Preprocessing;
    };
    readonly answer: readonly EditedPicture[];
  };
  /** Which of other stored thumbnails are copies of one. */
  readonly copies: {
    readonly task: { readonly original: Uint8Array; readonly others: readonly Uint8Array[] };
    readonly answer: readonly boolean[];
  };
  /** A model, undefined where none can be fitted; and what the model that was used before is worth on the same held-out pairs. */
  readonly fit: {
    readonly task: {
      readonly fitted: readonly ScoredPair[];
      readonly heldOut: readonly ScoredPair[];
      /** [rows, dimensions], rows of length 1, of which random pairs are drawn. */
      readonly sample: Float32Array;
      readonly dimensions: number;
      readonly before: ScoreModel;
    };
    readonly answer: { readonly fit: ScoreFit | undefined; readonly before: ScoreMeasure };
  };
};

/** One task, by its number. */
export type ScoreRequest = {
  [Kind in keyof ScoreTasks]: { readonly id: number; readonly kind: Kind; readonly task: ScoreTasks[Kind]['task'] };
}[keyof ScoreTasks];
/** Its answer, or why there is none. */
export type ScoreReply = { readonly id: number } & ({ readonly answer: unknown } | { readonly error: SearchErrorData });

const RANDOM_PAIRS = 5000;
const SEED = 2018;
/** decodeImage asks for it; no thumbnail is made. */
const THUMBNAIL_SIZE = 256;

type Handlers = { readonly [Kind in keyof ScoreTasks]: (task: ScoreTasks[Kind]['task']) => Promise<ScoreTasks[Kind]['answer']> };

const HANDLERS: Handlers = {
  async edit({ thumbnail, seed, attacks, preprocessing }) {
    const edited: EditedPicture[] = [];
    for (const attack of attacks) {
      const bytes = await attackImage({ bytes: thumbnail, attack, seed });
      const settings = { limits: DEFAULT_IMAGE_LIMITS, preprocessing, thumbnailSize: THUMBNAIL_SIZE, thumbnail: false };
      const { pixels, perceptualHash, perceptualHashQuality } = await decodeImage(bytes, settings);
      edited.push({ pixels, perceptualHash, perceptualHashQuality });
    }
    return edited;
  },
  async copies({ original, others }) {
    const query = alignmentQuery(await sketchOfThumbnail(original));
    const sketches = await Promise.all(others.map((other) => sketchOfThumbnail(other)));
    return sketches.map((sketch) => (alignPictures(query, sketch)?.agreement ?? 0) >= EDITED_AGREEMENT_MIN);
  },
  async fit({ fitted, heldOut, sample, dimensions, before }) {
    const fit = fitScoreModel({ fitted, heldOut, randomSimilarities: randomSimilarities(sample, dimensions) });
    return { fit, before: measureScores(before, heldOut) };
  },
};

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

function run(send: (reply: ScoreReply) => void): void {
  restrictSharp();
  // Whoever started this process is gone. SIGKILL and not exit(), which would wait for native work under way.
  process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
  // Signals to the whole process group (Ctrl-C, systemd) are for the service, which ends this process itself.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
  process.on('message', ({ id, kind, task }: ScoreRequest) => {
    const handle = HANDLERS[kind] as (of: unknown) => Promise<unknown>; // kind and task belong together
    handle(task).then(
      (answer) => send({ id, answer }),
      (error: unknown) => send({ id, error: toErrorData(error) }),
    );
  });
}

const send = process.send?.bind(process);
if (send !== undefined) run((reply) => void send(reply)); // only score-child.ts starts this file
