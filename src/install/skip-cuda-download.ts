/**
 * The `preinstall` script of the published package. onnxruntime-node's `postinstall` on Linux x64 downloads CUDA
 * libraries unless files of their names exist. npm runs every `preinstall` of a tree before the first `postinstall`, so
 * empty files written here prevent the download. They are never loaded: device `cuda` needs the real ones (`npm rebuild
 * onnxruntime-node --onnxruntime-node-install=cuda12`). Source: onnxruntime-node 1.30, script/install.js and
 * script/install-metadata.js.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const DOWNLOADED = ['cuda', 'shared', 'tensorrt'].map((name) => `libonnxruntime_providers_${name}.so`);

if (process.platform === 'linux' && process.arch === 'x64') {
  const root = dirname(createRequire(import.meta.url).resolve('onnxruntime-node/package.json'));
  const folder = join(root, 'bin', 'napi-v6', 'linux', 'x64');
  for (const path of DOWNLOADED.map((name) => join(folder, name))) if (!existsSync(path)) writeFileSync(path, '');
}
