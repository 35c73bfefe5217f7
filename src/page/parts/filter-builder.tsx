import { useEffect, useState } from 'preact/hooks';
import {
  EMPTY_ROW,
  type FilterForm,
  type FilterRow,
  formatFilter,
  parseFilterForm,
  ROW_TESTS,
  type RowTest,
} from '../state/filter-rows.js';
import { Icon } from './icons.js';

type FilterBuilderProps = {
  readonly filter: string | undefined;
  /** Fields that the results have, to suggest. */
  readonly fields: readonly string[];
  readonly onChange: (filter: string | undefined) => void;
};

const TEST_WORDS: { readonly [test in RowTest]: string } = {
  is: 'is',
  isNot: 'is not',
  oneOf: 'is one of',
  atLeast: 'is at least',
  atMost: 'is at most',
  exists: 'is there',
  missing: 'is not there',
};

/** The metadata filter as rows of field, test and value; one that says more than rows can is edited as the JSON it is. */
export function FilterBuilder({ filter, fields, onChange }: FilterBuilderProps) {
  const [form, setForm] = useState<FilterForm | undefined>(() => parseFilterForm(filter));
  const [text, setText] = useState(filter ?? '');
  useEffect(() => {
    setText(filter ?? '');
    // Rows that are not complete yet say nothing in the filter, and stay.
    setForm((now) => (now !== undefined && formatFilter(now) === filter ? now : parseFilterForm(filter)));
  }, [filter]);
  const edit = (next: FilterForm): void => setForm(next);
  const apply = (next: FilterForm): void => {
    setForm(next);
    const formatted = formatFilter(next);
    if (formatted !== filter) onChange(formatted);
  };
  if (form === undefined) {
    return (
      <form
        class="filter stack"
        onSubmit={(event) => {
          event.preventDefault();
          onChange(text.trim() === '' ? undefined : text.trim());
        }}
      >
        <div class="field">
          <label for="filter-text">Filter (JSON)</label>
          <textarea id="filter-text" class="input" rows={5} value={text} onInput={(event) => setText(event.currentTarget.value)} />
        </div>
        <div class="row">
          <button type="submit" class="button small">
            Apply
          </button>
          <button type="button" class="button small plain" onClick={() => onChange(undefined)}>
            Remove
          </button>
        </div>
      </form>
    );
  }
  const { rows, join } = form;
  const replaced = (at: number, row: FilterRow): FilterForm => ({ ...form, rows: rows.map((one, index) => (index === at ? row : one)) });
  return (
    <form
      class="filter"
      onSubmit={(event) => {
        event.preventDefault();
        apply(form);
      }}
    >
      <div class="spread">
        <span class="small soft">Filter on metadata</span>
        {rows.length > 1 && (
          <span class="choices">
            {(['and', 'or'] as const).map((word) => (
              <button key={word} type="button" aria-pressed={join === word} onClick={() => apply({ ...form, join: word })}>
                {word === 'and' ? 'all' : 'any'}
              </button>
            ))}
          </span>
        )}
      </div>
      <datalist id="filter-fields">
        {fields.map((field) => (
          <option key={field} value={field} />
        ))}
      </datalist>
      {rows.map((row, at) => (
        // A row is what stands at its place; it has no other name.
        <div class="filter-row" key={at}>
          <input
            class="input"
            aria-label="Field"
            placeholder="field"
            list="filter-fields"
            value={row.field}
            onInput={(event) => edit(replaced(at, { ...row, field: event.currentTarget.value }))}
            onChange={(event) => apply(replaced(at, { ...row, field: event.currentTarget.value }))}
          />
          <select
            class="select"
            aria-label="Test"
            value={row.test}
            onChange={(event) => apply(replaced(at, { ...row, test: event.currentTarget.value as RowTest }))}
          >
            {ROW_TESTS.map((test) => (
              <option key={test} value={test}>
                {TEST_WORDS[test]}
              </option>
            ))}
          </select>
          {row.test !== 'exists' && row.test !== 'missing' && (
            <input
              class="input"
              aria-label="Value"
              placeholder={row.test === 'oneOf' ? 'red, blue' : 'value'}
              value={row.value}
              onInput={(event) => edit(replaced(at, { ...row, value: event.currentTarget.value }))}
              onChange={(event) => apply(replaced(at, { ...row, value: event.currentTarget.value }))}
            />
          )}
          <button
            type="button"
            class="icon-button"
            aria-label="Remove this condition"
            onClick={() => apply({ ...form, rows: rows.filter((_, index) => index !== at) })}
          >
            <Icon name="close" size={16} />
          </button>
        </div>
      ))}
      <div class="row">
        <button type="button" class="button small plain" onClick={() => edit({ ...form, rows: [...rows, EMPTY_ROW] })}>
          <Icon name="plus" size={16} />
          Condition
        </button>
        {rows.length > 0 && (
          <button type="submit" class="heard" tabIndex={-1}>
            Apply
          </button>
        )}
      </div>
    </form>
  );
}
