import type { ExactIndex } from './exact-index.js';
import type { HnswIndex } from './hnsw-index.js';

/** Vectors of a loaded graph that are compared with the store's. */
const SPOT_CHECKS = 32;

/** Why a graph read from a file is not the one of these vectors; undefined where it is, and then what was removed since is marked in it. */
export function faultOfGraph(graph: HnswIndex, labels: readonly number[], flat: ExactIndex): string | undefined {
  const live = labels.filter((label) => flat.has(label));
  const wanted = flat.labels().filter((label) => label <= graph.highest);
  if (live.length !== wanted.length) return `it lacks ${wanted.length - live.length} of ${wanted.length} images`;
  graph.markRemoved(labels.filter((label) => !flat.has(label)));
  const step = Math.max(1, Math.floor(live.length / SPOT_CHECKS));
  for (let place = 0; place < live.length; place += step) {
    const label = live[place]!;
    const stored = flat.vector(label)!;
    const inGraph = graph.vector(label);
    if (inGraph === undefined || stored.some((element, at) => element !== inGraph[at])) return `it holds another vector for image ${label}`;
  }
  return undefined;
}
