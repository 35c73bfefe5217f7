/** openapi.yaml: generated from the route schemas, so that the description equals what the service does. */
import type { SwaggerTransform, SwaggerTransformObject } from '@fastify/swagger';
import type { FastifyInstance } from 'fastify';
import { stringify } from 'yaml';
import { CompareBody, CompareResponse } from './schemas/compare-schemas.js';
import { FailuresResponse, ImportBody, ImportResponse, ImportsResponse } from './schemas/import-schemas.js';
import * as schemas from './schemas/schemas.js';
import { BandAnswer, RegionObject, RegionsAnswer, SearchBody, SearchResponse } from './schemas/search-schemas.js';
import { ScoreBands, StatisticsResponse } from './schemas/statistics-schemas.js';

/** Names of request and response types in the document; the typed client (src/client) uses the same. */
const COMPONENTS = {
  Band: BandAnswer,
  Region: RegionObject,
  Regions: RegionsAnswer,
  SearchRequest: SearchBody,
  SearchResult: SearchResponse.properties.results.items,
  SearchPage: SearchResponse,
  ComparisonRequest: CompareBody,
  Comparison: CompareResponse,
  IndexRequest: schemas.IndexBody,
  IndexedImages: schemas.IndexResponse,
  IndexError: schemas.IndexErrorResponse,
  CollectionName: schemas.CollectionName,
  FailedImage: schemas.FailedImage,
  ImageId: schemas.ImageIdText,
  Metadata: schemas.MetadataObject,
  MetadataPatch: schemas.MetadataPatch,
  StoredImage: schemas.ImageResponse,
  ImagePage: schemas.ImagePage,
  Collections: schemas.CollectionsResponse,
  EmbeddingMap: schemas.MapResponse,
  ScoreBands,
  Statistics: StatisticsResponse,
  ImportRequest: ImportBody,
  ImportJob: ImportResponse,
  ImportJobs: ImportsResponse,
  ImportFailures: FailuresResponse,
  Snapshot: schemas.SnapshotResponse,
  Snapshots: schemas.SnapshotsResponse,
  Readiness: schemas.ReadyResponse,
  Aliveness: schemas.AliveResponse,
  Welcome: schemas.WelcomeResponse,
  Error: schemas.ErrorResponse,
};
/** Error responses and parameters that routes share, by the place where the document holds them. */
const SHARED_RESPONSES = { Error: schemas.ErrorResponse, IndexError: schemas.IndexErrorResponse };

/** The OpenAPI document of an application whose plugins are loaded, as YAML in lines of up to 120 characters. */
export function openApiDocument(app: Pick<FastifyInstance, 'swagger'>): string {
  return stringify(app.swagger(), { lineWidth: 120, aliasDuplicateObjects: false });
}

/** The frame of the document; the routes fill it. */
export const openApiFrame = (version: string) => ({
  openapi: '3.1.0',
  info: {
    title: 'Likeness',
    version,
    description: 'Self-hosted reverse image search. docs/api.md is the guide, docs/errors.md lists the error codes.',
    license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
  },
  tags: [
    { name: 'search', description: 'Find images like a picture.' },
    { name: 'images', description: 'Store, list, look at and remove images.' },
    { name: 'imports', description: 'Store many pictures in the background.' },
    { name: 'snapshots', description: 'Back up all collections while the service runs.' },
    { name: 'health', description: 'Probes and metrics.' },
    { name: 'documents', description: 'What this service is.' },
  ],
  components: {
    securitySchemes: {
      apiKey: { type: 'apiKey' as const, in: 'header' as const, name: 'x-api-key' },
      bearer: { type: 'http' as const, scheme: 'bearer' },
    },
  },
});

/** Adds what Fastify's schemas do not hold: the role that a route needs, and bodies that routes read themselves. */
export const describeRoute: SwaggerTransform = ({ schema, url, route }) => {
  const { access, form, raw = [], json } = route.config ?? {};
  const described = { ...schema };
  if (access !== undefined && access !== 'open') {
    described.security = [{ apiKey: [] }, { bearer: [] }];
    described.description = [schema?.description, `Where keys are set: a key of role ${access}.`]
      .filter(Boolean)
      .join(' ');
  }
  if (form !== undefined) {
    const bodies = [
      ['multipart/form-data', form],
      ...raw.map((type) => [type, schemas.binary('The file.')]),
      ...(json === undefined ? [] : [['application/json', json]]),
    ];
    described.body = { content: Object.fromEntries(bodies.map(([type, body]) => [type, { schema: body }])) };
  }
  return { schema: described, url };
};

type Json = { readonly [key: string]: unknown };

/**
 * Moves the named schemas, and the parameters and error responses that several routes share, to `components`, and
 * refers to them.
 */
export const nameComponents: SwaggerTransformObject = (document) => {
  if (!('openapiObject' in document)) throw new Error('The document is OpenAPI 3.1. This is a bug.');
  const { paths = {}, components = {}, ...rest } = document.openapiObject;
  const names = new Map(
    Object.entries(COMPONENTS).map(([name, schema]) => [JSON.stringify(schema, constAsEnum), name]),
  );
  const found: Record<'schemas' | 'responses' | 'parameters', { [name: string]: unknown }> = {
    schemas: {},
    responses: {},
    parameters: {},
  };
  const refer = (kind: keyof typeof found, name: string, value: () => unknown): Json => {
    const kept = found[kind];
    if (!(name in kept)) {
      kept[name] = undefined; // holds the place while its parts are named
      kept[name] = value();
    }
    return { $ref: `#/components/${kind}/${name}` };
  };
  const walk = (node: unknown): unknown => {
    if (Array.isArray(node)) return node.map(walk);
    if (typeof node !== 'object' || node === null) return node;
    const name = names.get(JSON.stringify(node));
    return name === undefined ? walkParts(node) : refer('schemas', name, () => walkParts(node));
  };
  const walkParts = (node: object): Json =>
    Object.fromEntries(Object.entries(node).map(([key, value]) => [key, walk(value)]));
  const shared = sharedParameters(walk(paths) as object); // paths is an object
  const operation = (value: unknown): unknown => {
    const { parameters, responses, ...others } = walk(value) as Json; // an operation object
    return {
      ...others,
      ...(Array.isArray(parameters) && {
        parameters: parameters.map((parameter: Json) => {
          const text = JSON.stringify(parameter);
          const name = shared.get(text);
          return name === undefined ? parameter : refer('parameters', name, () => parameter);
        }),
      }),
      responses: Object.fromEntries(
        Object.entries((responses ?? {}) as Json).map(([status, response]) => {
          const text = JSON.stringify(response);
          const name = Object.keys(SHARED_RESPONSES).find((each) => text.includes(`"#/components/schemas/${each}"`));
          return [status, name === undefined ? response : refer('responses', name, () => response)];
        }),
      ),
    };
  };
  const named = Object.fromEntries(
    Object.entries(paths).map(([path, methods]) => [
      path,
      Object.fromEntries(Object.entries(methods ?? {}).map(([method, value]) => [method, operation(value)])),
    ]),
  );
  // the same document, by reference
  return { ...rest, components: { ...components, ...found }, paths: named } as typeof document.openapiObject;
};

/**
 * Parameters that stand on several routes, by their JSON text: named by themselves, and by a number where another has
 * the name.
 */
function sharedParameters(paths: object): ReadonlyMap<string, string> {
  const counts = new Map<string, number>();
  for (const methods of Object.values(paths) as Json[]) {
    for (const { parameters = [] } of Object.values(methods) as { readonly parameters?: readonly Json[] }[]) {
      for (const parameter of parameters) {
        const text = JSON.stringify(parameter);
        counts.set(text, (counts.get(text) ?? 0) + 1);
      }
    }
  }
  const shared = new Map<string, string>();
  for (const [text, count] of counts) {
    if (count < 2) continue;
    const { name } = JSON.parse(text) as { readonly name: string };
    const taken = [...shared.values()].filter((other) => other.replace(/\d+$/, '') === name).length;
    shared.set(text, taken === 0 ? name : `${name}${taken + 1}`);
  }
  return shared;
}

/** The plugin writes `const` as an `enum` of one value. */
function constAsEnum(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || !('const' in value)) return value;
  const { const: only, ...rest } = value;
  return { ...rest, enum: [only] };
}
