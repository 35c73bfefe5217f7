import { env, InferenceSession, Tensor } from 'onnxruntime-node';
import { SearchError } from '../errors.js';
import { checkSignature, type DeclaredValue, featuresOutput, inputShape, type Runtime } from './runtime.js';
import { EMBEDDING_OUTPUT, PIXELS_INPUT, type SavedEncoder } from './saved-encoder.js';

/** Devices of ONNX Runtime in Node, by the name of their execution provider. */
export type OnnxDevice = 'cpu' | 'cuda' | 'webgpu';

/**
 * Loads a saved encoder into ONNX Runtime. `threads`: of one operation on the CPU. `run` blocks its thread while it computes, so this
 * belongs into a worker. DEVICE_UNAVAILABLE where the provider does not start, INVALID_ENCODER where the program does not load or fit.
 */
export async function openOnnxRuntime(
  encoder: SavedEncoder,
  { device, threads }: { readonly device: OnnxDevice; readonly threads: number },
): Promise<Runtime> {
  const session = await createSession(encoder, device, threads);
  try {
    checkSignature(encoder, { inputs: session.inputMetadata.map(declared), outputs: session.outputMetadata.map(declared) });
  } catch (error) {
    await session.release();
    throw error;
  }
  const outputsOf = async (batch: Float32Array, count: number, names: readonly string[]): Promise<Float32Array[]> => {
    const outputs = await session.run({ [PIXELS_INPUT]: new Tensor('float32', batch, inputShape(encoder, count)) }, names);
    return Promise.all(
      names.map(async (name) => {
        const output = outputs[name];
        if (output?.type !== 'float32') throw new Error(`Output ${name} is ${output?.type}, not float32.`);
        return (await output.getData()) as Float32Array; // By its type, above.
      }),
    );
  };
  return {
    device,
    version: `onnxruntime ${env.versions.node ?? env.versions.common}`,
    async run(batch, count) {
      const [embeddings] = await outputsOf(batch, count, [EMBEDDING_OUTPUT]);
      return embeddings!;
    },
    async runWithFeatures(batch, count) {
      const [embeddings, features] = await outputsOf(batch, count, [EMBEDDING_OUTPUT, featuresOutput(encoder)]);
      return { embeddings: embeddings!, features: features! };
    },
    close: () => session.release(),
  };
}

async function createSession(encoder: SavedEncoder, device: OnnxDevice, threads: number): Promise<InferenceSession> {
  try {
    return await InferenceSession.create(encoder.onnx, {
      executionProviders: [device],
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      logSeverityLevel: 3,
      // Idle threads sleep instead of spinning: the decoders need the cores between two batches.
      extra: { session: { intra_op: { allow_spinning: '0' } } },
    });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    if (device === 'cpu') throw new SearchError('INVALID_ENCODER', `${encoder.folder}/encoder.onnx does not load: ${reason}`, { cause });
    throw new SearchError('DEVICE_UNAVAILABLE', `ONNX Runtime cannot use ${device}: ${reason}. Choose --device cpu.`, { cause });
  }
}

function declared(value: InferenceSession.ValueMetadata): DeclaredValue {
  return { name: value.name, shape: value.isTensor ? value.shape : undefined };
}
