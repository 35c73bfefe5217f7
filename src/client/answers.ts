/** What the service answers, in types: taken from its schemas where they are, so that the two cannot differ. Types only. */
import type { Static } from 'typebox';
import type { CompareAnswer } from '../server/compare-schemas.js';
import type { FailuresAnswer, ImportAnswer, ImportsAnswer } from '../server/import-schemas.js';
import type { MapAnswer } from '../server/map-schemas.js';
import type {
  CollectionsAnswer,
  ImageAnswer,
  ImagePage as ImagePageSchema,
  IndexAnswer,
  ReadyAnswer,
  SnapshotAnswer,
  SnapshotsAnswer,
  WelcomeAnswer,
} from '../server/schemas.js';
import type { BandAnswer, RegionsAnswer, SearchAnswer, SearchBody } from '../server/search-schemas.js';
import type { StatisticsAnswer } from '../server/statistics-schemas.js';

/** A rectangle in fractions of the upright picture: x and y of its upper left corner, all within 0..1. */
export type Box = { readonly x: number; readonly y: number; readonly width: number; readonly height: number };
/** What a score means in this catalogue: a word, and the probability that both are copies of one picture. */
export type Band = Static<typeof BandAnswer>;
/** Where two pictures match, pair by pair, or why that is not known. */
export type Regions = Static<typeof RegionsAnswer>;
/** A part of one picture and the part of the other that matches it best; `similarity` is a cosine. */
export type RegionPair = Extract<Regions, { available: true }>['pairs'][number];

/** Options of every search: how many, filters, groups, views, paging. */
export type SearchOptions = Omit<Static<typeof SearchBody>, 'id' | 'negativeId' | 'crop' | 'embedding' | 'encoderId' | 'include' | 'limit'>;
/** One result; `regions` are absent where they were not asked for. */
export type SearchResult = Static<typeof SearchAnswer>['results'][number];
/** One page of results. */
export type SearchPage = Static<typeof SearchAnswer>;
/** What a result is to the query. */
export type MatchKind = SearchResult['match'];

/** The record of one stored image. */
export type StoredImage = Static<typeof ImageAnswer>;
/** A page of stored images. */
export type ImagePage = Static<typeof ImagePageSchema>;
/** What became of each picture of POST /index. */
export type IndexedImages = Static<typeof IndexAnswer>;
/** The collections and their sizes. */
export type Collections = Static<typeof CollectionsAnswer>;
/** The answer of GET /readyz. */
export type Readiness = Static<typeof ReadyAnswer>;
/** A snapshot of all collections. */
export type Snapshot = Static<typeof SnapshotAnswer>;
/** All snapshots. */
export type Snapshots = Static<typeof SnapshotsAnswer>;
/** The answer of GET /. */
export type Welcome = Static<typeof WelcomeAnswer>;

/** What two pictures are to each other. */
export type Comparison = Static<typeof CompareAnswer>;

/** Counts, encoder and health of the service. */
export type Statistics = Static<typeof StatisticsAnswer>;

/** The collection laid out in two dimensions, nearest together; x and y in 0..1. */
export type EmbeddingMap = Static<typeof MapAnswer>;

/** An import job. added + existing + waiting + failed = found, always. */
export type ImportJob = Static<typeof ImportAnswer>;
/** All import jobs, the newest first. */
export type ImportJobs = Static<typeof ImportsAnswer>;
/** A page of what an import could not store, and why. */
export type ImportFailures = Static<typeof FailuresAnswer>;
