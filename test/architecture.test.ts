/** The house rules that a compiler cannot see: who may import whom, who reads the environment, how long a file may grow. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const source = join(root, 'src');

/** Room -> rooms it may import besides itself and errors.ts. A file directly under src/ is a room of its own name. */
const ALLOWED: { readonly [room: string]: readonly string[] } = {
  'errors.ts': [],
  'settings.ts': [],
  'config.ts': ['settings.ts'],
  'settings-document.ts': ['settings.ts'],
  'native-modules.ts': [],
  'seeded-random.ts': [],
  'cli.ts': ['settings.ts', 'native-modules.ts', 'commands'],
  commands: [
    'config.ts',
    'settings.ts',
    'settings-document.ts',
    'server',
    'importing',
    'training',
    'evaluation',
    'encoder',
    'catalogue',
    'images',
    'seeded-random.ts',
  ],
  importing: ['catalogue'],
  fetching: [],
  server: ['config.ts', 'settings.ts', 'fetching', 'importing', 'images', 'encoder', 'catalogue', 'matching', 'layout', 'seeded-random.ts'],
  evaluation: ['images', 'encoder', 'catalogue', 'compile', 'layout', 'seeded-random.ts'],
  training: ['images', 'infomax', 'compile', 'encoder'],
  encoder: ['images', 'compile'],
  infomax: [],
  compile: [],
  catalogue: [],
  matching: [],
  layout: [],
  images: ['seeded-random.ts'],
  client: ['server'],
  page: ['client'],
};

/** Rooms that may import another's types only: the client is typed by the service and runs without it. */
const TYPES_ONLY: { readonly [room: string]: readonly string[] } = { client: ['server'] };

/** Third-party packages that only the named rooms may import. */
const PACKAGE_ROOMS: readonly { readonly pattern: RegExp; readonly rooms: readonly string[] }[] = [
  { pattern: /^@tensorflow\//, rooms: ['infomax', 'compile', 'encoder', 'training'] },
  { pattern: /^onnxruntime-/, rooms: ['compile', 'encoder', 'training', 'evaluation', 'native-modules.ts'] },
  { pattern: /^(better-sqlite3|hnswlib-node)$/, rooms: ['catalogue', 'native-modules.ts'] },
  { pattern: /^(fastify|@fastify\/.*|prom-client)$/, rooms: ['server'] },
  { pattern: /^sharp$/, rooms: ['images', 'evaluation', 'native-modules.ts'] },
  { pattern: /^protobufjs/, rooms: ['compile'] },
  { pattern: /^(preact|vite)(\/|$)/, rooms: ['page'] },
  { pattern: /^umap-js$/, rooms: ['layout'] },
  { pattern: /^ipaddr\.js$/, rooms: ['fetching'] },
];

type SourceFile = { readonly path: string; readonly room: string; readonly text: string; readonly imports: readonly string[] };

const files: readonly SourceFile[] = readdirSync(source, { recursive: true, encoding: 'utf8' })
  .filter((path) => /\.tsx?$/.test(path))
  .map((path) => {
    const text = readFileSync(join(source, path), 'utf8');
    const imports = [...text.matchAll(/^\s*(?:import|export)\s[^;]*?from\s+'([^']+)'|import\(\s*'([^']+)'\s*\)|^import\s+'([^']+)'/gm)];
    return { path, room: roomOf(path), text, imports: imports.map((match) => match[1] ?? match[2] ?? match[3] ?? '') };
  });

test('rooms import only along the arrows of ARCHITECTURE.md', () => {
  const faults: string[] = [];
  for (const file of files) {
    const allowed = ALLOWED[file.room];
    assert.ok(allowed, `src/${file.path}: room ${file.room} has no row in ALLOWED`);
    for (const target of file.imports.filter((name) => name.startsWith('.'))) {
      const room = roomOf(sourceOf(file.path, target));
      if (room !== file.room && room !== 'errors.ts' && !allowed.includes(room)) faults.push(`src/${file.path} imports ${target}`);
    }
  }
  assert.deepEqual(faults, []);
});

test('the client takes types from the service, and no code', () => {
  const faults: string[] = [];
  for (const { path, room, text } of files) {
    for (const forbidden of TYPES_ONLY[room] ?? []) {
      const values = new RegExp(`^(?:import|export)\\s(?!type\\b)[^;]*?from\\s+'[^']*/${forbidden}/`, 'gm');
      if (values.test(text)) faults.push(`src/${path} imports more than types of ${forbidden}`);
    }
  }
  assert.deepEqual(faults, []);
});

test('packages stay in the rooms that own them', () => {
  const faults: string[] = [];
  for (const file of files) {
    for (const name of file.imports) {
      const rule = PACKAGE_ROOMS.find(({ pattern }) => pattern.test(name));
      if (rule !== undefined && !rule.rooms.includes(file.room)) faults.push(`src/${file.path} imports ${name}`);
    }
  }
  assert.deepEqual(faults, []);
});

test('no circle of imports', () => {
  const edges = new Map(
    files.map((file) => [file.path, file.imports.filter((name) => name.startsWith('.')).map((name) => sourceOf(file.path, name))]),
  );
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]): void => {
    assert.ok(!trail.includes(path), `circle: ${[...trail, path].join(' -> ')}`);
    if (done.has(path)) return;
    for (const next of edges.get(path) ?? []) visit(next, [...trail, path]);
    done.add(path);
  };
  for (const path of edges.keys()) visit(path, []);
});

test('only config.ts reads the environment', () => {
  const offenders = files.filter(({ path, text }) => path !== 'config.ts' && /process\.env/.test(text)).map(({ path }) => path);
  assert.deepEqual(offenders, []);
});

test('no barrel, no drawer, no file that grew into two stories', () => {
  for (const { path, text } of files) {
    assert.doesNotMatch(path, /(^|\/)(index|utils?|helpers?|common|misc)\.tsx?$/, path);
    assert.ok(text.split('\n').length <= 300, `src/${path} is longer than 300 lines`);
  }
});

/** The file that an import names, whose compiled name ends in .js. */
function sourceOf(importer: string, target: string): string {
  const path = posix.normalize(posix.join(posix.dirname(importer), target)).replace(/\.js$/, '.ts');
  return existsSync(join(source, `${path}x`)) ? `${path}x` : path;
}

function roomOf(path: string): string {
  return path.split('/')[0] ?? path;
}
