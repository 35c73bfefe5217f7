import { SearchError } from '../../errors.js';

/** A scalar that metadata may hold and a filter may name. */
export type FilterScalar = string | number | boolean | null;

/**
 * The filter language. A field is a dotted path into the metadata (`shop.brand`); `\\.` is a dot within a key, `\\\\` a
 * backslash. A path leads through arrays to the objects in them, and an array of values matches where any element does.
 */
export type Filter =
  | { readonly and: readonly Filter[] }
  | { readonly or: readonly Filter[] }
  | { readonly not: Filter }
  | { readonly field: string; readonly equals: FilterScalar }
  | { readonly field: string; readonly in: readonly FilterScalar[] }
  | {
      readonly field: string;
      readonly range: { readonly gt?: Bound; readonly gte?: Bound; readonly lt?: Bound; readonly lte?: Bound };
    }
  | { readonly field: string; readonly exists: boolean };

type Bound = string | number;

/** Limits of one filter; beyond them INVALID_FILTER. */
export const FILTER_LIMITS = { depth: 8, nodes: 64, values: 1000, fieldLength: 256, stringLength: 1024 } as const;
/** Conditions of a filter times images of a collection; a filter beyond it is refused. */
const EVALUATIONS_MAX = 200_000_000;

/** Throws INVALID_FILTER where a filter has too many conditions for a collection of so many images. */
export function checkFilterCost(filter: Filter, images: number): void {
  const conditions = conditionsOf(filter);
  if (conditions * images <= EVALUATIONS_MAX) return;
  const most = Math.floor(EVALUATIONS_MAX / images);
  refuse('filter', `has ${conditions} conditions; for ${images} images it may have ${most}`);
}

/** Conditions on a field that a filter holds. */
function conditionsOf(filter: Filter): number {
  if ('and' in filter) return filter.and.reduce((sum, part) => sum + conditionsOf(part), 0);
  if ('or' in filter) return filter.or.reduce((sum, part) => sum + conditionsOf(part), 0);
  return 'not' in filter ? conditionsOf(filter.not) : 1;
}

const RANGE_KEYS = ['gt', 'gte', 'lt', 'lte'] as const;

/**
 * Parses JSON into a {@link Filter} of known keys only. Throws INVALID_FILTER that names the place
 * (`filter.and[1].range`), the fault and what is allowed.
 */
export function parseFilter(value: unknown): Filter {
  return parseNode(value, { place: 'filter', depth: 1 }, { nodes: 0, values: 0 });
}

type Position = { readonly place: string; readonly depth: number };
type Spent = { nodes: number; values: number };

function parseNode(value: unknown, { place, depth }: Position, spent: Spent): Filter {
  if (depth > FILTER_LIMITS.depth) refuse(place, `is nested deeper than ${FILTER_LIMITS.depth} levels`);
  if (++spent.nodes > FILTER_LIMITS.nodes)
    refuse(place, `is more than the ${FILTER_LIMITS.nodes} conditions that a filter may hold`);
  const node = parseObject(value, place);
  if ('and' in node || 'or' in node) {
    const key = 'and' in node ? 'and' : 'or';
    onlyKeys(node, [key], place);
    const children = parseArray(node[key], `${place}.${key}`).map((child, index) =>
      parseNode(child, { place: `${place}.${key}[${index}]`, depth: depth + 1 }, spent),
    );
    return key === 'and' ? { and: children } : { or: children };
  }
  if ('not' in node) {
    onlyKeys(node, ['not'], place);
    return { not: parseNode(node.not, { place: `${place}.not`, depth: depth + 1 }, spent) };
  }
  return parseCondition(node, place, spent);
}

function parseCondition(node: Record<string, unknown>, place: string, spent: Spent): Filter {
  const kinds = (['equals', 'in', 'range', 'exists'] as const).filter((kind) => kind in node);
  const kind = kinds[0];
  if (kind === undefined || kinds.length > 1 || !('field' in node)) {
    refuse(
      place,
      'must hold "and", "or", "not", or a "field" with exactly one of "equals", "in", "range" and "exists"',
    );
  }
  onlyKeys(node, ['field', kind], place);
  const field = parseField(node.field, `${place}.field`);
  const inner = `${place}.${kind}`;
  switch (kind) {
    case 'equals':
      return { field, equals: parseScalar(node.equals, inner, spent) };
    case 'in':
      return {
        field,
        in: parseArray(node.in, inner).map((item, index) => parseScalar(item, `${inner}[${index}]`, spent)),
      };
    case 'range':
      return { field, range: parseRange(node.range, inner, spent) };
    case 'exists':
      if (typeof node.exists !== 'boolean') refuse(inner, 'must be true or false');
      return { field, exists: node.exists };
  }
}

function parseField(value: unknown, place: string): string {
  if (typeof value !== 'string' || value === '') refuse(place, 'must be a dotted path such as "shop.brand"');
  if (value.length > FILTER_LIMITS.fieldLength) refuse(place, `is longer than ${FILTER_LIMITS.fieldLength} characters`);
  if (/[\p{Cc}\p{Cs}]/u.test(value)) refuse(place, 'must not contain control characters');
  if (/^(?:[^\\]|\\[.\\])*$/.exec(value) === null) refuse(place, 'has a backslash that is not part of "\\." or "\\\\"');
  if (fieldPath(value).includes(''))
    refuse(place, 'has an empty part between its dots; write a dot within a key as "\\."');
  return value;
}

/** The keys of a field, outermost first. */
export function fieldPath(field: string): string[] {
  const keys = [''];
  for (const [token] of field.matchAll(/\\[.\\]|\.|[^.\\]+/g)) {
    if (token === '.') keys.push('');
    else keys[keys.length - 1] += token.startsWith('\\') ? token.slice(1) : token;
  }
  return keys;
}

function parseScalar(value: unknown, place: string, spent: Spent): FilterScalar {
  if (++spent.values > FILTER_LIMITS.values)
    refuse(place, `is more than the ${FILTER_LIMITS.values} values that a filter may name`);
  if (value === null || typeof value === 'boolean') return value;
  return parseBound(value, place, 'a string, a finite number, true, false or null');
}

function parseBound(value: unknown, place: string, allowed: string): Bound {
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  if (typeof value !== 'string') refuse(place, `must be ${allowed}`);
  if (value.length > FILTER_LIMITS.stringLength)
    refuse(place, `is longer than ${FILTER_LIMITS.stringLength} characters`);
  if (/[\0\p{Cs}]/u.test(value)) refuse(place, 'must not contain U+0000 or half a surrogate pair');
  return value;
}

function parseRange(value: unknown, place: string, spent: Spent): { gt?: Bound; gte?: Bound; lt?: Bound; lte?: Bound } {
  const node = parseObject(value, place);
  onlyKeys(node, RANGE_KEYS, place);
  const range: { gt?: Bound; gte?: Bound; lt?: Bound; lte?: Bound } = {};
  const types = new Set<string>();
  for (const key of RANGE_KEYS) {
    if (node[key] === undefined) continue;
    if (++spent.values > FILTER_LIMITS.values)
      refuse(place, `is more than the ${FILTER_LIMITS.values} values that a filter may name`);
    range[key] = parseBound(node[key], `${place}.${key}`, 'a string or a finite number');
    types.add(typeof range[key]);
  }
  if (types.size === 0) refuse(place, 'must hold at least one of "gt", "gte", "lt" and "lte"');
  if (types.size > 1) refuse(place, 'mixes strings and numbers; all its bounds must be of one type');
  return range;
}

function parseObject(value: unknown, place: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) refuse(place, 'must be an object');
  return value as Record<string, unknown>; // any object can be read by string keys
}

function parseArray(value: unknown, place: string): unknown[] {
  if (!Array.isArray(value) || value.length === 0) refuse(place, 'must be an array that is not empty');
  if (value.length > FILTER_LIMITS.values) refuse(place, `holds more than ${FILTER_LIMITS.values} entries`);
  return value;
}

function onlyKeys(node: Record<string, unknown>, allowed: readonly string[], place: string): void {
  const stranger = Object.keys(node).find((key) => !allowed.includes(key));
  if (stranger !== undefined)
    refuse(place, `must not hold ${JSON.stringify(stranger.slice(0, 64))} beside ${allowed.join(', ')}`);
}

function refuse(place: string, fault: string): never {
  throw new SearchError('INVALID_FILTER', `${place} ${fault}.`);
}
