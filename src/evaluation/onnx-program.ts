import { InferenceSession } from 'onnxruntime-node';
import type { OnnxGraph } from '../compile/onnx-model.js';
import { encodeModel } from '../compile/onnx-writer.js';

/**
 * A small ONNX program without constants: the matrix products of this room (exact search, probes), which ONNX Runtime does some thirty
 * times faster than a loop over typed arrays.
 */
export type ProgramGraph = Omit<OnnxGraph, 'initializers'>;

const OPSET_VERSION = 17;

/**
 * Opens the program on the CPU. `threads` 0 lets ONNX Runtime take every core. Same inputs and same threads give the same bits. The
 * caller releases the session.
 */
export async function openProgram(graph: ProgramGraph, options: { readonly threads: number }): Promise<InferenceSession> {
  return InferenceSession.create(encodeModel({ graph: { ...graph, initializers: [] }, opset: OPSET_VERSION }), {
    executionProviders: ['cpu'],
    intraOpNumThreads: options.threads,
    interOpNumThreads: 1,
    graphOptimizationLevel: 'all',
    // Idle threads sleep instead of spinning: between two runs the cores belong to whoever prepares the next.
    extra: { session: { intra_op: { allow_spinning: '0' } } },
  });
}
