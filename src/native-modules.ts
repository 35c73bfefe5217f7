/**
 * Checks that the native modules load, before anything else is loaded, so that a missing one is an instruction and not
 * a stack trace.
 */
import { createRequire } from 'node:module';
import { SearchError } from './errors.js';

type NativeModule = { readonly name: string; readonly remedy: string; readonly probe: (module: unknown) => void };

const COMPILED = (name: string): string =>
  `npm rebuild ${name} --foreground-scripts (needs Python 3, make and a C++ compiler)`;
const PREBUILT = (name: string): string =>
  `npm install --include=optional ${name} (this platform needs its prebuilt package)`;

/**
 * The oldest image libraries that may open untrusted files, and why. Raise a version when an advisory names a fixed
 * one. A codec that libvips does not report is not compared.
 */
export const OLDEST_DECODERS: readonly {
  readonly library: string;
  readonly version: string;
  readonly reason: string;
}[] = [
  {
    library: 'sharp',
    version: '0.35.0',
    reason: 'only the latest release line gets fixes, and all limits were measured with it',
  },
  {
    library: 'vips',
    version: '8.18.0',
    reason: 'the enabled loaders were tested with hostile files on this release line',
  },
  { library: 'webp', version: '1.3.2', reason: 'older versions write out of bounds (CVE-2023-4863)' },
];

const NATIVE_MODULES: readonly NativeModule[] = [
  {
    name: 'better-sqlite3',
    remedy: COMPILED('better-sqlite3'),
    // The first database loads the binding, not the import.
    probe: (module) => new (module as new (path: string) => { close(): void })(':memory:').close(),
  },
  { name: 'hnswlib-node', remedy: COMPILED('hnswlib-node'), probe: () => {} },
  { name: 'sharp', remedy: PREBUILT('sharp@latest'), probe: refuseOldDecoders },
  { name: 'onnxruntime-node', remedy: PREBUILT('onnxruntime-node'), probe: () => {} },
];

/**
 * Throws NATIVE_MODULE_MISSING with every native package that does not load or is older than {@link OLDEST_DECODERS},
 * and the command that repairs it.
 */
export function requireNativeModules(load: (name: string) => unknown = createRequire(import.meta.url)): void {
  const faults: string[] = [];
  for (const { name, remedy, probe } of NATIVE_MODULES) {
    try {
      probe(load(name));
    } catch (error) {
      faults.push(`${name} cannot be used: ${reasonOf(error)}\n    run: ${remedy}`);
    }
  }
  if (faults.length > 0)
    throw new SearchError('NATIVE_MODULE_MISSING', `Native modules are missing:\n  ${faults.join('\n  ')}`);
}

/** The first line of an error, or both versions where a module was compiled for another version of Node.js. */
function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const [compiled, needed] = [...message.matchAll(/NODE_MODULE_VERSION (\d+)/g)].map(([, version]) => version);
  if (compiled === undefined || needed === undefined) return message.split('\n')[0] ?? '';
  return `it was compiled for another version of Node.js (module version ${compiled}); this is Node.js ${process.version} (module version ${needed})`;
}

function refuseOldDecoders(module: unknown): void {
  const { versions } = module as { readonly versions?: Readonly<Record<string, string>> }; // a list that sharp provides
  for (const { library, version, reason } of OLDEST_DECODERS) {
    const found = versions?.[library];
    const isNamed = found !== undefined || library === 'sharp' || library === 'vips';
    if (isNamed && isOlder(found ?? '0', version))
      throw new Error(`${library} is ${found ?? 'of an unknown version'}; ${version} is the oldest allowed: ${reason}`);
  }
}

/** Compares two versions number by number; a missing number counts as 0. */
function isOlder(version: string, oldest: string): boolean {
  const [found, wanted] = [version, oldest].map((text) =>
    text.split(/[.+-]/).map((part) => Number.parseInt(part, 10) || 0),
  );
  for (let place = 0; place < 3; place++) {
    const difference = (found?.[place] ?? 0) - (wanted?.[place] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
}
