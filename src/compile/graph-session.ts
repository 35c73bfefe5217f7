import { InferenceSession } from 'onnxruntime-node';
import type { OnnxGraph } from './onnx-model.js';
import { encodeModel } from './onnx-writer.js';

/**
 * A small ONNX graph, by default without constants: matrix products that ONNX Runtime does much faster than a loop over
 * typed arrays.
 */
export type SmallGraph = Omit<OnnxGraph, 'initializers'> & Partial<Pick<OnnxGraph, 'initializers'>>;

/**
 * Opens the graph on the CPU; all its cores unless `threads` says otherwise. Same inputs and same threads give the same
 * bits. The session is the caller's to release.
 */
export function openGraph(
  graph: SmallGraph,
  options: { readonly threads?: number | undefined } = {},
): Promise<InferenceSession> {
  return InferenceSession.create(encodeModel({ graph: { initializers: [], ...graph }, opset: 17 }), {
    intraOpNumThreads: options.threads ?? 0,
    logSeverityLevel: 3,
    // Idle threads sleep instead of spinning: between two runs the cores are needed for the next inputs.
    extra: { session: { intra_op: { allow_spinning: '0' } } },
  });
}
