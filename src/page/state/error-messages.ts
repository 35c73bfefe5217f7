/** Error messages of the page: what happened, and what the user can do now. Pure. */
import { LikenessError } from '../../client/client.js';

/** A title, a sentence of advice, and the action that the page offers as a button. */
type ErrorMessage = {
  readonly title: string;
  readonly advice: string;
  readonly offer?: 'retry' | 'key' | 'start' | 'exact';
};

/** Messages by error code. The API's own messages address programmers; codes missing here show the API's message. */
const MESSAGES: { readonly [code: string]: ErrorMessage } = {
  NO_IMAGE: { title: 'No picture in that file', advice: 'Drop, paste or choose a picture file.', offer: 'start' },
  MALFORMED_MULTIPART: {
    title: 'The upload was interrupted',
    advice: 'Check the connection and try again.',
    offer: 'retry',
  },
  INVALID_FILTER: { title: 'The filter cannot be read', advice: 'Correct or remove the filter under “Refine”.' },
  UNAUTHORISED: {
    title: 'This service requires an API key',
    advice: 'Enter the key you were given. It stays in this tab.',
    offer: 'key',
  },
  FORBIDDEN: {
    title: 'Your API key does not allow this',
    advice: 'Enter a key with a higher role, or ask whoever runs the service.',
    offer: 'key',
  },
  NOT_FOUND: {
    title: 'Not found',
    advice: 'The picture or collection was deleted or renamed. Start a new search.',
    offer: 'start',
  },
  REQUEST_TIMEOUT: {
    title: 'The upload took too long',
    advice: 'Try a smaller picture or a better connection.',
    offer: 'retry',
  },
  WRONG_ENCODER: {
    title: 'The service now runs another encoder',
    advice: 'Search again with the picture.',
    offer: 'start',
  },
  UPLOAD_TOO_LARGE: {
    title: 'The picture file is too large',
    advice: 'Save it smaller, or ask whoever runs the service to raise --max-upload-bytes.',
    offer: 'start',
  },
  TOO_MANY_FILES: { title: 'Too many pictures', advice: 'Use at most eight in one search.', offer: 'start' },
  IMAGE_TOO_LARGE: { title: 'The picture has too many pixels', advice: 'Scale it down and try again.', offer: 'start' },
  UNSUPPORTED_MEDIA_TYPE: {
    title: 'This file is not a picture',
    advice: 'Supported formats: JPEG, PNG, WebP, GIF, AVIF and TIFF.',
    offer: 'start',
  },
  UNSUPPORTED_FORMAT: {
    title: 'This file cannot be read as a picture',
    advice: 'Supported formats: JPEG, PNG, WebP, GIF, AVIF and TIFF.',
    offer: 'start',
  },
  HEIC_NOT_SUPPORTED: {
    title: 'HEIC pictures cannot be read',
    advice: 'Save the picture as JPEG, or paste a screenshot of it.',
    offer: 'start',
  },
  UNREADABLE_IMAGE: {
    title: 'The picture is damaged',
    advice: 'Open it in another program and save it again, or paste a screenshot of it.',
    offer: 'start',
  },
  DECODE_TIMEOUT: {
    title: 'Decoding the picture takes too long',
    advice: 'Save it in a simpler format, such as JPEG.',
    offer: 'start',
  },
  RATE_LIMITED: {
    title: 'Too many requests in a short time',
    advice: 'Wait a moment, then try again.',
    offer: 'retry',
  },
  INTERNAL: {
    title: 'Something went wrong in the service',
    advice: 'Try again. If it happens again, see the service log.',
    offer: 'retry',
  },
  ENCODER_FAILED: {
    title: 'The encoder failed',
    advice: 'Try again. If it happens again, see the service log.',
    offer: 'retry',
  },
  DECODER_FAILED: {
    title: 'Decoding the picture failed',
    advice: 'Try again; the decoder was restarted.',
    offer: 'retry',
  },
  OVERLOADED: { title: 'The service is busy', advice: 'Wait a moment, then try again.', offer: 'retry' },
  DEADLINE_EXCEEDED: { title: 'The service is busy', advice: 'The request took too long. Try again.', offer: 'retry' },
  NOT_READY: { title: 'The service is starting', advice: 'This takes a few seconds. Try again.', offer: 'retry' },
  SHUTTING_DOWN: { title: 'The service is stopping', advice: 'Try again when it has restarted.', offer: 'retry' },
  DISK_FULL: {
    title: 'The disk of the service is full',
    advice: 'Searches still work. Free disk space to store more pictures.',
  },
  CATALOGUE_FULL: { title: 'This collection is full', advice: 'Store new pictures in another collection.' },
  URL_FETCH_OFF: {
    title: 'This service does not fetch image URLs',
    advice: 'Save the picture and drop it here, or ask whoever runs the service to start it with --allow-url-fetch.',
    offer: 'start',
  },
  URL_REFUSED: {
    title: 'This URL is not allowed',
    advice: 'Only public http and https URLs are fetched. Save the picture and drop it here.',
    offer: 'start',
  },
  URL_FETCH_FAILED: {
    title: 'No picture at this URL',
    advice: 'The URL must lead to the picture itself, without a login. Or save the picture and drop it here.',
    offer: 'start',
  },
  UNREACHABLE: {
    title: 'The service does not respond',
    advice: 'Check that it is running and that you are connected.',
    offer: 'retry',
  },
  UNEXPECTED_ANSWER: {
    title: 'Unexpected response',
    advice: 'A proxy or sign-in page may have answered instead of the service. Reload the page.',
    offer: 'retry',
  },
};

/** Errors besides those that offer a retry after which the same file may be stored later. */
const RETRYABLE: ReadonlySet<string> = new Set([
  'UNAUTHORISED',
  'FORBIDDEN',
  'DISK_FULL',
  'CATALOGUE_FULL',
  'URL_FETCH_FAILED',
  'DECODE_TIMEOUT',
]);

/** True if storing the same file again may succeed: not for a file that is no picture, or is too large. */
export function mayRetry(code: string | undefined): boolean {
  if (code === undefined) return true;
  return MESSAGES[code] === undefined || MESSAGES[code].offer === 'retry' || RETRYABLE.has(code);
}

/**
 * The link names a query picture that this browser does not hold: another browser made it, or its data were cleared.
 */
export class MissingPictureError extends Error {}

/** The message for any thrown value. `detail` is the API's own message with the request id that finds it in the log. */
export function messageFor(error: unknown): ErrorMessage & { readonly detail?: string; readonly code?: string } {
  if (error instanceof MissingPictureError) {
    return {
      title: 'This browser does not have that picture',
      advice: 'A query picture stays in the browser that used it. Drop the picture here to search with it.',
      offer: 'start',
    };
  }
  if (!(error instanceof LikenessError)) {
    return {
      title: 'Something went wrong in the page',
      advice: 'Reload the page.',
      detail: error instanceof Error ? error.message : String(error),
    };
  }
  const known = MESSAGES[error.code] ?? { title: sentenceTitle(error.message), advice: error.remedy };
  const wait = error.retryAfterSeconds === undefined ? '' : ` (in ${error.retryAfterSeconds} s)`;
  const id = error.requestId === undefined ? '' : ` · request ${error.requestId}`;
  return { ...known, advice: known.advice + wait, code: error.code, detail: `${error.message} (${error.code}${id})` };
}

/** The first sentence of a message, as a title. */
function sentenceTitle(message: string): string {
  const first = /^.*?[.:;](?=\s|$)/.exec(message)?.[0] ?? message;
  return first.replace(/[.:;]$/, '');
}
