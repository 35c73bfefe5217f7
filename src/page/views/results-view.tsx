import { useEffect, useMemo, useState } from 'preact/hooks';
import { DetailDialog } from '../parts/detail-dialog.js';
import { ExamplePicture } from '../parts/example-picture.js';
import { Failure, Notice } from '../parts/notice.js';
import { QueryPanel } from '../parts/query-panel.js';
import type { CardActions } from '../parts/result-card.js';
import { ResultGroups } from '../parts/result-groups.js';
import { ExportMenu, SelectionBar } from '../parts/selection-bar.js';
import { formatAddress, searchFor, withExample } from '../state/page-address.js';
import { spokenSummary } from '../state/result-words.js';
import { useService } from '../state/service.js';
import { useRemember } from '../state/use-remember.js';
import { type Search, useSearch } from '../state/use-search.js';

/** A search: on one side what is asked, on the other what was found, the picture one looks at and the ones selected over them. */
export function ResultsView() {
  const { address, navigate, announce } = useService();
  const search = useSearch();
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  const { results, page, status } = search;
  const hasMore = page?.nextCursor !== undefined;
  useRemember(search);
  useEffect(() => {
    if (status === 'found') announce(spokenSummary(results, hasMore));
  }, [status, page, announce]);

  const toggle = (id: string): void =>
    setSelected((now) => {
      const next = new Set(now);
      if (!next.delete(id)) next.add(id);
      return next;
    });
  // The address stands for all that the links of the cards hold; which of them is open, none of the others needs to know.
  const place = formatAddress({ ...address, open: undefined });
  const actions = useMemo<CardActions>(
    () => ({
      open: (id) => navigate((now) => ({ ...now, open: id })),
      search: (example) => navigate((now) => searchFor(now, example)),
      example: (side, id) => navigate((now) => withExample(now, side, { kind: 'stored', id })),
      toggle,
      hrefOf: (id) => formatAddress({ ...address, open: id }),
    }),
    [place, navigate],
  );
  const chosen = results.filter(({ id }) => selected.has(id));

  return (
    <div class="search">
      <h1 class="heard">Search results</h1>
      <QueryPanel search={search} />
      <section class={`found${status === 'searching' ? ' busy' : ''}`} aria-label="Results" aria-busy={status === 'searching'}>
        {status === 'failed' ? (
          <Failure error={search.error} retry={search.again} />
        ) : (
          <>
            <SearchFacts search={search} />
            {status === 'searching' && results.length === 0 && <Skeleton />}
            {status === 'found' && results.length === 0 && <NothingFound />}
            <ResultGroups
              results={results}
              selected={selected}
              actions={actions}
              hasMore={hasMore}
              isLoadingMore={search.isLoadingMore}
              loadMore={search.loadMore}
            />
            {search.moreError !== undefined && <Failure error={search.moreError} retry={search.loadMore} slim />}
          </>
        )}
      </section>
      {chosen.length > 0 && <SelectionBar chosen={chosen} search={search} clear={() => setSelected(new Set())} />}
      {address.open !== undefined && (
        <DetailDialog id={address.open} results={results} isSelected={selected.has(address.open)} toggle={toggle} onGone={search.drop} />
      )}
    </div>
  );
}

/** How many, how fast, by which encoder; and the list as a file. */
function SearchFacts({ search }: { readonly search: Search }) {
  const { address } = useService();
  const { results, page } = search;
  const [first] = address.like;
  if (page === undefined || results.length === 0) return null;
  return (
    <div class="search-facts">
      {first !== undefined && (
        <button type="button" class="asked" aria-label="Back to your picture" onClick={() => scrollTo({ top: 0, behavior: 'smooth' })}>
          <ExamplePicture example={first} alt="" />
        </button>
      )}
      <p class="small soft number">
        {results.length}
        {page.nextCursor === undefined ? '' : '+'} results · {Math.max(1, Math.round(page.tookMs.total))} ms
        <span class="of-encoder"> · {page.encoder.name}</span>
      </p>
      <ExportMenu results={results} search={search} />
    </div>
  );
}

/** An answer without results names what may be in the way. */
function NothingFound() {
  const { address, navigate } = useService();
  const { minScore, filter } = address;
  return (
    <Notice title="Nothing like it here">
      <p>
        {minScore === undefined && filter === undefined
          ? 'This collection holds no other pictures. Import more, or look in another collection.'
          : 'No picture passes the least score and the filter. Loosen them to see what is near.'}
      </p>
      {(minScore !== undefined || filter !== undefined) && (
        <button type="button" class="button" onClick={() => navigate((now) => ({ ...now, minScore: undefined, filter: undefined }))}>
          Show all
        </button>
      )}
    </Notice>
  );
}

/** The place of results that are on their way. */
function Skeleton() {
  return (
    <ul class="grid" aria-hidden="true">
      {Array.from({ length: 12 }, (_, at) => (
        // They are all the same.
        <li class="card" key={at}>
          <span class="tile waiting" />
        </li>
      ))}
    </ul>
  );
}
