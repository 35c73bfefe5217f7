/** What to tell a person where the service refuses or fails: what happened, and what they can do now. Pure. */
import { LikenessError } from '../../client/client.js';

/** A title, a sentence, and what the page can offer at once. */
export type Words = { readonly title: string; readonly advice: string; readonly offer?: 'retry' | 'key' | 'start' | 'exact' };

/** Titles and advice by code, where the API's own message and remedy speak to programmers. What is not here is told in the API's words. */
const WORDS: { readonly [code: string]: Words } = {
  NO_IMAGE: { title: 'There is no picture in that', advice: 'Drop, paste or choose a picture file.', offer: 'start' },
  MALFORMED_MULTIPART: { title: 'The upload broke off', advice: 'Check the connection and try again.', offer: 'retry' },
  INVALID_FILTER: { title: 'The filter cannot be read', advice: 'Correct or remove it; “Filter” shows it.' },
  UNAUTHORISED: { title: 'This service asks for a key', advice: 'Enter the key you were given. It stays in this tab.', offer: 'key' },
  FORBIDDEN: { title: 'Your key does not allow this', advice: 'Enter a key of a higher role, or ask who runs the service.', offer: 'key' },
  NOT_FOUND: {
    title: 'It is not here any more',
    advice: 'The picture or collection was removed or renamed. Start a new search.',
    offer: 'start',
  },
  REQUEST_TIMEOUT: { title: 'The upload took too long', advice: 'Try a smaller picture or a better connection.', offer: 'retry' },
  WRONG_ENCODER: { title: 'The service runs another encoder now', advice: 'Search again with the picture.', offer: 'start' },
  UPLOAD_TOO_LARGE: {
    title: 'The picture file is too large',
    advice: 'Save it smaller, or ask who runs the service to raise --max-upload-bytes.',
    offer: 'start',
  },
  TOO_MANY_FILES: { title: 'Those are too many pictures', advice: 'Use up to eight in one search.', offer: 'start' },
  IMAGE_TOO_LARGE: { title: 'The picture has too many pixels', advice: 'Scale it down and try again.', offer: 'start' },
  UNSUPPORTED_MEDIA_TYPE: {
    title: 'That is not a picture',
    advice: 'JPEG, PNG, WebP, GIF, AVIF and TIFF can be searched.',
    offer: 'start',
  },
  UNSUPPORTED_FORMAT: {
    title: 'That is no picture that can be read',
    advice: 'JPEG, PNG, WebP, GIF, AVIF and TIFF can be searched.',
    offer: 'start',
  },
  HEIC_NOT_SUPPORTED: {
    title: 'HEIC pictures cannot be read',
    advice: 'Save the picture as JPEG, or take a screenshot of it and paste that.',
    offer: 'start',
  },
  UNREADABLE_IMAGE: {
    title: 'The picture is damaged',
    advice: 'Open it elsewhere and save it again, or take a screenshot and paste that.',
    offer: 'start',
  },
  DECODE_TIMEOUT: { title: 'The picture takes too long to read', advice: 'Save it in a simpler form, such as JPEG.', offer: 'start' },
  RATE_LIMITED: { title: 'Too many searches in a short time', advice: 'Wait a moment, then try again.', offer: 'retry' },
  INTERNAL: { title: 'Something went wrong in the service', advice: 'Try again. If it stays so, the log tells more.', offer: 'retry' },
  ENCODER_FAILED: { title: 'The encoder failed', advice: 'Try again. If it stays so, the log tells more.', offer: 'retry' },
  DECODER_FAILED: { title: 'Reading the picture failed', advice: 'Try again; the reader was replaced.', offer: 'retry' },
  OVERLOADED: { title: 'The service is busy', advice: 'Wait a moment, then try again.', offer: 'retry' },
  DEADLINE_EXCEEDED: { title: 'The service is busy', advice: 'The answer took too long. Try again.', offer: 'retry' },
  NOT_READY: { title: 'The service is starting', advice: 'It needs a few seconds. Try again.', offer: 'retry' },
  SHUTTING_DOWN: { title: 'The service is stopping', advice: 'Try again when it is back.', offer: 'retry' },
  DISK_FULL: { title: 'The disk of the service is full', advice: 'Searching goes on. To store more, free space on the disk.' },
  CATALOGUE_FULL: { title: 'This collection is full', advice: 'Store new pictures in another collection.' },
  URL_FETCH_OFF: {
    title: 'This service does not fetch pictures from addresses',
    advice: 'Save the picture and drop it here, or ask who runs the service to start it with --allow-url-fetch.',
    offer: 'start',
  },
  URL_REFUSED: {
    title: 'That address is not fetched',
    advice: 'Only public http and https addresses are. Save the picture and drop it here.',
    offer: 'start',
  },
  URL_FETCH_FAILED: {
    title: 'The address gives no picture',
    advice: 'Open it in a tab: it must show the picture itself, without a login. Or save the picture and drop it here.',
    offer: 'start',
  },
  UNREACHABLE: { title: 'No answer from the service', advice: 'Check that it runs and that you are connected.', offer: 'retry' },
  UNEXPECTED_ANSWER: {
    title: 'Something else answered',
    advice: 'A proxy or sign-in page stands before the service. Reload the page.',
    offer: 'retry',
  },
};

/** A picture of a link that this browser does not have: the link was made in another one, or its history was cleared. */
export class MissingPictureError extends Error {}

/** Words for whatever was thrown. `detail` is the service's own sentence, with the request id that finds it in the log. */
export function wordsFor(error: unknown): Words & { readonly detail?: string; readonly code?: string } {
  if (error instanceof MissingPictureError) {
    return {
      title: 'This browser does not have that picture',
      advice: 'Query pictures stay in the browser that used them. Drop the picture here to search with it.',
      offer: 'start',
    };
  }
  if (!(error instanceof LikenessError)) {
    return {
      title: 'Something went wrong in the page',
      advice: 'Reload it.',
      detail: error instanceof Error ? error.message : String(error),
    };
  }
  const known = WORDS[error.code] ?? { title: sentenceTitle(error.message), advice: error.remedy };
  const wait = error.retryAfterSeconds === undefined ? '' : ` (in ${error.retryAfterSeconds} s)`;
  const id = error.requestId === undefined ? '' : ` · request ${error.requestId}`;
  return { ...known, advice: known.advice + wait, code: error.code, detail: `${error.message} (${error.code}${id})` };
}

/** The first sentence of a message, as a title. */
function sentenceTitle(message: string): string {
  const first = /^.*?[.:;](?=\s|$)/.exec(message)?.[0] ?? message;
  return first.replace(/[.:;]$/, '');
}
