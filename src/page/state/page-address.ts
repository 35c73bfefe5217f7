/**
 * What the page shows, as its address says it: the whole state stands in the query string, so that links, reload and the back button work.
 * Pure; use-address.ts binds it to the browser.
 */
import type { Box } from '../../client/client.js';

/** The pages, by the name they go by in the address. */
export const PAGES = ['search', 'import', 'map', 'status'] as const;
/** One of {@link PAGES}. */
export type PageName = (typeof PAGES)[number];

/** A picture that a search is made of: a stored image, one that this browser keeps (state/local-pictures.ts), or one behind an address. */
export type Example =
  | { readonly kind: 'stored'; readonly id: string }
  | { readonly kind: 'local'; readonly key: string }
  | { readonly kind: 'url'; readonly url: string };

/** How query and result are laid against each other in the detail view. */
export const COMPARISONS = ['side', 'slider', 'flicker'] as const;
/** One of {@link COMPARISONS}. */
export type ComparisonView = (typeof COMPARISONS)[number];

/** The state. `k` is the size of a page of results; `filter` is JSON text of the documented language; `open` is the image in the detail view. */
export type PageAddress = {
  readonly page: PageName;
  readonly collection: string;
  readonly like: readonly Example[];
  readonly unlike: readonly Example[];
  readonly crop: Box | undefined;
  readonly minScore: number | undefined;
  readonly k: number;
  readonly filter: string | undefined;
  readonly fold: boolean;
  readonly mirror: boolean;
  readonly turn: boolean;
  readonly open: string | undefined;
  readonly comparison: ComparisonView;
};

/** Results that are asked for at once; more come while scrolling. */
export const DEFAULT_K = 40;
/** Folding compares all results of a page with each other, so the service takes no more. */
export const MAX_K = 200;

/** The start: nothing asked. */
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

/** Parameter that holds an example of each kind, among the wanted and among the unwanted. */
const EXAMPLE_NAMES = { stored: ['id', 'notId'], local: ['picture', 'notPicture'], url: ['url', 'notUrl'] } as const;

/** Reads an address. Whatever is wrong in it is as if it were not there: an old link opens all the same. */
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

/** The query string of a state, with its `?`; only what differs from the start. The inverse of {@link parseAddress}. */
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
  // Slashes, commas and colons may stand in a query; without them an address can be read.
  const text = parameters.toString().replace(/%2F/g, '/').replace(/%2C/g, ',').replace(/%3A/g, ':');
  return text === '' ? './' : `./?${text}`;
}

/** A new search for one picture: options stay, what belonged to the picture before does not. */
export function searchFor(address: PageAddress, example: Example): PageAddress {
  return { ...address, page: 'search', like: [example], unlike: [], crop: undefined, open: undefined };
}

/** The search with one more example for or against; one that was on the other side changes sides. A crop is for one picture only. */
export function withExample(address: PageAddress, side: 'like' | 'unlike', example: Example): PageAddress {
  const { like, unlike } = withoutExample(address, example);
  const next = { ...address, page: 'search' as const, like, unlike, open: undefined };
  const extended = { ...next, [side]: [...next[side], example] };
  return extended.like.length > 1 ? { ...extended, crop: undefined } : extended;
}

/** The search without an example. */
export function withoutExample(address: PageAddress, example: Example): PageAddress {
  const others = (list: readonly Example[]): readonly Example[] => list.filter((one) => !isSameExample(one, example));
  const like = others(address.like);
  return { ...address, like, unlike: others(address.unlike), crop: like.length === address.like.length ? address.crop : undefined };
}

/** True for the same picture, by what names it. */
export function isSameExample(a: Example, b: Example): boolean {
  return a.kind === b.kind && exampleName(a) === exampleName(b);
}

/** What names an example: its id, key or address. */
export function exampleName(example: Example): string {
  if (example.kind === 'stored') return example.id;
  return example.kind === 'local' ? example.key : example.url;
}

/** The part of the state that a search depends on, as text: where it is equal, so are the results. */
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

function parseCrop(text: string | null): Box | undefined {
  const numbers = (text ?? '').split(',').map(Number);
  const [x, y, width, height] = numbers;
  if (numbers.length !== 4 || x === undefined || y === undefined || width === undefined || height === undefined) return undefined;
  const isWithin = (start: number, length: number): boolean => start >= 0 && length > 0 && start + length <= 1.000001;
  return isWithin(x, width) && isWithin(y, height) ? { x, y, width, height } : undefined;
}

function formatCrop({ x, y, width, height }: Box): string {
  return [x, y, width, height].map((value) => Number(value.toFixed(4))).join(',');
}

function within(text: string | null, least: number, most: number): number | undefined {
  const value = text === null || text === '' ? Number.NaN : Number(text);
  return value >= least && value <= most ? value : undefined;
}

function nonEmpty(text: string | null): string | undefined {
  return text === null || text === '' ? undefined : text;
}
