/**
 * Checkpoints hold everything that determines the next step: weights, Adam's moments and step count, batch-norm
 * statistics, the step, the recipe and the identity of the data. Random numbers are functions of the seed and the step.
 * Layout: magic (8 bytes), length of the header (uint32, little-endian), header (JSON), tensors one after another,
 * SHA-256 of all before.
 */
import { createHash } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { NamedValues, TensorValues } from '../compile/program.js';
import type { Recipe } from './recipe.js';

const MAGIC = 'LKCKPT01';
const HASH_BYTES = 32;
const NAME = /^step-(\d{9})\.checkpoint$/;
/** The latest, and the one before it in case the latest is damaged. */
const KEPT = 2;

/** A checkpoint. step: steps done; seconds: training time so far. */
export type Checkpoint = {
  readonly step: number;
  readonly recipe: Recipe;
  /** Fingerprint of the packed pixels. */
  readonly data: string;
  readonly seconds: number;
  readonly state: NamedValues;
};

type Header = Omit<Checkpoint, 'state'> & {
  readonly tensors: readonly {
    readonly name: string;
    readonly type: 'float32' | 'int32' | 'bool';
    readonly length: number;
  }[];
};

/** Writes a checkpoint atomically and removes all but the newest two. Returns its path. */
export async function writeCheckpoint(folder: string, checkpoint: Checkpoint): Promise<string> {
  await mkdir(folder, { recursive: true });
  const { state, ...facts } = checkpoint;
  const tensors = Object.entries(state).map(([name, values]) => ({
    name,
    type: typeOf(values),
    length: values.length,
  }));
  const header = Buffer.from(JSON.stringify({ ...facts, tensors } satisfies Header));
  const size = Buffer.alloc(4);
  size.writeUInt32LE(header.length);
  const parts = [Buffer.from(MAGIC), size, header, ...Object.values(state).map(bytesOf)];
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);

  const path = join(folder, `step-${String(checkpoint.step).padStart(9, '0')}.checkpoint`);
  const aside = `${path}.${process.pid}.partial`;
  const file = await open(aside, 'w');
  try {
    for (const part of [...parts, hash.digest()]) await file.appendFile(part);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(aside, path);
  await flushFolder(folder);
  for (const name of (await checkpointNames(folder)).slice(KEPT)) await rm(join(folder, name), { force: true });
  return path;
}

/**
 * The newest undamaged checkpoint of a folder; undefined where there is none. onRefused: called with the name and fault
 * of each damaged one.
 */
export async function readLatestCheckpoint(
  folder: string,
  onRefused: (name: string, reason: string) => void,
): Promise<Checkpoint | undefined> {
  for (const name of await checkpointNames(folder)) {
    try {
      return parseCheckpoint(await readFile(join(folder, name)));
    } catch (error) {
      onRefused(name, error instanceof Error ? error.message : String(error));
    }
  }
  return undefined;
}

/** Parses a checkpoint; throws an Error that names its fault. */
export function parseCheckpoint(bytes: Uint8Array): Checkpoint {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = MAGIC.length + 4;
  if (view.length < start + HASH_BYTES || view.toString('latin1', 0, MAGIC.length) !== MAGIC)
    throw new Error('it is no checkpoint of this version');
  const body = view.subarray(0, view.length - HASH_BYTES);
  const hash = createHash('sha256').update(body).digest();
  if (!hash.equals(view.subarray(body.length)))
    throw new Error('its SHA-256 is not the one it was written with: it is damaged or incomplete');
  const headerEnd = start + view.readUInt32LE(MAGIC.length);
  // the hash matches, so this version wrote it
  const { tensors, ...facts } = JSON.parse(view.toString('utf8', start, headerEnd)) as Header;
  const state: Record<string, TensorValues> = {};
  let at = headerEnd;
  for (const { name, type, length } of tensors) {
    const bytesPerValue = type === 'bool' ? 1 : 4;
    // copied: a view would need aligned offsets
    const own = new Uint8Array(view.subarray(at, at + length * bytesPerValue)).buffer;
    state[name] =
      type === 'float32' ? new Float32Array(own) : type === 'int32' ? new Int32Array(own) : new Uint8Array(own);
    at += length * bytesPerValue;
  }
  return { ...facts, state };
}

/** Newest first. */
async function checkpointNames(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  });
  return names
    .filter((name) => NAME.test(name))
    .sort()
    .reverse();
}

function typeOf(values: TensorValues): 'float32' | 'int32' | 'bool' {
  if (values instanceof Float32Array) return 'float32';
  return values instanceof Int32Array ? 'int32' : 'bool';
}

function bytesOf(values: TensorValues): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

/** A rename is safe only once the folder itself is on the disk. Windows cannot open folders, and does not need it. */
async function flushFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
