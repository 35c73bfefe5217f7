import * as tf from '@tensorflow/tfjs-core';
import { type Graph, sameDims, sizeOf, typedArray, type Value } from './graph.js';
import type { LoweringTable } from './lowering.js';
import { CONVOLUTIONS } from './lowerings/convolutions.js';
import { ELEMENT_WISE, valueType } from './lowerings/element-wise.js';
import { POOLING } from './lowerings/pooling.js';
import { MATRICES, REDUCTIONS } from './lowerings/reductions.js';
import { SHAPING } from './lowerings/shaping.js';

/** Name under which the backend is registered with tfjs. It is in use only while {@link trace} runs. */
export const TRACING_BACKEND = 'likeness-trace';

/** Every tfjs kernel that can be compiled. A new one is a row in the table of its family and a case in its test. */
export const LOWERINGS: LoweringTable = {
  ...ELEMENT_WISE,
  ...REDUCTIONS,
  ...SHAPING,
  ...MATRICES,
  ...CONVOLUTIONS,
  ...POOLING,
};

type Entry = { value: Value; references: number };

/**
 * A tfjs backend whose kernels compute nothing: each appends ONNX operations to the current graph and returns a tensor
 * that stands for their result. Tensors of other backends that a traced function uses become constants of the graph.
 */
export class TracingBackend extends tf.KernelBackend {
  // DataStorage fetches tensors of other backends from those.
  readonly #entries = new tf.DataStorage<Entry>(this, tf.engine());
  #placed = new Set<object>();
  #graph: Graph | undefined;

  /** Runs `body` with kernels appending to `graph`. */
  into<T>(graph: Graph, body: () => T): T {
    if (this.#graph !== undefined) throw new Error('A trace cannot start inside a trace.');
    this.#graph = graph;
    this.#placed = new Set();
    try {
      return body();
    } finally {
      this.#graph = undefined;
    }
  }

  /** The tensor of tfjs that stands for a value. */
  tensorInfo(value: Value): tf.TensorInfo {
    // int64 exists only inside lowerings; a kernel never returns it.
    const dtype = value.type === 'int64' ? 'int32' : value.type;
    return { dataId: this.#add(value), shape: [...value.dims], dtype };
  }

  /**
   * The value that a tensor stands for, with the tensor's own shape (a constant may have been written under another).
   */
  valueFor(info: tf.TensorInfo): Value {
    const entry = this.#entries.get(info.dataId);
    const { type, dims, constant } = entry.value;
    if (constant === undefined) return entry.value;
    // Added to the graph once per trace, however often it is used.
    if (!this.#placed.has(info.dataId) || !sameDims(dims, info.shape)) {
      entry.value = this.graph.constant(type, info.shape, constant);
      this.#placed.add(info.dataId);
    }
    return entry.value;
  }

  /** The graph that is being traced. */
  get graph(): Graph {
    if (this.#graph === undefined)
      throw new Error('The tracing backend computes nothing outside of a trace; set another tfjs backend.');
    return this.#graph;
  }

  override write(values: tf.BackendValues, shape: number[], dtype: tf.DataType): tf.DataId {
    return this.#add(constantOf(values, shape, dtype));
  }

  override move(
    dataId: tf.DataId,
    values: tf.BackendValues,
    shape: number[],
    dtype: tf.DataType,
    refCount: number,
  ): void {
    this.#entries.set(dataId, { value: constantOf(values, shape, dtype), references: refCount });
  }

  override readSync(dataId: object): tf.BackendValues {
    const { constant, dims } = this.#entries.get(dataId).value;
    if (
      constant === undefined ||
      constant instanceof BigInt64Array ||
      constant instanceof Uint16Array ||
      constant instanceof Float64Array
    ) {
      throw new Error(
        `A compiled function read the values of a tensor of shape [${dims}] (dataSync, data, arraySync or a branch on them). There are ` +
          'none while it is traced: the program is the same for all data. Compute with tensors (tf.where), or pass the number as an input.',
      );
    }
    return constant;
  }

  override read(dataId: object): Promise<tf.BackendValues> {
    return Promise.resolve().then(() => this.readSync(dataId));
  }

  override disposeData(dataId: object, force = false): boolean {
    if (!this.#entries.has(dataId)) return true;
    const entry = this.#entries.get(dataId);
    entry.references--;
    if (!force && entry.references > 0) return false;
    this.#entries.delete(dataId);
    return true;
  }

  override incRef(dataId: object): void {
    this.#entries.get(dataId).references++;
  }

  override refCount(dataId: object): number {
    return this.#entries.has(dataId) ? this.#entries.get(dataId).references : 0;
  }

  override numDataIds(): number {
    return this.#entries.numDataIds();
  }

  override memory(): { unreliable: boolean; reasons: string[] } {
    return { unreliable: true, reasons: ['Traced tensors hold no numbers.'] };
  }

  override timerAvailable(): boolean {
    return false;
  }

  override floatPrecision(): 32 {
    return 32;
  }

  override epsilon(): number {
    return 1e-7;
  }

  override dispose(): void {}

  #add(value: Value): tf.DataId {
    const dataId = {};
    this.#entries.set(dataId, { value, references: 1 });
    return dataId;
  }
}

/** The tracing backend of this process; registers it and its kernels with tfjs where that has not been done. */
export function tracingBackend(): TracingBackend {
  if (tf.findBackendFactory(TRACING_BACKEND) === null) {
    // Priority 0: tfjs never chooses it by itself.
    tf.registerBackend(TRACING_BACKEND, () => new TracingBackend(), 0);
    for (const [kernelName, lower] of Object.entries(LOWERINGS)) {
      tf.registerKernel({
        kernelName,
        backendName: TRACING_BACKEND,
        kernelFunc: ({ inputs, attrs, backend }) => {
          const tracing = backend as TracingBackend; // tfjs passes a kernel the backend that it is registered for
          const values: Record<string, Value> = {};
          for (const [name, info] of Object.entries(inputs)) if (info) values[name] = tracing.valueFor(info);
          const outputs = lower(tracing.graph, values, attrs ?? {});
          return isList(outputs) ? outputs.map((output) => tracing.tensorInfo(output)) : tracing.tensorInfo(outputs);
        },
      });
    }
  }
  return tf.findBackend(TRACING_BACKEND) as TracingBackend; // registered above, by this very class
}

function isList(outputs: Value | readonly Value[]): outputs is readonly Value[] {
  return Array.isArray(outputs);
}

/**
 * A constant that belongs to no graph yet: constants are compared by content, so its id only has to differ from
 * all others.
 */
function constantOf(values: tf.BackendValues, shape: readonly number[], dtype: tf.DataType): Value {
  const type = valueType(dtype);
  const size = sizeOf(shape);
  const list = values as ArrayLike<number | boolean>; // strings were refused by valueType
  if (list.length !== size) throw new Error(`A tensor of shape [${shape}] has ${list.length} values. This is a bug.`);
  return { id: -1, type, dims: [...shape], constant: typedArray(type, Array.from(list, Number)) };
}
