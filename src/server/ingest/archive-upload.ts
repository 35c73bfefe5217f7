import type { FastifyRequest } from 'fastify';
import { SearchError } from '../../errors.js';
import { ClientGoneError } from '../limits/request-tracker.js';
import { cleanFileName } from '../names.js';

/** Content types of raw archives. */
export const ARCHIVE_TYPES =
  /^application\/(zip|x-zip-compressed|x-tar|tar|gzip|x-gzip|x-compressed-tar|octet-stream)\b/i;

/**
 * Reads the one archive of a request, as it arrives: a raw body, or the only file of a form. `receive` takes its bytes
 * to their end. Throws UNSUPPORTED_MEDIA_TYPE, NO_IMAGE, MALFORMED_MULTIPART, TOO_MANY_FILES, and what `receive`
 * throws; the connection stays open for the answer.
 */
export async function readArchive<T>(
  request: FastifyRequest,
  bytesMax: number,
  receive: (archive: { readonly name: string; readonly body: AsyncIterable<unknown> }) => Promise<T>,
): Promise<T> {
  const { raw } = request;
  try {
    if (!request.isMultipart()) {
      if (!ARCHIVE_TYPES.test(request.headers['content-type'] ?? '')) {
        throw new SearchError(
          'UNSUPPORTED_MEDIA_TYPE',
          'An import takes JSON, or a zip, tar or tar.gz as the body or in a form.',
        );
      }
      return await receive({ name: 'archive', body: raw.iterator({ destroyOnReturn: false }) });
    }
    return await receivePart(request, bytesMax, receive);
  } catch (cause) {
    if (raw.destroyed && !raw.complete) throw new ClientGoneError();
    // What has not arrived is not read any more; the answer closes the connection.
    if (request.isMultipart()) raw.unpipe();
    throw cause;
  }
}

async function receivePart<T>(
  request: FastifyRequest,
  bytesMax: number,
  receive: Parameters<typeof readArchive<T>>[2],
): Promise<T> {
  // One byte more than is allowed, so that the spool sees it and refuses: the parser itself would cut silently.
  const parts = request.parts({ limits: { fileSize: bytesMax + 1, files: 1, fields: 0, parts: 1, headerPairs: 32 } });
  let received: { readonly value: T } | undefined;
  for (;;) {
    const next = await parts.next().catch(malformed);
    if (next.done === true) break;
    const part = next.value;
    if (part.type !== 'file')
      throw new SearchError(
        'INVALID_REQUEST',
        'The form holds one file and no fields; ?collection= stands in the query.',
      );
    const body = readable(part.file.iterator({ destroyOnReturn: false }));
    received = { value: await receive({ name: cleanFileName(part.filename) ?? 'archive', body }) };
  }
  if (received === undefined) throw new SearchError('NO_IMAGE', 'The form holds no file.');
  return received.value;
}

async function* readable(chunks: AsyncIterator<unknown>): AsyncGenerator<unknown, void> {
  for (;;) {
    const next = await chunks.next().catch(malformed);
    if (next.done === true) return;
    yield next.value;
  }
}

/** The parser's own errors have neither code nor status: they are the client's. */
function malformed(cause: unknown): never {
  const code = (cause as { code?: unknown }).code;
  if (cause instanceof SearchError || (typeof code === 'string' && code.startsWith('FST_'))) throw cause;
  throw new SearchError('MALFORMED_MULTIPART', 'The multipart body cannot be read to its end.', { cause });
}
