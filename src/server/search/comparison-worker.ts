/**
 * The thread that compares pictures: alignments of edited copies, corresponding regions. Started by
 * comparison-threads.ts.
 */
import { parentPort } from 'node:worker_threads';
import { portChannel, serveCalls } from '../../call-port.js';
import type { DihedralVariant } from '../../images/perceptual-hash.js';
import { turnSketch } from '../../images/region.js';
import { type Sketch, sketchOfThumbnail } from '../../images/sketch.js';
import { LruMap } from '../../lru.js';
import {
  type Alignment,
  type AlignmentPicture,
  type AlignmentQuery,
  alignmentPicture,
  alignmentQuery,
  alignPictures,
} from '../../matching/align-pictures.js';
import { type FeatureGrid, matchRegions, type RegionPair } from '../../matching/match-regions.js';

/** A stored picture to align with. `sequence` names its record; undefined: its sketch is not worth keeping. */
export type Candidate = {
  readonly sequence: number | undefined;
  readonly thumbnail: Uint8Array;
  /** How the query is turned or mirrored for it. */
  readonly view: DihedralVariant;
};

/** What the thread computes. */
export type ComparisonTasks = {
  /**
   * In order; null where the pictures cannot be aligned or a thumbnail cannot be read. `query`: a sketch, or the
   * stored thumbnail.
   */
  align(task: {
    readonly query: Sketch | Uint8Array;
    readonly candidates: readonly Candidate[];
  }): Promise<readonly (Alignment | null)[]>;
  matchRegions(a: FeatureGrid, b: FeatureGrid): readonly RegionPair[];
};

/** Prepared pictures kept, at most about 350 kB each. */
const PREPARED_KEPT = 256;

const prepared = new LruMap<number, Promise<AlignmentPicture | undefined>>(PREPARED_KEPT);

async function prepare(thumbnail: Uint8Array): Promise<AlignmentPicture | undefined> {
  const sketch = await sketchOfThumbnail(thumbnail).catch(() => undefined);
  return sketch && alignmentPicture(sketch);
}

function preparedOf({ sequence, thumbnail }: Candidate): Promise<AlignmentPicture | undefined> {
  if (sequence === undefined) return prepare(thumbnail);
  const picture = prepared.get(sequence) ?? prepare(thumbnail);
  prepared.set(sequence, picture);
  return picture;
}

if (parentPort !== null) {
  serveCalls<ComparisonTasks>(portChannel(parentPort), {
    async align({ query, candidates }) {
      const sketch = query instanceof Uint8Array ? await sketchOfThumbnail(query) : query;
      const queries = new Map<DihedralVariant, AlignmentQuery>();
      const queryAs = (view: DihedralVariant): AlignmentQuery => {
        const turned = queries.get(view) ?? alignmentQuery(turnSketch(sketch, view));
        queries.set(view, turned);
        return turned;
      };
      // libvips decodes the thumbnails in threads of its own, some while others are compared.
      const pictures = candidates.map(preparedOf);
      const alignments: (Alignment | null)[] = [];
      for (const [at, { view }] of candidates.entries()) {
        const picture = await pictures[at];
        alignments.push(picture === undefined ? null : (alignPictures(queryAs(view), picture) ?? null));
      }
      return alignments;
    },
    matchRegions,
  });
}
