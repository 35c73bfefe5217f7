import { useState } from 'preact/hooks';
import type { SearchResult } from '../../client/client.js';
import type { Example } from '../state/page-address.js';
import { bandWord, scoreText, shortName, viewWord } from '../state/result-words.js';
import { STORED_TYPE } from '../state/use-incoming.js';
import { Icon } from './icons.js';
import { memo } from './memo.js';
import { Picture } from './picture.js';

/** What can be done with a card; the same for all of them. */
export type CardActions = {
  readonly open: (id: string) => void;
  readonly search: (example: Example) => void;
  readonly example: (side: 'like' | 'unlike', id: string) => void;
  readonly toggle: (id: string) => void;
  /** Address of the card's detail view, for a new tab. */
  readonly hrefOf: (id: string) => string;
};

type ResultCardProps = {
  readonly result: SearchResult;
  readonly isSelected: boolean;
  /** The one card of all that Tab stops at; arrows go on from there. */
  readonly isCurrent: boolean;
  readonly actions: CardActions;
  /** In sight from the start: its picture is not waited with until the card is laid out. */
  readonly isFirst: boolean;
};

/** A result: its picture first, below it a name and the score. Keys: Enter opens, S searches, M and L give examples, X selects. Among a thousand, only what changes is drawn anew. */
export const ResultCard = memo(Card);

function Card({ result, isSelected, isCurrent, actions, isFirst }: ResultCardProps) {
  const [isPointedAt, setIsPointedAt] = useState(false);
  const { id, score, folded = [] } = result;
  const band = bandWord(result);
  const view = viewWord(result.view);
  return (
    <li
      class={`card${isSelected ? ' selected' : ''}`}
      onPointerEnter={() => setIsPointedAt(true)}
      onPointerLeave={() => setIsPointedAt(false)}
    >
      <a
        class="card-open"
        href={actions.hrefOf(id)}
        data-card={id}
        tabIndex={isCurrent ? 0 : -1}
        title={id}
        draggable
        onDragStart={(event) => event.dataTransfer?.setData(STORED_TYPE, id)}
        onClick={(event) => {
          if (event.metaKey || event.ctrlKey || event.shiftKey) return;
          event.preventDefault();
          actions.open(id);
        }}
        onKeyDown={(event) => onCardKey(event, id, actions)}
      >
        <span class="tile">
          <Picture path={result.thumbnailUrl} alt={shortName(id)} eager={isFirst} />
          {folded.length > 0 && <span class="badge">+{folded.length} alike</span>}
          {view !== undefined && <span class="badge view">{view}</span>}
        </span>
        <span class="caption">
          <span class={`band ${band ?? ''}`}>{band ?? shortName(id)}</span>
          <span class="number score">
            <span class="heard">score </span>
            {scoreText(score)}
          </span>
        </span>
        <span class="meter" aria-hidden="true">
          <span style={{ width: `${Math.max(0, Math.min(1, score)) * 100}%` }} />
        </span>
      </a>
      <input
        type="checkbox"
        class="card-select"
        aria-label={`Select ${shortName(id)}`}
        tabIndex={-1}
        checked={isSelected}
        onChange={() => actions.toggle(id)}
      />
      {isPointedAt && <PointerActions id={id} actions={actions} />}
    </li>
  );
}

/** What the keys do, for the pointer: there only while it is over the card, since a thousand cards would have three thousand of them. */
function PointerActions({ id, actions }: { readonly id: string; readonly actions: CardActions }) {
  return (
    <span class="card-actions">
      <button
        type="button"
        tabIndex={-1}
        class="icon-button"
        aria-label={`Search with ${shortName(id)}`}
        title="Search with this (S)"
        onClick={() => actions.search({ kind: 'stored', id })}
      >
        <Icon name="search" size={16} />
      </button>
      <button
        type="button"
        tabIndex={-1}
        class="icon-button"
        aria-label={`More like ${shortName(id)}`}
        title="More like this (M)"
        onClick={() => actions.example('like', id)}
      >
        <Icon name="plus" size={16} />
      </button>
      <button
        type="button"
        tabIndex={-1}
        class="icon-button"
        aria-label={`Less like ${shortName(id)}`}
        title="Less like this (L)"
        onClick={() => actions.example('unlike', id)}
      >
        <Icon name="minus" size={16} />
      </button>
    </span>
  );
}

function onCardKey(event: KeyboardEvent, id: string, actions: CardActions): void {
  if (event.metaKey || event.ctrlKey || event.altKey) return;
  const key = event.key.toLowerCase();
  if (key === 's') actions.search({ kind: 'stored', id });
  else if (key === 'm') actions.example('like', id);
  else if (key === 'l') actions.example('unlike', id);
  else if (key === 'x' || key === ' ') actions.toggle(id);
  else return;
  event.preventDefault();
}
