/**
 * Fetches the files of a model from the Hugging Face hub, or from a server that answers as it does: the revision is
 * looked up once, every file is checked against the digest that the hub lists, and what was cut off goes on.
 */
import { stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import Type, { type Static, type TSchema } from 'typebox';
import { Check } from 'typebox/value';
import { SearchError } from '../../errors.js';
import { type Download, DownloadError, downloadFile, reasonOf } from '../../fetching/download.js';

/** A file as the hub lists it: large ones by their SHA-256, small ones by git's digest. */
type HubFile = Omit<Download, 'url'> & { readonly path: string };

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
  const { repository, cache, variant, pauseMs, onProgress } = options;
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
    const url = `${hub}/${repository}/resolve/${revision}/${file.path}`;
    const report = (bytes: number, total: number): void => onProgress?.(file.path, bytes, total);
    await downloadFile({ download: { ...file, url }, target, pauseMs, onProgress: report }).catch((cause: unknown) => {
      throw cause instanceof DownloadError ? failed(url, cause.message, cause) : cause;
    });
  }
  return { folder, revision, files: files.map(({ path }) => path) };
}

function hubFile({ path, size, oid, lfs }: Static<typeof Tree>[number]): HubFile {
  return lfs === undefined
    ? { path, bytes: size, algorithm: 'git-sha1', digest: oid }
    : { path, bytes: lfs.size, algorithm: 'sha256', digest: lfs.oid };
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

/** The answer to a question about a model, of the given shape. */
async function ask<Schema extends TSchema>(schema: Schema, url: string): Promise<Static<Schema>> {
  const response = await fetch(url).catch((cause: unknown) => {
    throw failed(url, `cannot be reached: ${reasonOf(cause)}`, cause);
  });
  if (!response.ok) {
    const isClosed = response.status === 401 || response.status === 403;
    const what = `answered ${response.status}: ${isClosed ? 'it is not open to everybody' : 'check the name'}`;
    throw new SearchError('INVALID_ENCODER', `${url} ${what}.`);
  }
  const answer: unknown = await response.json().catch(() => undefined);
  if (Check(schema, answer)) return answer;
  throw new SearchError('INVALID_ENCODER', `${url} did not answer as the hub does. Check --hub.`);
}

function failed(url: string, what: string, cause: unknown): SearchError {
  const remedy =
    'Run it again to go on, name a mirror with --hub, or copy the folder and use `likeness encoder import`';
  return new SearchError('INVALID_ENCODER', `${url} ${what}. ${remedy}.`, { cause });
}
