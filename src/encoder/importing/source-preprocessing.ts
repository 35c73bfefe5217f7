/** Preprocessing as other projects write it down, in the terms of our manifest. */
import { SearchError } from '../../errors.js';
import type { Preprocessing } from '../../images/preprocessing.js';
import { KERNELS, type Resize, type Size } from '../../images/resample.js';

/** What a file says of the preprocessing; the layout is the program's. `guessed`: what it leaves open, in words. */
export type SourcePreprocessing = Pick<Preprocessing, 'mean' | 'scale' | 'channels'> & {
  readonly resize: Resize;
  /** Size of the input; undefined where the file leaves it to the program. */
  readonly input: Size | undefined;
  readonly guessed: readonly string[];
};

type Json = { readonly [key: string]: unknown };

const IMAGENET = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] } as const;
const CLIP = { mean: [0.48145466, 0.4578275, 0.40821073], std: [0.26862954, 0.26130258, 0.27577711] } as const;
const HALF = { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] } as const;

/** Preprocessing by name, for a model that comes without: `crop` is the share of the resized edge that is kept. */
const PRESETS = {
  imagenet: { ...IMAGENET, kernel: 'bilinear', crop: 0.875, antialias: true },
  dinov2: { ...IMAGENET, kernel: 'bicubic', crop: 0.875, antialias: true },
  clip: { ...CLIP, kernel: 'bicubic', crop: 1, antialias: true },
  siglip: { ...HALF, kernel: 'bilinear', crop: undefined, antialias: true },
  tensorflow: { ...HALF, kernel: 'bilinear', crop: undefined, antialias: false },
  bytes: { mean: [0, 0, 0], std: [1 / 255, 1 / 255, 1 / 255], kernel: 'bilinear', crop: 1, antialias: true },
} as const;

/** Names of presets: ranges and sizes that families of models share. */
export type Preset = keyof typeof PRESETS;
export const PRESET_NAMES = Object.keys(PRESETS) as readonly Preset[];

const DEFAULT_SIZE = 224;

/** The preprocessing of a preset for an input of `size`, or of 224 pixels where the program leaves it free. */
export function presetPreprocessing(preset: Preset, size: Size | undefined): SourcePreprocessing {
  const { mean, std, kernel, crop, antialias } = PRESETS[preset];
  const input = size ?? { width: DEFAULT_SIZE, height: DEFAULT_SIZE };
  const edge = Math.min(input.width, input.height);
  return {
    ...normalisation({ mean, std, factor: 1 / 255 }),
    resize: { to: crop === undefined ? input : { shortest: Math.floor(edge / crop) }, kernel, antialias },
    input,
    guessed: size === undefined ? [`input of ${DEFAULT_SIZE}x${DEFAULT_SIZE} pixels (--size)`] : [],
  };
}

/** Pillow's codes of its filters. */
const RESAMPLE_CODES: readonly Resize['kernel'][] = ['nearest', 'lanczos', 'bilinear', 'bicubic', 'box', 'hamming'];

/**
 * preprocessor_config.json of transformers, transformers.js and optimum (or `image_processor` of
 * processor_config.json). Throws INVALID_ENCODER where it asks for something that is not done here. /
 */
export function huggingFacePreprocessing(config: Json, file: string): SourcePreprocessing {
  const guessed: string[] = [];
  const kind = String(config.image_processor_type ?? config.feature_extractor_type ?? '');
  const size = sizeOf(config.size ?? config.image_size, file);
  const crop = config.do_center_crop === true ? sizeOf(config.crop_size ?? config.size, file) : undefined;
  if (config.do_resize === false || size === undefined)
    throw invalid(file, 'does not resize pictures to a size; give --preset and --size instead');
  const code = Number(config.resample ?? 2);
  if (config.resample === undefined) guessed.push(`bilinear resizing, since ${file} names no resample`);
  const kernel = RESAMPLE_CODES[code];
  if (kernel === undefined) throw invalid(file, `has resample ${code}, which is no filter of Pillow`);
  for (const key of ['do_thumbnail', 'ensure_multiple_of', 'keep_aspect_ratio'])
    if (config[key] !== undefined && config[key] !== false && config[key] !== 1)
      throw invalid(file, `asks for ${key}, which is not supported`);

  const cropOf = crop && ('width' in crop ? crop : 'shortest' in crop ? square(crop.shortest) : square(crop.longest));
  let to: Resize['to'] = size;
  let input: Size | undefined = cropOf ?? ('width' in size ? size : undefined);
  if (/ConvNext/.test(kind) && 'shortest' in size) {
    // Small sizes are resized to edge / crop_pct and cropped; from 384 on the picture is warped.
    input = square(size.shortest);
    to = size.shortest < 384 ? { shortest: Math.floor(size.shortest / Number(config.crop_pct ?? 224 / 256)) } : input;
  }
  const padTo = config.do_pad === true ? sizeOf(config.pad_size, file) : undefined;
  if (padTo !== undefined && 'width' in padTo) input = padTo;
  else if (input === undefined && 'longest' in size) input = square(size.longest);
  const isRescaled = config.do_rescale !== false;
  const isNormalised = config.do_normalize !== false && (config.image_mean ?? config.mean) !== undefined;
  return {
    ...normalisation({
      mean: isNormalised ? threeOf(config.image_mean ?? config.mean, `${file}: image_mean`) : [0, 0, 0],
      std: isNormalised ? threeOf(config.image_std ?? config.std, `${file}: image_std`) : [1, 1, 1],
      factor: isRescaled ? Number(config.rescale_factor ?? 1 / 255) : 1,
    }),
    resize: {
      to,
      kernel,
      antialias: true,
      ...('longest' in to && { pad: { colour: [0, 0, 0], place: 'start' } as const }),
    },
    input,
    ...(config.do_flip_channel_order === true && { channels: 'BGR' as const }),
    guessed,
  };
}

/** preprocess_cfg of open_clip and Immich. */
export function openClipPreprocessing(config: Json, file: string): SourcePreprocessing {
  const sides = typeof config.size === 'number' ? [config.size, config.size] : config.size;
  if (!Array.isArray(sides)) throw invalid(file, 'names no size');
  const input = { height: positive(sides[0], file), width: positive(sides[1], file) };
  const mode = String(config.resize_mode ?? 'shortest');
  const edge = Math.min(input.width, input.height);
  const to = { shortest: { shortest: edge }, longest: { longest: edge }, squash: input }[mode];
  if (to === undefined) throw invalid(file, `has resize_mode ${mode}, which is not known`);
  const named = String(config.interpolation ?? 'bicubic');
  const kernel = KERNELS.find((one) => one === named) ?? 'bicubic';
  const fill = Number(config.fill_color ?? 0);
  return {
    ...normalisation({
      mean: threeOf(config.mean ?? CLIP.mean, `${file}: mean`),
      std: threeOf(config.std ?? CLIP.std, `${file}: std`),
      factor: 1 / 255,
    }),
    resize: {
      to,
      kernel,
      antialias: true,
      ...(mode === 'longest' && { pad: { colour: [fill, fill, fill], place: 'centre' } as const }),
    },
    input,
    guessed: kernel === named ? [] : [`bicubic resizing for ${named}`],
  };
}

/** pretrained_cfg of timm, in config.json. */
export function timmPreprocessing(config: Json, file: string): SourcePreprocessing {
  const sides = config.input_size;
  if (!Array.isArray(sides) || sides.length !== 3) throw invalid(file, 'names no input_size');
  const input = { height: positive(sides[1], file), width: positive(sides[2], file) };
  const cropPct = Number(config.crop_pct ?? 0.875);
  const mode = String(config.crop_mode ?? 'center');
  const kernel = KERNELS.find((one) => one === config.interpolation) ?? 'bilinear';
  const scaled = (side: number): number => Math.floor(side / cropPct);
  return {
    ...normalisation({
      mean: threeOf(config.mean ?? IMAGENET.mean, `${file}: mean`),
      std: threeOf(config.std ?? IMAGENET.std, `${file}: std`),
      factor: 1 / 255,
    }),
    resize: {
      to:
        mode === 'squash'
          ? { width: scaled(input.width), height: scaled(input.height) }
          : { [mode === 'border' ? 'longest' : 'shortest']: scaled(Math.min(input.width, input.height)) },
      kernel,
      antialias: true,
    } as Resize, // one edge or a size, by the mode
    input,
    guessed: [],
  };
}

/** (pixel x factor - mean) / std as ours: (pixel / 255 - mean) x scale. */
function normalisation(given: {
  readonly mean: readonly [number, number, number];
  readonly std: readonly [number, number, number];
  readonly factor: number;
}): Pick<Preprocessing, 'mean' | 'scale'> {
  const range = 255 * given.factor;
  const three = (of: (channel: number) => number) => [of(0), of(1), of(2)] as const;
  return { mean: three((c) => given.mean[c]! / range), scale: three((c) => range / given.std[c]!) };
}

function sizeOf(value: unknown, file: string): Resize['to'] | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'number') return square(positive(value, file));
  const { shortest_edge, longest_edge, width, height } = value as Json;
  if (width !== undefined && height !== undefined)
    return { width: positive(width, file), height: positive(height, file) };
  if (shortest_edge !== undefined && longest_edge !== undefined)
    throw invalid(file, 'limits both edges, so that inputs differ in size, which is not supported');
  if (shortest_edge !== undefined) return { shortest: positive(shortest_edge, file) };
  if (longest_edge !== undefined) return { longest: positive(longest_edge, file) };
  throw invalid(file, 'has a size that is not understood');
}

function square(side: number): Size {
  return { width: side, height: side };
}

function positive(value: unknown, file: string): number {
  const number = Number(value);
  if (!Number.isInteger(number) || number < 1 || number > 4096)
    throw invalid(file, `has the size ${JSON.stringify(value)}; sizes are whole numbers up to 4096`);
  return number;
}

function threeOf(value: unknown, what: string): readonly [number, number, number] {
  const list = typeof value === 'number' ? [value, value, value] : value;
  if (
    !Array.isArray(list) ||
    list.length !== 3 ||
    !list.every((one) => typeof one === 'number' && Number.isFinite(one))
  )
    throw invalid(what, 'must be three numbers');
  return [list[0], list[1], list[2]];
}

function invalid(file: string, what: string): SearchError {
  return new SearchError('INVALID_ENCODER', `${file} ${what}.`);
}
