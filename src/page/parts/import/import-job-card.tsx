import { useEffect, useState } from 'preact/hooks';
import { type ImportFailures, type ImportJob, LikenessError } from '../../../client/client.js';
import { mayRetry, messageFor } from '../../state/error-messages.js';
import { useService } from '../../state/service.js';
import { Button } from '../button.js';
import { FailureTable } from './failure-table.js';
import { doneText, ImportCounts } from './import-counts.js';

const STATUS_LABELS = { running: 'Running', done: 'Done', cancelled: 'Cancelled', failed: 'Failed' } as const;
/** Failures of this many are checked for whether a retry can help; with more, it is offered. */
const CHECKED_MAX = 100;
/** Pause before a broken event stream is reopened. */
const REOPEN_MS = 2000;

/**
 * An import job of the service, which runs on when the page is closed. Progress comes as events; failures are loaded
 * on demand.
 */
export function ImportJobCard({ job: first, onEnd }: { readonly job: ImportJob; readonly onEnd: () => void }) {
  const { client, toast } = useService();
  const [job, follow] = useFollowedJob(first, onEnd);
  const isRunning = job.status === 'running';
  const isPartial = job.status === 'done' && job.counts.failed > 0;
  const canRetry = useCanRetry(job);
  const act = (what: Promise<unknown>): void => {
    what.then(follow, (error: unknown) => toast(messageFor(error).title));
  };
  return (
    <article class="panel stack" aria-label={`Import of ${job.source.name}`}>
      <div class="row spread">
        <h3>{job.source.name}</h3>
        <span class={`chip ${isPartial ? 'partial' : job.status}`}>
          {isPartial ? doneText(job.counts.failed) : STATUS_LABELS[job.status]}
        </span>
      </div>
      <ImportCounts counts={job.counts} isRunning={isRunning} />
      <div class="row">
        <span class="small soft">
          Into “{job.collection}”, {new Date(job.createdAt).toLocaleString()}
        </span>
        {isRunning && (
          <Button look="small" onClick={() => act(client.cancelImport(job.id))}>
            Cancel
          </Button>
        )}
        {canRetry && (
          <Button look="small" onClick={() => act(client.retryImport(job.id))}>
            {job.counts.waiting > 0 ? 'Continue' : 'Retry failed'}
          </Button>
        )}
      </div>
      {job.error !== null && (
        <p role={isRunning ? 'status' : 'alert'}>
          <strong>{messageForImport(job.error).title}.</strong> {messageForImport(job.error).advice}
        </p>
      )}
      {job.counts.failed > 0 && <JobFailures id={job.id} failed={job.counts.failed} />}
    </article>
  );
}

/** The job with live updates; `follow` reopens the stream after retry or cancel. */
function useFollowedJob(first: ImportJob, onEnd: () => void): readonly [ImportJob, () => void] {
  const { client } = useService();
  const [job, setJob] = useState(first);
  const [attempt, setAttempt] = useState(0);
  useEffect(() => {
    if (first.status !== 'running' && attempt === 0) return;
    const controller = new AbortController();
    const listen = async (): Promise<void> => {
      let latest = first;
      while (!controller.signal.aborted) {
        try {
          for await (const next of client.importEvents(first.id, { signal: controller.signal })) {
            latest = next;
            setJob(next);
          }
          latest = await client.import(first.id, { signal: controller.signal });
          setJob(latest);
          if (latest.status !== 'running') return onEnd();
        } catch (error) {
          if (controller.signal.aborted) return;
          if (error instanceof LikenessError && error.httpStatus === 404) return onEnd();
        }
        await new Promise((resolve) => setTimeout(resolve, REOPEN_MS));
      }
    };
    void listen();
    return () => controller.abort();
  }, [client, first.id, attempt]);
  return [job, () => setAttempt((before) => before + 1)];
}

/** Whether a retry of a finished job can store more: files are waiting, or one failed for a reason that may pass. */
function useCanRetry({ id, status, counts }: ImportJob): boolean {
  const { client } = useService();
  const [mayHelp, setMayHelp] = useState(false);
  const isChecked = status !== 'running' && counts.waiting === 0 && counts.failed > 0 && counts.failed <= CHECKED_MAX;
  useEffect(() => {
    if (!isChecked) return;
    const controller = new AbortController();
    client.importFailures(id, {}, { signal: controller.signal }).then(
      ({ failures }) => setMayHelp(failures.some(({ code }) => mayRetry(code))),
      () => undefined, // The list of failures reports the error.
    );
    return () => controller.abort();
  }, [client, id, isChecked, counts.failed]);
  if (status === 'running') return false;
  return counts.waiting > 0 || counts.failed > CHECKED_MAX || (isChecked && mayHelp);
}

/** The message for an error of a job or of one of its files. */
function messageForImport({ code, message }: { readonly code: string; readonly message: string }) {
  return messageFor(new LikenessError({ code, message, httpStatus: 0 }));
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
      {error !== undefined && <p role="alert">{messageFor(error).title}</p>}
      <FailureTable
        rows={failures.map(({ name, code, message }) => {
          const { title, advice } = messageForImport({ code, message });
          return { name, reason: title, advice };
        })}
        more={cursor === undefined ? undefined : () => fetchPage(cursor)}
      />
    </details>
  );
}
