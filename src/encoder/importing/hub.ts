/**
 * Fetches the files of a model from the Hugging Face hub, or from a server that answers as it does: the revision is
 * looked up once, every file is checked against the digest that the hub lists, and what was cut off goes on.
 */
import { createHash, type Hash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import Type, { type Static, type TSchema } from 'typebox';
import { Check } from 'typebox/value';
import { SearchError } from '../../errors.js';

/** A file as the hub lists it. `sha256` of large files, `gitSha1` (git's digest of the content) of small ones. */
type HubFile = {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string | undefined;
  readonly gitSha1: string;
};

/** What was fetched. `folder` holds the files by their names. */
export type FetchedModel = { readonly folder: string; readonly revision: string; readonly files: readonly string[] };

const Revision = Type.Object({ sha: Type.String({ pattern: '^[0-9a-f]{40}$' }) });
const Tree = Type.Array(
  Type.Object({
    type: Type.String(),
    path: Type.String({ minLength: 1, maxLength: 1000 }),
    size: Type.Integer({ minimum: 0 }),
    oid: Type.String(),
    lfs: Type.Optional(Type.Object({ oid: Type.String({ pattern: '^[0-9a-f]{64}$' }), size: Type.Integer() })),
  }),
);

/** Programs by the names of exporters, an image tower before a whole model, each with its external weights. */
const PROGRAMS = ['onnx/vision_model', 'onnx/model', 'vision_model', 'model'];
const SETTINGS = ['config.json', 'preprocessor_config.json', 'processor_config.json'];
/** Cut connections in a row without a byte gained, after which it is given up. */
const TRIES = 5;
const PAUSE_MS = 1000;

/**
 * Fetches settings and program of `repository` into a folder of `cache`, unless they are there. variant: part of the
 * program's file name. INVALID_ENCODER, with the remedy, where the hub has no such model, cannot be reached, or sends
 * other bytes than it lists.
 */
export async function fetchModel(options: {
  readonly repository: string;
  readonly hub: string;
  readonly cache: string;
  readonly variant: string | undefined;
  readonly pauseMs?: number;
  readonly onProgress?: (file: string, bytes: number, total: number) => void;
}): Promise<FetchedModel> {
  const { repository, cache, variant, pauseMs = PAUSE_MS, onProgress } = options;
  const hub = options.hub.replace(/\/+$/, '');
  if (!/^\w[\w.-]*\/\w[\w.-]*$/.test(repository))
    throw new SearchError('INVALID_ENCODER', `"${repository}" names no model of the hub. Give OWNER/NAME.`);
  const { sha: revision } = await ask(Revision, `${hub}/api/models/${repository}/revision/main`);
  const tree = await ask(Tree, `${hub}/api/models/${repository}/tree/${revision}?recursive=true`);
  const listed = tree.filter(({ type }) => type === 'file').map(hubFile);
  const files = wantedFiles(listed, repository, variant);
  const folder = join(cache, 'hub', repository.replace('/', '--'), revision);
  for (const file of files) {
    const target = join(folder, file.path);
    if ((await stat(target).catch(() => undefined))?.size === file.bytes) continue;
    await mkdir(dirname(target), { recursive: true });
    const url = `${hub}/${repository}/resolve/${revision}/${file.path}`;
    await fetchFile({ url, file, target, pauseMs, onProgress: (bytes) => onProgress?.(file.path, bytes, file.bytes) });
  }
  return { folder, revision, files: files.map(({ path }) => path) };
}

function hubFile({ path, size, oid, lfs }: Static<typeof Tree>[number]): HubFile {
  return { path, bytes: lfs?.size ?? size, sha256: lfs?.oid, gitSha1: oid };
}

/** Settings, the program, and its weights where they lie beside it. */
function wantedFiles(files: readonly HubFile[], repository: string, variant: string | undefined): readonly HubFile[] {
  const named = new Map(files.map((file) => [file.path, file]));
  const suffix = variant === undefined ? '' : `_${variant}`;
  const program = PROGRAMS.map((name) => named.get(`${name}${suffix}.onnx`)).find((file) => file !== undefined);
  if (program === undefined) {
    const there = files.map(({ path }) => path).filter((path) => path.endsWith('.onnx'));
    const what =
      there.length === 0 ? 'has no ONNX file; export it (optimum-cli export onnx) and import the folder' : '';
    const which = `has ${there.join(', ')}; choose with --variant (fp16, int8, quantized)`;
    throw new SearchError('INVALID_ENCODER', `${repository} ${what || which}.`);
  }
  const weights = files.filter(
    ({ path }) => path.startsWith(`${program.path}_data`) && dirname(path) === dirname(program.path),
  );
  const settings = SETTINGS.flatMap((name) => named.get(name) ?? []);
  return [...settings, program, ...weights];
}

/** Fetches one file aside, goes on where a connection was cut, and checks what came before the file gets its name. */
async function fetchFile(options: {
  readonly url: string;
  readonly file: HubFile;
  readonly target: string;
  readonly pauseMs: number;
  readonly onProgress: (bytes: number) => void;
}): Promise<void> {
  const { url, file, target, pauseMs, onProgress } = options;
  const partial = `${target}.partial`;
  for (let tries = 0; ; ) {
    const before = (await stat(partial).catch(() => undefined))?.size ?? 0;
    if (before >= file.bytes && before > 0) break;
    try {
      await append({ url, partial, from: before, most: file.bytes, onProgress });
      break;
    } catch (cause) {
      if (cause instanceof SearchError) throw cause;
      const after = (await stat(partial).catch(() => undefined))?.size ?? 0;
      tries = after > before ? 0 : tries + 1;
      if (tries >= TRIES) throw unreachable(url, cause);
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }
  const found = await digest(partial, file);
  const expected = file.sha256 ?? file.gitSha1;
  if (found !== expected) {
    await rm(partial);
    const what = `${url} sent ${found}, and the hub lists ${expected}`;
    throw new SearchError('INVALID_ENCODER', `${what}: it was damaged or replaced on its way. Run the command again.`);
  }
  await rename(partial, target);
}

/** Appends the bytes from `from` on. An answer that begins at 0 begins the file anew. Rejects where it is cut off. */
async function append(options: {
  readonly url: string;
  readonly partial: string;
  readonly from: number;
  readonly most: number;
  readonly onProgress: (bytes: number) => void;
}): Promise<void> {
  const { url, partial, from, most, onProgress } = options;
  // Not compressed: a range counts the bytes of the file.
  const headers = { 'accept-encoding': 'identity', ...(from > 0 && { range: `bytes=${from}-` }) };
  const response = await fetch(url, { headers });
  if (!response.ok || response.body === null) throw refused(url, response);
  const isContinued = response.status === 206;
  let received = isContinued ? from : 0;
  const counted = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      received += chunk.length;
      onProgress(received);
      done(received > most ? tooMany(url, most) : null, chunk);
    },
  });
  // fetch returns the stream type that Readable.fromWeb takes; only their declarations differ
  const body = Readable.fromWeb(response.body as Parameters<typeof Readable.fromWeb>[0]);
  await pipeline(body, counted, createWriteStream(partial, { flags: isContinued ? 'a' : 'w' }));
  if (received < most) throw new Error(`ended after ${received} of ${most} bytes`);
}

/** The SHA-256, or for a small file git's digest of it, in hexadecimal. */
async function digest(path: string, { sha256, bytes }: HubFile): Promise<string> {
  const hash: Hash = sha256 === undefined ? createHash('sha1').update(`blob ${bytes}\0`) : createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

/** The answer to a question about a model, of the given shape. */
async function ask<Schema extends TSchema>(schema: Schema, url: string): Promise<Static<Schema>> {
  const response = await fetch(url).catch((cause: unknown) => {
    throw unreachable(url, cause);
  });
  if (!response.ok) throw refused(url, response);
  const answer: unknown = await response.json().catch(() => undefined);
  if (Check(schema, answer)) return answer;
  throw new SearchError('INVALID_ENCODER', `${url} did not answer as the hub does. Check --hub.`);
}

function refused(url: string, { status, statusText }: Response): SearchError {
  const reason = status === 401 || status === 403 ? 'it is not open to everybody' : 'check the name';
  return new SearchError('INVALID_ENCODER', `${url} answered ${status} ${statusText}: ${reason}.`);
}

function tooMany(url: string, most: number): SearchError {
  return new SearchError('INVALID_ENCODER', `${url} sends more than the ${most} bytes that the hub lists.`);
}

function unreachable(url: string, cause: unknown): SearchError {
  const inner = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause;
  const reason = inner instanceof Error ? inner.message : String(inner);
  const remedy =
    'Run it again to go on, name a mirror with --hub, or copy the folder and use `likeness encoder import`';
  return new SearchError('INVALID_ENCODER', `${url} cannot be reached: ${reason}. ${remedy}.`, { cause });
}
