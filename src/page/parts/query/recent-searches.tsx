import { useState } from 'preact/hooks';
import { type Example, parseAddress } from '../../state/query/page-address.js';
import { clearHistory, type PastSearch, readHistory } from '../../state/query/search-history.js';
import { useService } from '../../state/service.js';
import { Button } from '../button.js';
import { Link } from '../link.js';
import { ExamplePicture } from './example-picture.js';

const SHOWN_MAX = 12;

/** Recent searches of this browser, with a button that deletes them and their pictures. */
export function RecentSearches() {
  const { navigate, locals } = useService();
  const [searches, setSearches] = useState(readHistory);
  if (searches.length === 0) return null;
  const clear = async (): Promise<void> => {
    clearHistory();
    setSearches([]);
    await locals.clear();
  };
  return (
    <section class="stack" aria-labelledby="recent">
      <div class="spread">
        <h2 id="recent">Recent</h2>
        <Button look="small plain" onClick={() => void clear()}>
          Clear history
        </Button>
      </div>
      <ul class="recent">
        {searches.slice(0, SHOWN_MAX).map((search) => (
          <li key={search.address}>
            <Link
              href={search.address}
              aria-label={`Search again: ${search.label}`}
              follow={() => navigate(parseAddress(search.address.replace(/^\.\//, '')))}
            >
              <span class="tile">
                <ExamplePicture example={exampleOf(search)} alt="" collection={search.picture?.collection} />
              </span>
            </Link>
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
