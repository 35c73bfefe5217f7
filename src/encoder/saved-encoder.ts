import { createHash } from 'node:crypto';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import Type, { type Static } from 'typebox';
import { Check, Errors } from 'typebox/value';
import { SearchError } from '../errors.js';
import type { Preprocessing } from '../images/preprocessing.js';

/** Version of the folder's layout; a reader refuses any other. */
export const SAVED_ENCODER_VERSION = 1;
/** Name of the graph's input: float32, [batch, 3, H, W] or [batch, H, W, 3] as the preprocessing's layout says. */
export const PIXELS_INPUT = 'pixels';
/** Name of the graph's output: float32, [batch, D], each row of L2 norm 1. */
export const EMBEDDING_OUTPUT = 'embedding';

const MANIFEST_FILE = 'encoder.json';
const PROGRAM_FILE = 'encoder.onnx';
const CARD_FILE = 'README.md';

const ThreeNumbers = Type.Tuple([Type.Number(), Type.Number(), Type.Number()]);
const Side = Type.Integer({ minimum: 1, maximum: 4096 });
const ManifestSchema = Type.Object(
  {
    formatVersion: Type.Literal(SAVED_ENCODER_VERSION),
    name: Type.String({ pattern: '^[a-z0-9][a-z0-9._-]{0,99}$' }),
    id: Type.String({ pattern: '^[0-9a-f]{64}$' }),
    dimensions: Type.Integer({ minimum: 1, maximum: 65536 }),
    preprocessing: Type.Object(
      {
        width: Side,
        height: Side,
        fit: Type.Union([Type.Literal('cover'), Type.Literal('contain'), Type.Literal('stretch')]),
        mean: ThreeNumbers,
        scale: ThreeNumbers,
        layout: Type.Union([Type.Literal('NHWC'), Type.Literal('NCHW')]),
      },
      { additionalProperties: false },
    ),
    outputs: Type.Object(
      {
        embedding: Type.Literal(EMBEDDING_OUTPUT),
        features: Type.Optional(
          Type.Object(
            {
              name: Type.String({ minLength: 1 }),
              channels: Type.Integer({ minimum: 1 }),
              grid: Type.Object({ width: Side, height: Side }),
            },
            { additionalProperties: false },
          ),
        ),
      },
      { additionalProperties: false },
    ),
    training: Type.Record(Type.String(), Type.Union([Type.String(), Type.Number(), Type.Boolean()])),
    dataLicence: Type.String({ minLength: 1 }),
    created: Type.String({ pattern: '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}(\\.\\d+)?Z$' }),
  },
  { additionalProperties: false },
);

/**
 * What encoder.json says. `id`: SHA-256 (hex) of the program and the preprocessing, so that it names what decides an embedding and nothing
 * else. `outputs.features`: a second output, the local feature map [batch, channels, grid.height, grid.width], where the encoder has one.
 * `training`: facts for people. `dataLicence`: of the images it was fitted on. `created`: ISO 8601, UTC.
 */
export type EncoderManifest = Readonly<Omit<Static<typeof ManifestSchema>, 'preprocessing'>> & { readonly preprocessing: Preprocessing };

/** A saved encoder as read: its manifest and the bytes of its ONNX program. */
export type SavedEncoder = { readonly folder: string; readonly manifest: EncoderManifest; readonly onnx: Uint8Array };

/**
 * Reads and verifies a saved encoder's folder: encoder.json against its schema, the id against the program's bytes. Any doubt is
 * INVALID_ENCODER, naming the file and the remedy: an encoder that is not what its id says would fill the catalogue with wrong vectors.
 */
export async function readSavedEncoder(folder: string): Promise<SavedEncoder> {
  const read = (name: string) =>
    readFile(join(folder, name)).catch((cause: unknown) => {
      throw invalid(
        join(folder, name),
        'cannot be read. Give the folder of a saved encoder (--model), such as models/whitening-cifar10',
        cause,
      );
    });
  const manifest = parseManifest((await read(MANIFEST_FILE)).toString('utf8'), join(folder, MANIFEST_FILE));
  const onnx = await read(PROGRAM_FILE);
  const id = encoderId(onnx, manifest.preprocessing);
  if (id !== manifest.id) {
    const what = `is not the program that ${MANIFEST_FILE} was written for (or its preprocessing was edited): the id is ${id}, not ${manifest.id}`;
    throw invalid(join(folder, PROGRAM_FILE), `${what}. Copy or export the encoder again`);
  }
  return { folder, manifest, onnx };
}

/**
 * Writes a saved encoder: program, manifest (whose id is computed here) and model card go to a folder beside it, are flushed, and take its
 * place by a rename, so that no reader meets half of one. An existing folder is INVALID_SETTINGS unless `replace`.
 */
export async function writeSavedEncoder(options: {
  readonly folder: string;
  readonly manifest: Omit<EncoderManifest, 'id' | 'formatVersion'>;
  readonly onnx: Uint8Array;
  /** Markdown: what it is, on which data, how it was made, how well it does. */
  readonly card: string;
  readonly replace?: boolean;
}): Promise<SavedEncoder> {
  const { onnx, card, replace = false } = options;
  const folder = resolve(options.folder);
  const id = encoderId(onnx, options.manifest.preprocessing);
  const manifest = { ...options.manifest, formatVersion: SAVED_ENCODER_VERSION, id };
  const text = `${JSON.stringify(manifest, null, 2)}\n`;
  const parsed = parseManifest(text, join(folder, MANIFEST_FILE));

  const aside = join(dirname(folder), `.${basename(folder)}.${process.pid}.partial`);
  await rm(aside, { recursive: true, force: true });
  await mkdir(aside, { recursive: true });
  try {
    await writeFlushed(join(aside, PROGRAM_FILE), onnx);
    await writeFlushed(join(aside, MANIFEST_FILE), text);
    await writeFlushed(join(aside, CARD_FILE), card);
    await takePlace(aside, folder, replace);
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
  return { folder, manifest: parsed, onnx };
}

/** The identity of an encoder: SHA-256, hex, over its preprocessing in one fixed spelling and the bytes of its program. */
export function encoderId(onnx: Uint8Array, preprocessing: Preprocessing): string {
  const { width, height, fit, mean, scale, layout } = preprocessing;
  return createHash('sha256').update(JSON.stringify({ width, height, fit, mean, scale, layout })).update('\n').update(onnx).digest('hex');
}

function parseManifest(text: string, path: string): EncoderManifest {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw invalid(path, 'is not JSON. Copy or export the encoder again', cause);
  }
  if (Check(ManifestSchema, value)) return value;
  const faults = Errors(ManifestSchema, value)
    .slice(0, 5)
    .map(({ instancePath, message }) => `${instancePath || '/'} ${message}`);
  throw invalid(
    path,
    `is no manifest of version ${SAVED_ENCODER_VERSION}: ${faults.join('; ')}. Export the encoder again with this version`,
  );
}

async function writeFlushed(path: string, data: string | Uint8Array): Promise<void> {
  const file = await open(path, 'wx');
  try {
    await file.writeFile(data);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** A folder cannot be renamed over a filled one: the old one steps aside first, and comes back if the new one cannot take its place. */
async function takePlace(aside: string, folder: string, replace: boolean): Promise<void> {
  const retired = `${aside}.old`;
  const existed = replace && (await renameIfThere(folder, retired));
  try {
    await rename(aside, folder);
  } catch (cause) {
    if (existed) await rename(retired, folder);
    throw new SearchError('INVALID_SETTINGS', `Cannot write ${folder}: it exists or its parent cannot be written. Choose another folder.`, {
      cause,
    });
  }
  await rm(retired, { recursive: true, force: true });
}

async function renameIfThere(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
    throw error;
  }
}

function invalid(path: string, what: string, cause?: unknown): SearchError {
  return new SearchError('INVALID_ENCODER', `${path} ${what}.`, cause === undefined ? {} : { cause });
}
