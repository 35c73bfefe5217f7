import type { UploadCounts } from '../state/upload-run.js';

/** The books of an import: a bar of what is settled, and the five numbers, of which the first is the sum of the others. */
export function ImportCounts({ counts, isRunning }: { readonly counts: UploadCounts; readonly isRunning: boolean }) {
  const { found, added, existing, waiting, failed } = counts;
  const settled = found - waiting;
  return (
    <div class="import-counts">
      <progress class="bar" value={settled} max={Math.max(1, found)} aria-label="Pictures settled">
        {settled} of {found}
      </progress>
      <dl class="tally number">
        <Count name={isRunning ? 'found so far' : 'found'} value={found} />
        <Count name="added" value={added} kind="good" />
        <Count name="there already" value={existing} />
        <Count name="waiting" value={waiting} />
        <Count name="failed" value={failed} kind={failed > 0 ? 'bad' : undefined} />
      </dl>
    </div>
  );
}

function Count({ name, value, kind }: { readonly name: string; readonly value: number; readonly kind?: 'good' | 'bad' | undefined }) {
  return (
    <div class={kind}>
      <dt>{name}</dt>
      <dd>{value.toLocaleString()}</dd>
    </div>
  );
}
