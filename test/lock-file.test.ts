/**
 * The lock file serves every platform: npm forgets those that its registry did not offer when it was written, and `npm
 * ci` then refuses.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { REPOSITORY } from './service-process.js';

type LockedPackage = {
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly engines?: { readonly node?: string };
  readonly resolved?: string;
  readonly link?: boolean;
};

const { packages } = JSON.parse(readFileSync(join(REPOSITORY, 'package-lock.json'), 'utf8')) as {
  packages: Record<string, LockedPackage>;
};

test('every optional dependency of a package has its entry', () => {
  const missing: string[] = [];
  for (const [path, { optionalDependencies = {} }] of Object.entries(packages)) {
    for (const name of Object.keys(optionalDependencies)) {
      if (packages[`node_modules/${name}`] === undefined && packages[`${path}/node_modules/${name}`] === undefined)
        missing.push(name);
    }
  }
  assert.deepEqual(missing, [], 'add their entries by hand, as npm ci checks them');
});

test('no package names the registry it came from', () => {
  assert.deepEqual(
    Object.entries(packages).filter(([, { resolved, link }]) => resolved !== undefined && link !== true),
    [],
  );
});

test('every package runs on the oldest Node that engines promises', () => {
  const tooNew = Object.entries(packages).filter(([, { engines }]) =>
    /^>=?\s*(2[1-9]|[3-9]\d)/.test(engines?.node ?? ''),
  );
  assert.deepEqual(
    tooNew.map(([path]) => path),
    [],
  );
});
