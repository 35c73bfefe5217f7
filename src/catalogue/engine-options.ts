import type { CommitReport } from './catalogue-requests.js';
import type { HnswSettings } from './hnsw-index.js';

/** What the catalogue's engine is opened with. */
export type EngineOptions = {
  readonly folder: string;
  readonly encoderId: string;
  readonly settings: HnswSettings;
  readonly collectionsMax: number;
  /** A collection's index file is written after this many changes. */
  readonly saveEveryChanges: number;
  readonly lockTimeoutMs: number;
  readonly reserveBytes: number;
  readonly now: () => number;
  readonly onCommit: (report: CommitReport) => void;
  /** What an operator should know and nobody waits for: an index file not trusted, a save that failed. */
  readonly onWarning: (message: string) => void;
  /** Frees the memory of graphs that were dropped; V8 does not know of it. */
  readonly collectGarbage: () => void;
};
