/** The metadata filter as rows of a form and as JSON (docs/api.md). Pure. */

/** The tests of a row. */
export const ROW_TESTS = ['is', 'isNot', 'oneOf', 'atLeast', 'atMost', 'exists', 'missing'] as const;
/** One of {@link ROW_TESTS}. */
export type RowTest = (typeof ROW_TESTS)[number];
/** One condition. `field` is a dotted metadata path; `value` is the typed text. */
export type FilterRow = { readonly field: string; readonly test: RowTest; readonly value: string };
/** Conditions, joined by and / or. */
export type FilterForm = { readonly join: 'and' | 'or'; readonly rows: readonly FilterRow[] };

type Scalar = string | number | boolean | null;

/** A form without conditions. */
export const NO_FILTER: FilterForm = { join: 'and', rows: [] };
/** A new, empty row. */
export const EMPTY_ROW: FilterRow = { field: '', test: 'is', value: '' };

/** The filter as JSON text; undefined where no row is complete. */
export function formatFilter({ join, rows }: FilterForm): string | undefined {
  const conditions = rows.filter(isComplete).map(toCondition);
  if (conditions.length === 0) return undefined;
  return JSON.stringify(conditions.length === 1 ? conditions[0] : { [join]: conditions });
}

/** Inverse of {@link formatFilter}; undefined where rows cannot express the filter, which is then edited as JSON. */
export function parseFilterForm(text: string | undefined): FilterForm | undefined {
  if (text === undefined) return NO_FILTER;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const node = value as { and?: unknown; or?: unknown } | null;
  const join = node !== null && typeof node === 'object' && Array.isArray(node.or) ? 'or' : 'and';
  const parts =
    node !== null && typeof node === 'object' && Array.isArray(node[join]) ? (node[join] as unknown[]) : [value];
  const rows = parts.map(toRow);
  const form = { join, rows: rows.filter((row) => row !== undefined) } as const;
  // Rows express the filter only if they format back to it.
  return rows.includes(undefined) || formatFilter(form) !== JSON.stringify(value) ? undefined : form;
}

/** True where field and value are filled in. */
function isComplete({ field, test, value }: FilterRow): boolean {
  return field.trim() !== '' && (test === 'exists' || test === 'missing' || value.trim() !== '');
}

/** A field of metadata: its keys from the outside in. */
export type FieldPath = readonly string[];

/** Fields of the metadata of some results, most frequent first. */
export function fieldsOf(metadata: Iterable<{ readonly [key: string]: unknown }>): readonly FieldPath[] {
  const counts = new Map<string, { readonly path: FieldPath; readonly count: number }>();
  const visit = (value: unknown, path: FieldPath): void => {
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      for (const [key, inner] of Object.entries(value)) visit(inner, [...path, key]);
    } else if (path.length > 0) {
      const name = formatField(path);
      counts.set(name, { path, count: (counts.get(name)?.count ?? 0) + 1 });
    }
  };
  for (const one of metadata) visit(one, []);
  return [...counts]
    .sort(([a, { count: first }], [b, { count: second }]) => second - first || (a < b ? -1 : 1))
    .map(([, { path }]) => path);
}

/** A field as filters name it: keys joined by dots, a dot or backslash within a key escaped (docs/api.md). */
export function formatField(path: FieldPath): string {
  return path.map((key) => key.replace(/[\\.]/g, '\\$&')).join('.');
}

function toCondition({ field: typed, test, value }: FilterRow): unknown {
  const field = typed.trim();
  if (test === 'is') return { field, equals: toScalar(value) };
  if (test === 'isNot') return { not: { field, equals: toScalar(value) } };
  if (test === 'oneOf') return { field, in: splitList(value).map(toScalar) };
  if (test === 'atLeast') return { field, range: { gte: toBound(value) } };
  if (test === 'atMost') return { field, range: { lte: toBound(value) } };
  return { field, exists: test === 'exists' };
}

function toRow(condition: unknown): FilterRow | undefined {
  if (typeof condition !== 'object' || condition === null) return undefined;
  const { field, equals, in: values, range, exists, not } = condition as { [key: string]: unknown };
  if (not !== undefined) {
    const inner = toRow(not);
    return inner?.test === 'is' ? { ...inner, test: 'isNot' } : undefined;
  }
  if (typeof field !== 'string') return undefined;
  if (isScalar(equals)) return { field, test: 'is', value: toText(equals) };
  if (Array.isArray(values))
    return { field, test: 'oneOf', value: values.map((one) => toText(one as Scalar)).join(', ') };
  if (typeof exists === 'boolean') return { field, test: exists ? 'exists' : 'missing', value: '' };
  const { gte, lte } = (range ?? {}) as { gte?: Scalar; lte?: Scalar };
  if (gte !== undefined) return { field, test: 'atLeast', value: toText(gte) };
  return lte === undefined ? undefined : { field, test: 'atMost', value: toText(lte) };
}

/** 12, true and null are parsed; "12" in quotes is text. */
function toScalar(typed: string): Scalar {
  const text = typed.trim();
  if (text === 'true' || text === 'false') return text === 'true';
  if (text === 'null') return null;
  if (/^".*"$/s.test(text)) {
    try {
      return JSON.parse(text) as string; // A quoted string, or invalid JSON.
    } catch {
      return text;
    }
  }
  return /^-?\d+(\.\d+)?([eE][+-]?\d+)?$/.test(text) ? Number(text) : text;
}

function toBound(typed: string): string | number {
  const value = toScalar(typed);
  return typeof value === 'number' ? value : typeof value === 'string' ? value : typed.trim();
}

/** Text that {@link toScalar} parses as this value. */
function toText(value: Scalar): string {
  if (typeof value !== 'string') return String(value);
  const isPlain = toScalar(value) === value && value === value.trim() && !/[",]/.test(value);
  return isPlain ? value : JSON.stringify(value);
}

/** Splits at commas outside quotes. */
function splitList(text: string): readonly string[] {
  return (text.match(/\s*"(?:[^"\\]|\\.)*"\s*|[^,]+/g) ?? []).map((part) => part.trim()).filter((part) => part !== '');
}

function isScalar(value: unknown): value is Scalar {
  return value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}
