import type { UploadCounts } from '../../state/upload-run.js';

/** Progress bar and counts of an import; found is the sum of the others. */
export function ImportCounts({ counts, isRunning }: { readonly counts: UploadCounts; readonly isRunning: boolean }) {
  const { found, added, existing, waiting, failed } = counts;
  const processed = found - waiting;
  return (
    <div class="import-counts">
      <progress class="bar" value={processed} max={Math.max(1, found)} aria-label="Pictures processed">
        {processed} of {found}
      </progress>
      <dl class="tally number">
        <Count name={isRunning ? 'found so far' : 'found'} value={found} />
        <Count name="added" value={added} kind="good" />
        <Count name="already stored" value={existing} />
        <Count name="waiting" value={waiting} />
        <Count name="failed" value={failed} kind={failed > 0 ? 'bad' : undefined} />
      </dl>
    </div>
  );
}

/** The status of an import that ended with failures. */
export function doneText(failed: number): string {
  return `Done with ${failed.toLocaleString()} ${failed === 1 ? 'failure' : 'failures'}`;
}

function Count({
  name,
  value,
  kind,
}: {
  readonly name: string;
  readonly value: number;
  readonly kind?: 'good' | 'bad' | undefined;
}) {
  return (
    <div class={kind}>
      <dt>{name}</dt>
      <dd>{value.toLocaleString()}</dd>
    </div>
  );
}
