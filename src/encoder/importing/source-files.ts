/** Finds the program and the preprocessing in a folder or file that another project wrote. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { MODEL_BYTES_MAX } from '../../compile/onnx-edit.js';
import { SearchError } from '../../errors.js';
import {
  huggingFacePreprocessing,
  openClipPreprocessing,
  type SourcePreprocessing,
  timmPreprocessing,
} from './source-preprocessing.js';

/** What was found. `taken`: each fact and the file it is from, for the user. */
export type EncoderSource = {
  readonly layout: string;
  readonly program: { readonly file: string; readonly format: 'onnx' | 'tensorflow.js' };
  readonly preprocessing: SourcePreprocessing | undefined;
  readonly taken: readonly string[];
  /** Pixels of a patch and number of class names, from config.json. */
  readonly patchSize: number | undefined;
  readonly isClassifier: boolean;
  readonly licence: string | undefined;
};

type Json = { readonly [key: string]: unknown };

/** Settings files are a few kilobytes; a larger one is none. */
const JSON_BYTES_MAX = 2 ** 24;
/** Programs of an image tower by the names that exporters give them, in the order of preference. */
const PROGRAMS = ['visual/model', 'onnx/vision_model', 'onnx/model', 'vision_model', 'model'];

/**
 * Recognises the layout of `path`. variant: part of the program's file name, such as fp16 or quantized. Throws
 * INVALID_ENCODER where no program is there, or several and none has a name that is known.
 */
export async function findEncoderSource(path: string, variant: string | undefined): Promise<EncoderSource> {
  const isFolder = (await stat(path).catch(() => undefined))?.isDirectory();
  if (isFolder === undefined) throw invalid(path, 'cannot be read. Give a folder or an .onnx or model.json file');
  const folder = isFolder ? path : dirname(path);
  const files = new Set(isFolder ? await filesIn(path) : [basename(path)]);
  const file = isFolder ? undefined : path;
  if (files.has('model.json')) return sourceOf('TensorFlow.js', join(folder, 'model.json'), folder, 'tensorflow.js');
  const program = file ?? join(folder, chosenProgram(files, path, variant));
  const { size } = await stat(program);
  if (size > MODEL_BYTES_MAX)
    throw invalid(program, `has ${size} bytes; the limit is 2 GiB. Take a smaller variant, such as fp16`);
  return sourceOf('ONNX', program, folder, 'onnx');
}

async function sourceOf(
  kind: string,
  program: string,
  folder: string,
  format: EncoderSource['program']['format'],
): Promise<EncoderSource> {
  // Beside the program, in the folder, and above an onnx/ or visual/ folder.
  const places = [...new Set([dirname(program), folder, dirname(dirname(program))])];
  const read = async (name: string): Promise<{ readonly json: Json; readonly file: string } | undefined> => {
    for (const place of places) {
      const json = await readJson(join(place, name));
      if (json !== undefined) return { json, file: join(place, name) };
    }
    return undefined;
  };
  const config = await read('config.json');
  const processor = (await read('preprocessor_config.json')) ?? (await read('processor_config.json'));
  const immich = await read('preprocess_cfg.json');
  const openClip = await read('open_clip_config.json');
  const timm = config?.json.pretrained_cfg as Json | undefined;
  const found =
    immich !== undefined
      ? { layout: 'Immich', from: immich, read: openClipPreprocessing(immich.json, immich.file) }
      : processor !== undefined
        ? {
            layout: 'Hugging Face',
            from: processor,
            read: huggingFacePreprocessing((processor.json.image_processor as Json) ?? processor.json, processor.file),
          }
        : openClip !== undefined
          ? {
              layout: 'open_clip',
              from: openClip,
              read: openClipPreprocessing((openClip.json.preprocess_cfg as Json) ?? {}, openClip.file),
            }
          : config !== undefined && timm !== undefined
            ? { layout: 'timm', from: config, read: timmPreprocessing(timm, config.file) }
            : undefined;
  const vision = (config?.json.vision_config as Json | undefined) ?? config?.json;
  const architectures = config?.json.architectures;
  return {
    layout: found?.layout ?? kind,
    program: { file: program, format },
    preprocessing: found?.read,
    taken: [
      `program: ${relative(folder, program)}`,
      ...(found === undefined ? [] : [`preprocessing: ${relative(folder, found.from.file)}`]),
    ],
    patchSize: typeof vision?.patch_size === 'number' ? vision.patch_size : undefined,
    isClassifier:
      Array.isArray(architectures) && architectures.some((name) => /ForImageClassification/.test(String(name))),
    licence: typeof config?.json.license === 'string' ? config.json.license : undefined,
  };
}

/** Names relative to the folder, of it and the folders in it. */
async function filesIn(folder: string): Promise<string[]> {
  const names: string[] = [];
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (entry.isDirectory())
      for (const inner of await readdir(join(folder, entry.name)).catch(() => [])) names.push(`${entry.name}/${inner}`);
    else names.push(entry.name);
  }
  return names;
}

function chosenProgram(files: ReadonlySet<string>, folder: string, variant: string | undefined): string {
  const programs = [...files].filter((name) => name.endsWith('.onnx'));
  const suffix = variant === undefined ? '' : `_${variant}`;
  const known = PROGRAMS.map((name) => `${name}${suffix}.onnx`).find((name) => files.has(name));
  if (known !== undefined) return known;
  const fitting = programs.filter((name) => variant === undefined || name.includes(variant));
  const [only] = fitting;
  if (only !== undefined && fitting.length === 1) return only;
  throw invalid(
    folder,
    programs.length === 0
      ? 'holds no .onnx file and no model.json. Export the model to ONNX first (optimum-cli export onnx)'
      : `holds several programs [${programs.join(', ')}]; name the file, or a part of its name with --variant`,
  );
}

async function readJson(file: string): Promise<Json | undefined> {
  const { size } = (await stat(file).catch(() => undefined)) ?? {};
  if (size === undefined) return undefined;
  if (size > JSON_BYTES_MAX) throw invalid(file, `has ${size} bytes; settings have at most ${JSON_BYTES_MAX}`);
  try {
    const value: unknown = JSON.parse(await readFile(file, 'utf8'));
    if (typeof value === 'object' && value !== null) return value as Json; // any object has string keys
  } catch (cause) {
    throw invalid(file, 'is not JSON. Copy it again', cause);
  }
  throw invalid(file, 'holds no settings. Copy it again');
}

function invalid(file: string, what: string, cause?: unknown): SearchError {
  return new SearchError('INVALID_ENCODER', `${file} ${what}.`, cause === undefined ? {} : { cause });
}
