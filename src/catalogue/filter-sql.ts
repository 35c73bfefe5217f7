import type { Filter, FilterScalar } from './filter.js';

/** A boolean SQL expression (1 or 0, never NULL) and the values to bind to its `?`, in order. Callers' words are in `values` only. */
export type SqlCondition = { readonly sql: string; readonly values: readonly (string | number)[] };

/**
 * Compiles a filter to SQLite's JSON functions on `column`, which holds the metadata as JSON text. It answers exactly as `matchesFilter` does;
 * a property test holds the two together. `column` is ours, never a caller's.
 */
export function filterToSql(filter: Filter, column: string): SqlCondition {
  if ('and' in filter) return joined(filter.and, 'AND', column);
  if ('or' in filter) return joined(filter.or, 'OR', column);
  if ('not' in filter) {
    const inner = filterToSql(filter.not, column);
    return { sql: `NOT ${inner.sql}`, values: inner.values };
  }
  const path = jsonPath(filter.field);
  if ('exists' in filter) return { sql: `(json_type(${column}, ?) IS ${filter.exists ? 'NOT NULL' : 'NULL'})`, values: [path] };
  if ('equals' in filter) return someElement(oneOf([filter.equals]), path, column);
  if ('in' in filter) return someElement(oneOf(filter.in), path, column);
  return someElement(within(filter.range), path, column);
}

function joined(filters: readonly Filter[], operator: 'AND' | 'OR', column: string): SqlCondition {
  const conditions = filters.map((filter) => filterToSql(filter, column));
  return { sql: `(${conditions.map(({ sql }) => sql).join(` ${operator} `)})`, values: conditions.flatMap(({ values }) => values) };
}

/**
 * json_each yields the elements of an array, a scalar as its own only element, nothing where the path is missing, but the members of an
 * object too: those are no elements, hence the look at the type first.
 */
function someElement(condition: SqlCondition, path: string, column: string): SqlCondition {
  const sql = `(coalesce(json_type(${column}, ?), 'object') <> 'object' AND EXISTS (SELECT 1 FROM json_each(${column}, ?) AS element WHERE ${condition.sql}))`;
  return { sql, values: [path, path, ...condition.values] };
}

function oneOf(scalars: readonly FilterScalar[]): SqlCondition {
  const texts = scalars.filter((scalar) => typeof scalar === 'string');
  const numbers = scalars.filter((scalar) => typeof scalar === 'number');
  const parts: string[] = [];
  if (texts.length > 0) parts.push(`element.type = 'text' AND element.atom IN (${marks(texts.length)})`);
  if (numbers.length > 0) parts.push(`element.type IN ('integer', 'real') AND ${NUMBER} IN (${marks(numbers.length)})`);
  // json_each names the types of these three as they are written in JSON.
  for (const word of [true, false, null]) if (scalars.includes(word)) parts.push(`element.type = '${word}'`);
  return { sql: `(${parts.map((part) => `(${part})`).join(' OR ')})`, values: [...texts, ...numbers] };
}

type Bounds = { readonly [operator in keyof typeof OPERATORS]?: string | number };

function within(range: Bounds): SqlCondition {
  const parts: string[] = [];
  const values: (string | number)[] = [];
  for (const key of ['gt', 'gte', 'lt', 'lte'] as const) {
    const bound = range[key];
    if (bound === undefined) continue;
    parts.push(
      typeof bound === 'string'
        ? `element.type = 'text' AND element.atom ${OPERATORS[key]} ?`
        : `element.type IN ('integer', 'real') AND ${NUMBER} ${OPERATORS[key]} ?`,
    );
    values.push(bound);
  }
  return { sql: `(${parts.join(' AND ')})`, values };
}

/** JSON numbers are doubles to every client, but SQLite would compare large integers exactly: 2^60 must equal what JSON wrote for it. */
const NUMBER = 'CAST(element.atom AS REAL)';

const OPERATORS = { gt: '>', gte: '>=', lt: '<', lte: '<=' } as const;

function marks(count: number): string {
  return Array.from({ length: count }, () => '?').join(', ');
}

/** `shop.brand` -> `$."shop"."brand"`. parseFilter lets no quote or backslash through, so that a part cannot end its quotes. */
function jsonPath(field: string): string {
  return `$${field
    .split('.')
    .map((part) => `."${part}"`)
    .join('')}`;
}
