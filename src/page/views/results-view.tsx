import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { SearchPage, SearchResult } from '../../client/client.js';
import { Button } from '../parts/button.js';
import { hasFocus } from '../parts/dialog.js';
import { Failure, Notice } from '../parts/notice.js';
import { ExamplePicture } from '../parts/query/example-picture.js';
import { QueryPanel } from '../parts/query/query-panel.js';
import { DetailDialog } from '../parts/results/detail-dialog.js';
import { type CardActions, isTextField } from '../parts/results/result-card.js';
import { ResultGroups, useWindowKeys } from '../parts/results/result-groups.js';
import { ExportMenu, SelectionBar } from '../parts/results/selection-bar.js';
import {
  type Example,
  exampleName,
  formatAddress,
  searchFor,
  searchKey,
  withExample,
} from '../state/query/page-address.js';
import { addToHistory } from '../state/query/search-history.js';
import { displayName, groupOf, resultSummary } from '../state/result-messages.js';
import { useService } from '../state/service.js';
import { type Search, useSearch } from '../state/use-search.js';

/** The results of a search beside the query, with detail view and selection bar. */
export function ResultsView() {
  const { address, navigate, announce } = useService();
  const search = useSearch();
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  const { results, page, status } = search;
  const [weakerShownFor, setWeakerShownFor] = useState<string>();
  const isWeakerOpen = results.some((result) => result.id === address.open && groupOf(result) === 'weaker');
  const isWeakerShown = isWeakerOpen || weakerShownFor === searchKey(address);
  const hasMore = page?.nextCursor !== undefined;
  useHistory(search);
  useEffect(() => {
    if (status === 'found') announce(resultSummary(results, hasMore));
  }, [status, page, announce]);

  // The focus returns to the card of the last opened image, and to the first card when a new search replaced the
  // focused one.
  const lastOpen = useRef<string>(undefined);
  useEffect(() => {
    if (address.open === undefined && lastOpen.current !== undefined) focusCard(lastOpen.current);
    lastOpen.current = address.open;
  }, [address.open]);
  useEffect(() => {
    const isByUser = history.state !== null; // Null when the page was opened by a link.
    if (status === 'found' && isByUser && !hasFocus()) focusCard(results[0]?.id);
  }, [page]);
  useWindowKeys((event) => {
    if (event.key === 'Escape' && !isTextField(event.target) && document.querySelector('dialog[open]') === null)
      setSelected(new Set());
  });

  const toggle = (id: string): void =>
    setSelected((now) => {
      const next = new Set(now);
      if (!next.delete(id)) next.add(id);
      return next;
    });
  // The cards' links depend on the address without the open image.
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
  const shown = isWeakerShown ? results : results.filter((result) => groupOf(result) !== 'weaker');
  const chosen = results.filter(({ id }) => selected.has(id));

  return (
    <div class="search">
      <h1 class="visually-hidden">Search results</h1>
      <QueryPanel search={search} />
      <section
        class={`found${status === 'searching' ? ' busy' : ''}`}
        aria-label="Results"
        aria-busy={status === 'searching'}
      >
        {status === 'failed' ? (
          <Failure error={search.error} retry={search.retry} />
        ) : (
          <>
            <SearchFacts search={search} shown={shown} />
            {page !== undefined && isIncomplete(page) && status === 'found' && <Incomplete retry={search.retry} />}
            {status === 'searching' && results.length === 0 && <Skeleton />}
            {status === 'found' && results.length === 0 && <NothingFound />}
            <ResultGroups
              results={results}
              selected={selected}
              actions={actions}
              hasMore={hasMore}
              isLoadingMore={search.isLoadingMore}
              loadMore={search.loadMore}
              isWeakerShown={isWeakerShown}
              showWeaker={() => setWeakerShownFor(searchKey(address))}
            />
            {search.moreError !== undefined && <Failure error={search.moreError} retry={search.loadMore} slim />}
          </>
        )}
      </section>
      {chosen.length > 0 && <SelectionBar chosen={chosen} search={search} clear={() => setSelected(new Set())} />}
      {address.open !== undefined && (
        <DetailDialog
          id={address.open}
          results={shown}
          isSelected={selected.has(address.open)}
          actions={actions}
          onGone={search.drop}
          onChanged={search.update}
        />
      )}
    </div>
  );
}

/** Focuses a card after the render; the current card if there is none of that id. */
function focusCard(id: string | undefined): void {
  setTimeout(() => {
    const card = id === undefined ? null : document.querySelector<HTMLElement>(`[data-card="${CSS.escape(id)}"]`);
    (card ?? document.querySelector<HTMLElement>('[data-card][tabindex="0"]'))?.focus({ preventScroll: card === null });
  });
}

/** Count, time and encoder; export buttons. */
function SearchFacts({ search, shown }: { readonly search: Search; readonly shown: readonly SearchResult[] }) {
  const { address } = useService();
  const { page } = search;
  const hasMore = page?.nextCursor !== undefined && shown.length === search.results.length;
  const [first] = address.like;
  if (page === undefined || search.results.length === 0) return null;
  return (
    <div class="search-facts">
      {first !== undefined && (
        <button
          type="button"
          class="query-shortcut"
          aria-label="Back to your picture"
          onClick={() => scrollTo({ top: 0, behavior: 'smooth' })}
        >
          <ExamplePicture example={first} alt="" />
        </button>
      )}
      <p class="small soft number">
        {shown.length}
        {hasMore ? '+' : ''} {shown.length === 1 && !hasMore ? 'result' : 'results'} ·{' '}
        {Math.max(1, Math.round(page.tookMs.total))} ms
        <span class="of-encoder"> · encoder {page.encoder.name}</span>
      </p>
      <ExportMenu results={shown} search={search} />
    </div>
  );
}

/** True where the service was too busy to verify all candidates. */
function isIncomplete(page: SearchPage): boolean {
  return 'complete' in page && page.complete === false;
}

function Incomplete({ retry }: { readonly retry: () => void }) {
  return (
    <p class="incomplete row small" role="status">
      Not all candidates were verified; some copies may be listed as similar.
      <Button look="small" onClick={retry}>
        Search again
      </Button>
    </p>
  );
}

/** No results: names the options that may exclude them. */
function NothingFound() {
  const { address, navigate } = useService();
  const { minScore, filter } = address;
  return (
    <Notice title="No results">
      <p>
        {minScore === undefined && filter === undefined
          ? 'This collection has no other pictures. Import more, or search another collection.'
          : 'No picture passes the minimum score and the filter. Relax them to see more.'}
      </p>
      {(minScore !== undefined || filter !== undefined) && (
        <Button onClick={() => navigate((now) => ({ ...now, minScore: undefined, filter: undefined }))}>
          Show all
        </Button>
      )}
    </Notice>
  );
}

/** Placeholders with the layout of results, so that nothing moves when they arrive. */
function Skeleton() {
  return (
    <div aria-hidden="true">
      <div class="search-facts">
        <p class="small soft">Searching…</p>
      </div>
      <div class="group">
        <h2>
          <span class="waiting">&nbsp;</span>
        </h2>
        <ul class="grid">
          {Array.from({ length: 12 }, (_, at) => (
            // Placeholders are identified by position.
            <li class="card" key={at}>
              <span class="tile waiting" />
              <span class="caption">&nbsp;</span>
              <span class="meter" />
            </li>
          ))}
        </ul>
      </div>
    </div>
  );
}

/** Adds each finished search to this browser's history. */
function useHistory({ status, page }: Search): void {
  const { address } = useService();
  const { like, unlike, collection } = address;
  // One entry per response, whose address is the current one.
  useEffect(() => {
    const [first] = like;
    if (status !== 'found' || first === undefined) return;
    const others = like.length + unlike.length - 1;
    addToHistory({
      // Without options that a slider or drag changes, so that they make no new entry.
      address: formatAddress({ ...address, open: undefined, minScore: undefined, crop: undefined, comparison: 'side' }),
      label: `${labelOf(first)}${others === 0 ? '' : ` and ${others} more`}`,
      at: Date.now(),
      picture: { kind: first.kind, value: exampleName(first), collection },
    });
  }, [page]);
}

function labelOf(example: Example): string {
  return example.kind === 'local' ? 'a picture of yours' : displayName({ id: exampleName(example) });
}
