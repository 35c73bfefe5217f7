/** Import jobs as the catalogue keeps them: durable beside the images, so that a kill at any moment loses no picture of a job and stores none twice. */
import type { ErrorCode } from '../errors.js';

/** running: at work, or waiting to go on. cancelled: what waits stays as it is. failed: its source could not be read to its end. */
export type ImportStatus = 'running' | 'done' | 'cancelled' | 'failed';
export type ImportKind = 'urls' | 'archive' | 'demo';

/** How many pictures were found and what became of them: found = added + existing + waiting + failed, at every commit. */
export type ImportCounts = {
  readonly found: number;
  readonly added: number;
  readonly existing: number;
  readonly waiting: number;
  readonly failed: number;
};

/** Why a picture or a whole job failed, fit to be shown. */
export type ImportError = { readonly code: ErrorCode; readonly message: string };

/** One job. */
export type ImportRecord = {
  readonly id: string;
  readonly collection: string;
  readonly kind: ImportKind;
  /** The archive's own name, for people only. */
  readonly name: string;
  readonly status: ImportStatus;
  /** Everything in the source has been found; before that a restart begins to list anew. */
  readonly isListed: boolean;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  readonly finishedAt: number | null;
  readonly error: ImportError | null;
  readonly counts: ImportCounts;
};

/** One picture of a job: `number` is its place in the source, from 0. */
export type ImportItem = { readonly number: number; readonly name: string };
/** One picture that was not stored. */
export type ImportFailure = ImportItem & ImportError;
/** The picture of a job that an added image is: it leaves the waiting ones in the very transaction that stores the image. */
export type ImportItemRef = { readonly id: string; readonly number: number };

/** A change of one job. All but `create` answer undefined where there is no such job. */
export type ImportChange =
  | { readonly kind: 'create'; readonly id: string; readonly collection: string; readonly source: ImportKind; readonly name: string }
  /** More pictures, numbered on from those found before; one with an error has failed already. */
  | { readonly kind: 'found'; readonly id: string; readonly items: readonly { readonly name: string; readonly error?: ImportError }[] }
  | { readonly kind: 'listed'; readonly id: string }
  /** Forgets what was found, while nothing but finding was done. */
  | { readonly kind: 'relist'; readonly id: string }
  | { readonly kind: 'settle'; readonly id: string; readonly number: number; readonly state: 'existing' }
  | { readonly kind: 'settle'; readonly id: string; readonly number: number; readonly state: 'failed'; readonly error: ImportError }
  /** Ends a job. Where it gives an error, what still waits has failed with it. */
  | { readonly kind: 'finish'; readonly id: string; readonly status: Exclude<ImportStatus, 'running'>; readonly error?: ImportError }
  /** What failed waits again, and the job runs. */
  | { readonly kind: 'retry'; readonly id: string }
  | { readonly kind: 'forget'; readonly id: string };

/** A question about jobs. */
export type ImportQuery =
  | { readonly kind: 'one'; readonly id: string }
  /** The newest first. */
  | { readonly kind: 'all' }
  | { readonly kind: 'waiting' | 'failures'; readonly id: string; readonly after: number; readonly limit: number };

/** What {@link ImportQuery} is answered with. */
export type ImportAnswer<Query extends ImportQuery> = Query extends { kind: 'one' }
  ? ImportRecord | undefined
  : Query extends { kind: 'all' }
    ? readonly ImportRecord[]
    : Query extends { kind: 'waiting' }
      ? readonly ImportItem[]
      : readonly ImportFailure[];

/** Where jobs are written down. Rejects as {@link Catalogue} does. */
export interface ImportLedger {
  /** Resolves when the change is flushed, with the job as it is then; undefined where there is no such job (any more). */
  changeImport(change: ImportChange): Promise<ImportRecord | undefined>;
  readImports<Query extends ImportQuery>(query: Query): Promise<ImportAnswer<Query>>;
}
