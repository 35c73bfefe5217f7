/** Import jobs, stored beside the images: after a kill no image of a job is lost or stored twice. */
import type { ErrorCode } from '../../errors.js';

/**
 * running: also after a restart. cancelled: waiting items stay waiting. failed: the source could not be read to
 * its end.
 */
export type ImportStatus = 'running' | 'done' | 'cancelled' | 'failed';

/**
 * The status of a job after a change; undefined where the change does not apply: only a running job ends, and only one
 * that has ended is retried.
 */
export function nextStatus(
  status: ImportStatus,
  change: Extract<ImportChange, { kind: 'finish' | 'retry' }>,
): ImportStatus | undefined {
  if (change.kind === 'retry') return status === 'running' ? undefined : 'running';
  return status === 'running' ? change.status : undefined;
}

export type ImportKind = 'urls' | 'archive' | 'demo';

/** Items found, by state: found = added + existing + waiting + failed at every commit. */
type ImportCounts = {
  readonly found: number;
  readonly added: number;
  readonly existing: number;
  readonly waiting: number;
  readonly failed: number;
};

/** Why an item or a job failed, for display. */
export type ImportError = { readonly code: ErrorCode; readonly message: string };

/** One job. */
export type ImportRecord = {
  readonly id: string;
  readonly collection: string;
  readonly kind: ImportKind;
  /** The archive's name, for display only. */
  readonly name: string;
  readonly status: ImportStatus;
  /** The whole source is listed; before that a restart lists it again. */
  readonly isListed: boolean;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  readonly finishedAt: number | null;
  readonly error: ImportError | null;
  readonly counts: ImportCounts;
  /** Entries of the source that are not read, by reason; not part of `found`. */
  readonly skipped: { readonly [reason: string]: number };
};

/** One image of a job: `number` is its position in the source, from 0. */
export type ImportItem = { readonly number: number; readonly name: string };
/** An image that was not stored. */
export type ImportFailure = ImportItem & ImportError;
/** The item of a job that an image belongs to: it is settled in the transaction that stores the image. */
export type ImportItemRef = { readonly id: string; readonly number: number };

/** A change of one job. All but `create` return undefined where there is no such job. */
export type ImportChange =
  | {
      readonly kind: 'create';
      readonly id: string;
      readonly collection: string;
      readonly source: ImportKind;
      readonly name: string;
    }
  /** More items, numbered after those found before; one with an error has failed. */
  | {
      readonly kind: 'found';
      readonly id: string;
      readonly items: readonly { readonly name: string; readonly error?: ImportError }[];
    }
  | { readonly kind: 'listed'; readonly id: string; readonly skipped?: ImportRecord['skipped'] }
  /** Forgets all items of a job that is not listed yet. */
  | { readonly kind: 'relist'; readonly id: string }
  | { readonly kind: 'settle'; readonly id: string; readonly number: number; readonly state: 'existing' }
  | {
      readonly kind: 'settle';
      readonly id: string;
      readonly number: number;
      readonly state: 'failed';
      readonly error: ImportError;
    }
  /** Ends a job. With an error, items that wait fail with it. */
  | {
      readonly kind: 'finish';
      readonly id: string;
      readonly status: Exclude<ImportStatus, 'running'>;
      readonly error?: ImportError;
    }
  /** Failed items wait again, and the job runs. */
  | { readonly kind: 'retry'; readonly id: string }
  | { readonly kind: 'forget'; readonly id: string };

/** A query about jobs. */
export type ImportQuery =
  | { readonly kind: 'one'; readonly id: string }
  /** The newest first. */
  | { readonly kind: 'all' }
  | { readonly kind: 'waiting' | 'failures'; readonly id: string; readonly after: number; readonly limit: number };

/** The result of an {@link ImportQuery}. */
export type ImportResult<Query extends ImportQuery> = Query extends { kind: 'one' }
  ? ImportRecord | undefined
  : Query extends { kind: 'all' }
    ? readonly ImportRecord[]
    : Query extends { kind: 'waiting' }
      ? readonly ImportItem[]
      : readonly ImportFailure[];

/** The store of import jobs. Rejects as `Catalogue` does. */
export interface ImportLedger {
  /** Resolves when the change is flushed, with the changed job; undefined where there is no such job. */
  changeImport(change: ImportChange): Promise<ImportRecord | undefined>;
  readImports<Query extends ImportQuery>(query: Query): Promise<ImportResult<Query>>;
}
