import { env, InferenceSession, Tensor } from 'onnxruntime-node';
import { SearchError } from '../errors.js';
import { checkSignature, type DeclaredValue, inputShape, type Runtime, runsOf } from './runtime.js';
import { PIXELS_INPUT, type SavedEncoder } from './saved-encoder.js';

/** Devices of ONNX Runtime, by the name of their execution provider. */
type OnnxDevice = 'cpu' | 'cuda' | 'webgpu';

/**
 * Loads a saved encoder into ONNX Runtime. `threads`: of one operation on the CPU. `run` blocks its thread while it
 * computes: use it in a worker. Rejects with DEVICE_UNAVAILABLE where the provider does not start, INVALID_ENCODER
 * where the program does not load or match.
 */
export async function openOnnxRuntime(
  encoder: SavedEncoder,
  { device, threads }: { readonly device: OnnxDevice; readonly threads: number },
): Promise<Runtime> {
  const session = await createSession(encoder, device, threads);
  try {
    checkSignature(encoder, {
      inputs: session.inputMetadata.map(declared),
      outputs: session.outputMetadata.map(declared),
    });
  } catch (error) {
    await session.release();
    throw error;
  }
  const outputsOf: Parameters<typeof runsOf>[1] = async (batch, count, names) => {
    const outputs = await session.run(
      { [PIXELS_INPUT]: new Tensor('float32', batch, inputShape(encoder, count)) },
      names,
    );
    return Promise.all(
      names.map(async (name) => {
        const output = outputs[name];
        if (output?.type !== 'float32') throw new Error(`Output ${name} is ${output?.type}, not float32.`);
        return (await output.getData()) as Float32Array; // by its type, above
      }),
    );
  };
  return {
    device,
    version: `onnxruntime ${env.versions.node ?? env.versions.common}`,
    ...runsOf(encoder, outputsOf),
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
      // Idle threads sleep instead of spinning: the decoders need the processors between batches.
      extra: { session: { intra_op: { allow_spinning: '0' } } },
    });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    if (device === 'cpu')
      throw new SearchError('INVALID_ENCODER', `${encoder.folder}/encoder.onnx does not load: ${reason}`, { cause });
    throw new SearchError('DEVICE_UNAVAILABLE', `ONNX Runtime cannot use ${device}: ${reason}. Choose --device cpu.`, {
      cause,
    });
  }
}

function declared(value: InferenceSession.ValueMetadata): DeclaredValue {
  return { name: value.name, shape: value.isTensor ? value.shape : undefined };
}
