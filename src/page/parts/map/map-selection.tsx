import { useState } from 'preact/hooks';
import { START } from '../../state/query/page-address.js';
import { saveFile } from '../../state/save-file.js';
import { useService } from '../../state/service.js';
import { Button, IconButton } from '../button.js';
import { thumbnailPath } from '../query/example-picture.js';
import { DeleteDialog } from '../results/selection-bar.js';
import { TagDialog } from '../results/tag-dialog.js';
import { StoredPicture } from '../stored-picture.js';

type MapSelectionProps = {
  readonly ids: readonly string[];
  readonly onClear: () => void;
  readonly onGone: (ids: ReadonlySet<string>) => void;
};

/** Pictures shown at first: ten thousand would block the browser. */
const FIRST = 60;
/** The service's limit of examples per search. */
const EXAMPLES_MAX = 8;

/** The pictures inside the lasso and actions on all of them. */
export function MapSelection({ ids, onClear, onGone }: MapSelectionProps) {
  const { address, navigate } = useService();
  const [shown, setShown] = useState(FIRST);
  const [openDialog, setOpenDialog] = useState<'tag' | 'delete'>();
  // Evenly spread over the selection.
  const examples = Array.from(
    { length: Math.min(EXAMPLES_MAX, ids.length) },
    (_, at) => ids[Math.floor((at * ids.length) / Math.min(EXAMPLES_MAX, ids.length))]!,
  );
  return (
    <section class="stack" aria-label="Pictures in the lasso">
      <div class="row spread">
        <h2>{ids.length === 1 ? 'One picture' : `${ids.length.toLocaleString()} pictures`} in the lasso</h2>
        <div class="row">
          <Button
            look="small"
            icon="search"
            onClick={() =>
              navigate({
                ...START,
                collection: address.collection,
                like: examples.map((id) => ({ kind: 'stored' as const, id })),
              })
            }
          >
            More like these
          </Button>
          <Button look="small" icon="tag" onClick={() => setOpenDialog('tag')}>
            Tag
          </Button>
          <Button
            look="small"
            icon="download"
            onClick={() =>
              saveFile(
                'likeness-lasso.json',
                new Blob([JSON.stringify({ collection: address.collection, ids }, null, 2)]),
              )
            }
          >
            Export
          </Button>
          <Button look="small danger" icon="trash" onClick={() => setOpenDialog('delete')}>
            Delete
          </Button>
          <IconButton icon="close" size={18} label="Clear the lasso" onClick={onClear} />
        </div>
      </div>
      <ul class="grid bare">
        {ids.slice(0, shown).map((id) => (
          <StoredPicture key={id} image={{ id }} thumbnailUrl={thumbnailPath(id, address.collection)} />
        ))}
      </ul>
      {ids.length > shown && (
        <Button look="small" onClick={() => setShown(shown + 4 * FIRST)}>
          Show more
        </Button>
      )}
      {openDialog === 'tag' && (
        <TagDialog pictures={ids.map((id) => ({ id }))} onClose={() => setOpenDialog(undefined)} />
      )}
      {openDialog === 'delete' && <DeleteDialog ids={ids} onClose={() => setOpenDialog(undefined)} onGone={onGone} />}
    </section>
  );
}
