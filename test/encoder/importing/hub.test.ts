/** The hub is a server of ours that answers as it does: listing, redirects, ranges; the real one was not reached. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { runEncoderAdd } from '../../../src/commands/encoder.js';
import { type FetchedModel, fetchModel } from '../../../src/encoder/importing/hub.js';
import { KNOWN_ENCODERS } from '../../../src/encoder/importing/known-encoders.js';
import { readSavedEncoder } from '../../../src/encoder/saved-encoder.js';
import { SearchError } from '../../../src/errors.js';
import { REPOSITORY } from '../../service-process.js';
import { foreignModel, SIDE } from './foreign-models.js';

const REVISION = '0123456789abcdef0123456789abcdef01234567';
const PREPROCESSOR = {
  size: { height: SIDE, width: SIDE },
  resample: 2,
  image_mean: [0.5, 0.5, 0.5],
  image_std: [0.5, 0.5, 0.5],
};

let server: Server;
let hub: string;
let cache: string;
let files: Map<string, Buffer>;
/** Bytes after which the next answers with the program are cut, one each. */
let cuts: number[];
let asked: { readonly url: string; readonly range: string | undefined }[];
let ignoresRanges: boolean;
let damages: boolean;

before(async () => {
  server = createServer((request, response) => {
    const { url = '' } = request;
    const { range } = request.headers;
    asked.push({ url, range });
    const send = (value: unknown): void => void response.end(JSON.stringify(value));
    if (url === '/api/models/owner/net/revision/main') return send({ sha: REVISION, id: 'owner/net' });
    if (url.startsWith(`/api/models/owner/net/tree/${REVISION}`)) return send(listing());
    if (url.startsWith('/owner/net/resolve/'))
      return void response.writeHead(302, { location: url.replace('/owner/net/resolve', '/content') }).end();
    const content = files.get(url.replace(`/content/${REVISION}/`, ''));
    if (content === undefined) return void response.writeHead(404).end();
    const from = ignoresRanges ? 0 : Number(/^bytes=([0-9]+)-$/.exec(range ?? '')?.[1] ?? 0);
    const part = Buffer.from(content.subarray(from));
    if (damages) part[part.length - 1]! ^= 1;
    response.writeHead(from > 0 ? 206 : 200, { 'content-length': part.length });
    const cut = url.endsWith('/model.onnx') ? cuts.shift() : undefined;
    if (cut === undefined) return void response.end(part);
    response.write(part.subarray(0, cut));
    void cutWhenWritten(response, from + Math.min(cut, part.length));
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  hub = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

after(() => server.close());

afterEach(() => rm(cache, { recursive: true }));

beforeEach(async () => {
  cache = await mkdtemp(join(tmpdir(), 'likeness-hub-'));
  files = new Map([
    ['config.json', Buffer.from(JSON.stringify({ license: 'test' }))],
    ['preprocessor_config.json', Buffer.from(JSON.stringify(PREPROCESSOR))],
    ['onnx/model.onnx', Buffer.from(foreignModel())],
    ['onnx/model_fp16.onnx', Buffer.from('another')],
    ['README.md', Buffer.from('# net')],
  ]);
  [cuts, asked, ignoresRanges, damages] = [[], [], false, false];
});

/** Cuts a connection when the client has written what was sent: what is still on its way may be lost. */
async function cutWhenWritten(response: ServerResponse, bytes: number): Promise<void> {
  const partial = join(cache, 'hub', 'owner--net', REVISION, 'onnx', 'model.onnx.partial');
  for (let polls = 0; polls < 1000; polls++) {
    if (bytes === 0 || ((await stat(partial).catch(() => undefined))?.size ?? 0) >= bytes) break;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  response.destroy();
}

function listing(): unknown[] {
  const entries = [...files].map(([path, content]) => {
    const oid = createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex');
    if (!path.endsWith('.onnx')) return { type: 'file', path, size: content.length, oid };
    const lfs = { oid: createHash('sha256').update(content).digest('hex'), size: content.length, pointerSize: 134 };
    return { type: 'file', path, size: content.length, oid: '0'.repeat(40), lfs };
  });
  return [{ type: 'directory', path: 'onnx', size: 0, oid: '0'.repeat(40) }, ...entries];
}

const fetched = (repository = 'owner/net', variant?: string): Promise<FetchedModel> =>
  fetchModel({ repository, hub, cache, variant, pauseMs: 1 });

const refused = (what: Promise<unknown>, message: RegExp): Promise<void> =>
  assert.rejects(what, (error: unknown) => {
    assert.ok(error instanceof SearchError, String(error));
    assert.equal(error.code, 'INVALID_ENCODER');
    assert.match(error.message, message);
    return true;
  });

const contents = ({ folder, files: names }: FetchedModel): Promise<Buffer[]> =>
  Promise.all(names.map((name) => readFile(join(folder, name))));

test('settings and program come by redirects, at one revision, and are not fetched twice', async () => {
  const model = await fetched();
  assert.deepEqual(model.files, ['config.json', 'preprocessor_config.json', 'onnx/model.onnx']);
  assert.deepEqual(
    await contents(model),
    model.files.map((name) => files.get(name)),
  );
  assert.equal(model.revision, REVISION);
  asked = [];
  await fetched();
  assert.deepEqual(
    asked.filter(({ url }) => !url.startsWith('/api/')),
    [],
  );
});

test('a connection that is cut, and a run that ended, go on where they were; a server without ranges begins anew', async () => {
  cuts = [100, 50];
  const model = await fetched();
  assert.deepEqual(
    await contents(model),
    model.files.map((name) => files.get(name)),
  );
  assert.deepEqual(
    asked.filter(({ url }) => url.includes('/content/') && url.endsWith('model.onnx')).map(({ range }) => range),
    [undefined, 'bytes=100-', 'bytes=150-'],
  );
  await rm(model.folder, { recursive: true });
  [cuts, ignoresRanges] = [[100], true];
  assert.deepEqual(
    await contents(await fetched()),
    model.files.map((name) => files.get(name)),
  );
});

test('other bytes than listed, too many of them, and a server that stays away are refused with the remedy', async () => {
  damages = true;
  await refused(fetched(), /sent [0-9a-f]{40}, not [0-9a-f]{40}: .* Run it again to go on/);
  damages = false;
  cuts = new Array(20).fill(0);
  await refused(fetched(), /cannot be reached: .*name a mirror with --hub/);
  cuts = [];
  await refused(fetched('owner/none'), /answered 404: check the name/);
  await refused(fetched('owner/net', 'int8'), /has onnx\/model\.onnx, onnx\/model_fp16\.onnx; choose with --variant/);
  await refused(fetched('../net'), /names no model of the hub/);
  await refused(
    fetchModel({ repository: 'owner/net', hub: 'http://127.0.0.1:9', cache, variant: undefined }),
    /127\.0\.0\.1:9\/.* cannot be reached/,
  );
});

test('a listing that leads out of the folder fetches nothing there', async () => {
  files.set('onnx/model.onnx_data/../../../../outside', Buffer.from('x'));
  assert.deepEqual((await fetched()).files, ['config.json', 'preprocessor_config.json', 'onnx/model.onnx']);
});

test('encoder add makes a saved encoder of it, lists what it knows, and says why it does not offer the rest', async () => {
  const out = join(cache, 'net');
  const flags = { hub, cache, replace: false };
  assert.equal(await runEncoderAdd('owner/net', { ...flags, out }), 0);
  assert.equal((await readSavedEncoder(out)).manifest.name, 'net');
  assert.equal(await runEncoderAdd(undefined, flags), 0);
  assert.equal(await runEncoderAdd('dinov9', flags), 1);
  await refused(runEncoderAdd('facebook/dinov3-vits16', flags), /is not offered: .*licence/);
  await refused(runEncoderAdd('apple/MobileCLIP-S2', flags), /scientific research/);
});

test('docs/encoders.md has the table of the encoders that are known by name', async () => {
  const document = await readFile(join(REPOSITORY, 'docs/encoders.md'), 'utf8');
  for (const { name, megabytes, dimensions, operations, goodAt, licence } of KNOWN_ENCODERS) {
    const row = `| \`${name}\` | ${megabytes} | ${dimensions} | ${operations} | ${goodAt} | ${licence} |`;
    assert.ok(document.includes(row), row);
  }
});
