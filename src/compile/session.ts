import * as ort from 'onnxruntime-node';
import { SearchError } from '../errors.js';

/** Execution provider of ONNX Runtime. cuda and webgpu fall back to the CPU for single operations that they lack. */
export type ExecutionProvider = 'cpu' | 'cuda' | 'webgpu';

/**
 * How a session runs. threads: within one operation; undefined lets ONNX Runtime take every core. profile: prefix of
 * its trace file.
 */
export type SessionOptions = {
  readonly provider?: ExecutionProvider;
  readonly threads?: number;
  readonly profile?: string;
};

/**
 * Loads a model into ONNX Runtime. Rejects with DEVICE_UNAVAILABLE where the build or the machine lacks the provider; a
 * model that ONNX Runtime refuses rejects with its own words. The session is the caller's to release.
 */
export async function openSession(bytes: Uint8Array, options: SessionOptions = {}): Promise<ort.InferenceSession> {
  const { provider = 'cpu', threads, profile } = options;
  const settings: ort.InferenceSession.SessionOptions = {
    executionProviders: provider === 'cpu' ? ['cpu'] : [provider, 'cpu'],
    graphOptimizationLevel: 'all',
    logSeverityLevel: 3,
    ...(threads === undefined ? {} : { intraOpNumThreads: threads }),
    ...(profile === undefined ? {} : { enableProfiling: true, profileFilePrefix: profile }),
  };
  try {
    return await ort.InferenceSession.create(bytes, settings);
  } catch (cause) {
    if (provider === 'cpu') throw cause;
    const offered = ort.listSupportedBackends().map((backend) => backend.name);
    const message = `ONNX Runtime cannot execute on ${provider} here (this build offers ${offered.join(', ')}); use another device.`;
    throw new SearchError('DEVICE_UNAVAILABLE', message, { cause });
  }
}
