import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import Type, { type Static } from 'typebox';
import { Check, Errors } from 'typebox/value';
import { writeAtomically } from '../atomic-write.js';
import { SearchError } from '../errors.js';
import type { Preprocessing } from '../images/preprocessing.js';
import { KERNELS, type Resize } from '../images/resample.js';

/** Version of the folder's layout; other versions are rejected. */
export const SAVED_ENCODER_VERSION = 1;
/** The graph's input: float32, [batch, 3, H, W] or [batch, H, W, 3] by the preprocessing's layout. */
export const PIXELS_INPUT = 'pixels';
/** The graph's output: float32, [batch, D], each row of L2 norm 1. */
export const EMBEDDING_OUTPUT = 'embedding';

const MANIFEST_FILE = 'encoder.json';
const PROGRAM_FILE = 'encoder.onnx';
const CARD_FILE = 'README.md';
const GOLDEN_PICTURE_FILE = 'golden.png';
/** The vector's numbers as little-endian float32. */
const GOLDEN_VECTOR_FILE = 'golden.f32';

const ThreeNumbers = Type.Tuple([Type.Number(), Type.Number(), Type.Number()]);
const Side = Type.Integer({ minimum: 1, maximum: 4096 });
const Edge = Type.Integer({ minimum: 1, maximum: 8192 });
const closed = { additionalProperties: false };
const ResizeSchema = Type.Object(
  {
    to: Type.Union([
      Type.Object({ shortest: Edge }, closed),
      Type.Object({ longest: Edge }, closed),
      Type.Object({ width: Edge, height: Edge }, closed),
    ]),
    kernel: Type.Union(KERNELS.map((kernel) => Type.Literal(kernel))),
    antialias: Type.Boolean(),
    pad: Type.Optional(
      Type.Object({ colour: ThreeNumbers, place: Type.Union([Type.Literal('centre'), Type.Literal('start')]) }, closed),
    ),
  },
  closed,
);
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
        resize: Type.Optional(ResizeSchema),
        channels: Type.Optional(Type.Literal('BGR')),
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
    batch: Type.Optional(Type.Literal(1)),
    golden: Type.Optional(Type.Literal(true)),
    training: Type.Record(Type.String(), Type.Union([Type.String(), Type.Number(), Type.Boolean()])),
    dataLicence: Type.String({ minLength: 1 }),
    created: Type.String({ pattern: '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}(\\.\\d+)?Z$' }),
  },
  { additionalProperties: false },
);

/**
 * The content of encoder.json. `id`: see {@link encoderId}. `outputs.features`: an optional second output, the local
 * feature map [batch, channels, grid.height, grid.width]. `batch`: 1 for a program that takes one picture at a time.
 * `golden`: a picture and its vector lie beside it. `training`: facts for readers. `dataLicence`: of the training
 * images. `created`: ISO 8601, UTC. /
 */
export type EncoderManifest = Readonly<Omit<Static<typeof ManifestSchema>, 'preprocessing'>> & {
  readonly preprocessing: Preprocessing;
};

/** A picture's file (a PNG, as a rule) and its embedding. */
export type Golden = { readonly image: Uint8Array; readonly vector: Float32Array };

/** A saved encoder: its manifest, the bytes of its ONNX program and, where it was imported, its golden picture. */
export type SavedEncoder = {
  readonly folder: string;
  readonly manifest: EncoderManifest;
  readonly onnx: Uint8Array;
  readonly golden?: Golden;
};

/**
 * Reads and verifies a saved encoder's folder: encoder.json against its schema, the id against the program's bytes.
 * Throws INVALID_ENCODER with the file and the remedy: an encoder that does not match its id would fill the catalogue
 * with wrong vectors.
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
  if (manifest.golden === undefined) return { folder, manifest, onnx };
  const numbers = await read(GOLDEN_VECTOR_FILE);
  if (numbers.length !== manifest.dimensions * 4)
    throw invalid(join(folder, GOLDEN_VECTOR_FILE), 'is cut or of another encoder. Import the encoder again');
  const vector = new Float32Array(new Uint8Array(numbers).buffer);
  return { folder, manifest, onnx, golden: { image: await read(GOLDEN_PICTURE_FILE), vector } };
}

/**
 * Writes a saved encoder (program, manifest with its computed id, model card) to a temporary folder, flushes it and
 * renames it, so that no reader sees part of one. Throws INVALID_SETTINGS where the folder exists, unless `replace`.
 */
export async function writeSavedEncoder(options: {
  readonly folder: string;
  readonly manifest: Omit<EncoderManifest, 'id' | 'formatVersion' | 'golden'>;
  readonly golden?: Golden;
  readonly onnx: Uint8Array;
  /** The model card, Markdown. */
  readonly card: string;
  readonly replace?: boolean;
}): Promise<SavedEncoder> {
  const { onnx, card, golden, replace = false } = options;
  const folder = resolve(options.folder);
  const id = encoderId(onnx, options.manifest.preprocessing);
  const manifest = {
    ...options.manifest,
    formatVersion: SAVED_ENCODER_VERSION,
    id,
    ...(golden && { golden: true as const }),
  };
  const text = `${JSON.stringify(manifest, null, 2)}\n`;
  const parsed = parseManifest(text, join(folder, MANIFEST_FILE));

  const aside = join(dirname(folder), `.${basename(folder)}.${process.pid}.partial`);
  await rm(aside, { recursive: true, force: true });
  await mkdir(aside, { recursive: true });
  try {
    await writeAtomically(join(aside, PROGRAM_FILE), onnx);
    await writeAtomically(join(aside, MANIFEST_FILE), text);
    await writeAtomically(join(aside, CARD_FILE), card);
    if (golden !== undefined) {
      await writeAtomically(join(aside, GOLDEN_PICTURE_FILE), golden.image);
      await writeAtomically(join(aside, GOLDEN_VECTOR_FILE), new Uint8Array(Float32Array.from(golden.vector).buffer));
    }
    await takePlace(aside, folder, replace);
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
  return { folder, manifest: parsed, onnx, ...(golden && { golden }) };
}

/**
 * Throws INVALID_SETTINGS where no encoder could be saved: the folder exists, unless `replace`, or cannot be made.
 * Called before the first image, so that a finished fit is not lost.
 */
export async function requirePlaceFor(folder: string, replace: boolean): Promise<void> {
  if (!replace && existsSync(folder))
    throw new SearchError('INVALID_SETTINGS', `${folder} exists. Choose another --out, or remove it.`);
  const parent = dirname(resolve(folder));
  try {
    await mkdir(parent, { recursive: true });
    await rm(await mkdtemp(join(parent, '.likeness-')), { recursive: true });
  } catch (cause) {
    const message = `No encoder can be saved as ${folder}: ${parent} cannot be made or written. Choose another --out.`;
    throw new SearchError('INVALID_SETTINGS', message, { cause });
  }
}

/** Adds a section of Markdown to the model card of a saved encoder. */
export async function addToModelCard(folder: string, section: string): Promise<void> {
  const file = join(folder, CARD_FILE);
  const card = await readFile(file, 'utf8');
  await writeAtomically(file, `${card.trimEnd()}\n\n${section.trim()}\n`);
}

/**
 * Replaces encoder ids in a message by names and folders, where the encoder is `model` or lies beside it; other ids are
 * cut to 12 digits. An id of 64 digits tells nobody which encoder is meant.
 */
export async function nameEncoders(message: string, model: string): Promise<string> {
  const parent = dirname(resolve(model));
  const folders = await readdir(parent).catch(() => []);
  const names = new Map<string, string>();
  for (const folder of folders) {
    const text = await readFile(join(parent, folder, MANIFEST_FILE), 'utf8').catch(() => undefined);
    if (text === undefined) continue;
    try {
      const { id, name } = parseManifest(text, folder);
      names.set(id, `${name} (--model ${join(dirname(model), folder)})`);
    } catch {
      // It names no encoder then.
    }
  }
  return message.replace(/[0-9a-f]{64}/g, (id) => names.get(id) ?? `${id.slice(0, 12)}...`);
}

/**
 * The identity of an encoder: SHA-256, hex, of its preprocessing as JSON with fixed key order and the bytes of
 * its program.
 */
export function encoderId(onnx: Uint8Array, preprocessing: Preprocessing): string {
  const { width, height, fit, mean, scale, layout, resize, channels } = preprocessing;
  const imported = { ...(resize && { resize: inFixedOrder(resize) }), ...(channels && { channels }) };
  return createHash('sha256')
    .update(JSON.stringify({ width, height, fit, mean, scale, layout, ...imported }))
    .update('\n')
    .update(onnx)
    .digest('hex');
}

function inFixedOrder({ to, kernel, antialias, pad }: Resize): Resize {
  const size = 'width' in to ? { width: to.width, height: to.height } : to;
  return { to: size, kernel, antialias, ...(pad && { pad: { colour: pad.colour, place: pad.place } }) };
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
    `is not a manifest of version ${SAVED_ENCODER_VERSION}: ${faults.join('; ')}. Export the encoder again with this version`,
  );
}

/** A folder cannot be renamed over a filled one: the old one is renamed first, and restored if the new one fails. */
async function takePlace(aside: string, folder: string, replace: boolean): Promise<void> {
  const retired = `${aside}.old`;
  const existed = replace && (await renameIfThere(folder, retired));
  try {
    await rename(aside, folder);
  } catch (cause) {
    if (existed) await rename(retired, folder);
    throw new SearchError(
      'INVALID_SETTINGS',
      `Cannot write ${folder}: it exists or its parent cannot be written. Choose another folder.`,
      {
        cause,
      },
    );
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
