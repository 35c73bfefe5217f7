import { useState } from 'preact/hooks';
import { type Example, parseAddress } from '../state/page-address.js';
import { forgetHistory, type PastSearch, readHistory } from '../state/search-history.js';
import { useService } from '../state/service.js';
import { ExamplePicture } from './example-picture.js';

const MOST_SHOWN = 12;

/** Searches made in this browser, to go back to. They are nowhere else, and one press forgets them and their pictures. */
export function RecentSearches() {
  const { navigate, locals } = useService();
  const [searches, setSearches] = useState(readHistory);
  if (searches.length === 0) return null;
  const forget = async (): Promise<void> => {
    forgetHistory();
    setSearches([]);
    await locals.clear();
  };
  return (
    <section class="stack" aria-labelledby="recent">
      <div class="spread">
        <h2 id="recent">Recent</h2>
        <button type="button" class="button small plain" onClick={() => void forget()}>
          Forget all
        </button>
      </div>
      <ul class="recent">
        {searches.slice(0, MOST_SHOWN).map((search) => (
          <li key={search.address}>
            <a
              href={search.address}
              aria-label={`Search again: ${search.label}`}
              onClick={(event) => {
                if (event.metaKey || event.ctrlKey || event.shiftKey) return;
                event.preventDefault();
                navigate(parseAddress(search.address.replace(/^\.\//, '')));
              }}
            >
              <span class="tile">
                <ExamplePicture example={exampleOf(search)} alt="" collection={search.picture?.collection} />
              </span>
            </a>
          </li>
        ))}
      </ul>
    </section>
  );
}

function exampleOf({ picture, label }: PastSearch): Example {
  if (picture?.kind === 'stored') return { kind: 'stored', id: picture.value };
  if (picture?.kind === 'local') return { kind: 'local', key: picture.value };
  return { kind: 'url', url: picture?.value ?? label };
}
