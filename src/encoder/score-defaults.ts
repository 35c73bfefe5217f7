import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import Type, { type Static } from 'typebox';
import { Check } from 'typebox/value';
import { SearchError } from '../errors.js';

/** The file in a saved encoder's folder. */
export const SCORES_FILE = 'scores.json';

const Weights = Type.Array(Type.Number(), { minItems: 2, maxItems: 3 });
/** A fitted model with its quality on held-out pictures. */
export const FITTED_SCORES = {
  images: Type.Integer(),
  pairs: Type.Integer(),
  precision: Type.Number(),
  recall: Type.Number(),
  model: Type.Object(
    { byCosine: Weights, byCosineAndHash: Weights, nearProbability: Type.Number(), relatedSimilarity: Type.Number() },
    { additionalProperties: false },
  ),
  reliability: Type.Array(
    Type.Object(
      { probability: Type.Number(), copies: Type.Number(), pairs: Type.Number() },
      { additionalProperties: false },
    ),
  ),
};

const ScoresSchema = Type.Object(
  {
    formatVersion: Type.Literal(1),
    encoderId: Type.String(),
    fittedAt: Type.String(),
    /** Description of the data it was fitted on. */
    data: Type.String(),
    ...FITTED_SCORES,
  },
  { additionalProperties: false },
);

/** The content of scores.json: how to read an encoder's scores, as measured on some pictures. */
export type ShippedScores = Readonly<Static<typeof ScoresSchema>>;

/**
 * Reads the scores file of a saved encoder; undefined where there is none, or it was made for another encoder. Throws
 * INVALID_ENCODER where it is invalid.
 */
export async function readShippedScores(folder: string, encoderId: string): Promise<ShippedScores | undefined> {
  const path = join(folder, SCORES_FILE);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw invalid(path, error);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw invalid(path, error);
  }
  if (!Check(ScoresSchema, value)) throw invalid(path, undefined);
  return value.encoderId === encoderId ? value : undefined;
}

function invalid(path: string, cause: unknown): SearchError {
  return new SearchError(
    'INVALID_ENCODER',
    `${path} is not a scores file of version 1. Remove it, or fit it again (docs/scores.md).`,
    {
      cause,
    },
  );
}
