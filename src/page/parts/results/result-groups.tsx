import { useEffect, useRef, useState } from 'preact/hooks';
import type { SearchResult } from '../../../client/client.js';
import { GROUPS, groupOf } from '../../state/result-messages.js';
import { Button } from '../button.js';
import { type CardActions, isTextField, ResultCard, runCardKey } from './result-card.js';

/** Pictures loaded at once: about one large screen. */
const EAGER_COUNT = 24;
/** Groups of at most this size share a row with the next such group: most pictures have few copies. */
const ROW_SHARE_MAX = 2;

type ResultGroupsProps = {
  readonly results: readonly SearchResult[];
  readonly selected: ReadonlySet<string>;
  readonly actions: CardActions;
  readonly hasMore: boolean;
  readonly isLoadingMore: boolean;
  readonly loadMore: () => void;
  readonly isWeakerShown: boolean;
  readonly showWeaker: () => void;
};

/**
 * The results in groups; weaker matches after a button. Loads more while scrolling. Arrow keys move from card to card,
 * across groups.
 */
export function ResultGroups({
  results,
  selected,
  actions,
  hasMore,
  isLoadingMore,
  loadMore,
  isWeakerShown,
  showWeaker,
}: ResultGroupsProps) {
  const grid = useRef<HTMLDivElement>(null);
  const [currentId, setCurrentId] = useState<string>();
  const first = new Set(results.slice(0, EAGER_COUNT).map(({ id }) => id));
  const weaker = results.filter((result) => groupOf(result) === 'weaker');
  const isFolded = weaker.length > 0 && !isWeakerShown;
  const visible = isFolded ? results.filter((result) => groupOf(result) !== 'weaker') : results;
  const current = visible.some(({ id }) => id === currentId) ? currentId : visible[0]?.id;
  useWindowKeys((event) => {
    if (isTextField(event.target) || document.querySelector('dialog[open]') !== null || current === undefined) return;
    if (event.defaultPrevented || event.metaKey || event.ctrlKey || event.altKey) return;
    const cards = [...(grid.current?.querySelectorAll<HTMLElement>('[data-card]') ?? [])];
    const from = cards.indexOf(document.activeElement as HTMLElement); // -1 unless a card has the focus.;
    if (runCardKey(event, current, actions)) return;
    if (event.key === ' ' && from >= 0) {
      event.preventDefault();
      return actions.toggle(current);
    }
    // The first arrow key focuses the current card; later ones move on.
    const isArrow = event.key.startsWith('Arrow');
    const to = from >= 0 ? neighbour(cards, from, event.key) : isArrow ? cardOf(cards, current) : undefined;
    if (to === undefined) return;
    event.preventDefault();
    setCurrentId(to.dataset.card);
    to.focus();
    to.scrollIntoView({ block: 'nearest' });
  });
  const cards = (group: readonly SearchResult[]) => (
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
  );
  const sectionOf = ({ group, title, label, explanation }: (typeof GROUPS)[number]) => {
    const members = results.filter((result) => groupOf(result) === group);
    if (members.length === 0) return null;
    return (
      <section
        class={`group ${group}${members.length <= ROW_SHARE_MAX ? ' few' : ''}`}
        key={group}
        aria-labelledby={`group-${group}`}
      >
        <h2 id={`group-${group}`} title={`${label}: ${explanation}`}>
          <span class="dot" aria-hidden="true" />
          {title}
          <span class="count number">{members.length}</span>
        </h2>
        {cards(members)}
      </section>
    );
  };
  return (
    <div
      class="groups"
      ref={grid}
      onFocusIn={(event) => setCurrentId((event.target as HTMLElement).dataset.card ?? currentId)}
    >
      {/* Similar pictures are outside the rows of copies: nested grids lay out a thousand cards twice. */}
      <div class="copies">{GROUPS.filter(({ group }) => group !== 'similar').map(sectionOf)}</div>
      {GROUPS.filter(({ group }) => group === 'similar').map(sectionOf)}
      {isFolded && (
        <div class="more">
          {visible.length === 0 && <p class="soft">No copies and no similar pictures were found.</p>}
          <Button onClick={showWeaker}>
            Show {weaker.length}
            {hasMore ? '+' : ''} weaker {weaker.length === 1 ? 'match' : 'matches'}
          </Button>
        </div>
      )}
      {weaker.length > 0 && isWeakerShown && (
        <section class="group weaker" aria-labelledby="group-weaker">
          <h2 id="group-weaker" title="No more alike than pictures are by chance">
            <span class="dot" aria-hidden="true" />
            Weaker matches
            <span class="count number">{weaker.length}</span>
          </h2>
          {cards(weaker)}
        </section>
      )}
      {hasMore && !isFolded && <MoreResults isLoading={isLoadingMore} loadMore={loadMore} />}
    </div>
  );
}

/** Loads the next page shortly before its place scrolls into view; the button is for keyboards and screen readers. */
export function MoreResults({ isLoading, loadMore }: { readonly isLoading: boolean; readonly loadMore: () => void }) {
  const end = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (end.current === null) return;
    const observer = new IntersectionObserver(
      (entries) => entries.some(({ isIntersecting }) => isIntersecting) && loadMore(),
      { rootMargin: '900px 0px' },
    );
    observer.observe(end.current);
    return () => observer.disconnect();
  }, [loadMore]);
  return (
    <div class="more" ref={end}>
      <Button disabled={isLoading} onClick={loadMore}>
        {isLoading ? 'Loading…' : 'More'}
      </Button>
    </div>
  );
}

/** Handles keys of the whole window while the component is mounted. */
export function useWindowKeys(handle: (event: KeyboardEvent) => void): void {
  const latest = useRef(handle);
  latest.current = handle;
  useEffect(() => {
    const press = (event: KeyboardEvent): void => latest.current(event);
    addEventListener('keydown', press);
    return () => removeEventListener('keydown', press);
  }, []);
}

function cardOf(cards: readonly HTMLElement[], id: string): HTMLElement | undefined {
  return cards.find(({ dataset }) => dataset.card === id);
}

/** The next card in the direction of a key, by position on the screen. */
function neighbour(cards: readonly HTMLElement[], from: number, key: string): HTMLElement | undefined {
  if (key === 'ArrowRight') return cards[from + 1];
  if (key === 'ArrowLeft') return cards[from - 1];
  if (key === 'Home') return cards[0];
  if (key === 'End') return cards.at(-1);
  if (key !== 'ArrowDown' && key !== 'ArrowUp') return undefined;
  const start = cards[from]!.getBoundingClientRect(); // from is an index of cards.
  const isBeyond = ({ top }: DOMRect): boolean => (key === 'ArrowDown' ? top > start.top + 2 : top < start.top - 2);
  let best: { card: HTMLElement; row: number; column: number } | undefined;
  for (const card of cards) {
    const place = card.getBoundingClientRect();
    if (!isBeyond(place)) continue;
    const [row, column] = [Math.abs(place.top - start.top), Math.abs(place.left - start.left)];
    if (best === undefined || row < best.row - 2 || (row < best.row + 2 && column < best.column))
      best = { card, row, column };
  }
  return best?.card;
}
