import { useState } from 'preact/hooks';
import { formatAddress, START, searchFor } from '../state/page-address.js';
import { shortName } from '../state/result-words.js';
import { saveFile } from '../state/save-file.js';
import { useService } from '../state/service.js';
import { Icon } from './icons.js';
import { Picture } from './picture.js';
import { DeleteDialog } from './selection-bar.js';
import { TagDialog } from './tag-dialog.js';

type MapSelectionProps = {
  readonly ids: readonly string[];
  readonly onClear: () => void;
  readonly onGone: (ids: ReadonlySet<string>) => void;
};

/** Shown at once; more on demand, so that a lasso around ten thousand does not stop the browser. */
const FIRST = 60;
/** A search takes so many examples. */
const MOST_EXAMPLES = 8;

/** What the lasso caught: the pictures, and what can be done with all of them. */
export function MapSelection({ ids, onClear, onGone }: MapSelectionProps) {
  const { address, navigate } = useService();
  const [shown, setShown] = useState(FIRST);
  const [asks, setAsks] = useState<'tag' | 'delete'>();
  // Spread over the lasso, not its first corner.
  const examples = Array.from(
    { length: Math.min(MOST_EXAMPLES, ids.length) },
    (_, at) => ids[Math.floor((at * ids.length) / Math.min(MOST_EXAMPLES, ids.length))]!,
  );
  return (
    <section class="stack" aria-label="Pictures in the lasso">
      <div class="row spread">
        <h2>{ids.length === 1 ? 'One picture' : `${ids.length.toLocaleString()} pictures`} in the lasso</h2>
        <div class="row">
          <button
            type="button"
            class="button small"
            onClick={() =>
              navigate({ ...START, collection: address.collection, like: examples.map((id) => ({ kind: 'stored' as const, id })) })
            }
          >
            <Icon name="search" size={16} />
            More like these
          </button>
          <button type="button" class="button small" onClick={() => setAsks('tag')}>
            <Icon name="tag" size={16} />
            Tag
          </button>
          <button
            type="button"
            class="button small"
            onClick={() => saveFile('likeness-lasso.json', new Blob([JSON.stringify({ collection: address.collection, ids }, null, 2)]))}
          >
            <Icon name="download" size={16} />
            Export
          </button>
          <button type="button" class="button small danger" onClick={() => setAsks('delete')}>
            <Icon name="trash" size={16} />
            Delete
          </button>
          <button type="button" class="icon-button" aria-label="Clear the lasso" onClick={onClear}>
            <Icon name="close" size={18} />
          </button>
        </div>
      </div>
      <ul class="grid bare">
        {ids.slice(0, shown).map((id) => {
          const target = searchFor(address, { kind: 'stored', id });
          return (
            <li class="card" key={id}>
              <a
                class="card-open"
                href={formatAddress(target)}
                aria-label={`Search with ${shortName(id)}`}
                title={id}
                onClick={(event) => {
                  if (event.metaKey || event.ctrlKey || event.shiftKey) return;
                  event.preventDefault();
                  navigate(target);
                }}
              >
                <span class="tile">
                  <Picture
                    path={`/images/${encodeURIComponent(id)}/thumbnail?collection=${encodeURIComponent(address.collection)}`}
                    alt=""
                  />
                </span>
              </a>
            </li>
          );
        })}
      </ul>
      {ids.length > shown && (
        <button type="button" class="button small" onClick={() => setShown(shown + 4 * FIRST)}>
          Show more
        </button>
      )}
      {asks === 'tag' && <TagDialog pictures={ids.map((id) => ({ id }))} onClose={() => setAsks(undefined)} />}
      {asks === 'delete' && <DeleteDialog ids={ids} onClose={() => setAsks(undefined)} onGone={onGone} />}
    </section>
  );
}
