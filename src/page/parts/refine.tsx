import { useEffect, useRef, useState } from 'preact/hooks';
import { fieldsOf } from '../state/filter-rows.js';
import type { PageAddress } from '../state/page-address.js';
import { useService } from '../state/service.js';
import type { Search } from '../state/use-search.js';
import { FilterBuilder } from './filter-builder.js';
import { Icon } from './icons.js';

const PAGE_SIZES = [20, 40, 100, 200];
const SLIDER_REST_MS = 200;

/** What narrows a search: least score, size of a page, copies folded, flips and turns, a filter on metadata. Folded away on a phone. */
export function Refine({ search }: { readonly search: Search }) {
  const { address, navigate } = useService();
  const { fold, mirror, turn, k, filter } = address;
  const change = (part: Partial<PageAddress>): void => navigate((now) => ({ ...now, ...part, open: undefined }), { replace: true });
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
          <Switch label="Fold near-duplicates" isOn={fold} onChange={(isOn) => change({ fold: isOn })} />
          <Switch label="Also mirrored" isOn={mirror} isDisabled={!isOne} onChange={(isOn) => change({ mirror: isOn })} />
          <Switch label="Also turned" isOn={turn} isDisabled={!isOne} onChange={(isOn) => change({ turn: isOn })} />
          {!isOne && <p class="small soft">Mirrored and turned need a single picture.</p>}
        </div>
        <div class="field">
          <label for="page-size">Results at once</label>
          <select id="page-size" class="select" value={String(k)} onChange={(event) => change({ k: Number(event.currentTarget.value) })}>
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
          fields={fieldsOf(search.results.map(({ metadata }) => metadata))}
          onChange={(next) => navigate((now) => ({ ...now, filter: next, open: undefined }))}
        />
      </div>
    </details>
  );
}

/** The least score, from any to 1. It shows each step at once and asks when it rests. */
function ScoreSlider({ value, onChange }: { readonly value: number | undefined; readonly onChange: (value: number | undefined) => void }) {
  const [shown, setShown] = useState(value ?? 0);
  const rest = useRef<number>(undefined);
  useEffect(() => setShown(value ?? 0), [value]);
  const words = shown <= 0 ? 'any' : shown.toFixed(2);
  return (
    <div class="field">
      <label for="least-score" class="spread">
        Least score <output class="number">{words}</output>
      </label>
      <input
        id="least-score"
        type="range"
        min="0"
        max="1"
        step="0.01"
        value={shown}
        aria-valuetext={words}
        onInput={(event) => {
          const next = Number(event.currentTarget.value);
          setShown(next);
          clearTimeout(rest.current);
          rest.current = window.setTimeout(() => onChange(next <= 0 ? undefined : next), SLIDER_REST_MS);
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

/** On or off. */
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
