import { EmptyCatalogue } from '../parts/empty-catalogue.js';
import { Failure } from '../parts/notice.js';
import { Picture } from '../parts/picture.js';
import { RecentSearches } from '../parts/recent-searches.js';
import { MoreResults } from '../parts/result-groups.js';
import { WaysIn } from '../parts/ways-in.js';
import { formatAddress, searchFor } from '../state/page-address.js';
import { shortName } from '../state/result-words.js';
import { useService } from '../state/service.js';
import { useBrowse } from '../state/use-browse.js';
import type { KnownCollections } from '../state/use-collections.js';
import { STORED_TYPE } from '../state/use-incoming.js';

/** Before a search: the ways in, earlier searches, and the stored pictures to start from. An empty catalogue says how to fill it. */
export function StartView({ known }: { readonly known: KnownCollections }) {
  const { images, error, again } = known;
  return (
    <>
      <section class="hero">
        <h1>Find pictures like yours</h1>
        <p class="soft">
          Drop a picture anywhere, or paste one. You see which are the same, which are edited copies, and which only look alike.
        </p>
        <WaysIn />
        <p class="small soft">
          Your picture goes to this service only, is compared, and is not kept there. A copy stays in this browser for reload and Back.
        </p>
      </section>
      {error !== undefined && <Failure error={error} retry={again} />}
      {images === 0 && <EmptyCatalogue onFilled={again} />}
      <RecentSearches />
      {images !== undefined && images > 0 && <Stored images={images} />}
    </>
  );
}

/** The stored pictures; each starts a search. */
function Stored({ images }: { readonly images: number }) {
  const { address, navigate } = useService();
  const browse = useBrowse(images);
  return (
    <section class="stack" aria-labelledby="stored">
      <h2 id="stored">Or start from one of {images === 1 ? 'the picture' : `${images.toLocaleString()} pictures`} here</h2>
      {browse.error !== undefined && <Failure error={browse.error} slim />}
      <ul class="grid bare">
        {browse.images.map(({ id, thumbnailUrl }) => {
          const target = searchFor(address, { kind: 'stored', id });
          return (
            <li class="card" key={id}>
              <a
                class="card-open"
                href={formatAddress(target)}
                aria-label={`Search with ${shortName(id)}`}
                title={id}
                draggable
                onDragStart={(event) => event.dataTransfer?.setData(STORED_TYPE, id)}
                onClick={(event) => {
                  if (event.metaKey || event.ctrlKey || event.shiftKey) return;
                  event.preventDefault();
                  navigate(target);
                }}
              >
                <span class="tile">
                  <Picture path={thumbnailUrl} alt="" />
                </span>
              </a>
            </li>
          );
        })}
      </ul>
      {browse.hasMore && <MoreResults isLoading={browse.isLoading} loadMore={browse.loadMore} />}
    </section>
  );
}
