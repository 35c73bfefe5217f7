import type { Metadata } from './catalogue.js';
import type { Filter, FilterScalar } from './filter.js';

/**
 * Whether a metadata object passes a filter: the filter language's specification in plain TypeScript. `filterToSql` must agree with it on
 * every input. Strings compare by their UTF-8 bytes (as SQLite does), numbers as doubles, values of different types never.
 */
export function matchesFilter(filter: Filter, metadata: Metadata): boolean {
  if ('and' in filter) return filter.and.every((part) => matchesFilter(part, metadata));
  if ('or' in filter) return filter.or.some((part) => matchesFilter(part, metadata));
  if ('not' in filter) return !matchesFilter(filter.not, metadata);
  const found = valueAt(metadata, filter.field.split('.'));
  if ('exists' in filter) return (found !== undefined) === filter.exists;
  const elements = found === undefined ? [] : Array.isArray(found.value) ? found.value : [found.value];
  if ('equals' in filter) return elements.some((element) => element === filter.equals);
  if ('in' in filter) return elements.some((element) => filter.in.includes(element as FilterScalar)); // includes only compares
  const { gt, gte, lt, lte } = filter.range;
  return elements.some(
    (element) =>
      (gt === undefined || order(element, gt) > 0) &&
      (gte === undefined || order(element, gte) >= 0) &&
      (lt === undefined || order(element, lt) < 0) &&
      (lte === undefined || order(element, lte) <= 0),
  );
}

/** Follows own keys of objects only: arrays have no named parts, and nothing inherited is metadata. */
function valueAt(metadata: Metadata, path: readonly string[]): { readonly value: unknown } | undefined {
  let value: unknown = metadata;
  for (const part of path) {
    if (typeof value !== 'object' || value === null || Array.isArray(value) || !Object.hasOwn(value, part)) return undefined;
    value = (value as Record<string, unknown>)[part]; // an object that owns this key
  }
  return { value };
}

/** Negative, 0 or positive as `element` lies before, at or after `bound`; NaN, which passes no comparison, where their types differ. */
function order(element: unknown, bound: string | number): number {
  if (typeof element === 'number' && typeof bound === 'number') return element < bound ? -1 : element > bound ? 1 : 0;
  if (typeof element === 'string' && typeof bound === 'string') return Buffer.compare(Buffer.from(element), Buffer.from(bound));
  return Number.NaN;
}
