/** Are the native parts there? Asked before anything else is loaded, so that the answer is a command and not a stack trace. */
import { createRequire } from 'node:module';
import { SearchError } from './errors.js';

type NativeModule = { readonly name: string; readonly remedy: string; readonly probe: (module: unknown) => void };

const COMPILED = (name: string): string => `npm rebuild ${name} --foreground-scripts (needs Python 3, make and a C++ compiler)`;
const PREBUILT = (name: string): string => `npm install --include=optional ${name} (this platform needs its prebuilt package)`;

const NATIVE_MODULES: readonly NativeModule[] = [
  {
    name: 'better-sqlite3',
    remedy: COMPILED('better-sqlite3'),
    // The binding is loaded by the first database, not by the import.
    probe: (module) => new (module as new (path: string) => { close(): void })(':memory:').close(),
  },
  { name: 'hnswlib-node', remedy: COMPILED('hnswlib-node'), probe: () => {} },
  { name: 'sharp', remedy: PREBUILT('sharp'), probe: () => {} },
  { name: 'onnxruntime-node', remedy: PREBUILT('onnxruntime-node'), probe: () => {} },
];

/** Throws NATIVE_MODULE_MISSING, naming every native package that does not load and the command that mends it. */
export function requireNativeModules(load: (name: string) => unknown = createRequire(import.meta.url)): void {
  const faults: string[] = [];
  for (const { name, remedy, probe } of NATIVE_MODULES) {
    try {
      probe(load(name));
    } catch (error) {
      const reason = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
      faults.push(`${name} does not load: ${reason}\n    run: ${remedy}`);
    }
  }
  if (faults.length > 0) throw new SearchError('NATIVE_MODULE_MISSING', `Native parts are missing:\n  ${faults.join('\n  ')}`);
}
