import { Component, type FunctionComponent } from 'preact';
import { useState } from 'preact/hooks';
import type { SearchResult } from '../../../client/client.js';
import type { Example } from '../../state/query/page-address.js';
import { STORED_TYPE } from '../../state/query/use-incoming.js';
import { displayName, GROUPS, groupOf, scoreText, viewText } from '../../state/result-messages.js';
import { IconButton } from '../button.js';
import { Link } from '../link.js';
import { Picture } from '../picture.js';

/** Actions of a card, shared by all cards. */
export type CardActions = {
  readonly open: (id: string) => void;
  readonly search: (example: Example) => void;
  readonly example: (side: 'like' | 'unlike', id: string) => void;
  readonly toggle: (id: string) => void;
  /** URL of the detail view, for a new tab. */
  readonly hrefOf: (id: string) => string;
};

type ResultCardProps = {
  readonly result: SearchResult;
  readonly isSelected: boolean;
  /** The one card in the tab order; arrow keys move on from it. */
  readonly isCurrent: boolean;
  readonly actions: CardActions;
  /** Visible at first: its picture is loaded at once. */
  readonly isFirst: boolean;
};

/**
 * A result: picture, name and score. Keys: Enter opens, S searches, M and L add it as an example, X selects.
 * Re-rendered only on changed properties.
 */
export const ResultCard = memo(Card);

function Card({ result, isSelected, isCurrent, actions, isFirst }: ResultCardProps) {
  const [isPointedAt, setIsPointedAt] = useState(false);
  const { id, score, folded = [] } = result;
  const name = displayName(result);
  const kind = GROUPS.find(({ group }) => group === groupOf(result))?.label ?? 'weaker match';
  const view = viewText(result.view);
  return (
    <li
      class={`card${isSelected ? ' selected' : ''}`}
      onPointerEnter={() => setIsPointedAt(true)}
      onPointerLeave={() => setIsPointedAt(false)}
    >
      <Link
        class="card-open"
        href={actions.hrefOf(id)}
        data-card={id}
        tabIndex={isCurrent ? 0 : -1}
        title={name}
        draggable
        onDragStart={(event) => event.dataTransfer?.setData(STORED_TYPE, id)}
        follow={() => actions.open(id)}
      >
        <span class="tile">
          <Picture path={result.thumbnailUrl} alt={name} eager={isFirst} />
          {folded.length > 0 && (
            <span class="badge" title={`${folded.length} near-duplicates in this group`}>
              +{folded.length}
              <span class="visually-hidden"> near-duplicates</span>
            </span>
          )}
          {view !== undefined && <span class="badge view">{view}</span>}
        </span>
        <span class="caption">
          <span class="name" aria-hidden="true">
            {name}
          </span>
          <span class="number score">
            <span class="visually-hidden">, {kind}, score </span>
            {scoreText(score)}
          </span>
        </span>
        <span class="meter" aria-hidden="true">
          <span style={{ width: `${Math.max(0, Math.min(1, score)) * 100}%` }} />
        </span>
      </Link>
      <input
        type="checkbox"
        class="card-select"
        aria-label={`Select ${name}`}
        tabIndex={-1}
        checked={isSelected}
        onChange={() => actions.toggle(id)}
      />
      {isPointedAt && <PointerActions id={id} name={name} actions={actions} />}
    </li>
  );
}

/** Buttons for what the keys do; rendered only while the pointer is over the card. */
function PointerActions({
  id,
  name,
  actions,
}: {
  readonly id: string;
  readonly name: string;
  readonly actions: CardActions;
}) {
  const buttons = [
    { icon: 'search', verb: 'Search with', key: 'S', run: () => actions.search({ kind: 'stored', id }) },
    { icon: 'plus', verb: 'More like', key: 'M', run: () => actions.example('like', id) },
    { icon: 'minus', verb: 'Less like', key: 'L', run: () => actions.example('unlike', id) },
  ] as const;
  return (
    <span class="card-actions">
      {buttons.map(({ icon, verb, key, run }) => (
        <IconButton
          key={key}
          icon={icon}
          size={16}
          tabIndex={-1}
          label={`${verb} ${name}`}
          title={`${verb} this (${key})`}
          onClick={run}
        />
      ))}
    </span>
  );
}

/** Runs the action of a key on an image: S, M, L or X. False for other keys. */
export function runCardKey(event: KeyboardEvent, id: string, actions: CardActions): boolean {
  if (event.metaKey || event.ctrlKey || event.altKey) return false;
  const key = event.key.toLowerCase();
  if (key === 's') actions.search({ kind: 'stored', id });
  else if (key === 'm') actions.example('like', id);
  else if (key === 'l') actions.example('unlike', id);
  else if (key === 'x') actions.toggle(id);
  else return false;
  event.preventDefault();
  return true;
}

/** True where letters and arrow keys belong to the element: text, select and range inputs. */
export function isTextField(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  return target.closest('input:not([type="checkbox"], [type="file"]), textarea, select, [contenteditable]') !== null;
}

/** A component that is re-rendered only if one of its properties changes, for long lists. */
function memo<Properties extends object>(Part: FunctionComponent<Properties>) {
  return class Memo extends Component<Properties> {
    override shouldComponentUpdate(next: Properties): boolean {
      const names = Object.keys({ ...this.props, ...next }) as (keyof Properties)[]; // Keys of these two objects.
      return names.some((name) => next[name] !== (this.props as Properties)[name]);
    }

    override render() {
      return <Part {...(this.props as Properties)} />; // this.props adds children, which cards do not have.
    }
  };
}
