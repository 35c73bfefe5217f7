import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Metadata } from '../../../src/catalogue/catalogue.js';
import {
  checkFilterCost,
  FILTER_LIMITS,
  type Filter,
  type FilterScalar,
  parseFilter,
} from '../../../src/catalogue/filters/filter.js';
import { compileFilter } from '../../../src/catalogue/filters/filter-match.js';
import { seededRandom } from '../../../src/seeded-random.js';

describe('parseFilter', () => {
  it('returns every form of the language as it is', () => {
    const forms: Filter[] = [
      { field: 'a', equals: null },
      { field: 'a.b', in: ['x', 1, true, null] },
      { field: 'price', range: { gte: 1, lt: 2.5 } },
      { field: 'date', range: { gt: '2020' } },
      { field: 'a', exists: false },
      { and: [{ field: 'a', equals: 1 }, { not: { or: [{ field: 'ß', exists: true }] } }] },
    ];
    for (const form of forms) assert.deepEqual(parseFilter(JSON.parse(JSON.stringify(form))), form);
  });

  it('says where a filter is wrong and what is allowed there', () => {
    const cases: [unknown, RegExp][] = [
      [null, /^filter must be an object/],
      [[], /^filter must be an object/],
      [{}, /must hold "and", "or", "not"/],
      [{ field: 'a' }, /exactly one of "equals"/],
      [{ equals: 1 }, /exactly one of "equals"/],
      [{ field: 'a', equals: 1, exists: true }, /exactly one/],
      [{ field: 'a', equals: 1, $where: '1' }, /must not hold "\$where"/],
      [{ and: [] }, /^filter\.and must be an array that is not empty/],
      [{ and: [{ field: 'a', exists: true }], or: [] }, /must not hold "or"/],
      [{ not: [] }, /^filter\.not must be an object/],
      [{ field: 'a..b', exists: true }, /^filter\.field has an empty part/],
      [{ field: 'a\nb', exists: true }, /^filter\.field must not contain control/],
      [{ field: 'a\\b', exists: true }, /^filter\.field has a backslash/],
      [{ field: 'x'.repeat(257), exists: true }, /longer than 256/],
      [{ field: 'a', exists: 1 }, /^filter\.exists must be true or false/],
      [{ field: 'a', equals: { b: 1 } }, /^filter\.equals must be a string, a finite number/],
      [{ field: 'a', equals: Number.NaN }, /finite number/],
      [{ field: 'a', equals: 'a\0' }, /U\+0000/],
      [{ or: [{ field: 'a', in: [1, []] }] }, /^filter\.or\[0\]\.in\[1\] must be/],
      [{ field: 'a', range: {} }, /at least one of "gt"/],
      [{ field: 'a', range: { gt: 1, lt: 'b' } }, /mixes strings and numbers/],
      [{ field: 'a', range: { above: 1 } }, /must not hold "above"/],
    ];
    for (const [value, message] of cases)
      assert.throws(() => parseFilter(value), { code: 'INVALID_FILTER', message }, JSON.stringify(value));
  });

  it('refuses what is deeper, larger or longer than its limits, and takes what is just within', () => {
    const leaf = { field: 'a', exists: true };
    const nested = (depth: number): unknown => (depth === 1 ? leaf : { not: nested(depth - 1) });
    parseFilter(nested(FILTER_LIMITS.depth));
    assert.throws(() => parseFilter(nested(FILTER_LIMITS.depth + 1)), {
      code: 'INVALID_FILTER',
      message: /deeper than 8/,
    });
    parseFilter({ or: new Array(FILTER_LIMITS.nodes - 1).fill(leaf) });
    assert.throws(() => parseFilter({ or: new Array(FILTER_LIMITS.nodes).fill(leaf) }), {
      message: /more than the 64 conditions/,
    });
    parseFilter({ field: 'a', in: new Array(FILTER_LIMITS.values).fill(1) });
    const half = { field: 'a', in: new Array(501).fill(1) };
    assert.throws(() => parseFilter({ or: [half, half] }), { message: /more than the 1000 values/ });
    let deep: unknown = leaf;
    for (let level = 0; level < 100_000; level++) deep = { not: deep };
    assert.throws(() => parseFilter(deep), { code: 'INVALID_FILTER' });
  });
});

it('bounds conditions by images', () => {
  const filter = parseFilter({ or: [{ field: 'a', equals: 1 }, { not: { and: [{ field: 'b', exists: true }] } }] });
  checkFilterCost(filter, 100_000_000);
  assert.throws(() => checkFilterCost(filter, 150_000_000), {
    code: 'INVALID_FILTER',
    message: /has 2 conditions.*may have 1/,
  });
});

describe('compileFilter', () => {
  it('agrees with a plain evaluation on 20,000 pairs of random filters and metadata', () => {
    const seed = 20_240_501;
    const random = seededRandom(seed);
    const records = Array.from({ length: 200 }, () => randomMetadata(random));
    let passed = 0;
    for (let round = 0; round < 100; round++) {
      const filter = parseFilter(randomFilter(random, 3));
      const matches = compileFilter(filter);
      const found = records.filter((metadata) => matches(metadata));
      const expected = records.filter((metadata) => passes(filter, metadata));
      assert.deepEqual(found, expected, `seed ${seed}, round ${round}: ${JSON.stringify(filter)}`);
      passed += expected.length;
    }
    // Neither all nor none, or the agreement would say nothing.
    assert.ok(passed > 4000 && passed < 16_000, `${passed} of 20000 passed`);
  });
});

/** The filter language in the plainest way. */
function passes(filter: Filter, metadata: Metadata): boolean {
  if ('and' in filter) return filter.and.every((part) => passes(part, metadata));
  if ('or' in filter) return filter.or.some((part) => passes(part, metadata));
  if ('not' in filter) return !passes(filter.not, metadata);
  let found: unknown[] = [metadata];
  for (const [level, key] of filter.field.split('.').entries()) {
    const objects = level === 0 ? found : found.flatMap((value) => (Array.isArray(value) ? value : [value]));
    found = objects.flatMap((value) => {
      const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
      const entries = new Map<string, unknown>(isObject ? Object.entries(value as object) : []);
      return entries.has(key) ? [entries.get(key)] : [];
    });
  }
  if ('exists' in filter) return found.length > 0 === filter.exists;
  const elements = found.flatMap((value) => (Array.isArray(value) ? value : [value]));
  if ('equals' in filter) return elements.includes(filter.equals);
  if ('in' in filter) return elements.some((element) => (filter.in as unknown[]).includes(element));
  const { gt, gte, lt, lte } = filter.range;
  const bytes = (value: unknown): string => Buffer.from(String(value)).toString('hex');
  return elements.some((element) =>
    [gt, gte, lt, lte].every((bound, operator) => {
      if (bound === undefined) return true;
      if (typeof element !== typeof bound) return false;
      const [a, b] = typeof bound === 'string' ? [bytes(element), bytes(bound)] : [Number(element), bound];
      return [a > b, a >= b, a < b, a <= b][operator];
    }),
  );
}

const KEYS = ['a', 'b', 'tags', 'ß', 'length', '__proto__', '0', 'with space'];
const SCALARS: FilterScalar[] = [
  ...[
    '',
    'a',
    'b',
    'ä',
    'z',
    '\u{1F600}',
    '\uFFFD',
    '1',
    'true',
    'null',
    "it's",
    'a"b',
    'a\\b',
    'line\nbreak',
    '\u0001',
  ],
  ...[
    0,
    1,
    -1,
    1.5,
    0.1,
    0.1 + 0.2,
    1e21,
    2 ** 53,
    2 ** 60,
    2 ** 63,
    -(2 ** 63),
    1e-300,
    1.7976931348623157e308,
    5e-324,
    123456789.123,
  ],
  ...[true, false, null],
];

function pick<Item>(random: () => number, items: readonly Item[]): Item {
  return items[Math.floor(random() * items.length)]!;
}

function randomValue(random: () => number, depth: number): unknown {
  const kind = random();
  if (depth > 0 && kind < 0.2) return randomMetadata(random, depth - 1);
  if (depth > 0 && kind < 0.45)
    return Array.from({ length: Math.floor(random() * 4) }, () => randomValue(random, depth - 1));
  return pick(random, SCALARS);
}

function randomMetadata(random: () => number, depth = 3): Metadata {
  const keys = KEYS.filter(() => random() < 0.6);
  return Object.fromEntries(keys.map((key) => [key, randomValue(random, depth)]));
}

function randomFilter(random: () => number, depth: number): Filter {
  const kind = random();
  if (depth > 0 && kind < 0.15) return { not: randomFilter(random, depth - 1) };
  if (depth > 0 && kind < 0.5) {
    const parts = Array.from({ length: 1 + Math.floor(random() * 3) }, () => randomFilter(random, depth - 1));
    return random() < 0.5 ? { and: parts } : { or: parts };
  }
  const field = Array.from({ length: random() < 0.7 ? 1 : 2 }, () => pick(random, KEYS)).join('.');
  if (kind < 0.6) return { field, exists: random() < 0.5 };
  if (kind < 0.7) return { field, equals: pick(random, SCALARS) };
  if (kind < 0.85)
    return { field, in: Array.from({ length: 1 + Math.floor(random() * 8) }, () => pick(random, SCALARS)) };
  const type = random() < 0.5 ? 'string' : 'number';
  const bounds = SCALARS.filter((scalar): scalar is string | number => typeof scalar === type);
  const operators = (['gt', 'gte', 'lt', 'lte'] as const).filter(() => random() < 0.4);
  return {
    field,
    range: Object.fromEntries(
      (operators.length > 0 ? operators : ['gte' as const]).map((key) => [key, pick(random, bounds)]),
    ),
  };
}
