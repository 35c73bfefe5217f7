/** The application under test: real decoders, a real catalogue in a folder of its own, the pooled encoder. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { InjectOptions, LightMyRequestResponse, RouteOptions } from 'fastify';
import sharp from 'sharp';
import { Check, Errors } from 'typebox/schema';
import type { Catalogue } from '../../src/catalogue/catalogue.js';
import type { ImportLedger } from '../../src/catalogue/imports/import-records.js';
import { openCatalogue } from '../../src/catalogue/open-catalogue.js';
import { Snapshots } from '../../src/catalogue/snapshots/snapshots.js';
import { readSettings } from '../../src/config.js';
import type { Encoder } from '../../src/encoder/encoder.js';
import { createDecoderPool } from '../../src/images/decoding/decoder-pool.js';
import type { ImageDecoder } from '../../src/images/image-decoder.js';
import { type Application, buildApp } from '../../src/server/app.js';
import type { FitPlan } from '../../src/server/derived/collection-scores.js';
import type { EncoderReport } from '../../src/server/encoder-report.js';
import { createMonitoring, type Monitoring } from '../../src/server/monitoring.js';
import type { ComparisonThreads } from '../../src/server/search/comparison-threads.js';
import type { App } from '../../src/server/server-context.js';
import type { Settings } from '../../src/settings.js';
import { createPooledEncoder, type PooledEncoder } from './pooled-encoder.js';
import { resolvedReferences } from './resolved-references.js';

/** Secrets of the keys that tests set. */
export const KEYS = {
  read: 'read-key-0123456789',
  write: 'write-key-0123456789',
  admin: 'admin-key-0123456789',
} as const;
/** The `apiKeys` setting with one key of each role. */
export const API_KEYS = Object.entries(KEYS)
  .map(([role, key]) => `${role}:${key}`)
  .join(',');

/** An application with everything a test may want to look into. */
export type TestApplication = Application & {
  readonly encoder: PooledEncoder;
  readonly catalogue: Catalogue;
  readonly decoder: ImageDecoder;
  readonly monitoring: Monitoring;
  readonly settings: Settings;
  /** The data folder. */
  readonly folder: string;
  /** Lines logged so far. */
  readonly log: readonly string[];
  /** Sends a request without a socket, and checks every JSON answer against its description. */
  ask(options: InjectOptions & { readonly url: string }): Promise<LightMyRequestResponse>;
  /** Listens on a free loopback port. */
  listen(): Promise<{ readonly port: number; readonly url: string }>;
};

/** Builds an application; it is closed when the test ends. `with` replaces parts. */
export async function startApplication(
  context: TestContext,
  flags: { readonly [Name in keyof Settings]?: Settings[Name] } = {},
  replaced: {
    readonly decoder?: ImageDecoder;
    readonly encoder?: Encoder;
    readonly catalogue?: Catalogue;
    readonly hasFeatures?: boolean;
    readonly report?: EncoderReport;
    readonly fitPlan?: Partial<FitPlan>;
    readonly comparisons?: ComparisonThreads;
    readonly onRoute?: (route: RouteOptions) => void;
  } = {},
): Promise<TestApplication> {
  const settings = readSettings({ decoders: 1, metricsPort: 0, ...flags }, {});
  const folder = await mkdtemp(join(tmpdir(), 'likeness-server-'));
  const encoder = createPooledEncoder({ hasFeatures: replaced.hasFeatures ?? false });
  const { id: encoderId, dimensions, preprocessing } = (replaced.encoder ?? encoder).description;
  const durable = replaced.catalogue === undefined ? await openCatalogue({ folder, encoderId, dimensions }) : undefined;
  const catalogue = replaced.catalogue ?? durable!;
  const copyTo = async (stage: string): Promise<void> => durable?.copyTo(stage);
  const snapshots = new Snapshots({ folder: join(folder, 'snapshots'), copyTo });
  const { maxPixels, maxPixelsGif: gif, maxPixelsAvif: avif } = settings;
  const limits = { maxPixels: { jpeg: maxPixels, png: maxPixels, webp: maxPixels, tiff: maxPixels, gif, avif } };
  const decoder = replaced.decoder ?? createDecoderPool({ preprocessing, processes: settings.decoders, limits });
  const monitoring = createMonitoring();
  const lines: string[] = [];
  const log = { level: 'debug', stream: { write: (line: string) => void lines.push(line) } };
  const { onRoute } = replaced;
  const application = await buildApp({
    settings,
    decoder,
    encoder: replaced.encoder ?? encoder,
    catalogue,
    snapshots,
    imports: { ledger: durable ?? inMemoryLedger, folder: join(folder, 'imports') },
    mapFolder: join(folder, 'maps'),
    scoreFolder: join(folder, 'scores'),
    monitoring,
    log,
    report: replaced.report,
    fitPlan: replaced.fitPlan,
    comparisons: replaced.comparisons,
    ...(onRoute !== undefined && { onRoute }),
  });
  await application.app.ready();
  if (durable !== undefined) await application.resumeWork();
  context.after(async () => {
    await application.app.close();
    await decoder.close();
    await catalogue.close();
    await rm(folder, { recursive: true, force: true });
  });
  return {
    ...application,
    encoder,
    catalogue,
    decoder,
    monitoring,
    settings,
    folder,
    log: lines,
    async ask(options) {
      const response = await application.app.inject(options);
      assertDocumented(application.app, options as { readonly method?: string; readonly url: string }, response);
      return response;
    },
    async listen() {
      await application.app.listen({ host: '127.0.0.1', port: 0 });
      const { port } = application.app.server.address() as AddressInfo; // A TCP server's address is an object.
      return { port, url: `http://127.0.0.1:${port}` };
    },
  };
}

/** For applications whose catalogue is a test's own: they have no imports. */
const inMemoryLedger: ImportLedger = {
  changeImport: () => Promise.reject(new Error('This application has no imports.')),
  readImports: () => Promise.reject(new Error('This application has no imports.')),
};

/** A small PNG that differs for each seed in large, so that pictures of two seeds are not alike. */
export async function picture(seed: number, format: 'png' | 'jpeg' = 'png'): Promise<Buffer> {
  const side = 48;
  const rgb = Buffer.alloc(side * side * 3);
  let state = (seed * 2654435761) >>> 0 || 1;
  const next = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  };
  const cells = Array.from({ length: 48 }, next);
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const cell = Math.floor(y / 12) * 4 + Math.floor(x / 12);
      for (let channel = 0; channel < 3; channel++) rgb[(y * side + x) * 3 + channel] = cells[cell * 3 + channel]!;
    }
  }
  return sharp(rgb, { raw: { width: side, height: side, channels: 3 } })
    .toFormat(format)
    .toBuffer();
}

/** A part of a multipart form: a file where it has a file name. */
export type FormPart = {
  readonly name: string;
  readonly fileName?: string;
  readonly type?: string;
  readonly content: string | Buffer;
};

/** A raw body with its type. */
export function raw(
  payload: Buffer,
  type = 'image/png',
): { readonly payload: Buffer; readonly headers: { readonly 'content-type': string } } {
  return { payload, headers: { 'content-type': type } };
}

/** A multipart body written by hand, so that tests can also write it wrongly. */
export function form(...parts: readonly FormPart[]): {
  readonly payload: Buffer;
  readonly headers: { readonly 'content-type': string };
} {
  const boundary = 'likeness-test-boundary';
  const pieces = parts.flatMap(({ name, fileName, type, content }) => [
    Buffer.from(
      `--${boundary}\r\ncontent-disposition: form-data; name="${name}"${fileName === undefined ? '' : `; filename="${fileName}"`}\r\n${
        fileName === undefined && type === undefined ? '' : `content-type: ${type ?? 'application/octet-stream'}\r\n`
      }\r\n`,
    ),
    Buffer.from(content),
    Buffer.from('\r\n'),
  ]);
  return {
    payload: Buffer.concat([...pieces, Buffer.from(`--${boundary}--\r\n`)]),
    headers: { 'content-type': `multipart/form-data; boundary=${boundary}` },
  };
}

/** The shape of an error answer. */
export type ErrorResponse = {
  readonly statusCode: number;
  readonly code: string;
  readonly error: string;
  readonly message: string;
};

/** Asserts that an answer is the stated error, whole and in Fastify's shape. */
export function assertError(
  response: { readonly statusCode: number; readonly body: string },
  expected: { readonly status: number; readonly code: string },
): void {
  assert.equal(response.statusCode, expected.status, response.body);
  const body = JSON.parse(response.body) as ErrorResponse;
  assert.equal(body.code, expected.code, response.body);
  assert.equal(body.statusCode, expected.status);
  assert.ok(body.error.length > 0 && body.message.length > 0);
}

type Documented = { readonly paths: { readonly [path: string]: { readonly [method: string]: Operation } } };
type Operation = {
  readonly responses: {
    readonly [status: string]: { readonly content?: { readonly [type: string]: { schema: object } } };
  };
};

/** Asserts that a JSON answer is just what the description of its route says, nothing more and nothing less. */
function assertDocumented(
  app: App,
  options: { readonly method?: string; readonly url: string },
  response: LightMyRequestResponse,
): void {
  if (!String(response.headers['content-type']).startsWith('application/json')) return;
  const path = options.url.split('?')[0]!;
  const { paths } = resolvedReferences(app.swagger()) as unknown as Documented; // no reference is left
  const pattern = Object.keys(paths).find((known) =>
    new RegExp(`^${known.replace(/\{[^}]+\}/g, '[^/]+')}$`).test(path),
  );
  const operation = pattern === undefined ? undefined : paths[pattern]![(options.method ?? 'GET').toLowerCase()];
  if (operation === undefined) return;
  const { responses } = operation;
  const documented = responses[response.statusCode] ?? responses[`${Math.floor(response.statusCode / 100)}XX`];
  const schema = documented?.content?.['application/json']?.schema;
  assert.ok(schema, `${options.method} ${pattern} answers ${response.statusCode}, which is not described`);
  const value: unknown = response.json();
  assert.ok(Check(schema, value), `${response.body.slice(0, 500)}\n${JSON.stringify(Errors(schema, value))}`);
}

/** A raw connection whose received text grows until the other side closes. */
export type RawConnection = {
  readonly socket: Socket;
  received(): string;
  /** Resolves when the socket has closed. */
  readonly closed: Promise<void>;
  /** Resolves when the received text matches. */
  until(pattern: RegExp): Promise<void>;
};

/** Opens a raw connection; errors of the socket (resets) are an expected way to close. */
export async function openRaw(port: number): Promise<RawConnection> {
  const socket = connect({ port, host: '127.0.0.1' });
  let text = '';
  const waiting: (() => void)[] = [];
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1');
    for (const look of [...waiting]) look();
  });
  socket.on('error', () => {});
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  await once(socket, 'connect');
  return {
    socket,
    received: () => text,
    closed,
    until: (pattern) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (pattern.test(text)) resolve();
        };
        waiting.push(look);
        void closed.then(() => (pattern.test(text) ? resolve() : reject(new Error(`Closed after: ${text}`))));
        look();
      }),
  };
}

/**
 * Waits for what other parts of this process or the other side of a socket will soon do; bounded: `looks` of 10
 * ms each.
 */
export async function eventually(isTrue: () => boolean | Promise<boolean>, looks = 1000): Promise<void> {
  for (let turn = 0; turn < looks; turn++) {
    if (await isTrue()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.fail(`It did not come true: ${isTrue}`);
}
