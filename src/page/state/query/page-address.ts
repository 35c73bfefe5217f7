/**
 * The state of the page, as its address. All of it is in the query string, so links, reload and Back work. Pure;
 * use-address.ts binds it to the browser.
 */
import type { Region } from '../../../client/client.js';

/** The pages, named as in the address. */
export const PAGES = ['search', 'import', 'map', 'status'] as const;
/** One of {@link PAGES}. */
export type PageName = (typeof PAGES)[number];

/** A picture of the query: a stored image, one held by this browser (local-pictures.ts), or an image URL. */
export type Example =
  | { readonly kind: 'stored'; readonly id: string }
  | { readonly kind: 'local'; readonly key: string }
  | { readonly kind: 'url'; readonly url: string };

/** How the detail view compares query and result. */
export const COMPARISONS = ['side', 'slider', 'flicker'] as const;
/** One of {@link COMPARISONS}. */
export type ComparisonView = (typeof COMPARISONS)[number];

/** The state. `k`: results per page; `filter`: JSON (docs/api.md); `open`: id of the image in the detail view. */
export type PageAddress = {
  readonly page: PageName;
  readonly collection: string;
  readonly like: readonly Example[];
  readonly unlike: readonly Example[];
  readonly crop: Region | undefined;
  readonly minScore: number | undefined;
  readonly k: number;
  readonly filter: string | undefined;
  readonly fold: boolean;
  readonly mirror: boolean;
  readonly turn: boolean;
  readonly open: string | undefined;
  readonly comparison: ComparisonView;
};

/** Results per page; scrolling loads more. */
const DEFAULT_K = 40;
/** The service's limit with `fold`, which compares all results of a page with each other. */
const MAX_K = 200;

/** The start page, without a query. */
export const START: PageAddress = {
  page: 'search',
  collection: 'default',
  like: [],
  unlike: [],
  crop: undefined,
  minScore: undefined,
  k: DEFAULT_K,
  filter: undefined,
  fold: false,
  mirror: false,
  turn: false,
  open: undefined,
  comparison: 'side',
};

/** Parameter names of each kind of example: positive, negative. */
const EXAMPLE_NAMES = { stored: ['id', 'notId'], local: ['picture', 'notPicture'], url: ['url', 'notUrl'] } as const;

/** Parses an address. Invalid parameters are ignored, so that old links open. */
export function parseAddress(search: string): PageAddress {
  const parameters = new URLSearchParams(search);
  const views = (parameters.get('views') ?? '').split(',');
  return {
    page: PAGES.find((page) => page === parameters.get('page')) ?? START.page,
    collection: nonEmpty(parameters.get('collection')) ?? START.collection,
    like: examples(parameters, 0),
    unlike: examples(parameters, 1),
    crop: parseCrop(parameters.get('crop')),
    minScore: within(parameters.get('min'), -1, 1),
    k: Math.round(within(parameters.get('k'), 1, MAX_K) ?? DEFAULT_K),
    filter: nonEmpty(parameters.get('filter')),
    fold: parameters.get('fold') === '1',
    mirror: views.includes('mirror'),
    turn: views.includes('turn'),
    open: nonEmpty(parameters.get('open')),
    comparison: COMPARISONS.find((view) => view === parameters.get('view')) ?? START.comparison,
  };
}

/** Inverse of {@link parseAddress}: `./` and the query string, without defaults. */
export function formatAddress(address: PageAddress): string {
  const parameters = new URLSearchParams();
  if (address.page !== START.page) parameters.set('page', address.page);
  if (address.collection !== START.collection) parameters.set('collection', address.collection);
  for (const [at, list] of [address.like, address.unlike].entries()) {
    for (const example of list) parameters.append(EXAMPLE_NAMES[example.kind][at]!, exampleName(example));
  }
  if (address.crop !== undefined) parameters.set('crop', formatCrop(address.crop));
  if (address.minScore !== undefined) parameters.set('min', String(address.minScore));
  if (address.k !== DEFAULT_K) parameters.set('k', String(address.k));
  if (address.filter !== undefined) parameters.set('filter', address.filter);
  if (address.fold) parameters.set('fold', '1');
  if (address.mirror || address.turn) {
    parameters.set('views', [address.mirror && 'mirror', address.turn && 'turn'].filter(Boolean).join(','));
  }
  if (address.open !== undefined) parameters.set('open', address.open);
  if (address.comparison !== START.comparison) parameters.set('view', address.comparison);
  // Slashes, commas and colons are allowed in a query; unescaped they are readable.
  const text = parameters.toString().replace(/%2F/g, '/').replace(/%2C/g, ',').replace(/%3A/g, ':');
  return text === '' ? './' : `./?${text}`;
}

/** A new search for one picture. Keeps the options, drops crop and other examples. */
export function searchFor(address: PageAddress, example: Example): PageAddress {
  return { ...address, page: 'search', like: [example], unlike: [], crop: undefined, open: undefined };
}

/** The search with one more example; an example of the other side changes sides. Several examples have no crop. */
export function withExample(address: PageAddress, side: 'like' | 'unlike', example: Example): PageAddress {
  const { like, unlike } = withoutExample(address, example);
  const next = { ...address, page: 'search' as const, like, unlike, open: undefined };
  const extended = { ...next, [side]: [...next[side], example] };
  return extended.like.length > 1 ? { ...extended, crop: undefined } : extended;
}

/** The search without this example. */
export function withoutExample(address: PageAddress, example: Example): PageAddress {
  const others = (list: readonly Example[]): readonly Example[] => list.filter((one) => !isSameExample(one, example));
  const like = others(address.like);
  return {
    ...address,
    like,
    unlike: others(address.unlike),
    crop: like.length === address.like.length ? address.crop : undefined,
  };
}

/** True for the same kind and name. */
function isSameExample(a: Example, b: Example): boolean {
  return a.kind === b.kind && exampleName(a) === exampleName(b);
}

/** The id, key or URL of an example. */
export function exampleName(example: Example): string {
  if (example.kind === 'stored') return example.id;
  return example.kind === 'local' ? example.key : example.url;
}

/** The part of the state that determines the results, as text. */
export function searchKey(address: PageAddress): string {
  return formatAddress({ ...address, page: 'search', open: undefined, comparison: 'side' });
}

function examples(parameters: URLSearchParams, side: 0 | 1): Example[] {
  const found: Example[] = [];
  for (const [name, value] of parameters) {
    if (value === '') continue;
    if (name === EXAMPLE_NAMES.stored[side]) found.push({ kind: 'stored', id: value });
    if (name === EXAMPLE_NAMES.local[side]) found.push({ kind: 'local', key: value });
    if (name === EXAMPLE_NAMES.url[side]) found.push({ kind: 'url', url: value });
  }
  return found;
}

function parseCrop(text: string | null): Region | undefined {
  const numbers = (text ?? '').split(',').map(Number);
  const [x, y, width, height] = numbers;
  if (numbers.length !== 4 || x === undefined || y === undefined || width === undefined || height === undefined)
    return undefined;
  const isWithin = (start: number, length: number): boolean => start >= 0 && length > 0 && start + length <= 1.000001;
  return isWithin(x, width) && isWithin(y, height) ? { x, y, width, height } : undefined;
}

function formatCrop({ x, y, width, height }: Region): string {
  return [x, y, width, height].map((value) => Number(value.toFixed(4))).join(',');
}

function within(text: string | null, least: number, most: number): number | undefined {
  const value = text === null || text === '' ? Number.NaN : Number(text);
  return value >= least && value <= most ? value : undefined;
}

function nonEmpty(text: string | null): string | undefined {
  return text === null || text === '' ? undefined : text;
}
