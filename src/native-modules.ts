/** Are the native parts there? Asked before anything else is loaded, so that the answer is a command and not a stack trace. */
import { createRequire } from 'node:module';
import { SearchError } from './errors.js';

type NativeModule = { readonly name: string; readonly remedy: string; readonly probe: (module: unknown) => void };

const COMPILED = (name: string): string => `npm rebuild ${name} --foreground-scripts (needs Python 3, make and a C++ compiler)`;
const PREBUILT = (name: string): string => `npm install --include=optional ${name} (this platform needs its prebuilt package)`;

/**
 * The oldest image libraries that strangers' files are opened with, and why. Raise them when an advisory names a fixed version; a codec that a build of libvips does
 * not name is not compared.
 */
export const OLDEST_DECODERS: readonly { readonly library: string; readonly version: string; readonly reason: string }[] = [
  { library: 'sharp', version: '0.35.0', reason: 'only the latest line gets fixes, and every limit here was measured with it' },
  { library: 'vips', version: '8.18.0', reason: 'the loaders that are left open were swept with 2,853 hostile files on this line' },
  { library: 'webp', version: '1.3.2', reason: 'older ones write past their memory (CVE-2023-4863)' },
];

const NATIVE_MODULES: readonly NativeModule[] = [
  {
    name: 'better-sqlite3',
    remedy: COMPILED('better-sqlite3'),
    // The binding is loaded by the first database, not by the import.
    probe: (module) => new (module as new (path: string) => { close(): void })(':memory:').close(),
  },
  { name: 'hnswlib-node', remedy: COMPILED('hnswlib-node'), probe: () => {} },
  { name: 'sharp', remedy: PREBUILT('sharp@latest'), probe: refuseOldDecoders },
  { name: 'onnxruntime-node', remedy: PREBUILT('onnxruntime-node'), probe: () => {} },
];

/** Throws NATIVE_MODULE_MISSING, naming every native package that does not load, or is older than {@link OLDEST_DECODERS}, and the command that mends it. */
export function requireNativeModules(load: (name: string) => unknown = createRequire(import.meta.url)): void {
  const faults: string[] = [];
  for (const { name, remedy, probe } of NATIVE_MODULES) {
    try {
      probe(load(name));
    } catch (error) {
      const reason = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
      faults.push(`${name} cannot be used: ${reason}\n    run: ${remedy}`);
    }
  }
  if (faults.length > 0) throw new SearchError('NATIVE_MODULE_MISSING', `Native parts are missing:\n  ${faults.join('\n  ')}`);
}

function refuseOldDecoders(module: unknown): void {
  const { versions } = module as { readonly versions?: Readonly<Record<string, string>> }; // sharp's own list
  for (const { library, version, reason } of OLDEST_DECODERS) {
    const found = versions?.[library];
    const isNamed = found !== undefined || library === 'sharp' || library === 'vips';
    if (isNamed && isOlder(found ?? '0', version))
      throw new Error(`${library} is ${found ?? 'of no known version'}; ${version} is the oldest allowed: ${reason}`);
  }
}

/** Compares the numbers of two versions, the first first; what is missing counts as 0. */
function isOlder(version: string, oldest: string): boolean {
  const [found, wanted] = [version, oldest].map((text) => text.split(/[.+-]/).map((part) => Number.parseInt(part, 10) || 0));
  for (let place = 0; place < 3; place++) {
    const difference = (found?.[place] ?? 0) - (wanted?.[place] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
}
