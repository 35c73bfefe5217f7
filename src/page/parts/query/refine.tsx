import { useEffect, useRef, useState } from 'preact/hooks';
import { fieldsOf, formatField } from '../../state/query/filter-rows.js';
import type { PageAddress } from '../../state/query/page-address.js';
import { useService } from '../../state/service.js';
import type { Search } from '../../state/use-search.js';
import { Icon } from '../icons.js';
import { FilterBuilder } from './filter-builder.js';

const PAGE_SIZES = [20, 40, 100, 200];
const SLIDER_DEBOUNCE_MS = 200;

/**
 * Search options: minimum score, page size, grouping, mirrored and rotated views, metadata filter. Collapsed on phones.
 */
export function Refine({ search }: { readonly search: Search }) {
  const { address, navigate } = useService();
  const { fold, mirror, turn, k, filter } = address;
  const change = (part: Partial<PageAddress>): void =>
    navigate((now) => ({ ...now, ...part, open: undefined }), { replace: true });
  const isOne = address.like.length === 1 && address.unlike.length === 0;
  const isDesktop = useRef(matchMedia('(min-width: 56rem)').matches).current;
  return (
    <details class="refine" open={isDesktop}>
      <summary>
        Refine
        <Icon name="down" size={18} />
      </summary>
      <div class="stack">
        <ScoreSlider value={address.minScore} onChange={(minScore) => change({ minScore })} />
        <div>
          <Switch label="Group near-duplicates" isOn={fold} onChange={(isOn) => change({ fold: isOn })} />
          <Switch
            label="Include mirrored"
            isOn={mirror}
            isDisabled={!isOne}
            onChange={(isOn) => change({ mirror: isOn })}
          />
          <Switch label="Include rotated" isOn={turn} isDisabled={!isOne} onChange={(isOn) => change({ turn: isOn })} />
          {!isOne && <p class="small soft">Mirrored and rotated views need a single query picture.</p>}
        </div>
        <div class="field">
          <label for="page-size">Results per page</label>
          <select
            id="page-size"
            class="select"
            value={String(k)}
            onChange={(event) => change({ k: Number(event.currentTarget.value) })}
          >
            {[...new Set([...PAGE_SIZES, k])]
              .sort((a, b) => a - b)
              .map((size) => (
                <option key={size} value={String(size)}>
                  {size}
                </option>
              ))}
          </select>
        </div>
        <FilterBuilder
          filter={filter}
          fields={fieldsOf(search.results.map(({ metadata }) => metadata)).map(formatField)}
          onChange={(next) => navigate((now) => ({ ...now, filter: next, open: undefined }))}
        />
      </div>
    </details>
  );
}

/** The minimum score, off to 1. Searches when the slider rests. */
function ScoreSlider({
  value,
  onChange,
}: {
  readonly value: number | undefined;
  readonly onChange: (value: number | undefined) => void;
}) {
  const [shown, setShown] = useState(value ?? 0);
  const timer = useRef<number>(undefined);
  useEffect(() => setShown(value ?? 0), [value]);
  const label = shown <= 0 ? 'off' : shown.toFixed(2);
  return (
    <div class="field">
      <label for="minimum-score" class="spread">
        Minimum score <output class="number">{label}</output>
      </label>
      <input
        id="minimum-score"
        type="range"
        min="0"
        max="1"
        step="0.01"
        value={shown}
        aria-valuetext={label}
        onInput={(event) => {
          const next = Number(event.currentTarget.value);
          setShown(next);
          clearTimeout(timer.current);
          timer.current = window.setTimeout(() => onChange(next <= 0 ? undefined : next), SLIDER_DEBOUNCE_MS);
        }}
      />
    </div>
  );
}

type SwitchProps = {
  readonly label: string;
  readonly isOn: boolean;
  readonly isDisabled?: boolean;
  readonly onChange: (isOn: boolean) => void;
};

function Switch({ label, isOn, isDisabled = false, onChange }: SwitchProps) {
  return (
    <label class="switch">
      {label}
      <input
        type="checkbox"
        checked={isOn && !isDisabled}
        disabled={isDisabled}
        onChange={(event) => onChange(event.currentTarget.checked)}
      />
    </label>
  );
}
