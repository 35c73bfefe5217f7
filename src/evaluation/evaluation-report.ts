/**
 * The report of one evaluation as data: what report.json holds and what the HTML page and the comparison are made from.
 */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import Type, { type Static } from 'typebox';
import { Check, Errors } from 'typebox/value';
import { SearchError } from '../errors.js';

/** Name of the file with a report as data. */
export const REPORT_DATA = 'report.json';

/** Version of the report's layout; a reader refuses any other. */
export const REPORT_VERSION = 1;

const Count = Type.Integer({ minimum: 0 });
const Share = Type.Number({ minimum: 0, maximum: 1 });
const Metric = Type.Union([Type.Literal('cosine'), Type.Literal('euclidean')]);
const Histogram = Type.Object({
  low: Type.Number(),
  high: Type.Number(),
  right: Type.Array(Count),
  wrong: Type.Array(Count),
});
const orNone = <T extends Type.TSchema>(schema: T) => Type.Union([schema, Type.Null()]);

const ReportSchema = Type.Object({
  schemaVersion: Type.Literal(REPORT_VERSION),
  created: Type.String(),
  seed: Type.Integer(),
  encoder: Type.Object({
    name: Type.String({ minLength: 1 }),
    id: Type.String(),
    dimensions: Type.Integer({ minimum: 1 }),
    bytesPerVector: Count,
    device: orNone(Type.String()),
    runtime: orNone(Type.String()),
  }),
  data: Type.Object({
    name: Type.String(),
    protocol: Type.Union([Type.Literal('queries against database'), Type.Literal('leave one out')]),
    databaseImages: Count,
    queryImages: Count,
    unreadableImages: Count,
    classes: Type.Array(Type.String()),
  }),
  classes: Type.Array(
    Type.Object({
      metric: Metric,
      queries: Count,
      votes: Type.Array(
        Type.Object({ k: Count, temperature: Type.Number(), accuracy: Share, standardError: Type.Number() }),
      ),
      precisionAt1: Share,
      precisionAt10: Share,
      precisionAt100: Share,
      mapAtR: Share,
      rPrecision: Share,
      mapAt1000: Share,
    }),
  ),
  probes: Type.Array(Type.Object({ name: Type.String(), accuracy: Share, detail: Type.String() })),
  copies: orNone(
    Type.Object({
      databaseImages: Count,
      originals: Count,
      distractorQueries: Count,
      recallAt1: Share,
      microAp: Share,
      microApNormalised: orNone(Share),
      alignment: Type.Number(),
      attacks: Type.Array(Type.Object({ attack: Type.String(), recallAt1: Share, alignment: Type.Number() })),
      scores: Histogram,
    }),
  ),
  geometry: Type.Object({
    sampleImages: Count,
    rankMe: orNone(Type.Number()),
    uniformity: orNone(Type.Number()),
    deadDimensionShare: Share,
    medianSpread: Type.Number(),
    meanAbsoluteCorrelation: Type.Number(),
    hubness: orNone(
      Type.Object({
        k: Count,
        skewness: Type.Number(),
        neverFoundShare: Share,
        largestOccurrence: Type.Number(),
        sampleImages: Count,
      }),
    ),
  }),
  scores: orNone(Histogram),
  map: orNone(Type.Array(Type.Object({ x: Share, y: Share, label: orNone(Count) }))),
  sheets: Type.Array(
    Type.Object({ title: Type.String(), mediaType: Type.String(), width: Count, height: Count, base64: Type.String() }),
  ),
  curves: Type.Array(
    Type.Object({
      name: Type.String(),
      axis: Type.String(),
      points: Type.Array(Type.Tuple([Type.Number(), Type.Number()])),
    }),
  ),
  timing: Type.Object({
    encodeMsPerImage: Type.Number(),
    searchMsPerQuery: orNone(Type.Number()),
    totalSeconds: Type.Number(),
  }),
});

/**
 * One encoder on one dataset. Shares are 0..1. `classes`, `scores`: empty or null without labels; one entry per metric,
 * Euclidean only where the vectors are not of unit norm (else it ranks as cosine does). `copies`: search for edited
 * copies. `sheets`: pictures, ready for a data URI. `curves`: training curves given by the caller, [step, value];
 * curves of one `axis` share a plot. `created`: ISO 8601, UTC.
 */
export type EvaluationReport = Immutable<Static<typeof ReportSchema>>;

type Immutable<T> = T extends object ? { readonly [Key in keyof T]: Immutable<T[Key]> } : T;

/**
 * Reads a report back. INVALID_REQUEST names `source` and the first faults where the text is no report of this version.
 */
export function parseReport(text: string, source: string): EvaluationReport {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new SearchError(
      'INVALID_REQUEST',
      `${source} is not JSON. Give a report.json that \`likeness evaluate\` wrote.`,
      { cause },
    );
  }
  if (Check(ReportSchema, value)) return value;
  const faults = Errors(ReportSchema, value)
    .slice(0, 3)
    .map(({ instancePath, message }) => `${instancePath || '/'} ${message}`);
  throw new SearchError(
    'INVALID_REQUEST',
    `${source} is no evaluation report of version ${REPORT_VERSION}: ${faults.join('; ')}. Evaluate the encoder again with this version.`,
  );
}

/** Reads a report.json, or the one in a folder. INVALID_REQUEST where there is none. */
export async function readReport(path: string): Promise<EvaluationReport> {
  const isFolder = await stat(path).then(
    (facts) => facts.isDirectory(),
    () => false, // reading the file reports the fault
  );
  const file = isFolder ? join(path, REPORT_DATA) : path;
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new SearchError(
      'INVALID_REQUEST',
      `Cannot read ${file}. Give a report.json that \`likeness evaluate\` wrote, or its folder.`,
      {
        cause,
      },
    );
  });
  return parseReport(text, file);
}
