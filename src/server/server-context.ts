import type { IncomingMessage, ServerResponse } from 'node:http';
import type { TSchema, TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyBaseLogger, FastifyInstance, FastifyRequest, RawServerDefault } from 'fastify';
import type { Snapshots } from '../catalogue/snapshots.js';
import type { Encoder } from '../encoder/encoder.js';
import type { ImportJobs } from '../importing/import-jobs.js';
import type { Settings } from '../settings.js';
import type { Budget } from './admission.js';
import type { Access, Scope } from './auth.js';
import type { CollectionScores } from './collection-scores.js';
import type { CopyVerifier } from './copy-verifier.js';
import type { EmbeddingMaps } from './embedding-maps.js';
import type { EncoderReport } from './encoder-report.js';
import type { Monitoring } from './monitoring.js';
import type { PictureUrls } from './picture-urls.js';
import type { EncodeImage } from './pipeline.js';
import type { Readiness } from './readiness.js';
import type { RequestLedger } from './request-ledger.js';
import type { RouteCatalogue, Tenancy } from './tenancy.js';

/** The Fastify instance as the routes see it: schemas give requests and answers their types. */
export type App = FastifyInstance<RawServerDefault, IncomingMessage, ServerResponse, FastifyBaseLogger, TypeBoxTypeProvider>;

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
  readonly ledger: RequestLedger;
  readonly readiness: Readiness;
  readonly encodeImage: EncodeImage;
  readonly verifier: CopyVerifier;
  readonly scores: Pick<CollectionScores, 'modelOf' | 'usedFor' | 'shipped'>;
  /** The encoder's evaluation, where it has one. */
  readonly report: EncoderReport | undefined;
  /** Throws OVERLOADED where the request's caller would find no room for an image: before its body is read. */
  readonly refuseWhenFull: (request: FastifyRequest) => void;
  readonly uploadMemory: Budget;
  readonly pictureUrls: PictureUrls;
  readonly imports: ImportJobs;
  readonly maps: EmbeddingMaps;
  /** Throws RATE_LIMITED where the request's caller has no quota left for so many images. */
  readonly spendQuota: (request: FastifyRequest, images: number) => void;
};

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Who may use the route. Every route states it, or the application does not start. */
    access?: Access;
    /** Whether it keeps to the collections that a key is limited to (it calls `tenancy`), as if not stated, or tells of the whole service. */
    scope?: Scope;
    /** Largest declared body; Fastify's own limit where it is absent. */
    maxBodyBytes?: number;
    /** Longest time for the body to arrive; the setting of all requests where it is absent. */
    bodyTimeoutMs?: number;
    /** The multipart form that the route reads by itself, for openapi.yaml. */
    form?: TSchema;
    /** The JSON body that it takes instead of a form, for openapi.yaml. */
    json?: TSchema;
  }
}
