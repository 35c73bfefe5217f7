import type { Metadata } from '../catalogue.js';
import { isObject } from '../records/metadata.js';
import { type Filter, type FilterScalar, fieldPath } from './filter.js';

/** Whether one record's metadata pass. */
export type Predicate = (metadata: Metadata) => boolean;

/**
 * Compiles a filter into a predicate that reads each field of a record at most once, however many conditions name it.
 * Strings compare by their UTF-8 bytes, numbers as doubles, values of different types never. Not reentrant: the
 * predicate holds the current record.
 */
export function compileFilter(filter: Filter): Predicate {
  let metadata: Metadata = {};
  let record = 0;
  const fields = new Map<string, () => FieldValue>();
  const reader = (field: string): (() => FieldValue) => {
    const known = fields.get(field);
    if (known !== undefined) return known;
    const path = fieldPath(field);
    let value: FieldValue = MISSING;
    let readFor = -1;
    const read = (): FieldValue => {
      if (readFor !== record) {
        value = valueAt(metadata, path);
        readFor = record;
      }
      return value;
    };
    fields.set(field, read);
    return read;
  };
  const passes = compileNode(filter, reader);
  return (next) => {
    metadata = next;
    record++;
    return passes();
  };
}

/** What a record has in one field: its elements are those of an array, or the value alone. */
type FieldValue = { readonly exists: boolean; readonly elements: readonly unknown[] };

const MISSING: FieldValue = { exists: false, elements: [] };

function compileNode(filter: Filter, reader: (field: string) => () => FieldValue): () => boolean {
  if ('and' in filter) {
    const parts = filter.and.map((part) => compileNode(part, reader));
    return () => parts.every((passes) => passes());
  }
  if ('or' in filter) {
    const parts = filter.or.map((part) => compileNode(part, reader));
    return () => parts.some((passes) => passes());
  }
  if ('not' in filter) {
    const passes = compileNode(filter.not, reader);
    return () => !passes();
  }
  const read = reader(filter.field);
  if ('exists' in filter) return () => read().exists === filter.exists;
  if ('equals' in filter) return () => read().elements.includes(filter.equals);
  if ('in' in filter) {
    const wanted = new Set<unknown>(filter.in satisfies readonly FilterScalar[]);
    return () => read().elements.some((element) => wanted.has(element));
  }
  const { gt, gte, lt, lte } = filter.range;
  const isWithin = (element: unknown): boolean =>
    (gt === undefined || order(element, gt) > 0) &&
    (gte === undefined || order(element, gte) >= 0) &&
    (lt === undefined || order(element, lt) < 0) &&
    (lte === undefined || order(element, lte) <= 0);
  return () => read().elements.some(isWithin);
}

/** Follows own keys of objects (inherited properties are no metadata), and of all objects in an array. */
function valueAt(metadata: Metadata, path: readonly string[]): FieldValue {
  let value: unknown = metadata;
  for (const [at, key] of path.entries()) {
    if (Array.isArray(value)) {
      const found = value.filter(isObject).map((each) => valueAt(each, path.slice(at)));
      return { exists: found.some(({ exists }) => exists), elements: found.flatMap(({ elements }) => elements) };
    }
    if (!isObject(value) || !Object.hasOwn(value, key)) return MISSING;
    value = value[key];
  }
  return { exists: true, elements: Array.isArray(value) ? value : [value] };
}

/**
 * Negative, 0 or positive as `element` lies before, at or after `bound`; NaN, which passes no comparison, where their
 * types differ.
 */
function order(element: unknown, bound: string | number): number {
  if (typeof element === 'number' && typeof bound === 'number') return element < bound ? -1 : element > bound ? 1 : 0;
  if (typeof element === 'string' && typeof bound === 'string')
    return Buffer.compare(Buffer.from(element), Buffer.from(bound));
  return Number.NaN;
}
