import { EmptyCatalogue } from '../parts/empty-catalogue.js';
import { Failure } from '../parts/notice.js';
import { QueryInputs } from '../parts/query/query-inputs.js';
import { RecentSearches } from '../parts/query/recent-searches.js';
import { MoreResults } from '../parts/results/result-groups.js';
import { StoredPicture } from '../parts/stored-picture.js';
import { isTouchScreen } from '../state/query/camera.js';
import { useBrowse } from '../state/use-browse.js';
import type { KnownCollections } from '../state/use-collections.js';

/** The page without a query: inputs, recent searches, stored pictures, or how to import some. */
export function StartView({ known }: { readonly known: KnownCollections }) {
  const { images, error, reload } = known;
  return (
    <>
      <section class="hero">
        <h1>Find pictures like yours</h1>
        <p class="soft">
          {isTouchScreen() ? 'Choose a picture or take a photo.' : 'Drop a picture anywhere, or paste one.'} The results
          tell identical pictures, edited copies and similar pictures apart.
        </p>
        <QueryInputs />
        <p class="small soft">
          Your picture is sent to this service only, compared, and not stored there. A copy stays in this browser for
          reload and Back.
        </p>
      </section>
      {error !== undefined && <Failure error={error} retry={reload} />}
      {images === 0 && <EmptyCatalogue onFilled={reload} />}
      <RecentSearches />
      {images !== undefined && images > 0 && <Stored images={images} />}
    </>
  );
}

/** The stored pictures. */
function Stored({ images }: { readonly images: number }) {
  const browse = useBrowse(images);
  return (
    <section class="stack" aria-labelledby="stored">
      <h2 id="stored">
        Or start from {images === 1 ? 'the stored picture' : `one of ${images.toLocaleString()} pictures`}
      </h2>
      {browse.error !== undefined && <Failure error={browse.error} slim />}
      <ul class="grid bare">
        {browse.images.map((image) => (
          <StoredPicture key={image.id} image={image} thumbnailUrl={image.thumbnailUrl} />
        ))}
      </ul>
      {browse.hasMore && <MoreResults isLoading={browse.isLoading} loadMore={browse.loadMore} />}
    </section>
  );
}
