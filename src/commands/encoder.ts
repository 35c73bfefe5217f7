import { availableParallelism } from 'node:os';
import { basename } from 'node:path';
import type { Device } from '../encoder/encoder.js';
import { GOLDEN_COSINE_MIN, goldenCosine } from '../encoder/golden.js';
import type { Pooling } from '../encoder/importing/encoder-program.js';
import { fetchModel } from '../encoder/importing/hub.js';
import { importEncoder } from '../encoder/importing/import-encoder.js';
import { KNOWN_ENCODERS, REFUSED_ENCODERS } from '../encoder/importing/known-encoders.js';
import type { Preset } from '../encoder/importing/source-preprocessing.js';
import { openRuntime, plainAbsence } from '../encoder/open-runtime.js';
import { readSavedEncoder } from '../encoder/saved-encoder.js';
import { SearchError } from '../errors.js';
import type { Preprocessing } from '../images/preprocessing.js';
import { findInPackage } from '../package-files.js';
import { openTerminalProgress } from './terminal-progress.js';

/** Flags of `likeness encoder import`. */
export type EncoderImportFlags = {
  readonly out: string;
  readonly name?: string;
  readonly preset?: Preset;
  readonly size?: number;
  readonly output?: string;
  readonly pool?: Pooling;
  readonly variant?: string;
  readonly licence?: string;
  readonly golden?: string;
  readonly goldenVector?: string;
  readonly replace: boolean;
};

/** Flags of `likeness encoder add`. */
export type EncoderAddFlags = Pick<EncoderImportFlags, 'variant' | 'replace'> & {
  readonly out?: string;
  readonly hub: string;
  readonly cache: string;
};

/**
 * Fetches a model by one of our names, or by its own on the hub, and imports it. Without a name, or with one that is
 * not known, prints what can be had. Returns the exit code.
 */
export async function runEncoderAdd(name: string | undefined, flags: EncoderAddFlags): Promise<number> {
  const known = KNOWN_ENCODERS.find((each) => each.name === name);
  const refused = REFUSED_ENCODERS.find(({ pattern }) => pattern.test(name ?? ''));
  if (refused !== undefined)
    throw new SearchError(
      'INVALID_ENCODER',
      `${name} is not offered: ${refused.reason}. Where you may use it, fetch it yourself and import the folder.`,
    );
  const repository = known?.repository ?? (name?.includes('/') ? name : undefined);
  if (name === undefined || repository === undefined) {
    if (name !== undefined) console.error(`${name} is no encoder of this list and no OWNER/NAME of the hub.`);
    console.log(knownEncoders());
    return name === undefined ? 0 : 1;
  }
  const { out = `models/${basename(name)}`, hub, cache, variant, replace } = flags;
  const progress = openTerminalProgress();
  const { folder, revision } = await fetchModel({
    ...{ repository, hub, cache, variant },
    onProgress: (file, bytes, total) => progress.stage(`fetch ${file}`, bytes, total),
  }).finally(() => progress.close());
  console.log(`${hub}/${repository} at ${revision}: every file has the digest that is listed there`);
  return runEncoderImport(folder, {
    ...{ out, name: basename(name).toLowerCase(), replace },
    ...(variant !== undefined && { variant }),
    ...(known !== undefined && { licence: known.licence }),
  });
}

function knownEncoders(): string {
  const rows = KNOWN_ENCODERS.map(
    ({ name, megabytes, dimensions, operations, licence, goodAt }) =>
      `${name.padEnd(14)} ${String(megabytes).padStart(5)} ${String(dimensions).padStart(11)} ${String(operations).padStart(8)}  ${goodAt}. ${licence}`,
  );
  return [
    'name              MB  dimensions  10^9 ops  good at, licence',
    ...rows,
    ...REFUSED_ENCODERS.map(({ pattern, reason }) => `not offered: ${pattern.source} (${reason})`),
  ].join('\n');
}

/** Imports an encoder and prints what was taken from which file and what was guessed. Returns the exit code. */
export async function runEncoderImport(from: string, flags: EncoderImportFlags): Promise<number> {
  const { pool, name = basename(flags.out).toLowerCase(), golden, goldenVector, ...rest } = flags;
  if ((golden === undefined) !== (goldenVector === undefined))
    throw new SearchError('INVALID_SETTINGS', 'Give --golden and --golden-vector together: a picture and its vector.');
  const { encoder, layout, taken, guessed } = await importEncoder({
    ...rest,
    from,
    name,
    ...(pool !== undefined && { pooling: pool }),
    ...(golden !== undefined && goldenVector !== undefined && { golden: { picture: golden, vector: goldenVector } }),
  });
  const { preprocessing, dimensions, dataLicence } = encoder.manifest;
  console.log(`${layout}:`);
  for (const fact of taken) console.log(`  ${fact}`);
  console.log(`  pictures: ${describeResize(preprocessing)}`);
  console.log(`  licence: ${dataLicence}`);
  for (const guess of guessed) console.log(`  guessed: ${guess}`);
  console.log(`${encoder.folder}: ${dimensions} dimensions. Serve it with --model ${flags.out}.`);
  return 0;
}

/**
 * Encodes the golden picture on every device that is here and prints how near its vector is to the stored one. Returns
 * 1 where a device gives another vector. /
 */
export async function runEncoderCheck(folder: string): Promise<number> {
  const encoder = await readSavedEncoder(findInPackage(folder));
  const { name, id, golden } = encoder.manifest;
  console.log(`${name}: program and preprocessing are those of its id ${id.slice(0, 12)}`);
  if (golden === undefined) console.log('  no golden picture came with it: only that it runs is checked');
  let wrong = 0;
  for (const device of DEVICES) {
    let line: string;
    try {
      const absence = plainAbsence(device);
      if (absence !== undefined) {
        console.log(`  ${device}: ${absence}`);
        continue;
      }
      const runtime = await openRuntime(encoder, { device, threads: availableParallelism() });
      const cosine = await goldenCosine(encoder, runtime);
      await runtime.close();
      const isWrong = cosine !== undefined && !(cosine >= GOLDEN_COSINE_MIN);
      if (isWrong) wrong++;
      line = cosine === undefined ? 'runs' : `cosine ${cosine.toFixed(5)}${isWrong ? ': ANOTHER VECTOR' : ''}`;
    } catch (error) {
      if (device === 'cpu') throw error;
      line = error instanceof Error ? error.message : String(error);
    }
    console.log(`  ${device}: ${line}`);
  }
  return wrong === 0 ? 0 : 1;
}

const DEVICES: readonly Device[] = ['cpu', 'cuda', 'webgpu', 'tensorflow', 'tensorflow-gpu'];

/** Such as "shortest edge to 256, bicubic; input 224x224, RGB". */
function describeResize({ resize, width, height, channels }: Preprocessing): string {
  const input = `input ${width}x${height}, ${channels ?? 'RGB'}`;
  if (resize === undefined) return input;
  const { to, kernel, antialias } = resize;
  const target =
    'width' in to
      ? `to ${to.width}x${to.height}`
      : 'shortest' in to
        ? `shortest edge to ${to.shortest}`
        : `longest edge to ${to.longest}`;
  return `${target}, ${kernel}${antialias ? '' : ' without antialias'}; ${input}`;
}
