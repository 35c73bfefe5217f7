/** The types of responses, taken from the schemas of the service so that they cannot differ. */
import type { Static } from 'typebox';
import type { CompareResponse } from '../server/schemas/compare-schemas.js';
import type { FailuresResponse, ImportResponse, ImportsResponse } from '../server/schemas/import-schemas.js';
import type {
  CollectionsResponse,
  ImagePage as ImagePageSchema,
  ImageResponse,
  IndexResponse,
  MapResponse,
  ReadyResponse,
  SnapshotResponse,
  SnapshotsResponse,
  WelcomeResponse,
} from '../server/schemas/schemas.js';
import type { BandAnswer, RegionsAnswer, SearchBody, SearchResponse } from '../server/schemas/search-schemas.js';
import type { StatisticsResponse } from '../server/schemas/statistics-schemas.js';

/** A part of a picture: x and y of its upper left corner, width and height, in fractions of the upright picture. */
export type Region = { readonly x: number; readonly y: number; readonly width: number; readonly height: number };
/** Deprecated: use `copy`, `probability` and `similar` of a result. */
export type Band = Static<typeof BandAnswer>;
/** Matching regions of two pictures, or why they are not known. */
export type Regions = Static<typeof RegionsAnswer>;
/** A region of one picture and the region of the other that matches it best; `similarity` is a cosine. */
export type RegionPair = Extract<Regions, { available: true }>['pairs'][number];

/** Options of every search: number of results, filter, groups, views, paging. */
export type SearchOptions = Omit<
  Static<typeof SearchBody>,
  'id' | 'negativeId' | 'crop' | 'embedding' | 'encoderId' | 'include' | 'limit'
>;
/** One result; `regions` is absent unless requested. */
export type SearchResult = Static<typeof SearchResponse>['results'][number];
/** One page of results. */
export type SearchPage = Static<typeof SearchResponse>;
/** Whether a result is a copy of the query: `exact` (equal bytes or pixels), `edited`, or `none`. */
export type CopyKind = SearchResult['copy'];
/** Deprecated: use {@link CopyKind}. */
export type MatchKind = SearchResult['match'];

/** The record of one stored image. */
export type StoredImage = Static<typeof ImageResponse>;
/** A page of stored images. */
export type ImagePage = Static<typeof ImagePageSchema>;
/** The outcome of each picture of POST /index. */
export type IndexedImages = Static<typeof IndexResponse>;
/** The collections and their sizes. */
export type Collections = Static<typeof CollectionsResponse>;
/** The response of GET /readyz. */
export type Readiness = Static<typeof ReadyResponse>;
/** A snapshot of all collections. */
export type Snapshot = Static<typeof SnapshotResponse>;
/** All snapshots. */
export type Snapshots = Static<typeof SnapshotsResponse>;
/** The response of GET /. */
export type Welcome = Static<typeof WelcomeResponse>;

/** The comparison of two pictures. */
export type Comparison = Static<typeof CompareResponse>;

/** Counts, encoder and health of the service. */
export type Statistics = Static<typeof StatisticsResponse>;

/** 2-D projection of a collection, in which similar images are close; x and y in 0..1. */
export type EmbeddingMap = Static<typeof MapResponse>;

/** An import job. added + existing + waiting + failed = found, always. */
export type ImportJob = Static<typeof ImportResponse>;
/** All import jobs, the newest first. */
export type ImportJobs = Static<typeof ImportsResponse>;
/** A page of the pictures that an import could not store, with the reasons. */
export type ImportFailures = Static<typeof FailuresResponse>;
