import type { RegionPair } from '../../client/client.js';

/** Most pairs that are drawn: more would hide the picture. */
const MOST_PAIRS = 5;

type RegionBoxesProps = {
  readonly pairs: readonly RegionPair[];
  readonly side: 'a' | 'b';
  readonly current: number | undefined;
  readonly onCurrent: (pair: number | undefined) => void;
};

/** The parts that match, drawn over one of the two pictures; the same number and colour mark them on the other. */
export function RegionBoxes({ pairs, side, current, onCurrent }: RegionBoxesProps) {
  return (
    <span class="regions" aria-hidden="true">
      {pairs.slice(0, MOST_PAIRS).map((pair, at) => {
        const { x, y, width, height } = pair[side];
        const percent = (value: number): string => `${value * 100}%`;
        return (
          // It only lights its counterpart up; the list beside tells the same in words.
          <span
            // Pairs have no name but their rank.
            key={at}
            class={`region pair-${at + 1}${current === at ? ' current' : ''}`}
            style={{ left: percent(x), top: percent(y), width: percent(width), height: percent(height) }}
            onPointerEnter={() => onCurrent(at)}
            onPointerLeave={() => onCurrent(undefined)}
          >
            <b>{at + 1}</b>
          </span>
        );
      })}
    </span>
  );
}
