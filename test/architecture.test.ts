/**
 * The house rules that a compiler cannot see: who may import whom, who reads the environment, how long a file may grow.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const source = join(root, 'src');

/** Files that every room may import. */
const SHARED: readonly string[] = ['errors.ts', 'seeded-random.ts', 'atomic-write.ts', 'lru.ts', 'call-port.ts'];

/**
 * Room -> rooms it may import besides itself and the shared files. A file directly under src/ is a room of its
 * own name.
 */
const ALLOWED: { readonly [room: string]: readonly string[] } = {
  'errors.ts': [],
  'settings.ts': [],
  'config.ts': ['settings.ts', 'package-files.ts'],
  'native-modules.ts': [],
  'seeded-random.ts': [],
  'atomic-write.ts': [],
  'lru.ts': [],
  'call-port.ts': [],
  'picture-files.ts': [],
  'package-files.ts': [],
  install: [],
  development: [],
  'cli.ts': ['settings.ts', 'native-modules.ts', 'commands'],
  commands: [
    'config.ts',
    'settings.ts',
    'server',
    'client',
    'native-modules.ts',
    'package-files.ts',
    'picture-files.ts',
    'importing',
    'training',
    'evaluation',
    'encoder',
    'catalogue',
    'images',
    'datasets',
    'matching',
  ],
  importing: ['catalogue', 'picture-files.ts'],
  fetching: [],
  server: ['config.ts', 'settings.ts', 'fetching', 'importing', 'images', 'encoder', 'catalogue', 'matching'],
  evaluation: ['images', 'datasets', 'encoder', 'catalogue', 'compile', 'matching'],
  training: ['images', 'datasets', 'evaluation', 'infomax', 'compile', 'encoder', 'package-files.ts'],
  datasets: ['images', 'fetching', 'picture-files.ts'],
  encoder: ['images', 'compile', 'fetching'],
  infomax: [],
  compile: [],
  catalogue: [],
  matching: [],
  images: [],
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
  { pattern: /^sharp$/, rooms: ['images', 'datasets', 'evaluation', 'native-modules.ts'] },
  { pattern: /^protobufjs/, rooms: ['compile'] },
  { pattern: /^(preact|vite)(\/|$)/, rooms: ['page', 'development'] },
  { pattern: /^umap-js$/, rooms: ['matching'] },
  { pattern: /^ipaddr\.js$/, rooms: ['fetching'] },
];

type SourceFile = {
  readonly path: string;
  readonly room: string;
  readonly text: string;
  readonly imports: readonly string[];
};

const files: readonly SourceFile[] = readdirSync(source, { recursive: true, encoding: 'utf8' })
  .filter((path) => /\.tsx?$/.test(path))
  .map((path) => {
    const text = readFileSync(join(source, path), 'utf8');
    const imports = [
      ...text.matchAll(/^\s*(?:import|export)\s[^;]*?from\s+'([^']+)'|import\(\s*'([^']+)'\s*\)|^import\s+'([^']+)'/gm),
    ];
    return { path, room: roomOf(path), text, imports: imports.map((match) => match[1] ?? match[2] ?? match[3] ?? '') };
  });

test('rooms import only along the arrows of ARCHITECTURE.md', () => {
  const faults: string[] = [];
  for (const file of files) {
    const allowed = ALLOWED[file.room];
    assert.ok(allowed, `src/${file.path}: room ${file.room} has no row in ALLOWED`);
    for (const target of file.imports.filter((name) => name.startsWith('.'))) {
      const room = roomOf(sourceOf(file.path, target));
      if (room !== file.room && !SHARED.includes(room) && !allowed.includes(room))
        faults.push(`src/${file.path} imports ${target}`);
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
    files.map((file) => [
      file.path,
      file.imports.filter((name) => name.startsWith('.')).map((name) => sourceOf(file.path, name)),
    ]),
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
  const offenders = files
    .filter(({ path, text }) => path !== 'config.ts' && /process\.env/.test(text))
    .map(({ path }) => path);
  assert.deepEqual(offenders, []);
});

test('no barrel file and no drawer for leftovers', () => {
  for (const { path } of files) assert.doesNotMatch(path, /(^|\/)(index|utils?|helpers?|common|misc)\.tsx?$/, path);
});

test('no folder holds more than 25 files of its own', () => {
  const listed = (top: string): string[] =>
    readdirSync(join(root, top), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ parentPath }) => parentPath.slice(root.length + 1));
  const counts = new Map<string, number>();
  for (const folder of [...listed('src'), ...listed('test'), ...listed('bench')])
    counts.set(folder, (counts.get(folder) ?? 0) + 1);
  const crowded = [...counts].filter(([, count]) => count > 25).map(([folder, count]) => `${folder}: ${count} files`);
  assert.deepEqual(crowded, []);
});

test('no comment is wider than 120 columns, which the formatter does not check', () => {
  const wide = ['src', 'test', 'bench'].flatMap((top) =>
    readdirSync(join(root, top), { recursive: true, encoding: 'utf8' })
      .filter((path) => /\.tsx?$/.test(path))
      .flatMap((path) =>
        readFileSync(join(root, top, path), 'utf8')
          .split('\n')
          .flatMap((line, index) =>
            line.length > 120 && /^\s*(\/?\*|\/\/)|[;,{}] \/\/ /.test(line) ? [`${top}/${path}:${index + 1}`] : [],
          ),
      ),
  );
  assert.deepEqual(wide, []);
});

test('at most 10 files have under 40 lines and one importer: the others are folded into their importer', () => {
  const importers = new Map<string, Set<string>>();
  for (const file of files) {
    const started = [...file.text.matchAll(/new URL\('(\.[^']+)'/g)].map((match) => match[1]!); // workers and processes
    for (const target of [...file.imports, ...started].filter((name) => name.startsWith('.'))) {
      const path = sourceOf(file.path, target);
      importers.set(path, (importers.get(path) ?? new Set()).add(file.path));
    }
  }
  const small = files.filter(
    ({ path, text }) => text.trimEnd().split('\n').length < 40 && importers.get(path)?.size === 1,
  );
  assert.ok(small.length <= 10, small.map(({ path }) => path).join('\n'));
});

/** The file that an import names, whose compiled name ends in .js. */
function sourceOf(importer: string, target: string): string {
  const path = posix.normalize(posix.join(posix.dirname(importer), target)).replace(/\.js$/, '.ts');
  return existsSync(join(source, `${path}x`)) ? `${path}x` : path;
}

function roomOf(path: string): string {
  return path.split('/')[0] ?? path;
}
