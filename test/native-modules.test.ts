import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { it } from 'node:test';
import { OLDEST_DECODERS, requireNativeModules } from '../src/native-modules.js';
import { REPOSITORY } from './service-process.js';

it('names every native part that does not load, and the command that mends it', () => {
  const load = (name: string): unknown => {
    if (name === 'hnswlib-node' || name === 'sharp') throw new Error(`Cannot find ${name}.node\nand more`);
    return class {
      close(): void {}
    };
  };
  assert.throws(
    () => requireNativeModules(load),
    ({ message }: Error) =>
      message.includes('npm rebuild hnswlib-node') &&
      message.includes('npm install --include=optional sharp') &&
      !message.includes('better-sqlite3'),
  );
});

it('is silent where all of them load', () => {
  requireNativeModules();
});

/** As sharp would load with these versions; undefined leaves one out. */
function loadWith(versions: Readonly<Record<string, string | undefined>>): (name: string) => unknown {
  const load = createRequire(import.meta.url);
  const known = (load('sharp') as { versions: Record<string, string> }).versions;
  const entries = Object.entries({ ...known, ...versions }).filter(([, version]) => version !== undefined);
  return (name) => (name === 'sharp' ? { versions: Object.fromEntries(entries) } : load(name));
}

it('refuses image libraries older than stated, and says why and what to run', () => {
  for (const [library, old] of [
    ['sharp', '0.32.5'],
    ['sharp', '0.34.99'],
    ['vips', '8.17.3'],
    ['vips', '8.9.0'],
    ['webp', '1.3.1'],
  ] as const) {
    const isTold = ({ message }: Error): boolean =>
      message.includes(`${library} is ${old}`) && message.includes('npm install --include=optional sharp@latest');
    assert.throws(() => requireNativeModules(loadWith({ [library]: old })), isTold, `${library} ${old}`);
  }
  for (const versions of [{ sharp: undefined }, { vips: undefined }])
    assert.throws(() => requireNativeModules(loadWith(versions)), /of an unknown version/);
  // A libvips of one's own may name no codecs; newer ones are always right.
  for (const versions of [{ webp: undefined }, { sharp: '1.0.0' }, { vips: '8.18.0-rc1' }, { vips: '9.0.0' }])
    requireNativeModules(loadWith(versions));
});

it('SECURITY.md and the lock file keep to the same versions', () => {
  const read = (name: string): string => readFileSync(join(REPOSITORY, name), 'utf8');
  for (const { library, version } of OLDEST_DECODERS)
    assert.ok(
      read('SECURITY.md').includes(
        `${library === 'vips' ? 'libvips' : library === 'webp' ? 'libwebp' : library} ${version}`,
      ),
      library,
    );
  const { packages } = JSON.parse(read('package-lock.json')) as { packages: Record<string, { version?: string }> };
  requireNativeModules(loadWith({ sharp: packages['node_modules/sharp']?.version }));
});

it('a module of another version of Node.js is named with both versions and the command', () => {
  const message = `The module '/x.node'
was compiled against a different Node.js version using
NODE_MODULE_VERSION 115. This version of Node.js requires
NODE_MODULE_VERSION 127. Please try re-compiling or re-installing`;
  assert.throws(
    () =>
      requireNativeModules((name) => {
        if (name === 'better-sqlite3') throw new Error(message);
        return loadWith({})(name);
      }),
    /better-sqlite3 cannot be used: it was compiled for another version of Node\.js \(module version 115\); this is Node\.js v[\d.]+ \(module version 127\)\n {4}run: npm rebuild better-sqlite3/,
  );
});
