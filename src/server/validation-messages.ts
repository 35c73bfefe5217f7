/** Messages of requests that do not fit their schema: they name the parameter, the value, and what fits. */
import type { FastifySchemaValidationError } from 'fastify/types/schema.js';
import { SearchError } from '../errors.js';

const VALUE_CHARACTERS = 100;
const PLACES: { readonly [place: string]: string } = {
  body: 'the JSON body',
  querystring: 'the query',
  params: 'the path',
  headers: 'the headers',
};

/** Fastify's `schemaErrorFormatter`. `errors` are those of Ajv with `verbose`, so that they hold value and schema. */
export function describeInvalid(errors: readonly FastifySchemaValidationError[], dataVar: string): SearchError {
  return new SearchError('INVALID_REQUEST', messageOf(errors, PLACES[dataVar] ?? dataVar));
}

/** The first error as a sentence; `place` is where the value stands ("the query"). */
function messageOf(errors: readonly FastifySchemaValidationError[], place: string): string {
  // Of a choice of types Ajv reports each branch and then the choice itself.
  const [first] = errors;
  const error = errors.find(({ keyword }) => keyword === 'anyOf') ?? first;
  if (error === undefined) return `Something in ${place} is wrong.`;
  const { keyword, params, message = 'is wrong', instancePath } = error;
  const { data, parentSchema } = error as {
    readonly data?: unknown;
    readonly parentSchema?: { readonly properties?: object };
  };
  const name = instancePath.slice(1).replaceAll('/', '.');
  const known = Object.keys(parentSchema?.properties ?? {});
  // Ajv stops at a missing property, though an unknown one may be the reason ({"image": "data:..."}).
  const strays =
    typeof data === 'object' && data !== null ? Object.keys(data).filter((key) => !known.includes(key)) : [];
  const stray = keyword === 'additionalProperties' ? String(params.additionalProperty) : strays[0];
  if (keyword === 'additionalProperties' || (keyword === 'required' && stray !== undefined)) {
    const unknown = String(stray).slice(0, VALUE_CHARACTERS);
    const where = name === '' ? place : `"${name}"`;
    const remedy =
      place === PLACES.body && known.includes('url')
        ? ' A picture is sent as a file of a multipart form or as the raw body (content-type: image/jpeg), not inside JSON.'
        : '';
    return `"${unknown}" is not known in ${where}; known are ${known.join(', ')}.${remedy}`;
  }
  if (keyword === 'required') return `"${String(params.missingProperty)}" is missing in ${place}.`;
  const value = data === undefined ? '' : `; ${JSON.stringify(data)?.slice(0, VALUE_CHARACTERS)} was sent`;
  return `${name === '' ? place[0]?.toUpperCase() + place.slice(1) : `"${name}" in ${place}`} ${message}${value}.`;
}

/**
 * Throws INVALID_REQUEST for a text that the validator would read as an infinite number and then not compare with
 * any limit.
 */
export function refuseInfinite(values: object, schema: unknown): void {
  const { properties = {} } = (schema ?? {}) as {
    readonly properties?: { readonly [name: string]: { readonly type?: unknown } };
  };
  for (const [name, value] of Object.entries(values)) {
    const type = properties[name]?.type;
    if ((type !== 'integer' && type !== 'number') || typeof value !== 'string') continue;
    if (Math.abs(Number(value)) !== Number.POSITIVE_INFINITY) continue;
    throw new SearchError(
      'INVALID_REQUEST',
      `"${name}" must be a finite number; "${value.slice(0, VALUE_CHARACTERS)}" was sent.`,
    );
  }
}
