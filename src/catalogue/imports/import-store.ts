import type Database from 'better-sqlite3';
import { isCollectionName } from '../records/checked-input.js';
import {
  type ImportChange,
  type ImportError,
  type ImportItemRef,
  type ImportQuery,
  type ImportRecord,
  type ImportResult,
  nextStatus,
} from './import-records.js';

/** A job as SQLite returns it. */
type ImportRow = {
  readonly key: number;
  readonly id: string;
  readonly collection: string;
  readonly kind: ImportRecord['kind'];
  readonly name: string;
  readonly status: ImportRecord['status'];
  readonly listed: number;
  readonly createdAt: number;
  readonly finishedAt: number | null;
  readonly errorCode: ImportError['code'] | null;
  readonly errorMessage: string | null;
  readonly found: number;
  readonly added: number;
  readonly existing: number;
  readonly waiting: number;
  readonly failed: number;
  /** Numbers by reason, as JSON. */
  readonly skipped: string;
};

const COLUMNS = `key, id, collection, kind, name, status, listed, created_at AS createdAt, finished_at AS finishedAt,
  error_code AS errorCode, error_message AS errorMessage, found, added, existing, waiting, failed, skipped`;
/** A UUID: folders are named after jobs. */
const JOB_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** Jobs in one result. */
const LISTED_MAX = 1000;

/**
 * The import jobs of a record store. Run writes in the database's `commit`. A CHECK of the job's row keeps its
 * counts consistent.
 */
export class ImportStore {
  readonly #now: () => number;
  readonly #statements: ReturnType<typeof prepare>;

  constructor(database: Database.Database, now: () => number) {
    this.#now = now;
    this.#statements = prepare(database);
  }

  /** Applies one change and returns the changed job. */
  change(change: ImportChange): ImportRecord | undefined {
    const { insert, one } = this.#statements;
    if (change.kind === 'create') {
      insert.run({ ...change, createdAt: this.#now() });
    } else {
      const row = one.get(change.id);
      if (row === undefined) return undefined;
      this.#apply(row, change);
    }
    const after = one.get(change.id);
    return after === undefined ? undefined : toRecord(after);
  }

  #apply(row: ImportRow, change: Exclude<ImportChange, { kind: 'create' }>): void {
    const { key } = row;
    const {
      insertItem,
      foundMore,
      setListed,
      forgetItems,
      resetCounts,
      failWaiting,
      countFailed,
      finish,
      forget,
      retryItems,
      retry,
    } = this.#statements;
    switch (change.kind) {
      case 'found': {
        let failed = 0;
        for (const [place, { name, error }] of change.items.entries()) {
          if (error !== undefined) failed++;
          const state = error === undefined ? 'waiting' : 'failed';
          insertItem.run(key, row.found + place, name, state, error?.code ?? null, error?.message ?? null);
        }
        foundMore.run({ key, found: change.items.length, failed });
        return;
      }
      case 'listed':
        setListed.run(JSON.stringify(change.skipped ?? {}), key);
        return;
      case 'relist':
        if (row.listed !== 0) return;
        forgetItems.run(key);
        resetCounts.run(key);
        return;
      case 'settle':
        this.#settle(key, change.number, change.state, change.state === 'failed' ? change.error : undefined);
        return;
      case 'finish': {
        if (nextStatus(row.status, change) === undefined) return;
        const { code = null, message = null } = change.error ?? {};
        if (change.error !== undefined) countFailed.run({ key, count: failWaiting.run(code, message, key).changes });
        finish.run({ key, status: change.status, finishedAt: this.#now(), code, message });
        return;
      }
      case 'retry':
        if (nextStatus(row.status, change) === undefined) return;
        retry.run({ key, count: retryItems.run(key).changes });
        return;
      case 'forget':
        forget.run(key);
    }
  }

  /** Settles the item of an added image if it waits. */
  settleAdded({ id, number }: ImportItemRef, state: 'added' | 'existing'): void {
    const row = this.#statements.one.get(id);
    if (row !== undefined) this.#settle(row.key, number, state, undefined);
  }

  #settle(key: number, number: number, state: 'added' | 'existing' | 'failed', error: ImportError | undefined): void {
    const { settleItem, count } = this.#statements;
    const { changes } = settleItem.run({
      key,
      number,
      state,
      code: error?.code ?? null,
      message: error?.message ?? null,
    });
    if (changes === 1) count[state].run(key);
  }

  /** Runs a query. */
  read(query: ImportQuery): ImportResult<ImportQuery> {
    const { one, all, waiting, failures } = this.#statements;
    if (query.kind === 'all') return all.all(LISTED_MAX).map(toRecord);
    const row = one.get(query.id);
    if (query.kind === 'one') return row === undefined ? undefined : toRecord(row);
    if (row === undefined) return [];
    return (query.kind === 'waiting' ? waiting : failures).all(row.key, query.after, query.limit);
  }
}

/**
 * Problems: jobs that the API would not have made, and jobs whose counts differ from their items. Works on every format
 * that has jobs.
 */
export function importProblems(database: Database.Database): string[] {
  const jobs = database.prepare<[], Pick<ImportRow, 'id' | 'collection'>>('SELECT id, collection FROM imports').all();
  const forged = jobs.filter(({ id, collection }) => !JOB_ID.test(id) || !isCollectionName(collection));
  const miscounted = database
    .prepare<[], string>(
      `SELECT id FROM imports WHERE
         found <> (SELECT count(*) FROM import_items WHERE import = key) OR
         added <> (SELECT count(*) FROM import_items WHERE import = key AND state = 'added') OR
         existing <> (SELECT count(*) FROM import_items WHERE import = key AND state = 'existing') OR
         failed <> (SELECT count(*) FROM import_items WHERE import = key AND state = 'failed')`,
    )
    .pluck()
    .all();
  return [
    ...forged.map(({ id }) => `import ${JSON.stringify(id)} has an id or a collection that is not allowed`),
    ...miscounted.map((id) => `import ${JSON.stringify(id)} counts other items than it has`),
  ];
}

function prepare(database: Database.Database) {
  const counting = (state: string): Database.Statement<[number]> =>
    database.prepare<[number]>(`UPDATE imports SET waiting = waiting - 1, ${state} = ${state} + 1 WHERE key = ?`);
  return {
    one: database.prepare<[string], ImportRow>(`SELECT ${COLUMNS} FROM imports WHERE id = ?`),
    all: database.prepare<[number], ImportRow>(`SELECT ${COLUMNS} FROM imports ORDER BY key DESC LIMIT ?`),
    waiting: itemsOf(database, 'number, name', 'waiting'),
    failures: itemsOf(database, 'number, name, code, message', 'failed'),
    insert: database.prepare(
      `INSERT INTO imports (id, collection, kind, name, status, listed, created_at, found, added, existing, waiting, failed)
       VALUES (@id, @collection, @source, @name, 'running', 0, @createdAt, 0, 0, 0, 0, 0)`,
    ),
    insertItem: database.prepare(
      'INSERT INTO import_items (import, number, name, state, code, message) VALUES (?, ?, ?, ?, ?, ?)',
    ),
    foundMore: database.prepare(
      'UPDATE imports SET found = found + @found, failed = failed + @failed, waiting = waiting + @found - @failed WHERE key = @key',
    ),
    setListed: database.prepare('UPDATE imports SET listed = 1, skipped = ? WHERE key = ?'),
    forgetItems: database.prepare('DELETE FROM import_items WHERE import = ?'),
    resetCounts: database.prepare(
      'UPDATE imports SET found = 0, added = 0, existing = 0, waiting = 0, failed = 0 WHERE key = ?',
    ),
    settleItem: database.prepare(
      `UPDATE import_items SET state = @state, code = @code, message = @message
       WHERE import = @key AND number = @number AND state = 'waiting'`,
    ),
    count: { added: counting('added'), existing: counting('existing'), failed: counting('failed') },
    failWaiting: database.prepare(
      `UPDATE import_items SET state = 'failed', code = ?, message = ? WHERE import = ? AND state = 'waiting'`,
    ),
    countFailed: database.prepare(
      'UPDATE imports SET waiting = waiting - @count, failed = failed + @count WHERE key = @key',
    ),
    finish: database.prepare(
      `UPDATE imports SET status = @status, finished_at = @finishedAt, error_code = @code, error_message = @message WHERE key = @key`,
    ),
    retryItems: database.prepare(
      `UPDATE import_items SET state = 'waiting', code = NULL, message = NULL WHERE import = ? AND state = 'failed'`,
    ),
    retry: database.prepare(
      `UPDATE imports SET waiting = waiting + @count, failed = failed - @count, status = 'running', finished_at = NULL,
         error_code = NULL, error_message = NULL WHERE key = @key`,
    ),
    forget: database.prepare('DELETE FROM imports WHERE key = ?'),
  };
}

function itemsOf(database: Database.Database, columns: string, state: string) {
  return database.prepare<[number, number, number], never>(
    `SELECT ${columns} FROM import_items WHERE import = ? AND state = '${state}' AND number > ? ORDER BY number LIMIT ?`,
  );
}

function toRecord(row: ImportRow): ImportRecord {
  const { id, collection, kind, name, status, listed, createdAt, finishedAt, errorCode, errorMessage } = row;
  const { found, added, existing, waiting, failed } = row;
  const error = errorCode === null ? null : { code: errorCode, message: errorMessage ?? '' };
  const counts = { found, added, existing, waiting, failed };
  // written by `listed`
  const skipped = JSON.parse(row.skipped) as ImportRecord['skipped'];
  return { id, collection, kind, name, status, isListed: listed !== 0, createdAt, finishedAt, error, counts, skipped };
}
