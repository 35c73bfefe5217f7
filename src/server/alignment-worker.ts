/**
 * The thread that lays pictures on each other. It gets one query with the thumbnails of its candidates, and answers how far each agrees, in order, for as
 * long as the query's time lasts. Started by CopyVerifier, which holds the other end.
 */
import { performance } from 'node:perf_hooks';
import { parentPort } from 'node:worker_threads';
import { type Sketch, sketchOfThumbnail } from '../images/sketch.js';
import { type Alignment, alignmentQuery, alignPictures } from '../matching/align-pictures.js';

/** A picture to compare with. `sequence` names a stored one for ever; undefined: its sketch is not worth keeping. */
export type Candidate = { readonly sequence: number | undefined; readonly thumbnail: Uint8Array };

/** To the worker; null: end. */
export type AlignmentRequest = {
  readonly id: number;
  readonly query: Sketch;
  readonly candidates: readonly Candidate[];
  /** Milliseconds, counted from when the worker begins. */
  readonly budgetMs: number;
} | null;

/** What was tried, in order; null where pictures do not fit at all or a thumbnail cannot be read. Shorter than the candidates where time ran out. */
export type AlignmentResponse = { readonly id: number; readonly alignments: readonly (Alignment | null)[] };

type Port = NonNullable<typeof parentPort>;

/** So many are tried however busy the machine is: of a copy, the original is most often the nearest. */
const TRIED_MIN = 4;
/** Sketches kept, about 9 kB each. */
const SKETCHES_KEPT = 4096;

function work(port: Port): void {
  const sketches = new Map<number, Promise<Sketch | undefined>>();
  const sketchOf = ({ sequence, thumbnail }: Candidate): Promise<Sketch | undefined> => {
    if (sequence === undefined) return sketchOfThumbnail(thumbnail).catch(() => undefined);
    const known = sketches.get(sequence);
    // Back to the young end, so that what is dropped is what was not asked for longest.
    sketches.delete(sequence);
    const sketch = known ?? sketchOfThumbnail(thumbnail).catch(() => undefined);
    sketches.set(sequence, sketch);
    for (const oldest of sketches.keys()) {
      if (sketches.size <= SKETCHES_KEPT) break;
      sketches.delete(oldest);
    }
    return sketch;
  };

  const answer = async ({ id, query, candidates, budgetMs }: NonNullable<AlignmentRequest>): Promise<void> => {
    const prepared = alignmentQuery(query);
    const alignments: (Alignment | null)[] = [];
    // libvips decodes them in threads of its own, some while others are compared.
    const decoded = candidates.map(sketchOf);
    const until = performance.now() + budgetMs;
    for (const sketch of decoded) {
      const stored = await sketch;
      if (alignments.length >= TRIED_MIN && performance.now() >= until) break;
      alignments.push(stored === undefined ? null : (alignPictures(prepared, stored) ?? null));
    }
    port.postMessage({ id, alignments } satisfies AlignmentResponse);
  };

  let last = Promise.resolve();
  port.on('message', (request: AlignmentRequest) => {
    if (request === null) {
      void last.then(() => port.close());
      return;
    }
    last = last.then(() => answer(request));
  });
}

if (parentPort !== null) work(parentPort);
