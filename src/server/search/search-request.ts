/** The options of a search, from query, form or JSON body. */
import type { ImageId, NeighbourQuery } from '../../catalogue/catalogue.js';
import { type Filter, parseFilter } from '../../catalogue/filters/filter.js';
import { parseExactJson } from '../../catalogue/records/exact-json.js';
import { SearchError } from '../../errors.js';
import type { DihedralVariant } from '../../images/perceptual-hash.js';
import { checkedRegion, type Region } from '../../images/region.js';
import { parseImageId } from '../names.js';
import { MAX_K, type SearchBodyOptions, type SearchOptions } from '../schemas/search-schemas.js';
import type { OpenCollection } from '../tenancy.js';

/** Checked options of a search. */
export type ParsedSearch = {
  /** As named by the caller; `tenancy.collectionFor` opens it. */
  readonly collection: string | undefined;
  /** For the catalogue; `k`: results of one page. */
  readonly options: Omit<NeighbourQuery, 'embedding' | 'collection'>;
  /** Results before this page. */
  readonly offset: number;
  /** A picture to fetch: a positive example, as if it were sent. */
  readonly url: string | undefined;
  readonly positiveIds: readonly ImageId[];
  readonly negativeIds: readonly ImageId[];
  readonly crop: Region | undefined;
  /** Turns and mirrors of the query to search with too. */
  readonly views: readonly DihedralVariant[];
  readonly groups: boolean;
  readonly fold: boolean;
  /** Nearest pictures that expand the query; 0: none. */
  readonly expand: number;
  readonly includesVector: boolean;
  readonly includesRegions: boolean;
};

/** What a request sends besides its options. */
export type SearchInput = {
  readonly collection: OpenCollection;
  readonly pictures?: readonly Uint8Array[];
  readonly negativePictures?: readonly Uint8Array[];
  readonly vector?: Float32Array | undefined;
};

const DEFAULT_K = 10;
/** Folding compares all results of a page with each other. */
const MAX_K_FOLDED = 200;
/** For regions every result is encoded again. */
const MAX_K_WITH_REGIONS = 20;
const MIRRORED: readonly DihedralVariant[] = ['flipX', 'flipY'];
const TURNED: readonly DihedralVariant[] = ['rotate90', 'rotate180', 'rotate270'];
const MIRRORED_AND_TURNED: readonly DihedralVariant[] = [...MIRRORED, ...TURNED, 'flipPlus1', 'flipMinus1'];

/** Throws INVALID_FILTER and INVALID_REQUEST. */
export function parseSearch(options: SearchOptions | SearchBodyOptions): ParsedSearch {
  const { collection, k, limit, minScore, filter, ef, exact, cursor, include, crop } = options;
  if (k !== undefined && limit !== undefined && k !== limit) {
    throw new SearchError('INVALID_REQUEST', '"k" and "limit" mean the same; send one of them.');
  }
  const size = k ?? limit ?? DEFAULT_K;
  const { groups = false, fold = false, expand = 0, views } = options;
  if (fold && size > MAX_K_FOLDED)
    throw new SearchError('INVALID_REQUEST', `With fold=true k is at most ${MAX_K_FOLDED}; ${size} were asked for.`);
  if (expand > 0 && views !== undefined) {
    const message = '"expand" looks at the query as it is, "views" at it turned and mirrored; send one of them.';
    throw new SearchError('INVALID_REQUEST', message);
  }
  const included = include?.split(',') ?? [];
  if (included.includes('regions') && size > MAX_K_WITH_REGIONS) {
    throw new SearchError(
      'INVALID_REQUEST',
      `With include=regions k is at most ${MAX_K_WITH_REGIONS}; ${size} were asked for.`,
    );
  }
  return {
    collection,
    options: {
      k: size,
      ...(minScore !== undefined && { minSimilarity: minScore }),
      ...(filter !== undefined && { filter: parseFilterText(filter) }),
      ...(ef !== undefined && { ef }),
      ...(exact !== undefined && { exact }),
      ...((included.includes('vector') || fold) && { withEmbedding: true }),
    },
    offset: cursor === undefined ? 0 : parseCursor(cursor),
    views: views === undefined ? [] : views === 'mirror' ? MIRRORED : views === 'turn' ? TURNED : MIRRORED_AND_TURNED,
    groups,
    fold,
    expand,
    includesVector: included.includes('vector'),
    includesRegions: included.includes('regions'),
    url: options.url,
    positiveIds: parseIds(options.id),
    negativeIds: parseIds(options.negativeId),
    crop: crop === undefined ? undefined : checkedRegion(typeof crop === 'string' ? parseCrop(crop) : crop),
  };
}

/** Cursor of the page that begins after `offset` results; undefined where no page can. */
export function cursorAfter(offset: number): string | undefined {
  return offset < MAX_K ? `after-${offset}` : undefined;
}

/** A filter from the JSON text of a query parameter. Throws INVALID_FILTER. */
export function parseFilterText(text: string): Filter {
  return parseFilter(parseExactJson(text, 'The filter', 'INVALID_FILTER'));
}

function parseCursor(cursor: string): number {
  const offset = Number(/^after-([0-9]{1,4})$/.exec(cursor)?.[1] ?? Number.NaN);
  if (!(offset > 0 && offset < MAX_K))
    throw new SearchError('INVALID_REQUEST', 'The cursor is none that a page gave; start without one.');
  return offset;
}

function parseIds(ids: string | readonly string[] | undefined): readonly ImageId[] {
  if (ids === undefined) return [];
  return [...new Set(typeof ids === 'string' ? [ids] : ids)].map(parseImageId);
}

function parseCrop(text: string): Region {
  const numbers = text
    .split(',')
    .map((part) => (/^\s*-?[0-9.]+(e-?[0-9]+)?\s*$/i.test(part) ? Number(part) : Number.NaN));
  const [x, y, width, height] = numbers;
  if (numbers.length !== 4 || x === undefined || y === undefined || width === undefined || height === undefined) {
    throw new SearchError('INVALID_REQUEST', 'A crop is four numbers: x,y,width,height.');
  }
  return { x, y, width, height };
}
