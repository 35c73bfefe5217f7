import assert from 'node:assert/strict';
import { it } from 'node:test';
import { requireNativeModules } from '../src/native-modules.js';

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
