/**
 * Bodies that carry images: multipart/form-data or one raw image. Every byte is counted while it arrives, nothing is
 * cut silently.
 */
import type { Readable } from 'node:stream';
import type { MultipartFile } from '@fastify/multipart';
import type { FastifyRequest } from 'fastify';
import { SearchError } from '../../errors.js';
import type { Settings } from '../../settings.js';
import { type Budget, type Reservation, reservationOf } from '../limits/budget.js';
import { declaredBytes } from '../limits/request-limits.js';
import { ClientGoneError, type RequestScope } from '../limits/request-tracker.js';
import { cleanFileName } from '../names.js';

/**
 * A file of an upload: whole, or why not. `release` gives its memory back to the budget; call it once the bytes are
 * done with.
 */
export type ReceivedFile =
  | { readonly name: string | null; readonly field: string; readonly bytes: Buffer; release(): void }
  | { readonly name: string | null; readonly field: string; readonly error: SearchError };

/**
 * How one upload is read. `receive` is called for each file as it arrives; while its promise is pending no further byte
 * is read.
 */
export type UploadRequest = {
  readonly request: FastifyRequest;
  readonly scope: RequestScope;
  readonly memory: Budget;
  readonly settings: Pick<Settings, 'maxUploadBytes' | 'maxMetadataBytes'>;
  readonly maxFiles: number;
  /** Names of the text fields that may stand beside the files. */
  readonly fieldNames: readonly string[];
  /**
   * Those among them that may be sent several times, and what is told of each value; they are not among the
   * returned fields.
   */
  readonly lists?: { readonly names: readonly string[]; readonly receive: (name: string, value: string) => void };
  /** A form of fields alone will do. */
  readonly isFileOptional?: boolean;
  readonly receive: (file: ReceivedFile) => Promise<void>;
};

type ReservedUpload = UploadRequest & { readonly reservation: Reservation };

/** Room for boundaries, part headers and text fields beside the files themselves. */
const OVERHEAD_BYTES = 256 * 1024;
const MAX_FIELDS = 48;
const FIELD_BYTES = 16 * 1024;

/**
 * Largest body of a request with up to `maxFiles` files: what content-length is checked against before the body
 * is read.
 */
export function maxBodyBytes(maxUploadBytes: number, maxFiles: number): number {
  return maxUploadBytes * maxFiles + OVERHEAD_BYTES;
}

/** True for bodies that {@link readUpload} reads. */
function isRawImage(request: FastifyRequest): boolean {
  return /^(image\/|(application|binary)\/octet-stream)/i.test(request.headers['content-type'] ?? '');
}

/**
 * Reads the whole body and returns its text fields. Throws UNSUPPORTED_MEDIA_TYPE, NO_IMAGE, MALFORMED_MULTIPART,
 * TOO_MANY_FILES, UPLOAD_TOO_LARGE, REQUEST_TIMEOUT, OVERLOADED (the memory for uploads is full), INVALID_REQUEST (a
 * field that is not known). A file over the limit among others is received as an error, so that the others still count;
 * in a body of unknown length it ends the request instead, since nobody can say how much more would come.
 */
export async function readUpload(upload: UploadRequest): Promise<ReadonlyMap<string, string>> {
  const { request, memory } = upload;
  const reservation = reservationOf(memory);
  try {
    return await readBody({ ...upload, reservation });
  } catch (error) {
    reservation.end(); // A stream that nobody reads any more may never settle, and what it holds must not stay held.
    if (request.raw.complete || !(error instanceof SearchError) || error.code !== 'DEADLINE_EXCEEDED') throw error;
    throw new SearchError('REQUEST_TIMEOUT', 'The body did not arrive in time (--request-timeout-ms).', {
      cause: error,
    });
  }
}

async function readBody(upload: ReservedUpload): Promise<ReadonlyMap<string, string>> {
  const { request, scope } = upload;
  if (isRawImage(request)) {
    await receiveRaw(upload);
    return new Map();
  }
  if (!request.isMultipart()) {
    if (request.headers['content-type'] === undefined) throw noImage();
    throw new SearchError(
      'UNSUPPORTED_MEDIA_TYPE',
      `The body is ${request.headers['content-type'].slice(0, 100)}; an image is expected.`,
    );
  }
  const excess = watchForExcess(upload);
  try {
    return await scope.race(Promise.race([receiveParts(upload, excess.onFile), excess.exceeded]));
  } catch (error) {
    request.raw.unpipe(); // What has not arrived is not read any more; the answer closes the connection.
    throw error;
  } finally {
    excess.stop();
  }
}

async function receiveRaw(upload: ReservedUpload): Promise<void> {
  const { request, scope, settings, receive } = upload;
  const file = await scope.race(collect(upload, request.raw, { name: null, field: '' }, () => false));
  if ('bytes' in file && file.bytes.length === 0) throw noImage();
  if ('error' in file) throw file.error;
  if (file.bytes.length > settings.maxUploadBytes) throw tooLarge(settings.maxUploadBytes);
  await receive(file);
}

async function receiveParts(
  upload: ReservedUpload,
  onFile: (file: MultipartFile['file']) => void,
): Promise<ReadonlyMap<string, string>> {
  const { request, settings, maxFiles, fieldNames, lists, receive } = upload;
  const fields = new Map<string, string>();
  let files = 0;
  const fieldBytesMax = Math.max(FIELD_BYTES, settings.maxMetadataBytes);
  const addField = (name: string, text: string): void => {
    if (!fieldNames.includes(name)) throw unknownField(name, fieldNames);
    if (fields.has(name)) throw new SearchError('INVALID_REQUEST', `The field "${name}" is sent twice.`);
    if (lists?.names.includes(name)) lists.receive(name, text);
    else fields.set(name, text);
  };
  const parts = request.parts({
    // JSON parts too, since the parser would read them, and numbers that are too large for it would change.
    isPartAFile: (_name, type, fileName) =>
      fileName !== undefined || /^(image\/|application\/(octet-stream|json))/i.test(type ?? ''),
    limits: {
      fileSize: settings.maxUploadBytes,
      files: maxFiles + fieldNames.length,
      fields: MAX_FIELDS,
      parts: maxFiles + MAX_FIELDS,
      fieldSize: fieldBytesMax,
      fieldNameSize: 100,
      headerPairs: 32,
    },
  });
  for (;;) {
    const next = await parsing(parts.next(), request);
    if (next.done) break;
    const part = next.value;
    if (part.type === 'file') {
      onFile(part.file);
      const name = cleanFileName(part.filename);
      const file = await collect(upload, part.file, { name, field: part.fieldname }, () => part.file.truncated);
      // A form whose file input was left empty sends a part without name and bytes.
      if ('bytes' in file && file.bytes.length === 0 && (part.filename ?? '') === '') continue;
      // A Blob has a file name where a text field has none: `form.append('metadata', new Blob([json], { type:
      // 'application/json' }))`.
      if (fieldNames.includes(part.fieldname) && /^(application\/json|text\/)/i.test(part.mimetype)) {
        if ('error' in file || file.bytes.length > fieldBytesMax) throw tooLong(part.fieldname, fieldBytesMax);
        const text = file.bytes.toString();
        file.release();
        addField(part.fieldname, text);
        continue;
      }
      files += 1;
      if (files > maxFiles) throw new SearchError('TOO_MANY_FILES', `The form holds more than ${maxFiles} files.`);
      await receive(file);
    } else {
      if (part.valueTruncated) throw tooLong(part.fieldname, fieldBytesMax);
      addField(part.fieldname, String(part.value));
    }
  }
  if (files === 0 && upload.isFileOptional !== true) throw noImage();
  return fields;
}

/**
 * Gathers a stream into one buffer under the byte limit and the memory budget. Leaves the stream alone, also where
 * it throws.
 */
async function collect(
  upload: ReservedUpload,
  stream: Readable,
  part: { readonly name: string | null; readonly field: string },
  isTruncated: () => boolean,
): Promise<ReceivedFile> {
  const { reservation, settings, request } = upload;
  const chunks: Buffer[] = [];
  let taken = 0;
  try {
    const iterator = stream.iterator({ destroyOnReturn: false });
    for (;;) {
      const next = await parsing(iterator.next(), request);
      if (next.done || taken > settings.maxUploadBytes) break;
      const chunk: Buffer = next.value;
      reservation.grow(chunk.length);
      taken += chunk.length;
      chunks.push(chunk);
    }
  } catch (error) {
    reservation.shrink(taken);
    throw error;
  }
  if (isTruncated() || taken > settings.maxUploadBytes) {
    reservation.shrink(taken);
    return { ...part, error: tooLarge(settings.maxUploadBytes) };
  }
  let held = taken;
  const release = (): void => {
    reservation.shrink(held);
    held = 0;
  };
  return { ...part, bytes: Buffer.concat(chunks, taken), release };
}

/**
 * Counts a body without a declared length (one with a length was checked already, and cannot be longer), and ends it
 * where it passes the limit of all files together or of one of them.
 */
function watchForExcess(upload: UploadRequest): {
  exceeded: Promise<never>;
  onFile: (file: MultipartFile['file']) => void;
  stop: () => void;
} {
  const { request, settings, maxFiles } = upload;
  let fail: (error: SearchError) => void = () => {};
  const exceeded = new Promise<never>((_, reject) => {
    fail = reject;
  });
  exceeded.catch(() => {});
  if (declaredBytes(request) !== undefined) return { exceeded, onFile: () => {}, stop: () => {} };
  const limit = maxBodyBytes(settings.maxUploadBytes, maxFiles);
  let received = 0;
  const count = (chunk: Buffer): void => {
    received += chunk.length;
    if (received > limit) fail(new SearchError('UPLOAD_TOO_LARGE', `The body is longer than ${limit} bytes.`));
  };
  request.raw.on('data', count);
  const stop = (): void => {
    request.raw.off('data', count);
  };
  return { exceeded, onFile: (file) => file.once('limit', () => fail(tooLarge(settings.maxUploadBytes))), stop };
}

/**
 * Errors of the multipart parser have neither code nor status: they are the client's. Those of the connection mean that
 * it has gone.
 */
async function parsing<T>(step: Promise<T>, request: FastifyRequest): Promise<T> {
  try {
    return await step;
  } catch (cause) {
    if (cause instanceof SearchError) throw cause;
    if (request.raw.destroyed && !request.raw.complete) throw new ClientGoneError();
    const code = (cause as { code?: unknown }).code;
    if (typeof code === 'string' && code.startsWith('FST_')) throw cause;
    const reason = cause instanceof Error ? cause.message : 'unknown';
    throw new SearchError('MALFORMED_MULTIPART', `The multipart body cannot be read: ${reason}.`, { cause });
  }
}

/** The answer to a request that holds nothing to look at. */
export function noImage(): SearchError {
  return new SearchError('NO_IMAGE', 'The request holds no image file.');
}

function tooLarge(maxUploadBytes: number): SearchError {
  return new SearchError('UPLOAD_TOO_LARGE', `The file is larger than ${maxUploadBytes} bytes (--max-upload-bytes).`);
}

function tooLong(name: string, bytesMax: number): SearchError {
  return new SearchError('INVALID_REQUEST', `The field "${name}" is longer than its limit of ${bytesMax} bytes.`);
}

function unknownField(name: string, known: readonly string[]): SearchError {
  const shown = cleanFileName(name) ?? '';
  return new SearchError(
    'INVALID_REQUEST',
    `The field "${shown.slice(0, 100)}" is not known; known are ${known.join(', ')}, and files.`,
  );
}
