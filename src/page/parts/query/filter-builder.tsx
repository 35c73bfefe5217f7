import { useEffect, useState } from 'preact/hooks';
import {
  EMPTY_ROW,
  type FilterForm,
  type FilterRow,
  formatFilter,
  parseFilterForm,
  ROW_TESTS,
  type RowTest,
} from '../../state/query/filter-rows.js';
import { Button, IconButton } from '../button.js';
import { Form } from '../form.js';

type FilterBuilderProps = {
  readonly filter: string | undefined;
  /** Suggested fields. */
  readonly fields: readonly string[];
  readonly onChange: (filter: string | undefined) => void;
};

const TEST_LABELS: { readonly [test in RowTest]: string } = {
  is: 'is',
  isNot: 'is not',
  oneOf: 'is one of',
  atLeast: 'is at least',
  atMost: 'is at most',
  exists: 'exists',
  missing: 'does not exist',
};

/** The metadata filter as rows of field, test and value, or as JSON where rows cannot express it. */
export function FilterBuilder({ filter, fields, onChange }: FilterBuilderProps) {
  const [form, setForm] = useState<FilterForm | undefined>(() => parseFilterForm(filter));
  const [text, setText] = useState(filter ?? '');
  useEffect(() => {
    setText(filter ?? '');
    // Keeps incomplete rows, which are not part of the filter.
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
      <Form class="filter stack" onSubmit={() => onChange(text.trim() === '' ? undefined : text.trim())}>
        <div class="field">
          <label for="filter-text">Filter (JSON)</label>
          <textarea
            id="filter-text"
            class="input"
            rows={5}
            value={text}
            onInput={(event) => setText(event.currentTarget.value)}
          />
        </div>
        <div class="row">
          <Button look="small" type="submit">
            Apply
          </Button>
          <Button look="small plain" onClick={() => onChange(undefined)}>
            Remove
          </Button>
        </div>
      </Form>
    );
  }
  const { rows, join } = form;
  const replaced = (at: number, row: FilterRow): FilterForm => ({
    ...form,
    rows: rows.map((one, index) => (index === at ? row : one)),
  });
  return (
    <Form class="filter" onSubmit={() => apply(form)}>
      <div class="spread">
        <span class="small soft">Filter on metadata</span>
        {rows.length > 1 && (
          <span class="choices">
            {(['and', 'or'] as const).map((word) => (
              <button
                key={word}
                type="button"
                aria-pressed={join === word}
                onClick={() => apply({ ...form, join: word })}
              >
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
        // Rows are identified by position.
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
                {TEST_LABELS[test]}
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
          <IconButton
            icon="close"
            size={16}
            label="Remove this filter"
            onClick={() => apply({ ...form, rows: rows.filter((_, index) => index !== at) })}
          />
        </div>
      ))}
      <div class="row">
        <Button look="small plain" icon="plus" onClick={() => edit({ ...form, rows: [...rows, EMPTY_ROW] })}>
          Add filter
        </Button>
        {rows.length > 0 && (
          <button type="submit" class="visually-hidden" tabIndex={-1}>
            Apply
          </button>
        )}
      </div>
    </Form>
  );
}
