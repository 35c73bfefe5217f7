import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { Device } from './encoder.js';
import { type OpenRuntime, type Runtime, TENSORFLOW_GPU_INSTALL } from './runtime.js';
import type { SavedEncoder } from './saved-encoder.js';

/** Opens a saved encoder on the device asked for: ONNX Runtime, or TensorFlow.js, which is loaded only then. */
export const openRuntime: OpenRuntime = async (
  encoder: SavedEncoder,
  { device, threads }: { readonly device: Device; readonly threads: number },
): Promise<Runtime> => {
  if (device === 'tensorflow' || device === 'tensorflow-gpu') {
    const { openTensorFlowRuntime } = await import('./tensorflow-runtime.js');
    return openTensorFlowRuntime(encoder, { device });
  }
  const { openOnnxRuntime } = await import('./onnx-runtime.js');
  return openOnnxRuntime(encoder, { device, threads });
};

/**
 * Why a device is plainly not there, or undefined where it may be: looks at files only, so that a start on a machine without accelerators
 * loads no library in vain.
 */
export function plainAbsence(device: Device): string | undefined {
  const require = createRequire(import.meta.url);
  const hasPackage = (name: string): boolean => {
    try {
      require.resolve(name);
      return true;
    } catch {
      return false; // Not installed: that is the answer.
    }
  };
  switch (device) {
    case 'cuda': {
      const folder = join(dirname(require.resolve('onnxruntime-node/package.json')), 'bin', 'napi-v6', process.platform, process.arch);
      const library = process.platform === 'win32' ? 'onnxruntime_providers_cuda.dll' : 'libonnxruntime_providers_cuda.so';
      return existsSync(join(folder, library)) ? undefined : `onnxruntime-node was installed without its CUDA libraries (${library})`;
    }
    case 'tensorflow-gpu':
      return hasPackage('@tensorflow/tfjs-node-gpu') ? undefined : `not installed (${TENSORFLOW_GPU_INSTALL})`;
    case 'webgpu': {
      const graphics = ['/dev/dri', '/dev/nvidiactl', '/dev/dxg'];
      const absent = process.platform === 'linux' && !graphics.some((path) => existsSync(path));
      return absent ? `no graphics device (${graphics.join(', ')})` : undefined;
    }
    default:
      return undefined;
  }
}
