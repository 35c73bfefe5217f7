import { useEffect } from 'preact/hooks';
import { START } from '../state/query/page-address.js';
import { useService } from '../state/service.js';
import { type KnownCollections, useCollections } from '../state/use-collections.js';
import { ResultsView } from './results-view.js';
import { StartView } from './start-view.js';

/** The search page: start view without a query, results with one. */
export function SearchPage() {
  const { address } = useService();
  const known = useCollections();
  useUrlBoxKey();
  return (
    <>
      <CollectionPicker known={known} />
      {address.like.length === 0 ? <StartView known={known} /> : <ResultsView />}
    </>
  );
}

/**
 * Selects the collection, if there are several. Stored examples belong to a collection, so changing it starts a
 * new search.
 */
function CollectionPicker({ known }: { readonly known: KnownCollections }) {
  const { address, navigate } = useService();
  const names = [...new Set([...(known.collections ?? []).map(({ name }) => name), address.collection])].sort();
  if (names.length < 2) return null;
  return (
    <div class="collection-picker">
      <label for="collection">Collection</label>
      <select
        id="collection"
        class="select"
        value={address.collection}
        onChange={(event) => {
          const collection = event.currentTarget.value;
          navigate((now) => {
            const isOwn =
              now.like.every(({ kind }) => kind !== 'stored') && now.unlike.every(({ kind }) => kind !== 'stored');
            return isOwn ? { ...now, collection, open: undefined } : { ...START, collection };
          });
        }}
      >
        {names.map((name) => (
          <option key={name} value={name}>
            {name}
          </option>
        ))}
      </select>
    </div>
  );
}

/** The key / focuses the URL box. */
function useUrlBoxKey(): void {
  useEffect(() => {
    const press = (event: KeyboardEvent): void => {
      if (
        event.key !== '/' ||
        (event.target instanceof HTMLElement && event.target.closest('input, textarea, select, dialog') !== null)
      )
        return;
      event.preventDefault();
      document.querySelector<HTMLInputElement>('#url')?.focus();
    };
    addEventListener('keydown', press);
    return () => removeEventListener('keydown', press);
  }, []);
}
