import { useState } from 'preact/hooks';
import type { SearchResult } from '../../../client/client.js';
import { exportCsv, exportJson } from '../../state/export-results.js';
import { saveFile } from '../../state/save-file.js';
import { useService } from '../../state/service.js';
import type { Search } from '../../state/use-search.js';
import { Button, IconButton } from '../button.js';
import { Dialog } from '../dialog.js';
import { Failure } from '../notice.js';
import { TagDialog } from './tag-dialog.js';

type SelectionBarProps = {
  readonly chosen: readonly SearchResult[];
  readonly search: Search;
  readonly clear: () => void;
};

/** Actions on the selected pictures: tag, export, delete. At the bottom of the window while any are selected. */
export function SelectionBar({ chosen, search, clear }: SelectionBarProps) {
  const [openDialog, setOpenDialog] = useState<'tag' | 'delete'>();
  return (
    <section class="selection" aria-label="Selected pictures">
      <strong class="number">{chosen.length} selected</strong>
      <Button look="small" icon="tag" onClick={() => setOpenDialog('tag')}>
        Tag
      </Button>
      <ExportMenu results={chosen} search={search} />
      <Button look="small danger" icon="trash" onClick={() => setOpenDialog('delete')}>
        Delete
      </Button>
      <IconButton icon="close" size={18} label="Clear the selection" onClick={clear} />
      {openDialog === 'tag' && (
        <TagDialog pictures={chosen} onChanged={search.update} onClose={() => setOpenDialog(undefined)} />
      )}
      {openDialog === 'delete' && (
        <DeleteDialog
          ids={chosen.map(({ id }) => id)}
          onClose={() => setOpenDialog(undefined)}
          onGone={(gone) => {
            search.drop(gone);
            clear();
          }}
        />
      )}
    </section>
  );
}

/** Saves the results as JSON or CSV. */
export function ExportMenu({
  results,
  search,
}: {
  readonly results: readonly SearchResult[];
  readonly search: Search;
}) {
  const save = (kind: 'json' | 'csv'): void => {
    const facts = { address: location.href, encoder: search.page?.encoder.name, at: new Date() };
    const name = `likeness-${facts.at.toISOString().slice(0, 16).replace(/[:T]/g, '-')}.${kind}`;
    if (kind === 'json') saveFile(name, new Blob([exportJson(results, facts)], { type: 'application/json' }));
    else saveFile(name, new Blob([exportCsv(results)], { type: 'text/csv;charset=utf-8' }));
  };
  return (
    <span class="row">
      {(['json', 'csv'] as const).map((kind) => (
        <Button
          key={kind}
          look="small"
          icon="download"
          onClick={() => save(kind)}
          aria-label={`Export ${results.length} results as ${kind.toUpperCase()}`}
        >
          {kind.toUpperCase()}
        </Button>
      ))}
    </span>
  );
}

type DeleteDialogProps = {
  readonly ids: readonly string[];
  readonly onClose: () => void;
  readonly onGone: (ids: ReadonlySet<string>) => void;
};

/** Asks before pictures are deleted. */
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
          {ids.length === 1 ? 'It is' : 'They are'} removed from the collection and from all later searches. This cannot
          be undone.
        </p>
        {failure !== undefined && <Failure error={failure} slim />}
        <div class="row">
          <Button look="danger" icon="trash" disabled={isBusy} onClick={() => void remove()}>
            Delete {ids.length === 1 ? '' : ids.length}
          </Button>
          <Button onClick={onClose}>Cancel</Button>
        </div>
      </div>
    </Dialog>
  );
}
