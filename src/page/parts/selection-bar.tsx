import { useState } from 'preact/hooks';
import type { SearchResult } from '../../client/client.js';
import { exportCsv, exportJson } from '../state/export-results.js';
import { saveFile } from '../state/save-file.js';
import { useService } from '../state/service.js';
import type { Search } from '../state/use-search.js';
import { Dialog } from './dialog.js';
import { Icon } from './icons.js';
import { Failure } from './notice.js';
import { TagDialog } from './tag-dialog.js';

type SelectionBarProps = { readonly chosen: readonly SearchResult[]; readonly search: Search; readonly clear: () => void };

/** What can be done with the selected pictures: tag, export, delete. It lies over the foot of the page while any are selected. */
export function SelectionBar({ chosen, search, clear }: SelectionBarProps) {
  const [asks, setAsks] = useState<'tag' | 'delete'>();
  return (
    <section class="selection" aria-label="Selected pictures">
      <strong class="number">{chosen.length} selected</strong>
      <button type="button" class="button small" onClick={() => setAsks('tag')}>
        <Icon name="tag" size={16} />
        Tag
      </button>
      <ExportMenu results={chosen} search={search} />
      <button type="button" class="button small danger" onClick={() => setAsks('delete')}>
        <Icon name="trash" size={16} />
        Delete
      </button>
      <button type="button" class="icon-button" aria-label="Clear the selection" onClick={clear}>
        <Icon name="close" size={18} />
      </button>
      {asks === 'tag' && <TagDialog pictures={chosen} onChanged={search.update} onClose={() => setAsks(undefined)} />}
      {asks === 'delete' && (
        <DeleteDialog
          ids={chosen.map(({ id }) => id)}
          onClose={() => setAsks(undefined)}
          onGone={(gone) => {
            search.drop(gone);
            clear();
          }}
        />
      )}
    </section>
  );
}

/** The results as a file: JSON with everything, CSV for a spreadsheet. */
export function ExportMenu({ results, search }: { readonly results: readonly SearchResult[]; readonly search: Search }) {
  const save = (kind: 'json' | 'csv'): void => {
    const facts = { address: location.href, encoder: search.page?.encoder.name, at: new Date() };
    const name = `likeness-${facts.at.toISOString().slice(0, 16).replace(/[:T]/g, '-')}.${kind}`;
    if (kind === 'json') saveFile(name, new Blob([exportJson(results, facts)], { type: 'application/json' }));
    else saveFile(name, new Blob([exportCsv(results)], { type: 'text/csv;charset=utf-8' }));
  };
  return (
    <span class="row">
      <button type="button" class="button small" onClick={() => save('json')} aria-label={`Export ${results.length} results as JSON`}>
        <Icon name="download" size={16} />
        JSON
      </button>
      <button type="button" class="button small" onClick={() => save('csv')} aria-label={`Export ${results.length} results as CSV`}>
        <Icon name="download" size={16} />
        CSV
      </button>
    </span>
  );
}

type DeleteDialogProps = {
  readonly ids: readonly string[];
  readonly onClose: () => void;
  readonly onGone: (ids: ReadonlySet<string>) => void;
};

/** Asks before pictures are removed; there is no way back. */
export function DeleteDialog({ ids, onClose, onGone }: DeleteDialogProps) {
  const { client, address, toast } = useService();
  const [isBusy, setIsBusy] = useState(false);
  const [failure, setFailure] = useState<unknown>();
  const what = ids.length === 1 ? 'this picture' : `these ${ids.length} pictures`;
  const remove = async (): Promise<void> => {
    setIsBusy(true);
    const gone = new Set<string>();
    try {
      for (const id of ids) {
        await client.remove(id, { collection: address.collection });
        gone.add(id);
      }
      toast(ids.length === 1 ? 'Deleted.' : `${ids.length} deleted.`);
      onClose();
    } catch (error) {
      setFailure(error);
      setIsBusy(false);
    }
    if (gone.size > 0) onGone(gone);
  };
  return (
    <Dialog title={`Delete ${what}?`} onClose={onClose}>
      <div class="stack">
        <p>
          The service forgets {ids.length === 1 ? 'it' : 'them'}, and no later search finds {ids.length === 1 ? 'it' : 'them'}. This cannot
          be undone.
        </p>
        {failure !== undefined && <Failure error={failure} slim />}
        <div class="row">
          <button type="button" class="button danger" disabled={isBusy} onClick={() => void remove()}>
            <Icon name="trash" size={18} />
            Delete {ids.length === 1 ? '' : ids.length}
          </button>
          <button type="button" class="button" onClick={onClose}>
            Keep
          </button>
        </div>
      </div>
    </Dialog>
  );
}
