import type * as tf from '@tensorflow/tfjs-core';
import * as ort from 'onnxruntime-node';
import { registerGradients } from './gradients.js';
import type { Layout, Value } from './graph.js';
import { encodeModel } from './onnx-writer.js';
import { toModel } from './serialise.js';
import { openSession, type SessionOptions } from './session.js';
import { type NamedTensors, type TensorSpec, trace } from './trace.js';

/** Numbers of one tensor, row-major. bool is held as bytes 0 and 1. */
export type TensorValues = Float32Array | Int32Array | Uint8Array;
/** Numbers of several tensors, by name. */
export type NamedValues = { readonly [name: string]: TensorValues };

/** What {@link compileProgram} compiles. Shapes are fixed. */
export type ProgramDefinition = {
  /** Inputs of each run. */
  readonly inputs: Readonly<Record<string, TensorSpec>>;
  /** Tensors that each run reads and replaces: parameters, moments, moving statistics. */
  readonly state: Readonly<Record<string, TensorSpec>>;
  /** A function of its tensors, gradients and all. nextState must name every tensor of the state, each of its shape. */
  readonly run: (tensors: { readonly inputs: NamedTensors; readonly state: NamedTensors }) => {
    readonly outputs: NamedTensors;
    readonly nextState: NamedTensors;
  };
};

/** Prefixes that keep inputs, outputs and state apart among a graph's names. */
const STATE = 'state.';
const NEXT = 'next.';

/**
 * Compiles a tfjs function to a program of ONNX Runtime. The state starts as zeros: write it before the first run.
 * Rejects where the function uses a kernel without lowering or reads a tensor's values, with DEVICE_UNAVAILABLE where
 * the provider is missing.
 */
export async function compileProgram(definition: ProgramDefinition, options: SessionOptions = {}): Promise<Program> {
  const { bytes, outputs } = traceProgram(
    definition,
    (options.provider ?? 'cpu') === 'cpu' ? 'channels-last' : 'channels-first',
  );
  return new Program(definition, outputs, await openSession(bytes, options));
}

/** The ONNX model of a program: its bytes, the shapes and types of its outputs, and the number of operations in it. */
function traceProgram(
  definition: ProgramDefinition,
  layout: Layout,
): {
  readonly bytes: Uint8Array;
  readonly outputs: Readonly<Record<string, TensorSpec>>;
  readonly operations: number;
} {
  registerGradients();
  const { inputs, state, run } = definition;
  const specs = { ...inputs, ...prefixed(state, STATE) };
  const { graph, outputs } = trace(
    specs,
    (tensors) => {
      const result = run({ inputs: tensors, state: unprefixed(tensors, STATE) });
      const missing = Object.keys(state).filter((name) => result.nextState[name] === undefined);
      if (missing.length > 0) throw new Error(`The compiled function gives no next state for ${missing.join(', ')}.`);
      return { ...result.outputs, ...prefixed(result.nextState, NEXT) };
    },
    layout,
  );
  for (const [name, { shape, dtype }] of Object.entries(state)) {
    const next = outputs.get(NEXT + name);
    if (next === undefined || String(next.dims) !== String(shape) || next.type !== dtype) {
      throw new Error(`State ${name} is ${dtype} [${shape}] but its next value is ${next?.type} [${next?.dims}].`);
    }
  }
  const model = toModel(graph, outputs, { name: 'program' });
  const own = [...outputs].filter(([name]) => !name.startsWith(NEXT));
  return {
    bytes: encodeModel(model),
    outputs: Object.fromEntries(own.map(([name, value]) => [name, specOf(value)])),
    operations: model.graph.nodes.length,
  };
}

/** A program with its state, whichever engine executes it. */
export interface StepProgram {
  /**
   * One step: computes the outputs and replaces the state. The values returned are the caller's. Rejects where a feed
   * is missing or misshaped.
   */
  run(feeds: NamedValues): Promise<Record<string, TensorValues>>;
  /** A copy of the state. Written back by writeState it makes the next run the same, bit for bit. */
  readState(): Record<string, TensorValues>;
  /**
   * Replaces tensors of the state by copies of the given values; those not named stay. Throws for unknown names and
   * wrong lengths.
   */
  writeState(values: NamedValues): void;
  close(): Promise<void>;
}

/**
 * A compiled function with its state. Runs go one after another; ONNX Runtime blocks the calling thread while it
 * computes. Every state tensor has two buffers: a run reads one, ONNX Runtime fills the other with the next value, then
 * they change places. Feeding outputs back as they come measured the same (10 to 14 ms for the seed method's 27 MB, the
 * pass over them included); this way memory stays level and nothing is garbage.
 */
export class Program implements StepProgram {
  readonly #definition: ProgramDefinition;
  readonly #session: ort.InferenceSession;
  readonly #outputs: Readonly<Record<string, TensorSpec>>;
  #current: Record<string, ort.Tensor>;
  #spare: Record<string, ort.Tensor>;
  #running = false;

  constructor(
    definition: ProgramDefinition,
    outputs: Readonly<Record<string, TensorSpec>>,
    session: ort.InferenceSession,
  ) {
    this.#definition = definition;
    this.#session = session;
    this.#outputs = outputs;
    this.#current = mapValues(definition.state, zeros);
    this.#spare = mapValues(definition.state, zeros);
  }

  async run(feeds: NamedValues): Promise<Record<string, TensorValues>> {
    if (this.#running) throw new Error('A program runs one step at a time; await the former one.');
    const tensors: Record<string, ort.Tensor> = {};
    for (const [name, spec] of Object.entries(this.#definition.inputs))
      tensors[name] = new ort.Tensor(spec.dtype, checkedValues(name, spec, feeds[name]), [...spec.shape]);
    for (const [name, tensor] of Object.entries(this.#current)) tensors[STATE + name] = tensor;
    // Outputs are few and small; new arrays for them each time may be kept by the caller.
    const fetches: Record<string, ort.Tensor> = mapValues(this.#outputs, zeros);
    for (const [name, tensor] of Object.entries(this.#spare)) fetches[NEXT + name] = tensor;
    this.#running = true;
    try {
      await this.#session.run(tensors, fetches);
    } finally {
      this.#running = false;
    }
    [this.#current, this.#spare] = [this.#spare, this.#current];
    return Object.fromEntries(Object.keys(this.#outputs).map((name) => [name, valuesOf(fetches[name]!)]));
  }

  readState(): Record<string, TensorValues> {
    return mapValues(this.#current, (tensor) => valuesOf(tensor).slice());
  }

  writeState(values: NamedValues): void {
    for (const [name, given] of Object.entries(values)) {
      const spec = this.#definition.state[name];
      const tensor = this.#current[name];
      if (spec === undefined || tensor === undefined) throw new Error(`The program has no state named ${name}.`);
      valuesOf(tensor).set(checkedValues(name, spec, given));
    }
  }

  async close(): Promise<void> {
    await this.#session.release();
  }
}

function specOf(value: Value): TensorSpec {
  if (value.type === 'int64') throw new Error('An int64 value left its lowering. This is a bug.');
  return { shape: value.dims, dtype: value.type };
}

function arrayFor(dtype: TensorSpec['dtype']): Float32ArrayConstructor | Int32ArrayConstructor | Uint8ArrayConstructor {
  return { float32: Float32Array, int32: Int32Array, bool: Uint8Array }[dtype];
}

function zeros({ shape, dtype }: TensorSpec): ort.Tensor {
  return new ort.Tensor(dtype, new (arrayFor(dtype))(shape.reduce((size, dim) => size * dim, 1)), [...shape]);
}

/**
 * The values given for a tensor; throws an Error that names it where they are missing, of another type or
 * another length.
 */
export function checkedValues(
  name: string,
  { shape, dtype }: TensorSpec,
  values: TensorValues | undefined,
): TensorValues {
  const size = shape.reduce((product, dim) => product * dim, 1);
  if (values === undefined) throw new Error(`Tensor ${name} is missing.`);
  if (!(values instanceof arrayFor(dtype)) || values.length !== size) {
    throw new Error(
      `Tensor ${name} takes ${size} values of ${dtype} ([${shape}]); it got ${values.length} in a ${values.constructor.name}.`,
    );
  }
  return values;
}

function valuesOf(tensor: ort.Tensor): TensorValues {
  return tensor.data as TensorValues; // of the types of TensorSpec, which openers of tensors above keep to
}

function prefixed<T>(record: Readonly<Record<string, T>>, prefix: string): Record<string, T> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [prefix + name, value]));
}

function unprefixed(record: NamedTensors, prefix: string): Record<string, tf.Tensor> {
  const own = Object.entries(record).filter(([name]) => name.startsWith(prefix));
  return Object.fromEntries(own.map(([name, value]) => [name.slice(prefix.length), value]));
}

function mapValues<From, To>(record: Readonly<Record<string, From>>, map: (value: From) => To): Record<string, To> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, map(value)]));
}
