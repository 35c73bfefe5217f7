import { useEffect, useRef, useState } from 'preact/hooks';
import { mayRetry, messageFor } from '../../state/error-messages.js';
import { useService } from '../../state/service.js';
import type { PickedFile } from '../../state/upload-run.js';
import { type UploadRun, uploadFiles } from '../../state/upload-run.js';
import { Button } from '../button.js';
import { FailureTable } from './failure-table.js';
import { doneText, ImportCounts } from './import-counts.js';

type UploadCardProps = {
  readonly files: readonly PickedFile[];
  readonly collection: string;
  readonly replace: boolean;
  readonly onDismiss: () => void;
};

/** Failures shown; ten thousand rows would block the browser. */
const ROWS_MAX = 200;

/** Uploads from this page: counts, failures with remedies, retry. */
export function UploadCard({ files, collection, replace, onDismiss }: UploadCardProps) {
  const { client, announce } = useService();
  const [queued, setQueued] = useState(files);
  const [run, setRun] = useState<UploadRun>();
  const controllerRef = useRef<AbortController>(undefined);
  useEffect(() => {
    const controller = new AbortController();
    controllerRef.current = controller;
    const { signal } = controller;
    setRun(undefined);
    void uploadFiles({ client, files: queued, collection, replace, signal, onChange: setRun }).then(({ counts }) => {
      if (!signal.aborted)
        announce(`Upload finished: ${counts.added} added, ${counts.existing} already stored, ${counts.failed} failed.`);
    });
    return () => controller.abort();
  }, [queued]);
  useWarningBeforeLeaving(run?.isDone !== true);

  const counts = run?.counts ?? { found: queued.length, added: 0, existing: 0, waiting: queued.length, failed: 0 };
  const failures = run?.failures ?? [];
  const retryable = failures.filter(({ error }) => mayRetry(messageFor(error).code));
  const status =
    run?.isDone !== true ? 'running' : counts.waiting > 0 ? 'failed' : failures.length > 0 ? 'partial' : 'done';
  const title = queued.length === 1 ? queued[0]!.path : `${queued.length.toLocaleString()} files from this computer`;
  return (
    <article class="panel stack" aria-label={`Upload of ${title}`}>
      <div class="row spread">
        <h3>{title}</h3>
        <span class={`chip ${status}`}>{statusText(status, failures.length)}</span>
      </div>
      <ImportCounts counts={counts} isRunning={false} />
      {run?.stoppedBy !== undefined && <Stopped error={run.stoppedBy} />}
      <div class="row">
        <span class="small soft">Into “{collection}”. Keep this page open until it is done.</span>
        {run?.isDone !== true && (
          <Button look="small" onClick={() => controllerRef.current?.abort()}>
            Stop
          </Button>
        )}
        {run?.isDone && (retryable.length > 0 || counts.waiting > 0) && (
          <Button
            look="small"
            onClick={() => setQueued(counts.waiting > 0 ? [...queued] : retryable.map(({ picked }) => picked))}
          >
            {counts.waiting > 0 ? 'Continue' : 'Retry failed'}
          </Button>
        )}
        {run?.isDone && (
          <Button look="small plain" onClick={onDismiss}>
            Dismiss
          </Button>
        )}
      </div>
      {failures.length > 0 && (
        <details open={failures.length <= 5}>
          <summary>
            {failures.length === 1
              ? 'One file was not stored'
              : `${failures.length.toLocaleString()} files were not stored`}
          </summary>
          <FailureTable
            rows={failures.slice(0, ROWS_MAX).map(({ picked, error }) => {
              const { title: reason, advice } = messageFor(error);
              return { name: picked.path, reason, advice };
            })}
          />
          {failures.length > ROWS_MAX && <p class="small soft">The first {ROWS_MAX} are shown.</p>}
        </details>
      )}
    </article>
  );
}

function statusText(status: 'running' | 'failed' | 'partial' | 'done', failed: number): string {
  if (status === 'running') return 'Uploading';
  if (status === 'failed') return 'Stopped';
  return status === 'done' ? 'Done' : doneText(failed);
}

function Stopped({ error }: { readonly error: unknown }) {
  const { askForKey } = useService();
  const { title, advice, offer } = messageFor(error);
  return (
    <p role="alert">
      <strong>{title}.</strong> {advice} Pictures already added stay.{' '}
      {offer === 'key' && (
        <Button look="small" onClick={() => askForKey(title)}>
          Enter a key
        </Button>
      )}
    </p>
  );
}

/** The browser asks before it closes the page during an upload. */
function useWarningBeforeLeaving(isBusy: boolean): void {
  useEffect(() => {
    if (!isBusy) return;
    const ask = (event: BeforeUnloadEvent): void => event.preventDefault();
    addEventListener('beforeunload', ask);
    return () => removeEventListener('beforeunload', ask);
  }, [isBusy]);
}
