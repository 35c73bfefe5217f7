/** Brings another project's encoder into a saved encoder's folder. */
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { EditableModel } from '../../compile/onnx-edit.js';
import { SearchError } from '../../errors.js';
import type { Preprocessing } from '../../images/preprocessing.js';
import type { Size } from '../../images/resample.js';
import { testChart } from '../../images/test-chart.js';
import { checkGivenVector, embedFile } from '../golden.js';
import { type Golden, requirePlaceFor, type SavedEncoder, writeSavedEncoder } from '../saved-encoder.js';
import { buildEncoderProgram, type PictureInput, type Pooling, pictureInput, runProgram } from './encoder-program.js';
import { type EncoderSource, findEncoderSource } from './source-files.js';
import { PRESET_NAMES, type Preset, presetPreprocessing, type SourcePreprocessing } from './source-preprocessing.js';

/** What a user may state; the rest is read from the files or guessed, and told. */
export type ImportOptions = {
  /** A folder, an .onnx file or a model.json. */
  readonly from: string;
  readonly out: string;
  readonly name: string;
  readonly preset?: Preset;
  /** Side of the square input, where the program leaves it free. */
  readonly size?: number;
  /** Name of a value in the program that is the embedding, or is pooled to it. */
  readonly output?: string;
  readonly pooling?: Pooling;
  /** Part of the program's file name. */
  readonly variant?: string;
  readonly licence?: string;
  /** A picture and the vector that its makers give for it (JSON, an array of numbers): compared, then stored. */
  readonly golden?: { readonly picture: string; readonly vector: string };
  readonly replace: boolean;
};

/** The saved encoder, with what was taken from which file and what was guessed, for the user. */
export type ImportedEncoder = {
  readonly encoder: SavedEncoder;
  readonly layout: string;
  readonly taken: readonly string[];
  readonly guessed: readonly string[];
};

/**
 * Imports an encoder: its program between our input and outputs, its preprocessing in our manifest. Throws
 * INVALID_ENCODER with the file and the remedy, INVALID_SETTINGS where `out` exists.
 */
export async function importEncoder(options: ImportOptions): Promise<ImportedEncoder> {
  const { out, replace, name } = options;
  await requirePlaceFor(out, replace);
  const source = await findEncoderSource(options.from, options.variant);
  const { file } = source.program;
  const bytes = source.program.format === 'onnx' ? await readFile(file) : await tensorFlowProgram(file, options);
  const model = await EditableModel.read(bytes, file.replace(/[^/\\]*$/, '')).catch((cause: unknown) => {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new SearchError('INVALID_ENCODER', `${file} ${reason}. Copy or export it again.`, { cause });
  });
  const input = pictureInput(model, file);
  const stated = statedPreprocessing(source, input, options);
  const preprocessing = preprocessingFor(stated, input, options);
  const program = await buildEncoderProgram({
    model,
    file,
    input,
    preprocessing,
    output: source.program.format === 'onnx' ? options.output : undefined,
    pooling: options.pooling,
    patchSize: source.patchSize,
    isClassifier: source.isClassifier,
  });
  const { onnx, dimensions, outputs, batch } = program;
  const golden = await goldenOf(onnx, preprocessing, options.golden);
  const taken = [...source.taken, ...program.taken];
  const guessed = [...stated.guessed, ...input.guessed, ...program.guessed];
  if (options.golden !== undefined) taken.push(`proved: ${options.golden.picture} gives ${options.golden.vector}`);
  const dataLicence = options.licence ?? source.licence ?? 'not stated';
  const encoder = await writeSavedEncoder({
    folder: out,
    onnx,
    golden,
    replace,
    card: modelCard({ name, source, taken, guessed, dimensions, licence: dataLicence }),
    manifest: {
      name,
      dimensions,
      preprocessing,
      outputs,
      ...(batch !== undefined && { batch }),
      training: { method: 'imported', layout: source.layout, program: basename(file) },
      dataLicence,
      created: new Date().toISOString(),
    },
  });
  return { encoder, layout: source.layout, taken, guessed };
}

/** The golden picture: the given one, whose vector must agree, or a test chart. */
async function goldenOf(
  onnx: Uint8Array,
  preprocessing: Preprocessing,
  given: ImportOptions['golden'],
): Promise<Golden> {
  const image = given === undefined ? await testChart() : await readFile(given.picture);
  const vector = await embedFile(image, preprocessing, { run: (batch) => runProgram(onnx, preprocessing, batch) });
  if (given !== undefined) checkGivenVector(vector, await readVector(given.vector), given.picture);
  return { image, vector };
}

async function readVector(file: string): Promise<Float32Array> {
  const text = await readFile(file, 'utf8');
  try {
    const value: unknown = JSON.parse(text);
    const row: unknown = Array.isArray(value) && Array.isArray(value[0]) ? value[0] : value; // [[...]] of a batch of 1
    if (Array.isArray(row) && row.every(Number.isFinite)) return Float32Array.from(row);
  } catch {
    // said below
  }
  throw new SearchError('INVALID_ENCODER', `${file} is not a JSON array of numbers. Write the reference vector so.`);
}

/** A TensorFlow.js model as ONNX, up to the chosen node. */
async function tensorFlowProgram(file: string, { output, size }: ImportOptions): Promise<Uint8Array> {
  const { openGraphModel } = await import('../../compile/tfjs-graph-model.js');
  const invalid = (cause: unknown): never => {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new SearchError('INVALID_ENCODER', `${file} cannot be imported: ${reason}`, { cause });
  };
  const model = await openGraphModel(file).catch(invalid);
  try {
    const [, height = -1, width = -1] = model.input.shape;
    const chosen = output ?? model.outputs[0] ?? '';
    if (!model.nodes.includes(chosen))
      throw new Error(`it has no node ${chosen}; its nodes: ${model.nodes.join(', ')}`);
    const side = (own: number): number => size ?? (own > 0 ? own : 224);
    return model.toOnnx({ height: side(height), width: side(width), output: chosen });
  } catch (cause) {
    return invalid(cause);
  } finally {
    model.close();
  }
}

function statedPreprocessing(
  source: EncoderSource,
  input: PictureInput,
  { preset, size, from }: ImportOptions,
): SourcePreprocessing {
  const square = size === undefined ? undefined : { width: size, height: size };
  if (preset !== undefined) return presetPreprocessing(preset, input.size ?? square);
  if (source.preprocessing !== undefined) return source.preprocessing;
  throw new SearchError(
    'INVALID_ENCODER',
    `${from} comes without its preprocessing (preprocessor_config.json). Give --preset ${PRESET_NAMES.join('|')}; see docs/encoders.md.`,
  );
}

function preprocessingFor(
  stated: SourcePreprocessing,
  input: PictureInput,
  { size, from }: ImportOptions,
): Preprocessing {
  const square: Size | undefined = size === undefined ? undefined : { width: size, height: size };
  const wanted = square ?? stated.input ?? input.size ?? { width: 224, height: 224 };
  const { size: fixed, layout } = input;
  if (fixed !== undefined && (fixed.width !== wanted.width || fixed.height !== wanted.height))
    throw new SearchError(
      'INVALID_ENCODER',
      `${from}: the preprocessing gives ${wanted.width}x${wanted.height} pixels, the program takes ${fixed.width}x${fixed.height}. Take the files of one export, or give --preset.`,
    );
  const { mean, scale, resize, channels } = stated;
  const fit = 'width' in resize.to ? 'stretch' : 'shortest' in resize.to ? 'cover' : 'contain';
  return { ...wanted, fit, mean, scale, layout, resize, ...(channels && { channels }) };
}

function modelCard(facts: {
  readonly name: string;
  readonly source: EncoderSource;
  readonly taken: readonly string[];
  readonly guessed: readonly string[];
  readonly dimensions: number;
  readonly licence: string;
}): string {
  const { name, source, taken, guessed, dimensions, licence } = facts;
  const list = (items: readonly string[]): string => items.map((item) => `- ${item}`).join('\n');
  return `# ${name}

An encoder that was imported (${source.layout}): ${dimensions} dimensions, L2-normalised. Licence: ${licence}

## Taken from its files

${list(taken)}
${guessed.length === 0 ? '' : `\n## Guessed\n\n${list(guessed)}\n`}`;
}
