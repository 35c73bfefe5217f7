/**
 * Errors that a caller can act on: one class, and one table of codes with HTTP status and remedy, from which
 * docs/errors.md is generated. Codes are never reused.
 */

type ErrorEntry = { readonly httpStatus: number; readonly remedy: string };

/** Stable error codes, each with its HTTP status and what the caller can do. */
export const ERROR_TABLE = {
  // The request itself
  INVALID_REQUEST: {
    httpStatus: 400,
    remedy: 'Correct the request as the message says; openapi.yaml describes every route.',
  },
  MALFORMED_MULTIPART: {
    httpStatus: 400,
    remedy: 'Send a complete multipart/form-data body with its closing boundary.',
  },
  NO_IMAGE: {
    httpStatus: 400,
    remedy: 'Send one image: a multipart file part or a raw body with an image/* content type.',
  },
  INVALID_FILTER: { httpStatus: 400, remedy: 'Correct the filter; docs/api.md describes the filter language.' },
  UNAUTHORISED: {
    httpStatus: 401,
    remedy: 'Send a valid key in the x-api-key header or as "Authorization: Bearer KEY".',
  },
  FORBIDDEN: { httpStatus: 403, remedy: 'Use a key whose role allows this route.' },
  URL_FETCH_OFF: { httpStatus: 403, remedy: 'Send the picture itself, or start the service with --allow-url-fetch.' },
  URL_REFUSED: {
    httpStatus: 403,
    remedy: 'Use an http(s) URL without credentials, on an allowed port of a public host.',
  },
  COLLECTION_NOT_FOUND: {
    httpStatus: 404,
    remedy: 'Check the name; GET /collections lists the collections. A collection begins with its first image.',
  },
  METHOD_NOT_ALLOWED: { httpStatus: 405, remedy: 'Use a method that the Allow header names.' },
  NOT_FOUND: { httpStatus: 404, remedy: 'Check the path, the collection and the id.' },
  REQUEST_TIMEOUT: { httpStatus: 408, remedy: 'Send the whole request faster.' },
  SNAPSHOT_IN_PROGRESS: {
    httpStatus: 409,
    remedy: 'Wait for the snapshot in progress; GET /snapshots lists it when it is complete.',
  },
  ID_EXISTS: { httpStatus: 409, remedy: 'Choose another id, or add ?replace=true to replace the stored image.' },
  WRONG_ENCODER: {
    httpStatus: 409,
    remedy: 'Send an embedding of the encoder that the service runs; GET /readyz names it.',
  },
  UPLOAD_TOO_LARGE: { httpStatus: 413, remedy: 'Send a smaller file, or raise the named setting.' },
  TOO_MANY_FILES: { httpStatus: 413, remedy: 'Send fewer files in one request, or raise the named setting.' },
  IMAGE_TOO_LARGE: { httpStatus: 413, remedy: 'Scale the image down, or raise the named setting.' },
  UNSUPPORTED_MEDIA_TYPE: {
    httpStatus: 415,
    remedy: 'Send multipart/form-data or a raw image/* body; PATCH takes application/json.',
  },
  UNSUPPORTED_FORMAT: { httpStatus: 415, remedy: 'Send JPEG, PNG, WebP, GIF, AVIF or TIFF.' },
  HEIC_NOT_SUPPORTED: { httpStatus: 415, remedy: 'Convert the HEIC picture to JPEG or AVIF first.' },
  UNREADABLE_IMAGE: { httpStatus: 422, remedy: 'The file is damaged or incomplete; send it again or repair it.' },
  URL_FETCH_FAILED: {
    httpStatus: 422,
    remedy: 'Check that the URL opens without a login and returns the picture itself; then try again.',
  },
  DECODE_TIMEOUT: { httpStatus: 422, remedy: 'The image takes too long to decode; send it in a simpler form.' },
  INVALID_EMBEDDING: { httpStatus: 422, remedy: 'Send finite numbers of the stated length, not all zero.' },
  HEADERS_TOO_LARGE: { httpStatus: 431, remedy: 'Send shorter headers: 16 KiB in all.' },
  ARCHIVE_UNSUPPORTED: { httpStatus: 415, remedy: 'Send a zip, tar or tar.gz.' },
  ARCHIVE_TOO_LARGE: { httpStatus: 413, remedy: 'Split the archive, or raise the named setting.' },
  ARCHIVE_DAMAGED: {
    httpStatus: 422,
    remedy: 'Create the archive again. Only pictures that are counted as added were stored.',
  },
  ENTRY_REFUSED: { httpStatus: 422, remedy: 'Put plain files into the archive: no links, no encryption, no archives.' },
  IMPORT_RUNNING: { httpStatus: 409, remedy: 'Wait until the import has ended, or cancel it.' },
  IMPORT_SOURCE_GONE: {
    httpStatus: 410,
    remedy: 'Send the archive again; pictures that are already stored are skipped.',
  },
  DEMO_MISSING: { httpStatus: 404, remedy: 'This installation has no demo pictures; import a folder of your own.' },
  REPORT_MISSING: {
    httpStatus: 404,
    remedy: 'Create it with `likeness evaluate`, which writes it beside the encoder; then restart the service.',
  },
  RATE_LIMITED: { httpStatus: 429, remedy: 'Wait as long as Retry-After says.' },
  // The service
  INTERNAL: { httpStatus: 500, remedy: 'The fault is in the service. Its log has the cause under the request id.' },
  ENCODER_FAILED: { httpStatus: 503, remedy: 'Try again; the log has the cause.' },
  DECODER_FAILED: { httpStatus: 503, remedy: 'Try again; the decoder was replaced.' },
  OVERLOADED: { httpStatus: 503, remedy: 'Wait as long as Retry-After says.' },
  DEADLINE_EXCEEDED: { httpStatus: 503, remedy: 'The service is busy; try again.' },
  NOT_READY: { httpStatus: 503, remedy: 'Wait until GET /readyz answers 200.' },
  SHUTTING_DOWN: { httpStatus: 503, remedy: 'Try again on another instance or after the restart.' },
  DISK_FULL: { httpStatus: 507, remedy: 'Free disk space; the service then continues by itself.' },
  CATALOGUE_FULL: {
    httpStatus: 507,
    remedy: 'The collection holds as many images as its index can number; use another collection.',
  },
  // The command line
  INVALID_SETTINGS: { httpStatus: 500, remedy: 'Correct every setting that the message lists.' },
  ENCODER_MISMATCH: {
    httpStatus: 500,
    remedy: 'Start with the encoder with which the catalogue was made, or use another data folder.',
  },
  INVALID_ENCODER: { httpStatus: 500, remedy: 'Export the encoder again; its folder is incomplete or damaged.' },
  DEVICE_UNAVAILABLE: { httpStatus: 500, remedy: 'Choose another --device, or install what the message names.' },
  CATALOGUE_LOCKED: { httpStatus: 500, remedy: 'Stop the other process that uses this data folder.' },
  CATALOGUE_DAMAGED: {
    httpStatus: 500,
    remedy: 'Restore the data folder from a backup; `likeness check` names the damage.',
  },
  SNAPSHOT_DAMAGED: {
    httpStatus: 422,
    remedy: 'Restore another snapshot; this file is incomplete, changed, or not a snapshot.',
  },
  SNAPSHOT_FORMAT: { httpStatus: 422, remedy: 'Restore it with the version of Likeness that the message names.' },
  SNAPSHOT_TOO_LARGE: { httpStatus: 413, remedy: 'Raise --max-bytes if you trust the snapshot.' },
  FOLDER_NOT_EMPTY: { httpStatus: 409, remedy: 'Restore into a folder that is empty or does not exist yet.' },
  NATIVE_MODULE_MISSING: { httpStatus: 500, remedy: 'Run the command that the message names.' },
} as const satisfies Record<string, ErrorEntry>;

/** One of the stable codes of {@link ERROR_TABLE}. */
export type ErrorCode = keyof typeof ERROR_TABLE;

/** Refusals under load. There may be thousands a second, and neither a stack trace nor a cause says more about them. */
const REFUSALS: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['OVERLOADED', 'RATE_LIMITED', 'SHUTTING_DOWN']);

/**
 * An error with a stable code. The message names the cause, the limit and the remedy. The server returns the message of
 * a client error (4xx); of its own errors (5xx) it returns the code and logs the cause. `retryAfterSeconds` becomes the
 * Retry-After header.
 */
export class SearchError extends Error {
  readonly code: ErrorCode;
  readonly retryAfterSeconds: number | undefined;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; retryAfterSeconds?: number } = {}) {
    const { stackTraceLimit } = Error;
    // A stack trace would take as long as the rest of a refusal.
    if (REFUSALS.has(code)) Error.stackTraceLimit = 0;
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    Error.stackTraceLimit = stackTraceLimit;
    this.name = 'SearchError';
    this.code = code;
    this.retryAfterSeconds = options.retryAfterSeconds;
  }

  get httpStatus(): number {
    return ERROR_TABLE[this.code].httpStatus;
  }

  get remedy(): string {
    return ERROR_TABLE[this.code].remedy;
  }

  /** True for a refusal under load, which has no stack trace and is not a fault. */
  get isRefusal(): boolean {
    return REFUSALS.has(this.code);
  }
}

/** A SearchError as plain data, which can be sent to another thread or process. */
export type SearchErrorData = {
  readonly code: ErrorCode;
  readonly message: string;
  readonly retryAfterSeconds?: number;
};

/**
 * Converts any error to data for another thread or process. An error that is not a SearchError gets the code
 * `fallback`; its message is its stack
 * trace, or a sentence for an error of the operating system. */
export function toErrorData(error: unknown, fallback: ErrorCode = 'INTERNAL'): SearchErrorData {
  if (error instanceof SearchError) {
    const { code, message, retryAfterSeconds } = error;
    return retryAfterSeconds === undefined ? { code, message } : { code, message, retryAfterSeconds };
  }
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { code: fallback, message: systemErrorMessage(error) ?? stack };
}

/** The inverse of {@link toErrorData}. */
export function fromErrorData(data: SearchErrorData): SearchError {
  const options = data.retryAfterSeconds === undefined ? {} : { retryAfterSeconds: data.retryAfterSeconds };
  return new SearchError(data.code, data.message, options);
}

/** One sentence about an error of the operating system, with the path and the remedy; undefined for any other error. */
export function systemErrorMessage(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error) || !('syscall' in error)) return undefined;
  const { code, path, port } = error as Error & { code?: unknown; path?: unknown; port?: unknown };
  const what = typeof path === 'string' || path instanceof Uint8Array ? Buffer.from(path).toString() : 'The file';
  switch (code) {
    case 'ENOENT':
      return `${what} does not exist.`;
    case 'EACCES':
    case 'EPERM':
      if (port !== undefined) return `Port ${port} may not be used (${code}); choose another with --port.`;
      return `${what} cannot be accessed: permission denied (${code}).`;
    case 'EISDIR':
      return `${what} is a folder; give a file.`;
    case 'ENOTDIR':
    case 'EEXIST':
      return `${what} is a file; give a folder.`;
    case 'EROFS':
      return `${what} cannot be written: the file system is read-only.`;
    case 'ENOSPC':
    case 'EDQUOT':
      return `${what} cannot be written: no space is left on the disk.`;
    case 'EMFILE':
    case 'ENFILE':
      return `${what} cannot be opened: too many files are open; raise the limit (ulimit -n).`;
    case 'EADDRINUSE':
      return `Port ${port} is in use; stop the other program, or choose another port with --port.`;
    case 'EADDRNOTAVAIL':
      return `${(error as { address?: unknown }).address ?? 'The address'} is not an address of this machine; correct --host.`;
    default:
      return undefined;
  }
}
