import * as tf from '@tensorflow/tfjs-core';
import { Graph, type Layout, type Value } from './graph.js';
import { TRACING_BACKEND, tracingBackend } from './tracing-backend.js';

/** Shape and type of a tensor that a traced function takes. */
export type TensorSpec = { readonly shape: readonly number[]; readonly dtype: 'float32' | 'int32' | 'bool' };

/** Tensors by name. */
export type NamedTensors = { readonly [name: string]: tf.Tensor };

/** A function as a graph, and the values of the tensors that it returned, by name. */
export type Trace = { readonly graph: Graph; readonly outputs: ReadonlyMap<string, Value> };

/**
 * Runs `run` once on tensors that hold no numbers and returns the operations it asked for. It must be a function of its
 * arguments: loops and branches on shapes are unrolled, random numbers and the clock would be frozen (pass noise as an
 * input), reading a tensor's values is an error. Synchronous; tfjs's backend is the tracing one meanwhile and the
 * former one afterwards. Gradients work as tfjs's own do.
 */
export function trace(
  inputs: Readonly<Record<string, TensorSpec>>,
  run: (tensors: NamedTensors) => NamedTensors,
  layout?: Layout,
): Trace {
  const backend = tracingBackend();
  const former = tf.getBackend();
  const graph = new Graph(layout);
  // resolves at once: the backend's factory is synchronous
  void tf.setBackend(TRACING_BACKEND);
  tf.engine().startScope('trace');
  try {
    const outputs = new Map<string, Value>();
    backend.into(graph, () => {
      const tensors: Record<string, tf.Tensor> = {};
      for (const [name, { shape, dtype }] of Object.entries(inputs)) {
        tensors[name] = tf.engine().makeTensorFromTensorInfo(backend.tensorInfo(graph.input(name, dtype, shape)));
      }
      for (const [name, tensor] of Object.entries(run(tensors))) outputs.set(name, backend.valueFor(tensor));
    });
    return { graph, outputs };
  } catch (error) {
    throw explained(error);
  } finally {
    tf.engine().endScope();
    if (former) void tf.setBackend(former);
  }
}

/** tfjs's error about an unregistered kernel, with its remedy. */
function explained(error: unknown): unknown {
  const kernel =
    error instanceof Error ? /Kernel '(\w+)' not registered for backend/.exec(error.message)?.[1] : undefined;
  if (kernel === undefined) return error;
  return new Error(
    `The tfjs kernel ${kernel} has no lowering to ONNX; add a row to its family in src/compile/lowerings.`,
    {
      cause: error,
    },
  );
}
