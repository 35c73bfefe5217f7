import { existsSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { Device } from './encoder.js';
import { type OpenRuntime, oneByOne, type Runtime, TENSORFLOW_GPU_INSTALL } from './runtime.js';
import type { SavedEncoder } from './saved-encoder.js';

/** Opens a saved encoder on a device: with ONNX Runtime, or with TensorFlow.js, which is loaded only then. */
export const openRuntime: OpenRuntime = async (
  encoder: SavedEncoder,
  { device, threads }: { readonly device: Device; readonly threads: number },
): Promise<Runtime> => {
  const runtime =
    device === 'tensorflow' || device === 'tensorflow-gpu'
      ? await (await import('./tensorflow-runtime.js')).openTensorFlowRuntime(encoder, { device })
      : await (await import('./onnx-runtime.js')).openOnnxRuntime(encoder, { device, threads });
  return encoder.manifest.batch === 1 ? oneByOne(runtime) : runtime;
};

/**
 * Why a device is certainly absent; undefined where it may be present. Looks at files only, so that no library is
 * loaded in vain.
 */
export function plainAbsence(device: Device): string | undefined {
  const require = createRequire(import.meta.url);
  const hasPackage = (name: string): boolean => {
    try {
      require.resolve(name);
      return true;
    } catch {
      return false; // not installed
    }
  };
  switch (device) {
    case 'cuda': {
      const folder = join(
        dirname(require.resolve('onnxruntime-node/package.json')),
        'bin',
        'napi-v6',
        process.platform,
        process.arch,
      );
      const library =
        process.platform === 'win32' ? 'onnxruntime_providers_cuda.dll' : 'libonnxruntime_providers_cuda.so';
      return (statSync(join(folder, library), { throwIfNoEntry: false })?.size ?? 0) > 0
        ? undefined
        : `onnxruntime-node was installed without its CUDA libraries (${library})`;
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
