import { useEffect, useState } from 'preact/hooks';
import { type ImportFailures, type ImportJob, LikenessError } from '../../client/client.js';
import { wordsFor } from '../state/error-words.js';
import { useService } from '../state/service.js';
import { FailureTable } from './failure-table.js';
import { ImportCounts } from './import-counts.js';

const STATUS_WORDS = { running: 'Running', done: 'Done', cancelled: 'Cancelled', failed: 'Stopped' } as const;
/** A stream that broke is opened anew after this. */
const REOPEN_MS = 2000;

/** A job of the service: it goes on when the page is closed. Progress comes as events; failures are fetched when asked for. */
export function ImportJobCard({ job: first, onEnd }: { readonly job: ImportJob; readonly onEnd: () => void }) {
  const { client, toast } = useService();
  const [job, follow] = useFollowedJob(first, onEnd);
  const isRunning = job.status === 'running';
  const act = (what: Promise<unknown>): void => {
    what.then(follow, (error: unknown) => toast(wordsFor(error).title));
  };
  return (
    <article class="panel stack" aria-label={`Import of ${job.source.name}`}>
      <div class="row spread">
        <h3>{job.source.name}</h3>
        <span class={`chip ${job.status}`}>{STATUS_WORDS[job.status]}</span>
      </div>
      <ImportCounts counts={job.counts} isRunning={isRunning} />
      <div class="row">
        <span class="small soft">
          Into “{job.collection}”, {new Date(job.createdAt).toLocaleString()}
        </span>
        {isRunning && (
          <button type="button" class="button small" onClick={() => act(client.cancelImport(job.id))}>
            Cancel
          </button>
        )}
        {!isRunning && job.counts.failed + job.counts.waiting > 0 && (
          <button type="button" class="button small" onClick={() => act(client.retryImport(job.id))}>
            Try the rest again
          </button>
        )}
      </div>
      {job.error !== null && (
        <p role={isRunning ? 'status' : 'alert'}>
          <strong>{wordsOfImport(job.error).title}.</strong> {wordsOfImport(job.error).advice}
        </p>
      )}
      {job.counts.failed > 0 && <JobFailures id={job.id} failed={job.counts.failed} />}
    </article>
  );
}

/** The job as it moves on; `follow` listens anew after it was changed from here. */
function useFollowedJob(first: ImportJob, onEnd: () => void): readonly [ImportJob, () => void] {
  const { client } = useService();
  const [job, setJob] = useState(first);
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    if (first.status !== 'running' && turn === 0) return;
    const given = new AbortController();
    const listen = async (): Promise<void> => {
      let latest = first;
      while (!given.signal.aborted) {
        try {
          for await (const next of client.importEvents(first.id, { signal: given.signal })) {
            latest = next;
            setJob(next);
          }
          latest = await client.import(first.id, { signal: given.signal });
          setJob(latest);
          if (latest.status !== 'running') return onEnd();
        } catch (error) {
          if (given.signal.aborted) return;
          if (error instanceof LikenessError && error.httpStatus === 404) return onEnd();
        }
        await new Promise((resolve) => setTimeout(resolve, REOPEN_MS));
      }
    };
    void listen();
    return () => given.abort();
  }, [client, first.id, turn]);
  return [job, () => setTurn((before) => before + 1)];
}

/** What the service says of a job or of one of its files, in the words that its refusals have. */
function wordsOfImport({ code, message }: { readonly code: string; readonly message: string }) {
  return wordsFor(new LikenessError({ code, message, httpStatus: 0 }));
}

function JobFailures({ id, failed }: { readonly id: string; readonly failed: number }) {
  const { client } = useService();
  const [failures, setFailures] = useState<ImportFailures['failures']>([]);
  const [cursor, setCursor] = useState<string>();
  const [error, setError] = useState<unknown>();
  const fetchPage = (from: string | undefined): void => {
    client.importFailures(id, from === undefined ? {} : { cursor: from }).then((page) => {
      setFailures((before) => (from === undefined ? page.failures : [...before, ...page.failures]));
      setCursor(page.nextCursor ?? undefined);
    }, setError);
  };
  return (
    <details
      onToggle={(event) => {
        if (event.currentTarget.open) fetchPage(undefined);
      }}
    >
      <summary>{failed === 1 ? 'One file was not stored' : `${failed.toLocaleString()} files were not stored`}</summary>
      {error !== undefined && <p role="alert">{wordsFor(error).title}</p>}
      <FailureTable
        rows={failures.map(({ name, code, message }) => {
          const { title, advice } = wordsOfImport({ code, message });
          return { name, reason: title, advice };
        })}
        more={cursor === undefined ? undefined : () => fetchPage(cursor)}
      />
    </details>
  );
}
