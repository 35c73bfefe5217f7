/**
 * Turns another project's program into an encoder's: our input and outputs around its graph, and proof that it works.
 */
import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { Declared, EditableModel } from '../../compile/onnx-edit.js';
import type { OnnxNode, OnnxTensor } from '../../compile/onnx-model.js';
import { SearchError } from '../../errors.js';
import { type Preprocessing, writeInputTensor } from '../../images/preprocessing.js';
import type { Size } from '../../images/resample.js';
import { seededRandom } from '../../seeded-random.js';
import type { EncoderManifest } from '../saved-encoder.js';
import { EMBEDDING_OUTPUT, PIXELS_INPUT } from '../saved-encoder.js';

/** How a sequence of tokens or a map becomes one vector. */
export type Pooling = 'cls' | 'mean' | 'gem' | 'max';

/** The picture input of a program. Free sizes are undefined. */
export type PictureInput = {
  readonly name: string;
  readonly type: 'float32' | 'float16' | 'uint8';
  readonly layout: Preprocessing['layout'];
  readonly size: Size | undefined;
  readonly guessed: readonly string[];
};

/** A finished program, with what the manifest says of it. */
export type EncoderProgram = Pick<EncoderManifest, 'dimensions' | 'outputs' | 'batch'> & {
  readonly onnx: Uint8Array;
  readonly taken: readonly string[];
  readonly guessed: readonly string[];
};

const INPUT_TYPES = ['float32', 'float16', 'uint8'] as const;
const FEATURES_OUTPUT = 'features';
/** Outputs by the names that exporters give them, in the order of preference. */
const OUTPUT_NAMES = [
  'image_embeds',
  'image_features',
  'image_embeddings',
  'embedding',
  'embeddings',
  'pooler_output',
  'last_hidden_state',
];
const CLASS_SCORES = /logit|score|prob|softmax|predict/i;
/** Lengths of ImageNet's and other lists of classes; an embedding of these lengths is rare. */
const CLASS_COUNTS = [10, 100, 365, 1000, 1001, 10450, 11821, 21841, 21843];
/** Operators that leave class scores class scores. */
const PASSED_ON = ['Softmax', 'LogSoftmax', 'Sigmoid', 'Add', 'Identity', 'Reshape', 'Flatten', 'Squeeze', 'Cast'];
const OPSET_MIN = 10;
const PROBE_PICTURES = 8;
/** A batch must give the rows that its pictures give alone, up to rounding. */
const BATCH_COSINE_MIN = 0.9999;
/** Embeddings of different pictures that are all nearer than this say nothing. */
const CONSTANT_COSINE = 0.99999;

/** The input that takes pictures. Throws INVALID_ENCODER where none or several could. */
export function pictureInput(model: EditableModel, file: string): PictureInput {
  const candidates = model.inputs.filter(
    ({ type, dims }) => isInputType(type) && (dims === undefined || dims.length === 4),
  );
  const [input] = candidates;
  if (input === undefined || candidates.length > 1) {
    const listed = model.inputs.map(({ name, type, dims }) => `${name} ${type} [${dims?.join(', ')}]`).join('; ');
    throw invalid(file, `needs one input of pictures, float32, float16 or uint8 with four axes; it has: ${listed}`);
  }
  const dims = input.dims ?? [];
  const isLast = dims[1] !== 3 && dims[3] === 3;
  const [height, width] = isLast ? dims.slice(1, 3) : dims.slice(2, 4);
  return {
    name: input.name,
    type: input.type as PictureInput['type'], // by isInputType
    layout: isLast ? 'NHWC' : 'NCHW',
    size: isFixed(height) && isFixed(width) ? { height, width } : undefined,
    guessed: isLast || dims[1] === 3 ? [] : ['channels first (NCHW): the input does not say'],
  };
}

/**
 * Builds the program and proves it: embeddings are finite, differ between pictures and span more than a line, and a
 * batch gives what its pictures give alone; otherwise pictures run one by one. Throws INVALID_ENCODER with the file and
 * the reason; class scores are refused unless `output` names them. /
 */
export async function buildEncoderProgram(options: {
  readonly model: EditableModel;
  readonly file: string;
  readonly input: PictureInput;
  readonly preprocessing: Preprocessing;
  readonly output: string | undefined;
  readonly pooling: Pooling | undefined;
  readonly patchSize: number | undefined;
  readonly isClassifier: boolean;
}): Promise<EncoderProgram> {
  const { model, file, input, preprocessing } = options;
  if (model.opset < OPSET_MIN)
    throw invalid(file, `is written in opset ${model.opset}; ${OPSET_MIN} or newer is needed. Export it again`);
  const writer = new ProgramWriter(model, input, preprocessing);
  const chosen = options.output ?? chooseOutput(model, file);
  const [dims] = await rawDims(writer, [chosen], preprocessing, file);
  if (options.output === undefined) refuseClassScores({ ...options, output: chosen, dims: dims! });
  const mapSource = mapOutput(model, chosen, dims!);
  const mapDims =
    mapSource === undefined || mapSource === chosen
      ? dims!
      : (await rawDims(writer, [mapSource], preprocessing, file))[0]!;
  const tokens = mapDims.length === 3 ? tokenGrid(mapDims[1]!, preprocessing, options.patchSize) : undefined;

  const pooled = writer.pool(chosen, dims!, { pooling: options.pooling, tokens, file });
  const features = mapSource === undefined ? undefined : writer.features(mapSource, mapDims, tokens);
  const described = { dimensions: pooled.dimensions, features };
  let problem: unknown;
  for (const batch of ['free', 1] as const) {
    const onnx = writer.write(described, batch);
    try {
      await prove(onnx, { preprocessing, dimensions: pooled.dimensions, batch, file });
    } catch (error) {
      if (error instanceof SearchError) throw error;
      problem = error;
      continue; // a graph made for one picture fails in a batch
    }
    return {
      onnx,
      dimensions: pooled.dimensions,
      outputs: { embedding: EMBEDDING_OUTPUT, ...(features && { features }) },
      ...(batch === 1 && { batch }),
      taken: [
        `input: ${input.name}, ${input.type}, ${input.layout}, ${batch === 1 ? 'one picture at a time' : 'any batch'}`,
        `output: ${chosen} [${dims!.join(', ')}]${pooled.pooling === undefined ? '' : `, pooled by ${pooled.pooling}`}`,
        ...(features === undefined
          ? []
          : [`features: ${mapSource}, ${features.grid.width}x${features.grid.height} places`]),
      ],
      guessed:
        pooled.pooling !== undefined && options.pooling === undefined ? [`pooling by ${pooled.pooling} (--pool)`] : [],
    };
  }
  throw invalid(file, `does not run: ${problem instanceof Error ? problem.message : String(problem)}`);
}

/** Nodes around a graph: from `pixels` to its input, and from its outputs to ours. */
class ProgramWriter {
  readonly model: EditableModel;
  readonly preprocessing: Preprocessing;
  readonly #nodes: OnnxNode[];
  readonly #initializers: OnnxTensor[] = [];
  readonly #aliases: Record<string, string>;

  constructor(model: EditableModel, input: PictureInput, preprocessing: Preprocessing) {
    this.model = model;
    this.preprocessing = preprocessing;
    this.#aliases = { 'likeness/input': input.name };
    const to = { float32: 1, float16: 10, uint8: 2 }[input.type];
    this.#nodes = [{ op: 'Cast', inputs: [PIXELS_INPUT], outputs: ['likeness/input'], attributes: { to } }];
  }

  /** The program with values of the source as its outputs, as float32. */
  raw(names: readonly string[]): Uint8Array {
    const aliases = { ...this.#aliases, ...Object.fromEntries(names.map((name, i) => [`likeness/raw${i}`, name])) };
    const nodes = names.map((_, i) => ({
      op: 'Cast',
      inputs: [`likeness/raw${i}`],
      outputs: [`likeness/out${i}`],
      attributes: { to: 1 },
    }));
    return this.model.write({
      inputs: [this.#input(1)],
      outputs: names.map((_, i) => `likeness/out${i}`),
      nodes: [...this.#nodes, ...nodes],
      initializers: this.#initializers,
      aliases,
    });
  }

  pool(
    source: string,
    dims: readonly number[],
    options: { readonly pooling: Pooling | undefined; readonly tokens: TokenGrid | undefined; readonly file: string },
  ): { readonly dimensions: number; readonly pooling: Pooling | undefined } {
    const { tokens, file } = options;
    this.#aliases['likeness/value'] = source;
    const value = this.#add('Cast', ['likeness/value'], { to: 1 });
    const channelAxis = this.#channelAxis(dims);
    const places = dims.map((_, axis) => axis).filter((axis) => axis > 0 && axis !== channelAxis);
    const isOnePlace = places.every((axis) => dims[axis] === 1);
    const dimensions = dims[channelAxis] ?? 0;
    if (dims.length < 2 || dims.length > 4 || dims[0] !== 1)
      throw invalid(
        file,
        `gives ${source} of shape [${dims.join(', ')}], which is no vector, map or list of tokens of one picture`,
      );
    let pooling: Pooling | undefined;
    let vector = value;
    if (places.length > 0 && isOnePlace) vector = this.#reshape(value, [0, dimensions]);
    else if (places.length > 0) {
      pooling = options.pooling ?? (dims.length === 3 && tokens?.prefix !== 0 ? 'cls' : 'mean');
      if (pooling === 'cls') {
        if (dims.length !== 3) throw invalid(file, `gives a map as ${source}; only tokens can be pooled by cls`);
        vector = this.#reshape(this.#slice(value, 0, 1), [0, dimensions]);
      } else {
        const patches = tokens !== undefined && tokens.prefix > 0 ? this.#slice(value, tokens.prefix) : value;
        vector = this.#pooledOver(patches, places, pooling);
      }
    }
    const norm = this.#add('Max', [this.#reduce('ReduceL2', vector, [1], 1), this.#scalar(1e-12)]);
    this.#nodes.push({ op: 'Div', inputs: [vector, norm], outputs: [EMBEDDING_OUTPUT] });
    return { dimensions, pooling };
  }

  /** The map that `source` holds as [batch, channels, height, width]. */
  features(
    source: string,
    dims: readonly number[],
    tokens: TokenGrid | undefined,
  ): EncoderManifest['outputs']['features'] {
    if (dims.length === 3 && tokens === undefined) return undefined;
    this.#aliases['likeness/map'] = source;
    const value = this.#add('Cast', ['likeness/map'], { to: 1 });
    const channels = dims[this.#channelAxis(dims)]!;
    if (tokens !== undefined) {
      const rows = this.#add('Transpose', [this.#slice(value, tokens.prefix)], { perm: [0, 2, 1] });
      this.#reshape(rows, [0, channels, tokens.height, tokens.width], FEATURES_OUTPUT);
      return { name: FEATURES_OUTPUT, channels, grid: { width: tokens.width, height: tokens.height } };
    }
    const isLast = this.#channelAxis(dims) === 3;
    const [height, width] = isLast ? [dims[1]!, dims[2]!] : [dims[2]!, dims[3]!];
    if (isLast)
      this.#nodes.push({
        op: 'Transpose',
        inputs: [value],
        outputs: [FEATURES_OUTPUT],
        attributes: { perm: [0, 3, 1, 2] },
      });
    else this.#nodes.push({ op: 'Identity', inputs: [value], outputs: [FEATURES_OUTPUT] });
    return { name: FEATURES_OUTPUT, channels, grid: { width, height } };
  }

  write(
    described: { readonly dimensions: number; readonly features: EncoderManifest['outputs']['features'] },
    batch: 'free' | 1,
  ): Uint8Array {
    const first = batch === 1 ? 1 : 'batch';
    const { dimensions, features } = described;
    return this.model.write({
      inputs: [this.#input(first)],
      outputs: [
        { name: EMBEDDING_OUTPUT, type: 'float32', dims: [first, dimensions] },
        ...(features === undefined
          ? []
          : [
              {
                name: features.name,
                type: 'float32' as const,
                dims: [first, features.channels, features.grid.height, features.grid.width],
              },
            ]),
      ],
      nodes: this.#nodes,
      initializers: this.#initializers,
      aliases: this.#aliases,
    });
  }

  #input(batch: number | string) {
    const { width, height, layout } = this.preprocessing;
    const dims = layout === 'NCHW' ? [batch, 3, height, width] : [batch, height, width, 3];
    return { name: PIXELS_INPUT, type: 'float32' as const, dims };
  }

  /**
   * Tokens have their channels last; of a map, the axis that differs from two equal ones, or where the input has them.
   */
  #channelAxis(dims: readonly number[]): number {
    const [, first, second, third] = dims;
    if (dims.length !== 4) return dims.length - 1;
    if (second === third && first !== second) return 1;
    if (first === second && third !== first) return 3;
    return this.preprocessing.layout === 'NCHW' ? 1 : 3;
  }

  #pooledOver(value: string, axes: readonly number[], pooling: Pooling): string {
    if (pooling === 'max') return this.#reduce('ReduceMax', value, axes, 0);
    if (pooling === 'mean') return this.#reduce('ReduceMean', value, axes, 0);
    // Generalised mean with p = 3, of what is above zero.
    const cubes = this.#add('Pow', [this.#add('Max', [value, this.#scalar(1e-6)]), this.#scalar(3)]);
    return this.#add('Pow', [this.#reduce('ReduceMean', cubes, axes, 0), this.#scalar(1 / 3)]);
  }

  /** Axes are an attribute before opset 18, and an input from then on. */
  #reduce(op: string, value: string, axes: readonly number[], keepdims: 0 | 1): string {
    return this.model.opset < 18
      ? this.#add(op, [value], { axes: [...axes], keepdims })
      : this.#add(op, [value, this.#integers(axes)], { keepdims });
  }

  /** Tokens from `begin` on, or up to `end`. */
  #slice(value: string, begin: number, end = 2 ** 31 - 1): string {
    return this.#add('Slice', [value, this.#integers([begin]), this.#integers([end]), this.#integers([1])]);
  }

  #reshape(value: string, dims: readonly number[], name?: string): string {
    return this.#add('Reshape', [value, this.#integers(dims)], {}, name);
  }

  #integers(values: readonly number[]): string {
    const name = `likeness/c${this.#initializers.length}`;
    this.#initializers.push({ name, dims: [values.length], data: BigInt64Array.from(values, BigInt) });
    return name;
  }

  #scalar(value: number): string {
    const name = `likeness/c${this.#initializers.length}`;
    this.#initializers.push({ name, dims: [], data: Float32Array.of(value) });
    return name;
  }

  #add(
    op: string,
    inputs: readonly string[],
    attributes: NonNullable<OnnxNode['attributes']> = {},
    name?: string,
  ): string {
    const output = name ?? `likeness/v${this.#nodes.length}`;
    this.#nodes.push({ op, inputs, outputs: [output], attributes });
    return output;
  }
}

/** Patches of a token sequence, row by row after `prefix` tokens (the class token and registers). */
type TokenGrid = { readonly prefix: number; readonly width: number; readonly height: number };

function tokenGrid(count: number, { width, height }: Size, patchSize: number | undefined): TokenGrid | undefined {
  const grid = (patch: number): TokenGrid => {
    const [across, down] = [Math.floor(width / patch), Math.floor(height / patch)];
    return { prefix: count - across * down, width: across, height: down };
  };
  const fits = ({ prefix }: TokenGrid): boolean => prefix >= 0 && prefix <= 16;
  if (patchSize !== undefined) return fits(grid(patchSize)) ? grid(patchSize) : undefined;
  const usual = [14, 16, 32, 8, 28, 4, 2].map(grid).find(fits);
  return usual;
}

function chooseOutput(model: EditableModel, file: string): string {
  const names = model.outputs.map(({ name }) => name);
  const known = OUTPUT_NAMES.find((name) => names.includes(name));
  const [only] = names;
  if (known !== undefined) return known;
  if (only !== undefined && names.length === 1) return only;
  throw invalid(file, `has the outputs [${names.join(', ')}]; choose the embedding with --output`);
}

function refuseClassScores(options: {
  readonly model: EditableModel;
  readonly file: string;
  readonly output: string;
  readonly dims: readonly number[];
  readonly isClassifier: boolean;
}): void {
  const { model, file, output, dims, isClassifier } = options;
  let value = output;
  let producer = model.producer(value);
  while (producer !== undefined && PASSED_ON.includes(producer.op)) {
    value = producer.inputs.find((name) => model.producer(name) !== undefined) ?? '';
    producer = model.producer(value);
  }
  const isLinear = producer?.op === 'Gemm' || producer?.op === 'MatMul' || producer?.op === 'Conv';
  const hasClasses = dims.length === 2 && isLinear && CLASS_COUNTS.includes(dims[1]!);
  if (!CLASS_SCORES.test(output) && !isClassifier && !hasClasses) return;
  if (OUTPUT_NAMES.includes(output)) return;
  const before = isLinear ? producer?.inputs[0] : undefined;
  const remedy = before === undefined ? '--output with the value before the last layer' : `--output ${before}`;
  throw invalid(
    file,
    `ends in ${output} [${dims.join(', ')}], scores of classes, which tell pictures of one class apart badly. Give ${remedy}, the value before them (or --output ${output} to insist)`,
  );
}

/** The output that holds a feature map or tokens, where there is one. */
function mapOutput(model: EditableModel, chosen: string, dims: readonly number[]): string | undefined {
  const isMap = dims.length === 3 || (dims.length === 4 && dims.slice(1).filter((size) => size > 1).length === 3);
  if (isMap) return chosen;
  return model.outputs.some(({ name }) => name === 'last_hidden_state') ? 'last_hidden_state' : undefined;
}

async function rawDims(
  writer: ProgramWriter,
  names: readonly string[],
  preprocessing: Preprocessing,
  file: string,
): Promise<readonly (readonly number[])[]> {
  try {
    const outputs = await run(writer.raw(names), preprocessing, probePictures(preprocessing, 1), 1);
    return outputs.map(({ dims }) => dims);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new SearchError('INVALID_ENCODER', `${file} does not run for ${names.join(', ')}: ${reason}`, { cause });
  }
}

/** Throws INVALID_ENCODER for embeddings that are of no use, and an Error where the batch does not work. */
async function prove(
  onnx: Uint8Array,
  options: {
    readonly preprocessing: Preprocessing;
    readonly dimensions: number;
    readonly batch: 'free' | 1;
    readonly file: string;
  },
): Promise<void> {
  const { preprocessing, dimensions, batch, file } = options;
  const pictures = probePictures(preprocessing, PROBE_PICTURES);
  const size = pictures.length / PROBE_PICTURES;
  const alone: Float32Array[] = [];
  const session = await open(onnx);
  try {
    for (let index = 0; index < PROBE_PICTURES; index++) {
      const one = await feed(session, preprocessing, pictures.subarray(index * size, (index + 1) * size), 1);
      alone.push(one[0]!.data);
    }
    const faults = alone.filter((row) => !(Math.abs(dot(row, row) - 1) < 0.01)).length; // NaN too
    if (faults > 0)
      throw invalid(
        file,
        `gives NaN, infinity or nothing but zeros for ${faults} of ${PROBE_PICTURES} test pictures. Take another variant, such as fp32`,
      );
    const cosines = alone.flatMap((a, i) => alone.slice(i + 1).map((b) => dot(a, b)));
    if (cosines.every((cosine) => cosine > CONSTANT_COSINE))
      throw invalid(file, 'gives the same embedding for all test pictures. Choose another --output');
    if (dimensions > 1 && cosines.every((cosine) => Math.abs(cosine) > CONSTANT_COSINE))
      throw invalid(file, 'gives embeddings on one line for all test pictures. Choose another --output');
    if (batch === 1) return;
    const [together] = await feed(session, preprocessing, pictures, PROBE_PICTURES);
    for (const [index, row] of alone.entries()) {
      const cosine = dot(row, together!.data.subarray(index * dimensions, (index + 1) * dimensions));
      if (!(cosine > BATCH_COSINE_MIN)) throw new Error(`picture ${index} of a batch differs (cosine ${cosine})`);
    }
  } finally {
    await session.release();
  }
}

/** The embedding of one picture, by a program that was built here. */
export async function runProgram(
  onnx: Uint8Array,
  preprocessing: Preprocessing,
  picture: Float32Array,
): Promise<Float32Array> {
  return (await run(onnx, preprocessing, picture, 1))[0]!.data; // its first output
}

type Output = { readonly dims: readonly number[]; readonly data: Float32Array };

async function run(
  onnx: Uint8Array,
  preprocessing: Preprocessing,
  pictures: Float32Array,
  count: number,
): Promise<Output[]> {
  const session = await open(onnx);
  try {
    return await feed(session, preprocessing, pictures, count);
  } finally {
    await session.release();
  }
}

function open(onnx: Uint8Array): Promise<InferenceSession> {
  return InferenceSession.create(onnx, { executionProviders: ['cpu'], logSeverityLevel: 4 });
}

async function feed(
  session: InferenceSession,
  { width, height, layout }: Preprocessing,
  pictures: Float32Array,
  count: number,
): Promise<Output[]> {
  const dims = layout === 'NCHW' ? [count, 3, height, width] : [count, height, width, 3];
  const outputs = await session.run({ [PIXELS_INPUT]: new Tensor('float32', pictures, dims) });
  // Cast to float32 by the program.
  return session.outputNames.map((name) => ({
    dims: outputs[name]!.dims,
    data: (outputs[name]!.data as Float32Array).slice(),
  }));
}

/** Pictures that differ in colour, direction and scale, as input tensors. */
function probePictures(preprocessing: Preprocessing, count: number): Float32Array {
  const { width, height } = preprocessing;
  const size = width * height * 3;
  const target = new Float32Array(count * size);
  const random = seededRandom(16);
  for (let index = 0; index < count; index++) {
    const waves = Array.from({ length: 6 }, () => Array.from({ length: 6 }, () => random() - 0.5));
    const rgb = Uint8Array.from({ length: size }, (_, at) => {
      const [x, y, channel] = [(Math.floor(at / 3) % width) / width, Math.floor(at / 3 / width) / height, at % 3];
      const value = waves.reduce(
        (sum, [across, down, phase, ...gains]) =>
          sum + gains[channel]! * Math.sin(40 * (across! * x + down! * y) + 6 * phase!),
        0.5,
      );
      return Math.max(0, Math.min(255, 255 * value));
    });
    writeInputTensor({ pixels: { width, height, rgb }, preprocessing, target, index });
  }
  return target;
}

function dot(left: Float32Array, right: Float32Array): number {
  let sum = 0;
  for (let at = 0; at < left.length; at++) sum += left[at]! * right[at]!;
  return sum;
}

function isInputType(type: Declared['type']): type is PictureInput['type'] {
  return INPUT_TYPES.some((one) => one === type);
}

function isFixed(size: number | string | undefined): size is number {
  return typeof size === 'number' && size > 0;
}

function invalid(file: string, what: string): SearchError {
  return new SearchError('INVALID_ENCODER', `${file} ${what}.`);
}
