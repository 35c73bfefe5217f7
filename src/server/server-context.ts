import type { IncomingMessage, ServerResponse } from 'node:http';
import type { TSchema, TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyBaseLogger, FastifyInstance, FastifyRequest, RawServerDefault } from 'fastify';
import type { Snapshots } from '../catalogue/snapshots/snapshots.js';
import type { Encoder } from '../encoder/encoder.js';
import type { ImportJobs } from '../importing/import-jobs.js';
import type { Settings } from '../settings.js';
import type { Access, Scope } from './auth.js';
import type { CollectionScores } from './derived/collection-scores.js';
import type { EmbeddingMaps } from './derived/embedding-maps.js';
import type { EncoderReport } from './encoder-report.js';
import type { EncodeImage } from './ingest/pipeline.js';
import type { Budget } from './limits/budget.js';
import type { RequestTracker } from './limits/request-tracker.js';
import type { Monitoring } from './monitoring.js';
import type { PictureUrls } from './picture-urls.js';
import type { Readiness } from './readiness.js';
import type { ComparisonThreads } from './search/comparison-threads.js';
import type { RouteCatalogue, Tenancy } from './tenancy.js';

/** The Fastify instance as the routes see it: schemas give requests and answers their types. */
export type App = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;

/** All that routes work with, passed to each family as its options. Built in app.ts and nowhere else. */
export type ServerContext = {
  readonly settings: Settings;
  readonly version: string;
  readonly encoder: Encoder;
  /** Takes collections of `tenancy.collectionFor` only. */
  readonly catalogue: RouteCatalogue;
  readonly tenancy: Tenancy;
  readonly snapshots: Snapshots;
  readonly monitoring: Monitoring;
  readonly scopeOf: RequestTracker['scopeOf'];
  readonly readiness: Readiness;
  readonly encodeImage: EncodeImage;
  readonly comparisons: ComparisonThreads;
  readonly scores: Pick<CollectionScores, 'modelOf' | 'usedFor' | 'shipped'>;
  /** The encoder's evaluation, where it has one. */
  readonly report: EncoderReport | undefined;
  readonly uploadMemory: Budget;
  readonly pictureUrls: PictureUrls;
  readonly imports: ImportJobs;
  readonly maps: EmbeddingMaps;
  /**
   * Admits images (1 if not given) of the request's caller: throws OVERLOADED where the queue has no room, and
   * RATE_LIMITED where the quota is used up, which is charged only when there is room. Called before the body is read.
   */
  readonly admit: (request: FastifyRequest, images?: number) => void;
  /**
   * Admits a read of the catalogue, as `admit` does images: its cost in slots (read-cost.ts) is charged to the quota.
   * `scope.read` then waits for its turn.
   */
  readonly admitRead: (request: FastifyRequest, cost: number) => void;
  /** Charges images to the caller's quota alone; throws RATE_LIMITED. */
  readonly spendQuota: (request: FastifyRequest, images: number) => void;
};

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Who may use the route. Every route states it, or the application does not start. */
    access?: Access;
    /**
     * Whether it keeps to the collections that a key is limited to (it calls `tenancy`), as if not stated, or tells of
     * the whole service.
     */
    scope?: Scope;
    /** Largest declared body; Fastify's own limit where it is absent. */
    maxBodyBytes?: number;
    /** The multipart form that the route reads by itself, for openapi.yaml. */
    form?: TSchema;
    /** Media types of a body that is one file instead of a form, for openapi.yaml. */
    raw?: readonly string[];
    /** The JSON body that it takes instead of a form, for openapi.yaml. */
    json?: TSchema;
  }
}
