import { useEffect, useRef, useState } from 'preact/hooks';
import type { SearchResult } from '../../client/client.js';
import { GROUPS } from '../state/result-words.js';
import { type CardActions, ResultCard } from './result-card.js';

/** About as many as a large screen shows at once. */
const IN_SIGHT = 24;

/** So many in a group share their row with the next such group: a copy is mostly one of its kind. */
const FEW = 2;

type ResultGroupsProps = {
  readonly results: readonly SearchResult[];
  readonly selected: ReadonlySet<string>;
  readonly actions: CardActions;
  readonly hasMore: boolean;
  readonly isLoadingMore: boolean;
  readonly loadMore: () => void;
};

/** The results in their groups, more of them as the reader nears the end. Arrow keys go from card to card, over the groups' edges too. */
export function ResultGroups({ results, selected, actions, hasMore, isLoadingMore, loadMore }: ResultGroupsProps) {
  const grid = useRef<HTMLDivElement>(null);
  const [currentId, setCurrentId] = useState<string>();
  const first = new Set(results.slice(0, IN_SIGHT).map(({ id }) => id));
  const current = results.some(({ id }) => id === currentId) ? currentId : results[0]?.id;
  const go = (event: KeyboardEvent): void => {
    const cards = [...(grid.current?.querySelectorAll<HTMLElement>('[data-card]') ?? [])];
    const from = cards.indexOf(event.target as HTMLElement); // Keys come from within; another element is not found.
    if (from < 0) return;
    const to = neighbour(cards, from, event.key);
    if (to === undefined) return;
    event.preventDefault();
    setCurrentId(to.dataset.card);
    to.focus();
    to.scrollIntoView({ block: 'nearest' });
  };
  const sectionOf = ({ match, title, explanation }: (typeof GROUPS)[number]) => {
    const group = results.filter((result) => result.match === match);
    if (group.length === 0) return null;
    return (
      <section class={`group ${match}${group.length <= FEW ? ' few' : ''}`} key={match} aria-labelledby={`group-${match}`}>
        <h2 id={`group-${match}`} title={explanation}>
          <span class="dot" aria-hidden="true" />
          {title}
          <span class="count number">{group.length}</span>
        </h2>
        <ul class="grid">
          {group.map((result) => (
            <ResultCard
              key={result.id}
              result={result}
              isSelected={selected.has(result.id)}
              isCurrent={result.id === current}
              actions={actions}
              isFirst={first.has(result.id)}
            />
          ))}
        </ul>
      </section>
    );
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the cards within take the focus; this only leads from one to the next.
    <div
      class="groups"
      ref={grid}
      onKeyDown={go}
      onFocusIn={(event) => setCurrentId((event.target as HTMLElement).dataset.card ?? currentId)}
    >
      {/* The look-alikes stand apart from the copies' rows: a thousand cards in a grid of grids are laid out twice. */}
      <div class="copies">{GROUPS.filter(({ match }) => match !== 'similar').map(sectionOf)}</div>
      {GROUPS.filter(({ match }) => match === 'similar').map(sectionOf)}
      {hasMore && <MoreResults isLoading={isLoadingMore} loadMore={loadMore} />}
    </div>
  );
}

/** Loads the next page before its place comes into sight; the button is for who does not scroll. */
export function MoreResults({ isLoading, loadMore }: { readonly isLoading: boolean; readonly loadMore: () => void }) {
  const end = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (end.current === null) return;
    const watch = new IntersectionObserver((entries) => entries.some(({ isIntersecting }) => isIntersecting) && loadMore(), {
      rootMargin: '900px 0px',
    });
    watch.observe(end.current);
    return () => watch.disconnect();
  }, [loadMore]);
  return (
    <div class="more" ref={end}>
      <button type="button" class="button" disabled={isLoading} onClick={loadMore}>
        {isLoading ? 'Loading…' : 'More'}
      </button>
    </div>
  );
}

/** The card beside, above or below one, by where they stand on the screen. */
function neighbour(cards: readonly HTMLElement[], from: number, key: string): HTMLElement | undefined {
  if (key === 'ArrowRight') return cards[from + 1];
  if (key === 'ArrowLeft') return cards[from - 1];
  if (key === 'Home') return cards[0];
  if (key === 'End') return cards.at(-1);
  if (key !== 'ArrowDown' && key !== 'ArrowUp') return undefined;
  const start = cards[from]!.getBoundingClientRect(); // from is the index of one of them.
  const isBeyond = ({ top }: DOMRect): boolean => (key === 'ArrowDown' ? top > start.top + 2 : top < start.top - 2);
  let best: { card: HTMLElement; row: number; column: number } | undefined;
  for (const card of cards) {
    const place = card.getBoundingClientRect();
    if (!isBeyond(place)) continue;
    const [row, column] = [Math.abs(place.top - start.top), Math.abs(place.left - start.left)];
    if (best === undefined || row < best.row - 2 || (row < best.row + 2 && column < best.column)) best = { card, row, column };
  }
  return best?.card;
}
