import { useEffect, useRef, useState } from 'preact/hooks';
import { wordsFor } from '../state/error-words.js';
import { useService } from '../state/service.js';
import type { PickedFile } from '../state/upload-run.js';
import { type UploadRun, uploadFiles } from '../state/upload-run.js';
import { FailureTable } from './failure-table.js';
import { ImportCounts } from './import-counts.js';

type UploadCardProps = {
  readonly files: readonly PickedFile[];
  readonly collection: string;
  readonly replace: boolean;
  readonly onDismiss: () => void;
};

/** Rows of failures that are shown; a folder of ten thousand wrong files would otherwise stop the browser. */
const MOST_ROWS = 200;

/** A run of uploads from this page: its books, its failures with what to do, and trying those again. */
export function UploadCard({ files, collection, replace, onDismiss }: UploadCardProps) {
  const { client, announce } = useService();
  const [wanted, setWanted] = useState(files);
  const [run, setRun] = useState<UploadRun>();
  const given = useRef<AbortController>(undefined);
  useEffect(() => {
    const controller = new AbortController();
    given.current = controller;
    const { signal } = controller;
    setRun(undefined);
    void uploadFiles({ client, files: wanted, collection, replace, signal, onChange: setRun }).then(({ counts }) => {
      if (!signal.aborted) announce(`Upload ended: ${counts.added} added, ${counts.existing} there already, ${counts.failed} failed.`);
    });
    return () => controller.abort();
  }, [wanted]);
  useWarningBeforeLeaving(run?.isDone !== true);

  const counts = run?.counts ?? { found: wanted.length, added: 0, existing: 0, waiting: wanted.length, failed: 0 };
  const failures = run?.failures ?? [];
  const unsettled = [...failures.map(({ picked }) => picked)];
  const title = wanted.length === 1 ? wanted[0]!.path : `${wanted.length.toLocaleString()} files from this computer`;
  return (
    <article class="panel stack" aria-label={`Upload of ${title}`}>
      <div class="row spread">
        <h3>{title}</h3>
        <span class={`chip ${run?.isDone ? 'done' : 'running'}`}>{run?.isDone ? 'Done' : 'Uploading'}</span>
      </div>
      <ImportCounts counts={counts} isRunning={false} />
      {run?.stoppedBy !== undefined && <Stopped error={run.stoppedBy} />}
      <div class="row">
        <span class="small soft">Into “{collection}”. Keep this page open until it is done.</span>
        {run?.isDone !== true && (
          <button type="button" class="button small" onClick={() => given.current?.abort()}>
            Stop
          </button>
        )}
        {run?.isDone && (failures.length > 0 || counts.waiting > 0) && (
          <button type="button" class="button small" onClick={() => setWanted(counts.waiting > 0 ? [...wanted] : unsettled)}>
            Try the rest again
          </button>
        )}
        {run?.isDone && (
          <button type="button" class="button small plain" onClick={onDismiss}>
            Dismiss
          </button>
        )}
      </div>
      {failures.length > 0 && (
        <details open={failures.length <= 5}>
          <summary>
            {failures.length === 1 ? 'One file was not stored' : `${failures.length.toLocaleString()} files were not stored`}
          </summary>
          <FailureTable
            rows={failures.slice(0, MOST_ROWS).map(({ picked, error }) => {
              const { title: reason, advice } = wordsFor(error);
              return { name: picked.path, reason, advice };
            })}
          />
          {failures.length > MOST_ROWS && <p class="small soft">The first {MOST_ROWS} are shown.</p>}
        </details>
      )}
    </article>
  );
}

function Stopped({ error }: { readonly error: unknown }) {
  const { askForKey } = useService();
  const { title, advice, offer } = wordsFor(error);
  return (
    <p role="alert">
      <strong>{title}.</strong> {advice} What was added stays.{' '}
      {offer === 'key' && (
        <button type="button" class="button small" onClick={() => askForKey(title)}>
          Enter a key
        </button>
      )}
    </p>
  );
}

/** The browser asks before it closes a page that is still sending. */
function useWarningBeforeLeaving(isBusy: boolean): void {
  useEffect(() => {
    if (!isBusy) return;
    const ask = (event: BeforeUnloadEvent): void => event.preventDefault();
    addEventListener('beforeunload', ask);
    return () => removeEventListener('beforeunload', ask);
  }, [isBusy]);
}
